"""Run another program for a reading: found on the PATH, its output as text, and an end to waiting."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

#: Its number in POSIX. The module `signal` is for those who handle signals, which a library does not.
_SIGKILL = 9


class CommandError(ValueError):
    """An exit code that is not 0; `output` is what the program said on its standard output all the same."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


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

    def run(self, *more: str) -> str:
        """Its standard output, with `more` arguments.

        Raises OSError, or CommandError for an exit code that is not 0, with what it said.
        """
        found = find(self._argv[0], self._environ)
        process = subprocess.Popen(  # noqa: S603 -- a collector's own command, without a shell
            [found, *self._argv[1:], *more],
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
                kill(process.pid)
                msg = f"{self._argv[0]} took longer than {self._timeout_s:g} s"
                raise TimeoutError(msg) from error
            finally:
                self._process = None
        if process.returncode:
            said = (err or out).strip().splitlines()
            msg = f"{self._argv[0]} failed ({process.returncode})" + (f": {said[-1]}" if said else "")
            raise CommandError(msg, out)
        return out

    def abort(self) -> None:
        """End a run that is under way."""
        process = self._process
        if process is not None:
            kill(process.pid)


def find(program: str, environ: Mapping[str, str]) -> str:
    """Where a program is. Raises FileNotFoundError where it is not on the PATH."""
    found = shutil.which(program, path=environ.get("PATH", ""))
    if found is None:
        msg = f"{program} is not on the PATH"
        raise FileNotFoundError(msg)
    return found


def kill(pid: int) -> None:
    """End a program that leads its own group, and what it started."""
    try:
        os.killpg(pid, _SIGKILL)
    except ProcessLookupError:
        return  # it has ended by itself
