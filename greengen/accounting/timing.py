"""What the time between two readings makes of spans: nobody knows when within it the energy went.

attribution.md section 4. Where the busy time of which a span is part begins and ends, what lies on
either side is uncertain by the step of the power there; within busy time, see bridge.py.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from greengen.accounting import bridge, sampling
from greengen.accounting.books import Books
from greengen.accounting.curves import NS, Bools, Curve, Floats, Ints, median
from greengen.accounting.usage import FOREIGN_S
from greengen.quantity import Z95

#: A span is resolved from so many times the meter's resolution on (attribution.md 4.4).
UNRESOLVED = 3.0

#: What leaks of a step of the power at each edge of a busy time, as a part of ΔP·(w+h): averaged by a gauge,
#: and of a counter whose change is seen at its next poll. Sizes held against examples/intervals.py.
LEAK, LATE = 0.4, 0.5

_NONE = np.zeros(0, dtype=np.int64)


def of_spans(books: Books) -> Floats:
    """σ in J from changes of a span's share that fall between two readings."""
    curve, cells = books.curve, books.grid
    n = len(books.table)
    if curve.t_ns.size < 2 or not n:  # noqa: PLR2004
        return np.zeros(n)
    lives = _lives(books)
    owner, first, last = lives.owner, lives.first, lives.last
    # Where one row of a span follows another, only the difference of their shares counts.
    place, change = _changes(owner, first, last, (lives.before, lives.after), cells.edges.size)
    span, edge = place // cells.edges.size, place % cells.edges.size
    quantum = books.domain.resolution_j / math.sqrt(12.0)
    variance = np.bincount(span, (quantum * change) ** 2, minlength=n).astype(float)
    reach_ns = bridge.block_ns(curve)
    noise_w = bridge.scatter_w(books, reach_ns)
    variance += bridge.of_spans(books, reach_ns, noise_w) + sampling.of_spans(books, noise_w)
    live = np.concatenate(([False], books.live, [False]))
    at_border = live[edge] != live[edge + 1]
    span, change, t_ns = span[at_border], change[at_border], cells.edges[edge[at_border]]
    variance += np.bincount(span, (half_width(curve, t_ns)[1] * change / Z95) ** 2, minlength=n)
    # What leaks at one edge leaks at the other: out of the busy time, at both.
    variance += (np.bincount(span, leak(curve, t_ns) * np.abs(change), minlength=n) / Z95) ** 2
    # A life within one stretch: all that the stretch holds may lie in it, or none of it.
    start, end = np.full(n, cells.edges.size - 1), np.zeros(n, dtype=np.int64)
    np.minimum.at(start, owner, first)
    np.maximum.at(end, owner, last)
    most = np.zeros(n)
    np.maximum.at(most, owner, np.maximum(lives.before, lives.after))
    begin_ns, end_ns = cells.edges[start], cells.edges[np.maximum(end, start)]
    at = np.clip(np.searchsorted(curve.t_ns, begin_ns, side="right") - 1, 0, curve.step_j.size - 1)
    same = (end > start) & (end_ns <= curve.t_ns[at + 1])
    inside = curve.at(end_ns) - curve.at(begin_ns)
    limit = np.full(n, np.inf)
    if books.domain.max_power_w is not None:
        limit = books.domain.max_power_w * (end_ns - begin_ns) / NS
    within = np.minimum(np.maximum(inside, curve.step_j[at] - inside), limit) * most / Z95
    sigma = np.sqrt(np.where(same, within**2 + 2 * (quantum * most) ** 2, variance))
    busy_j = _busy_period(books, start)
    # Too short to be told from those beside it: anything from nothing to all of its busy time's joules.
    widest = np.maximum(busy_j - books.span_j, books.span_j) / Z95
    return np.asarray(np.where(unresolved(books), np.maximum(sigma, widest), sigma))


def _busy_period(books: Books, start: Ints) -> Floats:
    """J of the time without a pause in which each span begins (its first cell: `start`), shape (n,)."""
    live = books.live
    if not live.size:
        return np.zeros(start.size)
    period = np.cumsum(np.diff(live, prepend=False))
    own_j = np.bincount(period, books.grid.energy_j * books.grid.ours * live, minlength=int(period[-1]) + 1)
    place = np.clip(start, 0, live.size - 1)
    return np.asarray(np.where(live[place], own_j[period[place]], 0.0))


class _Lives(NamedTuple):
    """Rows with a cell: span, first cell, the one after the last, part of the energy before and after them."""

    owner: Ints
    first: Ints
    last: Ints
    before: Floats
    after: Floats


def _lives(books: Books) -> _Lives:
    ours, found = books.grid.ours, []
    for part in books.shares.parts:
        kept = part.last > part.first
        first, last = part.first[kept], part.last[kept]
        weight, growth = part.weight[kept], part.growth[kept]
        before, after = (
            (part.head[c] + part.rate[c] * (weight + growth * part.step[c])) * ours[c] for c in (first, last - 1)
        )
        found.append(_Lives(part.owner[kept], first, last, before, after))
    return _Lives(
        owner=np.concatenate([_NONE, *(lives.owner for lives in found)]),
        first=np.concatenate([_NONE, *(lives.first for lives in found)]),
        last=np.concatenate([_NONE, *(lives.last for lives in found)]),
        before=np.concatenate([np.zeros(0), *(lives.before for lives in found)]),
        after=np.concatenate([np.zeros(0), *(lives.after for lives in found)]),
    )


