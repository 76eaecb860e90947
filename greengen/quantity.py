"""A number that knows its unit, its 95 % interval, how it is known, and what its errors are.

Errors are carried to first order by source (greengen/propagation.py). Every quantity remembers what it
was computed of, so that the same arithmetic can be done over draws (greengen/accounting/drawing.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from greengen import basis as bases
from greengen import propagation
from greengen.errors import KindMismatchError, UsageError
from greengen.propagation import Z95, Error

__all__ = ["GRADES", "Z95", "Error", "Factor", "Grade", "Origin", "Quantity", "convert"]
__all__ += ["known_to", "ranging", "total", "weakest"]

Grade = Literal["measured", "attributed", "modelled", "declared"]

#: From strongest to weakest; a sum is as weak as its weakest part.
GRADES: tuple[Grade, ...] = ("measured", "attributed", "modelled", "declared")

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
    "ug": ("g", 1e-6),
    "kg": ("g", 1e3),
    "t": ("g", 1e6),
    "lb": ("g", 453.59237),
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
}


def convert(value: float, unit: str, to: str) -> float:
    """`value` in `unit`, told in `to`; either may be one unit per another, as in "lb/MWh".

    Raises UsageError where the two are not of one kind.
    """
    if unit == to:
        return value
    base, factor = _in_base(unit)
    to_base, to_factor = _in_base(to)
    if base != to_base:
        msg = f"cannot convert {unit} to {to}: they are not units of one kind"
        raise UsageError(msg)
    return value * (factor / to_factor)


def _in_base(unit: str) -> tuple[str, float]:
    """(base unit, how many base units one of it is); a unit that is not known is a kind of its own."""
    above, per, below = unit.partition("/")
    base, factor = _UNITS.get(above, (above, 1.0))
    if not per:
        return base, factor
    below_base, below_factor = _UNITS.get(below, (below, 1.0))
    return f"{base}/{below_base}", factor / below_factor


@dataclass(frozen=True, slots=True)
class Factor:
    """What a quantity was multiplied by: shown beside its grade, because a product keeps the energy's."""

    name: str
    value: float
    unit: str
    grade: Grade
    source: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a quantity was computed of: its parts, in order, and what was done with them.

    by      the number that "scaled" multiplies by
    value   what came of it; with `errors`, it tells whether a quantity still is what was computed
    """

    how: Literal["scaled", "sum", "product", "ratio"]
    parts: tuple[Quantity, ...]
    value: float
    errors: tuple[Error, ...]
    by: float = 1.0


@dataclass(frozen=True, slots=True)
class Quantity:
    """value ± errors, unit and grade; or nothing (`value` None) with the reason why.

    mix      (grade, value) parts: which share of the value is known in which way
    basis    what a carbon figure is of (average; lifecycle …), as greengen/basis.py: different ones never mix
    signed   a difference: its interval may reach below 0
    note     what the reader has to know of the number beside its interval
    origin   what it was computed of; None: it is a source of its own
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
    origin: Origin | None = field(default=None, repr=False, compare=False)

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
        low, high = propagation.interval(value, self.errors)
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
        value, errors = self.value * factor, propagation.scaled(self.errors, factor)
        return replace(
            self,
            value=value,
            errors=errors,
            mix=tuple((grade, part * factor) for grade, part in self.mix),
            origin=Origin("scaled", (self,), value, errors, factor),
        )

    def times(self, other: Quantity, name: str, *, unit: str, source: str = "") -> Quantity:
        """The quantity times a factor of another kind: keeps this grade, lists the factor beside it."""
        if self.value is None or other.value is None:
            return replace(Quantity.missing(unit, self.reason or other.reason), basis=other.basis)
        value = self.value * other.value
        ours, theirs = propagation.scaled(self.errors, other.value), propagation.scaled(other.errors, self.value)
        errors = propagation.added((ours, theirs))
        return replace(
            self,
            value=value,
            unit=unit,
            errors=errors,
            mix=tuple((grade, part * other.value) for grade, part in self.mix),
            factors=(*self.factors, Factor(name, other.value, other.unit, other.grade or "declared", source)),
            basis=bases.joined(self.basis, other.basis),
            origin=Origin("product", (self, other), value, errors),
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
    basis = bases.common(_stated(items), "add")
    missing = [item for item in items if item.value is None]
    if missing and (not skip_missing or len(missing) == len(items)):
        return Quantity.missing(unit, "; ".join(dict.fromkeys(item.reason for item in missing)))
    known = [item for item in items if item.value is not None]
    notes = [*(item.note for item in known if item.note), *(f"without: {item.reason}" for item in missing)]
    mix: dict[Grade, float] = {}
    for item in known:
        for grade, part in item.parts:
            mix[grade] = mix.get(grade, 0.0) + part
    value = math.fsum(item.value for item in known if item.value is not None)
    errors = propagation.added(item.errors for item in known)
    return Quantity(
        value=value,
        unit=unit,
        grade=weakest(item.grade for item in known if item.grade) or "measured",
        errors=errors,
        mix=tuple(mix.items()) if len(mix) > 1 else (),
        factors=tuple(dict.fromkeys(f for item in known for f in item.factors)),
        basis=basis,
        note="; ".join(dict.fromkeys(notes)),
        signed=any(item.signed for item in known),
        origin=Origin("sum", tuple(known), value, errors),
    )


def known_to(value: float, unit: str, grade: Grade, *, gsd: float, source: str, basis: str | None = None) -> Quantity:
    """A factor known to ×/÷ `gsd` (one standard uncertainty), common to all that is computed with `source`.

    Raises UsageError for a GSD below 1, or an endless one.
    """
    if not 1.0 <= gsd < math.inf:
        msg = f"GSD {gsd:g} of {source} is not possible: pass 1.0 (exact) or more"
        raise UsageError(msg)
    errors = (Error(source, value * math.log(gsd), gain=True, log=True),) if gsd > 1.0 else ()
    return Quantity(value, unit, grade, errors, basis=basis)


def ranging(low: float, high: float, unit: str, grade: Grade, *, source: str, basis: str | None = None) -> Quantity:
    """A number that lies between two bounds, no value likelier than another: their middle, ± half the range.

    Raises UsageError for bounds in the wrong order, or endless ones.
    """
    if not -math.inf < low <= high < math.inf:
        msg = f"the range {low:g} to {high:g} of {source} is not possible: pass the lower bound first"
        raise UsageError(msg)
    errors = (Error(source, (high - low) / math.sqrt(12.0), gain=True, flat=True),) if high > low else ()
    return Quantity((low + high) / 2.0, unit, grade, errors, basis=basis)


def _stated(items: Iterable[Quantity]) -> list[str | None]:
    """The bases of some quantities; what is missing may not have come as far as to have one."""
    return [item.basis for item in items if item.known or item.basis is not None]


def _ratio(a: Quantity, b: Quantity) -> Quantity:
    unit = "" if a.unit == b.unit else f"{a.unit}/{b.unit}"
    compared = _in_base(a.unit)[0] == _in_base(b.unit)[0]
    stated = _stated((a, b))
    # Grams per token are of the grams' kind; grams over grams are a number.
    basis = bases.common(stated if compared else filter(None, stated), "compare")
    if a.value is None or b.value is None:
        return Quantity.missing(unit, a.reason or b.reason)
    if not b.value:
        return Quantity.missing(unit, "divided by 0")
    value, errors = a.value / b.value, propagation.divided(a.value, a.errors, b.value, b.errors)
    return Quantity(
        value,
        unit,
        weakest(g for g in (a.grade, b.grade) if g),
        errors,
        factors=() if compared else tuple(dict.fromkeys((*a.factors, *b.factors))),
        basis=None if compared else basis,
        signed=a.signed or b.signed,
        origin=Origin("ratio", (a, b), value, errors),
    )
