"""What a step of an engine costs, fitted from the run: E = F + b_p·prefill + b_d·decode + b_kv·context.

Non-negative least squares over windows of several readings, whose features are those of the steps
inside. Whether the fit is good enough is decided by how unsure it leaves the requests' shares, and
not by how much of the energy it explains: shares use ratios of coefficients only.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from greengen.accounting.curves import NS, Curve, Floats, Ints, distinct
from greengen.accounting.policies import Coefficients
from greengen.accounting.stints import Lane
from greengen.accounting.work import Group, Work

#: A window holds this many readings and steps at least, and a fit this many windows (attribution.md A2).
_READINGS, _STEPS, _WINDOWS = 10, 4, 30

#: More windows than this tell nothing new.
_MOST = 4_000

#: A request's share that is more unsure than this, typically, is no better than a rule of thumb.
TOO_UNSURE = 0.10


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients, in J, and how far each direction of their error moves each span's joules.

    covariance of the coefficients, J², shape (4, 4)
    relative   of each span's energy, one standard uncertainty per direction, shape (directions, n)
    sigma      all directions together, the median request
    windows    how many windows it rests on
    explained  the part of the energy's variance that it explains
    """

    coefficients: Coefficients
    covariance: Floats
    relative: Floats
    sigma: float
    windows: int
    explained: float


def fit(work: Work, groups: Sequence[Group], curves: Sequence[Curve]) -> Fit | str:
    """Coefficients of an engine's lanes from the energy of its devices, or why there are none."""
    engine = [group.lane for group in groups if group.lane is not None]
    edges = _windows(engine, curves)
    if edges.size <= _WINDOWS:
        return f"{max(edges.size - 1, 0)} windows of {_READINGS} readings are too few to fit what a step costs"
    energy_j = np.zeros(edges.size - 1)
    known = np.ones(edges.size - 1, dtype=bool)
    for curve in curves:
        energy_j += np.diff(curve.at(edges))
        gaps = np.concatenate(([0.0], np.cumsum(np.diff(curve.t_ns) * ~curve.known)))
        lost = np.interp((edges - curve.t_ns[0]).astype(float), (curve.t_ns - curve.t_ns[0]).astype(float), gaps)
        known &= np.diff(lost) == 0
    busy_s, idle_s = _busy(engine, edges)
    design = np.column_stack([np.sum([_features(lane, edges) for lane in engine], axis=0), idle_s])
    known &= _alone(work, groups, edges) & (busy_s > 0)
    if int(known.sum()) < _WINDOWS:
        return f"in only {int(known.sum())} windows did nothing else run beside the engine"
    energy_j, design = energy_j[known], design[known]
    solved = nonnegative(design, energy_j)
    if solved is None:
        return "no step was told from another: the batch never changed"
    solution, covariance, explained = solved
    coefficients = Coefficients(*map(float, solution[:4]))
    if not any(coefficients.as_tuple()):
        return "the energy did not follow the steps"
    relative = _directions(work, groups, coefficients, covariance[:4, :4])
    served = np.flatnonzero(np.abs(relative).sum(axis=0) > 0)
    spread = np.sqrt((relative[:, served] ** 2).sum(axis=0))
    sigma = float(np.median(spread)) if served.size else 0.0
    return Fit(coefficients, covariance[:4, :4], relative, sigma, int(known.sum()), explained)


def nonnegative(design: Floats, energy_j: Floats) -> tuple[Floats, Floats, float] | None:
    """(solution ≥ 0, its covariance, part of the variance explained) of least squares; None where it has none.

    All subsets of the few columns are tried: the best one without a negative is the optimum.
    """
    columns = design.shape[1]
    scale = np.abs(design).max(axis=0)
    usable = [i for i in range(columns) if scale[i] > 0]
    best: tuple[float, tuple[int, ...], Floats] | None = None
    for size in range(1, len(usable) + 1):
        for chosen in itertools.combinations(usable, size):
            part = design[:, chosen] / scale[list(chosen)]
            solution, _, rank, _ = np.linalg.lstsq(part, energy_j, rcond=1e-9)
            if rank < size or (solution < 0).any():
                continue
            rest = float(((energy_j - part @ solution) ** 2).sum())
            if best is None or rest < best[0] * (1 - 1e-9):
                best = (rest, chosen, solution)
    if best is None:
        return None
    rest, chosen, solution = best
    found, covariance = np.zeros(columns), np.zeros((columns, columns))
    found[list(chosen)] = solution / scale[list(chosen)]
    # Of all of them: what was pressed to 0 is known to be small, and not known to be 0.
    part = design[:, usable] / scale[usable]
    inverse = np.linalg.pinv(part.T @ part) * (rest / max(energy_j.size - len(usable), 1))
    covariance[np.ix_(usable, usable)] = inverse / np.outer(scale[usable], scale[usable])
    total = float(((energy_j - energy_j.mean()) ** 2).sum())
    return found, covariance, 1.0 - rest / total if total > 0 else 1.0


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
    steps = sum(lane.t0_ns.size for lane in engine)
    length_ns = max((end - start) / max(steps, 1) * _STEPS, (end - start) / _MOST)
    # By time, so that no window is short of steps.
    marks = np.arange(start, end, max(int(length_ns), 1))
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
    return np.column_stack([_within(times, amount, edges) for amount in (np.ones(steps), *_tokens(lane))])


