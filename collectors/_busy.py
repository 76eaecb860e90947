"""How accelerators without any power sensor tell how busy they are, one source for each kind.

A source either counts busy time since its driver was loaded, or tells how much of a short window was busy.

Facts, by source:
intel_npu  the kernel's Documentation/ABI/testing/sysfs-driver-ivpu: npu_busy_time_us, once a second at most
rknpu      Rockchip's kernel, drivers/rknpu/rknpu_debugger.c (``NPU load:  Core0: 21%, Core1: …,``, or ``NPU load:
           21%`` of a chip with one core; a printed 0 may be blank) and rknpu_drv.c (RKNPU_LOAD_INTERVAL, 1 s; the
           driver's name RKNPU). 429496 % after a job that failed: rockchip-linux/rknpu2 issue 102
neuron     awsdocs-neuron, Neuron Monitor User Guide: one JSON report in 5 s on stdout; fields as in the report that
           aws-neuron's neuron-monitor-prometheus.py quotes: neuron_runtime_data[].report.neuroncore_counters, and
           neuron_hardware_info
tpu        docs.cloud.google.com, TPU Monitoring Library, and the tool tpu-info (AI-Hypercomputer/
           cloud-accelerator-diagnostics), which asks the same from a process of its own: tpumonitoring, or monitoring
           in older libraries, .get_metric("duty_cycle_pct").data() gives percents as texts, one for each chip
           ("Duty cycle is always measured per-chip"); PCI ids in its device.py. TPU_VISIBLE_CHIPS, and its older name
           TPU_VISIBLE_DEVICES: pytorch/xla pull requests 4724 and 3813
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from greengen.collector import Host
from greengen.collectors._cards import beside_path, installed, number
from greengen.collectors._cpu_info import read_text
from greengen.collectors.intel_npu import busy_file

_TPU_VENDOR = "0x1ae0"
_TPU_DEVICES = ("0x0027", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076")
_MONITOR, _NEURON = "neuron-monitor", "/opt/aws/neuron/bin"
_LOAD = re.compile(r"(?:Core(\d+):)?\s*(\d*)\s*%")
#: A core may be told busy a little longer than its window.
_MOST_BUSY = 1.05


class Told(NamedTuple):
    """What a source says, by unit.

    busy      of a counter: busy time, s; else the busy part of the window, 0 to 1
    window_s  of what; 0 where no document states it, and of a counter
    t_ns      when it was said, where that is not when it was asked
    """

    busy: Mapping[str, float]
    window_s: float = 0.0
    t_ns: int | None = None


class Source(Protocol):
    """One kind of accelerator.

    units    its chips, known before anything is asked; "" where there is one
    counts   whether it counts busy time, or tells how busy a window was
    at_once  whether the first answer comes soon, and decides whether there is anything to ask
    ask      raises OSError or ValueError, whose text is the reason that nothing is told
    """

    units: tuple[str, ...]
    counts: bool
    at_once: bool
    detail: str

    def ask(self) -> Told: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...


class FileSource:
    """A source that is a file."""

    at_once = True

    def __init__(self, path: Path, parse: Callable[[str], Told], *, counts: bool, detail: str) -> None:
        self.units: tuple[str, ...] = ("",)
        self.counts, self.detail = counts, detail
        self._path, self._parse = path, parse

    def ask(self) -> Told:
        """What the file says now."""
        return self._parse(self._path.read_text(encoding="ascii", errors="replace"))

    def abort(self) -> None:
        """A file does not hang."""

    def close(self) -> None:
        """Nothing is held open."""


def intel_npu(host: Host) -> Source | None:
    """The NPU of an Intel processor, where the kernel counts its busy time."""
    path = busy_file(host.sysfs)
    if path is None:
        return None

    def parse(text: str) -> Told:
        if not text.strip().isdigit():
            msg = f"{path} reads {text.strip()[:40]!r}"
            raise ValueError(msg)
        return Told({"": int(text) / 1e6})

    return FileSource(path, parse, counts=True, detail="npu_busy_time_us")


def rknpu(host: Host) -> Source | None:
    """The NPU of a Rockchip chip under Rockchip's own kernel."""
    folder = host.sysfs / "kernel/debug/rknpu"
    # The folder above is for root only: then this file is looked for and not found, which `ask` would say.
    if not folder.is_dir() and not (host.sysfs / "bus/platform/drivers/RKNPU").is_dir():
        return None
    return FileSource(folder / "load", rknpu_load, counts=False, detail="the load of its cores in debugfs")


