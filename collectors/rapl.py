"""RAPL: the energy counters of CPU packages and their memory, as Linux's powercap tree shows them.

Package holds core and uncore; dram lies beside it; psys is another way to know the whole platform.
Facts: the kernel's Documentation/power/powercap and drivers/powercap/intel_rapl_common.c.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from greengen.collector import Discovery, Domain, Event, Host, Sample, Unavailable
from greengen.collectors import _held
from greengen.collectors._cpu_info import CpuInfo, read_cpu_info
from greengen.collectors._on_die import with_npus
from greengen.collectors._powercap import Zone, denied, find_zones, why_no_zones

_PACKAGE = re.compile(r"^package-(\d+)(-die-\d+)?$")
_PSYS = re.compile(r"^psys(-\d+)?$")
_CHILDREN = ("core", "uncore", "dram")

#: Relative standard uncertainty of the counter's gain, by kind: half of what a 95 % interval shows.
#: package  5 % at 95 %. Haswell and later sense at the voltage regulators and follow the mains
#:          closely (Hackenberg et al., HPPAC 2015); the size is a judgement.
#: dram     20 %. Follows the real power by a constant offset, worst when idle (Desrochers et al.,
#:          MEMSYS 2016); measured on servers, modelled on desktops; the size is a judgement.
#: psys     10 %. What it covers is up to the board's maker; the size is a judgement.
_GAIN = {"package": 0.025, "core": 0.025, "uncore": 0.025, "dram": 0.10, "psys": 0.05}
#: AMD's counter is computed from events rather than sensed, and misses what depends on the data
#: worked on (Schöne et al., arXiv:2108.00808, on Zen 2): 20 % at 95 %, a judgement.
_GAIN_AMD = 0.10
_AMD = ("AuthenticAMD", "HygonGenuine")
_COUNTS = 2**32
_DEFAULT_UNIT_J = 2.0**-14
#: What a package draws at most where the firmware does not say, W; and the limit from which on a
#: firmware means "no limit" (4090 W is common).
_MAX_POWER_W, _NO_LIMIT_W = 1000.0, 2000.0
#: Two zones of one package that differ by no more than it draws between the reads show one counter, give or take.
_MIRROR_J = 1.0

_NOT_SPLIT = {
    "dram": "no counter says how much memory traffic each process caused, so sole tenancy is assumed",
    "psys": "no weight divides a whole platform between processes, so sole tenancy is assumed",
}


@dataclass(slots=True)
class _Meter:
    uid: str
    path: str
    fd: int
    down: bool = False


class RaplCollector:
    """Reads `energy_uj` of every zone, held open. `open_file` opens a path with os.open's flags."""

    name = "rapl"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host, open_file: Callable[[str, int], int] = os.open) -> None:
        self._host = host
        self._open = open_file
        self._meters: list[_Meter] = []

    def discover(self) -> Discovery:
        """Find the zones, and open the counter of each that means something and is not one already open."""
        self.close()
        cpu = read_cpu_info(self._host)
        zones = find_zones(self._host.sysfs)
        if not zones:
            return Discovery(unavailable=(why_no_zones(self._host, cpu),))
        probed: dict[str, tuple[int, float]] = {}
        forbidden: list[Zone] = []
        problems: list[Unavailable] = []
        for zone in zones.values():
            try:
                reason = _why_not(zone, zones, cpu)
                if not reason:
                    fd, value_j = self._probe(str(zone.path / "energy_uj"))
                    reason = _why_counted_already(zone, value_j, zones, probed)
                    if reason:
                        os.close(fd)
                    else:
                        probed[zone.id] = fd, value_j
            except PermissionError:
                forbidden.append(zone)
                continue
            except (OSError, ValueError) as error:
                reason = f"{zone.path / 'energy_uj'}: {error}"
            if reason:
                problems.append(Unavailable(f"rapl:{_full_name(zone, zones)} ({zone.id})", reason))
        if forbidden:
            problems.append(denied(forbidden))
        uids = _uids(list(probed), zones)
        self._meters = [_Meter(uids[id_], str(zones[id_].path / "energy_uj"), fd) for id_, (fd, _) in probed.items()]
        domains = (_domain(zones[id_], zones, uids, cpu) for id_ in probed)
        return Discovery(with_npus(domains, self._host.sysfs), tuple(problems))

    def _probe(self, path: str) -> tuple[int, float]:
        fd = self._open(path, os.O_RDONLY)
        try:
            return fd, _read_j(fd)
        except (OSError, ValueError):
            os.close(fd)
            raise

    def read(self) -> list[Sample | Event]:
        """One sample per zone; a `gap` event when one begins to fail."""
        now = self._host.monotonic_ns
        rows: list[Sample | Event] = []
        for meter in self._meters:
            try:
                value_j = _read_j(meter.fd)
                rows.append(Sample(meter.uid, now(), value_j))
            except (OSError, ValueError) as error:
                rows += self._failed(meter, error)
            else:
                meter.down = False
        return rows

    def _failed(self, meter: _Meter, error: OSError | ValueError) -> list[Sample | Event]:
        """Open the counter again where its driver went, or its package did; else tell the gap, once."""
        if meter.fd < 0 or (isinstance(error, OSError) and error.errno in (errno.ENODEV, errno.ENOENT)):
            if meter.fd >= 0:
                _held.close(meter.fd, meter.path)
                meter.fd = -1
            try:
                meter.fd, value_j = self._probe(meter.path)
            except (OSError, ValueError) as again:
                error = again
            else:
                meter.down = False
                return [Sample(meter.uid, self._host.monotonic_ns(), value_j)]
        told, meter.down = meter.down, True
        return [] if told else [Event(self._host.monotonic_ns(), "gap", meter.uid, f"{meter.path}: {error}")]

    def close(self) -> None:
        """Close the counters."""
        for meter in self._meters:
            if meter.fd >= 0:
                _held.close(meter.fd, meter.path)
        self._meters = []


