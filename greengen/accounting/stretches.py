"""What a run tells a calibration: its meter, its CPU time, and both over stretches of a second or more.

A meter that another tool logged has a timeline of its own; it is laid beside the CPU time by the date
of both, and what their two clocks differ by is left to whoever set them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from greengen.accounting import timelines
from greengen.accounting.calibration import Stretches
from greengen.accounting.curves import NS, Bools, Curve, Floats, Ints, median
from greengen.collector import CAPACITY, MACHINE, Domain
from greengen.errors import UsageError
from greengen.rows import Rows, Series, Timeline

#: Kinds of domains that hold the CPUs; the first that was read is taken where none is named.
KINDS = ("package", "soc", "psys", "board", "wall", "battery")

#: What else draws behind such a meter, and follows no CPU: its joules are taken off.
_ACCELERATORS = frozenset({"gpu", "npu"})

#: A stretch is no shorter, s: CPU time is read every half second, and counted in ticks of 10 ms.
_SHORTEST_S = 1.0

#: And lasts this many readings (refresh times, averaging windows) of its meter.
_READINGS = 3

#: How often CPU time is read, s; and the busy part may change by this much where a stretch ends.
_CPU_S, _STEADY = 0.5, 0.1

#: More stretches than this say no more.
_MOST = 600

_TWO = 2

#: Busy times that are further apart than so many times the usual have a gap between them.
_HOLE = 3

_RECORD_STEPS = "record one in which it idles for some 20 s and works for some 20 s, in turns"

_RECORD = "record one where it can be read (`greengen doctor` says which), or import the log of a plug beside it"


@dataclass(frozen=True, slots=True)
class Source:
    """The meter, and the machine's CPU time on the meter's clock.

    meters  curves that together hold the CPUs: one per package, or one of all
    parts   curves of accelerators that are behind the meter too
    load    the busy time, ns, of an accelerator that is calibrated
    info    what the run says of the machine whose CPU time it is
    """

    meters: tuple[Curve, ...]
    parts: tuple[Curve, ...]
    machine: Series
    capacity: Series
    info: dict[str, object] = field(default_factory=dict)
    load: Series | None = None

    @property
    def domains(self) -> tuple[Domain, ...]:
        """The domains of the meter."""
        return tuple(curve.domain for curve in self.meters)

    @property
    def gain(self) -> float:
        """Relative standard uncertainty of the meter; several of one make have it in common."""
        return max(domain.gain for domain in self.domains)


def source(rows: Rows, names: Sequence[str] = (), load: str = "") -> Source:
    """The meter of a run that CPU time is held against. Raises UsageError where there is none.

    names  uids of its domains; none: the packages, or else what lies next around them
    load   uid of an accelerator whose busy time is told too
    """
    with_cpu = [(line, used) for line in rows.timelines if (used := _cpu(line)) is not None]
    if len(with_cpu) != 1:
        what = "holds no CPU time of the machine" if not with_cpu else f"holds the CPU time of {len(with_cpu)} machines"
        msg = f"the run {what}: pass a recording of one machine, made by `greengen profile` (collector procfs)"
        raise UsageError(msg)
    host, used = with_cpu[0]
    known = [
        (line, curve)
        for line in rows.timelines
        for curve in timelines.read_curves(timelines.as_one(line))[0].values()
        if curve.known.any()
    ]
    chosen = _chosen(known, host, names)
    line = chosen[0][0]
    meters = tuple(curve for _, curve in chosen)
    around = any("*" in curve.domain.contains for curve in meters)
    parts = tuple(
        (other, curve)
        for other, curve in known
        if curve.domain.kind in _ACCELERATORS
        and curve.domain.uid != load
        and (other is line or other is host)
        and (around or any(curve.domain.uid in meter.domain.contains for meter in meters))
    )
    shift_ns = 0 if line is host else _zero(host) - _zero(line)
    moved = tuple(_later(curve, shift_ns) if other is host else curve for other, curve in parts)
    machine, capacity = (_moved(series, shift_ns) for series in used)
    told = Source(meters, moved, machine, capacity, dict(host.info))
    return replace(told, load=_moved(_used(host, load), shift_ns)) if load else told


def stretches(told: Source) -> Stretches:
    """Mean power and busy part over stretches in which both are known. Raises UsageError where there are none.

    None ends where the load changes: there the meter and the CPU time would have to agree on the moment.
    """
    return between(told, _edges(told, _reading_s((*told.meters, *told.parts))))[0]


def stretches_beside(told: Source) -> tuple[Stretches, Floats]:
    """The same, and the busy part of the accelerator in each stretch. Nor does any end where that changes."""
    if told.load is None or len(told.load.t_ns) < _TWO:
        msg = "the run tells the accelerator's busy time less than twice: record a longer one"
        raise UsageError(msg)
    t_ns = told.load.t_ns
    accelerator = replace(
        told, machine=told.load, capacity=Series(t_ns, [float(t) for t in t_ns], told.load.spacing_ns)
    )
    reading_s = max(_reading_s((*told.meters, *told.parts)), float(np.median(_spacing(told.load))) / NS)
    edges = _edges(told, reading_s)
    edges = edges[(edges >= t_ns[0]) & (edges <= t_ns[-1])]
    edges = edges[_steady(accelerator, edges, reading_s)]
    if edges.size < _TWO:
        msg = f"the load of the accelerator never holds for {2 * reading_s:.3g} s: {_RECORD_STEPS}"
        raise UsageError(msg)
    busy, _ = _busy(accelerator, edges[:-1], edges[1:])
    heard = _heard(told.load, edges)
    found, whole = between(told, edges)
    return Stretches(found.busy[heard[whole]], found.power_w[heard[whole]]), busy[whole & heard]


def _heard(load: Series, edges: Ints) -> Bools:
    """Whether the accelerator's busy time was told all through each stretch: in a gap of it nobody knows."""
    t_ns = np.array(load.t_ns, dtype=np.int64)
    spacing = _spacing(load)
    lost_ns = np.concatenate(([0.0], np.cumsum(np.diff(t_ns) * (spacing > _HOLE * np.median(spacing)))))
    return np.asarray(np.diff(np.interp((edges - t_ns[0]).astype(float), (t_ns - t_ns[0]).astype(float), lost_ns)) == 0)


