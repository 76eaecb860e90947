"""Where the energy of a run was used and with what: what a footprint multiplies by. Nothing of it is guessed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from greengen.accounting import facility
from greengen.errors import UsageError
from greengen.quantity import Quantity

if TYPE_CHECKING:  # most sites have none of them
    from greengen.accounting.boundary import Widening
    from greengen.accounting.embodied import Hardware
    from greengen.accounting.hour import Hour
    from greengen.accounting.market import Purchases
    from greengen.accounting.transfer import Way

#: What to say where no intensity was given: nothing is guessed.
REMEDY = "pass --zone ZONE (an ISO-3 country such as DEU) or --intensity G_PER_KWH"

#: No grid emits more, not even of the worst lignite: what is above is of another unit.
MOST_G_PER_KWH = 2000.0


@dataclass(frozen=True, slots=True)
class Site:
    """Where the energy was used, and with what.

    intensity      gCO2e per kWh, with its error, basis and grade; None: not given
    source         where the intensity comes from, in words
    pue            facility energy per IT energy, a number or one with its error; None: the IT boundary, not 1.0
    hardware       what the run had to itself; none: not stated, so there is no embodied figure
    wue            on-site water, L per kWh of IT energy
    water_offsite  water of generation, L per kWh
    device_w       what a user's device draws while it waits for an answer, W
    network        the line that requests' bytes go through, by its power
    widen          a wider boundary, and the multipliers that lead to it
    market         purchases and the residual mix, for the market-based figure
    hourly         the intensity by the hour; a footprint has its mean, weighted with the run's energy
    chain          what was asked for an intensity, in order, and what came of it
    notes          what a reader must know of it: fallbacks, a table past its date
    """

    intensity: Quantity | None = None
    source: str = ""
    zone: str | None = None
    year: str = ""
    pue: float | Quantity | None = None
    hardware: tuple[Hardware, ...] = ()
    wue: Quantity | None = None
    water_offsite: Quantity | None = None
    device_w: Quantity | None = None
    network: Way | None = None
    market: Purchases | None = None
    widen: Widening | None = None
    hourly: tuple[Hour, ...] = ()
    chain: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.pue_value is not None:
            facility.checked(self.pue_value)

    @property
    def pue_value(self) -> float | None:
        """The PUE as a number."""
        return self.pue.value if isinstance(self.pue, Quantity) else self.pue

    @property
    def overhead(self) -> Quantity | None:
        """The PUE as a factor."""
        if self.pue is None or isinstance(self.pue, Quantity):
            return self.pue
        return Quantity(float(self.pue), "", "declared")


def declared_intensity(g_per_kwh: float) -> Site:
    """A site whose intensity the user states. Raises UsageError for a negative one, and for one of no grid."""
    if not 0.0 <= g_per_kwh <= MOST_G_PER_KWH:
        msg = f"intensity {g_per_kwh:g} g/kWh is not possible: pass 0 or more, at most {MOST_G_PER_KWH:,.0f}"
        raise UsageError(msg)
    value = Quantity(float(g_per_kwh), "g/kWh", "declared", basis="declared by the user")
    return Site(intensity=value, source="declared by the user")
