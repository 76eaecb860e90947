"""The footprint in a report: operational and embodied gCO2e, SCI, water, with what each was made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greengen.accounting import amortised, boundary, functional, hours, tally
from greengen.accounting.carbon import Footprint
from greengen.accounting.embodied import emitted
from greengen.errors import UsageError
from greengen.quantity import Quantity


def told(footprint: Footprint, kwh_per_gb: float | None = None) -> dict[str, Any]:
    """The part `footprint` of a document; every number is a quantity, or missing with the reason.

    asked       whether anything of a site was stated: where not, there is nothing to show
    kwh_per_gb  of the network, where its power is not stated
    """
    site = footprint.site
    covers = footprint.boundary
    operational, embodied = footprint.operational(), footprint.embodied()
    units, wrong = _units(footprint)
    return {
        "asked": site != type(site)(),
        "boundary": covers,
        "boundary_holds": None if covers is None else boundary.MEANING[covers],
        "facility_j": footprint.facility.total().as_dict(),
        "operational_g": operational.as_dict(),
        "widened": _widened(footprint),
        "embodied_g": embodied.as_dict(),
        "total_g": footprint.both().as_dict(),
        "sci": [{"unit": unit, "score_g": footprint.sci(unit).as_dict()} for unit in units],
        "ai": {
            "consumer": [{"unit": unit, "score_g": footprint.consumer(unit).as_dict()} for unit in units],
            "provider": [
                {"model": model, "score_g": footprint.training(model).as_dict()}
                for model in amortised.trained(footprint.ledger)
            ],
        },
        "market_g": footprint.market().as_dict(),
        "matching": None if site.market is None else site.market.matching,
        "network_g": _or_missing(lambda: footprint.network(kwh_per_gb)).as_dict(),
        "network": None if site.network is None else site.network.name,
        "per_1000_queries_wh": footprint.watt_hours().as_dict(),
        "water_on_site_l": footprint.water_on_site().as_dict(),
        "water_off_site_l": footprint.water_off_site().as_dict(),
        "water_l": footprint.water().as_dict(),
        "device_g": footprint.device().as_dict(),
        "wrong_labels": wrong,
        "hardware": [
            {
                "name": one.name,
                "count": one.count,
                "share": one.share,
                "made_g": one.made.to("g").as_dict(),
                "source": one.source,
                "lifetime_y": one.lifetime.to("y").as_dict(),
                "utilisation": one.utilisation,
                "embodied_g": emitted(one, hours.recorded_s(footprint.ledger)).as_dict(),
            }
            for one in site.hardware
        ],
        "pue_on": [_place(place) for place in tally.places(footprint.ledger) if place.inside and site.pue is not None],
        "pue_not_on": [_place(place) for place in tally.places(footprint.ledger) if not place.inside],
        "wue": _stated(site.wue),
        "water_offsite": _stated(site.water_offsite),
        "device_w": _stated(site.device_w),
    }


def _units(footprint: Footprint) -> tuple[list[str], list[str]]:
    """The functional units that requests tell, and what they tell wrongly: a label may hold anything."""
    units, wrong = [], []
    for unit in functional.UNITS:
        try:
            told = footprint.count(unit)
        except UsageError as error:
            wrong.append(str(error))
            continue
        units += [unit] if told is not None or unit == functional.REQUEST else []
    return units, wrong


def _widened(footprint: Footprint) -> dict[str, Any] | None:
    asked = footprint.site.widen
    if asked is None:
        return None
    told = footprint.widened(asked.to, asked.multipliers).as_dict()
    return {"to": asked.to, "multipliers": dict(asked.multipliers), "operational_g": told}


def _or_missing(tell: Callable[[], Quantity]) -> Quantity:
    """A figure made of labels, missing where one of them is wrong."""
    try:
        return tell()
    except UsageError as error:
        return Quantity.missing("g", str(error))


def _place(place: tally.Place) -> dict[str, Any]:
    return {"domain": place.domain, "name": place.name, "tier": place.tier, "why": place.why_not}


def _stated(of: Quantity | None) -> dict[str, Any] | None:
    return None if of is None else of.as_dict()
