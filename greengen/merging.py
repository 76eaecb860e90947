"""Put runs together and cut one: on rows, so that files and memory follow one rule.

Every row has an identity (recording, meter, time; process and sequence), so that merging is a union:
it can be done twice, in any order, and counts nothing twice. Recordings of one host may overlap, as
those of ranks do; readings that contradict one another are an error.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from typing import Any, TypeVar

from greengen import contradiction, overlap
from greengen.collector import CAPACITY, MACHINE, Domain
from greengen.errors import UsageError
from greengen.overlap import ended
from greengen.rows import EngineStep, ProcessRow, Rows, Segment, Series, SpanRow, Stint, Timeline, no_news

T = TypeVar("T")

#: The foreign share is told second by second of the clock; see greengen.accounting.usage.
_SECOND_NS = 1_000_000_000

_FOREVER = 2**62


def merge(runs: Iterable[Rows]) -> Rows:
    """The union of several runs. Raises KindMismatchError where they contradict one another."""
    merged = Rows()
    timelines: dict[str, list[Timeline]] = {}
    for rows in runs:
        merged.meta = _agreed([merged.meta, rows.meta])
        for timeline in rows.timelines:
            timelines.setdefault(timeline.boot_id, []).append(timeline)
    merged.timelines = [_union(timelines[boot]) for boot in sorted(timelines)]
    return merged


def cut(rows: Rows, t0_ns: int, t1_ns: int) -> Rows:
    """The run between two times of its clock, from reading to reading.

    Both ends move back to the reading before them, so that what [a, b] and [b, c] hold adds up to
    what [a, c] holds, and the two merge to it. The weights read around it stay: they say whose work
    its first and its last moment was. Raises UsageError for an empty stretch, and for recordings side by side.
    """
    if t0_ns >= t1_ns:
        msg = f"nothing lies between {t0_ns} and {t1_ns} ns: pass the earlier time first"
        raise UsageError(msg)
    if any(timeline.recordings for timeline in rows.timelines):
        msg = "recordings that went on side by side are cut one by one: cut them before merging"
        raise UsageError(msg)
    return replace(rows, timelines=[_cut(timeline, t0_ns, t1_ns) for timeline in rows.timelines])


def _union(accounts: Sequence[Timeline]) -> Timeline:
    """One timeline of several accounts of one boot; of a single one, what is in the order of all unions."""
    every = [overlap.apart(timeline) for timeline in accounts]
    uids = sorted({uid for parts in every for uid in parts})
    parts = {uid: overlap.united([found[uid] for found in every if uid in found]) for uid in uids}
    domains = _distinct(chain.from_iterable(t.domains for t in accounts), lambda d: d.uid, _loosest)
    shared, recordings = overlap.laid_out(parts)
    if recordings:
        contradiction.check(parts, [d for timeline in accounts for d in timeline.domains])
    return Timeline(
        boot_id=accounts[0].boot_id,
        hostname=min(timeline.hostname for timeline in accounts),
        info=_agreed([timeline.info for timeline in accounts]),
        domains=domains,
        samples=shared.samples,
        usage=shared.usage,
        spans=sorted(
            _distinct(chain.from_iterable(t.spans for t in accounts), lambda s: s.uid, _latest),
            key=lambda s: (s.t0_ns, s.uid),
        ),
        engines=_distinct(chain.from_iterable(t.engines for t in accounts), lambda e: e.uid, repr),
        steps=_distinct(chain.from_iterable(t.steps for t in accounts), lambda s: (s.engine, s.seq), repr),
        stints=_distinct(chain.from_iterable(t.stints for t in accounts), lambda s: (s.engine, s.first, s.span), repr),
        processes=_distinct(chain.from_iterable(t.processes for t in accounts), lambda p: p.uid, _last_heard),
        segments=sorted((s for part in parts.values() for s in part.pieces), key=lambda s: (s.t0_ns, s.uid)),
        events=sorted({e for t in accounts for e in t.events}, key=lambda e: (e.t_ns, e.kind, e.subject, e.reason)),
        unavailable=_distinct(
            chain.from_iterable(t.unavailable for t in accounts), lambda u: (u.interface, u.reason), repr
        ),
        recordings=recordings,
    )


def _agreed(every: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All of them, and where they differ what sorts first: the order of merging must not show."""

    def first(key: str) -> Any:  # noqa: ANN401 -- whatever JSON holds
        return min((found[key] for found in every if key in found), key=lambda v: json.dumps(v, sort_keys=True))

    return {key: first(key) for key in sorted({key for found in every for key in found})}


