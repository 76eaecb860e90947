"""The books by brute force: exact fractions over elementary intervals, after DESIGN's definitions.

Nothing here is shared with greengen.accounting: what a domain gained is told by who made the
readings, and every account is computed by its own definition, none as the rest of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from greengen.collector import Domain
from greengen.rows import ProcessRow, Segment, Series, SpanRow, Timeline

SECOND = 10**9


@dataclass(frozen=True)
class Step:
    """A reading, as who made it knows it: J since the reading before; None: nobody can know them."""

    t_ns: int
    gain_j: Fraction | None


@dataclass(frozen=True)
class Stretch:
    """Time over which a domain's power is taken as constant; J, or None where they are not known."""

    t0_ns: int
    t1_ns: int
    joules: Fraction | None

    def between(self, a: int, b: int) -> Fraction:
        overlap = min(self.t1_ns, b) - max(self.t0_ns, a)
        return self.joules * Fraction(overlap, self.t1_ns - self.t0_ns) if self.joules and overlap > 0 else Fraction(0)


def of_counter(steps: Sequence[Step], refresh_ns: int) -> list[Stretch]:
    """A counter that has not changed within its refresh time tells nothing yet, but for the last reading."""
    stretches, held = [], steps[0].t_ns
    for step in steps[1:]:
        if step.gain_j == 0 and 2 * (step.t_ns - held) < 5 * refresh_ns and step is not steps[-1]:
            continue
        stretches.append(Stretch(held, step.t_ns, step.gain_j))
        held = step.t_ns
    return stretches


