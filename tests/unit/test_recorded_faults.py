"""Each fault of collectors.md 16 during a recording, and what the report says: named, and never a silent number.

    fault                where it is injected
    wrap                 here; a real recording in integration/test_faults.py
    reset, reload        here; there
    freeze               here (a counter, a gauge)
    sentinel             here; of commands and HTTP in unit/test_{ipmi,redfish,plug,dcgm,pi_pmic}.py
    unit slip            here, where a limit is known: beyond what the device can draw
    energy vs power      here (amdgpu); unit/test_{nvml_faults,plug,dcgm}.py
    double device        unit/test_{rapl,sysfs_meter,dcgm}.py: refused when it is found
    suspend              unit/test_suspend.py
    hot-plug             here; a driver that goes in unit/test_{rapl,nvml_faults}.py
    lost polls           here
    clock step           here: no clock but the monotonic one dates a reading
    container scope      integration/test_faults.py; unit/test_rapl.py
    psys below package   here: it is never the total, and the remainder is below 0
    core above package   unit/test_rapl.py: AMD's is refused
    stale BMC            here: one value for a minute in which what is inside it changed
    averaged over 1 s    here: shorter spans are unresolved

Of a unit slip downwards nothing is told.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from greengen import document
from greengen.accounting.carbon import Site
from greengen.collector import Collector, Domain, Host, Sample
from greengen.collectors.acpi_power_meter import AcpiPowerMeterCollector
from greengen.collectors.amd_energy import AmdEnergyCollector
from greengen.collectors.amdgpu import AmdgpuCollector
from greengen.collectors.intel_gpu import IntelGpuCollector
from greengen.collectors.power_monitor import PowerMonitorCollector
from greengen.collectors.rapl import RaplCollector
from greengen.reports import markdown, terminal
from greengen.testing import trees
from greengen.testing.fake_recording import FakeRecording
from greengen.testing.scripted import FakeClock, ScriptedCollector
from tests.hosts import gpu_metrics, loading

S = 10**9
STEP_S = 0.1
ZONE = "intel-rapl:0"
ACPI = "class/hwmon/hwmon3/power1_average"
WALL = "acpi_power_meter:ACPI000D:00"


@dataclass
class Told:
    """The report of a recording, as a document and as text."""

    document: dict[str, Any]

    @classmethod
    def of(cls, recording: FakeRecording) -> Told:
        built = document.build(recording.rows(), Path("x"), Site())
        texts = (terminal.render(built, width=1000), markdown.render(built))
        for kind in {event["kind"] for event in built["events"]} & {"gap", "reset", "freeze"}:
            # A wrap is counted through: nothing is wrong with it.
            assert all(f"{kind} of " in text for text in texts), kind
        for event in built["events"]:
            assert event["kind"] != "warning" or event["reason"] in built["warnings"]
        return cls(built)

    def domain(self, uid: str) -> dict[str, Any]:
        [one] = [row for row in self.document["domains"] if row["domain"] == uid]
        return dict(one)

    def events(self, uid: str) -> list[str]:
        return [event["kind"] for event in self.document["events"] if event["subject"] == uid]

    def reason(self, kind: str) -> str:
        [reason] = {event["reason"] for event in self.document["events"] if event["kind"] == kind}
        return str(reason)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


Begin = Callable[..., FakeRecording]


@pytest.fixture
def begin(clock: FakeClock) -> Begin:
    """A recording of a host by one of its collectors."""

    def make(host: Host, *collectors: Callable[[Host], Collector]) -> FakeRecording:
        told = replace(host, monotonic_ns=clock)
        return FakeRecording(clock, [collector(told) for collector in collectors], interval_s=STEP_S)

    return make


def run(recording: FakeRecording, seconds: float, show: Callable[[float], None] = lambda _: None) -> None:
    """Readings every 0.1 s; before each, files show what they show after so many seconds of this."""
    for step in range(1, round(seconds / STEP_S) + 1):
        recording.clock.advance(STEP_S)
        show(step * STEP_S)
        recording.read()


def package(tmp_path: Path, *, energy_uj: int, range_uj: int) -> Host:
    """One package of 60 W."""
    host = trees.machine(tmp_path, model=trees.INTEL_LAPTOP_CPU, cpus=2)
    zone = trees.ZoneSpec("package-0", energy_uj, range_uj, {"long_term": 60_000_000})
    return trees.with_zones(host, {ZONE: zone})


def counter(host: Host, start_uj: int, watts: float, range_uj: int = 2**62) -> Callable[[float], None]:
    return lambda s: trees.set_energy_uj(host, ZONE, (start_uj + round(watts * s * 1e6)) % range_uj)


def test_wraps_are_counted_through(tmp_path: Path, begin: Begin) -> None:
    host = package(tmp_path, energy_uj=48_000_000, range_uj=50_000_000)
    recording = begin(host, RaplCollector)
    run(recording, 5, counter(host, 48_000_000, 40, 50_000_000))
    told = Told.of(recording)
    # From the first reading on, which is a step after the start.
    assert told.domain("rapl:package-0")["energy_j"]["value"] == pytest.approx(40 * 4.9)
    assert told.events("rapl:package-0") == ["wrap"] * 3
    assert told.domain("rapl:package-0")["unknown"] == []


def test_a_reset_loses_joules_that_have_a_bound(tmp_path: Path, begin: Begin) -> None:
    host = package(tmp_path, energy_uj=48_000_000, range_uj=262_143_000_000)
    recording = begin(host, RaplCollector)
    run(recording, 2, counter(host, 48_000_000, 40))
    run(recording, 3, counter(host, 1_000, 40))
    told = Told.of(recording)
    assert told.events("rapl:package-0") == ["reset"]
    [lost] = told.domain("rapl:package-0")["unknown"]
    # At most twice 60 W, for one step: what was drawn in it was 4 J.
    assert 4.0 <= lost["bound_j"] == pytest.approx(120 * STEP_S)
    assert told.domain("rapl:package-0")["energy_j"]["value"] == pytest.approx(40 * (1.9 + 2.9))
    assert told.document["totals"]["coverage"] < 1


def test_a_counter_that_stands_still_is_a_freeze(tmp_path: Path, begin: Begin) -> None:
    host = loading.build("epyc_amd_energy", tmp_path)
    socket = "class/hwmon/hwmon1/energy3_input"
    recording = begin(host, AmdEnergyCollector)
    run(recording, 1, lambda s: loading.show(host, socket, str(5_123_000_000 + round(s * 140_000_000))))
    run(recording, 3)
    told = Told.of(recording)
    found = told.domain("amd_energy:package-0")
    assert told.events("amd_energy:package-0") == ["freeze"]
    assert "stood still for 3 s" in told.reason("freeze")
    # What was counted is in the books; the rest is not 0 J but not known.
    assert found["energy_j"]["value"] == pytest.approx(140 * 0.9)
    assert found["known_s"] == pytest.approx(0.9)
    [lost] = found["unknown"]
    assert lost["bound_j"] >= 140 * 3


def test_a_counter_that_never_moves_is_listed_as_not_covered(tmp_path: Path, begin: Begin) -> None:
    recording = begin(package(tmp_path, energy_uj=48_000_000, range_uj=262_143_000_000), RaplCollector)
    run(recording, 3)
    told = Told.of(recording)
    boundary = told.document["boundary"]
    assert boundary["covered"] == []
    [why] = [row["why"] for row in boundary["not_covered"] if row["what"] == "package-0 (RAPL)"]
    assert "stood still for 2.9 s" in why
    assert told.document["totals"]["energy_j"]["value"] is None


def test_parts_that_stand_still_with_their_package_are_no_measured_zero(tmp_path: Path, begin: Begin) -> None:
    host = trees.intel_laptop(tmp_path)
    recording = begin(host, RaplCollector)
    run(recording, 3)
    told = Told.of(recording)
    total = told.document["totals"]["energy_j"]
    assert total["value"] is None
    assert total["reason"].startswith("package-0 (RAPL): the counter stood still")
    assert told.document["warnings"][0].startswith("Nothing was measured: package-0 (RAPL): the counter stood still")
    missing = {row["what"]: row["why"] for row in told.document["boundary"]["not_covered"]}
    assert "stood still for 2.9 s" in missing["package-0 (RAPL)"]
    uncore = told.domain("rapl:package-0/uncore")["energy_j"]
    assert uncore["value"] is None
    assert "its counter stood still, and so did that of" in uncore["reason"]


def test_a_part_that_rests_in_a_package_that_works_has_used_nothing(tmp_path: Path, begin: Begin) -> None:
    host = trees.intel_laptop(tmp_path)
    recording = begin(host, RaplCollector)
    run(recording, 3, lambda s: trees.set_energy_uj(host, ZONE, 1_000_000 + round(s * 9_000_000)))
    uncore = Told.of(recording).domain("rapl:package-0/uncore")
    assert uncore["energy_j"]["value"] == 0.0


def test_a_gauge_that_repeats_one_value_for_a_minute_is_a_freeze(tmp_path: Path, begin: Begin) -> None:
    host = loading.build("acpi_server", tmp_path)
    loading.show(host, "class/hwmon/hwmon3/power1_average_interval", "100")
    loading.show(host, ACPI, "310123000")
    recording = begin(host, AcpiPowerMeterCollector)
    run(recording, 65)
    told = Told.of(recording)
    assert told.events(WALL) == ["freeze"]
    assert "its sensor may have stopped" in told.reason("freeze")


@pytest.mark.parametrize("shown", ["4294967295000", "65535000000", "-1", "N/A", "[N/A]", "", "-"])
def test_a_sentinel_is_a_gap_and_no_reading(tmp_path: Path, begin: Begin, shown: str) -> None:
    host = loading.build("acpi_server", tmp_path)
    loading.show(host, "class/hwmon/hwmon3/power1_average_interval", "100")
    recording = begin(host, AcpiPowerMeterCollector)
    run(recording, 2)
    loading.show(host, ACPI, shown)
    run(recording, 3)
    loading.show(host, ACPI, "310000000")
    run(recording, 2)
    told = Told.of(recording)
    found = told.domain(WALL)
    # As it failed, and as its curve has a hole.
    assert told.events(WALL) == ["gap", "gap"]
    assert found["energy_j"]["value"] == pytest.approx(310 * found["known_s"])
    assert found["known_s"] == pytest.approx(1.9 + 1.9)
    [lost] = found["unknown"]
    assert lost["t1_s"] - lost["t0_s"] == pytest.approx(3.1)


def test_a_slip_of_unit_beyond_what_the_device_draws_is_a_gap(tmp_path: Path, begin: Begin) -> None:
    host = loading.build("radeon", tmp_path)
    loading.show(host, "class/drm/card1/device/gpu_metrics", gpu_metrics.pack(1, 3, 212))
    recording = begin(host, AmdgpuCollector)
    run(recording, 2)
    # nW where there were µW.
    loading.show(host, "class/hwmon/hwmon4/power1_average", "212000000000")
    run(recording, 2)
    told = Told.of(recording)
    [gpu] = [row for row in told.document["domains"] if row["kind"] == "gpu"]
    assert told.events(gpu["domain"]) == ["gap"]
    assert "can be believed" in told.reason("gap")
    assert gpu["energy_j"]["value"] == pytest.approx(212 * gpu["known_s"])
    assert gpu["known_s"] == pytest.approx(1.9)


def test_a_counter_that_disagrees_with_its_power_is_told(tmp_path: Path, begin: Begin) -> None:
    host = loading.build("mi300x", tmp_path)
    tables = [f"class/drm/card{card}/device/gpu_metrics" for card in (0, 1)]

    def show(seconds: float) -> None:
        # The second one counts half of what it draws.
        for table, watts, part in zip(tables, (318, 131), (1.0, 0.5), strict=True):
            counts = (1 << 40) + int(seconds * watts * part * 2**16)
            loading.show(host, table, gpu_metrics.pack(1, 5, watts, counts))

    show(0)
    recording = begin(host, AmdgpuCollector)
    run(recording, 8, show)
    told = Told.of(recording)
    first, second = (row["domain"] for row in told.document["domains"])
    assert told.events(first) == []
    assert told.events(second) == ["warning"]
    assert "one of the two is wrong" in told.reason("warning")


def test_a_card_that_goes_and_returns_under_another_number_is_a_reset(tmp_path: Path, begin: Begin) -> None:
    host = loading.build("arc_b580", tmp_path)
    card = "intel_gpu:0000:03:00.0/card"
    recording = begin(host, IntelGpuCollector)
    start_uj = int((host.sysfs / "class/hwmon/hwmon5/energy1_input").read_text())
    run(recording, 1, lambda s: loading.show(host, "class/hwmon/hwmon5/energy1_input", str(start_uj + round(s * 1e8))))
    files = loading.unplug(host, "hwmon5")
    run(recording, 2)
    loading.plug(host, "hwmon9", "pci0000:00/0000:03:00.0", files | {"energy1_input": "1000000"})
    again = "class/hwmon/hwmon9/energy1_input"
    run(recording, 3, lambda s: loading.show(host, again, str(1_000_000 + round(s * 1e8))))
    told = Told.of(recording)
    assert told.events(card)[:2] == ["gap", "reset"]
    found = told.domain(card)
    [lost] = found["unknown"]
    assert "never read" in lost["reason"]
    # 0.9 s before it went, and from its first reading after its return on: it is looked for once a second.
    assert 100 * 0.9 < found["energy_j"]["value"] <= 100 * (0.9 + 2.9) + 1e-6
    assert lost["bound_j"] > 100 * (lost["t1_s"] - lost["t0_s"])
    assert told.document["totals"]["coverage"] < 1


def test_polls_that_were_lost_for_longer_than_a_wrap_are_told(tmp_path: Path, begin: Begin, clock: FakeClock) -> None:
    host = package(tmp_path, energy_uj=0, range_uj=50_000_000)
    recording = begin(host, RaplCollector)
    run(recording, 1, counter(host, 0, 40, 50_000_000))
    clock.advance(10)
    run(recording, 1, counter(host, 40_000_000 * 11, 40, 50_000_000))
    told = Told.of(recording)
    assert "gap" in told.events("rapl:package-0")
    assert "long enough to hide" in told.reason("gap")
    energy = told.domain("rapl:package-0")["energy_j"]
    # What may be hidden is in the interval: 40 W for 11.9 s.
    assert energy["value"] < 40 * 11.9 <= energy["high"]


def test_the_date_that_is_set_in_between_changes_no_joule(
    tmp_path: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = package(tmp_path, energy_uj=0, range_uj=262_143_000_000)
    recording = begin(host, RaplCollector)
    run(recording, 1, counter(host, 0, 40))
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    run(recording, 1, counter(host, 40_000_000, 40))
    told = Told.of(recording)
    assert told.domain("rapl:package-0")["energy_j"]["value"] == pytest.approx(40 * 1.9)
    assert told.document["events"] == []


def test_psys_below_its_package_is_no_total_and_its_remainder_is_below_0(tmp_path: Path, begin: Begin) -> None:
    host = trees.intel_laptop(tmp_path)
    powers = {"intel-rapl:0": 12.0, "intel-rapl:1": 8.0}
    starts = {zone: int((host.sysfs / f"class/powercap/{zone}/energy_uj").read_text()) for zone in powers}

    def show(seconds: float) -> None:
        for zone, watts in powers.items():
            trees.set_energy_uj(host, zone, starts[zone] + round(watts * seconds * 1e6))

    recording = begin(host, RaplCollector)
    run(recording, 3, show)
    told = Told.of(recording)
    assert not told.domain("rapl:psys")["in_total"]
    assert told.document["totals"]["energy_j"]["value"] == pytest.approx(12 * 2.9)
    [remainder] = [row for row in told.document["remainders"] if row["domain"] == "rapl:psys"]
    assert remainder["remainder_j"]["value"] == pytest.approx(-4 * 2.9)
    assert remainder["remainder_j"]["high"] < 0


@pytest.mark.parametrize(("seconds", "package_w", "stuck"), [(75, 60.0, 1), (75, 12.0, 0), (55, 60.0, 0)], ids=str)
def test_a_bmc_that_repeats_itself_while_the_load_changes_is_told(
    tmp_path: Path, begin: Begin, clock: FakeClock, seconds: int, package_w: float, stuck: int
) -> None:
    host = package(tmp_path, energy_uj=0, range_uj=262_143_000_000)
    begun_ns = clock()
    bmc = Domain("ipmi:local", "ipmi", "wall", "BMC", reading="power", contains=("*",), alternative=True, gain=0.02)
    script = [[Sample("ipmi:local", begun_ns + step * S, 173.0, "power")] for step in range(1, seconds + 1)]
    told = replace(host, monotonic_ns=clock)
    recording = FakeRecording(clock, [RaplCollector(told), ScriptedCollector([bmc], script, name="ipmi")])
    for step in range(1, seconds + 1):
        clock.advance(1)
        # 10 W for half a minute, and then more.
        trees.set_energy_uj(host, ZONE, round(1e6 * (10 * min(step, 30) + package_w * max(step - 30, 0))))
        recording.read()
    warnings = [text for text in Told.of(recording).document["warnings"] if "stale" in text]
    assert len(warnings) == stuck
    assert not stuck or "BMC has shown 173 W for 74 s" in warnings[0]


def test_spans_shorter_than_an_average_can_tell_are_unresolved(tmp_path: Path, begin: Begin, clock: FakeClock) -> None:
    host = loading.build("grace_hopper", tmp_path)
    for meter in range(4):
        place = f"devices/LNXSYSTM:00/LNXSYBUS:00/ACPI000D:0{meter}/power1_average_interval"
        loading.show(host, place, "1000")
    recording = begin(host, AcpiPowerMeterCollector)
    begun_ns = clock()
    run(recording, 12)
    recording.span("short", begun_ns + 2 * S, begun_ns + 4 * S, kind="work")
    recording.span("long", begun_ns + 5 * S, begun_ns + 10 * S, kind="work")
    told = Told.of(recording)
    flags = {row["name"]: row["flags"] for row in told.document["spans"]}
    assert flags == {"short": ["unresolved"], "long": []}


def test_firmware_that_does_not_answer_for_less_than_it_takes_anyway_makes_no_hole(
    tmp_path: Path, begin: Begin
) -> None:
    host = loading.build("acpi_server", tmp_path)
    recording = begin(host, AcpiPowerMeterCollector)
    run(recording, 2)
    loading.show(host, ACPI, "4294967295000")
    run(recording, 1.5)
    loading.show(host, ACPI, "310000000")
    run(recording, 3)
    told = Told.of(recording)
    # A meter that is new once a second: no gap in its curve, and 4.29 MW nowhere.
    assert told.events(WALL) == ["gap"]
    found = told.domain(WALL)
    assert found["energy_j"]["value"] == pytest.approx(310 * found["known_s"])
    assert found["unknown"] == []


def test_a_gpu_that_sleeps_is_not_woken_and_not_0_w_and_the_others_go_on(tmp_path: Path, begin: Begin) -> None:
    host = loading.build("radeon", tmp_path)
    loading.show(host, "class/drm/card1/device/gpu_metrics", gpu_metrics.pack(1, 3, 212))
    status = "class/drm/card1/device/power/runtime_status"
    gpu = "amdgpu:0000:03:00.0"
    start_uj = int((host.sysfs / f"class/powercap/{ZONE}/energy_uj").read_text())
    recording = begin(host, AmdgpuCollector, RaplCollector)
    run(recording, 1, counter(host, start_uj, 65))
    os.truncate(host.sysfs / status, 0)
    loading.show(host, status, "suspended")
    run(recording, 3, counter(host, start_uj + 65_000_000, 65))
    told = Told.of(recording)
    assert told.events(gpu) == ["gap"]
    found = told.domain(gpu)
    assert found["energy_j"]["value"] == pytest.approx(212 * 0.9)
    assert told.domain("rapl:package-0")["energy_j"]["value"] == pytest.approx(65 * 3.9)


class Flaky:
    """A collector that raises every now and then; its counter goes on."""

    name, fallback_for = "flaky", ()

    def __init__(self, inner: Collector, failing: Sequence[int]) -> None:
        self._inner, self._failing, self._reads = inner, failing, 0
        self.discover, self.close = inner.discover, inner.close

    def read(self) -> Iterator[Any]:
        self._reads += 1
        if self._reads in self._failing:
            msg = "it came loose"
            raise RuntimeError(msg)
        yield from self._inner.read()


def test_a_collector_that_raises_is_one_gap_per_outage(tmp_path: Path, begin: Begin) -> None:
    host = package(tmp_path, energy_uj=0, range_uj=262_143_000_000)
    recording = begin(host, lambda host: Flaky(RaplCollector(host), (5, 6, 7, 12)))
    run(recording, 2, counter(host, 0, 40))
    told = Told.of(recording)
    assert told.events("flaky") == ["gap", "gap"]
    assert told.domain("rapl:package-0")["energy_j"]["value"] == pytest.approx(40 * 1.9)


def test_a_rail_that_is_unplugged_leaves_the_others(tmp_path: Path, begin: Begin) -> None:
    host = replace(
        loading.build("ina_board", tmp_path), environ={"GREENGEN_POWER_MONITOR": "1-0040=wall,1-0041/1=package"}
    )
    recording = begin(host, PowerMonitorCollector)
    run(recording, 1)
    loading.unplug(host, "hwmon0")
    run(recording, 3)
    told = Told.of(recording)
    assert told.events("power_monitor:1-0040/1") == ["gap"]
    assert told.domain("power_monitor:1-0040/1")["known_s"] == pytest.approx(0.9)
    assert told.domain("power_monitor:1-0041/1")["known_s"] == pytest.approx(3.9)
