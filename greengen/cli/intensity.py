"""`greengen intensity ZONE`: the grid intensity in use, where it comes from, and what was asked for it."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import click

from greengen.cli import options
from greengen.errors import UsageError

HOUR_NS = 3_600_000_000_000


@click.command("intensity", short_help="The grid intensity in use, and where it comes from.")
@click.argument("place", required=False, metavar="[ZONE]")
@options.grid
@click.option(
    "--at", metavar="TIME", help="The hour that --live is asked for, such as 2026-11-20T10:00Z. Default: now."
)
@click.option("--json", "json_", is_flag=True, help="As JSON.")
def command(*, place: str | None, at: str | None, json_: bool, **grid: Any) -> None:  # noqa: ANN401 -- the options of `options.grid`
    """Show the intensity of ZONE (DEU, USA-CA, SE3 …): its value, basis, year and source, and how it was found.

    Nothing is asked over the network unless --live names a source.
    """
    from greengen.grid import located  # noqa: PLC0415 -- numpy is for those who ask

    if place is not None and grid["zone"] is not None:
        msg = f"{place} and --zone {grid['zone']} are two zones: pass one"
        raise UsageError(msg)
    told = grid | {"zone": place if place is not None else grid["zone"]}
    if all(told[name] is None for name in ("zone", "cloud", "live", "intensity")):
        msg = "no zone: name one, such as `greengen intensity DEU`, or a region with --cloud aws:eu-west-3"
        raise UsageError(msg)
    if at is not None and told["live"] is None:
        msg = f"--at {at} says nothing without --live: the tables are of whole years"
        raise UsageError(msg)
    hour_ns = _hour(at)
    site = located(told, (hour_ns, hour_ns + HOUR_NS))
    document = {
        "zone": site.zone,
        "intensity": None if site.intensity is None else site.intensity.as_dict(),
        "hours": [
            {"from": _time(hour.start_ns), "to": _time(hour.end_ns), "intensity": hour.intensity.as_dict()}
            for hour in site.hourly
        ],
        "year": site.year or None,
        "source": site.source,
        "chain": list(site.chain),
        "pue": None if site.overhead is None else site.overhead.as_dict(),
        "wue": None if site.wue is None else site.wue.as_dict(),
        "notes": list(site.notes),
    }
    click.echo(json.dumps(document, indent=2) if json_ else "\n".join(_lines(document)))


def _lines(told: dict[str, Any]) -> list[str]:
    lines = []
    values = [("", told["intensity"])] if told["intensity"] else []
    values += [(f"{hour['from']} to {hour['to']}", hour["intensity"]) for hour in told["hours"]]
    for when, value in values:
        lines.append("  ".join(filter(None, (told["zone"] or "", when, _figure(value)))))
    basis = next((value["basis"] for _, value in values if value.get("basis")), "")
    lines += [
        f"  {name:<7} {text}"
        for name, text in (("basis", basis), ("year", told["year"]), ("source", told["source"]))
        if text
    ]
    lines += [f"  {'asked' if not i else '':<7} {step}" for i, step in enumerate(told["chain"])]
    lines += [f"  {name:<7} {_figure(told[key])}" for name, key in (("PUE", "pue"), ("WUE", "wue")) if told[key]]
    return [*lines, *(f"  note    {note}" for note in told["notes"])]


def _figure(value: dict[str, Any]) -> str:
    if value["value"] is None:
        return f"no value: {value['reason']}"
    return f"{value['value']:.4g} {value['unit']} ({value['low']:.4g} to {value['high']:.4g})".replace("  ", " ")


def _hour(at: str | None) -> int:
    """The start of the hour of a time, ns since 1970; without one, of now."""
    now = dt.datetime.now(dt.UTC)
    try:
        time = now if at is None else dt.datetime.fromisoformat(at)
    except ValueError:
        msg = f"--at {at} is no time: write it as 2026-11-20T10:00Z"
        raise UsageError(msg) from None
    if time.tzinfo is None:
        msg = f"--at {at} has no time zone: add Z for UTC, or an offset such as +01:00"
        raise UsageError(msg)
    return int(time.timestamp()) * 1_000_000_000 // HOUR_NS * HOUR_NS


def _time(at_ns: int) -> str:
    return dt.datetime.fromtimestamp(at_ns // 1_000_000_000, dt.UTC).strftime("%Y-%m-%dT%H:%MZ")
