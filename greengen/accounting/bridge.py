"""What is not known of busy time between two times that a meter tells apart: a Brownian bridge.

Over a block of time, about as long as a meter needs to tell two powers apart, the energy is known; how it
went within the block is not. Take the power's deviation from the block's mean as white noise of density v,
W²·s. Then the energy up to a time is a bridge: Cov[E(a), E(b)] = v·a·(T-b)/T for a ≤ b in a block of length
T, and a span whose share of the block is s(t) is off by

    Var ∫ s dE = v · ∫ (s - s̄)² dt.

So all of a span's changes within a block count together: a short row loses at one edge what it gains at
the other (v·δ·(1-δ/T) for a row of length δ, and not v·T/4 for each edge); a share that is the same all
through costs nothing; of shares that sum to 1 no error is left.

The density is that of the powers of whole blocks, which differ by v/T. Slow changes of the power make it
too great and not too small. What makes shares change makes power change, too (a prompt is read in a
step of an engine): half of the noise is taken to lie where live rows share the least equally, and the
clock t of the bridge runs faster there.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from greengen.accounting.books import Books
from greengen.accounting.curves import NS, Curve, Floats, Ints, distinct, median
from greengen.accounting.placing import Part
from greengen.accounting.shares import Shares
from greengen.quantity import Z95


def of_spans(books: Books, reach_ns: int, noise_w: float) -> Floats:
    """σ² in J² from what busy time hides within blocks of `reach_ns`, whose powers scatter by `noise_w`, shape (n,).

    Nothing says where a block begins: the mean over blocks and those that begin half a block later.
    """
    if not reach_ns or not books.live.any():
        return np.zeros(len(books.table))
    pace, halves = clock(books), (0, reach_ns // 2)
    first, second = (_of_blocks(books, _cut(books, reach_ns, late_ns, noise_w), pace) for late_ns in halves)
    return (first + second) / 2


def block_ns(curve: Curve) -> int:
    """The time that a meter needs to tell two powers apart, ns: its resolution, and until it is read."""
    known = curve.spacing_s[curve.known]
    spacing_s = median(known) if known.size else 0.0
    return int((max(spacing_s, curve.window_s, curve.domain.refresh_s) + spacing_s) * NS)


def clock(books: Books) -> Floats:
    """How fast the bridge's time runs in each cell: 0 where nobody is live, 1 on average of the rest, shape (k,)."""
    unequal = books.shares.unequal()
    busy_s = books.grid.seconds * books.live
    mean = float((unequal * busy_s).sum() / max(busy_s.sum(), 1 / NS))
    return np.asarray(books.live * ((1.0 + unequal / mean) / 2 if mean else 1.0))


