"""What smart plugs say: their addresses, their JSON and its units.

shelly1  shelly-api-docs.shelly.cloud/gen1, "/meter/0": `power` W, `total` watt-minutes, `is_valid`; Home
         Assistant's components/shelly/sensor.py divides the same total by 60 for Wh
shelly2  shelly-api-docs.shelly.cloud/gen2/ComponentsAndServices/Switch and …/PM1 (Gen 2 and later):
         `apower` W, `aenergy.total` Wh; ResetCounters zeroes it; …/General/Authentication: RFC 7616
tasmota  xdrv_03_energy.ino of arendst/Tasmota, EnergyShow(): `ENERGY.Power` W, `ENERGY.Total` kWh with as many
         decimals as EnergyRes says (3 by default), a list where there are several phases; older
         firmware has `StatusPWR` in its place (Status 8)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote

from greengen.collector import Reading
from greengen.collectors._http import Address, Auth, address, number


@dataclass(frozen=True, slots=True)
class PlugReading:
    """One answer: power, W, and the counter, J, where the answer has one."""

    power_w: float
    energy_j: float | None


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of plug.

    path    what to ask, by channel
    parse   its answer; raises ValueError for one that means nothing
    step_j  the counter's step
    gain    relative standard uncertainty; a judgement, no document states one: ±2 % at 95 % for Shelly, ±10 % for
            Tasmota, whose plugs are as exact as their owner has calibrated them
    auth    how user and password are sent; "": in the path
    """

    name: str
    path: Callable[[Address, str], str]
    parse: Callable[[dict[str, Any], str], PlugReading]
    step_j: float
    gain: float
    auth: Auth


@dataclass(frozen=True, slots=True)
class Plug:
    """One plug to read. `reading`: integrate its power, or take its counter."""

    where: Address
    format: Format
    channel: str
    reading: Reading

    @property
    def uid(self) -> str:
        """Stable over boots, and without a password."""
        return f"plug:{self.where.shown}/{self.channel}"

    @property
    def path(self) -> str:
        """What to ask."""
        return self.format.path(self.where, self.channel)


def parse_plug(text: str) -> Plug:
    """A plug of ``kind://[user:password@]address[:port][/channel][?reading=energy]``. Raises ValueError."""
    where = address(text, tuple(FORMATS))
    options = parse_qs(where.query)
    [reading] = options.pop("reading", ["power"])[-1:]
    if reading not in ("power", "energy") or options:
        msg = f"?{where.query} of {where.shown} is not known: reading=power or reading=energy"
        raise ValueError(msg)
    channel = where.path.strip("/") or "0"
    component, _, last = channel.rpartition(":")
    if not last.isdigit() or component not in ("", *(("switch", "pm1") if where.scheme == "shelly2" else ())):
        msg = f"/{channel} of {where.shown} is no channel: 0, 1 … or, of shelly2, switch:0 or pm1:0"
        raise ValueError(msg)
    return Plug(where, FORMATS[where.scheme], channel, "energy" if reading == "energy" else "power")


def _watts(value: object, name: str) -> float:
    found = number(value)
    if found is None:
        msg = f"its {name} is {value!r}, which is no number"
        raise ValueError(msg)
    return found


def _shelly1(found: dict[str, Any], _: str) -> PlugReading:
    if found.get("is_valid") is False:
        msg = "it says that its own measurement is not valid"
        raise ValueError(msg)
    total = number(found.get("total"))
    return PlugReading(_watts(found.get("power"), "power"), None if total is None else total * 60)


def _shelly2_path(_: Address, channel: str) -> str:
    component, colon, index = channel.rpartition(":")
    return f"/rpc/{'PM1' if colon and component == 'pm1' else 'Switch'}.GetStatus?id={index}"


def _shelly2(found: dict[str, Any], _: str) -> PlugReading:
    energy = found.get("aenergy")
    total = number(energy.get("total")) if isinstance(energy, dict) else None
    return PlugReading(_watts(found.get("apower"), "apower"), None if total is None else total * 3600)


def _tasmota_path(where: Address, _: str) -> str:
    login = f"user={quote(where.user)}&password={quote(where.password)}&" if where.user else ""
    return f"/cm?{login}cmnd=Status%208"


def _tasmota(found: dict[str, Any], channel: str) -> PlugReading:
    sensors = found.get("StatusSNS")
    energy = sensors.get("ENERGY") if isinstance(sensors, dict) else found.get("StatusPWR")
    if not isinstance(energy, dict):
        # What it answers where a password is set, or the command is not known.
        said = found.get("WARNING") or found.get("Command")
        msg = f"it says {said!r}" if said else "its answer has no ENERGY: does this plug meter?"
        raise ValueError(msg)  # noqa: TRY004 -- one kind of error for one kind of fault
    power, total = _phase(energy.get("Power"), channel), number(_phase(energy.get("Total"), channel))
    return PlugReading(_watts(power, "Power"), None if total is None else total * 3.6e6)


def _phase(value: object, channel: str) -> object:
    """A channel's part of what is a list where there are several."""
    if not isinstance(value, list):
        return value
    index = int(channel)
    return value[index] if index < len(value) else None


FORMATS = {
    "shelly1": Format("Shelly (gen 1)", lambda _, channel: f"/meter/{channel}", _shelly1, 60.0, 0.01, "basic"),
    "shelly2": Format("Shelly (gen 2 or later)", _shelly2_path, _shelly2, 3.6, 0.01, "digest"),
    "tasmota": Format("Tasmota", _tasmota_path, _tasmota, 3600.0, 0.05, ""),
}
