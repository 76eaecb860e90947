"""What other policies would have said: the spread between them is beside a number what its interval is not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from greengen.accounting.books import SHARED_KINDS, Books
from greengen.accounting.choice import Plan, choose
from greengen.accounting.curves import Floats
from greengen.accounting.policies import ORDER, Choice
from greengen.accounting.shares import share


def by_policy(books: Books, plan: Plan, choices: Iterable[Choice]) -> dict[str, Floats]:
    """policy → each span's joules under it, for those that this run allows without falling back, shape (n,).

    `affine` stands with the coefficients that were chosen.
    """
    # Without their errors: only joules are asked for.
    fitted: dict[str | tuple[str, str], Choice] = {
        c.group: replace(c, moves=()) for c in choices if c.policy == "affine"
    }
    whole = books.domain.kind in SHARED_KINDS
    found: dict[str, Floats] = {}
    for name in ORDER:
        if name == "affine" and not fitted:
            continue
        asked = replace(plan, policy=name, frozen=fitted if name == "affine" else {})
        chosen = choose(books.work, asked, lambda _: ())
        if not any(choice.policy == name for choice in chosen.choices):
            continue
        shares = share(books.work, chosen.weights, chosen.intensity, books.used, books.grid.edges, whole=whole)
        found[name] = shares.spread(books.own_j)
    return found


def together(every: Iterable[dict[str, Floats]]) -> dict[str, Floats]:
    """The same over several domains of one timeline: policies that all of them know, shape (n,)."""
    several = list(every)
    names = [name for name in ORDER if several and all(name in one for one in several)]
    return {name: np.sum([one[name] for one in several], axis=0) for name in names}
