"""Hardware as users name it: `h100*8:lifetime=5,utilisation=0.6`, or a table of a site file.

What ships are published figures; a user's own `kg` goes before them, and what nobody has published is built from its
parts (die area, memory, board, power supply) where those are stated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from greengen import data
from greengen.accounting.declared import factor
from greengen.accounting.embodied import MOST, Hardware, Parts, bottom_up, of_life_cycle
from greengen.errors import UsageError
from greengen.quantity import Quantity

#: What a user may say of hardware beside its name, and what it is.
TOLD = {
    "count": "how many",
    "lifetime": "years in service",
    "utilisation": "the part of its lifetime in which it is in use",
    "share": "the part of each that was reserved",
    "kg": "gCO2e of making one, in kg: goes before a published figure",
    "use_share": "the part of kg that is use, where kg is a data sheet's total of a whole life",
}

#: The same of hardware that is built from its parts.
PARTS = tuple(field.name for field in fields(Parts))

#: Whose range of lifetimes a row's own has.
_LIFETIME_OF = {"tpu-v6e": "tpu", "iphone-14": "smartphone", "smartphone": "smartphone"}
_LIFETIME_OF_OTHERS = "gpu-server"

_FORM = "NAME, NAME*COUNT or NAME*COUNT:lifetime=5,utilisation=0.6"


def hardware(text: str) -> Hardware:
    """Hardware as written on a command line. Raises UsageError, with the nearest names for an unknown one."""
    head, _, options = text.partition(":")
    name, star, count = head.partition("*")
    told: dict[str, Any] = {"name": name.strip()}
    if star:
        told["count"] = _number(text, "count", count)
    for option in filter(None, (part.strip() for part in options.split(","))):
        key, equals, value = option.partition("=")
        if not equals or key.strip() in told:
            msg = f"--hardware {text!r}: {option!r} is not understood or told twice; write {_FORM}"
            raise UsageError(msg)
        told[key.strip()] = _number(text, key.strip(), value)
    return from_table(told)


def from_table(told: Mapping[str, Any]) -> Hardware:
    """Hardware from what is told of it, by the names in `TOLD` and `PARTS`. Raises UsageError."""
    called = told.get("name") or ""
    name = called.strip() if isinstance(called, str) else ""
    if not name:
        msg = f"hardware without a name, which is a text: write {_FORM}"
        raise UsageError(msg)
    unknown = sorted(told.keys() - {"name", *TOLD, *PARTS})
    if unknown:
        msg = f"hardware {name}: {', '.join(unknown)} says nothing; known are {', '.join((*TOLD, *PARTS))}"
        raise UsageError(msg)
    numbers = {key: _checked(name, key, told[key]) for key in TOLD if key in told}
    made, source, row = _made(name, told, numbers.get("kg"))
    if "use_share" in numbers:
        if "kg" not in numbers:
            msg = f"use_share of {name} says nothing without the kg that it is a part of"
            raise UsageError(msg)
        made, source = of_life_cycle(made, numbers["use_share"]), f"{source}, without its use"
    return Hardware(
        name=name,
        made=made,
        lifetime=_lifetime(name, numbers.get("lifetime"), row),
        count=numbers.get("count", 1.0),
        share=numbers.get("share", 1.0),
        utilisation=numbers.get("utilisation"),
        source=source,
    )


def _made(name: str, told: Mapping[str, Any], kg: float | None) -> tuple[Quantity, str, data.Row | None]:
    """What making it emitted, whence that is, and its row where one ships."""
    row = data.table("embodied_hardware").get(name.lower())
    if kg is not None:
        return factor(kg, "kg", f"embodied:{name}"), "declared by the user", row
    parts = {key: told[key] for key in PARTS if key in told}
    if parts:
        coefficients = {id_: each.quantity() for id_, each in data.table("embodied_coefficients").items()}
        return bottom_up(_parts(name, parts), coefficients), "built from its parts, as stated", row
    if row is None:
        rows = data.table("embodied_hardware").values()
        remedy = f"known are {', '.join(each.id for each in rows)}"
        own = f"state a figure of your own: {name}:kg=KG,lifetime=YEARS"
        msg = f"{data.unknown(f'hardware {name!r}', name, rows, remedy)}; or {own}"
        raise UsageError(msg)
    return row.quantity(), row.source, row


def _parts(name: str, told: Mapping[str, Any]) -> Parts:
    given = dict(told)
    dies = given.pop("dies_mm2", ())
    if not isinstance(dies, list | tuple):
        dies = (dies,)
    areas = tuple(_checked(name, "dies_mm2", area) for area in dies)
    return Parts(dies_mm2=areas, **{key: _checked(name, key, value) for key, value in given.items()})


def _lifetime(name: str, years: float | None, row: data.Row | None) -> Quantity:
    """The user's own, else that of the row, known to the range of its kind."""
    if years is not None:
        return factor(years, "y", f"lifetime:{name}")
    if row is None:
        msg = f"hardware {name}: nothing published says how long it serves; state lifetime=YEARS"
        raise UsageError(msg)
    kind = _LIFETIME_OF.get(row.id, _LIFETIME_OF_OTHERS)
    spread = data.row("lifetimes", kind).gsd
    return factor(float(row.more["lifetime_years"]), "y", f"lifetime:{kind}", gsd=spread)


def _number(text: str, key: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        msg = f"--hardware {text!r}: {key} {value.strip()!r} is no number; write {_FORM}"
        raise UsageError(msg) from None


def _checked(name: str, key: str, value: Any) -> float:  # noqa: ANN401 -- whatever stands in a file
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST:
        msg = f"{key} {value!r} of {name} is not possible: pass a number of 0 or more, at most {MOST:g}"
        raise UsageError(msg)
    return float(value)
