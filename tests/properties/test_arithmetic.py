"""Laws 7, 8 and 10 over generated arithmetic: errors to first order, over draws, and one at a time."""

from __future__ import annotations

import json
import math
import random
from collections import defaultdict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greengen.accounting.comparing import compare, p_better
from greengen.accounting.drawing import Floats, Source, computed, draw
from greengen.accounting.tornado import tornado
from greengen.basis import Basis
from greengen.errors import KindMismatchError
from greengen.quantity import GRADES, Z95, Error, Grade, Quantity, known_to, total
from tests.properties.expressions import (
    COMMON,
    KINDS,
    Expression,
    Leaf,
    Node,
    drawn,
    dual,
    expressions,
    leaves,
    quantity,
)

ANY = expressions("sum", "product", "ratio", "scaled")
WITHOUT_RATIO = expressions("sum", "product", "scaled")
#: These look at more with each example.
HALF = settings(max_examples=50)

VALUES = st.integers(1, 400).map(lambda quarters: quarters / 4)
GSDS = st.integers(101, 200).map(lambda percent: percent / 100)


@given(WITHOUT_RATIO)
def test_first_order_is_the_derivative(expression: Expression) -> None:
    """Common, offset and workload parts alike add linearly within one source, signs and all."""
    value, moves = dual(expression)
    found = quantity(expression)
    assert found.value == pytest.approx(float(value), rel=1e-12)
    sigmas = {error.name: error.sigma for error in found.errors}
    assert sigmas == pytest.approx({name: float(move) for name, move in moves.items()}, rel=1e-9, abs=1e-9 * value)


@given(ANY)
def test_of_a_common_factor_it_is_so_in_ratios_too(expression: Expression) -> None:
    value, moves = dual(expression)
    sigmas = {error.name: error.sigma for error in quantity(expression).errors if error.gain}
    common = {name: float(move) for name, move in moves.items() if name in COMMON}
    assert sigmas == pytest.approx(common, rel=1e-9, abs=1e-9 * float(value))


@given(leaves(), leaves(), VALUES)
def test_a_common_factor_of_both_cancels_and_nothing_else_does(a: Leaf, b: Leaf, gain: float) -> None:
    errors = [quantity(leaf).errors for leaf in (a, b)]
    own = {name: [dict(leaf.moves).get(name, 0) / 1024 for leaf in (a, b)] for name in ("offset", "factor")}
    shared = [Error("shared", float(leaf.value) * gain, gain=True) for leaf in (a, b)]
    one, other = (
        Quantity(float(leaf.value), "J", "measured", (*found, extra), signed=True)
        for leaf, found, extra in zip((a, b), errors, shared, strict=True)
    )
    ratio = {error.name: error.sigma for error in (one / other).errors}
    value = float(a.value / b.value)
    assert ratio["shared"] == pytest.approx(0.0, abs=1e-12 * value * gain)
    for name, moves in own.items():
        assert ratio.get(name, 0.0) == pytest.approx(value * math.hypot(*moves), rel=1e-9)


@HALF
@given(st.lists(st.tuples(VALUES, st.frozensets(st.sampled_from("abcd"))), min_size=1, max_size=6), st.data())
def test_a_sum_of_products_with_shared_factors(parts: list[tuple[float, frozenset[str]]], data: st.DataObject) -> None:
    """carbon.md 3: ln² GSD_C = Σ_i (Σ_k s_k d_ki)² ln² GSD_i, i over the distinct factors."""
    gsd = {name: data.draw(GSDS, label=name) for name in "abcd"}
    grams = []
    for value, names in parts:
        product = Quantity(value, "g", "measured")
        for name in sorted(names):
            product = product.times(known_to(1.0, "", "declared", gsd=gsd[name], source=name), name, unit="g")
        grams.append(product)
    carbon = total(grams, "g")
    whole = math.fsum(value for value, _ in parts)
    ln2 = math.fsum(
        (math.fsum(value / whole for value, names in parts if name in names) * math.log(gsd[name])) ** 2
        for name in "abcd"
    )
    assert carbon.high == pytest.approx(whole * math.exp(Z95 * math.sqrt(ln2)))
    assert carbon.low == pytest.approx(whole * math.exp(-Z95 * math.sqrt(ln2)))


