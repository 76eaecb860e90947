"""How good the work of a deployment is, as whoever compares it states: the figure, its interval, and whence both are.

    0.91                                                              the figure alone: no interval is made up
    {"value": 0.91, "low": 0.89, "high": 0.93, "source": "..."}       with the 95 % interval that was published
    {"correct": 182, "of": 200, "source": "..."}                      answers: Wilson's score interval
    {"values": [0.90, 0.92, 0.91], "each": "seed", "source": "..."}   repeats, or questions: Student's t across them

Wilson's interval (JASA 22:209, 1927) stays within 0 and 1, and holds with few answers and with parts near either end,
where the normal one does not (Brown, Cai and DasGupta, Statistical Science 16:101, 2001). It takes answers that are
independent: of words within sentences, state each sentence's part of right words as one of `values`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from greengen import stated
from greengen.accounting import student
from greengen.errors import UsageError
from greengen.propagation import Z95

#: What a table may say, by the key that makes it this kind of table.
KEYS = {
    "value": {"value", "low", "high", "source"},
    "correct": {"correct", "of", "source"},
    "values": {"values", "each", "source"},
}

STATED, BARE = "interval as stated", "no interval"
WILSON = "Wilson's score interval"


@dataclass(frozen=True, slots=True)
class Quality:
    """A figure of quality; always declared.

    low, high  its 95 % interval; both None where there is none
    how        what the interval is, or that there is none
    source     who states it; "" where nobody is named
    part       whether it is the mean of figures between 0 and 1
    """

    value: float
    low: float | None = None
    high: float | None = None
    how: str = BARE
    source: str = ""
    part: bool = False


def quality(name: str, told: object) -> Quality | None:
    """The figure of deployment `name` from a number or a table; None where none was told. Raises UsageError."""
    if told is None:
        return None
    if not isinstance(told, Mapping):
        return Quality(_number(name, told))
    kind = next((kind for kind in KEYS if kind in told), None)
    strange = sorted(map(str, told.keys() - KEYS[kind])) if kind else []
    if kind is None or strange:
        what = f"{', '.join(strange)} says nothing" if strange else "it has no figure"
        msg = f"quality of {name!r}: {what}; state value (low, high), correct and of, or values (each), and the source"
        raise UsageError(msg)
    for key in ("source", "each"):
        if not isinstance(told.get(key, ""), str):
            msg = f"quality of {name!r}: {key} {repr(told[key])[:40]} is no text"
            raise UsageError(msg)
    source = told.get("source", "")
    if kind == "correct":
        return _counted(name, told, source)
    if kind == "values":
        return _repeated(name, told, source)
    value = _number(name, told["value"])
    if "low" not in told and "high" not in told:
        return Quality(value, source=source)
    low, high = _number(name, told.get("low")), _number(name, told.get("high"))
    if not low <= value <= high:
        msg = f"quality of {name!r}: {value:g} is not within its interval from {low:g} to {high:g}"
        raise UsageError(msg)
    return Quality(value, low, high, STATED, source)


def wilson(correct: float, of: float) -> tuple[float, float]:
    """The 95 % score interval of a part, `correct` of `of` independent answers."""
    part, square = correct / of, Z95 * Z95
    middle = (part + square / (2.0 * of)) / (1.0 + square / of)
    half = Z95 * math.sqrt(part * (1.0 - part) / of + square / (4.0 * of * of)) / (1.0 + square / of)
    # At either end the interval begins there, to the last digit.
    return (0.0 if not correct else middle - half), (1.0 if correct == of else middle + half)


def _counted(name: str, told: Mapping[str, Any], source: str) -> Quality:
    correct, of = _number(name, told["correct"]), _number(name, told.get("of"))
    if not 0.0 <= correct <= of or not of:
        msg = f"quality of {name!r}: {correct:g} correct of {of:g} is not possible"
        raise UsageError(msg)
    return Quality(correct / of, *wilson(correct, of), f"{WILSON} of {of:,.0f} answers", source, part=True)


def _repeated(name: str, told: Mapping[str, Any], source: str) -> Quality:
    several = told["values"]
    if isinstance(several, str | Mapping) or not isinstance(several, Sequence) or not several:
        msg = f"quality of {name!r}: values are no list of numbers"
        raise UsageError(msg)
    values = [_number(name, value) for value in several]
    n, mean = len(values), math.fsum(values) / len(values)
    part = all(0.0 <= value <= 1.0 for value in values)
    each = f"{n:,} values" if "each" not in told else f"{n:,} times one {told['each']}"
    if min(values) == max(values):
        # That they do not scatter is no knowledge of how the next one would.
        return Quality(mean, how=f"{BARE}: {each}, all alike", source=source, part=part)
    scatter = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n)
    half = student.quantile(0.975, n - 1.0) * scatter
    return Quality(mean, mean - half, mean + half, f"Student's t across {each}", source, part=part)


def _number(name: str, told: Any) -> float:  # noqa: ANN401 -- whatever was stated
    if not stated.is_number(told, -stated.MOST):
        msg = f"quality {repr(told)[:40]} of {name!r} is no number that can be: pass one of {stated.MOST:g} at most"
        raise UsageError(msg)
    return float(told)
