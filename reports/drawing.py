"""Figures as SVG: scales, axes, marks and words, with no script and no picture file.

What is drawn prints as it shows, takes the page's colours from its style sheet, and is read without
colour: areas have patterns, lines have dashes and marks. Every text goes through `escaped`.
"""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from greengen.reports import format as fmt

#: Classes of areas (``a0`` …) and of lines and marks (``s0`` …) that the style sheet knows.
STYLES = 8
#: Width of an average letter, and height of a line of text, in px: the size of the page's figure text is 12 px.
LETTER, BOLD, LINE = 6.8, 7.6, 16
#: How far apart numbers stand on an axis, px.
_APART = 10
#: A name in a key is no longer than this, px.
_NAME = 330.0
_LOG_STEPS = ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))


def escaped(given: object) -> str:
    """Text as an element or an attribute shows it."""
    return html.escape(fmt.printable(given), quote=True)


def apart(given: object) -> str:
    """Escaped text that does not turn what stands beside it, whichever way it is read."""
    shown = escaped(given)
    turns = any(unicodedata.bidirectional(char) in {"R", "AL", "AN"} for char in shown)
    return f"\u2068{shown}\u2069" if turns else shown


def px(given: float) -> str:
    """A length or a place, to a tenth of a pixel."""
    return f"{given:.1f}".removesuffix(".0")


def element(tag: str, inside: str = "", /, **attributes: object) -> str:
    """An element; `class_` is class, `stroke_width` is stroke-width, and a float is a length in px."""
    told = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{px(item) if isinstance(item, float) else escaped(item)}"'
        for name, item in attributes.items()
        if item is not None
    )
    return f"<{tag}{told}>{inside}</{tag}>" if inside else f"<{tag}{told}/>"


def words(x: float, y: float, given: object, anchor: str = "start", class_: str | None = None) -> str:
    """A line of text. anchor: start, middle or end."""
    return element("text", apart(given), x=float(x), y=float(y), text_anchor=anchor, class_=class_)


