"""Energy by the hour: the hours' parts are the whole, wherever the borders lie and whatever clocks are set to."""

from __future__ import annotations

import datetime as dt
import math
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greengen.accounting.hour import Hour
from greengen.accounting.hourly import integrate, mean, split
from greengen.basis import Basis
from greengen.errors import KindMismatchError, UsageError
from greengen.quantity import Error, Quantity
from tests.properties.strategies import FEW

HOUR = 3_600_000_000_000
KWH = 3.6e6
AVERAGE = str(Basis("average", "lifecycle", "location"))


def intensity(value: float | None, basis: str = AVERAGE) -> Quantity:
    if value is None:
        return Quantity.missing("g/kWh", "the provider gave null")
    return Quantity(value, "g/kWh", "declared", (Error("intensity:X", value * 0.1, gain=True, log=True),), basis=basis)


def hours(start_ns: int, *values: float | None) -> list[Hour]:
    return [Hour(start_ns + i * HOUR, start_ns + (i + 1) * HOUR, intensity(v)) for i, v in enumerate(values)]


def cells(lengths: list[int], joules: list[int], start_ns: int) -> tuple[np.ndarray, np.ndarray]:
    edges = np.concatenate([[start_ns], start_ns + np.cumsum(lengths)]).astype(np.int64)
    return edges, np.array(joules, dtype=float)


def exact(lengths: list[int], joules: list[int], start: int, found: list[Hour]) -> list[Fraction]:
    """By the definition: each cell's joules, evenly over its time, cell by cell and hour by hour."""
    parts = [Fraction(0)] * len(found)
    for length, joule in zip(lengths, joules, strict=True):
        for index, hour in enumerate(found):
            if length:
                inside = max(0, min(start + length, hour.end_ns) - max(start, hour.start_ns))
                parts[index] += Fraction(joule) * Fraction(inside, length)
            elif hour.start_ns <= start < hour.end_ns:
                parts[index] += joule
        start += length
    return parts


CELLS = st.lists(st.tuples(st.integers(0, 3 * HOUR), st.integers(0, 10**6)), min_size=1, max_size=12)


@FEW
@given(CELLS, st.integers(0, 2 * HOUR), st.lists(st.integers(0, 2 * HOUR), max_size=8))
def test_each_hour_has_what_its_time_has(drawn: list[tuple[int, int]], start: int, borders: list[int]) -> None:
    """Also where hours are of any length, with gaps between them, and cells of none."""
    lengths, joules = [list(column) for column in zip(*drawn, strict=True)]
    edges = sorted(set(borders))
    found = [Hour(a, b, intensity(1.0)) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    in_each, outside = split(*cells(lengths, joules, start), found)
    truth = exact(lengths, joules, start, found)
    for got, want in zip(in_each.tolist(), truth, strict=True):
        assert math.isclose(got, want, rel_tol=1e-9, abs_tol=1e-6)
    assert math.isclose(in_each.sum() + outside, sum(joules), rel_tol=1e-12, abs_tol=1e-9)


@FEW
@given(CELLS, st.integers(0, HOUR), st.lists(st.integers(1, 1500), min_size=8, max_size=40))
def test_the_parts_are_the_whole(drawn: list[tuple[int, int]], start: int, values: list[int]) -> None:
    """Joules and grams; and the weighted mean gives the same grams as the hours do."""
    lengths, joules = [list(column) for column in zip(*drawn, strict=True)]
    found = hours(0, *([float(v) for v in values] * 8)[:40])
    edges, energy_j = cells(lengths, joules, start)
    energy = Quantity(float(sum(joules)), "J", "measured", (Error("sensor", 0.01 * sum(joules), gain=True),))
    result = integrate(energy, edges, energy_j, found)
    if not sum(joules):
        assert result.total.value == 0.0
        return
    assert result.coverage == 1.0
    assert math.isclose(math.fsum(part.energy.value or 0 for part in result.parts), sum(joules), rel_tol=1e-12)
    assert math.isclose(math.fsum(part.grams.value or 0 for part in result.parts), result.total.value or 0)
    truth = sum(
        part * Fraction(hour.intensity.value or 0)
        for part, hour in zip(exact(lengths, joules, start, found), found, strict=True)
    )
    assert math.isclose(result.total.value or 0, truth / 3_600_000, rel_tol=1e-9, abs_tol=1e-12)
    at_mean = energy.to("kWh").times(mean(*split(edges, energy_j, found), found), "grid intensity", unit="g")
    assert math.isclose(at_mean.value or 0, result.total.value or 0, rel_tol=1e-9)
    assert math.isclose(at_mean.high or 0, result.total.high or 0, rel_tol=1e-9)
    assert result.total.basis == AVERAGE


def test_the_errors_of_one_sensor_and_one_grid_add() -> None:
    """Two hours of one grid are no two opinions: the interval is as wide as that of one."""
    energy = Quantity(2 * KWH, "J", "measured", (Error("sensor", 0.02 * KWH, gain=True),))
    both = integrate(energy, np.array([0, 2 * HOUR]), np.array([2 * KWH]), hours(0, 100.0, 100.0)).total
    one = energy.to("kWh").times(intensity(100.0), "grid intensity", unit="g")
    assert both.low == pytest.approx(one.low)
    assert both.high == pytest.approx(one.high)


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Europe/Berlin", dt.date(2026, 10, 25)),  # 02:00 comes twice
        ("Europe/Berlin", dt.date(2026, 3, 29)),  # 02:00 does not come
        ("Asia/Kolkata", dt.date(2026, 11, 21)),  # half an hour from the hours of UTC
        ("Australia/Lord_Howe", dt.date(2026, 10, 4)),  # clocks change by half an hour
    ],
)
def test_hours_of_a_local_day_are_hours_of_utc(zone: str, day: dt.date) -> None:
    """1 kWh in each hour that really passes: 25, 23 or 23.5 of them, and each at the value of its moment."""
    first, last = (dt.datetime.combine(d, dt.time(), ZoneInfo(zone)) for d in (day, day + dt.timedelta(days=1)))
    start, end = (int(at.timestamp()) * 1_000_000_000 for at in (first, last))
    utc = start - start % HOUR
    found = [Hour(a, a + HOUR, intensity(float(i + 1))) for i, a in enumerate(range(utc, end, HOUR))]
    passed = (end - start) / HOUR
    energy = Quantity(passed * KWH, "J", "measured")
    result = integrate(energy, np.array([start, end]), np.array([passed * KWH]), found)
    assert passed in (25.0, 23.0, 24.0, 23.5)
    truth = sum((min(h.end_ns, end) - max(h.start_ns, start)) / HOUR * (h.intensity.value or 0) for h in found)
    assert result.total.value == pytest.approx(truth, rel=1e-12)


