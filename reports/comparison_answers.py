"""The figures of what was asked: what-if answers, and which source of error turns the result."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from greengen.reports import comparison_bars as bars
from greengen.reports import comparison_planes as planes
from greengen.reports import drawing, scaled
from greengen.reports import format as fmt
from greengen.reports.comparison_figures import Document, Figure, chosen, drawn, table
from greengen.reports.section import Section

#: Lines of one figure: as many as there are styles that can be told apart.
_LINES = 8
_SOURCES, _TORNADOES = 12, 3
_FAR = 50
#: From here on a place is a whole number.
_WHOLE = 1e4
#: What people ask first, and what to write in the file of the comparison to have it answered.
_USUAL = {"hour": "zone by hour of the day", "break_even": "after how many requests new hardware or training pays back"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One question with its answer in words, its figures and its table. missing: why there is no answer."""

    id: str
    title: str
    words: str
    assumes: Sequence[str]
    figures: Sequence[Figure]
    table: Section | None
    missing: str


def answers(document: Document) -> list[Answer]:
    """Each what-if of the document, in its order."""
    return [_answer(item, f"what-if-{i}") for i, item in enumerate(document["what_if"])]


def unasked(document: Document) -> list[str]:
    """What was not asked of what people ask first, and how to ask it."""
    kinds = {item.get("kind") for item in document["what_if"]}
    kinds |= {"hour" for item in document["what_if"] if item.get("grid")}
    return [
        f'Not asked: {what}. To ask it, write [[what_if]] with kind = "{kind}" into the file of the comparison.'
        for kind, what in _USUAL.items()
        if kind not in kinds
    ]


def _answer(item: Mapping[str, Any], identity: str) -> Answer:
    title = str(item.get("title") or item.get("kind") or "What if")
    figures = []
    if item.get("lines"):
        figures.append(_curves(item, title, f"{identity}-lines"))
    if item.get("grid"):
        figures.append(_grid(item["grid"], title, f"{identity}-grid"))
    rows = item.get("table") or {}
    cells = _alike([[_cell(cell) for cell in row] for row in rows.get("rows", ())])
    made = table(title, [str(column) for column in rows["columns"]], cells) if cells else None
    assumes = [str(line) for line in item.get("assumes") or ()]
    return Answer(identity, title, str(item.get("words") or ""), assumes, figures, made, str(item.get("missing") or ""))


def _cell(cell: Any) -> Any:  # noqa: ANN401 -- any JSON value
    if isinstance(cell, float):
        if not math.isfinite(cell):
            return fmt.NOT_MEASURED
        return f"{cell:,.0f}" if cell.is_integer() and abs(cell) < _WHOLE else fmt.number(cell)
    return cell if isinstance(cell, int | Mapping) and not isinstance(cell, bool) else str(cell)


def _alike(cells: list[list[Any]]) -> list[list[Any]]:
    """The same cells, with quantities of the same unit in one handy unit."""
    units = dict.fromkeys(cell["unit"] for row in cells for cell in row if isinstance(cell, Mapping))
    for unit in units:
        places = [(row, j) for row in cells for j, cell in enumerate(row) if isinstance(cell, Mapping)]
        of_unit = [(row, j) for row, j in places if row[j]["unit"] == unit]
        for (row, j), cell in zip(of_unit, scaled.together([row[j] for row, j in of_unit]), strict=True):
            row[j] = cell
    return cells


