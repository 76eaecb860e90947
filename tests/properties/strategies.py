"""Small recordings: counters that wrap, reset and are not read; gauges; usage; spans of every kind.

Each comes with what really happened between its readings, which the counters only hint at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st

from greengen.collector import Domain
from greengen.rows import ProcessRow, Rows, Segment, Series, SpanRow, Timeline
from tests.properties import oracle

MS = 10**6
SECOND = 10**9
INTERVAL_S = 0.1
WRAP_J, MAX_W = 1000.0, 100.0

Draw = st.DrawFn

T = TypeVar("T")
_index = cache(lambda count: st.integers(0, count - 1))


def pick(draw: Draw, items: Sequence[T]) -> T:
    """One of them. Making a `sampled_from` anew for each draw takes longer than drawing from it."""
    return items[draw(_index(len(items)))]


#: For what needs less looking for: a third of the examples that the profile asks for.
FEW = settings(max_examples=max(settings().max_examples // 3, 10))


@dataclass(frozen=True)
class Case:
    """A recording, and by (boot, domain) what happened in it."""

    rows: Rows
    truth: dict[tuple[str, str], list[oracle.Stretch]]

    def domains(self) -> list[tuple[Timeline, Domain, list[oracle.Stretch]]]:
        """Those with at least one stretch between two readings."""
        return [
            (timeline, domain, self.truth[timeline.boot_id, domain.uid])
            for timeline in self.rows.timelines
            for domain in timeline.domains
            if self.truth.get((timeline.boot_id, domain.uid))
        ]


DOMAINS = (
    Domain("c:package", "c", "package", "package", split="cpu", activity="cpu", wrap_j=WRAP_J, max_power_w=MAX_W),
    Domain("c:uncore", "c", "uncore", "uncore", split="cpu", wrap_j=WRAP_J, max_power_w=MAX_W, refresh_s=0.1),
    Domain("c:dram", "c", "dram", "dram", split_reason="no weight", activity="cpu", max_power_w=MAX_W),
    Domain("c:gpu", "c", "gpu", "GPU", reading="power", split_reason="no weight", activity="c:gpu"),
    Domain("c:shared", "c", "gpu", "shared GPU", split="c:shared", activity="c:shared", max_power_w=MAX_W),
    Domain("c:npu", "c", "npu", "NPU", grade="modelled", reading="power", gain=0.1, workload=0.05),
)
WINDOWS_S = {"c:gpu": 1.0, "c:npu": 0.0}
#: Some part of the machine's domains contains others; the totals must count one cover of them.
PSYS = Domain(
    "c:psys", "c", "psys", "psys", contains=("c:package", "c:dram"), alternative=True, max_power_w=MAX_W, activity="cpu"
)
PACKAGE_WITH_UNCORE = replace(DOMAINS[0], contains=("c:uncore",))


_BOOLEAN = st.booleans()
_STEPS = st.lists(st.sampled_from((1, 1, 1, 2, 3, 7, 10, 12)), min_size=1, max_size=5)
_FAILED = cache(lambda count: st.sets(st.integers(1, count), max_size=2))
_RATES = {least: st.integers(least, 40) for least in (0, 1)}
_RATES_OR_RESET = {least: rates | st.just(-1) for least, rates in _RATES.items()}
#: CPU time of a tenth of a second: of the profiled processes, of others, of the recorder, and what the machine lags.
_PARTS = st.tuples(*[st.sampled_from((0, 0, 10, 45, 100))] * 2, st.sampled_from((0, 1, 5)), st.sampled_from((0, 0, 10)))
_CHOSEN = cache(lambda domains: st.lists(st.sampled_from(domains), min_size=1, max_size=3, unique=True))


@st.composite
def ticks(draw: Draw, start_ns: int) -> list[int]:
    """When everything is read: 2 to 6 times, unevenly."""
    steps = draw(_STEPS)
    times = [start_ns]
    for step in steps:
        times.append(times[-1] + step * 100 * MS)
    return times


def missed(draw: Draw, times: Sequence[int]) -> list[int]:
    """Those of the readings that came about: any but two may fail."""
    failed = draw(_FAILED(len(times))) if len(times) > 3 else set()
    return [t for i, t in enumerate(times) if i not in failed]


def _counter(draw: Draw, domain: Domain, segments: Sequence[list[int]]) -> tuple[Series, list[oracle.Stretch]]:
    series, truth = Series(), []
    value = Fraction(draw(st.integers(0, 3999)), 4)
    # A package always draws something; other domains may stand still.
    least = 0 if domain.refresh_s else 1
    for number, times in enumerate(segments):
        taken = missed(draw, times)
        steps = [oracle.Step(taken[0], None)]
        value += draw(st.integers(0, 99)) if number else 0
        value = value % int(domain.wrap_j) if domain.wrap_j else value
        _read(series, taken[0], value, 0)
        for a, b in pairwise(taken):
            rate = draw((_RATES_OR_RESET if value >= 1 else _RATES)[least])
            if rate < 0:
                # Back to less than before, and too far down for a wrap to explain it.
                value -= Fraction(draw(st.integers(1, min(int(value * 4), 800))), 4)
                steps.append(oracle.Step(b, None))
            else:
                gain = Fraction(rate, 4) * ((b - a) // (100 * MS))
                value += gain
                value = value % int(domain.wrap_j) if domain.wrap_j else value
                steps.append(oracle.Step(b, gain))
            _read(series, b, value, b - a)
        truth += oracle.of_counter(steps, int(domain.refresh_s * SECOND))
    return series, truth


def _gauge(draw: Draw, domain: Domain, segments: Sequence[list[int]]) -> tuple[Series, list[oracle.Stretch]]:
    window_s = WINDOWS_S[domain.uid]
    series, truth = Series(window_s=window_s), []
    for times in segments:
        taken = missed(draw, times)
        answers: list[tuple[int, Fraction | None]] = []
        for i, t in enumerate(taken):
            watts = draw(st.integers(-1, 400))
            answers.append((t, Fraction(watts, 4) if watts >= 0 else None))
            _read(series, t, Fraction(watts, 4), t - taken[i - 1] if i else 0)
        truth += oracle.of_gauge(answers, int(window_s * SECOND), int(INTERVAL_S * SECOND))
    return series, truth


def _read(series: Series, t_ns: int, value: Fraction, spacing_ns: int) -> None:
    series.t_ns.append(t_ns)
    series.values.append(float(value))
    series.spacing_ns.append(spacing_ns)


def _usage(draw: Draw, segments: Sequence[list[int]], own_process: Sequence[bool]) -> dict[tuple[str, str], Series]:
    """CPU time, read a moment after the domains; each recorder counts from 0, the machine goes on."""
    found = {("cpu", who): Series() for who in ("machine", "capacity", "profiled", "recorder")}
    machine = draw(st.integers(0, 10**6)) * MS
    capacity = 4 * machine
    for times, apart in zip(segments, own_process, strict=True):
        profiled = recorder = 0
        read = [set(missed(draw, times)) for _ in range(3)]
        for i, t in enumerate(times):
            if i:
                tenths = (t - times[i - 1]) // (100 * MS)
                work, foreign, own, slow = (part * tenths * MS for part in draw(_PARTS))
                machine += max(work + foreign + own - slow, 0)
                capacity += 2 * (t - times[i - 1])
                recorder += own
                profiled += work if apart else work + own
            if t in read[0]:
                _read(found["cpu", "machine"], t + MS, Fraction(machine), 0)
                _read(found["cpu", "capacity"], t + MS, Fraction(capacity), 0)
            if t in read[1]:
                _read(found["cpu", "profiled"], t, Fraction(profiled), 0)
            if t in read[2]:
                _read(found["cpu", "recorder"], t + 2 * MS, Fraction(recorder), 0)
    return found


def _device(draw: Draw, segments: Sequence[list[int]]) -> Series:
    series = Series()
    for times in segments:
        busy = 0
        for i, t in enumerate(times):
            busy += pick(draw, (0, 0, 30)) * MS if i else 0
            _read(series, t + MS, Fraction(busy), 0)
    return series


def _processes(draw: Draw, segments: Sequence[list[int]]) -> dict[tuple[str, str], Series]:
    """An accelerator's use: what all processes had of it and what the profiled ones had, told in one answer."""
    found = {("c:shared", who): Series() for who in ("machine", "profiled")}
    for times in segments:
        everyone = ours = 0
        told = set(missed(draw, times)) if draw(st.integers(0, 2)) == 0 else set(times)
        for t in times:
            work, foreign = (pick(draw, (0, 0, 10, 55, 100)) * MS for _ in range(2))
            everyone, ours = everyone + work + foreign, ours + work
            if t in told:
                _read(found["c:shared", "machine"], t + MS, Fraction(everyone), 0)
                _read(found["c:shared", "profiled"], t + MS, Fraction(ours), 0)
    return found


