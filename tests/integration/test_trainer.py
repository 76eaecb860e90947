"""transformers' Trainer, recorded while it trains a small Llama on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import greengen
from greengen.integrations.trainer import training
from greengen.rows import SpanRow
from tests.integration.commands import balanced, spans
from tests.integration.lazily import Library

if TYPE_CHECKING:
    import torch
    import transformers
else:
    torch, transformers = Library("torch"), Library("transformers")

ROWS, LENGTH, BATCH, ACCUMULATE, EPOCHS = 16, 8, 2, 2, 2
STEPS = ROWS // (BATCH * ACCUMULATE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.greengen"


@pytest.fixture
def trainer(tmp_path: Path) -> Any:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    data = [{"input_ids": (row := torch.randint(64, (LENGTH,))), "labels": row} for _ in range(ROWS)]
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "checkpoints"),
        per_device_train_batch_size=BATCH,
        gradient_accumulation_steps=ACCUMULATE,
        num_train_epochs=EPOCHS,
        eval_strategy="epoch",
        save_strategy="epoch",
        include_num_input_tokens_seen="all",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
    )
    return transformers.Trainer(
        transformers.LlamaForCausalLM(config), arguments, train_dataset=data, eval_dataset=data[:4]
    )


def ancestors(span: SpanRow, path: Path) -> list[str]:
    found = {one.uid: one for one in spans(path)}
    kinds = []
    while span.parent:
        span = found[span.parent]
        kinds.append(span.kind)
    return kinds


def test_training_is_nested_spans(trainer: Any, path: Path) -> None:
    with greengen.profile(path), training(trainer, name="tiny"):
        trainer.train()
    recorded = spans(path)
    by_kind = {kind: [span for span in recorded if span.kind == kind] for kind in {span.kind for span in recorded}}
    assert {kind: len(found) for kind, found in by_kind.items()} == {
        "train": 1,
        "epoch": EPOCHS,
        "step": EPOCHS * STEPS,
        "eval": EPOCHS,
        "checkpoint": EPOCHS,
    }
    assert {span.model for span in recorded} == {"tiny"}
    assert {span.outcome for span in recorded} == {"ok"}
    for kind, above in (
        ("step", ["epoch", "train"]),
        ("epoch", ["train"]),
        ("eval", ["train"]),
        ("checkpoint", ["train"]),
    ):
        assert all(ancestors(span, path) == above for span in by_kind[kind])
    assert [span.labels["step"] for span in by_kind["step"]] == [str(step + 1) for step in range(EPOCHS * STEPS)]
    assert [span.labels["epoch"] for span in by_kind["epoch"]] == ["1", "2"]
    assert {span.input_tokens for span in by_kind["step"]} == {BATCH * ACCUMULATE * LENGTH}
    balanced(path)


def test_an_error_ends_what_it_interrupts(trainer: Any, path: Path) -> None:
    def fail(*_: object) -> None:
        message = "out of memory, say"
        raise RuntimeError(message)

    trainer.model.register_forward_pre_hook(fail)
    with greengen.profile(path), training(trainer):
        with pytest.raises(RuntimeError, match="out of memory"):
            trainer.train()
        assert greengen.current().uid is None
    assert {span.kind: span.outcome for span in spans(path)} == dict.fromkeys(
        ("train", "epoch", "step"), "failed: RuntimeError"
    )


def test_evaluation_alone(trainer: Any, path: Path) -> None:
    with greengen.profile(path), training(trainer):
        trainer.evaluate()
    assert [(span.kind, span.model) for span in spans(path)] == [("eval", "LlamaForCausalLM")]


def test_nothing_is_left(trainer: Any, path: Path) -> None:
    before = set(vars(trainer)), set(vars(trainer.callback_handler))
    with training(trainer):
        pass
    assert (set(vars(trainer)), set(vars(trainer.callback_handler))) == before
    with greengen.profile(path):
        trainer.evaluate()
    assert spans(path) == []
