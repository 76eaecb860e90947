"""Whose work: how a domain's energy divides between the profiled processes and foreign ones."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from greengen.accounting.curves import NS, Bools, Floats, Ints, distinct
from greengen.collector import CAPACITY, MACHINE, PROFILED, RECORDER
from greengen.rows import Series

#: The machine's busy time comes in ticks of 10 ms: over shorter stretches than this the foreign
#: part, a difference of two clocks, would be noise that clamping at 0 turns into a bias.
FOREIGN_S = 1.0
_FOREIGN_NS = round(FOREIGN_S * NS)

#: Readings that make a difference.
_TWO = 2

_EARLIEST, _LATEST = -(2**62), 2**62

#: The resource that divides a CPU's energy; every other one is an accelerator's.
CPU = "cpu"

#: An accelerator's use counts as told between readings no further apart than this, ns ...
_HOLE_NS = round(10 * NS)
#: ... and divides its energy where it is told for this part of the recorded time.
_TOLD = 0.9


class Use(NamedTuple):
    """Cumulated busy ns of one resource, by consumer, at common knots of shape (n,)."""

    t_ns: Ints
    profiled: Floats
    recorder: Floats
    foreign_t_ns: Ints
    foreign: Floats
    capacity: Floats

    def between(self, edges: Ints) -> Cells:
        """Busy ns per cell between `edges`, shape (len(edges) - 1,)."""
        return Cells(
            profiled=_steps(edges, self.t_ns, self.profiled),
            recorder=_steps(edges, self.t_ns, self.recorder),
            foreign=_steps(edges, self.foreign_t_ns, self.foreign),
            capacity=_steps(edges, self.t_ns, self.capacity),
        )


class Cells(NamedTuple):
    """Busy ns per cell."""

    profiled: Floats
    recorder: Floats
    foreign: Floats
    capacity: Floats

    @property
    def ours(self) -> Floats:
        """The share of the busy time that is the profiled processes' and the recorder's.

        Where nobody was busy it is 1: there was no foreign work.
        """
        own = self.profiled + self.recorder
        busy = own + self.foreign
        return np.divide(own, busy, out=np.ones_like(busy), where=busy > 0)

    @property
    def worked(self) -> Bools:
        """Whether the profiled processes did anything."""
        return self.profiled > 0

    @property
    def recorder_part(self) -> Floats:
        """The recorder's part of all that the resource could have given."""
        part = np.divide(self.recorder, self.capacity, out=np.zeros_like(self.recorder), where=self.capacity > 0)
        return np.minimum(part, 1.0)


def cpu_use(
    usage: Mapping[tuple[str, str], Series],
    segments: Sequence[tuple[int, int]],
    recorder_is_profiled: Sequence[bool],
) -> Use | None:
    """The CPU's use over `segments`, or None where the machine's or the processes' busy time was not read.

    Each segment stands alone, with the readings around it that a cut has left: a new recorder counts
    from 0 again.
    recorder_is_profiled  by segment: the recorder is a thread of a profiled process, its time is taken out
    """
    return _use_of(CPU, usage, segments, recorder_is_profiled)


def device_uses(
    usage: Mapping[tuple[str, str], Series], splits: Iterable[str | None], segments: Sequence[tuple[int, int]]
) -> dict[str, Use]:
    """The use of accelerators over `segments`, by resource: of those of `splits` whose use was told most of the time.

    An accelerator is told once a second, by a driver that may stop telling. What it left out is nobody's
    in its counts, and would pass for the absence of foreign work: then there is no use of it here.
    """
    found = {}
    for resource in sorted({split for split in splits if split is not None} - {CPU}):
        recorded_ns = sum(end - start for start, end in segments)
        series = usage.get((resource, PROFILED), Series())
        told_ns = sum(_told_ns(within(series, segment)) for segment in segments)
        # The recorder runs no kernels, and there is no time of its own to take out.
        use = _use_of(resource, usage, segments, [False] * len(segments))
        if use is not None and told_ns >= _TOLD * recorded_ns:
            found[resource] = use
    return found


def _told_ns(series: Series) -> int:
    told_ns = 0
    for (before, after), spacing_ns in zip(itertools.pairwise(series.t_ns), series.spacing_ns[1:], strict=True):
        step_ns = after - before
        # Thinning leaves out readings on a line: the spacing is that of those that were taken.
        told_ns += step_ns if (spacing_ns or step_ns) <= _HOLE_NS else 0
    return told_ns


def _use_of(
    resource: str,
    usage: Mapping[tuple[str, str], Series],
    segments: Sequence[tuple[int, int]],
    recorder_is_profiled: Sequence[bool],
) -> Use | None:
    parts = []
    for stretch, profiled_too in zip(around(segments), recorder_is_profiled, strict=True):
        series = {key[1]: within(values, stretch) for key, values in usage.items() if key[0] == resource}
        machine, profiled = series.get(MACHINE, Series()), series.get(PROFILED, Series())
        if min(len(machine.t_ns), len(profiled.t_ns)) >= _TWO:
            parts.append(_one_segment(series, recorder_is_profiled=profiled_too))
    return joined(parts) if parts else None


