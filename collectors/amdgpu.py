"""AMD GPUs and APUs: the energy counter of `gpu_metrics` where one is known, else hwmon's power.

An APU's power is that of its package, CPU included (amdgpu_pm.c), so it stands in for a package that
nothing else reads. Facts: the kernel's drivers/gpu/drm/amd/pm/amdgpu_pm.c (power1_average and
power1_input in µW, of which most chips have one; reading either wakes a suspended GPU; some kernels print
an error as 2^32 less its number; power1_cap in µW, temp1_input in m°C), swsmu/smu13/aldebaran_ppt.c
(the second die of an MI250 shows no power: the first shows that of both), and the header named in `_gpu_metrics`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from greengen.collector import MACHINE, Discovery, Domain, Event, Host, Sample, Unavailable, Usage
from greengen.collectors._cpu_info import read_text
from greengen.collectors._gpu_metrics import APU_FORMATS, ENERGY_STEP_J, parse, read_format
from greengen.collectors._held import HeldFile
from greengen.collectors._hwmon import Chip, find_chips, locate
from greengen.collectors._on_die import with_npus
from greengen.collectors._outage import Outages
from greengen.collectors._sysfs_meter import Meter, SysfsMeters, positive_micro

if TYPE_CHECKING:
    from greengen.collectors._drm_use import DrmUse

#: ±10 % at 95 %: what the chip's firmware estimates or senses behind its regulators; a judgement.
_GAIN = 0.05
_MOST_W = 1000.0
#: How long power1_average averages over, and how often the firmware has news, are in no source.
_AVERAGED_S, _REFRESH_S = 1.0, 0.1
#: PCI device ids of MI200 (amdgpu_drv.c, CHIP_ALDEBARAN).
_ALDEBARAN = ("0x7408", "0x740c", "0x740f", "0x7410")
_TABLE = "device/gpu_metrics"


@dataclass(slots=True)
class _Busy:
    """Busy time, cumulated from `gpu_busy_percent` since it was last read."""

    uid: str
    file: HeldFile
    suspended: HeldFile
    busy_ns: int = 0
    from_ns: int | None = None


class AmdgpuCollector:
    """Reads each GPU by the best that it offers. `open_file` opens a path with os.open's flags."""

    name = "amdgpu"
    #: An APU's package; a discrete GPU is of kind gpu, and stands in for nothing.
    fallback_for: tuple[str, ...] = ("package",)

    def __init__(self, host: Host, open_file: Callable[[str, int], int] = os.open) -> None:
        self._host = host
        self._meters = SysfsMeters(host, open_file)
        self._busy: list[_Busy] = []
        self._use: DrmUse | None = None
        self._outages = Outages()

    def discover(self) -> Discovery:
        """The GPUs by their PCI address, and what each is read by."""
        self.close()
        domains: dict[Chip, Domain] = {}
        problems: list[Unavailable] = []
        for chip in find_chips(self._host.sysfs, (self.name,)):
            found = self._first_that_reads(chip)
            if isinstance(found, Unavailable):
                problems.append(found)
                continue
            domains[chip] = found
        if not domains:
            return Discovery(unavailable=tuple(problems))
        from greengen.collectors._drm_use import divide  # noqa: PLC0415 -- only where there is such a GPU

        divided, self._use = divide(self._host, tuple(domains.values()), amd=True)
        for chip, domain in zip(domains, divided, strict=True):
            if domain.activity == domain.uid:
                percent = (chip.path / "device").resolve() / "gpu_busy_percent"
                self._busy.append(_Busy(domain.uid, HeldFile(percent), HeldFile(chip.runtime_status())))
        return Discovery(with_npus(divided, self._host.sysfs), tuple(problems))

    def _first_that_reads(self, chip: Chip) -> Domain | Unavailable:
        reasons = []
        for meter in _choices(self._host, chip):
            try:
                self._meters.add(meter)
            except (OSError, ValueError) as error:
                reasons.append(f"{meter.domain.detail}: {error}")
            else:
                return meter.domain
        return Unavailable(f"amdgpu:{chip.address}", "; ".join(reasons))

    def read(self) -> Iterator[Sample | Usage | Event]:
        """One sample per GPU, and how long it was busy; a `gap` event when one begins to fail."""
        yield from self._meters.read()
        for busy in self._busy:
            yield from self._read_busy(busy)
        if self._use is not None:
            yield from self._use.read()

    def state(self) -> dict[str, str]:
        """Power limit, performance level and temperature, GPU by GPU; of one that sleeps, nothing: asking wakes it."""
        found: dict[str, str] = {}
        for number, chip in enumerate(find_chips(self._host.sysfs, (self.name,))):
            if read_text(chip.runtime_status()).strip() != "suspended":
                found |= _state(chip, f"AMD GPU {number}")
        return found

    def _read_busy(self, busy: _Busy) -> Iterator[Usage | Event]:
        subject = f"{busy.uid} utilisation"
        text = b"0" if busy.suspended.read() == b"suspended" else busy.file.read()
        t_ns = self._host.monotonic_ns()
        if not text.isdigit() or int(text) > 100:  # noqa: PLR2004 -- percent
            busy.from_ns = None
            reason = f"{busy.file.path} reads {text.decode(errors='replace')!r}"
            yield from self._outages.begin(t_ns, subject, reason, "warning")
            return
        self._outages.end(subject)
        if busy.from_ns is not None:
            busy.busy_ns += (t_ns - busy.from_ns) * int(text) // 100
        busy.from_ns = t_ns
        yield Usage(busy.uid, MACHINE, t_ns, busy.busy_ns)

    def close(self) -> None:
        """Close the meters."""
        self._meters.close()
        for busy in self._busy:
            busy.file.close()
            busy.suspended.close()
        if self._use is not None:
            self._use.close()
        self._busy, self._use = [], None


