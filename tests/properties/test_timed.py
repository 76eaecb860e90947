"""Each number of a run at the intensity of its own hours: the accounts are the total, however hours are cut."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from greengen.accounting.carbon import Footprint, Site
from greengen.accounting.hour import Hour
from greengen.accounting.hours import epoch_offset_ns
from greengen.accounting.ledger import Ledger, build
from greengen.quantity import Quantity
from tests.properties.strategies import FEW, Case, cases


def hours(ledger: Ledger, cuts: list[int], values: list[int]) -> tuple[Hour, ...]:
    """Values over all of a run, and cut at some thousandths of it."""
    edges = [
        int(edge) + epoch_offset_ns(chapter)
        for chapter in ledger.chapters
        for entries in chapter.totalled
        for edge in entries.books.grid.edges[[0, -1]]
    ]
    first, last = min(edges), max(edges)
    borders = sorted({first, last + 1, *(first + (last - first) * cut // 1000 for cut in cuts)})
    return tuple(
        Hour(a, b, Quantity(float(value), "g/kWh", "declared", basis="average"))
        for a, b, value in zip(borders, borders[1:], values, strict=False)
    )


@FEW
@given(cases(), st.lists(st.integers(1, 999), max_size=5), st.lists(st.integers(1, 900), min_size=6, max_size=6))
def test_accounts_and_spans_are_the_total(case: Case, cuts: list[int], values: list[int]) -> None:
    ledger = build(case.rows)
    if not any(e.books.grid.known_s for chapter in ledger.chapters for e in chapter.totalled):
        return
    footprint = Footprint(ledger, Site(hourly=hours(ledger, cuts, values)))
    total = footprint.total().value or 0.0
    told = [footprint[chapter.table.rows[i].uid] for chapter, i in ledger]
    told += [footprint.of(lambda part, name=name: part.account(name)) for name in ("idle", "overhead", "other")]  # type: ignore[misc]
    assert math.isclose(math.fsum(q.value or 0.0 for q in told), total, rel_tol=1e-6, abs_tol=1e-9)


@FEW
@given(cases(), st.lists(st.integers(1, 999), max_size=5), st.integers(1, 900))
def test_where_all_hours_are_alike_it_is_as_if_there_were_none(case: Case, cuts: list[int], value: int) -> None:
    ledger = build(case.rows)
    if not any(e.books.grid.known_s for chapter in ledger.chapters for e in chapter.totalled):
        return
    by_hour = Footprint(ledger, Site(hourly=hours(ledger, cuts, [value] * 6)))
    flat = Footprint(ledger, Site(Quantity(float(value), "g/kWh", "declared", basis="average")))
    for chapter, i in ledger:
        uid = chapter.table.rows[i].uid
        here, there = by_hour[uid], flat[uid]
        assert (here.known, here.basis) == (there.known, there.basis)
        assert math.isclose(here.value or 0.0, there.value or 0.0, rel_tol=1e-9, abs_tol=1e-12)
        assert math.isclose(here.high or 0.0, there.high or 0.0, rel_tol=1e-9, abs_tol=1e-12)
