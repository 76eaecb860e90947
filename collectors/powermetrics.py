"""Macs with Apple silicon, by ``powermetrics``: joules of CPU, GPU and neural engine, every half second.

It needs root: run greengen as root, or name a command that does, ``GREENGEN_POWERMETRICS="sudo -n powermetrics"``
with a line in /etc/sudoers.d that allows just that. One process runs as long as the recording.

The joules are Apple's energy model, not a sensor: "estimated and may be inaccurate - hence they should not be
used for any comparison between devices" (its manual). Display, storage, fans and, in versions since macOS 13, the
memory are not in them. Each window's joules over its length are a mean power; windows lie end to end
(docs/powermetrics-sampling.md of github.com/vladkens/macmon). They are no counter: another recorder's windows
begin elsewhere. Options as in src/monitor.rs of github.com/graelo/pumas; the format is in `_powermetrics_plist`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from greengen.collector import Discovery, Domain, Event, Host, Sample, Unavailable
from greengen.collectors._apple import rail_domain
from greengen.collectors._outage import Outages
from greengen.collectors._poller import Polled, Poller, SlowMeters

if TYPE_CHECKING:
    from greengen.collectors._powermetrics_plist import Window
    from greengen.collectors._stream import Told

_VARIABLE = "GREENGEN_POWERMETRICS"
_EVERY_S = 0.5
_OPTIONS = (
    "--samplers",
    "cpu_power,gpu_power,thermal",
    "--format",
    "plist",
    "--sample-rate",
    str(int(_EVERY_S * 1000)),
)
#: Half a second for the first sample, and what a loaded machine takes to start it.
_FIRST_S, _PATIENCE_S = 10.0, 5.0
_ROOT = f'run as root, or set {_VARIABLE}="sudo -n powermetrics" and allow just that in /etc/sudoers.d'


class _Rows:
    """Windows as readings of gauges: the mean power of each."""

    def __init__(self, domains: Mapping[str, Domain]) -> None:
        self._domains = domains
        self._outages = Outages()
        self._pressure = ""

    def __call__(self, _t_ns: int, told: Told[Window]) -> Iterator[Sample | Event]:
        t_ns, window = told.arrived_ns, told.value
        before, self._pressure = self._pressure or window.thermal, window.thermal
        if before != window.thermal:
            yield Event(t_ns, "state", "thermal pressure", f"thermal pressure: {before} -> {window.thermal}")
        for rail, domain in self._domains.items():
            if rail in window.power_w:
                self._outages.end(domain.uid)
                yield Sample(domain.uid, t_ns, window.power_w[rail], "power", window.elapsed_s)
            else:
                yield from self._outages.begin(t_ns, domain.uid, f"powermetrics no longer tells {rail}_energy")


class PowermetricsCollector:
    """Reads one powermetrics in a thread."""

    name = "powermetrics"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host) -> None:
        self._host = host
        self._meters = SlowMeters(host.monotonic_ns)
        self.read, self.close = self._meters.read, self._meters.close

    def discover(self) -> Discovery:
        """Start it and wait for its first sample, where there is such a command."""
        self.close()
        said = self._host.environ.get(_VARIABLE, "").strip()
        path = self._host.environ.get("PATH", "")
        if not said and not any(os.access(f"{folder}/powermetrics", os.X_OK) for folder in path.split(os.pathsep)):
            return Discovery()
        import shlex  # noqa: PLC0415 -- only where there is such a command

        from greengen.collectors._powermetrics_plist import END, parse  # noqa: PLC0415 -- loads plistlib
        from greengen.collectors._stream import Stream  # noqa: PLC0415 -- loads subprocess

        try:
            command = shlex.split(said) or ["powermetrics"]
        except ValueError as error:
            return Discovery(unavailable=(Unavailable("powermetrics", f"{_VARIABLE}: {error}", _ROOT),))
        stream = Stream([*command, *_OPTIONS], self._host, end=END, parse=parse)
        # Each question waits for the next sample, which is further away than this.
        period_s, clock = _EVERY_S / 20, self._host.monotonic_ns
        poller = Poller(
            "powermetrics", stream.next, period_s=period_s, clock=clock, abort=stream.abort, end=stream.close
        )
        first = self._meters.ask(poller, _FIRST_S)
        if first.value is None:
            remedy = _ROOT if stream.is_installed() else f"correct {_VARIABLE}"
            return Discovery(unavailable=(Unavailable("powermetrics", first.trouble, remedy),))
        domains = {rail: _domain(rail, first.value.value.model) for rail in first.value.value.power_w}
        uids = [domain.uid for domain in domains.values()]
        self._meters.add(Polled(uids, poller, _Rows(domains), _PATIENCE_S))
        return Discovery(tuple(domains.values()))


def _domain(rail: str, model: str) -> Domain:
    of = f" of {model}" if model else ""
    found = rail_domain("powermetrics", rail, _EVERY_S, f"{rail}_energy of powermetrics over elapsed_ns{of}")
    # The same model: whichever reads it, it is counted once, and the counters go first.
    return replace(found, reading="power", contains=(f"ioreport:{rail}",), alternative=True)