def _distinct(items: Iterable[T], identity: Callable[[T], Any], rank: Callable[[T], Any]) -> list[T]:
    """One of each identity, the one of the highest rank, in order of identity."""
    kept: dict[Any, T] = {}
    for item in items:
        key = identity(item)
        kept[key] = max(kept.get(key, item), item, key=rank)
    return [kept[key] for key in sorted(kept)]


def _loosest(domain: Domain) -> tuple[float, str]:
    """Of two accounts of a domain, the one whose greatest power disbelieves less."""
    return (math.inf if domain.max_power_w is None else domain.max_power_w, repr(domain))


def _latest(span: SpanRow) -> tuple[bool, int, str]:
    return (span.t1_ns is not None, span.t1_ns or 0, repr(span))


def _last_heard(process: ProcessRow) -> tuple[int, bool, int, str]:
    return (process.last_seen_ns, process.closed, process.lost_rows, repr(process))


def _end(timeline: Timeline, segment: Segment) -> int:
    after = min((s.t0_ns for s in timeline.segments if s.t0_ns > segment.t0_ns), default=_FOREVER)
    return ended(segment, (*timeline.samples.values(), *timeline.usage.values()), after)


def _cut(timeline: Timeline, t0_ns: int, t1_ns: int) -> Timeline:
    starts = sorted(segment.t0_ns for segment in timeline.segments)
    domains = {domain.uid: domain for domain in timeline.domains}
    samples = {}
    for uid, series in timeline.samples.items():
        ends = [_knot(domains.get(uid), series, starts, t) for t in (t0_ns, t1_ns)]
        samples[uid] = _slice(series, max(ends[0], 0), ends[1] + 1)
    every = [series for series in samples.values() if series.t_ns]
    if timeline.samples and not every:
        return replace(timeline, samples=samples, usage={}, segments=[], spans=[], steps=[], stints=[], events=[])
    start = min((series.t_ns[0] for series in every), default=t0_ns)
    end = max((series.t_ns[-1] for series in every), default=t1_ns)
    # A gauge that averages speaks of half a window before its first reading, too.
    earliest = start - int(max((series.window_s for series in every), default=0.0) * _SECOND_NS / 2)
    pieces = [
        replace(
            segment,
            uid=overlap.piece(segment, max(segment.t0_ns, start), min(_end(timeline, segment), end)),
            t0_ns=max(segment.t0_ns, start),
            t1_ns=min(_end(timeline, segment), end),
            epoch_ns=segment.epoch_ns + max(0, start - segment.t0_ns),
        )
        for segment in timeline.segments
        if segment.t0_ns <= end and _end(timeline, segment) >= start
    ]
    during = [step for step in timeline.steps if step.t0_ns <= end and step.t1_ns >= earliest]
    serving = frozenset(stint.span for stint in _taking_part(timeline.stints, during))
    spans = _live(timeline.spans, earliest, end, serving)
    steps = _with_those_of(timeline, during, frozenset(span.uid for span in spans))
    return replace(
        timeline,
        samples=samples,
        usage=_around(timeline, starts, pieces),
        segments=pieces,
        spans=spans,
        steps=steps,
        stints=_taking_part(timeline.stints, steps),
        events=[event for event in timeline.events if start <= event.t_ns <= end],
    )


def _live(spans: Sequence[SpanRow], start: int, end: int, serving: frozenset[str]) -> list[SpanRow]:
    """The spans live in a stretch, and those around them: a span inside another stays so though one between ended.

    serving  those that have a part in a step of it: a request may end before the step that ends it does
    """
    around = {span.uid: span.parent for span in spans}
    kept: set[str] = set()
    for span in spans:
        live = span.t0_ns <= end and (span.t1_ns is None or span.t1_ns >= start)
        uid = span.uid if live or span.uid in serving else None
        while uid in around and uid not in kept:
            kept.add(uid)
            uid = around[uid]
    return [span for span in spans if span.uid in kept]


