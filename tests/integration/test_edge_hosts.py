"""Fake boards by environment alone: `greengen doctor` and `greengen profile`, like those of test_hosts.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tests.integration.test_hosts as hosts
from greengen.testing import fake_pynvml, trees
from greengen.testing.fake_commands import fake_command, pmic_read_adc
from greengen.testing.http_meters import HttpMeter, PlantedPower, dcgm, shelly2
from tests.hosts import loading
from tests.integration.commands import GREENGEN, balanced, environment, profile
from tests.integration.test_hosts import Machine

pytestmark = pytest.mark.alone

MACHINES = [
    Machine(
        "jetson_nano",
        {"jetson:POM_5V_IN": 5.165, "jetson:POM_5V_GPU": 1.063, "jetson:POM_5V_CPU": 1.924},
        ("jetson:POM_5V_IN",),
    ),
    Machine(
        "jetson_orin_nx",
        {"jetson:VDD_IN": 12.0, "jetson:VDD_CPU_GPU_CV": 4.5, "jetson:VDD_SOC": 2.6},
        ("jetson:VDD_IN",),
    ),
    Machine(
        "jetson_agx_orin",
        {
            "jetson:VDD_GPU_SOC": 15.1,
            "jetson:VDD_CPU_CV": 2.4,
            "jetson:VIN_SYS_5V0": 4.95,
            "jetson:VDDQ_VDD2_1V8AO": 1.09,
        },
        ("jetson:VDD_GPU_SOC", "jetson:VDD_CPU_CV", "jetson:VIN_SYS_5V0"),
    ),
    Machine(
        "laptop_battery",
        {"battery:BAT0": 9.0},
        ("battery:BAT0",),
        variables={"GREENGEN_BATTERY": "power"},
    ),
]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_doctor(machine: Machine, tmp_path: Path) -> None:
    hosts.test_doctor(machine, tmp_path)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_profile(machine: Machine, tmp_path: Path) -> None:
    hosts.test_profile(machine, tmp_path)


def on_battery(tmp_path: Path, seconds: float, *events: tuple[float, str, str]) -> dict[str, Any]:
    """A recording on a laptop that draws 720 W: 20 steps of its gauge per second. `events`: (s, file, text)."""
    host = loading.build("laptop_battery", tmp_path / "machine")

    def left(passed_s: float) -> str:
        for when_s, file, text in events:
            if passed_s >= when_s:
                loading.show(host, f"class/power_supply/BAT0/{file}", text)
        return str(36_580_000 - int(passed_s * 20) * 10_000)

    with loading.moving(host, {"class/power_supply/BAT0/energy_now": left}):
        command = [sys.executable, "-c", f"import time; time.sleep({seconds})"]
        done = profile(tmp_path, "--json", "r.json", command=command, env=environment(**trees.environment(host)))
    assert done.returncode == 0, done.stderr
    balanced(tmp_path / "run.greengen")
    found: dict[str, Any] = json.loads((tmp_path / "r.json").read_text())
    return found


def test_a_laptop_counts_what_its_battery_gives(tmp_path: Path) -> None:
    found = on_battery(tmp_path, 4.5)
    [battery] = [row for row in found["domains"] if row["collector"] == "battery"]
    assert battery["in_total"]
    assert battery["known_s"] > 3
    # The model of its CPU is beside what was measured.
    assert {row["domain"] for row in found["domains"] if row["in_total"]} == {"battery:BAT0"}
    energy = battery["energy_j"]
    assert energy["value"] == pytest.approx(720 * battery["known_s"], rel=0.1)
    assert energy["low"] <= 720 * battery["known_s"] <= energy["high"]
    assert not {gone["what"] for gone in found["boundary"]["not_covered"]} & {"memory (DRAM)"}


def test_a_laptop_that_is_plugged_in_says_so(tmp_path: Path) -> None:
    found = on_battery(tmp_path, 6, (2.5, "status", "Charging"))
    [battery] = [row for row in found["domains"] if row["collector"] == "battery"]
    assert battery["known_s"] < 4
    [gap] = [event for event in found["events"] if event["kind"] == "gap"]
    assert "charging (BAT0 is Charging)" in gap["reason"]


def test_a_raspberry_pi_by_its_power_chip(tmp_path: Path) -> None:
    host = loading.build("raspberry_pi_5", tmp_path / "machine")
    folder = fake_command(tmp_path / "bin", "vcgencmd", pmic_read_adc(core_a=2.5, core_v=0.8))
    env = environment(**trees.environment(host), PATH=f"{folder}{os.pathsep}{os.environ['PATH']}")
    told = json.loads(
        subprocess.run(
            [GREENGEN, "doctor", "--json", "--seconds", "0.2"], env=env, capture_output=True, check=True
        ).stdout
    )
    assert {row["domain"]: row["live"]["power_w"] for row in told["domains"] if row["collector"] == "pi_pmic"} == {
        "pi_pmic:board": pytest.approx(3.0),
        "pi_pmic:VDD_CORE": pytest.approx(2.0),
    }
    done = profile(tmp_path, "--json", "r.json", command=["sleep", "2"], env=env)
    assert done.returncode == 0, done.stderr
    balanced(tmp_path / "run.greengen")
    found = json.loads((tmp_path / "r.json").read_text())
    [board] = [row for row in found["domains"] if row["in_total"]]
    assert board["domain"] == "pi_pmic:board"
    assert 1.3 < board["known_s"] < 2.5
    assert board["energy_j"]["value"] == pytest.approx(3.0 * board["known_s"])


def test_everything_at_once_has_one_cover(tmp_path: Path) -> None:
    """psys, package, core, uncore and GPU, by NVML and by an exporter, a plug and a battery."""
    host = trees.intel_laptop(tmp_path / "machine")
    battery = {"type": "Battery", "status": "Discharging", "energy_now": "36580000", "power_now": "41000000"}
    for name, text in battery.items():
        loading.show(host, f"class/power_supply/BAT0/{name}", text)
    zones = {"intel-rapl:0": 12, "intel-rapl:0:0": 7, "intel-rapl:0:1": 2, "intel-rapl:1": 20}
    counters = {f"class/powercap/{zone}/energy_uj": watts * 1_000_000 for zone, watts in zones.items()}
    uuid = fake_pynvml.Rig().uuid(0)
    with (
        HttpMeter(shelly2(PlantedPower(45.0))) as plug,
        HttpMeter(dcgm([(uuid, PlantedPower(15.0, 1e6))])) as exporter,
        loading.counting(host, counters),
    ):
        env = environment(
            **trees.environment(host),
            GREENGEN_PLUG=f"shelly2://127.0.0.1:{plug.port}",
            GREENGEN_DCGM=f"http://127.0.0.1:{exporter.port}",
            GREENGEN_BATTERY="power",
            GREENGEN_PYNVML=fake_pynvml.__name__,
            GREENGEN_FAKE_NVML=json.dumps({"watts": [15.0], "utilisation": [50]}),
        )
        done = profile(tmp_path, "--json", "r.json", command=["sleep", "3"], env=env)
        without = ["--force", "--json", "w.json", "--collectors", "plug,battery"]
        again = profile(tmp_path, *without, command=["sleep", "2"], env=env)
    assert (done.returncode, again.returncode) == (0, 0), done.stderr + again.stderr
    found = json.loads((tmp_path / "r.json").read_text())
    rows = {row["domain"]: row for row in found["domains"]}
    wall = f"plug:127.0.0.1:{plug.port}/0"
    powers = {
        "rapl:psys": 20,
        "rapl:package-0": 12,
        f"nvml:{uuid}": 15,
        f"dcgm:{uuid}": 15,
        wall: 45,
        "battery:BAT0": 41,
    }
    for uid, watts in powers.items():
        assert rows[uid]["energy_j"]["value"] == pytest.approx(watts * rows[uid]["known_s"], rel=0.1), uid
    assert {uid for uid, row in rows.items() if row["in_total"]} == {"rapl:package-0", f"nvml:{uuid}"}
    assert found["totals"]["energy_j"]["value"] == pytest.approx(27 * rows["rapl:package-0"]["known_s"], rel=0.05)
    for uid in ("rapl:psys", f"dcgm:{uuid}", wall, "battery:BAT0"):
        assert "another way to know" in rows[uid]["why_not_in_total"]
    # Of two meters of the whole machine the surer one is the total.
    found = json.loads((tmp_path / "w.json").read_text())
    assert [row["domain"] for row in found["domains"] if row["in_total"]] == [wall]
