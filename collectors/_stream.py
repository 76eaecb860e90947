"""One long-lived command that writes a document per reading: started, read, and started again where it ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Generic, TypeVar

T = TypeVar("T")

#: Ten times what any of them writes per reading.
_LONGEST = 4_000_000
_AGAIN_NS = 5_000_000_000
_CHUNK = 1 << 16
_GOES_S = 2.0


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """A reading, and when it arrived."""

    arrived_ns: int
    value: T


class Stream(Generic[T]):
    """`next` from one thread, `abort` from any.

    argv     the command, found on the PATH of `environ`
    end      what a document ends with
    parse    takes a document with its end; raises ValueError for what is none
    clock    monotonic, ns
    """

    def __init__(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str],
        *,
        end: bytes,
        parse: Callable[[bytes], T],
        clock: Callable[[], int],
    ) -> None:
        self._argv, self._environ = tuple(argv), environ
        self._mark, self._parse, self._clock = end, parse, clock
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._held = b""
        self._again_ns: int | None = None
        self._trouble = ""
        self._closing = False
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def is_installed(self) -> bool:
        """Whether the command is on the PATH."""
        return shutil.which(self._argv[0], path=self._environ.get("PATH", "")) is not None

    def next(self) -> Told[T]:
        """The next reading; waits for it. Raises OSError or ValueError with what the command said when it ended.

        After such an end it is not started again for five seconds.
        """
        with self._lock:
            if self._process is None and self._again_ns is not None and self._clock() < self._again_ns:
                raise ValueError(self._trouble)
            try:
                document = self._document()
            except (OSError, ValueError) as error:
                self._again_ns, self._trouble = self._clock() + _AGAIN_NS, str(error)
                raise
            return Told(self._clock(), self._parse(document))

    def abort(self) -> None:
        """End the command: `next`, if it waits, fails. One that runs as root ends when it writes again."""
        self._closing = True
        process = self._process
        if process is not None:
            with suppress(ProcessLookupError, PermissionError):
                process.terminate()

    def close(self) -> None:
        """End the command and give its pipe back, unless a thread still waits for it. Nothing in a forked child."""
        if self._pid == os.getpid() and self._lock.acquire(timeout=_GOES_S):
            self._end()
            self._lock.release()

    def _start(self) -> subprocess.Popen[bytes]:
        found = shutil.which(self._argv[0], path=self._environ.get("PATH", ""))
        if found is None:
            msg = f"{self._argv[0]} is not on the PATH"
            raise FileNotFoundError(msg)
        errors = tempfile.TemporaryFile()  # noqa: SIM115 -- held as long as the process
        try:
            process = self._popen(found, errors)
        except OSError:
            errors.close()
            raise
        self._process, self._errors, self._held = process, errors, b""
        return process

    def _popen(self, found: str, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 -- a collector's own command, without a shell
            [found, *self._argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,  # a pipe that nobody reads would fill up
            bufsize=0,
            env={**self._environ, "LC_ALL": "C"},
            start_new_session=True,  # a Ctrl-C at the terminal is for the workload
        )

    def _document(self) -> bytes:
        process = self._process or self._start()
        while self._mark not in self._held:
            # Its pipe is there: it was asked for.
            chunk = b"" if self._closing or process.stdout is None else os.read(process.stdout.fileno(), _CHUNK)
            if not chunk or len(self._held) > _LONGEST:
                raise ValueError(self._end(too_long=bool(chunk)))
            self._held += chunk
        document, _, self._held = self._held.partition(self._mark)
        return document + self._mark

    def _end(self, *, too_long: bool = False) -> str:
        """Why it ended, in its own words if it has any."""
        process, errors, held = self._process, self._errors, self._held
        self._process, self._errors, self._held = None, None, b""
        if process is None or errors is None:
            return self._trouble
        if process.stdout is not None:
            process.stdout.close()
        with suppress(ProcessLookupError, PermissionError):
            process.terminate()
        try:
            code: int | None = process.wait(_GOES_S)
        except subprocess.TimeoutExpired:
            code = None
            with suppress(ProcessLookupError, PermissionError, subprocess.TimeoutExpired):
                process.kill()
                code = process.wait(_GOES_S)
        errors.seek(0)
        # What is no part of a document on its standard output is a message, too.
        message = errors.read() or (held if held.strip(b"\0")[:1].isalnum() else b"")
        said = message.decode("utf-8", "replace").strip("\0\n ").splitlines()
        errors.close()
        if too_long:
            return f"{self._argv[0]} writes {_LONGEST:,} bytes without an end of a document"
        return f"{self._argv[0]} ended ({code})" + (f": {said[-1][:200]}" if said else "")
