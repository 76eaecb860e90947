"""Drift over the order of recording: whether choices alternated enough to meet the same one, and how strong it is.

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

#: What of a random walk's variance may pass into a difference, as a multiple of what Welch's t takes it for. Choices in
#: rotation have at most 0.7, two blocks of three 4.8 and of ten 18; above 1, differences are found where none is.
_WALKED = 1.0 + 1e-9

#: With fewer degrees of freedom a trend cannot be seen, and one is not taken out.
_FEWEST_DEGREES = 2


@dataclass(frozen=True, slots=True)
class Trend:
    """By what part repeats grew from each to the next, with the choices' own means taken out; p: by chance alone."""

    slope: float
    p: float
    repeats: int


def interleaved(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two choices alternate well enough in the order of recording for a drift to be in their scatter, too."""
    group = np.repeat([0.5, -0.5], [len(one), len(other)])
    place = np.array([*one, *other], dtype=float)
    if not np.ptp(place):
        return True
    return float(np.corrcoef(group, place)[0, 1]) ** 2 <= _ALIGNED and _passed_on(one, other) <= _WALKED


def _passed_on(one: Sequence[int], other: Sequence[int]) -> float:
    """The variance that a random walk gives the difference of the means, over what Welch's t would take it for."""
    place = np.array([*one, *other], dtype=float)
    walk = np.minimum.outer(place, place) - place.min()
    weight = np.repeat([1.0 / len(one), -1.0 / len(other)], [len(one), len(other)])
    taken = 0.0
    for n, part in ((len(one), walk[: len(one), : len(one)]), (len(other), walk[len(one) :, len(one) :])):
        taken += float(np.trace(part) - part.sum() / n) / (n * max(n - 1, 1))
    return float(weight @ walk @ weight) / taken if taken else np.inf


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
