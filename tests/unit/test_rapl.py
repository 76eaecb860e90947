"""RAPL on fake powercap trees, and on the trees that other projects captured from real machines."""

from __future__ import annotations

import errno
import itertools
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from greengen.collector import Collector, Discovery, Host
from greengen.collectors.rapl import RaplCollector
from greengen.testing import trees
from greengen.testing.trees import ZoneSpec
from tests.unit.readings import events, values

FIXTURES = Path(__file__).parents[3] / "shared/data/traces/sysfs_fixtures"
captured = pytest.mark.skipif(not FIXTURES.exists(), reason=f"the captured trees are not at {FIXTURES}")


def discovered(host: Host, open_file: Callable[[str, int], int] = os.open) -> tuple[RaplCollector, Discovery]:
    collector = RaplCollector(host, open_file)
    return collector, collector.discover()


def test_is_a_collector(tmp_path: Path) -> None:
    assert isinstance(RaplCollector(trees.intel_laptop(tmp_path)), Collector)


def test_laptop(tmp_path: Path) -> None:
    collector, found = discovered(trees.intel_laptop(tmp_path))
    domains = {domain.uid: domain for domain in found.domains}
    assert list(domains) == ["rapl:package-0", "rapl:package-0/core", "rapl:package-0/uncore", "rapl:psys"]
    package, psys = domains["rapl:package-0"], domains["rapl:psys"]
    assert package.contains == ("rapl:package-0/core", "rapl:package-0/uncore")
    assert psys.contains == ("rapl:package-0",)
    assert psys.alternative
    assert not package.alternative
    assert (package.split, package.activity, package.scope) == ("cpu", "cpu", "host")
    assert psys.split is None
    assert "sole tenancy" in psys.split_reason
    assert package.wrap_j == pytest.approx(262_143.328850)
    assert package.resolution_j == pytest.approx(61e-6, rel=1e-3)
    assert package.max_power_w == 110
    assert domains["rapl:package-0/core"].max_power_w == 110  # states none of its own
    assert {domain.grade for domain in found.domains} == {"measured"}
    assert found.unavailable == ()
    assert values(collector)["rapl:package-0"] == 48_213.377541
    collector.close()


def test_server(tmp_path: Path) -> None:
    collector, found = discovered(trees.intel_server(tmp_path))
    domains = {domain.uid: domain for domain in found.domains}
    assert set(domains) == {"rapl:package-0", "rapl:package-0/dram", "rapl:package-1", "rapl:package-1/dram"}
    assert domains["rapl:package-0"].contains == ()  # memory lies beside the package
    dram = domains["rapl:package-0/dram"]
    assert dram.split is None
    assert dram.activity == "cpu"
    assert dram.resolution_j == pytest.approx(15.3e-6, rel=1e-3)
    assert dram.gain > domains["rapl:package-0"].gain
    collector.close()


def test_reads_a_wrap_as_it_is(tmp_path: Path) -> None:
    host = trees.intel_server(tmp_path)
    collector, found = discovered(host)
    before = values(collector)["rapl:package-0"]
    trees.set_energy_uj(host, "intel-rapl:0", 12_000_000)
    after = values(collector)["rapl:package-0"]
    wrap_j = found.domains[0].wrap_j
    assert wrap_j
    assert after - before + wrap_j == pytest.approx(12.328850, abs=1e-6)
    collector.close()


def test_amd_offers_no_core_zone(tmp_path: Path) -> None:
    collector, found = discovered(trees.amd_server(tmp_path))
    assert [domain.uid for domain in found.domains] == ["rapl:package-0"]
    assert found.domains[0].wrap_j == pytest.approx(65_532.610987)
    assert found.domains[0].max_power_w == 1000  # the firmware states none
    (why,) = found.unavailable
    assert why.interface == "rapl:package-0/core (intel-rapl:0:0)"
    assert "per core" in why.reason
    collector.close()


def test_mmio_zone_counts_when_it_is_alone(tmp_path: Path) -> None:
    host = trees.machine(tmp_path, model="x", cpus=1)
    trees.with_zones(host, {"intel-rapl-mmio:0": ZoneSpec("package-0", 5_000_000)})
    collector, found = discovered(host)
    assert [domain.uid for domain in found.domains] == ["rapl:package-0"]
    assert values(collector) == {"rapl:package-0": 5.0}
    collector.close()


