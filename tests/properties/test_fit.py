"""The fit: non-negative least squares by its own conditions and by brute force, and a truth found again."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from greengen.accounting.curves import Floats
from greengen.accounting.ledger import build
from greengen.accounting.squares import nonnegative
from greengen.collector import Domain
from greengen.rows import Engine, EngineStep, Rows, Segment, Series, SpanRow, Stint, Timeline

MS = 10**6

Columns = list[list[int]]


def _solved(columns: Columns, energy: list[int]) -> list[Fraction] | None:
    """Least squares by the normal equations, in fractions; None where the columns are not independent."""
    n = len(columns)
    rows = [
        [Fraction(sum(x * y for x, y in zip(a, b, strict=True))) for b in columns]
        + [Fraction(sum(x * y for x, y in zip(a, energy, strict=True)))]
        for a in columns
    ]
    for i in range(n):
        pivot = next((k for k in range(i, n) if rows[k][i]), None)
        if pivot is None:
            return None
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(n):
            if k != i and rows[k][i]:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [row[-1] for row in rows]


def _left(columns: Columns, energy: list[int], solution: list[Fraction]) -> Fraction:
    fitted = [
        sum((x * c for x, c in zip(row, solution, strict=True)), Fraction(0)) for row in zip(*columns, strict=True)
    ]
    return sum(((e - f) ** 2 for e, f in zip(energy, fitted, strict=True)), Fraction(0))


def _least(columns: Columns, energy: list[int]) -> Fraction:
    """The least sum of squares that any solution without a negative leaves."""
    best = Fraction(sum(e * e for e in energy))
    for size in range(1, len(columns) + 1):
        for chosen in combinations(columns, size):
            solution = _solved(list(chosen), energy)
            if solution is not None and min(solution) >= 0:
                best = min(best, _left(list(chosen), energy, solution))
    return best


@st.composite
def problems(draw: st.DrawFn) -> tuple[Columns, list[int]]:
    """Few features: plain ones, some of them all 0, and copies, multiples and sums of others."""
    windows = draw(st.integers(4, 9))
    column = st.lists(st.integers(0, 9), min_size=windows, max_size=windows)
    columns = draw(st.lists(column, min_size=1, max_size=3))
    for _ in range(draw(st.integers(0, 2))):
        a, b = draw(st.sampled_from(columns)), draw(st.sampled_from(columns))
        times = draw(st.integers(0, 3))
        columns.append([x + times * y for x, y in zip(a, b, strict=True)] if times < 3 else [0] * windows)
    return columns, draw(st.lists(st.integers(0, 99), min_size=windows, max_size=windows))


def _design(columns: Columns) -> Floats:
    return np.array(columns, dtype=float).T


@given(problems(), st.sampled_from((1.0, 1e-6, 1e9)))
def test_it_leaves_no_more_than_the_best_solution_does(problem: tuple[Columns, list[int]], unit: float) -> None:
    columns, energy = problem
    solved = nonnegative(_design(columns) * unit, np.array(energy, dtype=float))
    if solved is None:
        assert not any(map(any, columns))
        return
    solution, covariance, explained = solved
    assert (solution >= 0).all()
    rest = float(((np.array(energy) - _design(columns) * unit @ solution) ** 2).sum())
    whole = float(sum(e * e for e in energy))
    assert rest <= float(_least(columns, energy)) + 1e-8 * max(whole, 1.0)
    assert np.isfinite(covariance).all()
    assert (np.linalg.eigvalsh(covariance * unit**2) >= -1e-6 * max(np.abs(covariance).max() * unit**2, 1.0)).all()
    assert explained <= 1.0


@given(problems())
def test_no_coefficient_could_be_changed_for_the_better(problem: tuple[Columns, list[int]]) -> None:
    """Karush, Kuhn and Tucker: along each used column nothing is left, along each unused one nothing to gain."""
    columns, energy = problem
    design = _design(columns)
    solved = nonnegative(design, np.array(energy, dtype=float))
    assume(solved is not None)
    assert solved is not None
    gradient = design.T @ (np.array(energy) - design @ solved[0])
    scale = np.abs(design).sum(axis=0) * max(energy) + 1.0
    assert (gradient <= 1e-7 * scale).all()
    assert (np.abs(gradient[solved[0] > 0]) <= 1e-7 * scale[solved[0] > 0]).all()


def _engine_run(costs: tuple[float, float, float, float], seed: int, idle_w: float, pauses: float = 0.1) -> Rows:
    """An engine whose every step costs what it should, read 50 times a second without an error."""
    rng = random.Random(seed)
    steps, stints, points = [], [], [(0, 0.0)]
    spans: list[SpanRow] = []
    fixed, per_prefill, per_decode, per_context = costs
    live: list[list[int]] = []
    at = 0
    for seq in range(1, 3000):
        if rng.random() < pauses:
            at += 40 * MS
            points.append((at, points[-1][1] + idle_w * 0.04))
        if len(live) < 12 and rng.random() < 0.3:
            spans.append(SpanRow(f"p/{len(spans)}", "p", None, "request", at, at, "a"))
            live.append([len(spans) - 1, 0, rng.randrange(5, 60), rng.choice((10, 200, 900))])
        padding = rng.choice((0, 0, 0, 4))
        cost, length = fixed + per_decode * padding, rng.randrange(5, 15) * MS
        for request in live:
            number, done, _, prompt = request
            prefill, decode, context = (prompt, 0, 0) if not done else (0, 1, prompt + done)
            cost += per_prefill * prefill + per_decode * decode + per_context * context
            stints.append(Stint("e", f"p/{number}", seq, seq, prefill, decode, context))
            request[1] += 1
        steps.append(EngineStep("e", seq, at, at + length, padding))
        at += length
        points.append((at, points[-1][1] + cost))
        for request in [r for r in live if r[1] >= r[2]]:
            live.remove(request)
            spans[request[0]] = _until(spans[request[0]], at)
    spans = [_until(span, at) if span.t1_ns == span.t0_ns else span for span in spans]
    times = list(range(0, at, 20 * MS))
    joules = np.interp(times, [t for t, _ in points], [j for _, j in points])
    board = Domain("gpu", "c", "gpu", "GPU")
    series = Series(times, [float(j) for j in joules], [20 * MS] * len(times))
    segment = Segment("s", "p", 0, at, 0, {"interval_s": 0.02})
    timeline = Timeline("boot", "host", domains=[board], samples={"gpu": series}, spans=spans, segments=[segment])
    timeline.engines, timeline.steps, timeline.stints = [Engine("e", "p", "a", ("gpu",))], steps, stints
    return Rows(timelines=[timeline])


def _until(span: SpanRow, t1_ns: int) -> SpanRow:
    return SpanRow(span.uid, span.process, None, "request", span.t0_ns, t1_ns, span.model)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("costs", [(2.0, 0.02, 0.4, 0.001), (5.0, 0.05, 0.0, 0.0), (0.0, 0.1, 1.0, 0.0)])
def test_what_a_step_costs_is_found_again(costs: tuple[float, float, float, float], seed: int) -> None:
    ledger = build(_engine_run(costs, seed, 25.0), policy="affine")
    [choice] = [choice for choice in ledger.choices if choice.policy == "affine"]
    assert choice.coefficients is not None
    assert not choice.fallback
    found = choice.coefficients.as_tuple()
    batch = (1.0, 30.0, 4.0, 2000.0)
    whole = sum(cost * amount for cost, amount in zip(costs, batch, strict=True))
    for cost, got, amount in zip(costs, found, batch, strict=True):
        assert abs(got - cost) * amount <= 0.02 * whole
    assert choice.sigma is not None
    assert choice.sigma <= 0.05
    assert choice.details["explained"] > 0.99


@pytest.mark.parametrize("seed", range(3))
def test_an_engine_that_never_pauses_is_fitted_from_all_of_its_windows(seed: int) -> None:
    costs = (2.0, 0.02, 0.4, 0.001)
    ledger = build(_engine_run(costs, seed, 25.0, pauses=0.0), policy="affine")
    [choice] = [choice for choice in ledger.choices if choice.policy == "affine"]
    assert choice.coefficients is not None
    assert choice.coefficients.as_tuple() == pytest.approx(costs, rel=1e-6)
    # 30 s of steps of 10 ms; a window holds ten readings of 20 ms.
    assert choice.details["windows"] > 130


def _pipeline(seed: int) -> Rows:
    """Two micro-batches at a time: a step of 40 ms begins every 20 ms, and costs 1 J and 0.5 J a token."""
    rng = random.Random(seed)
    steps, stints, joules = [], [], np.zeros(2002)
    spans: list[SpanRow] = []
    batches: tuple[list[list[int]], list[list[int]]] = ([], [])
    for seq in range(2000):
        batch = batches[seq % 2]
        if rng.random() < 0.15:
            batch.append([len(spans), rng.randrange(10, 80)])
            spans.append(SpanRow(f"p/{len(spans)}", "p", None, "request", 20 * seq * MS, 41_000 * MS, "a"))
        steps.append(EngineStep("e", seq, 20 * seq * MS, 20 * (seq + 2) * MS))
        stints += [Stint("e", f"p/{number}", seq, seq, 0, 1) for number, _ in batch]
        joules[seq : seq + 2] += (1.0 + 0.5 * len(batch)) / 2
        batch[:] = [[number, left - 1] for number, left in batch if left > 1]
    times = [20 * k * MS for k in range(2003)]
    read = [0.0, *map(float, np.cumsum(joules))]
    series = Series(times, read, [20 * MS] * len(times))
    segment = Segment("s", "p", 0, times[-1], 0, {"interval_s": 0.02})
    timeline = Timeline("boot", "host", domains=[Domain("gpu", "c", "gpu", "GPU")], samples={"gpu": series})
    timeline.spans, timeline.segments = spans, [segment]
    timeline.engines, timeline.steps, timeline.stints = [Engine("e", "p", "a", ("gpu",))], steps, stints
    return Rows(timelines=[timeline])


@pytest.mark.parametrize("seed", range(3))
def test_steps_that_overlap_leave_no_idle_time(seed: int) -> None:
    [choice] = [c for c in build(_pipeline(seed), policy="affine").choices if c.policy == "affine"]
    assert choice.coefficients is not None
    assert choice.coefficients.as_tuple() == pytest.approx((1.0, 0.0, 0.5, 0.0), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kept", [0.0, 0.7])
def test_errors_of_a_machine_that_wanders_are_as_wide_as_they_are(kept: float) -> None:
    """One in twenty lies beyond two standard uncertainties, also where neighbours are alike."""
    draw = np.random.default_rng(3)
    true = np.array([100.0, 4.0, 9.0])
    beyond = []
    for _ in range(150):
        # The load changes as slowly as the machine does: that is where alike neighbours tell little.
        load = 10.0 + 4.0 * np.array([_wandering(draw, 100, kept) for _ in true]).T
        noise = 30.0 * _wandering(draw, 100, kept)
        solved = nonnegative(load, load @ true + noise)
        assert solved is not None
        beyond.append(np.abs(solved[0] - true) > 2 * np.sqrt(np.diag(solved[1])))
    assert float(np.mean(beyond)) < 0.08


def _wandering(draw: np.random.Generator, count: int, kept: float) -> Floats:
    """An autoregression of standard deviation 1, of whose value so much is kept."""
    steps = draw.standard_normal(count)
    for i in range(1, count):
        steps[i] = kept * steps[i - 1] + np.sqrt(1.0 - kept**2) * steps[i]
    return steps


def test_what_is_explained_is_told_where_the_power_never_changes() -> None:
    """Windows are of one length: of an engine that never pauses each has about the same energy."""
    draw = np.random.default_rng(4)
    steps = np.column_stack((draw.uniform(1, 9, 50), draw.uniform(1, 9, 50)))
    # Each window is as long as its steps took, and all are cut to one length.
    steps /= (steps @ [1.0, 3.0] * draw.normal(1.0, 0.05, 50))[:, None]
    solved = nonnegative(steps, draw.normal(1.0, 0.01, 50))
    assert solved is not None
    assert solved[2] > 0.9


def test_a_machine_that_stood_still_for_a_while_costs_no_windows() -> None:
    """One step of an hour among 3000 of 10 ms: what is fitted rests on as many windows as without it."""
    costs = (2.0, 0.02, 0.4, 0.001)
    recorded = _engine_run(costs, 1, 25.0, pauses=0.0)
    [timeline] = recorded.timelines
    stood_ns, at = 3_600_000 * MS, timeline.steps[1500].t0_ns + 1

    def later(t_ns: int) -> int:
        return t_ns + (stood_ns if t_ns >= at else 0)

    timeline.spans = [replace(s, t0_ns=later(s.t0_ns), t1_ns=later(s.t1_ns or 0)) for s in timeline.spans]
    timeline.steps = [step._replace(t0_ns=later(step.t0_ns), t1_ns=later(step.t1_ns)) for step in timeline.steps]
    timeline.samples = {
        uid: replace(series, t_ns=list(map(later, series.t_ns))) for uid, series in timeline.samples.items()
    }
    timeline.segments = [replace(s, t1_ns=later(s.t1_ns or 0)) for s in timeline.segments]
    [choice] = [choice for choice in build(recorded, policy="affine").choices if choice.policy == "affine"]
    assert choice.coefficients is not None
    assert choice.coefficients.as_tuple() == pytest.approx(costs, rel=0.02)
    assert choice.details["windows"] > 130
