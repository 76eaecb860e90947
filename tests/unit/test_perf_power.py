"""RAPL through perf: on a fake PMU whose events are pipes, and on the real perf_event_open."""

from __future__ import annotations

import errno
import os
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from greengen import plugins
from greengen.collector import Discovery, Event, Host
from greengen.collectors._perf_event import open_event, read_event
from greengen.collectors.perf_power import PerfPowerCollector
from greengen.collectors.rapl import RaplCollector
from greengen.testing import trees
from greengen.testing.scripted import FakeClock
from tests.hosts import loading
from tests.unit.readings import values

PMU = "bus/event_source/devices/power"


class Events:
    """Stands in for perf_event_open: a descriptor that gives what `say` puts in."""

    def __init__(self) -> None:
        self.opened: list[tuple[int, int, int]] = []
        self.error: int | None = None
        self._ends: list[int] = []

    def __call__(self, kind: int, config: int, cpu: int) -> int:
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        read, write = os.pipe()
        self.opened.append((kind, config, cpu))
        self._ends.append(write)
        return read

    def say(self, *counts: int) -> None:
        """What each event read next gives, in the order of opening."""
        for end, count in zip(self._ends, counts, strict=False):
            os.write(end, struct.pack("=Q", count))

    def end(self, index: int) -> None:
        """A read of this event gives nothing any more, as when its CPU went offline."""
        os.close(self._ends.pop(index))

    def close(self) -> None:
        for end in self._ends:
            os.close(end)


@pytest.fixture
def opened() -> Iterator[Events]:
    events = Events()
    yield events
    events.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(tmp_path: Path, clock: FakeClock) -> Host:
    host = replace(loading.build("perf_power", tmp_path), monotonic_ns=clock)
    for event in ("energy-cores", "energy-ram"):
        (host.sysfs / PMU / "events" / event).unlink()
    loading.show(host, f"{PMU}/type", "23")
    loading.show(host, f"{PMU}/events/energy-pkg", "event=0x02")
    loading.show(host, f"{PMU}/events/energy-pkg.scale", "2.3283064365386962890625e-10")
    return host


def discovered(host: Host, opened: Events) -> tuple[PerfPowerCollector, Discovery]:
    collector = PerfPowerCollector(host, opened)
    return collector, collector.discover()


def test_one_event_per_package_in_units_of_its_scale(server: Host, opened: Events) -> None:
    collector, found = discovered(server, opened)
    assert opened.opened == [(23, 2, 0), (23, 2, 1)]
    assert [domain.uid for domain in found.domains] == ["perf_power:package-0", "perf_power:package-1"]
    assert {domain.wrap_j for domain in found.domains} == {None}
    opened.say(3 << 32, 5 << 31)
    assert values(collector) == {"perf_power:package-0": 3.0, "perf_power:package-1": 2.5}
    collector.close()


def test_two_dies_of_one_package(server: Host, opened: Events) -> None:
    loading.show(server, "devices/system/cpu/cpu1/topology/physical_package_id", "0")
    collector, found = discovered(server, opened)
    assert [domain.uid for domain in found.domains] == ["perf_power:package-0", "perf_power:package-0-die-1"]
    collector.close()


def test_parts_lie_inside_or_beside(server: Host, opened: Events) -> None:
    for number, event in enumerate(("energy-cores", "energy-ram", "energy-gpu", "energy-psys"), 3):
        loading.show(server, f"{PMU}/events/{event}", f"event=0x{number:02x}")
        loading.show(server, f"{PMU}/events/{event}.unit", "Joules")
        loading.show(server, f"{PMU}/events/{event}.scale", "2.3283064365386962890625e-10")
    loading.show(server, f"{PMU}/cpumask", "0\n")
    collector, found = discovered(server, opened)
    package = "perf_power:package-0"
    contains = {domain.uid: domain.contains for domain in found.domains}
    assert contains[package] == (f"{package}/core", f"{package}/uncore")
    assert contains["perf_power:psys"] == (package, f"{package}/dram")
    assert [domain.alternative for domain in found.domains if domain.kind == "psys"] == [True]
    collector.close()


def test_amd_counts_cores_one_by_one(server: Host, opened: Events, tmp_path: Path) -> None:
    amd = trees.machine(tmp_path / "amd", model="AMD EPYC", vendor="AuthenticAMD", cpus=2)
    loading.show(server, f"{PMU}/events/energy-cores", "event=0x01")
    collector, found = discovered(replace(server, procfs=amd.procfs), opened)
    assert {domain.kind for domain in found.domains} == {"package"}
    assert found.domains[0].gain == 0.10
    collector.close()


def test_a_unit_that_is_not_joules_is_refused(server: Host, opened: Events) -> None:
    loading.show(server, f"{PMU}/events/energy-pkg.unit", "Watts ")
    _, found = discovered(server, opened)
    assert found.domains == ()
    assert "only joules" in found.unavailable[0].reason


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_permission_denied_names_the_remedies(server: Host, opened: Events, number: int) -> None:
    opened.error = number
    _, found = discovered(server, opened)
    (why,) = found.unavailable
    assert "perf_event_paranoid" in why.reason
    assert why.remedy.index("cap_perfmon") < why.remedy.index("run as root")


def test_no_such_pmu_is_left_to_rapl(tmp_path: Path, opened: Events) -> None:
    _, found = discovered(trees.machine(tmp_path, model="x", cpus=1), opened)
    assert found == Discovery()


def test_it_stands_in_for_what_powercap_does_not_show(server: Host, opened: Events) -> None:
    trees.with_zones(server, {"intel-rapl:0": trees.ZoneSpec("package-0", 5_000_000)})
    found = plugins.discover_all([PerfPowerCollector(server, opened), RaplCollector(server)])
    assert [domain.uid for domain in found.domains] == ["rapl:package-0"]
    found.collectors[0].close()


def test_a_cpu_that_goes_offline_is_a_gap_and_then_a_reset(server: Host, opened: Events, clock: FakeClock) -> None:
    loading.show(server, f"{PMU}/cpumask", "0\n")
    collector, _ = discovered(server, opened)
    opened.say(9 << 32)
    assert values(collector) == {"perf_power:package-0": 9.0}
    opened.end(0)
    opened.error = errno.ENODEV
    (event,) = [row for row in collector.read() if isinstance(row, Event)]
    assert (event.kind, event.subject) == ("gap", "perf_power:package-0")
    assert "went offline" in event.reason
    clock.advance(1)
    opened.error = None
    assert list(collector.read()) == []  # opened again, and to be read from the next time on
    opened.say(1 << 30)
    # From 0 anew: the curve sees a reset, whose joules are unknown within a bound.
    assert values(collector) == {"perf_power:package-0": 0.25}
    collector.close()


def test_the_real_system_call() -> None:
    """The CPU clock of CPU 0, in ns: that it runs like the time shows that kernel and structure agree."""
    try:
        fd = open_event(1, 0, 0)
    except OSError as error:
        pytest.skip(f"perf_event_open is not allowed here: {error}")
    t0, before = time.monotonic_ns(), read_event(fd)
    time.sleep(0.2)
    after, t1 = read_event(fd), time.monotonic_ns()
    os.close(fd)
    assert after - before == pytest.approx(t1 - t0, rel=0.05)


def test_a_pmu_that_the_kernel_does_not_have() -> None:
    with pytest.raises(OSError, match=r".") as caught:
        os.close(open_event(9999, 0, 0))
    assert caught.value.errno in (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOSYS)