class Told:
    """Scores of the sources, told by seed: each (name, side) has one."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.scores: dict[tuple[str, str], float] = defaultdict(lambda: rng.uniform(-2.0, 2.0))

    def __call__(self, source: Source) -> Floats:
        return np.array([self.scores[source.name, source.side]])


@given(ANY, st.integers(0, 9))
def test_draws_do_the_same_arithmetic(expression: Expression, seed: int) -> None:
    told = Told(seed)
    found = computed(quantity(expression), told)
    assert found == pytest.approx(drawn(expression, told.scores), rel=1e-9)


@given(ANY)
def test_where_no_source_is_off_the_draw_is_the_value(expression: Expression) -> None:
    value = computed(quantity(expression), lambda _: np.zeros(1))
    assert value == pytest.approx(float(dual(expression)[0]), rel=1e-12)


@given(WITHOUT_RATIO)
def test_a_tornado_moves_one_source_at_a_time(expression: Expression) -> None:
    found = quantity(expression)
    swings = {swing.source: swing for swing in tornado(found)}
    widths = [swing.width for swing in tornado(found)]
    assert widths == sorted(widths, reverse=True)
    at_rest = {(name, ""): 0.0 for name in (error.name for error in found.errors)}
    for key in at_rest:
        ends = [drawn(expression, at_rest | {key: z}) for z in (-Z95, Z95)]
        if abs(ends[1] - ends[0]) <= 1e-9 * abs(found.value or 0.0):
            continue  # it moves the result both ways, or not at all
        swing = swings[key[0]]
        assert (swing.low, swing.high) == pytest.approx((min(ends), max(ends)), rel=1e-9)
    if swings:
        assert math.fsum(swing.share for swing in swings.values()) == pytest.approx(1.0)


@HALF
@given(leaves(), leaves())
def test_of_two_one_is_the_smaller(a: Leaf, b: Leaf) -> None:
    """P(a < b) + P(b < a) = 1; the smaller value is the likelier; a common factor and the unit have no say."""
    one, other = (Quantity(q.value, "J", "measured", q.errors) for q in (quantity(a), quantity(b)))
    found = p_better(one, other)
    assert found == pytest.approx(1.0 - p_better(other, one), abs=1e-9)
    assert (found > 0.5) == (a.value < b.value) or found == pytest.approx(0.5, abs=1e-9)
    assert p_better(one.to("kWh"), other.to("mJ")) == pytest.approx(found, abs=1e-9)
    grid = known_to(350.0, "g/kWh", "declared", gsd=3.0, source="grid")
    grams = [q.to("kWh").times(grid, "grid intensity", unit="g") for q in (one, other)]
    assert p_better(*grams) == pytest.approx(found, abs=1e-9)


@given(VALUES, VALUES, GSDS, GSDS)
def test_it_is_97_5_percent_sure_where_the_ratios_interval_ends_at_1(
    a: float, b: float, one: float, other: float
) -> None:
    compared = compare(
        known_to(a, "g", "measured", gsd=one, source="a"), known_to(b, "g", "measured", gsd=other, source="b")
    )
    assert compared.ratio.high is not None
    assert compared.p_better is not None
    if not math.isclose(compared.ratio.high, 1.0):
        assert (compared.ratio.high < 1.0) == (compared.p_better > 0.975)


@pytest.mark.parametrize("seed", range(3))
def test_small_errors_are_drawn_as_first_order_has_them(seed: int) -> None:
    """A ratio of sums of products, all kinds of sources: the draws' spread against the first-order one."""
    rng = random.Random(seed)

    def leaf() -> Leaf:
        return Leaf(Fraction(rng.randint(4, 40), 4), tuple((name, rng.randint(-20, 20)) for name in KINDS))

    product = Node("product", (leaf(), leaf()))
    found = quantity(Node("ratio", (Node("sum", (product, leaf())), leaf())))
    spread = float(draw(found, 50_000, seed=seed).values.std())
    first = math.sqrt(math.fsum(error.sigma**2 for error in found.errors))
    assert spread == pytest.approx(first, rel=0.03)