def _with_those_of(timeline: Timeline, during: Sequence[EngineStep], spans: frozenset[str]) -> list[EngineStep]:
    """Some steps, and all others of some spans: before its first one a request waits, and between them it does not."""
    theirs: dict[str, list[tuple[int, int]]] = {}
    for stint in sorted(timeline.stints, key=lambda stint: stint.first):
        if stint.span in spans:
            runs = theirs.setdefault(stint.engine, [])
            if runs and stint.first <= runs[-1][1]:
                runs[-1] = (runs[-1][0], max(runs[-1][1], stint.last))
            else:
                runs.append((stint.first, stint.last))
    known = set(during)

    def one_of_theirs(step: EngineStep) -> bool:
        runs = theirs.get(step.engine, [])
        at = bisect_right(runs, (step.seq, _FOREVER)) - 1
        return at >= 0 and step.seq <= runs[at][1]

    return [step for step in timeline.steps if step in known or one_of_theirs(step)]


def _taking_part(stints: Sequence[Stint], steps: Sequence[EngineStep]) -> list[Stint]:
    """The stints around some steps, whole: a step that is not there takes nothing."""
    within: dict[str, tuple[int, int]] = {}
    for step in steps:
        first, last = within.get(step.engine, (step.seq, step.seq))
        within[step.engine] = (min(first, step.seq), max(last, step.seq))
    nothing = (_FOREVER, -_FOREVER)
    return [
        stint
        for stint in stints
        if stint.first <= within.get(stint.engine, nothing)[1] and stint.last >= within.get(stint.engine, nothing)[0]
    ]


def _knot(domain: Domain | None, series: Series, starts: Sequence[int], t_ns: int) -> int:
    """Index of the last reading at or before `t_ns` that ends a stretch of the domain's curve; -1: none."""
    knot, recording = -1, -1
    for i in range(bisect_right(series.t_ns, t_ns)):
        at, value = series.t_ns[i], series.values[i]
        if domain is not None and domain.reading == "power":
            knot = i if value >= 0 else knot
            continue
        number = bisect_right(starts, at)
        last = i + 1 == len(series.t_ns) or bisect_right(starts, series.t_ns[i + 1]) != number
        same = knot >= 0 and number == recording and value == series.values[knot] and not last
        if not same or domain is None or not no_news(domain, at - series.t_ns[knot]):
            knot, recording = i, number
    return knot


def _around(timeline: Timeline, starts: Sequence[int], pieces: Sequence[Segment]) -> dict[tuple[str, str], Series]:
    """The usage read in some pieces of a recording, and around them as far as its division reaches."""
    found = {key: Series(window_s=series.window_s) for key, series in timeline.usage.items()}
    for piece in pieces:
        number = bisect_right(starts, piece.t0_ns)
        lowest = starts[number - 1] if number > 1 else -_FOREVER
        highest = starts[number] if number < len(starts) else _FOREVER
        for resource in sorted({key[0] for key in timeline.usage}):
            within = {
                key: _slice(series, bisect_left(series.t_ns, lowest), bisect_left(series.t_ns, highest))
                for key, series in timeline.usage.items()
                if key[0] == resource
            }
            for key, series in _with_seconds_around(within, piece.t0_ns, piece.t1_ns or highest).items():
                found[key].t_ns += series.t_ns
                found[key].values += series.values
                found[key].spacing_ns += series.spacing_ns
    return found


def _with_seconds_around(
    usage: Mapping[tuple[str, str], Series], start: int, end: int
) -> dict[tuple[str, str], Series]:
    """From a reading before the second that holds `start` to one after the second that follows `end`.

    Seconds in which nothing was read do not count.
    """
    times = sorted({t for (_, consumer), series in usage.items() if consumer != CAPACITY for t in series.t_ns})
    # The machine may have been read less often than the rest: its last reading ends the last second.
    last = max((s.t_ns[-1] for (_, consumer), s in usage.items() if consumer == MACHINE and s.t_ns), default=_FOREVER)
    times = times[: bisect_right(times, last)]
    firsts = [b for a, b in pairwise([-_FOREVER, *times]) if a // _SECOND_NS != b // _SECOND_NS]
    if len(firsts) > 1:
        # What is left over at the end belongs to the second before it, and what comes after goes on like it.
        firsts.pop()
    # With one second more: of clocks read a moment apart, and never taken back, the one ahead tells by how much.
    before = firsts[max(bisect_right(firsts, start) - 2, 0)] if firsts else start
    later = bisect_left(firsts, end) + 1
    after = firsts[later] if later < len(firsts) else _FOREVER
    return {
        key: _slice(series, max(bisect_right(series.t_ns, before) - 2, 0), bisect_left(series.t_ns, after) + 1)
        for key, series in usage.items()
    }


def _slice(series: Series, first: int, last: int) -> Series:
    return Series(series.t_ns[first:last], series.values[first:last], series.spacing_ns[first:last], series.window_s)
