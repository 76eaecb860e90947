"""From the IT boundary to the facility's: PUE, once, and only on IT energy of a data centre.

PUE is facility energy per IT energy (ISO/IEC 30134-2). What a plug or a battery reads is no IT energy of a
data centre's own books, a user's device stands in no data centre, and a network has an overhead of its own.
Absent means the IT boundary: it is neither 1.0 nor the world's mean.
"""

from __future__ import annotations

from collections.abc import Iterable

from greengen.errors import UsageError
from greengen.quantity import Quantity, total

#: Domains of these kinds read what is plugged in or carried, whatever that is.
OUTSIDE_KINDS = frozenset({"battery", "wall"})

#: All that there are, in the order in which they are told.
TIERS = ("device", "edge", "network", "cloud")
#: No facility takes more per joule of IT: a slip, and beyond any float in the end.
MOST_PUE = 1000.0

#: Work of these tiers runs in no data centre.
OUTSIDE_TIERS = frozenset({"device", "network"})


def applies(kind: str, tier: str | None) -> bool:
    """Whether a stated PUE belongs on the energy of a domain of this kind, read on this tier.

    A tier that was not stated takes the PUE that was: who states one says where the machine stands.
    """
    return kind not in OUTSIDE_KINDS and tier not in OUTSIDE_TIERS


def why_not(kind: str, tier: str | None) -> str:
    """Why a stated PUE does not belong there; "" where it does."""
    if tier in OUTSIDE_TIERS:
        return f"the {tier} tier is in no data centre"
    return f"a {kind} meter does not read the IT energy of a data centre" if kind in OUTSIDE_KINDS else ""


def checked(pue: float) -> float:
    """Raises UsageError for what no facility can have."""
    if not 1.0 <= pue <= MOST_PUE:
        msg = (
            f"PUE {pue:g} is not possible: facility energy is at least the IT energy, so pass 1.0 or more, "
            f"at most {MOST_PUE:,.0f}"
        )
        raise UsageError(msg)
    return float(pue)


def energy(it: Quantity, pue: Quantity | float | None, *, source: str = "declared") -> Quantity:
    """The facility's energy behind an IT energy; the IT energy itself where no PUE is stated. Raises UsageError."""
    if pue is None:
        return it
    if not isinstance(pue, Quantity):
        pue = Quantity(checked(pue), "", "declared")
    if pue.value is not None:
        checked(pue.value)
    if any(factor.name == "PUE" for factor in it.factors):
        msg = "this energy is the facility's already: PUE is applied once"
        raise UsageError(msg)
    return it.times(pue, "PUE", unit=it.unit, source=source)


def joules(parts: Iterable[tuple[Quantity, str, str | None]], pue: Quantity | float | None) -> Quantity:
    """The facility's energy behind several domains: (energy, its domain's kind, its tier) of each."""
    weighed = [energy(part, pue) if applies(kind, tier) else part for part, kind, tier in parts]
    return total(weighed, weighed[0].unit) if weighed else Quantity.missing("J", "there is nothing to add")


def overhead(it: Quantity, pue: Quantity | float) -> Quantity:
    """What the facility uses beyond its IT: cooling, losses, light."""
    return energy(it, pue) - it
