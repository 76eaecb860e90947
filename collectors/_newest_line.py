"""A program that writes one line for each of its readings, for as long as it runs."""

from __future__ import annotations

import os
import selectors
import subprocess
from collections.abc import Mapping, Sequence

from greengen.collectors._command import find, kill

_CHUNK = 1 << 16
#: A line longer than this is no reading.
_MOST = 1 << 22


class Lines:
    """The program's newest line. `newest` and `close` from one thread, `abort` from any.

    environ    the PATH to look in, and what the program sees; its language is C
    timeout_s  how long a line is waited for
    """

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], timeout_s: float) -> None:
        self._argv, self._environ, self._timeout_s = tuple(argv), environ, timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = b""
        self._over = False
        self._pid = os.getpid()

    def newest(self) -> str:
        """The last whole line; waits for one. Starts the program where it does not run.

        Raises OSError where it cannot be started or says nothing, ValueError where it has ended.
        """
        process = self._process or self._start()
        output = process.stdout
        if output is None:
            msg = f"{self._argv[0]} has no output"
            raise OSError(msg)
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            *lines, self._begun = self._begun.split(b"\n")
            while not lines or selector.select(0):
                if not lines and not selector.select(self._timeout_s):
                    msg = f"{self._argv[0]} has said nothing for {self._timeout_s:g} s"
                    raise TimeoutError(msg)
                chunk = os.read(output.fileno(), _CHUNK)
                if not chunk or len(self._begun) > _MOST:
                    code = self._end()
                    msg = f"{self._argv[0]} has ended ({code})"
                    raise ValueError(msg)
                *more, self._begun = (self._begun + chunk).split(b"\n")
                lines += more
        return lines[-1].decode(errors="replace")

    def abort(self) -> None:
        """End the program, and whatever waits for it; it is not started again."""
        self._over = True
        process = self._process
        if process is not None:
            kill(process.pid)

    def close(self) -> None:
        """End the program, and wait for its end. Does nothing in a forked child."""
        if self._pid == os.getpid():
            self._over = True
            self._end()

    def _start(self) -> subprocess.Popen[bytes]:
        if self._over:
            msg = f"{self._argv[0]} was ended"
            raise ValueError(msg)
        self._begun = b""
        self._process = subprocess.Popen(  # noqa: S603 -- a collector's own command, without a shell
            [find(self._argv[0], self._environ), *self._argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**self._environ, "LC_ALL": "C"},
            start_new_session=True,  # a Ctrl-C at the terminal is for the workload
        )
        return self._process

    def _end(self) -> int:
        """Take the ended program away; its exit code."""
        process, self._process, self._begun = self._process, None, b""
        if process is None:
            return 0
        kill(process.pid)
        if process.stdout is not None:
            process.stdout.close()
        return process.wait()
