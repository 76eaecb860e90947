"""Accelerators modelled from busy time and stated powers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greengen.accounting.cover import cover
from greengen.collector import Collector, Discovery, Domain, Event, Host, Sample, Usage
from greengen.collectors import _busy
from greengen.collectors._busy import Told
from greengen.collectors.accelerator import AcceleratorCollector, Powers, _domain, _Rows, stated
from greengen.collectors.cpu_model import GAIN, WORKLOAD
from greengen.collectors.intel_npu import UID, IntelNpuCollector
from greengen.testing import fake_libtpu, trees
from greengen.testing.fake_commands import fake_command, neuron_report
from greengen.testing.scripted import FakeClock
from tests.hosts import loading
from tests.unit.readings import first, opened, several

S = 1_000_000_000
BUSY = "bus/pci/drivers/intel_vpu/0000:00:0b.0/npu_busy_time_us"
LOAD = "kernel/debug/rknpu/load"


def states(host: Host, text: str, **more: str) -> Host:
    return replace(host, environ={"GREENGEN_ACCELERATOR": text, **more})


def rows(host: Host, powers: Powers, use: list[Usage], name: str = "intel_npu") -> tuple[_Rows, Domain]:
    source = _busy.SOURCES[name](host)
    assert source is not None
    domain = _domain(name, "", source, powers)
    return _Rows(source, {"": domain}, powers, use), domain


def test_nothing_is_guessed(tmp_path: Path) -> None:
    with opened(AcceleratorCollector(loading.build("rockchip", tmp_path / "a"))) as (collector, found):
        assert isinstance(collector, Collector)
        assert found.domains == ()
        [why] = found.unavailable
        assert why.interface == "accelerator:rknpu"
        assert "not stated" in why.reason
        assert 'GREENGEN_ACCELERATOR="rknpu=IDLE/ACTIVE"' in why.remedy
        assert list(collector.read()) == []
    # What reads an Intel NPU says for itself what it lacks.
    for host in (loading.build("intel_npu", tmp_path / "b"), trees.intel_laptop(tmp_path / "c")):
        with opened(AcceleratorCollector(host)) as (_, found):
            assert found == Discovery()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gpu=1/2", "known accelerators are intel_npu, neuron, rknpu, tpu"),
        ("rknpu", "not IDLE/ACTIVE"),
        ("rknpu=3", "not IDLE/ACTIVE"),
        ("rknpu=3/2", "not IDLE/ACTIVE"),
        ("rknpu=-1/2", "not IDLE/ACTIVE"),
        ("rknpu=0/0", "not IDLE/ACTIVE"),
        ("rknpu=0/inf", "not IDLE/ACTIVE"),
        ("rknpu=nan/nan", "not IDLE/ACTIVE"),
    ],
)
def test_what_cannot_be_meant_is_said(text: str, words: str) -> None:
    found, wrong = stated(f"tpu=90/170, {text}", lambda name, path: "no file")
    assert found == {"tpu": Powers(90.0, 170.0)}
    [why] = wrong
    assert words in why


def calibration(path: Path, **changes: Any) -> str:  # noqa: ANN401 -- any JSON
    """A file that `greengen calibrate` could have written, as the variable names it."""
    told = {
        "schema": "greengen.accelerator/1",
        "accelerator": "rknpu",
        "active_w": 2.2,
        "sigma": 0.04,
        "scatter": 0.4,
        "machine": {"cpu": "a CPU of no known name", "logical_cpus": 8},
        "meter": {"domains": ["plug:wall"], "kind": "wall", "grade": "measured", "gain": 0.02},
        "created": "2026-05-01T10:00:00+00:00",
    }
    path.write_text(json.dumps({**told, **changes}), encoding="utf-8")
    return f"rknpu=@{path}"


def test_a_power_that_was_fitted_is_known_better(tmp_path: Path) -> None:
    host = loading.build("rockchip", tmp_path / "m")
    with opened(AcceleratorCollector(states(host, calibration(tmp_path / "npu.json")))) as (collector, found):
        [domain] = found.domains
        assert (domain.idle_w, domain.max_power_w, domain.gain) == (0.0, 2.2, 0.02)
        assert domain.workload == pytest.approx(math.hypot(0.4, 0.04))
        assert "beyond idle, fitted by `greengen calibrate` on 2026-05-01 to plug:wall (measured)" in domain.detail
        sample = first(collector, Sample)
        assert sample.value == pytest.approx(0.3 * 2.2)
    with opened(AcceleratorCollector(states(host, calibration(tmp_path / "npu.json", scatter=0.01)))) as (_, found):
        assert found.domains[0].workload == pytest.approx(math.hypot(WORKLOAD, 0.04))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"accelerator": "tpu"}, "is of 'tpu', and not of rknpu"),
        ({"machine": {"cpu": "another", "logical_cpus": 8}}, "of another machine"),
        ({"schema": "greengen.calibration/1"}, "no calibration of the schema greengen.accelerator/1"),
        ({"active_w": -1}, "is damaged"),
    ],
)
def test_a_file_of_something_else_is_refused(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    host = loading.build("rockchip", tmp_path / "m")
    with opened(AcceleratorCollector(states(host, calibration(tmp_path / "npu.json", **changes)))) as (_, found):
        assert found.domains == ()
        assert words in found.unavailable[0].reason
        assert found.unavailable[1].interface == "accelerator:rknpu"  # and so nothing is stated


def test_one_that_is_named_and_not_here(tmp_path: Path) -> None:
    with opened(AcceleratorCollector(states(trees.intel_laptop(tmp_path), "tpu=90/170,x=1/2"))) as (_, found):
        assert [why.interface for why in found.unavailable] == ["accelerator", "accelerator:tpu"]
        assert "it is not here" in found.unavailable[1].reason


def test_a_load_gives_power_and_a_wide_interval(tmp_path: Path) -> None:
    host = states(loading.build("rockchip", tmp_path), "rknpu=0.5/3.5")
    with opened(AcceleratorCollector(host)) as (collector, found):
        assert found.unavailable == ()
        [domain] = found.domains
        assert (domain.uid, domain.kind, domain.grade, domain.reading) == (
            "accelerator:rknpu",
            "npu",
            "modelled",
            "power",
        )
        assert (domain.gain, domain.workload, domain.idle_w, domain.max_power_w) == (GAIN, WORKLOAD, 0.5, 3.5)
        assert domain.activity == domain.uid
        assert "3.5 W busy, 0.5 W idle, as GREENGEN_ACCELERATOR states" in domain.detail
        sample = first(collector, Sample)
        # 60, 30 and 0 % of three cores.
        assert sample.value == pytest.approx(0.5 + 0.3 * 3.0)
        assert (sample.kind, sample.window_s) == ("power", 1.0)


def test_a_load_that_begins_to_lie_is_a_gap(tmp_path: Path) -> None:
    host = states(loading.build("rockchip", tmp_path), "rknpu=0.5/3.5")
    with opened(AcceleratorCollector(host)) as (collector, _):
        loading.show(host, LOAD, "NPU load:  Core0: 99%, Core1: 99%, Core2: 429496%,")
        gap = first(collector, Event)
        assert (gap.kind, gap.subject) == ("gap", "accelerator:rknpu")
        assert "429496%: a job hangs" in gap.reason


def test_a_load_for_root_only(tmp_path: Path) -> None:
    host = loading.build("rockchip", tmp_path)
    (host.sysfs / LOAD).unlink()
    with opened(AcceleratorCollector(states(host, "rknpu=0.5/3.5"))) as (_, found):
        [why] = found.unavailable
        assert "No such file" in why.reason
        assert "run as root" in why.remedy


@pytest.mark.parametrize(
    ("text", "busy"),
    [
        ("NPU load:  Core0: 21%, Core1: 11%, Core2:  1%,\n", 0.11),
        ("NPU load:  Core0:  0%, Core1:  0%, Core2:  0%,\n", 0.0),
        ("NPU load:  Core0:   %, Core1: 25%, Core2:   %,\n", 0.25 / 3),
        ("NPU load:  37%\n", 0.37),
        ("NPU load:   %\n", 0.0),
        ("NPU load: 100%\n", 1.0),
    ],
)
def test_loads(text: str, busy: float) -> None:
    assert _busy.rknpu_load(text).busy[""] == pytest.approx(busy)


@pytest.mark.parametrize("text", ["", "NPU load:\n", "busy", "GPU NPU load: 3%", "NPU load: 20000%"])
def test_what_is_no_load(text: str) -> None:
    with pytest.raises(ValueError, match=r"no load|hangs"):
        _busy.rknpu_load(text)


def test_busy_time_makes_a_counter_that_is_the_same_for_all_recorders(tmp_path: Path) -> None:
    use: list[Usage] = []
    told, domain = rows(loading.build("intel_npu", tmp_path), Powers(0.5, 4.5), use)
    assert domain.reading == "energy"
    seen = [row for t, busy in ((10, 2.0), (11, 2.5), (12, 3.5)) for row in told(t * S, Told({"": busy}))]
    later, _ = rows(loading.build("intel_npu", tmp_path / "again"), Powers(0.5, 4.5), [])
    values = [row.value for row in seen if isinstance(row, Sample)]
    assert values == [10 * 0.5 + 2.0 * 4.0, 11 * 0.5 + 2.5 * 4.0, 12 * 0.5 + 3.5 * 4.0]
    [sample] = later(12 * S, Told({"": 3.5}))
    assert isinstance(sample, Sample)
    assert sample.value == values[-1]
    assert [usage.busy_ns for usage in use] == [2 * S, 2_500_000_000, 3_500_000_000]
    assert {usage.resource for usage in use} == {"accelerator:intel_npu"}


def test_a_driver_that_was_loaded_anew_shows_as_a_reset(tmp_path: Path) -> None:
    use: list[Usage] = []
    told, _ = rows(loading.build("intel_npu", tmp_path), Powers(2.0, 4.0), use)
    busy = [100.0, 101.0, 0.5, 1.0]
    # Idle power alone would have hidden the fall.
    seconds = [0, 1, 200, 201]
    values = [
        row.value
        for t, b in zip(seconds, busy, strict=True)
        for row in told(t * S, Told({"": b}))
        if isinstance(row, Sample)
    ]
    assert values[1] - values[0] == pytest.approx(2.0 + 2.0)
    assert values[2] == pytest.approx(values[1] - 1.0)
    assert values[3] - values[2] == pytest.approx(2.0 + 0.5 * 2.0)
    assert [usage.busy_ns / S for usage in use] == pytest.approx([100.0, 101.0, 101.5, 102.0])


def test_intels_npu_is_counted_once(tmp_path: Path) -> None:
    host = states(loading.build("intel_npu", tmp_path), "intel_npu=0.3/4")
    loading.show(host, "class/intel_pmt/telem2/telem", b"\1" * 6144)
    measured = IntelNpuCollector(host)
    with opened(AcceleratorCollector(host)) as (collector, found):
        [modelled] = found.domains
        counter = first(collector, Sample)
        assert counter.kind == "energy"
        domains = [modelled, *measured.discover().domains]
        verdict = cover(domains, frozenset(domain.uid for domain in domains))
        assert verdict == {UID: "", "accelerator:intel_npu": "part of Intel NPU (Lunar Lake)"}
    measured.close()


def machine_with_neuron(root: Path, devices: int) -> Host:
    host = trees.machine(root, model="AMD EPYC 7R13 Processor", cpus=4)
    for device in range(devices):
        (host.sysfs / f"devices/virtual/neuron_device/neuron{device}").mkdir(parents=True)
    return host


def test_neuron_devices_by_the_use_of_their_cores(tmp_path: Path) -> None:
    report = neuron_report(80.0, 40.0, 10.0, per_device=2, devices=2)
    # What comes before the first reading is not of the recording, and a fast command's first report does.
    path = str(fake_command(tmp_path / "bin", "neuron-monitor", report * 3, then_seconds=600))
    host = states(machine_with_neuron(tmp_path / "m", 2), "neuron=60/200", PATH=path)
    with opened(AcceleratorCollector(host)) as (collector, found):
        assert [domain.uid for domain in found.domains] == ["accelerator:neuron-0", "accelerator:neuron-1"]
        samples = several(collector, Sample, 2)
        assert {row.domain: row.value for row in samples} == {
            "accelerator:neuron-0": pytest.approx(60 + 0.6 * 140),
            "accelerator:neuron-1": pytest.approx(60 + 0.05 * 140),
        }
        assert samples[0].window_s == pytest.approx(5.0, abs=0.01)


def test_neuron_monitor_that_ends_is_a_gap(tmp_path: Path) -> None:
    path = str(fake_command(tmp_path / "bin", "neuron-monitor", "", code=1))
    with opened(AcceleratorCollector(states(machine_with_neuron(tmp_path / "m", 1), "neuron=60/200", PATH=path))) as (
        collector,
        found,
    ):
        assert len(found.domains) == 1  # its first report comes seconds later
        gap = first(collector, Event)
        assert "neuron-monitor ended (1)" in gap.reason


def test_neuron_without_its_monitor(tmp_path: Path) -> None:
    host = machine_with_neuron(tmp_path, 1)
    with opened(AcceleratorCollector(states(host, "neuron=60/200", PATH=str(tmp_path)))) as (_, found):
        [why] = found.unavailable
        assert "neuron-monitor" in why.reason
        assert "Neuron tools" in why.remedy
    with opened(AcceleratorCollector(states(host, "", PATH=str(tmp_path)))) as (_, found):
        assert "not stated" in found.unavailable[0].reason


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no report"),
        ("{}", "no report"),
        ("[1]", "no report"),
        (neuron_report(50.0, per_device=0), "no report"),
        (neuron_report(50.0).replace('"error": ""', '"error": "cannot read counters"'), "cannot read counters"),
        (neuron_report(900.0), "more than fully used"),
        (neuron_report(-50.0), "no use"),
        (neuron_report(float("nan")), "no use"),
        (neuron_report(50.0).replace('"neuron_device_count"', '"logical_neuroncore_config": 2, "n"'), "logical"),
    ],
)
def test_what_is_no_report(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        _busy.neuron_report(text)


def test_a_machine_on_which_no_program_uses_neuron_idles() -> None:
    assert dict(_busy.neuron_report(neuron_report()).busy) == {}


def machine_with_tpus(root: Path, chips: int) -> Host:
    host = trees.machine(root, model="AMD EPYC 7B12", cpus=4, flags="fpu hypervisor")
    loading.show(host, "class/dmi/id/product_name", "Google Compute Engine")
    for chip in range(chips):
        loading.show(host, f"bus/pci/devices/0000:00:{4 + chip:02x}.0/vendor", "0x1ae0")
        loading.show(host, f"bus/pci/devices/0000:00:{4 + chip:02x}.0/device", "0x0063")
    # Google's network card is no TPU.
    loading.show(host, "bus/pci/devices/0000:00:03.0/vendor", "0x1ae0")
    loading.show(host, "bus/pci/devices/0000:00:03.0/device", "0x0042")
    return host


def test_tpus_by_their_duty_cycle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = states(machine_with_tpus(tmp_path, 2), "tpu=90/170", GREENGEN_LIBTPU=fake_libtpu.__name__)
    monkeypatch.setenv("GREENGEN_FAKE_TPU", "")
    with opened(AcceleratorCollector(host)) as (collector, found):
        assert [domain.uid for domain in found.domains] == ["accelerator:tpu-0", "accelerator:tpu-1"]
        gaps = several(collector, Event, 2)
        assert "perhaps no program uses the TPU" in gaps[0].reason
        monkeypatch.setenv("GREENGEN_FAKE_TPU", "45.00,100.00")
        samples = several(collector, Sample, 2)
        assert [row.value for row in samples[:2]] == [pytest.approx(90 + 0.45 * 80), 170.0]


@pytest.mark.parametrize("said", ["45.00,30.00,20.00", "30.00"])
def test_only_the_chips_that_are_visible_are_counted(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether libtpu tells of all, or of those only."""
    monkeypatch.setenv("GREENGEN_FAKE_TPU", said)
    host = machine_with_tpus(tmp_path, 3)
    source = _busy.tpu(replace(host, environ={"GREENGEN_LIBTPU": fake_libtpu.__name__, "TPU_VISIBLE_CHIPS": "1"}))
    assert source is not None
    assert (source.units, dict(source.ask().busy)) == (("1",), {"1": 0.3})


