"""Whose joules they are in cases that are easy to get wrong; the properties in general are in tests/properties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from greengen.accounting.choice import Plan
from greengen.accounting.ledger import Ledger, build
from greengen.accounting.policies import Choice, Coefficients, Weights
from greengen.collector import Domain
from greengen.errors import PolicyError
from greengen.rows import Engine, EngineStep, Phase, Rows, Segment, Series, SpanRow, Stint, Timeline

S = 10**9


def request(name: str, t0_s: int = 0, t1_s: int = 10, **more: object) -> SpanRow:
    return replace(SpanRow(name, "p", None, "request", t0_s * S, t1_s * S, "a"), **more)  # type: ignore[arg-type]


def ten_watts(
    spans: Sequence[SpanRow],
    steps: Sequence[EngineStep] = (),
    stints: Sequence[Stint] = (),
    engines: Sequence[Engine] = (),
) -> Rows:
    """Two accelerators that draw 10 W each for 10 s."""
    boards = [Domain(f"gpu{i}", "c", "gpu", f"GPU {i}", max_power_w=50.0) for i in range(2)]
    times = [second * S for second in range(11)]
    samples = {board.uid: Series(times, [10.0 * i for i in range(11)], [S] * 11) for board in boards}
    segment = Segment("s", "p", 0, 10 * S, 0, {"interval_s": 1.0})
    timeline = Timeline("boot", "host", domains=boards, samples=samples, segments=[segment])
    timeline.spans, timeline.steps, timeline.stints, timeline.engines = [*spans], [*steps], [*stints], [*engines]
    return Rows(timelines=[timeline])


def told(ledger: Ledger, board: int = 0) -> dict[str, float]:
    [chapter] = ledger.chapters
    books = chapter.entries[board].books
    return {row.uid: float(books.span_j[i]) for i, row in enumerate(chapter.table.rows)}


def joules(rows: Rows, policy: str | Plan = "auto", board: int = 0) -> dict[str, float]:
    return told(build(rows, policy=policy), board)


def step(seq: int, t0_s: int, t1_s: int, padding: int = 0, engine: str = "e") -> EngineStep:
    return EngineStep(engine, seq, t0_s * S, t1_s * S, padding)


def by_steps(**given: float) -> Plan:
    return Plan("affine", given=Coefficients(**given))


def test_requests_of_one_model_that_tell_unequally_much_are_two_groups() -> None:
    told_all = request("r", input_tokens=5, output_tokens=5, phases=(Phase("decode", 2 * S),))
    tokens_only = request("s", input_tokens=5, output_tokens=5)
    rows = ten_watts([told_all, tokens_only])
    for policy in ("auto", "phase", "token"):
        ledger = build(rows, policy=policy)
        assert len({choice.group for choice in ledger.choices}) == 2
        assert joules(rows, ledger.plan) == told(ledger)


def test_a_prompt_that_was_computed_in_two_parts_has_its_tokens_once() -> None:
    marks = (Phase("decode", 2 * S), Phase("prefill", 4 * S), Phase("decode", 8 * S))
    interrupted = request("r", input_tokens=60, output_tokens=1, phases=marks)
    at_once = request("s", input_tokens=100, output_tokens=1, phases=(Phase("decode", 10 * S),))
    # 10 tokens/s each, while both read; while one does not, all is the other's.
    assert joules(ten_watts([interrupted, at_once]), "phase") == pytest.approx({"r": 30.0, "s": 70.0})


def test_tokens_of_a_request_without_a_first_token_are_counted_once() -> None:
    marks = (Phase("prefill", 2 * S), Phase("transfer", 6 * S))
    passed_on = request("r", input_tokens=80, output_tokens=0, phases=marks)
    other = request("s", input_tokens=100, output_tokens=0)
    assert joules(ten_watts([passed_on, other]), "token") == pytest.approx({"r": 40.0, "s": 60.0})


def test_between_its_steps_an_engine_s_requests_use_its_devices() -> None:
    rows = ten_watts([request("r")], [step(1, 2, 4), step(2, 6, 8)], [Stint("e", "r", 1, 2, 0, 1)])
    rows.timelines[0].engines = [Engine("e", "p", "a", ("gpu0",))]
    assert joules(rows, "token") == pytest.approx({"r": 80.0})
    assert joules(rows, "token", board=1) == {"r": 0.0}


def test_a_request_that_goes_on_at_another_engine_is_between_the_steps_of_that_one_only() -> None:
    """And on its way, from 2 s to 4 s, at neither: no engine works for it."""
    engines = [Engine("e", "p", "a", ("gpu0",)), Engine("f", "p", "a", ("gpu1",))]
    steps = [step(1, 1, 2), step(1, 4, 5, engine="f"), step(2, 7, 8, engine="f")]
    stints = [Stint("e", "r", 1, 1, 9), Stint("f", "r", 1, 2, 0, 1)]
    rows = ten_watts([request("r")], steps, stints, engines)
    assert joules(rows, "token") == pytest.approx({"r": 10.0})
    assert joules(rows, "token", board=1) == pytest.approx({"r": 60.0})


def test_who_waits_for_a_step_of_another_engine_does_not_count_beside_it() -> None:
    """From 2 s to 8 s: the step of `f` that serves `s`, and a span of its own; `r` has its steps before and after."""
    steps = [step(1, 0, 2), step(2, 8, 10), step(1, 2, 8, engine="f")]
    stints = [Stint("e", "r", 1, 2, 0, 1), Stint("f", "s", 1, 1, 0, 1)]
    other = replace(request("t", 2, 8), kind="tool")
    rows = ten_watts([request("r"), request("s", 2, 8), other], steps, stints)
    assert joules(rows, by_steps(fixed=1.0)) == pytest.approx({"r": 40.0, "s": 30.0, "t": 30.0})
    assert joules(rows, "equal") == pytest.approx({"r": 40.0, "s": 30.0, "t": 30.0})


def test_steps_at_once_share_by_cost_over_length_and_the_rest_by_heads() -> None:
    """A step of 10 s that costs 4, one of 5 s that costs 6: 0.4 against 1.2 while both run."""
    steps = [step(1, 0, 10), step(1, 0, 5, engine="f")]
    stints = [Stint("e", "r", 1, 1, 2, 0), Stint("f", "s", 1, 1, 4, 0)]
    rows = ten_watts([request("r"), request("s")], steps, stints)
    given = by_steps(fixed=2.0, prefill=1.0)
    # Its step over, `s` waits beside the other one.
    assert joules(rows, given) == pytest.approx({"r": 12.5 + 50.0, "s": 37.5})
    with_another = ten_watts([request("r"), request("s"), replace(request("t", 0, 5), kind="tool")], steps, stints)
    third = 50.0 / 3
    assert joules(with_another, given) == pytest.approx({"r": third / 2 + 50.0, "s": third * 3 / 2, "t": third})


def test_only_between_groups_of_no_common_unit_nothing_is_known_but_how_many_live() -> None:
    """The doubt about a moment: a factor of 1.3 among requests of known steps, of 2 beside anything else."""
    steps = [step(1, 0, 10), step(1, 0, 5, engine="f")]
    stints = [Stint("e", "r", 1, 1, 2, 0), Stint("f", "s", 1, 1, 4, 0)]
    requests, other = [request("r"), request("s")], replace(request("t", 2, 5), kind="tool")

    def doubted(spans: Sequence[SpanRow], plan: str | Plan) -> set[float]:
        shares = build(ten_watts(spans, steps, stints), policy=plan).chapters[0].entries[0].books.shares
        doubts = [np.exp(part.doubt[(part.head + part.rate) > 0] * 1.959964) for part in shares.parts]
        return set(np.concatenate(doubts).round(3).tolist())

    given = by_steps(fixed=2.0, prefill=1.0)
    assert doubted(requests, given) == {1.3}
    assert doubted([*requests, other], given) == {1.3, 2.0}
    assert doubted(requests, "token") == {2.0}


def test_a_step_of_nobody_is_not_between_the_steps() -> None:
    """Whether or not it lies beside others."""
    steps = [step(1, 2, 4), step(2, 3, 5), step(3, 6, 7), step(4, 8, 9)]
    stints = [Stint("e", "r", 1, 1, 0, 1), Stint("e", "r", 4, 4, 0, 1)]
    assert joules(ten_watts([request("r")], steps, stints), "token") == pytest.approx({"r": 60.0})


def test_several_sequences_of_a_request_pay_for_one() -> None:
    spans, steps = [request("r"), request("s")], [step(k, k, k + 1) for k in range(10)]
    one = [Stint("e", "r", 0, 9, 0, 2, 30, 2), Stint("e", "s", 0, 9, 0, 1, 7, 1)]
    two = [
        Stint("e", "r", 0, 9, 0, 1, 10, 1),
        Stint("e", "r", 1, 9, 0, 1, 21, 1),
        Stint("e", "r", 0, 0, 0, 1, 20),
        one[1],
    ]
    plan = by_steps(fixed=10.0, decode=1.0, context=0.5)
    assert joules(ten_watts(spans, steps, two), plan) == pytest.approx(joules(ten_watts(spans, steps, one), plan))


def test_tokens_for_nobody_are_shared_equally_though_the_step_itself_is_free() -> None:
    stints = [Stint("e", "r", 1, 1, 0, 1), Stint("e", "s", 1, 1, 0, 3)]
    rows = ten_watts([request("r"), request("s")], [step(1, 0, 10, padding=6)], stints)
    assert joules(rows, by_steps(decode=2.0)) == pytest.approx({"r": 40.0, "s": 60.0})


def test_an_engine_whose_steps_are_numbered_anyhow() -> None:
    """No recording of greengen's is, but a stranger's log may be."""
    steps, stints = [step(9, 0, 2), step(3, 2, 6), step(4, 6, 10)], [Stint("e", "r", 3, 3, 0, 1), Stint("e", "s", 4, 9)]
    rows = ten_watts([request("r"), request("s")], steps, stints)
    assert joules(rows, "equal") == pytest.approx({"r": 40.0, "s": 60.0})
    assert joules(ten_watts(rows.timelines[0].spans, steps[::-1], stints), "equal") == joules(rows, "equal")


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1.0, 1e200, 1e300])
def test_only_ratios_of_weights_matter_however_great_or_small(scale: float) -> None:
    stints = [Stint("e", "r", 1, 1, 0, 1, 5), Stint("e", "s", 1, 1, 40, 0)]
    rows = ten_watts([request("r"), request("s")], [step(1, 0, 10, padding=6)], stints)
    ledger = build(rows, policy=by_steps(fixed=4 * scale, prefill=0.25 * scale, decode=scale, context=scale))
    # 10 for the step and its padding, half of it each; 6 and 10 for their tokens.
    assert told(ledger) == pytest.approx({"r": 1100 / 26, "s": 1500 / 26})
    assert ledger["r"].low is not None
    assert 0 < ledger["r"].low < (ledger["r"].high or 0.0) < np.inf


@pytest.mark.parametrize(
    "given",
    [
        Weights(np.array([-1.0, 1.0]), np.zeros(2)),
        Weights(np.array([np.nan, 1.0]), np.zeros(2)),
        Weights(np.array([np.inf, 1.0]), np.zeros(2)),
        Weights(np.ones(2), np.array([0.0, -1e-9])),
        Weights(np.ones(3), np.zeros(3)),
        Weights(np.ones(2), np.zeros(1)),
        Weights(np.ones((2, 1)), np.zeros((2, 1))),
        Weights(np.ones(2), np.zeros(2), fixed=-1.0),
        Weights(np.ones(2), np.zeros(2), fixed=np.nan),
        Weights(np.ones(2), np.zeros(2), fixed=np.inf),
        Weights(np.ones(2), np.zeros(2), padding=-1.0),
        Weights(np.ones(2), np.zeros(2), fixed=1.0, padding=np.inf),
        Weights(np.ones(2), np.zeros(2), fixed=np.ones(2)),  # type: ignore[arg-type]
        Weights(["many", "few"], np.zeros(2)),  # type: ignore[arg-type]
        Weights(None, None),  # type: ignore[arg-type]
        np.ones(2),
        None,
    ],
)
def test_what_are_no_weights_is_an_error_that_names_the_policy(given: Weights) -> None:
    plan = Plan("mine", extra={"mine": lambda rows, _: given if rows.level == "time" else "no"})
    with pytest.raises(PolicyError, match="'mine' gave"):
        build(ten_watts([request("r"), request("s")]), policy=plan)


@pytest.mark.parametrize("given", [Coefficients(fixed=5.0), Coefficients(context=0.1)])
def test_what_a_step_costs_says_nothing_of_phases(given: Coefficients) -> None:
    marks = (Phase("decode", 5 * S),)
    rows = ten_watts([request("r", input_tokens=5, output_tokens=6, phases=marks)])
    assert joules(rows, Plan("phase", given=given)) == joules(rows, "phase") == {"r": 100.0}
    both = ten_watts([request(uid, input_tokens=n, output_tokens=n, phases=marks) for uid, n in (("r", 5), ("s", 9))])
    assert joules(both, Plan("phase", given=given)) == joules(both, "phase")


def test_a_policy_of_a_third_party_falls_back_with_a_reason() -> None:
    plan = Plan("mine", extra={"mine": lambda rows, _: "it rains" if rows.level == "time" else "no"})
    ledger = build(ten_watts([request("r")]), policy=plan)
    assert told(ledger) == {"r": 100.0}
    assert [(choice.policy, choice.fallback) for choice in ledger.choices] == [("equal", "mine: it rains")]


def test_a_frozen_plan_that_cannot_be_applied_is_an_error() -> None:
    rows = ten_watts([request("r")])
    for name, said in (("mine", "'mine' is not here"), ("affine", "'affine' cannot be used on spans: no engine steps")):
        with pytest.raises(PolicyError, match=said):
            build(rows, policy=Plan(frozen={"spans": Choice("spans", name)}))
    served = ten_watts([request("r")], [step(1, 0, 10)], [Stint("e", "r", 1, 1, 1)])
    bad = Choice("engine (1)", "affine", Coefficients(prefill=-1.0))
    with pytest.raises(PolicyError, match="negative"):
        build(served, policy=Plan(frozen={"engine (1)": bad}))


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_coefficients_that_cannot_be_are_refused(bad: float) -> None:
    with pytest.raises(PolicyError, match="not possible"):
        Plan("affine", given=Coefficients(fixed=bad))


@pytest.mark.parametrize(
    ("name", "hint"), [("fase", "did you mean 'phase"), ("tokens", "did you mean 'token"), ("", "there is auto")]
)
def test_a_policy_that_is_not_there_is_refused(name: str, hint: str) -> None:
    with pytest.raises(PolicyError, match=hint):
        Plan(name)
