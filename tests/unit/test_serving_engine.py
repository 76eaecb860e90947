"""The simulated engine: every request gets its tokens, within the engine's limits."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given

from greengen.testing.serving.costs import Affine, Roofline
from greengen.testing.serving.engine import Engine, Scheduler
from greengen.testing.serving.serve import Instance, Served, prefill_and_decode, serve, share_device
from greengen.testing.serving.workload import SEEDS, WORKLOADS, Request
from tests.unit.serving_runs import START_NS, served, several

Part = tuple[int, int, int, int]


def parts_of(run: Served, number: int, stream: int = 0) -> list[Part]:
    """(step, prefill, decode, context) of a request, in order."""
    steps = run.steps[stream]
    mine = np.flatnonzero(steps.request == number)
    columns = (steps.step, steps.prefill, steps.decode, steps.context)
    return list(zip(*(column[mine].tolist() for column in columns), strict=True))


def alone(engine: Engine, *sizes: tuple[int, int]) -> Served:
    return serve(several(*sizes), Instance("m", Affine(), engine), 1)


@given(served())
def test_every_request_gets_its_tokens(run: Served) -> None:
    engine = run.instances[0].engine
    for number, (request, life) in enumerate(zip(run.requests, run.lives, strict=True)):
        assert life.output_tokens == request.output_tokens
        parts = parts_of(run, number)
        assert parts[0][3] == life.cached_tokens <= request.prefix_tokens
        written, restarts = life.cached_tokens, 0
        for _, prefill, decode, context in parts:
            if context < written - engine.draft_tokens:
                restarts += 1
            assert (prefill > 0) != (decode > 0)
            assert decode <= 1 + engine.draft_tokens
            written = context + prefill + decode
        assert restarts <= life.preemptions
        computed = sum(prefill for _, prefill, _, _ in parts)
        decoded = sum(decode for _, _, decode, _ in parts)
        if not life.preemptions:
            assert computed == request.prompt_tokens - life.cached_tokens
            if not engine.draft_tokens:
                assert decoded == max(request.output_tokens - 1, 0)
                assert [c for *_, c in parts[1:]] == [c + p + d for _, p, d, c in parts[:-1]]
        else:
            assert computed > request.prompt_tokens - life.cached_tokens - engine.block


@given(served())
def test_no_step_exceeds_the_limits(run: Served) -> None:
    engine, steps = run.instances[0].engine, run.steps[0]
    tokens = np.bincount(steps.step, steps.prefill + steps.decode, minlength=len(steps))
    blocks = -(-(steps.context + steps.prefill + steps.decode) // engine.block)
    assert (steps.size > 0).all()
    assert steps.size.max() <= engine.max_seqs
    assert tokens.max() <= engine.token_budget
    assert np.bincount(steps.step, blocks).max() <= engine.kv_tokens // engine.block
    assert (steps.t1_ns > steps.t0_ns).all()
    if run.instances[0].stages == 1:
        assert (steps.t0_ns[1:] >= steps.t1_ns[:-1]).all()


@given(served())
def test_times_are_those_of_the_steps(run: Served) -> None:
    steps = run.steps[0]
    for number, (request, life) in enumerate(zip(run.requests, run.lives, strict=True)):
        parts = parts_of(run, number)
        assert life.arrival_ns == request.arrival_ns
        assert life.scheduled_ns == steps.t0_ns[parts[0][0]] >= request.arrival_ns
        assert life.end_ns == steps.t1_ns[parts[-1][0]]
        assert (life.first_token_ns is None) == (request.output_tokens == 0)
        times = [phase.t0_ns for phase in life.phases]
        assert times == sorted(times)
        assert [phase.kind for phase in life.phases].count("queue") == life.preemptions


@given(served(most=6))
def test_the_same_seed_gives_the_same_run(run: Served) -> None:
    first, second = (serve(run.requests, run.instances[0], 5) for _ in range(2))
    assert first.lives == second.lives
    assert first.draws == second.draws


@given(served())
def test_many_steps_at_once_are_those_one_by_one(run: Served) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scheduler, "coasting", lambda _: None)
        slow = serve(run.requests, run.instances[0], 5)
    fast = serve(run.requests, run.instances[0], 5)
    assert [life.output_tokens for life in fast.lives] == [life.output_tokens for life in slow.lives]
    assert [life.phases for life in fast.lives] == [life.phases for life in slow.lives]
    for name in ("t0_ns", "t1_ns", "padding", "first", "request", "prefill", "decode", "context"):
        assert getattr(fast.steps[0], name).tolist() == getattr(slow.steps[0], name).tolist()
    assert fast.steps[0].joules == pytest.approx(slow.steps[0].joules, rel=1e-12)


def test_a_long_prompt_comes_in_chunks_beside_decodes() -> None:
    run = alone(Engine(token_budget=100), (10, 9), (250, 2))
    chunks = [(p, c) for _, p, d, c in parts_of(run, 1) if not d]
    assert chunks == [(90, 0), (99, 90), (61, 189)]
    assert [step for step, *_ in parts_of(run, 0)] == list(range(9))


def test_a_full_cache_preempts_the_latest_and_it_starts_again() -> None:
    run = alone(Engine(kv_tokens=160), (60, 40), (60, 40))
    assert [life.preemptions for life in run.lives] == [0, 1]
    contexts = [context for *_, context in parts_of(run, 1)]
    restart = contexts.index(0, 1)
    [(_, again, _, _)] = parts_of(run, 1)[restart : restart + 1]
    # Its prompt and what it had got are computed once more.
    assert again == contexts[restart - 1] + 2
    assert [phase.kind for phase in run.lives[1].phases] == ["prefill", "decode", "queue", "prefill", "decode"]


def test_a_request_that_never_fits_is_refused() -> None:
    with pytest.raises(ValueError, match="request 0 needs more than the 64 tokens"):
        alone(Engine(kv_tokens=64), (60, 10))


def test_a_shared_prefix_is_computed_once() -> None:
    requests = [Request(START_NS + i * 10**9, 100, 3, prefix=0, prefix_tokens=64) for i in range(2)]
    run = serve(requests, Instance("m", Affine()), 1)
    assert [life.cached_tokens for life in run.lives] == [0, 64]
    assert parts_of(run, 1)[0][1:] == (36, 0, 64)


def test_drafts_are_scheduled_and_some_accepted() -> None:
    run = alone(Engine(draft_tokens=3, acceptance=0.7), (20, 400))
    decodes = [(d, c) for _, p, d, c in parts_of(run, 0) if not p]
    assert {d for d, _ in decodes} == {4}
    gained = np.diff([c for _, c in decodes])
    assert set(gained.tolist()) == {1, 2, 3, 4}
    # 1 + 0.7 + 0.49 + 0.343
    assert gained.mean() == pytest.approx(2.53, rel=0.1)


def test_only_decodes_are_padded() -> None:
    run = alone(Engine(graph_sizes=(1, 4, 8)), (10, 5), (10, 5), (10, 2))
    assert run.steps[0].padding.tolist() == [0, 1, 2, 2, 2]


def test_a_failed_request_ends_without_a_token() -> None:
    run = serve([replace(several((30, 0))[0], outcome="failed")], Instance("m", Affine()), 1)
    assert run.lives[0].first_token_ns is None
    assert parts_of(run, 0) == [(0, 30, 0, 0)]


def test_models_take_turns_on_a_device() -> None:
    streams = [(several((50, 20)), Instance("a", Affine())), (several((50, 20)), Instance("b", Affine()))]
    run = share_device(streams, 1)
    draws = run.draws["sim:gpu-0"]
    assert all(before[1] <= after[0] for before, after in pairwise(draws))
    assert [len(steps) for steps in run.steps] == [20, 20]
    # Never two steps of one model in a row while the other waits.
    begins = sorted((t, n) for n, steps in enumerate(run.steps) for t in steps.t0_ns.tolist())
    assert [n for _, n in begins] == [0, 1] * 20


def test_a_pipeline_overlaps_its_micro_batches() -> None:
    instance = Instance("m", Affine(), devices=("sim:gpu-0", "sim:gpu-1"), stages=2)
    run = serve(several((50, 40), (50, 40)), instance, 1)
    steps = run.steps[0]
    assert (steps.t0_ns[2:-1] < steps.t1_ns[1:-2]).all()
    for draws in run.draws.values():
        assert all(before[1] <= after[0] for before, after in pairwise(draws))
    drawn = sum(joules for draws in run.draws.values() for *_, joules in draws)
    assert drawn == pytest.approx(steps.joules.sum())


def test_pools_share_a_request() -> None:
    pools = (Instance("m", Affine(), devices=("sim:gpu-0",)), Instance("m", Affine(), devices=("sim:gpu-1",)))
    run = prefill_and_decode(several((100, 5), (100, 1)), *pools, 1, transfer_s=0.5)
    assert [part[1:] for part in parts_of(run, 0, 0)] == [(100, 0, 0)]
    assert [part[1:] for part in parts_of(run, 0, 1)] == [(0, 1, 100 + i) for i in range(4)]
    assert parts_of(run, 1, 1) == []
    assert [(phase.kind, phase.devices) for phase in run.lives[0].phases] == [
        ("prefill", ("sim:gpu-0",)),
        ("transfer", ("sim:gpu-0", "sim:gpu-1")),
        ("decode", ("sim:gpu-1",)),
    ]
    assert run.lives[0].output_tokens == 5


@pytest.mark.parametrize("name", WORKLOADS)
@pytest.mark.parametrize("cost", [Affine(), Roofline()], ids=["affine", "roofline"])
def test_a_stream_keeps_the_batch_that_was_asked_for(name: str, cost: Affine | Roofline) -> None:
    workload = WORKLOADS[name]
    found = [
        serve(workload.stream(8.0, cost, 60, seed), Instance("m", cost), seed).steps[0].mean_batch for seed in SEEDS[:3]
    ]
    assert np.mean(found) == pytest.approx(8.0, rel=0.4)


def test_a_workload_has_the_fates_and_the_rate_that_it_says() -> None:
    workload = replace(WORKLOADS["chat"], aborted=0.2, failed=0.1)
    requests = workload.requests(4000, 10.0, 1)
    assert requests == workload.requests(4000, 10.0, 1)
    assert requests != workload.requests(4000, 10.0, 2)
    outcomes = [request.outcome for request in requests]
    assert outcomes.count("aborted") == pytest.approx(800, rel=0.1)
    assert outcomes.count("failed") == pytest.approx(400, rel=0.15)
    assert {request.output_tokens for request in requests if request.outcome == "failed"} == {0}
    assert min(request.output_tokens for request in requests if request.outcome != "failed") >= 1
    assert requests[-1].arrival_ns - START_NS == pytest.approx(400e9, rel=0.1)
    assert np.mean([request.prefix >= 0 for request in requests]) == pytest.approx(0.5, abs=0.05)
    unshared = [request.prompt_tokens for request in requests if request.prefix < 0]
    assert np.mean(unshared) == pytest.approx(workload.mean_prompt, rel=0.1)
