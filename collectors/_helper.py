"""A program that a collector runs: started, read, ended, and its CPU time told to the host as the recorder's."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

from greengen.collector import Host
from greengen.collectors._tree import Tree, open_tree

#: Their numbers in POSIX. The module `signal` is for those who handle signals, which a library does not.
_SIGKILL, _SIGTERM = 9, 15
#: How often one is looked at that is to end: at first, and at last.
_SOON_S, _LATER_S = 0.0005, 0.05
#: How long it is waited for after it was asked to end, and after it was killed.
_GOES_S = 2.0


class Helper:
    """A running program, found on the PATH that the host's environment names. Its language is C.

    `wait` from one thread, `terminate` and `kill` from any. Raises OSError where it cannot be started.

    errors  where its standard error goes, as for subprocess
    output  what it writes, unbuffered
    """

    def __init__(self, argv: Sequence[str], host: Host, errors: int | IO[bytes]) -> None:
        found = which(argv[0], host.environ)
        if found is None:
            msg = f"{argv[0]} is not on the PATH"
            raise FileNotFoundError(msg)
        self._host, self._helpers = host, host.helpers
        self._tree: Tree | None = None
        self._seen_ns = 0
        self.code: int | None = None
        with self._helpers.lock:
            self._process = subprocess.Popen(  # noqa: S603 -- a collector's own command, without a shell
                [found, *argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,
                env={**host.environ, "LC_ALL": "C"},
                start_new_session=True,  # a Ctrl-C at the terminal is for the workload
            )
            self._helpers.running[self._process.pid] = self._busy_ns
        assert self._process.stdout is not None  # noqa: S101 -- a pipe was asked for
        self.output: IO[bytes] = self._process.stdout
        self.errors = self._process.stderr

    def terminate(self) -> None:
        """Ask it to end, and what it started."""
        self._signal(_SIGTERM)

    def kill(self) -> None:
        """End it, and what it started."""
        self._signal(_SIGKILL)

    def wait(self, seconds: float) -> int | None:
        """Its exit code; None where it goes on for longer than this."""
        deadline, pause_s = time.monotonic() + seconds, _SOON_S
        while not self._has_ended():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            time.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, _LATER_S)
        return self.code

    def close(self) -> int | None:
        """End it, if it goes on, and give its pipes back: its exit code, None where it may not be ended."""
        self.output.close()
        if self.errors is not None:
            self.errors.close()
        self.terminate()
        if self.wait(_GOES_S) is None:
            self.kill()
            self.wait(_GOES_S)
        return self.code

    def _signal(self, number: int) -> None:
        # Under the lock nobody waits for it: its number is its own still.
        with self._helpers.lock, suppress(ProcessLookupError, PermissionError):
            if self.code is None:
                os.killpg(self._process.pid, number)

    def _has_ended(self) -> bool:
        pid = self._process.pid
        with self._helpers.lock:
            if self.code is not None:
                return True
            try:
                ended, status, usage = os.wait4(pid, os.WNOHANG)
            except ChildProcessError:
                # The workload waits for any child of its process: it has this one's exit code.
                self.code, busy_ns = 0, self._seen_ns
            else:
                if not ended:
                    return False
                self.code = os.waitstatus_to_exitcode(status)
                busy_ns = round((usage.ru_utime + usage.ru_stime) * 1e6) * 1000
            self._process.returncode = self.code
            del self._helpers.running[pid]
            self._helpers.ended_ns += busy_ns
        if self._tree is not None:
            self._tree.close()
        return True

    def _busy_ns(self) -> int:
        """With what it has started itself. Most end before anybody asks."""
        if self._tree is None:
            self._tree = open_tree(self._host, self._process.pid)
        self._seen_ns = self._tree.busy_ns()
        return self._seen_ns


def which(program: str, environ: Mapping[str, str]) -> str | None:
    """Where a program is on the PATH; None where it is not."""
    return shutil.which(program, path=environ.get("PATH", ""))
