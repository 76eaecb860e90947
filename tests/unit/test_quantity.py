"""Quantities: intervals, sums, differences, ratios, conversions, and what is missing."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greengen.errors import KindMismatchError, UsageError
from greengen.quantity import Z95, Error, Quantity, convert, total, weakest

JOULES = st.integers(1, 10**7).map(lambda quarters: quarters / 4)
UNKNOWN = Quantity.missing("J", "no counter")


def joules(value: float, *errors: Error, signed: bool = False) -> Quantity:
    return Quantity(value, "J", "measured", errors, signed=signed)


def factor(value: float, gsd: float, unit: str, name: str) -> Quantity:
    """A number known to a factor of `gsd`, one standard uncertainty."""
    return Quantity(value, unit, "modelled", (Error(name, value * math.log(gsd), log=True),), basis="b")


class TestInterval:
    def test_without_errors_it_is_the_value(self) -> None:
        assert (joules(5.0).low, joules(5.0).high) == (5.0, 5.0)

    @given(JOULES, st.lists(st.integers(1, 50), min_size=1, max_size=4))
    def test_independent_sources_add_in_quadrature(self, value: float, percents: list[int]) -> None:
        errors = [Error(str(i), value * p / 1000) for i, p in enumerate(percents)]
        quantity = joules(value, *errors, signed=True)
        half = Z95 * value * math.hypot(*percents) / 1000
        assert quantity.low == pytest.approx(value - half)
        assert quantity.high == pytest.approx(value + half)

    @given(JOULES, st.lists(st.floats(1.001, 3.0), min_size=1, max_size=4))
    def test_factors_widen_it_by_a_factor(self, value: float, gsds: list[float]) -> None:
        """The logarithm of a product is a sum: ln² GSD = Σ ln² GSD_i, and the band ×/÷ GSD^1.96."""
        errors = [Error(str(i), value * math.log(gsd), log=True) for i, gsd in enumerate(gsds)]
        gsd = math.exp(math.sqrt(sum(math.log(g) ** 2 for g in gsds)))
        assert joules(value, *errors).low == pytest.approx(value / gsd**Z95)
        assert joules(value, *errors).high == pytest.approx(value * gsd**Z95)

    def test_energy_does_not_reach_below_0_but_a_difference_does(self) -> None:
        wide = Error("a", 10.0)
        assert joules(5.0, wide).low == 0.0
        assert joules(5.0, wide, signed=True).low == pytest.approx(5.0 - Z95 * 10.0)
        assert joules(-5.0, wide).low == pytest.approx(-5.0 - Z95 * 10.0)

    def test_of_a_negative_number_it_is_the_mirror_image(self) -> None:
        saved = joules(300.0, Error("grid", 300 * math.log(1.3), log=True), Error("timing", 10.0))
        assert saved.low is not None
        assert saved.high is not None
        assert saved.high - 300.0 > 300.0 - saved.low
        cost = saved.scaled(-1.0)
        assert cost.low == pytest.approx(-saved.high)
        assert cost.high == pytest.approx(-saved.low)

    def test_a_factor_of_nothing_has_a_width_of_its_own(self) -> None:
        nothing = joules(0.0, Error("share", 2.0, log=True))
        assert nothing.low == 0.0
        assert nothing.high == pytest.approx(Z95 * 2.0)

    @given(JOULES, st.floats(0, 2), st.floats(0, 2))
    def test_it_holds_its_value(self, value: float, linear: float, log: float) -> None:
        quantity = joules(value, Error("a", value * linear), Error("b", value * log, log=True))
        assert quantity.low is not None
        assert quantity.high is not None
        assert 0.0 <= quantity.low <= value <= quantity.high < math.inf


class TestSum:
    @given(st.lists(JOULES, min_size=1, max_size=8))
    def test_its_value_is_exact(self, values: list[float]) -> None:
        assert total(map(joules, values), "J").value == math.fsum(values)
        assert sum(map(joules, values)) == total(map(joules, values), "J")

    def test_a_missing_part_makes_it_missing_with_all_reasons(self) -> None:
        other = Quantity.missing("J", "no driver")
        added = total([joules(1.0), UNKNOWN, other, UNKNOWN], "J")
        assert added.value is None
        assert added.reason == "no counter; no driver"
        assert (joules(1.0) + UNKNOWN).value is None

    def test_or_it_is_of_the_known_ones_and_says_which_it_lacks(self) -> None:
        added = total([joules(1.0), UNKNOWN, joules(2.0)], "J", skip_missing=True)
        assert (added.value, added.note) == (3.0, "without: no counter")
        assert total([UNKNOWN, UNKNOWN], "J", skip_missing=True).reason == "no counter"

    def test_of_nothing_it_is_missing_and_not_0(self) -> None:
        for skip in (False, True):
            nothing = total([], "J", skip_missing=skip)
            assert nothing.value is None
            assert nothing.reason

    def test_notes_and_factors_are_kept_once(self) -> None:
        noted = Quantity(1.0, "g", "measured", note="x").times(Quantity(2.0, "", "declared"), "PUE", unit="g")
        added = noted + noted
        assert added.note == "x"
        assert [f.name for f in added.factors] == ["PUE"]


class TestDifference:
    @given(JOULES, JOULES)
    def test_a_remainder_may_be_negative_and_is_not_clamped(self, wall: float, parts: float) -> None:
        rest = joules(wall, Error("a", 1.0)) - joules(parts, Error("b", 1.0))
        assert rest.value == wall - parts
        assert rest.low == pytest.approx(wall - parts - Z95 * math.sqrt(2))

    def test_errors_of_one_source_cancel(self) -> None:
        one = joules(5.0, Error("a", 1.0))
        assert (one - one).low == 0.0
        assert (one - one).high == 0.0


class TestRatio:
    def test_by_nothing_it_is_missing(self) -> None:
        for divisor in (joules(0.0), 0, 0.0):
            ratio = joules(1.0) / divisor
            assert ratio.value is None
            assert "by 0" in ratio.reason

    def test_of_what_is_missing_it_is_missing(self) -> None:
        assert (joules(1.0) / UNKNOWN).reason == "no counter"
        assert (UNKNOWN / joules(1.0)).reason == "no counter"
        assert (UNKNOWN / 2.0).reason == "no counter"

    def test_of_nothing_by_something_it_is_nothing_with_its_errors(self) -> None:
        ratio = joules(0.0, Error("a", 2.0)) / joules(4.0, Error("b", 1.0))
        assert ratio.value == 0.0
        assert ratio.high == pytest.approx(Z95 * 0.5)

    def test_it_is_as_weak_as_the_weaker(self) -> None:
        assert (joules(1.0) / Quantity(2.0, "s", "declared")).grade == "declared"
        assert (joules(1.0) / Quantity(2.0, "s", "declared")).unit == "J/s"

    def test_a_source_that_cancels_in_one_part_only_does_not_cancel(self) -> None:
        """Told as a common factor by one and as an offset by the other: the less that cancels holds, in any order."""
        gain, offset = joules(4.0, Error("a", 1.0, gain=True)), joules(4.0, Error("a", 1.0))
        for ratio in (gain / offset, offset / gain, (gain + offset) / gain, gain / (offset + gain)):
            [error] = ratio.errors
            assert not error.gain
            assert error.sigma == pytest.approx((ratio.value or 0.0) * 0.25 * math.sqrt(2))
        factor = joules(4.0, Error("a", 1.0, gain=True, log=True))
        assert (factor + gain).high == (gain + factor).high == pytest.approx(8.0 * math.exp(Z95 * 0.25))

    def test_a_common_factor_keeps_its_sign_under_a_remainder(self) -> None:
        """More of the gain makes a negative remainder per second more negative: added to a sum, it takes away."""
        rest = joules(-3.0, Error("gain", -0.3, gain=True), signed=True) / Quantity(2.0, "s", "declared")
        assert rest.errors[0].sigma == pytest.approx(-0.15)
        assert (rest + rest.scaled(-1.0)).errors[0].sigma == 0.0
        rate = joules(3.0, Error("gain", 0.3, gain=True)) / Quantity(2.0, "s", "declared")
        assert (rest + rate).errors[0].sigma == pytest.approx(0.0)

    def test_on_one_grid_the_grid_cancels(self) -> None:
        """carbon.md 3: 0.8 against 1.0 Wh, GSD 1.05 each, on one grid of GSD 1.3: P(better) is 0.9994, not 0.72."""
        grid = Quantity(300.0, "g/kWh", "declared", (Error("grid", 300.0 * math.log(1.3), gain=True, log=True),))
        options = [
            Quantity(wh, "Wh", "measured", (Error(str(wh), wh * math.log(1.05), log=True),))
            .to("kWh")
            .times(grid, "grid intensity", unit="g")
            for wh in (0.8, 1.0)
        ]
        ratio = options[0] / options[1]
        assert ratio.value == pytest.approx(0.8)
        sigma = math.sqrt(sum((e.sigma / 0.8) ** 2 for e in ratio.errors))
        assert sigma == pytest.approx(math.sqrt(2) * math.log(1.05))
        better = 0.5 * (1 + math.erf(math.log(1 / 0.8) / sigma / math.sqrt(2)))
        assert better == pytest.approx(0.9994, abs=1e-4)


class TestProduct:
    def test_the_worked_example_to_first_order(self) -> None:
        """carbon.md 3: E 0.001 kWh (1.05), PUE 1.2 (1.03), I 384.4 (1.10), M 0.05 g (1.7)."""
        energy = factor(0.001, 1.05, "kWh", "E")
        operational = energy.times(factor(1.2, 1.03, "", "PUE"), "PUE", unit="kWh").times(
            factor(384.4, 1.10, "g/kWh", "I"), "grid intensity", unit="g"
        )
        assert operational.value == pytest.approx(0.46128)
        gsd = math.exp(math.sqrt(sum(math.log(g) ** 2 for g in (1.05, 1.03, 1.10))))
        assert operational.low == pytest.approx(0.46128 / gsd**Z95)
        assert operational.high == pytest.approx(0.46128 * gsd**Z95)
        carbon = operational + factor(0.05, 1.7, "g", "M")
        assert carbon.value == pytest.approx(0.51128)
        assert math.exp((math.log(carbon.high or 0) - math.log(0.51128)) / Z95) == pytest.approx(1.1195, abs=5e-5)
        assert carbon.low == pytest.approx(0.4098, abs=5e-5)
        assert carbon.high == pytest.approx(0.6379, abs=5e-5)

    def test_drawing_the_factors_gives_the_same_within_3_percent(self) -> None:
        rng = random.Random(3)
        draws = sorted(
            0.001 * rng.lognormvariate(0, math.log(1.05)) * 1.2 * rng.lognormvariate(0, math.log(1.03))
            * 384.4 * rng.lognormvariate(0, math.log(1.10)) + 0.05 * rng.lognormvariate(0, math.log(1.7))
            for _ in range(50_000)
        )  # fmt: skip
        assert draws[1250] == pytest.approx(0.4098, rel=0.03)
        assert draws[48750] == pytest.approx(0.6379, rel=0.03)

    def test_what_is_missing_stays_so_and_says_why(self) -> None:
        grid = Quantity(300.0, "g/kWh", "declared", basis="average")
        product = UNKNOWN.times(grid, "grid intensity", unit="g")
        assert (product.value, product.reason, product.basis) == (None, "no counter", "average")
        product = joules(1.0).times(Quantity.missing("g/kWh", "no zone"), "grid intensity", unit="g")
        assert product.reason == "no zone"


class TestUnits:
    @given(JOULES, st.sampled_from(["mJ", "kJ", "MJ", "Wh", "kWh"]))
    def test_there_and_back(self, value: float, unit: str) -> None:
        told = joules(value, Error("a", value / 10)).to(unit)
        assert told.unit == unit
        assert told.to("J").value == pytest.approx(value, rel=1e-12)
        assert told.to("J").high == pytest.approx(joules(value, Error("a", value / 10)).high, rel=1e-12)

    def test_known_conversions(self) -> None:
        assert convert(1.0, "kWh", "J") == 3.6e6
        assert convert(3600.0, "J", "Wh") == 1.0
        assert convert(1500.0, "ms", "s") == 1.5
        assert convert(2.0, "kg", "g") == 2000.0
        assert convert(7.0, "furlong", "furlong") == 7.0
        assert convert(1000.0, "lb/MWh", "g/kWh") == pytest.approx(453.59237)
        assert convert(1.0, "kWh/GB", "J/B") == pytest.approx(3.6e-3)

    @pytest.mark.parametrize(("unit", "to"), [("J", "g"), ("J", "W"), ("s", "J"), ("J", "furlong"), ("g/J", "g/s")])
    def test_units_of_two_kinds(self, unit: str, to: str) -> None:
        with pytest.raises(UsageError, match=f"cannot convert {unit} to {to}"):
            convert(1.0, unit, to)
        with pytest.raises(UsageError):
            Quantity(1.0, unit, "measured").to(to)

    def test_what_is_missing_is_missing_in_any_unit(self) -> None:
        assert UNKNOWN.to("kWh").reason == "no counter"
        assert UNKNOWN.to("kWh").unit == "kWh"

    def test_units_are_not_added_as_they_stand(self) -> None:
        with pytest.raises(KindMismatchError, match="cannot add kWh to J"):
            total([joules(1.0), Quantity(1.0, "kWh", "measured")], "J")


def test_nothing_is_told_without_saying_how_or_why() -> None:
    with pytest.raises(ValueError, match="reason"):
        Quantity(None, "J")
    with pytest.raises(ValueError, match="grade"):
        Quantity(1.0, "J")


def test_the_weakest_grade() -> None:
    assert weakest(["measured", "modelled", "attributed"]) == "modelled"
    assert weakest([]) is None


def test_the_json_shape() -> None:
    assert UNKNOWN.as_dict() == {"value": None, "unit": "J", "reason": "no counter"}
    mixed = joules(3.0, Error("a", 0.5)) + Quantity(1.0, "J", "modelled", note="n")
    told = json.loads(json.dumps(mixed.as_dict()))
    assert {key: told[key] for key in ("value", "unit", "grade", "note")} == {
        "value": 4.0,
        "unit": "J",
        "grade": "modelled",
        "note": "n",
    }
    assert told["grades"] == {"measured": 0.75, "modelled": 0.25}
    assert told["low"] < 4.0 < told["high"]


def test_it_can_be_read() -> None:
    assert str(UNKNOWN) == "not measured (no counter)"
    assert str(joules(3.0)) == "3 J [3 … 3] measured"
