"""Simulated repeats of two choices: how often a verdict is wrong, and how often it finds what is there.

A machine scatters from repeat to repeat, and drifts: along a straight line, or as a random walk. The choices are
recorded alternately, in blocks (all of one and then all of the other), nested (one amid the other), or in random order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from greengen.accounting.verdict import Repeats, contrast
from greengen.quantity import Error, Quantity

Order = Literal["alternating", "blocks", "nested", "random"]


@dataclass(frozen=True, slots=True)
class Machine:
    """How repeats differ, in parts of what they cost.

    scatter  standard deviation from one to the next, and `uneven`: that of the choice over the baseline's
    drift    from each to the next, and `walk`: the standard deviation of such a step at random
    meter    standard uncertainties that both choices share: of the sensor's gain, and of each one's workload
    """

    scatter: float = 0.03
    uneven: float = 1.0
    drift: float = 0.0
    walk: float = 0.0
    gain: float = 0.0
    workload: float = 0.0


@dataclass(frozen=True, slots=True)
class Rates:
    """Parts of the comparisons in which the choice was called less, more, or neither."""

    less: float
    more: float

    @property
    def decided(self) -> float:
        """The part in which it was called either."""
        return self.less + self.more


def simulate(
    machine: Machine, n: int, *, saved: float = 0.0, order: Order = "alternating", times: int = 1000, seed: int = 0
) -> Rates:
    """Verdicts on `times` pairs of `n` repeats each, where the choice truly saves the part `saved`.

    Each pair is metered with errors of its own, drawn as they are stated.
    """
    rng = np.random.default_rng(seed)
    answers = [_once(machine, n, saved, order, rng) for _ in range(times)]
    return Rates(answers.count("less") / times, answers.count("more") / times)


def _once(machine: Machine, n: int, saved: float, order: Order, rng: np.random.Generator) -> str:
    places = _places(order, n, rng)
    drift = machine.drift * np.arange(2 * n) + np.cumsum(rng.normal(0.0, machine.walk, 2 * n))
    gain = rng.normal(0.0, machine.gain)
    repeats = []
    for which, scatter in enumerate((machine.scatter * machine.uneven, machine.scatter)):
        true = np.log1p(-saved) if which == 0 else 0.0
        off = gain + rng.normal(0.0, machine.workload)
        costs = np.exp(true + off + drift[places[which]] + rng.normal(0.0, scatter, n))
        values = tuple(_metered(machine, float(cost), which) for cost in costs)
        repeats.append(Repeats(values, tuple(places[which].tolist()), "a machine"))
    return contrast(*repeats).answer


def _places(order: Order, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    every = np.arange(2 * n)
    if order == "alternating":
        return every[1::2], every[::2]
    if order == "nested":
        begin = n // 2
        return np.delete(every, np.s_[begin : begin + n]), every[begin : begin + n]
    if order == "random":
        every = rng.permutation(every)
    return np.sort(every[n:]), np.sort(every[:n])


def _metered(machine: Machine, cost: float, which: int) -> Quantity:
    errors = (
        Error("gain of the sensor", machine.gain * cost, gain=True),
        Error(f"workload {which}", machine.workload * cost, log=True),
    )
    return Quantity(cost, "J", "measured", tuple(error for error in errors if error.sigma))
