"""Intel GPUs on fake cards: parts, lost polls, driver reloads, sleep, hot-plug."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from greengen.accounting.curves import build
from greengen.collector import Domain, Host
from greengen.collectors.intel_gpu import IntelGpuCollector
from greengen.rows import Series
from greengen.testing.scripted import FakeClock
from tests.hosts import loading
from tests.unit.readings import events, values

CARD, PACKAGE = "intel_gpu:0000:03:00.0/card", "intel_gpu:0000:03:00.0/pkg"
CARD_FILE = "class/hwmon/hwmon5/energy1_input"
J = 1_000_000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def arc(tmp_path: Path, clock: FakeClock) -> Host:
    return replace(loading.build("arc_b580", tmp_path), monotonic_ns=clock)


def test_a_card_holds_its_package(arc: Host) -> None:
    collector = IntelGpuCollector(arc)
    card, package = collector.discover().domains
    assert (card.uid, card.contains, card.max_power_w) == (CARD, (PACKAGE,), 380)
    assert (package.uid, package.contains, package.max_power_w) == (PACKAGE, (), 300)
    assert values(collector) == {CARD: 98123.456789, PACKAGE: 73012.345678}
    collector.close()


def test_parts_without_labels_go_by_their_number(arc: Host) -> None:
    for number in (1, 2):
        (arc.sysfs / f"class/hwmon/hwmon5/energy{number}_label").unlink()
    collector = IntelGpuCollector(arc)
    assert [domain.uid for domain in collector.discover().domains] == [CARD, PACKAGE]
    collector.close()


def test_a_package_alone_counts(arc: Host) -> None:
    (arc.sysfs / CARD_FILE).unlink()
    collector = IntelGpuCollector(arc)
    assert [domain.uid for domain in collector.discover().domains] == [PACKAGE]
    collector.close()


def test_a_kernel_without_the_counter_is_told(arc: Host) -> None:
    for number in (1, 2):
        (arc.sysfs / f"class/hwmon/hwmon5/energy{number}_input").unlink()
    found = IntelGpuCollector(arc).discover()
    assert found.domains == ()
    assert "shows no energy" in found.unavailable[0].reason
    assert "newer kernel" in found.unavailable[0].remedy


def curve_of(domain: Domain, *readings: tuple[float, float]) -> tuple[float, list[str], float]:
    """(J, kinds of events, J that may be hidden) of readings (s, J)."""
    t_ns = [round(t * 1e9) for t, _ in readings]
    spacing = [0, *(b - a for a, b in itertools.pairwise(t_ns))]
    curve = build(domain, Series(t_ns, [value for _, value in readings], spacing), [(t_ns[0], t_ns[-1])])
    return curve.total_j, [event.kind for event in curve.events], curve.hidden_j


def test_a_poll_lost_for_longer_than_its_register_lasts_is_flagged(arc: Host) -> None:
    collector = IntelGpuCollector(arc)
    card = collector.discover().domains[0]
    collector.close()
    assert curve_of(card, (0, 100), (120, 20_100)) == (20_000, [], 0)
    # 690 s at 380 W: one turn of 262 kJ may have gone by unread, and the driver would not know.
    total_j, kinds, hidden_j = curve_of(card, (0, 100), (700, 20_100))
    assert (total_j, kinds) == (20_000, ["gap"])
    assert hidden_j == pytest.approx(2**18)


def test_a_driver_that_is_loaded_again_is_a_reset_and_no_wrap(arc: Host) -> None:
    collector = IntelGpuCollector(arc)
    card = collector.discover().domains[0]
    collector.close()
    assert curve_of(card, (0, 98_000), (1, 98_100), (2, 5), (3, 105))[:2] == (200, ["reset"])


def test_millions_of_watts_are_not_believed(arc: Host) -> None:
    collector = IntelGpuCollector(arc)
    card = collector.discover().domains[0]
    collector.close()
    assert curve_of(card, (0, 100), (1, 200), (2, 5_000_200), (3, 5_000_300))[:2] == (200, ["warning"])


def test_a_sleeping_card_is_not_woken_and_loses_nothing(arc: Host) -> None:
    collector = IntelGpuCollector(arc)
    collector.discover()
    loading.show(arc, "class/hwmon/hwmon5/device/power/runtime_status", "suspended")
    assert {event.subject for event in events(collector)} == {CARD, PACKAGE}
    assert list(collector.read()) == []
    loading.show(arc, "class/hwmon/hwmon5/device/power/runtime_status", "active")
    assert set(values(collector)) == {CARD, PACKAGE}
    collector.close()


def test_a_card_that_returns_is_found(arc: Host, clock: FakeClock) -> None:
    collector = IntelGpuCollector(arc)
    collector.discover()
    files = loading.unplug(arc, "hwmon5")
    assert [event.kind for event in events(collector)] == ["gap", "gap"]
    clock.advance(1)
    loading.plug(arc, "hwmon2", "pci0000:00/0000:03:00.0", files | {"energy1_input": str(7 * J)})
    assert values(collector) == {CARD: 7.0, PACKAGE: 73012.345678}
    collector.close()


def test_garbage_is_a_gap(arc: Host) -> None:
    collector = IntelGpuCollector(arc)
    collector.discover()
    loading.show(arc, CARD_FILE, "not a number")
    assert [event.subject for event in events(collector)] == [CARD]
    collector.close()
