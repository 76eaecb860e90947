"""Exact mode: whole nanojoules that sum to the meter's, each within one per cell of what the policy says."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greengen.accounting.books import Books, Exact
from greengen.accounting.choice import IDLE_RULES, IdleRule, Plan
from greengen.accounting.curves import NJ
from greengen.accounting.exact import largest_remainder
from greengen.accounting.ledger import build
from greengen.collector import Domain
from greengen.rows import ProcessRow, Rows, Segment, Series, SpanRow, Timeline
from tests.properties import oracle, policy_oracle, told
from tests.properties.serving import plans, prices, serving
from tests.properties.strategies import FEW, SECOND, Case

Counted = dict[tuple[str, str], dict[str, int]]


def exactly(plan: Plan) -> Plan:
    return replace(plan, exact=True)


def whole(book: Books) -> Exact:
    assert book.exact is not None
    return book.exact


def counted(book: Books) -> dict[str, int]:
    """nJ by account, idle energy that was given out included."""
    found = whole(book)
    spans = {row.uid: int(found.span_nj[i] + found.given_nj[i]) for i, row in enumerate(book.table.rows)}
    return spans | {"overhead": found.overhead_nj, "other": found.other_nj, "idle": found.idle_nj}


def every(rows: Rows, plan: Plan, window: tuple[int, int] | None = None) -> Counted:
    return {key: counted(book) for key, book in told.books(rows, window, plan).items()}


@FEW
@given(serving(), plans(), st.sampled_from(IDLE_RULES))
def test_accounts_sum_to_the_curve_exactly(case: Case, plan: Plan, idle: IdleRule) -> None:
    plan = replace(exactly(plan), idle=idle)
    for book in told.books(case.rows, None, plan).values():
        accounts = counted(book)
        assert sum(accounts.values()) == whole(book).total_nj
        assert min(accounts.values()) >= 0
        # Each stretch between two readings is rounded once.
        assert whole(book).total_nj == sum(round(Fraction(float(j)) * NJ) for j in book.curve.step_j)


@FEW
@given(serving(), plans())
def test_each_account_is_within_a_nanojoule_per_cell(case: Case, plan: Plan) -> None:
    books = told.books(case.rows, None, exactly(plan))
    for timeline, domain, stretches in case.domains():
        sharing = policy_oracle.sharing(timeline, plan.policy, prices(plan.given))
        truth = told.expected(oracle.book(timeline, domain, stretches, None, sharing))
        book = books[timeline.boot_id, domain.uid]
        # One for the remainder in each cell, and one for each end of a cell that was rounded.
        margin_nj = 3 * book.grid.energy_j.size + 1e-6
        for name, joules in truth.items():
            assert joules is None or abs(counted(book)[name] - joules * NJ) <= margin_nj, name


@given(serving(), plans(), st.data())
def test_a_cut_moves_an_account_by_a_nanojoule_at_most(case: Case, plan: Plan, data: st.DataObject) -> None:
    ends = [t for stretches in case.truth.values() for s in stretches for t in (s.t0_ns, s.t1_ns)] or [0]
    times = st.integers(min(ends) - SECOND, max(ends) + SECOND)
    a, b, c = sorted(data.draw(st.tuples(times, times, times)))
    frozen = replace(build(case.rows, policy=plan).plan, exact=True)
    together, *parts = (every(case.rows, frozen, window) for window in ((a, c), (a, b), (b, c)))
    for key, accounts in together.items():
        for name, energy_nj in accounts.items():
            assert abs(sum(part.get(key, {}).get(name, 0) for part in parts) - energy_nj) <= 1, name
        assert sum(sum(part.get(key, {}).values()) for part in parts) == sum(accounts.values())


@FEW
@given(serving(most_boots=2), plans(), st.randoms(use_true_random=False))
def test_the_order_of_rows_moves_no_nanojoule(case: Case, plan: Plan, random: Random) -> None:
    def mixed(timeline: Timeline) -> Timeline:
        return replace(timeline, spans=random.sample(timeline.spans, len(timeline.spans)))

    shuffled = replace(case.rows, timelines=[mixed(timeline) for timeline in case.rows.timelines])
    assert every(shuffled, exactly(plan)) == every(case.rows, exactly(plan))


@FEW
@given(serving(), plans())
def test_a_file_of_twins_gives_both_the_same(case: Case, plan: Plan) -> None:
    """Of two requests that differ in name only, the joules differ by a nanojoule per cell at most."""
    [timeline] = case.rows.timelines
    twins = [replace(span, uid=f"{span.uid}-twin", parent=None) for span in timeline.spans if span.kind == "request"]
    stints = [s._replace(span=f"{s.span}-twin") for s in timeline.stints]
    both = replace(timeline, spans=[*timeline.spans, *twins], stints=[*timeline.stints, *stints])
    alone = {span.uid for span in timeline.spans if span.parent is None}
    inside = {span.parent for span in timeline.spans}
    for book in told.books(replace(case.rows, timelines=[both]), None, exactly(plan)).values():
        accounts = counted(book)
        for twin in twins:
            uid = twin.uid.removesuffix("-twin")
            if uid in alone and uid not in inside:
                assert abs(accounts[uid] - accounts[twin.uid]) <= book.grid.energy_j.size


@given(st.lists(st.lists(st.floats(0, 1e6), min_size=1, max_size=6), min_size=1, max_size=5), st.data())
def test_largest_remainders(parts: list[list[float]], data: st.DataObject) -> None:
    """Against sorted fractions, one cell at a time."""
    cell_nj = data.draw(st.lists(st.integers(0, 10**9), min_size=len(parts), max_size=len(parts)))
    cell = np.repeat(np.arange(len(parts)), [len(some) for some in parts])
    flat = np.array([part for some in parts for part in some])
    found = largest_remainder(cell, flat, np.arange(flat.size), np.array(cell_nj)).tolist()
    for number, (some, energy_nj) in enumerate(zip(parts, cell_nj, strict=True)):
        given_nj = [found[i] for i in np.flatnonzero(cell == number)]
        total = sum(map(Fraction, some))
        if not total:
            continue
        assert sum(given_nj) == energy_nj
        for part, got in zip(some, given_nj, strict=True):
            assert abs(got - energy_nj * Fraction(part) / total) < 1 + Fraction(1, 10**6)
            assert part or not got


def requests(many: int) -> Rows:
    """So many requests of 0.5 s on average, about eight at once, under a GPU's counter."""
    rng = np.random.default_rng(5)
    start = np.sort(rng.integers(SECOND, SECOND + many * SECOND // 16, many))
    stop = start + rng.exponential(5e8, many).astype(np.int64)
    t_ns = np.arange(SECOND, int(stop.max()) + SECOND, 10**8)
    energy = np.concatenate(([0.0], np.cumsum(rng.uniform(5, 70, t_ns.size - 1))))
    spans = [
        SpanRow(f"b:1:1/{i}", "b:1:1", None, "request", a, b, model="m")
        for i, (a, b) in enumerate(zip(start.tolist(), stop.tolist(), strict=True))
    ]
    timeline = Timeline(
        "b",
        "host",
        domains=[Domain("c:gpu", "c", "gpu", "GPU", split_reason="none")],
        samples={"c:gpu": Series(t_ns.tolist(), energy.tolist(), [10**8] * t_ns.size)},
        spans=spans,
        processes=[ProcessRow("b:1:1", 1, "workload", int(t_ns[-1]), closed=True, lost_rows=0, command="x")],
        segments=[Segment("b:1:1/1", "b:1:1", int(t_ns[0]), int(t_ns[-1]), 0, {"own_process": True})],
    )
    return Rows({}, [timeline])


def test_many_requests_are_conserved_to_the_nanojoule() -> None:
    rows = requests(50_000)
    [book] = told.books(rows, None, Plan("equal", exact=True)).values()
    [floats] = told.books(rows, None, Plan("equal")).values()
    accounts = counted(book)
    assert (
        sum(accounts.values()) == whole(book).total_nj == pytest.approx(floats.total_j * NJ, abs=book.curve.t_ns.size)
    )
    np.testing.assert_allclose(book.span_j, floats.span_j, atol=1e-6, rtol=0)


@pytest.mark.parametrize("energy_j", [3e6, 4e9])
def test_a_cell_of_more_than_a_double_tells(energy_j: float) -> None:
    rows = requests(30)
    [timeline] = rows.timelines
    series = timeline.samples["c:gpu"]
    series.values[:] = [energy_j * i / len(series.values) for i in range(len(series.values))]
    [book] = told.books(rows, None, Plan("equal", exact=True)).values()
    assert sum(counted(book).values()) == whole(book).total_nj