@st.composite
def span_rows(draw: Draw, boot: str, instants: Sequence[int], *, most: int = 6) -> list[SpanRow]:
    """Spans between some of `instants`: nested, side by side, outliving their parents, empty, waiting, open."""
    spans: list[SpanRow] = []
    for number in range(draw(st.integers(0, most))):
        start, end = sorted((pick(draw, instants), pick(draw, instants)))
        before = [span for span in spans if span.t0_ns <= start]
        parent = pick(draw, before) if len(before) > 0 and draw(_BOOLEAN) else None
        span = SpanRow(
            uid=f"{boot}:1:1/{number + 1}",
            process=f"{boot}:1:1",
            parent=parent.uid if parent else None,
            kind=pick(draw, ("request", "request", "train", "queue")),
            t0_ns=start,
            t1_ns=None if draw(st.integers(0, 7)) == 7 else end,
            model=pick(draw, (None, "a", "b")),
        )
        spans.append(span)
    return spans


@st.composite
def timelines(
    draw: Draw,
    boot: str = "boot",
    *,
    domains: Sequence[Domain] = DOMAINS,
    base_ns: int | None = None,
    most_segments: int = 2,
    most_spans: int = 6,
) -> tuple[Timeline, dict[tuple[str, str], list[oracle.Stretch]]]:
    """One boot of one host, with what happened in each of its domains."""
    at = base_ns if base_ns is not None else pick(draw, (3 * SECOND, 10**15 + 777 * MS))
    segments: list[list[int]] = []
    for _ in range(draw(st.integers(1, most_segments))):
        segments.append(draw(ticks(at)))
        at = segments[-1][-1] + draw(st.integers(1, 20)) * 100 * MS
    apart = [draw(_BOOLEAN) for _ in segments]
    chosen = draw(_CHOSEN(tuple(domains)))
    samples, truth = {}, {}
    for domain in chosen:
        make = _counter if domain.reading == "energy" else _gauge
        samples[domain.uid], truth[boot, domain.uid] = make(draw, domain, segments)
    usage = _usage(draw, segments, apart) if draw(st.integers(0, 4)) else {}
    if draw(_BOOLEAN):
        usage["c:gpu", "machine"] = _device(draw, segments)
    if any(domain.split == "c:shared" for domain in chosen) and draw(st.integers(0, 4)):
        usage |= _processes(draw, segments)
    first, last = segments[0][0], segments[-1][-1]
    instants = sorted({t + d for times in segments for t in times for d in (0, 0, 33 * MS, 50 * MS)})
    instants = [first - SECOND, *instants, last + SECOND]
    timeline = Timeline(
        boot_id=boot,
        hostname="host",
        domains=chosen,
        samples=samples,
        usage=usage,
        spans=draw(span_rows(boot, instants, most=most_spans)),
        processes=[
            ProcessRow(f"{boot}:1:1", 1, "recorder", pick(draw, instants), closed=True, lost_rows=0, command="x")
        ],
        segments=[
            Segment(f"{boot}:{i}:1/{times[0]}", f"{boot}:{i}:1", times[0] - MS, times[-1] + 5 * MS, i, _info(apart[i]))
            for i, times in enumerate(segments)
        ],
    )
    return timeline, truth


def _info(apart: bool) -> dict[str, object]:  # noqa: FBT001 -- a helper of this file
    return {"own_process": apart, "interval_s": INTERVAL_S}


@st.composite
def cases(draw: Draw, *, most_boots: int = 1, domains: Sequence[Domain] = DOMAINS, most_segments: int = 2) -> Case:
    """A recording of one host, or of several boots."""
    found = []
    truth: dict[tuple[str, str], list[oracle.Stretch]] = {}
    for number in range(draw(st.integers(1, most_boots))):
        timeline, happened = draw(timelines(f"boot{number}", domains=domains, most_segments=most_segments))
        found.append(timeline)
        truth |= happened
    return Case(Rows(meta={"greengen": "0"}, timelines=found), truth)
