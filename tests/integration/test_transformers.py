"""transformers' continuous batching as it runs: a small Llama with random weights, on the CPU.

What a step was made of is checked against the tensors that reached the model in it.
"""

from __future__ import annotations

import gc
import queue
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import greengen
from greengen.errors import UsageError
from greengen.integrations.transformers import _prompt_tokens, continuous_batching
from greengen.rows import EngineStep, SpanRow, Timeline
from tests.integration.commands import balanced
from tests.integration.lazily import Library

if TYPE_CHECKING:
    import torch
    import transformers
else:
    torch, transformers = Library("torch"), Library("transformers")

#: Lengths that need several steps of 32 tokens, fit in one, or are a single token. None begins like another.
PROMPTS = [list(range(first, first + length)) for first, length in enumerate((5, 50, 33, 1))]
OUTPUT = 8


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=128,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        eos_token_id=None,
    )
    return transformers.LlamaForCausalLM(config).eval()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.greengen"


class Forward(NamedTuple):
    """What reached the model in one pass: its time, and of each sequence (tokens, tokens before them)."""

    t0_ns: int
    t1_ns: int
    sequences: Counter[tuple[int, int]]


@contextmanager
def watched(model: Any) -> Iterator[list[Forward]]:
    """The model's passes, seen from inside."""
    seen: list[Forward] = []
    began: list[int] = []

    def before(*_: object) -> None:
        began.append(time.monotonic_ns())

    def after(_model: object, _args: object, given: dict[str, Any], _output: object) -> None:
        places, starts = given["position_ids"][0].tolist(), given["cu_seq_lens_q"].tolist()
        lengths = Counter((end - start, places[start]) for start, end in pairwise(starts))
        seen.append(Forward(began[-1], time.monotonic_ns(), lengths))

    handles = [model.register_forward_pre_hook(before), model.register_forward_hook(after, with_kwargs=True)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def batching(**settings: Any) -> dict[str, Any]:
    """Arguments for a model's ways to batch: `settings` of the engine, or of the generation."""
    generation = {"max_new_tokens": OUTPUT, "do_sample": False}
    generation |= {name: settings.pop(name) for name in list(settings) if name in {*generation, "num_return_sequences"}}
    engine = {"num_blocks": 64, "page_size": 16, "max_batch_tokens": 32} | settings
    return {
        "generation_config": transformers.GenerationConfig(eos_token_id=-1, **generation),
        "continuous_batching_config": transformers.ContinuousBatchingConfig(**engine),
    }


def serve(model: Any, path: Path, prompts: Sequence[list[int]], **settings: Any) -> Timeline:
    """Serve `prompts` in a recording of their own; its rows."""
    with greengen.profile(path, interval_s=0.02), continuous_batching(model, name="tiny"):
        outputs = model.generate_batch(prompts, **batching(**settings))
    assert all(output.error is None for output in outputs.values())
    return timeline(path)


def timeline(path: Path) -> Timeline:
    [found] = greengen.Run(path).rows().timelines
    return found


def requests(line: Timeline) -> dict[str, SpanRow]:
    return {str(span.name): span for span in line.spans if span.kind == "request"}


def steps_of(line: Timeline, span: SpanRow) -> list[tuple[EngineStep, int, int, int]]:
    """The steps that served a request, with its tokens in each: prefill, decode, context."""
    steps = {step.seq: step for step in line.steps}
    found = [
        (steps[seq], stint.prefill, stint.decode, stint.context + stint.growth * (seq - stint.first))
        for stint in line.stints
        if stint.span == span.uid
        for seq in range(stint.first, stint.last + 1)
    ]
    return sorted(found)


def tokens_of(line: Timeline, span: SpanRow) -> tuple[int, int]:
    """All tokens computed for a request: prefill, decode."""
    steps = steps_of(line, span)
    return sum(step[1] for step in steps), sum(step[2] for step in steps)


def phases(span: SpanRow) -> list[str]:
    return [phase.kind for phase in span.phases]


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.002)


# -- steps ---------------------------------------------------------------------------------------------


def test_a_step_is_what_the_model_saw(model: Any, path: Path) -> None:
    with watched(model) as passes:
        line = serve(model, path, PROMPTS)
    assert len(line.steps) == len(passes) > OUTPUT
    recorded: dict[int, Counter[tuple[int, int]]] = {step.seq: Counter() for step in line.steps}
    for span in requests(line).values():
        for step, prefill, decode, context in steps_of(line, span):
            recorded[step.seq][prefill + decode, context] += 1
    assert [recorded[step.seq] for step in line.steps] == [one.sequences for one in passes]
    # Each pass lies in its step, and no step in another: what the engine is busy with is in one step.
    for step, one in zip(line.steps, passes, strict=True):
        assert step.t0_ns <= one.t0_ns < one.t1_ns <= step.t1_ns
    assert all(a.t1_ns <= b.t0_ns for a, b in pairwise(line.steps))
    assert {step.padding for step in line.steps} == {0}


