"""Energy curves: wraps, resets, gaps and freezes of counters; gauges and their windows."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greengen.accounting.curves import Curve, build
from greengen.accounting.ledger import build as ledger_of
from greengen.collector import Domain
from greengen.recording.thinning import Thinner
from greengen.rows import Rows, Segment, Series, Timeline

SECOND = 1_000_000_000
REAL_WRAP = Path(__file__).parents[3] / "shared/data/traces/sysfs_fixtures/rapl_wrap_real.json"

#: A server's package counter: it wraps at 262 kJ, which takes 262 s at the most that it may draw.
RAPL = Domain("rapl:0", "rapl", "package", "package-0", wrap_j=262_143.32885, max_power_w=1000.0, refresh_s=0.001)
#: The same, where the range could not be read.
NO_RANGE = Domain("rapl:0", "rapl", "package", "package-0", max_power_w=1000.0, refresh_s=0.001)
GAUGE = Domain("gpu:0", "gpu", "gpu", "GPU", reading="power", max_power_w=400.0)


def series(*readings: tuple[float, float], window_s: float = 0.0) -> Series:
    """From (s, value); the spacing of each is its distance to the one before."""
    t_ns = [round(t * SECOND) for t, _ in readings]
    spacing = [0, *(b - a for a, b in pairwise(t_ns))]
    return Series(t_ns, [value for _, value in readings], spacing, window_s)


def curve(
    domain: Domain, *readings: tuple[float, float], window_s: float = 0.0, interval_s: float | None = None
) -> Curve:
    read = series(*readings, window_s=window_s)
    return build(domain, read, [(read.t_ns[0], read.t_ns[-1])], [interval_s])


def real() -> dict[str, Any]:
    if not REAL_WRAP.exists():
        pytest.skip(f"the real readings are not beside this checkout: {REAL_WRAP}")
    found: dict[str, Any] = json.loads(REAL_WRAP.read_text(encoding="utf-8"))
    return found


class TestRealWrap:
    """A dual-socket machine whose two counters wrapped within the same 15 s."""

    @pytest.mark.parametrize("socket", [0, 1])
    def test_it_is_added_and_not_subtracted(self, socket: int) -> None:
        trace = real()
        reading = trace["readings"][socket]
        domain = Domain("r", "r", "package", "p", wrap_j=trace["max_energy_range_uj"] / 1e6, max_power_w=300.0)
        found = curve(domain, (0, reading["before_uj"] / 1e6), (15, reading["after_uj"] / 1e6))
        assert found.total_j == pytest.approx(reading["expected_delta_J"], rel=1e-9)
        assert found.power_w == pytest.approx([reading["implied_W_over_15s"]], rel=1e-9)
        assert [event.kind for event in found.events] == ["wrap"]
        assert found.known.all()

    @pytest.mark.parametrize("socket", [0, 1])
    def test_without_its_range_the_interval_is_unknown(self, socket: int) -> None:
        """Neither negative nor 0."""
        reading = real()["readings"][socket]
        read = series((0, reading["before_uj"] / 1e6), (15, reading["after_uj"] / 1e6))
        [unknown] = build(NO_RANGE, read, [(0, 15 * SECOND)]).unknown
        assert (unknown.t0_ns, unknown.t1_ns) == (0, 15 * SECOND)
        assert unknown.bound_j == 15_000.0
        segment = Segment("s", "p", 0, 15 * SECOND, 0)
        timeline = Timeline("b", "h", domains=[NO_RANGE], samples={NO_RANGE.uid: read}, segments=[segment])
        total = ledger_of(Rows(timelines=[timeline])).total()
        assert total.value is None
        assert total.reason

    @pytest.mark.parametrize("domain", [RAPL, Domain("r", "r", "core", "core", wrap_j=262_143.32885)])
    def test_the_unsigned_underflow_of_a_wrap_is_rejected(self, domain: Domain) -> None:
        """Also where nobody knows what the domain can draw: no counter shows more than it can hold."""
        assert "18446744073447456768.00" in real()["third_case"]
        underflow = 18446744073447456768.0 / 1e6
        found = curve(domain, (0, 100.0), (1, 110.0), (2, underflow), (3, 130.0), (4, 140.0))
        assert found.total_j == 20.0
        assert found.known.tolist() == [True, False, False, True]
        assert {event.kind for event in found.events} == {"warning", "reset"}


def test_a_reset_is_not_a_wrap() -> None:
    """5e9 µJ → 1e3 µJ within 1 s: to wrap, it would have had to draw 257 kW."""
    found = curve(RAPL, (0, 4990.0), (1, 5000.0), (2, 0.001), (3, 10.001))
    assert found.total_j == pytest.approx(20.0)
    [unknown] = found.unknown
    assert (unknown.t0_ns, unknown.t1_ns, unknown.bound_j) == (SECOND, 2 * SECOND, 1000.0)
    assert "never read" in unknown.reason
    assert [event.kind for event in found.events] == ["reset"]


def test_a_rise_that_no_machine_can_draw_is_not_believed() -> None:
    found = curve(RAPL, (0, 0.0), (1, 10.0), (2, 10_010.0), (3, 10_020.0))
    assert found.total_j == 20.0
    assert [event.kind for event in found.events] == ["warning"]
    assert "not believed" in found.unknown[0].reason


def test_a_counter_that_slips_into_another_unit_is_told_once() -> None:
    """At each of its readings it rises by more than can be believed, for hours."""
    slipped = [(t, 50.0 + 50_000.0 * (t - 1)) for t in range(2, 9)]
    found = curve(RAPL, (0, 0.0), (1, 50.0), *slipped, (9, 350_100.0))
    assert found.total_j == pytest.approx(100.0)
    [warning] = found.events
    assert warning.reason.startswith(f"{RAPL.name}: ")
    [unknown] = found.unknown
    assert (unknown.t0_ns, unknown.t1_ns, unknown.bound_j) == (SECOND, 8 * SECOND, 7000.0)
    assert found.known.tolist() == [True, *[False] * 7, True]


def test_across_missed_polls_the_total_is_known() -> None:
    every = curve(RAPL, *((t, 50.0 * t) for t in range(11)))
    some = curve(RAPL, (0, 0.0), (1, 50.0), (9, 450.0), (10, 500.0))
    assert every.total_j == some.total_j == 500.0
    assert some.known.all()
    assert not some.events
    assert some.spacing_s.tolist() == [1.0, 8.0, 1.0]


def test_a_gap_that_can_hide_a_wrap_is_flagged() -> None:
    short = curve(RAPL, (0, 0.0), (262, 100.0))
    assert (short.hidden_j, short.events) == (0.0, ())
    found = curve(RAPL, (0, 0.0), (1, 50.0), (601, 100.0))
    assert found.total_j == 100.0
    assert found.hidden_j == 2 * 262_143.32885
    [event] = found.events
    assert (event.kind, event.t_ns) == ("gap", 601 * SECOND)
    assert "2 wrap(s)" in event.reason
    segment = Segment("s", "p", 0, 601 * SECOND, 0)
    read = series((0, 0.0), (1, 50.0), (601, 100.0))
    timeline = Timeline("b", "h", domains=[RAPL], samples={RAPL.uid: read}, segments=[segment])
    total = ledger_of(Rows(timelines=[timeline])).total()
    assert total.value == 100.0
    assert total.high is not None
    assert total.high >= 2 * 262_143


class TestNotRefreshed:
    """A counter that has not changed since a moment ago tells nothing of that moment."""

    SLOW = Domain("nvml:0", "nvml", "gpu", "GPU", max_power_w=400.0, refresh_s=0.1)

    def test_the_energy_comes_with_the_next_change(self) -> None:
        found = curve(self.SLOW, (0, 0.0), (0.1, 10.0), (0.2, 10.0), (0.3, 30.0), (0.4, 40.0))
        assert (found.t_ns / SECOND).tolist() == [0.0, 0.1, 0.3, 0.4]
        assert found.power_w == pytest.approx([100.0, 100.0, 100.0])
        assert found.spacing_s.tolist() == [0.1, 0.2, 0.1]

    def test_a_domain_that_may_draw_nothing_drew_nothing(self) -> None:
        uncore = Domain("rapl:u", "rapl", "uncore", "uncore", max_power_w=100.0, refresh_s=0.001)
        found = curve(uncore, (0, 5.0), (1, 5.0), (60, 5.0), (61, 6.0))
        assert found.total_j == 1.0
        assert found.known.all()
        assert not found.events


class TestFreeze:
    """A package, a board or a GPU always draws something: their counter stands still only when frozen."""

    def test_its_joules_are_not_known(self) -> None:
        found = curve(RAPL, (0, 0.0), (1, 50.0), (1.5, 50.0), (3, 50.0), (4, 100.0))
        assert found.total_j == 100.0
        assert found.known.tolist() == [True, False, True]
        [unknown] = found.unknown
        assert (unknown.t0_ns, unknown.t1_ns, unknown.bound_j) == (SECOND, 3 * SECOND, 2000.0)
        assert [event.kind for event in found.events] == ["freeze"]

    def test_a_counter_that_catches_up_knows_its_total(self) -> None:
        """As across missed polls: 2.9 kJ are no 0.1 s of a package, but they are 3 s of it."""
        found = curve(RAPL, (0, 0.0), (1, 50.0), (3.9, 50.0), (4, 2950.0))
        assert found.total_j == 2950.0
        assert found.known.all()
        assert [event.kind for event in found.events] == ["freeze"]
        assert found.spacing_s.tolist() == [1.0, 3.0]

    def test_at_the_end_of_a_recording(self) -> None:
        found = curve(RAPL, (0, 0.0), (1, 50.0), (2, 50.0), (9, 50.0))
        assert found.total_j == 50.0
        assert found.known.tolist() == [True, False]
        assert found.events[0].kind == "freeze"

    def test_a_model_does_not_freeze(self) -> None:
        model = Domain("m", "m", "package", "CPU", grade="modelled", max_power_w=10.0, refresh_s=0.01)
        found = curve(model, (0, 0.0), (1, 5.0), (3, 5.0))
        assert found.known.all()
        assert not found.events


class TestGauge:
    def test_power_is_integrated_by_trapezoids(self) -> None:
        found = curve(GAUGE, (0, 100.0), (1, 200.0), (3, 100.0))
        assert found.energy_j.tolist() == [0.0, 150.0, 450.0]

    def test_what_is_averaged_over_a_window_is_known_in_its_middle(self) -> None:
        """A burst of 1 s, seen through a 1 s average, lies where it was and not half a second later."""
        true = [(0.1 * i, 300.0 if 20 <= i < 30 else 100.0) for i in range(60)]
        averaged = [(t, sum(w for _, w in true[max(0, i - 10) : i]) / 10) for i, (t, _) in enumerate(true)][10:]
        found = curve(GAUGE, *averaged, window_s=1.0)
        assert found.t_ns[0] == round(0.5 * SECOND)
        middle = np.interp(found.total_j - 100.0 * found.known_s, [0.0, 400.0], [0.0, 1.0])
        excess = found.energy_j - 100.0 * (found.t_ns - found.t_ns[0]) / SECOND
        half = np.interp(100.0, excess, found.t_ns / SECOND)
        assert middle == pytest.approx(0.5, abs=0.01)
        assert half == pytest.approx(2.5, abs=0.06)

    def test_a_gap_is_not_filled(self) -> None:
        found = curve(GAUGE, (0, 100.0), (0.1, 100.0), (0.2, 100.0), (5.2, 100.0), (5.3, 100.0), interval_s=0.1)
        assert found.total_j == pytest.approx(30.0)
        assert found.known.tolist() == [True, True, False, True]
        assert found.unknown[0].bound_j == pytest.approx(2000.0)
        assert [event.kind for event in found.events] == ["gap"]

    def test_what_was_asked_for_tells_a_gap_where_few_readings_cannot(self) -> None:
        """The two readings around a gap are a gap, whatever lies beyond them."""
        assert not curve(GAUGE, (0, 100.0), (5, 100.0), interval_s=0.1).known.any()
        assert curve(GAUGE, (0, 100.0), (5, 100.0), interval_s=5.0).known.all()

    def test_a_short_stall_of_the_recorder_is_no_gap(self) -> None:
        assert curve(GAUGE, (0, 100.0), (0.1, 100.0), (0.9, 100.0), interval_s=0.1).total_j == pytest.approx(90.0)

    @pytest.mark.parametrize("sentinel", [-1.0, math.nan])
    def test_a_sensor_that_has_not_answered_is_passed_over(self, sentinel: float) -> None:
        found = curve(GAUGE, (0, 100.0), (1, sentinel), (2, 100.0), (3, 100.0), interval_s=1.0)
        assert found.total_j == 300.0
        found = curve(GAUGE, (0, 100.0), *((t, sentinel) for t in range(1, 8)), (8, 100.0), interval_s=1.0)
        assert not found.known.any()


def test_between_segments_nothing_is_claimed() -> None:
    read = series((0, 0.0), (1, 10.0), (5, 500.0), (6, 510.0))
    found = build(RAPL, read, [(0, 2 * SECOND), (4 * SECOND, 7 * SECOND)])
    assert found.total_j == 20.0
    assert found.known.tolist() == [True, False, True]
    assert found.known_s == 2.0
    assert not found.unknown


@given(
    st.lists(st.tuples(st.integers(1, 10**10), st.floats() | st.integers(0, 400).map(float)), max_size=12),
    st.sampled_from([RAPL, NO_RANGE, GAUGE, Domain("x", "x", "core", "x", wrap_j=100.0, refresh_s=0.5)]),
)
def test_whatever_a_sensor_says_joules_are_finite_and_never_fall(
    steps: list[tuple[int, float]], domain: Domain
) -> None:
    read, t_ns = Series(), 0
    for step_ns, value in steps:
        t_ns += step_ns
        # A run file holds no infinite number; a counter's digits end somewhere.
        read.t_ns.append(t_ns)
        read.values.append(value if math.isnan(value) else math.copysign(min(abs(value), 1e18), value))
        read.spacing_ns.append(step_ns)
    found = build(domain, read, [(0, t_ns)])
    assert np.isfinite(found.energy_j).all()
    assert (np.diff(found.energy_j) >= 0).all()
    assert (np.diff(found.t_ns) > 0).all()
    assert found.known.size == found.spacing_s.size == found.step_j.size == max(found.t_ns.size - 1, 0)
    assert found.total_j == pytest.approx(float(found.step_j[found.known].sum()))


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 8)), min_size=1, max_size=40), st.sampled_from([RAPL, GAUGE])
)
def test_thinned_readings_tell_the_same_joules(steps: list[tuple[int, int]], domain: Domain) -> None:
    """Only points on the line between their neighbours are left out."""
    thinner, every, points = Thinner(0.0), Series(), []
    t_ns, value = 0, 100.0
    for tenths, step in steps:
        t_ns += tenths * SECOND // 10
        value = value + (step + 1) * tenths if domain.reading == "energy" else 25.0 * step
        every.t_ns.append(t_ns)
        every.values.append(value)
        every.spacing_ns.append(tenths * SECOND // 10)
        points.append(thinner.add(t_ns, value))
    points.append(thinner.flush()[0])
    written = [point for point in points if point is not None]
    kept = Series([t for t, _, _ in written], [v for _, v, _ in written], [s for _, _, s in written])
    whole, thin = (build(domain, read, [(0, t_ns)], [0.5]) for read in (every, kept))
    assert len(kept.t_ns) <= len(every.t_ns)
    # Of a counter every point lies on the line; of a gauge the power does, and its energy between two readings bends.
    knots = whole.t_ns if domain.reading == "energy" else np.array(kept.t_ns)
    assert thin.at(knots) == pytest.approx(whole.at(knots), rel=1e-9, abs=1e-9)


def test_a_thinned_ramp_of_power_is_no_mean_power() -> None:
    """Of 100 W rising to 300 W in 20 s, the first half is 1500 J and not 2000 J."""
    read = Series([0, 20 * SECOND], [100.0, 300.0], [0, SECOND // 10])
    found = build(GAUGE, read, [(0, 20 * SECOND)], [0.1])
    assert found.total_j == pytest.approx(4000.0)
    assert found.at(np.array([10 * SECOND])) == pytest.approx([1500.0])
    assert found.known.size == 200
