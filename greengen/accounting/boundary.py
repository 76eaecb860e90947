"""What a figure covers, by name: accelerator, machine, facility, comprehensive; and from one to the next.

Google's comparison of one prompt (arXiv:2508.15734) has 0.10 Wh under the narrow boundary and 0.24 under the
comprehensive one. So a figure under one boundary says nothing under another, and what leads from one to the next is
a multiplier that somebody states: there is no default of any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal, NamedTuple, cast

from greengen.accounting.declared import factor
from greengen.accounting.facility import MOST_PUE
from greengen.errors import KindMismatchError, UsageError
from greengen.quantity import Quantity

Boundary = Literal["accelerator", "machine", "facility", "comprehensive"]

#: From the narrowest to the widest.
BOUNDARIES: tuple[Boundary, ...] = ("accelerator", "machine", "facility", "comprehensive")

#: What each holds, in words.
MEANING: Mapping[str, str] = {
    "accelerator": "what the accelerators drew, and nothing else",
    "machine": "all that the machine drew as far as it was read: accelerators, CPU, memory",
    "facility": "the machine, and the data centre's overhead on it (PUE)",
    "comprehensive": "the facility, with idle machines held ready for the work",
}

_FORM = "facility:machine=1.5,facility=1.1"

_ACCELERATORS = frozenset({"gpu", "npu"})


class Widening(NamedTuple):
    """To which boundary a figure is to be taken, and by which stated multipliers."""

    to: Boundary
    multipliers: Mapping[str, float]


def widening(text: str) -> Widening:
    """As written on a command line: `facility:machine=1.5,facility=1.1`. Raises UsageError."""
    to, _, steps = text.partition(":")
    told: dict[str, float] = {}
    for step in filter(None, (part.strip() for part in steps.split(","))):
        name, _, by = step.partition("=")
        try:
            told[name.strip()] = float(by)
        except ValueError:
            msg = f"widen {text!r}: {step!r} is no multiplier; write {_FORM}"
            raise UsageError(msg) from None
    for name in (to, *told):
        if name not in BOUNDARIES:
            msg = f"widen {text!r}: {name!r} is none of {', '.join(BOUNDARIES)}; write {_FORM}"
            raise UsageError(msg)
    return Widening(cast("Boundary", to), told)


def of_domains(kinds: Iterable[str], pue: float | None) -> Boundary | None:
    """The boundary of a total over domains of these kinds; None where none was read.

    A recording reads the idle time of its own machine only, so no total is comprehensive by itself.
    """
    read = set(kinds)
    if not read:
        return None
    if read <= _ACCELERATORS:
        return "accelerator"
    return "machine" if pue is None else "facility"


def widened(energy: Quantity, from_: Boundary, to: Boundary, multipliers: Mapping[str, float]) -> Quantity:
    """An energy under a wider boundary, each step by the multiplier that is stated for it.

    multipliers  by the boundary that they lead to: machine (machine per accelerator energy), facility (PUE),
                 comprehensive (with idle machines, per facility energy)

    Raises UsageError for a step without a multiplier, or one below 1; KindMismatchError for a narrower boundary.
    """
    for name in (from_, to, *multipliers):
        if name not in BOUNDARIES:
            msg = f"boundary {name!r} is not known: pass {', '.join(BOUNDARIES)}"
            raise UsageError(msg)
    start, end = BOUNDARIES.index(from_), BOUNDARIES.index(to)
    if end < start:
        msg = f"a figure of boundary {from_} cannot be told as {to}: what it holds beyond that is not known"
        raise KindMismatchError(msg)
    for step in BOUNDARIES[start + 1 : end + 1]:
        if step not in multipliers:
            what = MEANING[step]
            msg = f"from {from_} to {to} a multiplier for {step} is needed ({what}): state it, there is no default"
            raise UsageError(msg)
        by = float(multipliers[step])
        if not 1.0 <= by <= MOST_PUE:
            msg = (
                f"multiplier {by:g} for {step} is not possible: a wider boundary holds no less, so pass 1 or more, "
                f"at most {MOST_PUE:,.0f}"
            )
            raise UsageError(msg)
        name = "PUE" if step == "facility" else f"{step} multiplier"
        energy = energy.times(factor(by, "", name), name, unit=energy.unit, source="declared")
    return replace(energy, note="; ".join(part for part in (energy.note, f"boundary: {to}") if part))


def comparable(one: Boundary | None, other: Boundary | None) -> None:
    """Raises KindMismatchError where two figures do not cover the same."""
    if one != other:
        told = [boundary or "of no known boundary" for boundary in (one, other)]
        msg = f"cannot compare a figure {told[0]} with one {told[1]}: widen the narrower one with stated multipliers"
        raise KindMismatchError(msg)
