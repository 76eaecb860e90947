"""The books of one domain: every joule of its curve, booked once.

Cells are the stretches between readings and between changes of the set of live spans. In each cell
the energy is that of the curve; whose it is follows from the domain's split weight; what is the
profiled processes' goes to the innermost live spans by policy, or to `overhead`, or to `idle`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from greengen.accounting.curves import NS, Bools, Curve, Floats, Ints, distinct
from greengen.accounting.table import SpanTable
from greengen.accounting.usage import Use, activity
from greengen.collector import MACHINE, Domain
from greengen.rows import Series

#: (start, end), ns of the host's monotonic clock; None: all that was recorded.
Window = tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Grid:
    """The k cells of one domain.

    edges      cell borders, ns, shape (k+1,)
    energy_j   energy of each cell, 0 where it is not known, shape (k,)
    known      whether it is known, shape (k,)
    ours       the part of it that is not foreign work's, shape (k,)
    weight     summed weights of the live spans, 0 exactly where there is none, shape (k,)
    first, last  first cell of each interval of the span table, and the one after its last, shape (m,)
    """

    edges: Ints
    energy_j: Floats
    known: Bools
    ours: Floats
    weight: Floats
    first: Ints
    last: Ints

    @property
    def seconds(self) -> Floats:
        """Length of each cell, shape (k,)."""
        return np.diff(self.edges) / NS

    @property
    def known_s(self) -> float:
        """The time over which energy is known."""
        return float(self.seconds[self.known].sum())

    def part_of(self, table: SpanTable, weights: Floats, members: Ints) -> Floats:
        """What part of the weights that are live in each cell is that of some spans, shape (k,)."""
        inside = np.zeros(len(table), dtype=bool)
        inside[members] = True
        own = np.where(inside[table.owner], weights[table.owner], 0.0)
        counted = own > 0
        live = _running(self.first[counted], self.last[counted], own[counted], self.weight.size)
        return np.divide(live, self.weight, out=np.zeros_like(live), where=self.weight > 0).clip(0.0, 1.0)

    def share_out(self, table: SpanTable, weights: Floats, per_cell: Floats) -> Floats:
        """Σ over each span's cells of per_cell · w/W, shape (n,): fair queueing's virtual time."""
        rate = np.divide(per_cell, self.weight, out=np.zeros_like(per_cell), where=self.weight > 0)
        return self.gather(table, weights, rate)

    def gather(self, table: SpanTable, weights: Floats, rate: Floats) -> Floats:
        """Σ over each span's cells of w · rate, shape (n,)."""
        # In whole steps of 2^-61 of the sum: a year's joules as a double have no digits left for a millisecond.
        exponent = 61 - math.frexp(float(rate.sum()))[1]
        virtual = np.concatenate(([0], np.cumsum(np.rint(np.ldexp(rate, exponent)).astype(np.int64))))
        part = weights[table.owner] * np.ldexp((virtual[self.last] - virtual[self.first]).astype(float), -exponent)
        return np.bincount(table.owner, part, minlength=len(table)).astype(float)


@dataclass(frozen=True, slots=True)
class Books:
    """Where a domain's joules went.

    span_j     each span's own joules, shape (n,)
    other_j    foreign work's; None where no split weight can be read, because `other_reason`
    """

    domain: Domain
    curve: Curve
    table: SpanTable
    weights: Floats
    grid: Grid
    span_j: Floats
    overhead_j: float
    idle_j: float
    other_j: float | None
    other_reason: str

    @property
    def total_j(self) -> float:
        """The curve's energy over the cells: what the accounts must sum to."""
        return float(self.grid.energy_j.sum())


