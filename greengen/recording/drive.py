"""Generators and spans: a generator's span is live from first to last step, and current only while it runs."""

from __future__ import annotations

import functools
import inspect
import opcode
from collections.abc import AsyncGenerator, Callable, Generator
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greengen.recording.spans import Span

#: Code flags of generators and asynchronous generators: their frames are left in the middle of a `with`.
SUSPENDABLE = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR

#: The instruction at which a suspended frame goes on; two bits of its argument say from what.
_RESUME = opcode.opmap["RESUME"]
_AFTER_AWAIT = 3


def is_suspended(frame: FrameType) -> bool:
    """Whether a generator stands at a `yield`, so that others run now.

    A frame that runs has a caller. One that awaits has none either, but the tasks that it awaits
    are its work.
    """
    if frame.f_back is not None:
        return False
    code, at = frame.f_code.co_code, max(frame.f_lasti, 0)
    if code[at] != _RESUME:
        at += 2
    return code[at : at + 1] != bytes([_RESUME]) or code[at + 1] & 3 != _AFTER_AWAIT


def outcome_of(error: type[BaseException]) -> str:
    """How work ended that an error ended: nobody failed where somebody stopped it."""
    aborted = error.__name__ in {"CancelledError", "GeneratorExit", "KeyboardInterrupt", "SystemExit"}
    return "aborted" if aborted else f"failed: {error.__name__}"


def generator(new: Callable[[], Span], function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, a generator function, measured: each generator is resumed with its span current."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:  # noqa: ANN401 -- whatever it takes
        span, inner = new(), function(*args, **kwargs)
        span.start()
        inside: Span | None = span
        outcome = "ok"
        step, argument = inner.send, None
        try:
            while True:
                before = span.swap(inside)
                try:
                    item = step(argument)
                except StopIteration as stop:
                    return stop.value
                finally:
                    inside = span.swap(before)
                try:
                    argument = yield item
                    step = inner.send
                except GeneratorExit:
                    before = span.swap(inside)
                    try:
                        inner.close()
                    finally:
                        inside = span.swap(before)
                    raise
                except BaseException as error:  # noqa: BLE001 -- thrown into the generator that asked for it
                    step, argument = inner.throw, error
        except BaseException as error:
            outcome = outcome_of(type(error))
            raise
        finally:
            span.end(outcome)

    return wrapper


def asynchronous(new: Callable[[], Span], function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for an asynchronous generator function."""

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401 -- the same
        span, inner = new(), function(*args, **kwargs)
        span.start()
        inside: Span | None = span
        outcome = "ok"
        step, argument = inner.asend, None
        try:
            while True:
                before = span.swap(inside)
                try:
                    item = await step(argument)
                except StopAsyncIteration:
                    return
                finally:
                    inside = span.swap(before)
                try:
                    argument = yield item
                    step = inner.asend
                except GeneratorExit:
                    before = span.swap(inside)
                    try:
                        await inner.aclose()
                    finally:
                        inside = span.swap(before)
                    raise
                except BaseException as error:  # noqa: BLE001 -- thrown into the generator that asked for it
                    step, argument = inner.athrow, error
        except BaseException as error:
            outcome = outcome_of(type(error))
            raise
        finally:
            span.end(outcome)

    return wrapper
