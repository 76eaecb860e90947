"""The tables of a comparison page: options, repeats, sources, sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from greengen.reports import format as fmt
from greengen.reports import scaled
from greengen.reports.comparison_figures import Document, Option, per
from greengen.reports.section import Column, Section

_ENERGY = (
    ("energy_j", "energy"),
    ("energy_j_per_output_token", "energy per output token"),
    ("carbon_operational_g", "CO₂e operational"),
    ("carbon_embodied_g", "CO₂e embodied"),
    ("carbon_total_g", "CO₂e total"),
    ("water_l", "water"),
)


def costs(document: Document) -> Section:
    """What each option costs: joules, grams, litres, and its ratio to the baseline."""
    metric, unit = document["verdict"]["metric"], per(document)
    options = document["options"]
    columns = {key: scaled.together([option[key] for option in options]) for key, _ in _ENERGY}
    name = next((m["name"] for m in document["metrics"] if m["id"] == metric), metric)
    heads = [title if "per" in title else f"{title} per {unit}" for _, title in _ENERGY]
    return Section(
        id="costs",
        title=f"What one {unit} costs",
        lead="",
        columns=(
            Column("option", number=False),
            Column(f"{name}: ratio to {fmt.shortened(document['baseline'], 24)}"),
            *map(Column, heads),
        ),
        rows=[
            (option["name"], _ratio(option, metric), *(columns[key][i] for key, _ in _ENERGY))
            for i, option in enumerate(options)
        ],
    )


def _ratio(option: Option, metric: str) -> Any:  # noqa: ANN401 -- a cell
    return "baseline" if option["baseline"] else option["ratio"].get(metric) or _none("not compared")


def _none(reason: str) -> dict[str, Any]:
    return {"value": None, "unit": "", "reason": reason}


def services(document: Document) -> Section:
    """What each option gives for it: latency, deadlines, quality, throughput, and how often it was recorded."""
    options = document["options"]
    latencies = {
        key: scaled.together([_latency(option, key) for option in options]) for key in ("p50_s", "p95_s", "p99_s")
    }
    late = any(option["latency"].get("deadline_s") for option in options)
    deadline = next((o["latency"]["deadline_s"] for o in options if o["latency"].get("deadline_s")), 0.0)
    titles = ["latency p50", "p95", "p99"] + ([f"later than {fmt.seconds(deadline)}"] if late else [])
    return Section(
        id="services",
        title="What one gets for it",
        lead="",
        columns=(
            Column("option", number=False),
            *map(Column, titles),
            Column(_quality_title(options)),
            Column("repeats (n)"),
            Column(f"{document['unit']['name']}s in all"),
            Column("origin", number=False),
        ),
        rows=[
            (
                option["name"],
                *(latencies[key][i] for key in latencies),
                *([_missed(option)] if late else []),
                _quality(option),
                option["n"],
                _units(option["units"]),
                _origin(option),
            )
            for i, option in enumerate(options)
        ],
    )


def _latency(option: Option, key: str) -> Mapping[str, Any]:
    latency = option["latency"]
    return latency.get(key) or _none(latency.get("reason") or "no latency is known")


def _missed(option: Option) -> Any:  # noqa: ANN401 -- a cell
    share = option["latency"].get("missed_share")
    if not share or share["value"] is None:
        return share or _none("no deadline, or no latency, is known")
    ends = {end: 100 * share[end] for end in ("value", "low", "high") if share.get(end) is not None}
    return dict(share) | ends | {"unit": "%"}


def _quality_title(options: Sequence[Option]) -> str:
    """What quality is measured by, and which way is better where that is not up."""
    known = next((o["quality"] for o in options if o["quality"].get("value") is not None), None)
    if known is None:
        return "quality"
    return f"{known.get('metric') or 'quality'}{'' if known.get('higher_is_better', True) else ' (lower is better)'}"


def _quality(option: Option) -> Any:  # noqa: ANN401 -- a cell
    quality = option["quality"]
    if quality.get("value") is None:
        return _none(str(quality.get("reason") or "quality unknown"))
    ends = {end: quality.get(end) for end in ("low", "high")}
    return {"value": quality["value"], **ends, "unit": "", "grade": "declared", "unsure": "no interval"}


def _units(units: float | None) -> str:
    if units is None:
        return "not known"
    return fmt.count(int(units)) if units == int(units) else fmt.number(units)


def _origin(option: Option) -> str:
    share = option.get("declared_share")
    what = "joules are declared" if option["carbon_operational_g"]["value"] is None else "grams rest on declared energy"
    declared = f"; {fmt.percent(share)} of its {what}" if share else ""
    return f"{option['origin']}{declared}"


def tiers(document: Document) -> Section | None:
    """What each tier of each option takes; None where no request crosses tiers."""
    rows = [(option, part) for option in document["options"] for part in option["tiers"] if part["tier"]]
    if all(len(option["tiers"]) < 2 for option in document["options"]):  # noqa: PLR2004 -- one tier is the whole
        return None
    joules = scaled.together([part["energy_j"] for _, part in rows])
    grams = scaled.together([part["carbon_operational_g"] for _, part in rows])
    return Section(
        id="tiers",
        title=f"Tier by tier, per {per(document)}",
        lead="",
        columns=(
            Column("option", number=False),
            Column("tier", number=False),
            Column("energy"),
            Column("CO₂e operational"),
            Column("share of CO₂e"),
            Column("site", number=False),
        ),
        rows=[
            (
                option["name"],
                str(part["tier"] or "not stated"),
                joule,
                gram,
                "not known" if part.get("share_of_carbon") is None else fmt.percent(part["share_of_carbon"]),
                _where(part.get("site")),
            )
            for (option, part), joule, gram in zip(rows, joules, grams, strict=True)
        ],
    )


def _where(given: Mapping[str, Any] | None) -> str:
    if not given:
        return "not stated"
    pue = "not given" if given.get("pue") is None else f"{given['pue']:g}"
    return f"{given.get('zone') or 'no zone'}, PUE {pue}"


def site(given: Mapping[str, Any] | None) -> str:
    """A site in a line: zone, intensity with its source, PUE, hardware."""
    if not given:
        return "not stated"
    parts = [f"zone {given['zone']}" if given.get("zone") else "no zone"]
    intensity = given.get("intensity")
    if intensity and intensity["value"] is not None:
        parts.append(f"grid {scaled.told(intensity)}")
    parts.append("PUE not given" if given.get("pue") is None else f"PUE {given['pue']:g}")
    if given.get("wue") and given["wue"]["value"] is not None:
        parts.append(f"WUE {scaled.told(given['wue'])}")
    parts += [_hardware(part) for part in given.get("hardware") or ()]
    return "; ".join(parts)


def _hardware(part: Mapping[str, Any]) -> str:
    made, life = part.get("made_g"), part.get("lifetime_y")
    told = [f"{part.get('count', 1)} × {part['name']}"]
    told += [f"made at {scaled.told(made)}"] if made and made["value"] is not None else []
    told += [f"over {scaled.told(life)}"] if life and life["value"] is not None else []
    told += [f"in use {fmt.percent(part['utilisation'])} of it"] if part.get("utilisation") is not None else []
    return " ".join(told)


def repeats(document: Document) -> Section:
    """Each repeat of each option: what the statistics are made of."""
    rows = [(option["name"], repeat) for option in document["options"] for repeat in option["repeats"]]
    joules = scaled.together([repeat["energy_j"] for _, repeat in rows])
    grams = scaled.together([repeat["carbon_total_g"] for _, repeat in rows])
    unit = per(document)
    return Section(
        id="repeats",
        title="Every repeat",
        lead="",
        columns=(
            Column("option", number=False),
            Column("run", number=False),
            Column("order"),
            Column("host", number=False),
            Column(f"{unit}s"),
            Column("length"),
            Column(f"energy per {unit}"),
            Column(f"CO₂e per {unit}"),
        ),
        rows=[
            (
                name,
                str(repeat["run"]),
                "not known" if repeat.get("order") is None else int(repeat["order"]),
                str(repeat.get("host") or "not known"),
                _units(repeat["units"]),
                fmt.seconds(repeat["seconds"]),
                joule,
                gram,
            )
            for (name, repeat), joule, gram in zip(rows, joules, grams, strict=True)
        ],
    )


def sources(document: Document) -> Section | None:
    """Every factor with its value, source and date."""
    rows = document["sources"]
    if not rows:
        return None
    return Section(
        id="factors",
        title="Factors, their sources and dates",
        lead="",
        columns=tuple(Column(name, number=name == "value") for name in ("factor", "value", "source", "date", "of")),
        rows=[
            (
                str(row["what"]),
                row["value"] or "of each option",
                str(row["source"]),
                str(row.get("year") or "not stated"),
                _all_or(row.get("options") or (), document["options"]),
            )
            for row in rows
        ],
    )


def _all_or(names: Sequence[str], options: Sequence[Option]) -> str:
    return "all options" if len(names) == len(options) else ", ".join(map(str, names))
