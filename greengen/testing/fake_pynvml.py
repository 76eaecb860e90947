"""A stand-in for pynvml: GPUs whose energy counters run with the monotonic clock at set powers.

In one process, pass an object: ``NvmlCollector(host, nvml=FakeNvml(Rig(watts=(300.0,))))``. In a
subprocess, name this module: ``GREENGEN_PYNVML=greengen.testing.fake_pynvml``, with the rig as JSON
in ``GREENGEN_FAKE_NVML``:

    {"watts": [300, 120], "utilisation": [97, null], "energy": false, "lost": [1], "processes": [[[4242, 60]], null]}

Numbers, names and constants are those of nvml.h and of nvidia-ml-py 13.
"""
# ruff: noqa: N802 -- the names are NVML's

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

NVML_SUCCESS = 0
NVML_ERROR_UNINITIALIZED = 1
NVML_ERROR_INVALID_ARGUMENT = 2
NVML_ERROR_NOT_SUPPORTED = 3
NVML_ERROR_NO_PERMISSION = 4
NVML_ERROR_NOT_FOUND = 6
NVML_ERROR_DRIVER_NOT_LOADED = 9
NVML_ERROR_LIBRARY_NOT_FOUND = 12
NVML_ERROR_GPU_IS_LOST = 15
NVML_ERROR_UNKNOWN = 999
NVML_FI_DEV_POWER_AVERAGE = 185
NVML_FI_DEV_POWER_INSTANT = 186
NVML_POWER_SCOPE_GPU = 0
NVML_POWER_SCOPE_MODULE = 1
NVML_DEVICE_ARCH_PASCAL = 4
NVML_DEVICE_ARCH_AMPERE = 7
NVML_DEVICE_ARCH_HOPPER = 9

_TEXTS = {
    NVML_ERROR_UNINITIALIZED: "Uninitialized",
    NVML_ERROR_INVALID_ARGUMENT: "Invalid Argument",
    NVML_ERROR_NOT_SUPPORTED: "Not Supported",
    NVML_ERROR_NO_PERMISSION: "Insufficient Permissions",
    NVML_ERROR_NOT_FOUND: "Not Found",
    NVML_ERROR_DRIVER_NOT_LOADED: "Driver Not Loaded",
    NVML_ERROR_LIBRARY_NOT_FOUND: "NVML Shared Library Not Found",
    NVML_ERROR_GPU_IS_LOST: "GPU is lost",
    NVML_ERROR_UNKNOWN: "Unknown Error",
}


class NVMLError(Exception):
    """What every call raises; `value` is NVML's number."""

    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value

    def __str__(self) -> str:
        return _TEXTS.get(self.value, f"NVML Error with code {self.value}")


@dataclass
class Rig:
    """The machine that is played; change it while it is read.

    watts        draw of each GPU, W: there are as many GPUs as numbers
    utilisation  busy percent of each GPU, None where it is not supported (MIG); repeated as needed
    names        model of each GPU; repeated as needed
    energy       whether there is an energy counter (none before Volta)
    instant      whether field 186 is supported
    power        whether the power gauge is
    lost         indices of GPUs that have fallen off the bus
    mig          UUIDs of MIG instances, and the index of the GPU each is part of
    processes    what works on each GPU: (pid, percent), a pid or a file that holds it; None: not supported
    module_w     what the module of each GPU draws in all, W (Grace and a GPU); None: it is no superchip
    gpu_scope    whether the power of the GPU alone is told, on a superchip
    counted      what the energy counter shows of the energy there is
    persistence  whether the driver stays loaded when nobody uses it
    shown_w      what the gauges show in place of the power, W; or 4294967.295, which is "not available"
    one_uuid     whether all GPUs have the UUID of the first, as none should
    clock_mhz    the SM clock of each GPU, and `reasons` the bits that nvmlClocksThrottleReason… names
    celsius      how warm each GPU is
    loaded_s     when the driver was last loaded: until NVML starts anew after that, every call fails
    start_error  what nvmlInit fails with: 9 driver not loaded, 12 library not found
    refresh_s    how far apart the energy counter moves; 0: at every look
    clock_s      the clock the counters run with, s
    """

    watts: Sequence[float] = (300.0, 120.0)
    utilisation: Sequence[int | None] = (97, 40)
    names: Sequence[str] = ("NVIDIA H100 80GB HBM3",)
    architecture: int = NVML_DEVICE_ARCH_HOPPER
    limit_w: float = 700.0
    energy: bool = True
    instant: bool = True
    power: bool = True
    lost: Sequence[int] = ()
    mig: dict[str, int] = field(default_factory=dict)
    processes: Sequence[Sequence[tuple[int | str, int]] | None] | None = None
    module_w: float | None = None
    gpu_scope: bool = True
    counted: float = 1.0
    persistence: bool = True
    shown_w: float | None = None
    one_uuid: bool = False
    clock_mhz: int = 1980
    reasons: int = 0
    celsius: int = 45
    loaded_s: float = 0.0
    start_error: int = NVML_SUCCESS
    refresh_s: float = 0.0
    clock_s: Callable[[], float] = time.monotonic

    def uuid(self, index: int) -> str:
        """The UUID of a GPU, the same in every process."""
        index = 0 if self.one_uuid else index
        return f"GPU-5c2f6a{index:02x}-0d1b-4b7e-9a42-3f1e6d7c8b{index:02x}"


