"""Law 1: the accounts of a domain sum to its curve, and each holds what its own definition says."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from tests.properties import oracle, told
from tests.properties.strategies import FEW, Case, cases


@given(cases())
def test_accounts_sum_to_the_energy_that_is_known(case: Case) -> None:
    books = told.books(case.rows)
    for timeline, domain, stretches in case.domains():
        truth = float(sum(s.joules for s in stretches if s.joules is not None))
        book = books[timeline.boot_id, domain.uid]
        booked = math.fsum(joules for joules in told.accounts(book).values() if joules is not None)
        assert abs(book.curve.total_j - truth) <= told.TOLERANCE * max(truth, 1.0)
        assert abs(booked - truth) <= told.TOLERANCE * max(truth, 1.0)


@given(cases())
def test_every_account_is_what_its_definition_says(case: Case) -> None:
    books = told.books(case.rows)
    for timeline, domain, stretches in case.domains():
        truth = oracle.book(timeline, domain, stretches)
        told.same(told.accounts(books[timeline.boot_id, domain.uid]), told.expected(truth), float(truth.total))


@given(cases(most_segments=1), st.data())
def test_so_it_is_within_a_window(case: Case, data: st.DataObject) -> None:
    for timeline, domain, stretches in case.domains():
        first, last = stretches[0].t0_ns, stretches[-1].t1_ns
        a, b = sorted(data.draw(st.tuples(*[st.integers(first, last)] * 2).filter(lambda ends: ends[0] != ends[1])))
        truth = oracle.book(timeline, domain, stretches, (a, b))
        book = told.books(case.rows, (a, b))[timeline.boot_id, domain.uid]
        told.same(told.accounts(book), told.expected(truth), float(truth.total))
        assert abs(book.total_j - float(truth.total)) <= told.TOLERANCE * max(float(truth.total), 1.0)


@FEW
@given(cases(most_boots=2))
def test_the_ledger_sums_to_its_domains(case: Case) -> None:
    """Over all that a total counts: spans, overhead, other and idle make it up."""
    from greengen.accounting.ledger import QUIET_ACCOUNTS, build

    ledger = build(case.rows)
    whole = ledger.total()
    if whole.value is None:
        return
    parts = [ledger.spans(lambda _: True, "all"), *(ledger.account(name) for name in QUIET_ACCOUNTS)]
    assert math.isclose(math.fsum(part.value or 0.0 for part in parts), whole.value, rel_tol=1e-9, abs_tol=1e-9)
