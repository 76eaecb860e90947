"""From joules to a footprint: operational and embodied gCO2e, water, SCI, each beside what it was made from.

Operational carbon is location-based: energy × PUE, where it belongs × grid intensity. A market-based figure stands
beside it and is in no sum with it. What was not stated (hardware, WUE, a grid) is missing, and never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from greengen.accounting import amortised, boundary, embodied, facility, functional, hours, market, sci, tally, water
from greengen.accounting.boundary import Boundary
from greengen.accounting.embodied import Hardware
from greengen.accounting.hourly import Hour, of_run
from greengen.accounting.ledger import Ledger
from greengen.accounting.market import Matching
from greengen.accounting.sci import Score
from greengen.errors import UsageError
from greengen.quantity import Quantity, total
from greengen.rows import SpanRow

#: What to say where no intensity was given: nothing is guessed.
REMEDY = "pass --zone ZONE (an ISO-3 country such as DEU) or --intensity G_PER_KWH"

#: No grid emits more, not even of the worst lignite: what is above is of another unit.
MOST_G_PER_KWH = 2000.0

_NO_WUE = "no water usage effectiveness was stated: pass --wue L_PER_KWH"
_NO_WATER = (
    "no water of electricity generation is known: pass a zone whose figure ships, or the site file's water_offsite"
)
_NOT_INSIDE = "nothing was read that is IT of a data centre"


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


def grams(energy: Quantity, intensity: Quantity, *, source: str = "") -> Quantity:
    """gCO2e of using an energy, by an intensity in g/kWh."""
    return energy.to("kWh").times(intensity, "grid intensity", unit="g", source=source)


@dataclass(frozen=True, slots=True)
class Footprint:
    """What stands behind a ledger.

    facility  the ledger with PUE on the domains where it belongs
    """

    ledger: Ledger
    site: Site
    facility: Ledger = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "facility", tally.at_facility(self.ledger, self.site.overhead))
        if self.site.hourly:
            intensity = of_run(self.facility, self.site.hourly)
            object.__setattr__(self, "site", replace(self.site, intensity=intensity))

    def carbon(self, energy: Quantity) -> Quantity:
        """The gCO2e of using an energy, PUE or not; missing, with the remedy, where no intensity was given."""
        if self.site.intensity is None:
            return Quantity.missing("g", f"no grid intensity was given: {REMEDY}")
        return grams(energy, self.site.intensity, source=self.site.source)

    def total(self) -> Quantity:
        """The operational gCO2e of all joules of the run, idle time included."""
        return self.carbon(self.facility.total())

    operational = total

    def of(self, tell: Callable[[Ledger], Quantity], energy: Quantity | None = None) -> Quantity:
        """The gCO2e of what `tell` reads off a ledger; `energy`: what it read off this one, where that is known."""
        if energy is None or self.facility is not self.ledger:
            energy = tell(self.facility)
        return self.carbon(energy)

    def __getitem__(self, span: object) -> Quantity:
        """The gCO2e of one span."""
        return self.carbon(self.facility[span])

    @property
    def boundary(self) -> Boundary | None:
        """What the total covers, by its name."""
        pue = self.site.pue_value if any(place.inside for place in tally.places(self.ledger)) else None
        return boundary.of_domains((place.kind for place in tally.places(self.ledger)), pue)

    def widened(self, to: Boundary, multipliers: Mapping[str, float]) -> Quantity:
        """The operational gCO2e under a wider boundary, by stated multipliers. Raises UsageError."""
        here = self.boundary
        if here is None:
            return self.total()
        return self.carbon(boundary.widened(self.facility.total(), here, to, multipliers))

    def embodied(self) -> Quantity:
        """gCO2e of making the stated hardware that fall on the recorded time; missing where none is stated."""
        return embodied.together(self.site.hardware, hours.recorded_s(self.ledger))

    def both(self) -> Quantity:
        """Operational and embodied gCO2e, O + M; missing where either is."""
        return sci.with_embodied(self.total(), self.embodied())

    def sci(self, unit: str = functional.REQUEST, *, of: Score | None = None) -> Quantity:
        """ISO/IEC 21031: (O + M) per functional unit, over all energy of the run; missing without embodied M.

        unit  request, output_token, input_token, image, audio_s, video_s
        of    consumer or provider: as that score of SCI for AI, which the other is never added to
        """
        return sci.score(self.total(), self.embodied(), self.count(unit), unit, of)

    def count(self, unit: str) -> float | None:
        """How many of a functional unit the run made; None where no request tells. Raises UsageError."""
        return functional.count(self._read(), unit)

    def per(self, unit: str = functional.REQUEST) -> Quantity:
        """Operational gCO2e per functional unit, over all energy of the run."""
        return functional.per(self.total(), self.count(unit), unit)

    def watt_hours(self) -> Quantity:
        """Wh per 1000 queries: all energy of the run at the facility, as far as PUE was stated."""
        return functional.watt_hours(self.facility.total(), self.count(functional.REQUEST) or 0.0)

    def water_on_site(self) -> Quantity:
        """L of cooling, per kWh of data-centre IT energy."""
        if self.site.wue is None:
            return Quantity.missing("L", _NO_WUE)
        inside = tally.weighed(self.ledger, lambda energy: energy, elsewhere=False)
        if not any(chapter.totalled for chapter in inside.chapters):
            return Quantity.missing(
                "L", _NOT_INSIDE if any(True for _ in tally.places(self.ledger)) else "no domain was read"
            )
        return water.on_site(inside.total(), self.site.wue)

    def water_off_site(self) -> Quantity:
        """L of electricity generation, per kWh at the facility."""
        if self.site.water_offsite is None:
            return Quantity.missing("L", _NO_WATER)
        return water.off_site(self.facility.total(), self.site.water_offsite)

    def water(self) -> Quantity:
        """On-site and off-site water together, L; missing where either is."""
        return total((self.water_on_site(), self.water_off_site()), "L")

    def market(
        self,
        bought_kwh: Sequence[float] | Mapping[int, float],
        residual: Quantity | float,
        instrument: Quantity | float = 0.0,
        matching: Matching = "hourly",
    ) -> Quantity:
        """The market-based gCO2e, GHG-Protocol scope 2: beside the location-based figure and in no sum with it.

        bought_kwh  purchases by hour: from the recording's first on, or by the hour's start (s since 1970, UTC)
        residual    g/kWh of the residual mix, on what no purchase covers
        instrument  g/kWh of what was bought

        Raises UsageError, KindMismatchError.
        """
        load = hours.by_hour(self.facility)
        if isinstance(bought_kwh, Mapping):
            bought = [float(bought_kwh.get(hour, 0.0)) for hour in load]
        else:
            bought = [float(each) for each in bought_kwh]
        factors = [
            of if isinstance(of, Quantity) else Quantity(float(of), "g/kWh", "declared")
            for of in (residual, instrument)
        ]
        return market.based(list(load.values()), bought, *factors, matching=matching)

    def device(self) -> Quantity:
        """gCO2e of a user's device while it waits for each answer, where its power was stated; PUE is not on it."""
        if self.site.device_w is None or self.site.device_w.value is None:
            return Quantity.missing("g", "no power of the user's device was stated: pass --device-power W")
        waits = [(row.t1_ns - row.t0_ns) / 1e9 * row.requests for row in self._read() if row.t1_ns is not None]
        watts = self.site.device_w
        energy = replace(watts.scaled(sum(waits)), unit="J", note="display and wait of the user's device, as declared")
        return self.carbon(energy)

    def training(self, model: str, requests: int | None = None) -> Quantity:
        """gCO2e of training a model, as the provider's score: apart from what serving it costs.

        requests  a lifetime's requests over which to tell it; None: the whole, for there is no default
        """
        whole = self.carbon(amortised.training(self.facility, model))
        told = whole if requests is None else amortised.per_request(whole, requests)
        return sci.named(told, "provider") if told.known else told

    def _read(self) -> Iterator[SpanRow]:
        """The requests that were read for any part of their time: others have no joules in a total."""
        for chapter in self.ledger.chapters:
            if not chapter.totalled:
                continue
            covered = np.max([entries.coverage for entries in chapter.totalled], axis=0, initial=0.0)
            for row, read in zip(chapter.table.rows, covered, strict=True):
                if row.kind == functional.REQUEST and read > 0:
                    yield row


def declared_intensity(g_per_kwh: float) -> Site:
    """A site whose intensity the user states. Raises UsageError for a negative one, and for one of no grid."""
    if not 0.0 <= g_per_kwh <= MOST_G_PER_KWH:
        msg = f"intensity {g_per_kwh:g} g/kWh is not possible: pass 0 or more, at most {MOST_G_PER_KWH:,.0f}"
        raise UsageError(msg)
    value = Quantity(float(g_per_kwh), "g/kWh", "declared", basis="declared by the user")
    return Site(intensity=value, source="declared by the user")