def _curves(item: Mapping[str, Any], title: str, identity: str) -> Figure:
    x, every, unit = item["x"], *_small(item["lines"])
    shown = every[:_LINES]
    curves = [
        planes.Line(str(row["name"]), row["values"], row.get("low") or (), row.get("high") or ()) for row in shown
    ]
    known = [value for row in shown for value in row["values"] if value]
    wide = bool(known) and min(known) > 0 and max(known) > _FAR * min(known) and x.get("scale") == "log"
    marks = [
        (float(mark["x"]), mark.get("low"), mark.get("high"), str(mark.get("text") or ""))
        for mark in item.get("marks") or ()
        if mark.get("x") is not None
    ]
    across = f"{x['name']} ({x['unit']})" if x.get("unit") else str(x["name"])
    axes = planes.Axes(across, scaled.unit_words(unit), x_log=x.get("scale") == "log", y_log=wide, marks=marks)

    def chart(width: float) -> tuple[str, float]:
        return planes.lines(x["values"], curves, axes, width)

    summary = [f"{fmt.printable(row['name'])}: {_ends(x['values'], row, unit)}." for row in shown if any(row["values"])]
    summary += [f"{fmt.printable(text)}: {_at(mark_x, low, high, x)}." for mark_x, low, high, text in marks]
    sure = [any(end is not None for end in curve.low) for curve in curves]
    bands = (
        "Bands are 95 % intervals." if all(sure) else "Bands are 95 % intervals; those of other lines are not known."
    )
    summary.append(bands if any(sure) else "Their intervals are not known: nobody stated how far they may be off.")
    summary += [f"{len(every) - len(shown)} more lines are in the table only."] if len(every) > len(shown) else []
    cells = [(_x(value), *(_within(row, i, unit) for row in every)) for i, value in enumerate(x["values"])]
    return drawn(identity, title, summary, chart, table(title, [across, *(str(row["name"]) for row in every)], cells))


def _x(value: Any) -> str:  # noqa: ANN401 -- a number or a name
    return drawing.tick(value) if isinstance(value, int | float) else str(value)


def _within(row: Mapping[str, Any], i: int, unit: str) -> dict[str, Any]:
    low, high = (row.get(end) or () for end in ("low", "high"))
    q: dict[str, Any] = {"value": row["values"][i], "unit": unit, "reason": "not known here"}
    if i < len(low) and i < len(high):
        q |= {"low": low[i], "high": high[i]}
    return q


def _ends(x: Sequence[Any], row: Mapping[str, Any], unit: str) -> str:
    known = [i for i, value in enumerate(row["values"]) if value is not None]
    first, last = known[0], known[-1]
    told = [f"{scaled.told(_within(row, i, unit))} at {_x(x[i])}" for i in (first, last)]
    return told[0] if first == last else " and ".join(told)


def _at(x: float, low: float | None, high: float | None, axis: Mapping[str, Any]) -> str:
    place = f"at {_place(x)} {axis.get('unit') or axis['name']}"
    return place if low is None or high is None else f"{place} ({_place(low)} to {_place(high)})"


def _place(x: float) -> str:
    return fmt.number(x) if abs(x) < _WHOLE else f"{x:,.0f}"


def _grid(grid: Mapping[str, Any], title: str, identity: str) -> Figure:
    rows, columns = [str(row) for row in grid["rows"]], [str(column) for column in grid["columns"]]
    values, unit = _handy(grid["values"], str(grid.get("unit") or ""))
    winner = grid.get("winner")
    names = list(dict.fromkeys(name for row in winner for name in row if name)) if winner else []
    letter = {name: chr(ord("A") + i) if i < 26 else "?" for i, name in enumerate(names)}  # noqa: PLR2004 -- letters
    letters = [[letter.get(name, "") for name in row] for row in winner] if winner else None

    def chart(width: float) -> tuple[str, float]:
        return bars.heat((rows, columns, values), letters, unit, width)

    summary = []
    cells = []
    for i, row in enumerate(rows):
        known = [(value, columns[j]) for j, value in enumerate(values[i]) if value is not None]
        if not known:
            cells.append((row, *[fmt.NOT_MEASURED] * 4))
            continue
        low, high = min(known), max(known)
        won = ", ".join(f"{fmt.printable(n)} {winner[i].count(n)}" for n in names if n in winner[i]) if winner else ""
        cells.append(
            (
                row,
                f"{fmt.number(low[0])} {unit}",
                low[1],
                f"{fmt.number(high[0])} {unit}",
                high[1] if not won else f"{high[1]}; least: {won}",
            )
        )
        told = f"{fmt.printable(row)}: from {fmt.number(low[0])} ({low[1]}) to {fmt.number(high[0])} {unit} ({high[1]})"
        summary.append(f"{told}{f'; least: {won}' if won else ''}.")
    summary = summary[:6] + ([f"{len(summary) - 6} more rows are in the table."] if len(summary) > 6 else [])  # noqa: PLR2004
    if len(names) > 1:
        who = ", ".join(f"{letter[name]} {fmt.printable(name)}" for name in names)
        summary.append(f"The letter names the option with the least: {who}.")
    summary.append("Deeper colour is more. These are middle values: how sure they are is told above.")
    return drawn(
        identity,
        title,
        summary,
        chart,
        table(title, ("row", "least", "at", "most", "at (and who has the least)"), cells),
    )


