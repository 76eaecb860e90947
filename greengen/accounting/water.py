"""Water: on-site by WUE per kWh of IT energy, off-site by what power stations use per kWh of facility energy.

`W = E_IT · (WUE_on + PUE · WUE_off)` (Li et al., arXiv:2304.03271; ecologits). WUE is per kWh of IT energy
(ISO/IEC 30134-9): multiplied by energy that already holds the PUE it would be too high by the PUE.
Withdrawn and consumed water are not the same, and providers publish one or the other.
"""

from __future__ import annotations

from greengen.accounting import facility
from greengen.errors import UsageError
from greengen.quantity import Quantity, total


def on_site(it: Quantity, wue: Quantity) -> Quantity:
    """Litres that cooling uses for an IT energy. Raises UsageError for energy that already holds a PUE."""
    if any(factor.name == "PUE" for factor in it.factors):
        msg = "WUE is per kWh of IT energy, and this is the facility's: pass the energy before PUE"
        raise UsageError(msg)
    return it.to("kWh").times(wue, "WUE, on-site", unit="L", source="declared")


def off_site(facility_energy: Quantity, per_kwh: Quantity) -> Quantity:
    """Litres used to generate what a facility (or a device) draws."""
    return facility_energy.to("kWh").times(per_kwh, "water of generation", unit="L", source="declared")


def both(it: Quantity, wue: Quantity, per_kwh: Quantity, pue: Quantity | float | None = None) -> Quantity:
    """On-site and off-site water of an IT energy, L."""
    return total((on_site(it, wue), off_site(facility.energy(it, pue), per_kwh)), "L")
