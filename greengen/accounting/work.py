"""What spans did, as rows that a policy weighs: intervals of their lives, and the steps of engines.

A row is a stretch of time in which a span's work was of one kind. Rows are compared within their
group: the requests of one engine by what its steps were made of, those of one model by their tokens,
all others one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from greengen.accounting.curves import NS, Bools, Floats, Ints
from greengen.accounting.stints import Lane, lanes
from greengen.accounting.table import REQUEST, WEIGHTLESS, SpanTable
from greengen.collector import Domain
from greengen.rows import SpanRow, Timeline

#: How well a group's work is known: by engine step, by phase, by tokens over its life, by its life alone.
Level = Literal["steps", "phases", "tokens", "time"]


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that are weighed against one another.

    rows    their indices, shape (g,)
    lane    the engine's steps; None: the rows are intervals of time
    around  the engine in whose steps these rows have no part: they count between them only
    """

    name: str
    level: Level
    rows: Ints
    lane: Lane | None = None
    around: str | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """m rows of n spans.

    spans             n
    owner             the span of each row, shape (m,)
    from_ns, to_ns    its time, shape (m,)
    prefill, decode   tokens that it computed, per step in an engine's group, else per second, shape (m,)
    context, growth   tokens in its cache at its first step, and more at each next one, shape (m,)
    first, last       its first and last step, positions in the lane, shape (m,)
    waiting           it was live and did nothing, shape (m,)
    devices           uids that it used, none: all
    lanes             of every engine, with those in which nobody is known to have had a part
    """

    spans: int
    owner: Ints
    from_ns: Ints
    to_ns: Ints
    prefill: Floats
    decode: Floats
    context: Floats
    growth: Floats
    first: Ints
    last: Ints
    waiting: Bools
    devices: tuple[tuple[str, ...], ...]
    groups: tuple[Group, ...]
    lanes: tuple[Lane, ...] = ()

    def borders(self) -> list[Ints]:
        """Times at which any share may change."""
        steps = [times for lane in self.lanes for times in (lane.t0_ns, lane.t1_ns)]
        return [self.from_ns, self.to_ns, *steps]

    def on(self, domain: Domain, *, shared: bool) -> Bools:
        """Which rows use a domain: those that name it or a part of it, or name none; of a `shared` one (CPU) all.

        Shape (m,). A part, such as a MIG slice, need not be a domain itself: `Domain.contains` names it.
        """
        if shared or not any(self.devices):
            return np.ones(self.owner.size, dtype=bool)
        names = names_of(domain)
        return np.array([not used or not names.isdisjoint(used) for used in self.devices], dtype=bool)


def names_of(domain: Domain) -> frozenset[str]:
    """By what a span or an engine may name a domain that it uses: its own uid, or that of a part."""
    return frozenset((domain.uid, *domain.contains))


#: Name, level, the engine around whose steps it is, and the lane that it is in.
_Key = tuple[str, Level, str | None, int]


@dataclass(slots=True)
class _Row:
    owner: int
    from_ns: int
    to_ns: int
    group: _Key
    tokens: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    steps: tuple[int, int] = (0, 0)
    waiting: bool = False
    devices: tuple[str, ...] = ()


@dataclass(slots=True)
class _Stay:
    """A request at an engine: from the start of its first step to the end of its last one."""

    lane: Lane
    since: int
    last: int


#: A span, with its start and its end.
_Life = tuple[SpanRow, int, int]

#: (kind, start, end, devices)
_Phases = list[tuple[str, int, int, tuple[str, ...]]]


def lay_out(table: SpanTable, timeline: Timeline) -> Work:
    """The rows of a timeline's spans."""
    known_lanes = lanes(timeline, table.places)
    served: dict[int, dict[str, _Stay]] = {}
    rows: list[_Row] = []
    for lane in known_lanes:
        for k in range(lane.owner.size):
            owner, first, last = int(lane.owner[k]), int(lane.first[k]), int(lane.last[k])
            begin, end = int(lane.t0_ns[first]), int(lane.t1_ns[last])
            tokens = (lane.prefill[k], lane.decode[k], lane.context[k], lane.growth[k])
            group: _Key = (lane.name, "steps", None, lane.number)
            rows.append(_Row(owner, begin, end, group, tokens, (first, last), devices=lane.devices))
            stay = served.setdefault(owner, {}).setdefault(lane.engine, _Stay(lane, begin, end))
            stay.since, stay.last = min(stay.since, begin), max(stay.last, end)
    # A list's numbers are at hand at once, an array's are made anew: of a million spans that is seconds.
    lives = list(zip(table.t0_ns.tolist(), table.t1_ns.tolist(), strict=True))
    innermost = zip(table.owner.tolist(), table.from_ns.tolist(), table.to_ns.tolist(), strict=True)
    for owner, begin, end in innermost:
        rows += _of_life((table.rows[owner], *lives[owner]), owner, (begin, end), served.get(owner))
    return _columns(len(table), rows, known_lanes)


