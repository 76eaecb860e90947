"""Recordings of one host side by side: a timeline taken apart by recording, and laid together again.

Of each recording its pieces and its readings are one set, so that a union of sets is all that merging
is. Those that nothing else overlaps share one series per meter, as a file that is appended to has it;
the others keep series of their own, and accounting makes one curve of them.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from greengen.errors import KindMismatchError
from greengen.rows import Recording, Segment, Series, Timeline

K = TypeVar("K")

_FOREVER = 2**62


@dataclass(slots=True)
class Part:
    """One recording: its pieces (`ends`: when each ended, by uid), and what it read."""

    pieces: list[Segment] = field(default_factory=list)
    ends: dict[str, int] = field(default_factory=dict)
    samples: dict[str, Series] = field(default_factory=dict)
    usage: dict[tuple[str, str], Series] = field(default_factory=dict)

    @property
    def series(self) -> list[Series]:
        """All that it read."""
        return [*self.samples.values(), *self.usage.values()]

    @property
    def between(self) -> tuple[int, int]:
        """From its first to its last moment."""
        return min(s.t0_ns for s in self.pieces), max(self.ends.values())

    @property
    def extent(self) -> tuple[int, int]:
        """The same with the readings around it that a cut has left."""
        start, end = self.between if self.pieces else (_FOREVER, -_FOREVER)
        return min([start, *(s.t_ns[0] for s in self.series)]), max([end, *(s.t_ns[-1] for s in self.series)])


def apart(timeline: Timeline) -> dict[str, Part]:
    """The recordings of a timeline, by uid. What was read without any segment is one too, without a name."""
    own = {recording.uid: recording for recording in timeline.recordings}
    found = {uid: Part(samples=_some(r.samples), usage=_some(r.usage)) for uid, r in own.items()}
    shared = sorted((s for s in timeline.segments if s.recording not in own), key=lambda s: s.t0_ns)
    # One after the other, each begins where its first segment does; a cut leaves readings at the outer ends only.
    turns = [s for i, s in enumerate(shared) if not i or s.recording != shared[i - 1].recording]
    borders = [-_FOREVER, *(s.t0_ns for s in turns[1:]), _FOREVER]
    names = [s.recording for s in turns] or [""]
    for name in dict.fromkeys(names):
        stretches = [(borders[i], borders[i + 1]) for i, uid in enumerate(names) if uid == name]
        part = Part(samples=_within(timeline.samples, stretches), usage=_within(timeline.usage, stretches))
        if part.series or name:
            found[name] = part
    for segment in timeline.segments:
        found[segment.recording].pieces.append(segment)
    for part in found.values():
        part.pieces.sort(key=lambda s: s.t0_ns)
        starts = [s.t0_ns for s in part.pieces[1:]]
        for segment, following in zip(part.pieces, [*starts, _FOREVER], strict=True):
            end = ended(segment, part.series, following)
            part.ends[segment.uid] = max(part.ends.get(segment.uid, 0), end)
    return found


def ended(segment: Segment, series: Iterable[Series], following_ns: int = _FOREVER) -> int:
    """When a segment ended; of one that was cut off, its last reading before the next one."""
    if segment.t1_ns is not None:
        return segment.t1_ns
    last = [s.t_ns[i - 1] for s in series if (i := bisect_left(s.t_ns, following_ns))]
    return max([segment.t0_ns, *last])


def united(parts: Sequence[Part]) -> Part:
    """One recording of several accounts of it. Raises KindMismatchError where two readings disagree."""
    ends: dict[str, int] = {}
    for part in parts:
        for uid, end in part.ends.items():
            ends[uid] = max(ends.get(uid, 0), end)
    pieces = _joined([piece for part in parts for piece in part.pieces], ends)
    return Part(
        pieces,
        {piece.uid: ends[piece.uid] for piece in pieces},
        _readings([part.samples for part in parts]),
        _readings([part.usage for part in parts]),
    )


def laid_out(parts: Mapping[str, Part]) -> tuple[Part, list[Recording]]:
    """(what is read one after the other, what is read side by side), the same for one set in whatever order."""
    order = sorted(parts, key=lambda uid: (*parts[uid].extent, uid))
    # What reads beyond its own time would be taken for another's.
    apart_from = {uid for uid in order if len(parts) > 1 and not _inside(parts[uid])}
    longest = ""
    for uid in order:
        start, end = parts[uid].extent
        if longest and start <= parts[longest].extent[1]:
            apart_from |= {uid, longest}
        if not longest or end > parts[longest].extent[1]:
            longest = uid
    shared = Part()
    for uid in order:
        if uid not in apart_from:
            _append(shared.samples, parts[uid].samples)
            _append(shared.usage, parts[uid].usage)
    shared.samples, shared.usage = dict(sorted(shared.samples.items())), dict(sorted(shared.usage.items()))
    beside = [
        Recording(uid, dict(sorted(parts[uid].samples.items())), dict(sorted(parts[uid].usage.items())))
        for uid in sorted(apart_from)
    ]
    return shared, beside


def piece(segment: Segment, t0_ns: int, t1_ns: int) -> str:
    """The uid of a piece of a recording."""
    return f"{segment.recording}[{t0_ns},{t1_ns}]"


def _inside(part: Part) -> bool:
    return bool(part.pieces) and part.between == part.extent


def _append(shared: dict[K, Series], more: Mapping[K, Series]) -> None:
    for key, series in more.items():
        before = shared.get(key, Series())
        shared[key] = Series(
            before.t_ns + series.t_ns,
            before.values + series.values,
            before.spacing_ns + series.spacing_ns,
            max(before.window_s, series.window_s),
        )


def _some(every: Mapping[K, Series]) -> dict[K, Series]:
    return {key: series for key, series in every.items() if series.t_ns}


def _within(every: Mapping[K, Series], stretches: Sequence[tuple[int, int]]) -> dict[K, Series]:
    found: dict[K, Series] = {}
    for key, series in every.items():
        for start, end in stretches:
            first, last = bisect_left(series.t_ns, start), bisect_left(series.t_ns, end)
            if first < last:
                columns = (series.t_ns[first:last], series.values[first:last], series.spacing_ns[first:last])
                _append(found, {key: Series(*columns, series.window_s)})
    return found


def _readings(every: Sequence[Mapping[K, Series]]) -> dict[K, Series]:
    keys = {key: None for one in every for key in one}
    return {key: _union(key, [one[key] for one in every if key in one]) for key in keys}


def _union(key: object, every: Sequence[Series]) -> Series:
    if len(every) == 1:
        return every[0]
    points: dict[int, tuple[float, int]] = {}
    for series in every:
        for t, value, spacing in zip(series.t_ns, series.values, series.spacing_ns, strict=True):
            known, step = points.get(t, (value, spacing))
            if known != value and not (math.isnan(known) and math.isnan(value)):
                what = "/".join(key) if isinstance(key, tuple) else key
                msg = f"two readings of {what} at {t} ns disagree: {known!r} and {value!r}: a file is not of this host"
                raise KindMismatchError(msg)
            points[t] = (known, max(step, spacing))
    ordered = sorted(points.items())
    window_s = max(series.window_s for series in every)
    return Series([t for t, _ in ordered], [v for _, (v, _) in ordered], [s for _, (_, s) in ordered], window_s)


def _joined(pieces: Sequence[Segment], ends: dict[str, int]) -> list[Segment]:
    """Pieces of one recording that touch are one."""
    found: list[Segment] = []
    for segment in sorted(pieces, key=lambda s: (s.t0_ns, -ends[s.uid], s.t1_ns is None)):
        if not found or segment.t0_ns > ends[found[-1].uid]:
            found.append(segment)
            continue
        before, end = found[-1], max(ends[found[-1].uid], ends[segment.uid])
        whole = [s for s in (before, segment) if s.uid == s.recording]
        first = min((before, segment), key=lambda s: s.t0_ns)
        # Of two copies of a whole one, the one that was closed.
        best = max(whole, key=lambda s: (s.t1_ns or 0, repr(s)), default=None) or replace(
            first, uid=piece(first, first.t0_ns, end), t1_ns=end
        )
        ends[best.uid] = end
        found[-1] = best
    return found
