"""What an engine serves: its requests and its steps, told as they happen, in the recording's words."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any, NamedTuple

from greengen.recording.engine import Engine
from greengen.recording.spans import Request, Span


class Work(NamedTuple):
    """What a step does for one sequence of a request, in tokens as scheduled.

    context  those in its cache before the step
    answers  it writes the next token of the sequence
    """

    request: str
    prefill: int
    decode: int
    context: int
    answers: bool


@dataclass(eq=False, slots=True)
class _Served:
    """A request that the engine has.

    uid        its span's; None while nothing is recorded
    sequences  how many of its samples go on
    phase      queue, prefill or decode; empty where its beginning was not seen
    new        no step has computed anything of it
    """

    span: Span
    uid: str | None
    sequences: int
    phase: str = ""
    new: bool = False
    output: int = 0
    outcome: str = "ok"

    def tell(self, phase: str, t_ns: int | None = None) -> None:
        """It does this from `t_ns` on, or from now."""
        if phase != self.phase:
            self.span.phase(phase, t_ns=t_ns)
            self.phase = phase


class _Batch(NamedTuple):
    """A step that was launched."""

    t0_ns: int
    work: list[tuple[_Served, Work]]
    padding: int


class Serving:
    """One engine's requests, by the engine's ids, and its steps. Any thread may tell.

    A step is launched, and done some time later; another may have been launched before that. It counts
    from its launch, or from the end of the one before where that is later, until it is done.
    """

    def __init__(self, model: str, *, devices: Sequence[str] = ()) -> None:
        # The tokens of a request are on the host when it ends: the device has nothing left to do for it.
        self._attributes: dict[str, Any] = {"model": model, "sync": _nothing_to_wait_for}
        if devices:
            self._attributes["devices"] = list(devices)
        self._engine = Engine(model, devices=devices)
        self._served: dict[str, _Served] = {}
        self._launched: deque[_Batch] = deque()
        self._over: list[tuple[str, int]] = []
        self._last_ns = 0
        self._closed = False
        self._lock = threading.Lock()

    # -- requests ------------------------------------------------------------------------------------------

    def begin(self, request: str, prompt_tokens: int, *, sequences: int = 1) -> None:
        """A request has arrived. `sequences`: samples of its prompt, which are one request."""
        with self._lock:
            served = self._known(request, prompt_tokens, sequences)
            if served is not None:
                served.new, served.phase = True, "queue"

    def __contains__(self, request: str) -> bool:
        """Whether a request is there."""
        return request in self._served

    def see(self, request: str, prompt_tokens: int, *, sequences: int = 1) -> None:
        """A request is there. Where its arrival was not seen, it begins here."""
        with self._lock:
            self._known(request, prompt_tokens, sequences)

    def put_back(self, request: str) -> None:
        """A request that had begun waits again, having made room for others."""
        with self._lock:
            served = self._served.get(request)
            if served is not None and served.sequences == 1 and served.phase:
                served.tell("queue")

    def finish(self, request: str, output_tokens: int, outcome: str = "ok", *, sequences: int = 1) -> None:
        """That many sequences of a request are over, now. The request is over with its last."""
        with self._lock:
            served = self._served.get(request)
            if served is not None:
                # What it was in the middle of goes to it as well.
                while any(of is served for batch in self._launched for of, _ in batch.work):
                    self._record_oldest()
                self._finish(request, output_tokens, outcome, sequences)

    def finish_with_step(self, request: str, output_tokens: int) -> None:
        """A sequence of a request is over when the oldest launched step is."""
        with self._lock:
            self._over.append((request, output_tokens))

    def _known(self, request: str, prompt_tokens: int, sequences: int) -> _Served | None:
        served = self._served.get(request)
        if served is None and not self._closed:
            new = Request(self._attributes, name=request).tokens(input=prompt_tokens).start()
            served = self._served[request] = _Served(new, new.uid, sequences)
        return served

    def _finish(self, request: str, output_tokens: int, outcome: str, sequences: int) -> None:
        served = self._served.get(request)
        if served is None:
            return
        served.output += output_tokens
        served.sequences -= sequences
        if outcome != "ok":
            served.outcome = outcome
        if served.sequences <= 0:
            del self._served[request]
            served.span.tokens(output=served.output).end(served.outcome)
            if not self._served:
                self._engine.close()  # the recording may end before there is another step

    # -- steps ---------------------------------------------------------------------------------------------

    def launch(self, t0_ns: int, work: Iterable[Work], *, padding: int = 0) -> None:
        """A step begins at `t0_ns` (monotonic), for requests that have begun; `padding`: tokens for nobody."""
        with self._lock:
            if self._closed:
                return
            known = [(self._served[of.request], of) for of in work]
            self._launched.append(_Batch(t0_ns, known, padding))
            for served, of in known:
                if served.uid is None:
                    # A recording may have begun since: the request is in it from here on.
                    served.uid, served.phase = served.span.start().uid, ""
                if served.new:
                    served.new = False
                    served.span.tokens(cached=of.context)

    def done(self) -> None:
        """The oldest launched step is done."""
        with self._lock:
            self._record_oldest()
            self._end_those_over()

    def close(self) -> None:
        """Write what there is, and let go of requests that still run. What is told later is lost."""
        with self._lock:
            self._closed = True
            while self._launched:
                self._record_oldest()
            self._end_those_over()
            for request, served in list(self._served.items()):
                self._finish(request, 0, "unfinished", served.sequences)
            self._engine.close()

    def _record_oldest(self) -> None:
        if not self._launched:
            return
        batch, t1_ns = self._launched.popleft(), monotonic_ns()
        t0_ns, self._last_ns = max(batch.t0_ns, self._last_ns), t1_ns
        padding = batch.padding
        items: dict[_Served, Work] = {}
        for served, work in batch.work:
            if served.sequences <= 0:
                padding += work.prefill + work.decode  # launched before the engine knew that it was over
            else:
                items[served] = _both(items[served], work) if served in items else work
        for served, work in items.items():
            if served.phase != "decode" or (work.prefill and not work.decode):
                # A request whose arrival was not seen begins within this step.
                begin_ns = max(t0_ns, getattr(served.span, "t0_ns", 0))
                served.tell("prefill" if work.prefill else "decode", begin_ns)
                if work.answers:
                    served.tell("decode", t1_ns)
        # A step that was launched before the recording began is not in it.
        told = [(served.uid, work.prefill, work.decode, work.context) for served, work in items.items() if served.uid]
        if len(told) == len(items):
            self._engine.step(told, t0_ns, t1_ns, padding=padding)

    def _end_those_over(self) -> None:
        over, self._over = self._over, []
        for request, output_tokens in over:
            self._finish(request, output_tokens, "ok", 1)


def _both(a: Work, b: Work) -> Work:
    """What a step does for two sequences of a request."""
    return Work(a.request, a.prefill + b.prefill, a.decode + b.decode, a.context + b.context, a.answers or b.answers)


def _nothing_to_wait_for() -> None:
    """For `sync` of a span: somebody else has waited."""
