"""Law 9: save, load, merge, ingest twice: the same ledger."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given

from greengen.accounting.ledger import build
from greengen.merging import merge
from greengen.recording import export
from greengen.recording.reader import read
from greengen.rows import Rows
from tests.properties import told
from tests.properties.strategies import FEW, Case, cases


@contextmanager
def _file() -> Iterator[Path]:
    """A fresh one for each example."""
    with tempfile.TemporaryDirectory(prefix="greengen-test-") as directory:
        yield Path(directory) / "run.greengen"


def _answers(rows: Rows) -> list[object]:
    """Every account of every domain and every quantity of every span, to the last digit."""
    ledger = build(rows)
    spans = [ledger.span(chapter, i, inclusive=True).as_dict() for chapter, i in ledger]
    return [told.every_account(rows), spans, ledger.total().as_dict(), ledger.coverage(), ledger.events()]


@FEW
@given(cases(most_boots=2))
def test_a_run_file_gives_back_what_was_written(case: Case) -> None:
    once = merge([case.rows])
    with _file() as path:
        export.write(once, path)
        loaded = read(path)
    assert merge([loaded]) == once
    assert _answers(loaded) == _answers(once)
    assert _answers(merge([loaded, once, loaded])) == _answers(once)


@FEW
@given(cases(most_boots=2))
def test_merging_a_run_with_itself_changes_nothing(case: Case) -> None:
    once = merge([case.rows])
    assert merge([case.rows, case.rows]) == once
    assert merge([once, case.rows, once]) == once
    before, after = told.every_account(case.rows), told.every_account(once)
    assert before.keys() == after.keys()
    for key, accounts in before.items():
        told.same(after[key], accounts, sum(v or 0.0 for v in accounts.values()))
