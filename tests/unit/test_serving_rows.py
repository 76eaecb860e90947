"""The recorded rows of a simulated service: stints that expand to the steps, and a ledger that balances."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given

from greengen.accounting import ledger
from greengen.testing.serving.costs import Roofline
from greengen.testing.serving.engine import Engine
from greengen.testing.serving.meters import METERS
from greengen.testing.serving.power import traces
from greengen.testing.serving.recording import to_rows, uid_of
from greengen.testing.serving.serve import Instance, Served, serve
from greengen.testing.serving.steps import engine_steps, expand, stints
from greengen.testing.serving.workload import CHAT
from tests.unit.serving_runs import served, several

UIDS = [f"r{i:02}" for i in range(100)]


def composed(run: Served) -> list[tuple[int, str, int, int, int]]:
    """(step, span, prefill, decode, context) as the engine served them."""
    steps = run.steps[0]
    columns = (steps.step, steps.request, steps.prefill, steps.decode, steps.context)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return sorted((step, UIDS[who], *numbers) for step, who, *numbers in rows)


@given(served())
def test_stints_expand_to_the_steps(run: Served) -> None:
    assert expand(stints("e", run.steps[0], UIDS)) == composed(run)


def test_a_request_that_only_decodes_is_one_stint() -> None:
    run = serve(several((30, 1000)), Instance("m", Roofline()), 1)
    prefill, decode = stints("e", run.steps[0], UIDS)
    assert (prefill.first, prefill.last, prefill.prefill, prefill.context) == (0, 0, 30, 0)
    assert (decode.first, decode.last, decode.decode, decode.context, decode.growth) == (1, 999, 1, 30, 1)


def test_engine_steps_are_numbered_in_order() -> None:
    run = serve(several((30, 5), (30, 5)), Instance("m", Roofline(), Engine(graph_sizes=(1, 4))), 1)
    rows = engine_steps("e", run.steps[0])
    assert [row.seq for row in rows] == list(range(5))
    assert [row.padding for row in rows] == [0, 2, 2, 2, 2]
    assert all(a.t1_ns <= b.t0_ns for a, b in pairwise(rows))


@given(served(most=5))
def test_a_ledger_takes_the_rows_and_balances(run: Served) -> None:
    measured = traces(run)
    for flags in ((True, True), (True, False), (False, False)):
        rows = to_rows(run, measured, METERS["perfect"], 1, phases=flags[0], steps=flags[1])
        book = ledger.build(rows)
        spent = [book[uid_of(i)].value or 0.0 for i in range(len(run.requests))]
        quiet = sum(book.account(name).value or 0.0 for name in ("idle", "overhead"))
        assert sum(spent) + quiet == pytest.approx(book.total().value)
        whole = sum(trace.cumulated_j[-1] for trace in measured.values())
        assert book.total().value == pytest.approx(whole, rel=1e-3)


def test_a_recording_tells_as_much_as_it_is_allowed_to() -> None:
    run = serve(CHAT.stream(2.6, Roofline(), 20, 3), Instance("m", Roofline()), 3)
    [whole] = to_rows(run, traces(run), METERS["nvml counter"], 1).timelines
    [without] = to_rows(run, traces(run), METERS["nvml counter"], 1, phases=False, steps=False).timelines
    assert whole.engines
    assert len(whole.steps) == len(run.steps[0])
    assert all(row.phases[0].kind == "prefill" for row in whole.spans)
    assert [*without.engines, *without.steps, *without.stints] == []
    assert all(row.phases == () for row in without.spans)
    assert whole.samples == without.samples
    assert any(row.cached_tokens for row in whole.spans)


def test_idle_time_is_nobodys() -> None:
    run = serve(several((30, 100), (30, 100), every_ms=3000), Instance("m", Roofline()), 1)
    book = ledger.build(to_rows(run, traces(run), METERS["perfect"], 1))
    [trace] = traces(run).values()
    busy_s = (run.steps[0].t1_ns - run.steps[0].t0_ns).sum() / 1e9
    assert book.account("idle").value == pytest.approx(70.0 * (trace.end_ns / 1e9 - busy_s), rel=0.01)
    # Alone, each has all the joules of its steps.
    per_request = np.bincount(run.steps[0].request, run.steps[0].joules)
    assert [book[uid_of(i)].value for i in range(2)] == pytest.approx(per_request.tolist(), rel=2e-3)
