"""Spans as columns: when each was live, and when it was the innermost of its thread of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from greengen.accounting.curves import Bools, Ints
from greengen.rows import ProcessRow, SpanRow

#: Spans of these kinds wait: they are live, and use nothing.
WEIGHTLESS = frozenset({"queue"})

#: The kind of span that is priced one by one.
REQUEST = "request"


@dataclass(frozen=True, slots=True)
class SpanTable:
    """n spans and the m intervals in which they are innermost.

    t0_ns, t1_ns   start and end, shape (n,); a span left open ends where its process was last seen
    parent         index of the enclosing span, -1 for none, shape (n,)
    owner          the span of each interval, shape (m,)
    from_ns, to_ns start and end of each interval, shape (m,)
    left_open      spans that never ended, shape (n,)
    children       span → the spans directly inside it
    request        the innermost request that each span is, or is part of; -1 for none, shape (n,)
    places         uid → the span's place

    A span without a model of its own works for that of the span around it.
    """

    rows: tuple[SpanRow, ...]
    t0_ns: Ints
    t1_ns: Ints
    parent: Ints
    owner: Ints
    from_ns: Ints
    to_ns: Ints
    left_open: Bools
    children: Mapping[int, list[int]]
    request: Ints
    places: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.rows)

    def subtree(self, index: int) -> list[int]:
        """The span and all spans inside it."""
        found, queue = [], [index]
        while queue:
            span = queue.pop()
            found.append(span)
            queue.extend(self.children.get(span, ()))
        return found


def tabulate(spans: Sequence[SpanRow], processes: Sequence[ProcessRow], end_ns: int) -> SpanTable:
    """Columns of `spans`; one still open ends when its process was last seen, at `end_ns` at the latest.

    Energy goes to the innermost live span: while a span inside it is live, at any depth, a span has no interval.
    """
    rows, parent = _nested(spans)
    last_seen = {process.uid: process.last_seen_ns for process in processes}
    t0 = np.array([span.t0_ns for span in rows], dtype=np.int64)
    t1 = np.array(
        [
            span.t1_ns if span.t1_ns is not None else max(span.t0_ns, min(last_seen.get(span.process, end_ns), end_ns))
            for span in rows
        ],
        dtype=np.int64,
    )
    t1 = np.maximum(t0, t1)
    models, request = _inherited(rows, parent)
    rows = tuple(
        span if span.model == model else replace(span, model=model) for span, model in zip(rows, models, strict=True)
    )
    children = _children(parent)
    owner, from_ns, to_ns = _innermost(t0, t1, parent, children)
    return SpanTable(
        rows=rows,
        t0_ns=t0,
        t1_ns=t1,
        parent=parent,
        owner=owner,
        from_ns=from_ns,
        to_ns=to_ns,
        left_open=np.array([span.t1_ns is None for span in rows], dtype=bool),
        children=children,
        request=request,
        places={span.uid: i for i, span in enumerate(rows)},
    )


def _inherited(rows: Sequence[SpanRow], parent: Ints) -> tuple[list[str | None], Ints]:
    models: list[str | None] = []
    request: list[int] = []
    # A list's numbers are at hand at once, an array's are made anew.
    for i, (span, outer) in enumerate(zip(rows, parent.tolist(), strict=True)):
        # Rows are in order of their start: a parent stands before its children.
        models.append(span.model if span.model is not None or outer < 0 or outer >= i else models[outer])
        request.append(i if span.kind == REQUEST else (request[outer] if 0 <= outer < i else -1))
    return models, np.array(request, dtype=np.int64)


def _nested(spans: Sequence[SpanRow]) -> tuple[tuple[SpanRow, ...], Ints]:
    """The spans in order of their start, a parent before its children, and the index of each one's parent."""
    rows = _in_order(spans)
    if not any(span.parent for span in rows):
        return tuple(rows), np.full(len(rows), -1, dtype=np.int64)
    index = {span.uid: i for i, span in enumerate(rows)}
    parent = np.array([index.get(span.parent or "", -1) for span in rows], dtype=np.int64)
    depth, endless = _depths(parent)
    if endless.any():
        # A loop of parents, which only a stranger's file can hold, is no nesting.
        parent = np.where(endless, -1, parent)
        depth, _ = _depths(parent)
    order = np.lexsort((depth, np.array([span.t0_ns for span in rows], dtype=np.int64)))
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    parent = np.where(parent >= 0, place[parent], -1)[order] if order.size else parent
    return tuple(rows[i] for i in order), parent


def _in_order(spans: Sequence[SpanRow]) -> list[SpanRow]:
    """By their start, and by their uid where several begin at once: a million keys of two parts are seconds."""
    t0_ns = np.array([span.t0_ns for span in spans], dtype=np.int64)
    order = np.argsort(t0_ns, kind="stable")
    rows = [spans[i] for i in order.tolist()]
    begins = np.flatnonzero(np.diff(t0_ns[order], prepend=t0_ns[order[:1]] - 1))
    ends = np.append(begins, t0_ns.size)[1:]
    several = ends - begins > 1
    for begin, end in zip(begins[several].tolist(), ends[several].tolist(), strict=True):
        rows[begin:end] = sorted(rows[begin:end], key=lambda span: span.uid)
    return rows


def _depths(parent: Ints) -> tuple[Ints, Bools]:
    """(how many spans are around each, whether that never ends), by looking twice as far up each time."""
    above, depth = parent, (parent >= 0).astype(np.int64)
    for _ in range(int(parent.size).bit_length()):
        up = above >= 0
        if not up.any():
            break
        depth = depth + np.where(up, depth[above], 0)
        above = np.where(up, above[above], -1)
    return depth, above >= 0


def _innermost(t0: Ints, t1: Ints, parent: Ints, children: Mapping[int, list[int]]) -> tuple[Ints, Ints, Ints]:
    alone = np.array([i not in children for i in range(t0.size)], dtype=bool)
    owner, begin, end = [np.flatnonzero(alone)], [t0[alone]], [t1[alone]]
    # What is live inside a span while the span itself is not: it covers the spans around as well.
    beyond: dict[int, list[tuple[int, int]]] = {}
    depth, _ = _depths(parent)
    for span in sorted(children, key=lambda i: -depth[i]):
        start, stop = int(t0[span]), int(t1[span])
        covered = [(int(t0[c]), int(t1[c])) for c in children[span]]
        covered += [part for c in children[span] for part in beyond.get(c, ())]
        gaps = _outside(start, stop, sorted(covered))
        beyond[span] = [(a, b) for a, b in covered if b > stop or a < start]
        owner.append(np.full(len(gaps), span, dtype=np.int64))
        begin.append(np.array([a for a, _ in gaps], dtype=np.int64))
        end.append(np.array([b for _, b in gaps], dtype=np.int64))
    return np.concatenate(owner).astype(np.int64), np.concatenate(begin), np.concatenate(end)


def _children(parent: Ints) -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for child in np.flatnonzero(parent >= 0).tolist():
        children.setdefault(int(parent[child]), []).append(child)
    return children


def _outside(start: int, end: int, covered: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """What of [start, end) the sorted intervals leave."""
    gaps, at = [], start
    for a, b in covered:
        if a > at:
            gaps.append((at, min(a, end)))
        at = max(at, b)
        if at >= end:
            break
    if at < end:
        gaps.append((at, end))
    return [(a, b) for a, b in gaps if b > a]
