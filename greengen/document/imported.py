"""What logs recorded elsewhere state: as the import found it, beside what greengen computes from them."""

from __future__ import annotations

from typing import Any

from greengen.rows import Rows, Segment


def imported(rows: Rows) -> list[dict[str, Any]]:
    """One entry per imported segment, in the run's order; empty for a recording of greengen's own.

    Each has `format`, `notes` and `summary` (rows of `what` and `told`); the other keys are the format's.
    """
    found = [segment for timeline in rows.timelines for segment in timeline.segments if dated(segment) is not None]
    return [_entry(segment.info["imported"]) for segment in found]


def dated(segment: Segment) -> bool | None:
    """Whether an imported segment's log says when it was recorded; None for a recording of greengen's own."""
    entry = segment.info.get("imported")
    return bool(entry.get("date_known")) if isinstance(entry, dict) else None


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    # A stranger's file may hold anything here; what a renderer shows is made text.
    notes, summary = entry.get("notes"), entry.get("summary")
    lines = [line for line in summary if isinstance(line, dict)] if isinstance(summary, list) else []
    return entry | {
        "format": str(entry.get("format", "")),
        "notes": [str(note) for note in notes] if isinstance(notes, list) else [],
        "summary": [{"what": str(line.get("what", "")), "told": str(line.get("told", ""))} for line in lines],
    }
