"""Non-negative least squares, and how well it knows what it found."""

from __future__ import annotations

import numpy as np

from greengen.accounting.curves import Bools, Floats

#: A direction in which the columns differ by less than this part of the most is not told at all.
_BLIND = 1e-8

#: Rounding: a gradient below this part of what it is made of is none.
_FLAT = 1e-11

#: Deviations that go together more than this are no noise around a fit.
_ALIKE = 0.9


def nonnegative(design: Floats, energy_j: Floats) -> tuple[Floats, Floats, float] | None:
    """(solution ≥ 0, its covariance, part of the sum of squares explained) of least squares; None without any column.

    Rows are in the order of time: what is left of neighbours may go together (a machine wanders, or the cost is
    not quite of this form), and then they tell less. Along a direction that the columns do not tell, the solution
    may lie anywhere where none is negative: both are part of the covariance.
    Of the sum of squares, and not of the variance, as there is no constant: windows of one length have about one
    energy each, of which nothing is left to explain.
    """
    columns = design.shape[1]
    scale = np.abs(design).max(axis=0, initial=0.0)
    usable = np.flatnonzero(scale > 0)
    if not usable.size:
        return None
    part = design[:, usable] / scale[usable]
    q, r = np.linalg.qr(part)
    found = _active_set(r, q.T @ energy_j)
    left = energy_j - part @ found
    rest, free = float(left @ left), max(energy_j.size - usable.size, 1)
    inverse = _covariance(r, found, rest / free * alike(left))
    solution, covariance = np.zeros(columns), np.zeros((columns, columns))
    solution[usable] = found / scale[usable]
    covariance[np.ix_(usable, usable)] = inverse / np.outer(scale[usable], scale[usable])
    total = float(energy_j @ energy_j)
    return solution, covariance, 1.0 - rest / total if total > 0 else 1.0


def alike(left: Floats) -> float:
    """By how much the variance of a mean of what is left grows because neighbours in time are alike; 1 or more.

    As of a first-order autoregression, whose correlation a short series shows too low (Kendall 1954).
    """
    power = float(left @ left)
    together = float(left[1:] @ left[:-1]) / power if power else 0.0
    together = min(together + (1.0 + 3.0 * max(together, 0.0)) / left.size, _ALIKE)
    return max((1.0 + together) / (1.0 - together), 1.0)


def _active_set(r: Floats, b: Floats) -> Floats:
    """The x ≥ 0 of least |r·x - b|: Lawson and Hanson, Solving Least Squares Problems, chapter 23."""
    columns = r.shape[1]
    x, used, refused = np.zeros(columns), np.zeros(columns, dtype=bool), np.zeros(columns, dtype=bool)
    norm = np.linalg.norm(r, axis=0)
    least = _FLAT * norm * float(np.linalg.norm(b))
    # Each pass lessens what is left; the bound is for rounding.
    for _ in range(10 * columns):
        gradient = np.where(used | refused, 0.0, r.T @ (b - r @ x))
        if not (gradient > least).any():
            break
        new = int(np.argmax(np.where(gradient > least, gradient / norm, 0.0)))
        used[new] = True
        moved = _freed(r, b, x, used)
        # What hangs together with those that are used seems to help by rounding only.
        refused[new] = not used[new]
        if used[new]:
            refused[:] = False
        x = moved
    return x


def _freed(r: Floats, b: Floats, x: Floats, used: Bools) -> Floats:
    """The best x of those used, from which any that would become negative is taken out."""
    while used.any():
        best = np.zeros(x.size)
        best[used] = np.linalg.lstsq(r[:, used], b, rcond=1e-9)[0]
        below = used & (best <= 0)
        if not below.any():
            return best
        reach = x[below] / np.maximum(x[below] - best[below], np.finfo(float).tiny)
        x = x + float(reach.min(initial=1.0)) * (best - x)
        gone = below & (x <= float(x.max()) * 1e-15)
        gone[np.flatnonzero(below)[int(np.argmin(reach))]] = True
        used &= ~gone
        x = np.where(used, x, 0.0)
    return np.zeros(x.size)


def _covariance(r: Floats, found: Floats, variance: float) -> Floats:
    """Of all columns: what was pressed to 0 is known to be small, and not known to be 0."""
    _, size, directions = np.linalg.svd(r, full_matrices=True)
    size = np.concatenate((size, np.zeros(found.size - size.size)))
    told = size > _BLIND * size[0]
    spread = np.divide(variance, size**2, out=np.zeros(size.size), where=told)
    for i in np.flatnonzero(~told):
        spread[i] = _free_way(found, directions[i]) ** 2 / 12.0
    return np.asarray((directions.T * spread) @ directions)


def _free_way(found: Floats, direction: Floats) -> float:
    """How far one can go along a direction, both ways together, until one would be negative."""
    falls = np.abs(direction) > 1e-6 * np.abs(direction).max()
    most = np.divide(found, np.abs(direction), out=np.zeros(found.size), where=falls)
    ways = [most[falls & (direction < 0)], most[falls & (direction > 0)]]
    # Columns that are not negative cannot all rise along it; of rounding, what the others may.
    return sum(float(way.min() if way.size else found.max()) for way in ways)
