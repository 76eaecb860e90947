"""Does a counter agree with the power that its device shows? Some advance at the wrong rate (ROCm/amdsmi issue 38)."""

from __future__ import annotations

#: collectors.md 16: over at least 5 s the energy is within 0.8 to 1.25 of the integrated power.
_LEAST_S, _LOW, _HIGH = 5.0, 0.8, 1.25
#: A longer stretch between two readings says little of the power in between.
_GAP_S = 2.0


class Agreement:
    """Compares window after window; told once, until it agrees again."""

    def __init__(self) -> None:
        self._last: tuple[int, float, float] | None = None
        self._energy_j = self._integral_j = self._time_s = 0.0
        self._told = False

    def add(self, t_ns: int, energy_j: float, power_w: float) -> str:
        """One reading of both; why they disagree, once a window is full, else ""."""
        last, self._last = self._last, (t_ns, energy_j, power_w)
        if last is None:
            return ""
        elapsed_s = (t_ns - last[0]) / 1e9
        if energy_j < last[1] or elapsed_s > _GAP_S:
            self._energy_j = self._integral_j = self._time_s = 0.0
            return ""
        self._energy_j += energy_j - last[1]
        self._integral_j += (power_w + last[2]) / 2 * elapsed_s
        self._time_s += elapsed_s
        if self._time_s < _LEAST_S or not self._integral_j:
            return ""
        ratio, counted_j, power_j = self._energy_j / self._integral_j, self._energy_j, self._integral_j
        time_s, self._energy_j, self._integral_j, self._time_s = self._time_s, 0.0, 0.0, 0.0
        if _LOW <= ratio <= _HIGH:
            self._told = False
            return ""
        if self._told:
            return ""
        self._told = True
        return (
            f"over {time_s:.3g} s the counter rose by {counted_j:.4g} J, and its power makes {power_j:.4g} J: "
            "one of the two is wrong"
        )
