"""Single requests, for distributions and for batch sizes: what each cost, how long it took, how many were live with it.

They describe a repeat. They are never samples: a verdict takes repeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from greengen.accounting.crossing import Served
from greengen.accounting.curves import NS, Floats, Ints
from greengen.accounting.ledger import Ledger
from greengen.accounting.table import SpanTable


@dataclass(frozen=True, slots=True)
class Each:
    """The requests that stand for themselves alone, shape (n,) each.

    energy_j   with the spans inside them, on every tier that they crossed
    seconds    from start to end; nan for one that failed or never ended
    tokens     written; nan where that was not told
    live       how many requests were live at once, on average over its time
    """

    energy_j: Floats
    seconds: Floats
    tokens: Floats
    live: Floats


NONE = Each(*(np.zeros(0) for _ in range(4)))


def each(ledger: Ledger, served: Sequence[Served]) -> Each:
    """Every request of a run, each once."""
    joules = {
        id(chapter): _joules(chapter.table, [e.books.span_j + e.books.given_j for e in chapter.totalled])
        for chapter in ledger.chapters
    }
    entries = {one.chapter.table.rows[i].uid for one in served for i in one.entries.tolist()}
    beyond: dict[str, float] = {}
    # The part of other tiers; where several requests of one trace came in, it is shared among them.
    for chapter in ledger.chapters:
        of = joules[id(chapter)]
        for i, row in enumerate(chapter.table.rows):
            if row.trace_id is not None and of[i] and row.uid not in entries:
                beyond[row.trace_id] = beyond.get(row.trace_id, 0.0) + float(of[i])
    came_in: dict[str | None, int] = {}
    for one in served:
        for row in one.rows:
            came_in[row.trace_id] = came_in.get(row.trace_id, 0) + 1
    parts = []
    for one in served:
        table, members = one.chapter.table, one.entries
        rows = one.rows
        more = np.array([beyond.get(row.trace_id or "", 0.0) / came_in[row.trace_id] for row in rows])
        seconds = (table.t1_ns[members] - table.t0_ns[members]) / NS
        ended = np.array([row.outcome == "ok" and row.t1_ns is not None for row in rows], dtype=bool)
        tokens = np.array([np.nan if row.output_tokens is None else row.output_tokens for row in rows], dtype=float)
        live = _live(table.t0_ns[members], table.t1_ns[members])
        columns = (joules[id(one.chapter)][members] + more, np.where(ended, seconds, np.nan), tokens, live)
        alone = np.array([row.requests == 1 for row in rows], dtype=bool)
        parts.append([column[alone] for column in columns])
    return Each(*(np.concatenate(columns) for columns in zip(*parts, strict=True))) if parts else NONE


def quantiles(seconds: Floats, at: Sequence[float]) -> list[float | None]:
    """Latencies, s, that a part of the requests stayed below; None without any."""
    known = seconds[~np.isnan(seconds)]
    return [float(value) for value in np.quantile(known, at)] if known.size else [None] * len(at)


def batches(of: Each) -> dict[int, tuple[int, float, float]]:
    """How many were live (rounded to a power of 2) -> (requests, J, tokens) of those that tell tokens."""
    told = ~np.isnan(of.tokens) & (of.live > 0)
    size = np.exp2(np.round(np.log2(np.maximum(of.live[told], 1.0)))).astype(int)
    found = {}
    for batch in np.unique(size).tolist():
        here = size == batch
        found[batch] = (int(here.sum()), float(of.energy_j[told][here].sum()), float(of.tokens[told][here].sum()))
    return found


def binned(values: Sequence[Floats], most: int = 40) -> tuple[Floats, list[list[int]]]:
    """(edges, logarithmic; counts of each) over the common range of some distributions."""
    positive = np.concatenate([v[v > 0] for v in values]) if values else np.zeros(0)
    if not positive.size:
        return np.zeros(0), [[] for _ in values]
    low, high = float(positive.min()), float(positive.max())
    if low == high:
        low, high = low / 2.0, high * 2.0
    edges = np.geomspace(low, high, most + 1)
    edges[0], edges[-1] = low, high
    return edges, [np.histogram(v, edges)[0].tolist() for v in values]


def _joules(table: SpanTable, own: Sequence[Floats]) -> Floats:
    """Each outermost request's joules with all inside it, at its index; 0 elsewhere."""
    root = _roots(table)
    total: Floats = np.sum(own, axis=0) if own else np.zeros(len(table))
    inside = root >= 0
    joules: Floats = np.zeros(len(table))
    np.add.at(joules, root[inside], total[inside])
    return joules


def _roots(table: SpanTable) -> Ints:
    """The outermost request that each span is, or is part of; -1 for none."""
    root: Ints = table.request.copy()
    while True:
        above = np.where(root >= 0, table.parent[root], -1)
        outer = np.where(above >= 0, table.request[above], -1)
        if not (outer >= 0).any():
            return root
        root = np.where(outer >= 0, outer, root)


def _live(t0_ns: Ints, t1_ns: Ints) -> Floats:
    """How many of some spans were live, on average over the time of each."""
    if not t0_ns.size:
        return np.zeros(0)
    base = int(t0_ns.min())
    begin, end = t0_ns - base, t1_ns - base
    edges = np.concatenate((begin, end))
    change = np.repeat([1.0, -1.0], [begin.size, end.size])
    order = np.argsort(edges, kind="stable")
    times = edges[order].astype(np.float64)
    heads = np.cumsum(change[order])
    area = np.concatenate(([0.0], np.cumsum(heads[:-1] * np.diff(times))))
    length = (end - begin).astype(np.float64)
    inside = np.interp(end.astype(float), times, area) - np.interp(begin.astype(float), times, area)
    mean: Floats = np.divide(inside, length, out=np.ones_like(length), where=length > 0)
    return mean
