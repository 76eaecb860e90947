"""Intel discrete GPUs: the energy counters that i915 and xe show in hwmon.

µJ, of the card, of its package (inside the card) or of a tile. Facts: the kernel's drivers
i915/i915_hwmon.c and xe/xe_hwmon.c, and their Documentation/ABI/testing/sysfs-driver-intel-*-hwmon.
Both add up a 32-bit register only when somebody reads: 262 kJ between two readings are lost unseen
(4.4 min at 1000 W). On a DG2 i915 shows the package as the whole device. Reading wakes a suspended GPU.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from greengen.collector import Discovery, Domain, Event, Host, Sample, Unavailable, Usage
from greengen.collectors._held import HeldFile
from greengen.collectors._hwmon import Chip, find_chips, locate
from greengen.collectors._sysfs_meter import Meter, SysfsMeters, micro

if TYPE_CHECKING:
    from greengen.collectors._drm_use import DrmUse

_TILE = re.compile(r"^i915_(gt\d)$")
_NAMES = ("xe", "i915", *(f"i915_gt{number}" for number in range(10)))
#: By channel, where the kernel gives no label (xe before energy1_label): sysfs-driver-intel-xe-hwmon.
_CHANNELS = {1: "card", 2: "pkg"}
#: The unit is read from the chip; 14 bits is the drivers' own example, and RAPL's on the same maker's CPUs.
_STEP_J = 2.0**-14
_REGISTER_J = 2**32 * _STEP_J
#: ±10 % at 95 %, a judgement: nobody has published a comparison with an outside meter.
_GAIN = 0.05
#: A card of no stated limit, W; and how often the register has news is in no source.
_MOST_W, _REFRESH_S = 1000.0, 0.1
_LIMITS = ("power{}_rated_max", "power{}_max", "power{}_cap", "power1_rated_max", "power1_max", "power1_cap")


class IntelGpuCollector:
    """Reads every counter of every card. `open_file` opens a path with os.open's flags."""

    name = "intel_gpu"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host, open_file: Callable[[str, int], int] = os.open) -> None:
        self._host, self._meters = host, SysfsMeters(host, open_file)
        self._use: DrmUse | None = None

    def discover(self) -> Discovery:
        """The counters by PCI address and part; a card holds its package and its tiles."""
        self.close()
        found: list[tuple[Chip, int, str]] = []
        problems = []
        for chip in find_chips(self._host.sysfs, _NAMES):
            channels = chip.channels("energy")
            if not channels and not _TILE.match(chip.name):
                problems.append(_no_counter(chip))
            found += [(chip, channel, _part(chip, channel)) for channel in channels]
        uids = {(chip.address, part): f"intel_gpu:{chip.address}/{part}" for chip, _, part in found}
        meters = [self._meter(chip, channel, part, uids) for chip, channel, part in found]
        opened = self._meters.add_all(meters, problems, "read access to energy*_input")
        if not opened.domains:
            return opened
        from greengen.collectors._drm_use import divide  # noqa: PLC0415 -- only where there is such a GPU

        domains, self._use = divide(self._host, opened.domains)
        return Discovery(domains, opened.unavailable)

    def _meter(self, chip: Chip, channel: int, part: str, uids: dict[tuple[str, str], str]) -> Meter:
        inside = [uid for (address, other), uid in uids.items() if address == chip.address and other != part]
        where = partial(locate, self._host.sysfs, chip, (f"energy{channel}_input",))
        domain = _domain(chip, channel, part, tuple(inside) if part == "card" else ())
        return Meter(domain, where, micro, suspended=HeldFile(chip.runtime_status()))

    def read(self) -> Iterator[Sample | Usage | Event]:
        """One sample per counter, and who used the GPUs; a `gap` event when one begins to fail."""
        yield from self._meters.read()
        if self._use is not None:
            yield from self._use.read()

    def close(self) -> None:
        """Close the counters."""
        self._meters.close()
        if self._use is not None:
            self._use.close()
        self._use = None


def _part(chip: Chip, channel: int) -> str:
    tile = _TILE.match(chip.name)
    if tile:
        return tile[1]
    if chip.name == "i915":
        return "card"
    return chip.text(f"energy{channel}_label") or _CHANNELS.get(channel, f"energy{channel}")


def _domain(chip: Chip, channel: int, part: str, contains: tuple[str, ...]) -> Domain:
    limits = (chip.number(name.format(channel)) or 0 for name in _LIMITS)
    limit_w = next((limit / 1e6 for limit in limits if limit), 0.0)
    return Domain(
        uid=f"intel_gpu:{chip.address}/{part}",
        collector=IntelGpuCollector.name,
        kind="gpu",
        name=f"Intel GPU {chip.address} ({part})",
        contains=contains,
        # Not that what is shown wraps: it misses what its register wrapped by between two readings.
        wrap_j=_REGISTER_J,
        max_power_w=2 * limit_w or _MOST_W,
        resolution_j=_STEP_J,
        refresh_s=_REFRESH_S,
        gain=_GAIN,
        detail=f"energy{channel}_input of {chip.name}, of the {'whole card' if part == 'card' else part}",
    )


def _no_counter(chip: Chip) -> Unavailable:
    return Unavailable(
        f"intel_gpu:{chip.address}",
        f"its driver ({chip.name}) shows no energy*_input: this kernel does not count this GPU's energy",
        "a newer kernel: i915 counts from 6.2 on (DG1, DG2), xe later than that, by model",
    )
