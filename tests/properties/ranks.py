"""Ranks that record themselves, and one recorder that saw them all: two accounts of one planted truth.

What a meter shows and who works when is told by functions of time, in binary fractions, so that every
reading is exact. Each rank has its own part of the time, its own rhythm and its own process tree, maybe
inside another's; `one` is what a single recorder would have written that read whenever any of them did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from hypothesis import strategies as st

from greengen.collector import Domain
from greengen.recording.thinning import Point, Thinner
from greengen.rows import ProcessRow, Rows, Segment, Series, SpanRow, Timeline
from tests.properties.strategies import MS, SECOND, Draw

BOOT = "boot"
WRAP_J, MAX_W = 4096.0, 100.0
#: Meters and CPU time are read at multiples of it.
STEP = 10 * MS
BASE = 7_000 * SECOND
NEVER = 2**62

PACKAGE = Domain("c:package", "c", "package", "package", split="cpu", activity="cpu", wrap_j=WRAP_J, max_power_w=MAX_W)
DRAM = Domain("c:dram", "c", "dram", "dram", split_reason="no weight", activity="cpu", max_power_w=MAX_W)
GPU = Domain("c:gpu", "c", "gpu", "GPU", reading="power", split_reason="no weight")
METERS = (PACKAGE, DRAM, GPU)

Read = Callable[[int], float]


@dataclass(frozen=True)
class Line:
    """What grows by `rates[i]` per step from `times[i]` on, and not before the first."""

    times: Sequence[int]
    rates: Sequence[float]

    def at(self, t_ns: int) -> float:
        ends = [*self.times[1:], NEVER]
        return sum(
            r * ((min(max(t_ns, a), b) - a) / STEP) for a, b, r in zip(self.times, ends, self.rates, strict=True)
        )


@dataclass(frozen=True)
class Rank:
    """A recorder: when it read, the CPU time (ns) of its own processes and of itself, and whose tree it is in.

    apart   it has a process of its own, outside the tree
    above   the ranks in whose trees it is, the nearest first
    """

    number: int
    samples_ns: Sequence[int]
    usage_ns: Sequence[int]
    busy: Line
    cost: Line
    apart: bool
    above: Sequence[int]

    @property
    def process(self) -> str:
        return process(self.number)

    @property
    def between(self) -> tuple[int, int]:
        return self.usage_ns[0], self.usage_ns[-1]


@dataclass(frozen=True)
class Truth:
    """Of the whole host: J of two counters, what they showed at first, W of a gauge, and CPU time, ns."""

    energy: dict[str, Line]
    offset: dict[str, float]
    reset_ns: int
    watts: Line
    foreign: Line
    ranks: Sequence[Rank]

    def shown(self, uid: str, t_ns: int) -> float:
        """A package wraps; a DRAM counter begins at 0 again when its driver is loaded anew."""
        if uid == GPU.uid:
            return self.watts.at(t_ns)
        joules = self.energy[uid].at(t_ns)
        if uid == PACKAGE.uid:
            return (self.offset[uid] + joules) % WRAP_J
        return joules - self.energy[uid].at(self.reset_ns) if t_ns >= self.reset_ns else joules + self.offset[uid]

    def machine(self, t_ns: int) -> float:
        return self.foreign.at(t_ns) + sum(rank.busy.at(t_ns) + rank.cost.at(t_ns) for rank in self.ranks)

    def tree(self, rank: Rank, t_ns: int) -> float:
        own = rank.busy.at(t_ns) + (0.0 if rank.apart else rank.cost.at(t_ns))
        inner = [other for other in self.ranks if rank.number in other.above]
        return own + sum(other.busy.at(t_ns) + other.cost.at(t_ns) for other in inner)


@dataclass(frozen=True)
class Ranks:
    """What each recorded, what one recorder would have, and what happened. `thin`: gauges were thinned."""

    truth: Truth
    runs: list[Rows]
    one: Rows
    thin: bool

    def package_j(self) -> float:
        """The package's joules over all time between two readings of one recorder or of recorders that overlap."""
        energy = self.truth.energy[PACKAGE.uid]
        times = [_within(self.truth.ranks, *stretch)[0] for stretch in stretches(self.truth.ranks)]
        return sum(energy.at(t[-1]) - energy.at(t[0]) for t in times)


