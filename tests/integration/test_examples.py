"""The short examples, run as a reader would run them. `make demo` runs the long one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from greengen import Run
from greengen.accounting.policies import POLICIES

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
EXCERPT = EXAMPLES / "azure_llm_2023_conv.csv"


def start(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed, with its temporary files under `cwd`; what it printed."""
    environment = os.environ | {"TMPDIR": str(cwd)}
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=cwd, env=environment).stdout


@pytest.mark.parametrize(
    ("example", "requests", "said"),
    [("decorator.py", 3, "and once more? 2666664666667000000"), ("async_requests.py", 5, "[12, 51, 146, 355, 493]")],
)
def test_example_records_its_requests(example: str, requests: int, said: str, tmp_path: Path) -> None:
    greengen = Path(sys.executable).with_name("greengen")
    command = (greengen, "profile", "-o", "run.greengen", "--", sys.executable, EXAMPLES / example)
    assert said in start(*command, cwd=tmp_path)
    [timeline] = Run(tmp_path / "run.greengen").rows().timelines
    assert [span.kind for span in timeline.spans] == ["request"] * requests
    assert all(span.output_tokens for span in timeline.spans)


@pytest.mark.parametrize("example", ["decorator.py", "async_requests.py"])
def test_example_runs_without_a_recording(example: str, tmp_path: Path) -> None:
    start(sys.executable, EXAMPLES / example, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_library_example_prints_a_row_per_model(tmp_path: Path) -> None:
    printed = start(sys.executable, EXAMPLES / "library.py", cwd=tmp_path)
    assert re.search(r"^small +3 ", printed, re.MULTILINE)
    assert re.search(r"^large +3 ", printed, re.MULTILINE)


def test_gpu_meter_example_says_how_often_a_meter_moves_and_what_each_adds_up_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = {"watts": [150, 300], "refresh_s": 0.1, "shown_w": 270, "instant": False}
    monkeypatch.setenv("GREENGEN_PYNVML", "greengen.testing.fake_pynvml")
    monkeypatch.setenv("GREENGEN_FAKE_NVML", json.dumps(rig))
    printed = start(sys.executable, EXAMPLES / "gpu_meter.py", "--gpu", "1", "--seconds", "1", cwd=tmp_path)
    assert "gauge, instant: not on this board (Not Supported)" in printed
    assert re.search(r"^idle, [\d.]+ s: [\d.]+ J \[.*\] measured by greengen$", printed, re.MULTILINE)
    # The fake's counter takes whole steps, and its gauge shows a tenth too little, ever the same.
    assert re.search(r"^  energy counter .* a new number every \d+ ms", printed, re.MULTILINE)
    assert re.search(r"^  gauge +[\d.]+ J +270\.0 W .*showed no two new numbers$", printed, re.MULTILINE)
    [run] = tmp_path.glob("*/idle.greengen")
    assert [domain.name for domain in Run(run).rows().timelines[0].domains] == ["NVIDIA H100 80GB HBM3"]


def test_gpu_meter_example_tells_of_a_gpu_that_is_not_there_in_a_line() -> None:
    command = [sys.executable, str(EXAMPLES / "gpu_meter.py"), "--gpu", "7"]
    environment = os.environ | {"GREENGEN_PYNVML": "greengen.testing.fake_pynvml"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert "GPU 7 of NVIDIA's cannot be read: Invalid Argument" in done.stderr


def test_policies_example_prints_every_policy_and_draws_them(tmp_path: Path) -> None:
    options = ("--workload", "chat", "--batch", "2.6", "--seeds", "1", "--html", "policies.html")
    printed = start(sys.executable, EXAMPLES / "policies.py", *options, cwd=tmp_path)
    lines = re.findall(r"^chat +2\.6  (affine|roofline) +(perfect|noisy gauge) +(.*)$", printed, re.MULTILINE)
    assert len(lines) == 4
    # A median and a percentile for each policy, and for the joules per output token.
    assert {len(figures.split(",")) - 1 for *_, figures in lines} == {len(POLICIES) + 1}
    assert all(policy in printed for policy in POLICIES)
    page = (tmp_path / "policies.html").read_text(encoding="utf-8")
    assert "chat: roofline cost, noisy gauge" in page


def python_in_the_readme() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def test_the_code_in_the_readme_runs(tmp_path: Path) -> None:
    code, _, _, footprint = python_in_the_readme()
    (tmp_path / "readme.py").write_text(
        f"prompt, generate = 'p', lambda p: sum(range(10**7))\n{code}{footprint}print(footprint.sci('request'))",
        encoding="utf-8",
    )
    printed = start(sys.executable, "readme.py", cwd=tmp_path)
    assert re.search(r"^llama-3\.2-1b-int8 +1 ", printed, re.MULTILINE)
    assert (tmp_path / "chat.greengen").exists()
    assert re.search(r"^[\d.e-]+ g/request \[", printed, re.MULTILINE)


def test_the_code_in_the_readme_for_engines_runs(tmp_path: Path) -> None:
    _, code, _, _ = python_in_the_readme()
    setup = f"""
import sys
sys.path.insert(0, {str(EXAMPLES)!r})
from continuous_batching import ContinuousBatchingConfig, GenerationConfig, small_llama
model, prompts = small_llama(), [[1, 2, 3], [4, 5]]
generation = GenerationConfig(max_new_tokens=7, do_sample=False, eos_token_id=-1)
engine = ContinuousBatchingConfig(num_blocks=16, page_size=16)  # without it, 60 % of the memory
"""
    (tmp_path / "readme.py").write_text(setup + code, encoding="utf-8")
    printed = start(sys.executable, "readme.py", cwd=tmp_path)
    assert re.search(r"^req_0 3 7 .*J", printed, re.MULTILINE)
    assert re.search(r"^req_1 2 7 .*J", printed, re.MULTILINE)


def test_the_code_in_the_readme_for_comparisons_runs(tmp_path: Path) -> None:
    _, _, code, _ = python_in_the_readme()
    setup = """
import time
import greengen
def recorded(path):
    with greengen.profile(path) as run, greengen.request(model=path[:4]):
        while time.process_time() % 0.2 < 0.1: pass
        time.sleep(0.1)
    return run
for i in (1, 2, 3):
    recorded(f"fp32-{i}.greengen")
    globals()[f"run_{i}"] = recorded(f"int8-{i}.greengen")
"""
    (tmp_path / "readme.py").write_text(setup + code, encoding="utf-8")
    start(sys.executable, "readme.py", cwd=tmp_path)
    assert "int8" in (tmp_path / "comparison.md").read_text(encoding="utf-8")


def test_engine_example_prints_every_request_and_balances(tmp_path: Path) -> None:
    printed = start(sys.executable, EXAMPLES / "continuous_batching.py", "--requests", "16", cwd=tmp_path)
    rows = re.findall(r"^request +(\d+) +(\d+) +(\d+) +\d", printed, re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(16))
    assert ("5", "240", "8") in rows
    balanced = re.findall(r"^(\w+) +accounts .*: balanced$", printed, re.MULTILINE)
    assert balanced == ["affine", "phase", "equal"]
    # So few requests may tell too little of what a step costs: then it is said, and else told.
    figures = re.findall(r"^  (the step itself|a token \w+) +[\d.]+ mJ  \[[\d.]+, [\d.]+\]$", printed, re.MULTILINE)
    reason = re.findall(r"^ +shared by phase, for affine: .", printed, re.MULTILINE)
    assert (len(figures), len(reason)) in {(4, 0), (0, 1)}


def test_intervals_example_counts_how_often_they_hold(tmp_path: Path) -> None:
    options = ("--meter", "noisy gauge", "--meter", "rapl", "--seeds", "2")
    printed = start(sys.executable, EXAMPLES / "intervals.py", *options, cwd=tmp_path)
    covered = re.findall(r"^\S.*? % +([\d.]+) % ", printed, re.MULTILINE)
    assert len(covered) == 4
    assert all(float(share) >= 90 for share in covered)


def test_intervals_of_coarse_meters_are_no_wider_than_three_times_their_errors(tmp_path: Path) -> None:
    """Readings of a second, with many short prompts between two of them."""
    options = ("--meter", "wall", "--meter", "nvml average", "--seeds", "1")
    printed = start(sys.executable, EXAMPLES / "intervals.py", *options, cwd=tmp_path)
    found = re.findall(r"^(\S.*?) +\d+ +[\d.]+ % +([\d.]+) % +[\d.]+ % +[\d.]+ % +([\d.]+)$", printed, re.MULTILINE)
    assert len(found) == 4
    for _, covered, ratio in found:
        assert float(covered) >= 94
        assert float(ratio) <= 3


def test_the_azure_example_assumes_the_batch_that_its_rate_needs(tmp_path: Path) -> None:
    """1000 requests of 247 tokens in 216 s: the batch at which 4 H100 were published to write as many a second."""
    printed = start(sys.executable, EXAMPLES / "azure_trace.py", "--batch", "64", "--zone", "DEU", cwd=tmp_path)
    assert "All joules are declared, none is measured" in printed
    assert "4 H100, batch 64 (assumes a batch of 64)" in " ".join(printed.split())
    times = re.findall(r"^2023-\S+ (\d+):(\d+):([\d.]+),\d+,(\d+)$", EXCERPT.read_text(encoding="utf-8"), re.MULTILINE)
    seconds = [int(h) * 3600 + int(m) * 60 + float(s) for h, m, s, _ in times]
    rate = sum(int(tokens) for *_, tokens in times) / (seconds[-1] - seconds[0])
    # A step of b tokens takes F + m b: from two published throughputs, b / (F + m b) is the rate.
    (low, at_low), (high, at_high) = (15.95, 862.6), (31.88, 1487.0)
    slope = (high / at_high - low / at_low) / (high - low)
    fixed = low / at_low - slope * low
    [told] = re.findall(r"4 H100, own rate \(assumes a batch of ([\d.]+)\)", " ".join(printed.split()))
    assert float(told) == pytest.approx(rate * fixed / (1 - rate * slope), rel=2.5e-3)  # of three digits


@pytest.mark.parametrize("name", ["code", "conv"])
def test_the_azure_example_reads_the_whole_trace(name: str, tmp_path: Path) -> None:
    folder = ROOT.parent / "shared" / "data" / "traces" / "azure_llm_2023"
    if not folder.exists():
        pytest.skip(f"{folder} is not here: the trace is not part of the project")
    fact = json.loads((folder / "expected.json").read_text(encoding="utf-8"))["facts"][name]
    trace = folder / f"AzureLLMInferenceTrace_{name}.csv"
    printed = start(sys.executable, EXAMPLES / "azure_trace.py", trace, "--batch", "64", cwd=tmp_path)
    mean = [round(fact[f"sum_{what}_tokens"] / fact["requests"]) for what in ("context", "generated")]
    told = f"{fact['requests']} requests in {fact['span_s']:.0f} s, {mean[0]} tokens read and {mean[1]} written each"
    assert printed.startswith(told)
