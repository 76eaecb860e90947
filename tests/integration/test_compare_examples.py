"""The examples that measure and compare, in their quick form: what they record and write, not what comes of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from greengen import Run

EXAMPLES = Path(__file__).parents[2] / "examples"

FORMS = ["fp32", "int8", "structured", "unstructured", "distilled", "early exit"]
CHOICES = ["cloud", "edge", "device", "hybrid"]


def compared(example: str, cwd: Path, *options: str) -> tuple[str, dict[str, Any]]:
    """What an example prints, and the comparison that it writes; it leaves nothing but what it was asked for."""
    outputs = ("--html", "page.html", "--json", "comparison.json", "--out", "runs")
    command: tuple[str | Path, ...] = (sys.executable, EXAMPLES / example, "--quick", *outputs, *options)
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=cwd).stdout
    assert {path.name for path in cwd.iterdir()} == {"page.html", "comparison.json", "runs"}
    assert "greengen.comparison/1" in (cwd / "page.html").read_text(encoding="utf-8")
    document = json.loads((cwd / "comparison.json").read_text(encoding="utf-8"))
    for option in document["options"]:
        assert option["n"] == 3
        assert option["energy_j"]["value"] > 0
        assert 0 <= option["quality"]["value"] <= 1
        assert option["latency"]["requests"] == option["units"] > 0
    [order] = document["order"]
    assert order["interleaved"]
    assert len(order["sequence"]) == 3 * len(document["options"])
    return printed, document


def test_forms_of_a_model_are_what_they_say_and_each_is_recorded(tmp_path: Path) -> None:
    printed, document = compared("compare_models.py", tmp_path, "--zone", "DEU")
    assert [option["name"] for option in document["options"]] == FORMS
    assert all(option["carbon_operational_g"]["value"] > 0 for option in document["options"])
    assert all(option["ratio"]["energy"]["verdict"] for option in document["options"])
    found = re.findall(r"^  (\S[\w ]*?) +([\d.]+) M weights, +(\d+) % of them 0", printed, re.MULTILINE)
    numbers = {name: (float(weights), int(zeros)) for name, weights, zeros in found}
    assert list(numbers) == FORMS
    assert numbers["structured"][0] < 0.7 * numbers["fp32"][0]
    assert numbers["unstructured"] == (numbers["fp32"][0], 50)
    assert numbers["distilled"][0] < 0.1 * numbers["fp32"][0]
    assert len(list((tmp_path / "runs").glob("*.greengen"))) == 3 * len(FORMS)


def test_requests_that_cross_tiers_are_one_and_only_links_are_declared(tmp_path: Path) -> None:
    _, document = compared("compare_tiers.py", tmp_path)
    options = {option["name"]: option for option in document["options"]}
    assert list(options) == CHOICES
    # The file beside the recordings tells the comparison anew, with how good the answers were.
    kept = tomllib.loads((tmp_path / "runs" / "compare_tiers.toml").read_text(encoding="utf-8"))["quality"]
    assert {name: fmean(of["values"]) for name, of in kept.items()} == pytest.approx(
        {name: option["quality"]["value"] for name, option in options.items()}
    )
    crossed = {name: [tier["tier"] for tier in option["tiers"]] for name, option in options.items()}
    assert crossed["cloud"] == ["device", "network", "cloud"]
    assert crossed["edge"] == ["device", "edge", "network"]
    assert crossed["device"] == ["device"]
    assert options["cloud"]["declared_share"] > 0
    assert not options["device"]["declared_share"]
    for name in ("cloud", "edge"):
        both = Run(tmp_path / "runs" / f"{name}-1.greengen").rows()
        traces: dict[str, set[str]] = {}
        for timeline in both.timelines:
            for span in timeline.spans:
                traces.setdefault(str(span.trace_id), set()).add(span.process)
        assert {len(processes) for processes in traces.values()} == {2}
        assert len(set.union(*traces.values())) == 2
    assert (tmp_path / "runs" / "compare_tiers.toml").exists()
