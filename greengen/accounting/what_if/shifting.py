"""Another time or another place, on intensities by the hour.

Time: the mean intensity over a job is least at some start between now and its deadline. A forecast chooses the start;
what it was worth is told on the forecast and, later, on what the grid then was. Place: `E · (PUE_a I_a - PUE_b I_b) -
E_net I_net`. What hardware emitted and what it draws while it waits is not touched by either.

An average intensity tells a footprint, a marginal one the effect of moving. The two may disagree in sign, and are
told side by side, never added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from greengen.accounting import facility
from greengen.accounting.hourly import Hour, ordered
from greengen.accounting.what_if.profiles import grams
from greengen.errors import UsageError
from greengen.quantity import Quantity, total


@dataclass(frozen=True, slots=True)
class Window:
    """From `start_ns` on, ns since 1970 in UTC; `mean` is the intensity over it, g/kWh."""

    start_ns: int
    mean: Quantity


@dataclass(frozen=True, slots=True)
class Sides:
    """What a move saves, in g, by the average and by the marginal intensity; a negative one costs.

    warning  where the two disagree in sign; "" where they do not, or one is not known
    """

    average: Quantity
    marginal: Quantity
    warning: str


def mean(hours: Sequence[Hour], start_ns: int, length_ns: int) -> Quantity:
    """The mean intensity over a time, g/kWh; missing where any of it has no value. Raises UsageError for no time."""
    if length_ns <= 0:
        msg = f"a job of {length_ns / 1e9:g} s is not possible: pass a time above 0"
        raise UsageError(msg)
    parts, covered = [], 0
    for hour in ordered(hours):
        inside = min(hour.end_ns, start_ns + length_ns) - max(hour.start_ns, start_ns)
        if inside > 0:
            covered += inside
            parts.append(hour.intensity.scaled(inside / length_ns))
    if covered < length_ns:
        return Quantity.missing("g/kWh", f"{1 - covered / length_ns:.1%} of the time has no intensity")
    return total(parts, "g/kWh")


def best_start(hours: Sequence[Hour], length_ns: int, now_ns: int, deadline_ns: int) -> Window:
    """The start with the least mean intensity, the earliest of equals: a job of `length_ns` from now to its deadline.

    The mean is linear between starts at which the job begins or ends with an hour, so only these are looked at.
    Raises UsageError where the job does not fit, or where no start has an intensity for all of it.
    """
    latest = deadline_ns - length_ns
    if latest < now_ns:
        left_h = (deadline_ns - now_ns) / 3.6e12
        msg = f"a job of {length_ns / 3.6e12:g} h does not fit in {left_h:g} h: extend the deadline"
        raise UsageError(msg)
    edges = {edge for hour in hours for edge in (hour.start_ns, hour.end_ns)}
    starts = {now_ns, latest, *edges, *(edge - length_ns for edge in edges)}
    found = [Window(start, mean(hours, start, length_ns)) for start in sorted(starts) if now_ns <= start <= latest]
    known = [(window.mean.value, window.start_ns, window) for window in found if window.mean.value is not None]
    if not known:
        msg = f"no start has an intensity for all of the job: {found[0].mean.reason}"
        raise UsageError(msg)
    return min(known)[2]


def waiting(energy: Quantity, hours: Sequence[Hour], length_ns: int, now_ns: int, start_ns: int) -> Quantity:
    """g saved by starting then instead of now, spread evenly over the job; `energy` with PUE in it."""
    return grams(energy, mean(hours, now_ns, length_ns)) - grams(energy, mean(hours, start_ns, length_ns))


def moving(
    energy: Quantity,
    here: tuple[Quantity, Quantity | float | None],
    there: tuple[Quantity, Quantity | float | None],
    network: Quantity | None = None,
) -> Quantity:
    """g saved by using an IT energy there instead of here; `here` and `there` are (g/kWh, PUE).

    network  g of what then has to be sent. Raises KindMismatchError for intensities of different kinds.
    """
    saved = grams(facility.energy(energy, here[1]), here[0]) - grams(facility.energy(energy, there[1]), there[0])
    return saved if network is None else saved - network.to(saved.unit)


def sides(average: Quantity, marginal: Quantity) -> Sides:
    """The two side by side, with a warning where one saves and the other costs."""
    one, other = average.value, marginal.value
    if one is None or other is None or one * other >= 0.0:
        return Sides(average, marginal, "")
    told = [f"{'saves' if value > 0 else 'costs'} {abs(value):.3g} {average.unit}" for value in (one, other)]
    warning = (
        f"average and marginal intensity disagree: by the average the move {told[0]}, by the marginal it {told[1]}. "
        "The average tells whose footprint it is, the marginal what the move changes"
    )
    return Sides(average, marginal, warning)
