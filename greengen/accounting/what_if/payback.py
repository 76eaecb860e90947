"""What is spent once against what is saved each time: after how many requests, or at what rate, two choices are equal.

`N* = (M_new + C_setup) / (c_old - c_new)`: new hardware, a distillation, a fine-tune. Of hardware whose grams fall on
a lifetime, `λ* = (M / EL + idle) / (c_cloud - e_edge)` is the rate of requests above which the edge is the smaller.
Where nothing is saved per request there is no such number. What is saved may be so small beside its errors that the
interval has no upper end: then its 95 % are told with the probability that it pays back at all, by draws in which
what both choices have in common is drawn once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from greengen.accounting.drawing import Floats, computed, normal_scores
from greengen.basis import NO_GRID
from greengen.errors import UsageError
from greengen.quantity import Quantity

#: Enough for two digits of a 95 % interval.
_DRAWS = 20_000


@dataclass(frozen=True, slots=True)
class Even:
    """Where two choices are equal.

    at           the number; missing, with why, where there is none
    low, high    its 95 % interval by draws; inf: never, or not known to ever be
    probability  that there is one at all
    draws        the numbers drawn, inf for none, shape (n,)
    """

    at: Quantity
    low: float
    high: float
    probability: float
    draws: Floats

    def within(self, most: float) -> float:
        """The probability that it is reached by `most`."""
        return float(np.mean(self.draws <= most))


@dataclass(frozen=True, slots=True)
class Feasible:
    """Whether break-even comes while the thing still serves: N* ≤ rate · lifetime.

    most         requests in the lifetime at that rate
    reached      whether the best estimate is within them
    probability  of it
    seconds      until break-even at that rate; inf: never
    """

    most: float
    reached: bool
    probability: float
    seconds: float


def requests(spent: Quantity, old: Quantity, new: Quantity) -> Even:
    """After how many units `spent` (g, once) is saved by `new` instead of `old` (g per unit).

    `spent` is what is made or trained for it, M_new + C_setup; `new` then holds no share of it. Raises
    UsageError for a negative expense or a missing figure, KindMismatchError for other units or bases.
    """
    return _even(spent.to("g"), old, new, old.unit.partition("/")[2] or "request")


def rate(per_second: Quantity, old: Quantity, new: Quantity) -> Even:
    """Above how many units per s hardware that costs `per_second` (g/s) whether used or not is the smaller.

    `old` and `new` are g per unit, `new` without that share. Raises as `requests` does.
    """
    return _even(per_second.to("g/s"), old, new, f"{old.unit.partition('/')[2] or 'request'}/s")


def standing(
    made: Quantity, lifetime: Quantity, idle_w: Quantity | None = None, grid: Quantity | None = None
) -> Quantity:
    """g per s of hardware that stands there: `made` (g) over its lifetime, and its idle power where stated.

    grid  g/kWh, with PUE in it where there is one
    """
    if lifetime.value is None or not 0.0 < lifetime.value < math.inf:
        msg = f"a lifetime of {lifetime.value} {lifetime.unit} is not possible: pass a number above 0"
        raise UsageError(msg)
    share = replace(made.to("g") / lifetime.to("s"), basis=made.basis or NO_GRID)
    if idle_w is None:
        return share
    if grid is None:
        msg = "idle power has no grams without a grid intensity: state one"
        raise UsageError(msg)
    # One second of so many W is so many J.
    joules = replace(idle_w.to("W"), unit="J")
    return share + replace(joules.to("kWh").times(grid, "grid intensity", unit="g"), unit="g/s")


def at_rate(each: Quantity, per_second: Quantity, units_per_s: float) -> Quantity:
    """g per unit at a rate of use: `e + (M / EL + idle) / λ`."""
    if not 0.0 < units_per_s < math.inf:
        msg = f"{units_per_s:g} per s is not possible: pass a rate above 0"
        raise UsageError(msg)
    return each + replace(per_second.scaled(1.0 / units_per_s), unit=each.unit)


def feasible(even: Even, units_per_s: float, lifetime_s: float) -> Feasible:
    """Whether it pays back within the lifetime at a rate of use. Raises UsageError."""
    for what, value in (("rate", units_per_s), ("lifetime", lifetime_s)):
        if not 0.0 < value < math.inf:
            msg = f"a {what} of {value:g} is not possible: pass a number above 0"
            raise UsageError(msg)
    most = units_per_s * lifetime_s
    at = math.inf if even.at.value is None else even.at.value
    return Feasible(most, at <= most, even.within(most), at / units_per_s)


def after(spent: Quantity, each: Quantity, units: Sequence[float]) -> tuple[Quantity, ...]:
    """Cumulated g after so many units: `spent + n · c`."""
    return tuple(spent.to("g") + replace(each.scaled(n), unit="g") for n in units)


def _even(fixed: Quantity, old: Quantity, new: Quantity, unit: str) -> Even:
    saved = old - new.to(old.unit)
    for told in (fixed, saved):
        if told.value is None:
            msg = f"no break-even: {told.reason}"
            raise UsageError(msg)
    assert fixed.value is not None and saved.value is not None  # noqa: S101, PT018 -- just checked
    if fixed.value < 0.0:
        msg = f"{fixed.value:g} {fixed.unit} spent once is not possible: pass 0 or more"
        raise UsageError(msg)
    at = replace(fixed / saved, unit=unit, basis=None) if saved.value > 0.0 else _none(old, new, unit)
    scores = normal_scores(_DRAWS, 0)
    above = np.broadcast_to(computed(fixed, scores), (_DRAWS,))
    below = np.broadcast_to(computed(saved, scores), (_DRAWS,))
    draws = np.where(below > 0.0, above / np.where(below > 0.0, below, 1.0), math.inf)
    ends = np.sort(draws)[[round(0.025 * (_DRAWS - 1)), round(0.975 * (_DRAWS - 1))]]
    return Even(at, float(ends[0]), float(ends[1]), float(np.mean(below > 0.0)), draws)


def _none(old: Quantity, new: Quantity, unit: str) -> Quantity:
    value = new.to(old.unit).value
    return Quantity.missing(unit, f"nothing is saved, for {value:.4g} {old.unit} are no less than {old.value:.4g}")
