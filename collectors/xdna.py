"""The NPU of AMD Ryzen AI processors (XDNA): its power, as the driver shows it in hwmon.

The NPU is on the processor's die: RAPL's package, or amdgpu's of an APU, holds it, and it is never added
beside those.

Facts: amd/xdna-driver, drivers/accel/amdxdna/amdxdna_sensors.c (2026): a hwmon device `amdxdna` with
power1_label NPU_power and power1_input in µW, by amd_pmf_get_npu_data() of Linux 7.0 or later; where the
firmware does not answer at probe, there is no such device. What its ioctl says of busy columns is not read.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from greengen.collector import Discovery, Domain, Host, Unavailable
from greengen.collectors._hwmon import Chip, find_chips, locate
from greengen.collectors._sysfs_meter import Meter, SysfsMeters, micro

_LABEL, _ATTRIBUTE = "NPU_power", "power1_input"
#: ±10 % at 95 %: firmware's estimate, of no stated error.
_GAIN = 0.05
#: No document states what an NPU may draw; whole processors with one are allowed some 120 W.
_MOST_W = 120.0
_REFRESH_S = 0.1
_SHARED = "no file says how much of the NPU each process used, so sole tenancy is assumed"


class XdnaCollector:
    """Reads the NPU's gauge, held open. `open_file` opens a path with os.open's flags."""

    name = "xdna"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host, open_file: Callable[[str, int], int] = os.open) -> None:
        self._host = host
        self._meters = SysfsMeters(host, open_file)
        self.read, self.close = self._meters.read, self._meters.close

    def discover(self) -> Discovery:
        """The NPUs by their PCI address."""
        self.close()
        sysfs = self._host.sysfs
        chips = [chip for chip in find_chips(sysfs, ("amdxdna",)) if chip.text("power1_label") == _LABEL]
        if not chips and (sysfs / "bus/pci/drivers/amdxdna").is_dir():
            reason = "the driver shows no power of the NPU (it takes Linux 7.0 or later, and a firmware that answers)"
            return Discovery(unavailable=(Unavailable(self.name, reason, "the package, by rapl, holds the NPU"),))
        return self._meters.add_all(
            Meter(_domain(chip), partial(locate, sysfs, chip, (_ATTRIBUTE,)), micro) for chip in chips
        )


def _domain(chip: Chip) -> Domain:
    return Domain(
        uid=f"{XdnaCollector.name}:{chip.address}",
        collector=XdnaCollector.name,
        kind="npu",
        name=f"AMD NPU {chip.address}",
        reading="power",
        split_reason=_SHARED,
        max_power_w=_MOST_W,
        refresh_s=_REFRESH_S,
        gain=_GAIN,
        detail=f"the NPU alone, by {_ATTRIBUTE} of the driver amdxdna",
    )
