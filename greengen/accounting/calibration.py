"""A machine's idle and active power from a meter and the busy time of its CPUs: power = idle + active x busy.

`busy` is the busy part of all CPUs, 0 to 1. A line through stretches of the run, by Tukey's bisquare
from a start that half the stretches cannot mislead (Theil and Sen; see Maronna, Martin and Yohai,
Robust Statistics, 5.5), so that a burst of something else behind the meter does not tilt it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from greengen.accounting.curves import Floats, median
from greengen.accounting.squares import alike
from greengen.errors import UsageError
from greengen.quantity import Z95

#: Fewer stretches than this make no line whose scatter is known.
MIN_STRETCHES = 20

#: The busy part must vary by this much between the quieter and the busier stretches.
MIN_RANGE = 0.25

#: So many stretches are needed on either side of the middle of that range.
_MIN_SIDE = 5

#: Active power that is not this many times its uncertainty is not known to be there.
MOST_UNSURE = 2.0

#: Of so many stretches in a hundred, from the quiet end and from the busy end, the range is taken.
_EDGE = 0.05

#: Tukey's constant, in standard deviations: 95 % of least squares' efficiency on normal noise.
TUKEY = 4.685

#: The median of the absolute value of a standard normal number.
_MAD = 0.6744897501960817

ROUNDS = 50

_REMEDY = "record one with both: some 30 s in which nothing runs, then 30 s in which every CPU is busy, and again"


@dataclass(frozen=True, slots=True)
class Stretches:
    """Pieces of a run: the busy part of all CPUs (0 to 1) and the mean power, W, each of shape (n,), in time order."""

    busy: Floats
    power_w: Floats


@dataclass(frozen=True, slots=True)
class Line:
    """The fit. Intervals are of 95 %, with the meter's own error.

    idle_w      power of the idle machine, W
    active_w    what all CPUs busy add to that, W
    sigma       relative standard uncertainty of the line, without the meter's gain, at the load where it is greatest
    residual_w  standard deviation of a stretch's power around the line, W
    r2          the part of the variance of the power that the line explains, outliers aside
    outliers    stretches that the line was not drawn through
    busy        the least and the greatest busy part, without the outermost 5 % at either end
    """

    idle_w: float
    idle_interval_w: tuple[float, float]
    active_w: float
    active_interval_w: tuple[float, float]
    sigma: float
    residual_w: float
    r2: float
    stretches: int
    outliers: int
    busy: tuple[float, float]


def fit(told: Stretches, gain: float = 0.0) -> Line:
    """The line through `told`. Raises UsageError where it says too little, or nothing of the CPU.

    gain  relative standard uncertainty of the meter
    """
    busy, power = told.busy, told.power_w
    least, most = _range(busy)
    a, b = start(busy, power)
    sd = scale(busy, power - a - b * busy, power)
    for _ in range(ROUNDS):
        weight = tukey((power - a - b * busy) / sd)
        before = a, b
        a, b = _weighted(busy, power, weight / sd**2)
        if math.hypot(a - before[0], b - before[1]) <= 1e-10 * (abs(a) + abs(b)):
            break
    residual = power - a - b * busy
    spread, free = covariance((busy,), residual, sd)
    kept = np.abs(residual) < TUKEY * sd
    r2 = 1.0 - float((residual[kept] ** 2).sum()) / max(float(((power[kept] - power[kept].mean()) ** 2).sum()), 1e-300)
    wide = student(free)
    reach = [wide * math.sqrt(spread[i, i]) for i in (0, 1)]
    if b <= MOST_UNSURE * reach[1]:
        msg = (
            f"the meter does not follow the CPU: all of it adds {b:.3g} W +- {reach[1]:.2g} W; name the meter that "
            "holds the CPU with --meter, and record a longer run with nothing else at work behind it"
        )
        raise UsageError(msg)
    if a <= 0:
        msg = (
            f"the line meets idle at {a:.3g} W, which no machine draws: the run says too little of an idle one (least "
            f"busy part {least:.0%}); {_REMEDY}"
        )
        raise UsageError(msg)
    return Line(
        idle_w=a,
        idle_interval_w=interval(a, reach[0], gain),
        active_w=b,
        active_interval_w=interval(b, reach[1], gain),
        sigma=_relative(a, b, spread) * wide / Z95,
        residual_w=math.sqrt(float((residual[kept] ** 2).sum()) / max(int(kept.sum()) - 2, 1)),
        r2=r2,
        stretches=busy.size,
        outliers=int(busy.size - kept.sum()),
        busy=(least, most),
    )


def _range(busy: Floats) -> tuple[float, float]:
    if busy.size < MIN_STRETCHES:
        msg = f"{busy.size} stretches are too few to calibrate with, {MIN_STRETCHES} are the least: {_REMEDY}"
        raise UsageError(msg)
    ordered, edge = np.sort(busy), max(1, int(_EDGE * busy.size))
    least, most = float(ordered[edge]), float(ordered[-1 - edge])
    quiet = int((busy < _middle(busy)).sum())
    if most - least < MIN_RANGE or min(quiet, busy.size - quiet) < _MIN_SIDE:
        msg = (
            f"the load varies too little to calibrate with: the CPUs were {least:.0%} to {most:.0%} busy, and idle and "
            f"active power are told apart by a range of {MIN_RANGE:.0%}, with {_MIN_SIDE} stretches on either "
            f"side of its middle, at the least; {_REMEDY}"
        )
        raise UsageError(msg)
    return least, most


def _middle(busy: Floats) -> float:
    return float(busy.min() + busy.max()) / 2


def start(busy: Floats, power: Floats) -> tuple[float, float]:
    """The median slope of all pairs that lie far enough apart, and the median of what is left."""
    first, second = np.triu_indices(busy.size, 1)
    apart = busy[second] - busy[first]
    far = np.abs(apart) >= 0.25 * float(np.ptp(busy))
    slope = median((power[second] - power[first])[far] / apart[far])
    return median(power - slope * busy), slope


def scale(busy: Floats, residual: Floats, power: Floats) -> Floats:
    """The standard deviation of most residuals, shape (n,): a busy machine's power scatters more than an idle one's.

    By the median of the quiet stretches and that of the busy ones, and along a line through both.
    """
    quiet = busy < _middle(busy)
    work = ~quiet
    scatter = [median(np.abs(residual[part])) / _MAD for part in (quiet, work)]
    place = [float(busy[part].mean()) for part in (quiet, work)]
    sd = scatter[0] + (scatter[1] - scatter[0]) * (busy - place[0]) / (place[1] - place[0])
    # A meter without any noise still rounds.
    return np.maximum(sd, max(0.2 * max(scatter), 1e-9 * float(np.abs(power).max()), 1e-12))


def tukey(deviations: Floats) -> Floats:
    """The weights of deviations in standard deviations: none beyond Tukey's constant."""
    return np.asarray(np.clip(1.0 - (deviations / TUKEY) ** 2, 0.0, None) ** 2)


