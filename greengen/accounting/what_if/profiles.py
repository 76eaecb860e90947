"""A choice as what it uses per functional unit, tier by tier: the same joules, told for another grid, PUE or network.

`C = Σ E · PUE · I + bytes · e_net · I_net + M` per unit. Only the factors are exchanged: the joules stay those that
were recorded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from greengen.accounting import facility
from greengen.accounting.declared import factor
from greengen.errors import UsageError
from greengen.quantity import Quantity, total

#: Published figures of kWh per GB are known to this geometric standard deviation, as in `accounting.network`.
NETWORK_GSD = 2.0


@dataclass(frozen=True, slots=True)
class Leg:
    """One tier's part.

    energy     J of IT per unit
    intensity  gCO2e per kWh where it is used; None: not stated
    pue        facility energy per IT energy; None: not stated
    cooled     the part of the energy that a data centre's PUE belongs on
    """

    tier: str | None
    energy: Quantity
    intensity: Quantity | None
    pue: Quantity | None = None
    cooled: float = 1.0


@dataclass(frozen=True, slots=True)
class Link:
    """What goes between tiers: bytes per unit, kWh per GB, and the grid that feeds the network."""

    moved_bytes: float
    price: Quantity
    intensity: Quantity | None


@dataclass(frozen=True, slots=True)
class Profile:
    """One choice, per functional unit.

    embodied  gCO2e of hardware per unit; None: not stated
    """

    name: str
    legs: tuple[Leg, ...]
    link: Link | None = None
    embodied: Quantity | None = None
    unit: str = "request"


def operational(profile: Profile) -> Quantity:
    """gCO2e per unit of using it, over all tiers and the network; missing where a grid is."""
    parts = [_leg(leg, profile.unit) for leg in profile.legs]
    if profile.link is not None:
        parts.append(transfer(profile.link, profile.unit))
    if not parts:
        return Quantity.missing(f"g/{profile.unit}", f"{profile.name} has no energy")
    return total(parts, f"g/{profile.unit}")


def cost(profile: Profile) -> Quantity:
    """gCO2e per unit, hardware included; missing where it was not stated."""
    if profile.embodied is None or not profile.embodied.known:
        why = "it was not stated" if profile.embodied is None else profile.embodied.reason
        return Quantity.missing(f"g/{profile.unit}", f"no embodied carbon of {profile.name}: {why}")
    return total((operational(profile), profile.embodied), f"g/{profile.unit}")


def costs(profiles: Sequence[Profile]) -> tuple[tuple[Quantity, ...], bool]:
    """What each costs, told alike of all: with hardware only where it is stated of all (then True)."""
    whole = tuple(cost(profile) for profile in profiles)
    if all(each.known for each in whole):
        return whole, True
    return tuple(operational(profile) for profile in profiles), False


def grams(energy: Quantity, intensity: Quantity | None, where: str = "") -> Quantity:
    """gCO2e of an energy, per whatever that is per."""
    per = energy.unit.partition("/")[1:]
    unit, kwh = "".join(("g", *per)), "".join(("kWh", *per))
    if intensity is None:
        return Quantity.missing(unit, f"no grid intensity{where} was stated")
    return energy.to(kwh).times(intensity, "grid intensity", unit=unit)


def transfer(link: Link, unit: str) -> Quantity:
    """gCO2e of what goes through the network, per unit."""
    if not 0.0 <= link.moved_bytes < math.inf:
        msg = f"{link.moved_bytes:g} bytes are not possible: pass 0 or more"
        raise UsageError(msg)
    gigabytes = Quantity(float(link.moved_bytes), "B", "declared").to("GB")
    energy = gigabytes.times(link.price, "network intensity", unit=f"kWh/{unit}", source="declared")
    return grams(energy, link.intensity, " of the network")


def kwh_per_gb(value: float) -> Quantity:
    """The energy of a transfer, as stated: one source wherever it is used."""
    return factor(value, "kWh/GB", "network intensity", gsd=NETWORK_GSD)


def at_intensity(profile: Profile, intensity: Quantity, tier: str | None = None) -> Profile:
    """The same on another grid: all of it, the network too, or one tier only. Raises UsageError for an unknown tier."""

    def elsewhere(leg: Leg) -> Leg:
        return replace(leg, intensity=intensity)

    link = profile.link
    if link is not None and tier in (None, "network"):
        link = replace(link, intensity=intensity)
    if tier == "network" and link is not None:
        return replace(profile, link=link)
    return replace(_of_tier(profile, tier, elsewhere), link=link)


def at_pue(profile: Profile, pue: float, tier: str | None = None) -> Profile:
    """The same under another PUE, where one belongs. Raises UsageError for a PUE below 1, or an unknown tier."""
    stated = Quantity(facility.checked(pue), "", "declared")
    return _of_tier(
        profile, tier, lambda leg: replace(leg, pue=stated) if leg.tier not in facility.OUTSIDE_TIERS else leg
    )


def over(profile: Profile, price: float) -> Profile:
    """The same over a network of another energy per GB, known as well as the one before. Raises UsageError."""
    if profile.link is None:
        msg = f"{profile.name} tells no bytes between tiers: label its spans with network_bytes"
        raise UsageError(msg)
    return replace(profile, link=replace(profile.link, price=kwh_per_gb(price)))


def used_more(profile: Profile, factor: float) -> Profile:
    """The same on hardware that does `factor` times as much in its life. Raises UsageError."""
    if not 0.0 < factor < math.inf:
        msg = f"{factor:g} times as much use is not possible: pass a number above 0"
        raise UsageError(msg)
    return replace(profile, embodied=None if profile.embodied is None else profile.embodied.scaled(1.0 / factor))


def scaled(profile: Profile, factor: float) -> Profile:
    """The same for `factor` times the joules and bytes per unit, as a share of requests or longer ones."""
    if not 0.0 <= factor < math.inf:
        msg = f"{factor:g} times the energy is not possible: pass 0 or more"
        raise UsageError(msg)
    legs = tuple(replace(leg, energy=leg.energy.scaled(factor)) for leg in profile.legs)
    link = None if profile.link is None else replace(profile.link, moved_bytes=profile.link.moved_bytes * factor)
    embodied = None if profile.embodied is None else profile.embodied.scaled(factor)
    return replace(profile, legs=legs, link=link, embodied=embodied)


def _leg(leg: Leg, unit: str) -> Quantity:
    at_facility = leg.energy
    if leg.pue is not None and leg.cooled > 0.0:
        at_facility = facility.energy(leg.energy.scaled(leg.cooled), leg.pue)
        if leg.cooled < 1.0:
            at_facility = total((at_facility, leg.energy.scaled(1.0 - leg.cooled)), leg.energy.unit)
    found = grams(at_facility, leg.intensity, "" if leg.tier is None else f" of the {leg.tier} tier")
    return found if "/" in leg.energy.unit else replace(found, unit=f"g/{unit}")


def _of_tier(profile: Profile, tier: str | None, change: Callable[[Leg], Leg]) -> Profile:
    if tier is not None and all(leg.tier != tier for leg in profile.legs):
        told = ", ".join(str(leg.tier) for leg in profile.legs if leg.tier) or "none stated"
        msg = f"{profile.name} has no tier {tier!r}: its tiers are {told}"
        raise UsageError(msg)
    legs = tuple(change(leg) if tier in (None, leg.tier) else leg for leg in profile.legs)
    return replace(profile, legs=legs)
