"""Spans: as a context manager, a decorator, from any thread and task; and that they never hurt the work."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import gc
import inspect
import pickle
import sys
import threading
import time
from collections.abc import AsyncGenerator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

import greengen
from greengen.recording import active
from tests.unit.recordings import Recording, recording

NOT_RECORDING = None


@pytest.fixture
def rec(tmp_path: Path) -> Iterator[Recording]:
    with recording(tmp_path / "r.greengen") as made:
        yield made


def named(name: str) -> greengen.Span:
    return greengen.span("work", name=name)


def current_name() -> str | None:
    return greengen.current().get("name")


# -- what a span is told to be ------------------------------------------------------------------


def test_context_manager(rec: Recording) -> None:
    before = time.monotonic_ns()
    with greengen.request(model="m", tier="edge", name="n", trace_id="t", tenant="x", pod=7) as req:
        assert req.tokens(input=3, output=5) is req
        assert req.label(key_id="k") is req
    row = rec.span()
    assert (row.kind, row.model, row.tier, row.name, row.trace_id) == ("request", "m", "edge", "n", "t")
    assert (row.input_tokens, row.output_tokens, row.outcome, row.flags) == (3, 5, "ok", ())
    assert row.labels == {"tenant": "x", "pod": "7", "key_id": "k"}
    assert row.t1_ns is not None
    assert before <= row.t0_ns <= row.t1_ns <= time.monotonic_ns()
    assert row.parent is None
    assert row.uid == req.uid


def test_kinds(rec: Recording) -> None:
    with greengen.span("train"), greengen.span(kind="step", model="m"), greengen.span(), greengen.request():
        pass
    assert [row.kind for row in rec.spans()] == ["train", "step", "span", "request"]


def test_tokens_overwrite_only_what_they_name(rec: Recording) -> None:
    with greengen.request() as req:
        req.tokens(input=1, output=2)
        req.tokens(output=3)
    assert (rec.span().input_tokens, rec.span().output_tokens) == (1, 3)


@pytest.mark.parametrize("wrong", [{"input": -1}, {"output": -7}, {"cached": 2**63}])
def test_a_token_count_that_is_none_is_left_out_and_flagged(rec: Recording, wrong: dict[str, int]) -> None:
    with greengen.request() as req:
        req.tokens(input=4, output=5, cached=3).tokens(**wrong)
    row = rec.span()
    told = {"input": row.input_tokens, "output": row.output_tokens, "cached": row.cached_tokens}
    assert told == {"input": 4, "output": 5, "cached": 3} | dict.fromkeys(wrong)
    assert row.flags == ("miscounted",)


@pytest.mark.parametrize("flushed", [False, True])
def test_said_after_the_end_is_recorded(rec: Recording, *, flushed: bool) -> None:
    with greengen.request() as req:
        pass
    if flushed:
        assert rec.span().output_tokens is None
    req.tokens(output=9).label(tenant="late")
    row = rec.span()
    assert (row.output_tokens, row.labels) == (9, {"tenant": "late"})
    assert row.t1_ns == req.t1_ns


def test_async_context_manager(rec: Recording) -> None:
    async def main() -> str | None:
        async with named("a"):
            return current_name()

    assert asyncio.run(main()) == "a"
    assert rec.span().name == "a"


# -- as a decorator ------------------------------------------------------------------------------


def test_decorated_function(rec: Recording) -> None:
    @greengen.request(model="m")
    def double(x: int, *, plus: int = 0) -> int:
        """Say it."""
        greengen.current().tokens(output=x)
        return 2 * x + plus

    assert [double(1), double(2, plus=1)] == [2, 5]
    assert (double.__name__, double.__doc__) == ("double", "Say it.")
    assert [(row.model, row.output_tokens) for row in rec.spans()] == [("m", 1), ("m", 2)]


def test_decorated_method(rec: Recording) -> None:
    class Model:
        size = 7

        @greengen.request(model="m")
        def generate(self) -> int:
            return self.size

        @staticmethod
        @greengen.request(model="s")
        def load() -> int:
            return 8

        @classmethod
        @greengen.request(model="c")
        def make(cls) -> int:
            return cls.size

    assert (Model().generate(), Model.load(), Model.make()) == (7, 8, 7)
    assert [row.model for row in rec.spans()] == ["m", "s", "c"]


def test_decorated_coroutine(rec: Recording) -> None:
    @greengen.request(name="a")
    async def work() -> str | None:
        await asyncio.sleep(0)
        return current_name()

    assert inspect.iscoroutinefunction(work)
    assert asyncio.run(work()) == "a"
    assert rec.span().outcome == "ok"


def test_recursion_nests(rec: Recording) -> None:
    @greengen.span("depth")
    def down(n: int) -> None:
        if n:
            down(n - 1)

    down(3)
    rows = rec.spans()
    assert [row.parent for row in rows] == [None, *(row.uid for row in rows[:-1])]


def test_decorated_generator(rec: Recording) -> None:
    seen = []

    @greengen.request(name="g")
    def stream(n: int) -> Generator[int, str, str]:
        for i in range(n):
            seen.append((current_name(), (yield i)))  # noqa: PERF401 -- a yield cannot go in there
        return "done"

    assert inspect.isgeneratorfunction(stream)
    running = stream(2)
    assert rec.spans() == []
    with named("consumer"):
        assert next(running) == 0
        assert current_name() == "consumer"
        assert running.send("a") == 1
        assert rec.by_name()["g"].t1_ns is None
        with pytest.raises(StopIteration) as stop:
            running.send("b")
        assert current_name() == "consumer"
    assert stop.value.value == "done"
    assert seen == [("g", "a"), ("g", "b")]
    assert rec.parents() == {"consumer": None, "g": "consumer"}
    assert rec.by_name()["g"].outcome == "ok"


def test_decorated_generator_catches_what_is_thrown_in(rec: Recording) -> None:
    @greengen.request()
    def stream() -> Iterator[str]:
        try:
            yield "a"
        except KeyError:
            yield f"caught in {greengen.current().kind}"

    running = stream()
    assert next(running) == "a"
    assert running.throw(KeyError("x")) == "caught in request"  # type: ignore[attr-defined]
    assert list(running) == []
    assert rec.span().outcome == "ok"


def test_decorated_generator_that_fails(rec: Recording) -> None:
    @greengen.request()
    def stream() -> Iterator[int]:
        yield 1
        raise LookupError

    with pytest.raises(LookupError):
        list(stream())
    assert rec.span().outcome == "failed: LookupError"


@pytest.mark.parametrize("how", ["close", "collect"])
def test_decorated_generator_stopped_early(rec: Recording, how: str) -> None:
    cleaned = []

    @greengen.request(name="g")
    def stream() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            cleaned.append(current_name())

    running = stream()
    next(running)
    if how == "close":
        running.close()  # type: ignore[attr-defined]
    else:
        del running
        gc.collect()
    assert cleaned == ["g"]
    assert rec.span().outcome == "aborted"
    assert current_name() is None


def test_span_opened_in_a_decorated_generator_leaves_with_it(rec: Recording) -> None:
    @greengen.request(name="outer")
    def stream() -> Iterator[int]:
        with named("inner"):
            yield 1
            assert current_name() == "inner"
            yield 2
        assert current_name() == "outer"

    running = stream()
    for _ in running:
        assert current_name() is None
        with named(f"consumer {_}"):
            assert current_name() == f"consumer {_}"
    assert current_name() is None
    assert rec.parents() == {"outer": None, "inner": "outer", "consumer 1": None, "consumer 2": None}


def test_decorated_async_generator(rec: Recording) -> None:
    seen = []

    @greengen.request(name="g")
    async def stream(n: int) -> AsyncGenerator[int, None]:
        for i in range(n):
            await asyncio.sleep(0)
            seen.append(current_name())
            yield i

    async def main() -> list[int]:
        items = []
        with named("consumer"):
            async for item in stream(3):
                assert current_name() == "consumer"
                items.append(item)
        return items

    assert inspect.isasyncgenfunction(stream)
    assert asyncio.run(main()) == [0, 1, 2]
    assert seen == ["g"] * 3
    assert rec.parents() == {"consumer": None, "g": "consumer"}


@pytest.mark.parametrize("how", ["aclose", "break", "athrow", "fail"])
def test_decorated_async_generator_stopped_early(rec: Recording, how: str) -> None:
    @greengen.request()
    async def stream() -> AsyncGenerator[int, None]:
        yield 1
        if how == "fail":
            raise LookupError
        yield 2

    async def main() -> None:
        items = stream()
        assert await anext(items) == 1
        if how == "aclose":
            await items.aclose()
        elif how == "athrow":
            with pytest.raises(KeyError):
                await items.athrow(KeyError("x"))
        elif how == "fail":
            with pytest.raises(LookupError):
                await anext(items)
        # Left alone, the loop closes it when it ends.

    asyncio.run(main())
    expected = {"aclose": "aborted", "break": "aborted", "athrow": "failed: KeyError", "fail": "failed: LookupError"}
    assert rec.span().outcome == expected[how]


# -- start and end -------------------------------------------------------------------------------


def test_start_is_not_current_and_any_thread_ends_it(rec: Recording) -> None:
    with named("handler"):
        req = greengen.request(name="stream").start()
        assert current_name() == "handler"
    thread = threading.Thread(target=req.end)
    thread.start()
    thread.join()
    rows = rec.by_name()
    assert rec.parents() == {"handler": None, "stream": "handler"}
    assert (rows["stream"].t1_ns or 0) >= (rows["handler"].t1_ns or 0) > 0
    assert rows["stream"].outcome == "ok"


def test_end_tells_the_outcome_once(rec: Recording) -> None:
    req = greengen.request().start()
    req.end("timeout")
    ended = req.t1_ns
    req.end("ok")
    assert (rec.span().outcome, rec.span().t1_ns) == ("timeout", ended)


def test_end_without_start_does_nothing(rec: Recording) -> None:
    greengen.request().end()
    assert rec.spans() == []


def test_end_inside_the_block(rec: Recording) -> None:
    with greengen.request(name="a") as req:
        req.end("early")
        assert current_name() is None
        ended = req.t1_ns
    assert (rec.span().outcome, rec.span().t1_ns) == ("early", ended)


def test_ended_by_another_thread_inside_the_block(rec: Recording) -> None:
    with named("outer"):
        with named("a") as inner:
            thread = threading.Thread(target=inner.end)
            thread.start()
            thread.join()
            assert current_name() == "outer"
        assert current_name() == "outer"
    assert current_name() is None


def test_many_threads_end_one_span_once(rec: Recording) -> None:
    spans = [greengen.request(name=str(i)).start() for i in range(200)]
    threads = [threading.Thread(target=lambda: list(map(greengen.Span.end, spans))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rec.by_name()) == 200


def test_spans_of_many_threads_are_all_there(rec: Recording) -> None:
    def work(thread: int) -> None:
        for i in range(500):
            with named(f"{thread}.{i}"):
                pass

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert rec.writer.flush()
    assert len(rec.by_name()) == 2000
    assert all(row.t1_ns is not None and row.parent is None for row in rec.spans())


# -- one object, used more than once ---------------------------------------------------------------


def test_used_again_it_is_another_span(rec: Recording) -> None:
    req = greengen.request(model="m")
    for n in range(3):
        with req:
            req.tokens(output=n)
            with named(f"child {n}"):
                pass
    rows = [row for row in rec.spans() if row.kind == "request"]
    assert [row.output_tokens for row in rows] == [0, 1, 2]
    assert len({row.uid for row in rows}) == 3
    children = [row for row in rec.spans() if row.kind == "work"]
    assert [row.parent for row in children] == [row.uid for row in rows]
    assert current_name() is None


def test_used_again_after_a_flush(rec: Recording) -> None:
    req = greengen.request(name="a")
    with req:
        pass
    rec.spans()
    with req:
        pass
    assert [row.outcome for row in rec.spans()] == ["ok", "ok"]
    assert len({row.uid for row in rec.spans()}) == 2


def test_entered_again_it_stays_one_span(rec: Recording) -> None:
    req = greengen.request(name="a")
    with req:
        with req:
            assert current_name() == "a"
            with named("b"), req:
                assert current_name() == "b"
        with named("c"):
            pass
    assert current_name() is None
    assert rec.by_name()["a"].t1_ns is not None
    assert rec.parents()["b"] == "a"


def test_started_then_entered(rec: Recording) -> None:
    req = greengen.request(name="a").start()
    assert req.start() is req
    with req:
        assert current_name() == "a"
    assert current_name() is None
    assert rec.span().outcome == "ok"


def test_shared_by_threads_nothing_is_left_open(rec: Recording) -> None:
    req = greengen.request(name="shared")

    def work() -> None:
        for _ in range(200):
            with req:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = rec.spans()
    assert rows
    assert len({row.uid for row in rows}) == len(rows)
    assert current_name() is None


# -- what is current -----------------------------------------------------------------------------


def test_nesting(rec: Recording) -> None:
    with named("a"), named("b"):
        with named("c"):
            assert current_name() == "c"
        assert current_name() == "b"
        with named("d"):
            pass
    assert current_name() is None
    assert rec.parents() == {"a": None, "b": "a", "c": "b", "d": "b"}


def test_current_without_attributes_is_the_span(rec: Recording) -> None:
    with greengen.request() as req:
        assert req
        assert greengen.current() is req


def test_current_where_there_is_none_takes_everything(rec: Recording) -> None:
    nobody = greengen.current()
    with nobody as entered:
        entered.tokens(input=1).label(a="b")
        entered.start().end("x")
    assert nobody.uid is None
    assert greengen.current().get("a") is None
    assert rec.spans() == []


def test_a_new_thread_has_no_current_span(rec: Recording) -> None:
    with named("a"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(current_name).result() is None


def test_a_copied_context_keeps_it(rec: Recording) -> None:
    def work() -> None:
        with named("b"):
            pass

    with named("a"), ThreadPoolExecutor(2) as pool:
        context = contextvars.copy_context()
        assert pool.submit(context.run, current_name).result() == "a"
        pool.submit(contextvars.copy_context().run, work).result()
        assert asyncio.run(asyncio.to_thread(current_name)) == "a"
    # The span is over, and so it is in the copy.
    assert context.run(current_name) is None
    assert rec.parents() == {"a": None, "b": "a"}


def test_tasks_keep_their_parent(rec: Recording) -> None:
    async def work(name: str) -> None:
        with named(name):
            await asyncio.sleep(0.001)
            assert current_name() == name
            await asyncio.sleep(0)
            assert current_name() == name

    async def main() -> None:
        with named("root"):
            await asyncio.gather(*(work(str(i)) for i in range(5)))
            assert current_name() == "root"

    asyncio.run(main())
    assert rec.parents() == {"root": None, **{str(i): "root" for i in range(5)}}


def test_a_task_that_outlives_its_span_falls_back_to_the_one_outside(rec: Recording) -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def late() -> None:
            await go.wait()
            with named("late"):
                pass

        with named("root"):
            with named("handler"):
                task = asyncio.create_task(late())
                await asyncio.sleep(0)
            go.set()
            await task

    asyncio.run(main())
    assert rec.parents() == {"root": None, "handler": "root", "late": "root"}


def test_tasks_that_start_one_another_do_not_pile_up(rec: Recording) -> None:
    first: list[greengen.Span] = []

    async def step(n: int) -> None:
        with named(str(n)) as span:
            first.append(span)
            following = asyncio.create_task(step(n - 1)) if n else None
            await asyncio.sleep(0)
        if following:
            await following

    asyncio.run(step(50))
    chain, span = 0, first[-1]._enclosing
    while span is not None:
        chain, span = chain + 1, span._enclosing
    assert chain <= 1


def test_a_span_in_a_generator_is_current_only_while_it_runs(rec: Recording) -> None:
    def stream() -> Iterator[str | None]:
        with named("g"):
            yield current_name()
            yield current_name()

    with named("consumer"):
        running = stream()
        assert next(running) == "g"
        assert current_name() == "consumer"
        with named("between"):
            assert next(running) == "g"
        assert list(running) == []
        assert current_name() == "consumer"
    assert current_name() is None
    assert rec.parents() == {"consumer": None, "g": "consumer", "between": "consumer"}


def test_interleaved_generators(rec: Recording) -> None:
    def stream(name: str) -> Iterator[str | None]:
        with named(name):
            while True:
                with named(f"{name}{time.monotonic_ns()}") as inner:
                    yield current_name()
                    assert current_name() == inner["name"]
                assert current_name() == name

    with named("consumer"):
        a, b = stream("a"), stream("b")
        for _ in range(3):
            for letter, running in (("a", a), ("b", b)):
                assert (next(running) or "").startswith(letter)
                assert current_name() == "consumer"
        a.close()  # type: ignore[attr-defined]
        assert current_name() == "consumer"
        assert (next(b) or "").startswith("b")
        b.close()  # type: ignore[attr-defined]
        assert current_name() == "consumer"
    assert current_name() is None
    for name, parent in rec.parents().items():
        assert parent == (None if name == "consumer" else "consumer" if name in ("a", "b") else (name or " ")[0])


@pytest.mark.parametrize("how", ["close", "collect"])
def test_a_generator_left_early_ends_its_span(rec: Recording, how: str) -> None:
    def stream() -> Iterator[int]:
        with named("g"):
            yield 1

    running = stream()
    next(running)
    if how == "close":
        running.close()  # type: ignore[attr-defined]
    else:
        del running
        gc.collect()
    assert rec.span().outcome == "aborted"
    assert current_name() is None


def test_an_async_generator_that_awaits_still_runs(rec: Recording) -> None:
    async def work() -> str | None:
        return current_name()

    async def stream() -> AsyncGenerator[list[str | None], None]:
        async with named("g"):
            yield [*await asyncio.gather(work(), work())]
            yield [current_name(), *await asyncio.gather(work())]

    async def main() -> None:
        with named("consumer"):
            async for names in stream():
                assert names == ["g", "g"]
                assert [*await asyncio.gather(work())] == ["consumer"]

    asyncio.run(main())
    assert rec.parents() == {"consumer": None, "g": "consumer"}


# -- how work ends -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError("x"), "failed: ValueError"),
        (KeyboardInterrupt(), "aborted"),
        (SystemExit(0), "aborted"),
        (asyncio.CancelledError(), "aborted"),
    ],
)
def test_outcome_of_errors(rec: Recording, error: BaseException, outcome: str) -> None:
    with pytest.raises(type(error)), named("a"):
        raise error
    assert rec.span().outcome == outcome
    assert current_name() is None


def test_cancelled_task(rec: Recording) -> None:
    async def work() -> None:
        with greengen.request():
            await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert rec.span().outcome == "aborted"


def test_a_span_still_open_is_written_as_open(rec: Recording) -> None:
    with greengen.request():
        assert rec.span().t1_ns is None
    assert rec.span().t1_ns is not None


# -- hostile values ------------------------------------------------------------------------------


class _Mute:
    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


class _LyingStr(str):
    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("\udcff half", "? half"),
        ("naïve ✓ \x00", "naïve ✓ \x00"),
        (_Mute(), "<_Mute>"),
        (10**5000, "<int>"),
        (float("nan"), "nan"),
        (_LyingStr("lie"), "lie"),
        (b"\xff", "b'\\xff'"),
        ("x" * 100_000, "x" * 100_000),
    ],
    ids=["surrogate", "nul", "mute", "huge", "nan", "lying", "bytes", "long"],
)
def test_hostile_values(rec: Recording, value: object, told: str) -> None:
    with greengen.span(value, model=value, name=value, tier=value, trace_id=value, label=value) as span:  # type: ignore[arg-type]
        pass
    span.outcome = value  # type: ignore[assignment]
    span.label()
    row = rec.span()
    assert {row.kind, row.model, row.name, row.tier, row.trace_id, row.labels["label"], row.outcome} == {told}


def test_none_is_no_value(rec: Recording) -> None:
    with greengen.span(None, model=None, name=None, tenant=None):  # type: ignore[arg-type]
        pass
    with greengen.request(kind=None):
        pass
    first, second = rec.spans()
    assert (first.kind, first.model, first.name, first.labels) == ("span", None, None, {})
    assert second.kind == "request"


def test_hostile_names_of_labels(rec: Recording) -> None:
    with greengen.request(**{"\udcff": "a", "": "b", "kind": "k", "flags": "f", "t0_ns": "t"}) as req:
        req[5] = "number"  # type: ignore[index]
    row = rec.span()
    assert row.kind == "k"
    assert row.labels == {"?": "a", "": "b", "flags": "f", "t0_ns": "t", "5": "number"}


@pytest.mark.parametrize("count", [-1, 2**63, 10**5000, "five", 1.5, None, _Mute(), [1]], ids=type)
def test_what_is_no_token_count_is_not_recorded(rec: Recording, count: object) -> None:
    with greengen.request(input_tokens=count, output_tokens=4):
        pass
    assert (rec.span().input_tokens, rec.span().output_tokens) == (None, 4)


def test_one_span_that_cannot_be_told_costs_no_other(rec: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> bool:
        raise RuntimeError

    with named("good"):
        pass
    torch = SimpleNamespace(cuda=SimpleNamespace(is_initialized=broken))
    monkeypatch.setitem(sys.modules, "torch", torch)
    with named("bad"):
        pass
    rec.writer.flush()
    monkeypatch.delitem(sys.modules, "torch")
    with named("later"):
        pass
    names = set(rec.by_name())
    assert "later" in names
    assert "bad" not in names
    assert rec.writer.lost_rows == 3 - len(names)


# -- work that outlives its call -----------------------------------------------------------------


class _Cuda:
    """torch.cuda as far as spans use it."""

    def __init__(self, *, initialized: bool) -> None:
        self.initialized = initialized
        self.waits = 0

    def is_initialized(self) -> bool:
        return self.initialized

    def synchronize(self) -> None:
        self.waits += 1


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> _Cuda:
    made = _Cuda(initialized=True)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=made))
    return made


def test_on_cuda_a_span_is_flagged_async(rec: Recording, cuda: _Cuda) -> None:
    with greengen.request():
        pass
    assert rec.span().flags == ("async",)
    assert cuda.waits == 0


@pytest.mark.parametrize("sync", [False, None, 0])
def test_sync_switched_off_is_async(rec: Recording, cuda: _Cuda, sync: object) -> None:
    with greengen.request(sync=sync):
        pass
    assert (rec.span().flags, cuda.waits, rec.span().labels) == (("async",), 0, {})


def test_sync_waits_for_the_device(rec: Recording, cuda: _Cuda) -> None:
    with greengen.request(sync=True):
        assert cuda.waits == 0
    assert (cuda.waits, rec.span().flags, rec.span().labels) == (1, (), {})


def test_sync_by_a_callable(rec: Recording, cuda: _Cuda) -> None:
    with greengen.request(sync=lambda: time.sleep(0.02)):
        begun = time.monotonic_ns()
    assert (rec.span().t1_ns or 0) - begun >= 20e6
    assert (cuda.waits, rec.span().flags) == (0, ())


def test_no_cuda_in_use_is_not_async(rec: Recording, cuda: _Cuda) -> None:
    cuda.initialized = False
    with greengen.request(), greengen.request(sync=True):
        pass
    assert [row.flags for row in rec.spans()] == [(), ()]
    assert cuda.waits == 0


@pytest.mark.parametrize("torch", [SimpleNamespace(), SimpleNamespace(cuda=None), None])
def test_half_imported_torch(rec: Recording, monkeypatch: pytest.MonkeyPatch, torch: object) -> None:
    monkeypatch.setitem(sys.modules, "torch", torch)
    with greengen.request(sync=True):
        pass
    assert rec.span().flags == ()


def test_sync_that_raises_is_the_works_error_and_the_end_is_recorded(rec: Recording, cuda: _Cuda) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), greengen.request(sync=broken):
        pass
    row = rec.span()
    assert row.t1_ns is not None
    assert (row.outcome, row.flags) == ("failed: ZeroDivisionError", ("async",))
    assert greengen.current().uid is None


def test_sync_does_not_hide_the_works_own_error(rec: Recording, cuda: _Cuda) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(KeyError), greengen.request(sync=broken):
        raise KeyError
    assert rec.span().outcome == "failed: KeyError"


# -- without a recording ---------------------------------------------------------------------------


def test_without_a_recording_everything_is_a_no_op() -> None:
    assert active.STATE.writer is NOT_RECORDING

    @greengen.request()
    def plain() -> str:
        assert not greengen.current().uid
        with greengen.span("inner"):
            return "plain"

    @greengen.request()
    def stream() -> Iterator[int]:
        greengen.current().tokens(output=1)
        with greengen.span("inner"):
            yield 1

    @greengen.request()
    async def astream() -> AsyncGenerator[int, None]:
        greengen.current().tokens(output=1)
        yield 1

    async def main() -> list[int]:
        async with greengen.request():
            return [item async for item in astream()]

    with greengen.request(model="m", sync=pytest.fail) as req:
        req.tokens(1, 2).label(a=1)
        req.end()
    assert req.uid is None
    assert (plain(), list(stream()), asyncio.run(main())) == ("plain", [1], [1])
    greengen.request().start().end()
    with pytest.raises(ValueError, match="mine"), greengen.request():
        raise ValueError("mine")  # noqa: EM101


def test_begun_without_a_recording_ended_within_one(tmp_path: Path) -> None:
    with greengen.request() as early, recording(tmp_path / "r.greengen") as rec:
        with named("a"):
            pass
        early.end()
        assert [row.name for row in rec.spans()] == ["a"]
        assert rec.span().parent is None


def test_ended_after_its_recording(tmp_path: Path) -> None:
    with recording(tmp_path / "r.greengen"):
        late = greengen.request(name="late").start()
        held = named("held").__enter__()
    late.tokens(output=1)
    late.end()
    held.__exit__(None, None, None)
    assert greengen.current().uid is None


# -- as an object --------------------------------------------------------------------------------


def test_copies_have_not_begun(rec: Recording) -> None:
    with greengen.request(model="m", n=1) as req:
        for other in (copy.copy(req), copy.deepcopy(req), pickle.loads(pickle.dumps(req))):  # noqa: S301
            assert type(other) is type(req)
            assert dict(other) == {"model": "m", "n": 1}
            assert other.uid is None
            assert other != req
    assert len({req, greengen.request(model="m", n=1)}) == 2
    rec.span()
