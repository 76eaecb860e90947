"""What a step of an engine costs, fitted from the run: E = F + b_p·prefill + b_d·decode + b_kv·context.

Non-negative least squares over windows of several readings, whose features are those of the steps
inside. Engines on the same devices are fitted together, each with four columns of its own, and one for
the time without a step (others for stages of a pipeline and slices without one): so their coefficients
are in one unit, joules of those devices. Whether the fit is good enough is decided for each engine by how
unsure it leaves its requests' shares, and not by how much of the energy it explains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from greengen.accounting.curves import NS, Bools, Curve, Floats, Ints, distinct
from greengen.accounting.moves import Moves, Priced, relative, tokens
from greengen.accounting.policies import Coefficients
from greengen.accounting.squares import nonnegative
from greengen.accounting.stints import Lane
from greengen.accounting.work import Group, Work, names_of

#: A window holds this many readings and steps at least, and a fit this many windows (attribution.md A2).
_READINGS, _STEPS, _WINDOWS = 10, 4, 30

#: More windows than this tell nothing new.
_MOST = 4_000

#: Columns of an engine in the design: steps, prefill, decode, context.
_COLUMNS = 4

#: Steps overlap seldom where less than this part of the time is of two.
_SELDOM = 0.1

#: Of the sum of squares, what rounding leaves.
_ROUNDING = 1e-12

#: A request's share that is more unsure than this, typically, is no better than a rule of thumb.
TOO_UNSURE = 0.10


@dataclass(frozen=True, slots=True)
class Costs:
    """What a step of one engine costs.

    coefficients  in J
    moves         what each direction of the fit's error adds to them, as in `Choice.moves`
    sigma         all directions together, on the joules of the engine's median request, relative
    """

    coefficients: Coefficients
    moves: Moves
    sigma: float


@dataclass(frozen=True, slots=True)
class Fit:
    """What the steps of engines on the same devices cost.

    unit       its name: coefficients of one fit are in one unit
    engines    uid → costs; a reason for those of which the fit says nothing
    windows    how many windows it rests on
    explained  the part of the energy's sum of squares that it explains
    """

    unit: str
    engines: Mapping[str, Costs | str]
    windows: int
    explained: float


def fit(work: Work, groups: Sequence[Group], curves: Sequence[Curve]) -> Fit | str:
    """Coefficients of the engines of these lanes from the energy of their devices, or why there are none."""
    lanes = [group.lane for group in groups if group.lane is not None]
    uids = list(dict.fromkeys(lane.engine for lane in lanes))
    edges = _windows(lanes, curves)
    if edges.size <= _WINDOWS:
        return f"{max(edges.size - 1, 0)} windows of {_READINGS} readings are too few to fit what a step costs"
    energy_j = np.zeros(edges.size - 1)
    known = np.ones(edges.size - 1, dtype=bool)
    for curve in curves:
        energy_j += np.diff(curve.at(edges))
        gaps = np.concatenate(([0.0], np.cumsum(np.diff(curve.t_ns) * ~curve.known)))
        lost = np.interp((edges - curve.t_ns[0]).astype(float), (curve.t_ns - curve.t_ns[0]).astype(float), gaps)
        known &= np.diff(lost) == 0
    busy_s, idle_s = _busy(lanes, edges)
    of = [[lane for lane in lanes if lane.engine == uid] for uid in uids]
    blocks = [np.sum([_features(lane, edges) for lane in engine], axis=0) for engine in of]
    waits = [column for engine in of for column in _bubbles([[lane] for lane in engine], edges)]
    design = np.column_stack([*blocks, *_bubbles(of, edges), idle_s])
    known &= _alone(work, groups, curves, edges) & (busy_s > 0)
    if int(known.sum()) < _WINDOWS:
        return f"in only {int(known.sum())} windows did nothing else run beside the engine"
    solved = _solved(design[known], [column[known] for column in waits], energy_j[known])
    if solved is None:
        return "no step was told from another: the batch never changed"
    solution, covariance, explained = solved
    unit = f"J, fitted with {' + '.join(uids)}"
    steps = _COLUMNS * len(uids)
    engines = _costs(work, lanes, solution[:steps], covariance[:steps, :steps])
    return Fit(unit, engines, int(known.sum()), explained)


def _solved(design: Floats, more: Sequence[Floats], energy_j: Floats) -> tuple[Floats, Floats, float] | None:
    """As `nonnegative`, with `more` columns where they explain so much more that they are worth it.

    Whether the lanes of an engine are stages is not known beforehand; whether two engines work side by side is.
    """
    solved = nonnegative(design, energy_j)
    if solved is None or not more:
        return solved
    wider = nonnegative(np.column_stack([design, *more]), energy_j)
    # Bayes' information criterion; what is explained to rounding needs no more.
    worth = float(energy_j.size) ** (-len(more) / energy_j.size)
    left = 1.0 - solved[2]
    return wider if wider is not None and left > _ROUNDING and 1.0 - wider[2] < left * worth else solved


def _costs(work: Work, lanes: Sequence[Lane], solution: Floats, covariance: Floats) -> dict[str, Costs | str]:
    """What the fit says of each engine."""
    uids = list(dict.fromkeys(lane.engine for lane in lanes))
    values, vectors = np.linalg.eigh(covariance)
    # One standard uncertainty of each independent part of the error, as columns of all engines' coefficients.
    parts = (vectors * np.sqrt(np.maximum(values, 0.0)))[:, values > 0]
    blocks = [slice(_COLUMNS * i, _COLUMNS * (i + 1)) for i in range(len(uids))]
    coefficients = [Coefficients(*map(float, solution[block])) for block in blocks]
    moves = [tuple(map(tuple, parts[block].T.tolist())) for block in blocks]
    of = {uid: (mean, by) for uid, mean, by in zip(uids, coefficients, moves, strict=True)}
    moved = relative(work.spans, [Priced(lane, *of[lane.engine]) for lane in lanes])
    found: dict[str, Costs | str] = {}
    for uid, (mean, by) in of.items():
        if not any(mean.as_tuple()):
            found[uid] = "the energy did not follow the steps"
            continue
        served = np.unique(np.concatenate([lane.owner for lane in lanes if lane.engine == uid]))
        spread = np.sqrt((moved[:, served] ** 2).sum(axis=0))
        spread = spread[spread > 0]
        found[uid] = Costs(mean, by, float(np.median(spread)) if spread.size else 0.0)
    return found


def _windows(engine: Sequence[Lane], curves: Sequence[Curve]) -> Ints:
    """Borders of windows: readings of the coarsest curve, each with enough readings and steps between."""
    if not curves or not any(lane.t0_ns.size for lane in engine):
        return np.zeros(0, dtype=np.int64)
    start = max([min(int(lane.t0_ns[0]) for lane in engine), *(int(curve.t_ns[0]) for curve in curves)])
    end = min([max(int(lane.t1_ns[-1]) for lane in engine), *(int(curve.t_ns[-1]) for curve in curves)])
    read = [t_ns[(t_ns >= start) & (t_ns <= end)] for t_ns in map(_readings, curves)]
    knots = min(read, key=len)[::_READINGS]
    if knots.size < 2 or end <= start:  # noqa: PLR2004 -- one window
        return knots
    # By steps and not by the clock: of a machine that stood still, or an engine that waited for an hour, one is long.
    begins = np.sort(np.concatenate([lane.t0_ns for lane in engine]))
    begins = begins[(begins >= start) & (begins < end)]
    marks = begins[:: max(_STEPS, -(-begins.size // _MOST))]
    return knots[distinct(np.clip(np.searchsorted(knots, marks), 0, knots.size - 1))]


def _readings(curve: Curve) -> Ints:
    """When a curve was read; also where recording has left out what lies on the line between two others."""
    length = np.diff(curve.t_ns)
    spacing = np.where(curve.spacing_s > 0, curve.spacing_s * NS, length)
    pieces = np.maximum(np.rint(length / np.maximum(spacing, 1.0)), 1.0).astype(np.int64)
    stretch = np.repeat(np.arange(length.size), pieces)
    place = np.arange(stretch.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    return np.concatenate((curve.t_ns[:-1][stretch] + length[stretch] * place // pieces[stretch], curve.t_ns[-1:]))


def _features(lane: Lane, edges: Ints) -> Floats:
    """Steps, prefill, decode and context tokens in each window, shape (windows, 4)."""
    steps = lane.t0_ns.size
    # A step costs as much at its beginning as at its end: half of it, half of its tokens.
    times = (lane.t0_ns, lane.t1_ns)
    return np.column_stack([_within(times, amount, edges) for amount in (np.ones(steps), *tokens(lane))])


def _busy(engine: Sequence[Lane], edges: Ints) -> tuple[Floats, Floats]:
    """(seconds in which any step ran, those in which none did) of each window, shape (windows,)."""
    t0_ns, t1_ns = (np.concatenate([getattr(lane, name) for lane in engine]) for name in ("t0_ns", "t1_ns"))
    order = np.argsort(t0_ns, kind="stable")
    ends = np.maximum.accumulate(t1_ns[order])
    starts = np.minimum(np.maximum(t0_ns[order], np.concatenate((t0_ns[order][:1], ends[:-1]))), ends)
    busy_ns = _within((starts, ends), (ends - starts).astype(float), edges)
    # To the ns: what is left of a sum of floats is no idle time, and would be fitted like one.
    return busy_ns / NS, np.maximum(np.rint(np.diff(edges) - busy_ns), 0.0) / NS


def _bubbles(beside: Sequence[Sequence[Lane]], edges: Ints) -> list[Floats]:
    """The seconds of each window, summed over what works side by side, in which one has no step while another has.

    Lanes of an engine are stages of a pipeline or its micro-batches, engines may have a slice of a device each:
    what one draws that waits is no step's cost. None, and no column, where their steps overlap seldom: then this
    time is all but that of the steps, and tells nothing.
    """
    if len(beside) == 1:
        return []
    busy_s = _busy([lane for lanes in beside for lane in lanes], edges)[0]
    free_s = np.sum([busy_s - _busy(lanes, edges)[0] for lanes in beside], axis=0)
    seldom = (1.0 - _SELDOM) * (len(beside) - 1) * float(busy_s.sum())
    return [np.maximum(free_s, 0.0)] if float(free_s.sum()) < seldom else []


def _within(times: tuple[Ints, Ints], amount: Floats, edges: Ints) -> Floats:
    """What falls into each window of amounts that are spread evenly over ascending intervals, shape (windows,)."""
    knots = np.ravel(np.column_stack(times) - edges[0]).astype(float)
    cumulated = np.cumsum(amount)
    levels = np.ravel(np.column_stack((cumulated - amount, cumulated)))
    return np.diff(np.interp((edges - edges[0]).astype(float), knots, levels))


def _alone(work: Work, groups: Sequence[Group], curves: Sequence[Curve], edges: Ints) -> Bools:
    """In which windows no work of other groups was live on the engines' devices."""
    engines = {group.lane.engine for group in groups if group.lane is not None}
    ours = {id(group) for group in groups}
    rows = [g.rows for g in work.groups if id(g) not in ours and g.around not in engines]
    others = np.concatenate([np.zeros(0, dtype=np.int64), *rows])
    others = others[~work.waiting[others]]
    own = {uid for group in groups if group.lane is not None for uid in group.lane.devices}
    if own and any(work.devices):
        own = own.union(*(names_of(curve.domain) for curve in curves))
        beside = [not work.devices[row] or not own.isdisjoint(work.devices[row]) for row in others.tolist()]
        others = others[np.array(beside, dtype=bool)]
    windows = edges.size - 1
    first = np.clip(np.searchsorted(edges, work.from_ns[others], side="right") - 1, 0, windows)
    last = np.clip(np.searchsorted(edges, work.to_ns[others], side="left"), first, windows)
    change = np.bincount(first, minlength=windows + 1) - np.bincount(last, minlength=windows + 1)
    return np.asarray(np.cumsum(change)[:windows] == 0)
