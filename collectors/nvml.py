"""NVIDIA GPUs through NVML: the energy counter where the board has one, else its power gauge.

Facts: NVIDIA's nvml.h (see `_nvml_api`), and Yang et al., "Part-time Power Measurements"
(arXiv:2312.02741), for the sensors. ``GREENGEN_PYNVML`` names a module to import in place of pynvml:
the seam through which a fake (`greengen.testing.fake_pynvml`) reaches a recording in another process.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import cast

from greengen.collector import MACHINE, Discovery, Event, Host, Sample, Unavailable, Usage
from greengen.collectors._cuda_visible import Board, visible
from greengen.collectors._nvml_api import (
    DRIVER_NOT_LOADED,
    GPU_IS_LOST,
    LIB_RM_VERSION_MISMATCH,
    LIBRARY_NOT_FOUND,
    NO_PERMISSION,
    NOT_SUPPORTED,
    RESET_REQUIRED,
    UNINITIALIZED,
    UNKNOWN,
    Nvml,
    answer,
    number_of,
)
from greengen.collectors._nvml_board import Gpu, probe
from greengen.collectors._nvml_check import EnergyCheck
from greengen.collectors._nvml_processes import ProcessUse, why_not
from greengen.collectors._nvml_state import state_of
from greengen.collectors._outage import Outages
from greengen.collectors._profiled_pids import profiled_pids, why_no_host_pids

#: After these the library is started anew and the GPUs are looked up again: a driver that was reloaded, a GPU reset.
_RENEW = frozenset({UNINITIALIZED, DRIVER_NOT_LOADED, GPU_IS_LOST, RESET_REQUIRED, LIB_RM_VERSION_MISMATCH, UNKNOWN})
#: How soon, and, while that does not help, how late at most, ns: starting NVML takes longer than a reading.
_SOON_NS, _LATE_NS = 2_000_000_000, 60_000_000_000
#: By NVML's error number.
_START = {
    NO_PERMISSION: (
        "the NVIDIA device files may not be opened by this user",
        "read access to /dev/nvidiactl and /dev/nvidia*",
    ),
    DRIVER_NOT_LOADED: (
        "NVIDIA's kernel driver is not loaded",
        "modprobe nvidia; nvidia-smi shows whether it works",
    ),
    LIBRARY_NOT_FOUND: (
        "NVIDIA's NVML library (libnvidia-ml.so.1) is not on this machine",
        "install the NVIDIA driver; in a container pass the GPUs on (docker run --gpus all), with capability utility",
    ),
    LIB_RM_VERSION_MISMATCH: (
        "NVIDIA's library and kernel driver are of different versions",
        "reboot, or reload the driver",
    ),
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


class NvmlCollector:
    """Reads the GPUs that `CUDA_VISIBLE_DEVICES` leaves visible; `nvml` stands in for pynvml."""

    name = "nvml"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host, nvml: Nvml | None = None) -> None:
        self._host = host
        self._given = nvml
        self._nvml: Nvml | None = None
        self._gpus: list[Gpu] = []
        self._uses: dict[str, ProcessUse] = {}
        self._checks: dict[str, EnergyCheck] = {}
        self._pids = profiled_pids(host)
        self._outages = Outages()
        self._renew_ns: int | None = None
        self._pause_ns = _SOON_NS
        self._call_ns = self._step_ns = 0

    def discover(self) -> Discovery:
        """Find the visible GPUs and what each can be read by."""
        self.close()
        module = self._host.environ.get("GREENGEN_PYNVML") or "pynvml"
        if self._given is None and module == "pynvml" and not _has_library():
            return _none(*_START[LIBRARY_NOT_FOUND])
        try:
            nvml = self._given or cast("Nvml", importlib.import_module(module))
        except ImportError as error:
            return _none(f"{module} cannot be imported: {error}", "pip install nvidia-ml-py")
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            return _none(*_START.get(number_of(error), (f"NVML does not start: {error}", "")))
        self._nvml = nvml
        try:
            found, problems = visible(nvml, self._host.environ)
        except nvml.NVMLError as error:
            return _none(f"NVML does not list the GPUs: {error}", "")
        hidden = why_no_host_pids(self._host.procfs, self._host.root_pid)
        for board in found:
            problems += self._take(nvml, board, hidden)
        for place, use in enumerate(self._uses.values()):
            use.turn = place / len(self._uses)
        return Discovery(tuple(gpu.domain for gpu in self._gpus), tuple(problems))

    def _take(self, nvml: Nvml, board: Board, hidden: str) -> list[Unavailable]:
        """Add the domains of a board. `hidden`: why its processes could not be looked up."""
        try:
            gpus, problems = probe(nvml, board)
        except nvml.NVMLError as error:
            reason = f"{board.name} gives neither energy nor power: {error}"
            return [Unavailable(f"nvml:{board.uuid}", reason, _remedy(error))]
        for gpu in gpus:
            uid = gpu.domain.uid
            if gpu.domain.kind == "gpu":
                why = hidden or why_not(nvml, gpu.handle)
                if why:
                    rated = answer(nvml, nvml.nvmlDeviceGetUtilizationRates, gpu.handle, None) is not None
                    gpu.domain = replace(
                        gpu.domain, activity=uid if rated else None, split_reason=f"{why}, so sole tenancy is assumed"
                    )
                else:
                    gpu.domain = replace(gpu.domain, split=uid, activity=uid, split_reason="")
                    self._uses[uid] = ProcessUse(uid)
            if gpu.check is not None:
                self._checks[uid] = EnergyCheck(gpu.check.window_s)
        self._gpus += gpus
        return problems

    def read(self) -> Iterator[Sample | Usage | Event]:
        """One sample per GPU, and how long it was busy; a `gap` event when one begins to fail."""
        nvml = self._nvml
        if nvml is None:
            return
        called_ns = self._host.monotonic_ns()
        if self._renew_ns is not None and called_ns >= self._renew_ns:
            self._renew(nvml, called_ns)
        step_ns, self._call_ns = called_ns - self._call_ns, called_ns
        # The first readings and most last ones come out of rhythm: they tell whose work it was whether due or not.
        in_rhythm = step_ns > 0.9 * self._step_ns > 0
        self._step_ns = step_ns
        failing = False
        for gpu in self._gpus:
            uid = gpu.domain.uid
            try:
                value = gpu.value(nvml)
            except (nvml.NVMLError, ValueError) as error:
                gpu.busy_from_ns = None
                failing = failing or number_of(error) in _RENEW
                reason = str(error) if isinstance(error, ValueError) else f"NVML: {error}"
                yield from self._outages.begin(self._host.monotonic_ns(), uid, reason)
                continue
            self._outages.end(uid)
            t_ns = self._host.monotonic_ns()
            yield Sample(uid, t_ns, value, gpu.domain.reading, gpu.meter.window_s)
            check = self._checks.get(uid)
            if check is not None and check.due(t_ns):
                yield from _held_against_gauge(nvml, gpu, check, t_ns, value)
            use = self._uses.get(uid)
            if use is None and gpu.domain.activity:
                yield from self._read_busy(nvml, gpu)
            elif use is not None and (use.due(t_ns) or not in_rhythm):
                yield from use.read(nvml, gpu.handle, self._pids.has, self._host.monotonic_ns)
        if not failing:
            self._renew_ns, self._pause_ns = None, _SOON_NS
        elif self._renew_ns is None:
            self._renew_ns = called_ns + self._pause_ns

    def state(self) -> dict[str, str]:
        """Power limit, clock at work, what slows it down and temperature, GPU by GPU."""
        nvml, found = self._nvml, dict[str, str]()
        boards = {gpu.uuid: gpu.handle for gpu in self._gpus} if nvml is not None else {}
        for number, handle in enumerate(boards.values()):
            found |= state_of(cast("Nvml", nvml), handle, f"NVIDIA GPU {number}")
        return found

    def _renew(self, nvml: Nvml, t_ns: int) -> None:
        """Start NVML anew and look every GPU up by its UUID; where that fails, later again."""
        self._pause_ns = min(2 * self._pause_ns, _LATE_NS)
        self._renew_ns = t_ns + self._pause_ns
        with suppress(nvml.NVMLError):  # the driver is gone already
            nvml.nvmlShutdown()
        try:
            nvml.nvmlInit()
        except nvml.NVMLError:
            return
        for gpu in self._gpus:
            gpu.handle = answer(nvml, nvml.nvmlDeviceGetHandleByUUID, gpu.uuid, gpu.handle)

    def _read_busy(self, nvml: Nvml, gpu: Gpu) -> Iterator[Usage | Event]:
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
        nvml, self._nvml = self._nvml, None
        self._gpus, self._uses, self._checks, self._renew_ns = [], {}, {}, None
        if nvml is not None:
            try:
                nvml.nvmlShutdown()
            except nvml.NVMLError:
                return  # the driver is gone already


def _held_against_gauge(nvml: Nvml, gpu: Gpu, check: EnergyCheck, t_ns: int, energy_j: float) -> Iterator[Event]:
    watts = answer(nvml, lambda handle: gpu.check and gpu.check.read(nvml, handle), gpu.handle, None)
    if watts is not None:
        yield from check.add(t_ns, energy_j, watts, gpu.domain.uid)


def _remedy(error: Exception) -> str:
    if number_of(error) == NOT_SUPPORTED:
        return "in a virtual machine ask for the whole GPU (passthrough): a vGPU shows no power"
    return ""


def _none(reason: str, remedy: str) -> Discovery:
    return Discovery(unavailable=(Unavailable("nvml", reason, remedy),))
