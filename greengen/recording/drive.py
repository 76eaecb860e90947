"""Run a decorated generator so that its span is live from first to last step, and current only in between."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greengen.recording.spans import Span


def generator(span: Span, inner: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """`inner`, measured: it is resumed with the span current, and the consumer runs without it."""
    span.start()
    outcome = "ok"
    step, argument = inner.send, None
    try:
        while True:
            before = span.resume()
            try:
                item = step(argument)
            except StopIteration as stop:
                return stop.value
            finally:
                span.suspend(before)
            try:
                argument = yield item
                step = inner.send
            except GeneratorExit:
                outcome = "aborted"
                inner.close()
                raise
            except BaseException as error:  # noqa: BLE001 -- thrown into the generator that asked for it
                step, argument = inner.throw, error
    except GeneratorExit:
        raise
    except BaseException as error:
        outcome = f"failed: {type(error).__name__}"
        raise
    finally:
        span.end(outcome)


async def asynchronous(span: Span, inner: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    """The same for an asynchronous generator."""
    span.start()
    outcome = "ok"
    step, argument = inner.asend, None
    try:
        while True:
            before = span.resume()
            try:
                item = await step(argument)
            except StopAsyncIteration:
                return
            finally:
                span.suspend(before)
            try:
                argument = yield item
                step = inner.asend
            except GeneratorExit:
                outcome = "aborted"
                await inner.aclose()
                raise
            except BaseException as error:  # noqa: BLE001 -- thrown into the generator that asked for it
                step, argument = inner.athrow, error
    except GeneratorExit:
        raise
    except BaseException as error:
        outcome = f"failed: {type(error).__name__}"
        raise
    finally:
        span.end(outcome)
