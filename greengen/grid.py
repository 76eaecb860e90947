"""Which grid a run's energy came from, as a user says it: a zone, a cloud region, a figure or a CSV, a live source."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greengen.errors import UsageError

if TYPE_CHECKING:
    from greengen.accounting.site import Site
    from greengen.data.cloud import Region
    from greengen.integrations.intensity import Asked
    from greengen.rows import Rows

#: What of a site is about its grid, and what it is.
OPTIONS = {
    "zone": "grid zone: an ISO-3 country such as DEU, or a zone within one such as USA-CA, SE3",
    "intensity": "gCO2e per kWh instead of a zone: a number, or a CSV with time and g_per_kwh",
    "cloud": "cloud region, such as aws:eu-west-3, or auto to ask this machine's own: zone, PUE and WUE, if not stated",
    "kind": "average, marginal_short or marginal_long",
    "scope": "lifecycle or direct",
    "live": "live source to ask for the hours of the run, or SOURCE:ZONE with a zone of its own",
    "strict": "take nothing in place of the live source",
}


def located(told: Mapping[str, Any], period: tuple[int, int] | None = None) -> Site:
    """The grid's part of a site, from some of `OPTIONS`. Raises UsageError, GridError.

    period  when the energy was used, ns since 1970 in UTC: what a live source is asked for. Without it
            none is asked: only what can be wrong with the question is found
    """
    _check(told)
    region = _region(told.get("cloud"))
    if told.get("intensity") is not None:
        return _of_cloud(_declared(told), region)
    zone = told.get("zone")
    if zone is None and region is not None:
        zone = region.zone
    if zone is None and told.get("live") is None:
        from greengen.accounting.site import Site  # noqa: PLC0415 -- for those who ask

        return Site()
    return _of_cloud(_found(told, zone, region, period), region)


def period(rows: Rows) -> tuple[int, int] | None:
    """From the first to the last reading of a run, ns since 1970; None where nothing was read."""
    edges = []
    for timeline in rows.timelines:
        first = min(timeline.segments, key=lambda segment: segment.t0_ns, default=None)
        series = [*timeline.samples.values(), *(one for r in timeline.recordings for one in r.samples.values())]
        if first is not None:
            offset_ns = first.epoch_ns - first.t0_ns
            edges += [one.t_ns[end] + offset_ns for one in series if one.t_ns for end in (0, -1)]
    return (min(edges), max(edges)) if edges else None


def _check(told: Mapping[str, Any]) -> None:
    """Raise UsageError for answers that do not go together."""
    from greengen.basis import Basis  # noqa: PLC0415 -- for those who ask

    Basis(kind=told.get("kind"), scope=told.get("scope"))
    if told.get("intensity") is not None:
        for other, named in (("zone", "a zone"), ("live", "a live source")):
            if told.get(other) is not None:
                msg = f"pass {named} or an intensity, not both: they are two answers to one question"
                raise UsageError(msg)
    if told.get("strict") and told.get("live") is None:
        msg = "strict says nothing without a live source: pass --live with it"
        raise UsageError(msg)


def _declared(told: Mapping[str, Any]) -> Site:
    """A figure of the user's own, or a CSV of them by the hour."""
    from greengen.accounting.site import Site, declared_intensity  # noqa: PLC0415 -- for those who ask
    from greengen.basis import declared  # noqa: PLC0415 -- the same

    given = told["intensity"]
    if isinstance(given, bool) or not isinstance(given, str | int | float | Path):
        msg = f"intensity {given!r} is neither a number, in g/kWh, nor the path of a CSV"
        raise UsageError(msg)
    stated = {"scope": told["scope"]} if told.get("scope") is not None else {}
    basis = str(declared(told.get("kind"), **stated))
    try:
        number = float(str(given))
    except ValueError:
        from greengen.integrations import intensity_csv  # noqa: PLC0415 -- for those who have one

        path = Path(str(given))
        if not str(given).strip() or not path.exists():
            msg = f"--intensity {str(given)!r} is neither a number, in g/kWh, nor a CSV that is there"
            raise UsageError(msg) from None
        hours = intensity_csv.read(path, basis)
        return Site(
            hourly=hours, source=f"declared by the user, in {path.name}", chain=(f"the user's CSV: {path.name}",)
        )
    site = declared_intensity(number)
    assert site.intensity is not None  # noqa: S101 -- it is what was declared
    return replace(site, intensity=replace(site.intensity, basis=basis), chain=("the user's figure",))


def _found(told: Mapping[str, Any], zone: str | None, region: Region | None, period: tuple[int, int] | None) -> Site:
    """From the chain of live source, cache and tables."""
    from greengen.accounting.site import Site  # noqa: PLC0415 -- for those who ask
    from greengen.integrations import intensity  # noqa: PLC0415 -- the same

    asked = _asked(told, zone, region, period)
    if asked.live is not None and period is None:
        intensity.check(asked, os.environ)
        return Site(zone=zone)
    found = intensity.find(asked, os.environ)
    return Site(
        intensity=found.intensity,
        hourly=found.hours,
        source=found.source,
        zone=found.zone if zone is None or asked.live is None else zone.strip().upper(),
        year=found.year,
        chain=found.chain,
        notes=found.notes,
    )


def _asked(told: Mapping[str, Any], zone: str | None, region: Region | None, period: tuple[int, int] | None) -> Asked:
    from greengen.integrations.intensity import Asked  # noqa: PLC0415 -- for those who ask

    live = told.get("live")
    if live == "electricitymaps" and region is not None and region.em_zone and told.get("zone") is None:
        live = f"{live}:{region.em_zone}"
    return Asked(
        zone=zone,
        live=live,
        kind=told.get("kind"),
        scope=told.get("scope"),
        strict=bool(told.get("strict")),
        period=period,
        cloud=None if region is None else region.id,
    )


def _region(cloud: str | None) -> Region | None:
    if cloud is None:
        return None
    from greengen.data.cloud import region  # noqa: PLC0415 -- tables are for those who ask

    if cloud == "auto":
        from greengen.integrations import instance_metadata  # noqa: PLC0415 -- for those who ask

        cloud = instance_metadata.region(os.environ)
    return region(cloud)


def _of_cloud(site: Site, region: Region | None) -> Site:
    """The site with the PUE and WUE that the provider publishes, and what a reader must know of them."""
    if region is None:
        return site
    pue, wue = region.pue(), region.wue()
    today = dt.datetime.now(dt.UTC).date()
    notes = [*site.notes, *([f"{region.id}: {region.note}."] if region.note else [])]
    for what, row in (("PUE", pue), ("WUE", wue)):
        if row is not None:
            fleet = row.id == region.provider
            notes += [f"{region.id}: the {what} is that of the provider's fleet; none of the region is known."] * fleet
            notes += filter(None, [row.past_its_date(today)])
    return replace(
        site,
        pue=None if pue is None else pue.quantity(),
        wue=None if wue is None else wue.quantity(),
        notes=tuple(notes),
        chain=(f"cloud region {region.id}: zone {region.zone}", *site.chain),
    )
