"""One choice against another, from repeats of each: their ratio, its 95 % interval, and what may be said of it.

The repeat is the unit. Requests of one repeat share its clocks, its caches and its temperature: they are no
independent samples, and a thousand of them say no more of the next repeat than their mean does.

The ratio is that of the geometric means. Its interval joins two things: what repeats scatter by (Welch's t on
the logarithms, for variances that need not be alike), and what the meters may be off by, where only the common
gain of one sensor cancels (law 8). What each repeat reads anew, by chance (`ANEW`), is in the scatter already, and
is taken from there where there is a scatter: a bound on it would say less than the repeats do.

Welch's t takes a drift of the machine for scatter, which is safe while the choices alternate. Where they were
recorded one after the other, a drift looks like a difference: then the interval is as wide as a straight trend and
a random walk of any strength make it (`blocks`), for no number of repeats tells one from a difference for sure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from greengen.accounting import blocks, student, trend
from greengen.propagation import Z95
from greengen.quantity import Quantity, total

#: Fewer repeats of either choice decide nothing.
FEWEST = 3

#: Errors whose names begin so are one repeat's own: independent of those of all others, and around 0.
ANEW = "in one repeat: "

Answer = Literal["less", "more", "not distinguishable", "no verdict"]

WELCH = "Welch's t on the logarithms of the repeats"
BLOCKS = "as wide as a trend and a random walk of the machine make it, for the choices did not alternate"
STATED = "the errors of single figures only: there are no repeats to tell what they scatter by"

_POINTS, _REACH = 48, 8.0


@dataclass(frozen=True, slots=True)
class Repeats:
    """One choice's repeats.

    values  of each, per functional unit
    places  of each in the order of recording; empty where it is not known
    host    where; a drift of one machine says nothing of another
    """

    values: tuple[Quantity, ...]
    places: tuple[int, ...] = ()
    host: str = ""


@dataclass(frozen=True, slots=True)
class Contrast:
    """A choice over the baseline.

    ratio          the estimate, its grade and factors; missing with the reason where there is none
    low, high      its 95 % interval; None where nothing says how wide it is
    p_better       the probability that the choice is the lower one; None without a verdict on it
    repeats        how many, of the choice and of the baseline
    repeat_sigma   standard uncertainty of ln ratio by scatter, and meter_sigma by the meters
    degrees        of freedom of the scatter
    """

    ratio: Quantity
    low: float | None
    high: float | None
    p_better: float | None
    answer: Answer
    method: str
    repeats: tuple[int, int]
    repeat_sigma: float
    meter_sigma: float
    degrees: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Scatter:
    """How far ln ratio may be off by what repeats scatter by: a standard error, and t at 95 %."""

    difference: float
    sigma: float
    degrees: float
    method: str = WELCH

    @property
    def half(self) -> float:
        """Half the width of the 95 % interval of ln ratio."""
        return student.quantile(0.975, self.degrees) * self.sigma if self.sigma else 0.0


def contrast(choice: Repeats, baseline: Repeats, *, stated: bool = False) -> Contrast:
    """A choice over the baseline. Raises KindMismatchError where the two are not of one unit and basis.

    stated  both are published figures: their stated errors are all there is to tell P(better) from
    """
    counts = (len(choice.values), len(baseline.values))
    enough = min(counts) >= FEWEST
    a, b = (mean(of.values, scattered=enough) for of in (choice, baseline))
    ratio = a / b
    value = ratio.value
    if value is None or not value > 0 or not _logs(choice) or not _logs(baseline):
        why = ratio.reason or "one of the repeats is 0 or below: it has no ratio"
        gone = Quantity.missing("", why)
        return Contrast(gone, None, None, None, "no verdict", "", counts, 0.0, 0.0, math.inf, why)
    meter = math.sqrt(math.fsum(error.sigma**2 for error in ratio.errors)) / value
    if enough:
        found = scatter(choice, baseline)
        ratio = replace(ratio, value=math.exp(found.difference), errors=(), origin=None)
    else:
        found = Scatter(math.log(value), 0.0, math.inf, STATED)
    half = math.hypot(found.half, Z95 * meter)
    # One figure without an error is not known for sure: nobody said how well.
    known = enough or half > 0.0
    low, high = (math.exp(found.difference + side * half) if known else None for side in (-1.0, 1.0))
    better = probability(found, meter) if enough or (stated and known) else None
    answer: Answer = "no verdict"
    if enough:
        answer = _answer(low, high)
    reason = "" if enough else _too_few(counts)
    return Contrast(ratio, low, high, better, answer, found.method, counts, found.sigma, meter, found.degrees, reason)


def _answer(low: float | None, high: float | None) -> Answer:
    if high is not None and high < 1.0:
        return "less"
    return "more" if low is not None and low > 1.0 else "not distinguishable"


def scatter(choice: Repeats, baseline: Repeats) -> Scatter:
    """What repeats scatter by, of at least `FEWEST` each."""
    a, b = _logs(choice), _logs(baseline)
    welch = _welch(a, b)
    apart = choice.host != baseline.host or not (choice.places and baseline.places)
    if apart or trend.interleaved(choice.places, baseline.places):
        return welch
    middle, half, degrees = blocks.interval(a, choice.places, b, baseline.places)
    # Two choices that scatter differently are seen to do so by Welch's t alone.
    return Scatter(middle, max(half, welch.half) / student.quantile(0.975, degrees), degrees, BLOCKS)


def probability(found: Scatter, meter: float) -> float:
    """P(the choice is the lower one): ln ratio is off by σ·t and by the meters' normal error."""
    if not found.sigma and not meter:
        return 0.5 if not found.difference else float(found.difference < 0)
    if not found.sigma:
        return student.cdf(-found.difference / meter, math.inf)
    if not meter:
        return student.cdf(-found.difference / found.sigma, found.degrees)
    points = [_REACH * (2 * i / _POINTS - 1) for i in range(_POINTS + 1)]
    weights = [math.exp(-z * z / 2.0) for z in points]
    told = (student.cdf(-(found.difference + meter * z) / found.sigma, found.degrees) for z in points)
    return min(1.0, math.fsum(w * p for w, p in zip(weights, told, strict=True)) / math.fsum(weights))


