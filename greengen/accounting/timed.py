"""A run's ledger piece by piece of its grid's intensity, so that each request is told at the hours in which it ran.

Each piece is the ledger of one hour under the same plan and the same coefficients: cut at the hours, energies add
up (law 4), so what is read off the pieces says which part of a number belongs to which hour. Its value and its
errors stay those of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from greengen.accounting import tally
from greengen.accounting.chapter import open_chapter
from greengen.accounting.hour import Hour
from greengen.accounting.hourly import ordered
from greengen.accounting.hours import epoch_offset_ns
from greengen.accounting.ledger import Ledger
from greengen.quantity import Quantity, total

#: Pieces × spans that are worked out, some 0.1 ms each; a longer run is told at its mean.
_MOST = 50_000

#: The pieces are the whole, to so much of it.
_SAME = 1e-6

_OUTSIDE = "no value of the intensity is for its time"


@dataclass(frozen=True, slots=True)
class Piece:
    """The ledger of one hour, at the facility."""

    intensity: Quantity
    ledger: Ledger


def pieces(ledger: Ledger, hours: Sequence[Hour], overhead: Quantity | None) -> tuple[Piece, ...]:
    """The ledger of each hour in which the run has any energy; the times between them have pieces too.

    None where one hour has all of it, where there are too many, and where the pieces would not sum to the whole (a
    second pass over idle, which is not of any moment): the mean of the run is then what there is.

    overhead  PUE, which each piece has where the whole has it
    """
    spans = [span for span in _stretches(ledger, ordered(hours)) if span is not None]
    if len(spans) < 2 or len(spans) * sum(len(chapter.table) for chapter in ledger.chapters) > _MOST:  # noqa: PLR2004 -- one is the whole
        return ()
    plan = ledger.plan
    found = []
    for start_ns, end_ns, intensity in spans:
        chapters = []
        for chapter in ledger.chapters:
            offset_ns = epoch_offset_ns(chapter)
            chapters.append(open_chapter(chapter.timeline, plan, (start_ns - offset_ns, end_ns - offset_ns)))
        found.append(Piece(intensity, tally.at_facility(Ledger(tuple(chapters), plan), overhead)))
    whole = tally.at_facility(ledger, overhead)
    for tell in (Ledger.total, *(_account(name) for name in ("idle", "overhead"))):
        parts, known = math.fsum(tell(piece.ledger).value or 0.0 for piece in found), tell(whole).value or 0.0
        if not math.isclose(parts, known, rel_tol=_SAME, abs_tol=_SAME * (whole.total().value or 0.0)):
            return ()
    return tuple(found)


def intensity(found: Sequence[Piece], tell: Callable[[Ledger], Quantity]) -> Quantity | None:
    """The mean intensity of what `tell` reads off a ledger, weighted with its joules; None where it has none."""
    joules = [max(tell(piece.ledger).value or 0.0, 0.0) for piece in found]
    all_j = math.fsum(joules)
    if not all_j:
        return None
    weighed = [(piece.intensity, j / all_j) for piece, j in zip(found, joules, strict=True) if j]
    without = math.fsum(share for at, share in weighed if not at.known)
    if without:
        why = "; ".join(dict.fromkeys(at.reason for at, _ in weighed if not at.known))
        return Quantity.missing("g/kWh", f"{without:.1%} of the joules have no intensity: {why}")
    return total([at.scaled(share) for at, share in weighed], "g/kWh")


def _stretches(ledger: Ledger, hours: Sequence[Hour]) -> Iterator[tuple[int, int, Quantity] | None]:
    """(start, end, intensity) of the hours that the run touches, and of the times without one."""
    edges = [
        int(edge) + epoch_offset_ns(chapter)
        for chapter in ledger.chapters
        for entries in chapter.totalled
        for edge in (entries.books.grid.edges[0], entries.books.grid.edges[-1])
    ]
    if not edges:
        return
    at_ns, end_ns = min(edges), max(edges)
    for hour in hours:
        if hour.end_ns <= at_ns or hour.start_ns >= end_ns:
            continue
        if hour.start_ns > at_ns:
            yield at_ns, hour.start_ns, Quantity.missing("g/kWh", _OUTSIDE)
        yield max(at_ns, hour.start_ns), min(hour.end_ns, end_ns), hour.intensity
        at_ns = hour.end_ns
    if at_ns < end_ns:
        yield at_ns, end_ns, Quantity.missing("g/kWh", _OUTSIDE)


def _account(name: str) -> Callable[[Ledger], Quantity]:
    return lambda ledger: ledger.account(name)
