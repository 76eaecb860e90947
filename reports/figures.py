"""The two figures: power over time with the live spans below it, and joules by account and by model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from greengen.quantity import convert
from greengen.reports import chart, lines, words
from greengen.reports import format as fmt
from greengen.reports.series import PowerSeries

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Document = Mapping[str, Any]

MAX_SPANS = 2000
MAX_STEPS = 8000
MAX_ROWS = 24

_OUTLINED = 300
_LANE_PX, _ROW_PX, _GAP_PX, _POWER_PX = 13, 30, 72, 260


def power_over_time(document: Document, series: Sequence[PowerSeries]) -> Figure:
    """Mean power of each domain (W) over time (s), and below it each live span as a band coloured by its model."""
    from plotly.graph_objects import Figure  # noqa: PLC0415 -- plotly is heavy

    spans, _ = drawn_spans(document)
    lane_of, used = lines.lanes(spans, document["run"]["duration_s"])
    bands_px = min(max(used * _LANE_PX, 80), 420) if spans else 0
    inner = (_POWER_PX if series else 2 * _ROW_PX) + bands_px
    split = bands_px / inner
    ends = [0, document["run"]["duration_s"] or 1]
    layout = chart.layout(inner) | {
        "xaxis": chart.axis("Time since the start (s)", range=ends, anchor="y2" if spans else "y"),
        "yaxis": chart.axis("Power (W)", rangemode="tozero", domain=[split + 14 / inner if spans else 0, 1]),
        "hovermode": "closest",
        "barmode": "overlay",
    }
    if spans:
        layout["yaxis2"] = chart.axis("Live spans", domain=[0, split], range=[-0.6, used - 0.4], fixedrange=True) | {
            "showticklabels": False,
            "ticks": "",
            "showgrid": False,
        }
        layout["legend2"] = chart.legend() | {"y": -62 / inner, "yanchor": "top"}
    figure = Figure(layout=layout)
    each = MAX_STEPS // max(len(series), 2)
    figure.add_traces([_power_line(s, c, each) for s, c in zip(series, cycle(chart.DOMAIN_COLOURS), strict=False)])
    figure.add_traces(_bands(document, spans, lane_of))
    if not series:
        text = f"power: {fmt.NOT_MEASURED}"
        figure.add_annotation(chart.note(0.5, 0.5 + split / 2, text, xref="paper", yref="paper"))
    return figure


def joules(document: Document) -> Figure:
    """Energy (J, kJ or MJ) by account, stacked by domain, and by model; whiskers are the 95 % intervals."""
    from plotly.graph_objects import Figure  # noqa: PLC0415 -- plotly is heavy

    accounts, models = drawn_rows(document["accounts"]), drawn_rows(document["models"])
    top = max((_high(row["energy_j"]) for row in (*accounts, *models)), default=0.0)
    unit = str(fmt.handy({"value": top, "unit": "J"})["unit"])
    inner = _ROW_PX * (len(accounts) + len(models)) + _GAP_PX
    share = (len(models) * _ROW_PX) / inner
    span = {"range": [0, 1.08 * convert(top, "J", unit) or 1]}
    layout = chart.layout(inner) | {
        "barmode": "stack",
        "bargap": 0.35,
        "xaxis": chart.axis(f"Energy by account ({unit})", anchor="y", **span),
        "yaxis": chart.rows([row["account"] for row in accounts], [share + _GAP_PX / inner if models else 0.0, 1.0]),
    }
    if models:
        layout["xaxis2"] = chart.axis(f"Energy by model ({unit})", anchor="y2", matches="x", **span)
        layout["yaxis2"] = chart.rows([row["model"] for row in models], [0.0, share]) | {"anchor": "x2"}
    figure = Figure(layout=layout)
    figure.add_traces(_account_bars(document, accounts, unit))
    if models:
        figure.add_traces(_model_bars(document, models, unit))
    partly = words.partly_missing(document)
    for axes, rows in (("", accounts), ("2", models)):
        for y, row in enumerate(rows):
            whole = row["energy_j"]["value"] is None
            if whole or row.get("account") in partly:
                text = fmt.NOT_MEASURED if whole else "+ a part not measured"
                x = convert(_high(row["energy_j"]), "J", unit)
                figure.add_annotation(chart.note(x, y, text, xref=f"x{axes}", yref=f"y{axes}", xanchor="left"))
    return figure


def drawn_spans(document: Document) -> tuple[list[Mapping[str, Any]], int]:
    """The spans that are drawn, largest first, and how many are not (those left out of the document too)."""
    every = [*document["requests"], *document["spans"]]
    drawn = words.largest(every, MAX_SPANS)
    return drawn, len(every) - len(drawn) + document["requests_left_out"]


def drawn_rows(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The accounts or models that are drawn, in their order; where they are many, those with the most joules."""
    keep = sorted(range(len(rows)), key=lambda i: -_high(rows[i]["energy_j"]))[:MAX_ROWS]
    return [rows[i] for i in sorted(keep)]


