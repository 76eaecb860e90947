"""What a comparison draws over two axes: points with their front, lines with bands, power over time.

Each function gives the inside of an SVG and its height, px.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from greengen.reports import drawing as d
from greengen.reports import format as fmt

_LEFT, _RIGHT, _TOP, _FOOT = 58.0, 14.0, 30.0, 46.0
_TALL = 300.0


@dataclass(frozen=True, slots=True)
class Point:
    """An option: where it lies, with its intervals. front: no other point is better both ways."""

    name: str
    x: float
    y: float
    x_ends: tuple[float, float] | None = None
    y_ends: tuple[float, float] | None = None
    front: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A line: None in y breaks it. low and high: the band (or whiskers) around it."""

    name: str
    y: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()


@dataclass(frozen=True, slots=True)
class Axes:
    """What both axes show, and how. marks: (x, low, high, text) of upright lines with their bands."""

    x: str
    y: str
    x_log: bool = False
    y_log: bool = False
    zero: bool = True
    whiskers: bool = False
    marks: Sequence[tuple[float, float | None, float | None, str]] = field(default=())


#: Where a name may stand from its mark, px, and which part of it is left of there; the nearest first.
_AROUND = (
    *((10, -7, 0.0), (10, 16, 0.0), (-10, -7, 1.0), (-10, 16, 1.0), (0, -12, 0.5), (0, 22, 0.5)),
    *((10, -22, 0.0), (10, 31, 0.0), (-10, -22, 1.0), (-10, 31, 1.0)),
)


def front(points: Sequence[tuple[float, float]], *, higher: bool) -> list[bool]:
    """Which points no other is better than: less x, and more y where `higher`, else less y."""
    sign = -1 if higher else 1
    placed = [(x, sign * y) for x, y in points]
    return [not any(other[0] <= own[0] and other[1] <= own[1] and other != own for other in placed) for own in placed]


def scatter(points: Sequence[Point], axes: Axes, width: float) -> tuple[str, float]:
    """Points with intervals, those of the front filled and joined by steps, each with its name where there is room."""
    bottom = _TOP + _TALL
    xs = [v for p in points for v in (p.x, *(p.x_ends or ()))]
    ys = [v for p in points for v in (p.y, *(p.y_ends or ()))]
    across = d.spread(xs, _LEFT, width - _RIGHT, log=axes.x_log, zero=axes.zero)
    up = d.spread(ys, bottom, _TOP, log=axes.y_log, zero=False)
    drawn = [
        d.bottom_axis(across, _TOP, bottom, d.fitted(axes.x, width)),
        d.left_axis(up, _LEFT, width - _RIGHT, d.fitted(axes.y, width)),
    ]
    best = sorted((p for p in points if p.front), key=lambda p: (p.x, p.y))
    steps: list[tuple[float, float] | None] = []
    for before, after in pairwise(best):
        steps += [(across.at(before.x), up.at(before.y)), (across.at(after.x), up.at(before.y))]
    steps += [(across.at(p.x), up.at(p.y)) for p in best[-1:]]
    drawn.append(d.path(steps, "front"))
    taken = [(across.at(p.x) - 7, up.at(p.y) - 7, across.at(p.x) + 7, up.at(p.y) + 7) for p in points]
    for i, point in enumerate(points):
        x, y = across.at(point.x), up.at(point.y)
        shape = d.whisker(across.at(point.x_ends[0]), across.at(point.x_ends[1]), y) if point.x_ends else ""
        if point.y_ends:
            shape += d.whisker(up.at(point.y_ends[0]), up.at(point.y_ends[1]), x, upright=True)
        shape += d.mark(x, y, i, hollow=not point.front)
        drawn.append(d.named(shape, f"{point.name}: {d.tick(point.x)} {axes.x}; {d.tick(point.y)} {axes.y}"))
    # Those of the front have the first choice of places.
    names = [
        _placed(fmt.shortened(p.name, 20), (across.at(p.x), up.at(p.y)), taken, (_LEFT, width))
        for p in sorted(points, key=lambda p: not p.front)
    ]
    return "".join([*drawn, *names]), bottom + _FOOT


def _placed(
    text: str, at: tuple[float, float], taken: list[tuple[float, float, float, float]], within: tuple[float, float]
) -> str:
    """A name beside its mark, where no other word or mark is; none where there is no room."""
    long = d.BOLD * len(text)
    x, y = at
    for dx, dy, anchor in _AROUND:
        left = x + dx - anchor * long
        box = (left, y + dy - 11, left + long, y + dy + 3)
        clear = all(box[2] < t[0] or box[0] > t[2] or box[3] < t[1] or box[1] > t[3] for t in taken)
        if clear and box[0] >= within[0] and box[2] <= within[1] and box[1] >= _TOP - 4:
            taken.append(box)
            return d.words(left, y + dy, text, class_="name halo")
    return ""


