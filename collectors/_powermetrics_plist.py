"""One sample of macOS's ``powermetrics -f plist``: joules of CPU, GPU and neural engine, and the time that they span.

Facts: captures of M1 and M2 Ultra machines (tests/data of github.com/graelo/pumas at 18d2fd4), in which
``processor.cpu_energy``, ``gpu_energy`` and ``ane_energy`` are mJ over ``elapsed_ns``, and ``cpu_power`` … the
same in mW: one is the other divided by the time, to six digits. ``combined_power`` is the sum of these three, so
that ``gpu.gpu_energy``, which differs from ``processor.gpu_energy`` by a percent, is another sampler's. Older
versions add ``processor.dram_energy`` (asitop/parsers.py of github.com/tlkh/asitop at 3548aee); what their
``package_energy`` holds was not looked up, and it is not read.

Between two documents there is a NUL (its manual), which comes with the second one (src/modules/powermetrics/buffer.rs
of pumas): a document is whole when its ``</plist>`` is here.
"""

from __future__ import annotations

import math
import plistlib
from collections.abc import Mapping
from dataclasses import dataclass
from xml.parsers.expat import ExpatError

from greengen.collectors._apple import KINDS, MOST_W

END = b"</plist>"
#: Energy over time against the power beside it: both are rounded, the energy to 1 mJ.
_AGREES, _ROUNDED_MJ = 0.02, 1.5
_LONGEST_NS = 3600 * 10**9


@dataclass(frozen=True, slots=True)
class Window:
    """What was used in one span of time.

    elapsed_s  how long it was
    power_w    its mean by rail (of `KINDS`), those that this version tells
    thermal    the thermal pressure, in Apple's words; "" where it does not say
    model      the machine's
    """

    elapsed_s: float
    power_w: Mapping[str, float]
    thermal: str = ""
    model: str = ""


def parse(document: bytes) -> Window:
    """A whole document. Raises ValueError where it is none, or does not add up."""
    try:
        found = plistlib.loads(document.strip(b"\0\r\n \t"))
    except (ExpatError, ValueError, TypeError, AttributeError, IndexError, OverflowError) as error:
        msg = f"what it wrote is no property list ({error})"
        raise ValueError(msg) from error
    processor = found.get("processor") if isinstance(found, dict) else None
    if not isinstance(processor, dict):
        msg = "what it wrote has no processor in it: another version?"
        raise ValueError(msg)  # noqa: TRY004 -- a stranger's data, not a caller's mistake
    elapsed_ns = found.get("elapsed_ns")
    if type(elapsed_ns) is not int or not 0 < elapsed_ns <= _LONGEST_NS:
        msg = f"elapsed_ns is {elapsed_ns!r}, which is no time"
        raise ValueError(msg)
    power_w = {rail: _mean_w(processor, rail, elapsed_ns) for rail in KINDS if f"{rail}_energy" in processor}
    if "cpu" not in power_w:
        said = ", ".join(sorted(key for key in processor if "energy" in key or "power" in key)) or "no energy at all"
        msg = f"it tells no cpu_energy, but {said}: a Mac with an Intel CPU, or another version"
        raise ValueError(msg)
    thermal, model = (str(found.get(key, "")) for key in ("thermal_pressure", "hw_model"))
    return Window(elapsed_ns / 1e9, power_w, thermal, model)


def _mean_w(processor: Mapping[str, object], rail: str, elapsed_ns: int) -> float:
    energy_mj, power_mw = processor[f"{rail}_energy"], processor.get(f"{rail}_power")
    if type(energy_mj) not in (int, float) or not isinstance(energy_mj, int | float) or not math.isfinite(energy_mj):
        msg = f"{rail}_energy is {energy_mj!r}, which is no energy"
        raise ValueError(msg)
    mean_w = energy_mj * 1e6 / elapsed_ns
    if not 0 <= mean_w <= MOST_W:
        msg = f"{rail}_energy is {energy_mj} mJ in {elapsed_ns / 1e9:.3g} s, {mean_w:.4g} W: not believed"
        raise ValueError(msg)
    if isinstance(power_mw, int | float):
        told_mj = power_mw * elapsed_ns / 1e9
        if not abs(told_mj - energy_mj) <= _ROUNDED_MJ + _AGREES * max(energy_mj, told_mj):
            msg = f"{rail}_energy is {energy_mj} mJ, {rail}_power says {told_mj:.4g} mJ: another version, other units?"
            raise ValueError(msg)
    return mean_w