def test_prompts_are_prefilled_and_all_but_the_first_token_decoded(model: Any, path: Path) -> None:
    line = serve(model, path, PROMPTS)
    found = requests(line)
    assert {name: span.input_tokens for name, span in found.items()} == {
        f"req_{number}": len(prompt) for number, prompt in enumerate(PROMPTS)
    }
    for span in found.values():
        assert (span.model, span.outcome, span.output_tokens, span.cached_tokens) == ("tiny", "ok", OUTPUT, 0)
        # The end of the prompt gives the first token.
        assert tokens_of(line, span) == (span.input_tokens, OUTPUT - 1)
        steps = steps_of(line, span)
        for (_, prefill, decode, before), (_, _, _, after) in pairwise(steps):
            assert after == before + prefill + decode
        assert phases(span) == ["prefill", "decode"]
        prompt, answer = span.phases
        assert span.t1_ns is not None
        assert span.t0_ns <= prompt.t0_ns == steps[0][0].t0_ns
        assert answer.t0_ns == max(step.t1_ns for step, tokens, _, _ in steps if tokens)
        assert steps[-1][0].t1_ns <= span.t1_ns
    # 32 tokens a step: the longest prompt came in chunks.
    chunks = [prefill for _, prefill, _, _ in steps_of(line, found["req_1"]) if prefill]
    assert len(chunks) > 1
    assert max(chunks) <= 32
    [warmup] = [span for span in line.spans if span.kind == "warmup"]
    assert warmup.model == "tiny"
    balanced(path)


def test_a_shared_prefix_is_cached_and_not_computed(model: Any, path: Path) -> None:
    common = list(range(64))
    line = serve(model, path, [[*common, 1, 2], [*common, 3, 4, 5]], max_batch_tokens=66)
    found = requests(line)
    cached = {name: span.cached_tokens for name, span in found.items()}
    assert sorted(filter(None, cached.values())) == [64]
    for span in found.values():
        assert tokens_of(line, span) == ((span.input_tokens or 0) - (span.cached_tokens or 0), OUTPUT - 1)
        assert steps_of(line, span)[0][3] == span.cached_tokens


def test_a_preempted_request_waits_and_is_computed_again(model: Any, path: Path) -> None:
    prompts = [list(range(start, start + 30)) for start in range(6)]
    with watched(model) as passes:
        line = serve(model, path, prompts, num_blocks=10, max_new_tokens=40)
    computed = 0
    preempted = 0
    for span in requests(line).values():
        prefill, decode = tokens_of(line, span)
        computed += prefill + decode
        again = phases(span).count("queue")
        assert phases(span) == ["prefill", "decode"] + again * ["queue", "prefill", "decode"]
        assert [phase.t0_ns for phase in span.phases] == sorted(phase.t0_ns for phase in span.phases)
        assert (span.input_tokens, span.output_tokens, span.outcome) == (30, 40, "ok")
        # Each time the end of a prefill gives a token.
        assert decode == 40 - 1 - again
        assert prefill == 30 if not again else prefill > 30
        preempted += again
    assert preempted
    assert computed == sum(tokens * count for one in passes for (tokens, _), count in one.sequences.items())


def test_samples_of_one_prompt_are_one_request(model: Any, path: Path) -> None:
    line = serve(model, path, [list(range(50)), [1, 2, 3, 4]], num_return_sequences=3, do_sample=True)
    found = requests(line)
    assert sorted(found) == ["req_0", "req_1"]
    for span in found.values():
        assert span.output_tokens == 3 * OUTPUT
        # All but the last token of the prompt are computed once, the last by each sample for itself.
        assert tokens_of(line, span) == ((span.input_tokens or 0) + 2, 3 * (OUTPUT - 1))
        assert phases(span) == ["prefill", "decode"]


def test_a_step_begins_with_the_scheduling_that_found_something(model: Any, path: Path) -> None:
    manager = model.init_continuous_batching(**batching())
    with greengen.profile(path), continuous_batching(manager):
        manager.warmup()
        found, *_ = manager.batch_processor.scheduler.schedule_batch(32, 32)
        assert found == []
        manager.add_request([1, 2, 3])
        manager.start()
        until(lambda: manager.get_result(timeout=30) is not None)
        manager.stop()
    line = timeline(path)
    [span] = requests(line).values()
    assert span.t0_ns < line.steps[0].t0_ns


