"""Generated arithmetic, as data: what quantities compute of it is held against what is computed here.

Nothing of greengen's propagation is used: values and first-order errors are dual numbers in Fractions
(`dual`), and results over given scores of the sources plain floats (`drawn`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from hypothesis import strategies as st

from greengen.quantity import Error, Grade, Quantity, total

#: name -> (gain, log): a source's name tells its kind.
KINDS = {"gain": (True, False), "gain factor": (True, True), "offset": (False, False), "factor": (False, True)}
COMMON = {name for name, (gain, _) in KINDS.items() if gain}


@dataclass(frozen=True)
class Leaf:
    """A source of its own: a value, and how far, relative to it, each error moves it in 1/1024."""

    value: Fraction
    moves: tuple[tuple[str, int], ...]
    grade: Grade = "measured"

    def sigmas(self) -> dict[str, Fraction]:
        return {name: self.value * thousandths / 1024 for name, thousandths in self.moves}


@dataclass(frozen=True)
class Node:
    """A sum, a product or a ratio of two; or the first one times a number (`by`)."""

    how: Literal["sum", "product", "ratio", "scaled"]
    parts: tuple[Expression, ...]
    by: Fraction = Fraction(1)


Expression = Leaf | Node


def leaves(most: int = 40) -> st.SearchStrategy[Leaf]:
    """Values and errors that floats hold exactly."""
    moves = st.dictionaries(st.sampled_from(sorted(KINDS)), st.integers(-most, most), max_size=3)
    values = st.integers(1, 400).map(lambda quarters: Fraction(quarters, 4))
    return st.builds(Leaf, values, moves.map(lambda found: tuple(sorted(found.items()))))


def expressions(*how: str) -> st.SearchStrategy[Expression]:
    """Arithmetic of positive numbers by the operations named, up to 8 sources."""

    def grown(below: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        two = st.tuples(below, below)
        nodes = [st.builds(Node, st.just(name), two) for name in how if name != "scaled"]
        if "scaled" in how:
            by = st.integers(1, 40).map(lambda quarters: Fraction(quarters, 4))
            nodes.append(st.builds(Node, st.just("scaled"), st.tuples(below), by))
        return st.one_of(nodes)

    return st.recursive(leaves(), grown, max_leaves=8)


def quantity(expression: Expression) -> Quantity:
    """What greengen computes; all of it numbers without a unit, so that anything may be added."""
    if isinstance(expression, Leaf):
        errors = [
            Error(name, float(sigma), gain=KINDS[name][0], log=KINDS[name][1])
            for name, sigma in expression.sigmas().items()
        ]
        return Quantity(float(expression.value), "", expression.grade, tuple(errors))
    parts = [quantity(part) for part in expression.parts]
    if expression.how == "scaled":
        return parts[0].scaled(float(expression.by))
    if expression.how == "sum":
        return total(parts, "")
    return parts[0].times(parts[1], "x", unit="") if expression.how == "product" else parts[0] / parts[1]


def dual(expression: Expression) -> tuple[Fraction, dict[str, Fraction]]:
    """(value, derivative by the score of each source), exactly; every source is one everywhere."""
    if isinstance(expression, Leaf):
        return expression.value, expression.sigmas()
    found = [dual(part) for part in expression.parts]
    names = {name for _, moves in found for name in moves}
    (a, da), (b, db) = found[0], found[-1]
    of: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
        "scaled": lambda x, _: x * expression.by,
        "sum": lambda x, y: x + y,
        "product": lambda x, y: x * b + a * y,
        "ratio": lambda x, y: x / b - a * y / b**2,
    }
    values = {"scaled": a * expression.by, "sum": a + b, "product": a * b, "ratio": a / b}
    zero = Fraction(0)
    moves = {name: of[expression.how](da.get(name, zero), db.get(name, zero)) for name in names}
    return values[expression.how], moves


def drawn(expression: Expression, scores: Mapping[tuple[str, str], float], side: str = "") -> float:
    """The result at these scores; what is no common factor has one of its own below every line of a ratio."""
    if isinstance(expression, Leaf):
        value = float(expression.value)
        exponent = offset = 0.0
        common = 1.0
        for name, thousandths in expression.moves:
            gain, log = KINDS[name]
            x = thousandths / 1024 * scores[name, "" if gain else side]
            if gain:
                common *= math.exp(x) if log else 1.0 + x
            elif log:
                exponent += x
            else:
                offset += x
        return value * (math.exp(exponent) + offset) * common
    under = f"{side}/" if expression.how == "ratio" else side
    a, b = drawn(expression.parts[0], scores, side), drawn(expression.parts[-1], scores, under)
    return {"scaled": a * float(expression.by), "sum": a + b, "product": a * b, "ratio": a / b}[expression.how]