def _changes(owner: Ints, first: Ints, last: Ints, ends: tuple[Floats, Floats], edges: int) -> tuple[Ints, Floats]:
    """(span · edges + edge, by how much the span's share changes there)."""
    places = np.concatenate((owner * edges + first, owner * edges + last))
    amounts = np.concatenate((ends[0], -ends[1]))
    order = np.argsort(places, kind="stable")
    places, amounts = places[order], amounts[order]
    begins = np.flatnonzero(np.diff(places, prepend=-1))
    return places[begins], np.add.reduceat(amounts, begins) if begins.size else amounts


def resolution_s(curve: Curve) -> float:
    """The shortest time that this meter tells: its spacing of readings, its refresh, its averaging window."""
    spacing = median(curve.spacing_s[curve.known]) if curve.known.any() else 0.0
    return max(spacing, curve.window_s, curve.domain.refresh_s)


def unresolved(books: Books) -> Bools:
    """Spans shorter than three times the meter's resolution: only their busy period's energy is known. Shape (n,)."""
    table = books.table
    return np.asarray((table.t1_ns - table.t0_ns) / NS < UNRESOLVED * resolution_s(books.curve))


def of_foreign_seconds(books: Books) -> Floats:
    """σ in J from foreign work: of a shorter span's second it may lie all inside, or outside."""
    cells, lives = books.grid, _lives(books)
    ours = cells.ours[lives.first]
    foreign = np.divide(1.0 - ours, ours, out=np.zeros_like(ours), where=ours > 0)
    start, end = cells.edges[lives.first], cells.edges[lives.last]
    left = np.maximum(1.0 - (end - start) / NS / FOREIGN_S, 0.0)
    sigma = (books.curve.at(end) - books.curve.at(start)) * lives.before * foreign * left / Z95
    return np.sqrt(np.bincount(lives.owner, sigma**2, minlength=len(books.table)))


def leak(curve: Curve, t_ns: Ints) -> Floats:
    """The most, J, that averaging and spacing carry from the busy side of a time to the quiet one, at 95 %.

    A part of |ΔP|·(w+h), with w the averaging window and h the spacing; a counter's change is seen as
    late as its next poll. ΔP is the step of the power between one resolution before and one after.
    """
    if curve.t_ns.size < 2:  # noqa: PLR2004 -- one stretch
        return np.zeros(t_ns.size)
    spacing = median(np.diff(curve.t_ns)[curve.known]) / NS if curve.known.any() else 0.0
    reach_s = curve.window_s + spacing
    if not reach_s:
        return np.zeros(t_ns.size)
    reach_ns = max(int(reach_s * NS), 1)
    inside = [np.clip(t, curve.t_ns[0], curve.t_ns[-1]) for t in (t_ns - 2 * reach_ns, t_ns - reach_ns)]
    after = [np.clip(t, curve.t_ns[0], curve.t_ns[-1]) for t in (t_ns + reach_ns, t_ns + 2 * reach_ns)]
    power = [(curve.at(b) - curve.at(a)) / np.maximum((b - a) / NS, reach_s / 2) for a, b in (inside, after)]
    factor = LEAK if curve.window_s else LATE
    return np.asarray(np.abs(power[1] - power[0]) * reach_s * factor)


def half_width(curve: Curve, t_ns: Ints) -> tuple[Ints, Floats]:
    """(stretch that holds each time, half-width in J of the energy before it)."""
    seconds = np.diff(curve.t_ns) / NS
    power = np.nan_to_num(curve.power_w)
    last = seconds.size - 1
    at = np.clip(np.searchsorted(curve.t_ns, t_ns, side="right") - 1, 0, last)
    where = ((t_ns - curve.t_ns[at]) / NS / seconds[at]).clip(0.0, 1.0)
    # Points that thinning left out lie on the line: what is unknown lies between two readings.
    readings = np.minimum(np.where(curve.spacing_s > 0, curve.spacing_s, seconds), seconds)[at]
    parabola = np.where(readings < seconds[at], 0.25, where * (1.0 - where))
    before, after = power[np.maximum(at - 1, 0)], power[np.minimum(at + 1, last)]
    here = power[at]
    steps = np.maximum.reduce([abs(after - before), abs(here - before), abs(after - here)])
    noise = float(np.sqrt(np.mean(np.diff(power) ** 2) / 2.0)) if power.size > 1 else float(power[0])
    half = readings * np.hypot(parabola * steps, Z95 * noise * np.sqrt(parabola))
    half = np.minimum(half, here * readings)
    return at, np.where((t_ns <= curve.t_ns[0]) | (t_ns >= curve.t_ns[-1]), 0.0, half)
