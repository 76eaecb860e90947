"""Fake machines by environment alone: `greengen doctor` and `greengen profile` as users run them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import greengen
from greengen.collector import Host
from greengen.collectors._perf_event import open_event
from greengen.testing import trees
from tests.hosts import gpu_metrics, loading
from tests.integration import moving
from tests.integration.commands import GREENGEN, balanced, environment, profile

#: What counters count in a profiled process: joules of so long, in so many steps.
SECONDS, STEPS = 0.8, 40


@dataclass(frozen=True)
class Machine:
    """A fake host and what must be told of it.

    domains   uid → W that it draws, whether by counter or by gauge
    counters  files that count, below sysfs → µW at which they rise
    tables    binary files, below sysfs → what they show after so many seconds
    total     the domains that make up the total
    refused   the beginnings of what cannot be measured, and a word of why
    """

    name: str
    domains: Mapping[str, float]
    total: tuple[str, ...]
    counters: Mapping[str, int] = field(default_factory=dict)
    tables: Mapping[str, Callable[[float], bytes]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    needs_perf: bool = False


def metrics_1_5(power_w: int) -> Callable[[float], bytes]:
    """An MI300X's table, whose counter rises as at that power."""
    return lambda seconds: gpu_metrics.pack(1, 5, power_w, (1 << 40) + int(seconds * power_w * 2**16))


MACHINES = [
    Machine(
        "grace_hopper",
        {
            "acpi_power_meter:module-0": 412.35,
            "acpi_power_meter:grace-0": 98.12,
            "acpi_power_meter:cpu-0": 61.53,
            "acpi_power_meter:sysio-0": 12.07,
            "nvml:GPU-5c2f6a00-0d1b-4b7e-9a42-3f1e6d7c8b00": 250.0,
        },
        ("acpi_power_meter:module-0",),
        variables={
            "GREENGEN_PYNVML": "greengen.testing.fake_pynvml",
            "GREENGEN_FAKE_NVML": json.dumps({"watts": [250.0], "utilisation": [80]}),
        },
    ),
    Machine(
        "acpi_server",
        {"acpi_power_meter:ACPI000D:00": 310.0, "rapl:package-0": 120.0},
        ("rapl:package-0",),
        {"class/powercap/intel-rapl:0/energy_uj": 120_000_000},
    ),
    Machine(
        "epyc_hsmp",
        {"amd_hsmp:package-0": 181.25, "amd_hsmp:package-1": 164.87},
        ("amd_hsmp:package-0", "amd_hsmp:package-1"),
    ),
    Machine(
        "epyc_amd_energy",
        {"amd_energy:package-0": 140.0},
        ("amd_energy:package-0",),
        dict.fromkeys((f"class/hwmon/hwmon1/energy{n}_input" for n in (3, 4)), 140_000_000),
        refused={"amd_energy:package-1": "same counter"},
    ),
    Machine(
        "ina_board",
        {"power_monitor:1-0040/1": 6.0, "power_monitor:1-0041/1": 2.0},
        ("power_monitor:1-0041/1",),
        refused={"power_monitor:1-0041/2": "shows 0.5 W, but no file says which rail"},
        variables={"GREENGEN_POWER_MONITOR": "1-0040=wall,1-0041/1=package"},
    ),
    Machine(
        "radeon",
        {"amdgpu:0000:03:00.0": 212.0, "rapl:package-0": 65.0},
        ("amdgpu:0000:03:00.0", "rapl:package-0"),
        {"class/powercap/intel-rapl:0/energy_uj": 65_000_000},
        {"class/drm/card1/device/gpu_metrics": lambda seconds: gpu_metrics.pack(1, 3, 212, 999)},
    ),
    Machine(
        "mi300x",
        {"amdgpu:0000:05:00.0": 318.0, "amdgpu:0000:26:00.0": 131.0},
        ("amdgpu:0000:05:00.0", "amdgpu:0000:26:00.0", "cpu_model:package"),
        tables={
            "class/drm/card0/device/gpu_metrics": metrics_1_5(318),
            "class/drm/card1/device/gpu_metrics": metrics_1_5(131),
        },
    ),
    Machine(
        "ryzen_apu",
        {"rapl:package-0": 24.0},
        ("rapl:package-0",),
        {"class/powercap/intel-rapl:0/energy_uj": 24_000_000},
        {"class/drm/card1/device/gpu_metrics": lambda seconds: gpu_metrics.pack(3, 0, 24_042)},
    ),
    Machine(
        "arc_b580",
        {"intel_gpu:0000:03:00.0/card": 118.0, "intel_gpu:0000:03:00.0/pkg": 88.0, "rapl:package-0": 35.0},
        ("intel_gpu:0000:03:00.0/card", "rapl:package-0"),
        {
            "class/hwmon/hwmon5/energy1_input": 118_000_000,
            "class/hwmon/hwmon5/energy2_input": 88_000_000,
            "class/powercap/intel-rapl:0/energy_uj": 35_000_000,
        },
    ),
    Machine(
        "i915_tiles",
        {
            "intel_gpu:0000:4d:00.0/card": 230.0,
            "intel_gpu:0000:4d:00.0/gt0": 90.0,
            "intel_gpu:0000:4d:00.0/gt1": 85.0,
        },
        ("intel_gpu:0000:4d:00.0/card", "cpu_model:package"),
        {
            "class/hwmon/hwmon2/energy1_input": 230_000_000,
            "class/hwmon/hwmon3/energy1_input": 90_000_000,
            "class/hwmon/hwmon4/energy1_input": 85_000_000,
        },
    ),
    Machine(
        "perf_power",
        {
            "perf_power:package-0": 150.0,
            "perf_power:package-0/core": 110.0,
            "perf_power:package-0/dram": 20.0,
            "perf_power:package-1": 150.0,
            "perf_power:package-1/core": 110.0,
            "perf_power:package-1/dram": 20.0,
        },
        ("perf_power:package-0", "perf_power:package-0/dram", "perf_power:package-1", "perf_power:package-1/dram"),
        needs_perf=True,
    ),
]


