"""From joules to a footprint: operational and embodied gCO2e, water, SCI, each beside what it was made from.

Operational carbon is location-based: energy × PUE, where it belongs × grid intensity. A market-based figure stands
beside it and is in no sum with it. What was not stated (hardware, WUE, a grid) is missing, and never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from greengen.accounting import (
    amortised,
    boundary,
    embodied,
    functional,
    hours,
    network,
    sci,
    tally,
    water,
)
from greengen.accounting.boundary import Boundary
from greengen.accounting.declared import factor
from greengen.accounting.ledger import Ledger
from greengen.accounting.site import MOST_G_PER_KWH, REMEDY, Site, declared_intensity
from greengen.quantity import Quantity, total
from greengen.rows import SpanRow

if TYPE_CHECKING:  # few sites have them: they are imported where they are used
    from greengen.accounting import timed
    from greengen.accounting.market import Matching

__all__ = ["MOST_G_PER_KWH", "REMEDY", "Footprint", "Site", "declared_intensity", "grams"]

_NO_WUE = "no water usage effectiveness was stated: pass --wue L_PER_KWH"
_NO_WATER = (
    "no water of electricity generation is known: pass a zone whose figure ships, or the site file's water_offsite"
)
_NOT_INSIDE = "nothing was read that is IT of a data centre"


def grams(energy: Quantity, intensity: Quantity, *, source: str = "") -> Quantity:
    """gCO2e of using an energy, by an intensity in g/kWh."""
    return energy.to("kWh").times(intensity, "grid intensity", unit="g", source=source)


@dataclass(frozen=True, slots=True)
class Footprint:
    """What stands behind a ledger.

    facility  the ledger with PUE on the domains where it belongs
    pieces    the same hour by hour, where the site's intensity is by the hour and the run lies in several
    """

    ledger: Ledger
    site: Site
    facility: Ledger = field(init=False)
    pieces: tuple[timed.Piece, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "facility", tally.at_facility(self.ledger, self.site.overhead))
        if self.site.hourly:
            from greengen.accounting import timed  # noqa: PLC0415 -- for those with an intensity by the hour
            from greengen.accounting.hourly import of_run  # noqa: PLC0415 -- the same

            found = timed.pieces(self.ledger, self.site.hourly, self.site.overhead)
            mean = of_run(self.facility, self.site.hourly)
            note = f"{mean.note}; each request is told at its own hours" if found and mean.note else mean.note
            object.__setattr__(self, "pieces", found)
            object.__setattr__(self, "site", replace(self.site, intensity=replace(mean, note=note)))

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
        if not self.pieces:
            return self.carbon(energy)
        from greengen.accounting import timed  # noqa: PLC0415 -- for those with an intensity by the hour

        at = timed.intensity(self.pieces, tell)
        return self.carbon(energy) if at is None else grams(energy, at, source=self.site.source)

    def __getitem__(self, span: object) -> Quantity:
        """The gCO2e of one span."""
        return self.of(lambda ledger: ledger[span])

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
        # Up to the machine there is no PUE in it: the step to the facility is the multiplier's.
        energy = self.facility.total() if here == "facility" else self.ledger.total()
        return self.carbon(boundary.widened(energy, here, to, multipliers))

    def embodied(self) -> Quantity:
        """gCO2e of making the stated hardware that fall on the recorded time; missing where none is stated."""
        return embodied.together(self.site.hardware, hours.recorded_s(self.ledger))

    def both(self) -> Quantity:
        """Operational and embodied gCO2e, O + M; missing where either is."""
        return sci.with_embodied(self.total(), self.embodied())

    def sci(self, unit: str = functional.REQUEST) -> Quantity:
        """ISO/IEC 21031: (O + M) per functional unit, over all energy of the run; missing without embodied M.

        unit  request, output_token, input_token, image, audio_s, video_s
        """
        return sci.score(self.total(), self.embodied(), self.count(unit), unit)

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
        residual: Quantity | float | None = None,
        bought_kwh: Sequence[float] | Mapping[int, float] = (),
        instrument: Quantity | float = 0.0,
        matching: Matching = "hourly",
    ) -> Quantity:
        """The market-based gCO2e, GHG-Protocol scope 2: beside the location-based figure and in no sum with it.

        residual, instrument  g/kWh of the residual mix and of what was bought; None: what the site says
        bought_kwh            as of `market.Purchases`

        Raises UsageError, KindMismatchError.
        """
        asked = self.site.market
        if residual is not None:
            from greengen.accounting.market import Purchases  # noqa: PLC0415 -- for those who bought any

            asked = Purchases(_per_kwh(residual), bought_kwh, _per_kwh(instrument), matching)
        if asked is None:
            return Quantity.missing("g", "no residual mix was stated: pass --residual G_PER_KWH")
        if not hours.dated(self.ledger):
            return Quantity.missing("g", "the imported log does not say in which hours it was recorded")
        from greengen.accounting import market  # noqa: PLC0415 -- for those who bought any

        load = hours.by_hour(self.facility)
        bought = asked.by_hour(list(load))
        return market.based(list(load.values()), bought, asked.residual, asked.instrument, matching=asked.matching)

    def network(self, kwh_per_gb: float | None = None) -> Quantity:
        """gCO2e of the bytes that requests tell; by the power of the site's line, else by kWh per GB, which says so.

        On the run's grid; PUE is not on it, and it is in no total: no tier's meter reads it.
        """
        spans = [row for chapter in self.ledger.chapters for row in chapter.table.rows]
        if self.site.network is not None:
            from greengen.accounting import transfer  # noqa: PLC0415 -- for those who state a line

            return self.carbon(transfer.of_spans(spans, self.site.network))
        return self.carbon(network.energy(network.told(spans).total, kwh_per_gb))

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

        With the embodied share of its time where hardware was stated, else operational alone, and its note says so.

        requests  a lifetime's requests over which to tell it; None: the whole, for there is no default
        """
        whole = self._trained(model)
        if not whole.known:
            return whole
        if self.site.hardware:
            seconds = amortised.training_s(self.ledger, model)
            whole = sci.with_embodied(whole, embodied.together(self.site.hardware, seconds))
        else:
            whole = replace(whole, note="operational alone: no hardware was stated")
        told = whole if requests is None else amortised.per_request(whole, requests)
        return sci.named(told, "provider")

    def consumer(self, unit: str = functional.REQUEST) -> Quantity:
        """The consumer's score of SCI for AI per functional unit: all energy and hardware time but training's."""
        operational, seconds = self.total(), hours.recorded_s(self.ledger)
        for model in amortised.trained(self.ledger):
            operational = replace(operational - self._trained(model), signed=False)
            seconds -= amortised.training_s(self.ledger, model)
        made = embodied.together(self.site.hardware, max(seconds, 0.0))
        return sci.score(operational, made, self.count(unit), unit, "consumer")

    def _trained(self, model: str) -> Quantity:
        """The operational gCO2e of training a model, at its own hours."""
        return self.of(lambda ledger: amortised.training(ledger, model))

    def _read(self) -> Iterator[SpanRow]:
        """The requests that were read for any part of their time: others have no joules in a total."""
        for chapter in self.ledger.chapters:
            if not chapter.totalled:
                continue
            covered = np.max([entries.coverage for entries in chapter.totalled], axis=0, initial=0.0)
            for row, read in zip(chapter.table.rows, covered, strict=True):
                if row.kind == functional.REQUEST and read > 0:
                    yield row


def _per_kwh(of: Quantity | float) -> Quantity:
    return of if isinstance(of, Quantity) else factor(float(of), "g/kWh", "contracts, as declared")