def process(number: int) -> str:
    return f"{BOOT}:{number + 1}:1"


def stretches(ranks: Sequence[Rank]) -> list[tuple[int, int]]:
    """When anybody recorded."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(rank.between for rank in ranks):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def _within(ranks: Sequence[Rank], start: int, end: int) -> tuple[list[int], list[int]]:
    """(samples, usage): when any of those read that recorded within."""
    those = [rank for rank in ranks if start <= rank.between[0] <= end]
    return (
        sorted({t for rank in those for t in rank.samples_ns}),
        sorted({t for rank in those for t in rank.usage_ns}),
    )


def series(times: Sequence[int], read: Read) -> Series:
    return Series(list(times), [read(t) for t in times], [0, *(b - a for a, b in pairwise(times))])


def thinned(whole: Series) -> Series:
    """What a recorder writes of it."""
    thinner = Thinner(0.0)

    def points() -> Iterator[Point]:
        for t, value in zip(whole.t_ns, whole.values, strict=True):
            point = thinner.add(t, value)
            if point is not None:
                yield point
        last, _ = thinner.flush()
        if last is not None:
            yield last

    kept = list(points())
    return Series([t for t, _, _ in kept], [v for _, v, _ in kept], [s for _, _, s in kept], whole.window_s)


def _recorded(truth: Truth, rank: Rank, spans: list[SpanRow], *, thin: bool) -> Rows:
    start, end = rank.between
    samples = {d.uid: series(rank.samples_ns, partial(truth.shown, d.uid)) for d in METERS}
    if thin:
        samples[GPU.uid] = thinned(samples[GPU.uid])
    usage = {
        ("cpu", "machine"): series(rank.usage_ns, truth.machine),
        ("cpu", "capacity"): series(rank.usage_ns, lambda t: 4.0 * (t - BASE)),
        ("cpu", "profiled"): series(rank.usage_ns, lambda t: truth.tree(rank, t) - truth.tree(rank, start)),
        ("cpu", "recorder"): series(rank.usage_ns, lambda t: rank.cost.at(t) - rank.cost.at(start)),
    }
    info = {"interval_s": 0.1, "own_process": rank.apart, "ancestors": [process(n) for n in rank.above]}
    segment = Segment(f"{rank.process}/{start}", rank.process, start, end, start, info)
    return _rows([rank.process], samples, usage, [segment], spans)


def _by_one(truth: Truth, spans: list[SpanRow]) -> Rows:
    ranks = truth.ranks
    times = [_within(ranks, *stretch) for stretch in stretches(ranks)]
    read = [t for taken, _ in times for t in taken]
    samples = {d.uid: series(read, partial(truth.shown, d.uid)) for d in METERS}
    looked = [t for _, taken in times for t in taken]
    usage = {
        ("cpu", "machine"): series(looked, truth.machine),
        ("cpu", "capacity"): series(looked, lambda t: 4.0 * (t - BASE)),
        ("cpu", "profiled"): series(looked, lambda t: sum(rank.busy.at(t) for rank in ranks)),
        ("cpu", "recorder"): series(looked, lambda t: sum(rank.cost.at(t) for rank in ranks)),
    }
    info = {"interval_s": 0.1, "own_process": True}
    segments = [Segment(f"one/{a}", "one", a, b, a, info) for a, b in stretches(ranks)]
    return _rows([rank.process for rank in ranks], samples, usage, segments, spans)


def _rows(
    processes: Sequence[str],
    samples: dict[str, Series],
    usage: dict[tuple[str, str], Series],
    segments: list[Segment],
    spans: list[SpanRow],
) -> Rows:
    last_ns = max(segment.t1_ns or 0 for segment in segments)
    timeline = Timeline(
        BOOT,
        "host",
        domains=list(METERS),
        samples=samples,
        usage=usage,
        spans=spans,
        processes=[ProcessRow(p, 1, "recorder", last_ns, closed=True, lost_rows=0, command="x") for p in processes],
        segments=segments,
    )
    return Rows({"greengen": "0"}, [timeline])


def _line(draw: Draw, times: Sequence[int], rates: Sequence[float], most: int = 5) -> Line:
    changes = draw(st.lists(st.sampled_from(times), min_size=1, max_size=most, unique=True))
    return Line(sorted(changes), [draw(st.sampled_from(rates)) for _ in changes])


@st.composite
def _rank(draw: Draw, number: int, *, nested: bool, thin: bool) -> Rank:
    # Of trees inside one another each change must be seen by both: all then read CPU time in one rhythm.
    rhythm = 10 if nested else draw(st.sampled_from((3, 5, 7, 10)))
    first = rhythm * draw(st.integers(0, 250 // rhythm))
    length = rhythm * draw(st.integers(20 // rhythm + 1, 250 // rhythm))
    usage_ns = [BASE + STEP * k for k in range(first, first + length + 1, rhythm)]
    steps = range(first, first + length + 1, draw(st.sampled_from((1, 3, 4, 10)))) if thin else None
    if steps is None or len(steps) < 2:
        anywhere = st.sets(st.integers(first, first + length), min_size=2, max_size=20)
        steps_read = sorted(draw(anywhere))
    else:
        steps_read = list(steps)
    end = usage_ns[-1]
    busy = _line(draw, usage_ns[:-1], (0.0, 2.5 * MS, 10.0 * MS, 40.0 * MS))
    cost = Line([usage_ns[0], end], [draw(st.sampled_from((0.0, 0.5 * MS, 2.0 * MS))), 0.0])
    above: list[int] = []
    if nested and number and draw(st.booleans()):
        above = [draw(st.integers(0, number - 1))]
    samples_ns = [BASE + STEP * k for k in steps_read]
    return Rank(
        number,
        samples_ns,
        usage_ns,
        Line([*busy.times, end], [*busy.rates, 0.0]),
        cost,
        apart=draw(st.booleans()),
        above=above,
    )


@st.composite
def ranks(draw: Draw, *, most: int = 4) -> Ranks:
    """Two to `most` recordings of one host, overlapping or not."""
    nested, thin = draw(st.booleans()), draw(st.booleans())
    found = [draw(_rank(number, nested=nested, thin=thin)) for number in range(draw(st.integers(2, most)))]
    for number, rank in enumerate(found):
        # What is inside a tree is inside those that hold it.
        found[number] = replace(rank, above=[*rank.above, *(n for holder in rank.above for n in found[holder].above)])
    everywhere = [BASE + STEP * k for k in range(-5, 520, 5)]
    power = (0.25, 0.25, 0.5, 1.0)
    truth = Truth(
        {
            uid: Line([BASE - SECOND, *line.times], [0.25, *line.rates])
            for uid in (PACKAGE.uid, DRAM.uid)
            for line in [_line(draw, everywhere, power)]
        },
        {PACKAGE.uid: draw(st.sampled_from((10.0, 3900.0, 4000.25))), DRAM.uid: 5000.0},
        draw(st.sampled_from((NEVER, *(t + 5 * MS for t in everywhere[:-1])))),
        _line(draw, everywhere, (0.0, 0.25, 0.5)),
        _line(draw, everywhere, (0.0, 5.0 * MS, 20.0 * MS)),
        found,
    )
    spans = [draw(_spans(rank)) for rank in found]
    runs = [_recorded(truth, rank, own, thin=thin) for rank, own in zip(found, spans, strict=True)]
    return Ranks(truth, runs, _by_one(truth, [span for own in spans for span in own]), thin)


@st.composite
def _spans(draw: Draw, rank: Rank) -> list[SpanRow]:
    start, end = rank.between
    instants = st.integers(start // (5 * MS) - 20, end // (5 * MS) + 20).map(lambda n: n * 5 * MS)
    times = [sorted(draw(st.tuples(instants, instants))) for _ in range(draw(st.integers(0, 3)))]
    return [
        SpanRow(f"{rank.process}/{number}", rank.process, None, "request", t0_ns, t1_ns)
        for number, (t0_ns, t1_ns) in enumerate(times)
    ]
