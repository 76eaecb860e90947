"""BMCs under the real `greengen doctor` and `greengen profile`: a check beside the parts, and never added."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from greengen.testing import trees
from greengen.testing.fake_commands import dcmi, fake_command
from greengen.testing.http_meters import HttpMeter, PlantedPower, shelly2
from tests.integration import moving
from tests.integration.commands import GREENGEN, balanced, environment, profile
from tests.integration.moving import Stage

CHASSIS = "/redfish/v1/Chassis/1"

#: µJ: what a counter shows, one after the other: 40 J in all.
STEPS = [str(1_000_000_000 + step * 1_000_000) for step in range(41)]


def bmc(path: str) -> str | None:
    return json.dumps({"PowerWatts": {"Reading": 374}}) if path == f"{CHASSIS}/EnvironmentMetrics" else None


def test_everything_at_once_is_one_cover(tmp_path: Path) -> None:
    host = trees.intel_server(tmp_path / "machine")
    folder = fake_command(tmp_path / "bin", "ipmitool", dcmi(360))
    with HttpMeter(bmc) as redfish, HttpMeter(shelly2(PlantedPower(390.0))) as plug:
        env = environment(
            GREENGEN_SYSFS=host.sysfs,
            PATH=f"{folder}{os.pathsep}{os.environ['PATH']}",
            GREENGEN_IPMI="local",
            GREENGEN_PLUG=f"shelly2://127.0.0.1:{plug.port}",
            GREENGEN_REDFISH=f"http://127.0.0.1:{redfish.port}{CHASSIS}",
        )
        line = [GREENGEN, "doctor", "--json", "--seconds", "0.2"]
        told = json.loads(subprocess.run(line, env=env, capture_output=True, check=True).stdout)
        watts = {row["collector"]: row["live"]["power_w"] for row in told["domains"] if row["kind"] == "wall"}
        assert watts["plug"] == 390
        assert set(watts) == {"ipmi", "plug", "redfish"}
        read = [moving.read(row["domain"]) for row in told["domains"] if row["kind"] == "wall"]
        zones = [host.sysfs / "class/powercap" / zone / "energy_uj" for zone in ("intel-rapl:0", "intel-rapl:1")]
        for zone in zones:
            trees.set_energy_uj(host, zone.parent.name, STEPS[0])
        work = moving.command(tmp_path, Stage(dict.fromkeys(zones, STEPS[1:]), until=read))
        arguments = ["--json", "r.json", "--collectors", "rapl,ipmi,plug,redfish,procfs"]
        done = profile(tmp_path, *arguments, command=work, env=env)
        assert done.returncode == 0, done.stderr
        balanced(tmp_path / "run.greengen")
        found: dict[str, Any] = json.loads((tmp_path / "r.json").read_text())
        inside = {"rapl:package-0", "rapl:package-0/dram", "rapl:package-1", "rapl:package-1/dram"}
        assert {row["domain"] for row in found["domains"] if row["in_total"]} == inside
        packages = [row["energy_j"]["value"] for row in found["domains"] if row["kind"] == "package"]
        assert packages == pytest.approx([40, 40], rel=1e-6)
        walls = [row for row in found["domains"] if row["kind"] == "wall"]
        assert len(walls) == 3
        for row, watts_w in zip(sorted(walls, key=lambda row: row["collector"]), (360, 390, 374), strict=True):
            assert row["energy_j"]["value"] == pytest.approx(watts_w * row["known_s"], rel=1e-6)
            assert row["known_s"] > 0
        # Without the parts, the surest of the three is the total, and the others stand beside it.
        done = profile(
            tmp_path,
            "--force",
            "--json",
            "r.json",
            "--collectors",
            "ipmi,plug,redfish",
            command=moving.command(tmp_path, Stage(until=read)),
            env=env,
        )
        assert done.returncode == 0, done.stderr
        found = json.loads((tmp_path / "r.json").read_text())
        assert [row["collector"] for row in found["domains"] if row["in_total"]] == ["plug"]


def test_a_bmc_that_hangs_does_not_hold_the_command_up(tmp_path: Path) -> None:
    host = trees.intel_server(tmp_path / "machine")
    folder = fake_command(tmp_path / "bin", "ipmitool", dcmi(360))
    env = environment(
        GREENGEN_SYSFS=host.sysfs, PATH=f"{folder}{os.pathsep}{os.environ['PATH']}", GREENGEN_IPMI="local"
    )
    # The recording's first question hangs: the command it runs makes it so, before the second.
    hang = ["sh", "-c", f"cp {folder}/slow {folder}/ipmitool; sleep 7"]
    fake_command(folder, "slow", dcmi(360), seconds=30)
    done = profile(tmp_path, "--json", "r.json", "--collectors", "rapl,ipmi,procfs", command=hang, env=env)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "r.json").read_text())
    [rapl] = [row for row in found["domains"] if row["domain"] == "rapl:package-0/dram"]
    # It was read to the end, whatever this machine is busy with.
    assert rapl["known_s"] > found["run"]["duration_s"] / 2 > 3
    [ipmi] = [row for row in found["domains"] if row["collector"] == "ipmi"]
    assert ipmi["energy_j"]["value"] is None
    left = subprocess.run(["pgrep", "-f", f"{folder}/"], capture_output=True, text=True, check=False).stdout.split()
    assert left == []
