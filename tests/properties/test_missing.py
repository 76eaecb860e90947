"""Law 3: what was not measured is None with a reason, and never 0; totals say what they cover."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from greengen.accounting import curves
from greengen.accounting.ledger import build
from greengen.collector import Domain
from greengen.rows import Rows, Segment, Series, SpanRow, Timeline
from tests.properties import oracle, told
from tests.properties.strategies import DOMAINS, FEW, MAX_W, SECOND, WRAP_J, Case, cases

COUNTERS = tuple(domain for domain in DOMAINS if domain.reading == "energy")


def _known_s(stretches: list[oracle.Stretch], a: int, b: int) -> Fraction:
    known = [(max(s.t0_ns, a), min(s.t1_ns, b)) for s in stretches if s.joules is not None]
    return sum((Fraction(y - x, SECOND) for x, y in known if y > x), Fraction(0))


@FEW
@given(cases(domains=COUNTERS))
def test_a_lost_stretch_is_listed_with_the_most_it_can_hide(case: Case) -> None:
    books = told.books(case.rows)
    for timeline, domain, stretches in case.domains():
        lost = [s for s in stretches if s.joules is None]
        curve = books[timeline.boot_id, domain.uid].curve
        assert [(u.t0_ns, u.t1_ns) for u in curve.unknown] == [(s.t0_ns, s.t1_ns) for s in lost]
        for unknown, stretch in zip(curve.unknown, lost, strict=True):
            assert unknown.reason
            assert unknown.bound_j is not None
            assert math.isclose(unknown.bound_j, MAX_W * (stretch.t1_ns - stretch.t0_ns) / SECOND)
        assert len([event for event in curve.events if event.kind == "reset"]) == len(lost)


@given(cases())
def test_totals_state_their_coverage(case: Case) -> None:
    ledger = build(case.rows)
    shares = []
    for timeline, domain, stretches in case.domains():
        entries = next(e for e in ledger.chapters[0].entries if e.books.domain.uid == domain.uid)
        known = _known_s(stretches, 0, 2**62)
        assert math.isclose(entries.books.curve.known_s, known, rel_tol=1e-12, abs_tol=1e-12)
        if any(s.joules is None for s in stretches) and known:
            assert "not known" in entries.energy().note
        if known:
            last = max(s.t_ns[-1] for s in (*timeline.samples.values(), *timeline.usage.values()) if s.t_ns)
            ends = [min(segment.t1_ns or last, last) for segment in timeline.segments[-1:]]
            ends = [*(segment.t1_ns or 0 for segment in timeline.segments[:-1]), *ends]
            recorded = sum(Fraction(b - s.t0_ns, SECOND) for s, b in zip(timeline.segments, ends, strict=True))
            shares.append(min(Fraction(1), known / recorded))
    assert math.isclose(ledger.coverage(), min(shares, default=0), rel_tol=1e-9)


@given(cases())
def test_a_span_that_was_not_seen_is_none_and_never_0(case: Case) -> None:
    ledger = build(case.rows)
    [chapter] = ledger.chapters
    for timeline, domain, stretches in case.domains():
        entries = next(e for e in chapter.entries if e.books.domain.uid == domain.uid)
        for i, row in enumerate(chapter.table.rows):
            start, end = row.t0_ns, int(chapter.table.t1_ns[i])
            if end > start:
                seen = _known_s(stretches, start, end)
                assert math.isclose(entries.coverage[i], seen * SECOND / (end - start), rel_tol=1e-9, abs_tol=1e-12)
            else:
                seen = Fraction(any(s.t0_ns <= start <= s.t1_ns and s.joules is not None for s in stretches))
            own = entries.spans(np.array([i]), row.uid)
            assert own.known == bool(seen)
            assert own.known or own.reason
        assert timeline is chapter.timeline


@FEW
@given(cases())
def test_where_no_weight_is_read_other_is_none_and_says_why(case: Case) -> None:
    books = told.books(case.rows)
    for timeline, domain, stretches in case.domains():
        book = books[timeline.boot_id, domain.uid]
        told_apart = oracle.book(timeline, domain, stretches).other is not None
        assert (book.other_j is not None) == told_apart
        assert told_apart or book.other_reason
        if domain.split is None:
            assert book.other_reason == (domain.split_reason or book.other_reason)


def test_a_weight_that_greengen_cannot_read_is_not_replaced_by_cpu_time() -> None:
    """CPU shares are never used on an accelerator."""
    series = Series([0, SECOND], [0.0, 8.0], [0, SECOND])
    usage = {
        ("cpu", who): Series([0, SECOND], [0.0, busy * 1e9], [0, 0])
        for who, busy in (("machine", 1), ("profiled", 0.5))
    }
    gpu = Domain("c:gpu", "c", "gpu", "GPU", split="c:gpu", max_power_w=100.0)
    timeline = Timeline(
        "boot",
        "host",
        domains=[gpu],
        samples={"c:gpu": series},
        usage=usage,
        spans=[SpanRow("1:1/1", "1:1", None, "request", 0, SECOND)],
        segments=[Segment("s", "1:1", 0, SECOND, 0)],
    )
    ledger = build(Rows(timelines=[timeline]))
    assert ledger.account("other").value is None
    assert "c:gpu" in ledger.account("other").reason
    assert ledger["1:1/1"].value == 8.0


@given(st.lists(st.tuples(st.integers(1, 10), st.integers(0, 40)), min_size=2, max_size=6), st.data())
def test_across_a_missed_poll_the_total_of_a_counter_is_known(
    polls: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Of all that is told, only when the joules went is lost with the reading."""
    series = Series([0], [WRAP_J - 25], [0])
    for tenths, watts in polls:
        series.t_ns.append(series.t_ns[-1] + tenths * SECOND // 10)
        series.values.append((series.values[-1] + watts * tenths / 10) % WRAP_J)
        series.spacing_ns.append(tenths * SECOND // 10)
    missed = data.draw(st.integers(1, len(polls) - 1))
    kept = [i for i in range(len(polls) + 1) if i != missed]
    fewer = Series([series.t_ns[i] for i in kept], [series.values[i] for i in kept], [0] * len(kept))
    before, after = (curves.build(DOMAINS[0], s, [(0, series.t_ns[-1])]) for s in (series, fewer))
    assert math.isclose(before.total_j, math.fsum(t * w / 10 for t, w in polls), rel_tol=1e-9, abs_tol=1e-9)
    assert math.isclose(before.total_j, after.total_j, rel_tol=1e-9, abs_tol=1e-9)
    assert before.known_s == after.known_s


def test_a_run_without_a_reading_totals_none() -> None:
    ledger = build(Rows(timelines=[Timeline("boot", "host")]))
    assert ledger.total().value is None
    assert ledger.total().reason
    assert ledger.coverage() == 0.0
