"""What readings of a power miss: each is off by its own noise, and by what went on between them.

attribution.md 4.1: u² = V·h·τ for readings every h that are off by √V, each by itself, over a span of
length τ; of a share s(t) of it, V·h·∫ s² dt. A counter misses nothing: its readings are energies.
"""

from __future__ import annotations

import numpy as np

from greengen.accounting.books import Books
from greengen.accounting.bridge import live_part
from greengen.accounting.curves import Bools, Floats, median

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
