"""The sharing kernel: the energy of each cell of a partition, among what is live in it by weight.

Virtual time, as in fair queueing: V grows by energy over the sum of the live weights, and an interval
gets its weight times what V grew by while it was live. One sort of a partition's edges, and running
sums, which are of whole numbers: they do not drift, what came and went leaves exactly 0, and their
difference is as exact over a nanosecond as over the whole.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from greengen.accounting.curves import Floats, Ints
from greengen.accounting.partition import Partition

#: A sum of whole numbers stays below 2^61: 64 bits hold it, and what is rounded up in it.
_BITS = 61

#: Below 2^40 for each of its steps, a sum of whole numbers is not exact to 12 digits.
_FINE = 40

#: So many digits the smallest weight keeps, where one whole number holds the sum of all that are live.
_DIGITS = 44

#: Powers of two beyond this are no doubles.
_EXPONENT = 1000


@dataclass(frozen=True, slots=True)
class Energies:
    """Where the energy of a partition went.

    owner     shape (n,), as in the partition
    goes_on   as in the partition
    energy_j  J of each interval by curve, shape (c, n), or over all curves, shape (1, n)
    quiet_j   of each curve, J of the time in which nothing is live, by stretch, shape (k+1,)
    stretch   of each curve, which of its stretches is the first one here; -1: it has not begun
    """

    owner: Ints
    goes_on: Ints
    energy_j: Floats
    quiet_j: tuple[Floats, ...]
    stretch: tuple[int, ...]


def energies(part: Partition, *, summed: bool = False) -> Energies:
    """Share one partition; `summed`: over all curves at once, which is less work. Pure, and picklable."""
    n, s = part.to_ns.size, part.from_ns.size
    order, place, elapsed_ns = _in_order((part.to_ns, part.from_ns, *part.knots), part.length_ns)
    begin, end = place[n : n + s], place[:n]
    knots = _split(place[n + s :], [knots.size for knots in part.knots])
    live, weight = _live(part, order)
    del order  # What is written next finds its memory in the cache.
    quiet = (live == 0.0).nonzero()[0]
    live[quiet] = np.inf
    quiet_j = tuple(
        _quiet(elapsed_ns[quiet], power, at.searchsorted(quiet)) for power, at in zip(part.power, knots, strict=True)
    )
    per_weight = np.divide(elapsed_ns, live, out=live)
    del elapsed_ns
    powers = [(power, _cells(at, place.size)) for power, at in zip(part.power, knots, strict=True)]
    rows = [powers] if summed else [[curve] for curve in powers]
    energy_j = np.empty((len(rows), n))
    for row, curves in zip(energy_j, rows, strict=True):
        (power, cells), *others = curves
        steps = power.repeat(cells)
        for power, cells in others:
            steps += power.repeat(cells)
        steps *= per_weight
        np.multiply(_growth(steps, begin, end), weight, out=row)
    return Energies(part.owner, part.goes_on, energy_j, quiet_j, part.stretch)


def _in_order(times_ns: Sequence[Ints], length_ns: int) -> tuple[Ints, Ints, Floats]:
    """(where each stood, where each came to, ns from one to the next, from 0 before them to `length_ns` behind).

    Of equal times, what stood first is first: ends before starts.
    """
    size = sum(some.size for some in times_ns)
    bits = size.bit_length()
    edges_ns = np.empty(size + 2, dtype=np.int64)
    edges_ns[0], edges_ns[-1] = 0, length_ns
    inner = edges_ns[1:-1]
    places = np.arange(size)
    if length_ns < 1 << (63 - bits):
        # Time and place in one number: sorting numbers is several times as fast as sorting places.
        for some, part in zip(times_ns, _split(inner, [some.size for some in times_ns]), strict=True):
            np.left_shift(some, bits, out=part)
        inner |= places
        inner.sort()
        order = inner & ((1 << bits) - 1)
        inner >>= bits
    else:
        np.concatenate(times_ns, out=inner)
        order = np.argsort(inner, kind="stable")
        inner[:] = inner[order]
    place = np.empty_like(order)
    place[order] = places
    elapsed_ns = np.empty(size + 1)
    np.subtract(edges_ns[1:], edges_ns[:-1], out=elapsed_ns, casting="unsafe")
    return order, place, elapsed_ns


def _live(part: Partition, order: Ints) -> tuple[Floats, Floats | float]:
    """(sum of live weights in each cell, 0 exactly where there is none; weights), in one unit of their own."""
    weight, begin, n = part.weight, part.from_ns.size, part.owner.size
    smallest, greatest = (1.0, 1.0) if weight is None or not n else (float(weight.min()), float(weight.max()))
    if weight is None or smallest == greatest:
        return _running(1, n, begin, order).astype(float), 1.0
    unit = _DIGITS - math.frexp(smallest)[1]
    if math.frexp(greatest)[1] + unit < _BITS:
        scaled = _doubled(weight, unit)
        np.rint(scaled, out=scaled)
        sums = _running(scaled.astype(np.int64), n, begin, order)
        # All end here, in small steps: the last of the sums that 64 bits do not hold comes out below this.
        if sums.min() >= -(1 << _BITS):
            return sums.astype(float), scaled
    return _live_by_two(weight, smallest / greatest, begin, order)


def _live_by_two(weight: Floats, least: float, begin: int, order: Ints) -> tuple[Floats, Floats]:
    """As `_live`, of weights that may differ by 15 decades: what one whole number has no digits for, in another."""
    n = weight.size
    bits = _BITS - n.bit_length()
    scaled = _doubled(weight, bits - math.frexp(float(weight.max()))[1])
    rest = np.floor(scaled)
    whole = rest.astype(np.int64)
    live = _running(whole, n, begin, order).astype(float)
    np.subtract(scaled, rest, out=rest)
    if not rest.any():
        return live, scaled
    rest *= 2.0**bits
    low = rest.astype(np.int64)
    if least < 2.0 ** (-2 * bits):
        low[(whole | low) == 0] = 1
        scaled = whole + low * 2.0**-bits
    fine = _running(low, n, begin, order).astype(float)
    fine *= 2.0**-bits
    live += fine
    return live, scaled


def _doubled(values: Floats, times: int) -> Floats:
    """`np.ldexp`, which takes as long as a sort."""
    first = max(-_EXPONENT, min(_EXPONENT, times))
    return values * 2.0**first if first == times else _doubled(values * 2.0**first, times - first)


def _running(amount: Ints | int, n: int, begin: int, order: Ints) -> Ints:
    """In each cell, the sum of the live amounts, of which the last `begin` begin here; a number: all the same."""
    change = np.zeros(order.size, dtype=np.int64)
    running = np.empty(order.size + 1, dtype=np.int64)
    if isinstance(amount, int):
        change[:n], change[n : n + begin], running[0] = -amount, amount, amount * (n - begin)
    else:
        np.negative(amount, out=change[:n])
        change[n : n + begin] = amount[n - begin :]
        running[0] = amount[: n - begin].sum()
    # Places are within bounds; to say so spares a copy.
    change.take(order, out=running[1:], mode="clip")
    return _summed(running)


def _growth(steps: Floats, begin: Ints, end: Ints) -> Floats:
    """Sum of `steps` up to each one's end, shape (n,); from its beginning on, for those last that have one."""
    total = float(steps.sum())
    if not total:
        return np.zeros(end.size)
    exponent = min(_BITS - math.frexp(total)[1], _EXPONENT)
    scale = 2.0**exponent
    running = np.empty(steps.size, dtype=np.int64)
    np.multiply(steps, scale, out=running, casting="unsafe")
    grown = _between(_summed(running), begin, end)
    exact = grown.astype(float)
    cells = end.copy()
    cells[: end.size - begin.size] += 1
    cells[end.size - begin.size :] -= begin
    # So little that a part of one counts: from the steps themselves, or where those are many, from what whole
    # numbers leave of them, in whole numbers of its own.
    grown >>= _FINE
    short = (grown < cells).nonzero()[0]
    if cells[short].sum() <= steps.size:
        exact[short] = _sums(steps, end[short] + 1, cells[short]) * scale
    else:
        bits = _BITS - steps.size.bit_length()
        steps *= scale
        steps -= np.trunc(steps)  # both of them exactly
        steps *= 2.0**bits
        exact += _between(_summed(steps.astype(np.int64)), begin, end) * 2.0**-bits
    exact *= 2.0**-exponent
    return exact


