"""Steps that overlap, and requests that end between them: what an asynchronous engine tells."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from greengen.integrations.batching import Serving, Work
from greengen.recording import reader
from greengen.rows import Timeline
from tests.unit.recordings import Recording, recording


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Recording]:
    with recording(tmp_path / "run.greengen") as active:
        yield active


def timeline(run: Recording) -> Timeline:
    assert run.writer.flush()
    [found] = reader.read(run.path, run.writer.disconnected()).timelines
    return found


def tell(serving: Serving, *work: Work) -> int:
    """Launch a step now; when that was."""
    now = time.monotonic_ns()
    serving.launch(now, work)
    return now


def test_a_step_launched_before_the_last_was_done_begins_with_its_end(run: Recording) -> None:
    serving = Serving("m", devices=["gpu-0"])
    serving.begin("a", 4)
    first = tell(serving, Work("a", 4, 0, 0, answers=True))
    second = tell(serving, Work("a", 0, 1, 4, answers=True))
    serving.done()
    serving.finish_with_step("a", 2)
    serving.done()
    line = timeline(run)
    a, b = line.steps
    assert a.t0_ns == first < second < a.t1_ns == b.t0_ns < b.t1_ns
    [engine] = line.engines
    [span] = line.spans
    assert engine.devices == span.devices == ("gpu-0",)
    assert (span.output_tokens, span.cached_tokens, span.outcome) == (2, 0, "ok")
    assert (span.t1_ns or 0) >= b.t1_ns


def test_what_was_launched_for_a_request_that_then_ended_is_padding(run: Recording) -> None:
    serving = Serving("m")
    serving.begin("a", 4)
    serving.begin("b", 4)
    tell(serving, Work("a", 4, 0, 0, answers=True), Work("b", 4, 0, 0, answers=True))
    tell(serving, Work("a", 0, 1, 4, answers=True), Work("b", 0, 1, 4, answers=True))
    serving.finish_with_step("a", 1)
    serving.done()
    serving.finish_with_step("b", 2)
    serving.done()
    line = timeline(run)
    assert [step.padding for step in line.steps] == [0, 1]
    names = {span.uid: span.name for span in line.spans}
    assert sorted((names[stint.span], stint.first, stint.prefill, stint.decode) for stint in line.stints) == [
        ("a", 1, 4, 0),
        ("b", 1, 4, 0),
        ("b", 2, 0, 1),
    ]


def test_a_request_that_fails_has_the_step_it_was_in(run: Recording) -> None:
    serving = Serving("m")
    serving.begin("a", 4)
    tell(serving, Work("a", 3, 0, 0, answers=False))
    serving.finish("a", 0, "failed: RuntimeError")
    serving.done()
    line = timeline(run)
    [step], [stint], [span] = line.steps, line.stints, line.spans
    assert (stint.prefill, span.outcome) == (3, "failed: RuntimeError")
    assert step.t1_ns <= (span.t1_ns or 0)


def test_a_request_that_was_put_back_waits(run: Recording) -> None:
    serving = Serving("m")
    serving.begin("a", 4)
    serving.put_back("a")
    for context, tokens in ((0, 4), (0, 5)):
        tell(serving, Work("a", tokens, 0, context, answers=True))
        serving.done()
        serving.put_back("a")
    serving.close()
    [span] = timeline(run).spans
    assert [phase.kind for phase in span.phases] == ["prefill", "decode", "queue"] * 2
    assert span.outcome == "unfinished"


def test_what_is_told_after_the_end_is_lost(run: Recording) -> None:
    serving = Serving("m")
    serving.begin("a", 4)
    serving.close()
    serving.begin("b", 4)
    serving.launch(time.monotonic_ns(), [])
    serving.done()
    serving.finish("a", 1)
    line = timeline(run)
    assert [(span.name, span.outcome) for span in line.spans] == [("a", "unfinished")]
    assert line.steps == []
