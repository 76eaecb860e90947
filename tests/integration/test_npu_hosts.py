"""Machines with NPUs by environment alone: a laptop whose package holds one, and a host of cards and stated chips."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import tests.integration.test_hosts as hosts
from greengen.testing import trees
from greengen.testing.fake_commands import fake_command, hl_smi, measure_power, npu_smi_info, qaic_util
from tests.hosts import loading
from tests.integration.commands import GREENGEN, balanced, environment, profile
from tests.integration.test_hosts import Machine

pytestmark = pytest.mark.alone  # counters are written in real time


def telemetry(watts: float) -> Callable[[float], bytes]:
    """Lunar Lake's table, whose energy rises as at that power."""
    return lambda seconds: b"\xa5" * 0x5D0 + (int((5 + watts * seconds) * 2**14)).to_bytes(4, "little") + b"\xa5" * 4652


LAPTOP = Machine(
    "intel_npu",
    {"rapl:package-0": 12.0, "intel_npu:npu": 3.0},
    ("rapl:package-0",),
    {"class/powercap/intel-rapl:0/energy_uj": 12_000_000},
    {"class/intel_pmt/telem2/telem": telemetry(3.0)},
)


def test_an_npu_in_a_package_is_counted_once(tmp_path: Path) -> None:
    hosts.test_profile(LAPTOP, tmp_path)


def test_cards_and_stated_chips(tmp_path: Path) -> None:
    """Each once in doctor and in a recording; what nobody stated stays unmeasured."""
    host = loading.build("rockchip", tmp_path / "machine")
    (host.sysfs / "devices/virtual/neuron_device/neuron0").mkdir(parents=True)
    loading.show(host, "class/dmi/id/product_name", "Google Compute Engine")
    loading.show(host, "bus/pci/devices/0000:00:04.0/vendor", "0x1ae0")
    loading.show(host, "bus/pci/devices/0000:00:04.0/device", "0x0063")
    folder = tmp_path / "bin"
    fake_command(folder, "npu-smi", npu_smi_info(("Ascend910", ("178.5", "-"))))
    fake_command(folder, "hl-smi", hl_smi((0, "226 W", "50 %")))
    fake_command(folder, "qaic-util", qaic_util(("S1", 48, 11), ("S1", 48, 12)))
    fake_command(folder, "hailortcli", measure_power(("0000:01:00.0", 2.5)))
    env = environment(
        **trees.environment(host),
        PATH=f"{folder}{os.pathsep}{os.environ['PATH']}",
        GREENGEN_ACCELERATOR="rknpu=0.5/3.5,tpu=90/170",
        GREENGEN_LIBTPU="greengen.testing.fake_libtpu",
        GREENGEN_FAKE_TPU="45.0",
    )
    powers = {
        "ascend:0000:9D:00.0": 178.5,
        "gaudi:01P4-HL3090A0-18-U4V193-22-07-00": 226.0,
        "qualcomm:S1": 48.0,
        "hailo:0000:01:00.0": 2.5,
        "accelerator:rknpu": 1.4,
        "accelerator:tpu-0": 126.0,
    }
    told = json.loads(subprocess.run([GREENGEN, "doctor", "--json"], env=env, capture_output=True, check=True).stdout)
    npus = {row["domain"]: row["grade"] for row in told["domains"] if row["kind"] == "npu"}
    assert npus == {uid: "modelled" if uid.startswith("accelerator:") else "measured" for uid in powers}
    [neuron] = [row for row in told["unavailable"] if row["interface"] == "accelerator:neuron"]
    assert "not stated" in neuron["reason"]

    done = profile(tmp_path, "--json", "r.json", command=["sleep", "3"], env=env)
    assert done.returncode == 0, done.stderr
    balanced(tmp_path / "run.greengen")
    found = json.loads((tmp_path / "r.json").read_text())
    rows = {row["domain"]: row for row in found["domains"]}
    assert {uid for uid, row in rows.items() if row["in_total"]} == {*powers, "cpu_model:package"}
    for uid, watts in powers.items():
        assert rows[uid]["energy_j"]["value"] == pytest.approx(watts * rows[uid]["known_s"]), uid
    modelled = rows["accelerator:rknpu"]["energy_j"]
    assert modelled["grade"] == "modelled"
    assert modelled["low"] < 0.55 * modelled["value"]
    assert modelled["high"] > 1.9 * modelled["value"]
