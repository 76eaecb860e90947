"""NVIDIA GPUs on a fake NVML; the names it needs are looked up in the real pynvml."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace

import pytest

from greengen.collector import MACHINE, Collector, Discovery, Event, Host, Sample, Usage
from greengen.collectors import _nvml_api as api
from greengen.collectors import nvml as module
from greengen.collectors._nvml_api import Nvml
from greengen.collectors.nvml import NvmlCollector
from greengen.testing import fake_pynvml
from greengen.testing.fake_pynvml import FakeNvml, Rig


class Clock:
    """Seconds that a test sets; the rig's counters and the collector's times both run with it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def ns(self) -> int:
        return round(self.now_s * 1e9)

    def s(self) -> float:
        return self.now_s


def start(rig: Rig, environ: Mapping[str, str] | None = None) -> tuple[NvmlCollector, Discovery, Clock]:
    clock = Clock()
    host = Host(monotonic_ns=clock.ns, environ=environ or {})
    collector = NvmlCollector(host, FakeNvml(replace(rig, clock_s=clock.s)))
    return collector, collector.discover(), clock


def uids(found: Discovery) -> list[str]:
    return [domain.uid for domain in found.domains]


def test_is_a_collector() -> None:
    assert isinstance(NvmlCollector(Host(), FakeNvml()), Collector)


def test_two_gpus_with_energy_counters() -> None:
    rig = Rig(watts=(300.0, 120.0))
    collector, found, clock = start(rig)
    assert uids(found) == [f"nvml:{rig.uuid(0)}", f"nvml:{rig.uuid(1)}"]
    assert found.unavailable == ()
    domain = found.domains[0]
    assert (domain.kind, domain.reading, domain.scope, domain.grade) == ("gpu", "energy", "device", "measured")
    assert (domain.wrap_j, domain.max_power_w, domain.resolution_j) == (None, 1400, 0.001)
    assert domain.split is None
    assert "sole tenancy" in domain.split_reason
    assert domain.activity == domain.uid
    first = [row for row in collector.read() if isinstance(row, Sample)]
    clock.now_s += 10
    second = [row for row in collector.read() if isinstance(row, Sample)]
    assert [after.value - before.value for before, after in zip(first, second, strict=True)] == pytest.approx(
        [3000.0, 1200.0]
    )
    assert {row.kind for row in second} == {"energy"}
    collector.close()


def test_utilisation_becomes_cumulated_busy_time() -> None:
    collector, found, clock = start(Rig(watts=(300.0,), utilisation=(50,)))
    busy = []
    for seconds in (0.0, 10.0, 4.0):
        clock.now_s += seconds
        (usage,) = (row for row in collector.read() if isinstance(row, Usage))
        assert (usage.resource, usage.consumer) == (found.domains[0].uid, MACHINE)
        busy.append(usage.busy_ns)
    assert busy == [0, 5_000_000_000, 7_000_000_000]
    collector.close()


def test_a_board_names_its_slices() -> None:
    collector, found, _ = start(Rig(mig={"MIG-a": 0, "MIG-b": 0}))
    assert [domain.contains for domain in found.domains] == [("nvml:MIG-a", "nvml:MIG-b"), ()]
    collector.close()
    collector, found, _ = start(Rig())
    assert [domain.contains for domain in found.domains] == [(), ()]
    collector.close()


def test_mig_has_no_utilisation() -> None:
    collector, found, _ = start(Rig(utilisation=(None, 40)))
    assert [domain.activity for domain in found.domains] == [None, found.domains[1].uid]
    assert [row.resource for row in collector.read() if isinstance(row, Usage)] == [found.domains[1].uid]
    collector.close()


@pytest.mark.parametrize(
    ("rig", "window_s"),
    [
        (Rig(energy=False), 0.0),
        (Rig(energy=False, instant=False), 1.0),
        (Rig(energy=False, instant=False, names=("NVIDIA A100-SXM4-80GB",), architecture=7), 0.0),
        (Rig(energy=False, instant=False, names=("NVIDIA A30",), architecture=7), 0.0),
        (Rig(energy=False, instant=False, names=("NVIDIA RTX A3000",), architecture=7), 1.0),
        (Rig(energy=False, instant=False, names=("Tesla P100",), architecture=4), 0.0),
    ],
    ids=["instant field", "Hopper averages", "GA100 does not", "A30 neither", "A3000 is no A30", "nor does Pascal"],
)
def test_power_gauge_where_there_is_no_counter(rig: Rig, window_s: float) -> None:
    collector, found, _ = start(rig)
    assert {domain.reading for domain in found.domains} == {"power"}
    samples = [row for row in collector.read() if isinstance(row, Sample)]
    assert [(row.value, row.kind, row.window_s) for row in samples] == [
        (300.0, "power", window_s),
        (120.0, "power", window_s),
    ]
    collector.close()


