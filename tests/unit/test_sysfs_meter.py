"""What every meter that is a sysfs file does with permission, absence, errors, garbage, absurd values and freezes."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from greengen.collector import Collector, Event, Host, Sample
from greengen.collectors._hwmon import find_chips
from greengen.collectors.acpi_power_meter import AcpiPowerMeterCollector
from greengen.collectors.amd_energy import AmdEnergyCollector
from greengen.collectors.amd_hsmp import AmdHsmpCollector
from greengen.collectors.amdgpu import AmdgpuCollector
from greengen.collectors.intel_gpu import IntelGpuCollector
from greengen.collectors.power_monitor import PowerMonitorCollector
from greengen.testing import trees
from greengen.testing.scripted import FakeClock
from tests.hosts import loading
from tests.unit.readings import events, values

FIXTURES = Path(__file__).parents[3] / "shared/data/traces/sysfs_fixtures"
captured = pytest.mark.skipif(not FIXTURES.exists(), reason=f"the captured trees are not at {FIXTURES}")

SERVER = "class/hwmon/hwmon3/power1_average"
WALL = "acpi_power_meter:ACPI000D:00"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(tmp_path: Path, clock: FakeClock) -> Host:
    host = replace(loading.build("acpi_server", tmp_path), monotonic_ns=clock)
    loading.show(host, "class/hwmon/hwmon3/power1_average_interval", "100")
    return host


@contextmanager
def reads_fail(number: int) -> Iterator[None]:
    """What the kernel answers where a driver's show function fails; no file of a plain folder does."""

    def fail(*_: object) -> bytes:
        raise OSError(number, os.strerror(number))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("greengen.collectors._sysfs_meter.os.pread", fail)
        yield


@pytest.mark.parametrize("number", [errno.ENODATA, errno.EAGAIN, errno.EOPNOTSUPP, errno.EIO, errno.EINVAL])
def test_an_error_is_one_gap_and_ends(server: Host, number: int, clock: FakeClock) -> None:
    collector = AcpiPowerMeterCollector(server)
    collector.discover()
    with reads_fail(number):
        (event,) = events(collector)
        assert (event.kind, event.subject) == ("gap", WALL)
        assert os.strerror(number) in event.reason
        assert "power1_average" in event.reason
        clock.advance(5)
        assert list(collector.read()) == []  # told once
    assert values(collector) == {WALL: 310.0}
    with reads_fail(number):
        assert len(events(collector)) == 1  # a new outage
    collector.close()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "invalid literal"),
        ("N/A", "invalid literal"),
        ("0", "reads 0 W"),
        ("-1", "below 0"),
        ("4294967295000", "more than"),  # 0xFFFFFFFF mW: what ACPI firmware answers when it does not know
    ],
)
def test_what_is_no_reading_is_a_gap(server: Host, text: str, word: str) -> None:
    collector = AcpiPowerMeterCollector(server)
    collector.discover()
    os.truncate(server.sysfs / SERVER, 0)
    loading.show(server, SERVER, text)
    (event,) = list(collector.read())
    assert isinstance(event, Event)
    assert word in event.reason
    loading.show(server, SERVER, "320000000")
    assert values(collector) == {WALL: 320.0}
    collector.close()


def test_what_is_no_reading_at_the_start_is_told(server: Host) -> None:
    loading.show(server, SERVER, "0")
    found = AcpiPowerMeterCollector(server).discover()
    assert found.domains == ()
    assert [(why.interface, "reads 0 W" in why.reason) for why in found.unavailable] == [(WALL, True)]