def _choices(host: Host, chip: Chip) -> Iterator[Meter]:
    """How the GPU may be read, best first: a counter, then a mean, which does not alias, then an instant."""
    aldebaran = chip.text("device/device") in _ALDEBARAN
    asleep = read_text(chip.runtime_status()).strip() == "suspended"
    table = b"" if asleep else _read_bytes(chip.path / _TABLE)
    apu = _is_apu(chip, table)

    def meter(how: str, attribute: str, value: Callable[[Sequence[bytes]], float], window_s: float = 0.0) -> Meter:
        counter = attribute == _TABLE and value is not power_w
        domain = _domain(chip, how, apu=apu, counter=counter)
        where = partial(locate, host.sysfs, chip, (attribute,))
        check = power_w if counter else None
        return Meter(domain, where, value, window_s, HeldFile(chip.runtime_status()), check)

    def energy_j(raw: Sequence[bytes]) -> float:
        return _known(parse(raw[0], aldebaran=aldebaran).energy_j, "energy")

    def power_w(raw: Sequence[bytes]) -> float:
        return _known(parse(raw[0], aldebaran=aldebaran).power_w, "power")

    if table:
        yield meter("gpu_metrics, its energy counter", _TABLE, energy_j)
    if chip.has("power1_average"):
        yield meter("power1_average", "power1_average", positive_micro, _AVERAGED_S)
    if chip.has("power1_input"):
        yield meter("power1_input", "power1_input", positive_micro)
    yield meter("gpu_metrics, its power", _TABLE, power_w, _AVERAGED_S)


def _domain(chip: Chip, how: str, *, apu: bool, counter: bool) -> Domain:
    uid = f"amdgpu:apu-{chip.address}" if apu else f"amdgpu:{chip.address}"
    product = chip.text("device/product_name")
    cap_uw = chip.number("power1_cap_max") or chip.number("power1_cap") or 0
    what = "the package of an APU, its CPU included" if apu else "the board's chip and memory"
    activity = "cpu" if apu else uid if chip.has("device/gpu_busy_percent") else None
    return Domain(
        uid=uid,
        collector=AmdgpuCollector.name,
        kind="package" if apu else "gpu",
        name=product or f"AMD {'APU' if apu else 'GPU'} {chip.address}",
        reading="energy" if counter else "power",
        scope="host" if apu else "device",
        split="cpu" if apu else None,
        activity=activity,
        max_power_w=2 * cap_uw / 1e6 if cap_uw else _MOST_W,
        resolution_j=ENERGY_STEP_J if counter else 0.0,
        refresh_s=_REFRESH_S,
        gain=_GAIN,
        detail=f"{what}, by {how}",
    )


def _state(chip: Chip, name: str) -> dict[str, str]:
    cap_uw, warmth_mc = chip.number("power1_cap"), chip.number("temp1_input")
    said = {
        f"power limit of {name}": f"{cap_uw / 1e6:.4g} W" if cap_uw else "",
        f"performance level of {name}": chip.text("device/power_dpm_force_performance_level"),
        f"temperature of {name}": f"{warmth_mc / 1000:.0f} C" if warmth_mc else "",
    }
    return {subject: value for subject, value in said.items() if value}


def _is_apu(chip: Chip, table: bytes) -> bool:
    # Only APUs show the voltage of a north bridge (amdgpu_pm.c).
    try:
        by_table = read_format(table) in APU_FORMATS
    except ValueError:
        by_table = False
    return by_table or chip.text("in1_label") == "vddnb"


def _known(value: float | None, what: str) -> float:
    if not value:
        msg = f"tells no {what}: this chip, or this die of it, does not support it"
        raise ValueError(msg)
    return value


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
