"""What a calibration says of machines whose powers are known, and what it refuses to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from greengen.accounting.calibration import Line, Stretches, fit
from greengen.accounting.stretches import source, stretches
from greengen.collector import Domain
from greengen.errors import UsageError
from greengen.rows import Rows
from tests.unit import calibrations as planted
from tests.unit.calibrations import Floats, Truth

CASES = 200


def line(rows: Rows, names: Sequence[str] = ()) -> Line:
    told = source(rows, names)
    return fit(stretches(told), told.gain)


def holds(found: Line, truth: Truth) -> tuple[bool, bool]:
    (idle_low, idle_high), (active_low, active_high) = found.idle_interval_w, found.active_interval_w
    return idle_low <= truth.idle_w <= idle_high, active_low <= truth.active_w <= active_high


def test_the_intervals_hold_the_truth() -> None:
    """And they are narrow: a factor of two is what one knows without a calibration."""
    held, widths = [], []
    for seed in range(CASES):
        truth = planted.drawn(np.random.default_rng(10_000 + seed))
        found = line(planted.run(seed, 60 + seed, truth))
        held.append(holds(found, truth))
        widths.append((found.active_interval_w[1] - found.active_interval_w[0]) / truth.active_w)
    assert min(np.mean(held, axis=0)) >= 0.94
    assert np.median(widths) < 0.1


def test_the_meters_own_error_is_in_them() -> None:
    held = []
    for seed in range(CASES):
        rng = np.random.default_rng(20_000 + seed)
        truth, off = planted.drawn(rng), 1 + 0.05 * rng.standard_normal()
        rows = planted.run(seed, 120, truth, lambda power, _, off=off: power * off)  # type: ignore[misc]
        [domain] = rows.timelines[0].domains
        rows.timelines[0].domains = [replace(domain, gain=0.05)]
        held.append(holds(line(rows), truth))
    assert min(np.mean(held, axis=0)) >= 0.94


def test_what_bursts_behind_the_meter_does_not_tilt_the_line() -> None:
    def bursts(power: Floats, rng: np.random.Generator) -> Floats:
        hit = rng.random(power.size) < 0.08
        return np.asarray(power + hit * rng.uniform(0.5, 3, power.size) * power.max())

    held, outliers = [], []
    for seed in range(CASES):
        truth = replace(planted.drawn(np.random.default_rng(30_000 + seed)), noise=0.02)
        found = line(planted.run(seed, 150, truth, bursts))
        held.append(holds(found, truth))
        outliers.append(found.outliers)
    # A burst that no one can tell from noise still pulls: a little less than 95 % is what is left.
    assert min(np.mean(held, axis=0)) >= 0.92
    assert np.mean(outliers) > 8


def test_a_machine_without_noise() -> None:
    found = fit(Stretches(np.linspace(0, 1, 30), 7.0 + 33.0 * np.linspace(0, 1, 30)))
    assert (found.idle_w, found.active_w) == pytest.approx((7, 33))
    assert found.r2 == pytest.approx(1)
    assert found.sigma < 1e-6
    assert found.outliers == 0


def test_what_the_line_says_of_an_idle_machine_that_was_never_idle_is_wide() -> None:
    rng = np.random.default_rng(1)
    for low, high in ((0.0, 1.0), (0.6, 1.0)):
        busy = np.linspace(low, high, 100)
        told = fit(Stretches(busy, (10 + 40 * busy) * (1 + 0.02 * rng.standard_normal(100))))
        width = told.idle_interval_w[1] - told.idle_interval_w[0]
        assert told.idle_interval_w[0] <= 10 <= told.idle_interval_w[1]
        assert (width > 2) == (low > 0)


def test_thinned_cpu_time_says_the_same() -> None:
    """A steady load leaves two readings of CPU time; between them it is as well known as it was read."""
    seconds = 80
    busy = np.repeat([0.0, 1.0, 0.0, 1.0], seconds // 4)
    samples = {planted.package(): planted.counter(10 + 30 * busy)}
    rows = Rows(timelines=[planted.timeline(seconds, samples, planted.cpu_time(busy))])
    whole = stretches(source(rows)).busy.size
    for series in rows.timelines[0].usage.values():
        kept = [0, *range(seconds // 2, 2 * seconds + 1, seconds // 2)]
        series.t_ns, series.values = [series.t_ns[i] for i in kept], [series.values[i] for i in kept]
        series.spacing_ns = [0, *[planted.SECOND // 2] * (len(kept) - 1)]
    told = stretches(source(rows))
    assert told.busy.size == whole
    assert fit(told).idle_w == pytest.approx(10, rel=1e-3)


# --- meters ---------------------------------------------------------------------------------------------


def two_packages(seconds: int = 100) -> Rows:
    rng = np.random.default_rng(5)
    busy, power = planted.busy_each_second(rng, seconds, Truth(20, 80))
    samples = {planted.package(f"rapl:package-{i}"): planted.counter(power / 2) for i in (0, 1)}
    return Rows(timelines=[planted.timeline(seconds, samples, planted.cpu_time(busy))])


def test_packages_are_one_meter() -> None:
    told = source(two_packages())
    assert [domain.uid for domain in told.domains] == ["rapl:package-0", "rapl:package-1"]
    assert all(holds(fit(stretches(told), told.gain), Truth(20, 80)))


def plug() -> Domain:
    return Domain("import:plug", "import", "wall", "plug", reading="power", contains=("*",), refresh_s=1.0)


def with_plug(*, gpu: bool) -> Rows:
    """A recording of CPU time (and of a GPU), and beside it the log of a plug, on a clock of its own."""
    seconds, rng = 150, np.random.default_rng(6)
    busy, power = planted.busy_each_second(rng, seconds, Truth(40, 100))
    samples = {}
    if gpu:
        watts = np.repeat(rng.choice([20.0, 300.0], size=seconds // 10), 10)
        samples = {Domain("nvml:GPU-1", "nvml", "gpu", "GPU"): planted.counter(watts, start_j=5, wrap_j=1e12)}
        power = power + watts
    host = planted.timeline(seconds, samples, planted.cpu_time(busy))
    log = planted.timeline(
        seconds + 60,
        {plug(): planted.gauge(np.concatenate((np.full(30, 41.0), power, np.full(30, 41.0))))},
        {},
        epoch_ns=planted.EPOCH_NS - 30 * planted.SECOND,
        boot="import1",
        info={"imported": {"date_known": True}},
    )
    return Rows(timelines=[host, log])


@pytest.mark.parametrize("gpu", [False, True])
def test_the_log_of_a_plug_beside_the_recording(*, gpu: bool) -> None:
    told = source(with_plug(gpu=gpu))
    assert [curve.domain.uid for curve in told.parts] == (["nvml:GPU-1"] if gpu else [])
    found = fit(stretches(told), told.gain)
    assert all(holds(found, Truth(40, 100))), found
    assert found.r2 > 0.95


def test_a_log_without_a_date_lies_beside_nothing() -> None:
    rows = with_plug(gpu=False)
    rows.timelines[1].segments[0].info["imported"]["date_known"] = False
    with pytest.raises(UsageError, match="at which date"):
        source(rows)


def test_a_log_of_another_day_has_no_time_in_common() -> None:
    rows = with_plug(gpu=False)
    rows.timelines[1].segments = [replace(rows.timelines[1].segments[0], epoch_ns=planted.EPOCH_NS + 10**15)]
    with pytest.raises(UsageError, match="no time in common"):
        stretches(source(rows))


# --- what is refused ------------------------------------------------------------------------------------


def one(seconds: int = 100, busy: Floats | None = None, **facts: Any) -> Rows:  # noqa: ANN401 -- of a Domain
    rng = np.random.default_rng(2)
    busy = planted.steps(rng, seconds) if busy is None else busy
    samples = {planted.package(**facts): planted.counter(10 + 40 * busy)}
    return Rows(timelines=[planted.timeline(busy.size, samples, planted.cpu_time(busy))])


@pytest.mark.parametrize(
    ("rows", "names", "says"),
    [
        (one(12), (), "too few.*30 s"),
        (one(busy=np.full(100, 0.5)), (), "varies too little.*record one"),
        (one(grade="modelled"), (), "no meter.*a model itself.*doctor"),
        (one(grade="modelled"), ("rapl:package-0",), "calibrates no other"),
        (one(kind="gpu"), (), "no meter"),
        (one(kind="dram"), ("rapl:package-0",), "does not hold the CPUs"),
        (one(), ("rapl:package-7",), "no readings of 'rapl:package-7': it has rapl:package-0"),
        (two_packages(), ("rapl:package-1",), "name every package"),
        (Rows(), (), "holds no CPU time"),
        (Rows(timelines=[*one().timelines, *one().timelines]), (), "CPU time of 2 machines"),
    ],
)
def test_refusals_say_what_to_record(rows: Rows, names: Sequence[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        line(rows, names)


def test_a_meter_that_does_not_follow_the_cpu() -> None:
    rng = np.random.default_rng(3)
    busy = rng.uniform(0, 1, 200)
    for power in (50 + 30 * rng.standard_normal(200), 50 - 30 * busy):
        with pytest.raises(UsageError, match="does not follow the CPU"):
            fit(Stretches(busy, power))


def test_a_line_that_meets_idle_below_nothing() -> None:
    busy = np.linspace(0.5, 1.0, 50)
    with pytest.raises(UsageError, match="which no machine draws"):
        fit(Stretches(busy, 100 * busy - 20))
