"""Accelerators without a power sensor: how long they were busy, times powers that you state. Grade: modelled.

    GREENGEN_ACCELERATOR="rknpu=0.3/2.5"             W idle / W busy, of one chip
    GREENGEN_ACCELERATOR="tpu=90/170,neuron=60/200"
    GREENGEN_ACCELERATOR="rknpu=@rknpu.json"         what `greengen calibrate --accelerator rknpu` fitted to a meter

E = busy × active + (time - busy) × idle. The powers come from a data sheet, a paper, or a meter that was read
once; none is assumed: an accelerator that is here and whose powers are not stated is listed as not measured.
Busy is not loaded: a TPU whose duty cycle is 100 % may use a tenth of its multipliers, so what is common to all
work is known to a factor of two, and what depends on the work to one of 1.3, as for the CPU's model. What each
source tells, and where that was looked up: `_busy`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from greengen.collector import MACHINE, Discovery, Domain, Event, Host, Sample, Unavailable, Usage
from greengen.collectors import _calibration
from greengen.collectors._busy import SOURCES, Source, Told
from greengen.collectors._cpu_info import read_cpu_info
from greengen.collectors._poller import Polled, Poller, SlowMeters
from greengen.collectors.cpu_model import GAIN, WORKLOAD

_VARIABLE = "GREENGEN_ACCELERATOR"
_PERIOD_S = 1.0
#: How long the first answer is waited for; neuron-monitor's comes later, and is not.
_FIRST_S, _PATIENCE_S = 3.0, 20.0
#: Answers further apart than so many windows have a gap between them.
_LONGEST = 3
_SHARED = "busy time is told of the whole accelerator, not of processes, so sole tenancy is assumed"
_UNSTATED = "it has no power sensor, and its idle and active power are not stated"
#: Whose absence from the variable is no loss: another collector reads it, and says what it lacks.
_READ_OTHERWISE = ("intel_npu",)


class Powers(NamedTuple):
    """Of one chip, W; how well they are known, as relative standard uncertainties; and how, in words."""

    idle_w: float
    active_w: float
    gain: float = GAIN
    workload: float = WORKLOAD
    why: str = f"as {_VARIABLE} states"


def stated(text: str, calibrated: Callable[[str, str], Powers | str]) -> tuple[dict[str, Powers], list[str]]:
    """(powers by name, what is wrong) of the variable's text. `calibrated` reads the file of an accelerator."""
    found: dict[str, Powers] = {}
    wrong = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, numbers = part.partition("=")
        powers = calibrated(name, numbers[1:]) if numbers.startswith("@") else _powers(numbers)
        if isinstance(powers, str):
            wrong.append(f"{part!r}: {powers}")
        elif name not in SOURCES:
            wrong.append(f"{part!r}: known accelerators are {', '.join(sorted(SOURCES))}")
        elif powers is None:
            wrong.append(f"{part!r}: not IDLE/ACTIVE in W, with idle at 0 or more and active no less")
        else:
            found[name] = powers
    return found, wrong


def calibrated(host: Host, name: str, path: str) -> Powers | str:
    """What was fitted to a meter, or why it is not taken: idle power is then part of the rest of the machine."""
    known = _calibration.load_accelerator(Path(path), read_cpu_info(host), name)
    if isinstance(known, str):
        return known
    # As with the CPU's: the level is known better, what other work draws in the same busy time is not.
    workload = math.hypot(max(WORKLOAD, known.scatter), known.sigma)
    unknown = "" if known.gain else ", whose own error is not known and is left out"
    why = f"beyond idle, fitted by `greengen calibrate` on {known.created[:10]} to {known.meter}{unknown}"
    return Powers(0.0, known.active_w, known.gain, workload, why)


def _powers(text: str) -> Powers | None:
    try:
        idle_w, active_w = (float(number) for number in text.split("/"))
    except ValueError:
        return None
    return Powers(idle_w, active_w) if 0.0 <= idle_w <= active_w < math.inf and active_w else None


class AcceleratorCollector:
    """Asks each stated accelerator how busy it is, once a second, in a thread of its own."""

    name = "accelerator"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host) -> None:
        self._host = host
        self._meters = SlowMeters(host.monotonic_ns)
        self._use: list[Usage] = []

    def discover(self) -> Discovery:
        """The accelerators that are here, as far as their powers are stated."""
        self.close()
        powers, wrong = stated(self._host.environ.get(_VARIABLE, ""), partial(calibrated, self._host))
        problems = [Unavailable(self.name, f"{_VARIABLE}: {why}", _example("rknpu")) for why in wrong]
        domains: list[Domain] = []
        for name, find in SOURCES.items():
            if name not in powers and name in _READ_OTHERWISE:
                continue
            try:
                source = find(self._host)
            except OSError as error:
                told = str(error) if name in powers else _UNSTATED
                remedy = _remedy(name) if name in powers else _example(name)
                problems.append(Unavailable(f"{self.name}:{name}", told, remedy))
                continue
            if source is None and name in powers:
                problems.append(Unavailable(f"{self.name}:{name}", f"{_VARIABLE} names it, and it is not here"))
            elif source is not None and name not in powers:
                source.close()
                problems.append(Unavailable(f"{self.name}:{name}", _UNSTATED, _example(name)))
            elif source is not None:
                found, why = self._start(name, source, powers[name])
                domains += found
                problems += [Unavailable(f"{self.name}:{name}", why, _remedy(name))] if why else []
        return Discovery(tuple(domains), tuple(problems))

    def _start(self, name: str, source: Source, powers: Powers) -> tuple[tuple[Domain, ...], str]:
        """Begin to ask; why there is nothing to ask, where the first answer says so."""
        domains = tuple(_domain(name, unit, source, powers) for unit in source.units)
        clock = self._host.monotonic_ns
        poller = Poller(name, source.ask, period_s=_PERIOD_S, clock=clock, abort=source.abort, end=source.close)
        if not source.at_once:
            poller.start()
        elif (first := self._meters.ask(poller, _FIRST_S)).value is None:
            return (), first.trouble
        by_unit = dict(zip(source.units, domains, strict=True))
        rows = _Rows(source, by_unit, powers, self._use)
        uids = [domain.uid for domain in domains]
        self._meters.add(Polled(uids, poller, rows, _PATIENCE_S))
        return domains, ""

    def read(self) -> Iterator[Sample | Usage | Event]:
        """What was told since the last reading; waits for nothing."""
        yield from self._meters.read()
        yield from self._use
        self._use.clear()

    def close(self) -> None:
        """End the threads, and what they run."""
        self._meters.close()
        self._use = []


