"""What several recorders read of one meter, as one series: a union of readings in time order.

A counter's reading is stamped after it was taken, so that it is a lower bound of what the counter
shows at that time: of two readings in the wrong order the later one tells nothing more. A wrap or a
reset is one for all, though each saw it between two readings of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from greengen.accounting.curves import NS, Bools, Floats, Ints, distinct, most_j
from greengen.collector import Domain
from greengen.rows import Series

#: `Series.spacing_ns` of a stretch that nobody read as often as was asked for.
NEVER = 2**62


#: Readings of which the one in the middle may be left out.
_THREE = 3


@dataclass(slots=True)
class _Fall:
    """A wrap or a reset, between two times.

    high, low  the last value from before, read at `high_ns` at the latest, and the first from after
    first      by recorder that saw it, the index of its first reading from after
    """

    after_ns: int
    until_ns: int
    high_ns: int
    high: float
    low: float
    first: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lane:
    """What one recorder read of a gauge in one segment; further apart than `longest_ns` it has a gap."""

    series: Series
    start_ns: int
    end_ns: int
    longest_ns: float


def counter(every: Sequence[Series], slack: float, domain: Domain | None = None) -> Series:
    """The readings of one counter by several recorders.

    slack   readings in the wrong order that differ by no more are no fall, whatever their times
    domain  whose energy it counts: what it can draw tells stamps that are too late
    """
    falls = _falls(every)
    t_ns, value, epoch, taken_ns = _in_order(every, falls)
    while (unseen := _unseen(t_ns, value, epoch, taken_ns, slack)) is not None:
        falls.append(unseen)
        t_ns, value, epoch, taken_ns = _in_order(every, falls)
    # A reading below one that came before it was taken earlier, and says no more than that one did.
    known = np.concatenate([value[a:b] == np.maximum.accumulate(value[a:b]) for a, b in _runs(epoch)])
    t_ns, value = t_ns[known], value[known]
    newest = np.append(np.diff(t_ns) > 0, True)
    t_ns, value = t_ns[newest], value[newest]
    while domain is not None and t_ns.size >= _THREE:
        # A stale one: from it on too much came at once, and from the one before it on not too much.
        leaps, skips = (~_believed(domain, t_ns, value, apart) for apart in (1, 2))
        stale = np.flatnonzero(leaps[1:] & ~skips) + 1
        if not stale.size:
            break
        t_ns, value = np.delete(t_ns, stale), np.delete(value, stale)
    return _series(t_ns, value, np.minimum(_covered(every, t_ns), np.diff(t_ns)))


def _believed(domain: Domain, t_ns: Ints, value: Floats, apart: int) -> Bools:
    """Whether from each reading to the one so many further on no more came than the domain can draw."""
    gain = value[apart:] - value[:-apart]
    gain += np.where(gain < 0, domain.wrap_j or 0.0, 0.0)
    return np.asarray(gain <= most_j(domain, (t_ns[apart:] - t_ns[:-apart]) / NS))


def gauge(lanes: Sequence[Lane]) -> Series:
    """The valid readings of one gauge; a stretch that none of those recording then read in time is a gap."""
    known = [(_valid(lane.series), lane) for lane in lanes]
    known = [(series, lane) for series, lane in known if series.t_ns]
    if not known:
        return Series(window_s=max((lane.series.window_s for lane in lanes), default=0.0))
    every = [
        _refined(series, [other for other, _ in known if other is not series]) if len(known) > 1 else series
        for series, _ in known
    ]
    t_ns = np.concatenate([np.array(series.t_ns, dtype=np.int64) for series in every])
    watts = np.concatenate([np.array(series.values) for series in every])
    knots = distinct(t_ns)
    at = np.searchsorted(knots, t_ns)
    mean = np.bincount(at, watts) / np.bincount(at)
    spacing = np.minimum(_covered(every, knots), np.diff(knots))
    allowed = np.zeros(spacing.size)
    for _, lane in known:
        within = (knots[1:] >= lane.start_ns) & (knots[:-1] <= lane.end_ns)
        allowed[within] = np.maximum(allowed[within], lane.longest_ns)
    spacing[spacing > allowed] = NEVER
    found = _series(knots, mean, spacing)
    found.window_s = max(series.window_s for series in every)
    return found


def total(every: Sequence[Series]) -> Series:
    """Busy time that each recorder counts from a 0 of its own: their sum."""
    knots = distinct(np.concatenate([np.array(series.t_ns, dtype=np.int64) for series in every]))
    base = knots[0]
    value = np.zeros(knots.size)
    for series in every:
        own = (np.array(series.t_ns, dtype=np.int64) - base).astype(float)
        value += np.interp((knots - base).astype(float), own, np.array(series.values) - series.values[0])
    return _series(knots, value, np.diff(knots).astype(float))


def _falls(every: Sequence[Series]) -> list[_Fall]:
    """What each recorder saw, and where several saw it at one time, one of them all."""
    seen = [
        (series.t_ns[k - 1] - series.spacing_ns[k - 1], lane, k)
        for lane, series in enumerate(every)
        for k in (np.flatnonzero(np.diff(np.array(series.values)) < 0) + 1).tolist()
    ]
    falls: list[_Fall] = []
    for after_ns, lane, k in sorted(seen):
        series = every[lane]
        last = falls[-1] if falls else None
        if last is None or after_ns >= last.until_ns or lane in last.first:
            high, low = series.values[k - 1], series.values[k]
            falls.append(_Fall(after_ns, series.t_ns[k], series.t_ns[k - 1], high, low, {lane: k}))
            continue
        last.after_ns = after_ns
        if series.t_ns[k] < last.until_ns:
            last.until_ns, last.low = series.t_ns[k], series.values[k]
        if series.t_ns[k - 1] > last.high_ns:
            last.high_ns, last.high = series.t_ns[k - 1], series.values[k - 1]
        last.first[lane] = k
    return falls


def _in_order(every: Sequence[Series], falls: Sequence[_Fall]) -> tuple[Ints, Floats, Ints, Ints]:
    """(t_ns, value, how many falls before it, not taken before ns) of all readings that still tell something."""
    columns = []
    for lane, series in enumerate(every):
        t_ns, value = np.array(series.t_ns, dtype=np.int64), np.array(series.values, dtype=float)
        bump = np.zeros(t_ns.size + 1, dtype=np.int64)
        for fall in falls:
            bump[fall.first[lane] if lane in fall.first else _first_after(fall, t_ns, value)] += 1
        columns.append((t_ns, value, np.cumsum(bump)[:-1], t_ns - np.array(series.spacing_ns, dtype=np.int64)))
    t_ns, value, epoch, taken_ns = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.lexsort((value, epoch, t_ns))
    # Stamped after a fall and taken before it, a reading says nothing of the time after.
    order = order[epoch[order] == np.maximum.accumulate(epoch[order])]
    return t_ns[order], value[order], epoch[order], taken_ns[order]


def _first_after(fall: _Fall, t_ns: Ints, value: Floats) -> int:
    """Of a recorder that did not see the fall itself: its readings may all be from before, or from after."""
    start = int(np.searchsorted(t_ns, fall.after_ns, side="right"))
    stop = int(np.searchsorted(t_ns, fall.until_ns))
    highest = np.where(t_ns[start:stop] > fall.high_ns, fall.high, (fall.high + fall.low) / 2)
    below = np.flatnonzero(value[start:stop] < highest)
    return start + int(below[0]) if below.size else stop


def _unseen(t_ns: Ints, value: Floats, epoch: Ints, taken_ns: Ints, slack: float) -> _Fall | None:
    """The first fall that no recorder saw, for each of them had only readings from before it or from after."""
    for first, last in _runs(epoch):
        greatest = np.maximum.accumulate(value[first:last])
        before = np.searchsorted(t_ns[first:last], taken_ns[first:last], side="right")
        # Of itself and of what came in the same moment nobody knows the order.
        before = np.minimum(before, np.searchsorted(t_ns[first:last], t_ns[first:last]))
        known = before > 0
        low = np.flatnonzero(known & (value[first:last] < greatest[np.maximum(before - 1, 0)] - slack))
        if low.size:
            at = int(low[0])
            top = int(np.argmax(value[first : first + before[at]]))
            high_ns, until_ns = int(t_ns[first + top]), int(t_ns[first + at])
            return _Fall(high_ns, until_ns, high_ns, float(greatest[before[at] - 1]), float(value[first + at]))
    return None


def _runs(numbers: Ints) -> Sequence[tuple[int, int]]:
    """(first, last) of stretches of one number."""
    borders = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), numbers.size]
    return list(pairwise(borders))


def _covered(every: Sequence[Series], knots: Ints) -> Floats:
    """The least spacing in ns at which a recorder read through each step between knots; infinite where none did."""
    found = np.full(max(knots.size - 1, 0), np.inf)
    for series in every:
        t_ns = np.array(series.t_ns, dtype=np.int64)
        spacing = np.array(series.spacing_ns, dtype=float)
        at = np.searchsorted(t_ns, knots[1:])
        inside = (at > 0) & (at < t_ns.size)
        at = np.where(inside, at, 0)
        inside &= (t_ns[at - 1] <= knots[:-1]) & (spacing[at] > 0)
        found[inside] = np.minimum(found[inside], spacing[at[inside]])
    return found


def _valid(series: Series) -> Series:
    """Without what is no power. What was skipped is a wider spacing."""
    watts = np.array(series.values)
    good: Bools = watts >= 0
    if good.all():
        return series
    kept = np.flatnonzero(good)
    t_ns, spacing = np.array(series.t_ns, dtype=np.int64)[kept], np.array(series.spacing_ns, dtype=np.int64)[kept]
    skipped = np.diff(kept, prepend=kept[:1]) > 1
    spacing = np.where(skipped, np.diff(t_ns, prepend=t_ns[:1]), spacing)
    return Series(t_ns.tolist(), watts[kept].tolist(), spacing.tolist(), series.window_s)


def _refined(series: Series, others: Sequence[Series]) -> Series:
    """With the readings that thinning has left out of lines, on which they lay, where others read meanwhile."""
    t_ns, spacing = np.array(series.t_ns, dtype=np.int64), np.array(series.spacing_ns, dtype=float)
    theirs = np.sort(np.concatenate([np.array(other.t_ns, dtype=np.int64) for other in others]))
    step = np.diff(t_ns)
    met = np.searchsorted(theirs, t_ns[1:]) > np.searchsorted(theirs, t_ns[:-1], side="right")
    pieces = np.where(met & (spacing[1:] > 0), np.rint(step / np.maximum(spacing[1:], 1)), 1)
    pieces = np.maximum(pieces, 1).astype(np.int64)
    if not (pieces > 1).any():
        return series
    owner = np.repeat(np.arange(step.size), pieces)
    number = np.arange(owner.size) - np.repeat(np.cumsum(pieces) - pieces, pieces) + 1
    times = t_ns[owner] + step[owner] * number // pieces[owner]
    watts = np.interp(times - t_ns[0], t_ns - t_ns[0], np.array(series.values))
    all_ns = [int(t_ns[0]), *times.tolist()]
    return Series(
        all_ns, [series.values[0], *watts.tolist()], [0, *spacing[1:][owner].astype(int).tolist()], series.window_s
    )


def _series(t_ns: Ints, value: Floats, spacing_ns: Floats) -> Series:
    return Series(t_ns.tolist(), value.tolist(), [0, *np.maximum(spacing_ns, 1).astype(np.int64).tolist()])