def test_an_hour_without_a_value_is_missing_and_not_filled() -> None:
    energy = Quantity(3 * KWH, "J", "measured")
    edges, joules = np.array([0, HOUR, 2 * HOUR, 3 * HOUR]), np.full(3, KWH)
    gap = integrate(energy, edges, joules, hours(0, 100.0, None, 300.0))
    assert gap.total.value is None
    assert "33.3%" in gap.total.reason
    assert "null" in gap.total.reason
    assert gap.known.value == pytest.approx(400.0)
    assert gap.coverage == pytest.approx(2 / 3)
    outside = integrate(energy, edges, joules, hours(0, 100.0, 200.0))
    assert outside.total.value is None
    assert "no value is for" in outside.total.reason
    for short in (hours(0, 100.0, 200.0), hours(0, 100.0, None, 200.0)):
        assert mean(*split(edges, joules, short), short).value is None
    assert integrate(energy, edges, joules, []).known.value is None


def test_an_hour_without_a_value_costs_nothing_where_nothing_was_used() -> None:
    energy = Quantity(KWH, "J", "measured")
    found = integrate(energy, np.array([0, HOUR, 2 * HOUR]), np.array([KWH, 0.0]), hours(0, 100.0, None))
    assert found.total.value == pytest.approx(100.0)


def test_what_was_not_measured_stays_so() -> None:
    unread = Quantity.missing("J", "no domain was read")
    assert integrate(unread, np.array([0, HOUR]), np.array([1.0]), hours(0, 1.0)).total.reason == "no domain was read"
    assert mean(np.array([0.0]), 0.0, hours(0, 1.0)).value is None


def test_hours_of_two_kinds_and_two_at_one_time_are_refused() -> None:
    marginal = str(Basis("marginal_short", "lifecycle", "location"))
    mixed = [Hour(0, HOUR, intensity(1.0)), Hour(HOUR, 2 * HOUR, intensity(1.0, marginal))]
    with pytest.raises(KindMismatchError):
        integrate(Quantity(1.0, "J", "measured"), np.array([0, 2 * HOUR]), np.array([1.0]), mixed)
    with pytest.raises(UsageError, match="one time"):
        integrate(Quantity(1.0, "J", "measured"), np.array([0, HOUR]), np.array([1.0]), hours(0, 1.0) * 2)
    with pytest.raises(UsageError, match="before it begins"):
        integrate(Quantity(1.0, "J", "measured"), np.array([0, 1]), np.array([1.0]), [Hour(5, 5, intensity(1.0))])
    with pytest.raises(ValueError, match="2 cells have 3 edges"):
        split(np.array([0, 1]), np.array([1.0, 1.0]), [])
