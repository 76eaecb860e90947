"""Energy by the hour, and grams by the intensity of each: hours are stretches of wall-clock time, in UTC.

A cell's energy is spread evenly over its time, as the curve has it. What lies in an hour without a
value is missing: neither filled in nor left out in silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from greengen.accounting.curves import Floats, Ints
from greengen.accounting.hour import Hour
from greengen.accounting.hours import epoch_offset_ns
from greengen.accounting.ledger import Ledger
from greengen.errors import UsageError
from greengen.quantity import Quantity, total


@dataclass(frozen=True, slots=True)
class Part:
    """What one hour has of an energy."""

    hour: Hour
    energy: Quantity
    grams: Quantity


@dataclass(frozen=True, slots=True)
class Hourly:
    """An energy's grams, hour by hour.

    total     all of them; missing where any of the energy lies in an hour without a value
    known     of the hours with a value
    coverage  the part of the energy that lies in those
    """

    total: Quantity
    known: Quantity
    coverage: float
    parts: tuple[Part, ...]


def ordered(hours: Sequence[Hour]) -> tuple[Hour, ...]:
    """Hours by time. Raises UsageError for one that ends before it begins, and for two at one time."""
    found = sorted(hours, key=lambda hour: hour.start_ns)
    for hour in found:
        if hour.end_ns <= hour.start_ns:
            msg = f"an hour of the intensity ends ({hour.end_ns}) before it begins ({hour.start_ns})"
            raise UsageError(msg)
    for one, other in pairwise(found):
        if other.start_ns < one.end_ns:
            msg = f"two values of the intensity are for one time, {other.start_ns} ns: each time has one"
            raise UsageError(msg)
    return tuple(found)


def split(edges_ns: Ints, energy_j: Floats, hours: Sequence[Hour]) -> tuple[Floats, float]:
    """Joules in each of some ordered hours, shape (len(hours),), and those outside all of them.

    edges_ns  ascending wall-clock times of the cells, ns, shape (n + 1,)
    energy_j  J of each cell, shape (n,)
    """
    if edges_ns.size != energy_j.size + 1:
        msg = f"{energy_j.size} cells have {energy_j.size + 1} edges, not {edges_ns.size}"
        raise ValueError(msg)
    found = np.zeros(len(hours))
    outside = 0.0
    if not energy_j.size:
        return found, outside
    borders = np.array([edge for hour in hours for edge in (hour.start_ns, hour.end_ns)], dtype=np.int64)
    every = np.union1d(edges_ns, np.clip(borders, edges_ns[0], edges_ns[-1]))
    lengths = np.diff(edges_ns)
    cell = np.clip(np.searchsorted(edges_ns, every[:-1], side="right") - 1, 0, energy_j.size - 1)
    # A cell of no length has its energy at one moment: that of its beginning.
    pieces = energy_j[cell] * (np.diff(every) / np.where(lengths > 0, lengths, 1)[cell])
    starts = np.array([hour.start_ns for hour in hours], dtype=np.int64)
    ends = np.array([hour.end_ns for hour in hours], dtype=np.int64)

    def book(at_ns: Ints, joules: Floats) -> float:
        hour = np.searchsorted(starts, at_ns, side="right") - 1
        inside = (hour >= 0) & (at_ns < ends[np.clip(hour, 0, None)]) if starts.size else np.zeros(at_ns.shape, bool)
        np.add.at(found, hour[inside], joules[inside])
        return float(joules[~inside].sum())

    outside += book(every[:-1], pieces)
    moments = lengths == 0
    outside += book(edges_ns[:-1][moments], energy_j[moments])
    return found, outside


def integrate(energy: Quantity, edges_ns: Ints, energy_j: Floats, hours: Sequence[Hour], *, source: str = "") -> Hourly:
    """The grams of an energy whose cells are told, by the intensity of each hour.

    `energy` has the errors; the cells say which part of it each hour has. Raises UsageError for
    hours at one time, KindMismatchError for intensities of different kinds.
    """
    hours = ordered(hours)
    if energy.value is None:
        missing = Quantity.missing("g", energy.reason)
        return Hourly(missing, missing, 0.0, ())
    in_each, outside = split(edges_ns, energy_j, hours)
    all_j = float(in_each.sum()) + outside
    if not all_j:
        nothing = _of_nothing(energy, hours, source)
        return Hourly(nothing, nothing, 1.0, ())
    parts = []
    for hour, part_j in zip(hours, in_each.tolist(), strict=True):
        if part_j:
            part = energy.scaled(part_j / all_j)
            parts.append(Part(hour, part, _grams(part, hour.intensity, source)))
    valued = [part for part in parts if part.grams.known]
    known = total([p.grams for p in valued], "g") if valued else Quantity.missing("g", "no hour has a value")
    without_j = outside + sum(j for h, j in zip(hours, in_each.tolist(), strict=True) if not h.intensity.known)
    coverage = 1.0 - without_j / all_j
    if not without_j:
        return Hourly(known, known, coverage, tuple(parts))
    why = dict.fromkeys(part.grams.reason for part in parts if not part.grams.known)
    reasons = [*why, *(["they are of a time that no value is for"] if outside else [])]
    reason = f"{1 - coverage:.1%} of the joules have no intensity: {'; '.join(reasons)}"
    return Hourly(replace(Quantity.missing("g", reason), basis=known.basis), known, coverage, tuple(parts))


def mean(in_each: Floats, outside_j: float, hours: Sequence[Hour]) -> Quantity:
    """The intensity that gives an energy the same grams as its hours do: their mean, weighted with its joules.

    in_each, outside_j  as of `split`, of the same ordered hours
    """
    all_j = float(in_each.sum()) + outside_j
    if not all_j:
        return Quantity.missing("g/kWh", "there is no energy to weigh the hours with")
    if outside_j:
        reason = f"{outside_j / all_j:.1%} of the joules are of a time that no value of the intensity is for"
        return Quantity.missing("g/kWh", reason)
    shares = zip(hours, (in_each / all_j).tolist(), strict=True)
    return total([hour.intensity.scaled(share) for hour, share in shares if share], "g/kWh")


def of_run(ledger: Ledger, hours: Sequence[Hour]) -> Quantity:
    """The mean intensity of all that a run's total counts, each joule at the hour in which it was used.

    Missing where any of it is of a time without a value, or where nobody knows when it was.
    """
    hours = ordered(hours)
    in_each, outside = np.zeros(len(hours)), 0.0
    for chapter in ledger.chapters:
        if chapter.totalled and not all(_dated(segment.info) for segment in chapter.timeline.segments):
            reason = (
                "the imported log does not say on which day it was recorded: pass --zone without --live, or a number"
            )
            return Quantity.missing("g/kWh", reason)
        offset_ns = epoch_offset_ns(chapter)
        for entries in chapter.totalled:
            grid, told = entries.books.grid, entries.energy().value
            here, elsewhere = split(grid.edges + offset_ns, np.where(grid.known, grid.energy_j, 0.0), hours)
            read_j = float(here.sum()) + elsewhere
            # With PUE where that belongs: the ledger may be the facility's.
            factor = told / read_j if told and read_j else 1.0
            in_each += factor * here
            outside += factor * elsewhere
    found = mean(in_each, outside, hours)
    count = int(np.count_nonzero(in_each))
    return replace(found, note=f"mean of {count} values over the run, weighted with its joules") if count > 1 else found


def _dated(info: Mapping[str, Any]) -> bool:
    """Whether it is known when a segment was recorded: of greengen's own it is, of an imported log not always."""
    told = info.get("imported")
    return not isinstance(told, dict) or bool(told.get("date_known"))


def _grams(energy: Quantity, intensity: Quantity, source: str) -> Quantity:
    return energy.to("kWh").times(intensity, "grid intensity", unit="g", source=source)


def _of_nothing(energy: Quantity, hours: Sequence[Hour], source: str) -> Quantity:
    """0 J are 0 g, of the hours' kind."""
    known = [hour.intensity for hour in hours if hour.intensity.known]
    if not known:
        return Quantity.missing("g", "no hour has a value")
    return total([_grams(energy.scaled(0.0), each, source) for each in known], "g")