def _busy(engine: Sequence[Lane], edges: Ints) -> tuple[Floats, Floats]:
    """(seconds in which any step ran, those in which none did) of each window, shape (windows,)."""
    t0_ns, t1_ns = (np.concatenate([getattr(lane, name) for lane in engine]) for name in ("t0_ns", "t1_ns"))
    order = np.argsort(t0_ns, kind="stable")
    ends = np.maximum.accumulate(t1_ns[order])
    starts = np.minimum(np.maximum(t0_ns[order], np.concatenate((t0_ns[order][:1], ends[:-1]))), ends)
    busy_ns = _within((starts, ends), (ends - starts).astype(float), edges)
    # To the ns: what is left of a sum of floats is no idle time, and would be fitted like one.
    return busy_ns / NS, np.maximum(np.rint(np.diff(edges) - busy_ns), 0.0) / NS


def _within(times: tuple[Ints, Ints], amount: Floats, edges: Ints) -> Floats:
    """What falls into each window of amounts that are spread evenly over ascending intervals, shape (windows,)."""
    knots = np.ravel(np.column_stack(times) - edges[0]).astype(float)
    cumulated = np.cumsum(amount)
    levels = np.ravel(np.column_stack((cumulated - amount, cumulated)))
    return np.diff(np.interp((edges - edges[0]).astype(float), knots, levels))


def _tokens(lane: Lane) -> tuple[Floats, Floats, Floats]:
    """Prefill, decode and context tokens of each step, shape (K,); decode with the padding."""
    steps = lane.t0_ns.size
    first, last = lane.first, lane.last + 1

    def over(amount: Floats) -> Floats:
        change = np.bincount(first, amount, minlength=steps + 1) - np.bincount(last, amount, minlength=steps + 1)
        return np.asarray(np.cumsum(change.astype(float))[:steps])

    grown = over(lane.growth) * np.arange(steps) + over(lane.context - lane.growth * lane.first)
    return over(lane.prefill), over(lane.decode) + lane.padding, grown


def _alone(work: Work, groups: Sequence[Group], edges: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """In which windows no work of other groups was live on the engine's devices."""
    engines = {group.lane.engine for group in groups if group.lane is not None}
    ours = {id(group) for group in groups}
    rows = [g.rows for g in work.groups if id(g) not in ours and g.around not in engines]
    others = np.concatenate([np.zeros(0, dtype=np.int64), *rows])
    others = others[~work.waiting[others]]
    own = {uid for group in groups if group.lane is not None for uid in group.lane.devices}
    if own and any(work.devices):
        beside = [not work.devices[row] or not own.isdisjoint(work.devices[row]) for row in others.tolist()]
        others = others[np.array(beside, dtype=bool)]
    windows = edges.size - 1
    first = np.clip(np.searchsorted(edges, work.from_ns[others], side="right") - 1, 0, windows)
    last = np.clip(np.searchsorted(edges, work.to_ns[others], side="left"), first, windows)
    change = np.bincount(first, minlength=windows + 1) - np.bincount(last, minlength=windows + 1)
    return np.asarray(np.cumsum(change)[:windows] == 0)


def _directions(work: Work, groups: Sequence[Group], coefficients: Coefficients, covariance: Floats) -> Floats:
    """How far each independent direction of the coefficients' error moves each span, relative, shape (4, n)."""
    base = _energies(work, groups, coefficients, coefficients)
    values, vectors = np.linalg.eigh(covariance)
    at = np.array(coefficients.as_tuple())
    moved = np.zeros((4, base.size))
    for i in range(4):
        step = vectors[:, i] * np.sqrt(max(float(values[i]), 0.0))
        ends = [_energies(work, groups, coefficients, Coefficients(*np.maximum(at + s * step, 0.0))) for s in (1, -1)]
        moved[i] = (ends[0] - ends[1]) / 2
    return np.asarray(np.divide(moved, base, out=np.zeros_like(moved), where=base > 0))


def _energies(work: Work, groups: Sequence[Group], truth: Coefficients, used: Coefficients) -> Floats:
    """Each span's part of steps that cost what `truth` says, shared by what `used` says, shape (n,)."""
    found = np.zeros(work.spans)
    for group in groups:
        lane = group.lane
        if lane is None or not lane.owner.size:
            continue
        steps = lane.t0_ns.size
        first, last = lane.first, lane.last + 1
        tokens = _tokens(lane)
        change = np.bincount(first, minlength=steps + 1) - np.bincount(last, minlength=steps + 1)
        count = np.cumsum(change)[:steps]
        cost, weight = (
            c.fixed + c.prefill * tokens[0] + c.decode * tokens[1] + c.context * tokens[2] for c in (truth, used)
        )
        rate = np.divide(cost, weight, out=np.zeros(steps), where=weight > 0)
        head = np.divide(used.fixed + used.decode * lane.padding, count, out=np.zeros(steps), where=count > 0)
        sums = [np.concatenate(([0.0], np.cumsum(v))) for v in (rate * head, rate, rate * np.arange(steps))]
        whole, flat, rising = (total[last] - total[first] for total in sums)
        constant = used.prefill * lane.prefill + used.decode * lane.decode
        constant = constant + used.context * (lane.context - lane.growth * first)
        found += np.bincount(lane.owner, whole + constant * flat + used.context * lane.growth * rising, work.spans)
    return found