@HALF
@given(st.lists(st.tuples(VALUES, st.sampled_from(GRADES), VALUES), min_size=1, max_size=6))
def test_a_sum_of_products_has_the_grades_of_its_energies(parts: list[tuple[float, Grade, float]]) -> None:
    """Law 7: whatever the grades of the factors, which are listed."""
    grams = [
        Quantity(value, "kWh", grade).times(Quantity(g, "g/kWh", "declared"), f"grid {g}", unit="g")
        for value, grade, g in parts
    ]
    carbon = total(grams, "g")
    assert carbon.grade == max((grade for _, grade, _ in parts), key=GRADES.index)
    whole = math.fsum(value * g for value, _, g in parts)
    for grade in GRADES:
        share = math.fsum(value * g for value, other, g in parts if other == grade) / whole
        assert carbon.shares.get(grade, 0.0) == pytest.approx(share)
    assert {factor.name for factor in carbon.factors} == {f"grid {g}" for _, _, g in parts}
    assert {factor.grade for factor in carbon.factors} == {"declared"}


@HALF
@given(ANY, st.sampled_from([("J", "kWh"), ("g", "kg"), ("s", "h"), ("g/kWh", "lb/MWh"), ("L", "mL")]))
def test_a_unit_changes_neither_the_interval_nor_the_grade(expression: Expression, units: tuple[str, str]) -> None:
    unit, to = units
    found = quantity(expression)
    one = Quantity(found.value, unit, found.grade, found.errors)
    back = one.to(to).to(unit)
    assert one.to(to).unit == to
    assert (back.value, back.low, back.high) == pytest.approx((one.value, one.low, one.high), rel=1e-12)
    ratio = one.to(to) / one
    assert ratio.unit == f"{to}/{unit}"
    assert back.grade == one.grade


@HALF
@given(ANY, st.builds(Basis, kind=st.sampled_from(["average", "marginal_short"]), losses=st.sampled_from(["in", None])))
def test_json_there_and_back(expression: Expression, basis: Basis) -> None:
    found = quantity(expression)
    grid = known_to(300.0, "g/kWh", "declared", gsd=1.1, source="grid", basis=str(basis))
    grams = Quantity(found.value, "kWh", "attributed", found.errors, note="n").times(
        grid, "grid intensity", unit="g", source="s"
    )
    told = json.loads(json.dumps(grams.as_dict(), allow_nan=False))
    assert told == grams.as_dict()
    assert (told["value"], told["low"], told["high"]) == (grams.value, grams.low, grams.high)
    assert told["low"] <= told["value"] <= told["high"]
    assert (told["unit"], told["grade"], told["note"]) == ("g", "attributed", "n")
    assert Basis.parse(told["basis"]) == basis
    assert told["factors"] == [
        {"name": "grid intensity", "value": 300.0, "unit": "g/kWh", "grade": "declared", "source": "s"}
    ]


STATED = st.builds(
    Basis,
    kind=st.sampled_from([None, "average", "marginal_short", "marginal_long"]),
    scope=st.sampled_from([None, "lifecycle", "direct"]),
    accounting=st.sampled_from([None, "location", "market"]),
    side=st.sampled_from([None, "generation", "consumption"]),
    losses=st.sampled_from([None, "in", "out"]),
    also=st.sampled_from([(), ("static capacity-share 0.5",)]),
)


@given(STATED)
def test_a_basis_is_read_as_it_is_told(basis: Basis) -> None:
    assert Basis.parse(str(basis)) == basis
    shuffled = "; ".join(reversed(str(basis).split("; ")))
    assert not basis.differences(Basis.parse(shuffled))


@HALF
@given(st.lists(STATED, min_size=2, max_size=4))
def test_what_differs_in_anything_does_not_mix(bases: list[Basis]) -> None:
    """Law 10, over all attributes: alike or an error that names the first attribute they differ in."""
    grams = [Quantity(1.0, "g", "modelled", basis=str(basis) or None) for basis in bases]
    if len(set(bases)) == 1:
        assert total(grams, "g").value == float(len(bases))
        assert (grams[0] / grams[1]).value == 1.0
        return
    with pytest.raises(KindMismatchError, match="Recompute both on one basis"):
        total(grams, "g")
    one, other = next((a, b) for a in bases for b in bases if a != b)
    names = [
        name for name in ("kind", "scope", "accounting", "side", "losses") if getattr(one, name) != getattr(other, name)
    ]
    told = "; ".join(one.differences(other))
    assert all(f"{name} is " in told for name in names)
