"""CPU time: of the machine, of what its CPUs could have given, and of the profiled process tree or cgroup.

These are the weights that divide a CPU's energy between the profiled processes and the others. No
domain of its own, and no joules.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Protocol

from greengen.collector import CAPACITY, MACHINE, PROFILED, Discovery, Event, Host, Unavailable, Usage
from greengen.collectors._cgroup import CgroupTime, OutsideTheTree, of_container
from greengen.collectors._cpu_time import CpuTime, is_of_lxcfs, open_cpu_time
from greengen.collectors._outage import Outages
from greengen.collectors._tree import open_tree

#: The `Usage` resource that this collector reads.
RESOURCE = "cpu"

_LXCFS = (
    "/proc/stat is one of lxcfs, which tells of this container alone: what others on the host used is not seen, and "
    "their part of a counter of the whole host (RAPL) counts as this container's; mount the host's procfs and name "
    "it by GREENGEN_PROCFS"
)
#: The machine's busy time is read this often while readings come regularly.
_MACHINE_NS = 450_000_000


class _Profiled(Protocol):
    def busy_ns(self) -> int: ...

    def close(self) -> None: ...


class ProcfsCollector:
    """CPU time from procfs; through psutil where there is none (`platform` as in ``sys.platform``)."""

    name = "procfs"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host, platform: str = sys.platform) -> None:
        self._host = host
        self._platform = platform
        self._cpu: CpuTime | None = None
        self._profiled: _Profiled | None = None
        self._outside: OutsideTheTree | None = None
        self._outages = Outages()
        self._machine_ns = self._call_ns = self._step_ns = 0
        self._lxcfs = False

    def discover(self) -> Discovery:
        """Open the counters. There are no domains here: only what cannot be read is told."""
        self.close()
        cpu = open_cpu_time(self._host, self._platform)
        if isinstance(cpu, Unavailable):
            return Discovery(unavailable=(cpu,))
        self._cpu, self._lxcfs = cpu, is_of_lxcfs(self._host)
        profiled = self._open_tree() if self._host.cgroup is None else self._open_cgroup(self._host.cgroup)
        if isinstance(profiled, str):
            return Discovery(unavailable=(Unavailable("cpu time of the profiled processes", profiled),))
        self._profiled = profiled
        return Discovery()

    def _open_tree(self) -> _Profiled | str:
        """The tree, or why there is none."""
        host = self._host
        tree = open_tree(host, host.root_pid, include_root=host.include_root, without=host.helpers)
        if not tree.pids:
            tree.close()
            return f"there is no process {host.root_pid} to profile"
        container = of_container(host)
        if container is not None:
            self._outside = OutsideTheTree(container, host.helpers, own_process=not host.include_root)
        return tree

    def _open_cgroup(self, folder: Path) -> _Profiled | str:
        try:
            cgroup = CgroupTime(folder)
        except OSError as error:
            return f"{folder / 'cpu.stat'} cannot be opened: {error.strerror}"
        return cgroup

    def read(self) -> list[Usage | Event]:
        """The profiled processes first: what they did is then never newer than what the machine did."""
        now = self._host.monotonic_ns
        rows: list[Usage | Event] = []
        if self._lxcfs:
            self._lxcfs = False
            rows.append(Event(now(), "warning", RESOURCE, _LXCFS))
        tree_ns = self._read_profiled(rows)
        if self._cpu is not None and self._machine_is_due(now()):
            if self._outside is not None and tree_ns is not None:
                rows += self._outside.add(now(), tree_ns)
            try:
                busy_ns, capacity_ns = self._cpu.read()
            except (OSError, ValueError) as error:
                rows += self._outages.begin(now(), RESOURCE, f"CPU time cannot be read: {error}")
                return rows
            self._outages.end(RESOURCE)
            t_ns = now()
            rows.append(Usage(RESOURCE, MACHINE, t_ns, busy_ns))
            rows.append(Usage(RESOURCE, CAPACITY, t_ns, capacity_ns))
        return rows

    def _read_profiled(self, rows: list[Usage | Event]) -> int | None:
        if self._profiled is None:
            return None
        try:
            busy_ns = self._profiled.busy_ns()
        except (OSError, ValueError) as error:
            # A cgroup that is removed with its container; a tree never fails.
            told = f"their CPU time cannot be read any more: {error}"
            rows += self._outages.begin(self._host.monotonic_ns(), "profiled processes", told, "warning")
            return None
        if self._host.cgroup is None and self._host.include_root:
            # A recorder within the profiled process is taken out of its time by the ledger: helpers as well.
            busy_ns += self._host.helpers.busy_ns()
        rows.append(Usage(RESOURCE, PROFILED, self._host.monotonic_ns(), busy_ns))
        return busy_ns

    def _machine_is_due(self, t_ns: int) -> bool:
        """Every half second: it steps by 10 ms, and asking is half the cost of a reading.

        And whenever a reading comes out of rhythm, as the first ones and most last ones do.
        """
        step_ns, self._call_ns = t_ns - self._call_ns, t_ns
        in_rhythm = step_ns > 0.9 * self._step_ns > 0
        self._step_ns = step_ns
        if in_rhythm and t_ns - self._machine_ns < _MACHINE_NS:
            return False
        self._machine_ns = t_ns
        return True

    def close(self) -> None:
        """Close the held files."""
        for held in (self._cpu, self._profiled, self._outside):
            if held is not None:
                held.close()
        self._cpu = self._profiled = self._outside = None
