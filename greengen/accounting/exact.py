"""The exact path: whole nanojoules, and not one of them lost or made.

A curve's cumulated energy is rounded to nJ at the edges of its cells, so that a cell's energy is a
whole number, and so are the cells into which a further edge cuts it. In each cell every interval gets
the whole part of its quota, and the nanojoules that are left go to the largest remainders. An account
is then within 1 nJ of its quota in each cell, and a cut through a cell moves it by at most 1 nJ. Of
equal remainders, times and weights decide: no id does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from greengen.accounting.curves import Floats, Ints, distinct
from greengen.accounting.partition import Steps

NJ = 10**9

#: Whole numbers of 64 bits stay below this; where they would not, Python's take their place, at a tenth of the speed.
_LIMIT = 2**63

#: Beyond this, a product of doubles is no longer the whole number next to it.
_DIGITS = 2**52

#: About as many (cell, interval) pairs are worked on at once.
_PAIRS = 1 << 20


@dataclass(frozen=True, slots=True)
class ExactShares:
    """energy_nj, shape (m,), of each interval; with quiet_nj it sums to total_nj, the curve's, exactly.

    Beyond 2^63 nJ in all (9 GJ), energy_nj holds Python's whole numbers.
    """

    energy_nj: Ints
    quiet_nj: int
    total_nj: int


def share_exactly(
    from_ns: Ints,
    to_ns: Ints,
    weights: Sequence[int | float | Fraction] | Ints | Floats | None,
    curve: Steps,
    *,
    window: tuple[int, int] | None = None,
) -> ExactShares:
    """Share one curve among intervals [from_ns, to_ns), shape (m,), in proportion to `weights`; None: all the same.

    weights  at least 0, and taken as the rational numbers they are, floats too
    window   (start, end) ns; without one, all of the curve

    Raises ValueError for a weight or an energy that cannot be told in whole numbers.
    """
    start, end = window or ((int(curve.t_ns[0]), int(curve.t_ns[-1])) if curve.t_ns.size else (0, 0))
    begin, stop = np.clip(from_ns, start, max(start, end)), np.clip(to_ns, start, max(start, end))
    inside = curve.t_ns[(curve.t_ns > start) & (curve.t_ns < end)]
    edges = distinct(np.concatenate([begin, stop, inside, np.array([start, max(start, end)])]))
    cell_nj = _cells(curve, edges)
    weight = whole([1] * from_ns.size if weights is None else weights)
    counts = np.flatnonzero((stop > begin) & (weight > 0))
    first, last = np.searchsorted(edges, begin[counts]), np.searchsorted(edges, stop[counts])
    if cell_nj.size and int(cell_nj.max()) * max(map(int, weight), default=0) >= _LIMIT:
        weight = weight.astype(object)
    # Of intervals that differ in nothing, either may come first.
    rank = np.empty(counts.size, dtype=np.int64)
    rank[np.lexsort((_codes(weight[counts]), to_ns[counts], from_ns[counts]))] = np.arange(counts.size)
    total_nj = sum(cell_nj.tolist())
    found = np.zeros(counts.size, dtype=np.int64 if total_nj < _LIMIT else object)
    live = np.cumsum(np.bincount(first, minlength=edges.size) - np.bincount(last, minlength=edges.size))[:-1]
    for a, b in _blocks(live):
        here = np.flatnonzero((first < b) & (last > a))
        _share(found, here, (np.maximum(first[here], a), np.minimum(last[here], b)), cell_nj, weight[counts], rank)
    energy_nj = np.zeros(from_ns.size, dtype=found.dtype)
    energy_nj[counts] = found
    return ExactShares(energy_nj, sum(cell_nj[live == 0].tolist()), total_nj)


def whole(weights: Sequence[int | float | Fraction] | Ints | Floats) -> Ints:
    """Weights in the ratios that they have, as the least whole numbers that have them; of 64 bits where those fit."""
    if not all(0 <= weight < math.inf for weight in weights):
        msg = "weights must be finite, and at least 0"
        raise ValueError(msg)
    ratios = [Fraction(weight) for weight in (weights.tolist() if isinstance(weights, np.ndarray) else weights)]
    scale = math.lcm(*(ratio.denominator for ratio in ratios))
    numbers = [ratio.numerator * (scale // ratio.denominator) for ratio in ratios]
    common = math.gcd(*numbers) or 1
    numbers = [number // common for number in numbers]
    # The weights of what is live at once are summed.
    return np.array(numbers, dtype=np.int64 if sum(numbers) < _LIMIT else object)


def _cells(curve: Steps, edges: Ints) -> Ints:
    """nJ between edges, every knot between the first and the last of them being one, shape (k-1,)."""
    if not curve.step_j.size or edges.size < 2:  # noqa: PLR2004 -- two edges make a cell
        return np.zeros(edges.size - 1, dtype=np.int64)
    scaled = _nanojoules(curve.step_j)
    stretch = np.searchsorted(curve.t_ns, edges[:-1], side="right") - 1
    known = (stretch >= 0) & (stretch < scaled.size)
    stretch = np.clip(stretch, 0, scaled.size - 1)
    step_nj = np.where(known, scaled[stretch], 0)
    t_ns, length_ns = curve.t_ns[stretch], np.diff(curve.t_ns)[stretch]
    after = _part(step_nj, np.where(known, edges[1:] - t_ns, 0), length_ns)
    return after - _part(step_nj, np.where(known, edges[:-1] - t_ns, 0), length_ns)


def _nanojoules(joules: Floats) -> Ints:
    if not (joules * NJ < _LIMIT / 2).all():
        msg = f"{joules.max():.6g} J between two readings are too many to count in nanojoules"
        raise ValueError(msg)
    rounded = np.rint(joules * NJ).astype(np.int64)
    for i in np.flatnonzero(rounded > _DIGITS):
        rounded[i] = round(Fraction(float(joules[i])) * NJ)
    return rounded


def _part(amount: Ints, part: Ints, of: Ints) -> Ints:
    """⌊amount · part / of⌋, exactly, for 0 ≤ part ≤ of."""
    each, rest = np.divmod(amount, of)
    out = each * part
    small = of < math.isqrt(_LIMIT)
    out[small] += rest[small] * part[small] // of[small]
    out[~small] += (rest[~small].astype(object) * part[~small] // of[~small]).astype(np.int64)
    return out


def _blocks(live: Ints) -> Iterator[tuple[int, int]]:
    """Runs of cells with some `_PAIRS` pairs of a cell and an interval in each."""
    pairs = np.cumsum(live)
    at = 0
    while at < live.size:
        before = int(pairs[at - 1]) if at else 0
        until = max(at + 1, int(np.searchsorted(pairs, before + _PAIRS, side="right")))
        yield at, until
        at = until


def _share(found: Ints, here: Ints, cells: tuple[Ints, Ints], cell_nj: Ints, weight: Ints, rank: Ints) -> None:
    """Add to `found` what the intervals `here` get in their cells, from one to before another, of a block."""
    first, last = cells
    many = last - first
    if not many.sum():
        return
    owner = np.repeat(here, many)
    cell = np.arange(owner.size) - np.repeat(np.cumsum(many) - many - first, many)
    order = np.argsort(cell, kind="stable")
    owner, cell = owner[order], cell[order]
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    size = np.diff(starts, append=cell.size)
    energy, own = cell_nj[cell].astype(weight.dtype), weight[owner]
    total = np.repeat(np.add.reduceat(own, starts), size)
    product = energy * own
    quota = product // total
    rest = product - quota * total
    left = cell_nj[cell[starts]] - np.add.reduceat(quota, starts).astype(np.int64)
    # Remainders of one cell, which have one denominator, from the largest on.
    best = np.lexsort((rank[owner], -_codes(rest), cell))
    one_more = best[np.arange(cell.size) - np.repeat(starts, size) < np.repeat(left, size)]
    quota[one_more] += 1
    np.add.at(found, owner, quota.astype(found.dtype))


def _codes(numbers: Ints) -> Ints:
    """Numbers of 64 bits in the same order."""
    return np.unique(numbers, return_inverse=True)[1] if numbers.dtype == object else numbers
