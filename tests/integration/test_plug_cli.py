"""A smart plug on loopback under the real `greengen doctor` and `greengen profile`, by environment alone."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import greengen
from greengen.collector import Host
from greengen.testing import trees
from greengen.testing.http_meters import Fault, HttpMeter, PlantedPower, shelly2, tasmota
from tests.integration.commands import GREENGEN, balanced, environment, profile, script

ZONE = "intel-rapl:0"

#: For `argv[2]` seconds the package draws 20 W: to the end, however late the work is let run.
WORK = """
import os, sys, time
fd, last = os.open(sys.argv[1], os.O_WRONLY), float(sys.argv[2])
begun, passed = time.monotonic(), 0.0
while passed < last:
    time.sleep(0.01)
    passed = min(time.monotonic() - begun, last)
    os.pwrite(fd, f"{1_000_000_000 + int(passed * 20e6)}\\n".encode(), 0)
"""


@pytest.fixture
def meter() -> Iterator[HttpMeter]:
    with HttpMeter(shelly2(PlantedPower(58.0, counter_j=7.2e6))) as made:
        yield made


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = trees.machine(tmp_path / "machine", model=trees.INTEL_LAPTOP_CPU, cpus=2)
    return trees.with_zones(
        made, {ZONE: trees.ZoneSpec("package-0", 1_000_000_000, limits_uw={"long_term": 60_000_000})}
    )


def doctor(env: dict[str, str], *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [GREENGEN, "doctor", "--json", *arguments], env=env, capture_output=True, timeout=60, check=True
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def report(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "r.json").read_text())
    return found


def domain(found: dict[str, Any], uid: str) -> dict[str, Any]:
    [one] = [entry for entry in found["domains"] if entry["domain"] == uid]
    return dict(one)


def counted(found: dict[str, Any]) -> set[str]:
    return {entry["domain"] for entry in found["domains"] if entry["in_total"]}


def measured(tmp_path: Path, host: Host, meter: HttpMeter, seconds: float, *arguments: str) -> dict[str, Any]:
    """A recording of `seconds` of work beside a plug; the procfs is this machine's."""
    env = environment(GREENGEN_SYSFS=host.sysfs, GREENGEN_PLUG=f"shelly2://127.0.0.1:{meter.port}")
    work = [*script(tmp_path, WORK), str(host.sysfs / "class/powercap" / ZONE / "energy_uj"), str(seconds)]
    done = profile(tmp_path, "--json", "r.json", *arguments, command=work, env=env)
    assert done.returncode == 0, done.stderr
    balanced(tmp_path / "run.greengen")
    return report(tmp_path)


def test_doctor_reads_the_plug(host: Host, meter: HttpMeter) -> None:
    env = environment(GREENGEN_SYSFS=host.sysfs, GREENGEN_PLUG=f"shelly2://127.0.0.1:{meter.port}")
    told = doctor(env)
    [wall] = [row for row in told["domains"] if row["kind"] == "wall"]
    assert wall["domain"] == f"plug:127.0.0.1:{meter.port}/0"
    live = wall["live"]
    assert (live["power_w"], live["note"], live["plausible"]) == (58.0, "", True)
    assert (wall["grade"], wall["scope"], wall["alternative"], wall["contains"]) == ("measured", "host", True, ["*"])


def test_doctor_reads_a_plugs_counter(host: Host, meter: HttpMeter) -> None:
    url = f"shelly2://127.0.0.1:{meter.port}/0?reading=energy"
    told = doctor(environment(GREENGEN_SYSFS=host.sysfs, GREENGEN_PLUG=url), "--collectors", "plug", "--seconds", "3")
    [wall] = told["domains"]
    live = wall["live"]
    assert live["moved"]
    # Its counter has steps of 3.6 J, and is read every half second.
    assert live["power_w"] == pytest.approx(58, rel=0.2)


def test_doctor_asks_nobody_by_default(host: Host, meter: HttpMeter) -> None:
    told = doctor(environment(GREENGEN_SYSFS=host.sysfs))
    assert "wall" not in {row["kind"] for row in told["domains"]}
    assert meter.asked == []


def test_doctor_says_what_is_wrong_with_a_plug(host: Host, meter: HttpMeter) -> None:
    meter.fault = "500"
    env = environment(GREENGEN_SYSFS=host.sysfs, GREENGEN_PLUG=f"shelly2://127.0.0.1:{meter.port},kasa://10.0.0.1")
    told = doctor(env, "--collectors", "plug")
    assert told["domains"] == []
    reasons = {row["interface"]: row["reason"] for row in told["unavailable"]}
    assert "500 Internal Server Error" in reasons[f"plug:127.0.0.1:{meter.port}/0"]
    assert "kasa" in reasons["plug"]


def test_the_wall_is_beside_the_package_and_never_added(tmp_path: Path, host: Host, meter: HttpMeter) -> None:
    found = measured(tmp_path, host, meter, 2.0, "--collectors", "rapl,plug,procfs")
    plug = f"plug:127.0.0.1:{meter.port}/0"
    assert counted(found) == {"rapl:package-0"}
    assert domain(found, "rapl:package-0")["energy_j"]["value"] == pytest.approx(40, abs=1)
    assert found["totals"]["energy_j"]["value"] == domain(found, "rapl:package-0")["energy_j"]["value"]
    wall = domain(found, plug)
    assert wall["energy_j"]["grade"] == "measured"
    ledger = balanced(tmp_path / "run.greengen")
    [curve] = [
        entries.books.curve for c in ledger.chapters for entries in c.entries if entries.books.domain.uid == plug
    ]
    # Its readings begin and end within half a second of the recording.
    assert 1.2 <= curve.known_s <= 2.8
    assert wall["energy_j"]["value"] == pytest.approx(58.0 * curve.known_s)
    assert wall["energy_j"]["low"] < 58.0 * curve.known_s < wall["energy_j"]["high"]


