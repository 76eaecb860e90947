"""Laws 4 and 9 under every policy: once the plan is frozen windows and cuts add up; a file changes nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from greengen.accounting.choice import Plan
from greengen.accounting.ledger import Ledger, build
from greengen.merging import cut, merge
from greengen.recording import export
from greengen.recording.reader import read
from greengen.rows import Rows
from tests.properties import told
from tests.properties.serving import plans, serving
from tests.properties.strategies import FEW, SECOND, Case

Told = dict[tuple[str, str], told.Accounts]


def _accounts(ledger: Ledger) -> Told:
    return {key: told.accounts(book) for key, book in told.of(ledger).items()}


def _add_up(whole: Told, parts: list[Told]) -> None:
    for key, accounts in whole.items():
        for name, joules in accounts.items():
            # A span or a domain that is not in a part has nothing there.
            found = [part.get(key, {}).get(name, 0.0) for part in parts]
            known = [value for value in found if value is not None]
            assert joules is None or abs(sum(known) - joules) <= 1e-9 * max(told.whole(accounts), 1.0), name


@given(serving(), plans(), st.data())
def test_windows_add_up(case: Case, plan: Plan, data: st.DataObject) -> None:
    ends = [t for stretches in case.truth.values() for s in stretches for t in (s.t0_ns, s.t1_ns)] or [0]
    times = st.integers(min(ends) - SECOND, max(ends) + SECOND) | st.sampled_from(ends)
    a, b, c = sorted(data.draw(st.tuples(times, times, times)))
    frozen = build(case.rows, policy=plan).plan
    windows = ((a, c), (a, b), (b, c))
    whole, *parts = (told.every_account(case.rows, window, frozen) for window in windows)
    _add_up(whole, parts)


@given(serving(), plans(), st.data())
def test_cuts_add_up_and_merge_to_the_whole(case: Case, plan: Plan, data: st.DataObject) -> None:
    ends = [t for stretches in case.truth.values() for s in stretches for t in (s.t0_ns, s.t1_ns)] or [0]
    times = st.integers(min(ends) - SECOND, max(ends) + SECOND) | st.sampled_from(ends)
    a, b, c = sorted(data.draw(st.tuples(times, times, times).filter(lambda t: len(set(t)) == 3)))
    frozen = build(case.rows, policy=plan).plan
    whole, *parts = (cut(case.rows, *window) for window in ((a, c), (a, b), (b, c)))
    accounts = told.every_account(whole, policy=frozen)
    _add_up(accounts, [told.every_account(part, policy=frozen) for part in parts])
    if all(part.timelines[0].segments for part in parts):
        assert merge(parts) == merge([whole])


@given(serving(), plans(), st.data())
def test_a_cut_holds_what_the_whole_held_in_its_time(case: Case, plan: Plan, data: st.DataObject) -> None:
    [timeline] = case.rows.timelines
    read = [t for series in timeline.samples.values() for t in series.t_ns]
    a, b = sorted(data.draw(st.lists(st.integers(min(read), max(read)), min_size=2, max_size=2, unique=True)))
    frozen = build(case.rows, policy=plan).plan
    for (boot, uid), book in told.books(cut(case.rows, a, b), policy=frozen).items():
        if book.curve.known.any():
            within = told.books(case.rows, (int(book.curve.t_ns[0]), int(book.curve.t_ns[-1])), frozen)[boot, uid]
            told.same(told.accounts(book), told.accounts(within), book.total_j)


@FEW
@given(serving(most_boots=2), plans())
def test_a_ledger_s_own_plan_gives_the_same_ledger(case: Case, plan: Plan) -> None:
    ledger = build(case.rows, policy=plan)
    again = build(case.rows, policy=ledger.plan)
    assert _accounts(again) == _accounts(ledger)
    assert again.choices == ledger.choices


@FEW
@given(serving(most_boots=2), plans())
def test_a_run_file_gives_back_what_was_written(case: Case, plan: Plan) -> None:
    once = merge([case.rows])
    with tempfile.TemporaryDirectory(prefix="greengen-test-") as directory:
        path = Path(directory) / "run.greengen"
        export.write(once, path)
        loaded = read(path)
    assert merge([loaded]) == once
    answers = [_answers(rows, plan) for rows in (once, loaded, merge([loaded, once, loaded]), merge([once, case.rows]))]
    assert answers.count(answers[0]) == len(answers)
    before = told.every_account(case.rows, policy=plan)
    for key, mine in told.every_account(once, policy=plan).items():
        told.same(before[key], mine, told.whole(mine))


def _answers(rows: Rows, plan: Plan) -> list[object]:
    """To the last digit."""
    ledger = build(rows, policy=plan)
    spans = [ledger.span(chapter, i, inclusive=True).as_dict() for chapter, i in ledger]
    return [_accounts(ledger), spans, ledger.total().as_dict(), ledger.choices]
