"""Verdicts on repeats: under simulation, against hand-made numbers, and what the meters' errors do to them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from greengen.accounting import blocks, trend
from greengen.accounting.verdict import ANEW, BLOCKS, WELCH, Repeats, contrast, mean, summary
from greengen.errors import KindMismatchError
from greengen.quantity import Error, Grade, Quantity
from greengen.testing.repeats import Machine, simulate

#: What a nominal 5 % may be in 1000 comparisons.
MOST = 0.065


def joules(value: float, *errors: Error, grade: Grade = "measured", basis: str | None = None) -> Quantity:
    return Quantity(value, "J/request", grade, errors, basis=basis)


def of(*values: float, places: tuple[int, ...] = (), host: str = "box") -> Repeats:
    return Repeats(tuple(map(joules, values)), places, host)


class TestSimulation:
    """`tests/bench/verdicts.py` prints more of it."""

    @pytest.mark.parametrize("n", [3, 5, 10])
    def test_no_difference_is_called_none(self, n: int) -> None:
        """Scatter of 3 %, a drift of 0.5 % from each repeat to the next: 1000 comparisons."""
        assert simulate(Machine(drift=0.005), n, seed=n).decided <= MOST

    def test_a_drift_is_no_difference_in_blocks_either(self) -> None:
        """Ten repeats, five of one choice and then five of the other, while the machine drifts by 18 %."""
        blocks = simulate(Machine(drift=0.02), 5, order="blocks", times=300)
        assert blocks.decided <= MOST

    @pytest.mark.parametrize("n", [3, 5, 10])
    def test_nor_is_one_that_wanders(self, n: int) -> None:
        """Blocks again, under a random walk of 3 % from each repeat to the next: 1000 comparisons."""
        assert simulate(Machine(walk=0.03), n, order="blocks", seed=n).decided <= MOST

    def test_a_saving_of_a_quarter_is_found_in_blocks_of_five(self) -> None:
        assert simulate(Machine(walk=0.01), 5, saved=0.25, order="blocks", times=200).less >= 0.8

    def test_a_saving_of_a_tenth_is_found_in_five_repeats(self) -> None:
        assert simulate(Machine(drift=0.005), 5, saved=0.10, times=200).less >= 0.8

    def test_a_shared_gain_cancels_and_a_workload_error_does_not(self) -> None:
        """20 % saved: a gain of 30 % that both share hides nothing; a workload error of 30 % in each hides it."""
        assert simulate(Machine(gain=0.3), 5, saved=0.2, times=100).less >= 0.95
        assert simulate(Machine(workload=0.3), 5, saved=0.2, times=100).decided <= 0.2


class TestByHand:
    def test_welch(self) -> None:
        """1, 2, 4 against 8, 16, 4: each of variance ln²2, so of standard error ln 2 · √(2/3) with 4 degrees."""
        told = contrast(of(1, 2, 4), of(8, 16, 4))
        assert told.ratio.value == pytest.approx(0.25)
        assert told.degrees == pytest.approx(4.0)
        assert told.repeat_sigma == pytest.approx(math.log(2) * math.sqrt(2 / 3))
        half = 2.776445 * told.repeat_sigma
        assert told.low == pytest.approx(0.25 * math.exp(-half), rel=1e-6)
        assert told.high == pytest.approx(0.25 * math.exp(half), rel=1e-6)
        assert told.answer == "not distinguishable"
        assert told.method == WELCH

    def test_less_more_and_the_other_way_round(self) -> None:
        low, high = of(1.0, 1.01, 0.99), of(2.0, 2.02, 1.98)
        less, more = contrast(low, high), contrast(high, low)
        assert (less.answer, more.answer) == ("less", "more")
        assert less.ratio.value == pytest.approx(1 / (more.ratio.value or 0))
        assert (less.p_better or 0) + (more.p_better or 0) == pytest.approx(1.0)
        assert (less.p_better or 0) > 0.999

    def test_p_better_is_that_of_the_interval(self) -> None:
        """Where the interval just touches 1, it is 97.5 %."""
        told = contrast(of(1, 2, 4), of(8, 16, 4))
        shift = (told.high or 0) * (1 + 1e-9)
        touching = contrast(of(1, 2, 4), of(8 * shift, 16 * shift, 4 * shift))
        assert touching.p_better == pytest.approx(0.975, abs=1e-6)

    def test_meters_and_scatter_are_joined(self) -> None:
        """A workload error of 10 % in each: hypot of t · SE and 1.96 · 0.1 · √2."""
        a = Repeats(tuple(joules(v, Error("workload a", 0.1 * v, log=True)) for v in (1.0, 2.0, 4.0)))
        b = Repeats(tuple(joules(v, Error("workload b", 0.1 * v, log=True)) for v in (8.0, 16.0, 4.0)))
        told = contrast(a, b)
        assert told.meter_sigma == pytest.approx(0.1 * math.sqrt(2))
        half = math.hypot(2.776445 * told.repeat_sigma, 1.959964 * 0.1 * math.sqrt(2))
        assert math.log((told.high or 0) / (told.ratio.value or 1)) == pytest.approx(half, rel=1e-6)

    def test_what_each_repeat_reads_anew_is_in_the_scatter(self) -> None:
        noisy = [joules(v, Error(f"{ANEW}{i}", 0.5)) for i, v in enumerate((1.0, 1.01, 0.99))]
        assert contrast(Repeats(tuple(noisy)), of(2.0, 2.02, 1.98)).meter_sigma == 0
        assert contrast(Repeats(tuple(noisy[:2])), of(2.0, 2.02)).meter_sigma > 0.2
        assert (summary(noisy).high or 9) < 1.1 < (summary(noisy[:2]).high or 0)


class TestRefusals:
    def test_too_few(self) -> None:
        told = contrast(of(1.0, 1.0), of(2.0, 2.0, 2.0))
        assert (told.answer, told.p_better) == ("no verdict", None)
        assert told.reason == "2 against 3 repeats: a verdict takes 3 of each, so record more"
        assert told.ratio.value == 0.5

    def test_kinds_do_not_mix(self) -> None:
        average = Repeats((joules(1.0, basis="average"),) * 3)
        marginal = Repeats((joules(1.0, basis="short-run marginal"),) * 3)
        with pytest.raises(KindMismatchError, match="kind is average in one and short-run marginal in the other"):
            contrast(average, marginal)

    @pytest.mark.parametrize("gone", [joules(0.0), Quantity.missing("J/request", "no domain was read")])
    def test_what_has_no_ratio_has_no_verdict(self, gone: Quantity) -> None:
        told = contrast(Repeats((gone, joules(1.0), joules(1.0))), of(1.0, 1.0, 1.0))
        assert (told.answer, told.ratio.value) == ("no verdict", None)
        assert told.reason

    def test_nothing_is_no_repeat(self) -> None:
        assert not mean([]).known


class TestOrder:
    def test_blocks_take_a_trend_out(self) -> None:
        """A straight drift of 10 % per repeat alone: 3 then 3 look like a factor of 1.35."""
        drift = [math.exp(0.1 * i + noise) for i, noise in enumerate((0.001, -0.001, 0.0, 0.001, -0.001, 0.0))]
        first, then = of(*drift[:3], places=(0, 1, 2)), of(*drift[3:], places=(3, 4, 5))
        told = contrast(then, first)
        assert (told.method, told.answer) == (BLOCKS, "not distinguishable")
        assert told.ratio.value == pytest.approx(1.0, abs=0.02)
        elsewhere = contrast(of(*drift[3:], places=(0, 1, 2), host="another"), first)
        assert elsewhere.method == WELCH

    def test_blocks_are_as_unsure_as_each_strength_of_a_walk(self) -> None:
        """The ends: a straight trend alone, and a walk alone, where the step between the blocks is all there is."""
        first, then = (0.0, 0.02, -0.01, 0.03), (0.5, 0.48, 0.53, 0.51)
        middle, half, degrees = blocks.interval(then, (4, 5, 6, 7), first, (0, 1, 2, 3))
        steps = np.concatenate((np.diff(first), np.diff(then)))
        told = then[0] - first[-1] - steps.mean()
        reach = 2.570582 * steps.std(ddof=1) * math.sqrt(1 + 1 / 6)
        assert degrees == 5
        assert middle - half <= told - reach + 1e-7
        assert middle + half >= told + reach - 1e-7
        group, place = np.repeat([1.0, 0.0], 4), np.array([4, 5, 6, 7, 0, 1, 2, 3])
        design = np.column_stack((np.ones(8), group, place))
        y = np.array([*then, *first])
        least, left, *_ = np.linalg.lstsq(design, y, rcond=None)
        reach = 2.570582 * math.sqrt(float(left[0]) / 5 * np.linalg.inv(design.T @ design)[1, 1])
        assert middle - half <= least[1] - reach + 1e-7
        assert middle + half >= least[1] + reach - 1e-7

    def test_a_walk_passes_through_long_blocks_of_any_order(self) -> None:
        """Five, ten of the other, five: no trend is along with the choice, and yet a random walk is."""
        assert not trend.interleaved((*range(5), *range(15, 20)), range(5, 15))

    def test_alternating(self) -> None:
        assert trend.interleaved((0, 2, 4), (1, 3, 5))
        assert trend.interleaved((0, 3, 4), (1, 2, 5))
        assert not trend.interleaved((0, 1, 2), (3, 4, 5))

    def test_drift_is_told_with_its_chance(self) -> None:
        steady = trend.drift({"a": [(0, 0.0), (2, 0.01), (4, -0.01)], "b": [(1, 1.0), (3, 0.99), (5, 1.01)]})
        rising = trend.drift({"a": [(0, 0.0), (2, 0.1), (4, 0.21)], "b": [(1, 1.05), (3, 1.16), (5, 1.25)]})
        assert steady is not None
        assert steady.p > 0.3
        assert rising is not None
        assert rising.slope == pytest.approx(0.05, abs=0.003)
        assert rising.p < 0.001
        assert trend.drift({"a": [(0, 1.0)], "b": [(1, 1.0)]}) is None
