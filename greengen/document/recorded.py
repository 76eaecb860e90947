"""What a comparison tells of one recorded repeat beside its figures: when, where, in which state, power over time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from greengen.accounting.chapter import Chapter
from greengen.accounting.curves import NS
from greengen.accounting.ledger import Ledger
from greengen.accounting.table import REQUEST
from greengen.document import notes
from greengen.document.imported import dated
from greengen.rows import Rows

#: Bands of one kind of span that a figure gets at most, and points of one domain's power.
_BANDS, _POINTS = 200, 300


def facts(rows: Rows, ledger: Ledger, paths: Sequence[Path], *, series: bool) -> dict[str, Any]:
    """The facts, for `greengen.accounting.option.Measured`. `series`: with power and phases over time."""
    segments = [segment for timeline in rows.timelines for segment in timeline.segments]
    known = [segment for segment in segments if dated(segment) is not False]
    start_ns = min((segment.epoch_ns for segment in known), default=None)
    start_ns = start_ns or None
    spans = [chapter.table.rows[i] for chapter, i in ledger]
    return {
        "paths": [str(path).encode("utf-8", "replace").decode() for path in paths],
        "recordings": sorted(segment.recording for segment in segments),
        "start_ns": start_ns,
        "end_ns": None if start_ns is None else start_ns + int(1e9 * max(c.recorded_s for c in ledger.chapters)),
        "started": None
        if start_ns is None
        else datetime.fromtimestamp(start_ns / NS, UTC).isoformat(timespec="seconds"),
        "host": ", ".join(sorted({timeline.hostname for timeline in rows.timelines})),
        "hosts": [
            {
                "hostname": timeline.hostname,
                "platform": str(timeline.info.get("platform", "")),
                "python": str(timeline.info.get("python", "")),
            }
            for timeline in rows.timelines
        ],
        "imported": bool(segments) and all(dated(segment) is not None for segment in segments),
        "models": list(dict.fromkeys(row.model for row in spans if row.kind == REQUEST and row.model is not None)),
        "state": list(notes.states(rows.timelines)),
        "told_state": notes.state(rows),
        "boundary": notes.boundary(ledger),
        "warnings": notes.warnings(ledger),
        "domains": [
            {
                "domain": e.books.domain.uid,
                "name": e.books.domain.name,
                "grade": e.books.domain.grade,
                "energy": e.energy(),
                "coverage": min(1.0, e.books.curve.known_s / chapter.recorded_s) if chapter.recorded_s else 0.0,
            }
            for chapter in ledger.chapters
            for e in chapter.totalled
        ],
        "power": list(_power(ledger.chapters)) if series else [],
        "phases": list(_bands(ledger.chapters)) if series else [],
    }


def _power(chapters: Iterable[Chapter]) -> Iterable[dict[str, Any]]:
    """Mean power of each domain that counts, over at most `_POINTS` steps."""
    for chapter in chapters:
        for entries in chapter.totalled:
            curve = entries.books.curve
            if curve.t_ns.size < 2:  # noqa: PLR2004 -- power is between two readings
                continue
            edges = curve.t_ns
            if edges.size > _POINTS + 1:
                edges = edges[np.unique(np.linspace(0, edges.size - 1, _POINTS + 1).round().astype(int))]
            lost_s = np.concatenate(([0.0], np.cumsum(np.diff(curve.t_ns) * ~curve.known))) / NS
            lost = np.diff(lost_s[np.searchsorted(curve.t_ns, edges)])
            watts = np.diff(curve.at(edges)) / (np.diff(edges) / NS)
            yield {
                "domain": curve.domain.uid,
                "name": curve.domain.name,
                "grade": curve.domain.grade,
                "t_s": [round(float(t), 4) for t in (edges - chapter.start_ns) / NS],
                "power_w": [
                    None if gone > 0 or math.isnan(power) else float(f"{power:.5g}")
                    for power, gone in zip(watts, lost, strict=True)
                ],
            }


def _bands(chapters: Iterable[Chapter]) -> Iterable[dict[str, Any]]:
    """Stretches in which a span of some kind was live, by kind; those closest together are drawn as one."""
    for chapter in chapters:
        table = chapter.table
        for kind in dict.fromkeys(row.kind for row in table.rows):
            members = np.array([i for i, row in enumerate(table.rows) if row.kind == kind])
            order = members[np.argsort(table.t0_ns[members], kind="stable")]
            start, end = table.t0_ns[order], np.maximum.accumulate(table.t1_ns[order])
            gaps = start[1:] - end[:-1]
            least = 0 if gaps.size < _BANDS else max(0, int(np.partition(gaps, -_BANDS)[-_BANDS]))
            breaks = np.flatnonzero(gaps > least)
            first, last = np.concatenate(([0], breaks + 1)), np.concatenate((breaks, [start.size - 1]))
            for a, b in zip(start[first].tolist(), end[last].tolist(), strict=True):
                t0, t1 = (a - chapter.start_ns) / NS, (b - chapter.start_ns) / NS
                yield {"kind": kind, "t0_s": round(t0, 4), "t1_s": round(t1, 4)}
