"""amdgpu on fake GPUs: what each is read by, and what is no reading."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from greengen import plugins
from greengen.collector import Collector, Discovery, Event, Host, Sample, Usage
from greengen.collectors._gpu_metrics import Metrics, parse
from greengen.collectors.amdgpu import AmdgpuCollector
from greengen.collectors.cpu_model import CpuModelCollector
from greengen.collectors.rapl import RaplCollector
from greengen.testing.scripted import FakeClock
from tests.hosts import loading
from tests.hosts.gpu_metrics import FIRST_1_6, pack
from tests.unit.readings import events

RADEON = "amdgpu:0000:03:00.0"
TABLE = "class/drm/card1/device/gpu_metrics"
AVERAGE = "class/hwmon/hwmon4/power1_average"
STATUS = "class/drm/card1/device/power/runtime_status"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def radeon(tmp_path: Path, clock: FakeClock) -> Host:
    return replace(loading.build("radeon", tmp_path), monotonic_ns=clock)


@pytest.fixture
def opened() -> Iterator[list[AmdgpuCollector]]:
    collectors: list[AmdgpuCollector] = []
    yield collectors
    for collector in collectors:
        collector.close()


def discovered(host: Host, opened: list[AmdgpuCollector]) -> tuple[AmdgpuCollector, Discovery]:
    opened.append(AmdgpuCollector(host))
    return opened[-1], opened[-1].discover()


def samples(collector: AmdgpuCollector) -> list[Sample]:
    return [row for row in collector.read() if isinstance(row, Sample)]


# --- the table ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("content", "size"), [(1, 96), (2, 104), (3, 120)])
def test_tables_of_unstated_energy_give_power_only(content: int, size: int) -> None:
    table = pack(1, content, 212, 1 << 40)
    assert len(table) == size
    assert parse(table) == Metrics(1, 212.0, None)


@pytest.mark.parametrize(
    ("content", "size", "structure"), [(4, 288, ""), (5, 360, ""), (6, 384, FIRST_1_6), (6, 1664, ""), (7, 2208, "")]
)
def test_tables_of_known_energy(content: int, size: int, structure: str) -> None:
    table = pack(1, content, 318, 3 << 16, structure)
    assert len(table) == size
    assert parse(table) == Metrics(1, 318.0, 3.0)


def test_mi200_counts_in_revision_1_3() -> None:
    assert parse(pack(1, 3, 212, 5 << 16), aldebaran=True) == Metrics(1, 212.0, 5.0)


@pytest.mark.parametrize(("format_", "content", "size"), [(2, 4, 168), (3, 0, 264)])
def test_tables_of_apus_are_in_mw(format_: int, content: int, size: int) -> None:
    table = pack(format_, content, 24_042)
    assert len(table) == size
    told = parse(table)
    assert (told.format, told.energy_j) == (format_, None)
    assert told.power_w == pytest.approx(24.042)


def test_fields_that_the_chip_does_not_support() -> None:
    assert parse(pack(1, 5, 0xFFFF, 2**64 - 1)) == Metrics(1, None, None)
    assert parse(pack(3, 0, 0xFFFF_FFFF)) == Metrics(3, None, None)


@pytest.mark.parametrize("revision", [(1, 0), (2, 1), (2, 2), (2, 3)])
def test_tables_of_unknown_units_are_refused(revision: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="units are not known"):
        parse(pack(*revision, 24_042))


@pytest.mark.parametrize("table", [b"", b"\0\1", pack(1, 5, 318)[:-1], b"N/A\n"])
def test_what_is_no_table_is_refused(table: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut short|not known"):
        parse(table)


def test_a_size_that_is_not_its_revisions_is_refused() -> None:
    table = bytearray(pack(1, 5, 318) + b"\0" * 8)
    table[0:2] = len(table).to_bytes(2, "little")
    with pytest.raises(ValueError, match=r"revision 1\.5 in 368 bytes"):
        parse(bytes(table))


# --- which way a GPU is read ----------------------------------------------------------------------------


def test_an_average_and_its_window(radeon: Host, opened: list[AmdgpuCollector]) -> None:
    loading.show(radeon, TABLE, pack(1, 3, 212, 1 << 40))
    collector, found = discovered(radeon, opened)
    (gpu,) = found.domains
    assert (gpu.uid, gpu.kind, gpu.reading, gpu.max_power_w) == (RADEON, "gpu", "power", 696)
    assert "by power1_average" in gpu.detail
    assert [row[2:] for row in samples(collector)] == [(212.0, "power", 1.0)]


def test_an_instant_where_there_is_no_average(tmp_path: Path, opened: list[AmdgpuCollector]) -> None:
    collector, found = discovered(loading.build("mi300x", tmp_path), opened)
    assert {domain.reading for domain in found.domains} == {"power"}
    assert [row[2:] for row in samples(collector)] == [(318.0, "power", 0.0), (131.0, "power", 0.0)]


def test_a_counter_of_known_unit_goes_first(tmp_path: Path, opened: list[AmdgpuCollector]) -> None:
    host = loading.build("mi300x", tmp_path)
    loading.show(host, "class/drm/card0/device/gpu_metrics", pack(1, 5, 318, 3 << 20))
    collector, found = discovered(host, opened)
    assert [domain.reading for domain in found.domains] == ["energy", "power"]
    assert found.domains[0].resolution_j == 2**-16
    assert samples(collector)[0].value == 48.0


def test_mi200_is_known_by_its_device(radeon: Host, opened: list[AmdgpuCollector]) -> None:
    loading.show(radeon, "class/drm/card1/device/device", "0x740c")
    loading.show(radeon, TABLE, pack(1, 3, 212, 7 << 16))
    collector, found = discovered(radeon, opened)
    assert found.domains[0].reading == "energy"
    assert samples(collector)[0].value == 7.0


def test_the_second_die_of_an_mi250_is_not_measured(radeon: Host, opened: list[AmdgpuCollector]) -> None:
    loading.show(radeon, "class/drm/card1/device/device", "0x740c")
    loading.show(radeon, TABLE, pack(1, 3, 0, 0))
    loading.show(radeon, AVERAGE, "0")
    _, found = discovered(radeon, opened)
    assert found.domains == ()
    assert "this die of it" in found.unavailable[0].reason
    assert "reads 0 W" in found.unavailable[0].reason


def test_the_table_alone_will_do(radeon: Host, opened: list[AmdgpuCollector]) -> None:
    (radeon.sysfs / AVERAGE).unlink()
    loading.show(radeon, TABLE, pack(1, 3, 207, 0))
    collector, found = discovered(radeon, opened)
    assert "gpu_metrics, its power" in found.domains[0].detail
    assert samples(collector)[0].value == 207.0


def test_an_apu_stands_in_for_its_package(tmp_path: Path) -> None:
    host = loading.build("ryzen_apu", tmp_path)
    loading.show(host, TABLE, pack(3, 0, 24_042))
    apu = "amdgpu:apu-0000:c4:00.0"

    def uids(*collectors: Collector) -> list[str]:
        found = plugins.discover_all(collectors)
        for collector in found.collectors:
            collector.close()
        return [domain.uid for domain in found.domains]

    assert uids(AmdgpuCollector(host), CpuModelCollector(host, "linux"), RaplCollector(host)) == ["rapl:package-0"]
    # Also where what is modelled comes first: a measured package goes before it.
    assert uids(CpuModelCollector(host, "linux"), AmdgpuCollector(host)) == [apu]


def test_an_apu_is_known_by_its_north_bridge(tmp_path: Path, opened: list[AmdgpuCollector]) -> None:
    _, found = discovered(loading.build("ryzen_apu", tmp_path), opened)
    (apu,) = found.domains
    assert (apu.kind, apu.split, apu.activity, apu.scope) == ("package", "cpu", "cpu", "host")


# --- faults ---------------------------------------------------------------------------------------------


def test_an_error_printed_as_a_number_is_a_gap(radeon: Host, opened: list[AmdgpuCollector]) -> None:
    collector, _ = discovered(radeon, opened)
    loading.show(radeon, AVERAGE, str(2**32 - 95))  # EOPNOTSUPP
    (event,) = events(collector)
    assert (event.kind, event.subject) == ("gap", RADEON)
    assert "4294.97 W, more than" in event.reason


def test_a_sleeping_gpu_is_not_woken(radeon: Host, opened: list[AmdgpuCollector], clock: FakeClock) -> None:
    collector, _ = discovered(radeon, opened)
    loading.show(radeon, STATUS, "suspended")
    loading.show(radeon, AVERAGE, "1")  # would be read
    (event,) = events(collector)
    assert "suspended, and reading would wake it" in event.reason
    clock.advance(60)
    assert events(collector) == []
    loading.show(radeon, STATUS, "active")
    loading.show(radeon, AVERAGE, "30000000")
    assert samples(collector)[0].value == 30.0


def test_a_gpu_that_sleeps_at_first_is_read_when_it_wakes(radeon: Host, opened: list[AmdgpuCollector]) -> None:
    loading.show(radeon, STATUS, "suspended")
    collector, found = discovered(radeon, opened)
    assert [domain.uid for domain in found.domains] == [RADEON]
    assert samples(collector) == []
    loading.show(radeon, STATUS, "active")
    assert [row.value for row in samples(collector)] == [212.0]


def test_a_gpu_that_is_plugged_in_again_is_found(radeon: Host, opened: list[AmdgpuCollector], clock: FakeClock) -> None:
    collector, _ = discovered(radeon, opened)
    files = loading.unplug(radeon, "hwmon4")
    assert "no amdgpu at 0000:03:00.0" in events(collector)[0].reason
    clock.advance(1)
    loading.plug(radeon, "hwmon9", "pci0000:00/0000:03:00.0", files)
    assert [row.value for row in samples(collector)] == [212.0]


def test_a_counter_that_its_power_contradicts_is_told_once(
    tmp_path: Path, opened: list[AmdgpuCollector], clock: FakeClock
) -> None:
    host = replace(loading.build("mi300x", tmp_path), monotonic_ns=clock)
    table = "class/drm/card0/device/gpu_metrics"
    loading.show(host, table, pack(1, 5, 300, 1 << 20))
    collector, _ = discovered(host, opened)
    told: list[Event] = []
    counted = 1 << 20
    for step in range(200):
        counted += (15 if step < 100 else 30) << 16  # J per 0.1 s, of a GPU of 300 W
        loading.show(host, table, pack(1, 5, 300, counted))
        told += events(collector)
        clock.advance(0.1)
    assert [(event.kind, event.subject) for event in told] == [("warning", "amdgpu:0000:05:00.0")]
    assert "one of the two is wrong" in told[0].reason


def test_busy_time_grows_by_the_utilisation(radeon: Host, opened: list[AmdgpuCollector], clock: FakeClock) -> None:
    collector, found = discovered(radeon, opened)
    assert found.domains[0].activity == RADEON
    list(collector.read())
    clock.advance(2)
    assert [row.busy_ns for row in collector.read() if isinstance(row, Usage)] == [800_000_000]
    loading.show(radeon, "class/drm/card1/device/gpu_busy_percent", "65535")
    (event,) = events(collector)
    assert (event.kind, event.subject) == ("warning", f"{RADEON} utilisation")
