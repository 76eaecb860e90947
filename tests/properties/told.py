"""What greengen's ledger says, in a shape that two ledgers, or a ledger and the oracle, can be compared in."""

from __future__ import annotations

import math
from collections.abc import Mapping

from greengen.accounting.books import Books
from greengen.accounting.choice import Plan
from greengen.accounting.ledger import Ledger, build
from greengen.accounting.policies import AUTO
from greengen.rows import Rows
from tests.properties import oracle

Accounts = dict[str, float | None]

#: Rounding only: relative to the energy of the domain.
TOLERANCE = 1e-9


def books(rows: Rows, window: tuple[int, int] | None = None, policy: str | Plan = AUTO) -> dict[tuple[str, str], Books]:
    """The books of every domain, by (boot, domain)."""
    return of(build(rows, window=window, policy=policy))


def of(ledger: Ledger) -> dict[tuple[str, str], Books]:
    return {
        (chapter.timeline.boot_id, entries.books.domain.uid): entries.books
        for chapter in ledger.chapters
        for entries in chapter.entries
    }


def accounts(book: Books) -> Accounts:
    """J by account; spans by their uid."""
    spans: Accounts = {row.uid: float(book.span_j[i]) for i, row in enumerate(book.table.rows)}
    return spans | {"overhead": book.overhead_j, "idle": book.idle_j, "other": book.other_j}


def every_account(
    rows: Rows, window: tuple[int, int] | None = None, policy: str | Plan = AUTO
) -> dict[tuple[str, str], Accounts]:
    return {key: accounts(book) for key, book in books(rows, window, policy).items()}


def whole(found: Accounts) -> float:
    """All that is known of a domain's accounts."""
    return math.fsum(joules for joules in found.values() if joules is not None)


def expected(book: oracle.Books) -> Accounts:
    spans: Accounts = {uid: float(joules) for uid, joules in book.spans.items()}
    other = None if book.other is None else float(book.other)
    return spans | {"overhead": float(book.overhead), "idle": float(book.idle), "other": other}


def same(one: Mapping[str, float | None], other: Mapping[str, float | None], scale_j: float) -> None:
    """Fails where two sets of accounts differ by more than rounding does. An account not there holds nothing."""
    for name in {**one, **other}:
        a, b = one.get(name, 0.0), other.get(name, 0.0)
        assert (a is None) == (b is None), f"{name}: {a} and {b}"
        if a is not None and b is not None:
            assert abs(a - b) <= TOLERANCE * max(scale_j, 1.0), f"{name}: {a} and {b}"
