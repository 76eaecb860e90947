"""How the figures look: palettes, axes, legends, hatching, and text that shows as it is.

Colours are the Okabe-Ito and Tol palettes, which people with colour-vision deficiency can tell
apart; how a number is known shows without colour (dashed or hatched: modelled or declared).
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from greengen.reports import format as fmt

#: Okabe and Ito 2008: domains.
DOMAIN_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#7F7F7F")
#: Tol 2021, "light": models, drawn as filled areas.
MODEL_COLOURS = ("#77AADD", "#EE8866", "#44BB99", "#FFAABB", "#EEDD88", "#AAAA00", "#99DDFF", "#BBCC33")
OTHER_COLOUR = "#BBBBBB"
INK = "#33373D"
WEAK = frozenset({"modelled", "declared"})


def hatch(grades: Sequence[str]) -> dict[str, Any]:
    """A pattern for each bar: hatched where its grade is weak."""
    return {"shape": ["/" if grade in WEAK else "" for grade in grades], "size": 7, "solidity": 0.35}


def axis(title: str, **given: Any) -> dict[str, Any]:  # noqa: ANN401 -- plotly has no types
    """An axis of numbers; its title names the unit."""
    return {
        "title": {"text": title, "standoff": 8},
        "gridcolor": "#E3E6EA",
        "zeroline": False,
        "linecolor": "#9AA1AB",
        "ticks": "outside",
        "tickcolor": "#9AA1AB",
        "separatethousands": True,
        "exponentformat": "none",
        "automargin": True,
    } | given


def rows(names: Sequence[str], domain: Sequence[float]) -> dict[str, Any]:
    """An axis of names, from top to bottom. Places are numbers: names may be the same once shortened."""
    return {
        "domain": list(domain),
        "tickvals": list(range(len(names))),
        "ticktext": [text(name, 26) for name in names],
        "range": [len(names) - 0.4, -0.6],
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
    }


def layout(inner_px: int) -> dict[str, Any]:
    """What both figures share, around a plot area of `inner_px` height."""
    return {
        "template": "none",
        "height": inner_px + 132,
        "margin": {"l": 60, "r": 16, "t": 8, "b": 60},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 12, "color": INK},
        "hoverlabel": {"align": "left", "namelength": -1},
        "legend": legend() | {"y": 1.02, "yanchor": "bottom"},
        "showlegend": True,
    }


def legend() -> dict[str, Any]:
    """A legend that wraps over the width of the figure."""
    return {"orientation": "h", "x": 0, "xanchor": "left", "itemsizing": "constant", "traceorder": "normal"}


def note(x: float, y: float, text: str, **given: str) -> dict[str, Any]:
    """A word in the plot area."""
    return {"x": x, "y": y, "text": text, "showarrow": False, "font": {"size": 11}, "xshift": 6} | given


def text(given: str, width: int = 32) -> str:
    """Text that shows as it is: plotly reads tags and entities in every text."""
    return html.escape(fmt.shortened(given, width), quote=False)