def mean(values: Sequence[Quantity], *, scattered: bool = False) -> Quantity:
    """The mean of repeats with the meters' errors only; a missing one makes it missing.

    scattered  leave out what each repeat reads anew: what they scatter by tells it
    """
    if not values:
        return Quantity.missing("", "there is no repeat of it")
    whole = total(values, values[0].unit).scaled(1.0 / len(values))
    if not scattered:
        return whole
    return replace(whole, errors=tuple(error for error in whole.errors if not error.name.startswith(ANEW)), origin=None)


def summary(values: Sequence[Quantity]) -> Quantity:
    """The mean of repeats, its interval by what they scatter by and by the meters: for a table.

    Scatter is told as one error of its own, sized so that 1.96 of it are t at 95 %.
    """
    n = len(values)
    whole = mean(values, scattered=n >= FEWEST)
    if whole.value is None or n < 2:  # noqa: PLR2004 -- one repeat does not scatter
        return whole
    known = [value.value for value in values if value.value is not None]
    variance = math.fsum((each - whole.value) ** 2 for each in known) / (n - 1)
    sigma = math.sqrt(variance / n) * student.quantile(0.975, n - 1.0) / Z95
    alone = replace(whole.scaled(0.0), value=0.0, errors=(), mix=(), factors=(), origin=None, note="")
    error = replace(alone, errors=trend.scatter_error(sigma), grade=whole.grade)
    told = whole + error
    return replace(told, mix=whole.mix, signed=whole.signed)


def _logs(of: Repeats) -> list[float]:
    """The logarithms; empty where one has none."""
    known = [value.value for value in of.values if value.value is not None and value.value > 0]
    return [math.log(value) for value in known] if len(known) == len(of.values) else []


def _welch(a: Sequence[float], b: Sequence[float]) -> Scatter:
    one, two = _moments(a), _moments(b)
    parts = one[1] / len(a), two[1] / len(b)
    variance = parts[0] + parts[1]
    if not variance:
        return Scatter(one[0] - two[0], 0.0, math.inf)
    degrees = variance**2 / (parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1))
    return Scatter(one[0] - two[0], math.sqrt(variance), degrees)


def _moments(values: Sequence[float]) -> tuple[float, float]:
    middle = math.fsum(values) / len(values)
    return middle, math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1)


def _too_few(counts: tuple[int, int]) -> str:
    return f"{counts[0]} against {counts[1]} repeats: a verdict takes {FEWEST} of each, so record more"
