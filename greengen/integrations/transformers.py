"""transformers' continuous batching, step by step, with what each step was made of.

    with greengen.profile("run.greengen"), continuous_batching(model, name="llama-3.2-1b"):
        results = model.generate_batch(prompts, generation_config=config)

Each request of the engine becomes a request of the recording, and each step says how many prompt
tokens it computed for whom, how many it wrote, and how much cache it read. That is taken from the
engine's own schedule, so chunked prefill, shared prefixes, preemption (what is computed again is
prefill again) and the padding of captured graphs are what they really were. Samples of one prompt
(`num_return_sequences`) are one request.

A step lasts from its scheduling until its tokens are known; with asynchronous batching, which
prepares a step while the one before still runs, from the end of that one. What such an engine
computes for a request that has just ended counts as padding. Of a tensor-parallel group the rank
that takes the requests records, and no other: name the GPUs of all in `devices`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic_ns
from typing import Any

from greengen.errors import UsageError
from greengen.integrations.batching import Serving, Work
from greengen.integrations.hooks import Hooks, require
from greengen.recording.drive import outcome_of
from greengen.recording.spans import span

#: The versions whose engine was read, and run under the tests: the first, and the one after the last.
VERSIONS = ("5.20", "5.24")

#: A method that is hooked, to be called in its turn.
Method = Callable[..., Any]


@contextmanager
def continuous_batching(model: Any, *, name: str | None = None, devices: Sequence[str] = ()) -> Iterator[None]:
    """Record what a model's continuous batching does meanwhile: its requests, and its steps.

    model    a model, whichever of its ways to batch is then used; or a manager that there is already
    name     the model's name in the ledger; without it, what its configuration calls it
    devices  uids of the domains it runs on; none: all

    Hooks stand on the objects of this model's engine, and are gone afterwards. A request that still
    runs at the end has the outcome `unfinished`. Raises UsageError: a version of transformers that is
    not supported, something that cannot batch, a model that is being recorded already.
    """
    require("transformers", *VERSIONS)
    hooks = Hooks()
    watched: weakref.WeakKeyDictionary[Any, _Manager] = weakref.WeakKeyDictionary()

    def watch(manager: Any) -> None:
        # A model may keep its manager, and give the same one again.
        if manager.is_tp_driver and manager not in watched:
            serving = Serving(name or name_of(manager.model), devices=devices)
            watched[manager] = _Manager(serving, name or name_of(manager.model))
            watched[manager].hook(manager, hooks)

    def began(begin: Method, *args: object, **kwargs: object) -> Any:
        manager = begin(*args, **kwargs)
        watch(manager)
        return manager

    try:
        if hasattr(model, "add_request") and hasattr(model, "output_router"):
            watch(model)
        elif hasattr(model, "init_continuous_batching"):
            hooks.wrap(model, "init_continuous_batching", began)
        else:
            msg = f"{type(model).__name__} has no continuous batching: pass a model that generates text, or its manager"
            raise UsageError(msg)
        yield
    finally:
        hooks.remove()
        for of in list(watched.values()):
            of.serving.close()


def name_of(model: Any) -> str:
    """What a model's configuration calls it, or else its class."""
    return str(getattr(model.config, "_name_or_path", "") or type(model).__name__)


