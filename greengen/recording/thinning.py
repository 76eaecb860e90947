"""Drop readings that the line between their neighbours already tells.

A long recording stays small where nothing changes: of a stretch in which every reading lies within
`tolerance` of the line between its ends, only the ends are kept (the swinging-door method). The
newest reading is always on disk, and is taken back once a later one makes it redundant.
"""

from __future__ import annotations

from dataclasses import dataclass

#: (t_ns, value, spacing_ns): `spacing_ns` is the greatest step between the readings behind a point.
Point = tuple[int, float, int]


@dataclass(slots=True)
class Thinner:
    """One series on its way to disk. `tolerance` is in the unit of its values."""

    tolerance: float
    _anchor: Point | None = None
    _last: Point | None = None
    _last_written: bool = False
    _low: float = float("-inf")
    _high: float = float("inf")
    _drop: int | None = None

    def add(self, t_ns: int, value: float) -> list[Point]:
        """Take a reading; give back the points that are now certain to be kept and not yet written."""
        if self._last is None:
            self._anchor = self._last = (t_ns, value, 0)
            return []
        last_t, last_v, last_spacing = self._last
        if t_ns <= last_t:
            return []
        step = t_ns - last_t
        anchor = self._anchor or self._last
        if last_t > anchor[0]:
            elapsed = last_t - anchor[0]
            self._low = max(self._low, (last_v - self.tolerance - anchor[1]) / elapsed)
            self._high = min(self._high, (last_v + self.tolerance - anchor[1]) / elapsed)
            if self._low <= (value - anchor[1]) / (t_ns - anchor[0]) <= self._high:
                if self._last_written:
                    self._drop = last_t
                self._last, self._last_written = (t_ns, value, max(step, last_spacing)), False
                return []
        kept = [] if self._last_written else [self._last]
        self._anchor = self._last
        self._low, self._high = float("-inf"), float("inf")
        self._last, self._last_written = (t_ns, value, step), False
        return kept

    def flush(self) -> tuple[Point | None, int | None]:
        """The newest point, if it is not on disk, and the time of the written point that it replaces."""
        drop, self._drop = self._drop, None
        if self._last is None or self._last_written:
            return None, drop
        self._last_written = True
        return self._last, drop
