"""Meters that wrap, reset, hide, refuse or raise, under a real `greengen profile`: each is told, nothing is guessed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from greengen.collector import Host
from greengen.testing import trees
from tests.integration import moving
from tests.integration.commands import GREENGEN, balanced, environment, profile, spans
from tests.integration.moving import Stage
from tests.unit import unprivileged

ZONE = "intel-rapl:0"


def machine(root: Path, *, energy_uj: int, range_uj: int) -> Host:
    """One package of 60 W, as a machine of its own; the processes stay those of this machine."""
    host = trees.machine(root, model=trees.INTEL_LAPTOP_CPU, cpus=2)
    limits = {"long_term": 60_000_000}
    return trees.with_zones(host, {ZONE: trees.ZoneSpec("package-0", energy_uj, range_uj, limits)})


def run(tmp_path: Path, host: Host, *steps: str | int) -> dict[str, Any]:
    """The report of a workload under which the counter shows `steps`, each of which was read."""
    counter = host.sysfs / "class/powercap" / ZONE / "energy_uj"
    stages = [
        Stage(
            {counter: [str(step)]},
            until=[moving.told("gap") if isinstance(step, str) else moving.reads("rapl:package-0", step / 1e6)],
        )
        for step in steps
    ]
    work = moving.command(tmp_path, *stages)
    env = environment(GREENGEN_SYSFS=host.sysfs)
    done = profile(tmp_path, "--json", "r.json", "--interval", "0.05", command=work, env=env)
    assert done.returncode == 0, done.stderr
    balanced(tmp_path / "run.greengen")
    return report(tmp_path)


def report(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "r.json").read_text())
    return found


def domain(found: dict[str, Any], uid: str = "rapl:package-0") -> dict[str, Any]:
    [one] = [entry for entry in found["domains"] if entry["domain"] == uid]
    return dict(one)


def test_a_wrap_is_counted_through(tmp_path: Path) -> None:
    host = machine(tmp_path / "machine", energy_uj=48_000_000, range_uj=50_000_000)
    found = run(tmp_path, host, 49_500_000, 1_000_000, 2_000_000)
    assert domain(found)["energy_j"]["value"] == pytest.approx(4.0)
    assert domain(found)["energy_j"]["grade"] == "measured"
    assert domain(found)["unknown"] == []
    [event] = [event for event in found["events"] if event["kind"] == "wrap"]
    assert event["subject"] == "rapl:package-0"
    assert found["totals"]["energy_j"]["value"] == pytest.approx(4.0)


def test_a_reset_loses_joules_that_have_a_bound(tmp_path: Path) -> None:
    host = machine(tmp_path / "machine", energy_uj=48_000_000, range_uj=262_143_000_000)
    found = run(tmp_path, host, 49_000_000, 500_000, 2_000_000)
    # What was read: 48 to 49 J, and 0.5 to 2 J.
    assert domain(found)["energy_j"]["value"] == pytest.approx(2.5)
    [lost] = domain(found)["unknown"]
    # At most twice 60 W, for as long as it was not looked at.
    assert lost["bound_j"] == pytest.approx(120 * (lost["t1_s"] - lost["t0_s"]))
    assert lost["bound_j"] > 0
    [event] = [event for event in found["events"] if event["kind"] == "reset"]
    assert "never read" in event["reason"]
    assert found["totals"]["coverage"] < 1


def test_a_counter_that_fails_for_a_while_is_a_gap(tmp_path: Path) -> None:
    host = machine(tmp_path / "machine", energy_uj=48_000_000, range_uj=262_143_000_000)
    found = run(tmp_path, host, 49_000_000, "garbage", 52_000_000)
    gaps = [event for event in found["events"] if event["kind"] == "gap"]
    assert [gap["subject"] for gap in gaps] == ["rapl:package-0"]
    assert "garbage" in gaps[0]["reason"]
    # A counter goes on counting: only when the joules came is less well known.
    assert domain(found)["energy_j"]["value"] == pytest.approx(4.0)


@unprivileged.needed
def test_permission_denied_names_the_reason_and_the_remedies(tmp_path: Path) -> None:
    host = machine(tmp_path / "machine", energy_uj=48_000_000, range_uj=262_143_000_000)
    (host.sysfs / "class/powercap" / ZONE / "energy_uj").chmod(0)
    env = environment(GREENGEN_SYSFS=host.sysfs)
    prefix = [*unprivileged.PREFIX, GREENGEN]
    doctor = subprocess.run([*prefix, "doctor"], env=env, capture_output=True, text=True, check=True, cwd=tmp_path)
    line = [*prefix, "profile", "-o", "run.greengen", "--json", "r.json", "--", "true"]
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=True, cwd=tmp_path)
    [warning] = [said for said in report(tmp_path)["warnings"] if said.startswith("rapl: ")]
    for said in (doctor.stdout, done.stderr, warning):
        words = " ".join(said.split())
        assert "permission denied" in words
        assert "CVE-2020-8694" in words
        assert "udev rule" in words
        assert "CAP_DAC_READ_SEARCH" in words
    # Modelled instead, and told so.
    assert domain(report(tmp_path), "cpu_model:package")["grade"] == "modelled"


def test_a_container_that_masks_the_zones(tmp_path: Path) -> None:
    host = trees.masked_container(tmp_path / "machine")
    env = environment(**trees.environment(host))
    doctor = subprocess.run([GREENGEN, "doctor"], env=env, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert profile(tmp_path, "--json", "r.json", command=["true"], env=env).returncode == 0
    [missing] = [entry for entry in report(tmp_path)["boundary"]["not_covered"] if entry["what"] == "rapl"]
    for said in (doctor.stdout, f"{missing['why']} {missing['remedy']}"):
        words = " ".join(said.split())
        assert "MaskedPaths" in words
        assert "-v /sys/devices/virtual/powercap:" in words
    balanced(tmp_path / "run.greengen")


def test_two_gpus_beside_the_cpu(tmp_path: Path) -> None:
    host = machine(tmp_path / "machine", energy_uj=48_000_000, range_uj=262_143_000_000)
    counter = host.sysfs / "class/powercap" / ZONE / "energy_uj"
    until = [moving.reads("rapl:package-0", 50.0)]
    work = moving.command(tmp_path, Stage({counter: ["49000000", "50000000"]}, 0.25, until))
    powers_w = [300.0, 120.0]
    env = environment(
        GREENGEN_SYSFS=host.sysfs,
        GREENGEN_PYNVML="greengen.testing.fake_pynvml",
        GREENGEN_FAKE_NVML=json.dumps({"watts": powers_w, "utilisation": [97, 0]}),
    )
    assert profile(tmp_path, "--json", "r.json", command=work, env=env).returncode == 0
    balanced(tmp_path / "run.greengen")
    found = report(tmp_path)
    gpus = [entry for entry in found["domains"] if entry["kind"] == "gpu"]
    assert len(gpus) == 2
    for gpu, watts in zip(gpus, powers_w, strict=True):
        assert gpu["in_total"]
        assert gpu["energy_j"]["value"] == pytest.approx(watts * gpu["known_s"], rel=0.1)
        [other] = [account["energy_j"] for account in gpu["accounts"] if account["account"] == "other"]
        assert other["value"] is None
        assert other["reason"]
    package = domain(found)
    assert package["energy_j"]["value"] == pytest.approx(2.0)
    [other] = [account["energy_j"] for account in package["accounts"] if account["account"] == "other"]
    assert other["value"] is not None
    total = sum(entry["energy_j"]["value"] for entry in (*gpus, package))
    assert found["totals"]["energy_j"]["value"] == pytest.approx(total, rel=1e-9)
    accounts = sum(account["energy_j"]["value"] or 0.0 for account in found["accounts"])
    assert accounts == pytest.approx(total, rel=1e-9)


# -- plug-ins ----------------------------------------------------------------------------------------------


def install(directory: Path, name: str, value: str, module: str = "") -> Path:
    """A distribution with one collector, as pip would lay it down; the folder to put on the path."""
    place = directory / "site"
    info = place / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[greengen.collectors]\n{name} = {value}\n")
    (place / f"{name}.py").write_text(module)
    return place


PLUG_IN = """
import time
from greengen.collector import Discovery, Domain, Sample

