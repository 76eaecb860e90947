"""Faults of sysfs meters during a real `greengen profile`: each is in the report, and no joule is guessed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greengen.collector import Host
from greengen.testing import trees
from tests.hosts import loading
from tests.hosts.gpu_metrics import pack
from tests.integration.commands import GREENGEN, balanced, environment, profile
from tests.unit import unprivileged

WORK = [sys.executable, "-c", "import time; time.sleep(4)"]


def told(tmp_path: Path, host: Host, fault: Callable[[], None], moving: dict[str, int] | None = None) -> dict[str, Any]:
    """The report of 4 s in which `fault` runs, beginning a second after the start."""
    thread = threading.Timer(1.0, fault)
    with loading.counting(host, moving or {}):
        thread.start()
        done = profile(tmp_path, "--json", "r.json", command=WORK, env=environment(**trees.environment(host)))
        thread.join()
    assert done.returncode == 0, done.stderr
    balanced(tmp_path / "run.greengen")
    report: dict[str, Any] = json.loads((tmp_path / "r.json").read_text())
    return report


def domain(report: dict[str, Any], uid: str) -> dict[str, Any]:
    [one] = [entry for entry in report["domains"] if entry["domain"] == uid]
    return dict(one)


def events(report: dict[str, Any], uid: str) -> list[str]:
    return [event["kind"] for event in report["events"] if event["subject"] == uid]


def test_firmware_that_does_not_answer_is_a_gap_of_known_length(tmp_path: Path) -> None:
    host = loading.build("acpi_server", tmp_path / "machine")
    power = "class/hwmon/hwmon3/power1_average"

    def fault() -> None:
        loading.show(host, power, "4294967295000")
        time.sleep(1.5)
        loading.show(host, power, "310000000")

    report = told(tmp_path, host, fault)
    meter = domain(report, "acpi_power_meter:ACPI000D:00")
    assert events(report, meter["domain"]) == ["gap"]
    [reason] = [event["reason"] for event in report["events"] if event["kind"] == "gap"]
    assert "can be believed" in reason
    # A meter that is new once a second, for 1.5 s: no gap in its curve, and 4.29 MW nowhere.
    assert meter["energy_j"]["value"] == pytest.approx(310.0 * meter["known_s"], rel=1e-6)
    assert 3.5 < meter["known_s"] < 6


def test_a_card_that_goes_and_returns_under_another_number_is_a_reset(tmp_path: Path) -> None:
    host = loading.build("arc_b580", tmp_path / "machine")
    card = "intel_gpu:0000:03:00.0/card"

    def fault() -> None:
        files = loading.unplug(host, "hwmon5")
        time.sleep(0.5)
        loading.plug(host, "hwmon9", "pci0000:00/0000:03:00.0", files | {"energy1_input": "1000000"})
        for step in range(1, 20):
            time.sleep(0.1)
            loading.show(host, "class/hwmon/hwmon9/energy1_input", str(1_000_000 + step * 10_000_000))

    report = told(tmp_path, host, fault)
    assert events(report, card)[:2] == ["gap", "reset"]
    found = domain(report, card)
    assert any("never read" in lost["reason"] for lost in found["unknown"])
    assert all(lost["bound_j"] > 0 for lost in found["unknown"])
    # Only what was counted after its return: the first reading of it is the baseline.
    assert 0 < found["energy_j"]["value"] <= 190.0
    assert report["totals"]["coverage"] < 1


def test_a_counter_that_stands_still_is_a_freeze(tmp_path: Path) -> None:
    host = loading.build("epyc_amd_energy", tmp_path / "machine")
    socket = "class/hwmon/hwmon1/energy3_input"

    def fault() -> None:
        for step in range(10):
            loading.show(host, socket, str(5_123_000_000 + step * 14_000_000))
            time.sleep(0.1)

    report = told(tmp_path, host, fault)
    package = domain(report, "amd_energy:package-0")
    assert "freeze" in events(report, package["domain"])
    assert any("stood still" in lost["reason"] for lost in package["unknown"])
    assert package["energy_j"]["value"] == pytest.approx(126.0, rel=0.01)


def test_a_gpu_that_sleeps_is_not_woken_and_not_0_w(tmp_path: Path) -> None:
    host = loading.build("radeon", tmp_path / "machine")
    loading.show(host, "class/drm/card1/device/gpu_metrics", pack(1, 3, 212))
    status = "class/drm/card1/device/power/runtime_status"
    gpu = "amdgpu:0000:03:00.0"

    def fault() -> None:
        os.truncate(host.sysfs / status, 0)
        loading.show(host, status, "suspended")

    report = told(tmp_path, host, fault, {"class/powercap/intel-rapl:0/energy_uj": 65_000_000})
    assert events(report, gpu) == ["gap"]
    found = domain(report, gpu)
    assert found["known_s"] < 2.5
    assert found["energy_j"]["value"] == pytest.approx(212.0 * found["known_s"], rel=1e-6)
    # The CPU went on, and is measured to the end.
    assert domain(report, "rapl:package-0")["known_s"] > 3.5


# --- doctor ---------------------------------------------------------------------------------------------


def doctor(host: Host, *before: str) -> dict[str, Any]:
    line = [*before, GREENGEN, "doctor", "--json"]
    env = environment(**trees.environment(host))
    done = subprocess.run(line, env=env, capture_output=True, check=True, timeout=60)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def reasons(report: dict[str, Any]) -> dict[str, str]:
    return {row["interface"]: f"{row['reason']} / {row['remedy']}" for row in report["unavailable"]}


@unprivileged.needed
def test_doctor_names_a_counter_that_may_not_be_read(tmp_path: Path) -> None:
    host = loading.build("epyc_amd_energy", tmp_path)
    for number in (3, 4):
        (host.sysfs / f"class/hwmon/hwmon1/energy{number}_input").chmod(0)
    report = doctor(host, *unprivileged.PREFIX)
    assert "permission denied" in reasons(report)["amd_energy:package-0"]
    assert "CVE-2020-12912" in reasons(report)["amd_energy:package-0"]
    assert [row["domain"] for row in report["domains"]] == ["cpu_model:package"]  # modelled instead


@pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("setpriv") or Path("/proc/sys/kernel/perf_event_paranoid").read_text() < "1",
    reason="needs root, setpriv, and a kernel that keeps perf from users",
)
def test_doctor_names_perf_events_that_the_kernel_refuses(tmp_path: Path) -> None:
    host = loading.build("perf_power", tmp_path)
    report = doctor(host, "setpriv", "--bounding-set", "-perfmon,-sys_admin", "--")
    told = reasons(report)["perf_power:energy-pkg"]
    assert "Permission denied (kernel.perf_event_paranoid)" in told
    assert "cap_perfmon" in told


def test_doctor_shows_what_stands_still_and_what_is_no_reading(tmp_path: Path) -> None:
    host = loading.build("arc_b580", tmp_path)
    loading.show(host, "class/hwmon/hwmon5/energy2_input", "N/A")
    report = doctor(host)
    live = {row["domain"]: row["live"]["note"] for row in report["domains"]}
    assert "stood still" in live["intel_gpu:0000:03:00.0/card"]
    assert "invalid literal" in reasons(report)["intel_gpu:0000:03:00.0/pkg"]


def test_doctor_shows_a_gpu_that_sleeps(tmp_path: Path) -> None:
    host = loading.build("radeon", tmp_path)
    status = "class/drm/card1/device/power/runtime_status"
    os.truncate(host.sysfs / status, 0)
    loading.show(host, status, "suspended")
    live = {row["domain"]: row["live"] for row in doctor(host)["domains"]}
    assert live["amdgpu:0000:03:00.0"]["power_w"] is None
    assert "reading would wake it" in live["amdgpu:0000:03:00.0"]["note"]
