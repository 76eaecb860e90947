"""Leave one out, by brute force: what each step costs with a request and without it, in exact fractions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from greengen.accounting.choice import Plan
from greengen.accounting.ledger import Ledger, build
from greengen.accounting.marginal import marginals
from greengen.accounting.policies import Coefficients
from greengen.accounting.stepcost import StepCost, step_costs
from greengen.rows import Engine, EngineStep, Rows, Segment, Series, SpanRow, Stint, Timeline
from tests.properties.oracle import Stretch
from tests.properties.serving import BOARDS, coefficients, serving
from tests.properties.strategies import MS, Case

NOTHING = Fraction(0)


class Game:
    """One step of an engine: what it costs by who takes part."""

    def __init__(self, timeline: Timeline, step: EngineStep, prices: Coefficients) -> None:
        self.fixed, self.prefill, self.decode, self.context = map(Fraction, prices.as_tuple())
        known = {span.uid for span in timeline.spans}
        self.step = step
        self.parts = [
            stint
            for stint in timeline.stints
            if stint.engine == step.engine and stint.first <= step.seq <= stint.last and stint.span in known
        ]
        self.players = {stint.span for stint in self.parts}

    def costs(self, players: set[str]) -> Fraction:
        """Nothing where nobody takes part; else the step, its padding, and all that they do in it."""
        if not players:
            return NOTHING
        own = (self._own(stint) for stint in self.parts if stint.span in players)
        return self.fixed + self.decode * self.step.padding + sum(own, NOTHING)

    def lacks(self, player: str) -> Fraction:
        return self.costs(self.players) - self.costs(self.players - {player})

    def _own(self, stint: Stint) -> Fraction:
        context = stint.context + stint.growth * (self.step.seq - stint.first)
        return self.prefill * stint.prefill + self.decode * stint.decode + self.context * context


def _read(step: EngineStep, domains: Sequence[list[Stretch]]) -> Fraction:
    """Which part of a step's time was read in every domain, the worst of them."""
    if step.t1_ns <= step.t0_ns or not domains:
        return NOTHING
    return min(
        Fraction(
            sum(max(min(s.t1_ns, step.t1_ns) - max(s.t0_ns, step.t0_ns), 0) for s in stretches if s.joules is not None),
            step.t1_ns - step.t0_ns,
        )
        for stretches in domains
    )


def _costs(ledger: Ledger, given_: Coefficients) -> dict[str, StepCost]:
    [chapter] = ledger.chapters
    return {cost.engine: cost for cost in step_costs(chapter.entries, chapter.choices, given_)}


def _close(found: float, truth: Fraction, whole: Fraction) -> bool:
    # A dozen digits of the whole: a step's part that was read is a difference of times.
    return abs(found - float(truth)) <= 1e-9 * float(whole) + 1e-12


@st.composite
def crowded(draw: st.DrawFn) -> Case:
    """One engine that never pauses, whose every step several requests are in: a prompt, then tokens one by one."""
    count = draw(st.integers(1, 6))
    edges = [i * 100 * MS for i in range(count + 1)]
    steps = [EngineStep("e", i, a, b, draw(st.sampled_from((0, 0, 3)))) for i, (a, b) in enumerate(pairwise(edges))]
    spans, stints = [], []
    for number in range(draw(st.integers(1, 3))):
        first = draw(st.integers(0, count - 1))
        last = draw(st.integers(first, count - 1))
        spans.append(SpanRow(f"p/{number}", "p", None, "request", edges[first], edges[last + 1], "a"))
        stints.append(Stint("e", f"p/{number}", first, first, prefill=draw(st.integers(0, 9))))
        if last > first:
            stints.append(Stint("e", f"p/{number}", first + 1, last, decode=1, context=9, growth=1))
    # The last of the steps were not read, or one of them in part.
    read = draw(st.sampled_from(edges[1:])) + draw(st.sampled_from((0, 0, 30 * MS)))
    joules = [0.0, float(draw(st.integers(1, 90)))]
    timeline = Timeline(
        "boot",
        "host",
        domains=[BOARDS[0]],
        samples={BOARDS[0].uid: Series([0, read], joules, [read, read])},
        spans=spans,
        engines=[Engine("e", "p", "a")],
        steps=steps,
        stints=stints,
        segments=[Segment("s", "p", 0, max(read, edges[-1]), 0, {"interval_s": 0.1})],
    )
    stretch = Stretch(0, read, Fraction(joules[1]))
    return Case(Rows(timelines=[timeline]), {("boot", BOARDS[0].uid): [stretch]})


