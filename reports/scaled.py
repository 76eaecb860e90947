"""Quantities of one column or one axis in one unit, so that they can be compared by eye."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from greengen.quantity import convert
from greengen.reports import format as fmt
from greengen.reports import words

Q = Mapping[str, Any]


def together(quantities: Sequence[Q]) -> list[dict[str, Any]]:
    """The same quantities, all in the unit in which the middle one is a handy number.

    "J/request" becomes "mJ/request" for all of them or for none; a missing one keeps its reason.
    """
    sizes = [abs(q["value"]) for q in quantities if q["value"]]
    unit = next((str(q["unit"]) for q in quantities if q["value"] is not None), "")
    above, per, below = unit.partition("/")
    if not sizes or not per:
        return [dict(q) for q in quantities]
    to = f"{fmt.handy({'value': statistics.median(sizes), 'unit': above})['unit']}/{below}"
    return [_in(q, unit, to) for q in quantities]


def _in(q: Q, unit: str, to: str) -> dict[str, Any]:
    if q["value"] is None or q["unit"] != unit:
        return dict(q)
    ends = {end: convert(q[end], unit, to) for end in ("value", "low", "high") if q.get(end) is not None}
    return dict(q) | ends | {"unit": to}


def unit_of(quantities: Iterable[Q]) -> str:
    """The unit of the first that is known."""
    return next((str(q["unit"]) for q in quantities if q["value"] is not None), "")


def ends(q: Q) -> tuple[float, float] | None:
    """Both ends of the interval, where it has one."""
    if q["value"] is None or q.get("low") is None or q.get("high") is None:
        return None
    return q["low"], q["high"]


def bare(q: Q) -> str:
    """The value with the part of its unit before "per", which the heading tells: ``12.3 mJ``."""
    above, per, below = str(q["unit"]).partition("/")
    return fmt.value(q).removesuffix(f"/{below}") if per and above else fmt.value(q)


def unit_words(unit: str) -> str:
    """A unit as it is read: ``J/output token``."""
    above, per, below = unit.partition("/")
    return f"{above}/{words.unit(below)}" if per else unit


def whole(q: Q) -> str:
    """The value with all of its unit: ``12.3 mJ/output token``."""
    unit = str(q["unit"])
    return fmt.value(q).replace(unit, unit_words(unit)) if "/" in unit else fmt.value(q)


def told(q: Q) -> str:
    """Value, interval, unit and grade in a line: ``12.3 mJ/request (9.1 to 15.0), modelled``; or why it is missing."""
    if q["value"] is None:
        return f"{fmt.NOT_MEASURED}: {q.get('reason', '')}"
    bounds = fmt.interval(q)
    unknown = "low" in q and q["low"] is None
    text = f"{whole(q)} ({bounds or 'interval not known'})" if bounds or unknown else whole(q)
    return f"{text}, {q['grade']}" if q.get("grade") else text
