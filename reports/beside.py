"""What a report shows beside the books, as tables: footprint, other covers, training, margins, the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from greengen.reports import footprint, words
from greengen.reports import format as fmt
from greengen.reports.section import Cell, Column, Section

Document = Mapping[str, Any]

_NO_TRACE = "no trace"


def sections(document: Document, most: int | None = None) -> list[Section]:
    """Those that were asked for, and found. `most` rows of each, those with the most joules; None: all."""
    made = (
        footprint.section(document),
        _covers(document),
        _training(document),
        _marginal(document, most),
        _network(document, most),
    )
    return [section for section in made if section is not None]


def _covers(document: Document) -> Section | None:
    rows = document.get("remainders")
    if not rows:
        return None
    return Section(
        id="covers",
        title="Two ways to know a total",
        lead="A meter around others, and what those sum to. The rest is what only the outer one reads, and the errors "
        "of both: it may be negative, and it is in no account.",
        columns=(
            Column("meter", number=False),
            Column("it read"),
            Column("its parts", number=False),
            Column("they sum to"),
            Column("the rest", bounds=True),
        ),
        rows=[
            (
                row["name"],
                row["energy_j"],
                ", ".join(words.graded(part["name"], part["grade"]) for part in row["parts"]),
                row["parts_j"],
                row["remainder_j"],
            )
            for row in rows
        ],
        notes=tuple(f"{row['name']}: over {fmt.seconds(row['seconds'])} in which all were read." for row in rows),
    )


def _training(document: Document) -> Section | None:
    rows = [row for row in document["models"] if "training_requests" in row]
    if not rows:
        return None
    # Grams where a grid was stated: the provider's score, in no sum with what requests cost.
    grams = any((row.get("training_g_per_request") or {}).get("value") is not None for row in rows)
    return Section(
        id="training",
        title="Training, amortised",
        lead="Each model's training over the stated requests of its lifetime. No request's energy holds any of it.",
        columns=(
            Column("model", number=False),
            Column("training"),
            Column("over requests"),
            Column("training per request", bounds=True),
            *([Column("CO2e per request")] if grams else []),
            Column("grade", number=False),
        ),
        rows=[
            (
                row["model"],
                row["training_j"],
                row["training_requests"],
                row["training_j_per_request"],
                *([row["training_g_per_request"]] if grams else []),
                words.grades(row["training_j"]) or "not known",
            )
            for row in rows
        ],
        notes=tuple(f"{row['model']}: training recorded in {row['training_source']}" for row in rows),
    )


def _marginal(document: Document, most: int | None) -> Section | None:
    table = document.get("marginal")
    if table is None:
        return None
    rows = sorted(table["requests"], key=lambda row: -(row["marginal_j"]["value"] or 0.0))
    shown = rows if most is None else rows[:most]
    sums = table["sums"]
    notes = [*_engines(table)]
    if sums["marginal_j"]["value"] is not None:
        one, other = (_rounded(sums[key]["value"]) for key in ("marginal_j", "attributed_j"))
        said = f"{fmt.count(sums['requests'])} margins sum to {one}; to the same requests were attributed {other}."
        notes.insert(0, said)
    reasons = dict.fromkeys(row["marginal_j"]["reason"] for row in rows if row["marginal_j"]["value"] is None)
    notes += [f"Not known: {reason}" for reason in list(reasons)[:3]]
    left = len(rows) - len(shown) + table["requests_left_out"]
    notes += [f"{fmt.count(left)} more are not shown." for _ in range(bool(left))]
    return Section(
        id="marginal",
        title="Marginal energy (leave one out)",
        lead=table["note"],
        columns=(
            Column("request", number=False),
            Column("model", number=False),
            Column("steps"),
            Column("alone in"),
            Column("attributed, in steps"),
            Column("marginal", bounds=True),
        ),
        rows=[
            (
                row["id"],
                row["model"] or "no model",
                row["steps"],
                row["steps_alone"],
                row["attributed_j"],
                row["marginal_j"],
            )
            for row in shown
        ],
        foot=[
            (
                "sum",
                f"{fmt.count(sums['requests'])} requests",
                "not summed",
                "not summed",
                sums["attributed_j"],
                sums["marginal_j"],
            )
        ],
        notes=tuple(notes),
    )


def _engines(table: Mapping[str, Any]) -> Iterator[str]:
    for engine in table["engines"]:
        if engine["scale_j"] is None:
            continue
        price = {name: fmt.number(value * engine["scale_j"]) for name, value in engine["coefficients"].items()}
        cost = (
            f"{price['fixed']} J, and {price['prefill']} J, {price['decode']} J and {price['context']} J "
            "for each token computed, written and cached"
        )
        origin = "fitted from the run" if engine["origin"] == "fitted" else "given, and scaled to what was metered"
        predicted = _rounded(engine["predicted_j"])
        yield (
            f"{engine['engine']}: a step costs {cost} ({origin}). On {', '.join(engine['domains'])} its steps cost "
            f"{_rounded(engine['steps_j']['value'])} as metered, {predicted} by this cost."
        )


def _rounded(joules: float | None) -> str:
    return fmt.value({"value": joules, "unit": "J"})


def _network(document: Document, most: int | None) -> Section | None:
    network = document.get("network")
    if network is None or (network["bytes"] is None and network["kwh_per_gb"] is None):
        return None
    price = network["kwh_per_gb"]
    shown = {trace["trace_id"]: trace["network"] for trace in document.get("traces", ()) if "network" in trace}
    rows = sorted(shown.items(), key=lambda item: -(item[1]["bytes"] or 0))
    rows = rows if most is None else rows[:most]
    stated = "no energy per byte was stated" if price is None else f"{fmt.number(price)} kWh/GB, as declared"
    notes = [network["energy_j"]["note"]] if network["energy_j"].get("note") else []
    notes += [f"Not measured: {network['energy_j']['reason']}"] if network["energy_j"]["value"] is None else []
    return Section(
        id="network",
        title="Network, in no total",
        lead=f"The bytes that spans tell, at {stated}. No meter of a tier reads them, so they are in no account.",
        columns=(
            Column("trace", number=False),
            Column("bytes"),
            Column("energy", bounds=True),
            Column("grade", number=False),
        ),
        rows=[_line(trace or _NO_TRACE, line) for trace, line in rows],
        foot=[_line(f"all {fmt.count(network['spans'])} spans that tell bytes", network)],
        notes=tuple(notes),
    )


def _line(name: str, line: Mapping[str, Any]) -> tuple[Cell, ...]:
    told = "not told" if line["bytes"] is None else line["bytes"]
    return name, told, line["energy_j"], words.grades(line["energy_j"]) or "not known"
