"""Drop readings that the line between their neighbours already tells.

A long recording stays small where nothing changes: of a stretch in which every reading lies within
`tolerance` of the line between its ends, only the ends are kept (the swinging-door method). The
newest reading is always on disk, and is taken back once a later one makes it redundant.
"""

from __future__ import annotations

from dataclasses import dataclass

#: (t_ns, value, spacing_ns): `spacing_ns` is the greatest step between the readings behind a point.
Point = tuple[int, float, int]

_DOWN, _UP = float("-inf"), float("inf")

_NEVER = -(2**63)

#: A step so many times as long as those before it is a gap.
_GAP = 4


@dataclass(slots=True)
class Thinner:
    """One series on its way to disk. `tolerance` is in the unit of its values.

    The anchor is the last point that is certain to be kept; between it and the newest reading all
    lie within the tolerance of any line of a slope from `_low` to `_high`. A line has one spacing: a gap
    in a steady series is a line of its own, else all of that would be as unknown as the gap.
    """

    tolerance: float
    _t0: int = _NEVER
    _v0: float = 0.0
    _t1: int = _NEVER
    _v1: float = 0.0
    _spacing: int = 0
    _written: bool = True
    _low: float = _DOWN
    _high: float = _UP
    _redundant: int | None = None

    def add(self, t_ns: int, value: float) -> Point | None:
        """Take a reading; give back the point that is now certain to be kept and not yet written, if any."""
        t1, v1 = self._t1, self._v1
        if t_ns <= t1:
            return None
        step = t_ns - t1 if t1 != _NEVER else 0
        elapsed = t1 - self._t0
        if elapsed:
            # The readings up to the last one leave these slopes; the new one must have one of them.
            v0, slack = self._v0, self.tolerance
            rise = v1 - v0
            low, high = (rise - slack) / elapsed, (rise + slack) / elapsed
            # Without `max` and `min`: every reading comes here.
            if low > self._low:
                self._low = low
            else:
                low = self._low
            if high < self._high:
                self._high = high
            else:
                high = self._high
            spacing = self._spacing
            if low <= (value - v0) / (t_ns - self._t0) <= high and step <= _GAP * spacing and spacing <= _GAP * step:
                if self._written:
                    self._redundant, self._written = t1, False
                self._t1, self._v1 = t_ns, value
                if step > spacing:
                    self._spacing = step
                return None
        kept = None if self._written else (t1, v1, self._spacing)
        if t1 == _NEVER:
            t1, v1 = t_ns, value
        self._t0, self._v0, self._low, self._high = t1, v1, _DOWN, _UP
        self._t1, self._v1, self._spacing, self._written = t_ns, value, step, False
        return kept

    def flush(self) -> tuple[Point | None, int | None]:
        """The newest point, if it is not on disk, and the time of the written point that it replaces."""
        redundant, self._redundant = self._redundant, None
        if self._written:
            return None, redundant
        self._written = True
        return (self._t1, self._v1, self._spacing), redundant
