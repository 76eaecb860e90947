"""Fake machines: sysfs and procfs trees as the kernel shows them, written under a folder of yours.

Each writer returns the `Host` that a collector takes in place of the real machine; other facts of it
are set with `dataclasses.replace`. The folders are ``<root>/sys`` and ``<root>/proc``, so a
subprocess finds them through ``GREENGEN_SYSFS`` and ``GREENGEN_PROCFS`` (`environment`). Zones lie
below ``devices/virtual/powercap`` with links from ``class/powercap``, as in real life.

    host = replace(intel_laptop(tmp_path), monotonic_ns=clock)
    collector = RaplCollector(host)
    collector.discover()
    set_energy_uj(host, "intel-rapl:0", 262_143_000_000)
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from greengen.collector import Host

#: `max_energy_range_uj` of a counter whose unit is 61 µJ (Intel), 15.26 µJ (AMD), 15.3 µJ (server DRAM).
RANGE_INTEL, RANGE_AMD, RANGE_DRAM = 262_143_328_850, 65_532_610_987, 65_712_999_613

INTEL_LAPTOP_CPU = "12th Gen Intel(R) Core(TM) i7-1265U"
INTEL_SERVER_CPU = "Intel(R) Xeon(R) Gold 6230R CPU @ 2.10GHz"
AMD_SERVER_CPU = "AMD EPYC 7763 64-Core Processor"


@dataclass(frozen=True, slots=True)
class ZoneSpec:
    """One powercap zone: energies in µJ, power limits in µW by constraint name."""

    name: str
    energy_uj: int
    range_uj: int | None = RANGE_INTEL
    limits_uw: Mapping[str, int] = field(default_factory=dict)


def intel_laptop(root: Path) -> Host:
    """One package with core and uncore, psys as `intel-rapl:1`, and the mmio driver's twin of the package."""
    made = machine(root, model=INTEL_LAPTOP_CPU, cpus=4)
    limits = {"long_term": 15_000_000, "short_term": 55_000_000}
    zones = {
        "intel-rapl:0": ZoneSpec("package-0", 48_213_377_541, limits_uw=limits),
        "intel-rapl:0:0": ZoneSpec("core", 20_113_377_541),
        "intel-rapl:0:1": ZoneSpec("uncore", 1_113_377_541),
        "intel-rapl:1": ZoneSpec("psys", 98_213_377_541, limits_uw=limits),
        "intel-rapl-mmio:0": ZoneSpec("package-0", 48_213_377_541, limits_uw=limits),
    }
    return with_zones(made, zones)


def intel_server(root: Path) -> Host:
    """Two sockets, each with its memory beside it."""
    made = machine(root, model=INTEL_SERVER_CPU, cpus=4, packages=2)
    limits = {"long_term": 150_000_000, "short_term": 180_000_000}
    zones = {
        "intel-rapl:0": ZoneSpec("package-0", 262_143_000_000, limits_uw=limits),
        "intel-rapl:0:0": ZoneSpec("dram", 31_213_377_541, RANGE_DRAM),
        "intel-rapl:1": ZoneSpec("package-1", 148_213_377_541, limits_uw=limits),
        "intel-rapl:1:0": ZoneSpec("dram", 30_213_377_541, RANGE_DRAM),
    }
    return with_zones(made, zones)


def amd_server(root: Path) -> Host:
    """One package, with a core zone that counts beyond it; 15 µJ steps, so a wrap every 3.6 min at 300 W."""
    made = machine(root, model=AMD_SERVER_CPU, vendor="AuthenticAMD", cpus=4)
    zones = {
        "intel-rapl:0": ZoneSpec("package-0", 28_213_377_541, RANGE_AMD),
        "intel-rapl:0:0": ZoneSpec("core", 58_213_377_541, RANGE_AMD),
    }
    return with_zones(made, zones)


def empty_vm(root: Path) -> Host:
    """A virtual machine: the powercap class is there, and has no zones."""
    made = machine(root, model="AMD EPYC", vendor="AuthenticAMD", cpus=2, flags="fpu hypervisor")
    return with_zones(made, {})


def masked_container(root: Path) -> Host:
    """A Docker container on a laptop: a read-only tmpfs lies over the zones, and the class links dangle."""
    made = intel_laptop(root)
    devices = made.sysfs / "devices/virtual/powercap"
    devices.rename(root / "masked")
    devices.mkdir()
    _write(made.procfs / "1/cgroup", "0::/docker/4f1d9c\n")
    _write(
        made.procfs / "self/mountinfo",
        "480 479 0:54 / /sys ro,nosuid,nodev,noexec,relatime - sysfs sysfs ro\n"
        "498 480 0:64 / /sys/devices/virtual/powercap ro,relatime - tmpfs tmpfs ro,inode64\n",
    )
    return made


def machine(
    root: Path,
    *,
    model: str,
    cpus: int,
    vendor: str = "GenuineIntel",
    packages: int = 1,
    flags: str = "fpu vme",
) -> Host:
    """A machine without any power counter. `cpus` is the number of logical CPUs."""
    procfs, sysfs = root / "proc", root / "sys"
    sysfs.mkdir(parents=True)
    blocks = [
        f"processor\t: {cpu}\nvendor_id\t: {vendor}\nmodel name\t: {model}\n"
        f"physical id\t: {cpu * packages // cpus}\nflags\t\t: {flags}\n"
        for cpu in range(cpus)
    ]
    _write(procfs / "cpuinfo", "\n".join(blocks))
    host = Host(sysfs=sysfs, procfs=procfs)
    set_cpu_ticks(host, idle=1)  # without any the machine would be one of gVisor's
    return host


