"""A CPU package's energy from busy time and design power, where no counter can be read.

Where ``GREENGEN_CALIBRATION`` names a file that `greengen calibrate` made of this machine, its powers
are taken instead of the design power.

The counter is a pure function of `/proc/stat`: E = busy × P_active + (capacity - busy) × P_idle per
logical CPU. Two recorders on one machine therefore read the same joules.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from greengen.collector import Discovery, Domain, Event, Host, Sample, Unavailable
from greengen.collectors import _calibration, _tdp
from greengen.collectors._calibration import Calibration
from greengen.collectors._cpu_info import CpuInfo, read_cpu_info
from greengen.collectors._cpu_time import TICK_NS, CpuTime, open_cpu_time
from greengen.collectors._outage import Outages

#: What codecarbon 3.3.2 takes per thread of a CPU it does not know
#: (codecarbon/core/cpu.py, DEFAULT_POWER_PER_CORE).
DEFAULT_ACTIVE_W = 4.0
#: An idle CPU's power as a part of the active one: the constant term of codecarbon 3.3.2's load
#: model, 0.1 + 0.9 × load³ (codecarbon/external/hardware.py). Between idle and active this model is
#: linear in busy time, so that energy adds up over processes.
IDLE_PART = 0.1
#: Standard uncertainties in one side of a 95 % interval, as in greengen.quantity, which recording does
#: not need otherwise and which takes 10 ms to import.
_Z95 = 1.959963984540054
#: A ratio of two readings is known to ×/÷ 1.3 at 95 %, a total to ×/÷ 2, until sized from data: the
#: first is the part that depends on the workload, and does not cancel in the ratio.
WORKLOAD = math.log(1.3) / (math.sqrt(2) * _Z95)
GAIN = math.sqrt((math.log(2) / _Z95) ** 2 - WORKLOAD**2)


_REMEDY = f"calibrate this machine (`greengen calibrate`), or unset {_calibration.VARIABLE}"


class CpuModelCollector:
    """Stands in for a package counter. `platform` is as in ``sys.platform``."""

    name = "cpu_model"
    fallback_for: tuple[str, ...] = ("package",)

    def __init__(self, host: Host, platform: str = sys.platform) -> None:
        self._host = host
        self._platform = platform
        self._cpu_time: CpuTime | None = None
        self._active_w = self._idle_w = 0.0
        self._outages = Outages()

    def discover(self) -> Discovery:
        """One domain, wherever CPU time can be read."""
        self.close()
        cpu_time = open_cpu_time(self._host, self._platform)
        if isinstance(cpu_time, Unavailable):
            return Discovery(unavailable=(Unavailable(self.name, cpu_time.reason, cpu_time.remedy),))
        self._cpu_time = cpu_time
        cpu = read_cpu_info(self._host)
        self._active_w, why = active_w(cpu)
        self._idle_w = IDLE_PART * self._active_w
        domain = Domain(
            uid=f"{self.name}:package",
            collector=self.name,
            kind="package",
            name="CPU (modelled)",
            grade="modelled",
            scope="vm" if cpu.virtual else "host",
            split="cpu",
            activity="cpu",
            refresh_s=TICK_NS / 1e9,
            gain=GAIN,
            workload=WORKLOAD,
        )
        path = self._host.environ.get(_calibration.VARIABLE, "")
        known = _calibration.load(Path(path), cpu) if path else None
        refused: tuple[Unavailable, ...] = ()
        if isinstance(known, str):
            refused = (Unavailable(f"{self.name} calibration", known, _REMEDY),)
            why += f"; no calibration, for {known}"
        elif known is not None:
            self._idle_w, self._active_w = known.idle_w / cpu.logical, (known.idle_w + known.active_w) / cpu.logical
            domain, why = _calibrated(domain, known), _of(known)
        domain = replace(
            domain,
            max_power_w=cpu.logical * self._active_w,
            idle_w=cpu.logical * self._idle_w,
            resolution_j=TICK_NS / 1e9 * self._active_w,
            detail=(
                f"CPU time of {cpu.logical} logical CPUs × {self._active_w:.3g} W busy, "
                f"{self._idle_w:.2g} W idle: {why}."
            ),
        )
        return Discovery((domain,), refused)

    def read(self) -> Iterator[Sample | Event]:
        """The energy since boot, by the model."""
        if self._cpu_time is None:
            return
        uid = f"{self.name}:package"
        try:
            busy_ns, capacity_ns = self._cpu_time.read()
        except (OSError, ValueError) as error:
            yield from self._outages.begin(self._host.monotonic_ns(), uid, f"CPU time cannot be read: {error}")
            return
        self._outages.end(uid)
        energy_j = (busy_ns * self._active_w + (capacity_ns - busy_ns) * self._idle_w) / 1e9
        yield Sample(uid, self._host.monotonic_ns(), energy_j)

    def close(self) -> None:
        """Close the held file."""
        if self._cpu_time is not None:
            self._cpu_time.close()
        self._cpu_time = None


def _calibrated(domain: Domain, known: Calibration) -> Domain:
    """What is common to all its readings is the meter's error; that of the line depends on what is done.

    So does what other work draws in the same busy time, of which one run says little: that is no
    less than without a calibration.
    """
    workload = math.hypot(max(WORKLOAD, known.scatter), known.sigma)
    name = "CPU (modelled, calibrated)" if known.kind == "package" else f"CPU and all behind the {known.kind} meter"
    return replace(
        domain,
        name=name if known.kind == "package" else f"{name} (modelled, calibrated)",
        gain=known.gain,
        workload=workload,
    )


def _of(known: Calibration) -> str:
    unknown = "" if known.gain else ", whose own error is not known and is left out"
    return f"fitted by `greengen calibrate` on {known.created[:10]} to {known.meter}{unknown}"


def active_w(cpu: CpuInfo) -> tuple[float, str]:
    """Power of a busy logical CPU, W, and how that is known, in words."""
    name = f"“{cpu.model}”" if cpu.model else "a CPU without a name"
    table = _tdp.table_path()
    row = _tdp.find(cpu.model, table) if table else None
    default = f"{DEFAULT_ACTIVE_W:g} W is codecarbon's own default for a thread of a CPU it does not know"
    if table is None:
        return DEFAULT_ACTIVE_W, f"codecarbon's table of CPU powers is not installed, and {default} (here {name})"
    if row is None:
        return DEFAULT_ACTIVE_W, f"no row of codecarbon's cpu_power.csv is {name}, and {default}"
    matched = f"{name} is “{row.name}” in codecarbon's cpu_power.csv, {row.watts:g} W"
    if cpu.virtual:
        # A guest sees its own CPUs, not the threads of the chip that share this power.
        return DEFAULT_ACTIVE_W, f"{matched}, but a virtual machine does not tell the chip's thread count; {default}"
    watts = row.watts * cpu.packages / cpu.logical
    return watts, f"{matched} per package, over {cpu.packages} package(s) of {cpu.logical} logical CPUs in all"
