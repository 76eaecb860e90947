"""How firm a ranking is: what drives a ratio, and the value of each parameter at which the two change places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from greengen.accounting import tornado as tornados
from greengen.accounting.embodied import Hardware
from greengen.accounting.what_if import flips, profiles
from greengen.accounting.what_if.flips import Flip, Parameter
from greengen.accounting.what_if.profiles import Profile
from greengen.comparison import Comparison
from greengen.errors import UsageError
from greengen.quantity import Quantity, total
from greengen.what_if import answer as told
from greengen.what_if import sources
from greengen.what_if.table import MOST, Table, of

#: Where a parameter is looked for, unless `ranges` says otherwise: from the least to the most that is known of it.
RANGES = {
    "intensity": (5.0, 1000.0),  # hydropower alone; the coal-heaviest grids of the table
    "pue": (1.0, 2.0),
    "utilisation": (0.01, 1.0),
    "lifetime": (1.0, 10.0),
    "network": (0.0001, 1.0),  # between data centres; a bad mobile cell
}

#: With more options than this nobody reads a tornado of each.
_OPTIONS = 24

_COLUMNS = (
    "parameter",
    "unit",
    "now",
    "looked for in",
    "equal at",
    "inside its 95 % interval",
    "ratio at the low end",
    "ratio at the high end",
)


def flips_(asked: Table) -> dict[str, Any]:
    """`a`, and `b` (the baseline); `ranges`: parameter -> [from, to], as in `RANGES`."""
    a, b = asked.option("a"), asked.option("b", asked.comparison.baseline)
    title = f"When {a.name} and {b.name} change places"
    ranges = RANGES | {key: _range(asked, key) for key in asked.mapping("ranges", {})}
    told_costs, embodied = profiles.costs([a, b])
    if told.without([told_costs]):
        return told.missing(title, told.without([told_costs]))
    ratio = told_costs[0] / told_costs[1]
    found = [(flips.flip(a, b, one), own) for one, own in _parameters(asked, a, b, ranges)]
    reached = [flip for flip, _ in found if flip.at is not None]
    if not reached:
        words = f"{a.name} is {told.figure(ratio)} of {b.name}. No single parameter changes which is the smaller."
    else:
        words = f"{a.name} is {told.figure(ratio)} of {b.name}. The two are equal at: "
        words += "; ".join(_words(flip, own) for flip, own in found if flip.at is not None) + "."
    rows = [
        [
            flip.parameter.name,
            flip.parameter.unit or "1",
            flip.parameter.value if flip.parameter.value is not None else "not one value",
            f"{flip.parameter.low:g} to {flip.parameter.high:g}",
            flip.at if flip.at is not None else "no say" if flip.always else "never",
            _inside(flip, own),
            flip.low,
            flip.high,
        ]
        for flip, own in found
    ]
    return told.answer(
        title,
        words,
        assumes=[told.hardware(embodied), "one parameter at a time, the others as they are"],
        table=told.table(_COLUMNS, rows),
    )


def tornado(comparison: Comparison, most: int) -> Iterator[dict[str, Any]]:
    """The widest sources of each option's ratio to the baseline, energy and grams; none of many options."""
    if len(comparison.options) > _OPTIONS:
        return
    found = {one.name: of(one, comparison) for one in comparison.options}
    base, meters = found.pop(comparison.baseline), sources.domains(comparison)
    for profile in found.values():
        costs, embodied = profiles.costs([profile, base])
        pairs = [("carbon_total" if embodied else "carbon_operational", costs)] if all(c.known for c in costs) else []
        pairs.append(("energy", (_joules(profile), _joules(base))))
        for metric, (one, other) in pairs:
            if not one.known or not other.value:
                continue
            for swing in tornados.tornado(one / other)[:most]:
                yield {
                    "option": profile.name,
                    "metric": metric,
                    "source": swing.source,
                    "name": sources.named(swing.source, meters),
                    "low": swing.low,
                    "high": swing.high,
                    "share": swing.share,
                    "unit": "",
                    "flips": swing.low < 1.0 < swing.high,
                }


def _joules(profile: Profile) -> Quantity:
    parts = [leg.energy for leg in profile.legs]
    return total(parts, parts[0].unit) if parts else Quantity.missing("J", "there is no energy")


#: (parameter, its own 95 % interval)
_Own = tuple[float, float] | None


