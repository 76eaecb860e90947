"""Numbers and texts as a person reads them.

Numbers have three significant digits (more where an interval is narrower than that), a unit of
handy size, and the 95 % interval beside them: ``12.3 J (9.1 to 15.0)``. A missing quantity is
"not measured", never 0 and never blank. A quantity here is its JSON shape (`Quantity.as_dict()`).
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from greengen.quantity import convert

NOT_MEASURED = "not measured"

#: unit -> the units of its kind, from small to large.
_LADDERS = {
    "J": ("uJ", "mJ", "J", "kJ", "MJ"),
    "Wh": ("Wh", "kWh"),
    "g": ("ug", "mg", "g", "kg"),
    "L": ("mL", "L"),
    "W": ("mW", "W", "kW"),
    "s": ("ms", "s"),
}
_DIGITS = 3
_NARROWEST = 3
_FAR = 1000
#: Categories of characters that would act instead of show: controls, lone surrogates, line separators.
_UNSHOWN = frozenset({"Cc", "Cs", "Zl", "Zp"})
#: Characters that turn the reading direction of what follows.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
#: A cell that begins with one of these would be run by a spreadsheet as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MINUTE, _HOUR = 60, 3600


def in_unit(given: Mapping[str, Any], to: str) -> dict[str, Any]:
    """The same quantity in another unit of its kind; a missing one stays missing."""
    if given["value"] is None:
        return dict(given) | {"unit": to}
    ends = {
        end: convert(given[end], given["unit"], to) for end in ("value", "low", "high") if given.get(end) is not None
    }
    return dict(given) | ends | {"unit": to}


def handy(given: Mapping[str, Any]) -> dict[str, Any]:
    """The quantity in the unit of its kind in which its value is between 1 and 1000, if there is one.

    Where its interval reaches a thousand times as far, the unit is the interval's.
    """
    base, _, per = given["unit"].partition("/")
    size = _rounded(abs(given["value"] or 0.0))
    reach = max(abs(given.get("low") or 0.0), abs(given.get("high") or 0.0))
    size = _rounded(reach) if reach > _FAR * size > 0 else size
    ladder = _LADDERS.get(base)
    if per or ladder is None or not size:
        return dict(given)
    # Rounded at each rung: 999.7 J is 1.00 kJ, not 1,000 J.
    fitting = next((rung for rung in reversed(ladder) if _rounded(convert(size, base, rung)) >= 1), ladder[0])
    return in_unit(given, fitting)


def quantity(given: Mapping[str, Any]) -> str:
    """``12.3 J (9.1 to 15.0)``, or "not measured"."""
    bounds = interval(given)
    return f"{value(given)} ({bounds})" if bounds else value(given)


def value(given: Mapping[str, Any]) -> str:
    """``12.3 J``, or "not measured"."""
    if given["value"] is None:
        return NOT_MEASURED
    shown = handy(given)
    return f"{_fixed(shown['value'], _decimals(shown))} {shown['unit']}".rstrip()


def interval(given: Mapping[str, Any]) -> str:
    """``9.1 to 15.0`` in the unit that `value` shows; empty where there is no value or no interval."""
    shown = handy(given) if given["value"] is not None else {}
    if shown.get("low") is None or shown.get("high") is None:
        return ""
    return f"{_end(shown['low'], shown)} to {_end(shown['high'], shown)}"


def unit(given: Mapping[str, Any]) -> str:
    """The unit that `value` shows."""
    return str(handy(given)["unit"])


def number(given: float) -> str:
    """A bare number with three significant digits."""
    return _fixed(given, _decimals({"value": given}))


def joules(given: float) -> str:
    """Joules to be compared with other joules: to the mJ, or to nine digits where that would show less."""
    return f"{given:,.3f} J" if not given or abs(given) >= 1e3 else f"{given:.9g} J"  # noqa: PLR2004 -- as many digits


def count(given: int | None) -> str:
    """A whole number with separators, or "not recorded"."""
    return "not recorded" if given is None else f"{given:,d}"


def seconds(given: float | None) -> str:
    """A length of time: ``850 ms``, ``62.0 s``, ``12 min 3 s``, ``3 h 20 min``."""
    if given is None:
        return "not recorded"
    if abs(given) < 2 * _MINUTE:
        return value({"value": given, "unit": "s"})
    whole = round(given)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR:,} h {whole % _HOUR // _MINUTE} min"


def percent(share: float) -> str:
    """``98.7 %``. What is not quite all, or not quite nothing, is not rounded to it."""
    hundred = share * 100
    if 0 < hundred < 0.1:  # noqa: PLR2004 -- one decimal is shown
        return "<0.1 %"
    if 99.9 < hundred < 100:  # noqa: PLR2004
        return ">99.9 %"
    return f"{hundred:.0f} %" if hundred in (0, 100) else f"{hundred:.1f} %"


def printable(given: object) -> str:
    """Text that a user or a driver chose, with what would act on a page or a terminal shown as an escape."""
    text = str(given)
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in _UNSHOWN or char in _TURNING
        else char
        for char in text
    )


def shortened(given: object, width: int) -> str:
    """Printable text of at most `width` characters; the middle is left out, since both ends tell."""
    shown = printable(given)
    if len(shown) <= width:
        return shown
    head = (width - 3) * 2 // 3
    return f"{shown[:head]}...{shown[len(shown) - (width - 3 - head) :]}"


def unrun(given: object) -> object:
    """A text that no spreadsheet runs as a formula; what is no text as it is."""
    return f"'{given}" if isinstance(given, str) and given.startswith(_FORMULA) else given


def _rounded(given: float) -> float:
    return float(f"{given:.{_DIGITS - 1}e}")


def _decimals(shown: Mapping[str, Any]) -> int:
    """Decimal places; negative where the last significant digit is left of the point."""
    low, high = shown.get("low"), shown.get("high")
    reference = _rounded(abs(shown["value"]) or abs(high or 0.0))
    if not reference or not math.isfinite(reference):
        return 0
    places = _DIGITS - 1 - math.floor(math.log10(reference))
    half = (high - low) / 2 if low is not None and high is not None else 0.0
    if half > 0:
        places = max(places, min(math.ceil(-math.log10(half)), places + _NARROWEST))
    return places


def _end(given: float, shown: Mapping[str, Any]) -> str:
    """An end of an interval: as many places as the value, unless it is of quite another size.

    It is not rounded to 0: an end of 0 says that nothing is possible.
    """
    own = _decimals({"value": given})
    if abs(given) > 10 * abs(shown["value"]):
        return _fixed(given, own)
    text = _fixed(given, _decimals(shown))
    return text if not given or float(text.replace(",", "")) else _fixed(given, own - 1)


def _fixed(given: float, decimals: int) -> str:
    if not given:
        return "0"
    if abs(given) < 1e-4:  # noqa: PLR2004 -- a row of zeros is not read
        return f"{given:.{_DIGITS - 1}e}"
    return f"{round(given, decimals):,.{max(decimals, 0)}f}"
