"""Drift over the order of recording: whether choices alternated, what a trend adds to a difference, how strong it is.

A machine warms up, a battery empties, a cache fills: repeats recorded later differ from those before, whatever
was chosen. Choices that alternate meet the same drift; one recorded after the other takes all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from greengen.accounting import student
from greengen.propagation import Error, Errors

#: Squared correlation of choice and order, from which a trend and a difference are not told apart well enough. Three
#: repeats of ten choices in rotation have at most 0.2, two blocks of three 0.77.
_ALIGNED = 0.3

#: With fewer degrees of freedom a trend cannot be seen, and one is not taken out.
_FEWEST_DEGREES = 2


@dataclass(frozen=True, slots=True)
class Trend:
    """By what part repeats grew from each to the next, with the choices' own means taken out; p: by chance alone."""

    slope: float
    p: float
    repeats: int


def interleaved(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether the places of two choices in the order of recording alternate well enough."""
    group = np.repeat([0.5, -0.5], [len(one), len(other)])
    place = np.array([*one, *other], dtype=float)
    if not np.ptp(place):
        return True
    return float(np.corrcoef(group, place)[0, 1]) ** 2 <= _ALIGNED


def adjusted(
    a: Sequence[float], places_a: Sequence[int], b: Sequence[float], places_b: Sequence[int]
) -> tuple[float, float, float] | None:
    """(difference of a and b, its standard error, degrees of freedom) with a straight trend beside it.

    None where that leaves no degree of freedom, or the two cannot be told apart at all.
    """
    group = np.repeat([1.0, 0.0], [len(a), len(b)])
    place = np.array([*places_a, *places_b], dtype=float)
    design = np.column_stack((np.ones_like(group), group, place - place.mean()))
    degrees = group.size - 3
    if degrees < 1 or np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    y = np.array([*a, *b])
    solution = np.linalg.lstsq(design, y, rcond=None)[0]
    residual = y - design @ solution
    variance = float(residual @ residual) / degrees
    covariance = np.linalg.inv(design.T @ design)
    return float(solution[1]), float(np.sqrt(variance * covariance[1, 1])), float(degrees)


def drift(groups: Mapping[str, Sequence[tuple[int, float]]]) -> Trend | None:
    """The trend common to all choices on one machine; None where too few repeats tell it.

    groups  choice -> (place in the order of recording, ln of what the repeat cost)
    """
    x, y = [], []
    for points in groups.values():
        places, values = np.array([p for p, _ in points], dtype=float), np.array([v for _, v in points])
        x.append(places - places.mean())
        y.append(values - values.mean())
    every_x, every_y = (np.concatenate(parts) if parts else np.zeros(0) for parts in (x, y))
    spread = float(every_x @ every_x)
    degrees = every_x.size - len(groups) - 1
    if degrees < _FEWEST_DEGREES or not spread:
        return None
    slope = float(every_x @ every_y) / spread
    residual = every_y - slope * every_x
    error = float(np.sqrt(residual @ residual / degrees / spread))
    if not error:
        return Trend(slope, 1.0 if not slope else 0.0, every_x.size)
    return Trend(slope, 2.0 * student.cdf(-abs(slope) / error, float(degrees)), every_x.size)


def scatter_error(sigma: float) -> Errors:
    """What repeats scatter by, as an error source of its own."""
    return (Error("scatter of the repeats", sigma),) if sigma else ()
