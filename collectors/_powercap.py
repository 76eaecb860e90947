"""The powercap tree of sysfs: which RAPL zones there are, and why there may be none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from greengen.collector import Host, Unavailable
from greengen.collectors._cpu_info import CpuInfo, read_text

_ZONE = re.compile(r"^(intel-rapl(?:-mmio)?)((?::[0-9a-f]+)+)$")
_CONTAINER = re.compile(r"docker|kubepods|containerd|libpod|crio|lxc")
#: A longer one is none of the kernel's, and of thousands of digits Python makes no number.
_INTEGER = re.compile(r"^[0-9]{1,20}$")
#: What every ARM kernel says of each CPU (arch/arm64/kernel/cpuinfo.c), and no other does.
_ARM = re.compile(r"^CPU implementer\s*:", re.MULTILINE)
_MASK = re.compile(r" (\S*/powercap) \S+ .*- tmpfs ", re.MULTILINE)

_UNMASK = (
    "docker run -v /sys/devices/virtual/powercap:/host_sys/devices/virtual/powercap:ro "
    "-e GREENGEN_SYSFS=/host_sys, or --security-opt systempaths=unconfined"
)


class Zone(NamedTuple):
    """One zone.

    id      as in sysfs: ``intel-rapl:0:1``, with hexadecimal numbers
    parent  the id of the zone it is part of, or None
    """

    id: str
    path: Path
    name: str
    parent: str | None

    def number(self, file: str) -> int | None:
        """A file of the zone as a number; None where it cannot be read, or is not one."""
        text = read_text(self.path / file).strip()
        return int(text) if _INTEGER.match(text) else None


def find_zones(sysfs: Path) -> dict[str, Zone]:
    """All zones by id, in the order of their numbers, without those of the mmio driver that repeat one."""
    paths: dict[str, Path] = {}
    for top in (sysfs / "class/powercap", *sorted((sysfs / "devices/virtual/powercap").glob("intel-rapl*"))):
        for path in _zones_under(top):
            paths.setdefault(path.name, path)
    zones: dict[str, Zone] = {}
    for zone_id in sorted(paths, key=_numbers):
        name = read_text(paths[zone_id] / "name").strip()
        parent = zone_id.rpartition(":")[0]
        if name:
            zones[zone_id] = Zone(zone_id, paths[zone_id], name, parent if parent in zones else None)
    by_msr = {_names(zone, zones) for zone in zones.values() if not zone.id.startswith("intel-rapl-mmio")}
    return {
        zone_id: zone
        for zone_id, zone in zones.items()
        if not zone_id.startswith("intel-rapl-mmio") or _names(zone, zones) not in by_msr
    }


def _zones_under(top: Path) -> Iterator[Path]:
    # The class folder links every zone side by side; below devices/ they are nested.
    try:
        entries = sorted(top.iterdir())
    except OSError:
        return
    for path in entries:
        if _ZONE.match(path.name) and path.is_dir():
            yield path
            yield from _zones_under(path)


def _numbers(zone_id: str) -> tuple[str, list[int]]:
    driver, *numbers = zone_id.split(":")
    return driver, [int(number, 16) for number in numbers]


def _names(zone: Zone, zones: dict[str, Zone]) -> tuple[str, str]:
    return zones[zone.parent].name if zone.parent else "", zone.name


def denied(zones: list[Zone]) -> Unavailable:
    """Zones whose counter only root may read."""
    return Unavailable(
        "rapl",
        f"permission denied on energy_uj of {', '.join(zone.name for zone in zones)}: Linux lets only root read it, "
        "because it leaks what other processes compute (CVE-2020-8694)",
        "from the least to the most intrusive: (1) a root service that hands out the joules; (2) a udev rule: "
        "chgrp power and chmod 0440 on /sys/devices/virtual/powercap/intel-rapl/**/energy_uj (lost at reboot; "
        "reopens the side channel to that group); (3) CAP_DAC_READ_SEARCH on the interpreter; (4) run as root",
    )


def why_no_zones(host: Host, cpu: CpuInfo) -> Unavailable:
    """Why this machine shows no RAPL zone at all, and what would help."""
    if not host.sysfs.is_dir():
        return Unavailable("rapl", f"there is no {host.sysfs}: RAPL is read through Linux's sysfs")
    mask = _MASK.search(read_text(host.procfs / "self/mountinfo"))
    dangling = any(_is_dangling(path) for path in _listed(host.sysfs / "class/powercap"))
    also_vm = "; it is a virtual machine too, so there may be nothing behind the mask" if cpu.virtual else ""
    if mask or dangling:
        what = mask[1] if mask else "/sys/devices/virtual/powercap"
        return Unavailable("rapl", f"the container hides {what} (Docker's MaskedPaths){also_vm}", _UNMASK)
    if cpu.virtual:
        return Unavailable(
            "rapl",
            "this is a virtual machine, and its hypervisor passes no RAPL counter on",
            "measure on the host, or choose a bare-metal instance",
        )
    if "KUBERNETES_SERVICE_HOST" in host.environ or _CONTAINER.search(read_text(host.procfs / "1/cgroup")):
        return Unavailable(
            "rapl",
            "no powercap zones are seen in this container, and Docker's MaskedPaths hide them by default",
            _UNMASK,
        )
    maker = "ARM" if _ARM.search(read_text(host.procfs / "cpuinfo")) else cpu.vendor
    if maker not in ("", "GenuineIntel", "AuthenticAMD", "HygonGenuine"):
        return Unavailable("rapl", f"CPUs of {maker} have no RAPL counters")
    return Unavailable(
        "rapl",
        f"{host.sysfs / 'class/powercap'} has no intel-rapl zone: the driver is not loaded, or does not know this CPU",
        "modprobe intel_rapl_msr (AMD too); a CPU newer than the kernel needs a newer kernel",
    )


def _listed(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except OSError:
        return []


def _is_dangling(path: Path) -> bool:
    return bool(_ZONE.match(path.name)) and path.is_symlink() and not path.exists()