def grid(
    curve: Curve, table: SpanTable, weights: Floats, ours: Use | None, knots: Sequence[Ints], window: Window
) -> Grid:
    """Cut the curve's time into cells, within `window` if given, and at `knots` of what divides them."""
    edges = distinct(np.concatenate([curve.t_ns, table.from_ns, table.to_ns, *knots]))
    lowest, highest = (int(curve.t_ns[0]), int(curve.t_ns[-1])) if curve.t_ns.size else (0, 0)
    if window is not None:
        lowest = max(lowest, window[0])
        highest = max(min(highest, window[1]), lowest)
    inside = edges[(edges > lowest) & (edges < highest)]
    edges = np.concatenate(([lowest], inside, [highest])).astype(np.int64)
    energy_j, known = curve.cells(edges)
    first, last = (np.searchsorted(edges, np.clip(t, lowest, highest)) for t in (table.from_ns, table.to_ns))
    by_interval = weights[table.owner]
    counted = by_interval > 0
    cells = energy_j.size
    live = _running(first[counted], last[counted], np.ones(int(counted.sum())), cells)
    weight = _running(first[counted], last[counted], by_interval[counted], cells)
    part = ours.between(edges).ours if ours is not None else np.ones(cells)
    # Whole counts decide who is alone: a sum of weights that came and went need not return to 0.
    return Grid(edges, energy_j, known, part, np.where(live > 0, weight, 0.0), first, last)


def book(
    curve: Curve,
    table: SpanTable,
    weights: Floats,
    usage: tuple[Use | None, Mapping[tuple[str, str], Series]],
    window: Window = None,
) -> Books:
    """Book every joule of `curve`. `usage`: the CPU's use, and all recorded usage for other resources."""
    use, recorded = usage
    domain = curve.domain
    split = use if domain.split == "cpu" else None
    by_cpu = use if domain.activity == "cpu" else None
    of_device = recorded.get((domain.activity or "", MACHINE)) if by_cpu is None else None
    knots = [] if use is None or not (split or by_cpu) else [use.t_ns, use.foreign_t_ns]
    knots += [np.array(of_device.t_ns, dtype=np.int64)] if of_device is not None else []
    cells = grid(curve, table, weights, split, knots, window)
    live = cells.weight > 0
    own_j = cells.energy_j * cells.ours
    quiet_j = np.where(live, 0.0, own_j)
    if by_cpu is not None:
        worked = by_cpu.between(cells.edges).worked
        recorder = by_cpu.between(cells.edges).recorder_part
    else:
        worked = activity(of_device, cells.edges)
        recorder = np.zeros_like(own_j)
    other_j: float | None = None
    reason = domain.split_reason or "no weight says whose work it was; sole tenancy is assumed"
    if split is not None:
        other_j = float((cells.energy_j * _foreign(split, cells.edges)).sum())
    elif domain.split == "cpu":
        reason = "the CPU time of processes could not be read; sole tenancy is assumed"
    elif domain.split:
        reason = f"shares of {domain.split} are not told apart in this version; sole tenancy is assumed"
    return Books(
        domain=domain,
        curve=curve,
        table=table,
        weights=weights,
        grid=cells,
        span_j=cells.share_out(table, weights, own_j),
        overhead_j=float(np.where(worked, quiet_j, quiet_j * recorder).sum()),
        idle_j=float(np.where(worked, 0.0, quiet_j * (1.0 - recorder)).sum()),
        other_j=other_j,
        other_reason=reason,
    )


def _foreign(use: Use, edges: Ints) -> Floats:
    busy = use.between(edges)
    total = busy.profiled + busy.recorder + busy.foreign
    return np.divide(busy.foreign, total, out=np.zeros_like(total), where=total > 0)


def _running(first: Ints, last: Ints, amounts: Floats, cells: int) -> Floats:
    """Per cell, the sum of the amounts whose [first, last) holds it, shape (cells,)."""
    change = np.bincount(first, amounts, minlength=cells + 1) - np.bincount(last, amounts, minlength=cells + 1)
    # Of no intervals at all numpy counts in integers.
    return np.cumsum(change.astype(float))[:cells]