def test_the_devices_folder_alone_will_do(tmp_path: Path) -> None:
    host = trees.intel_server(tmp_path)
    for link in (host.sysfs / "class/powercap").iterdir():
        link.unlink()
    (host.sysfs / "class/powercap").rmdir()
    collector, found = discovered(host)
    assert [domain.kind for domain in found.domains] == ["package", "dram", "package", "dram"]
    collector.close()


def test_one_counter_shown_on_two_dies_counts_once(tmp_path: Path) -> None:
    host = trees.machine(tmp_path, model="x", cpus=2)
    zones = {
        "intel-rapl:0": ZoneSpec("package-0-die-0", 7_000_000_000),
        "intel-rapl:1": ZoneSpec("package-0-die-1", 7_000_100_000),
        "intel-rapl:2": ZoneSpec("package-1-die-0", 7_000_000_000),
    }
    collector, found = discovered(trees.with_zones(host, zones))
    assert [domain.uid for domain in found.domains] == ["rapl:package-0-die-0", "rapl:package-1-die-0"]
    (why,) = found.unavailable
    assert "the same counter" in why.reason
    assert len(values(collector)) == 2
    collector.close()


@pytest.mark.parametrize(("apart_j", "counted"), [(0, 1), (900, 2)])
def test_one_counter_on_two_dies_is_known_on_a_machine_that_takes_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apart_j: int, counted: int
) -> None:
    host = trees.machine(tmp_path, model="x", cpus=2)
    dies = {f"intel-rapl:{die}": ZoneSpec(f"package-0-die-{die}", 0) for die in (0, 1)}
    host = trees.with_zones(host, dies)
    passed = itertools.count(7_000_000_000, 200_000_000)

    def pread(fd: int, *_: int) -> bytes:
        # 200 J between any two readings; the second die is another counter, or the first one's.
        die = int("intel-rapl:1" in os.fspath(Path(f"/proc/self/fd/{fd}").readlink()))
        return str(next(passed) + die * apart_j * 1_000_000).encode()

    monkeypatch.setattr("greengen.collectors.rapl.os.pread", pread)
    collector, found = discovered(host)
    assert len(found.domains) == counted
    collector.close()


def test_two_zones_of_one_name_are_two_domains(tmp_path: Path) -> None:
    host = trees.machine(tmp_path, model="x", cpus=2)
    zones = {
        "intel-rapl:0": ZoneSpec("package-0", 7_000_000_000),
        "intel-rapl:1": ZoneSpec("package-0", 9_000_000_000),
        "intel-rapl:1:0": ZoneSpec("core", 1_000_000_000),
    }
    collector, found = discovered(trees.with_zones(host, zones))
    assert [domain.uid for domain in found.domains] == ["rapl:package-0", "rapl:package-0#2", "rapl:package-0/core"]
    assert found.domains[1].contains == ("rapl:package-0/core",)
    assert values(collector) == {"rapl:package-0": 7000, "rapl:package-0#2": 9000, "rapl:package-0/core": 1000}
    collector.close()


def test_psys_of_two_packages_holds_both_and_their_memory(tmp_path: Path) -> None:
    host = trees.intel_server(tmp_path)
    for link in (host.sysfs / "class/powercap").iterdir():
        link.unlink()
    (host.sysfs / "class/powercap").rmdir()
    trees.with_zones(host, {"intel-rapl:2": ZoneSpec("psys", 1, range_uj=(2**32 - 1) * 1_000_000)})
    collector, found = discovered(host)
    psys = next(domain for domain in found.domains if domain.kind == "psys")
    assert set(psys.contains) == {"rapl:package-0", "rapl:package-0/dram", "rapl:package-1", "rapl:package-1/dram"}
    assert psys.resolution_j == pytest.approx(1.0)  # some servers count psys in whole joules
    assert psys.max_power_w == 2000
    collector.close()


