"""`greengen factors`: the tables that figures are made with, and where each row comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from greengen import data
from greengen.data import cloud, subnational
from greengen.errors import UsageError

#: Tables that are no files of ours, or of another shape.
_MORE = {
    "subnational": "grid intensity of zones within countries, from codecarbon's files",
    "cloud_regions": "regions of cloud providers and their zones",
}


@click.command("factors", short_help="The tables that figures are made with, and their sources.")
@click.argument("table", required=False)
@click.option("--json", "json_", is_flag=True, help="As JSON.")
def command(*, table: str | None, json_: bool) -> None:
    """List the tables with their sources; with TABLE, its rows."""
    if table is None:
        told: Any = {name: {"what": what, **_sources(_rows(name))} for name, what in _names().items()}
        text = "\n\n".join(_table(name, one) for name, one in told.items())
    else:
        told = _rows(table)
        text = "\n".join(_row(row) for row in told)
    click.echo(json.dumps(told, indent=2) if json_ else text)


def _names() -> dict[str, str]:
    return {name: what for name, (what, _) in data.TABLES.items()} | _MORE


def _rows(name: str) -> list[dict[str, Any]]:
    """The rows of a table. Raises UsageError for an unknown one."""
    if name == "cloud_regions":
        found: list[dict[str, Any]] = []
        for region in cloud.regions().values():
            told = {field: str(getattr(region, field)) for field in region.__slots__}
            found.append(told | {"value": region.zone, "unit": "", "name": region.em_zone})
        return found
    if name not in _names():
        msg = f"unknown table {name!r}: pass one of {', '.join(_names())}"
        raise UsageError(msg)
    rows = subnational.zones() if name == "subnational" else data.table(name)
    fields = (
        "id",
        "name",
        "value",
        "unit",
        "low",
        "high",
        "kind",
        "basis",
        "scope",
        "year",
        "source",
        "source_url",
        "licence",
        "note",
    )
    return [{field: getattr(row, field) for field in fields} | {"valid_to": str(row.valid_to)} for row in rows.values()]


def _sources(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How many rows a table has, of which years, and whose they are."""
    return {
        "rows": len(rows),
        "years": sorted({row["year"] for row in rows}),
        "valid_to": min(row["valid_to"] for row in rows),
        "sources": list(dict.fromkeys(f"{row['source']} ({row['licence']}) {row['source_url']}" for row in rows)),
    }


def _table(name: str, told: Mapping[str, Any]) -> str:
    years = ", ".join(told["years"])
    head = f"{name}: {told['what']}; {told['rows']} rows, {years}, good until {told['valid_to']}"
    return "\n".join([head, *(f"  {source}" for source in told["sources"])])


def _row(row: Mapping[str, Any]) -> str:
    interval = f" ({row['low']:.4g} to {row['high']:.4g})" if "low" in row else ""
    value = f"{row['value']:g}" if isinstance(row["value"], float) else row["value"]
    parts = (row["id"], row["name"], f"{value} {row['unit']}{interval}".strip(), row["year"], row["source"])
    return "  ".join(part for part in parts if part)
