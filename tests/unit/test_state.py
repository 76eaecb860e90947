"""The machine's state from fake sysfs trees: what is told, what a change is, and what cannot be read."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greengen.collector import Discovery, Host, Sample
from greengen.collectors._hwmon import find_chips
from greengen.collectors.amdgpu import AmdgpuCollector
from greengen.collectors.jetson import JetsonCollector
from greengen.collectors.nvml import NvmlCollector
from greengen.document.states import differences
from greengen.recording import state
from greengen.recording.profiler import Options, Profiler
from greengen.recording.state import StateWatch
from greengen.reports import words
from greengen.run import Run
from greengen.testing import trees
from greengen.testing.fake_pynvml import FakeNvml, NVMLError, Rig
from greengen.testing.scripted import FakeClock
from tests.hosts import loading

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


# --- what collectors know of their devices --------------------------------------------------------------


def test_an_nvidia_gpu_at_rest_and_at_work(tmp_path: Path) -> None:
    rig, clock = Rig(watts=(300.0,), reasons=1), FakeClock()
    collector = NvmlCollector(trees.machine(tmp_path, model="x", cpus=1), FakeNvml(rig))
    collector.discover()
    watch = StateWatch(tmp_path / "none", clock)
    watch.ask([collector])
    assert watch.known == {"power limit of NVIDIA GPU 0": "700 W", "temperature of NVIDIA GPU 0": "45 C"}
    told = []
    for rig.reasons, rig.clock_mhz, rig.limit_w, rig.celsius in (
        (0x2, 1980, 700, 52),
        (0x4 | 0x40, 1800, 500, 60),
        (0x1, 210, 500, 58),  # at rest again: what slowed its work down, and how fast it was, stays as told
        (0x4 | 0x40, 1200, 500, 61),
    ):
        clock.advance(6)
        told += [event.reason for event in watch.changes()]
    gpu = "NVIDIA GPU 0"
    assert told == [
        f"slowed down: {gpu}: not known -> no",
        f"clock at work of {gpu}: not known -> 1980 MHz",
        f"power limit of {gpu}: 700 W -> 500 W",
        f"temperature of {gpu}: 45 C -> 60 C",
        f"slowed down: {gpu}: no -> by its power limit and hardware thermal slowdown",
        f"clock at work of {gpu}: 1980 MHz -> 1200 MHz",
    ]
    rig.lost = (0,)
    clock.advance(6)
    assert watch.changes() == []
    collector.close()


class OldNvml(FakeNvml):
    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: int) -> int:  # noqa: N802 -- NVML's name
        raise NVMLError(3)

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:  # noqa: N802 -- NVML's name
        return 0xFFFFFFFF


def test_an_old_driver_tells_less(tmp_path: Path) -> None:
    collector = NvmlCollector(trees.machine(tmp_path, model="x", cpus=1), OldNvml(Rig(watts=(300.0,))))
    collector.discover()
    assert collector.state() == {"power limit of NVIDIA GPU 0": "700 W"}
    collector.close()
    assert collector.state() == {}


def test_an_amd_gpu_that_sleeps_is_not_asked(tmp_path: Path) -> None:
    host = loading.build("radeon", tmp_path)
    collector = AmdgpuCollector(host)
    [chip] = find_chips(host.sysfs, ("amdgpu",))
    folder = str(chip.path.relative_to(host.sysfs))
    loading.show(host, f"{folder}/power1_cap", "203000000")
    loading.show(host, f"{folder}/temp1_input", "61000")
    loading.show(host, f"{folder}/device/power_dpm_force_performance_level", "auto")
    gpu = "AMD GPU 0"
    awake = {f"power limit of {gpu}": "203 W", f"performance level of {gpu}": "auto", f"temperature of {gpu}": "61 C"}
    assert collector.state() == awake
    status = chip.runtime_status()
    status.parent.mkdir(parents=True, exist_ok=True)
    status.write_text("suspended\n")
    assert collector.state() == {}


def test_the_power_mode_of_a_jetson(tmp_path: Path) -> None:
    host = loading.build("jetson_orin_nx", tmp_path)
    collector = JetsonCollector(host)
    assert collector.state() == {}
    for name, text in (
        ("var/lib/nvpmodel/status", "pmode:0002\n"),
        ("etc/nvpmodel.conf", "# < POWER_MODEL ID=2 NAME=no >\n< POWER_MODEL ID=0 NAME=MAXN >\n"),
    ):
        file = host.procfs / "self/root" / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
    assert collector.state() == {"power mode (nvpmodel)": "2"}
    with file.open("a") as conf:
        conf.write("< POWER_MODEL ID=2 NAME=15W >\nCPU_ONLINE CORE_0 1\n")
    assert collector.state() == {"power mode (nvpmodel)": "2 15W"}


def test_a_collector_that_fails_to_tell_costs_nothing(tmp_path: Path) -> None:
    class Broken:
        name = "broken"
        fallback_for: tuple[str, ...] = ()

        def discover(self) -> Discovery:
            return Discovery()

        def read(self) -> list[Sample]:
            return []

        def close(self) -> None:
            return

        def state(self) -> dict[str, str]:
            raise RuntimeError

    watch = StateWatch(tmp_path, FakeClock())
    watch.ask([Broken()])
    assert watch.known == {}


# --- states that differ -----------------------------------------------------------------------------------


def test_what_was_set_otherwise_is_told_with_who_had_it() -> None:
    states = [
        ("a", {"CPU governor": "powersave", "turbo": "on", "CPU temperature": "40 C", "only here": "x"}),
        ("b", {"CPU governor": "performance", "turbo": "on", "CPU temperature": "80 C"}),
        *((name, {"CPU governor": "performance", "clock at work of NVIDIA GPU 0": name}) for name in "cdef"),
    ]
    [warning] = differences(states)
    assert "CPU governor was not the same throughout: powersave in a; performance in b, c, d and 2 more." in warning
    assert differences(states[1:2]) == differences([]) == []


def test_a_run_whose_recordings_were_not_set_alike_warns(laptop: Path, tmp_path: Path) -> None:
    host = replace(Host.from_environment(), sysfs=laptop)
    for online in (1, 0):
        write(laptop, "class/power_supply/AC/online", online)
        recorder = Profiler(tmp_path / "run.greengen", Options(collectors=("rapl", "procfs")), host=host)
        recorder.start(append=True)
        recorder.stop()
    [warning] = [text for text in Run(tmp_path / "run.greengen").report()["warnings"] if "not the same" in text]
    assert "power supply was not the same throughout: mains in the recording on " in warning
    assert "; battery in the recording on " in warning


def test_a_device_and_a_server_need_not_be_set_alike(laptop: Path, tmp_path: Path) -> None:
    host = replace(Host.from_environment(), sysfs=laptop)
    for tier, online in (("device", 0), ("cloud", 1)):
        write(laptop, "class/power_supply/AC/online", online)
        options = Options(collectors=("rapl", "procfs"), tier=tier)
        recorder = Profiler(tmp_path / f"{tier}.greengen", options, host=host)
        recorder.start()
        recorder.stop()
    both = Run(tmp_path / "device.greengen", tmp_path / "cloud.greengen")
    assert not [text for text in both.report()["warnings"] if "not the same" in text]


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
