"""The same joules in another zone, at another hour, under another PUE, over another network."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from greengen import grid
from greengen.accounting.hour import Hour
from greengen.accounting.what_if import profiles
from greengen.accounting.what_if.profiles import Profile
from greengen.basis import declared
from greengen.errors import UsageError
from greengen.integrations import intensity_csv
from greengen.quantity import Quantity, total
from greengen.what_if import answer as told
from greengen.what_if.table import Table

_HOURS = 24


def zone(asked: Table) -> dict[str, Any]:
    """`zones`, and `tier` where only one of the tiers moves."""
    zones, options, tier = asked.texts("zones"), asked.options(), asked.tier()
    _known(options, tier)
    grids = {name: intensity_of(name, asked) for name in zones}
    names = [option.name for option in options]
    rows, embodied = [], True
    for name in zones:
        moved = [
            profiles.at_intensity(option, grids[name], tier) if _has(option, tier) else option for option in options
        ]
        row, with_hardware = profiles.costs(moved)
        rows.append(row)
        embodied = embodied and with_hardware
    title = f"In other zones{_of(tier)}"
    if told.without(rows):
        return told.missing(title, told.without(rows))
    winners = [told.least(names, row) for row in rows]
    return told.answer(
        title,
        _ranking("zone", list(zip(zones, winners, strict=True)), rows),
        assumes=[told.hardware(embodied), "the same joules everywhere"],
        grid={
            "rows": zones,
            "columns": names,
            "values": [[each.value for each in row] for row in rows],
            "unit": told.named_unit(f"g/{asked.unit}"),
            "winner": [[winner] * len(names) for winner in winners],
        },
        table=told.table(
            ["zone", "grid intensity", *names, "least"],
            [[name, grids[name], *row, winner] for name, row, winner in zip(zones, rows, winners, strict=True)],
        ),
    )


def hour(asked: Table) -> dict[str, Any]:
    """`series`: zone -> a CSV of its intensity by the hour; `tier` where only one of the tiers moves."""
    options, tier = asked.options(), asked.tier()
    _known(options, tier)
    series = {name: by_hour_of_day(read(asked, "series", name)) for name in asked.mapping("series")}
    names = [option.name for option in options]
    values: list[list[float | None]] = []
    winners: list[list[str]] = []
    for hours in series.values():
        here: list[float | None] = []
        least: list[str] = []
        for intensity in hours:
            if intensity is None:
                here.append(None)
                least.append("")
                continue
            row = profiles.costs(
                [profiles.at_intensity(option, intensity, tier) if _has(option, tier) else option for option in options]
            )[0]
            if told.without([row]):
                return told.missing("By zone and hour", told.without([row]))
            here.append(min(each.value for each in row if each.value is not None))
            least.append(told.least(names, row))
        values.append(here)
        winners.append(least)
    known = [(v, name, h) for name, row in zip(series, values, strict=True) for h, v in enumerate(row) if v is not None]
    if not known:
        return told.missing("By zone and hour", "the series hold no hour")
    (low, where, when), (high, worst, then) = min(known), max(known)
    unit = told.named_unit(f"g/{asked.unit}")
    choices = sorted({name for row in winners for name in row if name})
    return told.answer(
        f"By zone and hour{_of(tier)}",
        f"Least in {where} at {when:02d}:00 UTC, {told.number(low)} {unit}; most in {worst} at {then:02d}:00, "
        f"{told.number(high)}. {' and '.join(choices)} {'is' if len(choices) == 1 else 'are each'} the least "
        f"{'at every hour' if len(choices) == 1 else 'at some hour'}.",
        assumes=["each hour of the day is the mean of that hour in the series", "the same joules at every hour"],
        grid={
            "rows": list(series),
            "columns": [f"{h:02d}" for h in range(_HOURS)],
            "values": values,
            "unit": unit,
            "winner": winners,
        },
    )


def pue(asked: Table) -> dict[str, Any]:
    """`values`, and `tier` where only one of the tiers has it."""
    values, tier = asked.numbers("values", [1.0, 1.1, 1.2, 1.4, 1.6, 2.0]), asked.tier()
    _known(asked.options(), tier)
    return _over(
        asked, "Under other PUEs", "PUE", "", values, lambda p, v: profiles.at_pue(p, v, tier) if _has(p, tier) else p
    )


def network(asked: Table) -> dict[str, Any]:
    """`values`: kWh per GB."""
    values = asked.numbers("values", [0.001, 0.01, 0.05, 0.1, 0.2])
    if all(option.link is None for option in asked.options()):
        return told.missing(
            "Over other networks", "no option tells bytes between tiers: label spans with network_bytes"
        )
    return _over(
        asked, "Over other networks", "network energy", "kWh/GB", values,
        lambda p, v: p if p.link is None else profiles.over(p, v),
    )  # fmt: skip


def _over(asked: Table, title: str, name: str, unit: str, values: list[float], change: Any) -> dict[str, Any]:  # noqa: ANN401 -- a flips.Change
    options = asked.options()
    names = [option.name for option in options]
    lines, rows, embodied = told.over(options, values, change)
    if told.without(rows):
        return told.missing(title, told.without(rows))
    winners = [told.least(names, row) for row in rows]
    pairs = [(told.number(value), winner) for value, winner in zip(values, winners, strict=True)]
    return told.answer(
        title,
        _ranking(name, pairs, rows),
        assumes=[told.hardware(embodied), "the same joules of IT"],
        x=told.axis(name, unit, values),
        lines=lines,
        table=told.table(
            [name, *names, "least"],
            [[value, *row, winner] for value, row, winner in zip(values, rows, winners, strict=True)],
        ),
    )


def intensity_of(zone_name: str, asked: Table) -> Quantity:
    """The intensity of a zone, of the kind that the comparison has. Raises UsageError, GridError."""
    kinds = {key: value for key, value in asked.comparison.rules.site.items() if key in ("kind", "scope")}
    site = grid.located({"zone": zone_name, **kinds})
    if site.intensity is None:
        msg = f"no intensity of {zone_name} is known"
        raise UsageError(msg)
    return site.intensity


def read(asked: Table, key: str, name: str) -> tuple[Hour, ...]:
    """A CSV of intensities: `kind` and `scope` say of what, where they are stated."""
    kinds: Mapping[str, str] = {k: asked.text(k) for k in ("kind", "scope") if asked.has(k)}
    where = asked.mapping(key)[name]
    if not isinstance(where, str):
        msg = f"{key}.{name} {where!r} is no path of a CSV"
        raise UsageError(msg)
    return intensity_csv.read(asked.folder / where, str(declared(kinds.get("kind"), scope=kinds.get("scope"))))


def by_hour_of_day(hours: tuple[Hour, ...]) -> list[Quantity | None]:
    """The mean of each hour of the day, UTC; None where the series has none."""
    found: list[list[Quantity]] = [[] for _ in range(_HOURS)]
    for one in hours:
        found[dt.datetime.fromtimestamp(one.start_ns / 1e9, dt.UTC).hour].append(one.intensity)
    return [total(each, "g/kWh").scaled(1.0 / len(each)) if each else None for each in found]


def _has(option: Profile, tier: str | None) -> bool:
    """Whether a tier is one of the option's; what has none of it stays as it is."""
    return (
        tier is None or any(leg.tier == tier for leg in option.legs) or (tier == "network" and option.link is not None)
    )


