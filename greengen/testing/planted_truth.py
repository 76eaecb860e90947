"""What a planted trial really was: the meter's log, divided by the rule that greengen declares.

Every process is charged c_j for its CPU time, and of P0 its share of the busy time of each step.
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
        busy_s = {name: np.diff(cpu) / NS for name, cpu in self.cpu_ns.items()}
        busy_s[STRAYS] = np.diff(self._strays_ns()) / NS
        of_all = sum(busy_s.values(), self._nothing())
        # J of P0 for each busy second of the step.
        p0_j = self.sealed.p0_w * np.diff(self.t_ns) / NS
        static = np.divide(p0_j, of_all, out=self._nothing(), where=of_all > 0)
        counted = self._inside(recorded)
        joules = {name: (self.sealed.c_w(name) + static) * busy * counted for name, busy in busy_s.items()}
        live = {name: self._inside(span) for name, span in spans.items()}
        own = {name: joules[name] * inside for name, inside in live.items()}
        profiled = sum((joules[name] for name in joules if name not in FOREIGN), self._nothing())
        beside = profiled - sum(own.values(), self._nothing())
        each = beside / np.maximum(sum(live.values(), self._nothing()), 1.0)
        return Division(
            spans={name: float((own[name] + each * inside).sum()) for name, inside in live.items()},
            other=float(sum(joules[name].sum() for name in joules if name in FOREIGN)),
        )

    def _nothing(self) -> Floats:
        return np.zeros(self.t_ns.size - 1)

    def _strays_ns(self) -> Floats:
        """What strays used by each step: they are read at every scan only, and between two scans worked evenly."""
        cpu = self.cpu_ns[STRAYS]
        found = np.flatnonzero(np.diff(cpu)) + 1
        since = np.maximum(self.t_ns[found] - SCAN_NS, self.t_ns[np.concatenate(([0], found[:-1]))])
        times = np.concatenate(([self.t_ns[0]], np.column_stack((since, self.t_ns[found])).ravel()))
        values = np.concatenate(([cpu[0]], np.column_stack((cpu[found - 1], cpu[found])).ravel()))
        base = self.t_ns[0]
        return np.asarray(
            np.interp((self.t_ns - base).astype(float), (times - base).astype(float), values.astype(float))
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
