"""Which of two results is the smaller, and how surely."""

from __future__ import annotations

import math
import random

import pytest

from greengen import data
from greengen.accounting.comparing import compare, p_better, p_better_drawn
from greengen.errors import KindMismatchError, UsageError
from greengen.quantity import Error, Quantity, known_to

MISSING = Quantity.missing("g", "no zone")


def carbon(wh: float, name: str, grid: str) -> Quantity:
    """carbon.md 3: an energy of GSD 1.05 on a grid of GSD 1.3."""
    energy = known_to(wh, "Wh", "measured", gsd=1.05, source=name).to("kWh")
    intensity = known_to(300.0, "g/kWh", "declared", gsd=1.3, source=grid)
    return energy.times(intensity, "grid intensity", unit="g")


def joules(value: float, *errors: Error) -> Quantity:
    return Quantity(value, "J", "measured", errors)


class TestWorkedExample:
    """carbon.md 3: 0.8 against 1.0 Wh: Φ(ln 1.25 / (√2 ln 1.05)) = 0.9994; wrongly independent: 0.723."""

    def test_on_one_grid(self) -> None:
        a, b = carbon(0.8, "a", "grid"), carbon(1.0, "b", "grid")
        assert p_better(a, b) == pytest.approx(0.9994, abs=5e-5)
        assert p_better(b, a) == pytest.approx(0.0006, abs=5e-5)
        assert p_better_drawn(a, b) == pytest.approx(0.9994, abs=3e-4)

    def test_on_two_grids(self) -> None:
        a, b = carbon(0.8, "a", "grid"), carbon(1.0, "b", "another grid")
        assert p_better(a, b) == pytest.approx(0.723, abs=5e-4)
        assert p_better_drawn(a, b) == pytest.approx(0.723, abs=5e-3)

    def test_the_ratio_is_told_beside_it(self) -> None:
        compared = compare(carbon(0.8, "a", "grid"), carbon(1.0, "b", "grid"))
        assert compared.ratio.value == pytest.approx(0.8)
        gsd = math.exp(math.sqrt(2) * math.log(1.05))
        assert compared.ratio.high == pytest.approx(0.8 * gsd**1.959964)
        assert compared.p_better == pytest.approx(0.9994, abs=5e-5)


def test_on_a_countrys_grid_two_requests_are_as_their_energies_are() -> None:
    """The tables' intensity is one source of all grams of its zone; that of another zone is another."""
    energies = [joules(v, Error(f"timing:{v}", v / 10), Error("gain", v / 20, gain=True)) for v in (4.0, 5.0)]
    german, polish = (data.grid_intensity(zone).quantity() for zone in ("DEU", "POL"))
    a, b = (energy.to("kWh").times(german, "grid intensity", unit="g") for energy in energies)
    assert p_better(a, b) == pytest.approx(p_better(*energies))
    assert p_better_drawn(a, b) == pytest.approx(p_better(*energies), abs=5e-3)
    elsewhere = energies[1].to("kWh").times(polish, "grid intensity", unit="g")
    spread = math.hypot(math.log(data.grid_intensity("DEU").gsd), math.log(data.grid_intensity("POL").gsd))
    ratio = compare(a, elsewhere).ratio
    by_zone = {error.name: error.sigma / (ratio.value or 0.0) for error in ratio.errors}
    assert math.hypot(by_zone["intensity:DEU"], by_zone["intensity:POL"]) == pytest.approx(spread)


class TestKinds:
    def test_units_of_one_kind_are_brought_together(self) -> None:
        a, b = carbon(0.8, "a", "grid"), carbon(1.0, "b", "grid")
        assert p_better(a.to("mg"), b.to("kg")) == pytest.approx(p_better(a, b))
        assert compare(a.to("mg"), b).ratio.value == pytest.approx(0.8)
        assert p_better_drawn(a.to("mg"), b, 1000) == p_better_drawn(a, b.to("mg"), 1000)

    @pytest.mark.parametrize("ask", [p_better, compare, p_better_drawn])
    def test_what_is_of_another_unit_or_basis_is_not_compared(self, ask: object) -> None:
        assert callable(ask)
        token, request = (Quantity(1.0, f"g/{unit}", "modelled") for unit in ("token", "request"))
        with pytest.raises(KindMismatchError, match="cannot compare g/token with g/request"):
            ask(token, request)
        average, marginal = (Quantity(1.0, "g", "modelled", basis=b) for b in ("average", "marginal_short"))
        with pytest.raises(KindMismatchError, match="kind is average in one and short-run marginal in the other"):
            ask(average, marginal)

    def test_what_is_missing_is_neither_better_nor_worse(self) -> None:
        a = carbon(1.0, "a", "grid")
        for one, other in ((a, MISSING), (MISSING, a)):
            compared = compare(one, other)
            assert (compared.p_better, compared.ratio.value, compared.ratio.reason) == (None, None, "no zone")
            for ask in (p_better, p_better_drawn):
                with pytest.raises(UsageError, match="no zone"):
                    ask(one, other)


