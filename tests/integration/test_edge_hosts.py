"""Fake boards by environment alone: `greengen doctor` and `greengen profile`, like those of test_hosts.py."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tests.integration.test_hosts as hosts
from greengen.testing import fake_pynvml, trees
from greengen.testing.fake_commands import fake_command, pmic_read_adc
from greengen.testing.http_meters import HttpMeter, PlantedPower, dcgm, shelly2
from tests.hosts import loading
from tests.integration import moving
from tests.integration.commands import GREENGEN, balanced, environment, profile
from tests.integration.moving import Stage
from tests.integration.test_hosts import Machine

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
        "jetson_thor",
        {
            "jetson:VIN": 36.75,
            "jetson:VDD_GPU": 16.8,
            "jetson:VDD_CPU_SOC_MSS": 7.8,
            "jetson:VIN_SYS_5V0": 5.4,
        },
        ("jetson:VIN",),
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


#: The gauge of a battery: 10 mWh, J.
STEP_J = 36.0
FULL_UWH = 36_580_000


def on_battery(tmp_path: Path, *stages: Stage) -> dict[str, Any]:
    """A recording on a laptop that draws 720 W: 20 steps of its gauge per second."""
    host = loading.build("laptop_battery", tmp_path / "machine")
    files = host.sysfs / "class/power_supply/BAT0"
    relative = [replace(stage, files={files / path: texts for path, texts in stage.files.items()}) for stage in stages]
    command = moving.command(tmp_path, *relative)
    done = profile(tmp_path, "--json", "r.json", command=command, env=environment(**trees.environment(host)))
    assert done.returncode == 0, done.stderr
    balanced(tmp_path / "run.greengen")
    found: dict[str, Any] = json.loads((tmp_path / "r.json").read_text())
    return found


def drained(first: int, last: int, *until: str) -> Stage:
    """The battery gives steps `first` to `last` of its gauge, and that is on record."""
    texts = [str(FULL_UWH - step * 10_000) for step in range(first, last + 1)]
    return Stage({Path("energy_now"): texts}, 0.05, until)


def test_a_laptop_counts_what_its_battery_gives(tmp_path: Path) -> None:
    # The first step that is seen begins the count: before it nobody knows how much of a step was left.
    found = on_battery(tmp_path, drained(1, 40, moving.read("battery:BAT0")), drained(41, 90))
    [battery] = [row for row in found["domains"] if row["collector"] == "battery"]
    assert battery["in_total"]
    # The model of its CPU is beside what was measured.
    assert {row["domain"] for row in found["domains"] if row["in_total"]} == {"battery:BAT0"}
    energy = battery["energy_j"]
    steps = energy["value"] / STEP_J
    assert steps == pytest.approx(round(steps))
    assert 1 <= round(steps) <= 90
    assert energy["high"] - energy["value"] >= STEP_J / 2
    assert not {gone["what"] for gone in found["boundary"]["not_covered"]} & {"memory (DRAM)"}


def test_a_laptop_that_is_plugged_in_says_so(tmp_path: Path) -> None:
    charging = Stage({Path("status"): ["Charging"]}, 0.05, [moving.told("gap")])
    found = on_battery(tmp_path, drained(1, 40, moving.read("battery:BAT0")), charging)
    [battery] = [row for row in found["domains"] if row["collector"] == "battery"]
    assert 0 < battery["energy_j"]["value"] <= 40 * STEP_J
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
    command = moving.command(tmp_path, Stage(until=[moving.read("pi_pmic:board")]))
    done = profile(tmp_path, "--json", "r.json", command=command, env=env)
    assert done.returncode == 0, done.stderr
    balanced(tmp_path / "run.greengen")
    found = json.loads((tmp_path / "r.json").read_text())
    [board] = [row for row in found["domains"] if row["in_total"]]
    assert board["domain"] == "pi_pmic:board"
    assert board["known_s"] > 0
    assert board["energy_j"]["value"] == pytest.approx(3.0 * board["known_s"])


def test_everything_at_once_has_one_cover(tmp_path: Path) -> None:
    """psys, package, core, uncore and GPU, by NVML and by an exporter, a plug and a battery."""
    host = trees.intel_laptop(tmp_path / "machine")
    battery = {"type": "Battery", "status": "Discharging", "energy_now": "36580000", "power_now": "41000000"}
    for name, text in battery.items():
        loading.show(host, f"class/power_supply/BAT0/{name}", text)
    zones = {"intel-rapl:0": 12, "intel-rapl:0:0": 7, "intel-rapl:0:1": 2, "intel-rapl:1": 20}
    counters = {f"class/powercap/{zone}/energy_uj": watts * 1_000_000 for zone, watts in zones.items()}
    shown = hosts.counting_files(host, counters)
    steps = [hosts.SECONDS * (step + 1) / hosts.STEPS for step in range(hosts.STEPS)]
    files = {host.sysfs / path: [show(at) for at in steps] for path, show in shown.items()}
    uuid = fake_pynvml.Rig().uuid(0)
    with (
        HttpMeter(shelly2(PlantedPower(45.0))) as plug,
        HttpMeter(dcgm([(uuid, PlantedPower(15.0, 1e6))])) as exporter,
    ):
        wall = f"plug:127.0.0.1:{plug.port}/0"
        env = environment(
            **trees.environment(host),
            GREENGEN_PLUG=f"shelly2://127.0.0.1:{plug.port}",
            GREENGEN_DCGM=f"http://127.0.0.1:{exporter.port}",
            GREENGEN_BATTERY="power",
            GREENGEN_PYNVML=fake_pynvml.__name__,
            GREENGEN_FAKE_NVML=json.dumps({"watts": [15.0], "utilisation": [50]}),
        )
        counted = {"rapl:psys": 20, "rapl:package-0": 12}
        clocked = {f"nvml:{uuid}": 15, f"dcgm:{uuid}": 15}
        powers = {wall: 45, "battery:BAT0": 41}
        until = [moving.read(uid) for uid in (*counted, *clocked, *powers)]
        command = moving.command(tmp_path, Stage(files, hosts.SECONDS / hosts.STEPS, until))
        done = profile(tmp_path, "--json", "r.json", command=command, env=env)
        without = ["--force", "--json", "w.json", "--collectors", "plug,battery"]
        command = moving.command(tmp_path, Stage(until=[moving.read(uid) for uid in powers]))
        again = profile(tmp_path, *without, command=command, env=env)
    assert (done.returncode, again.returncode) == (0, 0), done.stderr + again.stderr
    found = json.loads((tmp_path / "r.json").read_text())
    rows = {row["domain"]: row for row in found["domains"]}
    for uid, watts in counted.items():
        assert rows[uid]["energy_j"]["value"] == pytest.approx(watts * hosts.SECONDS, rel=1e-4), uid
    for uid, watts in powers.items():
        assert rows[uid]["energy_j"]["value"] == pytest.approx(watts * rows[uid]["known_s"], rel=1e-3), uid
    for uid, watts in clocked.items():
        # Joules by the clock of whoever answers, over a time by that of whoever asked.
        assert rows[uid]["energy_j"]["value"] == pytest.approx(watts * rows[uid]["known_s"], rel=0.3), uid
    assert {uid for uid, row in rows.items() if row["in_total"]} == {"rapl:package-0", f"nvml:{uuid}"}
    total_j = sum(row["energy_j"]["value"] for row in rows.values() if row["in_total"])
    assert found["totals"]["energy_j"]["value"] == pytest.approx(total_j, rel=1e-9)
    for uid in ("rapl:psys", f"dcgm:{uuid}", wall, "battery:BAT0"):
        assert "another way to know" in rows[uid]["why_not_in_total"]
    # What each of them has over its parts, over the time that all were read: of psys 8 W more, however long.
    remainders = {row["domain"]: row for row in found["remainders"]}
    assert remainders.keys() >= {"rapl:psys", wall, "battery:BAT0"}
    psys = remainders["rapl:psys"]
    assert psys["remainder_j"]["value"] == pytest.approx(psys["energy_j"]["value"] - psys["parts_j"]["value"])
    assert [part["domain"] for part in psys["parts"]] == ["rapl:package-0"]
    assert {part["domain"] for part in remainders[wall]["parts"]} == {"rapl:package-0", f"nvml:{uuid}"}
    # Of two meters of the whole machine the surer one is the total.
    found = json.loads((tmp_path / "w.json").read_text())
    assert [row["domain"] for row in found["domains"] if row["in_total"]] == [wall]
