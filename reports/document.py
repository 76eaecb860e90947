"""The report as one document, `greengen.report/1`: what every renderer shows and `--format json` prints.

Keys may be added, never renamed. Every number is a quantity with interval and grade, or null with
the reason.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from greengen.accounting.carbon import REMEDY, Footprint, Site
from greengen.accounting.curves import NS
from greengen.accounting.ledger import QUIET_ACCOUNTS, Chapter, Ledger, account_of, build as build_ledger
from greengen.collector import RECORDER
from greengen.errors import UsageError
from greengen.quantity import Quantity
from greengen.reports.series import PowerSeries
from greengen.rows import Rows, SpanRow

if TYPE_CHECKING:
    from greengen.run import Run

SCHEMA = "greengen.report/1"

#: The spans that a report prices one by one under `requests`.
REQUEST = "request"


def build(run: Run, site: Site, *, requests: str = "all", policy: str = "equal") -> dict[str, Any]:
    """The document of a run. `requests`: all, top:N (by joules) or none. Raises UsageError, RunFileError."""
    most = _most(requests)
    rows = run.rows()
    ledger = build_ledger(rows, policy=policy)
    footprint = Footprint(ledger, site)
    spans = _spans(ledger, footprint)
    priced = [span for span in spans if span["kind"] == REQUEST]
    if requests.startswith("top:"):
        priced.sort(key=lambda span: -(span["energy_j"]["value"] or 0.0))
    return {
        "schema": SCHEMA,
        "run": _run(run, rows, policy),
        "boundary": _boundary(ledger),
        "totals": _totals(ledger, footprint),
        "accounts": _accounts(ledger, footprint),
        "domains": _domains(ledger),
        "models": _models(ledger, footprint),
        "spans": [span for span in spans if span["kind"] != REQUEST],
        "requests": priced[:most],
        "requests_left_out": len(priced) - len(priced[:most]),
        "events": _events(ledger),
        "warnings": _warnings(ledger),
        "factors": _factors(site),
        "recorder": _recorder(rows),
        "versions": {"greengen": version("greengen"), "numpy": np.__version__, "python": platform.python_version()},
    }


def power_series(run: Run) -> list[PowerSeries]:
    """Mean power of each domain between its readings, for figures; None where it is not known."""
    ledger = build_ledger(run.rows())
    series = []
    for chapter in ledger.chapters:
        start = _start(chapter)
        for entries in chapter.entries:
            curve = entries.books.curve
            power: list[float | None] = [None if math.isnan(watts) else float(watts) for watts in curve.power_w]
            series.append(
                PowerSeries(
                    domain=curve.domain.uid,
                    name=curve.domain.name,
                    grade=curve.domain.grade,
                    t_s=[float(t) for t in (curve.t_ns - start) / NS],
                    power_w=power,
                )
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


def _run(run: Run, rows: Rows, policy: str) -> dict[str, Any]:
    segments = [(timeline, segment) for timeline in rows.timelines for segment in timeline.segments]
    first = min((segment.epoch_ns for _, segment in segments), default=None)
    info = segments[0][1].info if segments else {}
    return {
        "path": str(run.path),
        "started": None if first is None else datetime.fromtimestamp(first / NS, UTC).isoformat(timespec="seconds"),
        "duration_s": sum(chapter.recorded_s for chapter in build_ledger(rows).chapters),
        "hostname": ", ".join(timeline.hostname for timeline in rows.timelines),
        "platform": ", ".join(dict.fromkeys(str(timeline.info.get("platform", "")) for timeline in rows.timelines)),
        "python": ", ".join(dict.fromkeys(str(timeline.info.get("python", "")) for timeline in rows.timelines)),
        "command": info.get("command"),
        "greengen_version": str(rows.meta.get("greengen", "")),
        "policy": {"name": policy, "coefficients": {}},
        "segments": len(segments),
        "tier": info.get("tier"),
        "interval_s": info.get("interval_s"),
        "complete": all(segment.t1_ns is not None for _, segment in segments),
    }


def _boundary(ledger: Ledger) -> dict[str, Any]:
    covered, missing = [], []
    for chapter in ledger.chapters:
        for entries in chapter.entries:
            domain = entries.books.domain
            covered.append(
                {
                    "domain": domain.uid,
                    "kind": domain.kind,
                    "name": domain.name,
                    "grade": domain.grade,
                    "scope": domain.scope,
                    "detail": domain.detail,
                }
            )
        missing += [
            {"what": gone.interface, "why": gone.reason, "remedy": gone.remedy} for gone in chapter.timeline.unavailable
        ]
    kinds = {entry["kind"] for entry in covered}
    if "dram" not in kinds and "psys" not in kinds:
        missing.append({"what": "memory (DRAM)", "why": "no counter for it was read", "remedy": ""})
    if "wall" not in kinds:
        why = "nothing was read at the wall"
        missing.append({"what": "fans, power supply loss, disks, network cards", "why": why, "remedy": ""})
    return {"covered": covered, "not_covered": missing}


def _totals(ledger: Ledger, footprint: Footprint) -> dict[str, Any]:
    energy = ledger.total()
    known = [e.books.curve.known_s for chapter in ledger.chapters for e in chapter.totalled]
    return {
        "energy_j": energy.as_dict(),
        "carbon_g": footprint.carbon(energy).as_dict(),
        "coverage": ledger.coverage(),
        "known_s": min(known, default=0.0),
    }


def _accounts(ledger: Ledger, footprint: Footprint) -> list[dict[str, Any]]:
    accounts = []
    for name, rows in _span_accounts(ledger).items():
        energy = ledger.spans(_within(name), name)
        accounts.append(_account(name, "span", energy, footprint) | {"spans": len(rows)} | _what(rows[0]))
    for name in QUIET_ACCOUNTS:
        nothing = {"spans": 0, "kind": None, "model": None}
        accounts.append(_account(name, name, ledger.account(name), footprint) | nothing)
    return accounts


def _account(name: str, type_: str, energy: Quantity, footprint: Footprint) -> dict[str, Any]:
    return {
        "account": name,
        "type": type_,
        "energy_j": energy.as_dict(),
        "carbon_g": footprint.carbon(energy).as_dict(),
    }


def _what(row: SpanRow) -> dict[str, Any]:
    return {"kind": row.kind, "model": row.model}


def _span_accounts(ledger: Ledger) -> dict[str, list[SpanRow]]:
    return {str(name): rows for name, rows in ledger.groups(account_of).items()}


def _within(name: str) -> Any:  # noqa: ANN401 -- a predicate of rows
    return lambda row: account_of(row) == name


def _domains(ledger: Ledger) -> list[dict[str, Any]]:
    domains = []
    for chapter in ledger.chapters:
        start = _start(chapter)
        for entries in chapter.entries:
            domain, curve = entries.books.domain, entries.books.curve
            accounts = [
                {"account": name, "energy_j": entries.spans(members, name).as_dict()}
                for name, members in _members(chapter).items()
            ]
            accounts += [{"account": name, "energy_j": entries.account(name).as_dict()} for name in QUIET_ACCOUNTS]
            domains.append(
                {
                    "domain": domain.uid,
                    "name": domain.name,
                    "kind": domain.kind,
                    "collector": domain.collector,
                    "grade": domain.grade,
                    "scope": domain.scope,
                    "in_total": entries.in_total,
                    "why_not_in_total": entries.left_out,
                    "energy_j": entries.energy().as_dict(),
                    "known_s": curve.known_s,
                    "coverage": min(1.0, curve.known_s / chapter.recorded_s) if chapter.recorded_s else 0.0,
                    "idle_power_w": _idle_power(entries.static_w, fitted=entries.static_fitted).as_dict(),
                    "accounts": accounts,
                    "unknown": [
                        {
                            "t0_s": (stretch.t0_ns - start) / NS,
                            "t1_s": (stretch.t1_ns - start) / NS,
                            "reason": stretch.reason,
                            "bound_j": stretch.bound_j,
                        }
                        for stretch in curve.unknown
                    ],
                }
            )
    return domains


def _members(chapter: Chapter) -> dict[str, Any]:
    members: dict[str, list[int]] = {}
    for i, row in enumerate(chapter.table.rows):
        members.setdefault(account_of(row), []).append(i)
    return {name: np.array(indices, dtype=np.int64) for name, indices in members.items()}


def _idle_power(static_w: float, *, fitted: bool) -> Quantity:
    if not fitted:
        return Quantity.missing("W", "this run's load varied too little to tell static power from work")
    return Quantity(static_w, "W", "attributed", note="upper estimate, fitted from this run")


def _models(ledger: Ledger, footprint: Footprint) -> list[dict[str, Any]]:
    models = []
    for model, rows in ledger.groups(lambda row: row.model if row.kind == REQUEST else None).items():
        if model is None:
            continue
        name = f"{REQUEST}/{model}"
        energy = ledger.spans(_within(name), name)
        succeeded = sum(row.outcome == "ok" for row in rows)
        tokens = [sum(getattr(row, f"{way}_tokens") or 0 for row in rows) for way in ("input", "output")]
        carbon = footprint.carbon(energy)
        per_token = energy / tokens[1] if tokens[1] else Quantity.missing("J", "no output tokens were told")
        models.append(
            {
                "model": model,
                "requests": len(rows),
                "succeeded": succeeded,
                "input_tokens": tokens[0],
                "output_tokens": tokens[1],
                "span_s": sum((row.t1_ns - row.t0_ns) / NS for row in rows if row.t1_ns is not None),
                "energy_j": energy.as_dict(),
                "energy_j_per_request": (energy / len(rows)).as_dict(),
                "energy_j_per_output_token": per_token.as_dict(),
                "carbon_g": carbon.as_dict(),
                "carbon_g_per_request": (carbon / len(rows)).as_dict(),
            }
        )
    return models


def _spans(ledger: Ledger, footprint: Footprint) -> list[dict[str, Any]]:
    spans = []
    for chapter, i in ledger:
        row, table, start = chapter.table.rows[i], chapter.table, _start(chapter)
        energy = ledger.span(chapter, i)
        inclusive = ledger.span(chapter, i, inclusive=True) if i in table.children else energy
        flags = [*row.flags, *(["open"] if table.left_open[i] else [])]
        flags += ["zero-length"] if table.t1_ns[i] == table.t0_ns[i] else []
        spans.append(
            {
                "id": row.uid,
                "kind": row.kind,
                "model": row.model,
                "name": row.name,
                "parent": row.parent,
                "tier": row.tier,
                "trace_id": row.trace_id,
                "outcome": row.outcome,
                "flags": flags,
                "labels": row.labels,
                "t0_s": (int(table.t0_ns[i]) - start) / NS,
                "t1_s": (int(table.t1_ns[i]) - start) / NS,
                "input_tokens": row.input_tokens,
                "output_tokens": row.output_tokens,
                "coverage": min((float(e.coverage[i]) for e in chapter.totalled), default=0.0),
                "energy_j": energy.as_dict(),
                "energy_j_inclusive": inclusive.as_dict(),
                "carbon_g": footprint.carbon(energy).as_dict(),
            }
        )
    return spans


def _events(ledger: Ledger) -> list[dict[str, Any]]:
    start = min((_start(chapter) for chapter in ledger.chapters), default=0)
    return [
        {"t_s": (event.t_ns - start) / NS, "kind": event.kind, "subject": event.subject, "reason": event.reason}
        for event in ledger.events()
    ]


def _warnings(ledger: Ledger) -> list[str]:
    warnings: list[str] = []
    totalled = [entries for chapter in ledger.chapters for entries in chapter.totalled]
    if not totalled:
        warnings.append("Nothing was measured: no domain could be read on this machine. Run `greengen doctor`.")
    elif all(entries.books.domain.grade == "modelled" for entries in totalled):
        warnings.append(
            "No power counter was readable: all joules are modelled from busy time. A lower number means less "
            "modelled energy because of less busy time, and says nothing of the power that was really drawn."
        )
    for chapter in ledger.chapters:
        warnings += [
            f"{gone.interface}: {gone.reason}" + (f" Remedy: {gone.remedy}" if gone.remedy else "")
            for gone in chapter.timeline.unavailable
            if "CVE-" in gone.reason or "ermission" in gone.reason
        ]
        warnings += _lost(chapter)
    warnings += [event.reason for event in ledger.events() if event.kind == "warning"]
    if any(segment.t1_ns is None for chapter in ledger.chapters for segment in chapter.timeline.segments):
        warnings.append("The recording goes on, or was cut off: what came after its last reading is not in the books.")
    for entries in totalled:
        if entries.books.other_j is None:
            name, why = entries.books.domain.name, entries.books.other_reason
            warnings.append(f"{name}: the work of other processes is not told apart: {why}.")
    return list(dict.fromkeys(warnings))


def _lost(chapter: Chapter) -> Sequence[str]:
    return [
        f"Process {process.pid} could not write {process.lost_rows} rows (disk full?): they are not in the books."
        for process in chapter.timeline.processes
        if process.lost_rows
    ]


def _factors(site: Site) -> dict[str, Any]:
    return {
        "intensity": None if site.intensity is None else site.intensity.as_dict(),
        "intensity_source": site.source,
        "zone": site.zone,
        "year": site.year or None,
        "pue": site.pue,
        "remedy": "" if site.intensity is not None else REMEDY,
    }


def _recorder(rows: Rows) -> dict[str, Any]:
    spent_s, seen = 0.0, False
    for timeline in rows.timelines:
        series = timeline.usage.get(("cpu", RECORDER))
        if series is not None and series.t_ns:
            seen = True
            spent_s += sum(max(0.0, b - a) for a, b in zip(series.values, series.values[1:], strict=False)) / NS
    return {"cpu_s": spent_s if seen else None, "note": "CPU time of greengen's own sampling and writing"}


def _start(chapter: Chapter) -> int:
    return chapter.recorded[0][0] if chapter.recorded else 0
