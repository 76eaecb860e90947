"""The machine's state from fake sysfs trees: what is told, what a change is, and what cannot be read."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greengen.collector import Host
from greengen.recording import state
from greengen.recording.profiler import Options, Profiler
from greengen.recording.state import StateWatch
from greengen.reports import words
from greengen.run import Run
from greengen.testing import trees
from greengen.testing.scripted import FakeClock

CPU = "devices/system/cpu"


def write(sysfs: Path, path: str, value: object) -> None:
    (sysfs / path).parent.mkdir(parents=True, exist_ok=True)
    (sysfs / path).write_text(f"{value}\n", encoding="utf-8")


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    sysfs = trees.intel_laptop(tmp_path).sysfs
    for policy, highest in ((0, 4_800_000), (1, 4_800_000), (2, 3_600_000)):
        write(sysfs, f"{CPU}/cpufreq/policy{policy}/scaling_governor", "powersave")
        write(sysfs, f"{CPU}/cpufreq/policy{policy}/scaling_min_freq", 400_000)
        write(sysfs, f"{CPU}/cpufreq/policy{policy}/scaling_max_freq", highest)
    write(sysfs, f"{CPU}/intel_pstate/no_turbo", 0)
    write(sysfs, "class/thermal/thermal_zone0/type", "acpitz")
    write(sysfs, "class/thermal/thermal_zone0/temp", 16_800)
    write(sysfs, "class/thermal/thermal_zone1/type", "x86_pkg_temp")
    write(sysfs, "class/thermal/thermal_zone1/temp", 48_000)
    write(sysfs, "class/power_supply/AC/type", "Mains")
    write(sysfs, "class/power_supply/AC/online", 1)
    write(sysfs, "class/power_supply/BAT0/type", "Battery")
    return sysfs


AT_START = {
    "CPU governor": "powersave",
    "CPU frequency limits": "0.4 to 4.8 GHz and 0.4 to 3.6 GHz",
    "turbo": "on",
    "power limit of package-0": "15 W",
    "power limit of psys": "15 W",
    "CPU temperature": "48 C",
    "power supply": "mains",
}


def test_a_laptop(laptop: Path) -> None:
    assert StateWatch(laptop).known == AT_START


def test_a_server_with_another_driver(tmp_path: Path) -> None:
    write(tmp_path, f"{CPU}/cpufreq/boost", 0)
    write(tmp_path, "class/hwmon/hwmon0/name", "nvme")
    write(tmp_path, "class/hwmon/hwmon0/temp1_input", 90_000)
    write(tmp_path, "class/hwmon/hwmon1/name", "k10temp")
    write(tmp_path, "class/hwmon/hwmon1/temp1_input", 61_250)
    assert StateWatch(tmp_path).known == {"turbo": "off", "CPU temperature": "61 C"}


def test_where_there_is_nothing(tmp_path: Path) -> None:
    clock = FakeClock()
    watch = StateWatch(tmp_path, clock)
    clock.advance(60)
    assert watch.known == {}
    assert watch.changes() == []


def test_changes_are_told_once_and_every_five_seconds(laptop: Path) -> None:
    clock = FakeClock()
    watch = StateWatch(laptop, clock)
    write(laptop, f"{CPU}/cpufreq/policy2/scaling_governor", "performance")
    write(laptop, "class/power_supply/AC/online", 0)
    write(laptop, "class/powercap/intel-rapl:0/constraint_0_power_limit_uw", 28_000_000)
    clock.advance(4.9)
    assert watch.changes() == []
    clock.advance(0.2)
    found = watch.changes()
    assert {(event.kind, event.subject, event.reason) for event in found} == {
        ("state", "CPU governor", "CPU governor: powersave -> powersave and performance"),
        ("state", "power supply", "power supply: mains -> battery"),
        ("state", "power limit of package-0", "power limit of package-0: 15 W -> 28 W"),
    }
    assert {event.t_ns for event in found} == {clock.now_ns}
    clock.advance(6)
    assert watch.changes() == []


def test_a_temperature_is_told_in_steps(laptop: Path) -> None:
    clock = FakeClock()
    watch = StateWatch(laptop, clock)
    told = []
    for temperature in (52_000, 57_000, 58_000, 63_000, 67_000, 69_000):
        write(laptop, "class/thermal/thermal_zone1/temp", temperature)
        clock.advance(6)
        told += [event.reason for event in watch.changes()]
    assert told == ["CPU temperature: 48 C -> 58 C", "CPU temperature: 58 C -> 69 C"]


#: Each of these files with what may come over it; a governor may have any name, so that a word says something there.
SPOILT = [
    (path, subject, how)
    for path, subject in (
        (f"{CPU}/cpufreq/policy0/scaling_governor", "CPU governor"),
        (f"{CPU}/cpufreq/policy1/scaling_max_freq", "CPU frequency limits"),
        (f"{CPU}/intel_pstate/no_turbo", "turbo"),
        ("class/powercap/intel-rapl:0/constraint_0_power_limit_uw", "power limit of package-0"),
        ("class/thermal/thermal_zone1/temp", "CPU temperature"),
        ("class/power_supply/AC/online", "power supply"),
    )
    for how in ("folder", "empty", "words")
    if (subject, how) != ("CPU governor", "words")
]


@pytest.mark.parametrize(("path", "subject", "how"), SPOILT)
def test_a_file_that_cannot_be_read_says_nothing(laptop: Path, path: str, subject: str, how: str) -> None:
    """At the start it is as if it were not there; later it is told once that it went, and when it is back."""
    before = (laptop / path).read_text()
    clock = FakeClock()
    watch = StateWatch(laptop, clock)
    _spoil(laptop / path, how)
    assert StateWatch(laptop).known == {key: value for key, value in AT_START.items() if key != subject}
    clock.advance(6)
    assert [event.reason for event in watch.changes()] == [f"{subject}: {AT_START[subject]} -> can no longer be read"]
    clock.advance(6)
    assert watch.changes() == []
    if how == "folder":
        (laptop / path).rmdir()
    (laptop / path).write_text(before)
    clock.advance(6)
    assert [event.reason for event in watch.changes()] == [f"{subject}: can no longer be read -> {AT_START[subject]}"]


def _spoil(path: Path, how: str) -> None:
    path.unlink()
    if how == "folder":
        path.mkdir()
    else:
        path.write_text("" if how == "empty" else "unknown\n")


def test_a_cpu_with_many_policies_costs_four_of_them(tmp_path: Path) -> None:
    for policy in range(256):
        write(
            tmp_path, f"{CPU}/cpufreq/policy{policy}/scaling_governor", "performance" if policy == 255 else "schedutil"
        )
    watch = StateWatch(tmp_path)
    assert watch.known == {"CPU governor": "schedutil and performance"}
    assert len(watch._facts[0].paths) == 4


def test_a_change_during_a_recording_is_in_the_report(
    laptop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "EVERY_NS", 200_000_000)
    host = replace(Host.from_environment(), sysfs=laptop)
    recorder = Profiler(tmp_path / "run.greengen", Options(collectors=("rapl", "procfs")), host=host)
    recorder.start()
    time.sleep(0.5)
    write(laptop, f"{CPU}/intel_pstate/no_turbo", 1)
    time.sleep(1.2)
    recorder.stop()
    document: dict[str, Any] = json.loads(Run(tmp_path / "run.greengen").render("json"))
    assert {row["subject"]: row["value"] for row in document["run"]["state"]} == AT_START
    [event] = [event for event in document["events"] if event["kind"] == "state"]
    assert (event["subject"], event["reason"]) == ("turbo", "turbo: on -> off")
    assert 0.4 < event["t_s"] < 2.0
    assert "turbo on" in words.state(document)
    assert "turbo: on -> off" in words.state(document)
    assert "turbo: on -&gt; off" in Run(tmp_path / "run.greengen").render("html")
    assert "turbo: on -> off" in " ".join(Run(tmp_path / "run.greengen").render("terminal").split())