def around(segments: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Each segment with the time around it, as far as the middle of the way to the next one."""
    middles = [(before[1] + after[0]) // 2 for before, after in itertools.pairwise(segments)]
    starts = [_EARLIEST, *(middle + 1 for middle in middles)]
    return list(zip(starts, [*middles, _LATEST], strict=True))[: len(segments)]


def _one_segment(series: Mapping[str, Series], *, recorder_is_profiled: bool) -> Use:
    machine, profiled = series[MACHINE], series[PROFILED]
    recorder, capacity = series.get(RECORDER, Series()), series.get(CAPACITY, Series())
    t_ns = distinct(np.concatenate([np.array(s.t_ns, dtype=np.int64) for s in (machine, profiled, recorder)]))
    work, own = work_of(profiled, recorder, t_ns, recorder_is_profiled=recorder_is_profiled)
    return divided(t_ns, work, own, machine, capacity)


def work_of(profiled: Series, recorder: Series, t_ns: Ints, *, recorder_is_profiled: bool) -> tuple[Floats, Floats]:
    """Cumulated busy ns of the profiled processes and of their recorder at some times, 0 at the first."""
    own = rising(_at(recorder, t_ns))
    return rising(_at(profiled, t_ns) - own) if recorder_is_profiled else rising(_at(profiled, t_ns)), own


def divided(t_ns: Ints, work: Floats, own: Floats, machine: Series, capacity: Series) -> Use:
    """The machine's busy time between the profiled processes, their recorders and foreign ones."""
    known = int(np.searchsorted(t_ns, machine.t_ns[-1], side="right"))
    coarse = _coarse(t_ns[:known])
    total = _at(machine, t_ns)[coarse]
    foreign = np.maximum(np.diff(total) - np.diff(work[coarse]) - np.diff(own[coarse]), 0.0)
    cumulated, knots = np.concatenate(([0.0], np.cumsum(foreign))), t_ns[coarse]
    if known < t_ns.size:
        # The machine is read less often than the processes: to the end, others work as they just did.
        rate = foreign[-1] / (knots[-1] - knots[-2])
        cumulated = np.append(cumulated, cumulated[-1] + rate * (t_ns[-1] - knots[-1]))
        knots = np.append(knots, t_ns[-1])
    return Use(t_ns, work, own, knots, cumulated, _at(capacity, t_ns))


def joined(parts: Sequence[Use]) -> Use:
    """Parts one after the other."""

    def chain(columns: Sequence[Floats]) -> Floats:
        offsets = np.concatenate(([0.0], np.cumsum([column[-1] for column in columns])))
        return np.concatenate([column + offset for column, offset in zip(columns, offsets, strict=False)])

    return Use(
        t_ns=np.concatenate([part.t_ns for part in parts]),
        profiled=chain([part.profiled for part in parts]),
        recorder=chain([part.recorder for part in parts]),
        foreign_t_ns=np.concatenate([part.foreign_t_ns for part in parts]),
        foreign=chain([part.foreign for part in parts]),
        capacity=chain([part.capacity for part in parts]),
    )


def within(series: Series, segment: tuple[int, int]) -> Series:
    """The readings of a stretch of time."""
    first, last = bisect_left(series.t_ns, segment[0]), bisect_right(series.t_ns, segment[1])
    return Series(series.t_ns[first:last], series.values[first:last], series.spacing_ns[first:last], series.window_s)


def activity(series: Series | None, edges: Ints) -> Bools | None:
    """Whether a resource was busy at all in each cell; None where nobody can tell."""
    if series is None or len(series.t_ns) < _TWO:
        return None
    return np.asarray(_steps(edges, np.array(series.t_ns, dtype=np.int64), np.array(series.values)) > 0)


def _at(series: Series, t_ns: Ints) -> Floats:
    if not series.t_ns:
        return np.zeros(t_ns.shape)
    base = series.t_ns[0]
    knots = (np.array(series.t_ns, dtype=np.int64) - base).astype(float)
    values = np.array(series.values) - series.values[0]
    return np.asarray(np.interp((t_ns - base).astype(float), knots, values))


def _steps(edges: Ints, t_ns: Ints, cumulated: Floats) -> Floats:
    base = t_ns[0]
    return np.diff(np.interp((edges - base).astype(float), (t_ns - base).astype(float), cumulated))


def rising(cumulated: Floats) -> Floats:
    """A clock read a moment apart from another may seem to run back by microseconds."""
    return np.maximum.accumulate(cumulated) if cumulated.size else cumulated


def _coarse(t_ns: Ints) -> Ints:
    """Indices of the first knot of each `_FOREIGN_NS` of the clock; the last stretch takes what is left over.

    By the clock and not from the first reading, so that a part of a recording is divided as the whole is.
    """
    first = np.flatnonzero(np.diff(t_ns // _FOREIGN_NS, prepend=-1))
    last = t_ns.size - 1
    kept = first if first.size == 1 or first[-1] == last else first[:-1]
    return kept if kept[-1] == last else np.append(kept, last)
