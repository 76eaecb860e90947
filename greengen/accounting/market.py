"""The market-based figure of GHG-Protocol scope 2: a second number beside the location-based one, and never in SCI.

`Σ_h [ matched_h · EF_instrument + (E_h - matched_h)+ · EF_residual ]`. What was bought counts in the period over
which it is matched: over a year, a surplus at noon makes up for the night; by the hour, it does not (the 2025
revision asks for hours, and for the residual mix, not the grid's average, on what is left).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from greengen.basis import Basis
from greengen.errors import KindMismatchError, UsageError
from greengen.quantity import Quantity, total

Matching = Literal["hourly", "annual"]


@dataclass(frozen=True, slots=True)
class Purchases:
    """What was bought, and what the rest is.

    residual    g/kWh of the residual mix, on what no purchase covers
    bought_kwh  by hour: from the recording's first on, or by the hour's start (s since 1970, UTC); none: nothing
    instrument  g/kWh of what was bought
    """

    residual: Quantity
    bought_kwh: Sequence[float] | Mapping[int, float] = ()
    instrument: Quantity = field(default_factory=lambda: Quantity(0.0, "g/kWh", "declared"))
    matching: Matching = "hourly"

    def by_hour(self, starts: Sequence[int]) -> list[float]:
        """kWh in each hour that a run touched. Raises UsageError for more hours than it did."""
        if isinstance(self.bought_kwh, Mapping):
            return [float(self.bought_kwh.get(start, 0.0)) for start in starts]
        bought = [float(each) for each in self.bought_kwh]
        if len(bought) > len(starts):
            msg = f"{len(bought)} hours of purchases, and the run touched {len(starts)}: give both for the same hours"
            raise UsageError(msg)
        return bought + [0.0] * (len(starts) - len(bought))


def unmatched(load: Sequence[float], bought: Sequence[float], matching: Matching = "hourly") -> list[float]:
    """Of each period's load, what no purchase covers; `annual` sets all purchases against all load.

    load, bought  energy by period, of one length and unit. Raises UsageError.
    """
    if len(load) != len(bought):
        msg = f"{len(load)} periods of load and {len(bought)} of purchases: give both for the same periods"
        raise UsageError(msg)
    for what, series in (("load", load), ("purchase", bought)):
        for i, energy in enumerate(series):
            if not 0.0 <= energy < math.inf:
                msg = f"{what} {energy:g} in period {i} is not possible: pass 0 or more"
                raise UsageError(msg)
    if matching == "hourly":
        return [max(used - covered, 0.0) for used, covered in zip(load, bought, strict=True)]
    if matching == "annual":
        used = math.fsum(load)
        left = max(used - math.fsum(bought), 0.0)
        return [left * each / used if used else 0.0 for each in load]
    msg = f"matching {matching!r} is not known: pass hourly or annual"
    raise UsageError(msg)


def based(
    load: Sequence[Quantity],
    bought_kwh: Sequence[float],
    residual: Quantity,
    instrument: Quantity,
    *,
    matching: Matching = "hourly",
) -> Quantity:
    """gCO2e by contracts: of the load of each hour, what purchases cover and what is left to the residual mix.

    residual, instrument  g/kWh. Raises UsageError, and KindMismatchError for a factor of the location.
    """
    for name, of in (("residual mix", residual), ("instrument", instrument)):
        if Basis.parse(of.basis).accounting == "location":
            msg = f"the {name}'s factor is of kind {of.basis!r}: a market-based figure takes no location-based one"
            raise KindMismatchError(msg)
    if any(hour.value is None for hour in load) or not load:
        reasons = dict.fromkeys(hour.reason for hour in load if hour.reason)
        return Quantity.missing("g", "; ".join(reasons) or "no load was told")
    kwh = [hour.to("kWh") for hour in load]
    values = [hour.value or 0.0 for hour in kwh]
    left = unmatched(values, bought_kwh, matching)
    # Of purchases and the residual mix nothing else is stated than whose contracts they are.
    rest, covered = (replace(of, basis=str(Basis(accounting="market"))) for of in (residual, instrument))
    parts = []
    for hour, value, open_ in zip(kwh, values, left, strict=True):
        part = open_ / value if value else 0.0
        parts.append(hour.scaled(part).times(rest, "residual mix", unit="g"))
        parts.append(hour.scaled(1.0 - part).times(covered, "instrument", unit="g"))
    return replace(total(parts, "g"), note=f"{matching} matching")
