"""What readings of a power miss: each is off by its own noise, and by what went on between them.

attribution.md 4.1: u² = V·h·τ for readings every h that are off by √V, each by itself, over a span of
length τ; of a share s(t) of it, V·h·∫ s² dt. A counter misses nothing: its readings are energies. Nor
does an average over as long as readings are apart, but for the two ends: there it shows what was, and
not what is.
"""

from __future__ import annotations

import numpy as np

from greengen.accounting.books import Books
from greengen.accounting.bridge import live_part
from greengen.accounting.curves import NS, Bools, Curve, Floats, median

#: Of the variance between readings, what they miss where power is smooth between them (attribution.md 4.1).
MISSED = 1 / 6

#: Noise shows where power is still: in the stillest twentieth of runs of 8 differences, of 100 or more. White
#: noise seems 0.52 of what it is there (0.51 to 0.53, for 100 to 3000 differences).
RUN, STILLEST, SEEMS, FEWEST = 8, 0.05, 0.52, 100


def of_spans(books: Books, scatter_w: float) -> Floats:
    """σ² in J² of each span from a gauge's readings, shape (n,); `scatter_w`: σ of the power between blocks, W."""
    curve, cells = books.curve, books.grid
    if books.domain.reading != "power" or not curve.known.any():
        return np.zeros(len(books.table))
    density = max(noise_w(books), MISSED**0.5 * scatter_w) ** 2 * median(curve.spacing_s[curve.known])
    return np.asarray(density * books.shares.spread_squares(cells.seconds * cells.known * cells.ours**2))


def of_account(books: Books, part: Floats) -> float:
    """σ, J, of Σ part · E over the cells, from a gauge's readings; `part`: what is the account's, shape (k,)."""
    curve, cells = books.curve, books.grid
    density = _between(curve)
    if not density.any():
        return 0.0
    stretch = np.clip(np.searchsorted(curve.t_ns, cells.edges[:-1], side="right") - 1, 0, density.size - 1)
    return float(np.sqrt((density[stretch] * cells.seconds * cells.known * part**2).sum()))


def of_energy(curve: Curve, seconds: float) -> float:
    """σ, J, of so many seconds of a gauge's curve, from its readings and from their age at both ends."""
    if curve.domain.reading != "power" or not curve.known.any():
        return 0.0
    between = float((_between(curve) * np.diff(curve.t_ns) / NS).sum()) * min(seconds / curve.known_s, 1.0)
    return float(np.sqrt(between + _of_age(curve)))


def _between(curve: Curve) -> Floats:
    """W²·s that a gauge's readings miss of what goes on between them, shape (n-1,): nothing that an average holds."""
    late_s, spacing_s = _late_s(curve), curve.spacing_s
    if curve.domain.reading != "power" or not (curve.known & (spacing_s > curve.window_s)).any():
        return np.zeros(curve.step_j.size)
    power = _blocks_w(curve)
    if power.size < 3:  # noqa: PLR2004 -- a second difference
        return np.zeros(curve.step_j.size)
    first, second = (float(np.mean(np.diff(power, order) ** 2)) for order in (1, 2))
    usual_s = median(spacing_s[curve.known])
    if late_s > usual_s:
        # Of means of many readings a second difference has six times their variance, and of few down to twice.
        variance = np.full(spacing_s.size, second / 2.0)
    else:
        # Of means of two readings, which have one in common, white noise has V and V/2 of V; a step of the power by
        # D has D²/2 in both, and what is not known of it is when between two readings it was: D²/12. In a longer
        # pause there are more steps.
        white = min(max(2.0 * (second - first), 0.0), second)
        variance = white + (second - white) * MISSED * np.maximum(spacing_s / usual_s, 1.0)
    # Of what is shown anew at times of its own, a pause may have missed one whole average.
    unseen_s = np.where(spacing_s > late_s, spacing_s, np.maximum(spacing_s - curve.window_s, 0.0))
    return np.asarray(variance * unseen_s * curve.known)


def _of_age(curve: Curve) -> float:
    """σ², J²: what is shown may be so old, and the curve begin and end so much earlier."""
    power = _blocks_w(curve)
    if not _late_s(curve) or power.size < 2:  # noqa: PLR2004 -- a difference
        return 0.0
    # What it gains at one end and loses at the other, and how much power differs from one such time to the next.
    differs = float((power[-1] - power[0]) ** 2 + np.mean(np.diff(power) ** 2))
    return _late_s(curve) ** 2 / 3 * differs


def _late_s(curve: Curve) -> float:
    return max(curve.domain.refresh_s, curve.window_s)


def _blocks_w(curve: Curve) -> Floats:
    """Mean powers of known blocks, each so long that a reading in it tells something new, W."""
    block_ns = max(int(_late_s(curve) * NS), 1)
    first = np.flatnonzero(np.diff((curve.t_ns[:-1] - curve.t_ns[0]) // block_ns, prepend=-1))
    power = np.add.reduceat(curve.step_j, first) / np.add.reduceat(np.diff(curve.t_ns) / NS, first)
    return np.asarray(power[np.logical_and.reduceat(curve.known, first)])


def noise_w(books: Books) -> float:
    """σ in W of a gauge's readings where they are stillest; 0 where they are too few to tell."""
    curve = books.curve
    # A stretch's power is the mean of two readings: of white noise, its second difference has the same σ.
    second = np.diff(curve.power_w, 2)
    squares = np.concatenate(([0.0], np.cumsum(second[_amid(books) & np.isfinite(second)] ** 2)))
    if squares.size <= FEWEST:
        return 0.0
    runs = np.sort(np.maximum(squares[RUN:] - squares[:-RUN], 0.0)) / RUN
    return float(np.sqrt(runs[int(STILLEST * runs.size)])) / SEEMS


def _amid(books: Books) -> Bools:
    """Whether a second difference of stretches is all of busy time or all of quiet time, and not near its ends."""
    curve, busy = books.curve, live_part(books)
    count = max(busy.size - 2, 0)
    spacing_s = median(curve.spacing_s[curve.known])
    # So far an average, and the line between two readings, carry what happens there.
    near = int(curve.window_s / spacing_s) + 1 if spacing_s else 1
    changes = np.concatenate(([0], np.cumsum(np.diff(busy) != 0)))
    first = np.arange(count)
    begin, end = np.maximum(first - near, 0), np.minimum(first + 2 + near, changes.size - 1)
    return np.asarray(changes[begin] == changes[end])