def rknpu_load(text: str) -> Told:
    """The mean of all cores. Raises ValueError for what is no load."""
    head, _, tail = text.partition("NPU load:")
    loads = [int(load or 0) / 100 for _, load in _LOAD.findall(tail)]
    if head.strip() or not loads:
        msg = f"no load in {text.strip()[:60]!r}"
        raise ValueError(msg)
    if max(loads) > 1:
        msg = f"a core shows {max(loads):.0%}: a job hangs, or its count is wrong"
        raise ValueError(msg)
    return Told({"": sum(loads) / len(loads)}, window_s=1.0)


class NeuronSource:
    """AWS Inferentia and Trainium, by neuron-monitor, which runs as long as the recording."""

    counts = at_once = False
    detail = "the use of its NeuronCores, by neuron-monitor"

    def __init__(self, host: Host, units: tuple[str, ...]) -> None:
        from greengen.collectors._stream import Stream  # noqa: PLC0415 -- loads subprocess

        self.units = units
        self._reports = Stream([_MONITOR], beside_path(host, _NEURON), end=b"\n", parse=neuron_report)

    def ask(self) -> Told:
        """The next report; it comes every 5 s."""
        report = self._reports.next()
        told = report.value
        return Told({unit: told.busy.get(unit, 0.0) for unit in self.units}, told.window_s, report.arrived_ns)

    def abort(self) -> None:
        """End neuron-monitor."""
        self._reports.abort()

    def close(self) -> None:
        """End neuron-monitor."""
        self._reports.close()


def neuron(host: Host) -> Source | None:
    """The Neuron devices of this machine."""
    folders = (host.sysfs / "devices/virtual/neuron_device").glob("neuron*")
    numbers = sorted(int(folder.name[6:]) for folder in folders if folder.name[6:].isdigit())
    if numbers and not installed(_MONITOR, beside_path(host, _NEURON).environ):
        msg = f"{_MONITOR}, which tells how busy it is, is not on the PATH"
        raise FileNotFoundError(msg)
    return NeuronSource(host, tuple(map(str, numbers))) if numbers else None


