"""`model.generate` recorded by rows: a small Llama with random weights, on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import greengen
from greengen.errors import UsageError
from greengen.integrations.static_batching import static_batching
from greengen.rows import SpanRow, Timeline
from tests.integration.commands import balanced
from tests.integration.lazily import Library

if TYPE_CHECKING:
    import torch
    import transformers
else:
    torch, transformers = Library("torch"), Library("transformers")

PROMPTS = (12, 5, 1)
PAD = 0


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        pad_token_id=PAD,
    )
    return transformers.LlamaForCausalLM(config).eval()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.greengen"


def inputs() -> dict[str, torch.Tensor]:
    """Prompts padded on the left, as decoders want them."""
    width = max(PROMPTS)
    rows = [[PAD] * (width - length) + list(range(10, 10 + length)) for length in PROMPTS]
    mask = [[0] * (width - length) + [1] * length for length in PROMPTS]
    return {"input_ids": torch.tensor(rows), "attention_mask": torch.tensor(mask)}


def config(**options: Any) -> transformers.GenerationConfig:
    return transformers.GenerationConfig(
        **{"max_new_tokens": 6, "do_sample": False, "eos_token_id": -1, "pad_token_id": PAD} | options
    )


def timeline(path: Path) -> Timeline:
    [found] = greengen.Run(path).rows().timelines
    return found


def work_of(line: Timeline, span: SpanRow) -> list[tuple[int, int, int]]:
    """(prefill, decode, context) of a request in each step; a stint may be told in pieces."""
    stints = sorted((stint for stint in line.stints if stint.span == span.uid), key=lambda stint: stint.first)
    return [
        (stint.prefill, stint.decode, stint.context + stint.growth * (seq - stint.first))
        for stint in stints
        for seq in range(stint.first, stint.last + 1)
    ]


def tokens_of(line: Timeline, span: SpanRow) -> tuple[int, int]:
    work = work_of(line, span)
    return sum(prefill for prefill, _, _ in work), sum(decode for _, decode, _ in work)


def test_rows_are_requests_and_padding_is_nobodys(model: Any, path: Path) -> None:
    widths: list[int] = []
    handle = model.register_forward_pre_hook(
        lambda _model, _args, given: widths.append(given["input_ids"].numel()), with_kwargs=True
    )
    with greengen.profile(path), static_batching(model, name="tiny"):
        model.generate(**inputs(), generation_config=config())
    handle.remove()
    line = timeline(path)
    assert [(span.input_tokens, span.output_tokens, span.outcome) for span in line.spans] == [
        (prompt, 6, "ok") for prompt in PROMPTS
    ]
    for span in line.spans:
        assert tokens_of(line, span) == (span.input_tokens, 5)
        assert [phase.kind for phase in span.phases] == ["prefill", "decode"]
        length = span.input_tokens or 0
        assert work_of(line, span) == [(length, 0, 0)] + [(0, 1, length + place) for place in range(5)]
    assert [step.padding for step in line.steps] == [3 * 12 - sum(PROMPTS), 0, 0, 0, 0, 0]
    # All that reached the model is somebody's, or padding.
    computed = sum(sum(tokens_of(line, span)) for span in line.spans) + sum(step.padding for step in line.steps)
    assert computed == sum(widths)
    balanced(path)


def test_a_row_that_has_ended_is_padding_until_the_last_one_has(model: Any, path: Path) -> None:
    plain = model.generate(**inputs(), generation_config=config(max_new_tokens=12))[:, max(PROMPTS) :]
    # A token that one row writes early, and another never.
    early = [(row, place, int(token)) for row, tokens in enumerate(plain) for place, token in enumerate(tokens)]
    row, place, end = next(
        (row, place, token)
        for row, place, token in early
        if place < 8
        and any(token not in other for other in plain.tolist())
        and plain[row].tolist().index(token) == place
    )
    with greengen.profile(path), static_batching(model):
        model.generate(**inputs(), generation_config=config(max_new_tokens=12, eos_token_id=end))
    line = timeline(path)
    written = [tokens.tolist().index(end) + 1 if end in tokens else 12 for tokens in plain]
    assert written[row] == place + 1
    assert [span.output_tokens for span in line.spans] == written
    assert sum(step.padding for step in line.steps[1:]) == sum(len(line.steps) - output for output in written)
    ended = line.spans[row]
    assert (ended.t1_ns or 0) < line.steps[-1].t0_ns


def test_samples_of_one_prompt_are_one_request(model: Any, path: Path) -> None:
    with greengen.profile(path), static_batching(model):
        model.generate(**inputs(), generation_config=config(do_sample=True), num_return_sequences=2)
    line = timeline(path)
    assert [(span.input_tokens, span.output_tokens) for span in line.spans] == [(prompt, 12) for prompt in PROMPTS]
    assert [tokens_of(line, span) for span in line.spans] == [(2 * prompt, 10) for prompt in PROMPTS]
    assert all([phase.kind for phase in span.phases] == ["prefill", "decode"] for span in line.spans)


def test_an_error_fails_its_rows(model: Any, path: Path) -> None:
    def stop(_ids: torch.Tensor, _scores: torch.Tensor) -> torch.Tensor:
        message = "no more"
        raise RuntimeError(message)

    with greengen.profile(path), static_batching(model), pytest.raises(RuntimeError, match="no more"):
        model.generate(**inputs(), generation_config=config(), stopping_criteria=[stop])
    assert {span.outcome for span in timeline(path).spans} == {"failed: RuntimeError"}


def test_the_output_is_the_same_and_the_hook_is_gone(model: Any) -> None:
    before = set(vars(model))
    plain = model.generate(**inputs(), generation_config=config())
    with static_batching(model):
        assert torch.equal(model.generate(**inputs(), generation_config=config()), plain)
    assert set(vars(model)) == before


def test_beams_are_refused(model: Any) -> None:
    with static_batching(model), pytest.raises(UsageError, match="rows are not requests"):
        model.generate(**inputs(), generation_config=config(), num_beams=2)
