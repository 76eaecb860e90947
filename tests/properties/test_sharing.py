"""The sharing kernel, against exact fractions."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greengen.accounting import partition
from greengen.accounting.curves import Floats, Ints
from greengen.accounting.kernel import energies
from greengen.accounting.sharing import Intervals, collect, share, threaded
from tests.properties.sharing_oracle import Work, shared

SECOND = 10**9


@dataclass(frozen=True)
class Meter:
    """A curve as sharing sees it."""

    t_ns: Ints
    step_j: Floats


@dataclass(frozen=True)
class Case:
    """Works and meters, and how finely to cut them."""

    works: list[Work]
    meters: list[Meter]
    size: int

    @property
    def intervals(self) -> Intervals:
        return Intervals(
            np.array([work.a for work in self.works], dtype=np.int64),
            np.array([work.b for work in self.works], dtype=np.int64),
            np.array([float(work.weight) for work in self.works]),
        )


def truth(
    works: Sequence[Work], meter: Meter, window: tuple[int, int] | None = None
) -> tuple[list[Fraction], Fraction]:
    return shared(works, meter.t_ns.tolist(), [Fraction(float(joules)) for joules in meter.step_j], window)


#: Clocks that began just now, long ago, and before their zero; ns apart, or years.
ORIGINS = st.sampled_from([0, 12_345, 2**62, -(2**62)])
UNITS = st.sampled_from([1, 1_000_003, SECOND, 40_000 * SECOND])
WEIGHTS = st.one_of(
    st.just(0.0),
    st.integers(1, 5).map(float),
    st.floats(-6, 6).map(lambda exponent: 10.0**exponent),
)
JOULES = st.one_of(st.just(0.0), st.floats(1e-6, 1e3), st.floats(1e9, 1.6e10))


@st.composite
def cases(draw: st.DrawFn, weights: st.SearchStrategy[float] = WEIGHTS) -> Case:
    origin, unit = draw(ORIGINS), draw(UNITS)
    # Few distinct times: equal ones are common.
    times = st.integers(0, draw(st.sampled_from([6, 300]))).map(lambda t: origin + t * unit)
    pairs = draw(st.lists(st.tuples(times, times, weights), max_size=12))
    works = [Work(min(a, b), max(a, b), Fraction(weight)) for a, b, weight in pairs]
    meters = []
    for _ in range(draw(st.integers(1, 3))):
        knots = sorted(draw(st.sets(times, min_size=2, max_size=8)))
        joules = draw(st.lists(JOULES, min_size=len(knots) - 1, max_size=len(knots) - 1))
        meters.append(Meter(np.array(knots, dtype=np.int64), np.array(joules)))
    return Case(works, meters, draw(st.sampled_from([1, 2, 5, partition.SIZE])))


def close(found: Floats, expected: Sequence[Fraction], relative: float) -> bool:
    """Each of them, of its own size: a nanosecond's share as a day's."""
    return all(abs(Fraction(float(a)) - b) <= relative * b for a, b in zip(found, expected, strict=True))


@given(cases())
def test_each_interval_gets_its_share(case: Case) -> None:
    found = share(case.intervals, case.meters, size=case.size)
    lowest, highest = partition.bounds(case.meters)
    for i, meter in enumerate(case.meters):
        expected, quiet = truth(case.works, meter, (lowest, highest))
        assert close(found.energy_j[i], expected, 1e-11)
        assert close(np.array([found.quiet_j[i].sum()]), [quiet], 1e-11)


@given(cases())
def test_the_sum_over_meters_is_the_sum_of_their_shares(case: Case) -> None:
    apart = share(case.intervals, case.meters, size=case.size)
    together = share(case.intervals, case.meters, size=case.size, summed=True)
    np.testing.assert_allclose(together.energy_j[0], apart.energy_j.sum(axis=0), rtol=1e-11, atol=0)
    for a, b in zip(apart.quiet_j, together.quiet_j, strict=True):
        np.testing.assert_array_equal(a, b)


@given(cases())
def test_conservation(case: Case) -> None:
    found = share(case.intervals, case.meters, size=case.size)
    for i, meter in enumerate(case.meters):
        booked = found.energy_j[i].sum() + found.quiet_j[i].sum()
        assert booked == pytest.approx(meter.step_j.sum(), rel=1e-12)
        assert found.energy_j[i].min(initial=0.0) >= 0


@given(cases(), st.sampled_from([1, 3, 7]))
def test_partitions_do_not_matter(case: Case, size: int) -> None:
    one, other = (share(case.intervals, case.meters, size=n) for n in (size, partition.SIZE))
    np.testing.assert_allclose(one.energy_j, other.energy_j, rtol=1e-12, atol=0)
    for a, b in zip(one.quiet_j, other.quiet_j, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=0)


@given(cases(), st.randoms(use_true_random=False))
def test_order_does_not_matter(case: Case, random: Random) -> None:
    order = np.array(random.sample(range(len(case.works)), len(case.works)), dtype=np.int64)
    shuffled = replace(case, works=[case.works[i] for i in order])
    one, other = share(case.intervals, case.meters), share(shuffled.intervals, case.meters)
    np.testing.assert_allclose(other.energy_j, one.energy_j[:, order], rtol=1e-12, atol=0)


@given(cases(), st.floats(0, 1))
def test_windows_add_up(case: Case, part: float) -> None:
    start, end = partition.bounds(case.meters)
    cut = start + int((end - start) * part)
    whole = share(case.intervals, case.meters)
    parts = [share(case.intervals, case.meters, window=window) for window in ((start, cut), (cut, end))]
    np.testing.assert_allclose(parts[0].energy_j + parts[1].energy_j, whole.energy_j, rtol=1e-11, atol=0)


@given(cases(st.floats(1e-3, 1e3)))
def test_weight_zero_gets_nothing_and_moves_nobody(case: Case) -> None:
    more = [work for own in case.works for work in (own, replace(own, weight=Fraction(0)))]
    one, other = share(case.intervals, case.meters), share(replace(case, works=more).intervals, case.meters)
    np.testing.assert_array_equal(other.energy_j[:, ::2], one.energy_j)
    assert not other.energy_j[:, 1::2].any()


@given(cases(), st.sampled_from([2.0**-40, 0.3, 1e6, 1e290]))
def test_only_ratios_of_weights_matter(case: Case, factor: float) -> None:
    start, stop, weight = case.intervals.columns
    assert weight is not None
    scaled = Intervals(start, stop, weight * factor)
    one, other = share(case.intervals, case.meters), share(scaled, case.meters)
    np.testing.assert_allclose(other.energy_j, one.energy_j, rtol=1e-11, atol=0)


@given(cases())
def test_identical_intervals_get_identical_joules(case: Case) -> None:
    found = share(replace(case, works=case.works * 2).intervals, case.meters, size=case.size).energy_j
    # They may lie in other partitions, whose sums are rounded apart.
    np.testing.assert_allclose(found[:, : len(case.works)], found[:, len(case.works) :], rtol=1e-12, atol=0)


@given(cases())
def test_partitions_go_through_pickle_and_come_in_any_order(case: Case) -> None:
    parts = partition.cut(partition.batches(*case.intervals.columns), case.meters, size=case.size)
    done = [energies(pickle.loads(pickle.dumps(part))) for part in parts]  # noqa: S301 -- just made
    total = np.zeros((len(case.meters), len(case.works)))
    collect(reversed(done), case.meters, total)
    expected = share(case.intervals, case.meters, size=case.size).energy_j
    np.testing.assert_allclose(total, expected, rtol=1e-14, atol=0)


@given(cases(), st.data())
def test_some_chosen_share_as_if_they_were_all(case: Case, data: st.DataObject) -> None:
    every = range(len(case.works))
    chosen = np.array(
        data.draw(st.lists(st.sampled_from(every), unique=True) if every else st.just([])), dtype=np.int64
    )
    found = share(case.intervals, case.meters, chosen=chosen, size=case.size)
    alone = share(replace(case, works=[case.works[i] for i in chosen]).intervals, case.meters, size=case.size)
    np.testing.assert_allclose(found.energy_j[:, chosen], alone.energy_j, rtol=1e-12, atol=0)
    assert not np.delete(found.energy_j, chosen, axis=1).any()


def test_threads_change_nothing() -> None:
    rng = np.random.default_rng(2)
    start = np.sort(rng.integers(0, 100 * SECOND, 5_000))
    intervals = Intervals(start, start + rng.integers(0, SECOND, 5_000), rng.uniform(0, 3, 5_000))
    meter = Meter(np.arange(1_001) * SECOND // 10, rng.uniform(0, 9, 1_000))
    one, other = (share(intervals, [meter], size=100, mapper=mapper) for mapper in (map, threaded(3)))
    np.testing.assert_array_equal(one.energy_j, other.energy_j)
    np.testing.assert_array_equal(one.quiet_j[0], other.quiet_j[0])


# --- adversarial sizes


def test_ten_to_the_fifth_equal_timestamps() -> None:
    many = 100_000
    start = np.full(many, 5 * SECOND)
    meter = Meter(np.array([0, 10 * SECOND]), np.array([1e3]))
    for size in (1_000, partition.SIZE):
        found = share(Intervals(start, start + SECOND), [meter], size=size)
        np.testing.assert_allclose(found.energy_j[0], 100 / many, rtol=1e-12)
        assert found.quiet_j[0].sum() == pytest.approx(900, rel=1e-14)


def test_a_short_request_in_a_year_of_joules() -> None:
    year = 365 * 86_400 * SECOND
    start = np.array([0, 200 * 86_400 * SECOND, 300 * 86_400 * SECOND])
    stop = np.array([year, start[1] + 1, start[2] + 10**6])
    found = share(Intervals(start, stop, np.array([1.0, 3.0, 1e-6])), [Meter(np.array([0, year]), np.array([1.6e10]))])
    watts = 1.6e10 / (365 * 86_400)
    assert found.energy_j[0, 1] == pytest.approx(watts * 1e-9 * 3 / 4, rel=1e-13)
    assert found.energy_j[0, 2] == pytest.approx(watts * 1e-3 * 1e-6 / (1 + 1e-6), rel=1e-13)


@pytest.mark.parametrize("heavy", [3.0, 1.5e4, 3e9])
def test_weights_whose_sum_is_great_beside_the_smallest(heavy: float) -> None:
    works = [Work(t % 7, 40 + t, Fraction(heavy * (1 + t / 77))) for t in range(60)]
    works += [Work(5, 50, Fraction(1, 3)), Work(20, 20, Fraction(heavy)), Work(60, 61, Fraction(1))]
    meter = Meter(np.array([0, 33, 120]), np.array([7.0, 1e3]))
    for size in (4, partition.SIZE):
        found = share(Case(works, [meter], size).intervals, [meter], size=size)
        assert close(found.energy_j[0], truth(works, meter)[0], 1e-12)


def test_great_weights_that_go_on_and_on() -> None:
    # In their sum is 2^64 times what 64 bits hold of the small ones.
    works = [Work(0, 300, Fraction(1 << 14))] * 64 + [Work(t, t + 1, Fraction(1, 2)) for t in range(200)]
    meter = Meter(np.array([0, 300]), np.array([1e3]))
    found = share(Case(works, [meter], 1).intervals, [meter], size=1)
    assert close(found.energy_j[0], truth(works, meter)[0], 1e-12)


def test_intervals_without_length_are_flagged() -> None:
    at = np.array([3, 3, 5])
    intervals = Intervals(at, np.array([9, 3, 5]))
    found = share(intervals, [Meter(np.array([0, 10]), np.array([10.0]))])
    assert intervals.instant.tolist() == [1, 2]
    np.testing.assert_allclose(found.energy_j[0], [6, 0, 0], rtol=1e-15)


@pytest.mark.parametrize(("stop", "weight"), [([1], [1.0]), ([9], [-1.0]), ([9], [np.nan]), ([9], [np.inf])], ids=str)
def test_what_is_no_interval_is_refused(stop: list[int], weight: list[float]) -> None:
    with pytest.raises(ValueError, match=r"ends before|finite"):
        Intervals(np.array([2]), np.array(stop), np.array(weight))


def test_batches_out_of_order_are_refused() -> None:
    later, sooner = (partition.Batch(np.array([0]), np.array([t]), np.array([9])) for t in (5, 4))
    meter = Meter(np.array([0, 10]), np.array([1.0]))
    with pytest.raises(ValueError, match="order of their start"):
        list(partition.cut([later, sooner], [meter]))


@pytest.mark.parametrize("weighted", [False, True])
def test_a_million_requests_are_conserved(weighted: bool) -> None:  # noqa: FBT001 -- a case
    rng = np.random.default_rng(7)
    many, knots = 1_000_000, 200_000
    meter = Meter(np.arange(knots) * 100_000_000 + 2**60, rng.uniform(0, 70, knots - 1))
    start = rng.integers(0, knots * 100_000_000, many) + 2**60
    stop = start + rng.exponential(4e9, many).astype(np.int64)
    weight = 10.0 ** rng.uniform(-6, 6, many) if weighted else None
    found = share(Intervals(start, stop, weight), [meter])
    booked = found.energy_j.sum() + found.quiet_j[0].sum()
    assert booked == pytest.approx(meter.step_j.sum(), rel=1e-12)
