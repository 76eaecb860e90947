"""What floating point does to the books: many spans, a clock far from 0, a year of joules."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from itertools import pairwise

import pytest

from greengen.accounting.books import Books
from greengen.accounting.ledger import build
from greengen.collector import Domain
from greengen.rows import Rows, Segment, Series, SpanRow, Timeline
from tests.properties import told

SECOND = 1_000_000_000
MS = 1_000_000
GPU = Domain("gpu:0", "gpu", "gpu", "GPU", max_power_w=2000.0)


def book(t_ns: list[int], values: list[float], spans: list[SpanRow]) -> Books:
    spacing = [0, *(b - a for a, b in pairwise(t_ns))]
    segment = Segment("s", "p", t_ns[0], t_ns[-1], 0, {"interval_s": 1.0})
    samples = {GPU.uid: Series(t_ns, values, spacing)}
    timeline = Timeline("b", "h", domains=[GPU], samples=samples, spans=spans, segments=[segment])
    return told.of(build(Rows(timelines=[timeline])))["b", GPU.uid]


def booked(books: Books) -> float:
    return math.fsum([*books.span_j.tolist(), books.overhead_j, books.idle_j, books.other_j or 0.0])


@pytest.mark.parametrize(
    ("base_ns", "many"), [(0, 20_000), (10**15, 100_000), (2**62 - 400 * SECOND, 20_000)], ids=lambda x: f"{x:.3g}"
)
def test_a_hundred_thousand_spans_on_any_clock(base_ns: int, many: int) -> None:
    """Requests of 1 ms to 3 s, up to some 300 at a time, on a board of 500 W."""
    rng = random.Random(1)
    t_ns = [base_ns + s * SECOND for s in range(301)]
    values = [float(v) for v in (500 * s + rng.randrange(100) for s in range(301))]
    spans = []
    for i in range(many):
        start = base_ns + rng.randrange(299 * SECOND)
        end = min(start + MS * rng.choice((1, 10, 100, 1000, 3000)), t_ns[-1])
        spans.append(SpanRow(f"p/{i}", "p", None, "request", start, end))
    books = book(t_ns, values, spans)
    assert math.isclose(booked(books), values[-1] - values[0], rel_tol=1e-9)
    assert float(books.span_j.min()) > 0.0
    # Live counts return to 0 exactly, however many came and went.
    quiet = ~books.live
    assert math.isclose(books.idle_j + books.overhead_j, books.grid.energy_j[quiet].sum(), rel_tol=1e-12)


def test_a_year_of_joules_still_has_digits_for_a_millisecond() -> None:
    """1.5e10 J at 487.3 W; a request of 1 ms at its end holds a quarter of a joule, told to 10 nJ."""
    year_s, start = 365 * 86_400, 12_345 * SECOND
    hours = list(range(0, year_s + 1, 3600))
    t_ns = [start + s * SECOND for s in hours]
    values = [487.3 * s for s in hours]
    spans = [
        SpanRow(f"p/{i}", "p", None, "request", at, at + MS)
        for i, at in enumerate(start + s * SECOND + 7 for s in (5, year_s // 2, year_s - 100))
    ]
    spans.append(SpanRow("p/9", "p", None, "train", start, start + year_s * SECOND))
    books = book(t_ns, values, spans)
    assert math.isclose(booked(books), 487.3 * year_s, rel_tol=1e-12)
    for row, joules in zip(books.table.rows, books.span_j, strict=True):
        if row.kind == "request":
            assert joules == pytest.approx(0.24365, abs=1e-8)


def test_weights_that_come_and_go_leave_nothing_behind() -> None:
    """Shares by exact fractions: three and seven at a time divide no double evenly."""
    t_ns = [s * SECOND for s in range(1001)]
    values = [33.3 * s for s in range(1001)]
    spans = [SpanRow(f"p/{i}", "p", None, "request", i * SECOND, (i + 3 + 4 * (i % 2)) * SECOND) for i in range(990)]
    books = book(t_ns, values, spans)
    exact = dict.fromkeys((span.uid for span in spans), Fraction(0))
    for s in range(1000):
        live = [x.uid for x in spans if x.t0_ns <= s * SECOND and (x.t1_ns or 0) >= (s + 1) * SECOND]
        for uid in live:
            exact[uid] += (Fraction(values[s + 1]) - Fraction(values[s])) / len(live)
    for row, joules in zip(books.table.rows, books.span_j, strict=True):
        assert math.isclose(joules, exact[row.uid], rel_tol=1e-11)
    assert math.isclose(booked(books), values[-1], rel_tol=1e-12)
