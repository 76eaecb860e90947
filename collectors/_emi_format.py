"""What an energy meter of Windows answers: the structures of emi.h, byte for byte.

Facts: learn.microsoft.com/windows/win32/api/emi (EMI_METADATA_V1, EMI_METADATA_V2, EMI_CHANNEL_V2,
EMI_CHANNEL_MEASUREMENT_DATA) and emi.h as mingw-w64 has it: ULONGLONGs of picowatt-hours and of 100 ns; 16 wide
characters for names of maker and model; a channel's name follows its size in bytes, and the next channel follows
without padding (EMI_CHANNEL_V2_NEXT_CHANNEL).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

GUID = "45bd8344-7ed6-49cf-a440-c276c933b053"
#: CTL_CODE(FILE_DEVICE_UNKNOWN, 0 to 3, METHOD_BUFFERED, FILE_READ_ACCESS).
GET_VERSION, GET_METADATA_SIZE, GET_METADATA, GET_MEASUREMENT = 0x224000, 0x224004, 0x224008, 0x22400C
VERSION_SIZE, SIZE_SIZE = 2, 4
#: 1 pWh in J.
PWH_J = 3.6e-9
_V1, _V2 = 1, 2
_PICOWATT_HOURS = 0
_NAME = 32
_MEASUREMENT = struct.Struct("<QQ")
_MOST_METADATA = 1 << 20


@dataclass(frozen=True, slots=True)
class Meter:
    """What a device says of itself: its maker and model, and the names of its channels in order."""

    maker: str
    model: str
    channels: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of one measurement."""
        return _MEASUREMENT.size * len(self.channels)


def version(answer: bytes) -> int:
    """The version of the interface. Raises ValueError for one that is not known."""
    found = int.from_bytes(answer, "little")
    if len(answer) != VERSION_SIZE or found not in (_V1, _V2):
        msg = f"it speaks version {found} of the interface, and 1 and 2 are known"
        raise ValueError(msg)
    return found


def size(answer: bytes) -> int:
    """Bytes of the metadata. Raises ValueError."""
    found = int.from_bytes(answer, "little")
    if len(answer) != SIZE_SIZE or not 0 < found <= _MOST_METADATA:
        msg = f"it says that its metadata have {found} bytes"
        raise ValueError(msg)
    return found


def metadata(spoken: int, answer: bytes) -> Meter:
    """The metadata of that version. Raises ValueError where they are cut off, or count another unit."""
    try:
        return _of_v1(answer) if spoken == _V1 else _of_v2(answer)
    except struct.error as error:
        msg = f"its metadata of {len(answer)} bytes are cut off"
        raise ValueError(msg) from error


def measurement(meter: Meter, answer: bytes) -> list[tuple[int, int]]:
    """(pWh, 100 ns) of each channel. Raises ValueError where there are not as many."""
    if len(answer) != meter.size:
        msg = f"it answers {len(answer)} bytes for {len(meter.channels)} channels"
        raise ValueError(msg)
    return list(_MEASUREMENT.iter_unpack(answer))


def _of_v1(answer: bytes) -> Meter:
    unit, maker, model, _revision, length = struct.unpack_from("<i32s32sHH", answer)
    _check(unit)
    return Meter(_text(maker), _text(model), (_name(answer, 72, length) or _text(model),))


def _of_v2(answer: bytes) -> Meter:
    maker, model, _revision, count = struct.unpack_from("<32s32sHH", answer)
    channels, at = [], 68
    for _ in range(count):
        unit, length = struct.unpack_from("<iH", answer, at)
        _check(unit)
        channels.append(_name(answer, at + 6, length))
        at += 6 + length
    return Meter(_text(maker), _text(model), tuple(channels))


def _check(unit: int) -> None:
    if unit != _PICOWATT_HOURS:
        msg = f"it counts in unit {unit}, and 0 (picowatt-hours) is known"
        raise ValueError(msg)


def _name(answer: bytes, at: int, length: int) -> str:
    (raw,) = struct.unpack_from(f"{length}s", answer, at)
    return _text(raw)


def _text(raw: bytes) -> str:
    return raw[: len(raw) // 2 * 2].decode("utf-16-le", "replace").partition("\0")[0].strip()
