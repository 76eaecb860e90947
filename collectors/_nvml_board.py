"""What a board can be read by, best first, and the domains that this makes.

The energy counter is best, then the instantaneous power field, then the call for power, whose window
depends on the chip (nvml.h at nvmlDeviceGetPowerUsage: a mean over 1 s on Ampere but for GA100, and
newer; the momentary power on GA100 and older).

On a superchip, where NVML tells the module's power apart from the GPU's, the counter is not used:
nvml.h says it is the GPU's, and ml-energy/zeus#172 found it to count the whole module on GH200. The
power fields say their scope.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from greengen.collector import Domain, Unavailable
from greengen.collectors._cuda_visible import Board
from greengen.collectors._mig import slices
from greengen.collectors._nvml_api import (
    AMPERE,
    NOT_AVAILABLE,
    NOT_SUPPORTED,
    POWER_AVERAGE,
    POWER_INSTANT,
    SCOPE_GPU,
    SCOPE_MODULE,
    UNKNOWN_ARCHITECTURE,
    Nvml,
    answer,
)

#: Boards with a GA100 chip: unlike the rest of Ampere their power reading is no 1 s average.
_GA100 = re.compile(r"\b(A100|A100X|A800|A30|A30X)\b")
#: Modules of one Grace and one Hopper. Those of Grace and Blackwell hold two GPUs.
_ONE_GPU_MODULE = re.compile(r"\bGH200\b")
#: ±5 % at 95 %: what NVIDIA states for its boards, and what arXiv:2312.02741 found at steady load.
_GAIN = 0.025
#: A gauge that shows more than so many times the power limit shows another unit.
_SLIP = 3
_COUNTER = "its energy counter, which starts at 0 when the driver is loaded"
_NO_PERSISTENCE = (
    "; persistence mode is off: the driver unloads, and the counter starts anew, when no program holds the GPU "
    "(nvidia-smi -pm 1, or nvidia-persistenced)"
)
_SUPERCHIP = "; not by its energy counter, which on such a module may count the CPU's energy too (ml-energy/zeus#172)"


class Meter(NamedTuple):
    """A way to read a board: `read` answers in J or W, and raises the module's NVMLError."""

    read: Callable[[Nvml, Any], float]
    counter: bool
    window_s: float
    what: str


@dataclass(slots=True)
class Gpu:
    """A domain that is read: the board's, or the module's that it is part of.

    check      a gauge to hold an energy counter against, where there is both
    busy_ns    cumulated time in which a kernel ran, and `busy_from_ns` when it was last read
    """

    domain: Domain
    uuid: str
    handle: Any
    meter: Meter
    check: Meter | None = None
    limit_w: float | None = None
    busy_ns: int = 0
    busy_from_ns: int | None = None

    def value(self, nvml: Nvml) -> float:
        """One reading, J or W. Raises NVMLError, and ValueError for what no such board can show."""
        value = self.meter.read(nvml, self.handle)
        if not self.meter.counter and (value <= 0 or (self.limit_w and value > _SLIP * self.limit_w)):
            limit = f" of {self.limit_w:g} W" if self.limit_w else ""
            msg = f"the power gauge shows {value:g} W, with a power limit{limit}: not believed"
            raise ValueError(msg)
        return value


