"""Spans: a piece of work with a start and an end, for a few microseconds.

A span is a dict of its attributes, because building one from keywords is then a single C call:
without a recording `with greengen.request(...)` costs little more than an empty `with`.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from itertools import count
from time import monotonic_ns
from types import EllipsisType, FrameType, TracebackType
from typing import Any, Self, TypeVar, cast

from greengen.recording import device, drive, trace
from greengen.recording.active import STATE, start
from greengen.recording.writer import Writer

F = TypeVar("F", bound=Callable[..., Any])

_current: ContextVar[Span | None] = ContextVar("greengen_span", default=None)
_get_current = _current.get
_set_current = _current.set
_next_seq = count(1).__next__
_getframe = sys._getframe
_SUSPENDABLE = drive.SUSPENDABLE

#: Nobody nests deeper: a chain this long is a circle, made by entering one span object everywhere.
_DEEPEST = 1_000


class Span(dict[str, Any]):
    """One piece of work. As a context manager, a decorator, or by `start()` and `end()`.

    Attributes that greengen knows: model, tier, name, trace_id, input_tokens, output_tokens,
    cached_tokens, `traceparent` (the W3C header that came in), `devices` (uids of the domains it
    uses, where not all), `requests` (how many it stands for, where not one) and `sync` (True, or a
    callable, to wait for the accelerator before the end is taken). Any other keyword is a label
    (tenant, pod, key id).

    An object is one span at a time: used again after its end it is another span, and entered again
    before it the same one.
    """

    __slots__ = ("_enclosing", "_frame", "_writer", "outcome", "parent_uid", "seq", "t0_ns", "t1_ns")

    kind = "span"

    _enclosing: Span | None
    #: The generator's frame it was entered in; `...` where it began while another's span stood open.
    _frame: FrameType | EllipsisType | None
    _writer: Writer | None
    outcome: str
    parent_uid: str | None
    seq: int
    t0_ns: int
    t1_ns: int

    # -- life ------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        # Every line here is paid for by each request: 1.7 us in all, see `make bench`.
        writer = STATE.writer
        if writer is None:
            self._writer = None
            return self
        if id(self) in writer.pending and self._is_live_in(writer):
            return self._enter_again(_getframe(1))
        enclosing, mark = _get_current(), None
        if enclosing is None:
            self.parent_uid = None
        elif enclosing.t1_ns or enclosing._frame is not None or enclosing is self:
            enclosing, mark = self._find_parent(enclosing)
        else:
            self.parent_uid = enclosing.uid
        self._enclosing = enclosing
        frame = _getframe(1)
        self._frame = frame if frame.f_code.co_flags & _SUSPENDABLE else mark
        self._writer = writer
        self.outcome = "ok"
        self.t1_ns = 0
        self.seq = _next_seq()
        _set_current(self)
        if not writer.running:
            start(writer)
        self.t0_ns = monotonic_ns()
        writer.pending[id(self)] = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        writer = self._writer
        if writer is None:
            return
        try:
            if kind is not None:
                if not self.t1_ns:
                    self.outcome = drive.outcome_of(kind)
            elif "sync" in self and not self.t1_ns:
                device.wait(self["sync"])
        except BaseException as failure:
            # The work's error, which the device tells late: it is the caller's.
            self.outcome = drive.outcome_of(type(failure))
            raise
        finally:
            t1_ns = monotonic_ns()
            enclosing = self._enclosing
            if enclosing is not None and enclosing.t1_ns:
                # Let go of what has ended: tasks that start one another would keep each other for ever.
                enclosing = self._enclosing = _unended(enclosing)
            if _get_current() is self:
                _set_current(enclosing)
            self._frame = None
            # The last thing: once it is set, the span may be written and forgotten at any moment.
            self.t1_ns = self.t1_ns or t1_ns

    async def __aenter__(self) -> Self:
        self.__enter__()
        if self._writer is not None:
            self._stand_in(_getframe(1))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def start(self) -> Self:
        """Begin without becoming current: for work that outlives its handler. Any thread may `end()` it."""
        writer = STATE.writer
        if writer is not None:
            if id(self) in writer.pending and self._is_live_in(writer):
                return self
            before = _get_current()
            try:
                self.__enter__()
            finally:
                _set_current(before)
            self._frame = None
        else:
            self._writer = None
        return self

    def end(self, outcome: str = "ok") -> None:
        """End a span that `start()` began. Does nothing for one that did not begin, or has ended."""
        if getattr(self, "_writer", None) is not None and not self.t1_ns:
            self.outcome = outcome
            self.__exit__(None, None, None)

    def _is_live_in(self, writer: Writer) -> bool:
        """Whether this object is a span that goes on. One that has ended is left to the writer as a copy."""
        if not self.t1_ns:
            return True
        past = type(self)(self)
        for name in ("_writer", "outcome", "parent_uid", "seq", "t0_ns", "t1_ns"):
            setattr(past, name, getattr(self, name))
        writer.replace(self, past)
        return False

    def _enter_again(self, frame: FrameType) -> Self:
        before = _get_current()
        if not _encloses(self, before):
            self._enclosing = _unended(before)
            self._stand_in(frame)
            _set_current(self)
        return self

    def _stand_in(self, frame: FrameType) -> None:
        self._frame = frame if frame.f_code.co_flags & _SUSPENDABLE else None

    def _find_parent(self, enclosing: Span | None) -> tuple[Span | None, EllipsisType | None]:
        """Set the parent, which runs; give back what was current, and `...` where that stands at a `yield`."""
        if enclosing is self:
            enclosing = self._enclosing
        enclosing = _unended(enclosing)
        parent = _running(enclosing)
        self.parent_uid = None if parent is None else parent.uid
        return enclosing, None if parent is enclosing else ...

    def _stands(self) -> bool:
        """Whether this span is over, or its generator stands at a `yield`."""
        frame = self._frame
        return bool(self.t1_ns) or (isinstance(frame, FrameType) and drive.is_suspended(frame))

    def _resumed(self) -> Span:
        """This span; or a generator's that was left open before this one began, and now runs inside it."""
        outer = self._enclosing
        for _ in range(_DEEPEST):
            if outer is None or outer.uid == self.parent_uid:
                return self
            if not outer._stands():
                return outer
            outer = outer._enclosing
        return self

    # -- what is known of it -----------------------------------------------------------------------

    def tokens(
        self,
        input: int | None = None,  # noqa: A002 -- the word users know
        output: int | None = None,
        cached: int | None = None,
    ) -> Self:
        """Tokens read and written by this request, and those read from a prefix cache; a later call overwrites."""
        for name, number in (("input", input), ("output", output), ("cached", cached)):
            if number is not None:
                self[f"{name}_tokens"] = int(number)
        self._tell_again()
        return self

    def phase(self, kind: str, *, devices: Sequence[str] = (), t_ns: int | None = None) -> Self:
        """From now (or `t_ns`, monotonic) on it does this: queue, prefill, decode, transfer.

        devices  uids of the domains that it uses meanwhile, where they are not the span's
        """
        if getattr(self, "_writer", None) is not None:
            at = monotonic_ns() if t_ns is None else int(t_ns)
            self["phases"] = [*self.get("phases", ()), (str(kind), at, [str(uid) for uid in devices])]
            self._tell_again()
        return self

    def first_token(self, t_ns: int | None = None) -> Self:
        """The prompt has been read, and the first token is there: what follows is `decode`."""
        return self.phase("decode", t_ns=t_ns)

    def label(self, **labels: object) -> Self:
        """Add labels that the ledger can group by."""
        self.update(labels)
        self._tell_again()
        return self

    def _tell_again(self) -> None:
        """What is said after the end belongs to the span as well, and it may be on disk already."""
        writer = getattr(self, "_writer", None)
        if writer is not None and self.t1_ns:
            writer.rewrite(self)

    @property
    def uid(self) -> str | None:
        """The span's id in the run; None where nothing was recorded."""
        writer = getattr(self, "_writer", None)
        return None if writer is None else f"{writer.uid}/{self.seq}"

    @property
    def traceparent(self) -> str | None:
        """The header that makes another tier's span part of this request; None where nothing is recorded."""
        uid = self.uid
        if uid is None:
            return None
        known = self.get("trace_id") or trace.trace_id(self.get("traceparent"))
        if known is None:
            known = self["trace_id"] = trace.new_trace_id()
            self._tell_again()
        return trace.traceparent(str(known), uid, self.get("traceparent"))

    @property
    def flags(self) -> tuple[str, ...]:
        """What makes this span's edges less sure: `async` where work may have outlived it on a GPU."""
        waited = self.get("sync") and self.outcome == "ok"
        return ("async",) if not waited and device.in_use() else ()

    # -- as a decorator ----------------------------------------------------------------------------

    def __call__(self, function: F) -> F:
        """Decorate a function, coroutine function, generator or asynchronous generator function."""
        kind = type(self)
        wrapper: Callable[..., Any]

        def new() -> Span:
            return kind(self)

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                with new():
                    return await function(*args, **kwargs)

        elif inspect.isasyncgenfunction(function):
            wrapper = drive.asynchronous(new, function)

        elif inspect.isgeneratorfunction(function):
            wrapper = drive.generator(new, function)

        else:

            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with new():
                    return function(*args, **kwargs)

        return cast("F", wrapper)

    def swap(self, span: Span | None) -> Span | None:
        """Make `span` current and give back what was: a generator's spans leave with it at each `yield`."""
        before = _get_current()
        if self._writer is not None:
            _set_current(span)
        return before

    # -- as an object, and no mere dict ------------------------------------------------------------

    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__
    __ne__ = object.__ne__

    def __bool__(self) -> bool:
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied or sent to another process, it is a span that has not begun."""
        return type(self), (dict(self),)


class Request(Span):
    """A request: the unit that the ledger prices."""

    __slots__ = ()
    kind = "request"


class Named(Span):
    """A span whose kind is one of its attributes."""

    __slots__ = ()


class _NoSpan(Span):
    """What `current()` gives where no span is live: takes everything, begins nothing."""

    __slots__ = ()

    def __enter__(self) -> Self:
        self._writer = None
        return self

    start = __enter__


def span(kind: str = "span", /, **attributes: Any) -> Span:
    """Any other piece of work: `span(kind="train", model=…)`, also `span("train")`."""
    return Named({"kind": attributes.pop("kind", kind), **attributes})


def current() -> Span:
    """The live span of this thread or task; a no-op where there is none."""
    live = _running(_get_current())
    return _NoSpan() if live is None else live


def _running(span: Span | None) -> Span | None:
    """`span` if it runs; else the next enclosing one that does, or None.

    A span opened in the body of a generator is current only while that generator runs.
    """
    for _ in range(_DEEPEST):
        if span is None:
            return None
        if not span._stands():
            return span if span._frame is None else span._resumed()
        span = span._enclosing
    return None


def _unended(span: Span | None) -> Span | None:
    for _ in range(_DEEPEST):
        if span is None or not span.t1_ns:
            return span
        span = span._enclosing
    return None


def _encloses(outer: Span, span: Span | None) -> bool:
    for _ in range(_DEEPEST):
        if span is None or span is outer:
            return span is outer
        span = span._enclosing
    return True
