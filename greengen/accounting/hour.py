"""The grid's intensity over one stretch of time: without numpy, for what asks for it while a command runs."""

from __future__ import annotations

from dataclasses import dataclass

from greengen.quantity import Quantity


@dataclass(frozen=True, slots=True)
class Hour:
    """From `start_ns` to before `end_ns`, ns since 1970 in UTC, the grid's intensity is this, in g/kWh.

    Most are hours; a provider's may be shorter, and one between two of the user's rows longer.
    """

    start_ns: int
    end_ns: int
    intensity: Quantity