def _spacing(series: Series) -> Ints:
    """How far apart readings were taken, ns; thinning has left out those that lay on a line."""
    spacing = np.array(series.spacing_ns[1:], dtype=np.int64)
    return np.where(spacing > 0, spacing, np.diff(np.array(series.t_ns, dtype=np.int64)))


def between(told: Source, edges: Ints) -> tuple[Stretches, Bools]:
    """(the stretches between some times in which all is known, which of them these are)."""
    power, whole = np.zeros(edges.size - 1), np.ones(edges.size - 1, dtype=bool)
    for sign, every in ((1.0, told.meters), (-1.0, told.parts)):
        for curve in every:
            watts, known = _mean_power(curve, edges)
            power += sign * watts
            whole &= known
    busy, given = _busy(told, edges[:-1], edges[1:])
    whole &= given
    return Stretches(busy[whole], power[whole]), whole


def _steady(told: Source, t_ns: Ints, reading_s: float) -> Bools:
    """Whether the CPUs were about as busy before each time as after it."""
    around_ns = int(max(reading_s, _CPU_S) * NS)
    before, told_before = _busy(told, t_ns - around_ns, t_ns)
    after, told_after = _busy(told, t_ns, t_ns + around_ns)
    return np.asarray((np.abs(after - before) < _STEADY) | ~(told_before & told_after))


def _busy(told: Source, start: Ints, end: Ints) -> tuple[Floats, Bools]:
    """(busy part of all CPUs between two times, whether any CPU time was counted there)."""
    used = _at(told.machine, end) - _at(told.machine, start)
    given = _at(told.capacity, end) - _at(told.capacity, start)
    known = given > 0
    return np.clip(np.divide(used, given, out=np.zeros_like(used), where=known), 0.0, 1.0), known


def _used(line: Timeline, uid: str) -> Series:
    """The machine's busy time of an accelerator; of recordings side by side, as the one told it that told most."""
    every = [line.usage, *(recording.usage for recording in line.recordings)]
    told = [series for used in every if (series := used.get((uid, MACHINE))) is not None]
    if not told:
        there = sorted({resource for used in every for resource, consumer in used if consumer == MACHINE} - {"cpu"})
        msg = f"the run holds no busy time of {uid!r}: it has that of {', '.join(there) or 'no accelerator'}"
        raise UsageError(msg)
    return max(told, key=lambda series: len(series.t_ns))


def _cpu(line: Timeline) -> tuple[Series, Series] | None:
    """(busy time, capacity) of all CPUs; of recordings side by side, as the one told it that told most."""
    every = [line.usage, *(recording.usage for recording in line.recordings)]
    pairs = [(used.get(("cpu", MACHINE), Series()), used.get(("cpu", CAPACITY), Series())) for used in every]
    told = [pair for pair in pairs if min(len(series.t_ns) for series in pair) >= _TWO]
    return max(told, key=lambda pair: len(pair[0].t_ns)) if told else None


