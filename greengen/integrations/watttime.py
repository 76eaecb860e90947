"""WattTime v3: the marginal operating emissions rate of a region, every five minutes.

https://docs.watttime.org: GET /login with name and password gives a token that is good for half an
hour; GET /v3/historical gives data (point_time, value) and meta (region, signal_type, units,
data_point_period_seconds). Without a subscription there is CAISO_NORTH only.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from greengen.basis import Basis
from greengen.collectors._http import number
from greengen.errors import UsageError
from greengen.integrations import _grid
from greengen.integrations._grid import HOUR_NS, NS, GridError, Point
from greengen.quantity import convert

#: One request spans 32 days at most: there is a point for every five minutes.
_MOST_NS = 32 * 24 * HOUR_NS


class WattTime:
    """Name and password are in WATTTIME_USER and WATTTIME_PASSWORD."""

    name = "watttime"
    source = "WattTime v3, marginal operating emissions rate"
    licence = "of the user's contract with WattTime"
    gsd = 1.15
    offers = (Basis("marginal_short", "direct", "location"),)

    def __init__(self, environ: Mapping[str, str]) -> None:
        user, password = (_grid.key(environ, f"WATTTIME_{part}", "WattTime") for part in ("USER", "PASSWORD"))
        self._login = {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}
        self._web = _grid.Web(self.name, "https://api.watttime.org", environ)

    def zone(self, wanted: str) -> str:
        """Its regions are grids of its own: none is a country."""
        if len(wanted) == 3 and wanted.isalpha():  # noqa: PLR2004 -- ISO 3166-1 alpha-3
            msg = f"WattTime has regions, not countries: name one, as in --live watttime:CAISO_NORTH, not {wanted}"
            raise UsageError(msg)
        return wanted

    def points(self, zone: str, start_ns: int, end_ns: int, basis: Basis) -> list[Point]:  # noqa: ARG002 -- it has one
        """Each point holds until the next is due."""
        token = self._web.json("/login", {}, self._login).get("token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            msg = f"{self.name}: its answer to the login holds no token"
            raise GridError(msg)
        found: list[Point] = []
        for first_ns in range(start_ns, end_ns, _MOST_NS):
            found += self._range(token, zone, first_ns, min(first_ns + _MOST_NS, end_ns))
        return found

    def _range(self, token: str, zone: str, start_ns: int, end_ns: int) -> list[Point]:
        query = {"region": zone, "signal_type": "co2_moer"}
        query |= {"start": _grid.written(start_ns), "end": _grid.written(end_ns + 60 * NS - 1)}
        told = self._web.json("/v3/historical", query, {"Authorization": f"Bearer {token}"})
        meta = told.get("meta")
        if not isinstance(meta, dict):
            msg = f"{self.name}: its answer has no meta, so its region and unit are not known"
            raise GridError(msg)
        _grid.is_of(meta.get("region"), zone, self.name)
        if meta.get("units") != "lbs_co2_per_mwh" or meta.get("signal_type") != "co2_moer":
            msg = f"{self.name}: its answer is in {str(meta.get('units'))[:40]!r}, and not lbs_co2_per_mwh of co2_moer"
            raise GridError(msg)
        period_ns = int((number(meta.get("data_point_period_seconds")) or 300) * NS)
        found = []
        for row in _grid.listed(told, ("data",), self.name):
            at_ns, figure = _grid.parse_time(row.get("point_time"), self.name), row.get("value")
            if isinstance(figure, int | float) and not isinstance(figure, bool):
                figure = convert(figure, "lb/MWh", "g/kWh")
            found.append(Point(at_ns, at_ns + period_ns, _grid.value(figure, self.name)))
        return found
