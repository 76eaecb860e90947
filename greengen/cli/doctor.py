"""greengen doctor: what this machine can measure, what it cannot, and the remedy."""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import asdict
from typing import Any

import click

from greengen import plugins
from greengen.cli.selftest import SECONDS, Live, read_live, words
from greengen.collector import Host, Unavailable
from greengen.collectors._unsupported import UNSUPPORTED
from greengen.plugins import Found


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.option(
    "--collectors",
    "names",
    metavar="NAMES",
    help="Ask only these collectors (rapl,nvml), or all but these (-cpu_model).",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 600),
    default=SECONDS,
    show_default=True,
    metavar="S",
    help="How long each domain is read: more for meters that have something new every few seconds.",
)
def command(*, as_json: bool, names: str | None, seconds: float) -> None:
    """Show what this machine can measure, what it cannot, why, and the remedy."""
    if math.isnan(seconds):  # which is in no range, and outside of none
        msg = "nan seconds cannot be waited: pass 0.1 to 600"
        raise click.UsageError(msg)
    host = Host.from_environment()
    made, problems = plugins.collectors(host, plugins.parse_names(names))
    found = plugins.discover_all(made)
    try:
        live = read_live(found, time.sleep, seconds)
    finally:
        for collector in found.collectors:
            collector.close()
    report = describe(found, problems, live)
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        _print(report)


def describe(found: Found, problems: list[Unavailable], live: dict[str, Live]) -> dict[str, Any]:
    """The report as JSON has it. Energies in J, powers in W, times in s."""
    return {
        "schema": "greengen.doctor/1",
        "machine": _machine(),
        "domains": [
            {
                "domain": domain.uid,
                "name": domain.name,
                "kind": domain.kind,
                "grade": domain.grade,
                "scope": domain.scope,
                "collector": domain.collector,
                "reading": domain.reading,
                "contains": list(domain.contains),
                "alternative": domain.alternative,
                "resolution_j": domain.resolution_j or None,
                "refresh_s": domain.refresh_s or None,
                "max_power_w": domain.max_power_w,
                "split": domain.split,
                "split_reason": domain.split_reason,
                "detail": domain.detail,
                "live": asdict(live[domain.uid]),
            }
            for domain in found.domains
        ],
        "unavailable": [asdict(item) for item in (*found.unavailable, *problems)],
        "unsupported": [asdict(item) for item in UNSUPPORTED],
        "warnings": list(found.warnings),
    }


def _machine() -> dict[str, Any]:
    import platform  # noqa: PLC0415 -- only this verb needs it

    import psutil  # noqa: PLC0415 -- only this verb needs it

    return {
        "hostname": platform.node(),
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "logical_cpus": psutil.cpu_count() or os.cpu_count(),
        "physical_cores": psutil.cpu_count(logical=False),
        "memory_bytes": psutil.virtual_memory().total,
        "booted": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(psutil.boot_time())),
    }


def _print(report: dict[str, Any]) -> None:
    from rich.console import Console  # noqa: PLC0415 -- only this verb needs it
    from rich.padding import Padding  # noqa: PLC0415 -- the same

    facts = report["machine"]
    lines = [
        (
            f"[bold]{_text(facts['hostname'])}[/]: {facts['system']} on {facts['architecture']}, "
            f"{facts['logical_cpus']} logical CPUs ({facts['physical_cores'] or '?'} cores), "
            f"{facts['memory_bytes'] / 2**30:.1f} GiB, Python {facts['python']}"
        ),
        "\n[bold]Can be measured[/]" + ("" if report["domains"] else ": nothing"),
    ]
    for row in report["domains"]:
        power_w, note = row["live"]["power_w"], row["live"]["note"]
        lines.append(f"  [bold]{_text(row['domain'])}[/]" + ("" if power_w is None else f"  {power_w:.3g} W now"))
        lines += [f"    {_text(text)}" for text in (*_details(row), words(row["live"])) if text]
        lines += [f"    [yellow]{_text(note)}[/]"] if note else []
    if report["unavailable"]:
        lines.append("\n[bold]Cannot be measured[/]")
    for row in report["unavailable"]:
        lines.append(f"  [bold]{_text(row['interface'])}[/]: {_text(row['reason'])}")
        lines += [f"    remedy: {_text(row['remedy'])}"] if row["remedy"] else []
    lines.append("\n[bold]Not supported[/], on whatever machine")
    for row in report["unsupported"]:
        lines.append(f"  {_text(row['interface'])}: {_text(row['reason'])}")
        lines += [f"    instead: {_text(row['remedy'])}"] if row["remedy"] else []
    lines += [f"[yellow]warning:[/] {_text(warning)}" for warning in report["warnings"]]
    console = Console(highlight=False)
    for line in "\n".join(lines).split("\n"):
        if console.is_terminal:
            # What goes on in the next line stays below its beginning.
            text = line.lstrip(" ")
            console.print(Padding(text, (0, 0, 0, len(line) - len(text))))
        else:
            # Of a file or a pipe, each thing is one line: what a command is may be copied, or searched for.
            console.print(line, soft_wrap=True)


def _text(given: str) -> str:
    """What a driver or a meter says, as text only."""
    from rich.markup import escape  # noqa: PLC0415 -- only this verb needs it

    from greengen.reports.format import printable  # noqa: PLC0415 -- the same

    return escape(printable(given))


def _details(row: dict[str, Any]) -> list[str]:
    scope = {"device": "of this device", "host": "of the whole host", "vm": "of this virtual machine"}.get(
        row["scope"], ""
    )
    steps = [
        f"{what} {row[key]:.3g} {unit}"
        for what, key, unit in (("in steps of", "resolution_j", "J"), ("new every", "refresh_s", "s"))
        if row[key] is not None
    ]
    split = f"split between processes by {row['split']} use" if row["split"] else "not split between processes"
    lines = [", ".join((f"{row['kind']}, {row['grade']}, {scope}", *steps)), row["detail"]]
    lines.append(split + (f": {row['split_reason']}" if row["split_reason"] else ""))
    if row["alternative"]:
        lines.append("another way to know what other domains add up to: never added to them")
    return [line for line in lines if line]
