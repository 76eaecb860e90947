"""The report as one document, `greengen.report/1`: what every renderer shows and `--format json` prints.

Keys may be added, never renamed. Every number is a quantity with interval and grade, or null with
the reason.
"""

from __future__ import annotations

import math
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from greengen import installed
from greengen.accounting import ledger as ledgers
from greengen.accounting.carbon import Footprint, Site
from greengen.accounting.choice import Plan
from greengen.accounting.curves import NS
from greengen.accounting.ledger import Ledger
from greengen.accounting.table import REQUEST
from greengen.document import beside, notes, tables
from greengen.document import footprint as footprints
from greengen.document.imported import dated, imported
from greengen.errors import UsageError
from greengen.rows import Rows

SCHEMA = "greengen.report/1"


def build(
    rows: Rows,
    path: Path,
    site: Site,
    *,
    requests: str = "all",
    policy: str | Plan = "auto",
    asked: beside.Beside | None = None,
) -> dict[str, Any]:
    """The document of a run. Raises UsageError, PolicyError.

    requests  all, top:N (by joules) or none
    asked     what to tell beside the books
    """
    most = _most(requests)
    ledger = ledgers.build(rows, policy=policy)
    footprint = Footprint(ledger, site)
    site = footprint.site
    spread = tables.by_policy(ledger)
    spans = tables.spans(ledger, footprint, spread)
    priced = [span for span in spans if span["kind"] == REQUEST]
    if requests.startswith("top:"):
        priced.sort(key=lambda span: -(span["energy_j"]["value"] or 0.0))
    document = {
        "schema": SCHEMA,
        "run": _run(rows, ledger, path),
        "boundary": notes.boundary(ledger),
        "totals": _totals(ledger, footprint),
        "accounts": tables.accounts(ledger, footprint),
        "domains": tables.domains(ledger),
        "remainders": tables.remainders(ledger),
        "models": tables.models(ledger, footprint, spread),
        "spans": [span for span in spans if span["kind"] != REQUEST],
        "requests": priced[:most],
        "requests_left_out": len(priced) - len(priced[:most]),
        "traces": tables.traces(ledger, footprint),
        "events": notes.events(ledger),
        "warnings": [*notes.warnings(ledger), *site.notes],
        "imported": imported(rows),
        "footprint": footprints.told(footprint, None if asked is None else asked.network_kwh_per_gb),
        "factors": notes.factors(site),
        "recorder": notes.recorder(rows),
        "versions": {"greengen": installed.version(), "numpy": np.__version__, "python": platform.python_version()},
    }
    beside.add(document, footprint, asked or beside.Beside(), policy)
    return document


def power_series(rows: Rows) -> list[dict[str, Any]]:
    """Mean power of each domain between its readings, for figures: t_s (n+1), power_w (n), None where not known."""
    series = []
    for chapter in ledgers.build(rows).chapters:
        for entries in chapter.entries:
            curve = entries.books.curve
            series.append(
                {
                    "domain": curve.domain.uid,
                    "name": curve.domain.name,
                    "grade": curve.domain.grade,
                    "t_s": [float(t) for t in (curve.t_ns - chapter.start_ns) / NS],
                    "power_w": [None if math.isnan(watts) else float(watts) for watts in curve.power_w],
                }
            )
    return series


def _most(requests: str) -> int | None:
    if requests in {"all", "none"}:
        return None if requests == "all" else 0
    number = requests.removeprefix("top:")
    if number == requests or not number.isdecimal():
        msg = f"requests {requests!r} is not understood: pass all, none or top:N such as top:20"
        raise UsageError(msg)
    return int(number)


def _run(rows: Rows, ledger: Ledger, path: Path) -> dict[str, Any]:
    segments = [(timeline, segment) for timeline in rows.timelines for segment in timeline.segments]
    # A log that names no zone, or counts from a start of its own, does not say when it was recorded.
    first = min((segment.epoch_ns for _, segment in segments if dated(segment) is not False), default=None)
    info = segments[0][1].info if segments else {}
    return {
        "path": str(path),
        "started": None if first is None else datetime.fromtimestamp(first / NS, UTC).isoformat(timespec="seconds"),
        "duration_s": sum(chapter.recorded_s for chapter in ledger.chapters),
        "hostname": ", ".join(timeline.hostname for timeline in rows.timelines),
        "platform": ", ".join(dict.fromkeys(str(timeline.info.get("platform", "")) for timeline in rows.timelines)),
        "python": ", ".join(dict.fromkeys(str(timeline.info.get("python", "")) for timeline in rows.timelines)),
        "command": info.get("command"),
        "greengen_version": str(rows.meta.get("greengen", "")),
        "policy": _policy(ledger),
        "segments": len(segments),
        "tier": info.get("tier"),
        "interval_s": info.get("interval_s"),
        "state": notes.state(rows),
        "containers": notes.containers(rows),
        "complete": all(segment.t1_ns is not None for _, segment in segments),
    }


def _policy(ledger: Ledger) -> dict[str, Any]:
    """The policy asked for, and how each group of spans was shared."""
    groups = [
        {
            "group": choice.group,
            "policy": choice.policy,
            "coefficients": {} if choice.coefficients is None else asdict(choice.coefficients),
            "fallback": choice.fallback,
            "share_sigma": choice.sigma,
            "details": dict(choice.details),
        }
        for choice in ledger.choices
    ]
    fitted = [group for group in groups if group["coefficients"]]
    # One engine or one model is the usual case: its coefficients are the run's.
    coefficients = fitted[0]["coefficients"] if len(fitted) == 1 else {}
    return {"name": ledger.policy, "coefficients": coefficients, "groups": groups, "rules": ledger.asked.rules}


def _totals(ledger: Ledger, footprint: Footprint) -> dict[str, Any]:
    energy = ledger.total()
    # Of each host the domain that was read least; the recorded time is the sum over hosts, too.
    known = [min((e.books.curve.known_s for e in one.totalled), default=0.0) for one in ledger.chapters]
    return {
        "energy_j": energy.as_dict(),
        "carbon_g": footprint.of(Ledger.total, energy).as_dict(),
        "coverage": ledger.coverage(),
        "known_s": math.fsum(known),
    }