def test_permission_at_the_start_is_told_with_its_remedy(tmp_path: Path) -> None:
    def deny(path: str, flags: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    found = AmdEnergyCollector(loading.build("epyc_amd_energy", tmp_path), deny).discover()
    assert found.domains == ()
    assert "energy3_input" in found.unavailable[0].reason
    assert "CVE-2020-12912" in found.unavailable[0].remedy


def test_a_chip_that_returns_under_another_number_is_found(server: Host, clock: FakeClock) -> None:
    collector = AcpiPowerMeterCollector(server)
    collector.discover()
    files = loading.unplug(server, "hwmon3")
    (event,) = events(collector)
    assert "no power_meter at ACPI000D:00" in event.reason
    loading.plug(server, "hwmon7", "LNXSYSTM:00/LNXSYBUS:00/ACPI000D:00", files | {"power1_average": "290000000"})
    assert values(collector) == {}  # looked for at most once a second
    clock.advance(1)
    assert values(collector) == {WALL: 290.0}
    collector.close()


def test_a_gauge_that_repeats_itself_for_a_minute_is_told_and_read(server: Host, clock: FakeClock) -> None:
    collector = AcpiPowerMeterCollector(server)
    collector.discover()
    loading.show(server, SERVER, "310042000")
    told = []
    for _ in range(130):
        told += events(collector)
        clock.advance(1)
    assert [(event.kind, event.subject) for event in told] == [("freeze", WALL)]
    assert "310.042 W, to the last digit, for 60 s" in told[0].reason
    assert values(collector) == {WALL: 310.042}
    loading.show(server, SERVER, "310043000")
    for _ in range(62):
        told += events(collector)
        clock.advance(1)
    assert len(told) == 2  # a second one
    collector.close()


def test_a_gauge_of_whole_watts_may_stand_still(server: Host, clock: FakeClock) -> None:
    collector = AcpiPowerMeterCollector(server)
    collector.discover()
    for _ in range(100):
        assert events(collector) == []
        clock.advance(1)
    collector.close()


def test_the_averaging_window_goes_with_each_sample(tmp_path: Path) -> None:
    collector = AcpiPowerMeterCollector(loading.build("grace_hopper", tmp_path))
    found = collector.discover()
    assert {row.window_s for row in collector.read() if isinstance(row, Sample)} == {0.05}
    module = found.domains[0]
    assert module.contains == (
        "acpi_power_meter:grace-0",
        "acpi_power_meter:cpu-0",
        "acpi_power_meter:sysio-0",
        "nvml:*",
        "dcgm:*",
    )
    assert [domain.kind for domain in found.domains] == ["board", "package", "core", "uncore"]
    assert [domain.split for domain in found.domains] == [None, "cpu", "cpu", None]
    assert [domain.gain for domain in found.domains] == [0.025] * 4
    collector.close()


def test_a_slow_meter_is_asked_once_in_its_interval(server: Host, clock: FakeClock) -> None:
    loading.show(server, "class/hwmon/hwmon3/power1_average_interval", "1000")
    collector = AcpiPowerMeterCollector(server)
    collector.discover()
    loading.show(server, SERVER, "400000000")
    seen: list[float] = []
    for _ in range(25):
        seen += values(collector).values()
        clock.advance(0.1)
    assert seen == [310.0] * 10 + [400.0] * 15
    collector.close()


def test_a_meter_of_the_whole_machine_stands_beside_what_makes_it_up(server: Host) -> None:
    (measures,) = (server.sysfs / "devices").rglob("measures")
    (whole,) = AcpiPowerMeterCollector(server).discover().domains
    assert (whole.contains, whole.alternative, whole.gain) == (("*",), True, 0.025)
    next(measures.iterdir()).unlink()
    (unsure,) = AcpiPowerMeterCollector(server).discover().domains
    assert (unsure.contains, unsure.alternative) == (("*",), True)
    assert "does not say" in unsure.detail


def test_a_meter_states_how_inaccurate_it_is(server: Host) -> None:
    loading.show(server, "class/hwmon/hwmon3/power1_accuracy", "80.0%")
    assert AcpiPowerMeterCollector(server).discover().domains[0].gain == pytest.approx(0.1)


def test_a_battery_is_refused(server: Host) -> None:
    loading.show(server, "class/hwmon/hwmon3/power1_is_battery", "1")
    found = AcpiPowerMeterCollector(server).discover()
    assert found.domains == ()
    assert "battery" in found.unavailable[0].reason


def test_sockets_by_hsmp(tmp_path: Path) -> None:
    collector = AmdHsmpCollector(loading.build("epyc_hsmp", tmp_path))
    found = collector.discover()
    assert [domain.max_power_w for domain in found.domains] == [800, 800]
    assert values(collector) == {"amd_hsmp:package-0": 181.25, "amd_hsmp:package-1": 164.87}
    collector.close()


def test_one_socket_on_two_memory_nodes_counts_once(tmp_path: Path) -> None:
    host = loading.build("epyc_amd_energy", tmp_path)
    held = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- of this process
    collector = AmdEnergyCollector(host)
    found = collector.discover()
    assert [domain.uid for domain in found.domains] == ["amd_energy:package-0"]
    assert "the same counter" in found.unavailable[0].reason
    assert values(collector) == {"amd_energy:package-0": 5123.0}
    collector.close()
    assert len(os.listdir("/proc/self/fd")) == held  # noqa: PTH208 -- of this process


@pytest.mark.parametrize(("apart_j", "counted"), [(0, 1), (900, 2)])
def test_one_socket_on_two_nodes_is_known_on_a_machine_that_takes_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apart_j: int, counted: int
) -> None:
    host = loading.build("epyc_amd_energy", tmp_path)
    passed = itertools.count(5_000_000_000, 200_000_000)

    def pread(fd: int, *_: int) -> bytes:
        # 200 J between any two readings; the second node shows another counter, or the first one's.
        node = int("energy4_input" in os.fspath(Path(f"/proc/self/fd/{fd}").readlink()))
        return str(next(passed) + node * apart_j * 1_000_000).encode()

    monkeypatch.setattr("greengen.collectors._sysfs_meter.os.pread", pread)
    collector = AmdEnergyCollector(host)
    assert len(collector.discover().domains) == counted
    collector.close()