@dataclass(slots=True)
class _Rows:
    """Answers of one source as rows; `use` takes how long its units were busy."""

    source: Source
    domains: Mapping[str, Domain]
    powers: Powers
    use: list[Usage]
    #: Busy time as it was last told, and as it is handed on: that never falls.
    busy_s: dict[str, float] = field(default_factory=dict)
    used_s: dict[str, float] = field(default_factory=dict)
    last: dict[str, tuple[int, float]] = field(default_factory=dict)
    #: J by which a counter is set back, so that a reset of busy time shows as one.
    behind_j: dict[str, float] = field(default_factory=dict)

    def __call__(self, t_ns: int, told: Told) -> Iterator[Sample | Event]:
        t_ns = t_ns if told.t_ns is None else told.t_ns
        for unit, domain in self.domains.items():
            busy = told.busy[unit]
            yield (
                self._counted(t_ns, unit, domain, busy)
                if self.source.counts
                else self._gauged(t_ns, unit, domain, Told({unit: busy}, told.window_s))
            )
            self.use.append(Usage(domain.uid, MACHINE, t_ns, int(self.used_s[unit] * 1e9)))

    def _counted(self, t_ns: int, unit: str, domain: Domain, busy_s: float) -> Sample:
        """Energy since the machine started: a function of time and busy time alone, the same for all recorders."""
        idle_w, more_w = self.powers.idle_w, self.powers.active_w - self.powers.idle_w
        energy_j = t_ns / 1e9 * idle_w + busy_s * more_w - self.behind_j.get(unit, 0.0)
        _, before_j = self.last.get(unit, (t_ns, energy_j))
        before_s = self.busy_s.get(unit, 0.0)
        self.used_s[unit] = self.used_s.get(unit, 0.0) + (busy_s - before_s if busy_s >= before_s else busy_s)
        if busy_s < before_s:
            # The driver was loaded anew: what was drawn in between is nobody's knowledge.
            behind_j = energy_j - before_j + 1.0
            self.behind_j[unit] = self.behind_j.get(unit, 0.0) + behind_j
            energy_j -= behind_j
        self.last[unit] = t_ns, energy_j
        self.busy_s[unit] = busy_s
        return Sample(domain.uid, t_ns, energy_j)

    def _gauged(self, t_ns: int, unit: str, domain: Domain, told: Told) -> Sample:
        """Mean power of the window."""
        part = told.busy[unit]
        before_ns, _ = self.last.get(unit, (t_ns, 0.0))
        elapsed_s = (t_ns - before_ns) / 1e9
        # Of a time in which nothing was told, nobody knows how busy it was.
        told_s = elapsed_s if elapsed_s <= _LONGEST * max(told.window_s, _PERIOD_S) else 0.0
        self.used_s[unit] = self.used_s.get(unit, 0.0) + part * told_s
        self.last[unit] = t_ns, part
        power_w = self.powers.idle_w + part * (self.powers.active_w - self.powers.idle_w)
        return Sample(domain.uid, t_ns, power_w, "power", told.window_s)


def _domain(name: str, unit: str, source: Source, powers: Powers) -> Domain:
    uid = f"{AcceleratorCollector.name}:{name}" + (f"-{unit}" if unit else "")
    return Domain(
        uid=uid,
        collector=AcceleratorCollector.name,
        kind="npu",
        name=f"{name}{f' {unit}' if unit else ''} (modelled)",
        reading="energy" if source.counts else "power",
        grade="modelled",
        split_reason=_SHARED,
        activity=uid,
        max_power_w=powers.active_w,
        idle_w=powers.idle_w,
        refresh_s=_PERIOD_S,
        gain=powers.gain,
        workload=powers.workload,
        detail=f"{source.detail} × {powers.active_w:.4g} W busy, {powers.idle_w:.4g} W idle, {powers.why}",
    )


def _example(name: str) -> str:
    return f'state them, from a data sheet or a meter: {_VARIABLE}="{name}=IDLE/ACTIVE" (W of one chip)'


def _remedy(name: str) -> str:
    return {
        "rknpu": "run as root: its load is in debugfs (mount -t debugfs none /sys/kernel/debug)",
        "neuron": "install AWS's Neuron tools, which have neuron-monitor",
        "tpu": "install libtpu in the Python that records",
    }.get(name, "")
