"""Where the ranking flips: the value of one parameter at which two choices cost the same.

The grams of a choice are linear in an intensity, a PUE or a network's kWh per GB, and in the inverse of a utilisation
or a lifetime: their difference is monotone in each, so it is 0 at one value at most, which a bracket finds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from greengen.accounting.what_if.profiles import Profile, costs
from greengen.errors import UsageError

#: A number -> the choice with it instead of its own.
Change = Callable[[Profile, float], Profile]

_HALVINGS = 200


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that might be otherwise: its own value, and the interval in which it is looked for.

    change  of one choice or of both; one that it has no say in stays as it is
    """

    name: str
    unit: str
    value: float | None
    low: float
    high: float
    change: Change

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            msg = f"{self.name} from {self.low:g} to {self.high:g}: pass an interval, the lower end first"
            raise UsageError(msg)


@dataclass(frozen=True, slots=True)
class Flip:
    """What a parameter does to a / b.

    at           where it is 1; None: never within the interval
    low, high    the ratio at either end of the parameter's interval
    always       the two cost the same whatever it is
    """

    parameter: Parameter
    at: float | None
    low: float
    high: float
    always: bool = False

    @property
    def words(self) -> str:
        """In words."""
        parameter = self.parameter
        unit = f" {parameter.unit}" if parameter.unit else ""
        within = f"{parameter.low:.4g} to {parameter.high:.4g}{unit}"
        if self.always:
            return f"{parameter.name}: no say, the two cost the same from {within}"
        if self.at is None:
            return f"{parameter.name}: never within {within}"
        return f"{parameter.name}: at {self.at:.4g}{unit}, of {within}"


def flip(a: Profile, b: Profile, parameter: Parameter) -> Flip:
    """Where a and b change places. Raises UsageError where one of them has no grams."""

    def both(x: float) -> tuple[float, float]:
        one, other = costs((parameter.change(a, x), parameter.change(b, x)))[0]
        if one.value is None or other.value is None:
            msg = f"{a.name} against {b.name}: {one.reason or other.reason}"
            raise UsageError(msg)
        return one.value, other.value

    ends = [both(parameter.low), both(parameter.high)]
    ratios = [one / other if other else math.inf for one, other in ends]
    if all(math.isclose(one, other, rel_tol=1e-12, abs_tol=0.0) for one, other in ends):
        return Flip(parameter, None, ratios[0], ratios[1], always=True)

    def apart(x: float) -> float:
        one, other = both(x)
        return one - other

    return Flip(parameter, crossing(apart, parameter.low, parameter.high), ratios[0], ratios[1])


def crossing(apart: Callable[[float], float], low: float, high: float) -> float | None:
    """Where a function is 0 between two ends, by halving the bracket; None where its sign is the same at both."""
    at_low, at_high = apart(low), apart(high)
    if at_low == 0.0 or at_high == 0.0:
        return low if at_low == 0.0 else high
    if at_low * at_high > 0.0:
        return None
    for _ in range(_HALVINGS):
        middle = low + (high - low) / 2.0
        if middle in (low, high):
            break
        at = apart(middle)
        if at == 0.0:
            return middle
        if at * at_low > 0.0:
            low = middle
        else:
            high = middle
    return low + (high - low) / 2.0
