"""Fake boards by environment alone: `greengen doctor` and `greengen profile`, like those of test_hosts.py."""

from __future__ import annotations

from pathlib import Path

import pytest

import tests.integration.test_hosts as hosts
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
]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_doctor(machine: Machine, tmp_path: Path) -> None:
    hosts.test_doctor(machine, tmp_path)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_profile(machine: Machine, tmp_path: Path) -> None:
    hosts.test_profile(machine, tmp_path)
