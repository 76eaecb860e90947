"""Power series and spans made ready to draw: no more points than a page can carry, no joule moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

from greengen.reports.series import PowerSeries

Step = tuple[float, float, float]


def steps(series: PowerSeries, most: int) -> list[list[Step]]:
    """The series as stretches of steps (start s, end s, mean W), broken where nothing was measured.

    Neighbouring steps are merged into their time-weighted mean until about `most` are left, so the
    joules under the line stay; steps are never merged across a break.
    """
    stretches: list[list[Step]] = [[]]
    for t0, t1, power in zip(series.t_s, series.t_s[1:], series.power_w, strict=False):
        if power is None:
            stretches.append([])
        elif t1 > t0:
            stretches[-1].append((t0, t1, power))
    stretches = [stretch for stretch in stretches if stretch]
    if sum(map(len, stretches)) <= most:
        return stretches
    width = sum(stretch[-1][1] - stretch[0][0] for stretch in stretches) / most
    return [_merged(stretch, width) for stretch in stretches]


def _merged(stretch: Sequence[Step], width: float) -> list[Step]:
    merged: list[Step] = []
    start, joules = stretch[0][0], 0.0
    for t0, t1, power in stretch:
        joules += power * (t1 - t0)
        if t1 - start >= width or t1 == stretch[-1][1]:
            merged.append((start, t1, joules / (t1 - start)))
            start, joules = t1, 0.0
    return merged


def outline(stretches: Sequence[Sequence[Step]]) -> tuple[list[float | None], list[float | None]]:
    """x (s) and y (W) of a line through the steps, with a None between stretches."""
    x: list[float | None] = []
    y: list[float | None] = []
    for stretch in stretches:
        if x:
            x.append(None)
            y.append(None)
        for t0, t1, power in stretch:
            x += [t0, t1]
            y += [power, power]
    return x, y


def lanes(spans: Sequence[Mapping[str, Any]], end_s: float) -> tuple[list[int], int]:
    """A lane for each span such that no two in one lane overlap, and how many lanes that takes.

    An open span lasts until `end_s`. A span takes the lowest free lane; of two that start together
    the longer is placed first, so that a parent lies below its children.
    """
    order = sorted(range(len(spans)), key=lambda i: (spans[i]["t0_s"], -(closing(spans[i], end_s) - spans[i]["t0_s"])))
    lane_of = [0] * len(spans)
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    used = 0
    for i in order:
        while busy and busy[0][0] <= spans[i]["t0_s"]:
            heappush(free, heappop(busy)[1])
        if free:
            lane_of[i] = heappop(free)
        else:
            lane_of[i], used = used, used + 1
        heappush(busy, (closing(spans[i], end_s), lane_of[i]))
    return lane_of, used


def closing(span: Mapping[str, Any], end_s: float) -> float:
    """When a span ends, s; an open one at the end of the run."""
    t1 = span["t1_s"]
    return float(max(end_s, span["t0_s"]) if t1 is None else t1)