def named(inside: str, told: str) -> str:
    """Marks with what a pointer that rests on them is told."""
    return element("g", f"<title>{escaped(told)}</title>{inside}")


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    """A straight line."""
    return element("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_)


def path(points: Iterable[tuple[float, float] | None], class_: str, *, closed: bool = False) -> str:
    """A line through points; None breaks it."""
    parts, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        parts.append(f"{pen}{px(point[0])} {px(point[1])}")
        pen = "L"
    return element("path", d="".join(parts) + ("Z" if closed else ""), class_=class_) if parts else ""


def area(x: float, y: float, width: float, height: float, style: int) -> str:
    """A filled rectangle with its pattern over the fill."""
    box: dict[str, object] = {"x": float(x), "y": float(y), "width": max(width, 0.0), "height": max(height, 0.0)}
    over = f"url(#p{style % STYLES})" if style % STYLES else None
    shown = element("rect", **box, class_=f"area a{style % STYLES}")
    return shown + (element("rect", **box, fill=over) if over else "")


def mark(x: float, y: float, style: int, *, hollow: bool = False) -> str:
    """A mark of its own shape for each style."""
    r = 5.0
    shapes = (
        [(0, -r), (r, 0), (0, r), (-r, 0)],
        [(-r, -r), (r, -r), (r, r), (-r, r)],
        [(0, -r), (r, r), (-r, r)],
        [(0, r), (r, -r), (-r, -r)],
        [(-r, -2), (-2, -2), (-2, -r), (2, -r), (2, -2), (r, -2), (r, 2), (2, 2), (2, r), (-2, r), (-2, 2), (-r, 2)],
        [(0, -r), (r, -1.5), (3, r), (-3, r), (-r, -1.5)],
        [(-r, -r), (r, r), (r, -r), (-r, r)],
    )
    class_ = f"mark {'hollow ' if hollow else ''}s{style % STYLES}"
    if style % STYLES == 0:
        return element("circle", cx=float(x), cy=float(y), r=r, class_=class_)
    return path([(x + dx, y + dy) for dx, dy in shapes[style % STYLES - 1]], class_, closed=True)


def whisker(low: float, high: float, across: float, *, upright: bool = False) -> str:
    """An interval from `low` to `high` (px) at `across` (px) of the other axis."""
    half = 4
    ends = [(low, across - half, low, across + half), (high, across - half, high, across + half)]
    drawn = [(low, across, high, across), *ends]
    turned = [(y1, x1, y2, x2) if upright else (x1, y1, x2, y2) for x1, y1, x2, y2 in drawn]
    return "".join(line(*ends, "whisker") for ends in turned)


@dataclass(frozen=True, slots=True)
class Scale:
    """Numbers from `low` to `high` on px from `start` to `end`; log: equal factors are equally far."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The place of a number, px; what lies outside is put at the end that it is beyond."""
        value = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers on the scale, at most about `most` of them."""
        if self.log:
            return self._powers(most)
        return _round(self.low, self.high, most)

    def _powers(self, most: int) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        for steps in _LOG_STEPS:
            every = [step * 10.0**power for power in range(first, last + 1) for step in steps]
            within = [tick for tick in every if self.low * 0.999 <= tick <= self.high * 1.001]
            if len(within) <= most:
                break
        if len(within) < 2:  # noqa: PLR2004 -- one number gives no scale: within a decade any round number will do
            return _round(self.low, self.high, most)
        return within[:: math.ceil(len(within) / most)]


def _round(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [step * i for i in range(first, last + 1)]


def spread(values: Iterable[float | None], start: float, end: float, *, log: bool = False, zero: bool = True) -> Scale:
    """A scale on which all these numbers have room. zero: it begins at 0 (where it is not log).

    Numbers that a log scale cannot show (0 and below) are left out of account; without any number it is 0 to 1.
    """
    known = [value for value in values if value is not None and math.isfinite(value) and not (log and value <= 0)]
    if not known:
        return Scale(1.0, 10.0, start, end, log=True) if log else Scale(0.0, 1.0, start, end)
    low, high = min(known), max(known)
    if log:
        room = max((high / low) ** 0.06, 1.05)
        return Scale(low / room, high * room, start, end, log=True)
    low = min(low, 0.0) if zero else low
    room = 0.06 * (high - low) or abs(high) * 0.5 or 1.0
    return Scale(low if zero and low >= 0 else low - room, high + room, start, end)


def tick(value: float) -> str:
    """A number on an axis."""
    if value and (abs(value) >= 1e9 or abs(value) < 1e-3):  # noqa: PLR2004 -- rows of zeros are not read
        mantissa, exponent = f"{value:.3g}".split("e") if "e" in f"{value:.3g}" else f"{value:.2e}".split("e")
        mantissa = f"{float(mantissa):g}"
        return f"{mantissa}e{int(exponent)}"
    return f"{value:,.6g}" if abs(value) < 1e3 else f"{value:,.0f}"  # noqa: PLR2004 -- thousands have separators


def width_of(text: str) -> float:
    """About how wide a text is, px."""
    return LETTER * len(text)


def bottom_axis(scale: Scale, top: float, bottom: float, title: str) -> str:
    """Upright lines of a grid between `top` and `bottom`, numbers below them, and what they are."""
    most = max(2, int((scale.end - scale.start) / 60))
    while most > 2 and _crowded(scale, scale.ticks(most)):  # noqa: PLR2004 -- two numbers make an axis
        most -= 1
    drawn, free = [], -math.inf
    for value in scale.ticks(most):
        x, text = scale.at(value), tick(value)
        drawn.append(line(x, top, x, bottom, "grid"))
        half = width_of(text) / 2
        if x - half > free:
            drawn.append(words(min(max(x, half), scale.end + _APART - half), bottom + LINE, text, "middle", "tick"))
            free = x + half + _APART
    drawn.append(line(scale.start, bottom, scale.end, bottom, "axis"))
    return "".join(drawn) + words((scale.start + scale.end) / 2, bottom + 2 * LINE + 4, title, "middle", "title")


def _crowded(scale: Scale, values: Sequence[float]) -> bool:
    """Whether two numbers beside each other have no room."""
    return any(
        scale.at(after) - scale.at(before) < (width_of(tick(before)) + width_of(tick(after))) / 2 + _APART
        for before, after in pairwise(values)
    )


def left_axis(scale: Scale, left: float, right: float, title: str) -> str:
    """Level lines of a grid between `left` and `right`, numbers at their left, and what they are above them."""
    drawn, top = [], min(scale.start, scale.end)
    for value in scale.ticks(max(2, int(abs(scale.end - scale.start) / 36))):
        y = scale.at(value)
        drawn += [line(left, y, right, y, "grid"), words(left - 6, y + 4, tick(value), "end", "tick")]
    drawn.append(line(left, scale.start, left, scale.end, "axis"))
    return "".join(drawn) + words(2, top - 10, title, "start", "title")


def fitted(title: str, width: float) -> str:
    """A title that has room in `width` px, with its middle left out where it has not."""
    return fmt.shortened(title, max(6, int(width / BOLD)))


def legend(entries: Sequence[tuple[str, str]], width: float, top: float) -> tuple[str, float]:
    """Keys with their names, in as many lines as they take; and the height of them, px.

    entries  (key drawn around 8, 0 px, name)
    """
    drawn, x, y = [], 0.0, top + LINE / 2
    for key, name in entries:
        text = fitted(name, min(width - 30, _NAME))
        long = 24 + width_of(text) + 14
        if x and x + long > width:
            x, y = 0.0, y + LINE + 4
        drawn.append(element("g", key + words(22, 4, text), transform=f"translate({px(x)} {px(y)})"))
        x += long
    return "".join(drawn), (y - top + LINE) if entries else 0.0


def figure(inside: str, width: float, height: float, label: str, described_by: str, class_: str) -> str:
    """The figure as an image that a screen reader names and describes."""
    box = f"0 0 {px(width)} {px(height)}"
    return (
        f'<svg class="{class_}" viewBox="{box}" width="{px(width)}" height="{px(height)}" role="img" '
        f'aria-label="{escaped(label)}" aria-describedby="{escaped(described_by)}">{inside}</svg>'
    )
