"""Macs with Apple silicon, without root: cumulated joules of CPU, GPU, neural engine and memory, by IOReport.

Apple's energy model, not a sensor: the same that `powermetrics` tells (docs/powermetrics-sampling.md of
github.com/vladkens/macmon), whose manual warns of comparing devices by it. Display, storage and fans are not in it.

Channels, by crates/lib/src/metrics.rs of macmon: ``CPU Energy`` (``DIE_0_CPU Energy`` … on Ultra), ``GPU Energy``,
``ANE…`` and ``DRAM…``; those of single cores and clusters are parts of the first. Whether ``GPU SRAM`` is part of the
GPU's was not looked up: it is left out. Each channel states its unit: mJ, uJ or nJ. Some are brought up to date in
batches only. The library has no header and is called in a process of its own: `_ioreport_worker`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from greengen.collector import Discovery, Domain, Event, Host, Sample, Unavailable
from greengen.collectors._apple import KINDS, rail_domain
from greengen.collectors._outage import Outages
from greengen.collectors._poller import Polled, Poller, SlowMeters

if TYPE_CHECKING:
    from greengen.collectors._ioreport_lines import Energies
    from greengen.collectors._stream import Told

_VARIABLE = "GREENGEN_IOREPORT"
_FIRST_S, _PATIENCE_S, _RETRY_S = 10.0, 5.0, 0.05
_LATEST_NS = 10_000_000_000
#: How often the slower of its channels are seen to change.
_REFRESH_S = 1.0
_REMEDY = "powermetrics tells the same to root"


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
        self._meters = SlowMeters(host.monotonic_ns)
        self.read, self.close = self._meters.read, self._meters.close

    def discover(self) -> Discovery:
        """Start the worker and wait for its first line, on a Mac."""
        self.close()
        if self._platform != "darwin" and not self._host.environ.get(_VARIABLE):
            return Discovery()
        from greengen.collectors._ioreport_lines import parse  # noqa: PLC0415 -- only on a Mac
        from greengen.collectors._stream import Stream  # noqa: PLC0415 -- loads subprocess

        command = [sys.executable, "-m", "greengen.collectors._ioreport_worker"]
        stream = Stream(command, self._host, end=b"\n", parse=parse)
        # Each question waits for the next line, which is further away than this.
        clock = self._host.monotonic_ns
        poller = Poller("IOReport", stream.next, period_s=_RETRY_S, clock=clock, abort=stream.abort, end=stream.close)
        first = self._meters.ask(poller, _FIRST_S)
        if first.value is None:
            return Discovery(unavailable=(Unavailable("ioreport", first.trouble, _REMEDY),))
        told = first.value.value
        domains = {rail: _domain(rail, told.step_j[rail]) for rail in KINDS if rail in told.energy_j}
        uids = [domain.uid for domain in domains.values()]
        self._meters.add(Polled(uids, poller, _Rows(domains), _PATIENCE_S))
        problems = tuple(Unavailable(f"ioreport:{rail}", why, _REMEDY) for rail, why in told.troubles.items())
        return Discovery(tuple(domains.values()), problems)


def _domain(rail: str, step_j: float) -> Domain:
    return replace(rail_domain("ioreport", rail, _REFRESH_S, "the group Energy Model of IOReport"), resolution_j=step_j)
