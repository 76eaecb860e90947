"""The power of one domain over time, as a figure needs it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PowerSeries:
    """Step-wise mean power of one domain.

    domain    the domain's uid
    name      what a person calls it
    grade     how its power is known
    t_s       times since the run's start, s, ascending
    power_w   mean power from `t_s[i]` until `t_s[i + 1]`, W; None where nothing was measured. One
              fewer than the times; a value at the last time would last for no time and is ignored.
    """

    domain: str
    name: str
    grade: str
    t_s: list[float]
    power_w: list[float | None]
