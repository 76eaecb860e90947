"""Faults of counters, through a real `greengen profile` over fake trees and a fake NVML."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from greengen.testing import trees
from tests.unit import unprivileged

#: Drives the energy counter of package-0: each argument is µJ, shown for 0.3 s.
DRIVER = """
import os, sys, time
file = os.open(sys.argv[1], os.O_WRONLY)
for value in sys.argv[2:]:
    os.pwrite(file, value.encode().ljust(20) + b"\\n", 0)
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        sum(range(1000))
"""

RANGE_UJ = 262_143_328_850


def profile(directory: Path, *command: str, collectors: str = "rapl,procfs", **environment: str) -> dict[str, Any]:
    """The report of a command, recorded with `environment`."""
    report = directory / "report.json"
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "greengen"), "profile", "-o", "run.greengen", "--json", str(report)),
            *("--interval", "0.05", "--collectors", collectors, "--", *command),
        ],
        env={**os.environ, **environment},
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(report.read_text())
    return document


def drive(directory: Path, *values_uj: int) -> dict[str, Any]:
    """The domain package-0 of a run in which its counter shows these values in turn, and the run's report."""
    host = trees.intel_server(directory / "host")
    trees.set_energy_uj(host, "intel-rapl:0", values_uj[0])
    counter = host.sysfs / "devices/virtual/powercap/intel-rapl/intel-rapl:0/energy_uj"
    script = directory / "driver.py"
    script.write_text(DRIVER)
    command = (sys.executable, str(script), str(counter), *map(str, values_uj))
    return profile(directory, *command, GREENGEN_SYSFS=str(host.sysfs))


def domain(document: dict[str, Any], uid: str) -> dict[str, Any]:
    """One domain of a report, its books checked."""
    found: dict[str, Any] = next(entry for entry in document["domains"] if entry["domain"] == uid)
    parts = [account["energy_j"]["value"] for account in found["accounts"]]
    total = math.fsum(part for part in parts if part is not None)
    assert total == pytest.approx(found["energy_j"]["value"], rel=1e-9)
    return found


def test_a_wrap_is_counted_through(tmp_path: Path) -> None:
    before, after = RANGE_UJ - 20_000_000, 15_000_000
    document = drive(tmp_path, before, before + 10_000_000, after, after + 5_000_000)
    package = domain(document, "rapl:package-0")
    assert package["energy_j"]["value"] == pytest.approx(40.0, abs=1e-3)
    assert package["unknown"] == []
    assert [e["kind"] for e in document["events"] if e["subject"] == "rapl:package-0"] == ["wrap"]


def test_the_joules_of_a_reset_are_not_invented(tmp_path: Path) -> None:
    document = drive(tmp_path, 5_000_000_000, 5_010_000_000, 1_000, 7_001_000)
    package = domain(document, "rapl:package-0")
    assert package["energy_j"]["value"] == pytest.approx(17.0, abs=1e-3)
    (lost,) = package["unknown"]
    # Twice the greatest power limit of the tree, for the time between two readings.
    assert 0 < lost["bound_j"] <= 2 * 180 * (lost["t1_s"] - lost["t0_s"]) + 1e-6
    assert package["coverage"] < 1
    assert [e["kind"] for e in document["events"] if e["subject"] == "rapl:package-0"] == ["reset"]
    assert "not known" in package["energy_j"]["note"]


def test_a_counter_that_vanishes_is_a_gap_and_the_others_go_on(tmp_path: Path) -> None:
    host = trees.intel_server(tmp_path / "host")
    zone = host.sysfs / "devices/virtual/powercap/intel-rapl/intel-rapl:0/energy_uj"
    other = host.sysfs / "devices/virtual/powercap/intel-rapl/intel-rapl:1/energy_uj"
    script = tmp_path / "break.py"
    script.write_text(
        f"import os, time\nother = os.open({str(other)!r}, os.O_WRONLY)\n"
        f"file = os.open({str(zone)!r}, os.O_WRONLY)\nos.ftruncate(file, 0)\n"
        "for i in range(10):\n    os.pwrite(other, b'%-20d' % (148213377541 + 1000000 * i), 0)\n    time.sleep(0.06)\n"
    )
    document = profile(tmp_path, sys.executable, str(script), GREENGEN_SYSFS=str(host.sysfs))
    assert [e["kind"] for e in document["events"] if e["subject"] == "rapl:package-0"] == ["gap"]
    assert domain(document, "rapl:package-1")["energy_j"]["value"] == pytest.approx(9.0, abs=1e-3)


