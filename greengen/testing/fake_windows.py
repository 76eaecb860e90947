"""A stand-in for the parts of Windows that `greengen.collectors._windows_devices` calls, with its drivers' answers.

In one process: ``FakeWindows({path: Meter(...)}).libraries()``. In a subprocess:
``GREENGEN_WINDOWS=greengen.testing.fake_windows``, with powers in W by channel of one meter as JSON in
``GREENGEN_FAKE_WINDOWS``: ``{"RAPL_Package0_PKG": 24.0}``; its counters run with the monotonic clock.

The answers are packed from emi.h and poclass.h: little-endian, without padding between the channels of EMI_METADATA_V2.
"""
# ruff: noqa: N802 -- the names are Microsoft's

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Protocol
from uuid import UUID

from greengen.collectors._windows_devices import Libraries
from greengen.testing.fake_function import FakeFunction

#: emi.h's control codes.
_VERSION, _METADATA_SIZE, _METADATA, _MEASUREMENT = 0x224000, 0x224004, 0x224008, 0x22400C
#: poclass.h's.
_TAG, _INFORMATION, _STATUS = 0x294040, 0x294044, 0x29404C
BATTERY = UUID("72631E54-78A4-11D0-BCF7-00AA00B7B32A")
ENERGY_METER = UUID("45BD8344-7ED6-49CF-A440-C276C933B053")
NOT_SUPPORTED, FILE_NOT_FOUND, INSUFFICIENT_BUFFER = 50, 2, 122
_INVALID_HANDLE = 2**64 - 1


class Driver(Protocol):
    """A device: its interface class, and its answers."""

    @property
    def guid(self) -> UUID:
        """Its interface class."""
        ...

    def answer(self, code: int, given: bytes) -> bytes | int:
        """Bytes, or a Windows error."""
        ...


@dataclass
class EnergyMeter:
    """channels: name → (picowatt-hours, 100 ns) now; `unit` 0 is picowatt-hours."""

    channels: Mapping[str, Callable[[], tuple[int, int]]]
    version: int = 2
    maker: str = "Contoso"
    model: str = "EMI"
    unit: int = 0
    guid: UUID = ENERGY_METER

    def answer(self, code: int, _given: bytes) -> bytes | int:
        """The four questions of emi.h."""
        if code == _VERSION:
            return struct.pack("<H", self.version)
        if code == _METADATA_SIZE:
            return struct.pack("<I", len(self._metadata()))
        if code == _METADATA:
            return self._metadata()
        if code == _MEASUREMENT:
            return b"".join(struct.pack("<QQ", *now()) for now in self.channels.values())
        return NOT_SUPPORTED

    def _metadata(self) -> bytes:
        who = b"".join(text.encode("utf-16-le").ljust(32, b"\0") for text in (self.maker, self.model))
        names = [f"{name}\0".encode("utf-16-le") for name in self.channels]
        if self.version == 1:
            (name,) = names
            return struct.pack("<i", self.unit) + who + struct.pack("<HH", 1, len(name)) + name
        channels = b"".join(struct.pack("<iH", self.unit, len(name)) + name for name in names)
        return who + struct.pack("<HH", 1, len(names)) + channels


@dataclass
class Battery:
    """A battery by poclass.h: mWh that are left, mV and mW (below 0: it discharges); `scales`: (step, up to), mWh.

    state         1 on line, 2 discharging, 4 charging
    capabilities  0x80000000 feeds the system, 0x40000000 counts in no unit, 0x20000000 is a UPS
    """

    capacity_mwh: int = 36_580
    voltage_mv: int = 11_660
    rate_mw: int = -9_000
    state: int = 2
    capabilities: int = 0x80000000
    scales: tuple[tuple[int, int], ...] = ((10, 60_000),)
    tag: int = 7
    guid: UUID = BATTERY

    def answer(self, code: int, given: bytes) -> bytes | int:
        """The three questions; a tag that is not its own is another battery's."""
        if code == _TAG:
            return struct.pack("<I", self.tag) if self.tag and given == bytes(4) else FILE_NOT_FOUND
        if len(given) not in (12, 20) or struct.unpack_from("<I", given) != (self.tag,):
            return FILE_NOT_FOUND
        if code == _INFORMATION:
            (level,) = struct.unpack_from("<i", given, 4)
            if level == 1 and self.scales:
                return b"".join(struct.pack("<II", *scale) for scale in self.scales)
            known = struct.pack("<IB3x4s6I", self.capabilities, 1, b"LION", 57_000, 52_000, 0, 0, 0, 91)
            return NOT_SUPPORTED if level else known
        if code == _STATUS:
            return struct.pack("<IIIi", self.state, self.capacity_mwh & 0xFFFFFFFF, self.voltage_mv, self.rate_mw)
        return NOT_SUPPORTED