def _chosen(
    known: Sequence[tuple[Timeline, Curve]], host: Timeline, names: Sequence[str]
) -> list[tuple[Timeline, Curve]]:
    real = [(line, curve) for line, curve in known if curve.domain.grade == "measured"]
    if names:
        picked = [_named(known, name) for name in names]
    else:
        kinds = [kind for kind in KINDS if any(curve.domain.kind == kind for _, curve in real)]
        picked = [(line, curve) for line, curve in real if kinds and curve.domain.kind == kinds[0]]
    if not picked:
        modelled = sorted(curve.domain.uid for _, curve in known if curve.domain.grade != "measured")
        only = f" (only {', '.join(modelled)}, which is a model itself)" if modelled else ""
        msg = f"the run holds no meter that reads the CPUs{only}: {_RECORD}"
        raise UsageError(msg)
    lines = {id(line) for line, _ in picked}
    kinds = sorted({curve.domain.kind for _, curve in picked})
    packages = [curve.domain.uid for line, curve in real if curve.domain.kind == "package" and id(line) in lines]
    told = ", ".join(sorted(curve.domain.uid for _, curve in picked))
    if len(lines) > 1 or (len(picked) > 1 and kinds != ["package"]):
        msg = f"{told} are more than one meter of the machine: name one of them with --meter"
        raise UsageError(msg)
    if kinds == ["package"] and len(picked) < len(packages):
        msg = f"{told} is not all that CPU time is spent on: name every package with --meter: {', '.join(packages)}"
        raise UsageError(msg)
    line = picked[0][0]
    if line is not host and not (_dated(line) and _dated(host)):
        msg = f"the log of {told} does not say at which date it was written, so that no CPU time lies beside it"
        raise UsageError(msg)
    return picked


def _named(known: Sequence[tuple[Timeline, Curve]], name: str) -> tuple[Timeline, Curve]:
    for line, curve in known:
        if curve.domain.uid == name and curve.domain.kind not in KINDS:
            msg = f"{name} ({curve.domain.kind}) does not hold the CPUs: a meter of kind {', '.join(KINDS)} does"
            raise UsageError(msg)
        if curve.domain.uid == name and curve.domain.grade != "measured":
            msg = f"{name} is modelled, and a model calibrates no other: {_RECORD}"
            raise UsageError(msg)
        if curve.domain.uid == name:
            return line, curve
    there = ", ".join(sorted(curve.domain.uid for _, curve in known)) or "none"
    msg = f"the run holds no readings of {name!r}: it has {there}"
    raise UsageError(msg)


def _dated(line: Timeline) -> bool:
    imported = [segment.info.get("imported") for segment in line.segments]
    return all(not isinstance(told, dict) or bool(told.get("date_known")) for told in imported)


def _zero(line: Timeline) -> int:
    """The date at which the timeline's clock would have shown 0, ns since 1970."""
    first = min(line.segments, key=lambda segment: segment.t0_ns)
    return first.epoch_ns - first.t0_ns


def _moved(series: Series, by_ns: int) -> Series:
    return Series([t_ns + by_ns for t_ns in series.t_ns], series.values, series.spacing_ns, series.window_s)


def _later(curve: Curve, by_ns: int) -> Curve:
    return replace(curve, t_ns=curve.t_ns + by_ns)


def _edges(told: Source, reading_s: float) -> Ints:
    """Times at which CPU time was read, or is as well known as if it had been, far enough apart."""
    series = told.machine
    t_ns = np.array(series.t_ns, dtype=np.int64)
    pieces = [
        np.linspace(before, after, max(1, round((after - before) / spacing)) if spacing else 1, endpoint=False)
        for before, after, spacing in zip(t_ns[:-1], t_ns[1:], series.spacing_ns[1:], strict=True)
    ]
    times = np.append(np.concatenate(pieces).astype(np.int64), t_ns[-1])
    curves = (*told.meters, *told.parts)
    start = max(int(curve.t_ns[0]) for curve in curves)
    end = min(int(curve.t_ns[-1]) for curve in curves)
    times = times[(times >= start) & (times <= end)]
    if times.size < _TWO:
        msg = "the meter and the CPU time have no time in common: is the date of one of the two wrong?"
        raise UsageError(msg)
    steady = _steady(told, times, reading_s)
    times = times[steady] if steady.any() else times[:1]
    step_ns = int(max(_SHORTEST_S, _READINGS * reading_s, float(times[-1] - times[0]) / NS / _MOST) * NS)
    kept = [0]
    while (following := int(np.searchsorted(times, times[kept[-1]] + step_ns))) < times.size:
        kept.append(following)
    return times[kept]


def _reading_s(curves: Sequence[Curve]) -> float:
    """The time, s, over which the coarsest of some meters cannot say when its energy went."""
    spacing = [median(curve.spacing_s[curve.known]) for curve in curves]
    return max(*spacing, *(max(curve.domain.refresh_s, curve.window_s) for curve in curves))


def _mean_power(curve: Curve, edges: Ints) -> tuple[Floats, Bools]:
    """(mean power between edges, W; whether all of that time is known)."""
    lost_ns = np.concatenate(([0.0], np.cumsum(np.diff(curve.t_ns) * ~curve.known)))
    base = curve.t_ns[0]
    lost = np.diff(np.interp((edges - base).astype(float), (curve.t_ns - base).astype(float), lost_ns))
    return np.diff(curve.at(edges)) / (np.diff(edges) / NS), lost == 0


def _at(series: Series, t_ns: Ints) -> Floats:
    base = series.t_ns[0]
    knots = (np.array(series.t_ns, dtype=np.int64) - base).astype(float)
    return np.asarray(np.interp((t_ns - base).astype(float), knots, np.array(series.values) - series.values[0]))