def test_the_plug_alone_is_the_total(tmp_path: Path, host: Host, meter: HttpMeter) -> None:
    found = measured(tmp_path, host, meter, 1.5, "--collectors", "plug,procfs")
    assert counted(found) == {f"plug:127.0.0.1:{meter.port}/0"}
    total = found["totals"]["energy_j"]
    assert 58 * 0.9 <= total["value"] <= 58 * 2.1
    assert total["grade"] == "measured"
    missing = {gone["what"] for gone in found["boundary"]["not_covered"]}
    assert not missing & {"memory (DRAM)", "fans, power supply loss, disks, network cards"}


def test_a_measured_wall_goes_before_a_modelled_cpu(tmp_path: Path, meter: HttpMeter) -> None:
    host = trees.empty_vm(tmp_path / "vm")
    env = environment(GREENGEN_SYSFS=host.sysfs, GREENGEN_PLUG=f"shelly2://127.0.0.1:{meter.port}")
    done = profile(tmp_path, "--json", "r.json", command=["sleep", "1.2"], env=env)
    assert done.returncode == 0, done.stderr
    found = report(tmp_path)
    assert "cpu_model" in {entry["collector"] for entry in found["domains"]}
    assert counted(found) == {f"plug:127.0.0.1:{meter.port}/0"}
    assert found["totals"]["energy_j"]["grade"] == "measured"


def test_two_plugs_of_one_host_add_up(tmp_path: Path, host: Host) -> None:
    with HttpMeter(shelly2(PlantedPower(200.0))) as a, HttpMeter(tasmota(PlantedPower(90.0))) as b:
        env = environment(
            GREENGEN_SYSFS=host.sysfs, GREENGEN_PLUG=f"shelly2://127.0.0.1:{a.port},tasmota://127.0.0.1:{b.port}"
        )
        done = profile(tmp_path, "--json", "r.json", "--collectors", "plug", command=["sleep", "1.2"], env=env)
        assert done.returncode == 0, done.stderr
    found = report(tmp_path)
    assert len(counted(found)) == 2


def test_a_plug_that_hangs_leaves_the_package_its_interval(tmp_path: Path, host: Host, meter: HttpMeter) -> None:
    class Hanging:
        """Answers twice, then never: discovery and the recording's first reading."""

        def __call__(self, path: str) -> str | None:
            if len(meter.asked) >= 2:
                meter.fault = "hang"
            return answers(path)

    answers, meter.answers = meter.answers, Hanging()
    found = measured(tmp_path, host, meter, 5.0, "--interval", "0.05", "--collectors", "rapl,plug,procfs")
    rows = greengen.Run(tmp_path / "run.greengen").rows()
    [timeline] = rows.timelines
    plug = f"plug:127.0.0.1:{meter.port}/0"
    [gap] = [event for event in found["events"] if event["kind"] == "gap" and event["subject"] == plug]
    assert "no answer within 2 s" in gap["reason"]
    # 20 W in steps of 10 ms: no two readings lie on one line with a third, so all are in the file.
    spacing_s = [ns / 1e9 for ns in timeline.samples["rapl:package-0"].spacing_ns if ns]
    assert statistics.median(spacing_s) == pytest.approx(0.05, rel=0.2)
    assert max(spacing_s) < 1
    assert domain(found, "rapl:package-0")["energy_j"]["value"] == pytest.approx(100, abs=2)
    assert counted(found) == {"rapl:package-0"}


@pytest.mark.parametrize(("fault", "words"), [("500", "500"), ("html", "no JSON")])
def test_a_fault_during_the_recording_is_in_the_report(
    tmp_path: Path, host: Host, meter: HttpMeter, fault: Fault, words: str
) -> None:
    answers = meter.answers

    def failing(path: str) -> str | None:
        meter.fault = fault if 3 <= len(meter.asked) < 6 else ""
        return answers(path)

    meter.answers = failing
    found = measured(tmp_path, host, meter, 4.0, "--collectors", "plug,procfs")
    [gap] = [event for event in found["events"] if event["kind"] == "gap"]
    assert words in gap["reason"]


def test_inside_a_program_that_forks(tmp_path: Path, meter: HttpMeter) -> None:
    """The thread belongs to the process that records: children neither use it nor end it."""
    program = """
        import multiprocessing, os, time, greengen
        def work():
            time.sleep(0.3)
        with greengen.profile("run.greengen", collectors=("plug", "procfs")):
            context = multiprocessing.get_context("fork")
            children = [context.Process(target=work) for _ in range(3)]
            for child in children: child.start()
            time.sleep(2)
            for child in children: child.join()
            assert [child.exitcode for child in children] == [0, 0, 0]
        import threading
        assert threading.active_count() == 1, threading.enumerate()
    """
    env = environment(GREENGEN_PLUG=f"shelly2://127.0.0.1:{meter.port}")
    done = subprocess.run(
        script(tmp_path, program), cwd=tmp_path, env=env, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    ledger = balanced(tmp_path / "run.greengen")
    [entries] = ledger.chapters[0].entries
    assert entries.books.curve.known_s > 1.2
    assert entries.books.curve.total_j == pytest.approx(58.0 * entries.books.curve.known_s)