@pytest.mark.parametrize(
    ("machine", "make"),
    [
        ("grace_hopper", AcpiPowerMeterCollector),
        ("epyc_hsmp", AmdHsmpCollector),
        ("radeon", AmdgpuCollector),
        ("arc_b580", IntelGpuCollector),
    ],
)
def test_closing_gives_every_file_back(machine: str, make: Callable[[Host], Collector], tmp_path: Path) -> None:
    held = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- of this process
    collector = make(loading.build(machine, tmp_path))
    assert isinstance(collector, Collector)
    for _ in range(2):  # the second time the files of the first are closed
        assert collector.discover().domains
        assert list(collector.read())
    assert len(os.listdir("/proc/self/fd")) > held  # noqa: PTH208 -- of this process
    collector.close()
    collector.close()
    assert len(os.listdir("/proc/self/fd")) == held  # noqa: PTH208 -- of this process
    assert [row for row in collector.read() if isinstance(row, Sample)] == []


def test_the_fork_of_amd_energy(tmp_path: Path) -> None:
    host = loading.build("epyc_amd_energy", tmp_path)
    loading.show(host, "class/hwmon/hwmon1/name", "zenergy")
    assert len(AmdEnergyCollector(host).discover().domains) == 1


def declared(host: Host, text: str) -> PowerMonitorCollector:
    return PowerMonitorCollector(replace(host, environ={"GREENGEN_POWER_MONITOR": text}))


def test_rails_that_nobody_declared_are_told_and_not_read(tmp_path: Path) -> None:
    found = declared(loading.build("ina_board", tmp_path), "").discover()
    assert found.domains == ()
    reasons = {why.interface: why.reason for why in found.unavailable}
    # NC is not connected, and the sum of shunt voltages is no rail.
    assert set(reasons) == {"power_monitor:1-0040/1", "power_monitor:1-0041/1", "power_monitor:1-0041/2"}
    assert "ina226 shows 6 W" in reasons["power_monitor:1-0040/1"]
    assert "“VDD_CPU” shows 2 W" in reasons["power_monitor:1-0041/1"]
    assert all("GREENGEN_POWER_MONITOR=1-004" in why.remedy for why in found.unavailable)