def test_neither_energy_nor_power() -> None:
    collector, found, _ = start(Rig(energy=False, instant=False, power=False))
    assert found.domains == ()
    assert all("neither energy nor power: Not Supported" in why.reason for why in found.unavailable)
    assert len(found.unavailable) == 2
    assert list(collector.read()) == []
    collector.close()


def test_a_board_that_reads_0_is_not_believed() -> None:
    collector, found, _ = start(Rig(watts=(0.0,)))
    assert found.domains == ()
    collector.close()


@pytest.mark.parametrize(
    ("number", "word", "remedy"),
    [(9, "driver is not loaded", "modprobe"), (12, "libnvidia-ml", "--gpus all"), (997, "997", "")],
)
def test_nvml_that_does_not_start(number: int, word: str, remedy: str) -> None:
    collector, found, _ = start(Rig(start_error=number))
    (why,) = found.unavailable
    assert word in why.reason
    assert remedy in why.remedy
    collector.close()


def test_module_that_cannot_be_imported() -> None:
    collector = NvmlCollector(Host(environ={"GREENGEN_PYNVML": "no_such_module"}))
    (why,) = collector.discover().unavailable
    assert "no_such_module" in why.reason


def test_a_lost_gpu_is_a_gap_told_once_and_the_others_go_on() -> None:
    collector, found, _ = start(Rig())
    fake = collector._given
    assert isinstance(fake, FakeNvml)
    list(collector.read())
    fake.rig.lost = [0]
    (event,) = (row for row in collector.read() if isinstance(row, Event))
    assert (event.kind, event.subject, event.reason) == ("gap", found.domains[0].uid, "NVML: GPU is lost")
    rows = list(collector.read())
    assert not [row for row in rows if isinstance(row, Event)]
    assert [row.domain for row in rows if isinstance(row, Sample)] == [found.domains[1].uid]
    fake.rig.lost = []
    assert len([row for row in collector.read() if isinstance(row, Sample)]) == 2
    collector.close()


def test_no_busy_time_is_made_up_across_an_outage() -> None:
    collector, _, clock = start(Rig(watts=(300.0,), utilisation=(100,)))
    fake = collector._given
    assert isinstance(fake, FakeNvml)
    list(collector.read())
    fake.rig.utilisation = (None,)
    clock.now_s += 100
    (event,) = (row for row in collector.read() if isinstance(row, Event))
    assert event.kind == "warning"
    fake.rig.utilisation = (100,)
    clock.now_s += 100
    assert [row.busy_ns for row in collector.read() if isinstance(row, Usage)] == [0]
    clock.now_s += 1
    assert [row.busy_ns for row in collector.read() if isinstance(row, Usage)] == [1_000_000_000]
    collector.close()


def test_a_gpu_that_does_not_answer_at_first() -> None:
    collector, found, _ = start(Rig(lost=[0]))
    assert uids(found) == [f"nvml:{Rig().uuid(1)}"]
    assert [why.interface for why in found.unavailable] == ["nvml:0"]
    collector.close()


def test_close_shuts_nvml_down_once() -> None:
    collector, _, _ = start(Rig())
    fake = collector._given
    assert isinstance(fake, FakeNvml)
    assert fake.running == 1
    collector.discover()
    assert fake.running == 1
    collector.close()
    collector.close()
    assert fake.running == 0


# --- CUDA_VISIBLE_DEVICES -------------------------------------------------------------------------------

FOUR = Rig(watts=(100.0, 200.0, 300.0, 400.0))


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("0,1,2,3", [0, 1, 2, 3]),
        ("2", [2]),
        ("3, 1", [3, 1]),
        ("1,1", [1]),
        (FOUR.uuid(2), [2]),
        (FOUR.uuid(2)[:14], [2]),
        (f"{FOUR.uuid(3)},0", [3, 0]),
        ("0,-1,1", [0]),
        ("0,7,1", [0]),
        ("GPU-5c2f", []),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        (f"MIG-{FOUR.uuid(1)}/3/0", [1]),
        ("MIG-aaaa", [2]),
        ("MIG-bbbb", []),
    ],
)
def test_cuda_visible_devices(variable: str, expected: list[int]) -> None:
    collector, found, _ = start(replace(FOUR, mig={"MIG-aaaa": 2}), {"CUDA_VISIBLE_DEVICES": variable})
    assert uids(found) == [f"nvml:{FOUR.uuid(index)}" for index in expected]
    assert bool(found.unavailable) == (not expected)
    collector.close()


