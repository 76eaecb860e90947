"""Law 10: kinds do not mix: adding or comparing across them is an error that says so."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greengen.accounting.carbon import Footprint, Site
from greengen.accounting.ledger import build
from greengen.errors import KindMismatchError, UsageError
from greengen.quantity import Quantity, convert, total
from tests.properties.strategies import FEW, Case, cases

BASES = (
    "average; lifecycle; location-based",
    "marginal; lifecycle; location-based",
    "average; direct; location-based",
    "average; lifecycle; market-based",
    None,
)
UNITS = {"J": "energy", "kWh": "energy", "g": "mass", "kg": "mass", "W": "power", "s": "time", "ms": "time"}
PAIRS = list(itertools.permutations(BASES, 2))


def grams(basis: str | None, unit: str = "g") -> Quantity:
    return Quantity(1.0, unit, "modelled", basis=basis)


@given(st.lists(st.sampled_from(BASES), min_size=2, max_size=5), st.booleans())
def test_a_sum_is_of_one_basis(bases: list[str | None], skip: bool) -> None:  # noqa: FBT001 -- a generated input
    parts = [grams(basis) for basis in bases]
    if len(set(bases)) == 1:
        assert total(parts, "g", skip_missing=skip).basis == bases[0]
        return
    with pytest.raises(KindMismatchError, match="basis"):
        total(parts, "g", skip_missing=skip)


@pytest.mark.parametrize("combine", [operator.add, operator.sub, operator.truediv])
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_two_bases_are_neither_added_nor_subtracted_nor_compared(
    combine: Callable[[Quantity, Quantity], Quantity], one: str | None, other: str | None
) -> None:
    with pytest.raises(KindMismatchError, match="basis"):
        combine(grams(one), grams(other))


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_another_unit_of_the_same_kind_does_not_hide_the_basis(one: str | None, other: str | None) -> None:
    with pytest.raises(KindMismatchError, match="basis"):
        _ = grams(one) / grams(other, "kg")


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_rates_of_two_bases_do_not_mix_either(one: str | None, other: str | None) -> None:
    """Grams per token keep the kind of the grams."""
    tokens = Quantity(10.0, "token", "declared")
    rates = [grams(basis) / tokens for basis in (one, other)]
    assert [rate.basis for rate in rates] == [one, other]
    with pytest.raises(KindMismatchError, match="basis"):
        total(rates, "g/token")
    with pytest.raises(KindMismatchError, match="basis"):
        _ = rates[0] / rates[1]


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(UNITS, 2)))
def test_units_are_not_added_and_only_those_of_one_kind_converted(one: str, other: str) -> None:
    with pytest.raises(KindMismatchError, match="convert"):
        _ = Quantity(1.0, one, "measured") + Quantity(1.0, other, "measured")
    if UNITS[one] == UNITS[other]:
        assert convert(convert(3.0, one, other), other, one) == pytest.approx(3.0)
        return
    with pytest.raises(UsageError, match="not units of one kind"):
        convert(1.0, one, other)


def test_a_bare_number_is_of_no_kind() -> None:
    joules = Quantity(1.0, "J", "measured")
    assert sum([joules, joules]) == joules.scaled(2.0)
    for number in (1, 5, 2.0):
        with pytest.raises(TypeError):
            _ = joules + number  # type: ignore[operator]


@FEW
@given(cases())
def test_footprints_on_two_bases_do_not_mix(case: Case) -> None:
    ledger = build(case.rows)
    carbon = [Footprint(ledger, Site(Quantity(100.0, "g/kWh", "declared", basis=basis))).total() for basis in BASES[:2]]
    if carbon[0].known:
        with pytest.raises(KindMismatchError, match="marginal"):
            _ = carbon[0] + carbon[1]
        with pytest.raises(KindMismatchError, match="marginal"):
            _ = carbon[0] / carbon[1]
