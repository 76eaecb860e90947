"""The grid intensity to use: a live source → what was kept of it → the shipped tables → an error.

Each step that is taken is told, and each that had to be taken instead of the one asked for widens the
interval; `strict` refuses it. A live source is asked only where it is named, and about the zone that is
named: nothing is looked up by an address, and no average of the world is ever taken.
"""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from types import MappingProxyType

from greengen import data
from greengen.accounting.hour import Hour
from greengen.basis import Basis
from greengen.errors import UsageError
from greengen.integrations import _grid, _grid_cache
from greengen.integrations._grid import HOUR_NS, NS, GridError, Point, Provider
from greengen.quantity import Error, Quantity

#: name → its module and class in this package.
PROVIDERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "electricitymaps": ("electricitymaps", "ElectricityMaps"),
        "entsoe": ("entsoe", "Entsoe"),
        "uk": ("uk_carbon_intensity", "UkCarbonIntensity"),
        "watttime": ("watttime", "WattTime"),
    }
)

#: A year, and a leap day: the most that is asked for at once.
_MOST_HOURS = 366 * 24

#: By these factors an hour is less well known: made up by the source's model, told ahead of it, or kept too long.
_ESTIMATED, _FORECAST, _STALE = 1.15, 1.2, 1.2
#: A year's mean in place of the hours that were asked for.
_YEAR_FOR_HOURS = 1.3


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user asks of an intensity.

    live      a source, or source:zone where it is to be asked for a zone of its own
    kind      average, marginal_short, marginal_long; None: what there is
    scope     lifecycle or direct; None: what there is
    period    ns since 1970, UTC: the hours that a live source is asked for
    """

    zone: str | None
    live: str | None = None
    kind: str | None = None
    scope: str | None = None
    strict: bool = False
    period: tuple[int, int] | None = None
    cloud: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The intensity in use: yearly (`intensity`), or by the `hours`.

    chain  what was asked, in order, and what came of it
    notes  what a reader must know: fallbacks, a table past its date
    """

    zone: str
    source: str
    year: str
    licence: str
    chain: tuple[str, ...]
    intensity: Quantity | None = None
    hours: tuple[Hour, ...] = ()
    notes: tuple[str, ...] = ()


def find(asked: Asked, environ: Mapping[str, str], now_ns: int | None = None) -> Found:
    """The intensity for what is asked. Raises UsageError; with `strict` GridError in place of each fallback."""
    now_ns = time.time_ns() if now_ns is None else now_ns
    if asked.live is None:
        return shipped(asked, now_ns)
    provider, zone, basis = check(asked, environ)
    name = provider.name
    start_ns, end_ns = asked.period or (now_ns - now_ns % HOUR_NS, now_ns - now_ns % HOUR_NS + HOUR_NS)
    cache = _grid_cache.Cache(_grid_cache.folder(environ), name, zone, str(basis))
    hours = list(range(start_ns - start_ns % HOUR_NS, max(end_ns, start_ns + 1), HOUR_NS))
    if len(hours) > _MOST_HOURS:
        msg = f"{len(hours):,} hours are too many to ask {name} for: account for the run in pieces, or pass a CSV"
        raise UsageError(msg)
    found, trouble = _live(provider, cache, (zone, basis), hours, now_ns)
    if found.hours:
        if trouble and asked.strict:
            raise GridError(trouble)
        return found
    if asked.strict:
        msg = f"{trouble}; --strict takes nothing else"
        raise GridError(msg)
    return _instead(replace(asked, kind=basis.kind, scope=basis.scope), found, trouble, now_ns)


def check(asked: Asked, environ: Mapping[str, str]) -> tuple[Provider, str, Basis]:
    """The live source of a question, its own name of the zone, and what its values are of; it is not asked yet.

    Raises UsageError for a source, a zone or a kind that there is not, and for a key that is not set.
    """
    name, _, own = (asked.live or "").partition(":")
    provider = opened(name, environ)
    if not own and asked.zone is None:
        msg = f"--live {name} is asked for no zone: pass --zone, or --live {name}:ZONE with a zone of its own"
        raise UsageError(msg)
    return provider, own or provider.zone(asked.zone or ""), _grid.chosen(provider, asked.kind, asked.scope)


def opened(name: str, environ: Mapping[str, str]) -> Provider:
    """A live source by its name. Raises UsageError for an unknown one, or where its key is not set."""
    if name not in PROVIDERS:
        msg = f"unknown live source {name!r}: known are {', '.join(PROVIDERS)}"
        raise UsageError(msg)
    module, of = PROVIDERS[name]
    provider: Provider = getattr(import_module(f"greengen.integrations.{module}"), of)(environ)
    return provider


