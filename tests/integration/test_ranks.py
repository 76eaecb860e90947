"""Ranks: real processes at once, each with a recording of its own, merged into one run of the host."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from pathlib import Path

import pytest

import greengen
from greengen.accounting.ledger import Ledger, build
from greengen.errors import KindMismatchError, UsageError
from greengen.merging import cut, merge
from greengen.quantity import Quantity
from greengen.recording import export
from greengen.rows import Rows
from tests.integration.commands import GREENGEN
from tests.properties import told

#: A rank: waits, then serves requests that each take 0.3 s of CPU time; told to, it starts another rank meanwhile.
RANK = """
import os, subprocess, sys, time
import greengen
from greengen.recording.active import ENVIRONMENT_VARIABLE

path, wait_s, requests, *inner = sys.argv[1:]
time.sleep(float(wait_s))

def burn(cpu_s):
    end = time.thread_time() + cpu_s
    while time.thread_time() < end:
        sum(i * i for i in range(1000))

with greengen.profile(path):
    # Which recording it is in, a launcher that cleans the environment does not pass on.
    clean = {name: value for name, value in os.environ.items() if name != ENVIRONMENT_VARIABLE}
    child = subprocess.Popen([sys.executable, *inner], env=clean) if inner else None
    for _ in range(int(requests)):
        with greengen.request(model=path):
            burn(0.3)
    if child:
        child.wait()
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ranks") / "rank.py"
    path.write_text(RANK)
    return path


@pytest.fixture(scope="module")
def recorded(script: Path) -> list[Path]:
    """Three ranks that begin one after the other, and overlap."""
    started = [
        subprocess.Popen([sys.executable, script, f"{name}.greengen", wait_s, "4"], cwd=script.parent)
        for name, wait_s in (("a", "0"), ("b", "0.4"), ("c", "0.8"))
    ]
    assert [process.wait(timeout=60) for process in started] == [0, 0, 0]
    return [script.parent / f"{name}.greengen" for name in "abc"]


def value(quantity: Quantity) -> float:
    assert quantity.value is not None
    return quantity.value


def common_time(alone: list[Rows]) -> tuple[int, int]:
    """When all of them recorded."""
    between = [(t.segments[0].t0_ns, t.segments[0].t1_ns or 0) for rows in alone for t in rows.timelines]
    common = max(start for start, _ in between), min(end for _, end in between)
    assert common[1] - common[0] > 200_000_000, "the ranks did not run at once"
    return common


def during(rows: Rows, window: tuple[int, int]) -> Ledger:
    return build(rows, window=window)


def test_a_merge_is_all_ranks_at_once(recorded: list[Path], tmp_path: Path) -> None:
    """No rank's work is another's `other`, and each reading counts once."""
    out = tmp_path / "all.greengen"
    done = subprocess.run(
        [GREENGEN, "merge", *recorded, "-o", out], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "3 runs of 1 host(s), 12 spans, merged into" in done.stderr
    merged, alone = greengen.Run(out).rows(), [greengen.Run(path).rows() for path in recorded]
    ledger = build(merged)
    assert all(value(ledger.span(chapter, i)) > 0 for chapter, i in ledger)
    requests = value(ledger.spans(lambda row: row.kind == "request", "requests"))
    quiet = sum(value(ledger.account(name)) for name in ("overhead", "other", "idle"))
    assert math.isclose(requests + quiet, value(ledger.total()), rel_tol=1e-9)

    common = common_time(alone)
    together = during(merged, common)
    for rows in alone:
        one = during(rows, common)
        low, high = one.total().low, one.total().high
        assert low is not None
        assert high is not None
        assert low <= value(together.total()) <= high
        # Of one counter, read at other times: no further apart than what two readings leave open.
        assert math.isclose(value(together.total()), value(one.total()), rel_tol=0.25)
        # All three burn CPU time: what two of them did was foreign to the third, and is not any more.
        theirs = value(one.total()) - value(one.account("other"))
        assert value(together.total()) - value(together.account("other")) > 1.5 * theirs


def test_the_order_and_repetition_do_not_matter(recorded: list[Path], tmp_path: Path) -> None:
    answers = []
    for number, order in enumerate(itertools.permutations(recorded)):
        run = greengen.Run(order[0]).merge(*map(greengen.Run, (*order[1:], order[0])), out=tmp_path / f"{number}.gg")
        answers.append(run.ledger().by("account").to_csv())
    again = greengen.Run(tmp_path / "0.gg").merge(*map(greengen.Run, recorded), out=tmp_path / "again.gg")
    pairs = greengen.Run(recorded[0]).merge(greengen.Run(recorded[1]), out=tmp_path / "ab.gg")
    answers += [again.ledger().by("account").to_csv()]
    answers += [pairs.merge(greengen.Run(recorded[2]), out=tmp_path / "abc.gg").ledger().by("account").to_csv()]
    assert len(answers) == 8
    assert set(answers) == {answers[0]}


def test_a_tree_inside_another_counts_once(script: Path, tmp_path: Path) -> None:
    """A program that records itself starts one that does so too: its processes are in both recordings."""
    outer, inner = tmp_path / "outer.greengen", tmp_path / "inner.greengen"
    arguments = [sys.executable, *map(str, (script, outer, 0, 3, script, inner, 0, 3))]
    assert subprocess.run(arguments, check=False, timeout=60).returncode == 0
    alone = build(greengen.Run(outer).rows())
    merged = build(merge([greengen.Run(inner).rows(), greengen.Run(outer).rows()]))
    assert {row.model for chapter in merged.chapters for row in chapter.table.rows} == {str(outer), str(inner)}
    # The outer one's tree held the inner's already: what is foreign stays foreign, and nothing is ours twice.
    assert math.isclose(value(merged.total()), value(alone.total()), rel_tol=0.05)
    ours = [value(ledger.total()) - value(ledger.account("other")) for ledger in (merged, alone)]
    assert math.isclose(*ours, rel_tol=0.1)


def test_readings_of_another_meter_are_refused(recorded: list[Path], tmp_path: Path) -> None:
    """With both recordings named, and what to do instead."""
    rows = greengen.Run(recorded[1]).rows()
    for series in rows.timelines[0].samples.values():
        series.values = [joules + 1e4 for joules in series.values]
    other = tmp_path / "other.greengen"
    export.write(rows, other)
    with pytest.raises(KindMismatchError, match=r"contradict one another.*segment.*segment.*one by one"):
        greengen.Run(recorded[0]).merge(greengen.Run(other), out=tmp_path / "out.greengen")
    assert not (tmp_path / "out.greengen").exists()


def test_what_is_side_by_side_is_cut_before_merging(recorded: list[Path]) -> None:
    alone = [greengen.Run(path).rows() for path in recorded]
    start, end = common_time(alone)
    with pytest.raises(UsageError, match="cut them before merging"):
        cut(merge(alone), start, end)
    parts = [cut(rows, start, end) for rows in alone]
    merged = merge(parts)
    for part in parts:
        one = build(part)
        [(_, book)] = told.of(one).items()
        window = int(book.curve.t_ns[0]), int(book.curve.t_ns[-1])
        assert math.isclose(value(during(merged, window).total()), value(one.total()), rel_tol=0.05)
