"""The steps of engines as columns: when each was, and which requests had what part in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np

from greengen.accounting.curves import Floats, Ints
from greengen.rows import Engine, EngineStep, Stint, Timeline

#: Owner, first and last step, and in each of them prefill, decode, context at the first, growth.
_Row = tuple[int, int, int, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Lane:
    """K steps of one engine that follow one another, and the q stints in them.

    An engine whose steps overlap (micro-batches of a pipeline) has several lanes, of one `name`.

    number                  of the lane, in its engine
    t0_ns, t1_ns, padding   of each step, shape (K,)
    owner                   the span of each stint, shape (q,)
    first, last             its steps, positions in the lane, both included, shape (q,)
    prefill, decode         tokens in each of them, shape (q,)
    context, growth         tokens in the cache at the first, and more at each next one, shape (q,)
    """

    name: str
    number: int
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
    # With those that took no step: a part of a recording calls them as the whole does.
    for number, uid in enumerate(sorted({*steps, *engines})):
        engine = engines.get(uid, Engine(uid, ""))
        name = f"engine {engine.model}" if engine.model is not None else "engine"
        found += _of_engine(f"{name} ({number + 1})", engine, steps.get(uid, ()), (stints.get(uid, ()), index))
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
    return [_lane((name, number), engine, lane, stints) for number, lane in enumerate(places)]


def _lane(
    name: tuple[str, int],
    engine: Engine,
    steps: Sequence[EngineStep],
    stints: tuple[Sequence[Stint], Mapping[str, int]],
) -> Lane:
    sequence = np.array([s.seq for s in steps], dtype=np.int64)
    order = np.argsort(sequence, kind="stable")
    ranked = sequence[order]
    in_order = bool((np.diff(sequence) > 0).all())
    kept: list[_Row] = []
    for stint in stints[0]:
        first = int(np.searchsorted(ranked, stint.first, side="left"))
        last = int(np.searchsorted(ranked, stint.last, side="right"))
        # A count below 0 is none: it must not cost the others their shares.
        owner, tokens = stints[1][stint.span], (max(float(stint.prefill), 0.0), max(float(stint.decode), 0.0))
        growth = max(stint.growth, 0)
        if last == first:
            continue
        # Of a part of a recording, or of one of several lanes, some steps are not there. And an engine
        # counts its steps in the order in which they begin, but a stranger's log may not.
        whole = in_order and ranked[last - 1] - ranked[first] == last - 1 - first
        for begin, end in [(first, last - 1)] if whole else [(i, i) for i in order[first:last].tolist()]:
            context = max(stint.context, 0) + growth * (int(sequence[begin]) - stint.first)
            kept.append((owner, begin, end, *tokens, float(context), float(growth)))
    kept = _one_player(kept)

    def column(which: int) -> Floats:
        return np.array([row[which] for row in kept], dtype=float)

    def places(which: int) -> Ints:
        return np.array([row[which] for row in kept], dtype=np.int64)

    return Lane(
        name=name[0],
        number=name[1],
        engine=engine.uid,
        devices=engine.devices,
        t0_ns=np.array([s.t0_ns for s in steps], dtype=np.int64),
        t1_ns=np.array([max(s.t0_ns, s.t1_ns) for s in steps], dtype=np.int64),
        padding=np.array([max(s.padding, 0) for s in steps], dtype=float),
        owner=places(0),
        first=places(1),
        last=places(2),
        prefill=column(3),
        decode=column(4),
        context=column(5),
        growth=column(6),
    )


def _one_player(rows: Sequence[_Row]) -> list[_Row]:
    """The same with one row of a request in a step: what its sequences do there adds up, and it pays for one."""
    ordered = sorted(rows, key=lambda row: row[:3])
    found: list[_Row] = []
    for _, same in groupby(ordered, key=lambda row: row[0]):
        mine = list(same)
        if all(before[2] < after[1] for before, after in pairwise(mine)):
            found += mine
            continue
        borders = sorted({at for row in mine for at in (row[1], row[2] + 1)})
        for begin, end in pairwise(borders):
            live = [row for row in mine if row[1] <= begin and end <= row[2] + 1]
            context = sum(row[5] + row[6] * (begin - row[1]) for row in live)
            sums = [sum(row[which] for row in live) for which in (3, 4, 6)]
            found += [(mine[0][0], begin, end - 1, sums[0], sums[1], context, sums[2])] if live else []
    return found
