"""Fits of several engines at once, what their error moves, and ledgers under a frozen plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from greengen.accounting.choice import Plan
from greengen.accounting.curves import Floats
from greengen.accounting.ledger import Ledger, build
from greengen.accounting.moves import Priced, relative
from greengen.accounting.policies import Choice, Coefficients
from greengen.accounting.squares import nonnegative
from greengen.accounting.work import lay_out
from greengen.rows import Rows
from greengen.testing.serving.costs import Affine
from greengen.testing.serving.meters import METERS
from greengen.testing.serving.power import Drift, traces
from greengen.testing.serving.recording import to_rows
from greengen.testing.serving.scenarios import SCENARIOS
from greengen.testing.serving.scenarios_engine import stream
from greengen.testing.serving.serve import Instance, share_device

SLOW = Affine((11.5, 0.11, 0.275, 1e-4), (3e-2, 2e-4, 4.5e-4, 2.25e-7))
SMALL = Affine((4.0, 0.035, 0.1, 3.5e-5), (1.5e-2, 7.5e-5, 2.25e-4, 1e-7))


def taking_turns(
    seed: int, counts: tuple[int, int] = (25, 25), devices: tuple[str, ...] = ("sim:gpu-0",), drift: Drift | None = None
) -> Rows:
    """Two models with so many requests, on one device or on these two."""
    large, small = Instance("large", SLOW), Instance("small", SMALL, devices=devices[-1:])
    first, second = (stream(seed + 1000 * n, count, (50, 400), (20, 80), 400) for n, count in enumerate(counts))
    served = share_device([(first, large), (second, small)], seed)
    return to_rows(served, traces(served, drift=drift, seed=seed), METERS["perfect"], seed)


def fitted(ledger: Ledger) -> list[Choice]:
    return [choice for choice in ledger.choices if choice.policy == "affine"]


def energies(ledger: Ledger) -> list[list[float]]:
    return [entries.books.span_j.tolist() for chapter in ledger.chapters for entries in chapter.entries]


@pytest.mark.parametrize("seed", range(3))
def test_two_engines_on_a_device_are_both_found_again_though_no_window_is_one_s_alone(seed: int) -> None:
    choices = fitted(build(taking_turns(seed), policy="affine"))
    assert [choice.details["engines"] for choice in choices] == [2.0, 2.0]
    assert len({choice.unit for choice in choices}) == 1
    for choice, cost in zip(choices, (SLOW, SMALL), strict=True):
        assert choice.coefficients is not None
        assert choice.coefficients.as_tuple() == pytest.approx(cost.joules_of, rel=1e-6)


def test_engines_on_devices_of_their_own_are_in_no_common_unit() -> None:
    choices = fitted(build(taking_turns(0, devices=("sim:gpu-0", "sim:gpu-1")), policy="affine"))
    assert len({choice.unit for choice in choices}) == 2
    assert not any("engines" in choice.details for choice in choices)


def test_an_engine_of_which_a_fit_says_too_little_falls_back_alone() -> None:
    """Two requests among those of another model, of a device whose power wanders by a tenth."""
    ledger = build(taking_turns(1, counts=(40, 2), drift=Drift(0.1, 0.3)), policy="affine")
    by_group = {choice.group: choice for choice in ledger.choices if "between" not in choice.group}
    large, small = by_group["engine large (1)"], by_group["engine small (2)"]
    assert (large.policy, large.fallback) == ("affine", "")
    assert large.unit
    assert (small.policy, small.unit) == ("phase", "")
    assert "unsure by" in small.fallback


def test_what_the_columns_do_not_tell_is_unsure() -> None:
    """x + y = 2 and neither below 0: along (1, -1) anything from (2, 0) to (0, 2)."""
    column = np.arange(1.0, 7.0)
    solved = nonnegative(np.column_stack([column, column]), 2 * column)
    assert solved is not None
    solution, covariance, _ = solved
    assert solution.sum() == pytest.approx(2.0)
    across, along = np.array([1.0, -1.0]), np.array([1.0, 1.0])
    assert across @ covariance @ across == pytest.approx(2 * 8 / 12)
    assert along @ covariance @ along == pytest.approx(0.0, abs=1e-12)


def moved_by(rows: Rows, choices: list[Choice], direction: int, sign: int) -> Floats:
    """J of each span, with coefficients that are off by one direction of their error."""
    off = []
    for choice in choices:
        assert choice.coefficients is not None
        at = np.array(choice.coefficients.as_tuple()) + sign * np.array(choice.moves[direction])
        off.append(replace(choice, coefficients=Coefficients(*np.maximum(at, 0.0)), moves=()))
    ledger = build(rows, policy=Plan("affine", frozen={choice.group: choice for choice in off}))
    return np.asarray(np.sum([entries.books.span_j for entries in ledger.chapters[0].entries], axis=0))


@pytest.mark.parametrize("name", ["decode batches", "several models on a device", "pipeline parallel"])
def test_what_an_error_moves_is_the_difference_that_it_makes(name: str) -> None:
    """Of steps that overlap too; the curve is what the steps cost, as near as the fit says."""
    rows = SCENARIOS[name](7).rows
    choices = fitted(build(rows, policy="affine"))
    # Large enough to be seen: 3 % of each coefficient by itself.
    coefficients = [choice.coefficients.as_tuple() for choice in choices if choice.coefficients is not None]
    own = [
        replace(choice, moves=tuple(tuple(0.03 * c if i == k else 0.0 for k, c in enumerate(of)) for i in range(4)))
        for choice, of in zip(choices, coefficients, strict=True)
    ]
    by_group = {choice.group: choice for choice in own}
    [chapter] = build(rows, policy="affine").chapters
    lanes = [group.lane for group in lay_out(chapter.table, rows.timelines[0]).groups if group.lane is not None]
    priced = [
        Priced(lane, c.coefficients, c.moves) for lane in lanes if (c := by_group[lane.name]).coefficients is not None
    ]
    found = relative(len(chapter.table), priced)
    base = np.sum([entries.books.span_j for entries in chapter.entries], axis=0)
    for i in range(4):
        made = (moved_by(rows, own, i, 1) - moved_by(rows, own, i, -1)) / 2 / base
        np.testing.assert_allclose(found[i], made, atol=2e-4 + 0.1 * np.abs(made).max())


@pytest.mark.parametrize("name", ["pipeline parallel", "several models on a device"])
def test_a_frozen_plan_keeps_the_errors_of_its_fit(name: str) -> None:
    rows = SCENARIOS[name](3).rows
    ledger = build(rows, policy="affine")
    again = build(rows, policy=ledger.plan)
    assert again.choices == ledger.choices
    assert [again[row.uid] for row in rows.timelines[0].spans] == [ledger[row.uid] for row in rows.timelines[0].spans]
    sources = {error.name for row in rows.timelines[0].spans for error in again[row.uid].errors}
    assert any(source.startswith("coefficients:J, fitted with") for source in sources)


def test_each_boot_is_frozen_as_it_was_fitted() -> None:
    """Of the same engine by name, which costs twice as much after the second boot."""
    parts = []
    for boot, cost in (("before", SLOW), ("after", replace(SLOW, joules_of=(2.0, 0.4, 0.6, 0.0)))):
        served = share_device([(stream(5, 30, (50, 400), (20, 80), 300), Instance("m", cost))], 5)
        [timeline] = to_rows(served, traces(served), METERS["perfect"], 5).timelines
        parts.append(replace(timeline, boot_id=boot))
    rows = Rows(timelines=parts)
    ledger = build(rows, policy="affine")
    assert len(fitted(ledger)) == 2
    assert energies(build(rows, policy=ledger.plan)) == energies(ledger)
    # Whatever the order of the boots, and for each by itself.
    assert energies(build(Rows(timelines=parts[::-1]), policy=ledger.plan)) == energies(ledger)[::-1]
    assert energies(build(Rows(timelines=parts[:1]), policy=ledger.plan)) == energies(ledger)[:1]
    # Of a third boot it is not known which of the two holds: it is fitted by itself.
    third = Rows(timelines=[replace(parts[0], boot_id="third")])
    assert energies(build(third, policy=ledger.plan)) == energies(ledger)[:1]
