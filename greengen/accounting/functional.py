"""Functional units: per what a figure is told. A request, a token, an image, a second of sound or film.

What spans themselves record is counted from them. What they do not is told as a label: `images`, `audio_s`,
`video_s`, as in ``req.label(images=4)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from greengen.errors import UsageError
from greengen.quantity import Quantity
from greengen.rows import SpanRow

REQUEST = "request"

#: unit -> the label of a request that tells how many of it there are.
LABELS: Mapping[str, str] = MappingProxyType({"image": "images", "audio_s": "audio_s", "video_s": "video_s"})

#: Every unit that a run can be divided by, and what it is.
UNITS: Mapping[str, str] = MappingProxyType(
    {
        REQUEST: "a request",
        "output_token": "a token written",
        "input_token": "a token read",
        "image": "an image",
        "audio_s": "a second of sound",
        "video_s": "a second of film",
    }
)

#: In so many queries are watt-hours told beside joules per request, as boards of models do.
QUERIES = 1000


def count(rows: Iterable[SpanRow], unit: str) -> float | None:
    """How many of a unit some requests made; None where none of them tells. Raises UsageError.

    A label that is no number of 0 or more is an error too: divided by a wrong count, all else is wrong.
    """
    if unit not in UNITS:
        msg = f"unit {unit!r} is not known: pass {', '.join(UNITS)}"
        raise UsageError(msg)
    requests = [row for row in rows if row.kind == REQUEST]
    if unit == REQUEST:
        return float(sum(row.requests for row in requests)) or None
    tell = _TOLD.get(unit) or _labelled(LABELS[unit])
    told = [number for row in requests if (number := tell(row)) is not None]
    return math.fsum(told) if told else None


def per(of: Quantity, how_many: float | None, unit: str) -> Quantity:
    """A figure per functional unit; missing where the run tells none."""
    told = f"{of.unit}/{unit}"
    if how_many is None:
        why = f"no request tells its {LABELS[unit]}: label it" if unit in LABELS else f"no {unit} was recorded"
        return Quantity.missing(told, of.reason or why)
    if not how_many:
        return Quantity.missing(told, of.reason or f"0 of {UNITS.get(unit, unit)} were made")
    share = of / float(how_many)
    return replace(share, unit=told)


def watt_hours(energy: Quantity, queries: float) -> Quantity:
    """Wh per 1000 queries: the unit of AI Energy Score."""
    unit = f"Wh/{QUERIES} queries"
    if not queries:
        return Quantity.missing(unit, energy.reason or "no query was made")
    return replace((energy / float(queries)).to("Wh").scaled(float(QUERIES)), unit=unit)


def _labelled(label: str) -> Callable[[SpanRow], float | None]:
    def tell(row: SpanRow) -> float | None:
        text = row.labels.get(label)
        if text is None:
            return None
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not 0.0 <= number < math.inf:
            msg = f"request {row.uid} tells {label} {text!r}: pass a number of 0 or more"
            raise UsageError(msg)
        return number

    return tell


_TOLD: Mapping[str, Callable[[SpanRow], float | None]] = MappingProxyType(
    {"output_token": lambda row: row.output_tokens, "input_token": lambda row: row.input_tokens}
)