def of_gauge(readings: Sequence[tuple[int, Fraction | None]], window_ns: int, interval_ns: int) -> list[Stretch]:
    """Trapezoids between valid readings; what is averaged over a window is known in the middle of it."""
    valid = [(2 * t - window_ns, watts) for t, watts in readings if watts is not None]
    longest = max(5 * max(interval_ns, 2 * window_ns, 10**6), SECOND)
    stretches = []
    for (a, before), (b, after) in pairwise(valid):
        elapsed = Fraction(b - a, 2)
        joules = (before + after) / 2 * elapsed / SECOND if elapsed <= longest else None
        assert a % 2 == b % 2 == 0
        stretches.append(Stretch(a // 2, b // 2, joules))
    return stretches


def line(points: Sequence[tuple[int, Fraction]], t_ns: int) -> Fraction:
    """The broken line through `points` at a time; level before the first and after the last."""
    before = [point for point in points if point[0] <= t_ns]
    after = [point for point in points if point[0] > t_ns]
    if not before or not after:
        return (before[-1:] or after[:1])[0][1]
    (a, x), (b, y) = before[-1], after[0]
    return x + (y - x) * Fraction(t_ns - a, b - a)


Points = list[tuple[int, Fraction]]


@dataclass
class Busy:
    """Busy ns of one segment, each consumer a broken line."""

    work: Points
    recorder: Points
    foreign: Points
    capacity: Points

    def spent(self, who: str, a: int, b: int) -> Fraction:
        points: Points = getattr(self, who)
        return line(points, b) - line(points, a)

    def knots(self) -> set[int]:
        return {t for t, _ in (*self.work, *self.foreign)}


def busy(timeline: Timeline, segment: Segment, resource: str = "cpu") -> Busy | None:
    """Who was busy in a segment; None where the machine's or the processes' time was not read twice."""

    def read(consumer: str) -> Points:
        series = timeline.usage.get((resource, consumer), Series())
        end = segment.t1_ns if segment.t1_ns is not None else series.t_ns[-1]
        inside = [
            (t, Fraction(v)) for t, v in zip(series.t_ns, series.values, strict=True) if segment.t0_ns <= t <= end
        ]
        return [(t, v - inside[0][1]) for t, v in inside]

    machine, profiled, recorder = read("machine"), read("profiled"), read("recorder")
    if min(len(machine), len(profiled)) < 2:
        return None
    level = [(segment.t0_ns, Fraction(0))]
    recorder, capacity = recorder or level, read("capacity") or level
    # A single point that no reading stands behind must not add an instant.
    times = sorted({t for t, _ in (*machine, *profiled, *(recorder if recorder is not level else []))})
    inside = resource == "cpu" and not segment.info.get("own_process", False)
    own: Points = []
    work: Points = []
    for t in times:
        own.append((t, max([line(recorder, t), *(v for _, v in own[-1:])])))
        work.append((t, max([line(profiled, t) - (own[-1][1] if inside else 0), *(v for _, v in work[-1:])])))
    told = [t for t in times if t <= machine[-1][0]]
    seconds = [t for i, t in enumerate(told) if i == 0 or t // SECOND > told[i - 1] // SECOND]
    if seconds[-1] != told[-1]:
        seconds[len(seconds) - (len(seconds) > 1) :] = [told[-1]]
    foreign = [(seconds[0], Fraction(0))]
    for a, b in pairwise(seconds):
        others = line(machine, b) - line(machine, a) - (line(work, b) - line(work, a)) - (line(own, b) - line(own, a))
        foreign.append((b, foreign[-1][1] + max(others, Fraction(0))))
    if times[-1] > told[-1]:
        # What the machine did after its last reading: others go on as in the stretch before.
        (a, before), (b, after) = foreign[-2:]
        foreign.append((times[-1], after + (after - before) * (times[-1] - b) / (b - a)))
    return Busy(work, own, foreign, capacity)


def uses_of(timeline: Timeline, resource: str | None) -> dict[str, Busy | None] | None:
    """Who used a resource, by segment; None where nobody can tell: an accelerator nine tenths of the time.

    And an accelerator's use divides nothing that no domain asks it for.
    """
    found = {segment.uid: busy(timeline, segment, resource) for segment in timeline.segments} if resource else {}
    if not any(found.values()):
        return None
    if resource != "cpu":
        if resource not in {domain.split for domain in timeline.domains}:
            return None
        last = max(series.t_ns[-1] for series in (*timeline.samples.values(), *timeline.usage.values()))
        times = timeline.usage[resource, "profiled"].t_ns if resource else []
        told = recorded = 0
        for segment in timeline.segments:
            start, end = segment.t0_ns, last if segment.t1_ns is None else segment.t1_ns
            recorded += end - start
            for a, b in pairwise(t for t in times if start <= t <= end):
                told += b - a if b - a <= 10 * SECOND else 0
        if 10 * told < 9 * recorded:
            return None
    return found


def end_of(span: SpanRow, processes: Iterable[ProcessRow], end_ns: int) -> int:
    """A span left open ends where its process was last seen."""
    if span.t1_ns is not None:
        return max(span.t0_ns, span.t1_ns)
    seen = [process.last_seen_ns for process in processes if process.uid == span.process]
    return max(span.t0_ns, min([*seen, end_ns]))


@dataclass
class Live:
    """Which spans are innermost between two instants."""

    spans: Sequence[SpanRow]
    ends: Mapping[str, int]
    inside: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parents = {span.uid: span.parent for span in self.spans}
        for span in self.spans:
            above = parents.get(span.uid)
            while above is not None:
                self.inside.setdefault(above, []).append(span.uid)
                above = parents.get(above)

    def innermost(self, a: int, b: int) -> list[str]:
        """Those at work: live, with no live span inside them, and not waiting."""
        now = {span.uid for span in self.spans if span.t0_ns <= a and b <= self.ends[span.uid]}
        working = {span.uid for span in self.spans if span.kind != "queue"}
        return sorted(uid for uid in now & working if not now.intersection(self.inside.get(uid, ())))


@dataclass
class Books:
    """J by account; `other` is None where nobody can tell."""

    spans: dict[str, Fraction]
    overhead: Fraction = Fraction(0)
    idle: Fraction = Fraction(0)
    other: Fraction | None = Fraction(0)
    total: Fraction = Fraction(0)


@dataclass(frozen=True)
class Sharing:
    """Whose part of a domain's own energy is how great between two instants; at no other `instants` that changes."""

    instants: frozenset[int]
    between: Callable[[Domain, int, int], Mapping[str, Fraction]]


def lives(timeline: Timeline) -> Live:
    """When each span of a timeline was live."""
    last_seen = [process.last_seen_ns for process in timeline.processes]
    ends_ns = [segment.t1_ns for segment in timeline.segments if segment.t1_ns is not None]
    end_ns = max([*last_seen, *ends_ns])
    return Live(timeline.spans, {span.uid: end_of(span, timeline.processes, end_ns) for span in timeline.spans})


def equally(live: Live) -> Sharing:
    """Each that is at work the same part."""

    def between(_: Domain, a: int, b: int) -> dict[str, Fraction]:
        at_work = live.innermost(a, b)
        return {uid: Fraction(1, len(at_work)) for uid in at_work}

    return Sharing(frozenset(t for span in live.spans for t in (span.t0_ns, live.ends[span.uid])), between)


def book(
    timeline: Timeline,
    domain: Domain,
    stretches: Sequence[Stretch],
    window: tuple[int, int] | None = None,
    sharing: Sharing | None = None,
) -> Books:
    """Every account of one domain, each from its own definition."""
    lowest, highest = window or (min(s.t0_ns for s in stretches), max(s.t1_ns for s in stretches))
    sharing = sharing or equally(lives(timeline))
    divides, works = uses_of(timeline, domain.split), uses_of(timeline, domain.activity)
    instants = {s.t0_ns for s in stretches} | {s.t1_ns for s in stretches} | {lowest, highest}
    instants |= sharing.instants
    instants |= {t for uses in (divides, works) for use in (uses or {}).values() if use for t in use.knots()}
    device = timeline.usage.get((domain.activity or "", "machine"))
    device_points = [(t, Fraction(v)) for t, v in zip(device.t_ns, device.values, strict=True)] if device else []
    instants |= {t for t, _ in device_points} if works is None else set()
    out = Books(dict.fromkeys((s.uid for s in timeline.spans), Fraction(0)))
    for a, b in pairwise(sorted(t for t in instants if lowest <= t <= highest)):
        joules = sum((s.between(a, b) for s in stretches), Fraction(0))
        segment = next((s.uid for s in timeline.segments if s.t0_ns <= a and b <= (s.t1_ns or b)), "")
        parts = _parts((divides or {}).get(segment), a, b)
        everyone = parts["work"] + parts["recorder"] + parts["foreign"]
        foreign = parts["foreign"] / everyone if everyone else Fraction(0)
        ours = (parts["work"] + parts["recorder"]) / everyone if everyone else Fraction(1)
        parts_of = sharing.between(domain, a, b)
        out.total += joules
        if out.other is not None:
            out.other += joules * foreign
        for uid, part in parts_of.items():
            out.spans[uid] += joules * ours * part
        if parts_of:
            continue
        if works is not None:
            parts = _parts(works.get(segment), a, b)
            worked = parts["work"] > 0
            watching = min(parts["recorder"] / parts["capacity"], Fraction(1)) if parts["capacity"] else Fraction(0)
        else:
            worked = len(device_points) < 2 or line(device_points, b) > line(device_points, a)
            watching = Fraction(0)
        if worked:
            out.overhead += joules * ours
        else:
            out.overhead += joules * ours * watching
            out.idle += joules * ours * (1 - watching)
    if divides is None:
        out.other = None
    return out


def _parts(use: Busy | None, a: int, b: int) -> dict[str, Fraction]:
    return {who: use.spent(who, a, b) if use else Fraction(0) for who in ("work", "recorder", "foreign", "capacity")}
