"""The CPU model with a calibration: whose it takes, whose it refuses, and what it says of itself then."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greengen.collector import Discovery, Host, Sample
from greengen.collectors._calibration import SCHEMA, VARIABLE
from greengen.collectors._cpu_info import read_cpu_info
from greengen.collectors.cpu_model import GAIN, WORKLOAD, CpuModelCollector
from greengen.recording import identity
from greengen.testing import trees


def calibration(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 -- any JSON
    return {
        "schema": SCHEMA,
        "idle_w": 10.0,
        "active_w": 30.0,
        "sigma": 0.04,
        "scatter": 0.02,
        "machine": {"cpu": "AMD EPYC", "logical_cpus": 2},
        "meter": {"domains": ["rapl:package-0"], "kind": "package", "grade": "measured", "gain": 0.03},
        "created": "2026-05-01T10:00:00+00:00",
        **changes,
    }


def collector(tmp_path: Path, told: object) -> tuple[CpuModelCollector, Discovery, Host]:
    path = tmp_path / "cpu.json"
    path.write_text(told if isinstance(told, str) else json.dumps(told), encoding="utf-8")
    host = replace(trees.empty_vm(tmp_path), environ={VARIABLE: str(path)})
    made = CpuModelCollector(host, "linux")
    return made, made.discover(), host


def test_its_powers_are_taken(tmp_path: Path) -> None:
    made, found, host = collector(tmp_path, calibration())
    [domain] = found.domains
    assert found.unavailable == ()
    assert (domain.uid, domain.kind, domain.grade) == ("cpu_model:package", "package", "modelled")
    assert (domain.idle_w, domain.max_power_w) == (10, 40)
    assert domain.gain == 0.03
    assert domain.workload == pytest.approx(math.hypot(WORKLOAD, 0.04))
    assert math.hypot(domain.gain, domain.workload) < 0.4 * math.hypot(GAIN, WORKLOAD)
    assert "2026-05-01 to rapl:package-0 (measured)" in domain.detail
    trees.set_cpu_ticks(host, user=100, idle=300)  # 4 CPU seconds of 2 CPUs: 2 s, in which a quarter was busy
    [sample] = made.read()
    assert isinstance(sample, Sample)
    assert sample.value == pytest.approx(2 * (10 + 30 / 4))
    made.close()


def test_scatter_of_the_run_widens_it(tmp_path: Path) -> None:
    made, found, _ = collector(tmp_path, calibration(scatter=0.3))
    made.close()
    assert found.domains[0].workload == pytest.approx(math.hypot(0.3, 0.04))


def test_a_plugs_says_what_is_in_it(tmp_path: Path) -> None:
    meter = {"domains": ["import:plug"], "kind": "wall", "grade": "measured", "gain": 0.0}
    made, found, _ = collector(tmp_path, calibration(meter=meter))
    made.close()
    assert found.domains[0].name == "CPU and all behind the wall meter (modelled, calibrated)"
    assert "own error is not known" in found.domains[0].detail


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (calibration(machine={"cpu": "AMD EPYC", "logical_cpus": 64}), "of another machine: “AMD EPYC” with 64"),
        (calibration(machine={"cpu": "Other", "logical_cpus": 2}), "this one is “AMD EPYC” with 2"),
        (calibration(schema="greengen.calibration/9"), "no calibration of the schema"),
        (calibration(active_w=-1), "below 0"),
        (calibration(idle_w="nan"), "below 0"),
        (calibration(machine=7), "damaged"),
        (calibration(meter={}), "damaged"),
        ({}, "no calibration"),
        ("[]", "no calibration"),
        ("{", "no JSON"),
    ],
)
def test_others_are_refused_and_the_model_stays_what_it_was(tmp_path: Path, told: object, says: str) -> None:
    made, found, _ = collector(tmp_path, told)
    made.close()
    [domain], [gone] = found.domains, found.unavailable
    assert says in gone.reason
    assert "greengen calibrate" in gone.remedy
    assert (domain.gain, domain.workload, domain.max_power_w) == (GAIN, WORKLOAD, 8)
    assert says in domain.detail


@pytest.mark.parametrize("text", ["[", "[" * 100_000])
def test_a_file_that_is_no_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "cpu.json").write_text(text)
    host = replace(trees.empty_vm(tmp_path / "vm"), environ={"GREENGEN_CALIBRATION": str(tmp_path / "cpu.json")})
    collector = CpuModelCollector(host, "linux")
    found = collector.discover()
    collector.close()
    assert [domain.uid for domain in found.domains] == ["cpu_model:package"]
    assert "is no JSON" in found.unavailable[0].reason


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    host = replace(trees.empty_vm(tmp_path), environ={VARIABLE: str(tmp_path / "no.json")})
    made = CpuModelCollector(host, "linux")
    [gone] = made.discover().unavailable
    made.close()
    assert "no.json cannot be read" in gone.reason


@pytest.mark.parametrize("machine", [trees.empty_vm, trees.intel_server, trees.amd_server])
def test_a_recording_names_the_machine_as_the_collector_does(tmp_path: Path, machine: Any) -> None:  # noqa: ANN401
    host = machine(tmp_path)
    cpu, told = read_cpu_info(host), identity.host_info(host.procfs)
    assert (told["cpu"], told["logical_cpus"]) == (cpu.model, cpu.logical)