def probe(nvml: Nvml, board: Board) -> tuple[list[Gpu], list[Unavailable]]:
    """The domains of a board, and what it does not give. Raises the last NVMLError where it gives nothing."""
    handle, uid = board.handle, f"nvml:{board.uuid}"
    averaged = answer(nvml, nvml.nvmlDeviceGetArchitecture, handle, UNKNOWN_ARCHITECTURE) >= AMPERE
    window_s = 1.0 if averaged and not _GA100.search(board.name) else 0.0
    gauge = Meter(_power_w, counter=False, window_s=window_s, what=_gauge("its power gauge", window_s))
    counter = Meter(_energy_j, counter=True, window_s=0.0, what=_COUNTER)
    instant = Meter(_field(POWER_INSTANT, SCOPE_GPU), counter=False, window_s=0.0, what=_gauge("its power gauge", 0.0))
    module = _first(nvml, handle, _of_module())[0]
    own = [instant, gauge] if module is not None else [counter, instant, gauge]
    meter, failed = _first(nvml, handle, own)
    if meter is None and module is None:
        raise failed
    limit_mw = answer(nvml, nvml.nvmlDeviceGetEnforcedPowerLimit, handle, 0)
    limit_w = None if not limit_mw or limit_mw in NOT_AVAILABLE else limit_mw / 1000
    found, problems = [], []
    if meter is not None:
        check = _first(nvml, handle, [gauge])[0] if meter.counter else None
        lost = meter.counter and answer(nvml, nvml.nvmlDeviceGetPersistenceMode, handle, 1) == 0
        note = (_NO_PERSISTENCE if lost else "") + (_SUPERCHIP if module is not None else "")
        domain = _domain(board, meter, limit_w, f"the whole board, memory included, by {meter.what}{note}")
        domain = replace(domain, contains=slices(nvml, handle))
        found.append(Gpu(domain, board.uuid, handle, meter, check, limit_w))
    if module is not None and _ONE_GPU_MODULE.search(board.name):
        text = f"the whole module, GPU and CPU, by {module.what}"
        domain = _domain(board, module, None, text)
        domain = replace(
            domain, uid=f"{uid}/module", kind="board", name=f"{board.name} module", contains=(uid,), alternative=True
        )
        found.append(Gpu(domain, board.uuid, handle, module))
    elif module is not None:
        reason = "its module's power is that of more than one GPU, and NVML does not say of which: it is not read"
        problems.append(Unavailable(f"{uid}/module", reason))
    return found, problems


def _gauge(name: str, window_s: float) -> str:
    return f"{name} ({'average over 1 s' if window_s else 'instantaneous'})"


def _of_module() -> list[Meter]:
    return [
        Meter(_field(number, SCOPE_MODULE), counter=False, window_s=window_s, what=_gauge("its power field", window_s))
        for number, window_s in ((POWER_INSTANT, 0.0), (POWER_AVERAGE, 1.0))
    ]


def _first(nvml: Nvml, handle: Any, meters: list[Meter]) -> tuple[Meter | None, Exception]:  # noqa: ANN401 -- NVML's
    """The first that answers, and why the last that did not did not."""
    failed: Exception = nvml.NVMLError(NOT_SUPPORTED)
    for meter in meters:
        try:
            if meter.read(nvml, handle) > 0:  # a board draws something: 0 is what some guests get for "not supported"
                return meter, failed
        except nvml.NVMLError as error:
            failed = error
    return None, failed


def _domain(board: Board, meter: Meter, limit_w: float | None, detail: str) -> Domain:
    return Domain(
        uid=f"nvml:{board.uuid}",
        collector="nvml",
        kind="gpu",
        name=board.name,
        reading="energy" if meter.counter else "power",
        max_power_w=None if limit_w is None else 2 * limit_w,
        resolution_j=0.001 if meter.counter else 0.0,
        refresh_s=0.1,
        gain=_GAIN,
        detail=detail,
        split_reason="sole tenancy is assumed",
    )


def _sound(nvml: Nvml, milli: int) -> float:
    """A number of thousandths, where it is one."""
    if milli in NOT_AVAILABLE:
        raise nvml.NVMLError(NOT_SUPPORTED)
    return milli / 1000


def _energy_j(nvml: Nvml, handle: Any) -> float:  # noqa: ANN401 -- NVML's
    return _sound(nvml, nvml.nvmlDeviceGetTotalEnergyConsumption(handle))


def _power_w(nvml: Nvml, handle: Any) -> float:  # noqa: ANN401 -- NVML's
    return _sound(nvml, nvml.nvmlDeviceGetPowerUsage(handle))


def _field(number: int, scope: int) -> Callable[[Nvml, Any], float]:
    def power_w(nvml: Nvml, handle: Any) -> float:  # noqa: ANN401 -- NVML's
        field = nvml.nvmlDeviceGetFieldValues(handle, [(number, scope)])[0]
        if field.nvmlReturn:
            raise nvml.NVMLError(field.nvmlReturn)
        return _sound(nvml, int(field.value.uiVal))

    return power_w
