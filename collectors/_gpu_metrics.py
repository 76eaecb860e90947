"""amdgpu's `gpu_metrics`: a binary table whose layout its first four bytes name.

u16 size, u8 format, u8 content revision, little endian, C alignment. Layouts: the kernel's
drivers/gpu/drm/amd/include/kgd_pp_interface.h, whose revision 1.6 changed its layout and size on the
way. A table is read only where both revision and size are known: a wrong guess would be a number too.
Units: energy in 2^-16 J from 1.4 on, as the header says; 1.3 likewise where the driver is Aldebaran's
(MI200, smu13_driver_if_aldebaran.h); for the other users of 1.0 to 1.3 no source states it. Power in W
in 1.x, in mW in 2.4 and 3.0; in 2.0 to 2.3 W or mW by firmware (amdgpu_top issue 30), so not read.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

ENERGY_STEP_J = 2.0**-16
_HEADER = struct.Struct("<HBB")
_U16, _U32, _U64 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<Q")
_MISSING = {_U16: 0xFFFF, _U32: 0xFFFF_FFFF, _U64: 0xFFFF_FFFF_FFFF_FFFF}


class Layout(NamedTuple):
    """Where a table has what; an offset of None: not there, or of no known unit."""

    power_at: int
    power: struct.Struct
    unit_w: float
    energy_at: int | None = None


class Metrics(NamedTuple):
    """What a table says; None for a field that the chip does not support (all bits set)."""

    format: int
    power_w: float | None
    energy_j: float | None


#: By (format, content, size).
_LAYOUTS: dict[tuple[int, int, int], Layout] = {
    (1, 1, 96): Layout(22, _U16, 1.0),
    (1, 2, 104): Layout(22, _U16, 1.0),
    (1, 3, 120): Layout(22, _U16, 1.0),
    (1, 4, 288): Layout(10, _U16, 1.0, 24),
    (1, 5, 360): Layout(10, _U16, 1.0, 88),
    (1, 6, 384): Layout(10, _U16, 1.0, 88),
    (1, 6, 1664): Layout(10, _U16, 1.0, 16),
    (1, 7, 2208): Layout(10, _U16, 1.0, 24),
    (2, 4, 168): Layout(40, _U16, 1e-3),
    (3, 0, 264): Layout(112, _U32, 1e-3),
}
_ALDEBARAN = Layout(22, _U16, 1.0, 24)
#: Known to be tables of APUs, though nothing more is read from the older of them.
APU_FORMATS = (2, 3)


def read_format(table: bytes) -> int:
    """The format revision. Raises ValueError for what is no table."""
    if len(table) < _HEADER.size or _HEADER.unpack_from(table)[0] > len(table):
        msg = f"is cut short: {len(table)} bytes"
        raise ValueError(msg)
    return int(_HEADER.unpack_from(table)[1])


def parse(table: bytes, *, aldebaran: bool = False) -> Metrics:
    """Power and energy. Raises ValueError for a layout that is not known, or a table that is cut short."""
    version = read_format(table)
    size, _, content = _HEADER.unpack_from(table)
    layout = _LAYOUTS.get((version, content, size))
    if layout is None:
        msg = f"has revision {version}.{content} in {size} bytes, whose layout or units are not known"
        raise ValueError(msg)
    if aldebaran and (version, content) == (1, 3):
        layout = _ALDEBARAN
    power = _field(table, layout.power_at, layout.power)
    energy = None if layout.energy_at is None else _field(table, layout.energy_at, _U64)
    return Metrics(
        version,
        None if power is None else power * layout.unit_w,
        None if energy is None else energy * ENERGY_STEP_J,
    )


def _field(table: bytes, at: int, kind: struct.Struct) -> int | None:
    value = int(kind.unpack_from(table, at)[0])
    return None if value == _MISSING[kind] else value
