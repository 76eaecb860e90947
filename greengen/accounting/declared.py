"""Numbers that are published or typed in, as quantities: a factor with its spread, a stated power over a time."""

from __future__ import annotations

import math

from greengen.errors import UsageError
from greengen.quantity import Quantity, known_to


def factor(value: float, unit: str, name: str, *, gsd: float = 1.0, basis: str | None = None) -> Quantity:
    """A declared factor, known to a geometric standard deviation `gsd`: one error source, called `name`.

    All that is multiplied by it moves together, so it cancels in a ratio. Raises UsageError for what is
    negative, endless or no number.
    """
    if not (0.0 <= value < math.inf and 1.0 <= gsd < math.inf):
        more = "" if gsd >= 1.0 else ", and a gsd of 1 or more"
        msg = f"{name} {value:g} {unit} is not possible: pass 0 or more{more}"
        raise UsageError(msg)
    return known_to(float(value), unit, "declared", gsd=gsd, source=name, basis=basis)


def drawn(power_w: float, seconds: float, *, name: str, gsd: float = 1.0, count: float = 1.0) -> Quantity:
    """The joules of `count` machines that are said to draw a power for a time. Raises UsageError."""
    if not (0.0 <= seconds < math.inf and 0.0 <= count < math.inf):
        msg = f"{name}: {count:g} times {seconds:g} s is not possible: pass 0 or more"
        raise UsageError(msg)
    watts = factor(power_w, "W", f"power:{name}", gsd=gsd)
    return Quantity(seconds * count, "s", "declared").times(watts, f"power of {name}", unit="J", source="declared")