#: All at once; what each draws by itself.
PARTS = {
    "rapl:package-0": 90.0,
    "rapl:package-0/core": 60.0,
    "rapl:package-0/dram": 11.0,
    "rapl:psys": 130.0,
    "amdgpu:0000:03:00.0": 150.0,
    "intel_gpu:0000:07:00.0/card": 70.0,
    "intel_gpu:0000:07:00.0/pkg": 55.0,
    "power_monitor:1-0040/1": 7.0,
}
OUTERMOST = (
    "amdgpu:0000:03:00.0",
    "intel_gpu:0000:07:00.0/card",
    "power_monitor:1-0040/1",
    "rapl:package-0",
    "rapl:package-0/dram",
)
EVERYTHING = Machine(
    "everything",
    {"acpi_power_meter:ACPI000D:00": 520.0, **PARTS},
    OUTERMOST,
    {
        "class/powercap/intel-rapl:0/energy_uj": 90_000_000,
        "class/powercap/intel-rapl:0:0/energy_uj": 60_000_000,
        "class/powercap/intel-rapl:0:1/energy_uj": 11_000_000,
        "class/powercap/intel-rapl:1/energy_uj": 130_000_000,
        "class/hwmon/hwmon5/energy1_input": 70_000_000,
        "class/hwmon/hwmon5/energy2_input": 55_000_000,
    },
    variables={"GREENGEN_POWER_MONITOR": "1-0040=other"},
)
MACHINES.append(EVERYTHING)


def variables(machine: Machine, host: Host) -> dict[str, str]:
    """This process's environment, as on that machine."""
    return environment(**trees.environment(host), **machine.variables)


def build(machine: Machine, root: Path) -> Host:
    """That machine, as it is before anything counts."""
    if machine.needs_perf:
        try:
            os.close(open_event(1, 0, 0))
        except OSError as error:
            pytest.skip(f"perf_event_open is not allowed here: {error}")
    host = loading.build(machine.name, root)
    for path, table in machine.tables.items():
        loading.show(host, path, table(0.0))
    return host


