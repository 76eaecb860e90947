"""The steps of engines as columns: when each was, and which requests had what part in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from greengen.accounting.curves import Floats, Ints
from greengen.rows import Engine, EngineStep, Stint, Timeline


@dataclass(frozen=True, slots=True)
class Lane:
    """K steps of one engine that follow one another, and the q stints in them.

    An engine whose steps overlap (micro-batches of a pipeline) has several lanes.

    t0_ns, t1_ns, padding   of each step, shape (K,)
    owner                   the span of each stint, shape (q,)
    first, last             its steps, positions in the lane, both included, shape (q,)
    prefill, decode         tokens in each of them, shape (q,)
    context, growth         tokens in the cache at the first, and more at each next one, shape (q,)
    """

    name: str
    engine: str
    devices: tuple[str, ...]
    t0_ns: Ints
    t1_ns: Ints
    padding: Floats
    owner: Ints
    first: Ints
    last: Ints
    prefill: Floats
    decode: Floats
    context: Floats
    growth: Floats


def lanes(timeline: Timeline, index: Mapping[str, int]) -> list[Lane]:
    """Every lane of a timeline. `index`: span uid → its place in the table."""
    steps: dict[str, list[EngineStep]] = {}
    stints: dict[str, list[Stint]] = {}
    for step in timeline.steps:
        steps.setdefault(step.engine, []).append(step)
    for stint in timeline.stints:
        if stint.span in index:
            stints.setdefault(stint.engine, []).append(stint)
    engines = {engine.uid: engine for engine in timeline.engines}
    found = []
    for number, uid in enumerate(sorted(steps)):
        engine = engines.get(uid, Engine(uid, ""))
        name = f"engine {engine.model}" if engine.model is not None else "engine"
        found += _of_engine(f"{name} ({number + 1})", engine, steps[uid], (stints.get(uid, ()), index))
    return found


def _of_engine(
    name: str, engine: Engine, steps: Sequence[EngineStep], stints: tuple[Sequence[Stint], Mapping[str, int]]
) -> list[Lane]:
    ordered = sorted(steps, key=lambda s: (s.t0_ns, s.seq))
    ends: list[int] = []
    places: list[list[EngineStep]] = []
    for step in ordered:
        lane = next((i for i, end in enumerate(ends) if end <= step.t0_ns), len(ends))
        if lane == len(ends):
            ends.append(0)
            places.append([])
        ends[lane] = max(step.t0_ns, step.t1_ns)
        places[lane].append(step)
    several = len(places) > 1
    return [_lane(f"{name}, lane {i + 1}" if several else name, engine, lane, stints) for i, lane in enumerate(places)]


def _lane(
    name: str, engine: Engine, steps: Sequence[EngineStep], stints: tuple[Sequence[Stint], Mapping[str, int]]
) -> Lane:
    # By sequence: the order in which an engine counts its steps is the order in which they begin.
    steps = sorted(steps, key=lambda s: s.seq)
    sequence = np.array([s.seq for s in steps], dtype=np.int64)
    kept: list[tuple[int, int, int, float, float, float, float]] = []
    for stint in stints[0]:
        first = int(np.searchsorted(sequence, stint.first, side="left"))
        last = int(np.searchsorted(sequence, stint.last, side="right"))
        owner, tokens = stints[1][stint.span], (float(stint.prefill), float(stint.decode))
        if last == first:
            continue
        # Of a part of a recording, or of one of several lanes, some steps are not there.
        whole = sequence[last - 1] - sequence[first] == last - 1 - first
        for begin, end in [(first, last - 1)] if whole else [(i, i) for i in range(first, last)]:
            context = stint.context + stint.growth * (int(sequence[begin]) - stint.first)
            kept.append((owner, begin, end, *tokens, float(context), float(stint.growth)))

    def column(which: int) -> Floats:
        return np.array([row[which] for row in kept], dtype=float)

    def places(which: int) -> Ints:
        return np.array([row[which] for row in kept], dtype=np.int64)

    return Lane(
        name=name,
        engine=engine.uid,
        devices=engine.devices,
        t0_ns=np.array([s.t0_ns for s in steps], dtype=np.int64),
        t1_ns=np.array([max(s.t0_ns, s.t1_ns) for s in steps], dtype=np.int64),
        padding=np.array([s.padding for s in steps], dtype=float),
        owner=places(0),
        first=places(1),
        last=places(2),
        prefill=column(3),
        decode=column(4),
        context=column(5),
        growth=column(6),
    )
