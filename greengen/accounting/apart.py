"""Recordings of one host at once, where each can stand alone: tiers on one machine, such as behind a loopback link.

Merged, they are one account, and requests that are live together share what both processes did by policy: a client
that waits would have half of its server's joules. Alone, each has what its own processes used, by busy time, and
the other's is foreign. That counts nothing twice as long as only requests are counted, idle energy is given to none,
every meter that both read tells whose work it was, and neither's processes are among the other's.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from greengen.rows import Rows, Segment, Timeline


def alone(several: Sequence[Rows]) -> Rows | None:
    """The recordings as timelines of their own; None where they have to be merged, or are of one another's hosts."""
    timelines = [timeline for rows in several for timeline in rows.timelines]
    pairs = [pair for pair in combinations(timelines, 2) if pair[0].boot_id == pair[1].boot_id]
    if not pairs or any(_meter_both(*pair) or _nested(*pair) for pair in pairs):
        return None
    return Rows(dict(several[0].meta), timelines)


def _meter_both(one: Timeline, other: Timeline) -> bool:
    """Whether there is a meter of both that cannot tell whose work it was."""
    shared = {domain.uid for domain in other.domains}
    return any(domain.uid in shared and domain.split is None for domain in one.domains)


def _nested(one: Timeline, other: Timeline) -> bool:
    """Whether the profiled processes of one are, or may be, among the other's."""
    return any(_holds(a, b) or _holds(b, a) for a in one.segments for b in other.segments)


def _holds(outer: Segment, inner: Segment) -> bool:
    above = inner.info.get("ancestors")
    roots = [segment.info.get("root") or segment.process for segment in (outer, inner)]
    # A recording that does not tell what it is a part of may be a part of anything.
    return roots[0] == roots[1] or not isinstance(above, list) or roots[0] in above
