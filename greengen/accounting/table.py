"""Spans as columns: when each was live, and when it was the innermost of its thread of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from greengen.accounting.curves import Bools, Floats, Ints
from greengen.rows import ProcessRow, SpanRow

#: Spans of these kinds wait: they are live, and use nothing.
WEIGHTLESS = frozenset({"queue"})


@dataclass(frozen=True, slots=True)
class SpanTable:
    """n spans and the m intervals in which they are innermost.

    t0_ns, t1_ns   start and end, shape (n,); a span left open ends where its process was last seen
    parent         index of the enclosing span, -1 for none, shape (n,)
    weight         the policy's weight of each span, shape (n,)
    owner          the span of each interval, shape (m,)
    from_ns, to_ns start and end of each interval, shape (m,)
    left_open      spans that never ended, shape (n,)
    children       span → the spans directly inside it
    """

    rows: tuple[SpanRow, ...]
    t0_ns: Ints
    t1_ns: Ints
    parent: Ints
    weight: Floats
    owner: Ints
    from_ns: Ints
    to_ns: Ints
    left_open: Bools
    children: Mapping[int, list[int]]

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

    Energy goes to the innermost live span: while a child is live its parent has no interval.
    """
    rows = tuple(sorted(spans, key=lambda span: (span.t0_ns, span.uid)))
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
    index = {span.uid: i for i, span in enumerate(rows)}
    parent = np.array([index.get(span.parent or "", -1) for span in rows], dtype=np.int64)
    children = _children(parent)
    owner, from_ns, to_ns = _innermost(t0, t1, children)
    return SpanTable(
        rows=rows,
        t0_ns=t0,
        t1_ns=t1,
        parent=parent,
        weight=np.array([0.0 if span.kind in WEIGHTLESS else 1.0 for span in rows]),
        owner=owner,
        from_ns=from_ns,
        to_ns=to_ns,
        left_open=np.array([span.t1_ns is None for span in rows], dtype=bool),
        children=children,
    )


def _innermost(t0: Ints, t1: Ints, children: Mapping[int, list[int]]) -> tuple[Ints, Ints, Ints]:
    alone = np.array([i not in children for i in range(t0.size)], dtype=bool)
    owner, begin, end = [np.flatnonzero(alone)], [t0[alone]], [t1[alone]]
    for span, inside in children.items():
        gaps = _outside(int(t0[span]), int(t1[span]), sorted((int(t0[c]), int(t1[c])) for c in inside))
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
