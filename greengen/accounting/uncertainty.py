"""What a booked joule may be off by: one standard uncertainty per source, per span and per account.

attribution.md section 4, to first order. Half-widths of bounds count as 95 %, so σ = bound / 1.96.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from greengen.accounting import timing
from greengen.accounting.books import Books
from greengen.accounting.curves import NS, Bools, Curve, Floats, Ints, distinct
from greengen.accounting.usage import Use
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


class SpanErrors(NamedTuple):
    """Standard uncertainties of each span's joules, J, shape (n,).

    timing   the curve between two readings is not known, and the span's share changes there; noise of readings
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
    cells = books.grid
    ours = cells.ours
    disputed = cells.energy_j * ours * (1.0 - ours)
    idle_j = np.minimum(static_w * cells.seconds, cells.energy_j) * (1.0 - ours) * (ours > 0)
    return SpanErrors(
        timing=timing.of_spans(books),
        seconds=timing.of_foreign_seconds(books),
        share=books.shares.disputed(cells.energy_j * ours),
        split=_SIGMA_SHARE * books.shares.spread(disputed),
        static=books.shares.spread(idle_j) / Z95,
    )


def share_of_group(books: Books, part: Floats, doubt: Floats) -> float:
    """σ, J, of the joules of a group of spans against the others live with them: one intensity for the group.

    part   what of each cell is the group's, shape (k,)
    doubt  σ of the logarithm of what it draws against the others, shape (k,)
    """
    cells = books.grid
    return float((cells.energy_j * cells.ours * doubt * part * (1.0 - part)).sum())


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
    quiet = ~books.live
    disputed = cells.energy_j * cells.ours * (1.0 - cells.ours)
    idle_j = np.minimum(static_w * cells.seconds, cells.energy_j) * (1.0 - cells.ours) * (cells.ours > 0)
    return _SIGMA_SHARE * float(disputed[quiet].sum()), float(idle_j[quiet].sum()) / Z95


def of_window(books: Books) -> float:
    """σ in J of all the books' energy: a window's ends may fall between two readings, a curve's do not."""
    if not books.curve.step_j.size:
        return 0.0
    _, half_j = timing.half_width(books.curve, books.grid.edges[[0, -1]])
    return float(np.hypot(*half_j)) / Z95
