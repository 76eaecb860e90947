"""Rows of a comparison drawn one below the other: stacked bars, intervals around a line, histograms.

The words of a row stand above its marks, over the whole width: nothing is cut and nothing overlaps,
however narrow the figure is. Each function gives the inside of an SVG and its height, px.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from greengen.reports import drawing as d
from greengen.reports import format as fmt

_BAR, _EDGE, _GAP, _FOOT = 16, 10, 10, 46
#: Below this width of a figure, px, the words of a row take two lines.
_NARROW = 500


@dataclass(frozen=True, slots=True)
class Bar:
    """One row.

    parts  (style, length, what a pointer is told)
    ends   the interval of the whole
    text   what stands beside the name
    """

    name: str
    parts: Sequence[tuple[int, float, str]]
    ends: tuple[float, float] | None
    text: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """One row of an interval: its middle where there is one, and both ends. style: the mark of the middle."""

    name: str
    middle: float | None
    low: float
    high: float
    text: str
    style: int = 0


def stacked(rows: Sequence[Bar], kinds: Sequence[tuple[int, str]], title: str, width: float) -> tuple[str, float]:
    """Bars of parts, each with the interval of its whole. kinds: (style, name) of the parts, for the key."""
    keys, top = d.legend([(d.area(0, -6, 16, 12, style), name) for style, name in kinds], width, 0)
    sums = [sum(length for _, length, _ in row.parts) for row in rows]
    ends = [row.ends[1] for row in rows if row.ends]
    scale = d.spread([*sums, *ends], 0.0 + _EDGE, width - _EDGE)
    head = _head([row.text for row in rows], width)
    tall = head + _BAR + _GAP
    bottom = top + 8 + tall * len(rows)
    drawn = [keys, d.bottom_axis(scale, top + 8, bottom, d.fitted(title, width))]
    for i, row in enumerate(rows):
        y = top + 8 + tall * i
        drawn.append(_headed(row.name, row.text, y, width))
        reached = 0.0
        for style, length, told in row.parts:
            x0, x1 = scale.at(reached), scale.at(reached + length)
            drawn.append(d.named(d.area(x0, y + head, x1 - x0, _BAR, style), told))
            reached += length
        if row.ends:
            drawn.append(d.whisker(scale.at(row.ends[0]), scale.at(row.ends[1]), y + head + _BAR / 2))
    return "".join(drawn), bottom + _FOOT


def stretches(
    rows: Sequence[Stretch], around: float, title: str, width: float, *, log: bool = False
) -> tuple[str, float]:
    """Intervals, with a line at `around` through all of them. log: the scale is one of factors."""
    every = [value for row in rows for value in (row.low, row.high, row.middle)]
    scale = d.spread([*every, around], 0.0 + _EDGE, width - _EDGE, log=log, zero=False)
    head = _head([row.text for row in rows], width)
    tall = head + _BAR + _GAP
    bottom = 8 + tall * len(rows)
    drawn = [d.bottom_axis(scale, 8, bottom, d.fitted(title, width))]
    drawn.append(d.line(scale.at(around), 4, scale.at(around), bottom, "reference"))
    for i, row in enumerate(rows):
        y = 8 + tall * i
        drawn.append(_headed(row.name, row.text, y, width))
        across = y + head + _BAR / 2
        if row.middle is None:
            x0, x1 = sorted((scale.at(row.low), scale.at(row.high)))
            shape = d.area(x0, across - _BAR / 2, x1 - x0, _BAR, row.style)
        else:
            shape = d.whisker(scale.at(row.low), scale.at(row.high), across)
            shape += d.mark(scale.at(row.middle), across, row.style)
        drawn.append(d.named(shape, f"{row.name}: {row.text}"))
    return "".join(drawn), bottom + _FOOT


def histograms(
    rows: Sequence[tuple[str, Sequence[float], str]], edges: Sequence[float], title: str, width: float, *, log: bool
) -> tuple[str, float]:
    """One histogram below the other over common edges; each is as high as its own top.

    rows  (name, number in each bin, text)
    """
    scale = d.Scale(edges[0], edges[-1], 0.0 + _EDGE, width - _EDGE, log)
    tall, gap = 44, _head([text for _, _, text in rows], width) + 8
    bottom = (tall + gap) * len(rows) + 4
    drawn = [d.bottom_axis(scale, 4, bottom, d.fitted(title, width))]
    for i, (name, shares, text) in enumerate(rows):
        y = 4 + (tall + gap) * i
        floor = y + gap + tall
        drawn.append(_headed(name, text, y + 4, width))
        most = max(shares, default=0.0) or 1.0
        bars = []
        for share, left, right in zip(shares, edges, edges[1:], strict=False):
            if share > 0:
                x0, x1 = scale.at(left), scale.at(right)
                bars.append(d.area(x0, floor - tall * share / most, x1 - x0, tall * share / most, i))
        drawn.append(d.named("".join(bars), f"{name}: {text}"))
        drawn.append(d.line(scale.start, floor, scale.end, floor, "axis"))
    return "".join(drawn), bottom + _FOOT


def heat(
    grid: tuple[Sequence[str], Sequence[str], Sequence[Sequence[float | None]]],
    letters: Sequence[Sequence[str]] | None,
    unit: str,
    width: float,
) -> tuple[str, float]:
    """A number for each of rows × columns, as depth of colour, with a letter in each cell where there is one.

    grid  (rows, columns, values); where it is wider than the figure it is turned
    """
    rows, columns, values = grid
    if len(columns) > len(rows) and width < 20 * len(columns):
        turned = [[row[j] for row in values] for j in range(len(columns))]
        letters = [[row[j] for row in letters] for j in range(len(columns))] if letters else None
        return heat((columns, rows, turned), letters, unit, width)
    known = [value for row in values for value in row if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    left = min(max((d.width_of(name) for name in rows), default=0) + 12, width * 0.3)
    wide = (width - left - 2) / max(len(columns), 1)
    tall = min(max(wide, 20.0), 30.0)
    drawn, free, top = [], left - 20, 22.0
    for j, name in enumerate(columns):
        text = d.fitted(name, max(wide, 24.0))
        half = d.width_of(text) / 2
        x = left + wide * (j + 0.5)
        if x - half > free:
            drawn.append(d.words(x, 14, text, "middle", "tick"))
            free = x + half + 4
    for i, row in enumerate(values):
        y = top + tall * i
        drawn.append(d.words(left - 8, y + tall / 2 + 4, d.fitted(rows[i], left - 8), "end", "tick"))
        for j, value in enumerate(row):
            x = left + wide * j
            told = f"{rows[i]}, {columns[j]}: " + ("not known" if value is None else f"{fmt.number(value)} {unit}")
            box = {"x": x + 0.5, "y": y + 0.5, "width": wide - 1, "height": tall - 1}
            depth = 0.0 if value is None or high == low else (value - low) / (high - low)
            cell = d.element("rect", **box, class_="cell", fill_opacity=f"{0.08 + 0.92 * depth:.2f}")
            if value is None:
                cell = d.element("rect", **box, fill="url(#p3)")
            letter = letters[i][j] if letters else ""
            cell += d.words(x + wide / 2, y + tall / 2 + 4, letter, "middle", "letter halo") if letter else ""
            drawn.append(d.named(cell, told))
    bottom = top + tall * len(rows) + 10
    steps = [
        d.element("rect", x=left + 14.0 * i, y=bottom, width=14.0, height=12.0, class_="cell", fill_opacity=f"{o:.2f}")
        for i, o in enumerate((0.08, 0.31, 0.54, 0.77, 1.0))
    ]
    key = d.words(
        left + 78, bottom + 11, d.fitted(f"{fmt.number(low)} to {fmt.number(high)} {unit}", width - left - 78)
    )
    return "".join([*drawn, *steps, key]), bottom + 20


def _head(rows: Sequence[str], width: float) -> float:
    """How much room the words of a row need, px: on a narrow figure they have a line of their own."""
    return 2.0 * d.LINE + 4 if width < _NARROW and any(rows) else d.LINE + 4.0


def _headed(name: str, text: str, top: float, width: float) -> str:
    """A name and what is told of it, on a plate that keeps the grid away; the name gives way."""
    long, two = d.width_of(text), width < _NARROW
    room = width - 2 * _EDGE - (0 if two else long + 10)
    shown = fmt.shortened(name, max(int(room / d.BOLD), 8))
    plates = [(top + 2, d.BOLD * len(shown) + (0 if two else long + 10))]
    drawn = [d.words(_EDGE, top + 14, shown, class_="name")]
    if two and text:
        plates.append((top + 2 + d.LINE, long))
        drawn.append(d.words(_EDGE, top + 14 + d.LINE, text))
    elif text:
        inside = d.element("tspan", d.apart(shown), class_="name") + d.element("tspan", d.apart(text), dx=8.0)
        drawn = [d.element("text", inside, x=0.0 + _EDGE, y=top + 14)]
    under = [
        d.element("rect", x=_EDGE - 4.0, y=y, width=min(w + 8.0, width - _EDGE), height=float(d.LINE), class_="plate")
        for y, w in plates
    ]
    return "".join([*under, *drawn])
