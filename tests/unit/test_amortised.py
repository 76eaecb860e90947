"""Training over the requests of a lifetime: which joules, each once, and never in another number."""

from __future__ import annotations

import pytest

from greengen.accounting.amortised import per_request, trained, training
from greengen.accounting.ledger import Ledger, build
from greengen.collector import Domain
from greengen.quantity import Quantity
from greengen.rows import Rows, Segment, Series, SpanRow, Timeline

S = 10**9
END_S = 40


def row(uid: int, kind: str, t0_s: int, t1_s: int, parent: int | None = None, model: str | None = None) -> SpanRow:
    outer = None if parent is None else f"p/{parent}"
    return SpanRow(f"p/{uid}", "p", outer, kind, t0_s * S, t1_s * S, model)


def ledger(*spans: SpanRow, read: bool = True) -> Ledger:
    """A wall meter at 10 W for 40 s."""
    times = [i * S for i in range(END_S + 1)]
    series = Series(times, [10.0 * i for i in range(END_S + 1)], [S] * (END_S + 1))
    domains = [Domain("wall", "c", "wall", "wall", gain=0.01)] if read else []
    timeline = Timeline("b", "host", domains=domains, samples={"wall": series} if read else {}, spans=list(spans))
    timeline.segments = [Segment("s", "p", 0, END_S * S, 0, {"interval_s": 1.0})]
    return build(Rows(timelines=[timeline]))


NESTED = (
    row(1, "train", 0, 20, model="chat"),
    row(2, "epoch", 1, 11, 1),
    row(3, "step", 2, 6, 2),
    row(4, "data", 6, 8, 2),
    row(5, "eval", 12, 15, 1),
    row(6, "request", 13, 14, 5),
    row(7, "checkpoint", 16, 18, 1),
)


def test_nested_spans_are_counted_once_and_their_requests_not_at_all() -> None:
    books = ledger(*NESTED, row(8, "request", 30, 33, model="chat"))
    energy = training(books, "chat")
    # 20 s of training at 10 W, of which one second was a request's.
    assert energy.value == pytest.approx(190.0)
    assert energy.grade == "attributed"
    assert energy.low is not None
    assert energy.low < 190.0
    assert trained(books) == ("chat",)
    assert books.serving("chat").value == pytest.approx(40.0)


def test_evaluation_alone_is_training_and_other_models_are_not() -> None:
    books = ledger(
        row(1, "eval", 0, 4, model="a"), row(2, "train", 10, 12, model="b"), row(3, "load", 20, 25, None, "a")
    )
    assert trained(books) == ("a", "b")
    assert training(books, "a").value == pytest.approx(40.0)
    assert training(books, "b").value == pytest.approx(20.0)
    assert "no training of c was recorded" in training(books, "c").reason


def test_over_the_stated_requests() -> None:
    energy = training(ledger(*NESTED), "chat")
    share = per_request(energy, 1_000_000)
    assert share.value == pytest.approx(190e-6)
    assert (share.grade, share.note) == ("attributed", "over 1,000,000 requests, as stated")
    assert share.low is not None
    assert energy.low is not None
    assert share.low * 1e6 == pytest.approx(energy.low)


def test_what_was_not_read_is_not_zero() -> None:
    energy = training(ledger(*NESTED, read=False), "chat")
    assert (energy.value, energy.reason) == (None, "no domain was read while it was trained")
    share = per_request(energy, 10)
    assert isinstance(share, Quantity)
    assert (share.value, share.reason) == (None, energy.reason)