def _read_j(fd: int) -> float:
    value_uj = int(os.pread(fd, 64, 0))
    if value_uj < 0:
        msg = f"reads {value_uj}: a counter counts from 0"
        raise ValueError(msg)
    return value_uj / 1e6


def _kind(zone: Zone, zones: dict[str, Zone]) -> str | None:
    if _PACKAGE.match(zone.name):
        return "package"
    if _PSYS.match(zone.name):
        return "psys"
    if zone.parent and _PACKAGE.match(zones[zone.parent].name) and zone.name in _CHILDREN:
        return zone.name
    return None


def _full_name(zone: Zone, zones: dict[str, Zone]) -> str:
    return f"{zones[zone.parent].name}/{zone.name}" if zone.parent else zone.name


def _package_of(zone: Zone, zones: dict[str, Zone]) -> str:
    match = _PACKAGE.match(zones[zone.parent or zone.id].name)
    return match[1] if match else ""


def _why_not(zone: Zone, zones: dict[str, Zone], cpu: CpuInfo) -> str:
    kind = _kind(zone, zones)
    if kind is None:
        return f"{zone.path} is a zone of no known meaning"
    if kind == "core" and cpu.vendor in _AMD:
        return "AMD counts energy per core, and powercap shows that as one zone: it may exceed its package"
    return ""


def _why_counted_already(
    zone: Zone, value_j: float, zones: dict[str, Zone], probed: dict[str, tuple[int, float]]
) -> str:
    """Some machines show the counter of a package again on each of its dies."""
    key = _kind(zone, zones), _package_of(zone, zones)
    for other_id, (other_fd, other_j) in probed.items():
        other = zones[other_id]
        if key != (_kind(other, zones), _package_of(other, zones)):
            continue
        # Read before and after this one: a busy machine may take its time between two readings.
        try:
            last_j = _read_j(other_fd)
        except (OSError, ValueError):
            last_j = other_j
        if other_j - _MIRROR_J < value_j < last_j + _MIRROR_J:
            return f"{zone.path} shows the same counter as {other.path}, which is counted"
    return ""


def _uids(zone_ids: list[str], zones: dict[str, Zone]) -> dict[str, str]:
    """By zone id. Two zones of one name that are not one counter are told apart by their order."""
    uids: dict[str, str] = {}
    seen: dict[str, int] = {}
    for zone_id in zone_ids:
        uid = f"rapl:{_full_name(zones[zone_id], zones)}"
        seen[uid] = seen.get(uid, 0) + 1
        uids[zone_id] = uid if seen[uid] == 1 else f"{uid}#{seen[uid]}"
    return uids


def _domain(zone: Zone, zones: dict[str, Zone], uids: dict[str, str], cpu: CpuInfo) -> Domain:
    kind = _kind(zone, zones) or ""
    counter_uj = zone.number("max_energy_range_uj")
    wrap_j = counter_uj / 1e6 if counter_uj else None
    split = None if kind in _NOT_SPLIT else "cpu"
    return Domain(
        uid=uids[zone.id],
        collector=RaplCollector.name,
        kind=kind,
        name=f"{_full_name(zone, zones)} (RAPL)",
        scope="vm" if cpu.virtual else "host",
        contains=tuple(uid for zone_id, uid in uids.items() if _contains(zone, zones[zone_id], zones)),
        alternative=kind == "psys",
        split=split,
        split_reason=_NOT_SPLIT.get(kind, ""),
        activity="cpu",
        wrap_j=wrap_j,
        max_power_w=_max_power_w(zone, zones),
        # The hardware counter has 32 bits, so its range tells its step: 61 µJ, 15.3 µJ, 1 J for some psys.
        resolution_j=wrap_j / _COUNTS if wrap_j else _DEFAULT_UNIT_J,
        refresh_s=0.001,
        gain=_GAIN_AMD if cpu.vendor in _AMD else _GAIN[kind],
        detail=f"powercap zone {zone.path}" + (", passed on by the hypervisor" if cpu.virtual else ""),
    )


def _contains(outer: Zone, inner: Zone, zones: dict[str, Zone]) -> bool:
    if inner.parent == outer.id:
        return inner.name != "dram"
    psys, package = _PSYS.match(outer.name), _PACKAGE.match(zones[inner.parent or inner.id].name)
    if not psys or not package or (inner.parent and inner.name != "dram"):
        return False
    # With one psys per package (psys, psys-1 …) each holds its own package only.
    several = sum(bool(_PSYS.match(zone.name)) for zone in zones.values()) > 1
    return not several or int((psys[1] or "-0")[1:]) == int(package[1])


def _max_power_w(zone: Zone, zones: dict[str, Zone]) -> float:
    """Twice the largest limit the firmware states (turbo exceeds it for a while), or a safe bound."""
    files = [*zone.path.glob("constraint_*_max_power_uw"), *zone.path.glob("constraint_*_power_limit_uw")]
    largest_w = max((zone.number(file.name) or 0 for file in files), default=0) / 1e6
    if 0 < largest_w < _NO_LIMIT_W:
        return 2 * largest_w
    if not largest_w and zone.parent:
        return _max_power_w(zones[zone.parent], zones)
    packages = sum(bool(_PACKAGE.match(other.name)) for other in zones.values()) if _PSYS.match(zone.name) else 1
    return _MAX_POWER_W * max(1, packages)
