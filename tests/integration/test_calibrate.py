"""greengen calibrate, as users run it: a run with a meter, a file, and a recording that takes its powers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from greengen.collector import Collector, Host
from greengen.collectors.cpu_model import CpuModelCollector
from greengen.collectors.procfs import ProcfsCollector
from greengen.collectors.rapl import RaplCollector
from greengen.recording import export, identity
from greengen.rows import Rows
from greengen.testing import trees
from greengen.testing.fake_recording import FakeRecording
from greengen.testing.scripted import FakeClock
from tests.integration.commands import GREENGEN, environment
from tests.unit import calibrations as planted

IDLE_W, ACTIVE_W, CPUS = 12.0, 36.0, 4


def greengen(
    directory: Path, *arguments: str, code: int = 0, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    line = [GREENGEN, *arguments]
    told = environment(**(env or {}))
    done = subprocess.run(line, check=False, capture_output=True, text=True, timeout=120, cwd=directory, env=told)
    assert done.returncode == code, done.stderr
    return done


def recorded(
    host: Host, clock: FakeClock, seconds: int, *collectors: Callable[[Host], Collector], **variables: str
) -> Rows:
    """A recording of a machine that works for 2.5 s and rests for 2.5 s: its RAPL counter follows its CPU time."""
    told = replace(host, monotonic_ns=clock, root_pid=1, environ=variables)
    recording = FakeRecording(clock, [collector(told) for collector in collectors])
    for _ in range(seconds * 10):
        clock.advance(0.1)
        passed_s = clock() / 1e9
        busy_s = CPUS * (passed_s * 0.05 + 0.9 * (passed_s // 5 * 2.5 + max(passed_s % 5 - 2.5, 0)))
        user = round(busy_s * 100)
        trees.set_cpu_ticks(host, user=user, idle=round(passed_s * CPUS * 100) - user)
        trees.set_energy_uj(host, "intel-rapl:0", round(1e6 * (IDLE_W * passed_s + ACTIVE_W / CPUS * busy_s)))
        recording.read()
    rows = recording.rows()
    rows.timelines[0].info = identity.host_info(host.procfs)
    return rows


def test_a_recorded_machine_is_calibrated_and_then_modelled(tmp_path: Path) -> None:
    zone = trees.ZoneSpec("package-0", 0, limits_uw={"long_term": 100_000_000})
    host = trees.with_zones(trees.machine(tmp_path, model=trees.INTEL_LAPTOP_CPU, cpus=CPUS), {"intel-rapl:0": zone})
    trees.set_process(host, 1, parent=0)
    clock = FakeClock()
    export.write(recorded(host, clock, 45, RaplCollector, ProcfsCollector), tmp_path / "load.greengen", force=False)
    done = greengen(tmp_path, "calibrate", "load.greengen", "-o", "cpu.json")
    told = json.loads((tmp_path / "cpu.json").read_text())
    assert told["machine"] == {"cpu": trees.INTEL_LAPTOP_CPU, "logical_cpus": CPUS}
    assert told["meter"]["domains"] == ["rapl:package-0"]
    assert told["idle_interval_w"][0] <= IDLE_W <= told["idle_interval_w"][1]
    assert told["active_interval_w"][0] <= ACTIVE_W <= told["active_interval_w"][1]
    assert told["idle_w"] == pytest.approx(IDLE_W, rel=0.05)
    assert told["active_w"] == pytest.approx(ACTIVE_W, rel=0.05)
    assert "GREENGEN_CALIBRATION=cpu.json" in done.stderr

    known = {"GREENGEN_CALIBRATION": str(tmp_path / "cpu.json")}
    modelled = recorded(host, clock, 10, CpuModelCollector, ProcfsCollector, **known)
    export.write(modelled, tmp_path / "after.greengen", force=False)
    report = json.loads(greengen(tmp_path, "report", "after.greengen", "--format", "json").stdout)
    [domain] = report["domains"]
    energy = report["totals"]["energy_j"]
    assert domain["grade"] == energy["grade"] == "modelled"
    # Half of the time 95 % of it is at work, and half of it 5 %; ticks at both ends are not told.
    assert energy["value"] / report["totals"]["known_s"] == pytest.approx(IDLE_W + ACTIVE_W / 2, rel=0.05)
    assert energy["high"] / energy["value"] < 1.35
    assert "fitted by" in report["boundary"]["covered"][0]["detail"]


def test_a_real_recording_takes_the_calibration(tmp_path: Path) -> None:
    host = trees.machine(tmp_path, model=trees.INTEL_LAPTOP_CPU, cpus=CPUS)
    calibrated = planted.run(1, 100, planted.Truth(8, 40, 0.02))
    calibrated.timelines[0].info |= {"cpu": trees.INTEL_LAPTOP_CPU, "logical_cpus": CPUS}
    export.write(calibrated, tmp_path / "load.greengen", force=False)
    greengen(tmp_path, "calibrate", "load.greengen", "-o", "cpu.json")
    fake = {**trees.environment(host), "GREENGEN_CALIBRATION": "cpu.json"}
    line = ["--collectors", "cpu_model", "--", "sleep", "0.3"]
    greengen(tmp_path, "profile", "-o", "after.greengen", *line, env=fake)
    report = json.loads(greengen(tmp_path, "report", "after.greengen", "--format", "json").stdout)
    assert "fitted by" in report["boundary"]["covered"][0]["detail"]


def test_a_file_is_not_overwritten_and_stdout_is_json(tmp_path: Path) -> None:
    truth = planted.Truth(8, 40, 0.02)
    export.write(planted.run(1, 100, truth), tmp_path / "run.greengen", force=False)
    told = json.loads(greengen(tmp_path, "calibrate", "run.greengen").stdout)
    assert told["schema"] == "greengen.calibration/1"
    assert told["idle_interval_w"][0] <= 8 <= told["idle_interval_w"][1]
    (tmp_path / "cpu.json").write_text("mine")
    done = greengen(tmp_path, "calibrate", "run.greengen", "-o", "cpu.json", code=2)
    assert "--force" in done.stderr
    assert (tmp_path / "cpu.json").read_text() == "mine"
    greengen(tmp_path, "calibrate", "run.greengen", "-o", "cpu.json", "--force", "--meter", "rapl:package-0")


def test_what_an_accelerator_adds(tmp_path: Path) -> None:
    rows = planted.run_with_accelerator(3, 300, planted.Truth(5, 10, 0.01), 4.0)
    export.write(rows, tmp_path / "run.greengen", force=False)
    done = greengen(tmp_path, "calibrate", "run.greengen", "--accelerator", "rknpu", "-o", "npu.json")
    told = json.loads((tmp_path / "npu.json").read_text())
    assert (told["schema"], told["accelerator"]) == ("greengen.accelerator/1", "rknpu")
    assert told["meter"]["domains"] == ["plug:wall"]
    assert told["active_interval_w"][0] <= 4.0 <= told["active_interval_w"][1]
    assert "GREENGEN_ACCELERATOR=rknpu=@npu.json" in done.stderr
    done = greengen(tmp_path, "calibrate", "run.greengen", "--accelerator", "tpu-0", code=2)
    assert "'accelerator:tpu-0': it has that of accelerator:rknpu" in done.stderr


def test_a_run_that_says_too_little(tmp_path: Path) -> None:
    export.write(planted.run(1, 15, planted.Truth(8, 40)), tmp_path / "short.greengen", force=False)
    done = greengen(tmp_path, "calibrate", "short.greengen", code=2)
    assert done.stdout == ""
    assert "record one with both" in done.stderr
    assert done.stderr.count("\n") == 1
    greengen(
        tmp_path,
        "profile",
        "-o",
        "modelled.greengen",
        "--collectors",
        "cpu_model,procfs",
        "--",
        sys.executable,
        "-c",
        "",
    )
    done = greengen(tmp_path, "calibrate", "modelled.greengen", code=2)
    assert "which is a model itself" in done.stderr
