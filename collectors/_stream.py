"""One long-lived command that writes a document, or a line, per reading: started, and again where it ends."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Generic, TypeVar

from greengen.collector import Host
from greengen.collectors._helper import Helper, which

T = TypeVar("T")

#: Ten times what any of them writes per reading.
_LONGEST = 4_000_000
_AGAIN_NS = 5_000_000_000
_CHUNK = 1 << 16
#: How long `close` waits for a thread that is in the middle of a reading.
_GOES_S = 2.0


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """A reading, and when it arrived."""

    arrived_ns: int
    value: T


class Stream(Generic[T]):
    """`next` from one thread, `abort` from any.

    host     whose environment the command is looked up in, and sees
    end      what a document ends with
    parse    takes a document with its end; raises ValueError for what is none
    """

    def __init__(self, argv: Sequence[str], host: Host, *, end: bytes, parse: Callable[[bytes], T]) -> None:
        self._argv, self._host = tuple(argv), host
        self._mark, self._parse, self._clock = end, parse, host.monotonic_ns
        self._running: tuple[Helper, IO[bytes]] | None = None
        self._held = b""
        self._again_ns: int | None = None
        self._trouble = ""
        self._closing = False
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def is_installed(self) -> bool:
        """Whether the command is on the PATH."""
        return which(self._argv[0], self._host.environ) is not None

    def next(self) -> Told[T]:
        """The next reading; waits for it. Raises OSError or ValueError with what the command said when it ended.

        After such an end it is not started again for five seconds.
        """
        with self._lock:
            if self._running is None and self._again_ns is not None and self._clock() < self._again_ns:
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
        running = self._running
        if running is not None:
            running[0].terminate()

    def close(self) -> None:
        """End the command and give its pipe back, unless a thread still waits for it. Nothing in a forked child."""
        if self._pid == os.getpid() and self._lock.acquire(timeout=_GOES_S):
            self._end()
            self._lock.release()

    def _start(self) -> tuple[Helper, IO[bytes]]:
        errors = tempfile.TemporaryFile()  # noqa: SIM115 -- held as long as the process: a pipe would fill up
        try:
            helper = Helper(self._argv, self._host, errors)
        except OSError:
            errors.close()
            raise
        self._running, self._held = (helper, errors), b""
        return self._running

    def _document(self) -> bytes:
        helper, _ = self._running or self._start()
        while self._mark not in self._held:
            chunk = b"" if self._closing else os.read(helper.output.fileno(), _CHUNK)
            if not chunk or len(self._held) > _LONGEST:
                raise ValueError(self._end(too_long=bool(chunk)))
            self._held += chunk
        document, _, self._held = self._held.partition(self._mark)
        return document + self._mark

    def _end(self, *, too_long: bool = False) -> str:
        """Why it ended, in its own words if it has any."""
        running, held = self._running, self._held
        self._running, self._held = None, b""
        if running is None:
            return self._trouble
        helper, errors = running
        code = helper.close()
        errors.seek(0)
        # What is no part of a document on its standard output is a message, too.
        message = errors.read() or (held if held.strip(b"\0")[:1].isalnum() else b"")
        said = message.decode("utf-8", "replace").strip("\0\n ").splitlines()
        errors.close()
        if too_long:
            return f"{self._argv[0]} writes {_LONGEST:,} bytes without an end of a document"
        return f"{self._argv[0]} ended ({code})" + (f": {said[-1][:200]}" if said else "")