def _parameters(
    asked: Table, a: Profile, b: Profile, ranges: dict[str, tuple[float, float]]
) -> Iterator[tuple[Parameter, _Own]]:
    yield from _tiers("intensity", "grid intensity", "g/kWh", (a, b), ranges, _with_intensity)
    yield from _tiers("pue", "PUE", "", (a, b), ranges, profiles.at_pue)
    for one in (a, b):
        hardware = asked.measured(one.name).site.hardware
        if hardware and one.embodied is not None and one.embodied.known:
            yield from _hardware(one, hardware, ranges)
    links = [one.link for one in (a, b) if one.link is not None]
    if links:
        price = links[0].price
        own = None if not price.value else (price.low or 0.0, price.high or 0.0)
        change = _network
        yield Parameter("network energy", "kWh/GB", price.value or None, *ranges["network"], change), own


def _tiers(
    key: str,
    name: str,
    unit: str,
    pair: tuple[Profile, Profile],
    ranges: dict[str, tuple[float, float]],
    change: Callable[[Profile, float, str | None], Profile],
) -> Iterator[tuple[Parameter, _Own]]:
    """One parameter for each place: where both options have the same figure, both move."""
    seen: dict[tuple[float, str], list[tuple[str, str | None]]] = {}
    quantities: dict[tuple[float, str], Quantity] = {}
    for profile in pair:
        for leg in profile.legs:
            quantity = leg.intensity if key == "intensity" else leg.pue
            if quantity is not None and quantity.value is not None:
                at = (quantity.value, "; ".join(sorted(error.name for error in quantity.errors)))
                seen.setdefault(at, []).append((profile.name, leg.tier))
                quantities[at] = quantity
    for at, where in seen.items():
        quantity = quantities[at]

        def moved(profile: Profile, x: float, where: list[tuple[str, str | None]] = where) -> Profile:
            for option, tier in where:
                if option == profile.name:
                    profile = change(profile, x, tier)
            return profile

        both = {option for option, _ in where} == {profile.name for profile in pair}
        places = "both" if both else ", ".join(o if t in (None, o) else f"{o}, {t} tier" for o, t in where)
        own = (quantity.low or 0.0, quantity.high or 0.0) if quantity.errors else None
        yield Parameter(f"{name} of {places}", unit, quantity.value, *ranges[key], moved), own


def _hardware(
    one: Profile, hardware: tuple[Hardware, ...], ranges: dict[str, tuple[float, float]]
) -> Iterator[tuple[Parameter, _Own]]:
    """Its lifetime, and the part of it in which it is used; of several pieces, all alike."""
    first = hardware[0]
    years = first.lifetime.to("y")
    used = first.utilisation if first.utilisation is not None else 1.0

    def living(profile: Profile, x: float) -> Profile:
        return profiles.used_more(profile, x / (years.value or 1.0)) if profile.name == one.name else profile

    def busy(profile: Profile, x: float) -> Profile:
        return profiles.used_more(profile, x / used) if profile.name == one.name else profile

    own = (years.low or 0.0, years.high or 0.0) if years.errors else None
    yield Parameter(f"lifetime of the hardware of {one.name}", "y", years.value, *ranges["lifetime"], living), own
    yield Parameter(f"utilisation of the hardware of {one.name}", "", used, *ranges["utilisation"], busy), None


def _with_intensity(profile: Profile, x: float, tier: str | None) -> Profile:
    """Another number of the same kind."""
    legs = [leg for leg in profile.legs if tier in (None, leg.tier) and leg.intensity is not None]
    basis = legs[0].intensity.basis if legs and legs[0].intensity is not None else None
    return profiles.at_intensity(profile, Quantity(x, "g/kWh", "declared", basis=basis), tier)


def _network(profile: Profile, x: float) -> Profile:
    return profile if profile.link is None else profiles.over(profile, x)


def _words(flip: Flip, own: _Own) -> str:
    inside = _inside(flip, own)
    more = {"yes": ", inside its 95 % interval", "no": ", outside its 95 % interval"}.get(inside, "")
    unit = f" {flip.parameter.unit}" if flip.parameter.unit else ""
    now = "" if flip.parameter.value is None else f", now {told.number(flip.parameter.value)}"
    return f"{flip.parameter.name} {told.number(flip.at or 0.0)}{unit}{now}{more}"


def _inside(flip: Flip, own: _Own) -> str:
    if own is None:
        return "it has none"
    if flip.at is None:
        return "no"
    return "yes" if own[0] <= flip.at <= own[1] else "no"


def _range(asked: Table, key: str) -> tuple[float, float]:
    value = asked.mapping("ranges")[key]
    if key not in RANGES or not isinstance(value, list) or len(value) != 2 or not all(_number(v) for v in value):  # noqa: PLR2004 -- from, to
        msg = f"ranges: {key} = {value!r} is not possible: pass [from, to] of {', '.join(RANGES)}"
        raise UsageError(msg)
    return float(value[0]), float(value[1])


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value <= MOST


ANSWERS = {"flips": flips_}
