"""Sharing millions of spans: argv is SPANS SHAPE WEIGHTS [THREADS], or `stream` SPANS. Prints a line of JSON.

SHAPE    `one`: each span on one of 4 devices; `all`: every span on all 4; `rows`: the same, each device apart
WEIGHTS  `equal` or `mixed`

The yardstick is `numpy.sort` of the edge times, before and after each of ours, in the same process.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from greengen import streaming
from greengen.accounting.curves import Floats, Ints
from greengen.accounting.kernel import energies
from greengen.accounting.partition import Batch, batches, cut
from greengen.accounting.sharing import Intervals, Mapper, collect, share, threaded

Bytes = NDArray[np.uint8]

DEVICES, SAMPLES = 4, 1_000_000
PERIOD_NS = 100_000_000
RUNS = 3


@dataclass(frozen=True)
class Meter:
    """A device read at 10 Hz, a little irregularly."""

    t_ns: Ints
    step_j: Floats


def meters(rng: np.random.Generator) -> list[Meter]:
    """A day and four hours of 4 devices."""
    grid = np.arange(SAMPLES) * PERIOD_NS + 2**60
    jitter = (rng.integers(0, PERIOD_NS // 20, SAMPLES) for _ in range(DEVICES))
    return [Meter(grid + late, rng.uniform(10, 70, SAMPLES - 1)) for late in jitter]


def sort_s(start: Ints, stop: Ints) -> float:
    """Seconds that numpy takes to sort all edge times."""
    edges = np.concatenate([start, stop])
    began = time.perf_counter()
    edges.sort()
    return time.perf_counter() - began


def booked(intervals: Intervals, device: Bytes, curves: list[Meter], shape: str, mapper: Mapper) -> float:
    """Share everything; J of all spans and of the quiet time."""
    if shape != "one":
        found = share(intervals, curves, summed=shape == "all", mapper=mapper)
        return float(found.energy_j.sum()) + sum(float(quiet.sum()) for quiet in found.quiet_j)
    energy_j = np.zeros((1, device.size))
    quiet_j = 0.0
    for i, curve in enumerate(curves):
        parts = cut(batches(*intervals.columns, np.flatnonzero(device == i)), [curve])
        quiet_j += float(collect(mapper(energies, parts), [curve], energy_j)[0].sum())
    return float(energy_j.sum()) + quiet_j


def at_once(spans: int, shape: str, weights: str, threads: str = "1") -> dict[str, float]:
    """All spans in memory."""
    rng = np.random.default_rng(3)
    curves = meters(rng)
    start = np.sort(rng.integers(0, SAMPLES * PERIOD_NS, spans)) + 2**60
    stop = start + (rng.exponential(4e9, spans)).astype(np.int64) + 1
    weight = rng.lognormal(0, 1, spans) if weights == "mixed" else None
    device = rng.integers(0, DEVICES, spans).astype(np.uint8)
    total_j = sum(float(curve.step_j.sum()) for curve in curves)
    mapper: Mapper = threaded(int(threads)) if int(threads) > 1 else map
    ours, floor, peak_mb, error = [], [sort_s(start, stop)], 0.0, 0.0
    for _ in range(RUNS):
        began = time.perf_counter()
        error = booked(Intervals(start, stop, weight), device, curves, shape, mapper) / total_j - 1
        ours.append(time.perf_counter() - began)
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        floor.append(sort_s(start, stop))
    pairs = [2 * own / (before + after) for own, before, after in zip(ours, floor[:-1], floor[1:], strict=True)]
    return {
        "ratio": statistics.median(pairs),
        "least": min(pairs),
        "ours_s": statistics.median(ours),
        "sort_s": statistics.median(floor),
        "peak_mb": peak_mb,
        "error": error,
    }


def streamed(spans: int) -> dict[str, float]:
    """As they come, from a source that makes them a batch at a time."""
    rng = np.random.default_rng(3)
    curves = meters(rng)
    models = streaming.Models()
    size = 1 << 15
    names: list[str | None] = ["small", "large"] * (size // 2)
    end_ns = SAMPLES * PERIOD_NS

    def source() -> Iterator[Batch]:
        for at in range(0, spans, size):
            many = min(size, spans - at)
            first, last = (end_ns * (at + more) // spans + 2**60 for more in (0, many))
            start = np.sort(rng.integers(first, last, many))
            stop = start + rng.exponential(4e9, many).astype(np.int64)
            yield models.batch(names[:many], start, stop)

    began = time.perf_counter()
    energy_j, quiet_j, total_j = streaming.stream(source(), curves)
    return {
        "s": time.perf_counter() - began,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "error": (float(energy_j.sum()) + quiet_j) / total_j - 1,
    }


if __name__ == "__main__":
    if sys.argv[1] == "stream":
        print(json.dumps(streamed(int(sys.argv[2]))))
    else:
        print(json.dumps(at_once(int(sys.argv[1]), *sys.argv[2:])))
