"""Shares: of each cell of a domain, what part is whose. Not negative, and 1 in all where somebody is live.

Within a cell each group has the part that its live rows are of all live rows. Of groups whose weights
are in one unit, what they have together goes by what their steps draw, cost over length: steps of a
pipeline, or of several engines, overlap. Requests that wait between the steps of their engine draw
nothing beside another's step on the device, and do not count. Within a group a row has (fixed/n + w) / (fixed + W),
with n rows and the weight W live. All is constant over a cell, so that a sum over a row's cells is a
difference of cumulated sums: fair queueing's virtual time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from greengen.accounting.curves import Bools, Floats, Ints
from greengen.accounting.placing import Part, Placed, counted, place, running
from greengen.accounting.policies import Weights
from greengen.accounting.work import Group, Work
from greengen.quantity import Z95

#: By what factor consumers of the same time may differ in what they draw, at 95 %, where only time is known.
BETWEEN_GROUPS = 2.0

_NONE = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Shares:
    """Whose part of k cells is how great, for n spans. `heads`: live rows of each cell, shape (k,)."""

    spans: int
    heads: Ints
    parts: tuple[Part, ...]

    def spread(self, per_cell: Floats) -> Floats:
        """Σ over the cells of per_cell · share, for each span, shape (n,)."""
        total = np.zeros(self.spans)
        for part in self.parts:
            rows = _between(per_cell * part.head, part)
            rows += part.weight * _between(per_cell * part.rate, part)
            if part.growth.any():
                rows += part.growth * _between(per_cell * part.rate * part.step, part)
            total += np.bincount(part.owner, rows, minlength=self.spans)
        return total

    def spread_squares(self, per_cell: Floats) -> Floats:
        """Σ over the cells of per_cell · share², for each span, each row by itself, shape (n,)."""
        total = np.zeros(self.spans)
        for part in self.parts:
            head, rate, step, w, g = part.head, part.rate, part.step, part.weight, part.growth
            rows = _between(per_cell * head**2, part)
            if w.any() or g.any():
                rows += 2 * w * _between(per_cell * head * rate, part) + w**2 * _between(per_cell * rate**2, part)
            if g.any():
                rows += 2 * g * _between(per_cell * head * rate * step, part)
                rows += 2 * w * g * _between(per_cell * rate**2 * step, part)
                rows += g**2 * _between(per_cell * (rate * step) ** 2, part)
            total += np.bincount(part.owner, np.maximum(rows, 0.0), minlength=self.spans)
        return total

    def disputed(self, per_cell: Floats) -> Floats:
        """Σ over the cells of per_cell · doubt · share · (1 - share), for each span, shape (n,)."""
        # d(E·s)/d ln(intensity) = E·s·(1 - s).
        found = np.zeros(self.spans)
        for part in self.parts:
            alone = Shares(self.spans, self.heads, (part,))
            amount = per_cell * part.doubt
            found += np.maximum(alone.spread(amount) - alone.spread_squares(amount), 0.0)
        return found

    def within(self, a: int, b: int) -> tuple[Ints, Ints, Floats]:
        """(span, cell, share of it) of each row in each of the cells from `a` to before `b` that it is live in."""
        spans, cells, shares = [_NONE], [_NONE], [np.zeros(0)]
        for part in self.parts:
            here = np.flatnonzero((part.first < b) & (part.last > a))
            first = np.maximum(part.first[here], a)
            many = np.minimum(part.last[here], b) - first
            row = np.repeat(here, many)
            cell = np.arange(row.size) - np.repeat(np.cumsum(many) - many - first, many)
            share = part.head[cell] + part.rate[cell] * (part.weight[row] + part.growth[row] * part.step[cell])
            some = share > 0
            spans.append(part.owner[row[some]])
            cells.append(cell[some])
            shares.append(share[some])
        return np.concatenate(spans), np.concatenate(cells), np.concatenate(shares)

    def unequal(self) -> Floats:
        """Σ share² of each cell, less what it would be if all live rows shared equally, shape (k,)."""
        cells = self.heads.size
        squares = np.zeros(cells)
        for part in self.parts:
            at, w, g = (part.first, part.last), part.weight, part.growth
            live = counted(*at, np.ones(w.size), cells)
            weight, own = running(*at, w, cells), running(*at, w**2, cells)
            if g.any():
                both, growing = running(*at, w * g, cells), running(*at, g**2, cells)
                weight = weight + part.step * running(*at, g, cells)
                own = own + part.step * (2 * both + part.step * growing)
            squares += live * part.head**2 + part.rate * (2 * part.head * weight + part.rate * own)
        return np.maximum(squares - 1.0 / np.maximum(self.heads, 1), 0.0) * (self.heads > 0)

    def doubt(self, members: Bools) -> Floats:
        """The greatest doubt about any of some spans, in each cell, shape (k,)."""
        kept = [part.doubt for part in self.parts if members[part.owner].any()]
        return np.maximum.reduce(kept) if kept else np.zeros(self.heads.size)

    def of(self, members: Bools) -> Floats:
        """What part of each cell is that of some spans (`members`, shape (n,)), shape (k,)."""
        found = np.zeros(self.heads.size)
        for part in self.parts:
            kept = members[part.owner]
            first, last = part.first[kept], part.last[kept]
            live = counted(first, last, np.ones(first.size), found.size)
            weight = running(first, last, part.weight[kept], found.size)
            growth = running(first, last, part.growth[kept], found.size) if part.growth.any() else 0.0
            share = part.head * live + part.rate * (weight + part.step * growth)
            # What came and went need not sum to 0 again.
            found += np.where(live > 0, share, 0.0)
        return found.clip(0.0, 1.0)


def share(
    work: Work,
    weights: Sequence[Weights],
    intensity: Sequence[float],
    used: Bools,
    edges: Ints,
    *,
    whole: bool = False,
) -> Shares:
    """The shares of the cells between `edges`; `used`: the rows that count, shape (m,).

    weights    by group
    intensity  by group: the factor, at 95 %, by which two rows of it may differ in what they draw
    whole      the domain serves whole engines (a host); else each of an engine's devices has its even part of a step
    """
    cells = edges.size - 1
    at = [place(work, group, given, used, edges) for group, given in zip(work.groups, weights, strict=True)]
    alike: dict[str, list[int]] = {}
    for i, given in enumerate(weights):
        alike.setdefault(given.unit or str(i), []).append(i)
    # On a device one waits for whichever engine has it; of what a host does beside an engine's steps less is known.
    for members in alike.values() if whole else [range(len(at))]:
        _wait(work.groups, at, members)
    heads = np.zeros(cells, dtype=np.int64)
    for placed in at:
        heads += placed.live
    everyone = np.maximum(heads, 1)
    parts: list[Part] = [placed.part for placed in at]
    for members in alike.values():
        several = len(members) > 1
        kin = np.sum([at[i].live for i in members], axis=0) if several else at[members[0]].live
        draws = _draws(work.groups, at, weights, members, whole=whole) if several else [np.zeros(cells)]
        drawn = np.sum(draws, axis=0) if several else draws[0]
        for i, draw in zip(members, draws, strict=True):
            live, total, fixed = at[i].live, at[i].total, at[i].fixed
            here = live > 0
            by_draw = kin * np.divide(draw, drawn, out=np.zeros(cells), where=drawn > 0) if several else live
            ours = np.where(drawn > 0, by_draw, live) / everyone
            # With no weight at all they share equally: a group's part is always somebody's.
            bare = (total <= 0) & here
            rate = np.divide(ours, total, out=np.zeros(cells), where=(total > 0) & here)
            head = np.divide(np.where(bare, ours, rate * fixed), live, out=np.zeros(cells), where=here)
            # Between groups in no common unit nothing is known but how many live: by time alone.
            doubt = np.log(np.where(kin < heads, max(intensity[i], BETWEEN_GROUPS), intensity[i])) / Z95
            parts[i] = replace(at[i].part, head=head, rate=rate, doubt=doubt)
    return Shares(work.spans, heads, tuple(parts))


def _wait(groups: Sequence[Group], at: Sequence[Placed], members: Sequence[int]) -> None:
    """Leave out, of some groups, those between the steps of their engine wherever a step of another is."""
    waiting = [i for i in members if groups[i].around is not None]
    stepping = [at[i].live for i in members if groups[i].lane is not None]
    if not waiting or not stepping:
        return
    free = np.sum(stepping, axis=0) == 0
    for i in waiting:
        at[i].live = at[i].live * free


def _draws(
    groups: Sequence[Group], at: Sequence[Placed], weights: Sequence[Weights], members: Sequence[int], *, whole: bool
) -> list[Floats]:
    """What the live step of each member draws of a device, its cost over its length, in one unit, shape (k,)."""
    most = max(weights[i].doubled for i in members)
    found = []
    for i in members:
        lane, placed = groups[i].lane, at[i]
        if lane is None or not lane.t0_ns.size:
            found.append(np.zeros(placed.live.size))
            continue
        # A step that holds a cell has a length.
        length = np.maximum(lane.t1_ns - lane.t0_ns, 1)[placed.part.step.astype(np.int64)]
        devices = 1 if whole else max(len(lane.devices), 1)
        cost = np.where(placed.live > 0, placed.total, 0.0) / length / devices
        found.append(np.ldexp(cost, weights[i].doubled - most))
    return found


def _between(per_cell: Floats, part: Part) -> Floats:
    """Σ of per_cell over each row's cells, shape (g,)."""
    total = float(np.abs(per_cell).sum())
    if not total:
        return np.zeros(part.first.size)
    # In whole steps of 2^-61 of the sum: a year's joules as a double have no digits left for a millisecond.
    exponent = 61 - math.frexp(total)[1]
    virtual = np.concatenate(([0], np.cumsum(np.rint(np.ldexp(per_cell, exponent)).astype(np.int64))))
    return np.asarray(np.ldexp((virtual[part.last] - virtual[part.first]).astype(float), -exponent))
