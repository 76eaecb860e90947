"""NVIDIA GPUs through NVML: the energy counter where the board has one, else its power gauge.

Facts: NVIDIA's nvml.h, and Yang et al., "Part-time Power Measurements" (arXiv:2312.02741), for the
sensors. ``GREENGEN_PYNVML`` names a module to import in place of pynvml: the seam through which a
fake (`greengen.testing.fake_pynvml`) reaches a recording in another process.
"""
# ruff: noqa: N802, ANN401 -- the names are NVML's, and so are its opaque handles

from __future__ import annotations

import ctypes
import importlib
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from greengen.collector import MACHINE, Discovery, Domain, Event, Host, Sample, Unavailable, Usage
from greengen.collectors._cuda_visible import visible
from greengen.collectors._mig import slices
from greengen.collectors._outage import Outages

#: Names as in pynvml, which older versions lack in part.
_POWER_INSTANT = 186
_NOT_SUPPORTED = 3
_AMPERE, _UNKNOWN_ARCHITECTURE = 7, 0xFFFFFFFF
#: Boards with a GA100 chip: unlike the rest of Ampere their power reading is no 1 s average.
_GA100 = re.compile(r"\b(A100|A100X|A800|A30|A30X)\b")
#: ±5 % at 95 %: what NVIDIA states for its boards, and what the paper above found at steady load.
_GAIN = 0.025
_SHARED = (
    "this version reads no per-process use of an accelerator (NVML's process ids are the host's, and mean "
    "nothing in a container), so sole tenancy is assumed"
)
#: By NVML's error number.
_START = {
    4: ("the NVIDIA device files may not be opened by this user", "read access to /dev/nvidiactl and /dev/nvidia*"),
    9: ("NVIDIA's kernel driver is not loaded", "modprobe nvidia; nvidia-smi shows whether it works"),
    12: (
        "NVIDIA's NVML library (libnvidia-ml.so.1) is not on this machine",
        "install the NVIDIA driver; in a container pass the GPUs on (docker run --gpus all), with capability utility",
    ),
    18: ("NVIDIA's library and kernel driver are of different versions", "reboot, or reload the driver"),
}


def _has_library() -> bool:
    """Whether NVML can be loaded. Importing pynvml to find out takes 30 ms, on every machine without a GPU."""
    if sys.platform != "linux":
        return True
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


class Nvml(Protocol):
    """What is used of pynvml. Every call raises `NVMLError`, with its number as `value`."""

    @property
    def NVMLError(self) -> type[Exception]: ...  # noqa: D102

    def nvmlInit(self) -> None: ...  # noqa: D102
    def nvmlShutdown(self) -> None: ...  # noqa: D102
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: D102
    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> Any: ...  # noqa: D102
    def nvmlDeviceGetHandleByUUID(self, uuid: str, /) -> Any: ...  # noqa: D102
    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle: Any, /) -> Any: ...  # noqa: D102
    def nvmlDeviceGetMaxMigDeviceCount(self, handle: Any, /) -> int: ...  # noqa: D102
    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Any, index: int, /) -> Any: ...  # noqa: D102
    def nvmlDeviceGetUUID(self, handle: Any, /) -> str: ...  # noqa: D102
    def nvmlDeviceGetName(self, handle: Any, /) -> str: ...  # noqa: D102
    def nvmlDeviceGetArchitecture(self, handle: Any, /) -> int: ...  # noqa: D102
    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, /) -> int: ...  # noqa: D102
    def nvmlDeviceGetPowerUsage(self, handle: Any, /) -> int: ...  # noqa: D102
    def nvmlDeviceGetEnforcedPowerLimit(self, handle: Any, /) -> int: ...  # noqa: D102
    def nvmlDeviceGetFieldValues(self, handle: Any, fields: list[Any], /) -> Sequence[Any]: ...  # noqa: D102
    def nvmlDeviceGetUtilizationRates(self, handle: Any, /) -> Any: ...  # noqa: D102


@dataclass(slots=True)
class _Gpu:
    """One board. `value` reads J or W; `busy_ns` is cumulated, and `busy_from_ns` when it was last."""

    domain: Domain
    handle: Any
    value: Callable[[], float]
    window_s: float
    busy_ns: int = 0
    busy_from_ns: int | None = None