def _known(options: list[Profile], tier: str | None) -> None:
    if not any(_has(option, tier) for option in options):
        tiers = dict.fromkeys(str(leg.tier) for option in options for leg in option.legs if leg.tier)
        msg = f"no option has a tier {tier!r}: there is {', '.join(tiers) or 'none stated'}"
        raise UsageError(msg)


def _ranking(what: str, pairs: list[tuple[str, str]], rows: Sequence[Sequence[Quantity]]) -> str:
    """Who has the least at each value, by the middle values, and where that is not sure."""
    winners = list(dict.fromkeys(winner for _, winner in pairs))
    unsure = [at for (at, _), row in zip(pairs, rows, strict=True) if not told.sure(row)]
    doubt = f" Not distinguishable from another at {', '.join(unsure)}." if unsure else ""
    if len(winners) == 1:
        return f"{winners[0]} has the least gCO2e at every {what} asked, by the middle values.{doubt}"
    each = "; ".join(f"{name} in {', '.join(at for at, winner in pairs if winner == name)}" for name in winners)
    return f"The ranking depends on the {what}. Least, by the middle values: {each}.{doubt}"


def _of(tier: str | None) -> str:
    return "" if tier is None else f", the {tier} tier alone"


ANSWERS = {"zone": zone, "hour": hour, "pue": pue, "network": network}
