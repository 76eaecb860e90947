"""Student's t: how far the mean of a few repeats may lie from the truth, for any number of degrees of freedom.

The distribution function by the continued fraction of the incomplete beta function (Abramowitz and Stegun 26.5.8,
26.7.1); the quantile by Newton's rule from the normal one, from which it converges from below. Both to about 1e-12.
"""

from __future__ import annotations

import math
from statistics import NormalDist

_NORMAL = NormalDist()
_STEPS, _CLOSE, _TINY = 300, 1e-15, 1e-300


def cdf(t: float, degrees: float) -> float:
    """P(T <= t); infinitely many degrees of freedom are the normal distribution."""
    if math.isinf(degrees):
        return 0.5 * math.erfc(-t / math.sqrt(2.0))
    if math.isinf(t):
        return float(t > 0)
    tail = 0.5 * _beta(degrees / 2.0, 0.5, degrees / (degrees + t * t))
    return 1.0 - tail if t > 0 else tail


def quantile(p: float, degrees: float) -> float:
    """The t below which T lies with probability `p`, 0 < p < 1."""
    if math.isinf(degrees):
        return _NORMAL.inv_cdf(p)
    if p < 0.5:  # noqa: PLR2004 -- it is symmetrical
        return -quantile(1.0 - p, degrees)
    t = _NORMAL.inv_cdf(p)
    for _ in range(_STEPS):
        step = (p - cdf(t, degrees)) / _density(t, degrees)
        t += step
        if abs(step) <= 1e-10 * max(1.0, t):
            break
    return t


def _density(t: float, degrees: float) -> float:
    log = math.lgamma((degrees + 1.0) / 2.0) - math.lgamma(degrees / 2.0)
    return math.exp(log - (degrees + 1.0) / 2.0 * math.log1p(t * t / degrees)) / math.sqrt(degrees * math.pi)


def _beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function."""
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _beta(b, a, 1.0 - x)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(front) * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction, by Lentz's rule."""
    above, below = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    below = 1.0 / (below or _TINY)
    value = below
    for m in range(1, _STEPS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0)),
        ):
            below = 1.0 / ((1.0 + term * below) or _TINY)
            above = (1.0 + term / above) or _TINY
            value *= above * below
        if abs(above * below - 1.0) < _CLOSE:
            break
    return value
