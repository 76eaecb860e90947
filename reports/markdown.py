"""The document as Markdown: the summary and the tables, for a pull request or a model card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from greengen.reports import beside, comparison, words
from greengen.reports import format as fmt
from greengen.reports.section import Cell, Section

#: Of requests and of traces, those with the most joules.
_TOP = 10


def render(document: Mapping[str, Any]) -> str:
    """Markdown text: totals, accounts, models, what was not covered, warnings; or a comparison."""
    if words.compares(document):
        return _comparison(document)
    totals, run = document["totals"], document["run"]
    command = f" of `{_code(run['command'])}`" if run["command"] else ""
    summary = (
        f"{fmt.quantity(totals['energy_j'])}, {fmt.quantity(totals['carbon_g'])}; {run['duration_s']:.3g} s{command}, "
        f"on {_cell(run['hostname'])}, policy `{_code(words.rules(document))}`."
    )
    parts = [
        "# greengen report",
        summary,
        "## Accounts: every joule once",
        _table(
            ("account", "spans", "energy", "carbon", "how it is known"),
            (
                (a["account"], a["spans"] or "", *_pair(a), a["energy_j"].get("grade") or "not measured")
                for a in document["accounts"]
            ),
        ),
    ]
    if document["models"]:
        columns: tuple[str, ...] = (
            "model",
            "requests",
            "energy per request",
            "energy per output token",
            "carbon per request",
        )
        keys: tuple[str, ...] = ("energy_j_per_request", "energy_j_per_output_token", "carbon_g_per_request")
        if words.failures(document):
            columns = (*columns, "succeeded", "energy per success", "wasted")
            keys = (*keys, "succeeded", "energy_j_per_success", "energy_j_wasted")
        rows = ((m["model"], m["requests"], *(_told(m[key]) for key in keys)) for m in document["models"])
        parts += ["## Models", _table(columns, rows)]
    if words.sharing(document):
        parts += ["## How spans that were live together were told apart", _table(("of", "by"), words.sharing(document))]
    for section in beside.sections(document, _TOP):
        parts += _section(section)
    for format_, told in words.imported(document):
        parts += [f"## What the {_cell(format_)} log states", _table(("what", "told"), told)]
    missing = [f"- {_cell(gone['what'])}: {_cell(gone['why'])}" for gone in document["boundary"]["not_covered"]]
    parts += ["## Not covered", "\n".join(missing)]
    if faults := words.faults(document):
        parts += ["## What happened to the readings", "\n".join(f"- {_cell(fault)}" for fault in faults)]
    if document["warnings"]:
        parts += ["## Warnings", "\n".join(f"- {_cell(warning)}" for warning in document["warnings"])]
    return "\n\n".join(parts) + "\n"


def _comparison(document: Mapping[str, Any]) -> str:
    title = f": {_cell(document['title'])}" if document["title"] else ""
    headline, *rest = (_cell(line) for line in comparison.summary(document))
    parts = [f"# greengen comparison{title}", f"**{headline}**", *rest]
    for section in comparison.sections(document):
        parts += _section(section)
    for heading, items in comparison.lists(document):
        parts += [f"## {heading}", "\n".join(f"- {_cell(item)}" for item in items)]
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> list[str]:
    titles = tuple(column.title for column in section.columns)
    lines = ([_shown(cell) for cell in row] for row in (*section.rows, *section.foot))
    said = [_cell(section.lead)] if section.lead else []
    return [f"## {_cell(section.title)}", *said, _table(titles, lines), *map(_cell, section.notes)]


def _shown(cell: Cell) -> str:
    if isinstance(cell, Mapping):
        return fmt.quantity(cell)
    return fmt.count(cell) if isinstance(cell, int) else cell


def _pair(account: Mapping[str, Any]) -> tuple[str, str]:
    return fmt.quantity(account["energy_j"]), fmt.quantity(account["carbon_g"])


def _told(value: int | Mapping[str, Any]) -> str:
    return fmt.count(value) if isinstance(value, int) else fmt.quantity(value)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(_cell(value) for value in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def _cell(value: object) -> str:
    """Text that Markdown takes as text: no table border, no HTML, no link, no line break."""
    text = fmt.printable(" ".join(str(value).split()))
    for mark in ("\\", "|", "<", ">", "`", "*", "_", "[", "]", "&"):
        text = text.replace(mark, f"\\{mark}" if mark not in "<>&" else {"<": "&lt;", ">": "&gt;", "&": "&amp;"}[mark])
    return text


def _code(text: str) -> str:
    return fmt.printable(" ".join(text.replace("`", "'").split()))
