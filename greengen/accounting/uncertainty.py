"""What a booked joule may be off by: one standard uncertainty per source, per span and per account.

attribution.md section 4, to first order. Half-widths of bounds count as 95 %, so σ = bound / 1.96.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from greengen.accounting.books import Books
from greengen.accounting.curves import NS, Bools, Curve, Floats, Ints, distinct
from greengen.accounting.usage import FOREIGN_S, Use
from greengen.quantity import Z95

#: Two consumers of the same busy time may differ this much in power (kepler's authors: 2 to 3 times
#: between compute- and memory-bound work), at 95 %. For shares among processes and among spans.
INTENSITY_FACTOR = 2.0

_SIGMA_SHARE = math.log(INTENSITY_FACTOR) / Z95

#: The step of /proc/stat: USER_HZ is 100 on every Linux that greengen knows.
_TICK_S = 0.01

#: Fewer stretches than this cannot tell static power from power that follows work.
_FIT_POINTS = 4

#: Student's t at 95 %, two-sided, for 2, 3 … 10 degrees of freedom: a line through few points is not well known.
_STUDENT = (4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)

#: Power from two readings less than this apart says little: counters refresh in steps.
_STRETCH_S = 0.1


@dataclass(frozen=True, slots=True)
class SpanErrors:
    """Standard uncertainties of each span's joules, J, shape (n,).

    timing   the curve between two readings is not known, and the span's edges lie there
    seconds  foreign work is known by the second
    share    live spans may differ in power (policy `equal`)
    split    the profiled and the foreign processes may differ in power
    static   power that does not follow work is split by busy time
    """

    timing: Floats
    seconds: Floats
    share: Floats
    split: Floats
    static: Floats


def static_power(curve: Curve, use: Use | None) -> tuple[float, bool]:
    """(W that the domain draws whatever is done, whether that was fitted).

    What the domain states; else power over busy time, by least squares over stretches of about a
    second; where the run does not tell the two apart, the least power seen: it cannot be more.
    """
    if curve.domain.idle_w is not None:
        return curve.domain.idle_w, True
    if use is None or not curve.known.any():
        return 0.0, False
    least = _least_power(curve)
    edges = use.foreign_t_ns[(use.foreign_t_ns >= curve.t_ns[0]) & (use.foreign_t_ns <= curve.t_ns[-1])]
    if edges.size <= _FIT_POINTS:
        return least, False
    power, whole = _mean_power(curve, edges)
    cells = use.between(edges)
    busy = ((cells.profiled + cells.recorder + cells.foreign) / np.diff(edges))[whole]
    power = power[whole]
    if power.size < _FIT_POINTS or float(np.ptp(busy)) < 0.25 * max(float(busy.max()), 1e-9):
        return least, False
    design = np.column_stack((np.ones_like(busy), busy))
    solution, _, _, _ = np.linalg.lstsq(design, power, rcond=None)
    residual = power - design @ solution
    variance = float(residual @ residual) / (power.size - 2)
    covariance = variance * np.linalg.inv(design.T @ design)
    student = _STUDENT[min(power.size - _FIT_POINTS, len(_STUDENT) - 1)]
    upper = float(solution[0]) + student * math.sqrt(max(float(covariance[0, 0]), 0.0))
    return min(max(upper, 0.0), least), True


def _least_power(curve: Curve) -> float:
    """The least mean power, W, of known stretches long enough that the counter's steps do not matter."""
    shortest_s = max(_STRETCH_S, 20 * curve.domain.refresh_s)
    marks = np.arange(curve.t_ns[0], curve.t_ns[-1] + 1, int(shortest_s * NS))
    edges = curve.t_ns[distinct(np.searchsorted(curve.t_ns, marks))]
    power, whole = _mean_power(curve, edges)
    whole &= np.diff(edges) / NS > 0.8 * shortest_s
    return float(power[whole].min()) if whole.any() else curve.total_j / curve.known_s


def _mean_power(curve: Curve, edges: Ints) -> tuple[Floats, Bools]:
    """Mean power between edges, W, and whether all of that time is known."""
    lost_ns = np.concatenate(([0.0], np.cumsum(np.diff(curve.t_ns) * ~curve.known)))
    base = curve.t_ns[0]
    lost = np.diff(np.interp((edges - base).astype(float), (curve.t_ns - base).astype(float), lost_ns))
    return np.diff(curve.at(edges)) / (np.diff(edges) / NS), lost == 0


def of_spans(books: Books, static_w: float) -> SpanErrors:
    """The errors of every span of these books."""
    cells, table, weights = books.grid, books.table, books.weights
    ours = cells.ours
    disputed = cells.energy_j * ours * (1.0 - ours)
    live = np.divide(1.0, cells.weight, out=np.zeros_like(cells.weight), where=cells.weight > 0)
    own = cells.energy_j * ours * live
    # d(E·s)/d ln(intensity) = E·s·(1 - s) with s = w/W.
    shared = cells.gather(table, weights, own) - cells.gather(table, weights * weights, own * live)
    idle_j = np.minimum(static_w * cells.seconds, cells.energy_j) * (1.0 - ours) * (ours > 0)
    return SpanErrors(
        timing=_timing(books),
        seconds=_seconds(books),
        share=_SIGMA_SHARE * np.maximum(shared, 0.0),
        split=_SIGMA_SHARE * cells.share_out(table, weights, disputed),
        static=cells.share_out(table, weights, idle_j) / Z95,
    )


