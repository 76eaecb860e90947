"""One self-contained page: works offline, asks nobody for anything.

The page forbids itself every request (Content-Security-Policy) and every script but its own two,
which it names by their hashes. Texts that a user chose are escaped by the template (autoescape) and
in the embedded JSON.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.resources import files
from typing import Any

from greengen.reports import beside, chart, figures, words
from greengen.reports import format as fmt
from greengen.reports.series import PowerSeries

#: Characters that could end a script element or a JavaScript line: as JSON escapes in the page.
_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
#: A table with more rows gets a box that scrolls; with more still, the rest shows on request.
_SCROLL_ROWS, _PAGED_ROWS = 25, 200


class Footnotes:
    """Notes and reasons, numbered in the order in which one page meets them."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """The number of a text: the same one for the same words."""
        return self._numbers.setdefault(text, len(self._numbers) + 1)

    def texts(self) -> list[str]:
        """The texts met so far, by number."""
        return list(self._numbers)


def render(document: Mapping[str, Any], series: Sequence[PowerSeries] | None = None) -> str:
    """The page as text, to be written as UTF-8.

    document   schema greengen.report/1
    series     the power of each domain over time; None: the document's own, under `series`
    """
    if words.compares(document):
        # A page of its own, loaded where it is asked for.
        return str(import_module("greengen.reports.comparison_page").render(document))
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 -- heavy
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 -- heavy

    if series is None:
        series = [PowerSeries(**line) for line in document.get("series", ())]
    environment = Environment(
        loader=PackageLoader("greengen.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "text": fmt.printable,
        "value": fmt.value,
        "interval": fmt.interval,
        "interval_unit": lambda quantity: f"{fmt.interval(quantity)} {fmt.unit(quantity)}",
        "quantity": fmt.quantity,
        "count": fmt.count,
        "seconds": fmt.seconds,
        "percent": fmt.percent,
        "number": fmt.number,
        "joules": fmt.joules,
        "wh": lambda quantity: fmt.in_unit(quantity, "Wh"),
        "grades": words.grades,
        "nested": lambda rows: any(row["energy_j"] != row["energy_j_inclusive"] for row in rows),
    }
    own = files("greengen.reports").joinpath("templates/report.js").read_text("utf-8")
    scripts = [_normal(get_plotlyjs()), _normal(own)]
    spans, spans_left_out = figures.drawn_spans(document)
    bars = {key: figures.drawn_rows(document[key]) for key in ("accounts", "models")}
    hidden = sum(len(document[key]) - len(rows) for key, rows in bars.items())
    return environment.get_template("report.html.j2").render(
        document,
        words=words,
        document=document,
        policy=_policy(scripts),
        scripts=scripts,
        scroll_rows=_SCROLL_ROWS,
        paged_rows=_PAGED_ROWS,
        balance=words.balance(document),
        covered=_covered(document),
        matrix=_matrix(document),
        costs=_costs(document["models"]),
        beside=beside.sections(document),
        footnotes=Footnotes(),
        figures=[
            {
                "id": "power",
                "title": "Power over time",
                "summary": words.power_caption(series, len(spans), spans_left_out),
                "json": embedded(figures.power_over_time(document, series)),
            },
            {
                "id": "joules",
                "title": "Joules by account and model",
                "summary": words.joules_caption(document, hidden),
                "json": embedded(figures.joules(document)),
            },
        ],
    )


def embedded(figure: Any) -> str:  # noqa: ANN401 -- plotly has no types
    """A plotly figure as JSON that cannot leave its script element."""
    return str(figure.to_json(engine="json")).translate(_ESCAPES)


def _normal(script: str) -> str:
    # The parser of the page does the same, and the hash is of what it reads.
    return script.replace("\r\n", "\n").replace("\r", "\n")


def _policy(scripts: Sequence[str]) -> str:
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _covered(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The domains, each with its boundary row's detail; one that gave no energy at all is listed too."""
    details = {row["domain"]: row for row in document["boundary"]["covered"]}
    rows = [dict(row) | {"detail": details.get(row["domain"], {}).get("detail", "")} for row in document["domains"]]
    read = {row["domain"] for row in rows}
    reason = "no reading was recorded"
    nothing = {
        "energy_j": {"value": None, "unit": "J", "reason": reason},
        "idle_power_w": {"value": None, "unit": "W", "reason": reason},
        "collector": "",
        "in_total": False,
        "why_not_in_total": reason,
        "coverage": 0.0,
        "unknown": [],
    }
    return rows + [nothing | row for name, row in details.items() if name not in read]


def _matrix(document: Mapping[str, Any]) -> list[tuple[str, list[Mapping[str, Any] | None]]]:
    """Account by domain: what is booked, or None where the domain has no such entry."""
    by_domain = [{part["account"]: part["energy_j"] for part in row["accounts"]} for row in document["domains"]]
    names = dict.fromkeys([row["account"] for row in document["accounts"]])
    for booked in by_domain:
        names |= dict.fromkeys(booked)
    return [(name, [booked.get(name) for booked in by_domain]) for name in names]


def _costs(models: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each model's joules per request, with the places of value and interval on one scale, in %."""
    ends = [row["energy_j_per_request"].get("high") or row["energy_j_per_request"]["value"] or 0.0 for row in models]
    scale = max(ends, default=0.0) or 1.0
    costs = []
    for row in models:
        cost = row["energy_j_per_request"]
        place = {end: round(100 * (cost.get(end) or 0.0) / scale, 2) for end in ("value", "low", "high")}
        place["width"] = round(place["high"] - place["low"], 2)
        weak = cost.get("grade") in chart.WEAK
        costs.append({"row": row, "known": cost["value"] is not None, "weak": weak, "place": place})
    return costs
