"""Margins against the simulator, which knows what each step would have cost without each request."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from greengen.accounting.choice import Plan
from greengen.accounting.ledger import build
from greengen.accounting.marginal import Marginals, marginals
from greengen.accounting.policies import Coefficients
from greengen.rows import Rows
from greengen.testing.serving.costs import Affine, Cost, Roofline
from greengen.testing.serving.meters import METERS
from greengen.testing.serving.power import traces
from greengen.testing.serving.recording import to_rows, uid_of
from greengen.testing.serving.serve import Instance, Served, serve
from greengen.testing.serving.workload import CHAT, Floats

COSTS = (Affine(), Roofline())


def simulated(cost: Cost, meter: str = "perfect", *, steps: bool = True) -> tuple[Served, Rows]:
    served = serve(CHAT.stream(9.8, cost, 100, 5), Instance("m", cost), 5)
    return served, to_rows(served, traces(served), METERS[meter], 5, steps=steps)


def truth(served: Served, cost: Cost) -> Floats:
    """What the steps cost, less what they would have cost without each request."""
    [steps] = served.steps
    whole = np.add.reduceat(steps.work, steps.first[:-1], axis=0) + steps.padding_work
    step = steps.step
    without = np.where(steps.size[step] == 1, 0.0, cost.joules(whole[step] - steps.work))
    lacks = cost.joules(whole)[step] - without
    return np.bincount(steps.request, lacks, minlength=len(served.requests)).astype(float)


def found(table: Marginals) -> Floats:
    by_uid = {row.chapter.table.rows[row.index].uid: row.marginal.value for row in table.rows}
    return np.array([by_uid[uid_of(i)] for i in range(len(by_uid))], dtype=float)


def test_a_fitted_affine_cost_gives_the_true_margins() -> None:
    cost = Affine()
    served, rows = simulated(cost)
    table = marginals(build(rows))
    expected = truth(served, cost)
    assert found(table) == pytest.approx(expected, rel=2e-3)
    [engine] = table.engines
    assert (engine.cost.origin, engine.cost.scale) == ("fitted", 1.0)
    assert engine.metered.value == pytest.approx(served.steps[0].joules.sum(), rel=1e-3)
    assert engine.cost.predicted_j == pytest.approx(engine.metered.value, rel=1e-3)
    # With ten at once most of a step is shared: what nobody would save alone.
    assert table.marginal.value is not None
    assert table.marginal.value == pytest.approx(expected.sum(), rel=1e-3)
    assert table.marginal.value < 0.5 * served.steps[0].joules.sum()
    assert table.attributed.value == pytest.approx(engine.metered.value, rel=1e-9)


@pytest.mark.parametrize("meter", ["perfect", "rapl"])
@pytest.mark.parametrize("cost", COSTS, ids=["affine", "roofline"])
def test_intervals_hold_the_truth(cost: Cost, meter: str) -> None:
    served, rows = simulated(cost, meter)
    table = marginals(build(rows))
    inside = [
        row.marginal.low <= true <= row.marginal.high
        for row, true in zip(table.rows, truth(served, cost), strict=True)
        if row.marginal.low is not None and row.marginal.high is not None
    ]
    assert len(inside) == len(served.requests)
    assert np.mean(inside) >= 0.94


def test_no_margin_is_more_than_what_was_attributed() -> None:
    """With a meter that errs by nothing: what is shared is only added to it."""
    _, rows = simulated(Affine())
    for row in marginals(build(rows)).rows:
        assert row.marginal.value is not None
        assert row.attributed.value is not None
        assert 0 < row.marginal.value <= row.attributed.value * 1.005
        assert (row.marginal.grade, row.attributed.grade) == ("modelled", "attributed")
        assert row.steps >= row.alone


def test_what_is_given_is_scaled_to_the_meter() -> None:
    cost = Affine()
    served, rows = simulated(cost)
    prices = Coefficients(*(7.0 * price for price in cost.joules_of))
    table = marginals(build(rows, policy=Plan(given=prices)))
    [engine] = table.engines
    assert engine.cost.origin == "given"
    assert engine.cost.scale == pytest.approx(1 / 7, rel=1e-3)
    assert found(table) == pytest.approx(truth(served, cost), rel=2e-3)
    assert engine.cost.predicted_j == pytest.approx(engine.metered.value, rel=1e-9)
    # A policy that has no use for it does not change what a step costs.
    assert found(marginals(build(rows, policy=Plan("equal", given=prices)))) == pytest.approx(found(table), rel=1e-9)


def test_the_frozen_plan_gives_the_same_margins() -> None:
    _, rows = simulated(Roofline())
    ledger = build(rows)
    again = marginals(build(rows, policy=ledger.plan))
    assert found(again).tolist() == found(marginals(ledger)).tolist()
    assert [row.marginal for row in again.rows] == [row.marginal for row in marginals(ledger).rows]


def test_static_power_by_capacity_is_not_the_steps() -> None:
    _, rows = simulated(Affine())
    domains = [replace(domain, idle_w=70.0) for domain in rows.timelines[0].domains]
    rows.timelines[0].domains = domains
    plan = Plan(given=Coefficients(*Affine().joules_of), static="capacity-share", held=0.0)
    ledger = build(rows, policy=plan)
    [chapter] = ledger.chapters
    [entries] = chapter.entries
    table = marginals(ledger)
    steps_s = sum((t1 - t0) / 1e9 for _, _, t0, t1, _ in rows.timelines[0].steps)
    busy_share = marginals(build(rows, policy=replace(plan, static="busy-share")))
    assert table.engines[0].metered.value == pytest.approx(
        (busy_share.engines[0].metered.value or 0.0) - 70.0 * steps_s, rel=1e-6
    )
    assert table.attributed.value == pytest.approx(float(entries.books.span_j.sum()), rel=1e-3)
    assert table.marginal.basis == "static capacity-share 0"


@pytest.mark.parametrize(
    ("plan", "steps", "why"),
    [
        (Plan("equal"), True, "shared by the policy equal"),
        (Plan(), False, "no engine step of it was recorded"),
        (Plan(given=Coefficients()), True, "none costs anything"),
    ],
)
def test_what_is_not_known_is_not_guessed(plan: Plan, steps: bool, why: str) -> None:  # noqa: FBT001 -- pytest's way
    _, rows = simulated(Affine(), steps=steps)
    table = marginals(build(rows, policy=plan))
    assert len(table.rows) == 100
    assert all(row.marginal.value is None and why in row.marginal.reason for row in table.rows)
    assert (table.marginal.value, table.attributed.value) == (None, None)


def test_a_fit_that_is_too_weak_says_so() -> None:
    _, rows = simulated(Affine(), "wall")
    [row, *_] = marginals(build(rows)).rows
    assert row.attributed.known
    assert "what a step costs is not known: affine:" in row.marginal.reason


def test_steps_that_no_domain_read() -> None:
    _, rows = simulated(Affine())
    timeline = rows.timelines[0]
    timeline.engines = [replace(engine, devices=("elsewhere",)) for engine in timeline.engines]
    table = marginals(build(rows, policy=Plan(given=Coefficients(*Affine().joules_of))))
    assert all("no domain that its steps ran on was read" in row.marginal.reason for row in table.rows)


def test_a_frame_of_them() -> None:
    served, rows = simulated(Affine())
    frame = build(rows).marginal()
    assert frame.index.name == "request"
    assert frame["marginal_j"].sum() == pytest.approx(truth(served, Affine()).sum(), rel=1e-3)
    assert (frame["low_j"] <= frame["marginal_j"]).all()
    assert (frame["alone"] <= frame["steps"]).all()
    assert set(frame["grade"]) == {"modelled"}
    nothing = build(rows, policy="equal").marginal()
    assert nothing["marginal_j"].isna().all()
    assert nothing["grade"].str.startswith("not measured: engine m (1): what a step costs").all()
