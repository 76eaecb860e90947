"""Time one span: argv[1] is on, off, empty or codecarbon. Prints {"us": CPU time of the calling thread}.

Bursts with a pause between, as requests come: what ended is written by another thread meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

N = 2_000
BATCHES = 40


def median_us(loop: Callable[[int], None], n: int = N) -> float:
    """Median over bursts, in us per span."""
    times = []
    for _ in range(BATCHES):
        start = time.thread_time_ns()
        loop(n)
        times.append((time.thread_time_ns() - start) / n / 1e3)
        time.sleep(0.05)
    return statistics.median(times)


def spans(n: int) -> None:
    """`n` request spans."""
    import greengen

    for _ in range(n):
        with greengen.request(model="m"):
            pass


def nothing(n: int) -> None:
    """`n` empty `with` statements around an object that does nothing."""
    context = contextlib.nullcontext()
    for _ in range(n):
        with context:
            pass


def codecarbon_tasks() -> float:
    """One codecarbon task, started and stopped."""
    from codecarbon import OfflineEmissionsTracker

    tracker = OfflineEmissionsTracker(country_iso_code="FRA", save_to_file=False, log_level="critical")
    times = []
    for i in range(60):
        start = time.perf_counter_ns()
        tracker.start_task(f"t{i}")
        tracker.stop_task(f"t{i}")
        times.append((time.perf_counter_ns() - start) / 1e3)
    tracker.stop()
    return statistics.median(times[10:])


def main(mode: str) -> None:
    """Print the number."""
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        if mode == "codecarbon":
            us = codecarbon_tasks()
        elif mode == "on":
            import greengen

            with greengen.profile(Path(directory) / "bench.greengen"):
                us = median_us(spans)
        else:
            us = median_us(nothing if mode == "empty" else spans)
        os.chdir("/")
    print(json.dumps({"us": us}))


if __name__ == "__main__":
    main(sys.argv[1])
