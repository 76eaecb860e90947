"""A timeline as accounting takes it: when it was recorded, its energy curves, and the tiers of its spans."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace

from greengen.accounting import cover, curves, together, usage
from greengen.accounting.together import Together
from greengen.rows import Segment, SpanRow, Timeline


def as_one(timeline: Timeline) -> Together:
    """A timeline as one account, whether one recorder told it or several side by side."""
    if timeline.recordings:
        return together.resolve(timeline)
    segments = _in_order(timeline)
    # A segment that was cut off ends at its last reading.
    recorded = together.closed(segments, [*timeline.samples.values(), *timeline.usage.values()])
    threaded = [not segment.info.get("own_process", False) for segment in segments]
    asked = [segment.info.get("interval_s") for segment in segments]
    intervals = [float(seconds) if isinstance(seconds, int | float) else None for seconds in asked]
    uses = usage.device_uses(timeline.usage, (domain.split for domain in timeline.domains), recorded)
    cpu = usage.cpu_use(timeline.usage, recorded, threaded)
    return Together(timeline, recorded, intervals, uses if cpu is None else uses | {usage.CPU: cpu})


def read_curves(one: Together) -> tuple[dict[str, curves.Curve], Mapping[str, str]]:
    """(the curve of each domain that was read, why a total leaves a domain out; "" where it counts it), by uid."""
    timeline = one.timeline
    found = {
        domain.uid: curves.build(domain, timeline.samples[domain.uid], one.recorded, one.intervals_s)
        for domain in timeline.domains
        if domain.uid in timeline.samples
    }
    for outer in (domain for domain in timeline.domains if domain.uid in found and found[domain.uid].froze):
        parts = [uid for uid in cover.inside(outer, timeline.domains) & found.keys() if found[uid].measured]
        if all(found[uid].rests for uid in parts):
            # What the counter around them missed, they have not measured as nothing.
            found |= {uid: curves.still_within(found[uid], outer) for uid in parts}
    readable = frozenset(uid for uid, curve in found.items() if curve.known.any())
    return found, cover.cover(timeline.domains, readable)


def on_their_tiers(timeline: Timeline) -> Sequence[SpanRow]:
    """The spans; one that names no tier is on that of its process's own recording, or of the one it began in."""
    every = _in_order(timeline)
    if not any(segment.info.get("tier") for segment in every):
        return timeline.spans
    own: dict[str, list[Segment]] = {}
    for segment in every:
        own.setdefault(segment.process, []).append(segment)

    def latest(segments: Sequence[Segment], t_ns: int) -> Segment:
        return segments[max(bisect_right(segments, t_ns, key=lambda segment: segment.t0_ns) - 1, 0)]

    def tier(span: SpanRow) -> str | None:
        theirs = latest(own.get(span.process, every), span.t0_ns)
        inside = theirs.t0_ns <= span.t0_ns and (theirs.t1_ns is None or span.t0_ns <= theirs.t1_ns)
        found = theirs if inside else latest(every, span.t0_ns)
        return found.info.get("tier")

    return [span if span.tier is not None else replace(span, tier=tier(span)) for span in timeline.spans]


def _in_order(timeline: Timeline) -> list[Segment]:
    return sorted(timeline.segments, key=lambda segment: segment.t0_ns)
