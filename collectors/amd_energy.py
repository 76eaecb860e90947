"""AMD EPYC sockets through the amd_energy driver: the RAPL counters, accumulated to 64 bits.

Facts: the kernel's drivers/hwmon/amd_energy.c and its Documentation (5.8 to 5.12, then out of tree at
github.com/amd/amd_energy; the fork zenergy keeps its labels). It reads the registers that powercap
reads, so it stands in only where powercap does not. Cores (Ecore…) are part of their socket, and not read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial

from greengen.collector import Discovery, Domain, Host, Unavailable
from greengen.collectors._cpu_info import read_cpu_info
from greengen.collectors._hwmon import Chip, find_chips, locate
from greengen.collectors._sysfs_meter import Meter, SysfsMeters, micro

_SOCKET = re.compile(r"^Esocket(\d+)$")
#: AMD's counter is computed from events rather than sensed (Schöne et al., arXiv:2108.00808, on Zen 2):
#: 20 % at 95 %, a judgement, as in rapl.
_GAIN_AMD = 0.10
#: 2^-16 J, the default unit (amd_energy.rst); a socket draws below 500 W, doubled.
_STEP_J, _MOST_W = 2.0**-16, 1000.0
#: Two counters that differ by less than a socket draws between two reads are one register.
_MIRROR_J = 1.0
_REMEDY = (
    "run as root, or chgrp a group of yours to the energy*_input files (mode 0440: they leak what other "
    "processes compute, CVE-2020-12912)"
)


class AmdEnergyCollector:
    """Reads the socket counters, held open. `open_file` opens a path with os.open's flags."""

    name = "amd_energy"
    fallback_for: tuple[str, ...] = ("package",)

    def __init__(self, host: Host, open_file: Callable[[str, int], int] = os.open) -> None:
        self._host, self._meters = host, SysfsMeters(host, open_file)
        self.read, self.close = self._meters.read, self._meters.close

    def discover(self) -> Discovery:
        """One domain per socket. With several memory nodes per socket the driver shows a socket on each of them."""
        self.close()
        virtual = read_cpu_info(self._host).virtual
        domains: list[Domain] = []
        problems: list[Unavailable] = []
        for meter in self._found(virtual=virtual):
            uid = meter.domain.uid
            try:
                self._meters.add(meter, unlike=[domain.uid for domain in domains], within=_MIRROR_J)
            except PermissionError as error:
                problems.append(Unavailable(uid, f"permission denied: {error.filename or error}", _REMEDY))
            except (OSError, ValueError) as error:
                problems.append(Unavailable(uid, f"{meter.domain.name}: {error}"))
            else:
                domains.append(meter.domain)
        return Discovery(tuple(domains), tuple(problems))

    def _found(self, *, virtual: bool) -> list[Meter]:
        meters = []
        for chip in find_chips(self._host.sysfs, ("amd_energy", "zenergy")):
            for number in chip.channels("energy"):
                match = _SOCKET.match(chip.text(f"energy{number}_label"))
                if match:
                    where = partial(locate, self._host.sysfs, chip, (f"energy{number}_input",))
                    meters.append(Meter(_domain(match[1], chip, number, virtual=virtual), where, micro))
        return meters


def _domain(socket: str, chip: Chip, number: int, *, virtual: bool) -> Domain:
    return Domain(
        uid=f"amd_energy:package-{socket}",
        collector=AmdEnergyCollector.name,
        kind="package",
        name=f"package-{socket} (amd_energy)",
        scope="vm" if virtual else "host",
        split="cpu",
        activity="cpu",
        max_power_w=_MOST_W,
        resolution_j=_STEP_J,
        refresh_s=0.001,
        gain=_GAIN_AMD,
        detail=f"energy{number}_input of hwmon {chip.name} {chip.address}, without the memory",
    )
