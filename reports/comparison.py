"""A comparison as lines, tables and lists: the same in the terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from greengen.reports import format as fmt
from greengen.reports.section import Cell, Column, Section

Document = Mapping[str, Any]

#: Metrics by a name that a narrow table has room for.
_SHORT = {"energy_per_output_token": "per token", "carbon_operational": "CO2e, use"}

#: Of the repeats, so many are listed.
_REPEATS = 40

#: Of the options without an interval, so many are named.
_UNSURE = 5


def summary(document: Document) -> list[str]:
    """The verdict first, then per what it is told and what it covers."""
    verdict, boundary = document["verdict"], document["boundary"]
    told = [f"Per {document['unit']['name']}", f"boundary: {boundary['name']} ({boundary['holds']})"]
    told += [f"idle time: {boundary['idle']}", *([f"grams: {document['basis']}"] if document["basis"] else [])]
    told += [f"baseline: {document['baseline']}"]
    return [verdict["headline"], f"{'; '.join(told)}. A {verdict['screening']}."]


def sections(document: Document) -> Iterator[Section]:
    """The options, how they compare, latencies, tiers, repeats."""
    rows = document["options"]
    yield _options(document, rows)
    yield _ratios(document, rows)
    if any(row["latency"]["requests"] for row in rows):
        yield _latencies(rows)
    if any(len(row["tiers"]) > 1 for row in rows):
        yield _tiers(rows)
    if any(row["repeats"] for row in rows):
        yield _repeats(rows)


def lists(document: Document) -> Iterator[tuple[str, Sequence[str]]]:
    """(title, lines) of what is to be known with it."""
    told = {
        "What to know with it": document["verdict"]["caveats"],
        "Order and drift": [
            *(each["told"] for each in document["order"]),
            *(each["told"] for each in document["drift"]),
        ],
        "What if": [item["words"] for item in document["what_if"] if item.get("words")],
        "Warnings": document["warnings"],
        "Method": document["method"],
        "Sources": [_source(each) for each in document["sources"]],
        "Not covered": [f"{gone['what']}: {gone['why']}" for gone in document["boundary"]["not_covered"]],
    }
    for title, items in told.items():
        if items:
            yield title, items


def _options(document: Document, rows: Sequence[Document]) -> Section:
    keys = {"energy": "energy_j", "per output token": "energy_j_per_output_token", "CO2e, use": "carbon_operational_g"}
    more = {"CO2e, making": "carbon_embodied_g", "CO2e": "carbon_total_g", "water": "water_l"}
    # A column of which nothing is known says why below, once.
    shown = keys | {title: key for title, key in more.items() if any(row[key]["value"] is not None for row in rows)}
    if document["unit"]["id"] == "output_token":
        shown.pop("per output token")
    missing = {
        f"{title}: {row[key]['reason']}."
        for title, key in (keys | more).items()
        for row in rows
        if row[key]["value"] is None
    }
    columns = [Column("option", number=False), Column("n"), *(Column(title) for title in shown), Column("quality")]
    columns.append(Column("grade", number=False))
    return Section(
        "options",
        "Options",
        f"Means over repeats with 95 % intervals, per {document['unit']['name']}.",
        tuple(columns),
        [
            [
                row["name"],
                row["n"],
                *(_figure(row[key]) for key in shown.values()),
                _quality(row),
                row["energy_j"].get("grade", ""),
            ]
            for row in rows
        ],
        notes=(*_measured_by(rows), *_unsure(rows), *sorted(missing)),
    )


def _ratios(document: Document, rows: Sequence[Document]) -> Section:
    others = [row for row in rows if not row["baseline"]]
    shown = [m for m in document["metrics"] if any(r["ratio"][m["id"]]["value"] is not None for r in others)]
    if document["unit"]["id"] == "output_token":
        shown = [metric for metric in shown if metric["id"] != "energy_per_output_token"]
    columns = (Column("option", number=False), Column("of", number=False), Column("ratio", bounds=True))
    return Section(
        "ratios",
        f"Against {document['baseline']}",
        "Below 1 is less. An interval that holds 1 distinguishes nothing.",
        (*columns, Column("P(less)"), Column("verdict", number=True)),
        [
            [
                row["name"],
                _SHORT.get(metric["id"], metric["name"]),
                row["ratio"][metric["id"]],
                _likely(row["ratio"][metric["id"]]["p_better"]),
                row["ratio"][metric["id"]]["verdict"],
            ]
            for row in others
            for metric in shown
            if row["ratio"][metric["id"]]["value"] is not None
        ],
        notes=tuple(document["verdict"]["sentences"]),
    )


def _latencies(rows: Sequence[Document]) -> Section:
    told = [row for row in rows if row["latency"]["requests"]]
    deadline = next((row["latency"]["deadline_s"] for row in told), None)
    columns = [Column("option", number=False), Column("requests"), Column("p50"), Column("p95"), Column("p99")]
    columns += [Column(f"over {fmt.seconds(deadline)}")] if deadline is not None else []
    return Section(
        "latency",
        "Latency",
        "Of requests, from start to end; a failed one has missed its deadline.",
        tuple(columns),
        [
            [
                row["name"],
                row["latency"]["requests"],
                *(_figure(row["latency"][key]) for key in ("p50_s", "p95_s", "p99_s")),
                *([_share(row["latency"]["missed_share"])] if deadline is not None else []),
            ]
            for row in told
        ],
    )


def _tiers(rows: Sequence[Document]) -> Section:
    return Section(
        "tiers",
        "Tiers",
        "What each tier has of a request that crosses them.",
        (
            Column("option", number=False),
            Column("tier", number=False),
            Column("energy"),
            Column("CO2e, use"),
            Column("of it"),
        ),
        [
            [
                row["name"],
                tier["tier"] or "not stated",
                _figure(tier["energy_j"]),
                _figure(tier["carbon_operational_g"]),
                "" if tier["share_of_carbon"] is None else fmt.percent(tier["share_of_carbon"]),
            ]
            for row in rows
            for tier in row["tiers"]
        ],
    )


def _repeats(rows: Sequence[Document]) -> Section:
    every = [(row, repeat) for row in rows for repeat in row["repeats"]]
    every.sort(key=lambda pair: (pair[1]["host"], pair[1]["order"] is None, pair[1]["order"] or 0))
    left = len(every) - _REPEATS
    return Section(
        "repeats",
        "Repeats, in the order of recording",
        "",
        (Column("option", number=False), Column("run", number=False), Column("order"), Column("energy"), Column("p50")),
        [
            [
                row["name"],
                repeat["run"],
                "not known" if repeat["order"] is None else repeat["order"],
                _figure(repeat["energy_j"]),
                fmt.seconds(repeat["latency_p50_s"]),
            ]
            for row, repeat in every[:_REPEATS]
        ],
        notes=(f"and {fmt.count(left)} more",) if left > 0 else (),
    )


def _figure(of: Mapping[str, Any]) -> str:
    """A figure with its interval, and without its "per": the table says per what."""
    return fmt.quantity(dict(of) | {"unit": str(of["unit"]).partition("/")[0]})


def _quality(row: Document) -> Cell:
    quality = row["quality"]
    if quality["value"] is None:
        return "quality unknown"
    if quality.get("low") is None:
        return f"{quality['value']:.4g}, no interval"
    return fmt.quantity(quality | {"unit": ""})


def _measured_by(rows: Sequence[Document]) -> list[str]:
    """What quality is, where it is known."""
    known = next((row["quality"] for row in rows if row["quality"]["value"] is not None), None)
    if known is None:
        return []
    return [f"Quality: {known['metric']}, {'higher' if known['higher_is_better'] else 'lower'} is better; declared."]


def _unsure(rows: Sequence[Document]) -> list[str]:
    """Whose energy has no interval."""
    names = [row["name"] for row in rows if row["energy_j"]["value"] is not None and row["energy_j"].get("low") is None]
    left = len(names) - _UNSURE
    more = f" and {left} more" if left > 0 else ""
    return [f"Not known is the interval of {', '.join(names[:_UNSURE])}{more}."] if names else []


def _likely(p: float | None) -> str:
    return "not told" if p is None else fmt.percent(p)


def _share(of: Mapping[str, Any]) -> str:
    return fmt.NOT_MEASURED if of["value"] is None else fmt.percent(of["value"])


def _source(of: Mapping[str, Any]) -> str:
    value = fmt.quantity(of["value"]) if of["value"] else ""
    options = of["options"]
    told = ", ".join(options[:3]) + (f" and {len(options) - 3} more" if len(options) > 3 else "")  # noqa: PLR2004 -- so many are named
    return " ".join(part for part in (f"{of['what']}:", value, of["source"], of["year"], f"({told})") if part)