def _power_line(series: PowerSeries, colour: str, most: int) -> Any:  # noqa: ANN401 -- plotly has no types
    from plotly.graph_objects import Scatter  # noqa: PLC0415

    x, y = lines.outline(lines.steps(series, most))
    weak = series.grade in chart.WEAK
    return Scatter(
        x=x,
        y=y,
        mode="lines",
        connectgaps=False,
        name=chart.text(words.graded(series.name, series.grade), 44),
        line={"color": colour, "width": 1.4},
        # Hatched like the bars. A dashed line would be a riddle where the power changes often.
        fill="tozeroy" if weak else None,
        fillpattern={"shape": "/", "fgcolor": colour, "size": 7, "solidity": 0.15} if weak else None,
        hovertemplate="%{y:.3~s}W at %{x:.2f} s<extra>%{fullData.name}</extra>",
    )


def _bands(document: Document, spans: Sequence[Mapping[str, Any]], lane_of: Sequence[int]) -> list[Any]:
    from plotly.graph_objects import Bar  # noqa: PLC0415

    colours = _model_colours(document)
    groups: dict[str | None, list[int]] = {model: [] for model in (*colours, None)}
    for i, row in enumerate(spans):
        groups[row["model"] if row["model"] in colours else None].append(i)
    end_s = document["run"]["duration_s"]
    bands = []
    for model, members in groups.items():
        if not members:
            continue
        colour = chart.OTHER_COLOUR if model is None else colours[model]
        # With an outline of its own colour the shortest span still shows; among few, ink parts neighbours.
        outline = chart.INK if len(spans) <= _OUTLINED else colour
        bands.append(
            Bar(
                base=[spans[i]["t0_s"] for i in members],
                x=[lines.closing(spans[i], end_s) - spans[i]["t0_s"] for i in members],
                y=[lane_of[i] for i in members],
                width=0.8,
                orientation="h",
                xaxis="x",
                yaxis="y2",
                legend="legend2",
                name="no model, or one without its own colour" if model is None else chart.text(model),
                marker={"color": colour, "line": {"width": 0.6, "color": outline}},
                customdata=[_about(spans[i], end_s) for i in members],
                hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]}<br>%{customdata[2]}<br>%{customdata[3]}"
                "<extra></extra>",
            ),
        )
    return bands


def _about(span: Mapping[str, Any], end_s: float) -> list[str]:
    energy = span["energy_j"]
    known = f"{fmt.quantity(energy)} {energy['grade']}" if energy["value"] is not None else fmt.NOT_MEASURED
    length = fmt.seconds(lines.closing(span, end_s) - span["t0_s"])
    still = ", still open" if span["t1_s"] is None else ""
    return [
        chart.text(span["id"], 60),
        f"{chart.text(span['kind'])} {chart.text(span['model'] or '')}",
        f"{known}{'' if energy['value'] is not None else ': ' + chart.text(energy['reason'], 80)}",
        f"{length} from {span['t0_s']:.2f} s{still}",
    ]