def test_warming_up_is_no_request(model: Any, path: Path) -> None:
    manager = model.init_continuous_batching(**batching())
    with greengen.profile(path), continuous_batching(manager):
        manager.warmup()
        # On a CPU there are no graphs to capture, and it would run nothing.
        with torch.no_grad():
            assert manager.batch_processor.model_runner.run_one_warmup(model, num_q_tokens=8, max_kv_read=16)
    line = timeline(path)
    assert [span.kind for span in line.spans] == ["warmup"]
    assert line.steps == []


def test_a_prompt_stays_what_it_was_when_its_output_is_computed_again() -> None:
    from transformers.generation.continuous_batching.requests import RequestState

    state = RequestState(request_id="a", initial_tokens=[1, 2, 3], generated_tokens=[4, 5])
    for _ in range(2):
        assert _prompt_tokens(state) == 3
        state = state.create_equivalent_initial_request()
    assert len(state.initial_tokens) == 5


# -- requests that do not go well ------------------------------------------------------------------------


def test_a_cancelled_request_is_aborted_and_keeps_its_work(model: Any, path: Path) -> None:
    with (
        greengen.profile(path),
        continuous_batching(model),
        model.continuous_batching_context_manager(**batching()) as manager,
    ):
        manager.add_request([1, 2, 3], request_id="long", max_new_tokens=400, streaming=True)
        assert manager.get_result(timeout=30)
        manager.cancel_request("long")
        manager.add_request([4, 5], request_id="next")
        until(lambda: (result := manager.get_result(timeout=30)) is not None and result.request_id == "next")
    line = timeline(path)
    found = requests(line)
    assert {name: span.outcome for name, span in found.items()} == {"long": "aborted", "next": "ok"}
    long = found["long"]
    assert 1 <= (long.output_tokens or 0) < 400
    assert tokens_of(line, long) == (3, (long.output_tokens or 0) - 1)
    assert long.model == "LlamaForCausalLM"


def test_an_engine_that_dies_fails_its_requests_and_the_step_is_told(model: Any, path: Path) -> None:
    passes = 0

    def fail(*_: object) -> None:
        nonlocal passes
        passes += 1
        if passes == 3:
            message = "out of memory, say"
            raise RuntimeError(message)

    handle = model.register_forward_pre_hook(fail)
    try:
        with greengen.profile(path), continuous_batching(model):
            outputs = model.generate_batch([[1, 2, 3], list(range(40))], **batching())
    finally:
        handle.remove()
    assert all(output.error for output in outputs.values())
    line = timeline(path)
    assert {span.outcome for span in requests(line).values()} == {"failed: RuntimeError"}
    assert len(line.steps) == 3
    balanced(path)


def test_a_request_that_is_refused_has_failed(model: Any, path: Path) -> None:
    with greengen.profile(path), continuous_batching(model):
        manager = model.init_continuous_batching(**batching(max_queue_size=1))
        manager.input_queue.put = _impatient(manager.input_queue.put)
        manager.add_request([1], request_id="first")
        with pytest.raises(queue.Full):
            manager.add_request([2], request_id="second")
        manager.start()
        until(lambda: manager.get_result(timeout=30) is not None)
        manager.stop()
    found = requests(timeline(path))
    assert {name: span.outcome for name, span in found.items()} == {"first": "ok", "second": "failed: Full"}


def _impatient(put: Callable[..., None]) -> Callable[..., None]:
    return lambda state, **_: put(state, block=False)


# -- hooks -----------------------------------------------------------------------------------------------


def test_nothing_is_left_and_nothing_recorded_outside(model: Any, path: Path) -> None:
    before = set(vars(model))
    manager = model.init_continuous_batching(**batching())
    objects = (manager, manager.input_queue, manager.output_router)
    attributes = [set(vars(one)) for one in objects]
    with greengen.profile(path):
        with continuous_batching(manager, name="tiny"):
            manager.start()
            manager.add_request([1, 2, 3], request_id="inside")
            until(lambda: manager.get_result(timeout=30) is not None)
            processor = manager.batch_processor
        manager.add_request([1, 2, 3], request_id="outside")
        until(lambda: manager.get_result(timeout=30) is not None)
        manager.stop()
    assert set(vars(model)) == before
    assert [set(vars(one)) - seen - {"current_batch"} for one, seen in zip(objects, attributes, strict=True)] == [
        set()
    ] * 3
    for one in (processor, processor.scheduler, processor.inputs_and_outputs):
        assert not [name for name, value in vars(one).items() if hasattr(value, "greengen_hooks")]
    line = timeline(path)
    assert list(requests(line)) == ["inside"]
    assert len(line.steps) == OUTPUT


