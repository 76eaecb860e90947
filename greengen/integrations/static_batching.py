"""transformers' `model.generate`: a batch that begins and ends together, each of its rows a request.

    with greengen.profile("run.greengen"), static_batching(model, name="llama-3.2-1b"):
        model.generate(**tokenizer(prompts, padding=True, return_tensors="pt"))

A short prompt is padded to the longest, and a row that has ended is computed until the last one has:
both count as padding of the step, for which nobody asked. At each token the tokens are looked at, so
that a step ends when they are known; on an accelerator that waits for it once per token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from time import monotonic_ns
from typing import Any

from greengen.errors import UsageError
from greengen.integrations.batching import Serving, Work
from greengen.integrations.hooks import Hooks, require
from greengen.integrations.transformers import VERSIONS, name_of
from greengen.recording.drive import outcome_of

#: What a row is no longer a request with.
_NOT_ROWS = ("assistant_model", "prompt_lookup_num_tokens", "num_beams")

#: Token ids have rows, and places in them.
_TOKENS_DIM = 2


@contextmanager
def static_batching(model: Any, *, name: str | None = None, devices: Sequence[str] = ()) -> Iterator[None]:
    """Record what `model.generate` does meanwhile: a request for each row, a step for each token.

    model    a decoder that is given token ids; `attention_mask` tells the padding of its prompts
    name     the model's name in the ledger; without it, what its configuration calls it
    devices  uids of the domains it runs on; none: all

    Raises UsageError: a version of transformers that is not supported, an encoder-decoder; and from
    `generate`, beams and assisted decoding, whose rows are not requests. A row that another stopping
    criterion than the end token ends counts as going on.
    """
    require("transformers", *VERSIONS)
    if not hasattr(model, "generate") or model.config.is_encoder_decoder:
        msg = f"{type(model).__name__} is no decoder that generates: record its calls with greengen.request"
        raise UsageError(msg)
    hooks, numbers = Hooks(), count(1)
    serving = Serving(name or name_of(model), devices=devices)

    def generate(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        config = kwargs.get("generation_config") or (args[1] if len(args) > 1 else None) or model.generation_config
        chosen = {option: kwargs.get(option, getattr(config, option, None)) for option in (*_NOT_ROWS, "eos_token_id")}
        if chosen["assistant_model"] or chosen["prompt_lookup_num_tokens"] or (chosen["num_beams"] or 1) > 1:
            msg = "with beams or an assistant, rows are not requests: call generate within greengen.request"
            raise UsageError(msg)
        ends = model.generation_config.eos_token_id if chosen["eos_token_id"] is None else chosen["eos_token_id"]
        tokens = args[0] if args else kwargs.get("input_ids", kwargs.get("inputs"))
        call = _Call(serving, f"generate {next(numbers)}", tokens, kwargs.get("attention_mask"))
        return call.run(method, frozenset([ends] if isinstance(ends, int) else ends or ()), *args, **kwargs)

    try:
        hooks.wrap(model, "generate", generate)
        yield
    finally:
        hooks.remove()
        serving.close()


class _Call:
    """One call of `generate`. As a stopping criterion it is called whenever each row has its next token."""

    def __init__(self, serving: Serving, name: str, tokens: Any, mask: Any) -> None:
        if tokens is None or tokens.dim() != _TOKENS_DIM:
            msg = "generate is recorded for token ids of shape (rows, tokens): pass input_ids"
            raise UsageError(msg)
        rows, self._width = tokens.shape
        self._prompts = [self._width] * rows if mask is None else [int(row) for row in mask.sum(dim=1)]
        self._requests = [f"{name}, row {row}" for row in range(rows)]
        self._serving = serving
        self._ends: frozenset[int] = frozenset()
        self._step = 0
        self._began_ns = 0
        # Of each row that is computed: a prompt has as many as it has samples.
        self._goes_on: list[bool] = []
        self._written: list[int] = []

    def run(self, generate: Callable[..., Any], ends: frozenset[int], *args: Any, **kwargs: Any) -> Any:
        """Call `generate`, looking on; tokens in `ends` end a row."""
        from transformers import StoppingCriteriaList  # noqa: PLC0415 -- loaded with the model

        kwargs["stopping_criteria"] = StoppingCriteriaList([*(kwargs.get("stopping_criteria") or ()), self])
        self._ends = ends
        for request, prompt in zip(self._requests, self._prompts, strict=True):
            self._serving.begin(request, prompt)
        outcome, self._began_ns = "ok", monotonic_ns()
        try:
            return generate(*args, **kwargs)
        except BaseException as error:
            outcome = outcome_of(type(error))
            raise
        finally:
            for number, request in enumerate(self._requests):
                self._serving.finish(request, sum(self._samples(self._written, number)), outcome)

    def __call__(self, input_ids: Any, _scores: Any, **_: object) -> Any:
        """A step is done. Gives back that it stops no row."""
        last = input_ids[:, -1].tolist()
        if not self._step:
            self._goes_on, self._written = [True] * len(last), [0] * len(last)
        self._tell(len(last) // len(self._requests))
        for row, token in enumerate(last):
            self._written[row] += self._goes_on[row]
            self._goes_on[row] &= token not in self._ends
        for number, request in enumerate(self._requests):
            if not any(self._samples(self._goes_on, number)):
                self._serving.finish(request, sum(self._samples(self._written, number)))
        self._step, self._began_ns = self._step + 1, monotonic_ns()
        return input_ids.new_zeros(len(last), dtype=bool)

    def _tell(self, samples: int) -> None:
        work, padding = [], 0
        for row, goes_on in enumerate(self._goes_on):
            prompt, request = self._prompts[row // samples], self._requests[row // samples]
            if not self._step:
                work.append(Work(request, prompt, 0, 0, answers=True))
                padding += self._width - prompt
            elif goes_on:
                work.append(Work(request, 0, 1, prompt + self._step - 1, answers=True))
            else:
                padding += 1
        self._serving.launch(self._began_ns, work, padding=padding)
        self._serving.done()

    def _samples(self, of: list[Any], number: int) -> list[Any]:
        """What `of` holds of one prompt's rows."""
        samples = len(of) // len(self._requests)
        return of[number * samples : (number + 1) * samples]