def _handy(
    values: Sequence[Sequence[float | None]], unit: str, by: float = 0.0
) -> tuple[Sequence[Sequence[float | None]], str]:
    """Grams in thousandths, where they are small, or where `by` says so."""
    most = max((abs(value) for row in values for value in row if value is not None), default=0.0)
    if not by and (not unit.startswith("g") or not 0 < most < 0.1):  # noqa: PLR2004 -- more than one zero behind the point
        return values, unit
    return [[None if value is None else 1000 * value for value in row] for row in values], f"m{unit}"


def _small(lines: Sequence[Mapping[str, Any]]) -> tuple[Sequence[Mapping[str, Any]], str]:
    """Lines in grams in thousandths, where all of them are small."""
    ends = ("values", "low", "high")
    unit = str(lines[0].get("unit") or "")
    _, to = _handy([row.get(end) or () for row in lines for end in ends], unit)
    if to == unit:
        return lines, unit
    return [dict(row) | {end: _handy([row.get(end) or ()], unit, by=1000)[0][0] for end in ends} for row in lines], to


def tornadoes(document: Document) -> Iterator[Figure]:
    """For each option that has one: which source of error moves its result how far."""
    title = "Which error moves the result"
    rows = document.get("tornado") or []
    names = [option["name"] for option in chosen(document)[0]]
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["option"] in names and row.get("low") is not None and row.get("high") is not None:
            groups.setdefault((row["option"], row["metric"]), []).append(row)
    if not groups:
        yield Figure("tornado", title, missing="the sources of error were not taken apart")
    for i, ((option, metric), members) in enumerate(list(groups.items())[:_TORNADOES]):
        yield _tornado(document, (option, metric), members, f"tornado-{i}")


def _tornado(document: Document, which: tuple[str, str], members: Sequence[Mapping[str, Any]], identity: str) -> Figure:
    option, metric = which
    name = next((m["name"] for m in document["metrics"] if m["id"] == metric), metric)
    title = f"Which error moves the result: {name} of {fmt.printable(option)}"
    largest = sorted(members, key=lambda row: -abs(row["high"] - row["low"]))
    shown = largest[:_SOURCES]
    unit = str(shown[0].get("unit") or "")
    key = next((m["key"] for m in document["metrics"] if m["id"] == metric), "")
    own: Mapping[str, Any] = next((o for o in document["options"] if o["name"] == option), {})
    # Without a unit it is the ratio to the baseline whose errors are taken apart.
    result = own.get(key) if unit else (own.get("ratio") or {}).get(metric)
    around = (result or {}).get("value")
    if around is None or (result or {}).get("unit") != unit:
        around = sum(row["low"] + row["high"] for row in shown) / (2 * len(shown))
    same = scaled.together(
        [{"value": row["high"], "low": row["low"], "high": row["high"], "unit": unit} for row in shown]
    )
    factor = same[0]["high"] / shown[0]["high"] if shown[0]["high"] else 1.0
    to = str(same[0]["unit"])
    stretches, cells = [], []
    for row, q in zip(shown, same, strict=True):
        called = str(row.get("name") or row["source"])
        low, high = (f"{fmt.number(q[end])} {to}".rstrip() for end in ("low", "high"))
        ends = f"{fmt.number(q['low'])} to {high}"
        share = "" if row.get("share") is None else f", {fmt.percent(row['share'])} of the variance"
        stretches.append(bars.Stretch(called, None, q["low"], q["high"], f"{ends}{share}"))
        told = fmt.percent(row["share"]) if row.get("share") is not None else "not known"
        cells.append((called, low, high, told))

    def chart(width: float) -> tuple[str, float]:
        return bars.stretches(
            stretches, around * factor, f"{name} ({to})" if to else f"{name}, ratio to the baseline", width
        )

    first = stretches[0]
    summary = [
        f"The largest: {fmt.printable(first.name)}, {first.text}.",
        "Each bar is where the result lies with that source alone at the ends of its 95 % interval.",
    ]
    summary += [f"{len(largest) - len(shown)} smaller sources are left out."] if len(largest) > len(shown) else []
    heads = ("source", "at its one end", "at its other end", "share of the variance")
    return drawn(identity, title, summary, chart, table(title, heads, cells))
