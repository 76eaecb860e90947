"""What a planted trial really was: the meter's log, divided by the rule that greengen declares.

Every process is charged c_j for its CPU time, and of P0 its share of the busy time of each window.
What the profiled processes and the recorder do beside the work of a live span falls to the live
spans alike, as policy `equal` has it. Nothing here looks at greengen's rows but for the edges of spans.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from greengen.testing.planted_meter import METER, NS, SCAN_NS, STRAYS, Sealed
from greengen.testing.planted_work import NEIGHBOUR

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Strays are read at every scan only: busy time is compared over windows of two.
WINDOW_NS = 2 * SCAN_NS

#: The registered processes that greengen does not profile.
FOREIGN = (METER, STRAYS, NEIGHBOUR)

#: (start, end), ns of the machine's monotonic clock.
Stretch = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Division:
    """Joules of each span by the name of its worker, and of everything that greengen does not profile."""

    spans: dict[str, float]
    other: float


@dataclass(frozen=True, slots=True)
class Truth:
    """The log: times in ns, shape (n,); energy in µJ since the start, shape (n,); CPU ns by process, shape (n,)."""

    sealed: Sealed
    t_ns: Ints
    energy_uj: Ints
    cpu_ns: Mapping[str, Ints]

    @property
    def steps_ms(self) -> Floats:
        """How long each step of the meter took, ms, shape (n-1,)."""
        return np.diff(self.t_ns) / 1e6

    def modelled_j(self) -> float:
        """All joules once more, from the CPU times at the two ends of the log."""
        work = sum(self.sealed.c_w(name) * float(cpu[-1] - cpu[0]) for name, cpu in self.cpu_ns.items())
        return (self.sealed.p0_w * float(self.t_ns[-1] - self.t_ns[0]) + work) / NS

    def shown_j(self, stretch: Stretch) -> tuple[float, float]:
        """What the counter gained between two instants, J, and what its steps about these two leave open."""
        before, after = (self._row(t_ns) for t_ns in stretch)
        energy = self.energy_uj
        slack = sum(int(energy[min(row + 1, energy.size - 1)] - energy[max(row - 1, 0)]) for row in (before, after))
        return float(energy[after] - energy[before]) / 1e6, slack / 1e6

    def _row(self, t_ns: int) -> int:
        return max(0, int(np.searchsorted(self.t_ns, t_ns, side="right")) - 1)

    def divide(self, spans: Mapping[str, Stretch], recorded: Stretch) -> Division:
        """Whose the joules of `recorded` were. `spans`: when the span of each worker was live."""
        window = (self.t_ns[1:] - self.t_ns[0]) // WINDOW_NS
        busy_s = {name: np.diff(cpu) / NS for name, cpu in self.cpu_ns.items()}
        of_all = np.bincount(window, sum(busy_s.values(), np.zeros(window.size)))
        seconds = np.bincount(window, np.diff(self.t_ns) / NS)
        # J of P0 for each busy second of the window.
        static = np.divide(self.sealed.p0_w * seconds, of_all, out=np.zeros_like(of_all), where=of_all > 0)[window]
        counted = self._inside(recorded)
        joules = {name: (self.sealed.c_w(name) + static) * busy * counted for name, busy in busy_s.items()}
        live = {name: self._inside(span) for name, span in spans.items()}
        own = {name: joules[name] * inside for name, inside in live.items()}
        profiled = sum((joules[name] for name in joules if name not in FOREIGN), np.zeros(window.size))
        beside = profiled - sum(own.values(), np.zeros(window.size))
        each = beside / np.maximum(sum(live.values(), np.zeros(window.size)), 1.0)
        return Division(
            spans={name: float((own[name] + each * inside).sum()) for name, inside in live.items()},
            other=float(sum(joules[name].sum() for name in joules if name in FOREIGN)),
        )

    def _inside(self, stretch: Stretch) -> Floats:
        """Which part of each step lies in a stretch of time, shape (n-1,)."""
        start, end = np.clip(self.t_ns[:-1], *stretch), np.clip(self.t_ns[1:], *stretch)
        return np.asarray((end - start) / np.diff(self.t_ns))


def read(log: Path, sealed: Sealed) -> Truth:
    """The truth that a meter logged, and what its sealed file said."""
    with log.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    columns = np.array(rows, dtype=np.int64).T
    return Truth(sealed, columns[0], columns[1], dict(zip(head[2:], columns[2:], strict=True)))
