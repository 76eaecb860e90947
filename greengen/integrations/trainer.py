"""transformers' Trainer: training, epochs, optimizer steps, evaluation and checkpoints as nested spans.

    with greengen.profile("train.greengen"), training(trainer, name="my-llama"):
        trainer.train()

A step is an optimizer step, with all micro-batches whose gradients it accumulates. What is between
two steps, such as waiting for data, belongs to the epoch. Each rank records itself; `step` and `rank`
are labels, so that a ledger can put one beside another.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from greengen.integrations.hooks import Hooks, require
from greengen.integrations.transformers import VERSIONS, name_of
from greengen.recording.spans import Span, span

#: A method that is hooked, to be called in its turn.
Method = Callable[..., Any]


@contextmanager
def training(trainer: Any, *, name: str | None = None, sync: bool = False) -> Iterator[None]:
    """Record what a Trainer does meanwhile, in spans of kind train, epoch, step, eval and checkpoint.

    name  the model's name in the ledger; without it, what its configuration calls it
    sync  wait for the accelerator at the end of each step, so that its work is in it; else a step on
          CUDA is flagged `async`

    Raises UsageError: a version of transformers that is not supported, a trainer that is being
    recorded already.
    """
    require("transformers", *VERSIONS)
    hooks = Hooks()
    of = _Training(trainer, name or name_of(trainer.model), sync=sync)
    try:
        hooks.wrap(trainer, "train", of.train)
        hooks.wrap(trainer, "evaluate", of.around("eval"))
        hooks.wrap(trainer, "_save_checkpoint", of.around("checkpoint"))
        for moment in ("train_begin", "epoch_begin", "step_begin", "step_end", "epoch_end"):
            hooks.wrap(trainer.callback_handler, f"on_{moment}", getattr(of, moment))
        yield
    finally:
        hooks.remove()


class _Training:
    """The spans of one trainer. It works in one thread."""

    def __init__(self, trainer: Any, model: str, *, sync: bool) -> None:
        self._trainer = trainer
        self._attributes: dict[str, Any] = {"model": model}
        if trainer.args.world_size > 1:
            self._attributes["rank"] = trainer.args.process_index
        self._sync = sync
        self._open: list[Span] = []
        self._tokens = 0

    def around(self, kind: str) -> Method:
        """A hook that makes a call a span."""

        def hook(method: Method, *args: object, **kwargs: object) -> Any:
            with span(kind, **self._attributes):
                return method(*args, **kwargs)

        return hook

    def train(self, method: Method, *args: object, **kwargs: object) -> Any:
        with span("train", **self._attributes):
            try:
                return method(*args, **kwargs)
            finally:
                self._leave_all()

    def train_begin(self, method: Method, *args: object, **kwargs: object) -> Any:
        # Where memory did not suffice, a trainer begins again with a smaller batch.
        self._leave_all()
        return method(*args, **kwargs)

    def epoch_begin(self, method: Method, *args: object, **kwargs: object) -> Any:
        self._enter("epoch", epoch=int(self._trainer.state.epoch or 0) + 1)
        return method(*args, **kwargs)

    def step_begin(self, method: Method, *args: object, **kwargs: object) -> Any:
        state = self._trainer.state
        self._tokens = int(state.num_input_tokens_seen)
        self._enter("step", step=state.global_step + 1, sync=self._sync)
        return method(*args, **kwargs)

    def step_end(self, method: Method, *args: object, **kwargs: object) -> Any:
        # A trainer counts tokens where it is told to: include_num_input_tokens_seen.
        tokens = int(self._trainer.state.num_input_tokens_seen) - self._tokens
        self._leave("step", tokens)
        return method(*args, **kwargs)

    def epoch_end(self, method: Method, *args: object, **kwargs: object) -> Any:
        self._leave("epoch")
        return method(*args, **kwargs)

    def _enter(self, kind: str, **attributes: object) -> None:
        new = span(kind, **self._attributes, **attributes)
        self._open.append(new)
        new.__enter__()

    def _leave(self, kind: str, tokens: int = 0) -> None:
        if self._open and self._open[-1]["kind"] == kind:
            over = self._open.pop()
            if tokens:
                over.tokens(input=tokens)
            over.__exit__(None, None, None)

    def _leave_all(self) -> None:
        while self._open:
            self._open.pop().__exit__(*sys.exc_info())
