"""One meter read by several recorders: late stamps, falls that nobody saw, gaps that only one had."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest

from greengen.accounting import curves
from greengen.accounting.pooling import NEVER, Lane, counter, gauge, total
from greengen.collector import Domain
from greengen.rows import Series, slack_j

SECOND = 1_000_000_000
TENTH = SECOND // 10
PACKAGE = Domain("c:package", "c", "package", "package", wrap_j=4096.0, max_power_w=100.0)
GPU = Domain("c:gpu", "c", "gpu", "GPU", reading="power")


def read(points: Sequence[tuple[float, float]], window_s: float = 0.0) -> Series:
    """Of (s, value)."""
    t_ns = [round(t * SECOND) for t, _ in points]
    return Series(t_ns, [v for _, v in points], [0, *(b - a for a, b in pairwise(t_ns))], window_s)


def curve(every: Sequence[Series], domain: Domain = PACKAGE) -> curves.Curve:
    pooled = counter(every, slack_j(domain), domain)
    return curves.build(domain, pooled, [(0, 1000 * SECOND)])


def lane(points: Sequence[tuple[float, float]], interval_s: float = 0.1) -> Lane:
    series = read(points)
    longest_ns = curves.longest_step_ns(GPU, series.spacing_ns, 0.0, interval_s)
    return Lane(series, series.t_ns[0], series.t_ns[-1], longest_ns)


class TestCounter:
    def test_it_is_the_union_of_the_readings(self) -> None:
        pooled = counter([read([(0, 1), (1, 2), (2, 4)]), read([(0.5, 1.25), (1, 2), (1.5, 3)])], 1.0)
        assert [t / SECOND for t in pooled.t_ns] == [0, 0.5, 1, 1.5, 2]
        assert pooled.values == [1, 1.25, 2, 3, 4]
        # Each stretch is as well known as by who read it most.
        assert pooled.spacing_ns == [0, *[SECOND // 2] * 4]

    def test_a_late_stamp_is_a_lower_bound(self) -> None:
        """The second of these was taken before the other's, and stamped after it: nothing was reset."""
        found = curve([read([(0, 0), (1, 40), (2, 80)]), read([(0.5, 20), (1.1, 36), (1.5, 60)])])
        assert (found.total_j, found.unknown, found.events) == (80.0, (), ())

    def test_a_wrap_is_one_whoever_saw_it_first_and_however_late(self) -> None:
        ours = [(0, 4060), (1, 4090), (2, 24), (3, 54)]
        for late_s in (1.3, 1.7, 1.9999, 2.0, 2.4, 2.49):
            # Taken at 1.1 s, before the wrap, and stamped before it or after.
            theirs = [(0.5, 4075), (late_s, 4093), (2.5, 39), (3.5, 69)]
            found = curve([read(ours), read(theirs)])
            assert found.total_j == pytest.approx(4096 - 4060 + 69)
            assert [event.kind for event in found.events] == ["wrap"]

    def test_a_reset_loses_what_was_never_read_and_no_more(self) -> None:
        reset = Domain("c:dram", "c", "dram", "DRAM", max_power_w=100.0)
        ours, theirs = [(0, 1000), (1, 1030), (2, 10), (3, 40)], [(0.5, 1015), (1.5, 1045), (2.5, 25)]
        found = curve([read(ours), read(theirs)], reset)
        assert found.total_j == 45 + 30
        [lost] = found.unknown
        assert (lost.t0_ns / SECOND, lost.t1_ns / SECOND) == (1.5, 2)
        # A gap of one of them makes it no longer, as long as the other reads.
        assert curve([read([ours[0], ours[3]]), read(theirs)], reset).total_j == 45 + 15

    def test_who_did_not_see_a_reset_is_on_the_side_that_its_values_say(self) -> None:
        reset = Domain("c:dram", "c", "dram", "DRAM", max_power_w=100.0)
        ours = read([(0, 1000), (1, 1030), (2, 10), (3, 40)])
        for brief in ([(0.2, 1006), (0.6, 1018)], [(1.2, 1036), (1.3, 1039)], [(1.8, 4), (1.9, 7)]):
            found = curve([ours, read(brief)], reset)
            assert found.total_j == 60 + {1036: 9, 4: 6}.get(int(brief[0][1]), 0)
            assert [event.kind for event in found.events] == ["reset"]

    def test_a_reset_between_two_recorders_is_seen_by_both_together(self) -> None:
        """One ends before it and the other begins after it, and each alone only ever rises."""
        reset = Domain("c:dram", "c", "dram", "DRAM", max_power_w=100.0)
        found = curve([read([(0, 1000), (1, 1030)]), read([(2, 10), (3, 40)])], reset)
        assert (found.total_j, len(found.unknown)) == (60.0, 1)

    @pytest.mark.parametrize("seed", range(40))
    def test_late_stamps_make_up_no_joule_and_lose_none(self, seed: int) -> None:
        """Three recorders of a counter that wraps now and then, each stamping up to its next reading late."""
        dice = random.Random(seed)
        start, every, truth = dice.uniform(0, 4096), [], []
        for _ in range(3):
            taken = [dice.uniform(0, 0.1) + n / 10 for n in range(600)]
            late = [(after - t) * dice.choice((0, 0, 0.3, 0.99)) for t, after in pairwise([*taken, taken[-1]])]
            late[0] = 0
            points = [(t + more, (start + 80 * t) % 4096) for t, more in zip(taken, late, strict=True)]
            every.append(read(points))
            truth += taken
        found = curve(every)
        assert found.total_j == pytest.approx(80 * (max(truth) - min(truth)))
        assert not found.unknown


