"""The network as a line of its own: bytes that spans tell, times kWh per GB that the user states.

No meter of a tier reads it, so it is in no account and in no total. kWh per GB is an average of all
traffic over all equipment and does not follow load: a poor model of one transfer, and labelled as such.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from greengen.errors import UsageError
from greengen.quantity import Error, Quantity
from greengen.rows import SpanRow

#: The label by which a span tells the bytes that went, both ways, between it and the tier that it called.
LABEL = "network_bytes"

#: A figure beyond it is a slip: published ones are below 1.
MOST_KWH_PER_GB = 1e6

#: Published figures of kWh per GB are known to this geometric standard deviation (Carbon Trust 2021 and peers).
GSD = 2.0

#: A label may hold anything, and more bytes than this nobody moves.
_DIGITS = 18

#: What is to be read beside each such number.
NOTE = "bytes times a declared kWh/GB: an average that does not follow load, and a poor model of one transfer"


class Bytes(NamedTuple):
    """What some spans tell: the sum, None where none of them tells any; and what is no number of bytes."""

    total: int | None
    spans: int
    wrong: tuple[str, ...]


def told(rows: Iterable[SpanRow]) -> Bytes:
    """The bytes of some spans together."""
    known, wrong = [], []
    for row in rows:
        if LABEL in row.labels:
            number = moved(row)
            if number is None:
                wrong.append(row.labels[LABEL])
            else:
                known.append(number)
    return Bytes(sum(known) if known else None, len(known), tuple(dict.fromkeys(wrong)))


def moved(row: SpanRow) -> int | None:
    """The bytes that one span tells; None where it tells none, or what is no whole number."""
    text = row.labels.get(LABEL, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else None


def checked(kwh_per_gb: float) -> float:
    """Raises UsageError for what cannot be the energy of a transfer."""
    number = isinstance(kwh_per_gb, int | float) and not isinstance(kwh_per_gb, bool)
    if not (number and 0.0 <= kwh_per_gb <= MOST_KWH_PER_GB):
        shown = f"{kwh_per_gb:g}" if isinstance(kwh_per_gb, float) else repr(kwh_per_gb)[:40]
        msg = f"network intensity {shown} kWh/GB is not possible: pass 0 or more, at most {MOST_KWH_PER_GB:,.0f}"
        raise UsageError(msg)
    return float(kwh_per_gb)


def energy(moved_bytes: int | None, kwh_per_gb: float | None) -> Quantity:
    """The joules of a transfer; missing, with what is missing, where the bytes or their price are not told."""
    why = [f"no span tells its {LABEL}"] if moved_bytes is None else []
    why += ["no energy per byte was stated"] if kwh_per_gb is None else []
    if moved_bytes is None or kwh_per_gb is None:
        return Quantity.missing("J", ", and ".join(why))
    sigma = kwh_per_gb * math.log(GSD)
    price = Quantity(kwh_per_gb, "kWh/GB", "declared", (Error("network intensity", sigma, log=True),))
    gigabytes = Quantity(float(moved_bytes), "B", "declared").to("GB")
    joules = gigabytes.times(price, "network intensity", unit="kWh", source="declared by the user").to("J")
    return replace(joules, note=NOTE)
