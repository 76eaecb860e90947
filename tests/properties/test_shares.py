"""Shares themselves: of each cell 1 in all where somebody is live, and what the books derive from them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from greengen.accounting.books import Books
from greengen.accounting.choice import Plan
from greengen.accounting.curves import Bools, Floats
from greengen.accounting.entries import Entries
from greengen.accounting.ledger import build
from tests.properties.serving import plans, serving
from tests.properties.strategies import FEW, Case


def _entries(case: Case, plan: Plan) -> Iterator[Entries]:
    for chapter in build(case.rows, policy=plan).chapters:
        yield from chapter.entries


def _only(books: Books, span: int) -> Bools:
    return np.asarray(np.arange(len(books.table)) == span)


def _each(books: Books) -> Floats:
    """What part of each cell is whose, shape (n, k)."""
    parts = [books.shares.of(_only(books, span)) for span in range(len(books.table))]
    return np.array(parts).reshape(len(parts), books.shares.heads.size)


@given(serving(), plans())
def test_shares_are_1_in_all_where_somebody_is_live(case: Case, plan: Plan) -> None:
    for entries in _entries(case, plan):
        parts = _each(entries.books)
        assert (parts >= 0).all()
        np.testing.assert_allclose(parts.sum(axis=0), entries.books.live.astype(float), rtol=1e-12)


@given(serving(), plans(), st.data())
def test_the_part_of_several_is_the_sum_of_theirs(case: Case, plan: Plan, data: st.DataObject) -> None:
    for entries in _entries(case, plan):
        books = entries.books
        members = np.array(data.draw(st.lists(st.booleans(), min_size=len(books.table), max_size=len(books.table))))
        members = members.astype(bool)
        np.testing.assert_allclose(books.shares.of(members), _each(books)[members].sum(axis=0), rtol=1e-9, atol=1e-12)


@given(serving(), plans())
def test_what_is_spread_is_the_sum_over_the_cells(case: Case, plan: Plan) -> None:
    """Of squares too, where a span has one row at a time; they and what is disputed are never negative."""
    rng = np.random.default_rng(1)
    for entries in _entries(case, plan):
        books = entries.books
        amount = rng.random(books.shares.heads.size)
        parts = _each(books)
        scale = max(float(amount.sum()), 1.0)
        np.testing.assert_allclose(books.shares.spread(amount), parts @ amount, rtol=1e-9, atol=1e-12 * scale)
        squares, disputed = books.shares.spread_squares(amount), books.shares.disputed(amount)
        assert (squares >= 0).all()
        assert (disputed >= 0).all()
        # A span with rows in several groups at a time: each row's square by itself, which is less.
        assert (squares <= (parts**2) @ amount * (1 + 1e-9) + 1e-12 * scale).all()
        most = max((float(part.doubt.max(initial=0.0)) for part in books.shares.parts), default=0.0)
        assert (disputed <= most * books.shares.spread(amount) * (1 + 1e-9) + 1e-12 * scale).all()


@FEW
@given(serving(most_boots=2), plans())
def test_every_error_is_a_number_that_is_not_negative(case: Case, plan: Plan) -> None:
    for entries in _entries(case, plan):
        errors = entries.errors
        for sigma in (errors.timing, errors.seconds, errors.share, errors.split, errors.static):
            assert np.isfinite(sigma).all()
            assert (sigma >= 0).all()
        for span in range(len(entries.books.table)):
            quantity = entries.spans(np.array([span]), "x")
            if quantity.value is not None:
                assert quantity.low is not None
                assert quantity.high is not None
                assert 0 <= quantity.low <= quantity.value <= quantity.high < np.inf
