"""Choices recorded one after the other: their difference beside all that a drifting machine may have made of it.

What repeats cost is taken as: a mean of each choice, a straight trend over the order of recording, scatter, and a
random walk of any strength. How strong the walk is cannot be told from three repeats, nor well from ten. For a
strength that were known, generalised least squares give an interval that holds exactly (Aitken 1935): without a walk
that of a straight trend beside the difference, under a walk alone that of the step between the blocks against the
steps within them. The one that is told reaches from the lowest to the highest end of all of those, and so holds at
least as often as stated, whichever strength is true.

A change that no repeat within a block tells of, such as a reboot between the blocks, is beyond this.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from greengen.accounting import student
from greengen.accounting.curves import Floats

#: Variances of a step of the walk over that of scatter: without a walk and with a walk alone, the ends are these.
_STRENGTHS = np.geomspace(0.01, 100.0, 9)

#: A mean, a difference, a trend.
_TOLD = 3


def interval(
    a: Sequence[float], places_a: Sequence[int], b: Sequence[float], places_b: Sequence[int]
) -> tuple[float, float, float]:
    """(middle, half the width of the 95 % interval, degrees of freedom) of the difference of `a` and `b`.

    places_*  of each value in the order of recording, each another; at least `_TOLD` + 1 values, not all of one choice
    """
    group = np.repeat([1.0, 0.0], [len(a), len(b)])
    place = np.array([*places_a, *places_b], dtype=float)
    steps = (place - place.min()) * (place.size - 1) / np.ptp(place)
    # A constant more is taken up by the mean, and keeps the first place from having no variance.
    walked, turn = np.linalg.eigh(np.minimum.outer(steps, steps) + 1.0)
    design = turn.T @ np.column_stack((np.ones_like(group), group, steps - steps.mean()))
    values = turn.T @ np.array([*a, *b])
    weights = _weights(walked)
    normal = np.einsum("kn,ni,nj->kij", weights, design, design)
    found = np.linalg.solve(normal, np.einsum("kn,ni,n->ki", weights, design, values)[..., None])[..., 0]
    degrees = place.size - _TOLD
    variance = (weights * (values - found @ design.T) ** 2).sum(axis=1) / degrees
    half = student.quantile(0.975, float(degrees)) * np.sqrt(variance * np.linalg.inv(normal)[:, 1, 1])
    low, high = float((found[:, 1] - half).min()), float((found[:, 1] + half).max())
    return (low + high) / 2.0, (high - low) / 2.0, float(degrees)


def _weights(walked: Floats) -> Floats:
    """One over the variances along the walk's own directions, shape (strengths, places)."""
    mixed = 1.0 / (1.0 + np.outer(_STRENGTHS, walked))
    weights: Floats = np.vstack((np.ones_like(walked), mixed, 1.0 / walked))
    return weights
