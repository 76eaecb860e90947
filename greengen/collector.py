"""The plug-in contract: what a collector finds, and what it reads.

A collector is two verbs. `discover()` says which domains this machine has and why others cannot be
read; `read()` takes one reading of each. Everything it touches (sysfs, procfs, clock) comes from a
`Host`, so that a fake tree stands in for a machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from greengen.helpers import Helpers

Reading = Literal["energy", "power"]
Scope = Literal["device", "host", "vm"]
DomainGrade = Literal["measured", "modelled"]
EventKind = Literal["wrap", "reset", "gap", "freeze", "warning", "state"]

#: Consumers of a `Usage` resource that the ledger knows.
MACHINE, CAPACITY, PROFILED, RECORDER = "machine", "capacity", "profiled", "recorder"


@dataclass(frozen=True, slots=True)
class Domain:
    """The perimeter one counter covers.

    uid           unique on this host and stable over boots: ``rapl:package-0``, ``nvml:GPU-5c2f…``
    collector     the collector that reads it
    kind          package, core, uncore, dram, psys, gpu, npu, soc, board, wall …
    name          what a person calls it
    reading       `energy`: a counter in J; `power`: a gauge in W
    grade         `measured` by a physical sensor, or `modelled`
    scope         what the counter covers: this device, the whole host, or the virtual machine
    contains      uids of the domains inside this one (a total never adds both); one that ends with `*` is the
                  beginning of uids; ``*`` is all of the host that is no such meter itself (wall, battery).
                  Also of parts that no counter tells apart (MIG slices): who names one as a device uses this domain
    alternative   another way to know a total that other domains already make up (psys)
    split         the `Usage` resource that divides this domain between processes, or None
    split_reason  why there is no such weight; shown as the reason that `other` is not measured
    activity      the `Usage` resource that tells whether the profiled processes worked at all; with
                  none, a cell without a span counts as their work
    wrap_j        what the counter gains by one wrap, J; None: it never wraps
    max_power_w   the most this domain can draw, W: tells a wrap from a reset and bounds lost joules
    idle_w        what the domain draws when nothing runs, W, where that is known beforehand
    resolution_j  the counter's step, J
    refresh_s     how often the counter changes, s
    gain          relative standard uncertainty of the sensor's gain (common to all its readings)
    workload      relative standard uncertainty that depends on the workload (modelled domains)
    detail        the model or sensor behind it, in words
    """

    uid: str
    collector: str
    kind: str
    name: str
    reading: Reading = "energy"
    grade: DomainGrade = "measured"
    scope: Scope = "device"
    contains: tuple[str, ...] = ()
    alternative: bool = False
    split: str | None = None
    split_reason: str = ""
    activity: str | None = None
    wrap_j: float | None = None
    max_power_w: float | None = None
    idle_w: float | None = None
    resolution_j: float = 0.0
    refresh_s: float = 0.0
    gain: float = 0.0
    workload: float = 0.0
    detail: str = ""


class Sample(NamedTuple):
    """One reading of a domain: a counter's value in J, or a gauge's in W averaged over `window_s`.

    A named tuple, like `Usage`: made ten times a second from cold, it costs a quarter of a dataclass.
    """

    domain: str
    t_ns: int
    value: float
    kind: Reading = "energy"
    window_s: float = 0.0


class Usage(NamedTuple):
    """Cumulated busy time, ns, of one consumer of a resource. A weight, never joules."""

    resource: str
    consumer: str
    t_ns: int
    busy_ns: int


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the recording: `subject` is a domain, a collector or a process."""

    t_ns: int
    kind: EventKind
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """An interface that cannot be read here: why, and what would make it readable."""

    interface: str
    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a collector found on this machine."""

    domains: tuple[Domain, ...] = ()
    unavailable: tuple[Unavailable, ...] = ()


def own_pid(procfs: Path) -> int:
    """This process's id as `procfs` has it: another than our own where that is of another PID namespace."""
    try:
        return int(os.readlink(f"{procfs}/self"))  # noqa: PTH115 -- each forked child asks
    except (OSError, ValueError):
        return os.getpid()


@dataclass(frozen=True, slots=True)
class Host:
    """Where a collector looks: every path, clock and identity it needs, so that all can be faked.

    root_pid      the root of the profiled process tree
    include_root  whether the root is itself profiled; `greengen profile` is the root of the tree
                  that it records, and no part of it
    cgroup        the folder of a cgroup (version 2) whose processes are profiled in place of the tree
    helpers       the programs that collectors run, which are not profiled
    """

    sysfs: Path = Path("/sys")
    procfs: Path = Path("/proc")
    root_pid: int = 0
    include_root: bool = True
    monotonic_ns: Callable[[], int] = time.monotonic_ns
    environ: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    cgroup: Path | None = None
    helpers: Helpers = field(default_factory=Helpers, repr=False, compare=False)

    @classmethod
    def from_environment(cls, root_pid: int | None = None, *, include_root: bool = True) -> Host:
        """This machine, or the trees that ``GREENGEN_SYSFS`` and ``GREENGEN_PROCFS`` name."""
        procfs = Path(os.environ.get("GREENGEN_PROCFS") or "/proc")
        return cls(
            sysfs=Path(os.environ.get("GREENGEN_SYSFS") or "/sys"),
            procfs=procfs,
            root_pid=own_pid(procfs) if root_pid is None else root_pid,
            include_root=include_root,
            environ=os.environ,
        )


@runtime_checkable
class Stateful(Protocol):
    """A collector that also knows in which state its devices are: more than a `Collector` has to."""

    def state(self) -> Mapping[str, str]:
        """What is set, and how warm it is: ``power limit of NVIDIA GPU 0`` → ``700 W``. The unknown is left out."""
        ...


@runtime_checkable
class Collector(Protocol):
    """Found under the entry-point group ``greengen.collectors`` as a callable ``Host -> Collector``.

    name           its entry-point name, and the prefix of its domains' uids
    fallback_for   domain kinds that it only stands in for: its domains of these kinds are dropped
                   where another collector reads one of them
    """

    name: str
    fallback_for: tuple[str, ...]

    def discover(self) -> Discovery:
        """Look for domains. Never raises for a machine that lacks them: it says why instead."""
        ...

    def read(self) -> Iterable[Sample | Usage | Event]:
        """One reading of every domain discovered; a domain that fails yields a `gap` event."""
        ...

    def close(self) -> None:
        """Give back what `discover` opened."""
        ...
