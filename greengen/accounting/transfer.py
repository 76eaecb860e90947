"""The network by its power: a share of what the line draws anyway, and what follows the rate.

`P = baseline / users + slope · rate` (Malmodin 2020). Where the rate is known this goes before kWh per GB
(`greengen.accounting.network`), which is an average of all traffic and can be off by a hundred for one fast
transfer. `attributional` counts the share of the baseline and the slope, `marginal` the slope alone, because the
line draws its baseline with or without the transfer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from greengen.accounting.declared import factor
from greengen.errors import UsageError
from greengen.quantity import Quantity, total

View = Literal["attributional", "marginal"]

_BITS = 8.0
_MEGA = 1e6


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the way: home equipment and line, radio, core, a cable.

    baseline_w  what it draws whatever goes through it, W, shared by `users`; None: it has no such part
    slope       W per Mbps
    """

    name: str
    slope: Quantity
    baseline: Quantity | None = None
    users: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.users < math.inf:
            msg = f"{self.users:g} users of {self.name} are not possible: pass a number above 0"
            raise UsageError(msg)


def power(stage: Stage, mbps: float, view: View = "attributional") -> Quantity:
    """What a transfer at a rate draws in one stage, W. Raises UsageError."""
    if not 0.0 <= mbps < math.inf:
        msg = f"a rate of {mbps:g} Mbps is not possible: pass 0 or more"
        raise UsageError(msg)
    if view not in ("attributional", "marginal"):
        msg = f"view {view!r} is not known: pass attributional or marginal"
        raise UsageError(msg)
    following = replace(stage.slope, unit="W").scaled(mbps)
    if view == "marginal" or stage.baseline is None:
        return following
    return total((stage.baseline / stage.users, following), "W")


def joules(way: Sequence[Stage], seconds: float, moved_bytes: float, view: View = "attributional") -> Quantity:
    """The energy of a transfer over all stages of its way, J. Raises UsageError for one that takes no time."""
    if not (0.0 < seconds < math.inf and 0.0 <= moved_bytes < math.inf):
        msg = f"{moved_bytes:g} bytes in {seconds:g} s: pass a time above 0, and 0 bytes or more"
        raise UsageError(msg)
    if not way:
        return Quantity.missing("J", "no stage of the network was stated")
    mbps = moved_bytes * _BITS / _MEGA / seconds
    watts = total([power(stage, mbps, view) for stage in way], "W")
    energy = replace(watts.scaled(seconds), unit="J")
    return replace(energy, note=f"network by power, {view}, at {mbps:.3g} Mbps over {', '.join(s.name for s in way)}")


def by_volume(moved_bytes: float, kwh_per_gb: float, *, name: str, gsd: float = 2.0) -> Quantity:
    """The energy of a transfer by an average of all traffic, J; labelled as such. Raises UsageError."""
    if not 0.0 <= moved_bytes < math.inf:
        msg = f"{moved_bytes:g} bytes are not possible: pass 0 or more"
        raise UsageError(msg)
    price = factor(kwh_per_gb, "kWh/GB", f"network:{name}", gsd=gsd)
    gigabytes = Quantity(float(moved_bytes), "B", "declared").to("GB")
    energy = gigabytes.times(price, f"network intensity, {name}", unit="kWh", source="declared").to("J")
    return replace(energy, note=f"network by kWh per GB, {name}: an average that does not follow the rate")