class Collector:
    name, fallback_for = "flaky", ()
    def __init__(self, host):
        self.reads = 0
    def discover(self):
        return Discovery((Domain("flaky:board", "flaky", "board", "a board", max_power_w=100.0),))
    def read(self):
        self.reads += 1
        if self.reads % 4 == 3:
            raise RuntimeError("it came loose")
        yield Sample("flaky:board", time.monotonic_ns(), float(self.reads))
    def close(self):
        raise RuntimeError("stuck")
"""


def with_plug_in(tmp_path: Path, place: Path, *until: str) -> tuple[dict[str, Any], str]:
    path = environment().get("PYTHONPATH", "")
    env = environment(PYTHONPATH=f"{place}:{path}")
    served = """
import greengen, runpy, sys
sys.argv[:] = sys.argv[1:]
with greengen.request(model="m"):
    runpy.run_path(sys.argv[0], None, "__main__")
"""
    _, program, plan = moving.command(tmp_path, Stage(until=until))
    work = [sys.executable, "-c", served, program, plan]
    done = profile(tmp_path, "--json", "r.json", "--interval", "0.02", command=work, env=env)
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"Traceback" not in done.stderr
    assert len(spans(tmp_path / "run.greengen")) == 1
    balanced(tmp_path / "run.greengen")
    return report(tmp_path), done.stderr.decode()


def test_a_plug_in_that_raises_is_a_gap_and_the_others_go_on(tmp_path: Path) -> None:
    found, _ = with_plug_in(tmp_path, install(tmp_path, "flaky", "flaky:Collector", PLUG_IN), moving.told("gap", 3))
    gaps = [event for event in found["events"] if event["kind"] == "gap"]
    assert len(gaps) >= 3
    assert {gap["subject"] for gap in gaps} == {"flaky"}
    assert all("RuntimeError: it came loose" in gap["reason"] for gap in gaps)
    assert domain(found, "flaky:board")["energy_j"]["value"] > 10
    assert domain(found, "cpu_model:package")["known_s"] > 0
    assert any("flaky did not close: RuntimeError: stuck" in warning for warning in found["warnings"])


@pytest.mark.parametrize(
    ("value", "module", "why"),
    [
        ("broken:Collector", "raise ImportError('no such driver')", "no such driver"),
        ("broken:Nothing", "", "has no attribute 'Nothing'"),
        ("broken:Collector", "def Collector(host): raise OSError('no bus')", "no bus"),
        ("broken:dict", "dict = lambda host: {}", "makes a dict, which is no Collector"),
    ],
)
def test_a_broken_plug_in_is_one_warning(tmp_path: Path, value: str, module: str, why: str) -> None:
    found, _ = with_plug_in(tmp_path, install(tmp_path, "broken", value, module), moving.read("cpu_model:package"))
    [warning] = [said for said in found["warnings"] if "broken" in said]
    assert why in warning
    assert domain(found, "cpu_model:package")["energy_j"]["value"] > 0
