"""End devices that are no Linux boards, by environment alone: `greengen doctor` and `greengen profile`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from greengen.testing import trees
from greengen.testing.fake_powermetrics import install
from tests.hosts import loading
from tests.integration.commands import GREENGEN, balanced, environment, profile

#: What is told comes in windows, of which a recording of a second is to hold some.
pytestmark = pytest.mark.alone

POWERS = {"cpu": 6.0, "gpu": 11.0, "ane": 0.5}


def macbook(tmp_path: Path, **rig: Any) -> dict[str, str]:  # noqa: ANN401 -- the fake's
    """The environment of a Mac."""
    host = loading.build("macbook", tmp_path / "machine")
    folder = install(tmp_path / "bin", rate_ms=100, **POWERS, **rig)
    return environment(**trees.environment(host), PATH=f"{folder}{os.pathsep}{os.environ['PATH']}")


def told(env: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run([GREENGEN, "doctor", "--json"], env=env, capture_output=True, check=True, timeout=60)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_mac_by_powermetrics(tmp_path: Path) -> None:
    env = macbook(tmp_path)
    domains = {row["domain"]: row for row in told(env)["domains"]}
    # The model of the CPU by busy time stands back.
    assert set(domains) == {"powermetrics:cpu", "powermetrics:gpu", "powermetrics:ane"}
    for rail, watts in POWERS.items():
        assert domains[f"powermetrics:{rail}"]["live"]["power_w"] == pytest.approx(watts, rel=0.05)
    done = profile(tmp_path, "--json", "r.json", command=["sleep", "1"], env=env)
    assert done.returncode == 0, done.stderr
    balanced(tmp_path / "run.greengen")
    found = json.loads((tmp_path / "r.json").read_text())
    rows = {row["domain"]: row for row in found["domains"]}
    for rail, watts in POWERS.items():
        row = rows[f"powermetrics:{rail}"]
        assert row["in_total"]
        assert row["known_s"] > 0
        assert row["energy_j"]["value"] == pytest.approx(watts * row["known_s"], rel=0.05)
        assert row["energy_j"]["grade"] == "modelled"
    assert "the model of one machine is not that of another" in found["warnings"][0]
    total = sum(rows[f"powermetrics:{rail}"]["energy_j"]["value"] for rail in POWERS)
    assert found["totals"]["energy_j"]["value"] == pytest.approx(total, rel=1e-9)


def test_a_mac_without_root_is_modelled_by_busy_time_and_says_why(tmp_path: Path) -> None:
    found = told(macbook(tmp_path, root=False))
    assert [row["domain"] for row in found["domains"]] == ["cpu_model:package"]
    [why] = [row for row in found["unavailable"] if row["interface"] == "powermetrics"]
    assert "superuser" in why["reason"]
    assert "GREENGEN_POWERMETRICS" in why["remedy"]


def test_a_mac_whose_model_two_collectors_read_counts_it_once_and_one_may_be_killed(tmp_path: Path) -> None:
    watts = {"CPU Energy": ["mJ", 6.0], "GPU Energy": ["nJ", 11.0], "ANE": ["mJ", 0.5]}
    env = macbook(tmp_path, after=5, then="exit") | {
        "GREENGEN_IOREPORT": "greengen.testing.fake_ioreport",
        "GREENGEN_FAKE_IOREPORT": json.dumps(watts),
    }
    done = profile(tmp_path, "--json", "r.json", command=["sleep", "2"], env=env)
    assert done.returncode == 0, done.stderr
    balanced(tmp_path / "run.greengen")
    found = json.loads((tmp_path / "r.json").read_text())
    rows = {row["domain"]: row for row in found["domains"]}
    assert {uid for uid, row in rows.items() if row["in_total"]} == {"ioreport:cpu", "ioreport:gpu", "ioreport:ane"}
    for rail, power_w in POWERS.items():
        row = rows[f"ioreport:{rail}"]
        # Stamped after it was counted, by as much as a loaded machine puts between.
        assert row["energy_j"]["value"] == pytest.approx(power_w * row["known_s"], rel=0.3)
    gaps = [event for event in found["events"] if event["kind"] == "gap"]
    assert gaps
    assert all("powermetrics ended (3)" in gap["reason"] for gap in gaps)


def test_a_windows_laptop_by_its_energy_meter(tmp_path: Path) -> None:
    host = loading.build("macbook", tmp_path / "machine")
    watts = {"RAPL_Package0_PKG": 24.0, "RAPL_Package0_PP0": 18.0, "RAPL_Package0_DRAM": 0.0}
    env = environment(
        **trees.environment(host),
        GREENGEN_WINDOWS="greengen.testing.fake_windows",
        GREENGEN_FAKE_WINDOWS=json.dumps(watts),
    )
    done = profile(tmp_path, "--json", "r.json", command=["sleep", "1"], env=env)
    assert done.returncode == 0, done.stderr
    balanced(tmp_path / "run.greengen")
    rows = {row["domain"]: row for row in json.loads((tmp_path / "r.json").read_text())["domains"]}
    assert {uid for uid, row in rows.items() if row["in_total"]} == {"emi:package-0", "emi:package-0/dram"}
    row = rows["emi:package-0"]
    # Stamped after it was counted, by as much as a loaded machine puts between.
    assert row["energy_j"]["value"] == pytest.approx(24.0 * row["known_s"], rel=0.3)
    assert row["energy_j"]["grade"] == "measured"
