"""How long this machine has slept since it was started: while it does, the monotonic clock stands still."""

from __future__ import annotations

import time

#: Both clocks are read one after the other, and drift by less than this (collectors.md 0.3).
SLEPT_NS = 500_000_000


#: Clocks that were read further apart than this, on a busy machine, are read again: so often.
_TOGETHER_NS, _TRIES = 10_000_000, 10


def asleep_ns() -> int:
    """Since boot, ns; 0 where no clock tells (outside Linux)."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    if clock is None:
        return 0
    asleep = 0
    for _ in range(_TRIES):
        before_ns, boot_ns, after_ns = time.monotonic_ns(), time.clock_gettime_ns(clock), time.monotonic_ns()
        asleep = boot_ns - before_ns
        if after_ns - before_ns < _TOGETHER_NS:
            break
    return asleep
