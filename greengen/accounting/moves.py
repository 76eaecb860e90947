"""What the error of fitted coefficients moves: each request's part of the steps, direction by direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from greengen.accounting.curves import Floats, Ints, distinct
from greengen.accounting.policies import Coefficients
from greengen.accounting.stints import Lane

#: As in `Choice.moves`.
Moves = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Priced:
    """A lane whose steps cost what coefficients say, and how far these may be off."""

    lane: Lane
    coefficients: Coefficients
    moves: Moves


def relative(spans: int, lanes: Sequence[Priced]) -> Floats:
    """How far each direction of an error moves each span's joules, relative, shape (directions, spans).

    The lanes are priced in one unit: where steps overlap, the error also moves what is whose step's.
    """
    truth = [priced.coefficients for priced in lanes]
    base = _energies(spans, lanes, truth, truth)
    moved = np.zeros((max((len(priced.moves) for priced in lanes), default=0), spans))
    for i in range(moved.shape[0]):
        ends = [_energies(spans, lanes, truth, [_moved(priced, i, sign) for priced in lanes]) for sign in (1, -1)]
        moved[i] = (ends[0] - ends[1]) / 2
    return np.asarray(np.divide(moved, base, out=np.zeros_like(moved), where=base > 0))


def _moved(priced: Priced, direction: int, sign: int) -> Coefficients:
    if direction >= len(priced.moves):
        return priced.coefficients
    at, by = np.array(priced.coefficients.as_tuple()), np.array(priced.moves[direction])
    return Coefficients(*np.maximum(at + sign * by, 0.0))


def tokens(lane: Lane) -> tuple[Floats, Floats, Floats]:
    """Prefill, decode and context tokens of each step, shape (K,); decode with the padding."""
    steps = lane.t0_ns.size
    first, last = lane.first, lane.last + 1

    def over(amount: Floats) -> Floats:
        change = np.bincount(first, amount, minlength=steps + 1) - np.bincount(last, amount, minlength=steps + 1)
        return np.asarray(np.cumsum(change.astype(float))[:steps])

    grown = over(lane.growth) * np.arange(steps) + over(lane.context - lane.growth * lane.first)
    return over(lane.prefill), over(lane.decode) + lane.padding, grown


@dataclass(frozen=True, slots=True)
class _Costs:
    """The steps of a lane: requests in each, what it costs in truth, and by the coefficients used, shape (K,)."""

    count: Ints
    true: Floats
    used: Floats


def _costs(lane: Lane, truth: Coefficients, used: Coefficients) -> _Costs:
    steps = lane.t0_ns.size
    change = np.bincount(lane.first, minlength=steps + 1) - np.bincount(lane.last + 1, minlength=steps + 1)
    count = np.cumsum(change)[:steps]
    amounts = tokens(lane)
    # What nobody is known to have had a part in is shared with nobody.
    true_j, used_j = (
        np.where(count > 0, c.fixed + c.prefill * amounts[0] + c.decode * amounts[1] + c.context * amounts[2], 0.0)
        for c in (truth, used)
    )
    return _Costs(count, true_j, used_j)


def _energies(
    spans: int, lanes: Sequence[Priced], truth: Sequence[Coefficients], used: Sequence[Coefficients]
) -> Floats:
    """Each span's part of steps that cost what `truth` says, shared by what `used` says, shape (spans,)."""
    costs = [_costs(priced.lane, *both) for priced, *both in zip(lanes, truth, used, strict=True)]
    found = np.zeros(spans)
    for priced, of, with_, joules in zip(lanes, costs, used, _shared([p.lane for p in lanes], costs), strict=True):
        found += _within(spans, priced.lane, of, with_, joules)
    return found


def _shared(lanes: Sequence[Lane], costs: Sequence[_Costs]) -> list[Floats]:
    """J of each step: at each moment what all steps draw in truth, by what they draw by the coefficients used."""
    if len(lanes) == 1:
        return [np.where(costs[0].used > 0, costs[0].true, 0.0)]
    edges = distinct(np.concatenate([times for lane in lanes for times in (lane.t0_ns, lane.t1_ns)]))
    places = [(np.searchsorted(edges, lane.t0_ns), np.searchsorted(edges, lane.t1_ns)) for lane in lanes]
    lengths = [np.maximum(lane.t1_ns - lane.t0_ns, 1) for lane in lanes]
    change = np.zeros((2, edges.size))
    for (begin, end), length, of in zip(places, lengths, costs, strict=True):
        change += [
            np.bincount(begin, joules / length, edges.size) - np.bincount(end, joules / length, edges.size)
            for joules in (of.true, of.used)
        ]
    drawn, weight = np.cumsum(change, axis=1)[:, :-1]
    # What came and went need not sum to 0 again.
    some = weight > 1e-9 * float(weight.max(initial=0.0))
    rate = np.divide(drawn, weight, out=np.zeros(weight.size), where=some)
    virtual = np.concatenate(([0.0], np.cumsum(rate * np.diff(edges))))
    return [
        of.used / length * (virtual[end] - virtual[begin])
        for (begin, end), length, of in zip(places, lengths, costs, strict=True)
    ]


def _within(spans: int, lane: Lane, of: _Costs, used: Coefficients, joules: Floats) -> Floats:
    """Each span's part of a lane's steps, which have so many J, shape (spans,)."""
    steps = lane.t0_ns.size
    first, last = lane.first, lane.last + 1
    rate = np.divide(joules, of.used, out=np.zeros(steps), where=of.used > 0)
    head = np.divide(used.fixed + used.decode * lane.padding, of.count, out=np.zeros(steps), where=of.count > 0)
    sums = [np.concatenate(([0.0], np.cumsum(v))) for v in (rate * head, rate, rate * np.arange(steps))]
    whole, flat, rising = (total[last] - total[first] for total in sums)
    constant = used.prefill * lane.prefill + used.decode * lane.decode
    constant = constant + used.context * (lane.context - lane.growth * first)
    return np.bincount(lane.owner, whole + constant * flat + used.context * lane.growth * rising, spans).astype(float)