class TestLinearErrors:
    def test_offsets_are_normal(self) -> None:
        a, b = joules(8.0, Error("a", 3.0)), joules(10.0, Error("b", 4.0))
        assert p_better(a, b) == pytest.approx(0.5 * (1 + math.erf(2.0 / 5.0 / math.sqrt(2))))

    def test_an_offset_of_one_name_does_not_cancel_and_a_gain_does(self) -> None:
        offset, gain = Error("m", 2.0), Error("m", 2.0, gain=True)
        a, b = joules(9.0, offset), joules(10.0, offset)
        assert p_better(a, b) == pytest.approx(0.5 * (1 + math.erf(1.0 / math.hypot(2.0, 2.0) / math.sqrt(2))))
        assert p_better_drawn(a, b) == pytest.approx(p_better(a, b), abs=5e-3)
        assert p_better(joules(10.0, gain), joules(10.0, gain)) == 0.5
        assert p_better(joules(9.0, Error("m", 0.9, gain=True)), joules(10.0, Error("m", 1.0, gain=True))) > 1 - 1e-9

    @pytest.mark.parametrize("small", [1e-2, 1e-4, 1e-9])
    def test_a_small_part_of_either_kind_changes_little(self, small: float) -> None:
        sure = 0.5 * (1 + math.erf(math.log(1.1) / 0.1 / math.sqrt(2)))
        factor, offset = Error("f", 0.1, log=True), Error("o", 0.1)
        a, b = joules(1.0, factor, Error("o", small)), joules(1.1)
        assert p_better(a, b) == pytest.approx(sure, abs=small)
        sure = 0.5 * (1 + math.erf(0.1 / 0.1 / math.sqrt(2)))
        assert p_better(joules(1.0, offset, Error("f", small, log=True)), b) == pytest.approx(sure, abs=small)

    @pytest.mark.parametrize("seed", range(5))
    def test_factors_and_offsets_together_as_drawn(self, seed: int) -> None:
        """Drawn here by hand: a factor that moves one twice as far as the other, and a factor and an offset of each."""
        rng = random.Random(seed)
        values = [rng.uniform(1.0, 2.0), rng.uniform(1.0, 2.0)]
        factors, offsets = ([rng.uniform(0.0, scale) for _ in range(2)] for scale in (0.3, 0.6))
        common = [0.15, 0.3]
        a, b = (
            joules(
                v,
                Error(f"f{i}", v * factors[i], log=True),
                Error(f"o{i}", offsets[i]),
                Error("g", v * common[i], gain=True, log=True),
            )
            for i, v in enumerate(values)
        )
        wins, n = 0, 30_000
        for _ in range(n):
            g = rng.gauss()
            one, other = (
                (v * math.exp(factors[i] * rng.gauss()) + offsets[i] * rng.gauss()) * math.exp(common[i] * g)
                for i, v in enumerate(values)
            )
            wins += one < other
        assert p_better(a, b) == pytest.approx(wins / n, abs=0.02)
        assert p_better_drawn(a, b, n) == pytest.approx(wins / n, abs=0.02)


class TestEdges:
    def test_without_errors_it_is_decided(self) -> None:
        assert [p_better(joules(a), joules(b)) for a, b in ((1.0, 2.0), (2.0, 1.0), (1.0, 1.0), (0.0, 0.0))] == [
            1.0,
            0.0,
            0.5,
            0.5,
        ]
        assert p_better_drawn(joules(1.0), joules(1.0), 10) == 0.5

    def test_nothing_against_something(self) -> None:
        assert p_better(joules(0.0), known_to(1.0, "J", "measured", gsd=3.0, source="a")) == 1.0
        nothing = joules(0.0, Error("share", 1.0, log=True))
        assert p_better(nothing, joules(1.0)) == pytest.approx(0.8413, abs=1e-4)

    @pytest.mark.parametrize(("one", "other"), [(-1.0, -2.0), (-1.0, 2.0), (1.0, -2.0), (0.0, 1.0)])
    def test_remainders_may_be_negative(self, one: float, other: float) -> None:
        a, b = joules(one, Error("fa", one * 0.2, log=True)), joules(other, Error("fb", other * 0.2, log=True))
        assert p_better(a, b) == pytest.approx(p_better_drawn(a, b), abs=5e-3)
        c = joules(other, Error("fb", other * 0.2, log=True), Error("o", 0.8))
        assert p_better(a, c) == pytest.approx(p_better_drawn(a, c), abs=2e-2)
