"""How a GPU of Intel's or AMD's divides between the profiled processes and others, by what its driver tells of them.

Sound only where every process that uses it can be seen: by root (or with CAP_SYS_PTRACE), outside of containers,
without virtual machines that have a part of the GPU (SR-IOV), and, on AMD's, where nothing computes through
ROCm: its queues are the KFD's, and do not show (Umio-Yasuno/amdgpu_top#49). Elsewhere sole tenancy is assumed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from greengen.collector import MACHINE, PROFILED, Domain, Event, Host, Usage
from greengen.collectors._cpu_info import read_text
from greengen.collectors._drm_clients import Clients, Scan, Use
from greengen.collectors._outage import Outages
from greengen.collectors._poller import Poller
from greengen.collectors._profiled_pids import profiled_pids, why_no_host_pids

_PERIOD_S = 0.5
#: A busy GPU whose clients rest for so long is told of, ns.
_MOST_NS = 5_000_000_000
#: Percent from which a GPU is busy: a display alone may show one or two.
_BUSY = 10
#: How long the cycles of a GPU's clock are counted before they are told in ns.
_CALIBRATED_NS = 500_000_000


def resource(device: str) -> str:
    """The `Usage` resource of a PCI address."""
    return f"drm:{device}"


def why_not(host: Host, device: str, *, amd: bool) -> str:
    """Why the use of a GPU by each process cannot be known; "" where it can."""
    hidden = why_no_host_pids(host.procfs, host.root_pid)
    if hidden:
        return hidden
    try:
        # Even root may be without the capability; a process of its own then hides nothing, and others' all.
        Clients(host.procfs, host.sysfs, frozenset({device}), host.monotonic_ns).scan()
    except ValueError as error:
        return str(error)
    except OSError as error:
        return f"how much others' processes use the GPU may not be read ({error}: it takes CAP_SYS_PTRACE)"
    parts = read_text(host.sysfs / "bus/pci/devices" / device / "sriov_numvfs").strip()
    if parts not in ("", "0"):
        return "virtual machines have parts of the GPU (SR-IOV), and their use does not show"
    return _rocm(host.sysfs) if amd else ""


def divide(host: Host, domains: Sequence[Domain], *, amd: bool = False) -> tuple[tuple[Domain, ...], DrmUse | None]:
    """GPUs (uids ``<collector>:<PCI address>[/part]``) with what divides them, or why nothing does; and what reads it.

    A domain that is no GPU (an APU's package) stays as it is.
    """
    reasons: dict[str, str] = {}
    found = []
    for domain in domains:
        device = domain.uid.partition(":")[2].partition("/")[0]
        if domain.kind != "gpu":
            found.append(domain)
            continue
        if device not in reasons:
            reasons[device] = why_not(host, device, amd=amd)
        why = reasons[device]
        if why:
            found.append(replace(domain, split_reason=f"{why}, so sole tenancy is assumed"))
        else:
            use = resource(device)
            found.append(replace(domain, split=use, activity=use, split_reason=""))
    known = frozenset(device for device, why in reasons.items() if not why)
    return tuple(found), DrmUse(host, known, amd=amd) if known else None


def _rocm(sysfs: Path) -> str:
    """Why ROCm's work hides; the KFD lists the processes that have opened it, of whatever GPU."""
    try:
        pids = sorted(os.listdir(sysfs / "class/kfd/kfd/proc"))  # noqa: PTH208 -- names are all that is wanted
    except OSError:
        return ""
    return f"process {pids[0]} may compute through ROCm, which the driver tells of no process" if pids else ""


@dataclass(slots=True)
class _Sum:
    """The use of one GPU, cumulated over scans: ns, or cycles of its clock until it is known how long they are.

    last     by client, what it had used at most; of dead ones, too: numbers are not used again
    clock    (ns, cycles) of the first scan that told the GPU's clock
    """

    machine: float = 0.0
    profiled: float = 0.0
    last: dict[int, float] | None = None
    clock: tuple[int, int] | None = None
    ns_per_unit: float | None = 1.0

    def add(self, t_ns: int, uses: list[Use], ours: Callable[[int], bool]) -> None:
        """One scan more. A client that is new since the last one has worked since then."""
        is_first, last = self.last is None, self.last or {}
        for client, pids in uses:
            before = last.get(client.number, client.used if is_first else 0.0)
            used = last[client.number] = max(client.used, before)
            self.machine += used - before
            # One that ours and others hold was opened by one of them for the other: it is taken for ours.
            if any(map(ours, pids)):
                self.profiled += used - before
            if client.total is not None:
                self._calibrate(t_ns, client.total)
        self.last = last

    def _calibrate(self, t_ns: int, total: int) -> None:
        if self.clock is None:
            self.clock, self.ns_per_unit = (t_ns, total), None
            return
        (t0_ns, total0), known = self.clock, self.ns_per_unit is not None
        if not known and t_ns - t0_ns >= _CALIBRATED_NS and total > total0:
            self.ns_per_unit = (t_ns - t0_ns) / (total - total0)


class DrmUse:
    """The use of some GPUs by process, asked for in a thread: to look through all processes takes milliseconds."""

    def __init__(self, host: Host, devices: frozenset[str], *, amd: bool) -> None:
        self._clients = Clients(host.procfs, host.sysfs, devices, host.monotonic_ns)
        self._sysfs, self._amd, self._pids = host.sysfs, amd, profiled_pids(host)
        self._sums = {device: _Sum() for device in devices}
        self._outages = Outages()
        clock = host.monotonic_ns
        self._poller = Poller("clients of GPUs", self._scan, period_s=_PERIOD_S, clock=clock)
        self._begun = False
        self._told_ns: dict[str, int] = {}
        self._poller.start()

    def _scan(self) -> tuple[Scan, frozenset[str]]:
        """The clients, and the GPUs that are busy as far as another file of theirs tells."""
        hidden = _rocm(self._sysfs) if self._amd else ""
        if hidden:
            raise ValueError(hidden)
        scan = self._clients.scan()
        percents = {
            device: read_text(self._sysfs / "bus/pci/devices" / device / "gpu_busy_percent").strip()
            for device in scan.devices
        }
        return scan, frozenset(
            device for device, percent in percents.items() if percent.isdigit() and int(percent) >= _BUSY
        )

    def read(self) -> Iterator[Usage | Event]:
        """What has been told since the last time; waits for nothing."""
        if not self._begun:
            self._begun = True
            self._poller.hasten()
        for answer in self._poller.take():
            if answer.value is None:
                for device in self._sums:
                    reason = f"{device}: its use by each process is not told: {answer.trouble}"
                    yield from self._outages.begin(answer.t_ns, resource(device), reason, "warning")
                continue
            yield from self._rows(*answer.value)

    def _rows(self, scan: Scan, busy: frozenset[str]) -> Iterator[Usage | Event]:
        for device, total in self._sums.items():
            before = total.machine
            if device in scan.devices:
                total.add(scan.t_ns, scan.devices[device], self._pids.has)
            if device in busy and total.machine <= before:
                # Work of queues that bypass the driver, or of a client yet to be found: that is not the same as none.
                silent_ns = scan.t_ns - self._told_ns.setdefault(device, scan.t_ns)
                if silent_ns > _MOST_NS:
                    reason = f"{device}: it is busy, and for {silent_ns / 1e9:.0f} s no client of its driver works"
                    yield from self._outages.begin(scan.t_ns, resource(device), reason, "warning")
                continue
            self._outages.end(resource(device))
            self._told_ns[device] = scan.t_ns
            if total.ns_per_unit is not None:
                for consumer, used in ((MACHINE, total.machine), (PROFILED, total.profiled)):
                    yield Usage(resource(device), consumer, scan.t_ns, round(used * total.ns_per_unit))

    def close(self) -> None:
        """End the thread."""
        self._poller.close()
