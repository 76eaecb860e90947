"""ACPI power meters: NVIDIA Grace and GH200 modules by socket, and whole servers.

Each is a gauge of µW, averaged over an interval that it states. Facts: the kernel's
drivers/hwmon/acpi_power_meter.c and Documentation/hwmon/acpi_power_meter.rst; for Grace the firmware,
NVIDIA/edk2-nvidia BpmpSsdtSocket0_TH500.asl (devices PM00 to PM03: what each is called in its OEM
information, intervals of 50 ms to 1 s) and the grace-hopper plug-in of Alumet (what contains what).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial

from greengen.collector import Discovery, Domain, Host, Unavailable
from greengen.collectors._cpu_info import read_cpu_info
from greengen.collectors._domains import undivided
from greengen.collectors._hwmon import Chip, find_chips, locate
from greengen.collectors._sysfs_meter import Meter, SysfsMeters, positive_micro

_GRACE = re.compile(r"^(Module|Grace|CPU|SysIO) Power Socket (\d+)$")
#: By the first word of the OEM information: kind, what it holds of its socket, and of what else.
#: Grace is the CPU with its memory; a module (GH200) holds a Grace, its GPU and their regulators.
_PARTS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "Module": ("board", ("Grace", "CPU", "SysIO"), ("nvml:*", "dcgm:*")),
    "Grace": ("package", ("CPU", "SysIO"), ()),
    "CPU": ("core", (), ()),
    "SysIO": ("uncore", (), ()),
}
#: The ACPI objects that stand for the whole system, as Linux names them (include/acpi/acpi_bus.h).
_WHOLE_SYSTEM = ("LNXSYSTM:", "LNXSYBUS:")
#: ±5 % at 95 %, unless the meter itself claims less: a judgement. Grace states an accuracy of 100 %.
_GAIN = 0.025
#: What one meter shows at most, W, where it states no cap: a GH200 module stays below 1 kW, a server
#: with eight accelerators below 15 kW.
_MOST_W = {"board": 2_000.0, "package": 1_000.0, "core": 1_000.0, "uncore": 1_000.0, "wall": 15_000.0}
#: Behind a meter of so long an interval there may be a BMC, which takes its time to answer.
_SLOW_S = 0.5


class AcpiPowerMeterCollector:
    """Reads every ACPI power meter, held open. `open_file` opens a path with os.open's flags."""

    name = "acpi_power_meter"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host, open_file: Callable[[str, int], int] = os.open) -> None:
        self._host, self._meters = host, SysfsMeters(host, open_file)
        self.read, self.close = self._meters.read, self._meters.close

    def discover(self) -> Discovery:
        """The meters, by socket where they are NVIDIA's, else by their ACPI name."""
        self.close()
        chips = find_chips(self._host.sysfs, (self.name.removeprefix("acpi_"),))
        problems = [_battery(chip) for chip in chips if chip.number("power1_is_battery")]
        meters = {_uid(chip): chip for chip in chips if not chip.number("power1_is_battery")}
        scope = read_cpu_info(self._host).virtual
        found = [self._meter(uid, chip, frozenset(meters), virtual=scope) for uid, chip in meters.items()]
        return self._meters.add_all(found, problems, "read access to power1_average")

    def _meter(self, uid: str, chip: Chip, uids: frozenset[str], *, virtual: bool) -> Meter:
        interval_s = (chip.number("power1_average_interval") or 0) / 1000
        domain = _domain(uid, chip, uids, virtual=virtual)
        where = partial(locate, self._host.sysfs, chip, ("power1_average",))
        every_s = interval_s if interval_s >= _SLOW_S else 0.0
        return Meter(domain, where, positive_micro, interval_s, every_s=every_s)


def _uid(chip: Chip) -> str:
    match = _GRACE.match(chip.text("power1_oem_info"))
    return f"acpi_power_meter:{match[1].lower()}-{match[2]}" if match else f"acpi_power_meter:{chip.address}"


def _domain(uid: str, chip: Chip, uids: frozenset[str], *, virtual: bool) -> Domain:
    label = chip.text("power1_oem_info") or chip.text("power1_model_number")
    match = _GRACE.match(label)
    kind, inside, beyond = _PARTS[match[1]] if match else ("wall", (), ())
    held = [f"acpi_power_meter:{part.lower()}-{match[2]}" for part in inside] if match else []
    whole = not match and _measures_all(chip)
    by_cpu = kind in ("package", "core")
    cap_uw = chip.number("power1_cap_max") or 0
    return Domain(
        uid=uid,
        collector=AcpiPowerMeterCollector.name,
        kind=kind,
        name=label or f"power meter {chip.address}",
        reading="power",
        scope="vm" if virtual else "host",
        contains=(*(part for part in held if part in uids), *beyond) if match else ("*",),
        # As of a plug: whose work it was is better known of its parts, where these were read.
        alternative=not match,
        split="cpu" if by_cpu else None,
        split_reason="" if by_cpu else undivided("a module" if match else "a whole machine"),
        activity="cpu" if kind in ("package", "core", "uncore") else None,
        max_power_w=2 * cap_uw / 1e6 if cap_uw else _MOST_W[kind],
        refresh_s=(chip.number("power1_average_interval") or 1000) / 1000,
        gain=_gain(chip),
        detail=_detail(chip, grace=bool(match), whole=whole),
    )


def _measures_all(chip: Chip) -> bool:
    folder = chip.file("measures")
    return folder.is_dir() and any(entry.name.startswith(_WHOLE_SYSTEM) for entry in folder.iterdir())


def _gain(chip: Chip) -> float:
    """Half of what the meter leaves to an accuracy of 100 %, and no less than is known of such meters."""
    text = chip.text("power1_accuracy").removesuffix("%")
    stated = float(text) if re.match(r"^\d+(\.\d+)?$", text) else 100.0
    return max(_GAIN, (100.0 - stated) / 100 / 2)


def _detail(chip: Chip, *, grace: bool, whole: bool) -> str:
    interval_ms = chip.number("power1_average_interval")
    averaged = f"averaged over {interval_ms} ms" if interval_ms else "averaged over an interval that it does not tell"
    if grace:
        return f"ACPI power meter {chip.address}, {averaged}"
    if whole:
        return f"ACPI power meter {chip.address} of the whole system, {averaged}"
    return (
        f"ACPI power meter {chip.address}, {averaged}; its firmware does not say that it measures the whole "
        "system, so it is compared with the other domains, and counts only where none of them is read"
    )


def _battery(chip: Chip) -> Unavailable:
    reason = f"{chip.address} measures a battery (power1_is_battery), which charges and discharges"
    return Unavailable(f"acpi_power_meter:{chip.address}", reason, "measure on mains by another meter")
