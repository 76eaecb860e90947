"""Two ways to know one total, held against each other: a meter around others, and what those sum to.

The difference holds what only the outer one reads (fans, power supply, disks) and the errors of both.
It may be negative; it is shown, and no account is made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from greengen.accounting.chapter import Chapter
from greengen.accounting.cover import parts_of
from greengen.accounting.curves import NS, Ints, distinct
from greengen.accounting.entries import Entries
from greengen.quantity import Quantity, total


class Remainder(NamedTuple):
    """A meter around others, over the time in which it and its parts were read.

    outer_j, parts_j  what it read, and what its parts did together
    rest_j            the one less the other
    """

    outer: Entries
    parts: tuple[Entries, ...]
    seconds: float
    outer_j: Quantity
    parts_j: Quantity
    rest_j: Quantity


def remainders(chapter: Chapter) -> list[Remainder]:
    """Of each meter that other domains make up (psys, a wall plug), where both were read."""
    by_uid = {entries.books.domain.uid: entries for entries in chapter.entries}
    readable = frozenset(uid for uid, entries in by_uid.items() if entries.books.curve.known.any())
    domains = [entries.books.domain for entries in chapter.entries]
    found = []
    for uid in sorted(readable):
        outer = by_uid[uid]
        parts = tuple(by_uid[part] for part in parts_of(outer.books.domain, domains, readable))
        if outer.books.domain.alternative and parts:
            found.append(_between(outer, parts))
    return found


def _between(outer: Entries, parts: tuple[Entries, ...]) -> Remainder:
    every = (outer, *parts)
    edges = _common(every)
    cells = [entries.books.curve.cells(edges) for entries in every]
    known = np.logical_and.reduce([known for _, known in cells])
    seconds = float((np.diff(edges) * known).sum()) / NS
    name = outer.books.domain.name
    if not seconds:
        why = Quantity.missing("J", f"{name} and its parts were never read at the same time")
        return Remainder(outer, parts, 0.0, why, why, why)
    told = [
        entries.over(float(energy_j[known].sum()), np.array([edges[0], edges[-1]]))
        for entries, (energy_j, _) in zip(every, cells, strict=True)
    ]
    parts_j = total(told[1:], "J")
    return Remainder(outer, parts, seconds, told[0], parts_j, told[0] - parts_j)


def _common(every: Sequence[Entries]) -> Ints:
    """The knots of all curves within the time that all books span; at least its two ends."""
    spanned = [entries.books.grid.edges[[0, -1]] for entries in every]
    first, last = max(int(a) for a, _ in spanned), min(int(b) for _, b in spanned)
    edges = distinct(np.concatenate([entries.books.curve.t_ns for entries in every]))
    inside = edges[(edges > first) & (edges < last)]
    return np.concatenate(([first], inside, [max(first, last)])).astype(np.int64)
