"""Electricity Maps v3: average intensity of what a zone consumes, hour by hour.

https://app.electricitymaps.com/docs (past-range and history: rows with zone, carbonIntensity, datetime,
isEstimated, estimationMethod, emissionFactorType). A free key is for personal use, and has 24 hours.
"""

from __future__ import annotations

from collections.abc import Mapping

from greengen.basis import Basis
from greengen.integrations import _grid
from greengen.integrations._grid import HOUR_NS, Point

#: The most that one request of past-range may span, by hours.
_MOST_NS = 240 * HOUR_NS


class ElectricityMaps:
    """The key is in ELECTRICITYMAPS_TOKEN."""

    name = "electricitymaps"
    source = "Electricity Maps v3, flow-traced"
    licence = "of the user's contract with Electricity Maps"
    gsd = 1.05
    offers = (
        Basis("average", "lifecycle", "location", "consumption", "out"),
        Basis("average", "direct", "location", "consumption", "out"),
    )

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._headers = {"auth-token": _grid.key(environ, "ELECTRICITYMAPS_TOKEN", "Electricity Maps")}
        self._web = _grid.Web(self.name, "https://api.electricitymaps.com", environ)

    def zone(self, wanted: str) -> str:
        """DEU is DE; zones within countries are given as Electricity Maps names them, such as US-CAL-CISO."""
        return _grid.country_code(wanted)

    def points(self, zone: str, start_ns: int, end_ns: int, basis: Basis) -> list[Point]:
        """Whole hours; where the zone is not known to it, the caller's own must never be taken for it."""
        found: list[Point] = []
        for first_ns in range(start_ns - start_ns % HOUR_NS, end_ns, _MOST_NS):
            found += self._range(zone, first_ns, min(first_ns + _MOST_NS, end_ns), basis)
        return found

    def _range(self, zone: str, start_ns: int, end_ns: int, basis: Basis) -> list[Point]:
        query = {
            "zone": zone,
            "start": _grid.written(start_ns, "%Y-%m-%dT%H:%M:%SZ"),
            "end": _grid.written(end_ns + HOUR_NS - 1, "%Y-%m-%dT%H:00:00Z"),
            "temporalGranularity": "hourly",
            "emissionFactorType": basis.scope or "lifecycle",
            # It is called so in v3's and in v4's pages: without it, a wrong zone is looked up by the caller's address.
            "shouldUseFallbackCallerLookup": "false",
            "disableCallerLookup": "true",
        }
        told = self._web.json("/v3/carbon-intensity/past-range", query, self._headers)
        found = []
        _grid.is_of(told.get("zone"), zone, self.name)
        for row in _grid.listed(told, ("data", "history"), self.name):
            _grid.is_of(row.get("zone", zone), zone, self.name)
            if row.get("emissionFactorType", basis.scope) != basis.scope:
                msg = f"{self.name}: asked for {basis.scope} factors, and it answered with others"
                raise _grid.GridError(msg)
            at_ns = _grid.parse_time(row.get("datetime"), self.name)
            figure = _grid.value(row.get("carbonIntensity"), self.name)
            found.append(Point(at_ns, at_ns + HOUR_NS, figure, estimated=bool(row.get("isEstimated", False))))
        return found
