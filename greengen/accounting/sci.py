"""Software Carbon Intensity, ISO/IEC 21031 (SCI v1.1), and SCI for AI.

`SCI = (O + M) per R`. O is of *all* energy, idle and reserved included; M is not optional, so without it there is no
SCI and the operational figure remains. I is of the place: a market-based figure (certificates, contracts) is refused.
SCI for AI has two scores, of using a model (consumer) and of making it (provider), which are never added: each
carries its name in its basis, and sums across bases raise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from greengen.accounting import functional
from greengen.basis import Basis, joined
from greengen.errors import KindMismatchError, UsageError
from greengen.quantity import Quantity, total

Score = Literal["consumer", "provider"]

#: What each score's basis says, so that the two never mix.
SCORES: dict[Score, str] = {
    "consumer": "SCI for AI: consumer score",
    "provider": "SCI for AI: provider score",
}

#: Why there is no score, and what to do.
NO_EMBODIED = "SCI needs the embodied emissions M: pass --hardware NAME; the operational figure stands by itself"


def with_embodied(operational: Quantity, embodied: Quantity) -> Quantity:
    """O + M, gCO2e. M holds no grid intensity, so it adds to grams of any kind and takes theirs."""
    return total((operational, replace(embodied, basis=operational.basis)), "g")


def score(
    operational: Quantity, embodied: Quantity | None, how_many: float | None, unit: str, of: Score | None = None
) -> Quantity:
    """gCO2e per functional unit; missing where M or the count is.

    operational  of all energy of the software, idle and reserved included
    of           the score of SCI for AI that it is; None: SCI itself

    Raises KindMismatchError for a market-based operational figure.
    """
    if Basis.parse(operational.basis).accounting == "market":
        msg = "SCI takes no market-based figure (certificates, contracts): pass the location-based one"
        raise KindMismatchError(msg)
    if embodied is None or embodied.value is None:
        why = NO_EMBODIED if embodied is None else f"{NO_EMBODIED} ({embodied.reason})"
        return Quantity.missing(f"g/{unit}", operational.reason or why)
    told = functional.per(with_embodied(operational, embodied), how_many, unit)
    return told if of is None or not told.known else named(told, of)


def named(of: Quantity, which: Score) -> Quantity:
    """A figure as one score of SCI for AI: it then mixes with no other."""
    if which not in SCORES:
        msg = f"score {which!r} is not known: pass {' or '.join(SCORES)}"
        raise UsageError(msg)
    return replace(of, basis=joined(of.basis, SCORES[which]))


def together(scores: Sequence[Quantity], unit: str) -> Quantity:
    """The sum of component scores, which must all be per the same unit and of one kind. Raises KindMismatchError."""
    return total(scores, unit)