@dataclass
class FakeWindows:
    """devices: path → driver, or a Windows error that opening it gives; `held`: open handles."""

    devices: dict[str, Driver | int]
    held: dict[int, str] = field(default_factory=dict)
    error: int = 0
    opened: int = 0

    def libraries(self) -> Libraries:
        """cfgmgr32, kernel32 and the last error."""
        manager = (self.CM_Get_Device_Interface_List_SizeW, self.CM_Get_Device_Interface_ListW)
        kernel = (self.CreateFileW, self.DeviceIoControl, self.CloseHandle)
        return Libraries(
            SimpleNamespace(**{function.__name__: FakeFunction(function) for function in manager}),
            SimpleNamespace(**{function.__name__: FakeFunction(function) for function in kernel}),
            lambda: self.error,
        )

    def _list(self, guid: Any) -> bytes:  # noqa: ANN401 -- a buffer
        asked = UUID(bytes_le=guid.raw)
        paths = [path for path, device in self.devices.items() if isinstance(device, int) or device.guid == asked]
        return "".join(f"{path}\0" for path in [*paths, ""]).encode("utf-16-le")

    def CM_Get_Device_Interface_List_SizeW(self, length: Any, guid: Any, _device: None, _flags: int) -> int:  # noqa: ANN401, D102 -- C's
        length._obj.value = len(self._list(guid)) // 2  # noqa: SLF001 -- what byref points to
        return 0

    def CM_Get_Device_Interface_ListW(  # noqa: D102
        self,
        guid: Any,  # noqa: ANN401 -- C's
        _device: None,
        text: Any,  # noqa: ANN401
        length: int,
        _flags: int,
    ) -> int:
        data = self._list(guid)
        if len(data) > 2 * length:
            return 0x1A
        text[: len(data)] = data
        return 0

    def CreateFileW(self, name: Any, _access: int, _share: int, *_rest: Any) -> int:  # noqa: ANN401, D102 -- C's
        path = name.raw.decode("utf-16-le").partition("\0")[0]
        device = self.devices.get(path, FILE_NOT_FOUND)
        if isinstance(device, int):
            self.error = device
            return _INVALID_HANDLE
        self.opened += 1
        self.held[self.opened] = path
        return self.opened

    def DeviceIoControl(  # noqa: D102
        self,
        handle: int,
        code: int,
        given: Any,  # noqa: ANN401 -- C's
        given_size: int,
        out: Any,  # noqa: ANN401
        size: int,
        returned: Any,  # noqa: ANN401
        _overlapped: None,
    ) -> int:
        device = self.devices.get(self.held[handle], FILE_NOT_FOUND)
        answer = device if isinstance(device, int) else device.answer(code, given.raw[:given_size] if given else b"")
        if isinstance(answer, bytes) and len(answer) > size:
            answer = INSUFFICIENT_BUFFER
        if isinstance(answer, int):
            self.error = answer
            return 0
        out[: len(answer)] = answer
        returned._obj.value = len(answer)  # noqa: SLF001 -- what byref points to
        return 1

    def CloseHandle(self, handle: int) -> int:  # noqa: D102
        del self.held[handle]
        return 1


def counting(watts: float, start_pwh: int = 10**15) -> Callable[[], tuple[int, int]]:
    """A channel that counts with the monotonic clock."""

    def now() -> tuple[int, int]:
        passed_ns = time.monotonic_ns()
        return start_pwh + int(watts * passed_ns / 3.6), passed_ns // 100

    return now


def libraries() -> Libraries:
    """Those of ``GREENGEN_FAKE_WINDOWS``."""
    rig: dict[str, float] = json.loads(os.environ["GREENGEN_FAKE_WINDOWS"])
    channels = {name: counting(watts, (number + 1) * 10**15) for number, (name, watts) in enumerate(rig.items())}
    return FakeWindows({r"\\?\ACPI#EMI#0": EnergyMeter(channels)}).libraries()
