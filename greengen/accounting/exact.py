"""The exact path: whole nanojoules, and not one of them lost or made.

A curve's cumulated energy is rounded to nJ at the edges of its cells, so that a cell's energy is a
whole number, and so are the cells into which a further edge cuts it. In each cell every account gets
the whole part of its quota, and the nanojoules that are left go to the largest remainders. An account
is then within 1 nJ of its quota in each cell, and a cut through a cell moves it by at most 1 nJ. Of
equal remainders, times and joules decide: no id does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from greengen.accounting.curves import NJ, Floats, Ints
from greengen.accounting.partition import Steps
from greengen.accounting.shares import Shares
from greengen.errors import PolicyError

#: Whole numbers of 64 bits stay below this; where they would not, Python's take their place, at a tenth of the speed.
_LIMIT = 2**63

#: Beyond this, a product of doubles is no longer the whole number next to it.
_DIGITS = 2**52

#: About as many (cell, row) pairs are worked on at once.
_PAIRS = 1 << 20


@dataclass(frozen=True, slots=True)
class Claims:
    """Whose part of k cells is how great: all parts of a cell sum to 1, where it has any energy.

    quiet   parts of f accounts that are no spans, shape (f, k)
    own     the part that goes to the live spans by `shares`, shape (k,)
    order   where each span stands among those with the same remainder, shape (n,)
    """

    quiet: Floats
    own: Floats
    shares: Shares
    order: Ints


def apportion(cell_nj: Ints, claims: Claims) -> tuple[Ints, Ints]:
    """(nJ of each account that is no span, shape (f,), of each span, shape (n,)); together they are all of `cell_nj`.

    Beyond 2^63 nJ in all (9 GJ) they are Python's whole numbers. Work and memory grow with the pairs of
    a cell and what is live in it, of which about a million are looked at at once.
    """
    fixed = claims.quiet.shape[0]
    total = sum(cell_nj.tolist())
    found = np.zeros(fixed + claims.shares.spans, dtype=np.int64 if total < _LIMIT else object)
    order = np.concatenate((np.arange(fixed), fixed + claims.order))
    for a, b in _blocks(claims.shares.heads + fixed):
        cells = np.arange(a, b)
        span, cell, part = claims.shares.within(a, b)
        account = np.concatenate((np.repeat(np.arange(fixed), b - a), fixed + span))
        at = np.concatenate((np.tile(cells, fixed), cell))
        part = np.concatenate((claims.quiet[:, a:b].ravel(), part * claims.own[cell]))
        account, at, part = _summed(account, at, part, found.size)
        np.add.at(found, account, largest_remainder(at, part, order[account], cell_nj).astype(found.dtype))
    return found[:fixed], found[fixed:]


def largest_remainder(cell: Ints, part: Floats, order: Ints, cell_nj: Ints) -> Ints:
    """nJ of m claimants, shape (m,): claimant i asks for `part[i]` of cell `cell[i]`; `cell` ascending.

    order   which of two with the same remainder is first
    """
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    if not starts.size:
        return np.zeros(0, dtype=np.int64)
    size = np.diff(starts, append=cell.size)
    # A sum that is not quite 1 would leave or take a nanojoule for each 1e16.
    whole = np.repeat(np.add.reduceat(part, starts), size)
    quota = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0) * cell_nj[cell]
    given = np.floor(quota)
    rest = quota - given
    given_nj = given.astype(np.int64)
    left = cell_nj[cell[starts]] - np.add.reduceat(given_nj, starts)
    # Who asked for nothing comes last, and never in question.
    best = np.lexsort((order, -rest, part <= 0, cell))
    place = np.arange(cell.size) - np.repeat(starts, size)
    given_nj[best[place < np.repeat(np.minimum(left, size), size)]] += 1
    # Of more than 4 MJ in a cell a double does not tell each nanojoule: what that leaves is the greatest part's.
    for i in np.flatnonzero((left < 0) | (left > size)).tolist():
        first, last = starts[i], starts[i] + size[i]
        given_nj[first + int(np.argmax(part[first:last]))] += left[i] - max(min(left[i], size[i]), 0)
    return np.asarray(given_nj)


def cells_nj(curve: Steps, edges: Ints) -> Ints:
    """nJ between edges, every knot between the first and the last being one, shape (k-1,). Raises PolicyError."""
    if not curve.step_j.size or edges.size < 2:  # noqa: PLR2004 -- two edges make a cell
        return np.zeros(max(edges.size - 1, 0), dtype=np.int64)
    scaled = _nanojoules(curve.step_j)
    stretch = np.searchsorted(curve.t_ns, edges[:-1], side="right") - 1
    known = (stretch >= 0) & (stretch < scaled.size)
    stretch = np.clip(stretch, 0, scaled.size - 1)
    step_nj = np.where(known, scaled[stretch], 0)
    t_ns, length_ns = curve.t_ns[stretch], np.diff(curve.t_ns)[stretch]
    after = _part(step_nj, np.where(known, edges[1:] - t_ns, 0), length_ns)
    before = _part(step_nj, np.where(known, edges[:-1] - t_ns, 0), length_ns)
    return np.asarray(after - before)


def _nanojoules(joules: Floats) -> Ints:
    if not (joules * NJ < _LIMIT / 2).all():
        msg = f"{joules.max():.6g} J between two readings are too many to count in nanojoules: do not ask for `exact`"
        raise PolicyError(msg)
    rounded = np.rint(joules * NJ).astype(np.int64)
    for i in np.flatnonzero(rounded > _DIGITS):
        numerator, denominator = float(joules[i]).as_integer_ratio()
        rounded[i] = (2 * numerator * NJ + denominator) // (2 * denominator)
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
    """Runs of cells with some `_PAIRS` pairs of a cell and an account in each."""
    pairs = np.cumsum(live)
    at = 0
    while at < live.size:
        before = int(pairs[at - 1]) if at else 0
        until = max(at + 1, int(np.searchsorted(pairs, before + _PAIRS, side="right")))
        yield at, until
        at = until


def _summed(account: Ints, cell: Ints, part: Floats, accounts: int) -> tuple[Ints, Ints, Floats]:
    """The same with one entry for each account in a cell, by cell and account."""
    key = cell * accounts + account
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    return key[first] % accounts, key[first] // accounts, np.add.reduceat(part[order], first)
