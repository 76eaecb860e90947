"""Law 6: weight 0 gets 0 J and moves nobody; no account is negative."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from greengen.rows import Rows, SpanRow
from tests.properties import told
from tests.properties.strategies import FEW, Case, cases, span_rows


def _waiting(rows: list[SpanRow], boot: str) -> list[SpanRow]:
    """The same as requests that only wait, and inside nothing but one another."""
    named = {row.uid: f"{boot}:2:2/{i + 1}" for i, row in enumerate(rows)}
    return [
        replace(row, uid=named[row.uid], parent=named.get(row.parent or ""), kind="queue", process=f"{boot}:2:2")
        for row in rows
    ]


@given(cases(), st.data())
def test_waiting_spans_get_nothing_and_move_nobody(case: Case, data: st.DataObject) -> None:
    [timeline] = case.rows.timelines
    instants = sorted({t for series in timeline.samples.values() for t in series.t_ns})
    waiting = _waiting(data.draw(span_rows("boot0", instants)), "boot0")
    more = told.every_account(Rows(timelines=[replace(timeline, spans=[*timeline.spans, *waiting])]))
    for key, accounts in told.every_account(case.rows).items():
        assert [more[key].pop(row.uid) for row in waiting] == [0.0] * len(waiting)
        told.same(more[key], accounts, sum(v or 0.0 for v in accounts.values()))


@FEW
@given(cases())
def test_a_span_of_no_length_gets_nothing_and_moves_nobody(case: Case) -> None:
    [timeline] = case.rows.timelines
    moments = [
        SpanRow(f"boot0:2:2/{i}", "boot0:2:2", row.uid, "request", row.t0_ns, row.t0_ns)
        for i, row in enumerate(timeline.spans)
    ]
    more = told.every_account(Rows(timelines=[replace(timeline, spans=[*timeline.spans, *moments])]))
    for key, accounts in told.every_account(case.rows).items():
        assert [more[key].pop(row.uid) for row in moments] == [0.0] * len(moments)
        told.same(more[key], accounts, sum(v or 0.0 for v in accounts.values()))


@given(cases(most_boots=2), st.data())
def test_no_account_is_negative(case: Case, data: st.DataObject) -> None:
    ends = [t for stretches in case.truth.values() for s in stretches for t in (s.t0_ns, s.t1_ns)] or [0]
    window = data.draw(st.none() | st.tuples(*[st.integers(min(ends), max(ends))] * 2))
    for accounts in told.every_account(case.rows, window).values():
        assert all(joules is None or joules >= 0.0 for joules in accounts.values())
