"""The figures of a comparison: what each shows of the document, in words, as a drawing and as a table.

A figure whose data is not in the document is not drawn, and says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from greengen.reports import comparison_bars as bars
from greengen.reports import drawing, scaled
from greengen.reports import format as fmt
from greengen.reports.section import Column, Section

Document = Mapping[str, Any]
Option = Mapping[str, Any]

#: So many options are drawn in one figure; all of them are in the tables.
MOST = 10
#: Widths that a figure is drawn for, px: beside or above its words, and on a telephone.
WIDE, NARROW = 680.0, 330.0

Chart = Callable[[float], tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing in two widths with its words and its numbers. missing: why there is none."""

    id: str
    title: str
    summary: Sequence[str] = ()
    wide: str = ""
    narrow: str = ""
    table: Section | None = None
    missing: str = ""


def drawn(identity: str, title: str, summary: Sequence[str], chart: Chart, table: Section) -> Figure:
    """A figure of a chart, which is drawn once for each width."""
    made: list[str] = []
    for width, class_ in ((WIDE, "wide"), (NARROW, "narrow")):
        inside, height = chart(width)
        made.append(drawing.figure(inside, width, height, title, f"{identity}-summary", class_))
    wide, narrow = made
    return Figure(identity, title, list(summary), wide, narrow, table)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Section:
    """The numbers of a figure; the first column names the row."""
    # A heading is a button that sorts, which needs a name.
    heads = tuple(Column(column or "what", number=i > 0) for i, column in enumerate(columns))
    return Section(id="", title=title, lead="", columns=heads, rows=list(rows))


def chosen(document: Document, most: int = MOST) -> tuple[list[Option], list[str]]:
    """The options that are drawn, in their order, and a line on those that are not.

    Where they are many: the baseline, the best, and those with the least energy per unit.
    """
    options = document["options"]
    if len(options) <= most:
        return list(options), []
    best = document["verdict"].get("best")

    def rank(i: int) -> tuple[bool, bool, float]:
        energy = options[i]["energy_j"]["value"]
        kept = options[i]["baseline"] or options[i]["name"] == best
        return not kept, energy is None, energy or 0.0

    keep = sorted(sorted(range(len(options)), key=rank)[:most])
    left = fmt.count(len(options) - most)
    note = f"Drawn are the baseline, the best and those with the least energy per unit; {left} more are in the tables."
    return [options[i] for i in keep], [note]


def colours(document: Document) -> dict[str, int]:
    """The style of each option, the same in every figure that has room for all of them."""
    return {option["name"]: i for i, option in enumerate(chosen(document)[0])}


def per(document: Document) -> str:
    """What a number is per: ``request``."""
    return str(document["unit"]["name"])


