"""Powers as texts: `85.1 W`, `350 mW`, or a bare number whose unit the column or the user names."""

from __future__ import annotations

import re

from greengen.errors import LogError, UsageError
from greengen.integrations._files import number, shown
from greengen.quantity import convert
from greengen.stated import nearest

#: unit as it is written -> as `quantity` names it.
UNITS = {"W": "W", "kW": "kW", "mW": "mW", "uW": "uW", "\u00b5W": "uW", "\u03bcW": "uW"}
_SPELT = {"watt": "W", "watts": "W", "kilowatt": "kW", "kilowatts": "kW", "milliwatt": "mW", "milliwatts": "mW"}

_VALUE = re.compile(
    r"([+-]?[\d.,]+(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf(?:inity)?))\s*([A-Za-z\u00b5\u03bc]*)", re.IGNORECASE
)
_IN_BRACKETS = re.compile(r"[\[(]\s*([A-Za-z\u00b5\u03bc]+)\s*[\])]\s*$")
_ENDING = re.compile(r"[_\s.-](w|kw|watts?|kilowatts?|milliwatts?)$", re.IGNORECASE)


def unit(text: str) -> str:
    """A unit of power as `quantity` names it. Raises UsageError."""
    found = UNITS.get(text) or _SPELT.get(text.lower())
    if found is None:
        near = nearest(text, [*UNITS, *_SPELT])
        msg = f"{text!r} is no unit of power: {near}pass W, kW, mW or uW"
        raise UsageError(msg)
    return found


def of_column(name: str) -> str | None:
    """The unit that a column's name tells: `power [W]`, `power_kw`; None for none, or for one that could be two.

    `power_mw` could be milli or mega.
    """
    brackets = _IN_BRACKETS.search(name)
    if brackets:
        return UNITS.get(brackets[1]) or _SPELT.get(brackets[1].lower())
    ending = _ENDING.search(name)
    if ending is None:
        return _SPELT.get(name.lower())
    return {"w": "W", "kw": "kW"}.get(ending[1].lower()) or _SPELT.get(ending[1].lower())


def plain(name: str) -> str:
    """A column's name without its unit: `power` of `Power [mW]` and of `power_kw`."""
    return _ENDING.sub("", _IN_BRACKETS.sub("", name).strip()).lower()


def watts(text: str, given: str | None, where: str) -> float:
    """A power in W. Raises LogError for what is no number, or has no unit or two."""
    found = _VALUE.fullmatch(text)
    if not found:
        msg = f"{where}: {shown(text)} is not a power: write it as 85.1 W, or as a number"
        raise LogError(msg)
    own = found[2]
    if own and own not in UNITS and own.lower() not in _SPELT:
        msg = f"{where}: {shown(own)} is no unit of power that is understood: write W, kW, mW or uW"
        raise LogError(msg)
    told = (UNITS.get(own) or _SPELT[own.lower()]) if own else None
    if told and given and told != given:
        msg = f"{where}: {shown(text)} is in {told}, but the column or --power-unit says {given}: which is it?"
        raise LogError(msg)
    chosen = told or given
    if chosen is None:
        msg = f"{where}: {shown(text)} has no unit: pass --power-unit W (or kW, mW, uW)"
        raise LogError(msg)
    return convert(number(found[1], where), chosen, "W")