def _summed(amounts: Ints) -> Ints:
    """In place, each with all before it."""
    return np.add.accumulate(amounts, out=amounts)


def _between(running: Ints, begin: Ints, end: Ints) -> Ints:
    grown = running.take(end)
    grown[end.size - begin.size :] -= running.take(begin)
    return grown


def _sums(steps: Floats, after: Ints, cells: Ints) -> Floats:
    """Of so many steps before each of some places."""
    if not after.size:
        return np.zeros(0)
    pairs = np.empty(2 * after.size, dtype=np.int64)
    np.subtract(after, cells, out=pairs[::2])
    pairs[1::2] = after
    return np.asarray(np.add.reduceat(steps, pairs)[::2])


def _cells(knots: Ints, edges: int) -> Ints:
    """How many cells lie before, between and behind some of so many edges: `np.diff`, in an eighth of the time."""
    cells = np.empty(knots.size + 1, dtype=np.int64)
    cells[:-1], cells[-1] = knots, edges
    cells[1:] -= knots
    cells[0] += 1
    return cells


def _quiet(elapsed_ns: Floats, power: Floats, stretch: Ints) -> Floats:
    if not stretch.size:
        return np.zeros(power.size)
    return np.asarray(np.bincount(stretch, power[stretch] * elapsed_ns, minlength=power.size), dtype=float)


def _split(places: Ints, sizes: Sequence[int]) -> list[Ints]:
    ends = list(itertools.accumulate(sizes, initial=0))
    return [places[a:b] for a, b in itertools.pairwise(ends)]