def test_declared_rails(tmp_path: Path) -> None:
    collector = declared(loading.build("ina_board", tmp_path), "1-0040=wall, 1-0041/2=other")
    found = collector.discover()
    assert [(domain.kind, domain.contains) for domain in found.domains] == [("wall", ("*",)), ("board", ())]
    assert "a shunt of 2 mΩ as its driver believes" in found.domains[0].detail
    assert "a shunt of 10 mΩ" in found.domains[1].detail
    assert {(row.value, row.window_s) for row in collector.read() if isinstance(row, Sample)} == {
        (6.0, 0.07),
        (0.5, 0.2),
    }
    collector.close()


def test_a_declaration_that_means_nothing_is_told(tmp_path: Path) -> None:
    found = declared(loading.build("ina_board", tmp_path), "1-0040=cpu,1-0077=wall").discover()
    reasons = {why.interface: why.reason for why in found.unavailable}
    assert "'1-0040=cpu'" in reasons["power_monitor"]
    assert "is not here" in reasons["power_monitor:1-0077"]


def test_a_chip_that_counts_energy_is_read_by_its_counter(tmp_path: Path) -> None:
    host = loading.build("ina_board", tmp_path)
    loading.show(host, "class/hwmon/hwmon0/name", "ina228")
    loading.show(host, "class/hwmon/hwmon0/energy1_input", "12345678")
    collector = declared(host, "1-0040=wall")
    assert collector.discover().domains[0].reading == "energy"
    assert values(collector) == {"power_monitor:1-0040/1": 12.345678}
    collector.close()


def test_a_counter_that_is_switched_off_leaves_the_power(tmp_path: Path) -> None:
    host = loading.build("ina_board", tmp_path)
    loading.show(host, "class/hwmon/hwmon0/name", "ltc4282")
    loading.show(host, "class/hwmon/hwmon0/energy1_input", "")  # ENODATA in real life
    collector = declared(host, "1-0040=wall")
    assert collector.discover().domains[0].reading == "power"
    assert values(collector) == {"power_monitor:1-0040/1": 6.0}
    collector.close()


def test_a_jetson_is_left_to_its_own_collector(tmp_path: Path) -> None:
    host = loading.build("ina_board", tmp_path)
    loading.show(host, "firmware/devicetree/base/compatible", b"nvidia,p3768\0nvidia,tegra234\0")
    assert (
        declared(host, "").discover()
        == PowerMonitorCollector(trees.machine(tmp_path / "x", model="", cpus=1)).discover()
    )


def with_links(tree: str, root: Path) -> Host:
    """A captured tree, whose links came as files that hold their target."""
    shutil.copytree(FIXTURES / tree / "devices", root / "sys/devices", copy_function=shutil.copyfile)
    places = [*(FIXTURES / tree / "class/hwmon").glob("hwmon*"), *(root / "sys/devices").rglob("device")]
    for file in (place for place in places if place.is_file()):
        link = root / "sys" / file.relative_to(root / "sys" if root in file.parents else FIXTURES / tree)
        link.parent.mkdir(parents=True, exist_ok=True)
        target = file.read_text().strip()
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    return Host(sysfs=root / "sys", procfs=root / "proc")


@captured
@pytest.mark.parametrize("tree", ["procfs", "node_exporter"])
def test_captured_trees_hold_no_power_meter(tree: str, tmp_path: Path) -> None:
    """The chips of real machines, some behind links that dangle: none of them measures power."""
    host = with_links(tree, tmp_path)
    for make in (AcpiPowerMeterCollector, AmdEnergyCollector, AmdHsmpCollector, PowerMonitorCollector):
        found = make(host).discover()
        assert (found.domains, found.unavailable) == ((), ())


@captured
def test_captured_chips_are_known_by_their_devices(tmp_path: Path) -> None:
    chips = find_chips(with_links("node_exporter", tmp_path).sysfs, ("coretemp", "nct6779", "i350bb"))
    assert [(chip.name, chip.address) for chip in chips] == [
        ("coretemp", "coretemp.0"),
        ("coretemp", "coretemp.1"),
        ("nct6779", "nct6775.656"),
    ]
