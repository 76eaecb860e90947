"""Macs with Apple silicon, without root: cumulated joules of CPU, GPU, neural engine and memory, by IOReport.

Apple's energy model, not a sensor: the same that `powermetrics` tells (docs/powermetrics-sampling.md of
github.com/vladkens/macmon), whose manual warns of comparing devices by it. Display, storage and fans are not in it.

Channels, by crates/lib/src/metrics.rs of macmon: ``CPU Energy`` (``DIE_0_CPU Energy`` … on Ultra), ``GPU Energy``,
``ANE…`` and ``DRAM…``; those of single cores and clusters are parts of the first. Whether ``GPU SRAM`` is part of the
GPU's was not looked up: it is left out. Each channel states its unit: mJ, uJ or nJ. Some are brought up to date in
batches only. The library has no header and is called in a process of its own: `_ioreport_worker`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from greengen.collector import Discovery, Domain, Event, Host, Sample, Unavailable
from greengen.collectors._outage import Outages
from greengen.collectors._poller import Polled, Poller
from greengen.collectors._powermetrics_plist import MOST_W
from greengen.collectors._stream import Stream, Told
from greengen.collectors.cpu_model import GAIN, WORKLOAD

_VARIABLE = "GREENGEN_IOREPORT"
_FIRST_S, _PATIENCE_S, _RETRY_S = 10.0, 5.0, 0.05
_LATEST_NS = 10_000_000_000
#: How often the slower of its channels are seen to change.
_REFRESH_S = 1.0
_UNITS = {"mJ": 1e-3, "uJ": 1e-6, "nJ": 1e-9}
_NAMES = {"cpu": "CPU", "gpu": "GPU", "ane": "neural engine", "dram": "memory"}
_KINDS = {"cpu": "package", "gpu": "gpu", "ane": "npu", "dram": "dram"}
_SPLIT = "the energy model tells no use per process, so sole tenancy is assumed"
_REMEDY = "powermetrics tells the same to root"


@dataclass(frozen=True, slots=True)
class Energies:
    """Cumulated joules by rail as of `t_ns` of the monotonic clock, the step of each, J, and why a rail has none."""

    t_ns: int
    energy_j: Mapping[str, float]
    step_j: Mapping[str, float] = field(default_factory=dict)
    troubles: Mapping[str, str] = field(default_factory=dict)


def parse(line: bytes) -> Energies:
    """A line of the worker. Raises ValueError where it tells no rail at all."""
    energy_j: dict[str, float] = {}
    step_j: dict[str, float] = {}
    troubles: dict[str, str] = {}
    found = json.loads(line)
    for name, unit, value in found["channels"]:
        rail = _rail(name)
        if not rail:
            continue
        step = _UNITS.get(unit)
        if step is None:
            troubles[rail] = f"the channel {name} is in {unit or 'no unit'}, which is not known"
        elif value < 0:
            troubles[rail] = f"the channel {name} says {value}, which stands for an error"
        else:
            energy_j[rail] = energy_j.get(rail, 0.0) + value * step
            step_j[rail] = max(step_j.get(rail, 0.0), step)
    for rail in troubles:
        energy_j.pop(rail, None)
    if not energy_j:
        msg = "; ".join(troubles.values()) or "the Energy Model has none of the channels that are known"
        raise ValueError(msg)
    return Energies(found["t_ns"], energy_j, step_j, troubles)


def _rail(channel: str) -> str:
    if channel == "GPU Energy":
        return "gpu"
    if channel.endswith("CPU Energy"):
        return "cpu"
    return next((rail for rail in ("ane", "dram") if channel.startswith(rail.upper())), "")


class _Rows:
    """Lines of the worker as readings of counters."""

    def __init__(self, domains: Mapping[str, Domain]) -> None:
        self._domains = domains
        self._outages = Outages()

    def __call__(self, _t_ns: int, told: Told[Energies]) -> Iterator[Sample | Event]:
        energies = told.value
        # Its clock is this one's, unless that is not the machine's.
        late_ns = told.arrived_ns - energies.t_ns
        t_ns = energies.t_ns if 0 <= late_ns <= _LATEST_NS else told.arrived_ns
        for rail, domain in self._domains.items():
            if rail in energies.energy_j:
                self._outages.end(domain.uid)
                yield Sample(domain.uid, t_ns, energies.energy_j[rail])
            else:
                why = energies.troubles.get(rail, "its channel is gone")
                yield from self._outages.begin(t_ns, domain.uid, why)


class IoReportCollector:
    """Reads the worker in a thread. `platform` is as in ``sys.platform``."""

    name = "ioreport"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host, platform: str = sys.platform) -> None:
        self._host, self._platform = host, platform
        self._stream: Stream[Energies] | None = None
        self._polled: Polled[Told[Energies]] | None = None

    def discover(self) -> Discovery:
        """Start the worker and wait for its first line, on a Mac."""
        self.close()
        if self._platform != "darwin" and not self._host.environ.get(_VARIABLE):
            return Discovery()
        clock = self._host.monotonic_ns
        command = [sys.executable, "-m", "greengen.collectors._ioreport_worker"]
        stream = Stream(command, self._host.environ, end=b"\n", parse=parse, clock=clock)
        # Each question waits for the next line, which is further away than this.
        poller = Poller("IOReport", stream.next, period_s=_RETRY_S, clock=clock, abort=stream.abort)
        poller.start()
        first = poller.first(_FIRST_S)
        if first.value is None:
            poller.close()
            stream.close()
            return Discovery(unavailable=(Unavailable("ioreport", first.trouble, _REMEDY),))
        told = first.value.value
        domains = {rail: _domain(rail, told.step_j[rail]) for rail in _KINDS if rail in told.energy_j}
        uids = [domain.uid for domain in domains.values()]
        self._stream, self._polled = stream, Polled(uids, poller, _Rows(domains), _PATIENCE_S)
        problems = tuple(Unavailable(f"ioreport:{rail}", why, _REMEDY) for rail, why in told.troubles.items())
        return Discovery(tuple(domains.values()), problems)

    def read(self) -> Iterator[Sample | Event]:
        """What the worker has said since the last reading; waits for nothing."""
        return iter(()) if self._polled is None else self._polled.read(self._host.monotonic_ns())

    def close(self) -> None:
        """End the thread and the worker."""
        if self._polled is not None and self._stream is not None:
            self._polled.poller.close()
            self._stream.close()
        self._polled, self._stream = None, None


def _domain(rail: str, step_j: float) -> Domain:
    by_cpu = rail == "cpu"
    return Domain(
        uid=f"ioreport:{rail}",
        collector=IoReportCollector.name,
        kind=_KINDS[rail],
        name=f"{_NAMES[rail]} (Apple's energy model)",
        grade="modelled",
        scope="host",
        split="cpu" if by_cpu else None,
        split_reason="" if by_cpu else _SPLIT,
        activity="cpu" if by_cpu else None,
        max_power_w=MOST_W,
        resolution_j=step_j,
        refresh_s=_REFRESH_S,
        gain=GAIN,
        workload=WORKLOAD,
        detail="the group Energy Model of IOReport: an estimate, not for comparing devices",
    )