class FakeNvml:
    """The calls of pynvml on a rig. Handles are indices."""

    NVMLError = NVMLError

    def __init__(self, rig: Rig | None = None) -> None:
        self.rig = rig or Rig()
        self.running = 0
        self._loaded_s = self.rig.loaded_s

    def nvmlInit(self) -> None:
        """Starts, or raises the rig's `start_error`."""
        if self.rig.start_error:
            raise NVMLError(self.rig.start_error)
        self._loaded_s = self.rig.loaded_s
        self.running += 1

    def nvmlShutdown(self) -> None:
        """Stops, whatever has become of the driver."""
        if not self.running:
            raise NVMLError(NVML_ERROR_UNINITIALIZED)
        self.running -= 1

    def nvmlDeviceGetCount(self) -> int:
        """How many GPUs."""
        self._check_running()
        return len(self.rig.watts)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        """A handle."""
        self._check(index)
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:
        """A handle, of a GPU or of a MIG instance (a negative one)."""
        if uuid in self.rig.mig:
            return -1 - list(self.rig.mig).index(uuid)
        for index in range(len(self.rig.watts)):
            if self.rig.uuid(index) == uuid:
                return index
        raise NVMLError(NVML_ERROR_NOT_FOUND)

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle: int) -> int:
        """The GPU that a MIG instance is part of."""
        if handle >= 0:
            raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
        return list(self.rig.mig.values())[-1 - handle]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: int) -> int:
        """Seven, where there is any."""
        self._check(handle, supported=bool(self.rig.mig))
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: int, index: int) -> int:
        """The handle of a MIG instance; every other place is free."""
        self._check(handle)
        mine = [uuid for uuid, parent in self.rig.mig.items() if parent == handle]
        if index % 2 or index // 2 >= len(mine):
            raise NVMLError(NVML_ERROR_NOT_FOUND)
        return self.nvmlDeviceGetHandleByUUID(mine[index // 2])

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        """``GPU-`` or ``MIG-`` and the UUID."""
        if handle < 0:
            return list(self.rig.mig)[-1 - handle]
        self._check(handle)
        return self.rig.uuid(handle)

    def nvmlDeviceGetName(self, handle: int) -> str:
        """The model."""
        self._check(handle)
        return self.rig.names[handle % len(self.rig.names)]

    def nvmlDeviceGetArchitecture(self, handle: int) -> int:
        """An `NVML_DEVICE_ARCH_` number."""
        self._check(handle)
        return self.rig.architecture

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        """Energy since the driver was loaded, mJ."""
        self._check(handle, supported=self.rig.energy)
        since_s = self.rig.clock_s() - self.rig.loaded_s
        if self.rig.refresh_s:
            since_s -= since_s % self.rig.refresh_s
        return round(self.rig.watts[handle] * since_s * 1000 * self.rig.counted)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        """Power, mW."""
        self._check(handle, supported=self.rig.power)
        return self._shown_mw(handle)

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: int) -> int:
        """Power limit, mW."""
        self._check(handle)
        return round(self.rig.limit_w * 1000)

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:
        """Degrees C; sensor 0 is the GPU's."""
        self._check(handle, supported=sensor == 0)
        return self.rig.celsius

    def nvmlDeviceGetClockInfo(self, handle: int, clock: int) -> int:
        """MHz; clock 1 is that of the SMs."""
        self._check(handle, supported=clock == 1)
        return self.rig.clock_mhz

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: int) -> int:
        """Bits."""
        self._check(handle)
        return self.rig.reasons

    def nvmlDeviceGetFieldValues(self, handle: int, fields: list[Any]) -> list[SimpleNamespace]:
        """One value per field; each says by itself whether it is supported."""
        self._check(handle)
        values = []
        for wanted in fields:
            number, scope = wanted if isinstance(wanted, tuple) else (wanted, NVML_POWER_SCOPE_GPU)
            milli = 0
            if number == NVML_FI_DEV_POWER_INSTANT and self.rig.instant:
                if scope == NVML_POWER_SCOPE_GPU and self.rig.gpu_scope:
                    milli = self._shown_mw(handle)
                elif scope == NVML_POWER_SCOPE_MODULE and self.rig.module_w is not None:
                    milli = round(self.rig.module_w * 1000)
            status = NVML_SUCCESS if milli else NVML_ERROR_NOT_SUPPORTED
            value = SimpleNamespace(uiVal=milli)
            values.append(SimpleNamespace(fieldId=number, nvmlReturn=status, valueType=1, value=value))
        return values

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:
        """Percent of the last period in which a kernel ran."""
        percent = self.rig.utilisation[handle % len(self.rig.utilisation)]
        self._check(handle, supported=percent is not None)
        return SimpleNamespace(gpu=percent, memory=0)

    def nvmlDeviceGetPersistenceMode(self, handle: int) -> int:
        """Whether the driver stays loaded."""
        self._check(handle)
        return int(self.rig.persistence)

    def nvmlDeviceGetProcessUtilization(self, handle: int, last_seen_us: int) -> list[SimpleNamespace]:
        """One sample per process that worked, of now."""
        every = self.rig.processes
        working = None if every is None else every[handle] if handle < len(every) else ()
        self._check(handle, supported=working is not None and not self.rig.mig)
        now_us = round(self.rig.clock_s() * 1e6)
        found = [(_pid(named), percent) for named, percent in working or () if percent]
        samples = [
            SimpleNamespace(pid=pid, timeStamp=now_us, smUtil=percent, memUtil=0, encUtil=0, decUtil=0)
            for pid, percent in found
            if pid and now_us > last_seen_us
        ]
        if not samples:
            raise NVMLError(NVML_ERROR_NOT_FOUND)
        return samples

    def _shown_mw(self, handle: int) -> int:
        return round((self.rig.watts[handle] if self.rig.shown_w is None else self.rig.shown_w) * 1000)

    def _check_running(self) -> None:
        if not self.running:
            raise NVMLError(NVML_ERROR_UNINITIALIZED)
        if self._loaded_s != self.rig.loaded_s:
            raise NVMLError(NVML_ERROR_UNKNOWN)

    def _check(self, handle: int, *, supported: bool = True) -> None:
        self._check_running()
        if not 0 <= handle < len(self.rig.watts):
            raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
        if handle in self.rig.lost:
            raise NVMLError(NVML_ERROR_GPU_IS_LOST)
        if not supported:
            raise NVMLError(NVML_ERROR_NOT_SUPPORTED)


def _pid(named: int | str) -> int:
    """A process's id, or the one that a file holds; 0 where it does not yet."""
    if isinstance(named, int):
        return named
    try:
        return int(Path(named).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


@cache
def _module() -> FakeNvml:
    return FakeNvml(Rig(**json.loads(os.environ.get("GREENGEN_FAKE_NVML", "{}"))))


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- pynvml's functions, whatever they are
    if not name.startswith("nvml"):
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(_module(), name)
