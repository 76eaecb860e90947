"""A real trace, from another machine, through a whole recording of this one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from greengen.integrations.replay import VARIABLE
from tests.integration.commands import GREENGEN, environment


def run(directory: Path, *arguments: str, **variables: str) -> str:
    done = subprocess.run(
        [GREENGEN, *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=directory,
        env=environment(**variables),
    )
    return done.stdout


def test_an_imported_log_is_recorded_again(tmp_path: Path) -> None:
    lines = ["time_s,power_w", *(f"{i / 10},{200 + 100 * (i % 2)}" for i in range(100))]
    (tmp_path / "power.csv").write_text("\n".join(lines))
    options = ["--time-column", "time_s", "--power-column", "power_w", "--power-unit", "W", "--covers", "gpu"]
    run(tmp_path, "import", "csv", "--power", "power.csv", "--epoch", "s", *options, "-o", "log.greengen")
    again = {VARIABLE: str(tmp_path / "log.greengen")}
    run(tmp_path, "profile", "-o", "again.greengen", "--collectors", "replay", "--", "sleep", "2", **again)
    report = json.loads(run(tmp_path, "report", "again.greengen", "--format", "json"))
    [domain] = report["domains"]
    assert domain["grade"] == "modelled"
    assert "replayed" in domain["name"]
    assert report["totals"]["known_s"] > 0.5
    assert report["totals"]["energy_j"]["value"] / report["totals"]["known_s"] == pytest.approx(250, rel=0.15)
