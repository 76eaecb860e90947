"""`greengen doctor` and `greengen profile` where NVML is a fake that another process loads."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from greengen.collectors._profiled_pids import why_no_host_pids
from greengen.testing.fake_pynvml import Rig
from tests.integration.commands import GREENGEN, balanced, environment, profile

#: The workload tells the fake driver its process id, which only the driver of a real GPU would know.
WORK = 'echo $$ > "$0"; exec sleep 4'

SUPERCHIP = {"names": ["NVIDIA GH200 480GB"], "module_w": 650.0, "limit_w": 900.0}


def gpus(**rig: object) -> dict[str, str]:
    """The environment of a machine with these GPUs."""
    env = environment(GREENGEN_PYNVML="greengen.testing.fake_pynvml", GREENGEN_FAKE_NVML=json.dumps(rig))
    return {name: value for name, value in env.items() if name != "CUDA_VISIBLE_DEVICES"}


def doctor(tmp_path: Path, env: dict[str, str]) -> dict[str, Any]:
    command = [GREENGEN, "doctor", "--json", "--collectors", "nvml"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, cwd=tmp_path)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def recorded(tmp_path: Path, env: dict[str, str], command: list[str]) -> dict[str, Any]:
    done = profile(tmp_path, "--json", "r.json", "--collectors", "nvml,procfs", command=command, env=env)
    assert done.returncode == 0, done.stderr
    balanced(tmp_path / "run.greengen")
    found: dict[str, Any] = json.loads((tmp_path / "r.json").read_text())
    return found


def account(domain: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [entry["energy_j"] for entry in domain["accounts"] if entry["account"] == name]
    return dict(found)


@pytest.mark.skipif(
    bool(why_no_host_pids(Path("/proc"), os.getpid())),
    reason="process ids of the host mean nothing in this container",
)
def test_a_gpu_shared_with_a_stranger(tmp_path: Path) -> None:
    """60 % of the time it works for us and 20 % for process 1: a quarter of its energy is not ours."""
    pid = tmp_path / "pid"
    env = gpus(watts=[300.0], utilisation=[80], processes=[[[str(pid), 60], [1, 20]]])
    [row] = doctor(tmp_path, env)["domains"]
    assert row["split"] == row["domain"]
    found = recorded(tmp_path, env, ["sh", "-c", WORK, str(pid)])
    [domain] = found["domains"]
    total = domain["energy_j"]["value"]
    assert total == pytest.approx(300 * domain["known_s"], rel=0.1)
    # Less a moment before the workload has said which process it is.
    assert account(domain, "other")["value"] / total == pytest.approx(0.25, abs=0.08)


def test_where_the_driver_does_not_tell_sleep_is_recorded_and_sole_tenancy_said(tmp_path: Path) -> None:
    env = gpus(watts=[300.0, 120.0], processes=None)
    found = recorded(tmp_path, env, ["sleep", "1"])
    assert [domain["in_total"] for domain in found["domains"]] == [True, True]
    watts = [domain["energy_j"]["value"] / domain["known_s"] for domain in found["domains"]]
    assert watts == pytest.approx([300.0, 120.0], rel=0.1)
    for domain in found["domains"]:
        other = account(domain, "other")
        assert other["value"] is None
        assert "sole tenancy" in other["reason"]


def test_a_superchip_counts_once(tmp_path: Path) -> None:
    env = gpus(watts=[400.0], **SUPERCHIP)
    uid = f"nvml:{Rig().uuid(0)}"
    rows = {row["domain"]: row for row in doctor(tmp_path, env)["domains"]}
    assert rows.keys() == {uid, f"{uid}/module"}
    assert rows[f"{uid}/module"]["alternative"]
    found = recorded(tmp_path, env, ["sleep", "1"])
    by_uid = {domain["domain"]: domain for domain in found["domains"]}
    assert [by_uid[uid]["in_total"], by_uid[f"{uid}/module"]["in_total"]] == [True, False]
    assert found["totals"]["energy_j"]["value"] == pytest.approx(by_uid[uid]["energy_j"]["value"])


@pytest.mark.parametrize(
    ("devices", "expected"),
    [("1", [1]), (Rig().uuid(2), [2]), ("MIG-a", [0])],
    ids=["by number", "by UUID", "by MIG instance"],
)
def test_visible_devices(tmp_path: Path, devices: str, expected: list[int]) -> None:
    env = gpus(watts=[100.0, 200.0, 300.0], mig={"MIG-a": 0}) | {"CUDA_VISIBLE_DEVICES": devices}
    found = [row["domain"] for row in doctor(tmp_path, env)["domains"]]
    assert found == [f"nvml:{Rig().uuid(index)}" for index in expected]