def _live(
    provider: Provider, cache: _grid_cache.Cache, of: tuple[str, Basis], hours: list[int], now_ns: int
) -> tuple[Found, str]:
    """The hours of a source, kept or asked for; and what went wrong, if anything did."""
    zone, basis = of
    kept = {hour: cache.get(hour) for hour in hours}
    fresh = {hour: one.points for hour, one in kept.items() if one is not None and one.fresh(now_ns)}
    chain = [f"cache of {provider.name}: {len(fresh)} of {len(hours)} hours"] if fresh else []
    wanted = [hour for hour in hours if hour not in fresh]
    notes: list[str] = []
    stale: dict[int, tuple[Point, ...]] = {}
    trouble = ""
    if wanted:
        try:
            points = provider.points(zone, wanted[0], wanted[-1] + HOUR_NS, basis)
        except GridError as error:
            trouble = str(error)
            chain.append(f"live {provider.name}: failed, {trouble}")
            stale = {hour: one.points for hour in wanted if (one := kept[hour]) is not None}
            if stale:
                chain.append(f"cache of {provider.name}, past its date: {len(stale)} of {len(hours)} hours")
                notes.append(f"{trouble}: {len(stale)} hour(s) are as they were kept earlier, with wider intervals.")
            if len(stale) < len(wanted):
                notes.append(f"{trouble}: {len(wanted) - len(stale)} of {len(hours)} hour(s) have no value.")
        else:
            chain.append(f"live {provider.name}: zone {zone}")
            stored = [cache.put(hour, by, now_ns) for hour, by in _by_hour(points, wanted).items()]
            if not all(stored):
                notes.append("What the live source said could not be kept: the cache directory takes no files.")
            fresh |= _by_hour(points, wanted)
    made = [_hour(point, provider, of, 1.0) for points in fresh.values() for point in points]
    made += [_hour(point, provider, of, _STALE) for points in stale.values() for point in points]
    found = Found(zone, provider.source, "", provider.licence, tuple(chain), hours=tuple(made), notes=tuple(notes))
    valued = [hour for hour in made if hour.intensity.known]
    if not valued:
        why = trouble or f"{provider.name}: it has no value for zone {zone} at that time"
        chain = chain if trouble else [*chain, "no value"]
        return replace(found, hours=(), notes=(), chain=tuple(chain)), why
    years = sorted({_grid.written(hour.start_ns, "%Y") for hour in valued})
    return replace(found, year=" to ".join(dict.fromkeys((years[0], years[-1])))), trouble


def _by_hour(points: list[Point], hours: list[int]) -> dict[int, tuple[Point, ...]]:
    """The points that begin in each of some hours; an hour that the source left out has none."""
    found: dict[int, list[Point]] = {hour: [] for hour in hours}
    for point in {point.start_ns: point for point in points}.values():
        hour = point.start_ns - point.start_ns % HOUR_NS
        if hour in found:
            found[hour].append(point)
    return {hour: tuple(by) for hour, by in found.items()}


def _hour(point: Point, provider: Provider, of: tuple[str, Basis], wider: float) -> Hour:
    zone, basis = of
    if point.g_per_kwh is None:
        at = _grid.written(point.start_ns)
        missing = Quantity.missing("g/kWh", f"{provider.name} has no value for {at}")
        return Hour(point.start_ns, point.end_ns, replace(missing, basis=str(basis)))
    factors = (provider.gsd, _ESTIMATED if point.estimated else 1.0, _FORECAST if point.forecast else 1.0, wider)
    sigma = point.g_per_kwh * math.sqrt(sum(math.log(gsd) ** 2 for gsd in factors))
    error = Error(f"intensity:{provider.name}:{zone}", sigma, gain=True, log=True)
    value = Quantity(point.g_per_kwh, "g/kWh", "declared", (error,), basis=str(basis))
    return Hour(point.start_ns, point.end_ns, value)


def shipped(asked: Asked, now_ns: int) -> Found:
    """What the tables have. Raises UsageError where they have nothing of the kind and scope asked for."""
    row = _row(asked)
    told = Basis.parse(row.quantity().basis)
    if asked.kind not in (None, told.kind):
        msg = (
            f"no table has a {asked.kind} intensity of {row.id}: name a live source, as in --live watttime:CAISO_NORTH"
        )
        raise UsageError(msg)
    if asked.scope not in (None, told.scope):
        msg = f"the tables have a {told.scope} figure of {row.id} and no {asked.scope} one: pass --scope {told.scope}"
        raise UsageError(msg)
    today = dt.datetime.fromtimestamp(now_ns // NS, dt.UTC).date()
    notes = [note for note in (row.past_its_date(today), row.note and f"{row.id}: {row.note}.") if note]
    chain = (f"shipped {row.table}: {row.id}, {row.year}",)
    return Found(row.id, row.source, row.year, row.licence, chain, row.quantity(), notes=tuple(notes))


def _row(asked: Asked) -> data.Row:
    if asked.cloud is not None and asked.scope == "direct":
        row = data.table("gcp_region_intensity").get(asked.cloud.strip().lower())
        if row is not None:
            return row
    if asked.zone is None:
        msg = "no zone: pass --zone with an ISO-3 country such as DEU, or a zone within one such as USA-CA"
        raise UsageError(msg)
    return data.grid_intensity(asked.zone)


def _instead(asked: Asked, found: Found, trouble: str, now_ns: int) -> Found:
    """A table's figure where a live source gave none: of the same kind and scope, and less well known."""
    try:
        table = shipped(asked, now_ns)
    except UsageError as error:
        msg = f"{trouble}; and {error}"
        raise GridError(msg) from error
    note = f"{trouble}. In its place stands the yearly figure of {table.zone} ({table.year}), with a wider interval."
    return replace(
        table,
        intensity=None if table.intensity is None else _wider(table.intensity, _YEAR_FOR_HOURS),
        chain=(*found.chain, *table.chain),
        notes=(note, *table.notes),
    )


def _wider(quantity: Quantity, by: float) -> Quantity:
    """A figure whose one factor is known less well, by another factor."""
    added = abs(quantity.value or 0.0) * math.log(by)
    errors = tuple(replace(each, sigma=math.hypot(each.sigma, added)) for each in quantity.errors)
    return replace(quantity, errors=errors)