def extremes(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """The least and the most of named quantities, told."""
    known = sorted((row for row in rows if row[1]["value"] is not None), key=lambda row: row[1]["value"])
    if not known:
        return []
    (least, low), (most, high) = known[0], known[-1]
    if len(known) == 1:
        return [f"{fmt.printable(least)}: {scaled.told(low)}."]
    return [f"Least: {fmt.printable(least)}, {scaled.told(low)}.", f"Most: {fmt.printable(most)}, {scaled.told(high)}."]


def reason(quantities: Sequence[Mapping[str, Any]]) -> str:
    """Why the first of those that are missing is."""
    return next((str(q.get("reason") or "") for q in quantities if q["value"] is None), "")


def ratios(document: Document) -> Figure:
    """Each option over the baseline: the figure of the verdict."""
    metric = document["verdict"]["metric"]
    name = next((m["name"] for m in document["metrics"] if m["id"] == metric), metric)
    title = f"{str(name)[:1].upper()}{str(name)[1:]} per {per(document)}, over {fmt.printable(document['baseline'])}"
    options, notes = chosen(document)
    rows, cells = [], []
    for i, option in enumerate(options):
        ratio = option["ratio"].get(metric)
        ends = scaled.ends(ratio) if ratio else None
        if option["baseline"] or not ratio or ends is None or min(ratio["value"], *ends) <= 0:
            continue
        text = f"{fmt.quantity(ratio)}, {ratio['verdict']}"
        rows.append(bars.Stretch(option["name"], ratio["value"], *ends, text, i))
        cells.append((option["name"], ratio, ratio["verdict"], _sure(ratio)))
    if not rows:
        missing = [option["ratio"].get(metric) or {"value": None} for option in options if not option["baseline"]]
        return Figure("ratios", title, missing=reason(missing) or "there is nothing beside the baseline")
    axis = f"ratio to {fmt.shortened(document['baseline'], 16)}; left is less"

    def chart(width: float) -> tuple[str, float]:
        return bars.stretches(rows, 1.0, axis, width, log=True)

    summary = [
        "Left of the line is less than the baseline. Bars are 95 % intervals: one that crosses it decides nothing."
    ]
    numbers = table(title, ("option", "ratio", "verdict", "probability that it is lower"), cells)
    return drawn("ratios", title, summary + notes, chart, numbers)


def _sure(ratio: Mapping[str, Any]) -> str:
    share = ratio.get("p_better")
    return "not known" if share is None else fmt.percent(share)


def carbon(document: Document) -> Figure:
    """Grams per unit in their parts, with the interval of the total."""
    title = f"CO₂e per {per(document)}, in its parts"
    options, notes = chosen(document)
    keys = ["carbon_total_g", "carbon_operational_g", "carbon_embodied_g"]
    known = [option for option in options if option["carbon_total_g"]["value"] is not None]
    whole, heads = "carbon_total_g", ["option", "total", "operational", "embodied"]
    if not known:
        # Where nobody stated the hardware, the grams of use are what there is.
        whole, title, keys = keys[1], f"Operational CO₂e per {per(document)}, without any hardware", keys[1:2]
        known, heads = [option for option in options if option[whole]["value"] is not None], heads[:1] + heads[2:3]
    if not known:
        return Figure("carbon", title, missing=reason([option["carbon_total_g"] for option in options]))
    several = len({part["tier"] for option in known for part in option["tiers"]}) > 1
    kinds = {"operational": 0, "embodied": 1}
    flat = [option[key] for option in known for key in keys]
    flat += [part["carbon_operational_g"] for option in known for part in option["tiers"]]
    unit = scaled.unit_of(scaled.together(flat))
    same = dict(zip(map(id, flat), scaled.together(flat), strict=True))
    rows, cells = [], []
    for option in known:
        total = same[id(option[whole])]
        operational = [("operational", same[id(option["carbon_operational_g"])])]
        by_tier = [
            (f"operational, {p['tier']}" if p["tier"] else "operational", same[id(p["carbon_operational_g"])])
            for p in option["tiers"]
        ]
        if several and by_tier and all(q["value"] is not None for _, q in by_tier):
            operational = by_tier
        made = [("embodied", same[id(option[key])]) for key in keys[2:]]
        parts = [*operational, *made]
        shown = [(name, q) for name, q in parts if q["value"] is not None and q["value"] > 0]
        told = [
            (kinds.setdefault(name, len(kinds)), q["value"], f"{option['name']}, {name}: {scaled.told(q)}")
            for name, q in shown
        ]
        text = f"{scaled.bare(total)} ({fmt.interval(total)}), {total['grade']}"
        rows.append(bars.Bar(option["name"], told, scaled.ends(total), text))
        cells.append((option["name"], *(same[id(option[key])] for key in keys)))
    axis = f"{unit.partition('/')[0]} CO₂e per {per(document)}"
    used = {style for row in rows for style, _, _ in row.parts}
    styles = [(style, name) for name, style in kinds.items() if style in used]

    def chart(width: float) -> tuple[str, float]:
        return bars.stacked(rows, styles, axis, width)

    absent = [o["name"] for o in options if o[whole]["value"] is None]
    summary = extremes([(o["name"], same[id(o[whole])]) for o in known])
    summary += [f"Not known: {', '.join(map(fmt.printable, absent))}."] if absent else []
    summary.append("The whisker is the 95 % interval of the total.")
    numbers = table(title, heads, cells)
    return drawn("carbon", title, summary + notes, chart, numbers)


def energy(document: Document) -> Figure:
    """Joules per unit in their tiers, with the interval of the total."""
    title = f"Energy per {per(document)}"
    options, notes = chosen(document)
    known = [option for option in options if option["energy_j"]["value"] is not None]
    if not known:
        return Figure("energy", title, missing=reason([option["energy_j"] for option in options]))
    same = scaled.together([option["energy_j"] for option in known])
    rows = []
    for option, q in zip(known, same, strict=True):
        part = (0, q["value"], f"{option['name']}: {scaled.told(q)}")
        text = f"{scaled.bare(q)} ({fmt.interval(q)}), {q['grade']}"
        rows.append(bars.Bar(option["name"], [part], scaled.ends(q), text))
    axis = f"{scaled.unit_of(same).partition('/')[0]} per {per(document)}"

    def chart(width: float) -> tuple[str, float]:
        return bars.stacked(rows, [], axis, width)

    summary = [
        *extremes([(o["name"], q) for o, q in zip(known, same, strict=True)]),
        "The whisker is the 95 % interval.",
    ]
    numbers = table(title, ("option", "energy"), [(o["name"], q) for o, q in zip(known, same, strict=True)])
    return drawn("energy", title, summary + notes, chart, numbers)


def accounts(document: Document, key: str) -> Figure:
    """Joules of the whole recordings per unit, by account or by device. key: "accounts" or "domains"."""
    by_device = key == "domains"
    title = f"Joules by {'device' if by_device else 'account'}, per {per(document)}"
    options, notes = chosen(document)
    known = [o for o in options if any(row["energy_j"]["value"] is not None for row in o[key])]
    identity = "devices" if by_device else "accounts"
    if not known:
        return Figure(identity, title, missing="no option was recorded here, so there are no books to show")
    flat = [row["energy_j"] for option in known for row in option[key]]
    same = scaled.together(flat)
    unit = scaled.unit_of(same)
    queue = iter(same)
    kinds: dict[str, int] = {}
    rows, cells = [], []
    for option in known:
        parts = []
        for row in option[key]:
            q = next(queue)
            name = row["name"] if by_device else row["type"] if row["type"] != "span" else "inside spans"
            style = kinds.setdefault(name, len(kinds))
            if q["value"]:
                parts.append(
                    (
                        style,
                        q["value"],
                        f"{option['name']}, {row['name' if by_device else 'account']}: {scaled.told(q)}",
                    )
                )
            more = fmt.percent(row["coverage"]) if by_device else row["type"]
            cells.append((option["name"], row["name" if by_device else "account"], more, q))
        read = min((row["coverage"] for row in option[key]), default=0.0) if by_device else None
        text = f"known for {fmt.percent(read)} of the time" if read is not None else ""
        rows.append(bars.Bar(option["name"], parts, None, text))
    axis = f"{unit.partition('/')[0]} per {per(document)}, all that was recorded"
    used = {style for row in rows for style, _, _ in row.parts}
    shown = [(style, name) for name, style in kinds.items() if style in used]

    def chart(width: float) -> tuple[str, float]:
        return bars.stacked(rows, shown, axis, width)

    whole_books = "Work inside spans is what is compared; overhead, other processes and idle time stand beside it."
    covered = "Each device's joules of the recording, and for how much of it they are known."
    heads = ("option", "device", "coverage", "energy") if by_device else ("option", "account", "type", "energy")
    summary = [covered if by_device else whole_books]
    return drawn(identity, title, summary + notes, chart, table(title, heads, cells))
