"""What the time between two readings makes of an account: nobody knows when within it the energy went."""

from __future__ import annotations

import numpy as np

from greengen.accounting.books import Books
from greengen.accounting.curves import NS, Floats
from greengen.accounting.timing import half_width
from greengen.quantity import Z95


def of_account(books: Books, part: Floats, *, quiet: bool = False) -> float:
    """σ, J, of Σ part · E over the cells; `part`: what of each cell is the account's, shape (k,).

    quiet  the account holds the cells in which no span was live, else joules of spans

    Only where `part` changes between two readings does it matter when their energy went: spans that
    follow one another cost nothing. The errors add up linearly, for they have one source: work that
    begins and ends with a span raises the power within it, in every stretch and in the same way.
    """
    curve, cells = books.curve, books.grid
    stretches = curve.step_j.size
    if not stretches:
        return 0.0
    inner, change = cells.edges[1:-1], np.abs(np.diff(part))
    between = (change > 0) & ~np.isin(inner, curve.t_ns)
    at, half_j = half_width(curve, inner[between])
    edges = np.bincount(at, minlength=stretches)
    smooth = np.bincount(at, half_j * change[between], minlength=stretches)
    # With several edges in one stretch all of its energy may lie inside what is between them; outside of
    # it only where other spans were live, for work draws more than quiet.
    stretch = np.clip(np.searchsorted(curve.t_ns, cells.edges[:-1], side="right") - 1, 0, stretches - 1)
    energy_j = np.bincount(stretch, cells.energy_j, minlength=stretches)
    booked_j = np.bincount(stretch, cells.energy_j * part, minlength=stretches)
    most, least = np.zeros(stretches), np.ones(stretches)
    np.maximum.at(most, stretch, part)
    np.minimum.at(least, stretch, np.where(books.live, part, 1.0))
    worst = booked_j if quiet else np.maximum(energy_j * most - booked_j, booked_j - energy_j * least)
    # Of a thinned stretch, what lies between two readings only.
    seconds = np.diff(curve.t_ns) / NS
    readings = np.where(curve.spacing_s > 0, np.minimum(curve.spacing_s, seconds), seconds) / seconds
    bursts = energy_j * readings / 2 * np.bincount(at, change[between], minlength=stretches)
    bound = np.where(edges > 1, bursts, np.where(edges > 0, smooth, 0.0))
    return float(np.minimum(bound, worst).sum()) / Z95
