"""Runs of a machine whose idle and active power are known, as rows: for tests of what a calibration says of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greengen.collector import CAPACITY, MACHINE, Domain
from greengen.rows import ProcessRow, Rows, Segment, Series, Timeline

CPU, LOGICAL = "Planted CPU 4000", 4
EPOCH_NS = 1_750_000_000_000_000_000
SECOND = 1_000_000_000
Floats = NDArray[np.float64]
Change = Callable[[Floats, np.random.Generator], Floats]


@dataclass(frozen=True)
class Truth:
    """Powers, W, of the machine, and of its work's noise: relative, over a stretch of a second."""

    idle_w: float
    active_w: float
    noise: float = 0.03


def drawn(rng: np.random.Generator) -> Truth:
    """A machine like many: from a small board to a server."""
    idle_w = rng.uniform(2, 60)
    return Truth(idle_w, idle_w * rng.uniform(0.4, 5), rng.uniform(0.005, 0.06))


def steps(rng: np.random.Generator, seconds: int) -> Floats:
    """Busy part by the second: stays of some seconds idle, in between and busy."""
    stays = rng.integers(5, 20, size=seconds)
    levels = rng.choice([0.02, 0.3, 0.6, 0.97], size=seconds, p=[0.4, 0.1, 0.1, 0.4])
    return np.asarray(np.repeat(levels, stays)[:seconds])


def package(uid: str = "rapl:package-0", **facts: Any) -> Domain:  # noqa: ANN401 -- the fields of a Domain
    """A package counter."""
    told = Domain(uid, "rapl", "package", uid, split="cpu", activity="cpu", refresh_s=0.001, resolution_j=61e-6)
    return replace(told, **{"max_power_w": 1000.0, "wrap_j": 262_143.0, **facts})


def busy_each_second(rng: np.random.Generator, seconds: int, truth: Truth) -> tuple[Floats, Floats]:
    """(busy part, power in W), by the second."""
    busy = steps(rng, seconds)
    power = truth.idle_w + truth.active_w * busy
    return busy, np.asarray(power * (1 + truth.noise * rng.standard_normal(seconds)))


def counter(power: Floats, *, start_j: float = 262_000.0, wrap_j: float = 262_143.0) -> Series:
    """A counter read ten times a second; it wraps."""
    at = np.arange(10 * power.size + 1) / 10
    energy = np.interp(at, np.arange(power.size + 1), np.concatenate(([0.0], np.cumsum(power))))
    return _series(at, (start_j + energy) % wrap_j)


def gauge(power: Floats) -> Series:
    """A plug that tells its power once a second, the mean of the second before."""
    return _series(np.arange(1.0, power.size + 1), power, window_s=1.0)


def cpu_time(busy: Floats) -> dict[tuple[str, str], Series]:
    """The machine's, read twice a second in ticks of 10 ms."""
    at = np.arange(2 * busy.size + 1) / 2
    used = np.interp(at, np.arange(busy.size + 1), np.concatenate(([0.0], np.cumsum(busy)))) * LOGICAL
    ticks = np.floor(used * 100) * 1e7
    return {("cpu", MACHINE): _series(at, ticks), ("cpu", CAPACITY): _series(at, at * LOGICAL * 1e9)}


def timeline(
    seconds: float,
    samples: Mapping[Domain, Series],
    usage: Mapping[tuple[str, str], Series],
    *,
    boot: str = "planted",
    epoch_ns: int = EPOCH_NS,
    info: dict[str, Any] | None = None,
) -> Timeline:
    """One boot of the planted machine, recorded from 0 s to the end."""
    process = f"{boot}:1:1"
    return Timeline(
        boot_id=boot,
        hostname=boot,
        info={"cpu": CPU, "logical_cpus": LOGICAL},
        domains=list(samples),
        samples={domain.uid: series for domain, series in samples.items()},
        usage=dict(usage),
        processes=[ProcessRow(process, 1, "recorder", round(seconds * SECOND), closed=True, lost_rows=0, command="")],
        segments=[Segment(f"{process}/0", process, 0, round(seconds * SECOND), epoch_ns, info or {})],
    )


def run(seed: int, seconds: int, truth: Truth, change: Change | None = None) -> Rows:
    """A recording of the machine with one package; `change` alters what its counter saw, W by the second."""
    rng = np.random.default_rng(seed)
    busy, power = busy_each_second(rng, seconds, truth)
    power = power if change is None else change(power, rng)
    return Rows(timelines=[timeline(seconds, {package(): counter(power)}, cpu_time(busy))])


ACCELERATOR = "accelerator:rknpu"


def run_with_accelerator(
    seed: int, seconds: int, truth: Truth, added_w: float, work: Callable[[Floats, Floats], Floats] | None = None
) -> Rows:
    """A plug's log of the machine with an accelerator that adds `added_w` while it is busy.

    work  the accelerator's busy part by the second, from the CPUs' and from one of its own; its own by default
    """
    rng = np.random.default_rng(seed)
    busy, own = steps(rng, seconds), steps(rng, seconds)
    used = own if work is None else work(busy, own)
    power = (truth.idle_w + truth.active_w * busy + added_w * used) * (1 + truth.noise * rng.standard_normal(seconds))
    plug = Domain(
        "plug:wall", "plug", "wall", "plug", reading="power", contains=("*",), alternative=True, refresh_s=1.0
    )
    told = _series(np.arange(seconds + 1.0), np.concatenate(([0.0], np.cumsum(used))) * 1e9)
    usage = {**cpu_time(busy), (ACCELERATOR, MACHINE): told}
    return Rows(timelines=[timeline(seconds, {plug: gauge(np.asarray(power))}, usage)])


def _series(at_s: Floats, values: Floats, window_s: float = 0.0) -> Series:
    t_ns = [round(float(t) * SECOND) for t in at_s]
    spacing = [0, *(b - a for a, b in itertools.pairwise(t_ns))]
    return Series(t_ns, [float(value) for value in values], spacing, window_s)
