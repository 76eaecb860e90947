"""Jetson boards on fake trees: rails by label, the board's total, and rails that fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from greengen.accounting.cover import cover
from greengen.collector import Collector, Discovery, Domain, Event, Host, Sample
from greengen.collectors.jetson import JetsonCollector
from greengen.collectors.power_monitor import PowerMonitorCollector
from greengen.testing import trees
from greengen.testing.scripted import FakeClock
from tests.hosts import loading
from tests.unit.readings import only, values

TREE = "firmware/devicetree/base"


def test_other_machines_are_none_of_its_business(tmp_path: Path) -> None:
    collector = JetsonCollector(loading.build("ina_board", tmp_path))
    assert isinstance(collector, Collector)
    assert collector.discover() == Discovery()
    assert collector.read() == []


def test_a_jetson_without_rails_says_why(tmp_path: Path) -> None:
    host = trees.machine(tmp_path, model="x", cpus=4)
    loading.show(host, f"{TREE}/compatible", "nvidia,tegra234")
    [why] = JetsonCollector(host).discover().unavailable
    assert "no INA3221" in why.reason
    assert "/sys" in why.remedy


@pytest.mark.parametrize("machine", ["jetson_nano", "jetson_orin_nx", "jetson_agx_orin", "jetson_thor"])
def test_the_rails_are_read_by_one_collector(machine: str, tmp_path: Path) -> None:
    host = loading.build(machine, tmp_path)
    assert PowerMonitorCollector(host).discover() == Discovery()
    collector = JetsonCollector(host)
    found = collector.discover()
    assert found.unavailable == ()
    assert {domain.grade for domain in found.domains} == {"measured"}
    assert all("Jetson" in domain.name for domain in found.domains)
    assert all(domain.split == "cpu" or "sole tenancy" in domain.split_reason for domain in found.domains)
    assert "NC" not in " ".join(domain.uid for domain in found.domains)
    collector.close()


def test_the_whole_board_holds_its_rails_and_what_models_them(tmp_path: Path) -> None:
    collector = JetsonCollector(loading.build("jetson_orin_nx", tmp_path))
    domains = (
        *collector.discover().domains,
        Domain("cpu_model:package", "cpu_model", "package", "m", grade="modelled"),
    )
    domains = (*domains, Domain("nvml:GPU-1", "nvml", "gpu", "the integrated GPU"))
    verdict = cover(domains, frozenset(domain.uid for domain in domains))
    assert {uid for uid, why in verdict.items() if not why} == {"jetson:VDD_IN"}
    collector.close()


def test_a_rail_for_cpu_and_gpu_is_not_split_by_cpu_time(tmp_path: Path) -> None:
    collector = JetsonCollector(loading.build("jetson_orin_nx", tmp_path))
    [shared] = [domain for domain in collector.discover().domains if domain.uid == "jetson:VDD_CPU_GPU_CV"]
    assert (shared.kind, shared.split) == ("soc", None)
    collector.close()


def test_two_chips_with_one_label_are_two_domains(tmp_path: Path) -> None:
    host = loading.build("jetson_agx_orin", tmp_path)
    loading.show(host, "class/hwmon/hwmon4/in1_label", "VDD_CPU_CV")
    collector = JetsonCollector(host)
    uids = {domain.uid for domain in collector.discover().domains}
    assert {"jetson:VDD_CPU_CV@1-0040", "jetson:VDD_CPU_CV@1-0041"} <= uids
    collector.close()


def test_thor_has_its_total_on_a_chip_of_its_own(tmp_path: Path) -> None:
    collector = JetsonCollector(loading.build("jetson_thor", tmp_path))
    found = collector.discover()
    assert values(collector)["jetson:VIN"] == 36.75
    verdict = cover(found.domains, frozenset(domain.uid for domain in found.domains))
    assert {uid for uid, why in verdict.items() if not why} == {"jetson:VIN"}
    collector.close()


def test_a_chip_without_a_label_is_told(tmp_path: Path) -> None:
    host = loading.build("jetson_agx_orin", tmp_path)
    loading.plug(host, "hwmon7", "platform/bus@0/i2c-2/2-0044", {"name": "ina238", "power1_input": "31500000"})
    collector = JetsonCollector(host)
    [why] = collector.discover().unavailable
    assert why.interface == "jetson:2-0044"
    collector.close()


@pytest.mark.parametrize(
    ("attribute", "text", "words"),
    [
        ("in1_input", "0", "0 W for the whole board"),
        ("curr1_input", "-40", "below 0"),
        ("curr1_input", "2400000", "more than the 300 W"),
        ("curr1_input", "", "invalid literal"),
        ("in1_input", "N/A", "invalid literal"),
    ],
)
def test_what_a_rail_cannot_draw_is_a_gap(attribute: str, text: str, words: str, tmp_path: Path) -> None:
    clock = FakeClock()
    host: Host = replace(loading.build("jetson_orin_nx", tmp_path), monotonic_ns=clock)
    collector = JetsonCollector(host)
    collector.discover()
    before = (host.sysfs / f"class/hwmon/hwmon3/{attribute}").read_text()
    loading.show(host, f"class/hwmon/hwmon3/{attribute}", text)
    rows = collector.read()
    [event] = [row for row in rows if isinstance(row, Event)]
    assert (event.kind, event.subject) == ("gap", "jetson:VDD_IN")
    assert words in event.reason
    assert {row.domain for row in only(rows, Sample)} == {"jetson:VDD_CPU_GPU_CV", "jetson:VDD_SOC"}
    assert not [row for row in collector.read() if isinstance(row, Event)]
    loading.show(host, f"class/hwmon/hwmon3/{attribute}", before.strip())
    clock.advance(2)
    assert values(collector)["jetson:VDD_IN"] == 12.0
    collector.close()


def test_an_iio_device_that_comes_back_under_another_number(tmp_path: Path) -> None:
    clock = FakeClock()
    host = replace(loading.build("jetson_nano", tmp_path), monotonic_ns=clock)
    collector = JetsonCollector(host)
    collector.discover()
    folder = host.sysfs / "bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    # What the kernel says of an open file whose device went cannot be had from a plain one: it is emptied.
    power = folder / "in_power0_input"
    text = power.read_text()
    open_before = power.open()
    power.rename(folder / "gone")
    (folder / "gone").write_text("")
    power.write_text(text)
    folder.rename(folder.with_name("iio:device3"))
    open_before.close()
    assert values(collector)["jetson:POM_5V_IN"] == 5.165
    collector.close()
