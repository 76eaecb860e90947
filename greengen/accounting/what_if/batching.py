"""Another batch size: joules per token between measured ones, by what a step costs whatever is in it.

`E(b) = F / b + m`: a step's fixed cost is shared by what is in it. Between two measured batch sizes the figure is
linear in 1/b; outside of them nothing was measured, and nothing is told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from greengen.errors import UsageError
from greengen.quantity import Quantity, total

#: (batch size, J per token or per unit)
Point = tuple[float, Quantity]


def at_batch(points: Sequence[Point], batch: float) -> Quantity:
    """The figure at a batch size; missing, with the range, where it was not measured. Raises UsageError."""
    if not 0.0 < batch < math.inf:
        msg = f"a batch of {batch:g} is not possible: pass a number above 0"
        raise UsageError(msg)
    known = sorted(((size, each) for size, each in points if each.known), key=lambda point: point[0])
    if not known:
        return Quantity.missing("", "no batch size was measured")
    unit = known[0][1].unit
    sizes = [size for size, _ in known]
    if len(set(sizes)) < len(sizes) or sizes[0] <= 0.0:
        msg = f"batch sizes {', '.join(f'{size:g}' for size in sizes)}: pass each once, above 0"
        raise UsageError(msg)
    for size, each in known:
        if size == batch:
            return each
    for (low, one), (high, other) in pairwise(known):
        if low < batch < high:
            weight = (1 / batch - 1 / high) / (1 / low - 1 / high)
            found = total((one.scaled(weight), other.scaled(1.0 - weight)), unit)
            return replace(found, note=f"between batches of {low:g} and {high:g}, linear in 1/batch")
    return Quantity.missing(
        unit, f"a batch of {batch:g} is outside of what was measured: {sizes[0]:g} to {sizes[-1]:g}"
    )