def share_of_group(books: Books, part: Floats) -> float:
    """σ, J, of the joules of a group of spans against the others live with them: one intensity for the group.

    part  the group's part of the weights that are live in each cell, shape (k,)
    """
    cells = books.grid
    return _SIGMA_SHARE * float((cells.energy_j * cells.ours * part * (1.0 - part)).sum())


def of_foreign(books: Books, static_w: float) -> tuple[float, float]:
    """(split, static) σ in J of `other`: what it gains, the profiled processes lose."""
    cells = books.grid
    disputed = cells.energy_j * cells.ours * (1.0 - cells.ours)
    idle_j = np.minimum(static_w * cells.seconds, cells.energy_j) * (1.0 - cells.ours) * (cells.ours > 0)
    return -_SIGMA_SHARE * float(disputed.sum()), -float(idle_j.sum()) / Z95


def of_ticks(books: Books, use: Use | None) -> float:
    """σ in J of `other` from the machine's clock of busy time, which steps by 10 ms: none is not surely none."""
    if use is None:
        return 0.0
    busy_s = float(use.profiled[-1] + use.recorder[-1] + use.foreign[-1]) / NS
    windows = max(use.foreign_t_ns.size - 1, 1)
    return books.total_j * min(1.0, _TICK_S * math.sqrt(windows / 6.0) / busy_s) if busy_s > 0 else 0.0


def of_quiet(books: Books, static_w: float) -> tuple[float, float]:
    """(split, static) σ in J of what the profiled processes used while no span was live."""
    cells = books.grid
    quiet = cells.weight == 0
    disputed = cells.energy_j * cells.ours * (1.0 - cells.ours)
    idle_j = np.minimum(static_w * cells.seconds, cells.energy_j) * (1.0 - cells.ours) * (cells.ours > 0)
    return _SIGMA_SHARE * float(disputed[quiet].sum()), float(idle_j[quiet].sum()) / Z95


def of_window(books: Books) -> float:
    """σ in J of all the books' energy: a window's ends may fall between two readings, a curve's do not."""
    if not books.curve.step_j.size:
        return 0.0
    _, half_j = half_width(books.curve, books.grid.edges[[0, -1]])
    return float(np.hypot(*half_j)) / Z95


def _timing(books: Books) -> Floats:
    """σ in J from span edges that fall between two readings."""
    curve, cells, table = books.curve, books.grid, books.table
    n = len(table)
    if curve.t_ns.size < 2 or not n:  # noqa: PLR2004
        return np.zeros(n)
    quantum = books.domain.resolution_j / math.sqrt(12.0)
    start, start_j = half_width(curve, table.from_ns)
    end, end_j = half_width(curve, table.to_ns)
    rate = np.divide(cells.ours, cells.weight, out=np.zeros_like(cells.weight), where=cells.weight > 0)
    top = cells.energy_j.size - 1
    by_interval = np.where(cells.last > cells.first, books.weights[table.owner], 0.0)
    at_start = by_interval * rate[np.clip(cells.first, 0, top)]
    at_end = by_interval * rate[np.clip(cells.last - 1, 0, top)]
    # Both edges in one stretch: all that the stretch holds may lie in the span, or none of it.
    same = start == end
    seconds = (table.to_ns - table.from_ns) / NS
    stretch_j = np.diff(curve.energy_j)[start]
    most = np.full(start.size, np.inf)
    if books.domain.max_power_w is not None:
        most = books.domain.max_power_w * seconds
    inside = curve.at(table.to_ns) - curve.at(table.from_ns)
    within = np.minimum(np.maximum(inside, stretch_j - inside), most)
    bound = np.where(same, within * at_start, np.hypot(start_j * at_start, end_j * at_end))
    variance = (bound / Z95) ** 2 + (quantum * at_start) ** 2 + (quantum * at_end) ** 2
    return np.sqrt(np.bincount(table.owner, variance, minlength=n))


def _seconds(books: Books) -> Floats:
    """σ in J from foreign work: of a shorter span's second it may lie all inside, or outside."""
    cells, table = books.grid, books.table
    foreign = np.divide(1.0 - cells.ours, cells.weight, out=np.zeros_like(cells.weight), where=cells.weight > 0)
    inside = books.curve.at(table.to_ns) - books.curve.at(table.from_ns)
    left = np.maximum(1.0 - (table.to_ns - table.from_ns) / NS / FOREIGN_S, 0.0)
    first = np.clip(cells.first, 0, cells.energy_j.size - 1)
    sigma = inside * books.weights[table.owner] * foreign[first] * left / Z95
    return np.sqrt(np.bincount(table.owner, sigma**2, minlength=len(table)))


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
