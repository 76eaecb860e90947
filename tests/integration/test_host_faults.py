"""What `greengen doctor` says of meters that may not be read, stand still, show nonsense or sleep.

Faults during a recording: unit/test_recorded_faults.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from greengen.collector import Host
from greengen.testing import trees
from tests.hosts import loading
from tests.integration.commands import GREENGEN, environment
from tests.unit import unprivileged


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
