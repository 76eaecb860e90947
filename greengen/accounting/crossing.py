"""Requests of a run, each once: outermost ones, and of one that crosses tiers the place where it came in.

A request that a device sends on to a server is a span in two recordings, joined by its trace id. It is one request,
its joules are those of both, and its latency is what its user waited: that of the span that waited longest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from greengen.accounting import functional
from greengen.accounting.chapter import Chapter
from greengen.accounting.curves import NS, Ints
from greengen.accounting.ledger import Ledger
from greengen.accounting.table import REQUEST
from greengen.rows import SpanRow

#: (tier, host)
Place = tuple[str | None, str]


@dataclass(frozen=True, slots=True)
class Served:
    """What of a chapter counts as a request: indices of spans in its table."""

    chapter: Chapter
    entries: Ints

    @property
    def rows(self) -> list[SpanRow]:
        """The spans that count, one per request."""
        return [self.chapter.table.rows[i] for i in self.entries.tolist()]


def served(ledger: Ledger) -> list[Served]:
    """The requests that were read for any part of their time, each once, by the chapter in which it came in."""
    found = [(chapter, _outermost(chapter)) for chapter in ledger.chapters]
    waits: dict[str, dict[Place, float]] = {}
    for chapter, members in found:
        for i in members.tolist():
            trace = chapter.table.rows[i].trace_id
            if trace is not None:
                where = _place(chapter, i)
                at = waits.setdefault(trace, {})
                at[where] = at.get(where, 0.0) + float(chapter.table.t1_ns[i] - chapter.table.t0_ns[i])
    entry = {trace: max(places, key=lambda where: places[where]) for trace, places in waits.items()}
    told = []
    for chapter, members in found:
        rows = chapter.table.rows
        here = [
            i for i in members.tolist() if entry.get(rows[i].trace_id or "", _place(chapter, i)) == _place(chapter, i)
        ]
        told.append(Served(chapter, np.array(here, dtype=np.int64)))
    return told


def count(ledger: Ledger, found: Iterable[Served], unit: str) -> float | None:
    """How many of a unit the requests made. A request that tells none where it came in is told by another tier."""
    every = [(one, i) for one in found for i in one.entries.tolist()]
    rows = [one.chapter.table.rows[i] for one, i in every]
    if unit == functional.REQUEST:
        return functional.count(rows, unit)
    silent = {row.trace_id for row in rows if row.trace_id is not None and functional.count([row], unit) is None}
    told = functional.count(rows, unit)
    entries = {row.uid for row in rows}
    beyond: dict[str, dict[Place, list[SpanRow]]] = {}
    for chapter in ledger.chapters:
        for i in _outermost(chapter).tolist():
            row = chapter.table.rows[i]
            if row.trace_id in silent and row.uid not in entries:
                beyond.setdefault(str(row.trace_id), {}).setdefault(_place(chapter, i), []).append(row)
    more = [
        max(known)
        for places in beyond.values()
        if (known := [n for those in places.values() if (n := functional.count(those, unit)) is not None])
    ]
    return math.fsum([told or 0.0, *more]) if more else told


def live_s(chapter: Chapter, members: Ints) -> float:
    """The time in which any of some spans was live, s."""
    table = chapter.table
    if not members.size:
        return 0.0
    order = np.argsort(table.t0_ns[members], kind="stable")
    start, end = table.t0_ns[members][order], table.t1_ns[members][order]
    reached = np.concatenate(([start[0]], np.maximum.accumulate(end)[:-1]))
    return float(np.maximum(end - np.maximum(start, reached), 0).sum()) / NS


def within(chapter: Chapter, chosen: Callable[[SpanRow], bool]) -> Ints:
    """The spans of requests, and those inside them, that `chosen` picks."""
    table = chapter.table
    return np.array([i for i in np.flatnonzero(table.request >= 0).tolist() if chosen(table.rows[i])], dtype=np.int64)


def _outermost(chapter: Chapter) -> Ints:
    """Requests in no other request, read for any part of their time."""
    table = chapter.table
    covered = np.max([e.coverage for e in chapter.totalled], axis=0, initial=0.0) if chapter.totalled else None
    if covered is None:
        return np.zeros(0, dtype=np.int64)
    around = np.where(table.parent >= 0, table.request[table.parent], -1) if len(table) else table.parent
    read = np.broadcast_to(covered, (len(table),)) > 0
    own = np.array([row.kind == REQUEST for row in table.rows], dtype=bool)
    return np.flatnonzero(own & read & (around < 0)).astype(np.int64)


def _place(chapter: Chapter, index: int) -> Place:
    return chapter.table.rows[index].tier, chapter.timeline.hostname