def lines(x: Sequence[Any], curves: Sequence[Line], axes: Axes, width: float) -> tuple[str, float]:
    """Curves over common x, which are numbers, or names that stand equally far apart; with their key above."""
    keys, top = d.legend([(_key(i), curve.name) for i, curve in enumerate(curves)], width, 0)
    top += _TOP
    bottom = top + _TALL
    numbers = all(isinstance(value, int | float) for value in x)
    values = [float(value) for value in x] if numbers else [float(i) for i in range(len(x))]
    around = [value for mark in axes.marks for value in mark[:3]]
    across = d.spread([*values, *around], _LEFT, width - _RIGHT, log=axes.x_log and numbers, zero=False)
    ys = [value for curve in curves for part in (curve.y, curve.low, curve.high) for value in part]
    up = d.spread(ys, bottom, top, log=axes.y_log, zero=axes.zero)
    drawn = [keys, d.left_axis(up, _LEFT, width - _RIGHT, d.fitted(axes.y, width))]
    drawn.append(
        d.bottom_axis(across, top, bottom, d.fitted(axes.x, width))
        if numbers
        else _names(x, across, bottom, axes.x, width)
    )
    drawn += [_upright(mark, across, (top, bottom)) for mark in axes.marks]
    for i, curve in enumerate(curves):
        drawn.append(_band(values, curve, across, up, i, whiskers=axes.whiskers))
    for i, curve in enumerate(curves):
        at = [
            None if y is None or (up.log and y <= 0) else (across.at(v), up.at(y))
            for v, y in zip(values, curve.y, strict=False)
        ]
        shown = [point for point in at if point is not None]
        drawn.append(d.path(at, f"line s{i % d.STYLES}"))
        every = max(1, math.ceil(len(shown) / 12))
        drawn += [d.mark(*point, i) for point in shown[::every]]
    drawn += [_said(m[3], across.at(m[0]), top + 14 + d.LINE * i, width) for i, m in enumerate(axes.marks)]
    return "".join(drawn), bottom + _FOOT


def _key(style: int) -> str:
    return d.line(0, 0, 16, 0, f"line s{style % d.STYLES}") + d.mark(8, 0, style)


def _names(x: Sequence[Any], across: d.Scale, bottom: float, title: str, width: float) -> str:
    drawn, free = [d.line(across.start, bottom, across.end, bottom, "axis")], -math.inf
    for i, name in enumerate(x):
        text = d.fitted(str(name), 80)
        half = d.width_of(text) / 2
        if across.at(i) - half > free:
            drawn.append(d.words(across.at(i), bottom + d.LINE, text, "middle", "tick"))
            free = across.at(i) + half + 6
    return "".join(drawn) + d.words(width / 2, bottom + 2 * d.LINE + 4, d.fitted(title, width), "middle", "title")


def _band(values: Sequence[float], curve: Line, across: d.Scale, up: d.Scale, style: int, *, whiskers: bool) -> str:
    rows = [
        (across.at(v), up.at(low), up.at(high))
        for v, low, high in zip(values, curve.low, curve.high, strict=False)
        if low is not None and high is not None
    ]
    if whiskers:
        return "".join(d.whisker(low, high, x, upright=True) for x, low, high in rows)
    outline = [(x, low) for x, low, _ in rows] + [(x, high) for x, _, high in reversed(rows)]
    return d.path(outline, f"band a{style % d.STYLES}", closed=True)


def _upright(mark: tuple[float, float | None, float | None, str], across: d.Scale, ends: tuple[float, float]) -> str:
    x, low, high, _ = mark
    drawn = ""
    if low is not None and high is not None:
        left, right = across.at(low), across.at(high)
        drawn = d.element(
            "rect", x=left, y=ends[0], width=max(right - left, 1.0), height=ends[1] - ends[0], class_="marked"
        )
    return drawn + d.line(across.at(x), ends[0], across.at(x), ends[1], "reference")


def _said(text: str, x: float, y: float, width: float) -> str:
    """The name of an upright line, on that side of it which has more room."""
    left = x - _LEFT > width - x
    room = (x - _LEFT if left else width - x) - 10
    shown = fmt.shortened(text, max(int(room / d.BOLD), 6))
    return d.words(x + (-6 if left else 6), y, shown, "end" if left else "start", "name halo")


def power(
    curves: Sequence[tuple[str, Sequence[float], Sequence[float | None]]],
    phases: Sequence[tuple[str, float, float]],
    width: float,
) -> tuple[str, float]:
    """Mean power as steps over time, and below it one lane for each kind of phase.

    curves  (name, n + 1 times in s, n powers in W)
    phases  (kind, start in s, end in s)
    """
    keys, top = d.legend([(_plain(i), name) for i, (name, _, _) in enumerate(curves)], width, 0)
    kinds = list(dict.fromkeys(kind for kind, _, _ in phases))
    top += _TOP
    floor = top + 170.0
    lane = 20.0
    bottom = floor + lane * len(kinds) + (6 if kinds else 0)
    end = max((t[-1] for _, t, _ in curves), default=1.0) or 1.0
    across = d.Scale(0.0, max([end, *(t1 for _, _, t1 in phases)]), _LEFT, width - _RIGHT)
    up = d.spread([p for _, _, powers in curves for p in powers], floor, top)
    drawn = [keys, d.left_axis(up, _LEFT, width - _RIGHT, "power (W)")]
    drawn.append(d.bottom_axis(across, top, bottom, "time since the start (s)"))
    for kind, t0, t1 in phases:
        y = floor + 6 + lane * kinds.index(kind)
        wide = max(across.at(t1) - across.at(t0), 1.0)
        shape = d.area(across.at(t0), y + 2, wide, lane - 5, kinds.index(kind) + 1)
        drawn.append(d.named(shape, f"{kind}: {d.tick(round(t0, 3))} s to {d.tick(round(t1, 3))} s"))
    for i, kind in enumerate(kinds):
        drawn.append(d.words(_LEFT - 6, floor + 6 + lane * i + 13, d.fitted(kind, _LEFT - 4), "end", "tick"))
    for i, (_, t, powers) in enumerate(curves):
        points: list[tuple[float, float] | None] = []
        for t0, t1, p in zip(t, t[1:], powers, strict=False):
            points += [None] if p is None else [(across.at(t0), up.at(p)), (across.at(t1), up.at(p))]
        drawn.append(d.path(points, f"line s{i % d.STYLES}"))
    return "".join(drawn), bottom + _FOOT


def _plain(style: int) -> str:
    return d.line(0, 0, 16, 0, f"line s{style % d.STYLES}")