def test_numbers_of_mixed_gpus_are_not_trusted_in_silence() -> None:
    rig = Rig(names=("NVIDIA H100 80GB HBM3", "NVIDIA T400 4GB"))
    collector, found, _ = start(rig, {"CUDA_VISIBLE_DEVICES": "0"})
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in found.unavailable[0].remedy
    collector.close()
    by_bus = {"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    collector, found, _ = start(rig, by_bus)
    assert found.unavailable == ()
    collector.close()


def test_no_gpu_at_all() -> None:
    collector, found, _ = start(Rig(watts=()))
    assert "sees no GPU" in found.unavailable[0].reason
    collector.close()


# --- the fake and the real thing -----------------------------------------------------------------------


def test_what_is_called_exists_in_pynvml() -> None:
    real = importlib.import_module("pynvml")
    for name, call in inspect.getmembers(Nvml, inspect.isfunction):
        if name.startswith("nvml"):
            theirs = list(inspect.signature(getattr(real, name)).parameters.values())
            required = [parameter for parameter in theirs if parameter.default is parameter.empty]
            assert len(required) == len(inspect.signature(call).parameters) - 1, name
    assert (real.NVML_FI_DEV_POWER_AVERAGE, real.NVML_FI_DEV_POWER_INSTANT) == (api.POWER_AVERAGE, api.POWER_INSTANT)
    assert (real.NVML_POWER_SCOPE_GPU, real.NVML_POWER_SCOPE_MODULE) == (api.SCOPE_GPU, api.SCOPE_MODULE)
    for name in ("UNINITIALIZED", "NOT_SUPPORTED", "NOT_FOUND", "GPU_IS_LOST", "RESET_REQUIRED", "UNKNOWN"):
        assert getattr(real, f"NVML_ERROR_{name}") == getattr(api, name)
    assert real.NVML_DEVICE_ARCH_AMPERE == api.AMPERE
    assert real.NVML_DEVICE_ARCH_UNKNOWN == api.UNKNOWN_ARCHITECTURE
    unavailable = {real.NVML_VALUE_NOT_AVAILABLE_uint.value, real.NVML_VALUE_NOT_AVAILABLE_ulonglong.value}
    assert unavailable == api.NOT_AVAILABLE
    sample = {name for name, _ in real.c_nvmlProcessUtilizationSample_t._fields_}
    assert sample >= {"pid", "timeStamp", "smUtil"}
    starts = {"NO_PERMISSION", "DRIVER_NOT_LOADED", "LIBRARY_NOT_FOUND", "LIB_RM_VERSION_MISMATCH"}
    assert {getattr(real, f"NVML_ERROR_{name}") for name in starts} == set(module._START)


def test_the_fake_has_pynvmls_numbers_and_texts() -> None:
    real = importlib.import_module("pynvml")
    for name in (name for name in dir(fake_pynvml) if name.startswith("NVML_")):
        assert getattr(fake_pynvml, name) == getattr(real, name), name
    for number, text in fake_pynvml._TEXTS.items():
        assert str(real.NVMLError(number)) == text


def test_the_real_pynvml_says_why_it_cannot() -> None:
    """With the real library: this machine has a GPU, or the reason why there is none."""
    collector = NvmlCollector(Host())
    found = collector.discover()
    assert found.domains or found.unavailable[0].reason
    assert len([row for row in collector.read() if isinstance(row, Sample)]) == len(found.domains)
    collector.close()


def test_the_fake_reaches_a_recording_in_another_process() -> None:
    program = (
        "from greengen.collector import Host\nfrom greengen.collectors.nvml import NvmlCollector\n"
        "found = NvmlCollector(Host.from_environment()).discover()\n"
        "print(*(f'{d.uid} {d.reading}' for d in found.domains), sep=chr(10))"
    )
    environ = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"} | {
        "GREENGEN_PYNVML": "greengen.testing.fake_pynvml",
        "GREENGEN_FAKE_NVML": '{"watts": [300, 100, 50], "energy": false}',
    }
    child = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert child.stdout.splitlines() == [f"nvml:{Rig().uuid(index)} power" for index in range(3)]
