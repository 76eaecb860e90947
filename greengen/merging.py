"""Put runs together and cut one: on rows, so that files and memory follow one rule.

Every row has an identity (boot, meter, time; process and sequence), so that merging is a union: it
can be done twice, in any order, and counts nothing twice. Two readings of one meter at one time
that disagree are an error.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

from greengen.errors import KindMismatchError, UsageError
from greengen.rows import Rows, Segment, Series, Timeline

T = TypeVar("T")


def merge(runs: Iterable[Rows]) -> Rows:
    """The union of several runs. Raises KindMismatchError where they contradict one another."""
    merged = Rows()
    timelines: dict[str, Timeline] = {}
    for rows in runs:
        merged.meta = {**rows.meta, **merged.meta}
        for timeline in rows.timelines:
            known = timelines.get(timeline.boot_id)
            timelines[timeline.boot_id] = timeline if known is None else _union(known, timeline)
    merged.timelines = [timelines[boot] for boot in sorted(timelines)]
    return merged


def cut(rows: Rows, t0_ns: int, t1_ns: int) -> Rows:
    """The run between two times of its clock, from reading to reading.

    Both ends move back to the reading before them, so that what [a, b] and [b, c] hold adds up to
    what [a, c] holds. Raises UsageError for an empty stretch.
    """
    if t0_ns >= t1_ns:
        msg = f"nothing lies between {t0_ns} and {t1_ns} ns: pass the earlier time first"
        raise UsageError(msg)
    return replace(rows, timelines=[_cut(timeline, t0_ns, t1_ns) for timeline in rows.timelines])


def _union(a: Timeline, b: Timeline) -> Timeline:
    segments = _distinct((*a.segments, *b.segments), lambda s: s.uid, _longer)
    for first, second in pairwise(sorted(segments, key=lambda s: s.t0_ns)):
        if first.t1_ns is None or second.t0_ns < first.t1_ns:
            msg = (
                f"two recordings of {a.hostname} overlap in time (segments {first.uid} and {second.uid}): "
                "each counts the other's processes as foreign; report them one by one"
            )
            raise KindMismatchError(msg)
    return replace(
        a,
        info={**b.info, **a.info},
        domains=_distinct((*a.domains, *b.domains), lambda d: d.uid),
        samples={key: _readings(key, a.samples.get(key), b.samples.get(key)) for key in {**a.samples, **b.samples}},
        usage={key: _readings("/".join(key), a.usage.get(key), b.usage.get(key)) for key in {**a.usage, **b.usage}},
        spans=_distinct((*a.spans, *b.spans), lambda s: s.uid, lambda s, t: s if s.t1_ns is not None else t),
        processes=_distinct(
            (*a.processes, *b.processes), lambda p: p.uid, lambda p, q: max(p, q, key=lambda r: r.last_seen_ns)
        ),
        segments=sorted(segments, key=lambda s: s.t0_ns),
        events=sorted({*a.events, *b.events}, key=lambda e: (e.t_ns, e.kind, e.subject, e.reason)),
        unavailable=_distinct((*a.unavailable, *b.unavailable), lambda u: (u.interface, u.reason)),
    )


def _distinct(
    items: Iterable[T], identity: Callable[[T], object], better: Callable[[T, T], T] = lambda a, _: a
) -> list[T]:
    kept: dict[object, T] = {}
    for item in items:
        key = identity(item)
        kept[key] = better(kept[key], item) if key in kept else item
    return list(kept.values())


def _longer(a: Segment, b: Segment) -> Segment:
    return a if a.t1_ns is not None else b


def _readings(name: str, a: Series | None, b: Series | None) -> Series:
    if a is None or b is None:
        only = a or b
        assert only is not None  # noqa: S101 -- the key came from one of the two
        return only
    points = {t: (value, spacing) for t, value, spacing in zip(a.t_ns, a.values, a.spacing_ns, strict=True)}
    for t, value, spacing in zip(b.t_ns, b.values, b.spacing_ns, strict=True):
        if t in points and points[t][0] != value:
            msg = (
                f"two readings of {name} at {t} ns disagree: {points[t][0]!r} and {value!r}: a file is not of this host"
            )
            raise KindMismatchError(msg)
        points[t] = (value, spacing)
    ordered = sorted(points.items())
    return Series([t for t, _ in ordered], [v for _, (v, _) in ordered], [s for _, (_, s) in ordered], a.window_s)


def _cut(timeline: Timeline, t0_ns: int, t1_ns: int) -> Timeline:
    samples = {key: _between(series, t0_ns, t1_ns) for key, series in timeline.samples.items()}
    usage = {key: _between(series, t0_ns, t1_ns) for key, series in timeline.usage.items()}
    every: Sequence[Series] = [series for series in (*samples.values(), *usage.values()) if series.t_ns]
    start = min((series.t_ns[0] for series in every), default=t0_ns)
    end = max((series.t_ns[-1] for series in every), default=t1_ns)
    segments = [
        replace(
            segment,
            uid=f"{segment.uid}[{start},{end}]",
            t0_ns=max(segment.t0_ns, start),
            t1_ns=end if segment.t1_ns is None else min(segment.t1_ns, end),
            epoch_ns=segment.epoch_ns + max(0, start - segment.t0_ns),
        )
        for segment in timeline.segments
        if segment.t0_ns <= end and (segment.t1_ns is None or segment.t1_ns >= start)
    ]
    return replace(
        timeline,
        samples=samples,
        usage=usage,
        segments=segments,
        spans=[s for s in timeline.spans if s.t0_ns <= end and (s.t1_ns is None or s.t1_ns >= start)],
        events=[event for event in timeline.events if start <= event.t_ns <= end],
    )


def _between(series: Series, t0_ns: int, t1_ns: int) -> Series:
    first = max(bisect_right(series.t_ns, t0_ns) - 1, 0)
    last = bisect_right(series.t_ns, t1_ns)
    return Series(series.t_ns[first:last], series.values[first:last], series.spacing_ns[first:last], series.window_s)
