"""The document as CSV: one row per span and request, for a spreadsheet or a data frame."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from greengen.reports import comparison_csv, words
from greengen.reports.format import unrun

_PLAIN = ("id", "kind", "model", "name", "parent", "tier", "trace_id", "outcome", "t0_s", "t1_s")
_COUNTS = ("input_tokens", "output_tokens", "coverage")
_QUANTITIES = ("energy_j", "energy_j_inclusive", "carbon_g")


def render(document: Mapping[str, Any]) -> str:
    """CSV text: a header, the spans, then the requests; a missing value is empty and says why in `…_reason`.

    Of a comparison, a row per option and figure.
    """
    if words.compares(document):
        return comparison_csv.render(document)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    columns = [column for q in _QUANTITIES for column in _columns(q)]
    more = list(_beside(document))
    added = [column for name, _ in more for column in _columns(name)]
    writer.writerow((*_PLAIN, *_COUNTS, "flags", "labels", *columns, "requests", *added))
    for span in (*document["spans"], *document["requests"]):
        labels = " ".join(f"{key}={value}" for key, value in span["labels"].items())
        plain = [unrun(span[key]) for key in _PLAIN]
        counts = [span[key] for key in _COUNTS]
        quantities = [cell for key in _QUANTITIES for cell in _cells(span[key])]
        beside = [cell for _, told in more for cell in _cells(told(span))]
        rest = (" ".join(span["flags"]), unrun(labels), *quantities, span.get("requests", 1), *beside)
        writer.writerow((*plain, *counts, *rest))
    return buffer.getvalue()


def _beside(document: Mapping[str, Any]) -> Iterator[tuple[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]]:
    """(column, what it says of a span) of what was asked for beside the books."""
    margins = document.get("marginal")
    if margins is not None:
        marginal = {row["id"]: row["marginal_j"] for row in margins["requests"]}
        yield "marginal_j", lambda span: marginal.get(span["id"], _nothing("not in a step of an engine"))
    training = {row["model"]: row["training_j_per_request"] for row in document["models"] if "training_requests" in row}
    if training:
        other = _nothing("no request of a model whose training is told")
        yield (
            "training_j_per_request",
            lambda span: training.get(span["model"], other) if span["kind"] == "request" else other,
        )
    network = document.get("network")
    if network is not None and network["transfers"]:
        moved = {row["id"]: row["energy_j"] for row in network["transfers"]}
        yield "network_j", lambda span: moved.get(span["id"], _nothing("it tells no bytes"))


def _nothing(reason: str) -> dict[str, Any]:
    return {"value": None, "reason": reason}


def _columns(name: str) -> tuple[str, ...]:
    return (name, f"{name}_low", f"{name}_high", f"{name}_grade", f"{name}_reason")


def _cells(quantity: Mapping[str, Any]) -> tuple[object, ...]:
    if quantity["value"] is None:
        return ("", "", "", "", unrun(quantity["reason"]))
    return (quantity["value"], quantity["low"], quantity["high"], quantity["grade"], "")
