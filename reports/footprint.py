"""The footprint of a run as a table: what it emitted by running and by being made, per request, and its water."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from greengen.reports import format as fmt
from greengen.reports import words
from greengen.reports.section import Cell, Column, Section

Told = Mapping[str, Any]

_LEAD = "Over all energy of the run, idle time included. What was not stated is not measured, and in no sum."

#: Keys of the document, and what they are called.
_ROWS = (
    ("operational_g", "operational CO2e"),
    ("embodied_g", "embodied CO2e"),
    ("total_g", "operational and embodied"),
    ("water_on_site_l", "water, on site"),
    ("water_off_site_l", "water of generation"),
    ("network_g", "CO2e of the network, apart"),
    ("device_g", "CO2e of the waiting device"),
    ("market_g", "market-based CO2e, apart"),
    ("per_1000_queries_wh", "energy per 1000 queries"),
)
#: Shown only where they were asked for.
_ASKED = {
    "water_on_site_l": "wue",
    "water_off_site_l": "water_offsite",
    "device_g": "device_w",
    "network_g": "network",
    "market_g": "matching",
}


def section(document: Told) -> Section | None:
    """The table, where anything of a site was stated."""
    told = document.get("footprint")
    if not told or not told["asked"]:
        return None
    several = len(document["models"]) > 1
    rows: list[tuple[Cell, ...]] = [
        _row(name, told[key]) for key, name in _ROWS if key not in _ASKED or told[_ASKED[key]] is not None
    ]
    if told["widened"] is not None:
        rows.insert(1, _row(f"the same, {told['widened']['to']}", told["widened"]["operational_g"]))
    rows += [_row(f"SCI per {words.unit(each['unit'])}", each["score_g"]) for each in told["sci"]]
    rows += [_row(f"training of {each['model']}, apart", each["score_g"]) for each in told["ai"]["provider"]]
    return Section(
        id="footprint",
        title="Footprint",
        lead=_LEAD,
        columns=(Column("figure", number=False), Column("value", bounds=True), Column("grade", number=False)),
        rows=rows,
        notes=(
            *_notes(told, pue=document["factors"]["pue"] is not None),
            *([f"Models beside one another: {words.SCREENING}."] if several else []),
        ),
    )


def _row(name: str, quantity: Told) -> tuple[Cell, ...]:
    # The name says per what; of a mixed figure, the share that is known worst.
    shown = dict(quantity) | {"unit": quantity["unit"].partition("/")[0]}
    return name, shown, words.grades(quantity).rpartition(", ")[2] or "not known"


def _notes(told: Told, *, pue: bool) -> Iterator[str]:
    if told["boundary"]:
        yield f"Boundary: {told['boundary']}, {told['boundary_holds']}."
    for one in told["hardware"]:
        use = "" if one["utilisation"] is None else f", in use {fmt.percent(one['utilisation'])} of it"
        part = "" if one["share"] == 1 else f", {fmt.percent(one['share'])} of each"
        yield (
            f"{one['count']:g} x {one['name']}{part}: {fmt.quantity(one['made_g'])} each, over "
            f"{fmt.quantity(one['lifetime_y'])}{use} ({one['source']})."
        )
    if len({place["tier"] for place in told["pue_on"]}) > 1:
        on = ", ".join(f"{place['name']} ({place['tier'] or 'no stated tier'})" for place in told["pue_on"])
        yield f"PUE is on {on}."
    if pue:
        for place in told["pue_not_on"]:
            yield f"PUE is not on {place['name']}: {place['why']}."
    if told["widened"] is not None:
        by = ", ".join(f"{name} {fmt.number(by)}" for name, by in told["widened"]["multipliers"].items())
        yield f"To the boundary {told['widened']['to']} by stated multipliers: {by}."
    if told["market_g"]["value"] is not None:
        yield f"Market-based: {told['market_g']['note']}; beside the location-based figure, and in no sum with it."
    if told["network"] is not None and told["network_g"]["value"] is not None:
        yield f"Network: {told['network']}, by its power; no tier's meter reads it, so it is in no sum."
    if told["ai"]["provider"]:
        yield "Training is the provider's score of SCI for AI, which is never added to what using a model costs."
    yield from (f"Not counted: {problem}." for problem in told["wrong_labels"])
    reasons = dict.fromkeys(
        told[key]["reason"]
        for key in ("embodied_g", "operational_g", *(key for key, asked in _ASKED.items() if told[asked] is not None))
        if told[key]["value"] is None
    )
    yield from (f"Not measured: {reason}." for reason in reasons)
