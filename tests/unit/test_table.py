"""Spans as columns: which is innermost when, also where children outlive their parents."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greengen.accounting.table import SpanTable, tabulate
from greengen.accounting.work import lay_out
from greengen.rows import ProcessRow, SpanRow, Timeline
from tests.properties.oracle import Live, end_of
from tests.properties.strategies import span_rows


def span(number: int, t0: int, t1: int | None, parent: int | None = None, *, kind: str = "request") -> SpanRow:
    above = None if parent is None else f"p/{parent}"
    return SpanRow(f"p/{number}", "p", above, kind, t0, t1, model="m" if parent is None else None)


def intervals(table: SpanTable) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for owner, a, b in zip(table.owner, table.from_ns, table.to_ns, strict=True):
        if b > a:
            found.setdefault(table.rows[owner].uid, []).append((int(a), int(b)))
    return {uid: sorted(parts) for uid, parts in found.items()}


def innermost(*spans: SpanRow) -> dict[str, list[tuple[int, int]]]:
    return intervals(tabulate(spans, [], 1000))


def test_a_parent_has_what_its_children_leave() -> None:
    assert innermost(span(1, 0, 10), span(2, 2, 4, 1), span(3, 6, 7, 1)) == {
        "p/1": [(0, 2), (4, 6), (7, 10)],
        "p/2": [(2, 4)],
        "p/3": [(6, 7)],
    }


def test_children_at_the_same_time_cover_it_once() -> None:
    assert innermost(span(1, 0, 10), span(2, 2, 6, 1), span(3, 4, 8, 1))["p/1"] == [(0, 2), (8, 10)]


def test_a_child_that_outlives_its_parent_goes_on_alone() -> None:
    assert innermost(span(1, 0, 4), span(2, 2, 9, 1)) == {"p/1": [(0, 2)], "p/2": [(2, 9)]}


def test_while_a_grandchild_outlives_the_child_the_span_around_both_waits() -> None:
    """The innermost of a thread of work is the grandchild: its grandparent is not innermost beside it."""
    assert innermost(span(1, 0, 10), span(2, 1, 4, 1), span(3, 2, 7, 2), span(4, 3, 6, 3)) == {
        "p/1": [(0, 1), (7, 10)],
        "p/2": [(1, 2)],
        "p/3": [(2, 3), (6, 7)],
        "p/4": [(3, 6)],
    }


def test_a_span_of_no_length_covers_nothing() -> None:
    assert innermost(span(1, 0, 10), span(2, 5, 5, 1)) == {"p/1": [(0, 5), (5, 10)]}


def test_waiting_spans_weigh_nothing() -> None:
    table = tabulate([span(1, 0, 5, kind="queue"), span(2, 0, 5)], [], 5)
    assert lay_out(table, Timeline("b", "h")).waiting.tolist() == [True, False]


def test_an_open_span_ends_where_its_process_was_last_seen() -> None:
    processes = [ProcessRow("p", 1, "spans", 7, closed=False, lost_rows=0, command="x")]
    table = tabulate([span(1, 2, None), span(2, 8, None), span(3, 1, 5)], processes, 100)
    assert dict(zip((r.uid for r in table.rows), table.t1_ns.tolist(), strict=True)) == {"p/1": 7, "p/2": 8, "p/3": 5}
    assert table.left_open.tolist() == [False, True, True]
    # Of a process that nobody saw, where the recording ends.
    assert tabulate([span(1, 2, None)], [], 100).t1_ns.tolist() == [100]


def test_a_parent_stands_before_its_children_though_all_begin_at_once() -> None:
    """By uid alone, p/10 would stand before p/9; and a span without a model takes that of the one around it."""
    table = tabulate([span(9, 0, 9), span(10, 0, 8, 9), span(11, 0, 7, 10, kind="decode")], [], 9)
    assert [row.uid for row in table.rows] == ["p/9", "p/10", "p/11"]
    assert table.parent.tolist() == [-1, 0, 1]
    assert [row.model for row in table.rows] == ["m", "m", "m"]
    assert table.request.tolist() == [0, 1, 1]
    assert table.subtree(0) == [0, 1, 2]


def test_an_unknown_parent_is_none() -> None:
    assert tabulate([span(1, 0, 5, 99)], [], 5).parent.tolist() == [-1]


@pytest.mark.parametrize("loop", [[(1, 1)], [(1, 2), (2, 1)], [(1, 2), (2, 3), (3, 1), (4, 1)]])
def test_a_loop_of_parents_is_no_nesting(loop: list[tuple[int, int]]) -> None:
    """Only a stranger's file holds one; nothing hangs, and every span keeps its time."""
    table = tabulate([span(number, 0, 10, parent) for number, parent in loop], [], 10)
    assert set(table.parent.tolist()) == {-1}
    assert [table.subtree(i) for i in range(len(loop))] == [[i] for i in range(len(loop))]
    assert intervals(table) == {f"p/{number}": [(0, 10)] for number, _ in loop}


def test_no_spans() -> None:
    table = tabulate([], [], 5)
    assert len(table) == table.owner.size == 0


@given(span_rows("b", range(0, 1200, 100), most=8), st.integers(0, 30).map(lambda step: 50 * step))
def test_innermost_is_what_the_definition_says(spans: list[SpanRow], last_seen: int) -> None:
    """Instant by instant: live, and nothing inside it live."""
    processes = [ProcessRow("b:1:1", 1, "spans", last_seen, closed=True, lost_rows=0, command="x")]
    table = tabulate(spans, processes, 2000)
    live = Live(spans, {row.uid: end_of(row, processes, 2000) for row in spans})
    found = intervals(table)
    for at in range(0, 2000, 50):
        working = [
            uid
            for uid, parts in found.items()
            if any(a <= at and at + 50 <= b for a, b in parts) and table.rows[_index(table, uid)].kind != "queue"
        ]
        assert sorted(working) == live.innermost(at, at + 50)


def _index(table: SpanTable, uid: str) -> int:
    return [row.uid for row in table.rows].index(uid)


def test_a_hundred_thousand_nested_spans_are_no_trouble() -> None:
    """A chain as deep as that, each beginning a little later; and as many side by side."""
    deep = tabulate([span(i, i, 10**6 - i, i - 1 if i else None) for i in range(20_000)], [], 10**6)
    assert int(deep.parent.max()) == 19_998
    assert np.all(deep.to_ns >= deep.from_ns)
    wide = tabulate([span(0, 0, 10**6), *(span(i, i, i + 1, 0) for i in range(1, 20_001))], [], 10**6)
    assert intervals(wide)["p/0"] == [(0, 1), (20_001, 10**6)]


def test_spans_that_begin_at_once_are_in_the_order_of_their_uids() -> None:
    rows = [SpanRow(uid, "p", None, "request", t0, 9) for uid, t0 in [("d", 3), ("b", 1), ("c", 3), ("a", 3), ("e", 2)]]
    table = tabulate(rows, [], 9)
    assert [row.uid for row in table.rows] == ["b", "e", "a", "c", "d"]
    assert [table.rows[table.places[row.uid]].uid for row in rows] == [row.uid for row in rows]
    assert len(tabulate([], [], 9)) == 0
