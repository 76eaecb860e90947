"""A number that knows its unit, its 95 % interval, how it is known, and what its errors are.

Errors are carried to first order as signed standard uncertainties by source. Errors of one source
add linearly in a sum; independent sources add in quadrature; in a ratio only the common
multiplicative part (`gain`) of a source cancels. Error sources that are factors (`log`) widen the
interval as factors do: by ×/÷, not by ±.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from greengen.errors import KindMismatchError, UsageError

Grade = Literal["measured", "attributed", "modelled", "declared"]

#: From strongest to weakest; a sum is as weak as its weakest part.
GRADES: tuple[Grade, ...] = ("measured", "attributed", "modelled", "declared")

#: Standard uncertainties in one side of a 95 % interval.
Z95 = 1.959963984540054

#: unit -> (base unit, how many base units one of it is). Conversions live here only.
_UNITS: dict[str, tuple[str, float]] = {
    "J": ("J", 1.0),
    "kJ": ("J", 1e3),
    "MJ": ("J", 1e6),
    "mJ": ("J", 1e-3),
    "uJ": ("J", 1e-6),
    "Wh": ("J", 3600.0),
    "kWh": ("J", 3.6e6),
    "MWh": ("J", 3.6e9),
    "g": ("g", 1.0),
    "mg": ("g", 1e-3),
    "kg": ("g", 1e3),
    "t": ("g", 1e6),
    "g/kWh": ("g/kWh", 1.0),
    "kg/kWh": ("g/kWh", 1e3),
    "lb/MWh": ("g/kWh", 0.45359237),
    "L": ("L", 1.0),
    "mL": ("L", 1e-3),
    "W": ("W", 1.0),
    "kW": ("W", 1e3),
    "mW": ("W", 1e-3),
    "uW": ("W", 1e-6),
    "s": ("s", 1.0),
    "ms": ("s", 1e-3),
    "h": ("s", 3600.0),
    "y": ("s", 365 * 86400.0),  # of 365 days, as SCI and its examples count a lifetime
    "B": ("B", 1.0),
    "GB": ("B", 1e9),
    "g/kWh": ("g/kWh", 1.0),
    "lb/MWh": ("g/kWh", 0.45359237),
}


def convert(value: float, unit: str, to: str) -> float:
    """`value` in `unit`, told in `to`. Raises UsageError where the two are not of one kind."""
    if unit == to:
        return value
    base, factor = _UNITS.get(unit, (unit, 1.0))
    to_base, to_factor = _UNITS.get(to, (to, 1.0))
    if base != to_base:
        msg = f"cannot convert {unit} to {to}: they are not units of one kind"
        raise UsageError(msg)
    return value * (factor / to_factor)


@dataclass(frozen=True, slots=True)
class Error:
    """One source's part in a quantity's error.

    name   the source; errors of one name move together
    sigma  its standard uncertainty in the quantity's unit, signed by the direction it moves it
    gain   it is a common factor of all readings of the source, so it cancels in a ratio
    log    it is a factor known in order of size only: its interval is ×/÷
    """

    name: str
    sigma: float
    gain: bool = False
    log: bool = False


@dataclass(frozen=True, slots=True)
class Factor:
    """What a quantity was multiplied by: shown beside its grade, because a product keeps the energy's."""

    name: str
    value: float
    unit: str
    grade: Grade
    source: str = ""


