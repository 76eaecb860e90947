"""Put runs together and cut one: on rows, so that files and memory follow one rule.

Every row has an identity (boot, meter, time; process and sequence), so that merging is a union: it
can be done twice, in any order, and counts nothing twice. Two readings of one meter at one time
that disagree are an error.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeVar

from greengen.collector import CAPACITY, MACHINE, Domain
from greengen.errors import KindMismatchError, UsageError
from greengen.rows import EngineStep, ProcessRow, Rows, Segment, Series, SpanRow, Stint, Timeline, no_news

T = TypeVar("T")

#: The foreign share is told second by second of the clock; see greengen.accounting.usage.
_SECOND_NS = 1_000_000_000

_FOREVER = 2**62


def merge(runs: Iterable[Rows]) -> Rows:
    """The union of several runs. Raises KindMismatchError where they contradict one another."""
    merged = Rows()
    timelines: dict[str, Timeline] = {}
    for rows in runs:
        merged.meta = _agreed(merged.meta, rows.meta)
        for timeline in rows.timelines:
            # With itself where it is the first: what comes out is in one order, whatever went in.
            timelines[timeline.boot_id] = _union(timelines.get(timeline.boot_id, timeline), timeline)
    merged.timelines = [timelines[boot] for boot in sorted(timelines)]
    return merged


def cut(rows: Rows, t0_ns: int, t1_ns: int) -> Rows:
    """The run between two times of its clock, from reading to reading.

    Both ends move back to the reading before them, so that what [a, b] and [b, c] hold adds up to
    what [a, c] holds, and the two merge to it. The weights read around it stay: they say whose work
    its first and its last moment was. Raises UsageError for an empty stretch.
    """
    if t0_ns >= t1_ns:
        msg = f"nothing lies between {t0_ns} and {t1_ns} ns: pass the earlier time first"
        raise UsageError(msg)
    return replace(rows, timelines=[_cut(timeline, t0_ns, t1_ns) for timeline in rows.timelines])


def _union(a: Timeline, b: Timeline) -> Timeline:
    return Timeline(
        boot_id=a.boot_id,
        hostname=min(a.hostname, b.hostname),
        info=_agreed(a.info, b.info),
        domains=_distinct((*a.domains, *b.domains), lambda d: d.uid, _loosest),
        samples={
            key: _readings(key, a.samples.get(key), b.samples.get(key)) for key in sorted({**a.samples, **b.samples})
        },
        usage={
            key: _readings("/".join(key), a.usage.get(key), b.usage.get(key)) for key in sorted({**a.usage, **b.usage})
        },
        spans=sorted(_distinct((*a.spans, *b.spans), lambda s: s.uid, _latest), key=lambda s: (s.t0_ns, s.uid)),
        engines=_distinct((*a.engines, *b.engines), lambda e: e.uid, repr),
        steps=_distinct((*a.steps, *b.steps), lambda s: (s.engine, s.seq), repr),
        stints=_distinct((*a.stints, *b.stints), lambda s: (s.engine, s.first, s.span), repr),
        processes=_distinct((*a.processes, *b.processes), lambda p: p.uid, _last_heard),
        segments=_side_by_side(a, b),
        events=sorted({*a.events, *b.events}, key=lambda e: (e.t_ns, e.kind, e.subject, e.reason)),
        unavailable=_distinct((*a.unavailable, *b.unavailable), lambda u: (u.interface, u.reason), repr),
    )


def _agreed(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    """Both, and where they differ the one that sorts first: the order of merging must not show."""

    def first(key: str) -> Any:  # noqa: ANN401 -- whatever JSON holds
        return min((found[key] for found in (a, b) if key in found), key=lambda v: json.dumps(v, sort_keys=True))

    return {key: first(key) for key in sorted({*a, *b})}


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


def _readings(name: str, a: Series | None, b: Series | None) -> Series:
    if a is None or b is None:
        only = a or b
        assert only is not None  # noqa: S101 -- the key came from one of the two
        return only
    points = {t: (value, spacing) for t, value, spacing in zip(a.t_ns, a.values, a.spacing_ns, strict=True)}
    for t, value, spacing in zip(b.t_ns, b.values, b.spacing_ns, strict=True):
        known, step = points.get(t, (value, spacing))
        if known != value and not (math.isnan(known) and math.isnan(value)):
            msg = f"two readings of {name} at {t} ns disagree: {known!r} and {value!r}: a file is not of this host"
            raise KindMismatchError(msg)
        points[t] = (known, max(step, spacing))
    ordered = sorted(points.items())
    window_s = max(a.window_s, b.window_s)
    return Series([t for t, _ in ordered], [v for _, (v, _) in ordered], [s for _, (_, s) in ordered], window_s)


def _side_by_side(a: Timeline, b: Timeline) -> list[Segment]:
    """The segments of both. Pieces of one recording that touch are one; two recordings at a time are an error."""
    ends: dict[str, int] = {}
    pieces: dict[str, list[Segment]] = {}
    for timeline in (a, b):
        for segment in timeline.segments:
            ends[segment.uid] = max(ends.get(segment.uid, 0), _end(timeline, segment))
            pieces.setdefault(_recording(segment), []).append(segment)
    joined = [segment for recording in pieces.values() for segment in _joined(recording, ends)]
    joined.sort(key=lambda segment: (segment.t0_ns, segment.uid))
    for first, second in pairwise(joined):
        if second.t0_ns < ends[first.uid]:
            msg = (
                f"two recordings of {a.hostname} overlap in time (segments {first.uid} and {second.uid}): "
                "each counts the other's processes as foreign; report them one by one, and record all processes "
                "of a host by one `greengen profile -- COMMAND` (such as torchrun)"
            )
            raise KindMismatchError(msg)
    return joined


def _recording(segment: Segment) -> str:
    """The uid of the recording that a segment is, or is a piece of."""
    return segment.uid.partition("[")[0]


def _joined(pieces: Sequence[Segment], ends: dict[str, int]) -> list[Segment]:
    found: list[Segment] = []
    for segment in sorted(pieces, key=lambda s: (s.t0_ns, -ends[s.uid], s.t1_ns is None)):
        if not found or segment.t0_ns > ends[found[-1].uid]:
            found.append(segment)
            continue
        before, end = found[-1], max(ends[found[-1].uid], ends[segment.uid])
        whole = [s for s in (before, segment) if s.uid == _recording(s)]
        piece = min((before, segment), key=lambda s: s.t0_ns)
        # Of two copies of a whole one, the one that was closed.
        best = max(whole, key=lambda s: (s.t1_ns or 0, repr(s)), default=None) or replace(
            piece, uid=_piece(piece, piece.t0_ns, end), t1_ns=end
        )
        ends[best.uid] = end
        found[-1] = best
    return found


def _piece(segment: Segment, t0_ns: int, t1_ns: int) -> str:
    return f"{_recording(segment)}[{t0_ns},{t1_ns}]"


def _end(timeline: Timeline, segment: Segment) -> int:
    """When a segment ended; of one that was cut off, its last reading."""
    if segment.t1_ns is not None:
        return segment.t1_ns
    after = min((s.t0_ns for s in timeline.segments if s.t0_ns > segment.t0_ns), default=_FOREVER)
    every = (*timeline.samples.values(), *timeline.usage.values())
    last = [series.t_ns[i - 1] for series in every if (i := bisect_left(series.t_ns, after))]
    return max([segment.t0_ns, *last])


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
            uid=_piece(segment, max(segment.t0_ns, start), min(_end(timeline, segment), end)),
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
