"""A laptop's battery on Windows, by its driver: what ``DeviceIoControl`` answers any user.

Facts: learn.microsoft.com/windows/win32/power: IOCTL_BATTERY_QUERY_TAG, _QUERY_INFORMATION and _QUERY_STATUS with
BATTERY_QUERY_INFORMATION, BATTERY_INFORMATION, BATTERY_REPORTING_SCALE, BATTERY_WAIT_STATUS and BATTERY_STATUS;
capacities in mWh and rates in mW (below 0: it discharges) unless BATTERY_CAPACITY_RELATIVE is set, all bits for a
capacity that is not known and 0x80000000 for a rate. The control codes are CTL_CODE(FILE_DEVICE_BATTERY, 0x10, 0x11
and 0x13, METHOD_BUFFERED, FILE_READ_ACCESS), as Microsoft's windows-rs has them. Gauges bring their answers up to
date every so often, some only twice a minute.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence

from greengen.collectors._battery_gauge import Gauge
from greengen.collectors._windows_devices import READ, WRITE, Devices, load

GUID = "72631e54-78a4-11d0-bcf7-00aa00b7b32a"
QUERY_TAG, QUERY_INFORMATION, QUERY_STATUS = 0x294040, 0x294044, 0x29404C
_INFORMATION, _GRANULARITY = 0, 1
_RELATIVE, _SHORT_TERM, _SYSTEM = 0x40000000, 0x20000000, 0x80000000
_ON_LINE, _DISCHARGING, _CHARGING = 1, 2, 4
_UNKNOWN, _UNKNOWN_RATE = 0xFFFFFFFF, -0x80000000
_TAG, _STATUS, _SCALE = struct.Struct("<I"), struct.Struct("<IIIi"), struct.Struct("<II")
_INFORMATION_SIZE, _MOST_SCALES = 36, 4
_MWH_J = 3.6


def reader(environ: Mapping[str, str]) -> Callable[[], Sequence[Gauge]]:
    """What asks all batteries. It raises OSError where Windows refuses."""
    held: list[Devices] = []

    def ask() -> list[Gauge]:
        if not held:
            held.append(Devices(load(environ)))
        (devices,) = held
        found = [_gauge(devices, path, number) for number, path in enumerate(devices.paths(GUID))]
        return [gauge for gauge in found if gauge is not None]

    return ask


def _gauge(devices: Devices, path: str, number: int) -> Gauge | None:
    """One battery; None for what does not feed this machine, or is not there. Raises OSError."""
    handle = devices.open(path, READ | WRITE)
    try:
        return _asked(devices, handle, f"BAT{number}")
    except struct.error as error:
        msg = f"battery {number} answers in another form than is documented: {error}"
        raise OSError(msg) from error
    finally:
        devices.close(handle)


def _asked(devices: Devices, handle: int, name: str) -> Gauge | None:
    (tag,) = _TAG.unpack(devices.ask(handle, QUERY_TAG, _TAG.size, _TAG.pack(0)))
    if not tag:
        return None
    question = struct.pack("<IiI", tag, _INFORMATION, 0)
    (capabilities,) = struct.unpack_from("<I", devices.ask(handle, QUERY_INFORMATION, _INFORMATION_SIZE, question))
    if not capabilities & _SYSTEM or capabilities & _SHORT_TERM:
        return None
    wait = struct.pack("<5I", tag, 0, 0, 0, 0)
    state, capacity, voltage, rate = _STATUS.unpack(devices.ask(handle, QUERY_STATUS, _STATUS.size, wait))
    absolute = not capabilities & _RELATIVE
    left_wh = capacity / 1000 if absolute and capacity != _UNKNOWN else None
    power_w = -rate / 1000 if absolute and rate != _UNKNOWN_RATE else None
    volts = None if voltage == _UNKNOWN else voltage / 1000
    return Gauge(name, _status(state), left_wh, None, volts, power_w, _step_j(devices, handle, tag, capacity))


def _step_j(devices: Devices, handle: int, tag: int, capacity: int) -> float | None:
    """In what steps the capacity goes, J, where the driver says."""
    question = struct.pack("<IiI", tag, _GRANULARITY, 0)
    try:
        answer = devices.ask(handle, QUERY_INFORMATION, _MOST_SCALES * _SCALE.size, question)
    except OSError:
        return None
    scales = _SCALE.iter_unpack(answer[: len(answer) // _SCALE.size * _SCALE.size])
    steps = [step for step, upto in scales if capacity <= upto]
    return steps[0] * _MWH_J if steps and steps[0] else None


def _status(state: int) -> str:
    if state & _CHARGING:
        return "Charging"
    if state & _ON_LINE:
        return "Not charging"
    return "Discharging" if state & _DISCHARGING else ""