class _Manager:
    """Looks on while a manager takes requests and its loop, in a thread of its own, serves them."""

    def __init__(self, serving: Serving, model: str) -> None:
        self.serving, self._model = serving, model
        self._scheduled_ns = 0

    def hook(self, manager: Any, hooks: Hooks) -> None:
        """Hook a manager, and its processor once there is one."""

        def created(create: Method) -> Any:
            processor = create()
            self._hook_processor(processor, hooks)
            return processor

        hooks.wrap(manager.input_queue, "put", self._submitted)
        hooks.wrap(manager.output_router, "deliver_batch", self._delivered)
        hooks.wrap(manager.output_router, "fail_and_deliver", self._failed)
        hooks.wrap(manager, "warmup", self._warmed_up)
        hooks.wrap(manager, "_create_batch_processor", created)
        if manager.batch_processor is not None:
            self._hook_processor(manager.batch_processor, hooks)

    def _hook_processor(self, processor: Any, hooks: Hooks) -> None:
        hooks.wrap(processor.scheduler, "add_waiting_request", self._waits)
        hooks.wrap(processor.scheduler, "schedule_batch", self._scheduled)
        hooks.wrap(processor.scheduler, "clear_cancelled_requests", self._cancelled)
        hooks.wrap(processor.inputs_and_outputs, "prepare_batch_tensors", self._prepared)
        hooks.wrap(processor, "update_batch", self._updated)

    # -- steps ---------------------------------------------------------------------------------------------

    def _scheduled(self, schedule: Method, *args: object, **kwargs: object) -> Any:
        began_ns = self._scheduled_ns or monotonic_ns()
        result = schedule(*args, **kwargs)
        # None: the cache is full, and this is called again once a request has been put out of it.
        self._scheduled_ns = 0 if result[0] == [] else began_ns
        return result

    def _prepared(self, prepare: Method, *args: object, **kwargs: Any) -> None:
        # Warm-up prepares batches too, of requests that nobody made and no scheduler saw.
        if self._scheduled_ns:
            work = [self._work(future) for future in kwargs["requests_in_batch"]]
            padding = kwargs["num_q_tokens"] - sum(of.prefill + of.decode for of in work)
            self.serving.launch(self._scheduled_ns, work, padding=padding)
            self._scheduled_ns = 0
        prepare(*args, **kwargs)

    def _work(self, future: Any) -> Work:
        state, tokens, context = future.state, future.query_length, future.state.position_offset
        request = _request_of(state.request_id)
        if request not in self.serving:
            self.serving.see(request, _prompt_tokens(state), sequences=1 + state.num_children)
        # By place, and not by status, which says decoding as soon as the end of the prompt is scheduled.
        prefill = min(max(len(state.initial_tokens) - context, 0), tokens)
        return Work(request, prefill, tokens - prefill, context, answers=future.has_new_token)

    def _updated(self, update: Method) -> None:
        try:
            update()
        finally:
            self.serving.done()

    def _warmed_up(self, warm_up: Method) -> None:
        with span("warmup", model=self._model):
            warm_up()

    # -- requests ------------------------------------------------------------------------------------------

    def _submitted(self, put: Method, state: Any, *args: object, **kwargs: object) -> None:
        # Before the loop can see it, and in the caller's thread, whose span is its parent.
        sequences = 1 + state.num_children
        self.serving.begin(state.request_id, _prompt_tokens(state), sequences=sequences)
        try:
            put(state, *args, **kwargs)
        except BaseException as error:
            self.serving.finish(state.request_id, 0, outcome_of(type(error)), sequences=sequences)
            raise

    def _waits(self, add: Method, state: Any) -> None:
        self.serving.put_back(state.request_id)
        add(state)

    def _delivered(self, deliver: Method, outputs: Sequence[Any]) -> None:
        # Called within the update: they end with the step that wrote their last token.
        for output in outputs:
            if output.is_finished():
                self.serving.finish_with_step(_request_of(output.request_id), len(output.generated_tokens))
        deliver(outputs)

    def _failed(self, fail: Method, state: Any, error: Exception) -> None:
        self._finish(state, outcome_of(type(error)))
        fail(state, error)

    def _cancelled(self, clear: Method) -> Any:
        # The only word of them: nothing is delivered for a request that was cancelled.
        states = clear()
        for state in states:
            self._finish(state, "aborted")
        return states

    def _finish(self, state: Any, outcome: str) -> None:
        output = len(state.to_generation_output().generated_tokens)
        self.serving.finish(_request_of(state.request_id), output, outcome, sequences=1 + state.num_children)


def _request_of(sequence: str) -> str:
    """The request that a sequence belongs to: further samples are forks of it, and named after it."""
    return str(sequence).partition("__child#")[0]


def _prompt_tokens(state: Any) -> int:
    """Of the prompt alone: a preempted request begins again with what it had written."""
    return int(state._true_initial_tokens or len(state.initial_tokens))  # noqa: SLF001 -- nothing public says it