def neuron_report(text: str | bytes) -> Told:
    """The use of each device that is in use, as the mean of its cores. Raises ValueError for what is no such report."""
    import json  # noqa: PLC0415 -- on machines with Neuron only

    try:
        report = json.loads(text)
        hardware = report["neuron_hardware_info"]
        per_device, logical = int(hardware["neuroncore_per_device_count"]), hardware.get("logical_neuroncore_config", 1)
        counters = [runtime["report"]["neuroncore_counters"] for runtime in report["neuron_runtime_data"] or ()]
        errors = [str(counter["error"]) for counter in counters if counter.get("error")]
        busy: dict[str, float] = {}
        for counter in counters:
            for core, use in counter["neuroncores_in_use"].items():
                device = str(int(core) // per_device)
                busy[device] = busy.get(device, 0.0) + float(use["neuroncore_utilization"]) / 100 / per_device
        window_s = max((float(counter["period"]) for counter in counters), default=5.0)
    except (KeyError, TypeError, ValueError, ZeroDivisionError, AttributeError) as error:
        msg = f"neuron-monitor said what is no report of NeuronCores ({error}): {text[:60]!r}"
        raise ValueError(msg) from error
    if logical != 1:
        msg = f"logical NeuronCores of {logical} each: no document says which of them belong to which device"
        raise ValueError(msg)
    if errors or max(busy.values(), default=0.0) > _MOST_BUSY:
        msg = f"neuron-monitor: {'; '.join(errors) or 'a device is told more than fully used'}"
        raise ValueError(msg)
    if not all(part >= 0 for part in busy.values()) or not 0 < window_s < math.inf:
        msg = f"neuron-monitor: no use is {min(busy.values())}, or no period {window_s} s"
        raise ValueError(msg)
    return Told({device: min(part, 1.0) for device, part in busy.items()}, window_s)


class TpuSource:
    """Google Cloud TPU chips, by libtpu's own monitoring, imported when it is first asked.

    units  those that are left to the process, of so many `chips`
    """

    #: At the start no program uses the TPU yet, and nothing is told.
    counts = at_once = False
    detail = "its duty cycle, by libtpu"

    def __init__(self, units: tuple[str, ...], library: str, chips: int = 0) -> None:
        self.units = units
        self._chips, self._library = chips, library

    def ask(self) -> Told:
        """The duty cycle of each chip."""
        import importlib  # noqa: PLC0415 -- on machines with a TPU only

        try:
            sdk: Any = importlib.import_module(self._library)
            monitoring = getattr(sdk, "tpumonitoring", None) or sdk.monitoring
            said = list(monitoring.get_metric("duty_cycle_pct").data())
        except (ImportError, AttributeError, RuntimeError, TypeError) as error:
            msg = f"{self._library}: {error}"
            raise ValueError(msg) from error
        if not said:
            msg = "libtpu tells no duty cycle: perhaps no program uses the TPU"
            raise ValueError(msg)
        if len(said) == self._chips:
            said = [said[int(unit)] for unit in self.units]
        parts = [number(str(text)) for text in said]
        if len(parts) != len(self.units) or any(part is None or not 0 <= part <= 100 for part in parts):  # noqa: PLR2004 -- percent
            msg = f"libtpu tells {said} of {len(self.units)} chips"
            raise ValueError(msg)
        return Told({unit: (part or 0.0) / 100 for unit, part in zip(self.units, parts, strict=True)})

    def abort(self) -> None:
        """A library cannot be interrupted."""

    def close(self) -> None:
        """libtpu is left loaded."""


def tpu(host: Host) -> Source | None:
    """The TPU chips of this machine."""
    if read_text(host.sysfs / "class/dmi/id/product_name").strip() != "Google Compute Engine":
        return None  # the bus need not be listed
    from importlib.util import find_spec  # noqa: PLC0415 -- on Google's machines only

    chips = len(list(_tpu_chips(host.sysfs)))
    library = host.environ.get("GREENGEN_LIBTPU") or "libtpu.sdk"
    if chips and find_spec(library.partition(".")[0]) is None:
        msg = f"{library}, which tells how busy it is, is not installed where this recorder runs"
        raise FileNotFoundError(msg)
    visible = host.environ.get("TPU_VISIBLE_CHIPS") or host.environ.get("TPU_VISIBLE_DEVICES") or ""
    named = tuple(unit for unit in map(str.strip, visible.split(",")) if unit.isdigit() and int(unit) < chips)
    return TpuSource(named or tuple(map(str, range(chips))), library, chips) if chips else None


def _tpu_chips(sysfs: Path) -> Iterator[Path]:
    for device in sorted((sysfs / "bus/pci/devices").glob("*")):
        if read_text(device / "vendor").strip() == _TPU_VENDOR and read_text(device / "device").strip() in _TPU_DEVICES:
            yield device


#: By the name that GREENGEN_ACCELERATOR has for them: None where there is no such accelerator, OSError with the
#: reason where it is here and cannot be asked.
SOURCES: Mapping[str, Callable[[Host], Source | None]] = {
    "intel_npu": intel_npu,
    "neuron": neuron,
    "rknpu": rknpu,
    "tpu": tpu,
}
