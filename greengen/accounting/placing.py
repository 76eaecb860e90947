"""Where the rows of a group lie among the cells of a domain, and what is live of them in each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from greengen.accounting.curves import Bools, Floats, Ints
from greengen.accounting.policies import Weights
from greengen.accounting.work import Group, Work


@dataclass(frozen=True, slots=True)
class Part:
    """g rows of one group over k cells.

    owner         span of each row, shape (g,)
    first, last   its first cell, and the one after its last, shape (g,)
    weight, growth  its weight in step 0 of the lane, and how much it grows at each step, shape (g,)
    head, rate    a row's share of a cell is head + rate · (weight + growth · step), shape (k,)
    step          the step that each cell lies in, as a number, shape (k,)
    doubt         σ of the logarithm of what it draws against the others live with it, shape (k,)
    """

    owner: Ints
    first: Ints
    last: Ints
    weight: Floats
    growth: Floats
    head: Floats
    rate: Floats
    step: Floats
    doubt: Floats


@dataclass(slots=True)
class Placed:
    """A group's rows, how many of them live in each cell, their weight with what they share equally, and that alone."""

    part: Part
    live: Ints
    total: Floats
    fixed: Floats


def place(work: Work, group: Group, given: Weights, used: Bools, edges: Ints) -> Placed:
    """A group among the cells between `edges`, with its shares still to be set; `used`: the rows that count."""
    cells = edges.size - 1
    counts = used[group.rows] & ~work.waiting[group.rows]
    counts &= (given.fixed > 0) | (given.weight > 0) | (given.growth > 0)
    rows = group.rows[counts]
    weight, growth = given.weight[counts], given.growth[counts]
    if group.lane is None:
        first, last = _cells_of(work.from_ns[rows], work.to_ns[rows], edges)
        live = counted(first, last, np.ones(rows.size), cells)
        total = np.where(live > 0, running(first, last, weight, cells), 0.0)
        nothing = np.zeros(cells)
        part = Part(work.owner[rows], first, last, weight, growth, nothing, nothing, nothing, nothing)
        if group.around is not None:
            between = ~_in_steps(work, group.around, edges)
            live, total = live * between, total * between
        return Placed(part, live, total + given.fixed, np.full(cells, given.fixed))
    lane = group.lane
    steps = lane.t0_ns.size
    first, last = work.first[rows], work.last[rows] + 1
    # Before the lane's first step: w - growth · first, so that in step q it is w + growth · (q - first).
    origin = weight - growth * work.first[rows]
    count = counted(first, last, np.ones(rows.size), steps)
    summed = running(first, last, origin, steps) + np.arange(steps) * running(first, last, growth, steps)
    fixed = given.fixed + given.padding * lane.padding
    at = _step_of(lane.t0_ns, lane.t1_ns, edges)
    inside = at >= 0
    live = np.where(inside, count[at], 0)
    total = np.where(live > 0, np.maximum(summed[at], 0.0), 0.0)
    begin, end = _cells_of(lane.t0_ns[work.first[rows]], lane.t1_ns[work.last[rows]], edges)
    nothing, step = np.zeros(cells), np.where(inside, at, 0.0)
    part = Part(work.owner[rows], begin, end, origin, growth, nothing, nothing, step, nothing)
    shared = np.where(inside, fixed[at], 0.0)
    return Placed(part, live, total + shared, shared)


def _cells_of(from_ns: Ints, to_ns: Ints, edges: Ints) -> tuple[Ints, Ints]:
    """The first cell of each interval, and the one after its last; every border is an edge, or outside of them."""
    ends = (edges[0], edges[-1])
    first, last = (np.searchsorted(edges, np.clip(t, *ends)) for t in (from_ns, to_ns))
    return first, last


def _step_of(t0_ns: Ints, t1_ns: Ints, edges: Ints) -> Ints:
    """The step that holds each cell, -1 for none, shape (k,)."""
    if not t0_ns.size:
        return np.full(edges.size - 1, -1)
    place = np.searchsorted(t0_ns, edges[:-1], side="right") - 1
    # Of steps that begin at one time, which no two of some length do, the last.
    inside = (place >= 0) & (edges[:-1] < t1_ns[np.maximum(place, 0)])
    return np.where(inside, place, -1)


def _in_steps(work: Work, engine: str, edges: Ints) -> Bools:
    """Whether any step of an engine holds each cell, shape (k,)."""
    busy = np.zeros(edges.size - 1, dtype=bool)
    for lane in work.lanes:
        if lane.engine == engine:
            busy |= _step_of(lane.t0_ns, lane.t1_ns, edges) >= 0
    return busy


def running(first: Ints, last: Ints, amounts: Floats, cells: int) -> Floats:
    """Per cell, the sum of the amounts whose [first, last) holds it, shape (cells,).

    In whole steps of 2^-62 of the greatest: what came and went sums to 0 again, however great it was.
    """
    if not amounts.any():
        return np.zeros(cells)
    exponent = 31 - math.frexp(float(np.abs(amounts).max()))[1]
    scaled = np.ldexp(amounts, exponent)
    high = np.floor(scaled)
    low = np.rint(np.ldexp(scaled - high, 31))
    high, low = (counted(first, last, part, cells).astype(float) for part in (high, low))
    return np.asarray(np.ldexp(high, -exponent) + np.ldexp(low, -exponent - 31))


def counted(first: Ints, last: Ints, whole: Floats, cells: int) -> Ints:
    """The same of whole numbers up to 2^31, exactly."""
    change = np.bincount(first, whole, minlength=cells + 1) - np.bincount(last, whole, minlength=cells + 1)
    # Of no intervals at all numpy counts in integers.
    return np.cumsum(change.astype(np.int64))[:cells]
