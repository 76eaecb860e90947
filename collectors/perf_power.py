"""RAPL through perf's `power` PMU: where powercap's files may not be read, and perf may.

The kernel adds the counter up to 64 bits on a timer, in steps of 2^-32 J from 0 on, so nothing wraps.
Facts: the kernel's arch/x86/events/rapl.c (one event per package or die, on the CPUs of `cpumask`;
energy-pkg, -cores, -gpu, -ram, -psys with .scale and .unit). Stands in for rapl, kind by kind.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from greengen.collector import Discovery, Domain, Event, Host, Sample, Unavailable
from greengen.collectors._cpu_info import CpuInfo, read_cpu_info, read_text
from greengen.collectors._on_die import with_npus
from greengen.collectors._outage import Outages
from greengen.collectors._perf_event import open_event, read_event

_EVENT = re.compile(r"^event=(0x[0-9a-fA-F]+|\d+)$")
#: By event: the kind of domain it counts. Core and uncore are inside the package, memory is beside it.
_KINDS = {
    "energy-pkg": "package",
    "energy-cores": "core",
    "energy-gpu": "uncore",
    "energy-ram": "dram",
    "energy-psys": "psys",
}
#: As in rapl: the same counters.
_GAIN = {"package": 0.025, "core": 0.025, "uncore": 0.025, "dram": 0.10, "psys": 0.05}
_GAIN_AMD = 0.10
_AMD = ("AuthenticAMD", "HygonGenuine")
_MOST_W = 1000.0
_LOOK_AGAIN_NS = 1_000_000_000
_NOT_SPLIT = {
    "dram": "no counter says how much memory traffic each process caused, so sole tenancy is assumed",
    "psys": "no weight divides a whole platform between processes, so sole tenancy is assumed",
}
_REMEDY = (
    "from the least to the most intrusive: (1) setcap cap_perfmon=ep on the interpreter (Linux 5.8 on); "
    "(2) sysctl kernel.perf_event_paranoid=0; (3) run as root. In a container add CAP_PERFMON too, "
    "and allow perf_event_open in its seccomp profile"
)


@dataclass(slots=True)
class _Counter:
    """One event on one CPU."""

    domain: Domain
    kind: int
    config: int
    cpu: int
    scale_j: float
    fd: int
    looked_ns: int = -_LOOK_AGAIN_NS


class PerfPowerCollector:
    """Reads every event of the PMU. `open_` opens (type, config, cpu) as `perf_event_open` does."""

    name = "perf_power"
    fallback_for: tuple[str, ...] = ("package", "core", "uncore", "dram", "psys")

    def __init__(self, host: Host, open_: Callable[[int, int, int], int] = open_event) -> None:
        self._host = host
        self._open = open_
        self._counters: list[_Counter] = []
        self._outages = Outages()

    def discover(self) -> Discovery:
        """One domain per event and package (per die, where the PMU has one per die)."""
        self.close()
        pmu = self._host.sysfs / "bus/event_source/devices/power"
        kind = read_text(pmu / "type").strip()
        if not kind.isdigit():
            return Discovery()  # no such PMU: rapl says why there is no RAPL
        cpu_info = read_cpu_info(self._host)
        problems: dict[str, Unavailable] = {}
        for event, domain_kind in _KINDS.items():
            config = _EVENT.match(read_text(pmu / "events" / event).strip())
            if config is None or (domain_kind == "core" and cpu_info.vendor in _AMD):
                continue
            unit = read_text(pmu / "events" / f"{event}.unit").strip()
            scale = _number(read_text(pmu / "events" / f"{event}.scale").strip())
            if unit != "Joules" or not scale:
                reason = f"{event} is in {unit or 'no unit'} of scale {scale}: only joules are understood"
                problems[event] = Unavailable(f"perf_power:{event}", reason)
                continue
            for package, cpu in self._cpus(read_text(pmu / "cpumask").strip()):
                domain = _domain(package, domain_kind, scale, cpu_info)
                try:
                    fd = self._open(int(kind), int(config[1], 0), cpu)
                except OSError as error:
                    problems[event] = _not_opened(event, error)
                    continue
                self._counters.append(_Counter(domain, int(kind), int(config[1], 0), cpu, scale, fd))
        domains = _nested([counter.domain for counter in self._counters])
        return Discovery(with_npus(domains, self._host.sysfs), tuple(problems.values()))

    def _cpus(self, mask: str) -> Iterator[tuple[str, int]]:
        """(package, CPU) of each CPU in the mask; a second die of a package gets its number."""
        seen: dict[str, int] = {}
        for cpu in _listed(mask):
            topology = self._host.sysfs / f"devices/system/cpu/cpu{cpu}/topology"
            package = read_text(topology / "physical_package_id").strip() or "0"
            seen[package] = seen.get(package, -1) + 1
            yield (package if not seen[package] else f"{package}-die-{seen[package]}"), cpu

    def read(self) -> Iterator[Sample | Event]:
        """One sample per counter; a `gap` event when one begins to fail."""
        for counter in self._counters:
            uid = counter.domain.uid
            try:
                value_j = read_event(counter.fd) * counter.scale_j
            except (OSError, ValueError) as error:
                t_ns = self._host.monotonic_ns()
                yield from self._outages.begin(t_ns, uid, f"perf event on CPU {counter.cpu}: {error}")
                self._open_again(counter, t_ns)
                continue
            self._outages.end(uid)
            yield Sample(uid, self._host.monotonic_ns(), value_j)

    def _open_again(self, counter: _Counter, t_ns: int) -> None:
        """It counts from 0 anew, so that the ledger sees a reset: what went by meanwhile nobody knows."""
        if t_ns - counter.looked_ns < _LOOK_AGAIN_NS:
            return
        counter.looked_ns = t_ns
        try:
            fd = self._open(counter.kind, counter.config, counter.cpu)
        except OSError:
            return
        os.close(counter.fd)
        counter.fd = fd

    def close(self) -> None:
        """Close the events."""
        for counter in self._counters:
            os.close(counter.fd)
        self._counters = []


def _domain(package: str, kind: str, scale_j: float, cpu: CpuInfo) -> Domain:
    name = f"package-{package}" if kind == "package" else "psys" if kind == "psys" else f"package-{package}/{kind}"
    return Domain(
        uid=f"perf_power:{name}" + (f"-{package}" if kind == "psys" and package != "0" else ""),
        collector=PerfPowerCollector.name,
        kind=kind,
        name=f"{name} (RAPL through perf)",
        scope="vm" if cpu.virtual else "host",
        alternative=kind == "psys",
        split=None if kind in _NOT_SPLIT else "cpu",
        split_reason=_NOT_SPLIT.get(kind, ""),
        activity="cpu",
        max_power_w=_MOST_W,
        resolution_j=max(scale_j, 2.0**-14),  # the hardware's step, which the scale is finer than
        refresh_s=0.001,
        gain=_GAIN_AMD if cpu.vendor in _AMD else _GAIN[kind],
        detail="perf's power PMU, counting from the start of the recording",
    )


def _nested(domains: list[Domain]) -> tuple[Domain, ...]:
    def inside(outer: Domain) -> tuple[str, ...]:
        if outer.kind == "psys":
            return tuple(other.uid for other in domains if other.kind in ("package", "dram"))
        if outer.kind != "package":
            return ()
        return tuple(f"{outer.uid}/{kind}" for kind in ("core", "uncore"))

    uids = {domain.uid for domain in domains}
    return tuple(replace(d, contains=tuple(uid for uid in inside(d) if uid in uids)) for d in domains)


def _not_opened(event: str, error: OSError) -> Unavailable:
    denied = error.errno in (errno.EACCES, errno.EPERM)
    reason = f"perf_event_open: {error}" + (" (kernel.perf_event_paranoid)" if denied else "")
    return Unavailable(f"perf_power:{event}", reason, _REMEDY if denied else "")


def _listed(mask: str) -> list[int]:
    """The CPUs of a list like ``0,64`` or ``0-3``."""
    cpus: list[int] = []
    for part in filter(None, mask.split(",")):
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit():
            cpus += range(int(first), int(last or first) + 1)
    return cpus


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
