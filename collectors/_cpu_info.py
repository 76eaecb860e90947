"""Which CPU this is, and whether the machine is a virtual one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from greengen.collector import Host

#: How the DMI vendor and product of a virtual machine begin. (Google and Microsoft make laptops too.)
_VIRTUAL = (
    "alibaba cloud",
    "amazon ec2",
    "google google compute engine",
    "innotek gmbh virtualbox",
    "microsoft corporation virtual machine",
    "parallels",
    "qemu",
    "vmware",
    "xen hvm domu",
)


class CpuInfo(NamedTuple):
    """model: the CPU's name, or "" where the kernel gives none; vendor: its CPUID vendor."""

    model: str
    vendor: str
    logical: int
    packages: int
    virtual: bool


def read_cpu_info(host: Host) -> CpuInfo:
    """From ``/proc/cpuinfo`` and the DMI tables; off Linux what Python's platform module knows."""
    text = read_text(host.procfs / "cpuinfo")
    first: dict[str, str] = {}
    logical = 0
    packages = set()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        key, value = key.strip(), value.strip()
        first.setdefault(key, value)
        logical += key == "processor" and value.isdigit()
        if key == "physical id":
            packages.add(value)
    return CpuInfo(
        model=first.get("model name", "") if text else _platform_name(),
        vendor=first.get("vendor_id", ""),
        logical=logical or os.cpu_count() or 1,
        packages=len(packages) or 1,
        virtual="hypervisor" in first.get("flags", "").split() or _virtual_by_dmi(host),
    )


def _platform_name() -> str:
    import platform  # noqa: PLC0415 -- only needed off Linux

    return platform.processor()


def _virtual_by_dmi(host: Host) -> bool:
    # ARM guests have no hypervisor flag.
    dmi = host.sysfs / "class/dmi/id"
    product = read_text(dmi / "product_name").strip().lower()
    maker = read_text(dmi / "sys_vendor").strip().lower()
    return f"{maker} {product}".startswith(_VIRTUAL) and "metal" not in product


def read_text(path: Path) -> str:
    """The file's text, or "" where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