def _of_life(life: _Life, owner: int, live: tuple[int, int], served: dict[str, _Stay] | None) -> list[_Row]:
    """The rows of one interval in which a span is innermost."""
    span = life[0]
    if served:
        return _between_steps(owner, live, served)
    if span.kind in WEIGHTLESS:
        return [_Row(owner, *live, ("", "time", None, 0), waiting=True, devices=span.devices)]
    found = []
    phases = _phases(life)
    for kind, start, end, used in phases:
        begin, stop = max(start, live[0]), min(end, live[1])
        if stop > begin or (start == end and live[0] <= start <= live[1]):
            devices, waiting = used or span.devices, kind in WEIGHTLESS
            level, rates = _rates(span, kind, phases)
            found.append(_Row(owner, begin, stop, _group(level, span.model), rates, waiting=waiting, devices=devices))
    return found


def _group(level: Level, model: str | None) -> _Key:
    """The group of spans whose work is known so well."""
    if level == "time":
        return "", level, None, 0
    name = f"requests of {model}" if model is not None else "requests"
    # Of one model some may tell their first token, and others not.
    return (name if level == "phases" else f"{name}, first token not known"), level, None, 0


def _between_steps(owner: int, live: tuple[int, int], served: dict[str, _Stay]) -> list[_Row]:
    """Between an engine's steps those that it serves are live; before its first one a request waits."""
    found = []
    for uid, stay in served.items():
        # To the end of the request; where it goes on at another engine (prefill here, decode there), this one is
        # done with it: no engine works for a cache on its way.
        onward = any(at.since >= stay.last and at.since > stay.since for at in served.values())
        until = stay.last if onward else live[1]
        begin, end = max(live[0], stay.since), min(live[1], until)
        if end > begin:
            group: _Key = (f"between the steps of {stay.lane.name}", "time", uid, 0)
            found.append(_Row(owner, begin, end, group, devices=stay.lane.devices))
    return found


def _phases(life: _Life) -> _Phases:
    """The phases of a span; the one before the first mark goes without saying."""
    span, t0, t1 = life
    if not span.phases:
        return [("", t0, t1, ())]
    marks = sorted(span.phases, key=lambda phase: phase.t0_ns)
    before = "queue" if marks[0].kind == "prefill" else "prefill"
    starts = [(before, t0, ()), *((mark.kind, min(max(mark.t0_ns, t0), t1), mark.devices) for mark in marks)]
    ends = [start for _, start, _ in starts[1:]] + [t1]
    return [(kind, start, end, used) for (kind, start, used), end in zip(starts, ends, strict=True) if end > start]


def _rates(span: SpanRow, kind: str, phases: _Phases) -> tuple[Level, tuple[float, float, float, float]]:
    """How well the work of a phase is known, and its tokens per second."""
    nothing = (0.0, 0.0, 0.0, 0.0)
    if span.kind != REQUEST or span.output_tokens is None or phases[-1][2] <= phases[0][1]:
        return "time", nothing
    read = max((span.input_tokens or 0) - (span.cached_tokens or 0), 0)
    written, context = span.output_tokens, span.input_tokens or 0
    # Phases that were interrupted have their tokens once.
    same_s = sum(end - start for other, start, end, _ in phases if other == kind) / NS
    if not any(phase.kind == "decode" for phase in span.phases):
        if not read + written:
            return "time", nothing
        working_s = sum(end - start for other, start, end, _ in phases if other not in WEIGHTLESS) / NS or same_s
        return "tokens", (read / working_s, written / working_s, 0.0, 0.0)
    if kind == "prefill":
        return "phases", (read / same_s, 0.0, 0.0, 0.0)
    # The first token comes out of the prompt's step. Each other one reads all that came before it.
    steps = max(written - 1, 0) / same_s
    if kind == "decode":
        return "phases", (0.0, steps, steps * (context + written / 2.0), 0.0)
    return "phases", nothing


def _columns(spans: int, rows: Sequence[_Row], known_lanes: Sequence[Lane]) -> Work:
    def floats(which: int) -> Floats:
        return np.array([row.tokens[which] for row in rows], dtype=float)

    def ints(values: Sequence[int]) -> Ints:
        return np.array(values, dtype=np.int64)

    by_name = {(lane.name, lane.number): lane for lane in known_lanes}
    members: dict[_Key, list[int]] = {}
    for i, row in enumerate(rows):
        members.setdefault(row.group, []).append(i)
    groups = [
        Group(name or "spans", level, ints(found), by_name.get((name, number)) if level == "steps" else None, around)
        for (name, level, around, number), found in members.items()
    ]
    return Work(
        spans=spans,
        owner=ints([row.owner for row in rows]),
        from_ns=ints([row.from_ns for row in rows]),
        to_ns=ints([row.to_ns for row in rows]),
        prefill=floats(0),
        decode=floats(1),
        context=floats(2),
        growth=floats(3),
        first=ints([row.steps[0] for row in rows]),
        last=ints([row.steps[1] for row in rows]),
        waiting=np.array([row.waiting for row in rows], dtype=bool),
        devices=tuple(row.devices for row in rows),
        groups=tuple(groups),
        lanes=tuple(known_lanes),
    )
