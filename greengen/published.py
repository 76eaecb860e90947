"""Published figures as an option of a comparison: declared, and compared only with what covers the same.

    declared = { energy_j = 860, gsd = 1.5, per = "request", boundary = "machine", source = "..." }

A figure has no repeats. It gives a ratio with the interval that its own spread makes, and no verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from greengen import stated
from greengen.errors import KindMismatchError, UsageError
from greengen.quantity import Quantity, convert

if TYPE_CHECKING:
    from greengen.accounting.option import Measured
    from greengen.deployments import Deployment, Rules

#: What a published figure may say, and what it is.
KEYS = {
    "energy_j": "J per functional unit",
    "energy_wh": "the same in Wh",
    "gsd": "geometric standard deviation of the figure; 1: told as exact",
    "per": "its functional unit",
    "boundary": "what it covers: accelerator, machine, facility",
    "idle": "its rule for idle time: none, pro-rata, resident-time, or `all of the recording`",
    "output_tokens": "how many output tokens a unit has",
    "latency_s": "how long a unit takes",
    "embodied_g": "gCO2e of hardware per unit",
    "tier": "where it is used",
    "source": "who published it",
}

_NUMBERS = ("energy_j", "energy_wh", "gsd", "output_tokens", "latency_s", "embodied_g")


def option(name: str, told: Mapping[str, Any], of: Deployment, rules: Rules) -> Measured:
    """A published figure as an option. Raises UsageError, KindMismatchError."""
    from greengen.accounting.deployment import Repeat, TierUse, priced  # noqa: PLC0415 -- numpy is for those who ask
    from greengen.accounting.option import Measured  # noqa: PLC0415 -- the same
    from greengen.accounting.quality import quality  # noqa: PLC0415 -- the same
    from greengen.accounting.single import NONE  # noqa: PLC0415 -- the same
    from greengen.deployments import known_tiers, site_of  # noqa: PLC0415 -- each needs the other

    said = _checked(name, told)
    energy = _energy(name, said, rules.unit)
    tier = said.get("tier")
    known_tiers(name, of, [tier])
    common, tiers = site_of(of, rules)
    site = tiers.get(tier, common)
    inside = said["boundary"] != "facility"
    use: TierUse = priced(tier, energy, site, rules.unit, embodied_g=said.get("embodied_g"), pue=inside)
    tokens = said.get("output_tokens")
    latency = said.get("latency_s")
    seconds = np.array([latency if latency is not None else np.nan])
    repeat = Repeat(
        name=name,
        tiers=(use,),
        units=1.0,
        tokens=tokens,
        energy=use.energy,
        per_token=_per_token(use.energy, rules.unit, tokens),
        operational=use.operational,
        embodied=use.embodied,
        total=use.both,
        water=use.water,
        busy=Quantity.missing("s", "a published figure tells no busy time"),
        seconds=0.0,
        each=replace(NONE, seconds=seconds),
    )
    stated_pue = site.pue_value is not None and inside
    return Measured(
        name=name,
        origin="declared",
        repeats=(repeat,),
        unit=rules.unit,
        boundary="facility" if stated_pue and said["boundary"] == "machine" else said["boundary"],
        idle=said.get("idle", rules.idle),
        site=site,
        quality=quality(name, of.quality),
        batch=of.batch,
        source=said.get("source", ""),
    )


def _checked(name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    strange = sorted(map(str, told.keys() - KEYS.keys()))
    if strange:
        msg = f"published figure {name!r}: {stated.unknown(strange, list(KEYS))}"
        raise UsageError(msg)
    said = {key: value for key, value in told.items() if value is not None}
    for key, value in said.items():
        number = key in _NUMBERS
        if not (stated.is_number(value) if number else isinstance(value, str)):
            needed = stated.NUMBER if number else "a text"
            msg = f"published figure {name!r}: {key} {repr(value)[:40]} is not possible: pass {needed} ({KEYS[key]})"
            raise UsageError(msg)
    if ("energy_j" in said) == ("energy_wh" in said):
        msg = f"published figure {name!r} needs its energy once: energy_j or energy_wh"
        raise UsageError(msg)
    for key in ("per", "boundary"):
        if key not in said:
            msg = f"published figure {name!r} does not say {key}: state it ({KEYS[key]}); none is assumed"
            raise UsageError(msg)
    if said["boundary"] not in ("accelerator", "machine", "facility"):
        msg = f"published figure {name!r}: boundary {said['boundary']!r} is not known: accelerator, machine or facility"
        raise UsageError(msg)
    return said


def _energy(name: str, said: Mapping[str, Any], unit: str) -> Quantity:
    from greengen.accounting.declared import factor  # noqa: PLC0415 -- numpy is for those who ask

    joules = said["energy_j"] if "energy_j" in said else convert(said["energy_wh"], "Wh", "J")
    figure = factor(float(joules), "J", f"published figure {name}", gsd=float(said.get("gsd", 1.0)))
    if said["per"] == unit:
        return figure
    if said["per"] == "output_token" and unit == "request" and said.get("output_tokens"):
        return replace(
            figure.scaled(float(said["output_tokens"])), note=f"{said['output_tokens']:g} output tokens each"
        )
    remedy = "state its output_tokens" if {said["per"], unit} == {"output_token", "request"} else "convert it"
    msg = f"cannot compare {name!r} per {said['per']} with others per {unit}: {remedy}, or pass --unit {said['per']}"
    raise KindMismatchError(msg)


def _per_token(energy: Quantity, unit: str, tokens: float | None) -> Quantity:
    if unit == "output_token":
        return energy
    if not tokens:
        return Quantity.missing("J/output_token", "the published figure tells no output_tokens")
    return replace(energy.scaled(1.0 / tokens), unit="J/output_token")
