"""The NPU of Intel Core Ultra processors: its energy counter, and how long it worked.

The energy is in Intel's platform monitoring (PMT), readable by root. Where it lies in the table depends on the
processor, which the table's guid tells: an unknown one is refused. The NPU is on the processor's die, so RAPL's
package holds it, and it is never added beside that.

Facts: intel/linux-npu-driver, tools/intel-npu-smi: src/pmt_telemetry.cpp (``/sys/class/intel_pmt/telem*`` with
guid, size, offset and telem; 32 bits, 18 before and 14 after the binary point, J; Wildcat Lake: times 100) and
include/pmt_telemetry.hpp (guids), src/npu_smi_common.cpp (offsets); the kernel's
Documentation/ABI/testing/sysfs-driver-ivpu (npu_busy_time_us: the time with any job submitted, Linux 6.11; to be
read once a second at most, as reading holds up submission).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from greengen.collector import MACHINE, Discovery, Domain, Event, Host, Sample, Unavailable, Usage
from greengen.collectors._cpu_info import read_text
from greengen.collectors._held import HeldFile
from greengen.collectors._outage import Outages
from greengen.collectors._sysfs_meter import Meter, SysfsMeters

UID = "intel_npu:npu"
_WORD = 4
_STEP_J = 2.0**-14
#: ±10 % at 95 %: no document states an error.
_GAIN = 0.05
#: No document states what an NPU may draw; whole processors with one are allowed some 120 W.
_MOST_W = 120.0
_REFRESH_S = 0.1
_BUSY_NS = 1_000_000_000
_SHARED = "no file says how much of the NPU each process used, so sole tenancy is assumed"
_REMEDY = 'run as root, or state its power: GREENGEN_ACCELERATOR="intel_npu=IDLE/ACTIVE" (W)'


class Layout(NamedTuple):
    """Where the energy lies in the table of a processor, and J per step."""

    processor: str
    offset: int
    step_j: float = _STEP_J


#: By guid.
LAYOUTS = {
    "0x130670b2": Layout("Meteor Lake", 0x628),
    "0x1306a0b3": Layout("Arrow Lake", 0x628),
    "0x1306a0b2": Layout("Arrow Lake-H", 0x628),
    "0x1306a0b4": Layout("Arrow Lake-S", 0x628),
    "0x3072005": Layout("Lunar Lake", 0x5D0),
    "0x3086000": Layout("Panther Lake", 0x670),
    "0x308d000": Layout("Wildcat Lake", 0x670, 100 * _STEP_J),
}


def busy_file(sysfs: Path) -> Path | None:
    """The file that counts the NPU's busy time, µs; None where there is no NPU, or an older kernel."""
    return next(iter(sorted((sysfs / "bus/pci/drivers/intel_vpu").glob("*/npu_busy_time_us"))), None)


def energy_j(layout: Layout, raw: Sequence[bytes]) -> float:
    """The energy in a table. Raises ValueError where the table is too short."""
    word = raw[0][layout.offset : layout.offset + _WORD]
    if len(word) < _WORD:
        msg = f"holds {len(raw[0])} bytes, and its energy lies at {layout.offset:#x}"
        raise ValueError(msg)
    return int.from_bytes(word, "little") * layout.step_j


class IntelNpuCollector:
    """Reads the NPU's table, held open. `open_file` opens a path with os.open's flags."""

    name = "intel_npu"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host, open_file: Callable[[str, int], int] = os.open) -> None:
        self._host = host
        self._meters = SysfsMeters(host, open_file)
        self._busy: HeldFile | None = None
        self._asked_ns: int | None = None
        self._told_us = self._used_us = 0
        self._outages = Outages()

    def discover(self) -> Discovery:
        """The NPU, if its driver is loaded."""
        self.close()
        sysfs = self._host.sysfs
        if not (sysfs / "bus/pci/drivers/intel_vpu").is_dir():
            return Discovery()
        counted = busy_file(sysfs)
        known = {guid: layout for guid, layout in LAYOUTS.items() if _tables(sysfs, guid)}
        if not known:
            guids = sorted({read_text(path).strip() for path in (sysfs / "class/intel_pmt").glob("telem*/guid")})
            what = f"none of the tables of its platform monitoring is known ({', '.join(guids)})"
            reason = what if guids else "this kernel shows no platform monitoring (/sys/class/intel_pmt)"
            remedy = f"{'' if guids else 'load intel_vsec and intel_pmt_telemetry, or '}{_REMEDY.partition(', or ')[2]}"
            return Discovery(unavailable=(Unavailable(self.name, reason, remedy),))
        guid, layout = next(iter(known.items()))
        domain = _domain(layout, counts_busy=counted is not None)
        found = self._meters.add_all(
            [Meter(domain, partial(_locate, sysfs, guid), partial(energy_j, layout))], remedy=_REMEDY
        )
        if found.domains and counted is not None:
            self._busy = HeldFile(counted)
        return found

    def read(self) -> Iterator[Sample | Usage | Event]:
        """The energy, and once a second how long it worked; a `gap` event when it begins to fail."""
        yield from self._meters.read()
        t_ns = self._host.monotonic_ns() if self._busy is not None else 0
        if self._busy is None or (self._asked_ns is not None and t_ns - self._asked_ns < _BUSY_NS):
            return
        self._asked_ns = t_ns
        text = self._busy.read()
        if text.isdigit():
            self._outages.end(UID)
            told_us = int(text)
            # It begins anew with the driver; what is handed on never falls.
            self._used_us += told_us - self._told_us if told_us >= self._told_us else told_us
            self._told_us = told_us
            yield Usage(UID, MACHINE, t_ns, self._used_us * 1000)
        else:
            reason = f"{self._busy.path} reads {text.decode(errors='replace')!r}"
            yield from self._outages.begin(t_ns, f"{UID} utilisation", reason, "warning")

    def close(self) -> None:
        """Close the files."""
        self._meters.close()
        if self._busy is not None:
            self._busy.close()
        self._busy = self._asked_ns = None
        self._told_us = self._used_us = 0


def _tables(sysfs: Path, guid: str) -> list[Path]:
    folders = sorted((sysfs / "class/intel_pmt").glob("telem*"))
    return [folder / "telem" for folder in folders if read_text(folder / "guid").strip() == guid]


def _locate(sysfs: Path, guid: str) -> list[Path]:
    found = _tables(sysfs, guid)
    if not found:
        msg = f"no table {guid} under {sysfs / 'class/intel_pmt'}"
        raise FileNotFoundError(msg)
    return found[:1]


def _domain(layout: Layout, *, counts_busy: bool) -> Domain:
    return Domain(
        uid=UID,
        collector=IntelNpuCollector.name,
        kind="npu",
        name=f"Intel NPU ({layout.processor})",
        # What is modelled of it from busy time is the same NPU.
        contains=("accelerator:intel_npu",),
        split_reason=_SHARED,
        activity=UID if counts_busy else None,
        wrap_j=2**32 * layout.step_j,
        max_power_w=_MOST_W,
        resolution_j=layout.step_j,
        refresh_s=_REFRESH_S,
        gain=_GAIN,
        detail="the NPU alone, by the energy counter of the processor's platform monitoring (PMT)",
    )
