"""The Carbon Intensity API of Great Britain's grid operator: half hours, no key.

https://carbon-intensity.github.io/api-definitions/: GET /intensity/{from}/{to} gives data with from,
to and intensity (forecast, actual, index), at most 14 days at once. `actual` is null until it is
known. The figures are of burning fuel, with imports and what the grid loses.
"""

from __future__ import annotations

from collections.abc import Mapping

from greengen.basis import Basis
from greengen.errors import UsageError
from greengen.integrations import _grid
from greengen.integrations._grid import HOUR_NS, Point

_MOST_NS = 14 * 24 * HOUR_NS


class UkCarbonIntensity:
    """It wants no key."""

    name = "uk"
    source = "Carbon Intensity API, National Energy System Operator"
    licence = "CC BY 4.0"
    gsd = 1.05
    offers = (Basis("average", "direct", "location", "consumption", "in"),)

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._web = _grid.Web(self.name, "https://api.carbonintensity.org.uk", environ)

    def zone(self, wanted: str) -> str:
        """Great Britain as a whole."""
        if wanted.upper() not in ("GBR", "GB"):
            msg = f"the Carbon Intensity API is of Great Britain (GBR) only, not of {wanted}"
            raise UsageError(msg)
        return "GB"

    def points(self, zone: str, start_ns: int, end_ns: int, basis: Basis) -> list[Point]:  # noqa: ARG002 -- it has one
        """Half hours that begin in the time; the one that only ends at its start is given too, and left out."""
        found: list[Point] = []
        for first_ns in range(start_ns, end_ns, _MOST_NS):
            last_ns = min(first_ns + _MOST_NS, end_ns)
            path = f"/intensity/{_grid.written(first_ns)}/{_grid.written(last_ns)}"
            for row in _grid.listed(self._web.json(path, {}), ("data",), self.name):
                point = self._point(row)
                if point.end_ns > first_ns and point.start_ns < last_ns:
                    found.append(point)
        return list({point.start_ns: point for point in found}.values())

    def _point(self, row: Mapping[str, object]) -> Point:
        intensity = row.get("intensity")
        told = intensity if isinstance(intensity, dict) else {}
        start_ns, end_ns = (_grid.parse_time(row.get(edge), self.name) for edge in ("from", "to"))
        actual, forecast = (_grid.value(told.get(which), self.name) for which in ("actual", "forecast"))
        return Point(start_ns, end_ns, actual if actual is not None else forecast, forecast=actual is None)
