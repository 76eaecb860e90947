"""hwmon: the chips under ``/sys/class/hwmon``, known by driver and bus address, never by number.

`hwmonN` is numbered anew at every boot and after every reload of a driver. Attributes lie in the
folder itself, or in that of its device (older drivers). Units: energy µJ, power µW, current mA,
voltage mV, intervals ms. Facts: the kernel's Documentation/ABI/testing/sysfs-class-hwmon.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from pathlib import Path
from typing import NamedTuple

from greengen.collectors._cpu_info import read_text

_NUMBER = re.compile(r"^hwmon(\d+)$")
#: A longer one is none of the kernel's, and of thousands of digits Python makes no number.
_INTEGER = re.compile(r"^-?[0-9]{1,20}$")


class Chip(NamedTuple):
    """One hwmon device.

    name     its driver's name: ina3221, amdgpu, power_meter
    address  its place on its bus: 1-0040, 0000:03:00.0, ACPI000D:00; the folder's name where it has none
    path     its folder now
    """

    name: str
    address: str
    path: Path

    def file(self, attribute: str) -> Path:
        """Where an attribute is: in the folder, else in its device's. It need not exist."""
        own, behind = self.path / attribute, self.path / "device" / attribute
        return behind if not own.exists() and behind.exists() else own

    def runtime_status(self) -> Path:
        """Whether its device sleeps. By the device's own path, which stays when the chip's number changes."""
        return (self.path / "device").resolve() / "power/runtime_status"

    def has(self, attribute: str) -> bool:
        """Whether there is such an attribute."""
        return self.file(attribute).exists()

    def text(self, attribute: str) -> str:
        """An attribute without its newline, or "" where it cannot be read."""
        return read_text(self.file(attribute)).strip()

    def number(self, attribute: str) -> int | None:
        """An attribute as a number; None where it cannot be read, or is not one."""
        text = self.text(attribute)
        return int(text) if _INTEGER.match(text) else None

    def channels(self, kind: str, attribute: str = "input") -> list[int]:
        """The numbers N of its ``<kind>N_<attribute>`` files, ascending."""
        pattern = re.compile(rf"^{kind}(\d+)_{attribute}$")
        names = {name for folder in (self.path, self.path / "device") for name in _listed(folder)}
        return sorted(int(match[1]) for name in names if (match := pattern.match(name)))


def find_chips(sysfs: Path, names: Container[str]) -> list[Chip]:
    """The chips whose driver has one of `names`, by address."""
    top = sysfs / "class/hwmon"
    chips = []
    for folder in sorted(_listed(top), key=_order):
        path = top / folder
        name = (read_text(path / "name") or read_text(path / "device/name")).strip()
        if name in names:
            chips.append(Chip(name, _address(path), path))
    return sorted(chips, key=lambda chip: (chip.name, chip.address))


def locate(sysfs: Path, chip: Chip, attributes: Sequence[str]) -> list[Path]:
    """The chip's attributes where it is now. Raises FileNotFoundError while it is gone."""
    for now in find_chips(sysfs, (chip.name,)):
        if now.address == chip.address:
            return [now.file(attribute) for attribute in attributes]
    msg = f"no {chip.name} at {chip.address} under {sysfs / 'class/hwmon'}"
    raise FileNotFoundError(msg)


def _address(path: Path) -> str:
    device = path / "device"
    if device.is_symlink():
        return device.resolve().name
    parent = path.resolve().parent
    return parent.parent.name if parent.name == "hwmon" and path.is_symlink() else path.name


def _order(folder: str) -> tuple[int, str]:
    match = _NUMBER.match(folder)
    return int(match[1]) if match else -1, folder


def _listed(path: Path) -> list[str]:
    try:
        return [entry.name for entry in path.iterdir()]
    except OSError:
        return []
