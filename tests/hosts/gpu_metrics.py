"""`gpu_metrics` tables, packed field by field as the structures of the kernel's kgd_pp_interface.h declare them."""

from __future__ import annotations

import struct

#: The declared fields of the structures after their header, in struct's letters; P, E and F stand for
#: power (u16), energy (u64) and power (u32). C alignment is that of struct's native mode.
_XCP_V1_0 = "8I32H4H8Q"
_XCP_V1_1 = "8I32H4H8Q8Q"
_OLD_REST = "Q7H7HIHHHHII4H"
_NEW_LINKS = "HHHHIIQQQQQ"
_CLOCKS = "8H4H4H4HHH"
STRUCTURES = {
    (1, 0): "Q6HHHHP" + "I7H7HIHBB",
    (1, 1): "6HHHHPE" + _OLD_REST,
    (1, 2): "6HHHHPE" + _OLD_REST + "Q",
    (1, 3): "6HHHHPE" + _OLD_REST + "Q3HHQ",
    (1, 4): "3HPHH4HEQII" + _NEW_LINKS + "8Q8QQ" + _CLOCKS,
    (1, 5): "3HPHH4H32HEQII" + _NEW_LINKS + "II8Q8QQ" + _CLOCKS,
    (1, 6): "3HPHHEQI5II" + _NEW_LINKS + "II8Q8QQ" + _CLOCKS + 8 * _XCP_V1_0 + "I",
    (1, 7): "3HPHHQEQI5II" + _NEW_LINKS + "II8Q8Q8HHQ" + _CLOCKS + 8 * _XCP_V1_1 + "I",
    (2, 1): "2H8H2HHHQPHHH8H6H6H8H2HIH3H",
    (2, 2): "2H8H2HHHQPHHH8H6H6H8H2HIH3HQ",
    (2, 3): "2H8H2HHHQPHHH8H6H6H8H2HIH3HQ12H",
    (2, 4): "2H8H2HHHQPHHH8H6H6H8H2HIH3HQ12H6H",
    (3, 0): "HH16HHHH8H16H4HQ" + "FH4I16HHHH8H16HHH7II",
}
#: 1.6 as it was first declared: with engine activities before its energy, as 1.5.
FIRST_1_6 = "3HPHH4H32HEQI5III" + _NEW_LINKS + "II8Q8QQ" + _CLOCKS
_LETTERS = {"P": "H", "E": "Q", "F": "I"}


def pack(format_: int, content: int, power: int, energy: int = 0, structure: str = "") -> bytes:
    """A table whose other fields all read 0x11…, so that a wrong offset does not read 0."""
    declared = structure or STRUCTURES[format_, content]
    layout = "@HBB" + "".join(_LETTERS.get(letter, letter) for letter in declared)
    whole = layout + "0Q"  # padded to the alignment of its widest field
    size = struct.calcsize(whole)
    table = bytearray(b"\x11" * size)
    struct.pack_into("<HBB", table, 0, size, format_, content)
    for letter, value in (("P", power), ("F", power), ("E", energy)):
        at = declared.find(letter)
        if at >= 0:
            before = "@HBB" + "".join(_LETTERS.get(one, one) for one in declared[:at])
            kind = _LETTERS[letter]
            struct.pack_into("<" + kind, table, struct.calcsize(before + "0" + kind), value)
    return bytes(table)
