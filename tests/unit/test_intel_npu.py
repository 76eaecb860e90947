"""Intel's NPU by the platform monitoring of its processor, and AMD's by hwmon, both inside the package."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from greengen.accounting.cover import cover
from greengen.collector import Collector, Discovery, Event, Host, Sample, Usage
from greengen.collectors.intel_npu import LAYOUTS, UID, IntelNpuCollector, energy_j
from greengen.collectors.rapl import RaplCollector
from greengen.collectors.xdna import XdnaCollector
from greengen.testing import trees
from greengen.testing.scripted import FakeClock
from tests.hosts import loading

TELEM = "class/intel_pmt/telem2/telem"


def table(energy: float, offset: int = 0x5D0, length: int = 6144) -> bytes:
    """A processor's table, whose energy is so many J."""
    data = bytearray(b"\xa5" * length)
    data[offset : offset + 4] = int(energy * 2**14).to_bytes(4, "little")
    return bytes(data)


def laptop(tmp_path: Path) -> tuple[Host, FakeClock]:
    clock = FakeClock()
    host = loading.build("intel_npu", tmp_path)
    loading.show(host, "class/intel_pmt/telem1/telem", table(77.0))
    loading.show(host, TELEM, table(5.0))
    return replace(host, monotonic_ns=clock), clock


def test_energy_and_busy_time(tmp_path: Path) -> None:
    host, clock = laptop(tmp_path)
    collector = IntelNpuCollector(host)
    assert isinstance(collector, Collector)
    found = collector.discover()
    [npu] = found.domains
    assert found.unavailable == ()
    assert (npu.uid, npu.kind, npu.reading, npu.grade, npu.activity) == (UID, "npu", "energy", "measured", UID)
    assert npu.wrap_j == 262_144.0
    assert "Lunar Lake" in npu.name
    sample, usage = collector.read()
    assert isinstance(sample, Sample)
    assert (sample.value, usage) == (5.0, Usage(UID, "machine", clock(), 1_000_000_000))
    loading.show(host, TELEM, table(7.25))
    loading.show(host, "bus/pci/drivers/intel_vpu/0000:00:0b.0/npu_busy_time_us", "1500000")
    clock.advance(1.0)
    sample, usage = collector.read()
    assert isinstance(sample, Sample)
    assert sample.value == 7.25
    assert usage == Usage(UID, "machine", clock(), 1_500_000_000)
    clock.advance(0.5)
    assert len(list(collector.read())) == 1  # busy time is asked for once a second at most
    # The driver is loaded anew: it counts from 0, and what is handed on does not.
    loading.show(host, "bus/pci/drivers/intel_vpu/0000:00:0b.0/npu_busy_time_us", "200000")
    clock.advance(0.5)
    assert list(collector.read())[1] == Usage(UID, "machine", clock(), 1_700_000_000)
    collector.close()
    assert list(collector.read()) == []


def test_every_layout_is_read_where_intels_own_tool_reads_it() -> None:
    offsets = {guid: (layout.offset, layout.step_j * 2**14) for guid, layout in LAYOUTS.items()}
    assert offsets == {
        "0x130670b2": (0x628, 1.0),
        "0x1306a0b3": (0x628, 1.0),
        "0x1306a0b2": (0x628, 1.0),
        "0x1306a0b4": (0x628, 1.0),
        "0x3072005": (0x5D0, 1.0),
        "0x3086000": (0x670, 1.0),
        "0x308d000": (0x670, 100.0),
    }
    for layout in LAYOUTS.values():
        assert energy_j(layout, [table(5.0, layout.offset)]) == pytest.approx(5.0 * layout.step_j * 2**14)


def test_an_unknown_processor_is_refused(tmp_path: Path) -> None:
    host, _ = laptop(tmp_path)
    loading.show(host, "class/intel_pmt/telem2/guid", "0xdeadbee")
    [why] = IntelNpuCollector(host).discover().unavailable
    assert "0x1a067102, 0xdeadbee" in why.reason
    assert 'GREENGEN_ACCELERATOR="intel_npu=IDLE/ACTIVE"' in why.remedy


