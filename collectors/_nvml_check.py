"""An energy counter held against the power gauge of the same board.

Both come from one sensor, which looks at a part of the time only (arXiv:2312.02741), and are worked
out apart: kokkos/kokkos-tools#295 saw them disagree. A difference beyond a fifth is told, once.
"""

from __future__ import annotations

from collections.abc import Iterator

from greengen.collector import Event

#: ΔE / ∫P within these is agreement.
_LEAST, _MOST = 0.8, 1.25
#: How often the gauge is read, ns; a pause longer than two of these and a half begins anew.
_EVERY_NS, _PAUSE_NS = 1_000_000_000, 2_500_000_000
#: Readings before anything is said: of a 1 s average few, for they leave no time out; of momentary power more.
_AVERAGED, _MOMENTARY = 10, 60


class EnergyCheck:
    """Adds up one board's gauge, from one disagreement at most."""

    def __init__(self, window_s: float) -> None:
        self._needed = _AVERAGED if window_s else _MOMENTARY
        self._begun: tuple[int, float] | None = None
        self._last_ns = 0
        self._gauge_j = 0.0
        self._readings = 0
        self._told = False

    def due(self, t_ns: int) -> bool:
        """Whether the gauge is to be read now."""
        return not self._told and t_ns - self._last_ns >= _EVERY_NS

    def add(self, t_ns: int, energy_j: float, power_w: float, uid: str) -> Iterator[Event]:
        """One reading of both; a `warning` once they have disagreed for long enough."""
        step_ns = t_ns - self._last_ns
        if self._begun is None or step_ns > _PAUSE_NS or energy_j < self._begun[1]:
            self._begun, self._last_ns, self._gauge_j, self._readings = (t_ns, energy_j), t_ns, 0.0, 0
            return
        self._last_ns = t_ns
        self._gauge_j += power_w * step_ns / 1e9
        self._readings += 1
        if self._readings < self._needed:
            return
        start_ns, before_j = self._begun
        counted_j, gauge_j = energy_j - before_j, self._gauge_j
        self._begun, self._gauge_j, self._readings = (t_ns, energy_j), 0.0, 0
        if gauge_j > 0 and not _LEAST <= counted_j / gauge_j <= _MOST:
            self._told = True
            reason = (
                f"over {(t_ns - start_ns) / 1e9:.0f} s the energy counter rose by {counted_j:.4g} J, and the power "
                f"gauge of the same board adds up to {gauge_j:.4g} J: they disagree, and the counter is what is booked"
            )
            yield Event(t_ns, "warning", uid, reason)
