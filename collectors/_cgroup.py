"""The CPU time of a cgroup (version 2), and what a container did outside the profiled process tree.

Facts: the kernel's admin-guide/cgroup-v2.rst (`cpu.stat`: usage_usec, with all cgroups below it; there whether a
controller is enabled or not; `cgroup.events` in all but the root) and kernel/cgroup/rstat.c: usage is the
scheduler's sum of execution times, so that the time of processes that have ended stays in it, what a virtual
machine run by it used is in it once, and time stolen from this machine is not, as with the clock of a process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from greengen.collector import Event, Host
from greengen.collectors import _held
from greengen.helpers import Helpers

#: What processes of the container that are not of the tree used before it is worth a word: so many ns,
#: and this part of all that the container used.
_WORTH_NS, _PART = 1_000_000_000, 0.1


class CgroupTime:
    """``cpu.stat`` of a cgroup, held open. Raises OSError or ValueError where it cannot be read."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "cpu.stat"
        self._fd = os.open(self._path, os.O_RDONLY)
        self._busy_ns = 0

    def busy_ns(self) -> int:
        """CPU time of its processes, the ended ones too, and of the cgroups below it. Never decreases."""
        key, _, value = os.pread(self._fd, 64, 0).partition(b"\n")[0].partition(b" ")
        if key != b"usage_usec":
            msg = f"{self._path} begins with {key!r}, not with usage_usec"
            raise ValueError(msg)
        self._busy_ns = max(self._busy_ns, int(value) * 1000)
        return self._busy_ns

    def close(self) -> None:
        """Close the file."""
        _held.close(self._fd, self._path)


class CgroupMembers:
    """Whether processes are of a cgroup, or of one below it. What was a member stays one, though it die."""

    def __init__(self, procfs: Path, folder: Path) -> None:
        self._procfs = procfs
        top = folder
        while (top.parent / "cgroup.controllers").exists():
            top = top.parent
        self._path = f"/{folder.relative_to(top)}"
        self._members: set[int] = set()

    def has(self, pid: int) -> bool:
        """Whether a process, alive or lately dead, is profiled."""
        path = own_path(self._procfs, pid)
        if path is None:
            return pid in self._members
        inside = path == self._path or path.startswith(f"{self._path}/")
        (self._members.add if inside else self._members.discard)(pid)
        return inside


class OutsideTheTree:
    """What this container does outside the profiled tree: told once, because it counts as others' work."""

    def __init__(self, cgroup: CgroupTime, helpers: Helpers, *, own_process: bool) -> None:
        self._cgroup, self._helpers = cgroup, helpers
        # A recorder with a process of its own is in the container too, and not of the tree.
        self._own_process = own_process
        self._from: tuple[int, int] | None = None
        self._told = False

    def add(self, t_ns: int, tree_ns: int) -> Iterator[Event]:
        """The tree's CPU time now, against the container's."""
        if self._told:
            return
        try:
            used_ns = self._cgroup.busy_ns()
        except (OSError, ValueError):
            self._told = True  # a check less, and no joule
            return
        known_ns = tree_ns + (time.process_time_ns() + self._helpers.busy_ns() if self._own_process else 0)
        if self._from is None:
            self._from = (used_ns, known_ns)
            return
        used_ns -= self._from[0]
        outside_ns = used_ns - (known_ns - self._from[1])
        if outside_ns >= _WORTH_NS and outside_ns >= _PART * used_ns:
            self._told = True
            reason = (
                f"processes of this container that do not descend from the profiled one used {outside_ns / 1e9:.1f} s "
                f"of its {used_ns / 1e9:.1f} s of CPU time so far, and count as others' work: with --cgroup self all "
                "that runs in the container is profiled"
            )
            yield Event(t_ns, "warning", "cpu", reason)

    def close(self) -> None:
        """Close the file."""
        self._cgroup.close()


def of_container(host: Host) -> CgroupTime | None:
    """The cgroup of the container that we are in; None outside of one, and where it cannot be read.

    A container has a cgroup namespace, in which its own cgroup is the top, and yet not the root of the hierarchy.
    """
    top = host.sysfs / "fs/cgroup"
    if own_path(host.procfs, host.root_pid) != "/" or not (top / "cgroup.events").exists():
        return None
    try:
        return CgroupTime(top)
    except OSError:
        return None


def own_path(procfs: Path, pid: int) -> str | None:
    """A process's cgroup, from the top of the hierarchy as we see it; None where there is none, or no such process."""
    try:
        text = (procfs / str(pid) / "cgroup").read_bytes()
    except OSError:
        return None
    line = next((line for line in text.splitlines() if line.startswith(b"0::")), None)
    return None if line is None else line[3:].decode("utf-8", "replace")