def _weighted(x: Floats, y: Floats, weight: Floats) -> tuple[float, float]:
    total = weight.sum()
    mean_x, mean_y = float(weight @ x / total), float(weight @ y / total)
    slope = float((weight * (x - mean_x)) @ (y - mean_y) / (weight @ (x - mean_x) ** 2))
    return mean_y - slope * mean_x, slope


def covariance(busy: Sequence[Floats], residual: Floats, sd: Floats) -> tuple[Floats, float]:
    """(covariance of idle and of what each busy part adds, degrees of freedom).

    Huber's sandwich of an M-estimator, as HC3 has it. Neighbours whose deviations go together (a fan, a temperature)
    say less than so many stretches.
    """
    u = np.clip(np.abs(residual) / (TUKEY * sd), 0.0, 1.0)
    psi = residual / sd * (1.0 - u**2) ** 2
    slope = (1.0 - u**2) * (1.0 - 5.0 * u**2)
    design = np.column_stack((1.0 / sd, *(part / sd for part in busy)))
    bread = np.linalg.inv(design.T @ design)
    leverage = ((design @ bread) * design).sum(axis=1)
    meat = design.T @ (design * ((psi / (1.0 - leverage)) ** 2)[:, None])
    fewer = alike(psi)
    spread = bread @ meat @ bread / max(float(slope.mean()), 0.1) ** 2 * fewer
    return np.asarray(spread), max(residual.size / fewer - design.shape[1], 4.0)


def _relative(a: float, b: float, spread: Floats) -> float:
    loads = np.linspace(0.0, 1.0, 11)
    variance = spread[0, 0] + 2 * loads * spread[0, 1] + loads**2 * spread[1, 1]
    return float((np.sqrt(np.maximum(variance, 0.0)) / (a + b * loads)).max())


def interval(value: float, reach: float, gain: float) -> tuple[float, float]:
    """A power's, W, at 95 %: `reach` of the fit, and the meter's own `gain`."""
    half = math.hypot(reach, Z95 * gain * value)
    return max(value - half, 0.0), value + half


def student(free: float) -> float:
    """Student's t at 95 %, two-sided: Cornish and Fisher's series, right to 1 % from 4 degrees of freedom on."""
    z = Z95
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / free + second / free**2 + third / free**3
