"""A comparison as CSV: a row per option and figure, with its interval, its grade and its ratio to the baseline."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from greengen.reports.format import unrun

_COLUMNS = ("option", "baseline", "origin", "repeats", "figure", "unit", "value", "low", "high", "grade", "reason")
_RATIO = ("ratio", "ratio_low", "ratio_high", "p_better", "verdict")

#: Figures of an option that have no ratio.
_BESIDE = ("facility_j", "carbon_embodied_g")
_LATENCIES = ("p50_s", "p95_s", "p99_s", "missed_share")


def render(document: Mapping[str, Any]) -> str:
    """CSV text. What is missing is empty, and says why in `reason`."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow((*_COLUMNS, *_RATIO))
    for row in document["options"]:
        known = (unrun(row["name"]), int(row["baseline"]), row["origin"], row["n"])
        for figure, quantity, ratio in _figures(document, row):
            writer.writerow((*known, figure, *_cells(quantity), *_compared(ratio)))
    return buffer.getvalue()


def _figures(
    document: Mapping[str, Any], row: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """(figure, quantity, ratio); no ratio is an empty one."""
    for metric in document["metrics"]:
        if metric["key"] != "latency":
            yield metric["key"], row[metric["key"]], row["ratio"][metric["id"]]
    for key in _BESIDE:
        yield key, row[key], {}
    for key in _LATENCIES:
        if row["latency"].get(key):
            yield f"latency_{key}", row["latency"][key], row["ratio"]["latency_p95"] if key == "p95_s" else {}
    quality = row["quality"]
    yield f"quality: {quality.get('metric', 'unknown')}", quality | {"unit": "", "grade": "declared"}, {}


def _cells(of: Mapping[str, Any]) -> tuple[object, ...]:
    if of["value"] is None:
        return (of["unit"], "", "", "", "", unrun(of["reason"]))
    ends = ["" if of.get(end) is None else of[end] for end in ("low", "high")]
    return (of["unit"], of["value"], *ends, of["grade"], "")


def _compared(ratio: Mapping[str, Any]) -> tuple[object, ...]:
    if not ratio:
        return ("", "", "", "", "")
    better = ratio.get("p_better")
    ends = [ratio.get(key) for key in ("value", "low", "high")]
    return (*("" if end is None else end for end in ends), "" if better is None else better, ratio["verdict"])
