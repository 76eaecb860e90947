"""Thinning: what is left tells every reading, within the tolerance, at every moment."""

from __future__ import annotations

import itertools
from bisect import bisect_left

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from greengen.recording.thinning import Thinner

Point = tuple[int, float, int]

#: Steps in ns and values: near-constant, drifting and jumping series, with repeated values.
STEPS = st.lists(
    st.tuples(
        st.integers(1, 10**9), st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 0.1, 1.0]), st.floats(0, 1e-3))
    ),
    min_size=1,
    max_size=60,
)


class Disk:
    """What a run file holds of one series after each flush."""

    def __init__(self, tolerance: float) -> None:
        self.thinner = Thinner(tolerance)
        self.points: dict[int, Point] = {}
        self.waiting: list[Point] = []

    def add(self, t_ns: int, value: float) -> None:
        kept = self.thinner.add(t_ns, value)
        if kept is not None:
            self.waiting.append(kept)

    def flush(self) -> None:
        point, drop = self.thinner.flush()
        if drop is not None:
            del self.points[drop]
        for kept in [*self.waiting, *([point] if point else [])]:
            self.points[kept[0]] = kept
        self.waiting = []

    def at(self, t_ns: int) -> float:
        times = sorted(self.points)
        right = bisect_left(times, t_ns)
        if times[right] == t_ns:
            return self.points[t_ns][1]
        before, after = self.points[times[right - 1]], self.points[times[right]]
        return before[1] + (after[1] - before[1]) * ((t_ns - before[0]) / (after[0] - before[0]))


@given(STEPS, st.sampled_from([0.0, 1e-6, 0.5, 10.0, 1e5]), st.lists(st.booleans(), min_size=60, max_size=60))
@example([(1, 0.0), (1, 0.0), (1, 0.0), (1, 5.0)], 0.0, [False, False, True] * 20)
def test_every_reading_lies_within_tolerance_of_the_line(
    steps: list[tuple[int, float]], tolerance: float, flushes: list[bool]
) -> None:
    disk, readings, t_ns = Disk(tolerance), [], 10**15
    for (step, value), flush in zip(steps, flushes, strict=False):
        t_ns += step
        readings.append((t_ns, value))
        disk.add(t_ns, value)
        if flush:
            disk.flush()
            # At each flush the newest reading is on disk, as it was read.
            assert disk.points[t_ns][1] == value
            assert disk.at(readings[0][0]) == readings[0][1]
    disk.flush()
    assert disk.points[t_ns][1] == steps[-1][1]
    largest = max(abs(value) for _, value in readings)
    for t, value in readings:
        assert abs(disk.at(t) - value) <= tolerance + 1e-9 * max(largest, 1.0)


@given(STEPS)
def test_spacing_is_the_greatest_step_between_the_readings_behind_a_point(steps: list[tuple[int, float]]) -> None:
    disk, times, t_ns = Disk(1e3), [], 0
    for step, value in steps:
        t_ns += step
        times.append(t_ns)
        disk.add(t_ns, value)
    disk.flush()
    kept = sorted(disk.points)
    assert disk.points[kept[0]][2] == 0
    for before, after in itertools.pairwise(kept):
        inside = [t for t in times if before <= t <= after]
        assert disk.points[after][2] == max(b - a for a, b in itertools.pairwise(inside))


def test_a_constant_series_needs_two_points_however_long_it_is() -> None:
    disk = Disk(0.0)
    for i in range(10_000):
        disk.add(i * 100, 42.0)
        if i % 7 == 0:
            disk.flush()
            assert len(disk.points) <= 2
    disk.flush()
    assert sorted(disk.points) == [0, 999_900]
    assert disk.points[999_900] == (999_900, 42.0, 100)


def test_a_steady_counter_needs_few_points() -> None:
    disk = Disk(0.5)
    for i in range(10_000):
        disk.add(i * 10**8, i * 3 + (i % 2) * 0.4)
        if i % 5 == 0:
            disk.flush()
    disk.flush()
    assert len(disk.points) < 10


def test_a_point_on_disk_is_taken_back_once_it_is_redundant() -> None:
    thinner = Thinner(0.0)
    told = []
    for t, value in [(0, 0.0), (1, 1.0), (2, 2.0), (2, 2.0), (3, 9.0)]:
        assert not thinner.add(t, value)
        told.append(thinner.flush())
    assert told == [
        ((0, 0.0, 0), None),
        ((1, 1.0, 1), None),
        ((2, 2.0, 1), 1),
        (None, None),  # nothing is new: nothing is written again
        ((3, 9.0, 1), None),
    ]


@pytest.mark.parametrize("t_ns", [5, 4, -1])
def test_a_reading_that_is_not_later_is_left_out(t_ns: int) -> None:
    disk = Disk(0.0)
    disk.add(5, 1.0)
    disk.add(t_ns, 7.0)
    disk.flush()
    assert disk.points == {5: (5, 1.0, 0)}


def test_a_jump_keeps_both_sides() -> None:
    disk = Disk(0.1)
    for t, value in [(0, 0.0), (1, 0.0), (2, 0.0), (3, 100.0), (4, 100.0), (5, 100.0)]:
        disk.add(t, value)
    disk.flush()
    assert sorted(disk.points) == [0, 2, 3, 5]


def test_a_gap_in_a_steady_series_is_a_line_of_its_own() -> None:
    disk = Disk(0.0)
    for second in (*range(100), *range(160, 260)):
        disk.add(second * 10**9, 58.0)
    disk.flush()
    spacings = [(t_ns // 10**9, spacing_ns / 1e9) for t_ns, _, spacing_ns in sorted(disk.points.values())]
    assert spacings == [(0, 0), (99, 1), (160, 61), (259, 1)]