def test_one_psys_per_package(tmp_path: Path) -> None:
    host = trees.machine(tmp_path, model="x", cpus=2)
    zones = {
        "intel-rapl:0": ZoneSpec("package-0", 1_000_000),
        "intel-rapl:1": ZoneSpec("package-1", 2_000_000),
        "intel-rapl:2": ZoneSpec("psys", 3_000_000),
        "intel-rapl:3": ZoneSpec("psys-1", 4_000_000),
    }
    collector, found = discovered(trees.with_zones(host, zones))
    contains = {domain.uid: domain.contains for domain in found.domains}
    assert contains["rapl:psys"] == ("rapl:package-0",)
    assert contains["rapl:psys-1"] == ("rapl:package-1",)
    collector.close()


def test_range_that_cannot_be_read(tmp_path: Path) -> None:
    host = trees.machine(tmp_path, model="x", cpus=1)
    trees.with_zones(host, {"intel-rapl:0": ZoneSpec("package-0", 5, range_uj=None)})
    collector, found = discovered(host)
    assert found.domains[0].wrap_j is None
    assert found.domains[0].resolution_j > 0
    collector.close()


def test_a_limit_that_means_no_limit(tmp_path: Path) -> None:
    host = trees.machine(tmp_path, model="x", cpus=1)
    limits = {"long_term": 95_000_000, "short_term": 4_090_000_000}
    trees.with_zones(host, {"intel-rapl:0": ZoneSpec("package-0", 5, limits_uw=limits)})
    collector, found = discovered(host)
    assert found.domains[0].max_power_w == 1000
    collector.close()


def test_a_zone_of_no_known_meaning_is_told(tmp_path: Path) -> None:
    host = trees.machine(tmp_path, model="x", cpus=1)
    trees.with_zones(host, {"intel-rapl:0": ZoneSpec("package-0", 5), "intel-rapl:0:0": ZoneSpec("gnu", 5)})
    collector, found = discovered(host)
    assert [why.interface for why in found.unavailable] == ["rapl:package-0/gnu (intel-rapl:0:0)"]
    collector.close()


def test_a_virtual_counter_has_the_scope_of_the_vm(tmp_path: Path) -> None:
    host = trees.machine(tmp_path, model="x", cpus=1, flags="fpu hypervisor")
    collector, found = discovered(trees.with_zones(host, {"intel-rapl:0": ZoneSpec("package-0", 5)}))
    assert found.domains[0].scope == "vm"
    assert "hypervisor" in found.domains[0].detail
    collector.close()


# --- no zones, and why ------------------------------------------------------------------------------


def deny(path: str, flags: int) -> int:
    if path.endswith("energy_uj"):
        raise PermissionError(errno.EACCES, "Permission denied", path)
    return os.open(path, flags)


def test_permission_denied(tmp_path: Path) -> None:
    _, found = discovered(trees.intel_laptop(tmp_path), deny)
    assert found.domains == ()
    (why,) = found.unavailable
    assert "CVE-2020-8694" in why.reason
    remedies = [why.remedy.index(word) for word in ("root service", "udev", "CAP_DAC_READ_SEARCH", "run as root")]
    assert remedies == sorted(remedies)


def test_one_zone_denied_leaves_the_others(tmp_path: Path) -> None:
    def deny_psys(path: str, flags: int) -> int:
        return deny(path, flags) if "intel-rapl:1" in path else os.open(path, flags)

    collector, found = discovered(trees.intel_laptop(tmp_path), deny_psys)
    assert {domain.kind for domain in found.domains} == {"package", "core", "uncore"}
    assert "psys" in found.unavailable[0].reason
    collector.close()


def test_a_counter_that_cannot_be_read_at_first(tmp_path: Path) -> None:
    host = trees.intel_laptop(tmp_path)
    (host.sysfs / "class/powercap/intel-rapl:0:1/energy_uj").write_text("")
    held = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    collector, found = discovered(host)
    assert [why.interface for why in found.unavailable] == ["rapl:package-0/uncore (intel-rapl:0:1)"]
    collector.close()
    assert len(os.listdir("/proc/self/fd")) == held  # noqa: PTH208


def test_virtual_machine(tmp_path: Path) -> None:
    _, found = discovered(trees.empty_vm(tmp_path))
    assert "virtual machine" in found.unavailable[0].reason


