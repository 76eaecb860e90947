"""AMD EPYC sockets through HSMP: the power of each, which every user may read.

A gauge in µW, which the firmware refreshes. Facts: the kernel's drivers/platform/x86/amd/hsmp/hwmon.c
(one device per socket; power1_input is message GET_SOCKET_POWER, power1_cap_max its limit). It shows
what RAPL counts, so it stands in only where no counter of the package can be read.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from greengen.collector import Discovery, Domain, Host
from greengen.collectors._hwmon import Chip, find_chips, locate
from greengen.collectors._sysfs_meter import Meter, SysfsMeters, positive_micro

#: What the firmware tells is the estimate behind RAPL's counter: 20 % at 95 %, a judgement, as in rapl.
_GAIN = 0.10
_MOST_W = 1000.0
#: How often the firmware has a new value is in no source: 1 ms is RAPL's, 1 s is on the safe side.
_REFRESH_S = 1.0


class AmdHsmpCollector:
    """Reads the socket powers, held open. `open_file` opens a path with os.open's flags."""

    name = "amd_hsmp"
    fallback_for: tuple[str, ...] = ("package",)

    def __init__(self, host: Host, open_file: Callable[[str, int], int] = os.open) -> None:
        self._host, self._meters = host, SysfsMeters(host, open_file)
        self.read, self.close = self._meters.read, self._meters.close

    def discover(self) -> Discovery:
        """One domain per socket, numbered in the order of the devices."""
        self.close()
        chips = find_chips(self._host.sysfs, ("amd_hsmp_hwmon",))
        meters = [
            Meter(_domain(socket, chip), partial(locate, self._host.sysfs, chip, ("power1_input",)), positive_micro)
            for socket, chip in enumerate(chips)
        ]
        return self._meters.add_all(meters)


def _domain(socket: int, chip: Chip) -> Domain:
    limit_uw = chip.number("power1_cap_max") or 0
    return Domain(
        uid=f"amd_hsmp:package-{socket}",
        collector=AmdHsmpCollector.name,
        kind="package",
        name=f"package-{socket} (HSMP)",
        reading="power",
        scope="host",
        split="cpu",
        activity="cpu",
        max_power_w=2 * limit_uw / 1e6 if limit_uw else _MOST_W,
        refresh_s=_REFRESH_S,
        gain=_GAIN,
        detail=f"socket power that HSMP tells ({chip.address}), without the memory",
    )
