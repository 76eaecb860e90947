"""One self-contained page: works offline, asks nobody for anything.

The page forbids itself every request (Content-Security-Policy) and every script but its own two,
which it names by their hashes. Texts that a user chose are escaped by the template (autoescape) and
in the embedded JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from greengen.reports import beside, chart, comparison_page, figures, page, words
from greengen.reports.series import PowerSeries


def render(document: Mapping[str, Any], series: Sequence[PowerSeries] | None = None) -> str:
    """The page as text, to be written as UTF-8.

    document   schema greengen.report/1, or greengen.comparison/1, which has a page of its own
    series     the power of each domain over time; None: the document's own, under `series`
    """
    if words.compares(document):
        return comparison_page.render(document)
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 -- heavy

    if series is None:
        series = [PowerSeries(**line) for line in document.get("series", ())]
    environment = page.environment()
    own = files("greengen.reports").joinpath("templates/report.js").read_text("utf-8")
    scripts = [page.script(get_plotlyjs()), page.script(own)]
    spans, spans_left_out = figures.drawn_spans(document)
    bars = {key: figures.drawn_rows(document[key]) for key in ("accounts", "models")}
    hidden = sum(len(document[key]) - len(rows) for key, rows in bars.items())
    return environment.get_template("report.html.j2").render(
        document,
        words=words,
        document=document,
        policy=page.policy(scripts),
        scripts=scripts,
        scroll_rows=page.SCROLL_ROWS,
        paged_rows=page.PAGED_ROWS,
        balance=words.balance(document),
        covered=_covered(document),
        matrix=_matrix(document),
        costs=_costs(document["models"]),
        beside=beside.sections(document),
        footnotes=page.Footnotes(),
        data=page.data(dict(document) | {"series": [_known(line) for line in series]}),
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
    return page.escaped(str(figure.to_json(engine="json")))


def _known(line: PowerSeries) -> dict[str, Any]:
    """A series as the page's data hold it: a power at the last time lasts for no time."""
    return asdict(line) | {"power_w": line.power_w[: max(len(line.t_s) - 1, 0)]}


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