def test_without_monitoring_or_without_an_npu(tmp_path: Path) -> None:
    host = loading.build("intel_npu", tmp_path / "a")
    for file in ("guid", "size", "offset"):
        for telem in (1, 2):
            (host.sysfs / f"class/intel_pmt/telem{telem}/{file}").unlink()
    [why] = IntelNpuCollector(host).discover().unavailable
    assert "no platform monitoring" in why.reason
    assert IntelNpuCollector(trees.intel_laptop(tmp_path / "b")).discover() == Discovery()


def test_for_root_only(tmp_path: Path) -> None:
    host, _ = laptop(tmp_path)

    def denied(path: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    [why] = IntelNpuCollector(host, denied).discover().unavailable
    assert "permission denied" in why.reason
    assert "run as root" in why.remedy


def test_a_table_that_ends_too_early_is_refused_and_one_that_shrinks_is_a_gap(tmp_path: Path) -> None:
    host, clock = laptop(tmp_path)
    collector = IntelNpuCollector(host)
    collector.discover()
    os.truncate(host.sysfs / TELEM, 16)
    rows = list(collector.read())
    [gap] = [row for row in rows if isinstance(row, Event)]
    assert (gap.kind, gap.subject) == ("gap", UID)
    assert "holds 16 bytes" in gap.reason
    clock.advance(2.0)
    loading.show(host, TELEM, table(9.0))
    assert [row.value for row in collector.read() if isinstance(row, Sample)] == [9.0]
    collector.close()
    os.truncate(host.sysfs / TELEM, 16)
    [why] = IntelNpuCollector(host).discover().unavailable
    assert "its energy lies at 0x5d0" in why.reason


def test_busy_time_that_is_no_number_is_told_once(tmp_path: Path) -> None:
    host, clock = laptop(tmp_path)
    collector = IntelNpuCollector(host)
    collector.discover()
    loading.show(host, "bus/pci/drivers/intel_vpu/0000:00:0b.0/npu_busy_time_us", "N/A    ")
    said = []
    for _ in range(3):
        said += [row for row in collector.read() if not isinstance(row, Sample)]
        clock.advance(1.5)
    [warning] = said
    assert isinstance(warning, Event)
    assert (warning.kind, warning.subject) == ("warning", f"{UID} utilisation")
    collector.close()


def test_the_package_holds_intels_npu(tmp_path: Path) -> None:
    host, _ = laptop(tmp_path)
    rapl, npu = RaplCollector(host), IntelNpuCollector(host)
    domains = [*rapl.discover().domains, *npu.discover().domains]
    rapl.close()
    npu.close()
    verdict = cover(domains, frozenset(domain.uid for domain in domains))
    assert verdict == {"rapl:package-0": "", UID: "part of package-0 (RAPL)"}


def test_amds_npu_by_hwmon_and_inside_the_package(tmp_path: Path) -> None:
    host = loading.build("xdna", tmp_path)
    rapl, npu = RaplCollector(host), XdnaCollector(host)
    assert isinstance(npu, Collector)
    domains = [*rapl.discover().domains, *npu.discover().domains]
    [sample] = npu.read()
    assert isinstance(sample, Sample)
    assert (sample.domain, sample.value, sample.kind) == ("xdna:0000:c5:00.1", 1.87, "power")
    verdict = cover(domains, frozenset(domain.uid for domain in domains))
    assert verdict["xdna:0000:c5:00.1"].startswith("part of package-0")
    # Asleep it draws nothing, which is a reading; a sentinel is none.
    loading.show(host, "class/hwmon/hwmon6/power1_input", "0")
    assert [row.value for row in npu.read() if isinstance(row, Sample)] == [0.0]
    loading.show(host, "class/hwmon/hwmon6/power1_input", "65535000000")
    [gap] = npu.read()
    assert isinstance(gap, Event)
    assert "more than the 180 W that can be believed" in gap.reason
    rapl.close()
    npu.close()


def test_amds_driver_without_the_sensor_says_so(tmp_path: Path) -> None:
    host = loading.build("xdna", tmp_path / "a")
    loading.unplug(host, "hwmon6")
    [why] = XdnaCollector(host).discover().unavailable
    assert "Linux 7.0" in why.reason
    assert XdnaCollector(trees.amd_server(tmp_path / "b")).discover() == Discovery()
