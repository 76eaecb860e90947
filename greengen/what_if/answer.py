"""Answers as a document has them: words, and numbers to draw them from. Nothing in them is endless or no number."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from greengen.accounting import comparing
from greengen.accounting.what_if.payback import Even
from greengen.accounting.what_if.profiles import Profile, costs
from greengen.document.shape import shape
from greengen.quantity import Quantity

#: How likely the least figure is to be so against each other one, before it is called the least for sure.
_SURE = 0.975
#: In CO2-equivalents, as pages tell grams.
_GRAMS = {"g": "gCO2e", "kg": "kgCO2e", "mg": "mgCO2e", "ug": "µgCO2e"}
_MILLI = 1e-3


def answer(
    title: str,
    words: str,
    *,
    assumes: Sequence[str] = (),
    x: dict[str, Any] | None = None,
    lines: Sequence[dict[str, Any]] = (),
    **more: Any,  # noqa: ANN401 -- marks, grid, table: what JSON holds
) -> dict[str, Any]:
    """One answer."""
    told: dict[str, Any] = {"title": title, "words": words, "assumes": list(assumes), "missing": None}
    return told | {"x": x, "lines": list(lines), "marks": [], "grid": None, "table": None} | more


def missing(title: str, why: str, assumes: Sequence[str] = ()) -> dict[str, Any]:
    """One that could not be given."""
    return answer(title, f"Not answered: {why}.", assumes=assumes, missing=why)


def axis(name: str, unit: str, values: Sequence[float], scale: str = "linear") -> dict[str, Any]:
    """What an answer is drawn over."""
    return {"name": name, "unit": unit, "scale": scale, "values": list(values)}


def line(name: str, quantities: Sequence[Quantity], unit: str | None = None) -> dict[str, Any]:
    """Quantities along the axis, with their intervals; null where one is missing, or its interval not known."""
    told = unit or (named_unit(quantities[0].unit) if quantities else "")
    return {
        "name": name,
        "unit": told,
        "values": [each.value for each in quantities],
        "low": [each.low if each.errors else None for each in quantities],
        "high": [each.high if each.errors else None for each in quantities],
    }


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Rows of quantities, texts and numbers."""
    told = [[shape(each) if isinstance(each, Quantity) else finite(each) for each in row] for row in rows]
    return {"columns": list(columns), "rows": told}


def mark(x: float, text: str, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    """A place on the axis; an interval without an end has none."""
    return {"x": x, "low": finite(low), "high": finite(high), "text": text}


def over(
    profiles: Sequence[Profile], values: Sequence[float], change: Callable[[Profile, float], Profile]
) -> tuple[list[dict[str, Any]], list[list[Quantity]], bool]:
    """(a line per option, the costs at each value, whether hardware is in them)."""
    rows, embodied = [], True
    for value in values:
        told, with_hardware = costs([change(profile, value) for profile in profiles])
        rows.append(list(told))
        embodied = embodied and with_hardware
    lines = [line(profile.name, [row[i] for row in rows]) for i, profile in enumerate(profiles)]
    return lines, rows, embodied


def least(names: Sequence[str], row: Sequence[Quantity]) -> str:
    """Whose figure is the least; "" where one is missing."""
    known = [each.value for each in row]
    if any(value is None for value in known):
        return ""
    return names[known.index(min(value for value in known if value is not None))]


def sure(row: Sequence[Quantity]) -> bool:
    """Whether the least of some figures is so with a probability of 97.5 % against each of the others."""
    least_one = min(row, key=lambda each: each.value if each.value is not None else float("inf"))
    others = [each for each in row if each is not least_one]
    return all(comparing.p_better(least_one, other) >= _SURE for other in others)


def without(rows: Sequence[Sequence[Quantity]]) -> str:
    """Why figures are missing; "" where none is."""
    return "; ".join(dict.fromkeys(each.reason for row in rows for each in row if not each.known))


def hardware(embodied: bool) -> str:  # noqa: FBT001 -- what `costs` tells
    """What is in the grams."""
    if embodied:
        return "grams of use and of hardware"
    return "grams of use only: hardware was not stated of all options"


def figure(quantity: Quantity) -> str:
    """A quantity in a sentence, with its interval where it has one."""
    if quantity.value is None:
        return f"unknown ({quantity.reason})"
    told = _readable(quantity)
    unit = named_unit(told.unit)
    return f"{span(told.value or 0.0, told.low, told.high)}{' ' if unit else ''}{unit}"


def _readable(quantity: Quantity) -> Quantity:
    """Few grams as mg or µg: 1.37e-06 is no number that anybody reads."""
    top, per, below = quantity.unit.partition("/")
    value = abs(quantity.value or 0.0)
    if top != "g" or not 0.0 < value < _MILLI:
        return quantity
    return quantity.to(f"{'mg' if value >= _MILLI**2 else 'ug'}{per}{below}")


def span(value: float, low: float | None, high: float | None) -> str:
    """A number with its interval, in as many digits as the interval is worth."""
    if low is None or high is None or math.isclose(low, high, rel_tol=1e-6):
        return number(value)
    top = "no upper end" if math.isinf(high) else f"to {number(high)}"
    return (
        f"{number(value)} ({number(low)} {top})" if not math.isinf(high) else f"{number(value)} ({number(low)}, {top})"
    )


def number(value: float) -> str:
    """Three digits, and large numbers with separators."""
    if abs(value) >= 1000.0:  # noqa: PLR2004 -- from here on, digits are grouped
        digits = 2 - math.floor(math.log10(abs(value)))
        return f"{round(value, digits):,.0f}"
    return f"{value:.3g}"


def named_unit(unit: str) -> str:
    """A unit as pages write it."""
    above, per, below = unit.partition("/")
    return f"{_GRAMS.get(above, above)}{per}{below}"


def drawn(even: Even, unit: str, factor: float = 1.0) -> dict[str, Any] | str:
    """A number whose interval was drawn, as a quantity; one without an upper end, or without a value, in words."""
    value = even.at.value
    if value is None:
        return f"none: {even.at.reason}"
    if not math.isfinite(even.high):
        return f"{span(value * factor, even.low * factor, math.inf)} {unit}".strip()
    ends = {"low": even.low * factor, "high": even.high * factor}
    return {"value": value * factor, **ends, "unit": unit, "grade": even.at.grade}


def finite(value: Any) -> Any:  # noqa: ANN401 -- whatever a row holds
    """JSON has no number for endless."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
