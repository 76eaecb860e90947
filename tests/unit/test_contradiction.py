"""Recordings side by side that cannot be of one host are refused; those that only look so are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from greengen.collector import Domain
from greengen.errors import KindMismatchError
from greengen.merging import merge
from greengen.rows import Rows, Segment, Series, Timeline

SECOND = 1_000_000_000
PACKAGE = Domain("rapl:package-0", "rapl", "package", "package-0", max_power_w=100.0)
MODEL = Domain("cpu_model:package", "cpu_model", "package", "CPU (modelled)", grade="modelled", max_power_w=8.0)


def run(name: str, points: Sequence[tuple[float, float]], domain: Domain = PACKAGE) -> Rows:
    """Readings (s, value) of one domain by a recorder of its own."""
    t_ns = [round(t * SECOND) for t, _ in points]
    steps = [0, *(b - a for a, b in pairwise(t_ns))]
    series = Series(t_ns, [value for _, value in points], steps)
    segment = Segment(f"{name}/1", name, t_ns[0], t_ns[-1], 0)
    return Rows(timelines=[Timeline("b", "h", domains=[domain], samples={domain.uid: series}, segments=[segment])])


def steady(start: int, end: int, offset: float = 0.0) -> list[tuple[float, float]]:
    return [(t / 10, offset + t) for t in range(start * 10, end * 10 + 1)]


def test_another_counter_under_the_same_name_is_refused() -> None:
    for offset in (1000.0, -20.0):
        with pytest.raises(KindMismatchError, match=r"rapl:package-0 was .* J at .* ns \(segment .*/1.*segment"):
            merge([run("a", steady(0, 10)), run("b", [(t + 0.05, v) for t, v in steady(2, 8, offset)])])


def test_a_few_joules_more_or_less_are_the_counter_s_own_steps() -> None:
    """Less than what may be drawn in a tenth of a second."""
    merge([run("a", steady(0, 10)), run("b", [(t + 0.05, v) for t, v in steady(2, 8, -5.0)])])


def test_a_late_stamp_contradicts_nothing() -> None:
    """A process that was stopped for three seconds between reading and looking at the clock."""
    late = [(1.0, 10.0), (4.0, 11.0), (4.1, 41.0)]
    merge([run("a", steady(0, 10)), run("b", late)])


def test_a_reset_contradicts_nothing() -> None:
    after = [(t, v - 50.0) for t, v in steady(6, 10)]
    merge([run("a", [*steady(0, 5, 1000.0), *after]), run("b", [(t + 0.05, v) for t, v in after])])
    merge([run("a", steady(0, 5, 1000.0)), run("b", [(4.95, 1049.5), *after])])
    # Whoever reads on through it must have seen it, too.
    with pytest.raises(KindMismatchError, match="saw no reset"):
        merge([run("a", steady(0, 10, 1000.0)), run("b", [(4.95, 1049.5), *after])])


def test_a_meter_and_what_stands_in_for_it_are_not_added() -> None:
    with pytest.raises(KindMismatchError, match=r"cpu_model:package.*stands in for rapl:package-0.*count twice"):
        merge([run("a", steady(0, 10)), run("b", steady(2, 8), MODEL)])
    # One after the other they are the energy of two times.
    merge([run("a", steady(0, 5)), run("b", steady(6, 8), MODEL)])


def test_a_counter_is_no_gauge() -> None:
    with pytest.raises(KindMismatchError, match="a counter in one recording and a gauge in another"):
        merge([run("a", steady(0, 10)), run("b", steady(2, 8), replace(PACKAGE, reading="power"))])
