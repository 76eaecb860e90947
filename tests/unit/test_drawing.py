"""Monte-Carlo on demand, and the tornado: the arithmetic of a result done over draws of its sources."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from greengen.accounting.drawing import Drawn, draw
from greengen.accounting.tornado import tornado
from greengen.errors import UsageError
from greengen.quantity import Z95, Error, Quantity, known_to, ranging, total

FEW = 20_000


def worked_example(embodied_gsd: float = 1.7) -> Quantity:
    """carbon.md 3: E 0.001 kWh (1.05), PUE 1.2 (1.03), I 384.4 (1.10), M 0.05 g (1.7)."""
    energy = known_to(0.001, "kWh", "measured", gsd=1.05, source="E")
    pue = known_to(1.2, "", "declared", gsd=1.03, source="PUE")
    grid = known_to(384.4, "g/kWh", "declared", gsd=1.10, source="I")
    embodied = known_to(0.05, "g", "declared", gsd=embodied_gsd, source="M")
    facility = energy.times(pue, "PUE", unit="kWh")
    return facility.times(grid, "grid intensity", unit="g") + embodied


def alike(one: Drawn, other: Drawn) -> bool:
    return bool(np.array_equal(one.values, other.values))


class TestDraws:
    @pytest.mark.parametrize("seed", range(3))
    def test_the_worked_example(self, seed: int) -> None:
        """carbon.md 3: median 0.5175, mean 0.5219, [0.415, 0.655] to 1 %, where first order says 0.51128 g."""
        carbon = worked_example()
        assert carbon.value == pytest.approx(0.51128)
        assert (carbon.low, carbon.high) == pytest.approx((0.4098, 0.6379), abs=5e-5)
        drawn = draw(carbon, seed=seed)
        assert drawn.median == pytest.approx(0.5175, rel=0.01)
        assert drawn.mean == pytest.approx(0.5219, rel=0.01)
        assert (drawn.low, drawn.high) == pytest.approx((0.415, 0.655), rel=0.01)
        assert drawn.unit == "g"

    def test_while_every_gsd_is_small_first_order_does(self) -> None:
        carbon = worked_example(embodied_gsd=1.2)
        drawn = draw(carbon)
        assert drawn.low == pytest.approx(carbon.low, rel=0.01)
        assert drawn.high == pytest.approx(carbon.high, rel=0.01)

    def test_the_same_seed_draws_the_same(self) -> None:
        carbon = worked_example()
        assert alike(draw(carbon, FEW, seed=1), draw(carbon, FEW, seed=1))
        assert not alike(draw(carbon, FEW, seed=1), draw(carbon, FEW, seed=2))

    def test_nothing_depends_on_the_order_or_on_what_else_is_drawn(self) -> None:
        carbon, more = worked_example(), known_to(1.0, "g", "declared", gsd=1.2, source="more")
        assert np.allclose(draw(carbon + more, FEW).values, draw(more + carbon, FEW).values, rtol=1e-12)
        apart = draw(carbon, FEW).values + draw(more, FEW).values
        assert np.allclose(draw(carbon + more, FEW).values, apart, rtol=1e-12)

    def test_a_source_is_drawn_once_wherever_it_is_met(self) -> None:
        grid = known_to(300.0, "g/kWh", "declared", gsd=1.3, source="grid")
        one, other = (Quantity(kwh, "kWh", "measured").times(grid, "grid intensity", unit="g") for kwh in (1.0, 2.0))
        ratio = draw(one / other, FEW)
        assert (ratio.low, ratio.high) == pytest.approx((0.5, 0.5))
        assert draw(one - one, FEW).high == 0.0
        assert draw(one + other, FEW).high == pytest.approx(900.0 * 1.3**Z95, rel=0.02)

    def test_what_is_no_common_factor_does_not_cancel_in_a_ratio(self) -> None:
        """An offset of one name on both sides: each side has its own (law 8)."""
        one, other = (Quantity(v, "J", "measured", (Error("offset", v * 0.01),)) for v in (10.0, 20.0))
        ratio = one / other
        drawn = draw(ratio)
        assert drawn.high - drawn.low == pytest.approx((ratio.high or 0.0) - (ratio.low or 0.0), rel=0.01)
        assert drawn.high - drawn.low == pytest.approx(2 * Z95 * 0.5 * 0.01 * math.sqrt(2), rel=0.01)

    def test_a_range_is_drawn_evenly(self) -> None:
        """carbon.md 3: a lifetime of 3 to 6 years; M of 300 g over it is within 50 and 100 g/y."""
        years = ranging(3.0, 6.0, "y", "declared", source="lifetime")
        assert years.value == 4.5
        drawn = draw(years)
        assert float(drawn.values.min()) >= 3.0
        assert float(drawn.values.max()) <= 6.0
        assert (drawn.low, drawn.high) == pytest.approx((3.075, 5.925), abs=0.01)
        yearly = draw(Quantity(300.0, "g", "declared") / years)
        assert yearly.median == pytest.approx(300.0 / 4.5, rel=0.01)
        assert yearly.mean == pytest.approx(100.0 * math.log(2.0), rel=0.01)

    def test_energy_does_not_reach_below_0_but_a_difference_does(self) -> None:
        wide = Quantity(1.0, "J", "measured", (Error("a", 2.0),))
        assert draw(wide, FEW).low == 0.0
        assert draw(wide - Quantity(0.0, "J", "measured"), FEW).low == pytest.approx(1.0 - Z95 * 2.0, rel=0.05)

    def test_a_sum_in_a_loop_is_no_tower(self) -> None:
        parts = [Quantity(1.0, "J", "measured", (Error("gain", 0.1, gain=True),)) for _ in range(3000)]
        chain = parts[0]
        for part in parts[1:]:
            chain = chain + part
        doubled = parts[0]
        for _ in range(60):
            doubled = doubled + doubled
        for result in (chain, total(parts, "J"), doubled):
            drawn = draw(result, 100)
            assert np.allclose(drawn.values / (result.value or 0.0), draw(parts[0], 100).values)

    def test_a_number_that_was_replaced_is_a_source_of_its_own(self) -> None:
        """Not drawn from what it was computed of: it is that no longer."""
        carbon = worked_example()
        sure = replace(carbon, errors=())
        assert (draw(sure, FEW).low, draw(sure, FEW).high) == (carbon.value, carbon.value)
        told = draw(replace(carbon, value=1.0), FEW)
        assert told.median == pytest.approx(1.0, rel=0.01)
        assert alike(draw(replace(carbon, note="x"), FEW), draw(carbon, FEW))

    def test_what_is_missing_is_not_drawn(self) -> None:
        with pytest.raises(UsageError, match="no counter"):
            draw(Quantity.missing("J", "no counter"))
        with pytest.raises(UsageError, match="pass 2 or more"):
            draw(worked_example(), 1)


class TestTornado:
    def test_the_worked_example(self) -> None:
        """By hand: each source alone at ×/÷ GSD^1.96, the widest first."""
        swings = tornado(worked_example())
        assert [swing.source for swing in swings] == ["I", "M", "E", "PUE"]
        gsd = {"E": 1.05, "PUE": 1.03, "I": 1.10, "M": 1.7}
        for swing in swings:
            moved, rest = (0.05, 0.46128) if swing.source == "M" else (0.46128, 0.05)
            assert swing.low == pytest.approx(rest + moved / gsd[swing.source] ** Z95)
            assert swing.high == pytest.approx(rest + moved * gsd[swing.source] ** Z95)
        assert sum(swing.share for swing in swings) == pytest.approx(1.0)

    def test_what_cancels_is_not_in_it(self) -> None:
        carbon = worked_example()
        assert tornado(carbon / carbon) == ()
        assert tornado(Quantity(1.0, "J", "measured")) == ()
        kwh = known_to(2.0, "kWh", "measured", gsd=1.02, source="E2")
        other = kwh.times(known_to(384.4, "g/kWh", "declared", gsd=1.10, source="I"), "grid intensity", unit="g")
        assert "I" not in {swing.source for swing in tornado(other / other.times(kwh, "x", unit="g"))}

    def test_less_of_a_divisor_is_more(self) -> None:
        rate = Quantity(10.0, "g", "declared") / ranging(3.0, 6.0, "y", "declared", source="lifetime")
        [swing] = tornado(rate)
        assert (swing.low, swing.high) == pytest.approx((10 / 5.925, 10 / 3.075))
        assert swing.low < (rate.value or 0.0) < swing.high
        assert tornado(rate / rate) == ()

    def test_what_each_side_of_a_ratio_has_of_its_own_adds_in_quadrature(self) -> None:
        one, other = (Quantity(v, "J", "measured", (Error("offset", v * 0.001),)) for v in (10.0, 20.0))
        [swing] = tornado(one / other)
        assert swing.width == pytest.approx(2 * Z95 * 0.5 * 0.001 * math.sqrt(2), rel=1e-3)

    def test_energy_does_not_reach_below_0_but_a_difference_does(self) -> None:
        wide, none = Quantity(1.0, "J", "measured", (Error("a", 2.0),)), Quantity(0.0, "J", "measured")
        assert [swing.low for swing in tornado(wide)] == [0.0]
        assert [swing.low for swing in tornado(wide - none)] == pytest.approx([1.0 - Z95 * 2.0])

    def test_of_what_is_missing_there_is_none(self) -> None:
        with pytest.raises(UsageError, match="no counter"):
            tornado(Quantity.missing("J", "no counter"))


def test_a_quantity_needs_no_numpy() -> None:
    program = (
        "import sys, greengen\nq = greengen.Quantity(1.0, 'J', 'measured')\nprint((q + q) / q, 'numpy' in sys.modules)"
    )
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert child.stdout.split()[-1] == "False"
