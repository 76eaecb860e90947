"""Engine steps and phases, from the call to the row."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import greengen
from greengen.accounting.choice import Plan
from greengen.accounting.policies import Coefficients
from greengen.recording.engine import Item
from greengen.rows import Phase, Timeline


def timeline(path: Path) -> Timeline:
    [found] = greengen.Run(path).rows().timelines
    return found


def expand(found: Timeline) -> dict[int, dict[str, tuple[int, int, int]]]:
    """Step → request → (prefill, decode, context): what a list of stints stands for."""
    made: dict[int, dict[str, tuple[int, int, int]]] = {step.seq: {} for step in found.steps}
    for stint in found.stints:
        for step in range(stint.first, stint.last + 1):
            context = stint.context + stint.growth * (step - stint.first)
            assert stint.span not in made[step]
            made[step][stint.span] = (stint.prefill, stint.decode, context)
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.greengen"


def test_what_is_told_of_each_step_is_what_is_recorded(path: Path) -> None:
    """Chunks of a prompt, decoding, drafted tokens, a preemption, requests that come and go."""
    told = [
        {"a": (16, 0, 0)},
        {"a": (16, 0, 16), "b": (8, 0, 0)},
        {"a": (0, 1, 32), "b": (0, 1, 8)},
        {"a": (0, 1, 33), "b": (0, 1, 9)},
        {"b": (0, 1, 10)},
        {"a": (34, 0, 0), "b": (0, 4, 11)},
        {"a": (0, 1, 34), "b": (0, 4, 13)},
        {"a": (0, 1, 35), "b": (0, 4, 17)},
    ]
    with greengen.profile(path), greengen.Engine("m", devices="gpu:0") as engine:
        requests = {name: greengen.request(model="m").start() for name in "ab"}
        for items in told:
            at = time.monotonic_ns()
            work = [(requests[name], *tokens) for name, tokens in items.items()]
            engine.step(work, at, time.monotonic_ns(), padding=2)
        uids = {name: request.uid for name, request in requests.items()}
        for request in requests.values():
            request.end()
    found = timeline(path)
    [row] = found.engines
    assert (row.model, row.devices) == ("m", ("gpu:0",))
    assert [step.padding for step in found.steps] == [2] * len(told)
    assert list(expand(found).values()) == [{uids[n]: t for n, t in items.items()} for items in told]
    # Where a request does the same, steps in a row are one row.
    assert len(found.stints) < sum(map(len, told))


def test_a_prompt_that_begins_anew_is_another_stint_and_sequences_add_up(path: Path) -> None:
    """Less in the cache than before, with as many tokens: context that shrinks would be no weight."""
    told: list[list[tuple[int, int, int]]] = [[(16, 0, 16)], [(16, 0, 0)], [(0, 1, 16), (0, 1, 20)], [(0, 1, 17)]]
    with greengen.profile(path), greengen.Engine("m") as engine, greengen.request(model="m") as request:
        for items in told:
            at = time.monotonic_ns()
            engine.step([(request, *tokens) for tokens in items], at, time.monotonic_ns())
    found = timeline(path)
    assert min(stint.growth for stint in found.stints) >= 0
    assert [tokens for [tokens] in (step.values() for step in expand(found).values())] == [
        (16, 0, 16),
        (16, 0, 0),
        (0, 2, 36),
        (0, 1, 17),
    ]
    plan = Plan("affine", given=Coefficients(fixed=1.0, context=1.0))
    assert greengen.Run(path).ledger(policy=plan).choices[0].policy == "affine"


@pytest.mark.parametrize("policy", ["auto", "token", "phase", Plan("affine", given=Coefficients(0.0, 1.0, 1.0, 1.0))])
def test_what_cannot_be_so_is_told_and_costs_nobody_the_report(path: Path, policy: str | Plan) -> None:
    with greengen.profile(path), greengen.Engine("m") as engine, greengen.request(model="m") as request:
        for _ in range(3):
            at = time.monotonic_ns()
            time.sleep(0.05)
            told: list[Item] = [(request, 8, 1, -9), ("nobody", -5, 1, 3)]
            engine.step(told, at, time.monotonic_ns(), padding=-7)
        engine.step([(request, 0, 1, 9)], at, at - 1)
    found = greengen.Run(path).report(policy=policy)
    said = "\n".join(found["warnings"])
    assert "1 request(s) that were not recorded, such as 'nobody'" in said
    assert "token counts below 0" in said
    assert "1 engine step(s) end before they begin" in said
    assert all((account["energy_j"]["value"] or 0) >= 0 for account in found["accounts"])


def test_a_long_stint_is_one_row_each_half_second(path: Path) -> None:
    with greengen.profile(path), greengen.Engine("m") as engine, greengen.request(model="m") as request:
        base = time.monotonic_ns()
        for i in range(1000):
            at = base + i * 2_000_000
            engine.step([(request, 0, 1, 50 + i)], at, at + 2_000_000)
    found = timeline(path)
    assert len(found.steps) == 1000
    assert 4 <= len(found.stints) <= 5
    assert [tokens for [tokens] in (step.values() for step in expand(found).values())] == [
        (0, 1, 50 + i) for i in range(1000)
    ]


def test_without_a_recording_nothing_is_kept() -> None:
    engine = greengen.Engine("m")
    request = greengen.request(model="m").start().first_token().phase("decode").tokens(input=3, cached=1)
    engine.step([(request, 1, 0, 0), ("somebody", 0, 1, 4)], 1, 2)
    engine.close()
    assert (request.uid, request.traceparent, "phases" in request) == (None, None, False)


def test_an_engine_that_outlives_a_recording_is_another_one_in_the_next(path: Path, tmp_path: Path) -> None:
    engine = greengen.Engine("m")
    for name in ("a", "b"):
        with greengen.profile(tmp_path / f"{name}.greengen"), greengen.request(model="m") as request:
            engine.step([(request, 4, 0, 0)], 1, 2)
            engine.close()
    found = [timeline(tmp_path / f"{name}.greengen") for name in ("a", "b")]
    assert [len(one.steps) for one in found] == [1, 1]
    assert [one.stints[0].span for one in found] == [one.spans[0].uid for one in found]
    assert not path.exists()


def test_phases_tokens_and_devices(path: Path) -> None:
    with greengen.profile(path):
        with greengen.request(model="m", devices=("gpu:0", "gpu:1"), requests=3) as request:
            request.phase("prefill", devices=["gpu:0"]).tokens(input=10, output=4, cached=6).first_token()
            marks = [phase[1] for phase in request["phases"]]
        with greengen.request(model="m", devices="gpu:2"):
            pass
        # A span object that is used again is another span, without the phases of the first.
        with request:
            pass
    first, second, again = timeline(path).spans
    assert first.phases == (Phase("prefill", marks[0], ("gpu:0",)), Phase("decode", marks[1]))
    assert (first.input_tokens, first.output_tokens, first.cached_tokens, first.requests) == (10, 4, 6, 3)
    assert (first.devices, second.devices) == (("gpu:0", "gpu:1"), ("gpu:2",))
    assert again.phases == ()
    assert second.requests == 1


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "4bf92f3577b34da6a3ce929d0e0e4736"),
        (" 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00 ", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", None),
        ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None),
        ("00-4bf92f3577b34da6-00f067aa0ba902b7-01", None),
        ("", None),
        (None, None),
    ],
)
def test_a_traceparent_is_read_as_the_standard_says(path: Path, header: str | None, expected: str | None) -> None:
    with greengen.profile(path), greengen.request(model="m", traceparent=header) as request:
        pass
    [span] = timeline(path).spans
    assert (span.trace_id, span.labels) == (expected, {})
    assert request.traceparent is not None


def test_a_traceparent_goes_on(path: Path) -> None:
    header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with greengen.profile(path):
        with greengen.request(model="m", traceparent=header) as request:
            sent = request.traceparent
        with greengen.request(model="m") as other:
            begun = other.traceparent
            assert begun == other.traceparent
    assert sent is not None
    assert begun is not None
    version, trace, parent, flags = sent.split("-")
    assert (version, trace, flags) == ("00", header.split("-")[1], "01")
    assert len(parent) == 16
    assert parent != header.split("-")[2]
    assert [span.trace_id for span in timeline(path).spans] == [trace, begun.split("-")[1]]


def test_a_recording_that_stops_in_the_middle_of_a_request_holds_its_steps(path: Path) -> None:
    engine = greengen.Engine("m")
    with greengen.profile(path):
        request = greengen.request(model="m").start()
        for context in range(5):
            at = time.monotonic_ns()
            engine.step([(request, 0, 1, context)], at, time.monotonic_ns())
    found = expand(timeline(path))
    assert {step: list(items) for step, items in found.items()} == {n: [request.uid] for n in range(1, 6)}


def test_a_closed_engine_can_go_on(path: Path) -> None:
    engine = greengen.Engine("m")
    with greengen.profile(path):
        request = greengen.request(model="m").start()
        for context in range(4):
            at = time.monotonic_ns()
            engine.step([(request, 0, 1, context)], at, time.monotonic_ns())
            if context == 1:
                engine.close()
    assert all(list(items) == [request.uid] for items in expand(timeline(path)).values())
