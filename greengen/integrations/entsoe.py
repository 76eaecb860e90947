"""ENTSO-E's transparency platform: generation by kind of plant (A75, realised A16), times our lifecycle factors.

https://transparency.entsoe.eu/content/static_content/Static%20content/web%20api/Guide.html: a
GL_MarketDocument with TimeSeries by psrType, each with Periods of Points; or an
Acknowledgement_MarketDocument with a Reason where there is nothing. It is of what a zone generates,
without imports, and comes some hours late.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree as ET

from greengen import data
from greengen.basis import Basis
from greengen.errors import UsageError
from greengen.integrations import _grid
from greengen.integrations._entsoe_areas import AREAS
from greengen.integrations._grid import HOUR_NS, NS, GridError, Point

#: psrType → fuel of our table. Stores (B10, B25) give back what was generated before; the others have no factor.
_FUELS = {
    **dict.fromkeys(("B02", "B05", "B07", "B08"), "coal"),
    **dict.fromkeys(("B03", "B04"), "gas"),
    **dict.fromkeys(("B01", "B17"), "biomass"),
    **dict.fromkeys(("B11", "B12"), "hydro"),
    **dict.fromkeys(("B18", "B19"), "wind"),
    "B06": "oil",
    "B09": "geothermal",
    "B14": "nuclear",
    "B16": "solar",
}
_STORES = {"B10": "pumped", "B25": "other"}
#: Of generation, this part must have a factor; with less than `_WELL` it is an estimate.
_ENOUGH, _WELL = 0.5, 0.95

#: One request spans 14 days at most: a day has some 100 kB.
_MOST_NS = 14 * 24 * HOUR_NS

#: Areas report some plants by the hour and some by its quarters: all are put into these.
_STEP_NS = 900 * NS


class Entsoe:
    """The token is in ENTSOE_TOKEN."""

    name = "entsoe"
    source = "ENTSO-E A75 generation by type, with our lifecycle factors by fuel"
    licence = "CC BY 4.0 (ENTSO-E); factors as in fuel_factors"
    gsd = 1.2
    offers = (Basis("average", "lifecycle", "location", "generation", "out"),)

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._token = _grid.key(environ, "ENTSOE_TOKEN", "ENTSO-E")
        self._web = _grid.Web(self.name, "https://web-api.tp.entsoe.eu", environ)

    def zone(self, wanted: str) -> str:
        """The area's code (EIC), which may be given too."""
        found = AREAS.get(wanted.upper(), wanted)
        if not re.fullmatch(r"[0-9]{2}[A-Z0-9-]{14}", found):
            msg = f"ENTSO-E has no area for {wanted} here: name its EIC, as in --live entsoe:10YFR-RTE------C"
            raise UsageError(msg)
        return found

    def points(self, zone: str, start_ns: int, end_ns: int, basis: Basis) -> list[Point]:  # noqa: ARG002 -- it has one
        """By quarter, half or whole hours, as the area reports."""
        mix: dict[int, dict[str, float]] = {}
        first_ns, last_ns = start_ns - start_ns % HOUR_NS, end_ns + (-end_ns) % HOUR_NS
        for at_ns in range(first_ns, last_ns, _MOST_NS):
            body = self._web.get("/api", self._query(zone, at_ns, min(at_ns + _MOST_NS, last_ns)))
            for plant, quarter_ns, power_mw in self._generation(body, zone):
                here = mix.setdefault(quarter_ns, {})
                here[plant] = here.get(plant, 0.0) + power_mw
        usual: dict[str, float] = {}
        for plants in mix.values():
            for plant, power_mw in plants.items():
                usual[plant] = usual.get(plant, 0.0) + power_mw / len(mix)
        factors = {fuel: row.value for fuel, row in data.table("fuel_factors").items()}
        return [_point(at_ns, plants, usual, factors) for at_ns, plants in sorted(mix.items())]

    def _query(self, zone: str, start_ns: int, end_ns: int) -> dict[str, str]:
        form = "%Y%m%d%H%M"
        period = {"periodStart": _grid.written(start_ns, form), "periodEnd": _grid.written(end_ns, form)}
        return {"securityToken": self._token, "documentType": "A75", "processType": "A16", "in_Domain": zone} | period

    def _generation(self, body: bytes, zone: str) -> Iterator[tuple[str, int, float]]:
        """(psrType, start, MW) of each quarter of an hour; what a store takes in is no generation."""
        if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
            msg = f"{self.name}: its answer declares entities, which none of its documents does"
            raise GridError(msg)
        try:
            # No entities, so nothing to expand: what defusedxml guards against.
            root = ET.fromstring(body)  # noqa: S314 -- see above
            if root.tag.endswith("Acknowledgement_MarketDocument"):
                msg = f"{self.name}: {root.findtext('{*}Reason/{*}text') or 'it has nothing'}"
                raise GridError(msg)
            for series in root.iterfind("{*}TimeSeries"):
                if series.find("{*}inBiddingZone_Domain.mRID") is not None:
                    _grid.is_of(series.findtext("{*}inBiddingZone_Domain.mRID"), zone, self.name)
                    yield from _points(series)
        except (ET.ParseError, KeyError, TypeError, ValueError) as error:
            msg = f"{self.name}: its answer is no GL_MarketDocument: {error}"
            raise GridError(msg) from error


def _point(at_ns: int, plants: Mapping[str, float], usual: Mapping[str, float], factors: Mapping[str, float]) -> Point:
    """The mix of a quarter of an hour. A kind of plant that reports elsewhere and not here counts as unknown."""
    known = {plant: power_mw for plant, power_mw in plants.items() if plant in _FUELS}
    known_mw, unknown_mw = sum(known.values()), sum(mw for p, mw in usual.items() if p not in {**known, **_STORES})
    if not known_mw or known_mw < _ENOUGH * (known_mw + unknown_mw):
        return Point(at_ns, at_ns + _STEP_NS, None)
    g_per_kwh = sum(factors[_FUELS[plant]] * power_mw for plant, power_mw in known.items()) / known_mw
    return Point(at_ns, at_ns + _STEP_NS, g_per_kwh, estimated=known_mw < _WELL * (known_mw + unknown_mw))


def _points(series: ET.Element) -> Iterator[tuple[str, int, float]]:
    """Of a TimeSeries. One of curve type A03 leaves out the points that repeat the one before."""
    plant = series.findtext("{*}MktPSRType/{*}psrType") or "?"
    for period in series.iterfind("{*}Period"):
        start_ns, end_ns = (
            _grid.parse_time(period.findtext(f"{{*}}timeInterval/{{*}}{edge}"), "entsoe") for edge in ("start", "end")
        )
        step_ns = {"PT15M": 900, "PT30M": 1800, "PT60M": 3600}[period.findtext("{*}resolution") or ""] * NS
        told = {
            int(point.findtext("{*}position") or ""): float(point.findtext("{*}quantity") or "")
            for point in period.iterfind("{*}Point")
        }
        holds, held = series.findtext("{*}curveType") == "A03", None
        for position in range(1, (end_ns - start_ns) // step_ns + 1):
            held = told.get(position, held if holds else None)
            if held is not None:
                first_ns = start_ns + (position - 1) * step_ns
                for at_ns in range(first_ns, first_ns + step_ns, _STEP_NS):
                    yield plant, at_ns, max(held, 0.0)