@contextmanager
def running(machine: Machine, root: Path) -> Iterator[Host]:
    """That machine, with all that counts in motion."""
    host = build(machine, root)
    with loading.counting(host, machine.counters), loading.moving(host, machine.tables):
        yield host


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_doctor(machine: Machine, tmp_path: Path) -> None:
    with running(machine, tmp_path / "machine") as host:
        line = [GREENGEN, "doctor", "--json", "--seconds", "0.2"]
        done = subprocess.run(line, env=variables(machine, host), capture_output=True, check=True, timeout=60)
    told = json.loads(done.stdout)
    live = {row["domain"]: row["live"]["power_w"] for row in told["domains"]}
    modelled = {row["domain"] for row in told["domains"] if row["grade"] == "modelled"}
    assert set(live) - modelled == set(machine.domains)
    for uid, power_w in machine.domains.items():
        if machine.counters or machine.tables or machine.needs_perf:
            # Moved by a thread of this process, which may have to wait: no more than the unit is told.
            assert power_w / 10 < live[uid] < power_w * 10, uid
        else:
            assert live[uid] == pytest.approx(power_w, rel=1e-3), uid
    reasons = {row["interface"]: row["reason"] for row in told["unavailable"]}
    for interface, word in machine.refused.items():
        assert word in reasons[interface]


def recorded(machine: Machine, tmp_path: Path, *arguments: str, but: tuple[str, ...] = ()) -> dict[str, Any]:
    """The report of a process that lets the machine's counters count `SECONDS`, and ends when all were read."""
    host = build(machine, tmp_path / "machine")
    contents: dict[str, Callable[[float], str | bytes]] = {**counting_files(host, machine.counters), **machine.tables}
    steps = [SECONDS * (step + 1) / STEPS for step in range(STEPS)]
    files = {host.sysfs / path: [show(at) for at in steps] for path, show in contents.items()}
    until = [moving.read(uid) for uid in machine.domains if uid not in but]
    command = moving.command(tmp_path, moving.Stage(files, SECONDS / STEPS, until))
    done = profile(tmp_path, "--json", "r.json", *arguments, command=command, env=variables(machine, host))
    assert done.returncode == 0, done.stderr
    balanced(tmp_path / "run.greengen")
    found: dict[str, Any] = json.loads((tmp_path / "r.json").read_text())
    return found


def counting_files(host: Host, powers_uw: Mapping[str, int]) -> dict[str, Callable[[float], str | bytes]]:
    """Files that count from what they show now, by the seconds that have passed."""

    def counting(path: str, power_uw: int) -> Callable[[float], str]:
        start = int((host.sysfs / path).read_text())
        return lambda at: str(start + round(power_uw * at))

    return {path: counting(path, power_uw) for path, power_uw in powers_uw.items()}


def joules(found: dict[str, Any], tmp_path: Path, powers: Mapping[str, float]) -> None:
    """Each domain has what was planted: a counter all of it, a gauge its power over the time that it was read."""
    [timeline] = greengen.Run(tmp_path / "run.greengen").rows().timelines
    reading = {domain.uid: domain.reading for domain in timeline.domains}
    domains = {entry["domain"]: entry for entry in found["domains"]}
    for uid, power_w in powers.items():
        assert domains[uid]["known_s"] > 0, uid
        # These two count by the clock, whatever files say.
        clocked = uid.startswith(("nvml:", "perf_power:"))
        counts = reading[uid] == "energy" and not clocked
        expected = power_w * (SECONDS if counts else domains[uid]["known_s"])
        # A table's counter has steps of 15.3 uJ.
        assert domains[uid]["energy_j"]["value"] == pytest.approx(expected, rel=0.2 if clocked else 1e-4), uid


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_profile(machine: Machine, tmp_path: Path) -> None:
    found = recorded(machine, tmp_path)
    joules(found, tmp_path, machine.domains)
    domains = {entry["domain"]: entry for entry in found["domains"]}
    assert {uid for uid, entry in domains.items() if entry["in_total"]} == set(machine.total)
    total_j = sum(domains[uid]["energy_j"]["value"] for uid in machine.total)
    assert found["totals"]["energy_j"]["value"] == pytest.approx(total_j, rel=1e-9)


def test_everything_but_its_outer_meter_is_the_sum_of_disjoint_parts(tmp_path: Path) -> None:
    wall = "acpi_power_meter:ACPI000D:00"
    found = recorded(EVERYTHING, tmp_path, "--collectors", "-acpi_power_meter", but=(wall,))
    joules(found, tmp_path, PARTS)
    domains = {entry["domain"]: entry for entry in found["domains"]}
    assert set(domains) == set(PARTS)
    assert {uid for uid, entry in domains.items() if entry["in_total"]} == set(OUTERMOST)
    # psys is another way to know what its package and its memory make up, and never added to them.
    total_j = sum(domains[uid]["energy_j"]["value"] for uid in OUTERMOST)
    assert found["totals"]["energy_j"]["value"] == pytest.approx(total_j, rel=1e-9)
