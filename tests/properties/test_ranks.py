"""Law 2 over recordings that overlap: ranks merged are what one recorder would have written of them all."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from greengen.accounting.ledger import build
from greengen.merging import merge
from greengen.recording import export
from greengen.recording.reader import read
from tests.properties import told
from tests.properties.ranks import BOOT, GPU, PACKAGE, Ranks, ranks
from tests.properties.strategies import FEW


@given(ranks())
def test_ranks_merged_are_one_recording_of_them_all(planted: Ranks) -> None:
    """Every account of every domain: spans, overhead, other, idle."""
    merged, one = told.books(merge(planted.runs)), told.books(planted.one)
    assert merged.keys() == one.keys()
    for key, book in one.items():
        assert abs(merged[key].total_j - book.total_j) <= told.TOLERANCE * max(book.total_j, 1.0)
        # On a thinned slope the readings of two rhythms that were left out are told by the denser one's.
        loose = 1e6 if planted.thin and book.domain == GPU else 1.0
        told.same(told.accounts(merged[key]), told.accounts(book), loose * max(book.total_j, 1.0))


@given(ranks())
def test_the_total_is_what_happened(planted: Ranks) -> None:
    book = told.books(merge(planted.runs))[BOOT, PACKAGE.uid]
    assert abs(book.total_j - planted.package_j()) <= told.TOLERANCE * max(book.total_j, 1.0)
    assert abs(told.whole(told.accounts(book)) - book.total_j) <= told.TOLERANCE * max(book.total_j, 1.0)


@given(ranks(), st.randoms(use_true_random=False))
def test_merging_is_idempotent_commutative_and_associative(planted: Ranks, random: Random) -> None:
    merged = merge(planted.runs)
    assert merge([merged]) == merged
    assert merge([merged, *planted.runs, merged]) == merged
    shuffled = list(planted.runs)
    random.shuffle(shuffled)
    assert merge(shuffled) == merged
    cut = random.randrange(len(shuffled))
    assert merge([merge(shuffled[:cut]), merge(shuffled[cut:])]) == merged
    assert build(merged).total().as_dict() == build(merge(shuffled)).total().as_dict()


@FEW
@given(ranks())
def test_a_run_file_gives_back_what_was_merged(planted: Ranks) -> None:
    merged = merge(planted.runs)
    with tempfile.TemporaryDirectory(prefix="greengen-test-") as directory:
        path = Path(directory) / "run.greengen"
        export.write(merged, path)
        loaded = read(path)
    assert merge([loaded]) == merged
    assert told.every_account(loaded) == told.every_account(merged)
