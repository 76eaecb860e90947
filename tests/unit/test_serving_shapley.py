"""The reference: costs, their split, and the Shapley value by formula, by sampling and by enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greengen.testing.serving.costs import Affine, Cost, Roofline, padding_of, work_of
from greengen.testing.serving.power import Drift, traces
from greengen.testing.serving.serve import Instance, Served, bubble_joules, serve
from greengen.testing.serving.shapley import enumerated, reference, shapley
from greengen.testing.serving.steps import Log, Steps
from greengen.testing.serving.workload import CHAT, Floats
from tests.unit.serving_runs import served, several

Part = tuple[int, int, int]

#: Decodes, and chunks up to a long prompt: together on both sides of the roofline's bend.
_PARTS = st.one_of(
    st.tuples(st.just(0), st.integers(1, 5), st.integers(0, 5000)),
    st.tuples(st.integers(1, 2048), st.just(0), st.integers(0, 5000)),
)
_COSTS = st.sampled_from((Affine(), Roofline()))


def step_of(parts: list[Part], padding: int, cost: Cost) -> Steps:
    work = work_of(*np.array(parts, dtype=np.int64).T).sum(axis=0) + padding_of(np.array(padding))
    log = Log()
    joules, seconds = float(cost.joules(work)), float(cost.seconds(work))
    log.add((0, round(seconds * 1e9), padding, joules), np.array([(i, *part) for i, part in enumerate(parts)]))
    return log.close()


@given(st.lists(_PARTS, min_size=1, max_size=6), st.integers(0, 8), _COSTS)
def test_a_game_is_its_cost(parts: list[Part], padding: int, cost: Cost) -> None:
    steps = step_of(parts, padding, cost)
    game = cost.game(steps.work, steps.padding_work)
    for members in ([0], range(len(parts)), range(0, len(parts), 2)):
        some = list(members)
        bend = max(0.0, game.excess[some].sum() - game.slack[0])
        split = game.fixed[0] + game.linear[some].sum() + game.rate * bend
        assert split == pytest.approx(float(cost.joules(steps.work[some].sum(axis=0) + steps.padding_work[0])))


@given(st.lists(_PARTS, min_size=1, max_size=6), st.integers(0, 8))
def test_affine_shares_are_exact(parts: list[Part], padding: int) -> None:
    cost = Affine()
    steps = step_of(parts, padding, cost)
    assert shapley(steps, cost, 1) == pytest.approx(enumerated(steps.work, steps.padding_work[0], cost), rel=1e-9)


@given(st.lists(_PARTS, min_size=1, max_size=6), st.integers(0, 8))
def test_sampled_shares_are_close_to_exact_ones(parts: list[Part], padding: int) -> None:
    cost = Roofline()
    steps = step_of(parts, padding, cost)
    found = shapley(steps, cost, 1, orders=4000)
    assert found.sum() == pytest.approx(steps.joules[0], rel=1e-9)
    error = found - enumerated(steps.work, steps.padding_work[0], cost)
    assert np.abs(error).max() < 0.02 * steps.joules[0]


def test_more_orders_come_closer() -> None:
    cost = Roofline()
    steps = step_of([(900, 0, 0), (700, 0, 2000), *[(0, 1, 500)] * 5], 0, cost)
    exact = enumerated(steps.work, steps.padding_work[0], cost)

    def spread(orders: int) -> float:
        return float(np.sqrt(np.mean([(shapley(steps, cost, s, orders=orders) - exact) ** 2 for s in range(40)])))

    assert spread(16) > 3 * spread(1024) > 0


def test_identical_requests_have_identical_shares() -> None:
    cost = Roofline()
    steps = step_of([(0, 1, 700)] * 7, 1, cost)
    assert shapley(steps, cost, 1) == pytest.approx(np.full(7, steps.joules[0] / 7))


@given(served(most=8))
def test_the_reference_holds_every_step(run: Served) -> None:
    whole = run.steps[0].joules.sum() + bubble_joules(run, 0).sum()
    assert reference(run, 1).sum() == pytest.approx(whole, rel=1e-9)


def test_power_holds_every_step_and_the_idle_time() -> None:
    cost = Roofline()
    run = serve(CHAT.stream(2.6, cost, 10, 3), Instance("m", cost), 3)
    [trace] = traces(run).values()
    busy_s = (run.steps[0].t1_ns - run.steps[0].t0_ns).sum() / 1e9
    expected = run.steps[0].joules.sum() + cost.idle_w * (trace.end_ns / 1e9 - busy_s)
    assert trace.cumulated_j[-1] == pytest.approx(expected, rel=1e-9)
    watts = run.steps[0].joules / ((run.steps[0].t1_ns - run.steps[0].t0_ns) / 1e9)
    assert 350 < watts.min() < watts.max() < 700
    assert trace.watts[:100] == pytest.approx(np.full(100, cost.idle_w))


def test_a_pipeline_pays_for_its_bubbles() -> None:
    instance = Instance("m", Affine(), devices=("sim:gpu-0", "sim:gpu-1"), stages=2)
    run = serve(several((50, 40)), instance, 1)
    # One micro-batch: one of the two stages is always idle.
    steps = run.steps[0]
    assert bubble_joules(run, 0) == pytest.approx(70.0 * (steps.t1_ns - steps.t0_ns) / 1e9)


def test_drift_has_the_spread_that_was_asked_for() -> None:
    run = serve(several((50, 4000)), Instance("m", Affine()), 1)
    [plain], [wandering] = traces(run).values(), traces(run, drift=Drift(0.05, 0.2), seed=4).values()
    working = plain.watts > 200
    ratio: Floats = (wandering.watts[working] - 70.0) / (plain.watts[working] - 70.0) - 1.0
    assert ratio.std() == pytest.approx(0.05, rel=0.2)
    assert wandering.watts[~working][:1000] == pytest.approx(plain.watts[~working][:1000])
    step = run.steps[0]
    with_drift = reference(run, 1, traces={"sim:gpu-0": wandering})
    assert with_drift.sum() == pytest.approx(wandering.energy_j(step.t0_ns, step.t1_ns).sum())