def with_zones(host: Host, zones: Mapping[str, ZoneSpec]) -> Host:
    """Adds powercap zones by id; a parent comes before its children."""
    (host.sysfs / "class/powercap").mkdir(parents=True)
    for zone_id, spec in zones.items():
        driver, *numbers = zone_id.split(":")
        inner = [":".join((driver, *numbers[: depth + 1])) for depth in range(len(numbers))]
        folder = host.sysfs.joinpath("devices/virtual/powercap", driver, *inner)
        _write(folder / "name", spec.name + "\n")
        _write(folder / "energy_uj", f"{spec.energy_uj}\n")
        _write(folder / "enabled", "1\n")
        if spec.range_uj is not None:
            _write(folder / "max_energy_range_uj", f"{spec.range_uj}\n")
        for index, (name, limit) in enumerate(spec.limits_uw.items()):
            _write(folder / f"constraint_{index}_name", name + "\n")
            _write(folder / f"constraint_{index}_power_limit_uw", f"{limit}\n")
            _write(folder / f"constraint_{index}_max_power_uw", f"{limit}\n")
        link = host.sysfs / "class/powercap" / zone_id
        link.symlink_to(os.path.relpath(folder, link.parent))
    return host


def set_energy_uj(host: Host, zone_id: str, energy_uj: int | str) -> None:
    """What the zone's counter reads from now on, also through a file that is open already."""
    _overwrite(host.sysfs / "class/powercap" / zone_id / "energy_uj", f"{energy_uj}\n")


def remove_zone(host: Host, zone_id: str) -> None:
    """The zone's files go, as when its driver is unloaded; an open counter fails with ENODEV in real life."""
    folder = (host.sysfs / "class/powercap" / zone_id).resolve()
    for file in folder.iterdir():
        if file.is_file():
            file.unlink()


def set_cpu_ticks(host: Host, **columns: int) -> None:
    """The first line of ``/proc/stat``, in ticks: user, nice, system, idle, iowait, irq, softirq, steal, guest."""
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")
    numbers = " ".join(str(columns.get(name, 0)) for name in names)
    _overwrite(host.procfs / "stat", f"cpu  {numbers}\ncpu0 {numbers}\nintr 0\nctxt 0\n")


def set_process(
    host: Host,
    pid: int,
    *,
    parent: int = 1,
    started: int = 1000,
    utime: int = 0,
    cutime: int = 0,
    state: str = "S",
    command: str = "a (b) c)",
) -> None:
    """A process with its times in ticks. Its `children` files follow `parent` as in a real kernel."""
    head = f"{pid} ({command}) {state} {parent} {pid} {pid} 0 -1 4194304 0 0 0 0"
    _overwrite(host.procfs / f"{pid}/stat", f"{head} {utime} 0 {cutime} 0 20 0 1 0 {started} 0 0\n")
    _overwrite(host.procfs / f"{pid}/task/{pid}/children", "")
    _list_children(host)


def remove_process(host: Host, pid: int) -> None:
    """The process is gone: dead, and waited for."""
    (host.procfs / f"{pid}/stat").unlink()
    (host.procfs / f"{pid}/task/{pid}/children").unlink()
    _list_children(host)


def environment(host: Host) -> dict[str, str]:
    """The variables that make a subprocess see this machine."""
    return {"GREENGEN_SYSFS": str(host.sysfs), "GREENGEN_PROCFS": str(host.procfs)}


def _list_children(host: Host) -> None:
    children: dict[str, list[str]] = {}
    for stat in host.procfs.glob("[0-9]*/stat"):
        children.setdefault(stat.read_text().rpartition(")")[2].split()[1], []).append(stat.parent.name)
    for file in host.procfs.glob("[0-9]*/task/*/children"):
        _overwrite(file, "".join(f"{pid} " for pid in children.get(file.parts[-4], [])))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _overwrite(path: Path, text: str) -> None:
    # In place and in one write: a reader that holds the file open sees the old text or the new one.
    # A shorter text is filled up with newlines, which no reader minds.
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        data = text.encode()
        size = os.fstat(fd).st_size
        os.pwrite(fd, data + b"\n" * max(0, size - len(data)), 0)
    finally:
        os.close(fd)


def set_cgroup(host: Host, path: str, *, usage_us: int = 0, pids: Sequence[int | str] = (), root: str = "") -> Path:
    """A cgroup (version 2) with its CPU time, in us, and the processes that are in it; its folder.

    path  from the top of the hierarchy as it is seen, ``/`` or ``/a.slice/b.scope``
    root  the hierarchy's mount point below ``/sys/fs/cgroup``: ``unified`` beside version 1
    """
    folder = host.sysfs / "fs/cgroup" / root
    for part in ("", *filter(None, path.split("/"))):
        folder /= part
        _overwrite(folder / "cgroup.controllers", "cpu memory\n")
        if part:
            _overwrite(folder / "cgroup.events", "populated 1\nfrozen 0\n")
    _overwrite(folder / "cpu.stat", f"usage_usec {usage_us}\nuser_usec {usage_us}\nsystem_usec 0\n")
    for pid in pids:
        _overwrite(host.procfs / str(pid) / "cgroup", f"0::{path}\n")
    return folder