@given(crowded() | serving(), coefficients)
def test_a_margin_is_what_the_steps_would_lack(case: Case, prices: Coefficients) -> None:
    [timeline] = case.rows.timelines
    ledger = build(case.rows, policy=Plan("affine", given=prices))
    [chapter] = ledger.chapters
    found = _costs(ledger, prices)
    for uid, cost in found.items():
        stretches = [case.truth[timeline.boot_id, entries.books.domain.uid] for entries in cost.domains]
        games = [Game(timeline, step, prices) for step in timeline.steps if step.engine == uid]
        weights = [_read(game.step, stretches) for game in games]
        whole = sum((w * game.costs(game.players) for w, game in zip(weights, games, strict=True)), NOTHING)
        for i, row in enumerate(chapter.table.rows):
            mine = [(w, game) for w, game in zip(weights, games, strict=True) if row.uid in game.players]
            units = float(cost.adds[i] @ list(prices.as_tuple()))
            lacks = sum((w * game.lacks(row.uid) for w, game in mine), NOTHING)
            assert _close(units, lacks, whole)
            # Not below 0, and not above what the steps would have cost for it alone.
            alone = sum((w * game.costs({row.uid}) for w, game in mine), NOTHING)
            assert 0 <= units <= float(alone) * (1 + 1e-9) + 1e-12
            assert cost.steps[i] == len(mine)
            assert cost.alone[i] == sum(len(game.players) == 1 for _, game in mine)
        assert float((cost.adds @ list(prices.as_tuple())).sum()) <= float(whole) * (1 + 1e-9) + 1e-12
        if cost.scale is not None:
            assert cost.predicted_j is not None
            assert _close(cost.predicted_j, Fraction(cost.scale) * whole, Fraction(cost.predicted_j))


@given(crowded() | serving(), coefficients)
def test_the_unit_of_what_is_given_does_not_matter(case: Case, prices: Coefficients) -> None:
    others = Coefficients(*(4.0 * price for price in prices.as_tuple()))
    tables = [marginals(build(case.rows, policy=Plan("affine", given=unit))) for unit in (prices, others)]
    for one, other in zip(*(table.rows for table in tables), strict=True):
        assert (one.steps, one.alone, one.marginal.known) == (other.steps, other.alone, other.marginal.known)
        if one.marginal.value is not None and other.marginal.value is not None:
            assert abs(one.marginal.value - other.marginal.value) <= 1e-9 * one.marginal.value


@given(crowded() | serving(), coefficients)
def test_margins_sum_to_no_more_than_the_steps_cost(case: Case, prices: Coefficients) -> None:
    """And what was attributed sums to the joules that the engines' steps had on their domains."""
    table = marginals(build(case.rows, policy=Plan("affine", given=prices)))
    known = [engine for engine in table.engines if engine.cost.scale is not None]
    most = sum(engine.cost.predicted_j or 0.0 for engine in known)
    assert (table.marginal.value or 0.0) <= most * (1 + 1e-9) + 1e-12
    for row in table.rows:
        assert row.marginal.value is None or row.marginal.value >= 0
        assert row.marginal.known or row.marginal.reason
    for engine in known:
        booked = sum(float(joules.sum()) for joules in engine.cost.step_j.values())
        assert engine.metered.value is None or abs(engine.metered.value - booked) <= 1e-9 * booked
