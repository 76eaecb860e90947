"""The programs that collectors run for their readings: their CPU time is the recorder's, and no profiled work.

They are children of the process that records, which is the root of the profiled tree or in it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Helpers:
    """Those of one recording.

    lock      held while one is started, and while one is waited for: whoever looks at the children of this process,
              or at the CPU time of those that it waited for, holds it too, and finds what else stands here to agree
    running   the CPU time so far, ns, by the process id of each that was not waited for yet
    ended_ns  that of those that were
    """

    __slots__ = ("_told_ns", "ended_ns", "lock", "running")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: dict[int, Callable[[], int]] = {}
        self.ended_ns = self._told_ns = 0

    def busy_ns(self) -> int:
        """CPU time of all of them so far. Never decreases; 0 where none was ever run."""
        with self.lock:
            busy_ns = self.ended_ns
            for read in self.running.values():
                busy_ns += read()
            # Of one that has ended the kernel tells whole microseconds.
            self._told_ns = max(self._told_ns, busy_ns)
            return self._told_ns
