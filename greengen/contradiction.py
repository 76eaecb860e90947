"""Whether recordings that went on side by side can be of one host: their readings bound one another.

A reading is stamped after it was taken, and taken after the one before it was stamped. What one
recording had read of a counter before another began a reading is therefore a lower bound of that
reading, however late a busy machine stamps it, as long as the first one goes on and sees no fall.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from greengen.collector import CAPACITY, MACHINE, Domain
from greengen.errors import KindMismatchError
from greengen.overlap import Part
from greengen.rows import SLACK_NS, Series, slack_j

#: A value in J is kept to this part of it.
_FLOAT = 1e-12

#: (t_ns, read_ns: not taken before, value, recording, until_ns: up to then its recorder saw no fall)
_Reading = tuple[int, int, float, str, int]

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
            every = {name: part.samples[uid] for name, part in parts.items() if uid in part.samples}
            _bounded(uid, every, slack_j(domain), "J")
    for key in (("cpu", MACHINE), ("cpu", CAPACITY)):
        busy = {name: part.usage[key] for name, part in parts.items() if key in part.usage}
        _bounded(f"{key[0]} time of the {key[1]}", busy, SLACK_NS, "ns")


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
    newest: dict[str, _Reading] = {}
    greatest, at = 0.0, 0
    for reading in sorted(readings, key=lambda reading: reading[1]):
        t_ns, read_ns, value, name, _ = reading
        while at < len(readings) and readings[at][0] <= read_ns:
            newest[readings[at][3]] = readings[at]
            greatest, at = max(known[2] for known in newest.values()), at + 1
        least = value + slack + _FLOAT * abs(value)
        if least >= greatest or read_ns == t_ns:
            continue
        for before_ns, _, before, other, until_ns in newest.values():
            if before > least and until_ns >= t_ns and other != name:
                msg = (
                    f"two recordings contradict one another: {what} was {before:.12g} {unit} at {before_ns} ns "
                    f"(segment {other}, which saw no reset) and {value:.12g} {unit} at {t_ns} ns (segment {name}): "
                    f"a file is not of this host, or its meter was another; {_REMEDY}"
                )
                raise KindMismatchError(msg)


def _readings(name: str, series: Series) -> Iterator[_Reading]:
    values = series.values
    falls = [series.t_ns[k - 1] for k in range(1, len(values)) if values[k] < values[k - 1]]
    until = iter([*falls, series.t_ns[-1]])
    last = next(until)
    for t_ns, value, spacing_ns in zip(series.t_ns, values, series.spacing_ns, strict=True):
        last = next(until) if t_ns > last else last
        yield t_ns, t_ns - spacing_ns, value, name, last
