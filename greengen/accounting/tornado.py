"""What drives a result: each of its sources alone at the ends of its 95 % interval, the others as they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from greengen.accounting.drawing import Floats, Source, computed, sources
from greengen.propagation import Z95
from greengen.quantity import Quantity

#: The 95 % end of a flat source, in its standard uncertainties: 0.95 of the way to its bound.
_FLAT = 0.95 * math.sqrt(3.0)


@dataclass(frozen=True, slots=True)
class Swing:
    """One source's part in a result.

    low, high  the result with this source at either end of its 95 % interval, and the others as they are
    share      its part of the result's variance, to first order; the shares of a result sum to 1
    """

    source: str
    low: float
    high: float
    share: float

    @property
    def width(self) -> float:
        """From the low end to the high one, in the result's unit."""
        return self.high - self.low


def tornado(quantity: Quantity) -> tuple[Swing, ...]:
    """The sources of a result, the one that moves it furthest first; empty for a result without errors.

    Sources that do not move it are left out. Raises UsageError for a missing quantity.
    """
    drawn = list(dict.fromkeys(sources(quantity)))
    places = {source: 2 * i for i, source in enumerate(drawn)}

    def one_at_a_time(source: Source) -> Floats:
        scores = np.zeros(2 * len(drawn))
        scores[places[source] : places[source] + 2] = np.array([-1.0, 1.0]) * (_FLAT if source.flat else Z95)
        return scores

    ends = np.broadcast_to(computed(quantity, one_at_a_time), (2 * len(drawn),)).reshape(-1, 2)
    value = quantity.value or 0.0
    moved: dict[str, list[tuple[float, float]]] = {}
    for source, (one, other) in zip(drawn, ends.tolist(), strict=True):
        moved.setdefault(source.name, []).append((value - min(one, other, value), max(one, other, value) - value))
    variance = math.fsum(error.sigma**2 for error in quantity.errors)
    parts = {error.name: error.sigma**2 / variance for error in quantity.errors if variance}
    floor = -math.inf if quantity.signed or value < 0 else 0.0
    # A source that is drawn for both sides of a ratio moves the result by each, and these are independent.
    swings = [
        Swing(
            name,
            max(value - math.hypot(*(down for down, _ in found)), floor),
            value + math.hypot(*(up for _, up in found)),
            parts.get(name, 0.0),
        )
        for name, found in moved.items()
    ]
    # What cancels leaves a rounding error behind.
    swings = [swing for swing in swings if swing.width > 1e-12 * abs(value)]
    return tuple(sorted(swings, key=lambda swing: (-swing.width, swing.source)))