def test_a_request_that_outlives_the_context_is_unfinished(model: Any, path: Path) -> None:
    with greengen.profile(path), model.continuous_batching_context_manager(**batching()) as manager:
        with continuous_batching(manager):
            manager.add_request([1, 2, 3], request_id="long", max_new_tokens=200, streaming=True)
            assert manager.get_result(timeout=30)
        until(lambda: (result := manager.get_result(timeout=30)) is not None and result.is_finished())
    line = timeline(path)
    [span] = requests(line).values()
    assert span.outcome == "unfinished"
    assert 1 <= len(line.steps) < 200
    assert all(step.t1_ns <= (span.t1_ns or 0) for step in line.steps)


def test_a_request_that_was_there_before_begins_with_its_next_step(model: Any, path: Path) -> None:
    with model.continuous_batching_context_manager(**batching()) as manager:
        manager.add_request([1, 2, 3], request_id="long", max_new_tokens=300, streaming=True)
        assert manager.get_result(timeout=30)
        with continuous_batching(manager), greengen.profile(path):
            until(lambda: (result := manager.get_result(timeout=30)) is not None and result.is_finished())
    line = timeline(path)
    [span] = requests(line).values()
    assert (span.outcome, span.input_tokens, span.cached_tokens, phases(span)) == ("ok", 3, None, ["decode"])
    prefill, decode = tokens_of(line, span)
    assert prefill == 0
    assert 1 <= decode == len(line.steps) < 300


def test_without_a_recording_it_serves_as_ever(model: Any) -> None:
    plain = model.generate_batch(PROMPTS, **batching())
    with continuous_batching(model):
        hooked = model.generate_batch(PROMPTS, **batching())
    assert [output.generated_tokens for output in hooked.values()] == [
        output.generated_tokens for output in plain.values()
    ]


def test_a_recording_may_begin_and_end_while_it_stands(model: Any, path: Path) -> None:
    with continuous_batching(model):
        for number in range(2):
            with greengen.profile(path.with_name(f"{number}.greengen")):
                model.generate_batch(PROMPTS, **batching())
        for number in range(2):
            line = timeline(path.with_name(f"{number}.greengen"))
            assert all(tokens_of(line, span) == (span.input_tokens, OUTPUT - 1) for span in requests(line).values())


def test_an_engine_that_is_gone_is_not_kept(model: Any) -> None:
    """Its cache is most of a GPU's memory."""
    gone = []
    with continuous_batching(model):
        manager = model.init_continuous_batching(**batching())
        manager.warmup()
        gone = [weakref.ref(one) for one in (manager, manager.batch_processor, manager.batch_processor.cache)]
        del manager
        gc.collect()
        assert [one() for one in gone] == [None, None, None]


def test_two_at_once_are_refused(model: Any) -> None:
    with continuous_batching(model):
        with pytest.raises(UsageError, match="being recorded already"), continuous_batching(model):
            pytest.fail("it began")
        assert hasattr(model.init_continuous_batching, "greengen_hooks")
    assert not hasattr(model.init_continuous_batching, "greengen_hooks")


def test_what_cannot_batch_is_refused() -> None:
    with (
        pytest.raises(UsageError, match="Linear has no continuous batching"),
        continuous_batching(torch.nn.Linear(1, 1)),
    ):
        pytest.fail("it began")


@pytest.mark.parametrize("version", ["4.57.6", "5.19.0", "5.24.0.dev0", "6.0"])
def test_another_version_is_refused(version: str, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: version)
    with pytest.raises(UsageError, match=rf"transformers {version} is not supported.*>=5\.20,<5\.24"):
        continuous_batching(model).__enter__()


# -- and the file ----------------------------------------------------------------------------------------


def test_steps_survive_a_merge(model: Any, path: Path, tmp_path: Path) -> None:
    other = path.with_name("other.greengen")
    lines = [serve(model, path, PROMPTS), serve(model, other, [[1, 2, 3]])]
    merged = timeline(greengen.Run(path).merge(greengen.Run(other), out=tmp_path / "merged.greengen").path)
    for attribute in ("engines", "steps", "stints"):
        assert sorted(getattr(merged, attribute), key=repr) == sorted(
            [row for line in lines for row in getattr(line, attribute)], key=repr
        )
    assert len(merged.engines) == 2
    for line in lines:
        for span in requests(line).values():
            assert [row for row in merged.spans if row.uid == span.uid] == [span]
