"""Whether recordings that went on side by side can be of one host: their readings bound one another.

A reading is stamped after it was taken, and taken after the one before it was stamped. What one
recording had read of a counter before another began its next reading is therefore a lower bound of
that reading, however late a busy machine stamps it, unless the counter wrapped or was reset between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from greengen.collector import CAPACITY, MACHINE, Domain
from greengen.errors import KindMismatchError
from greengen.overlap import Part
from greengen.rows import Series

#: Counters may differ by what is drawn, or worked, in so long: they refresh in steps, and not all columns at once.
_SLACK_S = 0.1
#: The same of busy time, ns: of all CPUs together.
_SLACK_NS = 1e9
#: A value in J is kept to this part of it.
_FLOAT = 1e-12

#: (t_ns, read_ns: not taken before, value, recording)
Reading = tuple[int, int, float, str]

_REMEDY = "report them one by one, or record all processes of a host by one `greengen profile -- COMMAND`"


def check(parts: Mapping[str, Part], domains: Iterable[Domain]) -> None:
    """Raise KindMismatchError where recordings of one boot contradict one another."""
    known: dict[str, Domain] = {}
    for domain in domains:
        before = known.setdefault(domain.uid, domain)
        if domain.reading != before.reading:
            msg = f"{domain.uid} is a counter in one recording and a gauge in another: {_REMEDY}"
            raise KindMismatchError(msg)
        known[domain.uid] = max(before, domain, key=lambda d: (d.max_power_w or 0.0, d.resolution_j))
    _one_meter_each(parts, known)
    for uid, domain in known.items():
        if domain.reading == "energy":
            slack = 2 * domain.resolution_j + _SLACK_S * (domain.max_power_w or 0.0)
            _bounded(uid, {name: part.samples[uid] for name, part in parts.items() if uid in part.samples}, slack, "J")
    for key in (("cpu", MACHINE), ("cpu", CAPACITY)):
        every = {name: part.usage[key] for name, part in parts.items() if key in part.usage}
        _bounded(f"{key[0]} time of the {key[1]}", every, _SLACK_NS, "ns")


def _one_meter_each(parts: Mapping[str, Part], domains: Mapping[str, Domain]) -> None:
    """A model stands in for a counter that cannot be read: with the counter it would count twice."""
    read = [(domains[uid], part.extent, name) for name, part in parts.items() for uid in part.samples if uid in domains]
    for modelled, (start, end), name in read:
        if modelled.grade == "measured":
            continue
        for domain, extent, other in read:
            twice = domain.grade == "measured" and domain.kind == modelled.kind and name != other
            if twice and domain.uid not in parts[name].samples and start <= extent[1] and extent[0] <= end:
                msg = (
                    f"{modelled.uid} (segment {name}) stands in for {domain.uid}, which was read at the same time "
                    f"(segment {other}): one and the same would count twice; {_REMEDY}"
                )
                raise KindMismatchError(msg)


def _bounded(what: str, every: Mapping[str, Series], slack: float, unit: str) -> None:
    if len(every) < 2:  # noqa: PLR2004 -- alone, nothing contradicts it
        return
    readings = sorted(reading for name, series in every.items() for reading in _readings(name, series))
    falls = _falls(every)
    waiting = sorted(readings, key=lambda reading: reading[1])
    at, turn, greatest = 0, 0, None
    for reading in waiting:
        t_ns, read_ns, value, name = reading
        while at < len(readings) and readings[at][0] <= read_ns:
            while turn < len(falls) and falls[turn][1] <= readings[at][0]:
                turn, greatest = turn + 1, None
            if turn == len(falls) or readings[at][0] <= falls[turn][0]:
                greatest = readings[at] if greatest is None else max(greatest, readings[at], key=lambda r: r[2])
            at += 1
        between = turn < len(falls) and falls[turn][0] < t_ns
        if greatest is None or between or read_ns == t_ns:
            continue
        if value < greatest[2] - slack - _FLOAT * abs(value):
            msg = (
                f"two recordings contradict one another: {what} was {greatest[2]:.12g} {unit} at {greatest[0]} ns "
                f"(segment {greatest[3]}) and {value:.12g} {unit} at {t_ns} ns (segment {name}), with no reset "
                f"in either: a file is not of this host, or its meter was another; {_REMEDY}"
            )
            raise KindMismatchError(msg)


def _readings(name: str, series: Series) -> Iterable[Reading]:
    for t_ns, value, spacing_ns in zip(series.t_ns, series.values, series.spacing_ns, strict=True):
        yield t_ns, t_ns - spacing_ns, value, name


def _falls(every: Mapping[str, Series]) -> Sequence[tuple[int, int]]:
    """When counters wrapped or were reset: stretches that do not overlap, in time order."""
    found = []
    for series in every.values():
        points = zip(series.t_ns, series.values, series.spacing_ns, strict=True)
        for (t0_ns, before, spacing_ns), (t_ns, value, _) in pairwise(points):
            if value < before:
                found.append((t0_ns - spacing_ns, t_ns))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
