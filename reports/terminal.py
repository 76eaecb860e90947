"""The report in a terminal: what a person reads first.

Only rich is imported, and only here. Everything that greengen itself says is ASCII; texts that a
user chose are shown in what the stream can encode.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from greengen.reports import beside, comparison, words
from greengen.reports import format as fmt
from greengen.reports.section import Section

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Document = Mapping[str, Any]
#: Makes a text that a user chose fit to be printed, in at most so many characters.
Shorten = Callable[[object, int], str]

_TOP = 10
_WIDE = 100
_FEW = 3
_NEARLY_ALL = 0.99
_ANY_LENGTH = 1_000_000
#: Of a group of requests, whose name says more than its model's: two lines of a terminal.
_GROUP = 120
_UNKNOWN = "not known"


def render(document: Document, *, file: TextIO | None = None, width: int | None = None) -> str:
    """The summary, the accounts, the models, the requests with the most joules, and what is not covered.

    document   schema greengen.report/1, or greengen.comparison/1
    file       where to write it, in colour where that is a terminal; None: the plain text is returned
    width      columns; None: those of the terminal, or 80
    """
    from rich.console import Console  # noqa: PLC0415 -- recording never imports it

    text = io.StringIO()
    console = Console(file=file or text, width=width, highlight=False, markup=False, emoji=False, force_jupyter=False)

    def shorten(given: object, most: int) -> str:
        return fmt.shortened(given, most).encode(console.encoding, "backslashreplace").decode(console.encoding)

    if words.compares(document):
        _comparison(console, document, shorten)
        return text.getvalue()
    _summary(console, document, shorten)
    _imported(console, document, shorten)
    _accounts(console, document, shorten)
    _models(console, document, shorten)
    _requests(console, document, shorten)
    _beside(console, document, shorten)
    _boundary(console, document, shorten)
    return text.getvalue()


def _summary(console: Console, document: Document, shorten: Shorten) -> None:
    from rich.table import Table  # noqa: PLC0415

    run, totals = document["run"], document["totals"]
    console.print(shorten(run["command"] or run["path"], 2 * console.width), style="bold")
    where = [shorten(run["hostname"], 40)] + ([f"tier {shorten(run['tier'], 20)}"] if run["tier"] else [])
    console.print(", ".join([*where, fmt.seconds(run["duration_s"])]), style="dim")
    for line in filter(None, (words.containers(document), words.state(document))):
        console.print(shorten(line, _ANY_LENGTH), style="dim")
    if not run["complete"]:
        console.print("The recording was not closed in order: this is what had been written until then.", style="red")
    console.print()
    lines = Table.grid(padding=(0, 2))
    energy, carbon = totals["energy_j"], totals["carbon_g"]
    if energy["value"] is None:
        lines.add_row("energy", f"{fmt.NOT_MEASURED}: {shorten(energy['reason'], _ANY_LENGTH)}")
    else:
        lines.add_row("energy", fmt.quantity(energy), style="bold")
        lines.add_row("", fmt.quantity(fmt.in_unit(energy, "Wh")))
        lines.add_row("", words.grades(energy))
    if carbon["value"] is None:
        lines.add_row("CO2e", f"{fmt.NOT_MEASURED}: {shorten(words.carbon_reason(document), _ANY_LENGTH)}")
    else:
        lines.add_row("CO2e", fmt.quantity(carbon), style="bold")
    factors = words.carbon_factors(document) or words.carbon_remedy(document)
    lines.add_row("", shorten(factors, _ANY_LENGTH))
    console.print(lines)
    console.print()
    if words.all_modelled(document):
        console.print(words.modelled_note(document), style="yellow")
    console.print(words.coverage(document))
    console.print()


def _imported(console: Console, document: Document, shorten: Shorten) -> None:
    from rich.table import Table  # noqa: PLC0415

    for format_, told in words.imported(document):
        console.print(f"What the {shorten(format_, 40)} log states", style="bold")
        lines = Table.grid(padding=(0, 2))
        for what, text in told:
            lines.add_row(shorten(what, 44), shorten(text, _ANY_LENGTH))
        console.print(lines)
        console.print()


def _accounts(console: Console, document: Document, shorten: Shorten) -> None:
    rows = document["accounts"]
    if not rows:
        return
    balance = words.balance(document)
    wide = console.width >= _WIDE
    carbon = wide and _any_known(rows, "carbon_g")
    numbers = [*(["spans"] if wide else []), "energy", "95 % interval", "share", *(["CO2e"] if carbon else []), "grade"]
    table = _table("Accounts (every joule once)", ["account"], numbers)
    for row in rows:
        energy = row["energy_j"]
        known = energy["value"] is not None and balance.sum_j
        table.add_row(
            shorten(row["account"], _name_width(console)),
            *([fmt.count(row["spans"])] if wide else []),
            fmt.value(energy),
            fmt.interval(energy) or _UNKNOWN,
            fmt.percent(energy["value"] / balance.sum_j) if known else _UNKNOWN,
            *([fmt.value(row["carbon_g"])] if carbon else []),
            _grade(energy),
        )
    console.print(table)
    for row in rows:
        if row["energy_j"].get("note"):
            told = f"{shorten(row['account'], _ANY_LENGTH)}: {shorten(row['energy_j']['note'], _ANY_LENGTH)}"
            console.print(told, style="dim")
    if balance.holds:
        total = fmt.value(document["totals"]["energy_j"])
        console.print(f"The books balance: the accounts sum to the total, {total}.", style="green")
    elif balance.holds is None:
        console.print("There is no total to hold the accounts against.")
    else:
        console.print(f"The books do not balance: {balance.sum_j} J booked of {balance.total_j} J.", style="red")
    console.print()


def _models(console: Console, document: Document, shorten: Shorten) -> None:
    rows = document["models"]
    if not rows:
        return
    carbon, failed = _any_known(rows, "carbon_g_per_request"), words.failures(document)
    numbers = ["requests", "per\nrequest", "\n95 % interval", "per output\ntoken"]
    numbers += ["per\nsuccess", "\nwasted"] if failed else []
    table = _table("Models", ["model"], [*numbers, *(["CO2e per\nrequest"] if carbon else [])])
    for row in rows:
        table.add_row(
            shorten(row["model"], _name_width(console)),
            fmt.count(row["requests"]),
            fmt.value(row["energy_j_per_request"]),
            fmt.interval(row["energy_j_per_request"]) or _UNKNOWN,
            fmt.value(row["energy_j_per_output_token"]),
            *([fmt.value(row["energy_j_per_success"]), fmt.value(row["energy_j_wasted"])] if failed else []),
            *([fmt.value(row["carbon_g_per_request"])] if carbon else []),
        )
    console.print(table)
    for group, told in words.sharing(document):
        console.print(f"{shorten(group, _GROUP)}: by {shorten(told, _ANY_LENGTH)}", style="dim")
    console.print()


def _requests(console: Console, document: Document, shorten: Shorten) -> None:
    top = words.largest(document["requests"], _TOP)
    if not top:
        return
    # Said of each only where readings are missing: else it is all of each.
    partly = any(row["coverage"] < _NEARLY_ALL for row in top)
    numbers = ["length", "tokens out", "energy", "95 % interval", *(["coverage"] if partly else [])]
    table = _table("Requests with the most joules", ["id", "model"], numbers)
    each = min(max((console.width - (56 if partly else 46)) // 2, 8), 32)
    for row in top:
        length = None if row["t1_s"] is None else row["t1_s"] - row["t0_s"]
        table.add_row(
            shorten(row["id"], each) + _together(row),
            shorten(row["model"] or "no model", each),
            "still open" if length is None else fmt.seconds(length),
            fmt.count(row["output_tokens"]),
            fmt.value(row["energy_j_inclusive"]),
            fmt.interval(row["energy_j_inclusive"]) or _UNKNOWN,
            *([fmt.percent(row["coverage"])] if partly else []),
        )
    console.print(table)
    more = len(document["requests"]) - len(top) + document["requests_left_out"]
    if more:
        console.print(f"and {fmt.count(more)} more", style="dim")
    console.print()


def _comparison(console: Console, document: Document, shorten: Shorten) -> None:
    console.print(shorten(document["title"] or "Comparison", 2 * console.width), style="bold")
    for line in comparison.summary(document):
        console.print(shorten(line, _ANY_LENGTH))
    console.print()
    _sections(console, comparison.sections(document), shorten)
    for title, items in comparison.lists(document):
        _list(console, title, [shorten(item, _ANY_LENGTH) for item in items])


def _beside(console: Console, document: Document, shorten: Shorten) -> None:
    _sections(console, beside.sections(document, _TOP), shorten)


def _sections(console: Console, sections: Iterable[Section], shorten: Shorten) -> None:
    for section in sections:
        # A table of few columns has room for their words.
        few = len(section.columns) <= _FEW
        each = min(max((console.width - 50) // (1 if few else 2), 8), 32)
        names = [column.title for column in section.columns if not column.number and column.title != "grade"]
        numbers = []
        for column in section.columns[len(names) :]:
            numbers += [column.title, *(["95 % interval"] if column.bounds else [])]
        table = _table(shorten(section.title, _ANY_LENGTH), names, numbers)
        for row in (*section.rows, *section.foot):
            cells = []
            for column, cell in zip(section.columns, row, strict=True):
                if isinstance(cell, Mapping):
                    cells += [fmt.value(cell), *([fmt.interval(cell) or _UNKNOWN] if column.bounds else [])]
                else:
                    most = _ANY_LENGTH if column.number else each
                    cells.append(fmt.count(cell) if isinstance(cell, int) else shorten(cell, most))
            table.add_row(*cells)
        console.print(table)
        for text in filter(None, (section.lead, *section.notes)):
            console.print(shorten(text, _ANY_LENGTH), style="dim")
        console.print()


def _together(row: Mapping[str, Any]) -> str:
    """How many requests a row stands for, where it is more than one."""
    requests = row.get("requests", 1)
    return f" x {fmt.count(requests)}" if requests > 1 else ""


def _boundary(console: Console, document: Document, shorten: Shorten) -> None:
    faults = [shorten(text, _ANY_LENGTH) for text in words.faults(document)]
    _list(console, "What happened to the readings", faults, style="yellow")
    warnings = [shorten(text, _ANY_LENGTH) for text in words.warnings(document)]
    _list(console, "Warnings", warnings, style="yellow")
    left_out = [
        f"{shorten(row['what'], _ANY_LENGTH)}: {shorten(row['why'], _ANY_LENGTH)}"
        + (f"; remedy: {shorten(row['remedy'], _ANY_LENGTH)}" if row["remedy"] else "")
        for row in document["boundary"]["not_covered"]
    ]
    _list(console, "Not covered by any number above", left_out)


def _list(console: Console, title: str, items: Sequence[str], style: str = "") -> None:
    from rich.padding import Padding  # noqa: PLC0415

    if not items:
        return
    console.print(title, style="bold")
    for item in items:
        console.print(Padding(item, (0, 0, 0, 2), style=style))
    console.print()


def _table(title: str, names: Iterable[str], numbers: Iterable[str]) -> Table:
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for name in names:
        table.add_column(name, no_wrap=True, overflow="crop")
    # Numbers fold rather than lose a digit where the terminal is narrow.
    for number in numbers:
        table.add_column(number, justify="left" if number == "grade" else "right", overflow="fold")
    return table


def _grade(energy: Mapping[str, Any]) -> str:
    """The grade; of a mixed number, the share that is known worst."""
    return _UNKNOWN if energy["value"] is None else words.grades(energy).rpartition(", ")[2]


def _any_known(rows: Iterable[Mapping[str, Any]], key: str) -> bool:
    # Where none is known, the summary has said why; a column of it would say no more.
    return any(row[key]["value"] is not None for row in rows)


def _name_width(console: Console) -> int:
    return min(max(console.width - 52, 12), 44)
