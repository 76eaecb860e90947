"""What the CPUs did since boot: the machine's busy time, and the time they could have given."""

from __future__ import annotations

import os
from typing import Protocol

from greengen.collector import Host, Unavailable
from greengen.collectors import _held

#: A tick of the kernel's CPU accounting, ns. `/proc` counts in USER_HZ, 100 on nearly every Linux.
TICK_NS = 1_000_000_000 // (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)
#: The last column that every kernel has.
_IDLE = 4


class CpuTime(Protocol):
    """Cumulated CPU time of the whole machine; neither number ever decreases."""

    def read(self) -> tuple[int, int]:
        """Busy ns and capacity ns. Raises OSError or ValueError where it cannot be read."""
        ...

    def close(self) -> None:
        """Give back what was opened."""
        ...


def open_cpu_time(host: Host, platform: str) -> CpuTime | Unavailable:
    """The machine's CPU time: from procfs, or through psutil off Linux (`platform` as in sys)."""
    stat = host.procfs / "stat"
    if not stat.exists() and not platform.startswith("linux"):
        return PsutilCpuTime()
    try:
        cpu_time = ProcStat(str(stat))
    except OSError as error:
        return Unavailable("cpu", f"{stat} cannot be opened: {error.strerror}", "mount procfs, or set GREENGEN_PROCFS")
    try:
        _, capacity_ns = cpu_time.read()
    except (OSError, ValueError) as error:
        cpu_time.close()
        return Unavailable("cpu", f"{stat} cannot be read: {error}", "mount procfs, or set GREENGEN_PROCFS")
    if not capacity_ns:
        # pkg/sentry/fsimpl/proc/tasks_files.go, statData: gVisor writes zeros, whatever its CPUs do.
        cpu_time.close()
        return Unavailable("cpu", f"{stat} shows no CPU time, as in gVisor's sandboxes", "measure outside the sandbox")
    return cpu_time


def is_of_lxcfs(host: Host) -> bool:
    """Whether ``/proc/stat`` is not the kernel's: lxcfs mounts one over it that tells of this container alone.

    A line of mountinfo then names the file itself, of type ``fuse.lxcfs``.
    """
    try:
        lines = (host.procfs / "self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(" /proc/stat " in line and " - fuse.lxcfs " in line for line in lines)


def parse_stat(text: bytes, tick_ns: int = TICK_NS) -> tuple[int, int]:
    """Busy ns and capacity ns from the first line of ``/proc/stat``.

    Its columns are user nice system idle iowait irq softirq steal guest guest_nice, in ticks. Guest
    time is inside user and nice already. Stolen time is not work of this machine, but its CPUs could
    have given it. Raises ValueError where the line is not that.
    """
    columns = text.partition(b"\n")[0].split()
    if len(columns) <= _IDLE or columns[0] != b"cpu":
        msg = f"it begins with {text[:40]!r}, not with the sum over all CPUs"
        raise ValueError(msg)
    # Old kernels have no columns after idle.
    user, nice, system, idle, iowait, irq, softirq, steal = (*map(int, columns[1:9]), 0, 0, 0, 0)[:8]
    busy = user + nice + system + irq + softirq
    return busy * tick_ns, (busy + idle + iowait + steal) * tick_ns


class ProcStat:
    """``/proc/stat``, held open."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDONLY)
        self._busy_ns = self._capacity_ns = 0

    def read(self) -> tuple[int, int]:
        """Busy ns and capacity ns of the machine."""
        busy_ns, capacity_ns = parse_stat(os.pread(self._fd, 512, 0))
        # The kernel's idle and iowait columns are known to step back by a tick.
        self._busy_ns = max(self._busy_ns, busy_ns)
        self._capacity_ns = max(self._capacity_ns, capacity_ns)
        return self._busy_ns, self._capacity_ns

    def close(self) -> None:
        """Close the file."""
        _held.close(self._fd, self._path)


class PsutilCpuTime:
    """The machine's CPU time where there is no procfs."""

    def read(self) -> tuple[int, int]:
        """Busy ns and capacity ns. On Windows `system` holds the interrupt time already."""
        import psutil  # noqa: PLC0415 -- only needed off Linux

        times = psutil.cpu_times()
        busy_s = times.user + times.system + getattr(times, "nice", 0.0) + getattr(times, "irq", 0.0)
        return int(busy_s * 1e9), int((busy_s + times.idle) * 1e9)

    def close(self) -> None:
        """Nothing is held."""
