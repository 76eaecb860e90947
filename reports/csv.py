"""The document as CSV: one row per span and request, for a spreadsheet or a data frame."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

_PLAIN = ("id", "kind", "model", "name", "parent", "tier", "trace_id", "outcome", "t0_s", "t1_s")
_COUNTS = ("input_tokens", "output_tokens", "coverage")
_QUANTITIES = ("energy_j", "energy_j_inclusive", "carbon_g")

#: A cell that begins with one of these would be run by a spreadsheet as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render(document: Mapping[str, Any]) -> str:
    """CSV text: a header, the spans, then the requests; a missing value is empty and says why in `…_reason`."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    columns = [column for q in _QUANTITIES for column in _columns(q)]
    writer.writerow((*_PLAIN, *_COUNTS, "flags", "labels", *columns, "requests"))
    for span in (*document["spans"], *document["requests"]):
        labels = " ".join(f"{key}={value}" for key, value in span["labels"].items())
        plain = [_text(span[key]) for key in _PLAIN]
        counts = [span[key] for key in _COUNTS]
        quantities = [cell for key in _QUANTITIES for cell in _cells(span[key])]
        writer.writerow((*plain, *counts, " ".join(span["flags"]), _text(labels), *quantities, span.get("requests", 1)))
    return buffer.getvalue()


def _columns(name: str) -> tuple[str, ...]:
    return (name, f"{name}_low", f"{name}_high", f"{name}_grade", f"{name}_reason")


def _cells(quantity: Mapping[str, Any]) -> tuple[object, ...]:
    if quantity["value"] is None:
        return ("", "", "", "", _text(quantity["reason"]))
    return (quantity["value"], quantity["low"], quantity["high"], quantity["grade"], "")


def _text(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
