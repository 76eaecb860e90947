"""What goes wrong with a GPU while it is read, and boards whose numbers are not what they seem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from greengen.accounting import curves
from greengen.accounting.cover import cover
from greengen.collector import Discovery, Domain, Event, Host, Sample, Usage
from greengen.collectors.nvml import NvmlCollector
from greengen.rows import Series
from greengen.testing.fake_pynvml import NVML_ERROR_NO_PERMISSION, FakeNvml, Rig

SECOND = 10**9
GH200 = Rig(watts=(400.0,), names=("NVIDIA GH200 480GB",), module_w=650.0, limit_w=900.0)


class Machine:
    """Fake GPUs in a host whose clock a test sets."""

    def __init__(self, rig: Rig, environ: dict[str, str] | None = None) -> None:
        self.now_s = 1000.0
        self.nvml = FakeNvml(replace(rig, clock_s=lambda: self.now_s))
        host = Host(monotonic_ns=lambda: round(self.now_s * SECOND), environ=environ or {})
        self.collector = NvmlCollector(host, self.nvml)
        self.found: Discovery = self.collector.discover()
        self.rows: list[Sample | Usage | Event] = []

    def read(self, seconds: float, step_s: float = 0.5) -> None:
        """Read on for a while."""
        for _ in range(round(seconds / step_s)):
            self.now_s += step_s
            self.rows += self.collector.read()

    def events(self) -> list[Event]:
        return [row for row in self.rows if isinstance(row, Event)]

    def samples(self, domain: Domain) -> list[Sample]:
        return [row for row in self.rows if isinstance(row, Sample) and row.domain == domain.uid]

    def curve(self, domain: Domain) -> curves.Curve:
        """The energy curve of what was read."""
        read = self.samples(domain)
        t_ns = [row.t_ns for row in read]
        spacing = [0, *(b - a for a, b in pairwise(t_ns))]
        series = Series(t_ns, [row.value for row in read], spacing, read[0].window_s)
        return curves.build(domain, series, [(t_ns[0], t_ns[-1])], [0.5])


# --- the driver goes away and comes back -----------------------------------------------------------------


def test_a_reloaded_driver_is_found_again_and_its_counter_is_reset() -> None:
    machine = Machine(Rig())
    [first, second] = machine.found.domains
    machine.read(10)
    machine.nvml.rig.loaded_s = machine.now_s
    machine.read(10)
    assert [(event.kind, event.subject) for event in machine.events()] == [("gap", first.uid), ("gap", second.uid)]
    curve = machine.curve(first)
    assert [event.kind for event in curve.events] == ["reset"]
    # Known: up to the reload, and from the first reading after it. In between nobody knows, with a bound.
    [unknown] = curve.unknown
    assert unknown.bound_j is not None
    assert curve.total_j == pytest.approx(300 * curve.known_s)
    assert 16 < curve.known_s < 18


def test_a_driver_that_stays_away_is_asked_ever_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(Rig())
    machine.read(2)
    starts = 0
    start = machine.nvml.nvmlInit

    def counted() -> None:
        nonlocal starts
        starts += 1
        start()

    monkeypatch.setattr(machine.nvml, "nvmlInit", counted)
    machine.nvml.rig.loaded_s = machine.now_s
    machine.nvml.rig.start_error = 9
    machine.read(600)
    assert 8 <= starts <= 16
    machine.nvml.rig.start_error = 0
    machine.read(62)
    assert machine.samples(machine.found.domains[0])[-1].t_ns == round(machine.now_s * SECOND)
    machine.collector.close()
    assert machine.nvml.running == 0


def test_a_gpu_that_is_lost_and_comes_back() -> None:
    machine = Machine(Rig())
    machine.read(5)
    machine.nvml.rig.lost = [1]
    machine.read(30)
    machine.nvml.rig.lost = []
    machine.read(5)
    assert [(event.kind, event.subject, event.reason) for event in machine.events()] == [
        ("gap", machine.found.domains[1].uid, "NVML: GPU is lost")
    ]
    assert len(machine.samples(machine.found.domains[0])) == 80
    assert len(machine.samples(machine.found.domains[1])) == 20
    assert machine.curve(machine.found.domains[1]).total_j == pytest.approx(120 * 39.5)


def test_permission_is_named() -> None:
    machine = Machine(Rig(start_error=NVML_ERROR_NO_PERMISSION))
    [why] = machine.found.unavailable
    assert "may not be opened" in why.reason
    assert "/dev/nvidia" in why.remedy


# --- numbers that are none ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown_w", "word"),
    [(4294967.295, "Not Supported"), (0.0, "not believed"), (250_000.0, "not believed")],
    ids=["not available", "nothing", "milliwatts as watts"],
)
def test_a_gauge_that_shows_no_power_is_a_gap(shown_w: float, word: str) -> None:
    machine = Machine(Rig(watts=(300.0,), energy=False, instant=False))
    machine.read(5)
    machine.nvml.rig.shown_w = shown_w
    machine.read(5)
    machine.nvml.rig.shown_w = None
    machine.read(5)
    [event] = machine.events()
    assert event.kind == "gap"
    assert word in event.reason
    assert {row.value for row in machine.samples(machine.found.domains[0])} == {300.0}


def test_two_gpus_with_one_uuid_are_read_once() -> None:
    machine = Machine(Rig(one_uuid=True))
    assert [domain.uid for domain in machine.found.domains] == [f"nvml:{Rig().uuid(0)}"]
    [why] = machine.found.unavailable
    assert why.interface == "nvml:1"
    assert "UUID of GPU 0" in why.reason


# --- the counter against the gauge -----------------------------------------------------------------------


@pytest.mark.parametrize(("counted", "told"), [(1.0, 0), (0.85, 0), (1.2, 0), (0.5, 1), (1.62, 1)], ids=str)
def test_a_counter_that_disagrees_with_the_gauge_is_told_once(counted: float, told: int) -> None:
    machine = Machine(Rig(watts=(300.0,), counted=counted))
    machine.read(60)
    events = machine.events()
    assert [event.kind for event in events] == ["warning"] * told
    for event in events:
        assert event.subject == machine.found.domains[0].uid
        assert "disagree" in event.reason


def test_momentary_power_is_watched_for_longer_than_an_average() -> None:
    a100 = Rig(watts=(300.0,), names=("NVIDIA A100-SXM4-80GB",), architecture=7, counted=0.5)
    machine = Machine(a100)
    machine.read(50)
    assert machine.events() == []
    machine.read(20)
    assert len(machine.events()) == 1


def test_a_sleep_or_a_reset_is_no_disagreement() -> None:
    machine = Machine(Rig(watts=(300.0,)))
    for _ in range(8):
        machine.read(6)
        machine.now_s += 1000
    machine.nvml.rig.loaded_s = machine.now_s
    machine.read(60)
    assert [event.kind for event in machine.events()] == ["gap"]


# --- superchips --------------------------------------------------------------------------------------------


def in_total(domains: Sequence[Domain]) -> list[str]:
    return [uid for uid, why in cover(domains, frozenset(d.uid for d in domains)).items() if not why]


def test_a_gh200_has_a_domain_for_its_module_and_counts_once() -> None:
    machine = Machine(GH200)
    gpu, module = machine.found.domains
    assert (gpu.kind, gpu.reading, module.kind, module.reading) == ("gpu", "power", "board", "power")
    assert module.contains == (gpu.uid,)
    assert module.alternative
    # Whose energy the counter counts is not sure there, so that it is not used, and says so.
    assert "zeus#172" in gpu.detail
    assert in_total(machine.found.domains) == [gpu.uid]
    machine.read(5)
    assert {row.value for row in machine.samples(gpu)} == {400.0}
    assert {row.value for row in machine.samples(module)} == {650.0}


def test_a_gh200_that_tells_its_module_only() -> None:
    machine = Machine(replace(GH200, gpu_scope=False, power=False))
    [module] = machine.found.domains
    assert module.kind == "board"
    assert in_total(machine.found.domains) == [module.uid]


def test_a_module_of_two_gpus_is_not_read_twice() -> None:
    machine = Machine(replace(GH200, watts=(900.0, 900.0), names=("NVIDIA GB200",), module_w=2500.0, limit_w=1200.0))
    assert [domain.kind for domain in machine.found.domains] == ["gpu", "gpu"]
    assert [why.interface for why in machine.found.unavailable] == [
        f"{domain.uid}/module" for domain in machine.found.domains
    ]


def test_persistence_mode_off_is_noted_where_there_is_a_counter_to_lose() -> None:
    [gpu] = Machine(Rig(watts=(300.0,), persistence=False)).found.domains
    assert "persistence mode is off" in gpu.detail
    assert "nvidia-smi -pm 1" in gpu.detail
    [gpu] = Machine(Rig(watts=(300.0,))).found.domains
    assert "persistence" not in gpu.detail
    [gpu] = Machine(Rig(watts=(300.0,), persistence=False, energy=False)).found.domains
    assert "persistence" not in gpu.detail
