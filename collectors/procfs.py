"""CPU time: of the machine, of what its CPUs could have given, and of the profiled process tree.

These are the weights that divide a CPU's energy between the profiled processes and the others. No
domain of its own, and no joules.
"""

from __future__ import annotations

import sys
from typing import Protocol

from greengen.collector import CAPACITY, MACHINE, PROFILED, Discovery, Event, Host, Unavailable, Usage
from greengen.collectors._cpu_time import CpuTime, open_cpu_time
from greengen.collectors._outage import Outages

#: The `Usage` resource that this collector reads.
RESOURCE = "cpu"

#: The machine's busy time is read this often while readings come regularly.
_MACHINE_NS = 450_000_000


class _Tree(Protocol):
    @property
    def pids(self) -> frozenset[int]: ...

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
        self._tree: _Tree | None = None
        self._outages = Outages()
        self._machine_ns = self._call_ns = self._step_ns = 0

    def discover(self) -> Discovery:
        """Open the counters. There are no domains here: only what cannot be read is told."""
        self.close()
        cpu = open_cpu_time(self._host, self._platform)
        if isinstance(cpu, Unavailable):
            return Discovery(unavailable=(cpu,))
        self._cpu = cpu
        tree = self._open_tree()
        if not tree.pids:
            tree.close()
            reason = f"there is no process {self._host.root_pid} to profile"
            return Discovery(unavailable=(Unavailable("cpu time of the profiled processes", reason),))
        self._tree = tree
        return Discovery()

    def _open_tree(self) -> _Tree:
        host = self._host
        if (host.procfs / "stat").exists():
            from greengen.collectors._process_tree import ProcessTree  # noqa: PLC0415 -- not on every system

            return ProcessTree(host.procfs, host.root_pid, host.monotonic_ns, include_root=host.include_root)
        from greengen.collectors._psutil_tree import PsutilTree  # noqa: PLC0415 -- psutil is slow to import

        return PsutilTree(host.root_pid, host.monotonic_ns, include_root=host.include_root)

    def read(self) -> list[Usage | Event]:
        """The tree first: what it did is then never newer than what the machine did."""
        now = self._host.monotonic_ns
        rows: list[Usage | Event] = []
        if self._tree is not None:
            busy_ns = self._tree.busy_ns()
            rows.append(Usage(RESOURCE, PROFILED, now(), busy_ns))
        if self._cpu is not None and self._machine_is_due(now()):
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
        for held in (self._cpu, self._tree):
            if held is not None:
                held.close()
        self._cpu = self._tree = None
