"""A collector of a third party: installed by pip, found by its entry point, and nothing said to greengen."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.commands import GREENGEN, environment

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_collector"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the example was installed. Building leaves files beside its source: a copy's."""
    source, target = tmp_path_factory.mktemp("source") / "it", tmp_path_factory.mktemp("installed")
    shutil.copytree(EXAMPLE, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--target", target, source], check=True, timeout=100)
    return target


def greengen(installed: Path, directory: Path, *arguments: str, **variables: str) -> dict[str, Any]:
    env = environment(**variables)
    env["PYTHONPATH"] = f"{installed}:{env['PYTHONPATH']}"
    done = subprocess.run(
        [GREENGEN, *arguments], check=True, capture_output=True, text=True, timeout=60, cwd=directory, env=env
    )
    return dict(json.loads(done.stdout)) if done.stdout else {}


def test_its_joules_are_in_the_books(installed: Path, tmp_path: Path) -> None:
    meter = tmp_path / "meter"
    meter.write_text("12.0\n12.5\n")
    where = {"BENCH_METER": str(meter)}
    greengen(
        installed, tmp_path, "profile", "-o", "r.greengen", "--collectors=bench_meter", "--", "sleep", "1", **where
    )
    report = greengen(installed, tmp_path, "report", "r.greengen", "--format", "json")
    [domain] = report["domains"]
    assert (domain["domain"], domain["in_total"], domain["grade"]) == ("bench_meter:board", True, "measured")
    energy = report["totals"]["energy_j"]
    assert energy["value"] == pytest.approx(12.5 * report["totals"]["known_s"])
    assert energy["high"] / energy["value"] == pytest.approx(1.01, abs=0.005)
    assert report["totals"]["known_s"] > 0


def test_without_its_meter_it_says_why_and_what_to_do(installed: Path, tmp_path: Path) -> None:
    found = json.dumps(greengen(installed, tmp_path, "doctor", "--json"))
    assert "BENCH_METER is not set" in found
    assert "BENCH_METER=/dev/ttyUSB0" in found


def test_it_is_short() -> None:
    lines = (EXAMPLE / "bench_meter.py").read_text().splitlines()
    code = [line for line in lines if line.strip() and not line.strip().startswith(('"""', "#"))]
    assert len(code) <= 30
