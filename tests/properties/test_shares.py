"""Shares themselves: of each cell 1 in all where somebody is live, and what the books derive from them."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from greengen.accounting.books import Books
from greengen.accounting.choice import Plan
from greengen.accounting.curves import Bools, Floats
from greengen.accounting.entries import Entries
from greengen.accounting.ledger import build
from greengen.collector import Domain
from greengen.rows import Phase, Rows, Segment, Series, SpanRow, Timeline
from tests.properties.serving import plans, serving
from tests.properties.strategies import FEW, MS, Case


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


def test_a_great_weight_that_came_and_went_leaves_nothing_behind() -> None:
    """Prompts of a hundred thousand tokens in a millisecond, and answers of a token in three seconds."""
    rng = random.Random(1)
    spans = []
    for i in range(5_000):
        t0_ns, read_ns = i * 10 * MS, rng.choice((1, 50, 400)) * MS
        spans.append(
            SpanRow(
                *(f"p/{i}", "p", None, "request", t0_ns, t0_ns + read_ns + rng.choice((1, 100, 3000)) * MS, "a"),
                input_tokens=rng.choice((1, 100, 100_000)),
                output_tokens=rng.choice((2, 20, 2000)),
                phases=(Phase("prefill", t0_ns), Phase("decode", t0_ns + read_ns)),
            )
        )
    times = [100 * MS * k for k in range(540)]
    board = Domain("gpu", "c", "gpu", "GPU")
    samples = {"gpu": Series(times, [2.5 * k for k in range(540)], [100 * MS] * 540)}
    segment = Segment("s", "p", 0, times[-1], 0, {"interval_s": 0.1})
    timeline = Timeline("b", "h", domains=[board], samples=samples, spans=spans, segments=[segment])
    [entries] = build(Rows(timelines=[timeline]), policy="phase").chapters[0].entries
    books = entries.books
    booked = math.fsum([*map(float, books.span_j), books.overhead_j, books.idle_j])
    assert abs(booked - books.total_j) <= 1e-13 * books.total_j
