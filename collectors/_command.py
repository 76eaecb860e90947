"""Run another program for a reading: found on the PATH, its output as text, and an end to waiting."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

#: Its number in POSIX. The module `signal` is for those who handle signals, which a library does not.
_SIGKILL = 9


class Command:
    """One command line. `run` from one thread, `abort` from any.

    environ    the PATH to look in, and what the program sees; its language is C
    timeout_s  after which it is killed
    """

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], timeout_s: float) -> None:
        self._argv, self._environ, self._timeout_s = tuple(argv), environ, timeout_s
        self._process: subprocess.Popen[str] | None = None

    def is_installed(self) -> bool:
        """Whether the program is on the PATH."""
        return shutil.which(self._argv[0], path=self._environ.get("PATH", "")) is not None

    def run(self) -> str:
        """Its standard output. Raises OSError, or ValueError for an exit code that is not 0, with what it said."""
        found = shutil.which(self._argv[0], path=self._environ.get("PATH", ""))
        if found is None:
            msg = f"{self._argv[0]} is not on the PATH"
            raise FileNotFoundError(msg)
        process = subprocess.Popen(  # noqa: S603 -- a collector's own command, without a shell
            [found, *self._argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self._environ, "LC_ALL": "C"},
            text=True,
            errors="replace",
            start_new_session=True,  # a Ctrl-C at the terminal is for the workload
        )
        with process:
            self._process = process
            try:
                out, err = process.communicate(timeout=self._timeout_s)
            except subprocess.TimeoutExpired as error:
                _kill(process)
                msg = f"{self._argv[0]} took longer than {self._timeout_s:g} s"
                raise TimeoutError(msg) from error
            finally:
                self._process = None
        if process.returncode:
            said = (err or out).strip().splitlines()
            msg = f"{self._argv[0]} failed ({process.returncode})" + (f": {said[-1]}" if said else "")
            raise ValueError(msg)
        return out

    def abort(self) -> None:
        """End a run that is under way."""
        process = self._process
        if process is not None:
            _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    """It, and what it started."""
    try:
        os.killpg(process.pid, _SIGKILL)
    except ProcessLookupError:
        return  # it has ended by itself
