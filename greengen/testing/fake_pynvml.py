"""A stand-in for pynvml: GPUs whose energy counters run with the monotonic clock at set powers.

In one process, pass an object: ``NvmlCollector(host, nvml=FakeNvml(Rig(watts=(300.0,))))``. In a
subprocess, name this module: ``GREENGEN_PYNVML=greengen.testing.fake_pynvml``, with the rig as JSON
in ``GREENGEN_FAKE_NVML``:

    {"watts": [300, 120], "utilisation": [97, null], "energy": false, "lost": [1]}

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
from types import SimpleNamespace
from typing import Any

NVML_SUCCESS = 0
NVML_ERROR_UNINITIALIZED = 1
NVML_ERROR_INVALID_ARGUMENT = 2
NVML_ERROR_NOT_SUPPORTED = 3
NVML_ERROR_NOT_FOUND = 6
NVML_ERROR_DRIVER_NOT_LOADED = 9
NVML_ERROR_LIBRARY_NOT_FOUND = 12
NVML_ERROR_GPU_IS_LOST = 15
NVML_FI_DEV_POWER_INSTANT = 186
NVML_DEVICE_ARCH_PASCAL = 4
NVML_DEVICE_ARCH_AMPERE = 7
NVML_DEVICE_ARCH_HOPPER = 9

_TEXTS = {
    NVML_ERROR_UNINITIALIZED: "Uninitialized",
    NVML_ERROR_INVALID_ARGUMENT: "Invalid Argument",
    NVML_ERROR_NOT_SUPPORTED: "Not Supported",
    NVML_ERROR_NOT_FOUND: "Not Found",
    NVML_ERROR_DRIVER_NOT_LOADED: "Driver Not Loaded",
    NVML_ERROR_LIBRARY_NOT_FOUND: "NVML Shared Library Not Found",
    NVML_ERROR_GPU_IS_LOST: "GPU is lost",
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
    start_error  what nvmlInit fails with: 9 driver not loaded, 12 library not found
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
    start_error: int = NVML_SUCCESS
    clock_s: Callable[[], float] = time.monotonic

    def uuid(self, index: int) -> str:
        """The UUID of a GPU, the same in every process."""
        return f"GPU-5c2f6a{index:02x}-0d1b-4b7e-9a42-3f1e6d7c8b{index:02x}"


class FakeNvml:
    """The calls of pynvml on a rig. Handles are indices."""

    NVMLError = NVMLError

    def __init__(self, rig: Rig | None = None) -> None:
        self.rig = rig or Rig()
        self.running = 0

    def nvmlInit(self) -> None:
        """Starts, or raises the rig's `start_error`."""
        if self.rig.start_error:
            raise NVMLError(self.rig.start_error)
        self.running += 1

    def nvmlShutdown(self) -> None:
        """Stops."""
        self._check_running()
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
        return round(self.rig.watts[handle] * self.rig.clock_s() * 1000)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        """Power, mW."""
        self._check(handle, supported=self.rig.power)
        return round(self.rig.watts[handle] * 1000)

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: int) -> int:
        """Power limit, mW."""
        self._check(handle)
        return round(self.rig.limit_w * 1000)

    def nvmlDeviceGetFieldValues(self, handle: int, fields: list[Any]) -> list[SimpleNamespace]:
        """One value per field; each says by itself whether it is supported."""
        self._check(handle)
        known = {NVML_FI_DEV_POWER_INSTANT} if self.rig.instant else set()
        values = []
        for wanted in fields:
            number = wanted[0] if isinstance(wanted, tuple) else wanted
            status = NVML_SUCCESS if number in known else NVML_ERROR_NOT_SUPPORTED
            value = SimpleNamespace(uiVal=0 if status else round(self.rig.watts[handle] * 1000))
            values.append(SimpleNamespace(fieldId=number, nvmlReturn=status, valueType=1, value=value))
        return values

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:
        """Percent of the last period in which a kernel ran."""
        percent = self.rig.utilisation[handle % len(self.rig.utilisation)]
        self._check(handle, supported=percent is not None)
        return SimpleNamespace(gpu=percent, memory=0)

    def _check_running(self) -> None:
        if not self.running:
            raise NVMLError(NVML_ERROR_UNINITIALIZED)

    def _check(self, handle: int, *, supported: bool = True) -> None:
        self._check_running()
        if not 0 <= handle < len(self.rig.watts):
            raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
        if handle in self.rig.lost:
            raise NVMLError(NVML_ERROR_GPU_IS_LOST)
        if not supported:
            raise NVMLError(NVML_ERROR_NOT_SUPPORTED)


@cache
def _module() -> FakeNvml:
    return FakeNvml(Rig(**json.loads(os.environ.get("GREENGEN_FAKE_NVML", "{}"))))


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- pynvml's functions, whatever they are
    if not name.startswith("nvml"):
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(_module(), name)
