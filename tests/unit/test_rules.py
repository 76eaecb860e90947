"""Idle and static power under every rule: always conserved, and never compared across rules."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from greengen.accounting import ledger, spread
from greengen.accounting.choice import Plan
from greengen.accounting.entries import Entries
from greengen.collector import CAPACITY, MACHINE, PROFILED, Domain
from greengen.errors import KindMismatchError, PolicyError
from greengen.rows import ProcessRow, Rows, Segment, Series, SpanRow, Timeline

S = 10**9


def rows(quiet_s: int = 40) -> Rows:
    """A package at 10 W for `quiet_s` with nothing to do, then 10 s of requests at 50 W, half of it foreign."""
    seconds = quiet_s + 10
    t_ns = [S * i for i in range(1, seconds + 2)]
    energy = [0.0]
    for i in range(seconds):
        energy.append(energy[-1] + (10.0 if i < quiet_s else 50.0))
    busy = [0.0] * (quiet_s + 1) + [1.0 * S * (i + 1) for i in range(10)]

    def series(values: list[float]) -> Series:
        return Series(t_ns, values, [S] * len(t_ns))

    start = S * (1 + quiet_s)
    spans = [
        SpanRow("b:1:1/1", "b:1:1", None, "request", start, start + 10 * S, model="a"),
        SpanRow("b:1:1/2", "b:1:1", None, "request", start, start + 5 * S, model="b"),
    ]
    timeline = Timeline(
        "b",
        "host",
        domains=[Domain("c:package", "c", "package", "package", split="cpu", activity="cpu")],
        samples={"c:package": series(energy)},
        usage={
            ("cpu", PROFILED): series(busy),
            ("cpu", MACHINE): series([2 * value for value in busy]),
            ("cpu", CAPACITY): series([4.0 * S * i for i in range(len(t_ns))]),
        },
        spans=spans,
        processes=[ProcessRow("b:1:1", 1, "workload", t_ns[-1], closed=True, lost_rows=0, command="x")],
        segments=[Segment("b:1:1/1", "b:1:1", t_ns[0], t_ns[-1], 0, {"own_process": True})],
    )
    return Rows({}, [timeline])


def booked(plan: Plan, recorded: Rows | None = None) -> Entries:
    [chapter] = ledger.build(recorded or rows(), policy=plan).chapters
    [entries] = chapter.entries
    return entries


def accounts(entries: Entries) -> list[float]:
    every = np.arange(len(entries.books.table))
    told = [entries.spans(every[i : i + 1], str(i)) for i in every] + [
        entries.account(name) for name in ("overhead", "other", "idle")
    ]
    return [quantity.value or 0.0 for quantity in told]


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (Plan("equal"), [62.5 + 125, 62.5, 0, 250, 400]),
        # 400 J idle, by 187.5 : 62.5 of the spans' own, and by 10 s : 5 s of their lives.
        (Plan("equal", idle="pro-rata"), [187.5 + 300, 62.5 + 100, 0, 250, 0]),
        (Plan("equal", idle="resident-time"), [187.5 + 400 * 2 / 3, 62.5 + 400 / 3, 0, 250, 0]),
        # 10 W are static: a quarter of them is ours, the rest idle; of the other 40 W half is ours. So 22.5 W,
        # for two during 5 s and then for one. The quiet time's static part is idle, whoever holds it.
        (Plan("equal", static="capacity-share", held=0.25), [56.25 + 112.5, 56.25, 0, 200, 400 + 75]),
    ],
)
def test_what_each_rule_books(plan: Plan, expected: list[float]) -> None:
    entries = booked(plan)
    assert accounts(entries) == pytest.approx(expected)
    assert math.fsum(accounts(entries)) == pytest.approx(entries.books.total_j, rel=1e-12)


def test_other_policies_answers_follow_the_rules_too() -> None:
    plan = Plan("equal", static="capacity-share", held=0.25)
    [chapter] = ledger.build(rows(), policy=plan).chapters
    [entries] = chapter.entries
    told = spread.by_policy(entries.books, plan, chapter.choices)
    assert told["equal"] == pytest.approx(entries.books.span_j)


def test_two_rules_are_not_compared() -> None:
    one = np.array([0])
    usual, given = (booked(plan).spans(one, "x") for plan in (Plan("equal"), Plan("equal", idle="pro-rata")))
    with pytest.raises(KindMismatchError, match="idle pro-rata"):
        _ = usual / given
    with pytest.raises(KindMismatchError, match="idle pro-rata"):
        _ = usual - given
    assert (given / given).value == 1.0


def test_no_span_to_give_idle_to() -> None:
    recorded = rows()
    recorded.timelines[0] = replace(recorded.timelines[0], spans=[])
    entries = booked(Plan("equal", idle="resident-time"), recorded)
    assert entries.account("idle").value == pytest.approx(400.0)


def test_idle_is_not_0_where_nothing_told_whether_anybody_worked() -> None:
    """400 J of quiet time: idle, or work without a span? They are booked, and called neither by a guess."""
    recorded = rows()
    [timeline] = recorded.timelines
    recorded.timelines[0] = replace(timeline, usage={})
    for exact in (False, True):
        entries = booked(Plan("equal", exact=exact), recorded)
        idle = entries.account("idle")
        assert idle.value is None
        assert "package" in idle.reason
        assert "overhead" in idle.reason
        assert entries.account("overhead").value == pytest.approx(400.0)
        assert sum(accounts(entries)) == pytest.approx(900.0)
    # Of what the capacity rule books there, the part that is known is told, and without quiet time it is none.
    held = Plan("equal", static="capacity-share", held=0.5)
    assert booked(held, recorded).account("idle").value == pytest.approx(50 * 10.0 / 2)
    busy = replace(timeline, usage={}, segments=[replace(timeline.segments[0], t0_ns=41 * S)])
    assert booked(Plan("equal"), Rows({}, [busy])).account("idle").value == 0.0


def test_static_power_that_no_quiet_time_tells() -> None:
    with pytest.raises(PolicyError, match=r"not known: record 30 s in which nothing runs"):
        booked(Plan("equal", static="capacity-share", held=0.5), rows(quiet_s=5))


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"idle": "prorata"}, "unknown rule for idle power 'prorata': there is none, pro-rata, resident-time"),
        ({"static": "x"}, "unknown rule for static power 'x'"),
        ({"static": "capacity-share"}, "needs the part of the machine that is held"),
        ({"static": "capacity-share", "held": 1.5}, "and not 1.5"),
    ],
)
def test_rules_that_there_are_not(rules: dict[str, object], said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        Plan("equal", **rules)  # type: ignore[arg-type]  # what a user may type