@pytest.mark.parametrize("said", ["45.0", "45.0,-1.0", "45.0,nan", "45.0,101", "x,y"])
def test_duty_cycles_that_mean_nothing(said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENGEN_FAKE_TPU", said)
    with pytest.raises(ValueError, match="of 2 chips"):
        _busy.TpuSource(("0", "1"), fake_libtpu.__name__).ask()


def test_tpus_without_the_library(tmp_path: Path) -> None:
    host = states(machine_with_tpus(tmp_path, 1), "tpu=90/170", GREENGEN_LIBTPU="no_such_libtpu.sdk")
    with opened(AcceleratorCollector(host)) as (_, found):
        [why] = found.unavailable
        assert "no_such_libtpu.sdk" in why.reason
        assert "install libtpu" in why.remedy


def test_busy_time_of_a_gauge_adds_up(tmp_path: Path) -> None:
    use: list[Usage] = []
    told, _ = rows(loading.build("rockchip", tmp_path), Powers(1.0, 3.0), use, "rknpu")
    for second, part in ((0, 0.5), (1, 0.5), (3, 0.25), (60, 1.0), (61, 1.0)):
        list(told(second * S, Told({"": part}, 1.0)))
    # Between 3 and 60 s nothing was told.
    assert [usage.busy_ns for usage in use] == [0, S // 2, S, S, 2 * S]


def test_a_clock_that_stands_still_is_no_trouble(tmp_path: Path) -> None:
    host = replace(states(loading.build("rockchip", tmp_path), "rknpu=0.5/3.5"), monotonic_ns=FakeClock())
    with opened(AcceleratorCollector(host)) as (collector, _):
        assert first(collector, Sample).t_ns == FakeClock()()