def test_arm_virtual_machine_is_known_by_its_dmi_tables(tmp_path: Path) -> None:
    host = trees.machine(tmp_path, model="", vendor="", cpus=2)
    (host.sysfs / "class/dmi/id").mkdir(parents=True)
    (host.sysfs / "class/dmi/id/sys_vendor").write_text("Amazon EC2\n")
    (host.sysfs / "class/dmi/id/product_name").write_text("c7g.xlarge\n")
    assert "virtual machine" in discovered(host)[1].unavailable[0].reason
    (host.sysfs / "class/dmi/id/product_name").write_text("c7g.metal\n")
    assert "virtual machine" not in discovered(host)[1].unavailable[0].reason


def test_an_arm_cpu_is_not_told_to_load_an_intel_driver(tmp_path: Path) -> None:
    host = trees.machine(tmp_path, model="", vendor="", cpus=2)
    text = "processor\t: 0\nBogoMIPS\t: 108.00\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
    (host.procfs / "cpuinfo").write_text(text)
    (why,) = discovered(host)[1].unavailable
    assert "ARM" in why.reason
    assert why.remedy == ""


@pytest.mark.parametrize("limit", ["9" * 5000, "²"])
def test_a_limit_that_is_no_number_costs_no_counter(tmp_path: Path, limit: str) -> None:
    host = trees.intel_laptop(tmp_path)
    (host.sysfs / "class/powercap/intel-rapl:0/constraint_0_max_power_uw").write_text(limit)
    collector, found = discovered(host)
    assert "rapl:package-0" in {domain.uid for domain in found.domains}
    assert found.unavailable == ()
    collector.close()


def test_masked_container(tmp_path: Path) -> None:
    _, found = discovered(trees.masked_container(tmp_path))
    (why,) = found.unavailable
    assert "MaskedPaths" in why.reason
    assert "GREENGEN_SYSFS" in why.remedy
    assert "systempaths=unconfined" in why.remedy


def test_masked_container_without_mountinfo_is_known_by_its_dangling_links(tmp_path: Path) -> None:
    host = trees.masked_container(tmp_path)
    (host.procfs / "self/mountinfo").unlink()
    assert "MaskedPaths" in discovered(host)[1].unavailable[0].reason


def test_the_remedy_for_a_masked_container_works(tmp_path: Path) -> None:
    host = trees.masked_container(tmp_path)
    elsewhere = tmp_path / "host_sys/devices/virtual"
    elsewhere.mkdir(parents=True)
    (elsewhere / "powercap").symlink_to(tmp_path / "masked")
    collector, found = discovered(replace(host, sysfs=tmp_path / "host_sys"))
    assert {domain.kind for domain in found.domains} == {"package", "core", "uncore", "psys"}
    collector.close()