def scatter_w(books: Books, reach_ns: int) -> float:
    """σ in W of the mean power of a block in busy time, from second differences: a line has no part in it."""
    curve = books.curve
    if not reach_ns:
        return 0.0
    first = np.flatnonzero(np.diff((curve.t_ns[:-1] - curve.t_ns[0]) // reach_ns, prepend=-1))
    seconds = np.add.reduceat(np.diff(curve.t_ns), first) / NS
    power = np.add.reduceat(curve.step_j, first) / seconds
    known = np.logical_and.reduceat(curve.known, first)
    busy = np.minimum.reduceat(live_part(books), first) == 1.0
    pairs = known[1:] & known[:-1]
    if not pairs.any():
        return float(power.max())
    amid = known & busy
    seen = np.diff(power, 2)[amid[2:] & amid[1:-1] & amid[:-2]] ** 2 / 6
    # As if one more had been seen, as uneven as all the curve: from few, little is told.
    every = float(np.diff(power)[pairs] @ np.diff(power)[pairs]) / (2 * int(pairs.sum()))
    return float(np.sqrt((seen.sum() + every) / (seen.size + 1)))


def live_part(books: Books) -> Floats:
    """What part of each of the curve's stretches somebody is live in, 0 to 1, exact at both ends, shape (s,)."""
    t_ns, edges = books.curve.t_ns, books.grid.edges
    at = np.clip(np.searchsorted(t_ns, edges[:-1], side="right") - 1, 0, t_ns.size - 2)
    # In ns, as whole numbers: sums of them are exact.
    live_ns = np.bincount(at, np.diff(edges) * books.live, minlength=t_ns.size - 1)
    return np.asarray(live_ns / np.diff(t_ns))


class _Blocks(NamedTuple):
    """The grid's cells cut at the borders of blocks.

    place    of each edge of the grid among the new edges, shape (k+1,)
    of_cell  the grid's cell that holds each new one, shape (f,)
    block    the block that holds it, shape (f,)
    first    the first cell of each block, and the number of them all, shape (b+1,)
    seconds  length of each new cell, shape (f,)
    density  W²·s of each block, shape (b,)
    """

    place: Ints
    of_cell: Ints
    block: Ints
    first: Ints
    seconds: Floats
    density: Floats


def _of_blocks(books: Books, blocks: _Blocks, pace: Floats) -> Floats:
    """σ² in J² of each span within these blocks, shape (n,)."""
    busy_s = blocks.seconds * pace[blocks.of_cell]
    found = np.zeros(len(books.table))
    rows = []
    for part in books.shares.parts:
        kept = part.last > part.first
        fine = replace(
            part,
            owner=part.owner[kept],
            first=blocks.place[part.first[kept]],
            last=blocks.place[part.last[kept]],
            weight=part.weight[kept],
            growth=part.growth[kept],
            **{name: getattr(part, name)[blocks.of_cell] for name in ("head", "rate", "step", "doubt")},
        )
        found += _of_whole_blocks(fine, books, blocks, busy_s)
        rows.append(fine)
    return found + _of_end_blocks(rows, books, blocks, busy_s)


def _cut(books: Books, reach_ns: int, late_ns: int, noise_w: float) -> _Blocks:
    """Blocks of `reach_ns`, the first one from the curve's start less `late_ns`; of sparse readings, each stretch."""
    curve, edges = books.curve, books.grid.edges
    seconds = np.diff(curve.t_ns) / NS
    # Thinning has left out points that lie on the line: what is unknown lies between two readings.
    readings_s = np.minimum(np.where(curve.spacing_s > 0, curve.spacing_s, seconds), seconds)
    coarse = readings_s * NS > reach_ns
    # Only where a share changes: between two changes borders add nothing, however long it takes.
    origin = curve.t_ns[0] - late_ns
    before = origin + (edges - origin) // reach_ns * reach_ns
    marks = distinct(np.concatenate((before, before + reach_ns)))
    at = np.clip(np.searchsorted(curve.t_ns, marks, side="right") - 1, 0, seconds.size - 1)
    marks = np.concatenate((marks[~coarse[at]], curve.t_ns[:-1][coarse], curve.t_ns[1:][coarse], edges[[0, -1]]))
    borders = distinct(marks[(marks >= edges[0]) & (marks <= edges[-1])])
    fine = distinct(np.concatenate((edges, borders)))
    of_cell = np.searchsorted(edges, fine[:-1], side="right") - 1
    block = np.searchsorted(borders, fine[:-1], side="right") - 1
    return _Blocks(
        place=np.searchsorted(fine, edges),
        of_cell=of_cell,
        block=block,
        first=np.searchsorted(fine, borders),
        seconds=np.diff(fine) / NS,
        density=_density(books, borders, noise_w),
    )


def _density(books: Books, borders: Ints, noise_w: float) -> Floats:
    """W²·s of the blocks between `borders`, shape (b,): of the scatter, and near quiet time of the power's step too.

    There an average, or the line between two readings, carries a part of the step into busy time.
    """
    edges, start, end = books.grid.edges, borders[:-1], borders[1:]
    times = [t.clip(edges[0], edges[-1]) for t in (2 * start - end, start, end, 2 * end - start)]
    joules = [books.curve.at(t) for t in times]
    before, power_w, after = (
        np.divide(late - early, (z - a) / NS, out=np.zeros(start.size), where=z > a)
        for (early, late), (a, z) in zip(itertools.pairwise(joules), itertools.pairwise(times), strict=True)
    )
    quiet_s = np.concatenate(([0.0], np.cumsum(books.grid.seconds * ~books.live)))
    knots = (edges - edges[0]).astype(float)
    first, last = (np.interp((t - edges[0]).astype(float), knots, quiet_s) for t in (times[0], times[-1]))
    steps_w = np.maximum.reduce([abs(after - before), abs(power_w - before), abs(after - power_w)])
    sigma_w = np.hypot(noise_w, np.where(last > first, steps_w / (2 * Z95), 0.0))
    return np.asarray(np.minimum(power_w, sigma_w) ** 2 * ((end - start) / NS))


def _of_end_blocks(rows: list[Part], books: Books, blocks: _Blocks, busy_s: Floats) -> Floats:
    """Of the blocks in which a row begins or ends: all rows that a span has there, together."""
    count, spans = blocks.density.size, len(books.table)
    pieces = []
    for part in rows:
        begin, end = blocks.block[part.first], blocks.block[part.last - 1]
        two = end > begin
        pieces.append(
            replace(
                part,
                owner=np.concatenate((part.owner * count + begin, (part.owner * count + end)[two])),
                first=np.concatenate((part.first, blocks.first[end[two]])),
                last=np.concatenate((np.minimum(part.last, blocks.first[begin + 1]), part.last[two])),
                weight=np.concatenate((part.weight, part.weight[two])),
                growth=np.concatenate((part.growth, part.growth[two])),
            )
        )
    places = distinct(np.concatenate([np.zeros(0, dtype=np.int64), *(part.owner for part in pieces)]))
    parts = tuple(replace(part, owner=np.searchsorted(places, part.owner)) for part in pieces)
    shares = Shares(places.size, books.shares.heads[blocks.of_cell], parts)
    ours = books.grid.ours[blocks.of_cell]
    span, block = places // count, places % count
    sums, squares = shares.spread(busy_s * ours), shares.spread_squares(busy_s * ours**2)
    in_all = np.bincount(blocks.block, busy_s, minlength=count)[block]
    mean = np.divide(sums, in_all, out=np.zeros_like(sums), where=in_all > 0)
    variance = blocks.density[block] * np.maximum(squares - sums * mean, 0.0)
    return np.bincount(span, variance, minlength=spans).astype(float)


def _of_whole_blocks(part: Part, books: Books, blocks: _Blocks, busy_s: Floats) -> Floats:
    """Of the blocks that lie whole within a row, whose share changes there with what others do."""
    count = blocks.density.size
    ours = books.grid.ours[blocks.of_cell]
    head, rate = part.head * ours, part.rate * ours
    in_all = np.bincount(blocks.block, busy_s, minlength=count)

    def total(values: Floats) -> Floats:
        return np.asarray(np.bincount(blocks.block, values * busy_s, minlength=count), dtype=float)

    means = [np.divide(total(x), in_all, out=np.zeros(count), where=in_all > 0) for x in (head, rate)]
    moments = [
        np.maximum(total(head**2) - in_all * means[0] ** 2, 0.0),
        total(head * rate) - in_all * means[0] * means[1],
        np.maximum(total(rate**2) - in_all * means[1] ** 2, 0.0),
    ]
    sums = [np.concatenate(([0.0], np.cumsum(blocks.density * moment))) for moment in moments]
    begin = blocks.block[part.first] + 1
    end = np.maximum(blocks.block[part.last - 1], begin)
    begin = np.minimum(begin, end)
    # A row's weight grows but little within a block: as in the middle of its life.
    weight = part.weight + part.growth * (part.step[part.first] + part.step[part.last - 1]) / 2
    squares, products, rates = (total[end] - total[begin] for total in sums)
    variance = np.maximum(squares + 2 * weight * products + weight**2 * rates, 0.0)
    return np.bincount(part.owner, variance, minlength=len(books.table)).astype(float)
