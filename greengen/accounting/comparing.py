"""Which of two results is the smaller, and how surely: their ratio with its band, and P(better).

Two bars with overlapping intervals hide what the results share. On one grid the grid's error moves both
and changes nothing about which is the smaller (law 8): 0.8 against 1.0 Wh, GSD 1.05 each, is decided
at 0.9994, and not at the 0.723 that two independent grids of GSD 1.3 would leave.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from greengen.accounting.drawing import DRAWS, computed, normal_scores
from greengen.errors import KindMismatchError, UsageError
from greengen.propagation import Error
from greengen.quantity import Quantity

#: The standard normal's weight is looked at on so many points, within so many standard deviations.
_POINTS, _REACH = 161, 8.0

#: Two numbers that differ by less than this, relative to them, differ by rounding only.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Comparison:
    """One result against another.

    ratio     a/b with its interval, or missing with the reason
    p_better  the probability that a is the smaller one; None where either is missing
    """

    ratio: Quantity
    p_better: float | None


def compare(a: Quantity, b: Quantity) -> Comparison:
    """a against b, to first order. Raises KindMismatchError for results of different units or bases."""
    other = _alike(a, b)
    return Comparison(a / other, None if a.value is None or other.value is None else p_better(a, other))


def p_better(a: Quantity, b: Quantity) -> float:
    """How likely a is the smaller one; for b it is the rest to 1, and for equal ones 0.5.

    Factors (gains, and errors known as ×/÷) are taken as log-normal, linear errors as normal; a factor
    common to both has no say. Raises KindMismatchError for results of different units or bases, and
    UsageError for a missing one.
    """
    other = _alike(a, b)
    if a.value is None or other.value is None:
        msg = f"what was not measured is neither better nor worse: {a.reason or other.reason}"
        raise UsageError(msg)
    factor, linear = _apart(a.value, a.errors, other.value, other.errors)
    return _probability(a.value, other.value, factor, linear)


def p_better_drawn(a: Quantity, b: Quantity, n: int = DRAWS, *, seed: int = 0) -> float:
    """The same by Monte-Carlo: the share of draws in which a < b, common sources drawn once for both.

    A draw in which they are equal counts half. Raises as `p_better` does.
    """
    other = _alike(a, b)
    scores = normal_scores(n, seed)
    one, two = computed(a, scores), computed(other, scores, "/")
    equal = np.isclose(one, two, rtol=_ROUNDING, atol=0.0)
    return float(np.mean(np.broadcast_to(np.where(equal, 0.5, one < two), (n,))))


def _alike(a: Quantity, b: Quantity) -> Quantity:
    """b in a's unit, once the two are known to be of one kind."""
    try:
        other = b.to(a.unit)
    except UsageError as error:
        msg = f"cannot compare {a.unit or 'a number'} with {b.unit or 'a number'}: they are not of one kind"
        raise KindMismatchError(msg) from error
    _ = a / other  # raises where their bases differ
    return other


def _apart(a: float, a_errors: tuple[Error, ...], b: float, b_errors: tuple[Error, ...]) -> tuple[float, float]:
    """(σ of ln a/b by factors, σ of b - a by linear errors): what the two do not have in common."""
    factor = linear = 0.0
    above, below = ({e.name: e for e in errors} for errors in (a_errors, b_errors))
    for name in dict.fromkeys((*above, *below)):
        e, f = above.get(name), below.get(name)
        x, x_linear = _told(e, a)
        y, y_linear = _told(f, b)
        common = (e is None or e.gain) and (f is None or f.gain)
        factor += (x - y) ** 2 if common else x**2 + y**2
        linear += x_linear**2 + y_linear**2
    return math.sqrt(factor), math.sqrt(linear)


def _told(error: Error | None, value: float) -> tuple[float, float]:
    """(as a factor, as a linear error); a factor of nothing is a width of its own."""
    if error is None:
        return 0.0, 0.0
    if value and (error.log or error.gain):
        return error.sigma / value, 0.0
    return 0.0, error.sigma


def _probability(a: float, b: float, factor: float, linear: float) -> float:
    """P(a·exp(F/2) + L < b·exp(-F/2)) with F and L normal of these σ."""
    if not linear:
        return _by_factors(a, b, factor)
    if not factor:
        return _normal((b - a) / linear)
    if a <= 0 or b <= 0:
        return _mean(lambda z: _normal((b * math.exp(-factor * z / 2.0) - a * math.exp(factor * z / 2.0)) / linear))
    scale, ahead = 2.0 * math.sqrt(a * b), math.log(b / a)
    # One of the two is integrated over: the wider, for the other is then smooth along it.
    if linear > factor * scale / 2.0:
        return _mean(lambda z: _normal(-scale * math.sinh((factor * z - ahead) / 2.0) / linear))
    return _mean(lambda z: _normal((ahead - 2.0 * math.asinh(linear * z / scale)) / factor))


def _by_factors(a: float, b: float, factor: float) -> float:
    """The same without L: factors do not change a sign, and of two negatives the farther from 0 is the smaller."""
    if math.isclose(a, b, rel_tol=_ROUNDING):
        return 0.5
    if not factor or a * b <= 0:
        return float(a < b)
    return _normal((math.log(b / a) if b > 0 else math.log(a / b)) / factor)


def _normal(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def _mean(of: Callable[[float], float]) -> float:
    """The mean of a smooth function of a standard normal number: a fine sum, exact to 1e-12 or so."""
    points = np.linspace(-_REACH, _REACH, _POINTS).tolist()
    weights = [math.exp(-z * z / 2.0) for z in points]
    return min(1.0, math.fsum(w * of(z) for w, z in zip(weights, points, strict=True)) / math.fsum(weights))