def _account_bars(document: Document, accounts: Sequence[Mapping[str, Any]], unit: str) -> list[Any]:
    from plotly.graph_objects import Bar  # noqa: PLC0415

    row_of = {row["account"]: y for y, row in enumerate(accounts)}
    bars = []
    for i, domain in enumerate(row for row in document["domains"] if row["in_total"]):
        parts = [
            (row_of[part["account"]], part["energy_j"])
            for part in domain["accounts"]
            if part["account"] in row_of and part["energy_j"]["value"] is not None
        ]
        bars.append(
            Bar(
                x=[convert(energy["value"], "J", unit) for _, energy in parts],
                y=[y for y, _ in parts],
                orientation="h",
                name=chart.text(words.graded(domain["name"], domain["grade"]), 44),
                marker={
                    "color": chart.DOMAIN_COLOURS[i % len(chart.DOMAIN_COLOURS)],
                    "pattern": chart.hatch([energy["grade"] for _, energy in parts]),
                },
                customdata=[f"{fmt.quantity(energy)} {energy['grade']}" for _, energy in parts],
                hovertemplate="%{customdata}<extra>%{fullData.name}</extra>",
            ),
        )
    return [*bars, _whiskers(accounts, unit, "")]


def _model_bars(document: Document, models: Sequence[Mapping[str, Any]], unit: str) -> list[Any]:
    from plotly.graph_objects import Bar  # noqa: PLC0415

    known = [(y, row) for y, row in enumerate(models) if row["energy_j"]["value"] is not None]
    colours = _model_colours(document)
    bars = Bar(
        x=[convert(row["energy_j"]["value"], "J", unit) for _, row in known],
        y=[y for y, _ in known],
        orientation="h",
        xaxis="x2",
        yaxis="y2",
        showlegend=False,
        name="by model",
        marker={
            "color": [colours.get(row["model"], chart.OTHER_COLOUR) for _, row in known],
            "pattern": chart.hatch([row["energy_j"]["grade"] for _, row in known]),
        },
        customdata=[f"{fmt.quantity(row['energy_j'])} {row['energy_j']['grade']}" for _, row in known],
        hovertemplate="%{customdata}<extra></extra>",
    )
    return [bars, _whiskers(models, unit, "2")]


def _whiskers(rows: Sequence[Mapping[str, Any]], unit: str, axes: str) -> Any:  # noqa: ANN401 -- plotly has no types
    from plotly.graph_objects import Scatter  # noqa: PLC0415

    known = [(y, row["energy_j"]) for y, row in enumerate(rows) if row["energy_j"]["value"] is not None]
    return Scatter(
        x=[convert(energy["value"], "J", unit) for _, energy in known],
        y=[y for y, _ in known],
        xaxis=f"x{axes}",
        yaxis=f"y{axes}",
        mode="markers",
        name="95 % interval",
        # The page draws this group in the colour of its text, light or dark.
        legendgroup="ink",
        showlegend=not axes,
        marker={"color": chart.INK, "size": 5},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [convert(_high(energy) - energy["value"], "J", unit) for _, energy in known],
            "arrayminus": [convert(energy["value"] - _low(energy), "J", unit) for _, energy in known],
            "color": chart.INK,
            "thickness": 1.4,
            "width": 4,
        },
        customdata=[f"{fmt.quantity(energy)} {energy['grade']}" for _, energy in known],
        hovertemplate="%{customdata}<extra></extra>",
    )


def _model_colours(document: Document) -> dict[str, str]:
    """A colour for each of the models with the most joules, served ones first; two models never share one."""
    served = sorted(document["models"], key=lambda row: -_high(row["energy_j"]))
    others = words.largest(document["spans"], len(document["spans"]))
    names = dict.fromkeys(row["model"] for row in (*served, *others) if row["model"] is not None)
    return dict(zip(names, chart.MODEL_COLOURS, strict=False))


def _high(energy: Mapping[str, Any]) -> float:
    return float(next((energy[end] for end in ("high", "value") if energy.get(end) is not None), 0.0))


def _low(energy: Mapping[str, Any]) -> float:
    return float(next((energy[end] for end in ("low", "value") if energy.get(end) is not None), 0.0))
