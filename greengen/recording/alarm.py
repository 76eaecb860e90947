"""A sleep that another thread can end: what a recorder pays for every reading, so it is as light as can be."""

from __future__ import annotations

import math
import os
import select
import threading

from greengen.recording.descriptors import identity

_MS = 1000


class Alarm:
    """One thread waits; any thread rings, once, for good. Through a pipe: it wakes at two thirds of a lock's cost.

    A process may close all its descriptors, and its next file may get their numbers: then it is a
    lock again, and nobody else's file is written to.
    """

    def __init__(self) -> None:
        self._rung = False
        self._lock = threading.Lock()
        self._lock.acquire()
        self._pipe: tuple[int, int] | None = None
        if hasattr(select, "poll"):
            try:
                self._pipe = os.pipe()
            except OSError:
                return
            self._identity = identity(self._pipe[1])
            self._poll = select.poll()
            self._poll.register(self._pipe[0], select.POLLIN)

    def wait(self, seconds: float) -> bool:
        """Sleep so long, to the millisecond; whether it rang."""
        if self._pipe is not None:
            if not self._poll.poll(math.ceil(max(seconds, 0.0) * _MS)):
                return False
            if self._rung:
                return True
            self._pipe = None
        return self._lock.acquire(timeout=max(seconds, 0.0))

    def ring(self) -> None:
        """End the sleep, and every later one."""
        if self._rung:
            return
        self._rung = True
        self._lock.release()
        if self._pipe is not None and identity(self._pipe[1]) == self._identity:
            os.write(self._pipe[1], b"\0")

    def close(self) -> None:
        """Give the descriptors back, if they are still ours."""
        pipe, self._pipe = self._pipe, None
        for end in pipe or ():
            if identity(end) == self._identity:
                os.close(end)