@dataclass(frozen=True, slots=True)
class Quantity:
    """value ± errors, unit and grade; or nothing (`value` None) with the reason why.

    mix      (grade, value) parts: which share of the value is known in which way
    basis    the kind of a carbon figure (average; lifecycle …): different ones never mix
    signed   a difference: its interval may reach below 0
    note     what the reader has to know of the number beside its interval
    """

    value: float | None
    unit: str
    grade: Grade | None = None
    errors: tuple[Error, ...] = ()
    mix: tuple[tuple[Grade, float], ...] = ()
    factors: tuple[Factor, ...] = ()
    basis: str | None = None
    reason: str = ""
    note: str = ""
    signed: bool = False

    def __post_init__(self) -> None:
        if self.value is None and not self.reason:
            msg = "a quantity without a value says why: pass reason="
            raise ValueError(msg)
        if self.value is not None and self.grade is None:
            msg = "a quantity with a value says how it is known: pass grade="
            raise ValueError(msg)

    @classmethod
    def missing(cls, unit: str, reason: str) -> Self:
        """Not measured: no value, and why. It is not zero."""
        return cls(value=None, unit=unit, reason=reason)

    @property
    def known(self) -> bool:
        """Whether there is a value at all."""
        return self.value is not None

    @property
    def low(self) -> float | None:
        """The lower end of the 95 % interval."""
        return None if self.value is None else self._interval()[0]

    @property
    def high(self) -> float | None:
        """The upper end of the 95 % interval."""
        return None if self.value is None else self._interval()[1]

    def _interval(self) -> tuple[float, float]:
        value = self.value if self.value is not None else 0.0
        linear = Z95 * math.sqrt(math.fsum(e.sigma**2 for e in self.errors if not e.log))
        factor = Z95 * math.sqrt(math.fsum(e.sigma**2 for e in self.errors if e.log))
        down = up = 0.0
        if factor and value:
            spread = math.exp(min(factor / abs(value), 50.0))
            down, up = abs(value) * (1 - 1 / spread), abs(value) * (spread - 1)
        elif factor:
            down = up = factor
        low, high = value - math.hypot(down, linear), value + math.hypot(up, linear)
        return (low if self.signed or value < 0 else max(low, 0.0)), high

    @property
    def shares(self) -> dict[Grade, float]:
        """Which share of the value is known in which way, by grade; empty for 0 or nothing."""
        total = math.fsum(abs(part) for _, part in self.parts)
        if not total:
            return {}
        by_grade: dict[Grade, float] = {}
        for grade, part in self.parts:
            by_grade[grade] = by_grade.get(grade, 0.0) + abs(part) / total
        return by_grade

    @property
    def parts(self) -> tuple[tuple[Grade, float], ...]:
        """The value by grade."""
        if self.mix or self.value is None or self.grade is None:
            return self.mix
        return ((self.grade, self.value),)

    def to(self, unit: str) -> Quantity:
        """The same quantity in another unit of its kind."""
        return replace(self.scaled(convert(1.0, self.unit, unit)), unit=unit)

    def scaled(self, factor: float) -> Quantity:
        """The quantity times an exact number."""
        if self.value is None:
            return self
        return replace(
            self,
            value=self.value * factor,
            errors=tuple(replace(e, sigma=e.sigma * factor) for e in self.errors),
            mix=tuple((grade, part * factor) for grade, part in self.mix),
        )

    def times(self, other: Quantity, name: str, *, unit: str, source: str = "") -> Quantity:
        """The quantity times a factor of another kind: keeps this grade, lists the factor beside it."""
        if self.value is None or other.value is None:
            return replace(Quantity.missing(unit, self.reason or other.reason), basis=other.basis)
        scaled = self.scaled(other.value)
        theirs = tuple(replace(e, sigma=e.sigma * self.value) for e in other.errors)
        factor = Factor(name, other.value, other.unit, other.grade or "declared", source)
        return replace(
            scaled,
            unit=unit,
            errors=_merged((scaled.errors, theirs)),
            factors=(*self.factors, factor),
            basis="; ".join(dict.fromkeys(basis for basis in (self.basis, other.basis) if basis)) or None,
        )

    def __add__(self, other: Quantity | int) -> Quantity:
        """A sum: errors of one source add linearly. With a missing part the sum is missing.

        0 is what `sum` begins with; no other bare number can be added, for it has no unit.
        """
        if isinstance(other, Quantity):
            return total((self, other), self.unit)
        return self if other == 0 else NotImplemented

    __radd__ = __add__

    def __sub__(self, other: Quantity) -> Quantity:
        """A difference: errors of one source cancel. It may be negative, and is not clamped."""
        return replace(self + other.scaled(-1.0), signed=True)

    def __truediv__(self, other: Quantity | float) -> Quantity:
        """By a number, or by a quantity: there only what is a common factor of both cancels."""
        if not isinstance(other, Quantity):
            if not other:
                return Quantity.missing(self.unit, "divided by 0")
            return self.scaled(1.0 / other)
        return _ratio(self, other)

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape: value, low, high, unit, grade; or a null value and its reason."""
        if self.value is None:
            return {"value": None, "unit": self.unit, "reason": self.reason}
        low, high = self._interval()
        out: dict[str, Any] = {
            "value": self.value,
            "low": low,
            "high": high,
            "unit": self.unit,
            "grade": self.grade,
        }
        if len(self.shares) > 1:
            out["grades"] = self.shares
        if self.factors:
            out["factors"] = [
                {"name": f.name, "value": f.value, "unit": f.unit, "grade": f.grade, "source": f.source}
                for f in self.factors
            ]
        if self.basis:
            out["basis"] = self.basis
        if self.note:
            out["note"] = self.note
        return out

    def __str__(self) -> str:
        if self.value is None:
            return f"not measured ({self.reason})"
        return f"{self.value:.4g} {self.unit} [{self.low:.4g} … {self.high:.4g}] {self.grade}"


def weakest(grades: Iterable[Grade]) -> Grade | None:
    """The weakest of some grades; None of none."""
    present = set(grades)
    return next((grade for grade in reversed(GRADES) if grade in present), None)


def total(parts: Iterable[Quantity], unit: str, *, skip_missing: bool = False) -> Quantity:
    """The sum of quantities of one unit and basis. Raises KindMismatchError for others.

    A missing part makes the sum missing; with `skip_missing` the sum is of the known parts and its
    note says which reasons were left out. The sum of nothing is missing, and not 0.
    """
    items = list(parts)
    if not items:
        return Quantity.missing(unit, "there is nothing to add")
    for item in items:
        if item.unit != unit:
            msg = f"cannot add {item.unit} to {unit}: convert one to the other's unit, if they are of one kind"
            raise KindMismatchError(msg)
    bases = _bases(items)
    if len(bases) > 1:
        msg = f"cannot add {bases[1] or 'no basis'} to {bases[0] or 'no basis'}: recompute on one basis"
        raise KindMismatchError(msg)
    missing = [item for item in items if item.value is None]
    if missing and (not skip_missing or len(missing) == len(items)):
        return Quantity.missing(unit, "; ".join(dict.fromkeys(item.reason for item in missing)))
    known = [item for item in items if item.value is not None]
    notes = [*(item.note for item in known if item.note), *(f"without: {item.reason}" for item in missing)]
    mix: dict[Grade, float] = {}
    for item in known:
        for grade, part in item.parts:
            mix[grade] = mix.get(grade, 0.0) + part
    return Quantity(
        value=math.fsum(item.value for item in known if item.value is not None),
        unit=unit,
        grade=weakest(item.grade for item in known if item.grade) or "measured",
        errors=_merged(item.errors for item in known),
        mix=tuple(mix.items()) if len(mix) > 1 else (),
        factors=tuple(dict.fromkeys(f for item in known for f in item.factors)),
        basis=bases[0],
        note="; ".join(dict.fromkeys(notes)),
        signed=any(item.signed for item in known),
    )


def _bases(items: Iterable[Quantity]) -> list[str | None]:
    """The different bases of some quantities; what is missing may not have come as far as to have one."""
    return list(dict.fromkeys(item.basis for item in items if item.known or item.basis is not None))


def _merged(groups: Iterable[tuple[Error, ...]]) -> tuple[Error, ...]:
    by_name: dict[str, Error] = {}
    for errors in groups:
        for error in errors:
            seen = by_name.get(error.name)
            by_name[error.name] = error if seen is None else replace(seen, sigma=seen.sigma + error.sigma)
    return tuple(by_name.values())


def _ratio(a: Quantity, b: Quantity) -> Quantity:
    unit = "" if a.unit == b.unit else f"{a.unit}/{b.unit}"
    compared = _UNITS.get(a.unit, (a.unit, 1.0))[0] == _UNITS.get(b.unit, (b.unit, 1.0))[0]
    bases = _bases((a, b))
    if len(bases) > 1 and (compared or None not in bases):
        msg = f"cannot compare {bases[0] or 'no basis'} with {bases[1] or 'no basis'}: recompute on one basis"
        raise KindMismatchError(msg)
    if a.value is None or b.value is None:
        return Quantity.missing(unit, a.reason or b.reason)
    if not b.value:
        return Quantity.missing(unit, "divided by 0")
    value = a.value / b.value
    grade = weakest(g for g in (a.grade, b.grade) if g)
    # Grams per token are of the grams' kind; grams over grams are a number.
    basis = None if compared else a.basis or b.basis
    factors = () if compared else tuple(dict.fromkeys((*a.factors, *b.factors)))
    if not a.value:
        errors = tuple(replace(e, sigma=e.sigma / b.value) for e in a.errors)
        return Quantity(value, unit, grade, errors, factors=factors, basis=basis, signed=a.signed)
    below = {e.name: e for e in b.errors}
    above = {e.name: e for e in a.errors}
    errors_: list[Error] = []
    for name in dict.fromkeys((*above, *below)):
        e, f = above.get(name), below.get(name)
        x = e.sigma / a.value if e else 0.0
        y = f.sigma / b.value if f else 0.0
        either = e or f
        assert either is not None  # noqa: S101 -- the name came from one of the two
        sigma = (x - y) if either.gain else math.hypot(x, y)
        errors_.append(replace(either, sigma=sigma * abs(value)))
    signed = a.signed or b.signed
    return Quantity(value, unit, grade, tuple(errors_), factors=factors, basis=basis, signed=signed)
