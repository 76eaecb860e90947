"""A machine that sleeps during a recording: its counters may have gone on, and the recording's clock has not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import greengen
from greengen.collector import Host
from greengen.recording.profiler import Options, Profiler
from greengen.recording.sleep import SLEPT_NS, asleep_ns
from greengen.testing import trees

S = 10**9
ZONE = "intel-rapl:0"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = trees.machine(tmp_path / "machine", model=trees.INTEL_LAPTOP_CPU, cpus=2)
    return trees.with_zones(made, {ZONE: trees.ZoneSpec("package-0", 100_000_000)})


class Slept:
    """How long the machine has slept, as a test has it."""

    ns = 7 * S

    def __call__(self) -> int:
        return self.ns


def recorded(host: Host, path: Path, steps: list[tuple[float, int]]) -> greengen.Run:
    """Readings of these µJ, each after so many more seconds of sleep; no time passes for it."""
    slept = Slept()
    profiler = Profiler(path, Options(interval_s=1000, collectors=("rapl",)), host=host)
    profiler.start()
    ticker = profiler._sampler
    assert ticker is not None
    ticker.asleep_ns, ticker._slept_ns = slept, slept.ns
    for asleep_s, energy_uj in steps:
        slept.ns += int(asleep_s * S)
        trees.set_energy_uj(host, ZONE, energy_uj)
        ticker.tick()
    # The last reading of all, where nothing has changed.
    profiler.stop()
    return greengen.Run(path)


def test_joules_of_the_sleep_are_in_no_account_and_it_is_told(host: Host, tmp_path: Path) -> None:
    run = recorded(host, tmp_path / "r.greengen", [(0, 101_000_000), (30, 900_000_000), (0, 902_000_000)])
    ledger = run.ledger()
    # 100 to 101 J, and 900 to 902 J.
    assert ledger.total().value == pytest.approx(3.0)
    [event] = [event for event in ledger.events() if event.kind == "gap"]
    assert (event.subject, event.reason[:29]) == ("machine", "the machine slept for 30 s: w")
    [timeline] = run.rows().timelines
    first, second = sorted(timeline.segments, key=lambda segment: segment.t0_ns)
    assert first.t1_ns is not None
    assert first.t1_ns < second.t0_ns == event.t_ns
    assert second.t1_ns is not None
    assert first.info == second.info
    assert second.epoch_ns > first.epoch_ns


def test_a_sleep_before_the_last_reading_is_told_too(host: Host, tmp_path: Path) -> None:
    run = recorded(host, tmp_path / "r.greengen", [(0, 101_000_000), (3, 500_000_000)])
    assert run.ledger().total().value == pytest.approx(1.0)
    with closing(sqlite3.connect(tmp_path / "r.greengen")) as file:
        assert file.execute("SELECT count(*) FROM segment WHERE t1_ns IS NULL").fetchone() == (0,)


def test_clocks_that_drift_are_no_sleep(host: Host, tmp_path: Path) -> None:
    steps = [(0.1, 100_000_000 + i * 1_000_000) for i in range(20)]
    run = recorded(host, tmp_path / "r.greengen", steps)
    assert run.ledger().total().value == pytest.approx(19.0)
    assert len(run.rows().timelines[0].segments) == 1


def test_the_clocks_of_this_machine_agree_from_one_moment_to_the_next() -> None:
    assert abs(asleep_ns() - asleep_ns()) < SLEPT_NS


def test_two_clocks_read_far_apart_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0, 5 * S, 5 * S, 5 * S + 1000])
    monkeypatch.setattr("greengen.recording.sleep.time.CLOCK_BOOTTIME", 7, raising=False)
    monkeypatch.setattr("greengen.recording.sleep.time.monotonic_ns", lambda: next(times))
    monkeypatch.setattr("greengen.recording.sleep.time.clock_gettime_ns", lambda _: 12 * S)
    assert asleep_ns() == 7 * S
