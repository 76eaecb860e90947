"""Serving logs as engines write them, alone and beside a power log."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import greengen
from greengen.rows import Phase
from tests.integration.imports import imported, refused, report

T0 = 1721210400

VLLM = {
    "request_id": "cmpl-1",
    "model": "llama",
    "metrics": {
        "arrival_time": T0 + 1.5,
        "first_scheduled_time": T0 + 2.0,
        "first_token_time": T0 + 2.25,
        "finished_time": T0 + 6.0,
        "last_token_time": T0 + 5.9,
    },
    "usage": {"prompt_tokens": 100, "completion_tokens": 40, "prompt_tokens_details": {"cached_tokens": 64}},
    "finish_reason": "stop",
}
SGLANG = {
    "model": "qwen",
    "meta_info": {
        "id": "r2",
        "prompt_tokens": 7,
        "completion_tokens": 9,
        "cached_tokens": 0,
        "request_received_ts": T0 + 4.0,
        "request_finished_ts": T0 + 8.0,
        "finish_reason": "abort",
    },
}
TOKENS = {
    "id": "r3",
    "arrival": "2024-07-17T10:00:05Z",
    "token_times": ["2024-07-17T10:00:06Z", "2024-07-17T10:00:07Z", "2024-07-17T10:00:08.5Z"],
    "gen_ai.request.model": "phi",
    "gen_ai.usage.input_tokens": 3,
    "labels": {"tenant": "x"},
}


def lines(directory: Path, *records: object) -> str:
    (directory / "s.jsonl").write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in records))
    return "s.jsonl"


def power(directory: Path, first: int = 0, last: int = 10) -> str:
    rows = "".join(f"{T0 + s},120\n" for s in range(first, last + 1))
    (directory / "p.csv").write_text(f"time,power_w\n{rows}")
    return "p.csv"


def test_alone(tmp_path: Path) -> None:
    imported(tmp_path, "serving", lines(tmp_path, VLLM, "", SGLANG, TOKENS))
    (timeline,) = greengen.Run(tmp_path / "m.greengen").rows().timelines
    one, two, three = timeline.spans
    assert (one.name, one.model, one.input_tokens, one.output_tokens, one.cached_tokens) == (
        "cmpl-1",
        "llama",
        100,
        40,
        64,
    )
    assert (one.t0_ns, one.t1_ns) == (T0 * 10**9 + 15 * 10**8, T0 * 10**9 + 6 * 10**9)
    assert one.phases == (Phase("prefill", T0 * 10**9 + 2 * 10**9), Phase("decode", T0 * 10**9 + 225 * 10**7))
    assert (two.name, two.model, two.outcome, two.cached_tokens, two.phases) == ("r2", "qwen", "abort", 0, ())
    assert (three.model, three.output_tokens, three.labels) == ("phi", 3, {"tenant": "x"})
    assert three.phases == (Phase("decode", T0 * 10**9 + 6 * 10**9),)
    assert three.t1_ns == T0 * 10**9 + 85 * 10**8
    found = report(tmp_path)
    assert found["totals"]["energy_j"]["value"] is None
    assert [row["energy_j"]["value"] for row in found["requests"]] == [None] * 3


def test_beside_power(tmp_path: Path) -> None:
    imported(tmp_path, "serving", lines(tmp_path, VLLM, SGLANG, TOKENS), "--power", power(tmp_path), "--covers", "gpu")
    found = report(tmp_path)
    assert math.isclose(found["totals"]["energy_j"]["value"], 1200.0)
    # Half a second of the seven one waits in a queue, and no other is live.
    assert math.isclose(sum(row["energy_j"]["value"] for row in found["requests"]), 6.5 * 120)
    assert [row["succeeded"] for row in found["models"]] == [1, 0, 1]
    assert all(row["coverage"] == 1.0 for row in found["requests"])


def test_power_that_is_cut(tmp_path: Path) -> None:
    imported(tmp_path, "serving", lines(tmp_path, VLLM, SGLANG, TOKENS), "--power", power(tmp_path, 0, 5))
    found = report(tmp_path)
    assert [row["coverage"] for row in found["requests"]] == [pytest.approx(3.5 / 4.5), pytest.approx(0.25), 0.0]
    assert found["requests"][2]["energy_j"]["value"] is None


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ("{", "is no JSON object, or is cut off"),
        ("[1]", "is no JSON object"),
        ('{"arrival_time": NaN}', "is no JSON object"),
        ({"arrival_time": T0}, "has no end of the request"),
        ({"end": T0}, "has no start of the request"),
        ({"start": T0, "end": T0 - 1}, "lies before the start"),
        ({"start": T0, "end": T0 + 1, "first_token_time": T0 - 1}, "the first token"),
        ({"start": T0, "end": T0 + 1, "prompt_tokens": -1}, "is not a count"),
        ({"start": T0, "end": T0 + 1, "prompt_tokens": 1, "cached_tokens": 2}, "2 cached tokens of 1"),
        ({"start": 12.5, "end": 13}, "--epoch"),
        ({"start": T0, "end": True}, "is not a time"),
        ({"start": T0, "end": "2024-07-17 10:00:05"}, "mixes times of several clocks"),
        ({"start": T0, "token_times": 5}, "is not a list of times"),
        ({"start": T0, "token_times": []}, "has no end"),
    ],
)
def test_refused(tmp_path: Path, record: object, said: str) -> None:
    line = refused(tmp_path, "serving", lines(tmp_path, VLLM, record))
    assert said in line
    assert "s.jsonl line 2" in line
    imported(tmp_path, "serving", "s.jsonl", "--drop-bad")
    found = report(tmp_path)
    assert found["imported"][0]["rejected_requests_count"] == 1
    assert len(found["requests"]) == 1


def test_a_file_of_nothing(tmp_path: Path) -> None:
    assert "holds no request" in refused(tmp_path, "serving", lines(tmp_path, ""))
    assert "there is no file" in refused(tmp_path, "serving", "none.jsonl")


def test_a_strangers_text_is_only_text(tmp_path: Path) -> None:
    hostile = {"start": T0, "end": T0 + 1, "id": "</script>\x1b[31m", "model": "\ud800", "labels": {"a": "<b>"}}
    imported(tmp_path, "serving", lines(tmp_path, hostile), "--power", power(tmp_path))
    (row,) = report(tmp_path)["requests"]
    assert row["model"] == "?"
    page = greengen.Run(tmp_path / "m.greengen").render("html")
    assert "</script>\x1b" not in page


def test_monotonic_stamps_are_not_mixed_with_others(tmp_path: Path) -> None:
    record = {"arrival_time": T0, "end": T0 + 1, "queued_ts": 1234.5, "scheduled_ts": 1234.6}
    imported(tmp_path, "serving", lines(tmp_path, record))
    assert any("of another clock" in warning for warning in report(tmp_path)["warnings"])