@unprivileged.needed
def test_permission_denied_names_the_reason_and_the_remedies(tmp_path: Path) -> None:
    host = trees.intel_server(tmp_path / "host")
    for counter in host.sysfs.glob("devices/virtual/powercap/intel-rapl/**/energy_uj"):
        counter.chmod(0o000)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*unprivileged.PREFIX, Path(sys.executable).parent / "greengen", *arguments],
            env={**os.environ, "GREENGEN_SYSFS": str(host.sysfs)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done

    doctor = run("doctor").stdout
    run("profile", "-o", "run.greengen", "--json", "report.json", "--", "true")
    document = json.loads((tmp_path / "report.json").read_text())
    for text in (" ".join(doctor.split()), " ".join(document["warnings"])):
        assert "CVE-2020-8694" in text
        assert "chmod" in text or "udev" in text
    # And the CPU is modelled instead, and says so.
    assert {entry["grade"] for entry in document["domains"]} == {"modelled"}


def test_a_masked_container_names_the_remedy(tmp_path: Path) -> None:
    host = trees.masked_container(tmp_path / "host")
    environment = {**os.environ, **trees.environment(host)}
    done = subprocess.run(
        [Path(sys.executable).parent / "greengen", "doctor", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "systempaths=unconfined" in done.stdout
    assert "GREENGEN_SYSFS" in done.stdout


def test_two_gpus_stand_beside_the_cpu(tmp_path: Path) -> None:
    host = trees.intel_server(tmp_path / "host")
    zones = [f"{host.sysfs}/devices/virtual/powercap/intel-rapl/intel-rapl:{i}/energy_uj" for i in (0, 1)]
    script = tmp_path / "run.py"
    script.write_text(
        f"import os, time\nfiles = [os.open(zone, os.O_RDWR) for zone in {zones!r}]\n"
        "for i in range(20):\n"
        "    for file in files:\n"
        "        os.pwrite(file, b'%-20d' % (int(os.pread(file, 64, 0)) + 500), 0)\n"
        "    time.sleep(0.05)\n"
    )
    document = profile(
        tmp_path,
        *(sys.executable, str(script)),
        collectors="rapl,nvml,procfs",
        GREENGEN_SYSFS=str(host.sysfs),
        GREENGEN_PYNVML="greengen.testing.fake_pynvml",
        GREENGEN_FAKE_NVML=json.dumps({"watts": [300, 120]}),
    )
    gpus = [domain(document, entry["domain"]) for entry in document["domains"] if entry["kind"] == "gpu"]
    assert len(gpus) == 2
    seconds = document["run"]["duration_s"]
    for gpu, watts in zip(sorted(gpus, key=lambda g: -g["energy_j"]["value"]), (300, 120), strict=True):
        assert gpu["in_total"]
        assert gpu["grade"] == "measured"
        assert gpu["energy_j"]["value"] == pytest.approx(watts * seconds, rel=0.2)
        (other,) = [a["energy_j"] for a in gpu["accounts"] if a["account"] == "other"]
        assert other["value"] is None
        assert "sole tenancy" in other["reason"]
    assert {entry["kind"] for entry in document["domains"] if entry["in_total"]} == {"package", "dram", "gpu"}
    total = math.fsum(entry["energy_j"]["value"] for entry in document["domains"] if entry["in_total"])
    assert document["totals"]["energy_j"]["value"] == pytest.approx(total, rel=1e-9)
