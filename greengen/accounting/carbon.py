"""From joules to grams of CO2e: energy × PUE × grid intensity. Average, location-based, operational."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from greengen.errors import UsageError
from greengen.quantity import Quantity

if TYPE_CHECKING:
    from greengen.accounting.ledger import Ledger

#: What to say where no intensity was given: nothing is guessed.
REMEDY = "pass --zone ZONE (an ISO-3 country such as DEU) or --intensity G_PER_KWH"


@dataclass(frozen=True, slots=True)
class Site:
    """Where the energy was used.

    intensity  gCO2e per kWh, with its error, basis and grade; None: not given
    source     where the intensity comes from, in words
    pue        facility energy per IT energy; None: the IT boundary, not 1.0
    """

    intensity: Quantity | None = None
    source: str = ""
    zone: str | None = None
    year: str = ""
    pue: float | None = None

    def __post_init__(self) -> None:
        if self.pue is not None and not 1.0 <= self.pue < float("inf"):
            msg = f"PUE {self.pue:g} is not possible: facility energy is at least the IT energy, so pass 1.0 or more"
            raise UsageError(msg)


def grams(energy: Quantity, intensity: Quantity, *, source: str = "") -> Quantity:
    """gCO2e of using an energy, by an intensity in g/kWh."""
    return energy.to("kWh").times(intensity, "grid intensity", unit="g", source=source)


@dataclass(frozen=True, slots=True)
class Footprint:
    """The grams behind a ledger."""

    ledger: Ledger
    site: Site

    def carbon(self, energy: Quantity) -> Quantity:
        """The gCO2e of an energy; missing, with the remedy, where no intensity was given."""
        if self.site.intensity is None:
            return Quantity.missing("g", f"no grid intensity was given: {REMEDY}")
        if self.site.pue is not None:
            pue = Quantity(self.site.pue, "", "declared")
            energy = energy.times(pue, "PUE", unit=energy.unit, source="declared")
        return grams(energy, self.site.intensity, source=self.site.source)

    def total(self) -> Quantity:
        """The gCO2e of all joules of the run."""
        return self.carbon(self.ledger.total())

    def __getitem__(self, span: object) -> Quantity:
        """The gCO2e of one span."""
        return self.carbon(self.ledger[span])


def declared_intensity(g_per_kwh: float) -> Site:
    """A site whose intensity the user states. Raises UsageError for a negative or endless one."""
    if not 0.0 <= g_per_kwh < float("inf"):
        msg = f"intensity {g_per_kwh:g} g/kWh is not possible: pass 0 or more"
        raise UsageError(msg)
    value = Quantity(float(g_per_kwh), "g/kWh", "declared", basis="declared by the user")
    return Site(intensity=value, source="declared by the user")
