"""What devices draw, as mean power of each millisecond."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from greengen.testing.serving.serve import Draw, Served
from greengen.testing.serving.workload import Floats, Ints

MS = 1_000_000

#: Idle time that is recorded after the last step, s: a meter's averaging window has to run out.
TAIL_S = 3.0


@dataclass(frozen=True, slots=True)
class Drift:
    """Power above idle wanders by this part of itself (standard deviation), and forgets in `correlation_s`."""

    relative: float
    correlation_s: float


@dataclass(frozen=True, slots=True)
class Trace:
    """Mean power, W, of each millisecond from 0 on, shape (n,)."""

    watts: Floats

    @property
    def end_ns(self) -> int:
        """The end of the last millisecond."""
        return int(self.watts.size) * MS

    @property
    def cumulated_j(self) -> Floats:
        """J since 0 at the ends of the milliseconds, shape (n+1,)."""
        return np.concatenate(([0.0], np.cumsum(self.watts))) * 1e-3

    def energy_j(self, t0_ns: Ints, t1_ns: Ints) -> Floats:
        """J between times; power is constant within a millisecond."""
        return at(self.cumulated_j, t1_ns) - at(self.cumulated_j, t0_ns)


def at(cumulated: Floats, t_ns: Ints | Floats) -> Floats:
    """Cumulated J at any times: linear within a millisecond, flat before 0 and after the end."""
    return np.asarray(np.interp(t_ns.astype(float), np.arange(cumulated.size) * float(MS), cumulated))


def trace(draws: Sequence[Draw], idle_w: float, end_ns: int, *, drift: Drift | None = None, seed: int = 0) -> Trace:
    """The power of a device up to `end_ns`; where work overlaps, its power above idle adds up."""
    size = -(-end_ns // MS)
    begun, over = (np.array([draw[column] for draw in draws], dtype=np.int64) for column in range(2))
    above_w = np.array([joules for _, _, joules in draws]) / ((over - begun) / 1e9) - idle_w
    edges = np.unique(np.concatenate([[0, size * MS], begun, over])).astype(np.int64)
    change = np.zeros(edges.size)
    np.add.at(change, np.searchsorted(edges, begun), above_w)
    np.add.at(change, np.searchsorted(edges, over), -above_w)
    above_j = np.concatenate(([0.0], np.cumsum(np.cumsum(change)[:-1] * np.diff(edges) / 1e9)))
    watts = np.diff(np.interp(np.arange(size + 1) * float(MS), edges.astype(float), above_j)) * 1e3
    if drift is not None:
        watts = watts * (1.0 + np.maximum(_wander(drift, size, seed), -0.9))
    return Trace(idle_w + watts)


def _wander(drift: Drift, size: int, seed: int) -> Floats:
    """An Ornstein-Uhlenbeck process in steps of a millisecond, stationary from its start."""
    keep = float(np.exp(-1e-3 / drift.correlation_s))
    noise = np.random.default_rng([seed, 3]).standard_normal(size) * drift.relative
    noise[1:] *= np.sqrt(1.0 - keep**2)
    return np.array(list(accumulate(noise.tolist(), lambda before, new: keep * before + new)))


def traces(served: Served, *, drift: Drift | None = None, seed: int = 0) -> dict[str, Trace]:
    """The power of every device, up to `TAIL_S` after the last step; each device wanders on its own."""
    end_ns = served.end_ns + round(TAIL_S * 1e9)
    return {
        device: trace(draws, served.idle_w[device], end_ns, drift=drift, seed=seed + place)
        for place, (device, draws) in enumerate(served.draws.items())
    }


def following(of: Sequence[Trace], idle_w: float, part: float, idle_of_w: float) -> Trace:
    """A host's power: its own idle power, and `part` of what the devices draw above theirs (`idle_of_w` in all)."""
    return Trace(idle_w + part * (np.sum([each.watts for each in of], axis=0) - idle_of_w))
