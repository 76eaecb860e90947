"""Law 7: a sum is as weak as its weakest part and says its shares; a product keeps its energy's grade."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from greengen.accounting.carbon import Footprint, Site, declared_intensity
from greengen.accounting.ledger import QUIET_ACCOUNTS, build
from greengen.quantity import Grade, Quantity, total
from tests.properties.strategies import FEW, Case, cases

#: Weaker and weaker.
WEAKNESS: dict[Grade, int] = {"measured": 0, "attributed": 1, "modelled": 2, "declared": 3}
JOULES = st.integers(0, 4000).map(lambda quarters: quarters / 4)


@given(st.lists(st.tuples(JOULES, st.sampled_from(list(WEAKNESS))), min_size=1, max_size=8))
def test_a_sum_is_as_weak_as_its_weakest_part(parts: list[tuple[float, Grade]]) -> None:
    added = total([Quantity(value, "J", grade) for value, grade in parts], "J")
    assert added.grade is not None
    assert WEAKNESS[added.grade] == max(WEAKNESS[grade] for _, grade in parts)
    whole = math.fsum(value for value, _ in parts)
    for grade in WEAKNESS:
        share = math.fsum(value for value, g in parts if g == grade)
        assert math.isclose(added.shares.get(grade, 0.0), share / whole if whole else 0.0, abs_tol=1e-12)


@given(st.lists(st.tuples(JOULES, st.sampled_from(list(WEAKNESS))), min_size=3, max_size=8), st.integers(1, 7))
def test_sums_of_sums_tell_the_same_shares(parts: list[tuple[float, Grade]], at: int) -> None:
    found = [Quantity(value, "J", grade) for value, grade in parts]
    at = min(at, len(found) - 1)
    nested, flat = total(found[:at], "J") + total(found[at:], "J"), total(found, "J")
    assert nested.grade == flat.grade
    assert nested.shares.keys() == flat.shares.keys()
    assert all(math.isclose(nested.shares[grade], flat.shares[grade]) for grade in flat.shares)


@FEW
@given(cases(most_boots=2))
def test_a_share_of_a_modelled_total_stays_modelled(case: Case) -> None:
    ledger = build(case.rows)
    for chapter in ledger.chapters:
        for entries in chapter.entries:
            grade = entries.books.domain.grade
            accounts = [entries.account(name) for name in QUIET_ACCOUNTS]
            accounts += [entries.spans(chapter.table.owner[i : i + 1], "a") for i in range(len(chapter.table.owner))]
            shared = "attributed" if grade == "measured" else "modelled"
            assert {quantity.grade for quantity in accounts if quantity.known} <= {shared}
            assert entries.energy().grade == (grade if entries.energy().known else None)
    modelled = math.fsum(
        e.books.total_j for c in ledger.chapters for e in c.totalled if e.books.domain.grade == "modelled"
    )
    whole = ledger.total()
    if whole.value:
        assert math.isclose(whole.shares.get("modelled", 0.0), modelled / whole.value, abs_tol=1e-9)


@FEW
@given(cases(), st.integers(0, 900), st.none() | st.integers(100, 200))
def test_a_product_keeps_its_grade_and_lists_its_factors(case: Case, g_per_kwh: int, percent: int | None) -> None:
    pue = None if percent is None else percent / 100
    site = Site(declared_intensity(g_per_kwh).intensity, "me", pue=pue)
    footprint = Footprint(build(case.rows), site)
    energy, carbon = footprint.ledger.total(), footprint.total()
    assert carbon.grade == energy.grade
    if carbon.known:
        for grade, share in carbon.shares.items():
            assert math.isclose(share, energy.shares[grade])
        factors = {factor.name: (factor.value, factor.grade) for factor in carbon.factors}
        assert factors == {"grid intensity": (g_per_kwh, "declared")} | ({"PUE": (pue, "declared")} if pue else {})
