"""What live sources have said, on disk: one file for each hour of a source, a zone and a basis.

An hour that is over, and that the source has told whole, never changes again. Anything else (a
forecast, an hour with a piece missing) is good for half an hour. A file that cannot be read is none.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from greengen.integrations._grid import HOUR_NS, NS, Point, written

#: How long something that may still change is good for.
TTL_NS = 1800 * NS


@dataclass(frozen=True, slots=True)
class Kept:
    """An hour as it was kept. `final`: it is over, and whole."""

    points: tuple[Point, ...]
    fetched_ns: int
    final: bool

    def fresh(self, now_ns: int) -> bool:
        """Whether it need not be asked for again."""
        return self.final or 0 <= now_ns - self.fetched_ns < TTL_NS


class Cache:
    """The hours of one source, zone and basis."""

    def __init__(self, root: Path, provider: str, zone: str, basis: str) -> None:
        self._folder = root.joinpath(*(quote(part, safe=" ;").replace(".", "%2E") for part in (provider, zone, basis)))

    def get(self, hour_ns: int) -> Kept | None:
        """What is kept of the hour that begins then."""
        try:
            told = json.loads(self._path(hour_ns).read_text(encoding="utf-8"))
            points = tuple(_point(row) for row in told["points"])
            return Kept(points, int(told["fetched_ns"]), bool(told["final"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, hour_ns: int, points: Iterable[Point], now_ns: int) -> bool:
        """Keep an hour; one that is final stays as it is. Returns False where the disk does not take it."""
        kept = self.get(hour_ns)
        if kept is not None and kept.final:
            return True
        points = tuple(points)
        told = {
            "fetched_ns": now_ns,
            "final": is_final(hour_ns, points, now_ns),
            "points": [astuple(p) for p in points],
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self._folder, delete=False, encoding="utf-8") as file:
                file.write(json.dumps(told))
            # Another process may read it at any moment: it sees the old file or the new one.
            Path(file.name).replace(self._path(hour_ns))
        except OSError:
            return False
        return True

    def _path(self, hour_ns: int) -> Path:
        return self._folder / f"{written(hour_ns, '%Y-%m-%dT%H')}.json"


def is_final(hour_ns: int, points: Iterable[Point], now_ns: int) -> bool:
    """Whether an hour is over and told whole, with values that were not said before."""
    values = [point for point in points if point.g_per_kwh is not None and not point.forecast]
    covered = sum(min(p.end_ns, hour_ns + HOUR_NS) - max(p.start_ns, hour_ns) for p in values)
    return hour_ns + HOUR_NS <= now_ns and covered >= HOUR_NS


def folder(environ: Mapping[str, str]) -> Path:
    """$XDG_CACHE_HOME/greengen/intensity, which is ~/.cache/… where that is not set."""
    home = environ.get("XDG_CACHE_HOME", "")
    base = Path(home) if os.path.isabs(home) else Path(environ.get("HOME") or Path.home(), ".cache")  # noqa: PTH117 -- of a text
    return base / "greengen" / "intensity"


def _point(row: Sequence[Any]) -> Point:
    """A Point from a file that anyone may have written. Raises ValueError, TypeError."""
    start_ns, end_ns, told, estimated, forecast = row
    g_per_kwh = None if told is None else float(told)
    return Point(int(start_ns), int(end_ns), g_per_kwh, bool(estimated), bool(forecast))
