"""NVIDIA GPUs through dcgm-exporter, where NVML is out of reach: in a pod or a container without the driver.

``GREENGEN_DCGM=http://10.0.0.5:9400`` names the exporter; without it, nothing is asked of the network.
Where NVML reads a GPU too, that reading counts, and this one stands beside it. What the exporter says is
as old as its last collection (every 30 s by default; ``dcgm-exporter -c 1000`` for every second): only
an answer that differs from the one before is a reading. Formats and their sources: `_dcgm_gpus`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from greengen.collector import Discovery, Domain, Event, Host, Sample, Unavailable
from greengen.collectors._poller import Polled, Poller, SlowMeters

if TYPE_CHECKING:
    from greengen.collectors._dcgm_gpus import Gpu
    from greengen.collectors._http import Address

_VARIABLE = "GREENGEN_DCGM"
_EXAMPLE = f"{_VARIABLE}=http://127.0.0.1:9400/metrics"
_PERIOD_S, _TIMEOUT_S = 1.0, 3.0
#: dcgm-exporter's default of --collect-interval, 30000 ms: pkg/cmd/app.go of NVIDIA/dcgm-exporter.
_REFRESH_S = 30.0
#: The same answer for so many refresh times: DCGM behind the exporter hangs.
_FROZEN = 4
#: ±5 % at 95 %, as for NVML, whose sensors these are.
_GAIN = 0.025
#: Twice what the largest boards are allowed.
_MOST_W = 2400.0
_SHARED = "the exporter tells no use per process, so sole tenancy is assumed"


class _Scrape(NamedTuple):
    """An answer's GPUs, and whether it is another than the one before."""

    gpus: dict[str, Gpu]
    is_new: bool


class _Exporter:
    """Asks, and tells an answer from a repeated one. Used by one thread after the other, never by two."""

    def __init__(self, where: Address) -> None:
        from greengen.collectors._http import Client  # noqa: PLC0415 -- loads http.client

        self.client = Client(where, _TIMEOUT_S, tls=where.scheme == "https")
        self._path = where.path or "/metrics"
        self._body: bytes | None = None
        self._gpus: dict[str, Gpu] = {}

    def ask(self) -> _Scrape:
        from greengen.collectors._dcgm_gpus import parse_gpus  # noqa: PLC0415 -- only where it is configured

        body = self.client.get(self._path, "basic")
        if body == self._body:
            return _Scrape(self._gpus, is_new=False)
        self._gpus = parse_gpus(body.decode("utf-8", "replace"))
        self._body = body
        return _Scrape(self._gpus, is_new=True)


class _Rows:
    """Scrapes as rows of the GPUs found at the start."""

    def __init__(self, domains: tuple[Domain, ...]) -> None:
        self._domains = {domain.uid.partition(":")[2]: domain for domain in domains}
        self._missing: set[str] = set()
        self._changed_ns: int | None = None
        self._frozen = False

    def __call__(self, t_ns: int, scrape: _Scrape) -> Iterator[Sample | Event]:
        if not scrape.is_new:
            yield from self._still(t_ns)
            return
        self._changed_ns, self._frozen = t_ns, False
        for uuid, domain in self._domains.items():
            gpu = scrape.gpus.get(uuid)
            value = None if gpu is None else gpu.energy_j if domain.reading == "energy" else gpu.power_w
            if value is not None:
                self._missing.discard(uuid)
                yield Sample(domain.uid, t_ns, value, domain.reading)
            elif uuid not in self._missing:
                self._missing.add(uuid)
                yield Event(t_ns, "gap", domain.uid, "the exporter no longer tells of this GPU, or says N/A")

    def _still(self, t_ns: int) -> Iterator[Event]:
        if self._changed_ns is None:
            self._changed_ns = t_ns
        still_s = (t_ns - self._changed_ns) / 1e9
        if still_s >= _FROZEN * _REFRESH_S and not self._frozen:
            self._frozen = True
            for domain in self._domains.values():
                yield Event(t_ns, "freeze", domain.uid, f"the exporter has said the same for {still_s:.0f} s")


class DcgmCollector:
    """Reads the exporter that ``GREENGEN_DCGM`` names, in a thread of its own."""

    name = "dcgm"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host) -> None:
        self._host, self._meters = host, SlowMeters(host.monotonic_ns)
        self.read, self.close = self._meters.read, self._meters.close

    def discover(self) -> Discovery:
        """Ask once; 3 s at the most where it does not answer."""
        self.close()
        text = self._host.environ.get(_VARIABLE, "").strip()
        if not text:
            return Discovery()
        from greengen.collectors._dcgm_gpus import ours  # noqa: PLC0415 -- only where it is configured
        from greengen.collectors._http import address  # noqa: PLC0415 -- loads http.client

        try:
            where = address(text, ("http", "https"))
        except ValueError as error:
            return Discovery(unavailable=(Unavailable("dcgm", f"{_VARIABLE}: {error}", _EXAMPLE),))
        exporter = _Exporter(where)
        poller = Poller(
            f"dcgm-exporter {where.shown}",
            exporter.ask,
            period_s=_PERIOD_S,
            clock=self._host.monotonic_ns,
            abort=exporter.client.abort,
        )
        first = self._meters.ask(poller, 2 * _TIMEOUT_S)
        if first.value is None:
            return Discovery(unavailable=(Unavailable("dcgm", f"{where.shown}: {first.trouble}", _EXAMPLE),))
        gpus, left_out = ours(first.value.gpus, self._host.environ)
        problems = [Unavailable("dcgm", left_out)] if left_out else []
        domains = []
        for gpu in gpus:
            if gpu.energy_j is None and gpu.power_w is None:
                problems.append(Unavailable(f"dcgm:{gpu.uuid}", "the exporter gives neither its energy nor its power"))
            else:
                domains.append(_domain(gpu, where))
        if domains:
            rows = _Rows(tuple(domains))
            self._meters.add(Polled([domain.uid for domain in domains], poller, rows, 2 * _TIMEOUT_S))
        else:
            poller.close()
        return Discovery(tuple(domains), tuple(problems))


def _domain(gpu: Gpu, where: Address) -> Domain:
    counting = gpu.energy_j is not None
    what = "energy counter" if counting else "power gauge"
    return Domain(
        uid=f"dcgm:{gpu.uuid}",
        collector=DcgmCollector.name,
        kind="gpu",
        name=f"{gpu.model or 'NVIDIA GPU'} (DCGM)",
        reading="energy" if counting else "power",
        # The same board: whichever reads it, it is counted once, and NVML's reading goes first.
        contains=(f"nvml:{gpu.uuid}",),
        alternative=True,
        split_reason=_SHARED,
        max_power_w=_MOST_W,
        resolution_j=0.001 if counting else 0.0,
        refresh_s=_REFRESH_S,
        gain=_GAIN,
        detail=f"the whole board, memory included, by its {what}, as dcgm-exporter at {where.shown} tells it",
    )