class NvmlCollector:
    """Reads the GPUs that `CUDA_VISIBLE_DEVICES` leaves visible; `nvml` stands in for pynvml."""

    name = "nvml"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host, nvml: Nvml | None = None) -> None:
        self._host = host
        self._given = nvml
        self._nvml: Nvml | None = None
        self._gpus: list[_Gpu] = []
        self._outages = Outages()

    def discover(self) -> Discovery:
        """Find the visible GPUs and what each can be read by."""
        self.close()
        module = self._host.environ.get("GREENGEN_PYNVML") or "pynvml"
        if self._given is None and module == "pynvml" and not _has_library():
            return _none(*_START[12])
        try:
            nvml = self._given or cast("Nvml", importlib.import_module(module))
        except ImportError as error:
            return _none(f"{module} cannot be imported: {error}", "pip install nvidia-ml-py")
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            return _none(*_START.get(_number(error), (f"NVML does not start: {error}", "")))
        self._nvml = nvml
        try:
            found, problems = visible(nvml, self._host.environ)
        except nvml.NVMLError as error:
            return _none(f"NVML does not list the GPUs: {error}", "")
        for board in found:
            uid = f"nvml:{board.uuid}"
            try:
                self._gpus.append(_probe(nvml, board.handle, uid, board.name))
            except nvml.NVMLError as error:
                problems.append(
                    Unavailable(uid, f"{board.name} gives neither energy nor power: {error}", _remedy(error))
                )
        return Discovery(tuple(gpu.domain for gpu in self._gpus), tuple(problems))

    def read(self) -> Iterator[Sample | Usage | Event]:
        """One sample per GPU, and how long it was busy; a `gap` event when one begins to fail."""
        if self._nvml is None:
            return
        for gpu in self._gpus:
            uid = gpu.domain.uid
            try:
                value = gpu.value()
            except self._nvml.NVMLError as error:
                gpu.busy_from_ns = None
                yield from self._outages.begin(self._host.monotonic_ns(), uid, f"NVML: {error}")
                continue
            self._outages.end(uid)
            yield Sample(uid, self._host.monotonic_ns(), value, gpu.domain.reading, gpu.window_s)
            if gpu.domain.activity:
                yield from self._read_busy(self._nvml, gpu)

    def _read_busy(self, nvml: Nvml, gpu: _Gpu) -> Iterator[Usage | Event]:
        uid = gpu.domain.uid
        subject = f"{uid} utilisation"
        try:
            percent = nvml.nvmlDeviceGetUtilizationRates(gpu.handle).gpu
        except nvml.NVMLError as error:
            gpu.busy_from_ns = None
            yield from self._outages.begin(self._host.monotonic_ns(), subject, f"NVML: {error}", "warning")
            return
        self._outages.end(subject)
        t_ns = self._host.monotonic_ns()
        if gpu.busy_from_ns is not None:
            gpu.busy_ns += (t_ns - gpu.busy_from_ns) * percent // 100
        gpu.busy_from_ns = t_ns
        yield Usage(uid, MACHINE, t_ns, gpu.busy_ns)

    def close(self) -> None:
        """Shut NVML down, if it was started."""
        nvml, self._nvml, self._gpus = self._nvml, None, []
        if nvml is not None:
            try:
                nvml.nvmlShutdown()
            except nvml.NVMLError:
                return  # the driver is gone already


def _probe(nvml: Nvml, handle: Any, uid: str, name: str) -> _Gpu:
    """What the board can be read by, best first. Raises the last NVMLError where it is nothing."""

    def energy_j() -> float:
        return nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000

    def instant_w() -> float:
        field = nvml.nvmlDeviceGetFieldValues(handle, [(_POWER_INSTANT, 0)])[0]
        if field.nvmlReturn:
            raise nvml.NVMLError(field.nvmlReturn)
        return int(field.value.uiVal) / 1000

    def power_w() -> float:
        return nvml.nvmlDeviceGetPowerUsage(handle) / 1000

    averaged = _answer(nvml, nvml.nvmlDeviceGetArchitecture, handle, _UNKNOWN_ARCHITECTURE) >= _AMPERE
    window_s = 1.0 if averaged and not _GA100.search(name) else 0.0
    choices: list[tuple[Callable[[], float], bool, float, str]] = [
        (energy_j, True, 0.0, "its energy counter, which starts at 0 when the driver is loaded"),
        (instant_w, False, 0.0, "its power gauge (instantaneous)"),
        (power_w, False, window_s, "its power gauge" + (" (average over 1 s)" if window_s else "")),
    ]
    failed: Exception = nvml.NVMLError(_NOT_SUPPORTED)
    for value, counter, window, what in choices:
        try:
            if value() <= 0:  # a board draws something: 0 is what some guests get for "not supported"
                continue
        except nvml.NVMLError as error:
            failed = error
            continue
        busy = _answer(nvml, nvml.nvmlDeviceGetUtilizationRates, handle, None)
        limit_mw = _answer(nvml, nvml.nvmlDeviceGetEnforcedPowerLimit, handle, 0)
        domain = Domain(
            uid=uid,
            collector=NvmlCollector.name,
            kind="gpu",
            name=name,
            reading="energy" if counter else "power",
            contains=slices(nvml, handle),
            split_reason=_SHARED,
            activity=None if busy is None else uid,
            max_power_w=2 * limit_mw / 1000 if limit_mw else None,
            resolution_j=0.001 if counter else 0.0,
            refresh_s=0.1,
            gain=_GAIN,
            detail=f"the whole board, memory included, by {what}",
        )
        return _Gpu(domain, handle, value, window)
    raise failed


def _answer(nvml: Nvml, ask: Callable[[Any], Any], handle: Any, otherwise: Any) -> Any:
    try:
        return ask(handle)
    except nvml.NVMLError:
        return otherwise


def _number(error: Exception) -> int:
    return int(getattr(error, "value", 0))


def _remedy(error: Exception) -> str:
    if _number(error) == _NOT_SUPPORTED:
        return "in a virtual machine ask for the whole GPU (passthrough): a vGPU shows no power"
    return ""


def _none(reason: str, remedy: str) -> Discovery:
    return Discovery(unavailable=(Unavailable("nvml", reason, remedy),))
