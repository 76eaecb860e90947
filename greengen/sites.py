"""Where the energy was used and with what, as a user says it: zones and hardware by name, numbers, a site file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from greengen import grid
from greengen.errors import UsageError

if TYPE_CHECKING:
    from greengen.accounting.embodied import Hardware
    from greengen.accounting.market import Purchases
    from greengen.accounting.site import Site

#: A stated number beyond it is a slip: what is made of it would leave the floats.
_MOST = 1e15

#: What `Run.footprint` and `Run.report` take of a site, and what it is.
OPTIONS = {
    **grid.OPTIONS,
    "pue": "facility energy per IT energy, 1 or more",
    "hardware": "what the run had to itself: names such as `h100*8:lifetime=5`, tables or `Hardware`",
    "wue": "on-site water, L per kWh of IT energy",
    "water_offsite": "water of electricity generation, L per kWh, instead of the zone's",
    "device_power": "what a user's device draws while it waits for an answer, W",
    "network": "the line that requests' bytes go through: fixed:users=2 or mobile, with view=marginal",
    "widen": "a wider boundary and each multiplier to it: facility:machine=1.5,facility=1.1",
    "residual": "gCO2e per kWh of the residual mix, for the market-based figure",
    "bought": "kWh bought in each hour of the run, a list or `2,0,0.5`",
    "instrument": "gCO2e per kWh of what was bought; 0 where it is not told",
    "matching": "hourly or annual: over which time purchases are set against the load",
    "site": "a site file that says the same, for all that is not passed",
}


def site(period: tuple[int, int] | None = None, **told: Any) -> Site:  # noqa: ANN401 -- each option has its own type
    """The site that some of `OPTIONS` tell; what is None is not told. Raises UsageError, GridError.

    period  when the energy was used, as in `greengen.grid.located`
    """
    unknown = sorted(told.keys() - OPTIONS.keys())
    if unknown:
        msg = f"{', '.join(unknown)} says nothing of a site: known are {', '.join(OPTIONS)}"
        raise TypeError(msg)
    told = {name: value for name, value in told.items() if value is not None and value != ()}
    if "site" in told:
        told = of_file(told)
    found = grid.located(told, period)
    if "pue" in told:
        found = replace(found, pue=_pue(told["pue"]))
    numbers = {name: _number(name, told[name]) for name in ("wue", "water_offsite", "device_power") if name in told}
    more: dict[str, Any] = {"hardware": machines(told["hardware"]) if "hardware" in told else ()}
    if numbers:
        from greengen.accounting.declared import factor  # noqa: PLC0415 -- with what only footprints need

        units = {
            "wue": ("wue", "L/kWh"),
            "water_offsite": ("water_offsite", "L/kWh"),
            "device_power": ("device_w", "W"),
        }
        for name, value in numbers.items():
            field, unit = units[name]
            more[field] = factor(value, unit, f"{name}, as declared")
    if "network" in told:
        from greengen.data.networks import way  # noqa: PLC0415 -- tables are for those who ask

        more["network"] = way(told["network"])
    if "widen" in told:
        from greengen.accounting.boundary import widening  # noqa: PLC0415 -- with what only footprints need

        more["widen"] = widening(told["widen"])
    more["market"] = _purchases(told)
    if "water_offsite" not in numbers and found.zone is not None:
        more["water_offsite"] = _water_of(found.zone)
    return replace(found, **more)


def machines(told: str | Hardware | dict[str, Any] | Sequence[str | Hardware | dict[str, Any]]) -> tuple[Hardware, ...]:
    """Hardware from however it is told. Raises UsageError."""
    from greengen.accounting.embodied import Hardware  # noqa: PLC0415 -- tables are for those who ask
    from greengen.data.hardware import from_table, hardware  # noqa: PLC0415 -- the same

    if not isinstance(told, str | dict | Hardware | Sequence):
        msg = f"hardware {told!r} is none: pass a name such as h100*8, a table, or a list of them"
        raise UsageError(msg)
    each = [told] if isinstance(told, str | dict | Hardware) else list(told)
    return tuple(
        one if isinstance(one, Hardware) else hardware(one) if isinstance(one, str) else from_table(one) for one in each
    )


def of_file(told: dict[str, Any]) -> dict[str, Any]:
    """What a site file says, and before it what was passed: of one question, one answer."""
    from greengen import site_file  # noqa: PLC0415 -- for those who have one

    said = site_file.read(told.pop("site"))
    if told.keys() & {"zone", "intensity", "cloud", "live"}:
        said = {name: value for name, value in said.items() if name not in grid.OPTIONS}
    return said | told


def _purchases(told: dict[str, Any]) -> Purchases | None:
    """What was bought. Raises UsageError where it is not said what the rest is."""
    if "residual" not in told:
        given = [name for name in ("bought", "instrument", "matching") if name in told]
        if given:
            msg = f"{given[0]} says nothing without the residual mix on what no purchase covers: pass --residual G"
            raise UsageError(msg)
        return None
    from greengen.accounting.declared import factor  # noqa: PLC0415 -- with what only footprints need
    from greengen.accounting.market import Purchases, unmatched  # noqa: PLC0415 -- the same

    rest, free = (_number(name, told.get(name, 0.0)) for name in ("residual", "instrument"))
    bought, matching = told.get("bought", ()), told.get("matching", "hourly")
    if isinstance(bought, str):
        try:
            bought = [float(each) for each in bought.split(",")]
        except ValueError:
            msg = f"bought {bought!r} is no list of numbers: pass the kWh of each hour, such as 2,0,0.5"
            raise UsageError(msg) from None
    bought = [_number("bought", each) for each in bought]
    unmatched([0.0] * len(bought), bought, matching)  # tells an unknown matching now
    return Purchases(
        factor(rest, "g/kWh", "residual mix, as declared"),
        bought,
        factor(free, "g/kWh", "instrument, as declared"),
        matching,
    )


def _water_of(zone: str) -> Any:  # noqa: ANN401 -- a Quantity or None
    """L per kWh generated in the zone's country, where a figure of it ships."""
    from greengen import data  # noqa: PLC0415 -- tables are for those who ask

    row = data.table("water_offsite").get(zone.partition("-")[0])
    return None if row is None else row.quantity()


def _pue(value: Any) -> Any:  # noqa: ANN401 -- a number, or a Quantity
    from greengen.quantity import Quantity  # noqa: PLC0415 -- for those who ask

    if not isinstance(value, Quantity) and (isinstance(value, bool) or not isinstance(value, int | float)):
        msg = f"pue {value!r} is no number: pass 1.0 or more ({OPTIONS['pue']})"
        raise UsageError(msg)
    return value


def _number(name: str, value: Any) -> float:  # noqa: ANN401 -- whatever a user passes
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= _MOST:
        msg = f"{name} {value!r} is not possible: pass a number of 0 or more, at most {_MOST:g} ({OPTIONS[name]})"
        raise UsageError(msg)
    return float(value)
