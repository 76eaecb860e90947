"""Fake meters over a device's power: what a collector would have recorded of it.

A sensor sees the power, or part of it in time; every refresh it shows a new value, averaged over its
window or counted; the value has a gain error, noise and a quantum. A collector reads what it shows,
now and then misses it, and stamps it with its own clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from greengen.collector import Domain, Reading
from greengen.rows import Series
from greengen.testing.serving.power import MS, Trace, at
from greengen.testing.serving.workload import Floats, Ints

#: More than any device here draws, W.
MAX_POWER_W = 1000.0

#: The most that a reading may lie beside the line of its neighbours to be left out, J: as recording thins.
_ON_THE_LINE_J = 1e-9


@dataclass(frozen=True, slots=True)
class Meter:
    """A sensor and how it is read.

    reading     `energy`: a counter, J; `power`: a gauge, W
    poll_s      how often it is read
    refresh_s   how often it shows a new value; 0: always
    window_s    what it averages a power over; 0: the last millisecond
    on_s        a part-time sensor sees this much of the end of each refresh, and takes the rest to be alike; 0: all
    quantum     the step of its value, J or W
    wrap_j      where its counter begins anew
    offset_s    how much its stamps are late
    dropout     part of the readings that fail
    gain        relative standard uncertainty of its gain: the error is drawn once
    noise_w     white noise of the power, W: of each value of a gauge, in each refresh (or millisecond) of a counter
    kind        the kind of its domain
    """

    reading: Reading
    poll_s: float
    refresh_s: float = 0.0
    window_s: float = 0.0
    on_s: float = 0.0
    quantum: float = 0.0
    wrap_j: float | None = None
    offset_s: float = 0.0
    dropout: float = 0.0
    gain: float = 0.0
    noise_w: float = 0.0
    kind: str = "gpu"

    def domain(self, uid: str, *, contains: tuple[str, ...] = (), activity: str | None = None) -> Domain:
        """What a collector would say of it."""
        return Domain(
            uid=uid,
            collector="sim",
            kind=self.kind,
            name=uid,
            reading=self.reading,
            contains=contains,
            alternative=bool(contains),
            activity=activity,
            split_reason="simulated: nobody else is on this machine",
            wrap_j=self.wrap_j,
            max_power_w=MAX_POWER_W * max(1, len(contains)),
            resolution_j=self.quantum if self.reading == "energy" else 0.0,
            refresh_s=self.refresh_s,
            gain=self.gain,
        )

    def read(self, trace: Trace, seed: int) -> Series:
        """What is recorded of a device that draws `trace`."""
        rng = np.random.default_rng([seed, 4])
        gain = 1.0 + self.gain * float(rng.standard_normal())
        polls = np.arange(1, trace.end_ns // round(self.poll_s * 1e9)) * round(self.poll_s * 1e9)
        refresh_ns = round(self.refresh_s * 1e9)
        shown = polls
        if refresh_ns:
            shown = np.arange(round(rng.uniform(0, refresh_ns)), trace.end_ns, refresh_ns)
        seen_j = self._seen(trace.cumulated_j, shown)
        values = gain * (self._counted(seen_j, shown, rng) if self.reading == "energy" else self._power(seen_j, shown))
        if self.reading == "power" and self.noise_w:
            values = values + self.noise_w * rng.standard_normal(values.size)
        if self.quantum:
            values = np.floor(values / self.quantum + 1e-9) * self.quantum
        if self.reading == "energy" and self.wrap_j is not None:
            start_j = rng.uniform(0, self.wrap_j)
            values = np.mod(values + start_j - (start_j % self.quantum if self.quantum else 0.0), self.wrap_j)
        if self.reading == "power":
            values = np.maximum(values, 0.0)
        if refresh_ns:
            last = np.searchsorted(shown, polls, side="right") - 1
            polls, values = polls[last >= 0], values[last[last >= 0]]
        kept = rng.random(polls.size) >= self.dropout
        return self._series(polls[kept] + round(self.offset_s * 1e9), values[kept])

    def _seen(self, cumulated: Floats, shown: Ints) -> Floats:
        """Cumulated J as far as the sensor sees them, at the ends of the milliseconds."""
        if not self.on_s:
            return cumulated
        ends = shown.astype(float)
        mean_w = (at(cumulated, ends) - at(cumulated, ends - self.on_s * 1e9)) / self.on_s
        edges = np.concatenate(([0.0], ends))
        believed = np.concatenate(([0.0], np.cumsum(mean_w * np.diff(edges) / 1e9)))
        return np.asarray(np.interp(np.arange(cumulated.size) * float(MS), edges, believed))

    def _counted(self, seen_j: Floats, shown: Ints, rng: np.random.Generator) -> Floats:
        counted = at(seen_j, shown)
        if self.noise_w:
            steps_s = np.diff(shown, prepend=shown[:1]) / 1e9
            each_s = np.sqrt(np.maximum(steps_s, 0.0) * (self.refresh_s or 1e-3))
            counted = np.maximum.accumulate(
                counted + np.cumsum(self.noise_w * each_s * rng.standard_normal(shown.size))
            )
        return counted

    def _power(self, seen_j: Floats, shown: Ints) -> Floats:
        window_s = self.window_s or 1e-3
        # Before the recording the device was as idle as in its first millisecond.
        begun = shown.astype(float) - window_s * 1e9
        before_j = np.minimum(begun, 0.0) / MS * seen_j[1]
        return np.asarray((at(seen_j, shown) - at(seen_j, begun) - before_j) / window_s)

    def _series(self, t_ns: Ints, values: Floats) -> Series:
        """As recorded: points of a counter that lie on the line between their neighbours are left out."""
        spacing = np.diff(t_ns, prepend=t_ns[:1])
        keep = np.ones(t_ns.size, dtype=bool)
        if self.reading == "energy" and t_ns.size > 2 and np.all(np.diff(t_ns) == spacing[1]):  # noqa: PLR2004 -- two ends
            keep[1:-1] = np.abs(np.diff(values, 2)) > _ON_THE_LINE_J
        return Series(t_ns[keep].tolist(), values[keep].tolist(), spacing[keep].tolist(), self.window_s)


#: Meters by name. Periods and windows are those that vendors state or others measured; gains are classes.
#:
#: perfect       a counter of every millisecond, without error
#: noisy gauge   the mean power of each 100 ms, with white noise of 3 % of 500 W and steps of 1 W
#: nvml counter  NVML's total energy: a new value every 100 ms, in mJ
#: nvml average  NVML's power on many boards: the mean of the last second
#: part-time     NVML's power on A100 and H100: 25 ms of each 100 ms
#: rapl          a package counter: a new value every ms, in steps of 15.3 µJ, 32 bits of µJ
#: wall          a plug that tells the mean of each second, and stamps it 50 ms late
METERS = MappingProxyType(
    {
        "perfect": Meter("energy", poll_s=1e-3),
        "noisy gauge": Meter("power", poll_s=0.1, window_s=0.1, quantum=1.0, noise_w=15.0),
        "nvml counter": Meter("energy", poll_s=0.05, refresh_s=0.1, quantum=1e-3, gain=0.025),
        "nvml average": Meter("power", poll_s=0.1, refresh_s=0.1, window_s=1.0, quantum=1e-3, gain=0.025),
        "part-time": Meter("power", poll_s=0.1, refresh_s=0.1, window_s=0.1, on_s=0.025, quantum=1e-3, gain=0.025),
        "rapl": Meter(
            "energy", poll_s=0.01, refresh_s=1e-3, quantum=2.0**-16, wrap_j=2**32 * 1e-6, gain=0.01, kind="package"
        ),
        "wall": Meter("power", poll_s=1.0, window_s=1.0, quantum=0.1, offset_s=0.05, gain=0.01, kind="wall"),
    }
)