class TestGauge:
    def test_it_is_the_union_of_the_readings(self) -> None:
        pooled = gauge([lane([(0, 10), (0.2, 20), (0.4, 10)]), lane([(0.1, 30), (0.2, 22), (0.3, 10)])])
        # Two readings at one time are both true: their mean.
        assert pooled.values == [10, 30, 21, 10, 10]

    def test_a_gap_of_one_that_the_other_read_is_none(self) -> None:
        dense, sparse = [(t / 10, 50.0) for t in range(101)], [(0, 50), (0.1, 50), (9.8, 50), (9.9, 50)]
        for other in (lane(dense), Lane(*_thin(dense))):
            pooled = gauge([lane(sparse), other])
            assert NEVER not in pooled.spacing_ns
            found = curves.build(GPU, pooled, [(0, 10 * SECOND)], [0.1])
            assert found.total_j == pytest.approx(500.0)
            assert not found.unknown

    def test_a_gap_of_all_is_one(self) -> None:
        """Though a slow recorder, which ended before, would not have called it so."""
        slow = lane([(t, 50) for t in range(0, 11, 5)], interval_s=5.0)
        fast = lane([*((8 + t / 10, 50.0) for t in range(31)), (16, 50), (16.1, 50)])
        pooled = gauge([slow, fast])
        found = curves.build(GPU, pooled, [(0, 17 * SECOND)], [5.0])
        [lost] = found.unknown
        assert (lost.t0_ns / SECOND, lost.t1_ns / SECOND) == (11, 16)
        assert found.total_j == pytest.approx(50 * 11.1)

    def test_what_is_no_power_is_no_reading(self) -> None:
        pooled = gauge([lane([(0, 10), (0.1, -1), (0.2, 10)]), lane([(0.05, 10), (0.15, float("nan")), (0.25, 10)])])
        assert pooled.values == [10, 10, 10, 10]
        assert gauge([lane([(0, -1.0)])]).t_ns == []

    def test_readings_that_thinning_left_out_are_there_again(self) -> None:
        """A line of one recorder does not bridge what another saw in the middle of it, but for two readings."""
        steady = Lane(*_thin([(t / 10, 50.0) for t in range(101)]))
        pooled = gauge([steady, lane([(4.95, 50), (5.05, 150), (5.15, 50)])])
        found = curves.build(GPU, pooled, [(0, 10 * SECOND)], [0.1])
        assert found.total_j == pytest.approx(500 + 100 * 0.05)


def _thin(points: Sequence[tuple[float, float]]) -> tuple[Series, int, int, float]:
    """As a recorder writes steady power: two points, with the spacing of what lay between them."""
    whole = read(points)
    ends = Series([whole.t_ns[0], whole.t_ns[-1]], [whole.values[0], whole.values[-1]], [0, max(whole.spacing_ns)])
    return ends, ends.t_ns[0], ends.t_ns[-1], float(SECOND)


def test_busy_time_that_each_counts_from_its_own_0_adds_up() -> None:
    found = total([read([(0, 5), (2, 7)]), read([(1, 0), (3, 4)])])
    assert [t / SECOND for t in found.t_ns] == [0, 1, 2, 3]
    assert found.values == [0, 1, 4, 6]
