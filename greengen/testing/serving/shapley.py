"""The reference: each request's Shapley value of what its steps cost in truth.

Within a step the requests are the players, and a coalition costs what the step would have cost with
them alone; padding comes with whoever is there. Idle energy is nobody's. Exact where the cost is
affine; where a roofline bends, the bend is sampled over random orders of arrival, the rest still exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import comb

import numpy as np

from greengen.testing.serving.costs import Cost
from greengen.testing.serving.power import Trace
from greengen.testing.serving.serve import Served, bubble_joules
from greengen.testing.serving.steps import Steps
from greengen.testing.serving.workload import Floats

#: Orders of arrival that are drawn for a step whose cost bends; each is also taken backwards.
ORDERS = 32

#: Numbers that are sampled at once, for bounded memory.
_CHUNK = 1_000_000


def shapley(steps: Steps, cost: Cost, seed: int, *, orders: int = ORDERS) -> Floats:
    """J of each part of the steps, shape (m,); those of a step sum to what it cost.

    orders  how many orders are drawn for a step that needs them, an even number
    """
    game = cost.game(steps.work, steps.padding_work)
    step, size = steps.step, steps.size
    joules = game.fixed[step] / size[step] + game.linear
    # Where not even those who exceed can together use up the slack, no coalition bends.
    most = np.bincount(step, np.maximum(game.excess, 0.0), minlength=len(steps))
    bends = (most > game.slack) & (size > 0)
    rng = np.random.default_rng([seed, 5])
    for n in np.unique(size[bends]).tolist():
        chosen = np.flatnonzero(bends & (size == n))
        for some in np.array_split(chosen, max(1, chosen.size * n * orders // _CHUNK)):
            parts = steps.first[some][:, None] + np.arange(n)
            joules[parts] += game.rate * _sampled(game.excess[parts], game.slack[some], rng, orders)
    return np.asarray(joules)


def _sampled(excess: Floats, slack: Floats, rng: np.random.Generator, orders: int) -> Floats:
    """The mean of what each of n adds to max(0, Σ excess − slack), by step, shape (k, n)."""
    k, n = excess.shape
    order = rng.random((k, max(1, orders // 2), n)).argsort(axis=-1)
    order = np.concatenate([order, order[..., ::-1]], axis=1)
    after = np.cumsum(np.take_along_axis(excess[:, None, :], order, axis=-1), axis=-1) - slack[:, None, None]
    added = np.diff(np.maximum(after, 0.0), axis=-1, prepend=0.0)
    value = np.zeros(order.shape)
    np.put_along_axis(value, order, added, axis=-1)
    return np.asarray(value.mean(axis=1))


def enumerated(work: Floats, padding: Floats, cost: Cost) -> Floats:
    """The same for one step of a few requests, from all coalitions: work of shape (n, 4) → J, shape (n,)."""
    n = work.shape[0]
    found = np.zeros(n)
    for player in range(n):
        others = [i for i in range(n) if i != player]
        for size in range(n):
            weight = 1.0 / (n * comb(n - 1, size))
            for coalition in combinations(others, size):
                without = work[list(coalition)].sum(axis=0) + padding
                before_j = float(cost.joules(without)) if coalition else 0.0
                found[player] += weight * (float(cost.joules(without + work[player])) - before_j)
    return found


def by_instance(
    served: Served, seed: int, *, traces: Mapping[str, Trace] | None = None, orders: int = ORDERS
) -> Floats:
    """J of each request from each instance, shape (i, n), idle bubbles of pipelines included.

    traces  the power of the devices where it wandered, or another power that follows their steps: then
            each step's J are those that it drew (not for pipelines, whose steps overlap)
    """
    found = np.zeros((len(served.instances), len(served.requests)))
    for number, (instance, steps) in enumerate(zip(served.instances, served.steps, strict=True)):
        of_parts = shapley(steps, instance.cost, seed + number, orders=orders)
        if traces is None:
            drawn = steps.joules + bubble_joules(served, number)
        else:
            drawn = np.sum([traces[device].energy_j(steps.t0_ns, steps.t1_ns) for device in instance.devices], axis=0)
        of_parts *= (drawn / steps.joules)[steps.step]
        found[number] = np.bincount(steps.request, of_parts, minlength=found.shape[1])
    return found


def reference(served: Served, seed: int, *, traces: Mapping[str, Trace] | None = None, orders: int = ORDERS) -> Floats:
    """J of each request, shape (n,): those of `by_instance` together."""
    return np.asarray(by_instance(served, seed, traces=traces, orders=orders).sum(axis=0))
