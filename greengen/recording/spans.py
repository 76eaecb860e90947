"""Spans: a piece of work with a start and an end, for a few microseconds.

A span is a dict of its attributes, because building one from keywords is then a single C call:
without a recording `with greengen.request(...)` costs little more than an empty `with`.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from contextvars import ContextVar
from itertools import count
from time import monotonic_ns
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar, cast

from greengen.recording import drive
from greengen.recording.active import STATE, start
from greengen.recording.writer import Writer

F = TypeVar("F", bound=Callable[..., Any])

_current: ContextVar[Span | None] = ContextVar("greengen_span", default=None)
_get_current = _current.get
_set_current = _current.set
_next_seq = count(1).__next__
_getframe = sys._getframe

#: Code flags of generators and asynchronous generators: their frames are left in the middle of a `with`.
_SUSPENDABLE = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


class Span(dict[str, Any]):
    """One piece of work. As a context manager, a decorator, or by `start()` and `end()`.

    Attributes that greengen knows: model, tier, name, trace_id, input_tokens, output_tokens, and
    `sync` (True, or a callable, to wait for the accelerator before the end is taken). Any other
    keyword is a label (tenant, pod, key id).
    """

    __slots__ = ("_enclosing", "_frame", "_writer", "outcome", "parent_uid", "seq", "t0_ns", "t1_ns")

    kind = "span"

    # -- life ------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        writer = STATE.writer
        if writer is None:
            self._writer = None
            return self
        enclosing = _get_current()
        if enclosing is not None and (enclosing.t1_ns or enclosing._frame is not None):
            enclosing = enclosing._innermost_live()
        frame = _getframe(1)
        self._frame = frame if frame.f_code.co_flags & _SUSPENDABLE else None
        self._enclosing = enclosing
        _set_current(self)
        self._begin(writer, enclosing)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        writer = self._writer
        if writer is None:
            return
        try:
            if "sync" in self:
                _wait_for_device(self["sync"])
        finally:
            self.t1_ns = monotonic_ns()
            if kind is not None:
                self.outcome = _outcome(kind)
            if _get_current() is self:
                _set_current(self._enclosing)
            self._enclosing = self._frame = None
            if writer.live.pop(self.seq, None) is not None:
                writer.ended.append(self)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def start(self) -> Self:
        """Begin without becoming current: for work that outlives its handler. Any thread may `end()` it."""
        writer = STATE.writer
        self._writer = None
        if writer is not None:
            self._enclosing = self._frame = None
            self._begin(writer, live_span())
        return self

    def end(self, outcome: str = "ok") -> None:
        """End a span that `start()` began. A second call does nothing."""
        if getattr(self, "_writer", None) is not None and not self.t1_ns:
            self.outcome = outcome
            self.__exit__(None, None, None)

    def _begin(self, writer: Writer, parent: Span | None) -> None:
        self._writer = writer
        self.parent_uid = parent.uid if parent is not None else None
        self.outcome = "ok"
        self.t1_ns = 0
        self.seq = seq = _next_seq()
        self.t0_ns = monotonic_ns()
        writer.live[seq] = self
        if not writer.running:
            start(writer)

    def _innermost_live(self) -> Span | None:
        """This span if it runs; else the next enclosing one that does.

        A span opened in the body of a generator is current only while that generator runs: a
        suspended frame has no caller.
        """
        span: Span | None = self
        while span is not None and (span.t1_ns or (span._frame is not None and span._frame.f_back is None)):
            span = span._enclosing
        return span

    # -- what is known of it -----------------------------------------------------------------------

    def tokens(self, input: int | None = None, output: int | None = None) -> Self:  # noqa: A002 -- the word users know
        """Tokens read and written by this request; a later call overwrites what it names."""
        if input is not None:
            self["input_tokens"] = int(input)
        if output is not None:
            self["output_tokens"] = int(output)
        return self

    def label(self, **labels: object) -> Self:
        """Add labels that the ledger can group by."""
        self.update(labels)
        return self

    @property
    def uid(self) -> str | None:
        """The span's id in the run; None where nothing was recorded."""
        writer = getattr(self, "_writer", None)
        return None if writer is None else f"{writer.uid}/{self.seq}"

    @property
    def flags(self) -> tuple[str, ...]:
        """What makes this span's edges less sure: `async` where work may have outlived it on a GPU."""
        return ("async",) if "sync" not in self and _cuda_is_initialized() else ()

    def attributes(self) -> dict[str, Any]:
        """A copy of the attributes, with the kind, without what only steers the recording."""
        attributes = {"kind": self.kind, **self}
        attributes.pop("sync", None)
        return attributes

    # -- as a decorator ----------------------------------------------------------------------------

    def __call__(self, function: F) -> F:
        """Decorate a function, coroutine function, generator or asynchronous generator function."""
        kind = type(self)

        def new() -> Span:
            return kind(self)

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                with new():
                    return await function(*args, **kwargs)

        elif inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                return drive.asynchronous(new(), function(*args, **kwargs))

        elif inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                return drive.generator(new(), function(*args, **kwargs))

        else:

            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with new():
                    return function(*args, **kwargs)

        return cast("F", wrapper)

    def resume(self) -> Span | None:
        """Become current; gives back what was. For a generator's span, which runs in stretches."""
        before = _get_current()
        self._enclosing = before
        _set_current(self)
        return before

    def suspend(self, before: Span | None) -> None:
        """Stop being current."""
        if _get_current() is self:
            _set_current(before)
        self._enclosing = None

    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__
    __ne__ = object.__ne__


class Request(Span):
    """A request: the unit that the ledger prices."""

    __slots__ = ()
    kind = "request"


class _NoSpan(Span):
    """What `current()` gives where no span is live: takes everything, keeps nothing."""

    __slots__ = ()

    def tokens(self, input: int | None = None, output: int | None = None) -> Self:  # noqa: A002, ARG002
        return self

    def label(self, **labels: object) -> Self:  # noqa: ARG002
        return self


_NO_SPAN = _NoSpan()


def span(kind: str = "span", /, **attributes: Any) -> Span:
    """Any other piece of work: `span(kind="train", model=…)`, also `span("train")`."""
    return Named({"kind": attributes.pop("kind", kind), **attributes})


class Named(Span):
    """A span whose kind is one of its attributes."""

    __slots__ = ()


def live_span() -> Span | None:
    """The innermost live span of this thread or task, or None."""
    innermost = _get_current()
    return innermost._innermost_live() if innermost is not None else None


def current() -> Span:
    """The live span of this thread or task; a no-op where there is none."""
    return live_span() or _NO_SPAN


def _cuda_is_initialized() -> bool:
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    initialized = getattr(cuda, "is_initialized", None)
    return initialized is not None and bool(initialized())


def _wait_for_device(sync: object) -> None:
    if callable(sync):
        sync()
    elif sync and _cuda_is_initialized():
        sys.modules["torch"].cuda.synchronize()


def _outcome(kind: type[BaseException]) -> str:
    aborted = kind.__name__ in {"CancelledError", "GeneratorExit", "KeyboardInterrupt"}
    return "aborted" if aborted else f"failed: {kind.__name__}"
