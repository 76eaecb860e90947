"""A site file, `greengen.toml`: where the energy is used and with what, said once. None is read unless it is named.

    [site]
    zone = "DEU"            # or intensity = 320, g/kWh
    pue = 1.2
    wue = 0.4               # L per kWh of IT energy, on site
    water_offsite = 3.7     # L per kWh generated
    device_power = 2.0      # W of a user's device that waits
    network = "fixed:users=2"
    residual = 700          # g/kWh: the market-based figure beside the location-based one
    bought = [2, 0, 0.5]    # kWh in each hour of the run
    lifetime = 5            # years, and
    utilisation = 0.6       # the part of them in use: of all hardware that says nothing else

    [[hardware]]
    name = "h100"
    count = 8

What is passed beside a file goes before it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from greengen import stated
from greengen.errors import UsageError

#: What `[site]` may say, and of which type.
KEYS: Mapping[str, type] = {
    "zone": str,
    "cloud": str,
    "kind": str,
    "scope": str,
    "live": str,
    "strict": bool,
    "intensity": float,
    "pue": float,
    "wue": float,
    "water_offsite": float,
    "device_power": float,
    "network": str,
    "widen": str,
    "residual": float,
    "bought": list,
    "instrument": float,
    "matching": str,
    "lifetime": float,
    "utilisation": float,
}

#: Those that `hardware` takes where it says nothing itself.
OF_HARDWARE = ("lifetime", "utilisation")


def read(path: str | Path) -> dict[str, Any]:
    """What a site file says, by the names in `KEYS`, and `hardware` as a list of tables. Raises UsageError."""
    try:
        with Path(path).open("rb") as file:
            told = tomllib.load(file)
    except OSError as error:
        msg = f"site file {path} cannot be read: {error.strerror}"
        raise UsageError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"site file {path} is no TOML: {error}"
        raise UsageError(msg) from error
    strange = sorted(told.keys() - {"site", "hardware"})
    if strange:
        msg = f"site file {path}: {', '.join(strange)} says nothing; it has [site] and [[hardware]]"
        raise UsageError(msg)
    site = told.get("site", {})
    if not isinstance(site, dict):
        msg = f"site file {path}: site is no table; write [site] on a line of its own"
        raise UsageError(msg)
    machines = told.get("hardware", [])
    if not (isinstance(machines, list) and all(isinstance(machine, dict) for machine in machines)):
        msg = f"site file {path}: hardware is no list of tables; write [[hardware]] on a line of its own"
        raise UsageError(msg)
    return options(path, site, machines)


def options(
    path: str | Path,
    site: Mapping[str, object],
    machines: Sequence[str | dict[str, Any]],
    where: str = "[site]",
    also: Sequence[str] = (),
) -> dict[str, Any]:
    """What the keys of a `[site]` and its hardware say, as `greengen.sites.site` takes it. Raises UsageError.

    where  the section, as a message names it
    also   what is known there beside `KEYS`, taken before
    """
    strange = [key for key in site if key not in KEYS]
    if strange:
        msg = f"{_named(path, where)}: {stated.unknown(strange, [*also, *KEYS], f'in {where}')}"
        raise UsageError(msg)
    found = {key: _checked(_named(path, where), key, value) for key, value in site.items()}
    usual = {key: found.pop(key) for key in OF_HARDWARE if key in found}
    if machines:
        found["hardware"] = [usual | one if isinstance(one, dict) else _usually(one, usual) for one in machines]
    return found


def _usually(text: str, usual: dict[str, Any]) -> str:
    """Hardware as a text, such as `h100*8:lifetime=5`, with what is usual of what it does not say itself."""
    name, _, told = text.partition(":")
    parts = [part for part in told.split(",") if part.strip()]
    said = {part.partition("=")[0].strip() for part in parts}
    parts += [f"{key}={value!r}" for key, value in usual.items() if key not in said]
    return f"{name}:{','.join(parts)}" if parts else text


def _named(path: str | Path, where: str) -> str:
    """The file as a message names it: a `[site]` may stand in a file of its own, other sections do not."""
    return f"{'site' if where == '[site]' else 'comparison'} file {path}"


def _checked(file: str, key: str, value: object) -> object:
    wanted = KEYS[key]
    if wanted is float:
        if not stated.is_number(value, -stated.MOST):
            msg = f"{file}: {key} {repr(value)[:40]} is no number that can be"
            raise UsageError(msg)
        return float(value)  # type: ignore[arg-type]  # it is a number
    if not isinstance(value, wanted):
        told = {bool: "true or false", list: "list"}.get(wanted, "text")
        msg = f"{file}: {key} {repr(value)[:40]} is no {told}"
        raise UsageError(msg)
    return value