def test_kubernetes_pod(tmp_path: Path) -> None:
    host = trees.machine(tmp_path, model="x", cpus=1)
    host = replace(host, environ={"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert "MaskedPaths" in discovered(host)[1].unavailable[0].reason


def test_driver_not_loaded(tmp_path: Path) -> None:
    _, found = discovered(trees.machine(tmp_path, model="x", cpus=1))
    assert "modprobe intel_rapl_msr" in found.unavailable[0].remedy


def test_no_sysfs(tmp_path: Path) -> None:
    _, found = discovered(Host(sysfs=tmp_path / "no", procfs=tmp_path / "no"))
    assert "sysfs" in found.unavailable[0].reason


# --- failures while recording -------------------------------------------------------------------------


def test_a_gap_is_told_once_per_outage_and_the_others_go_on(tmp_path: Path) -> None:
    host = trees.intel_laptop(tmp_path)
    collector, found = discovered(host)
    trees.set_energy_uj(host, "intel-rapl:0:0", "")
    (event,) = events(collector)
    assert (event.kind, event.subject) == ("gap", "rapl:package-0/core")
    assert events(collector) == []
    assert set(values(collector)) == {domain.uid for domain in found.domains} - {"rapl:package-0/core"}
    trees.set_energy_uj(host, "intel-rapl:0:0", 7_000_000)
    assert events(collector) == []
    assert values(collector)["rapl:package-0/core"] == 7.0
    trees.set_energy_uj(host, "intel-rapl:0:0", "")
    assert len(events(collector)) == 1
    collector.close()


def test_a_counter_below_0_is_a_gap_and_no_reset(tmp_path: Path) -> None:
    host = trees.intel_laptop(tmp_path)
    collector, _ = discovered(host)
    trees.set_energy_uj(host, "intel-rapl:0", -1)
    (event,) = events(collector)
    assert (event.kind, event.subject) == ("gap", "rapl:package-0")
    assert event.reason.endswith("energy_uj: reads -1: a counter counts from 0")
    trees.set_energy_uj(host, "intel-rapl:0", 5_000_000)
    assert values(collector)["rapl:package-0"] == 5.0
    collector.close()


def test_a_driver_that_goes_and_comes_back_is_opened_again(tmp_path: Path) -> None:
    host = trees.intel_laptop(tmp_path)
    collector, _ = discovered(host)
    meter = next(meter for meter in collector._meters if meter.uid == "rapl:psys")
    # What the kernel does to an open file of a driver that is gone cannot be had from a plain file:
    # the same reading goes through a path that no longer exists.
    os.close(meter.fd)
    meter.fd = -1
    trees.remove_zone(host, "intel-rapl:1")
    (event,) = events(collector)
    assert event.subject == "rapl:psys"
    assert "No such file" in event.reason
    assert events(collector) == []
    (host.sysfs / "class/powercap/intel-rapl:1/energy_uj").write_text("3000000\n")
    assert values(collector)["rapl:psys"] == 3.0
    collector.close()


def test_enodev_closes_the_file_and_opens_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = trees.intel_laptop(tmp_path)
    collector, _ = discovered(host)
    gone = next(meter.fd for meter in collector._meters if meter.uid == "rapl:psys")
    real = os.pread

    def pread(fd: int, length: int, offset: int) -> bytes:
        if fd == gone:
            raise OSError(errno.ENODEV, "No such device")
        return real(fd, length, offset)

    with monkeypatch.context() as patch:
        patch.setattr("greengen.collectors.rapl.os.pread", pread)
        assert [event.subject for event in events(collector)] == ["rapl:psys"]
    assert values(collector)["rapl:psys"] == 98_213.377541
    collector.close()


def test_closing_gives_every_file_back(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    collector, found = discovered(trees.intel_laptop(tmp_path))
    collector.discover()  # again: the first round's files are closed
    assert len(os.listdir("/proc/self/fd")) == before + len(found.domains)  # noqa: PTH208
    collector.close()
    collector.close()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    assert list(collector.read()) == []


# --- trees captured from real machines ------------------------------------------------------------------


@captured
def test_captured_tree_with_a_hexadecimal_zone(tmp_path: Path) -> None:
    collector, found = discovered(Host(sysfs=FIXTURES / "procfs", procfs=tmp_path))
    assert [domain.uid for domain in found.domains] == ["rapl:package-0", "rapl:package-0/core", "rapl:package-10"]
    assert found.unavailable == ()
    assert values(collector)["rapl:package-10"] == 240_422.366267
    collector.close()


@captured
def test_captured_tree_of_node_exporter(tmp_path: Path) -> None:
    collector, found = discovered(Host(sysfs=FIXTURES / "node_exporter", procfs=tmp_path))
    assert [domain.uid for domain in found.domains] == ["rapl:package-0", "rapl:package-0/core"]
    collector.close()


@captured
def test_captured_wrap(tmp_path: Path) -> None:
    """Readings of a real machine on both sides of a wrap give its real power back."""
    log = json.loads((FIXTURES / "rapl_wrap_real.json").read_text())
    host = trees.machine(tmp_path, model="x", cpus=2, packages=2)
    zones = {
        reading["zone"]: ZoneSpec(f"package-{index}", reading["before_uj"], log["max_energy_range_uj"])
        for index, reading in enumerate(log["readings"])
    }
    collector, found = discovered(trees.with_zones(host, zones))
    before = values(collector)
    for reading in log["readings"]:
        trees.set_energy_uj(host, reading["zone"], reading["after_uj"])
    after = values(collector)
    for domain, reading in zip(found.domains, log["readings"], strict=True):
        assert domain.wrap_j
        gained = after[domain.uid] - before[domain.uid] + domain.wrap_j
        assert gained == pytest.approx(reading["expected_delta_J"], abs=1e-3)
    collector.close()
