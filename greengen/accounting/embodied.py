"""Embodied emissions: what making hardware emitted, shared by the time and the part of it that work took.

`M = TE · (TiR / EL) · (RR / ToR)` (SCI v1.1, ISO/IEC 21031): TE of all the hardware, the time it was reserved
over its lifetime, the resources reserved over those there are. Hardware that is in use for only a part `u` of
its lifetime spreads TE over `EL · u`: then the time is that of its use. A year has 365 days, as SCI counts.
Figures of one product differ between sources by more than three times, so each carries its spread; a life-cycle
total of a data sheet is no embodied figure: `of_life_cycle` takes the use phase off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from greengen.accounting.declared import factor
from greengen.basis import NO_GRID
from greengen.errors import UsageError
from greengen.quantity import Quantity, total

#: The formula leaves out what it does not name (cooling, cards, boards of another size): known to this factor.
FORMULA_GSD = 2.0

#: A stated number beyond it, or below its inverse, is a slip: what is made of it would leave the floats.
MOST = 1e15


@dataclass(frozen=True, slots=True)
class Hardware:
    """Some hardware that a run had to itself, or a part of.

    made         gCO2e of making one of it, cradle to gate
    lifetime     how long it serves, s
    count        how many
    share        the part of each that was reserved: 2 of 16 vCPUs are 0.125
    utilisation  the part of its lifetime in which it is in use; None: not stated, and all of it is taken
    source       where `made` comes from
    """

    name: str
    made: Quantity
    lifetime: Quantity
    count: float = 1.0
    share: float = 1.0
    utilisation: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        _above_0(self.name, "lifetime", self.lifetime.value)
        _above_0(self.name, "count", self.count)
        for what, part in (("share", self.share), ("utilisation", self.utilisation)):
            if part is not None and not 1 / MOST <= part <= 1.0:
                msg = f"{what} {part:g} of {self.name} is not possible: pass a part above 0, at most 1"
                raise UsageError(msg)
        if self.made.value is not None and not 0.0 <= self.made.value <= 1e3 * MOST:
            msg = f"embodied {self.made.value:g} {self.made.unit} of {self.name} is not possible: pass 0 or more"
            raise UsageError(msg)


def emitted(hardware: Hardware, seconds: float) -> Quantity:
    """gCO2e of making `hardware` that fall on `seconds` of it; its lifetime and utilisation stand beside it."""
    if not 0.0 <= seconds < math.inf:
        msg = f"{seconds:g} s of {hardware.name} are not possible: pass 0 or more"
        raise UsageError(msg)
    made = hardware.made.to("g").scaled(hardware.count * hardware.share)
    rate = made / hardware.lifetime.to("s")
    used = hardware.utilisation or 1.0
    grams = rate.scaled(seconds / used)
    if grams.value is None:
        return Quantity.missing("g", grams.reason)
    years = hardware.lifetime.to("y").value or 0.0
    told = [f"{years:.3g} y", *([f"{used:.3g} in use"] if hardware.utilisation else [])]
    note = f"{hardware.count:g} × {hardware.name}: over {', '.join(told)}"
    return replace(grams, unit="g", note=note, basis=NO_GRID)


def together(hardware: Sequence[Hardware], seconds: float) -> Quantity:
    """gCO2e of several kinds of hardware over the same time; missing where none is stated."""
    if not hardware:
        return Quantity.missing("g", "no hardware was stated: pass --hardware NAME, or its embodied kg and lifetime")
    return total([emitted(one, seconds) for one in hardware], "g")


def of_life_cycle(whole: Quantity, use_share: float) -> Quantity:
    """The embodied part of a product's life-cycle total, of which the use phase is a part. Raises UsageError."""
    if not 0.0 <= use_share < 1.0:
        msg = f"use share {use_share:g} is not possible: pass a part of the life-cycle total, from 0 to below 1"
        raise UsageError(msg)
    return whole.scaled(1.0 - use_share)


@dataclass(frozen=True, slots=True)
class Parts:
    """What is known of hardware without a published figure.

    dies_mm2     area of each processor's die
    ram_gb       memory, and `ram_density` of its dies, GB/cm²; None: that of the table
    ssd_gb       flash, and `ssd_density`, of which the table has none
    psu_kg       weight of the power supplies
    boards       how many mainboards; `cases`: rack cases; `assembled`: servers put together
    """

    dies_mm2: Sequence[float] = ()
    ram_gb: float = 0.0
    ram_density: float | None = None
    ssd_gb: float = 0.0
    ssd_density: float | None = None
    psu_kg: float = 0.0
    boards: float = 0.0
    cases: float = 0.0
    assembled: float = 0.0


def bottom_up(parts: Parts, coefficients: Mapping[str, Quantity]) -> Quantity:
    """gCO2e of making something, from its parts. Raises UsageError for flash whose density is not stated.

    coefficients  of the table `embodied_coefficients`, by id: kg per mm² or cm² of die, per piece or per kg
    """
    density = parts.ram_density
    if density is None and "ram-density" in coefficients:
        density = coefficients["ram-density"].value
    amounts = {
        "cpu-die": math.fsum(parts.dies_mm2),
        "cpu": float(len(parts.dies_mm2)),
        "ram-die": _area("memory", parts.ram_gb, density),
        "ram": float(parts.ram_gb > 0),
        "ssd-die": _area("flash", parts.ssd_gb, parts.ssd_density),
        "ssd": float(parts.ssd_gb > 0),
        "motherboard": parts.boards,
        "power-supply": parts.psu_kg,
        "rack-case": parts.cases,
        "assembly": parts.assembled,
    }
    for name, amount in amounts.items():
        if not 0.0 <= amount < math.inf:
            msg = f"{name}: {amount:g} is not possible: pass 0 or more"
            raise UsageError(msg)
    found = [replace(coefficients[name].scaled(amount), unit="kg") for name, amount in amounts.items() if amount]
    if not found:
        return Quantity.missing("g", "no part of it was stated")
    rest = factor(1.0, "", "embodied-formula", gsd=FORMULA_GSD)
    return total(found, "kg").times(rest, "what the formula leaves out", unit="kg", source="declared").to("g")


def _area(what: str, gigabytes: float, density: float | None) -> float:
    """cm² of dies."""
    if not gigabytes:
        return 0.0
    if density is None or not 0.0 < density < math.inf:
        msg = f"{gigabytes:g} GB of {what}: state the density of its dies, in GB per cm²"
        raise UsageError(msg)
    return gigabytes / density


def _above_0(name: str, what: str, value: float | None) -> None:
    if value is None or not 1 / MOST <= value <= MOST:
        told = "not stated" if value is None else f"{value:g}"
        msg = f"{what} {told} of {name} is not possible: pass a number above 0, at most {MOST:g}"
        raise UsageError(msg)
