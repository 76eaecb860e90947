"""What a battery says of itself, and how Linux shows it.

Facts: the kernel's Documentation/ABI/testing/sysfs-class-power: energy_now µWh, charge_now µAh, voltage_now
µV, power_now µW, current_now µA (its sign is the driver's), `scope` System or Device (a mouse). Each of these
files may ask an embedded controller over ACPI, for milliseconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from greengen.collectors._cpu_info import read_text

_INTEGER = re.compile(r"-?[0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class Gauge:
    """One battery as its system says.

    status   Charging, Discharging, Full, Not charging, or "" where it does not say
    left_wh  what is in it, or
    left_ah  the same as a charge
    step_j   in what steps that goes, where it is known
    """

    name: str
    status: str
    left_wh: float | None
    left_ah: float | None
    voltage_v: float | None
    power_w: float | None
    step_j: float | None = None


def read_gauges(sysfs: Path) -> list[Gauge]:
    """The batteries of the machine, by name."""
    found = []
    for folder in sorted((sysfs / "class/power_supply").glob("*")):
        is_battery = read_text(folder / "type").strip() == "Battery" and read_text(folder / "present").strip() != "0"
        if is_battery and read_text(folder / "scope").strip() != "Device":
            found.append(_gauge(folder))
    return found


def _gauge(folder: Path) -> Gauge:
    energy, charge, voltage, power, current = (
        _micro(folder / file) for file in ("energy_now", "charge_now", "voltage_now", "power_now", "current_now")
    )
    if power is None and current is not None and voltage is not None:
        power = current * voltage
    watts = None if power is None else abs(power)
    return Gauge(folder.name, read_text(folder / "status").strip(), energy, charge, voltage, watts)


def _micro(file: Path) -> float | None:
    text = read_text(file).strip()
    return int(text) / 1e6 if _INTEGER.fullmatch(text) else None
