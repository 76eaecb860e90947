"""What `_ioreport_worker` writes, a line of JSON per sample, as joules by rail. The channels: see `ioreport`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

_UNITS = {"mJ": 1e-3, "uJ": 1e-6, "nJ": 1e-9}


@dataclass(frozen=True, slots=True)
class Energies:
    """Cumulated joules by rail as of `t_ns` of the monotonic clock, the step of each, J, and why a rail has none."""

    t_ns: int
    energy_j: Mapping[str, float]
    step_j: Mapping[str, float] = field(default_factory=dict)
    troubles: Mapping[str, str] = field(default_factory=dict)


def parse(line: bytes) -> Energies:
    """A line of the worker. Raises ValueError where it tells no rail at all."""
    energy_j: dict[str, float] = {}
    step_j: dict[str, float] = {}
    troubles: dict[str, str] = {}
    found = json.loads(line)
    for name, unit, value in found["channels"]:
        rail = _rail(name)
        if not rail:
            continue
        step = _UNITS.get(unit)
        if step is None:
            troubles[rail] = f"the channel {name} is in {unit or 'no unit'}, which is not known"
        elif value < 0:
            troubles[rail] = f"the channel {name} says {value}, which stands for an error"
        else:
            energy_j[rail] = energy_j.get(rail, 0.0) + value * step
            step_j[rail] = max(step_j.get(rail, 0.0), step)
    for rail in troubles:
        energy_j.pop(rail, None)
    if not energy_j:
        msg = "; ".join(troubles.values()) or "the Energy Model has none of the channels that are known"
        raise ValueError(msg)
    return Energies(found["t_ns"], energy_j, step_j, troubles)


def _rail(channel: str) -> str:
    if channel == "GPU Energy":
        return "gpu"
    if channel.endswith("CPU Energy"):
        return "cpu"
    return next((rail for rail in ("ane", "dram") if channel.startswith(rail.upper())), "")
