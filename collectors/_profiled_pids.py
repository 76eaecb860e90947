"""Which processes are the profiled tree's, for those who are told of work by its process id."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from greengen.collector import Host
from greengen.collectors._cgroup import CgroupMembers
from greengen.collectors._proc_pid import PARENT, STARTED, read_stat

#: PROC_PID_INIT_INO of Linux's include/linux/proc_ns.h: the first pid namespace has always this number.
_FIRST_NAMESPACE = "pid:[4026531836]"


class Pids(Protocol):
    """The profiled processes, by their ids."""

    def has(self, pid: int) -> bool:
        """Whether a process, alive or lately dead, is profiled."""
        ...


def profiled_pids(host: Host) -> Pids:
    """Those of the cgroup that is profiled, or of the process tree."""
    if host.cgroup is not None:
        return CgroupMembers(host.procfs, host.cgroup)
    return ProfiledPids(host.procfs, host.root_pid, include_root=host.include_root)


def why_no_host_pids(procfs: Path, pid: int) -> str:
    """Why ids that the host's kernel modules tell name no process here; "" where they do."""
    if not (procfs / "stat").exists():
        return "there is no procfs to look the processes up in"
    try:
        namespace = (procfs / str(pid) / "ns" / "pid").readlink()
    except OSError as error:
        return f"the pid namespace cannot be read ({error.strerror})"
    if str(namespace) != _FIRST_NAMESPACE:
        return (
            "this is a container with process ids of its own, and those that the driver tells are the host's "
            "(NVIDIA/nvidia-docker#1483)"
        )
    return ""


class ProfiledPids:
    """Whether processes are of the tree under `root_pid`, told by their parents' parents.

    Few processes work on an accelerator, and a tree may have thousands of threads to look for children
    of: so each is followed upwards, once. What was a member stays one, though its parent or itself
    die; a process whose parent is dead when it is first asked for is taken for a stranger.
    """

    def __init__(self, procfs: Path, root_pid: int, *, include_root: bool) -> None:
        self._procfs, self._root, self._include_root = str(procfs), root_pid, include_root
        #: By process id: (when it was started, whether it is the tree's).
        self._known: dict[int, tuple[int, bool]] = {}

    def has(self, pid: int) -> bool:
        """Whether a process, alive or lately dead, is profiled."""
        if pid == self._root:
            return self._include_root
        parent, started = self._parent(pid)
        known = self._known.get(pid)
        if known is None or (started and known[0] != started):
            known = self._known[pid] = (started, self._is_under_root(parent))
        return known[1]

    def _is_under_root(self, pid: int) -> bool:
        seen: set[int] = set()
        while pid > 1 and pid != self._root and pid not in seen:
            seen.add(pid)
            pid, _ = self._parent(pid)
        return pid == self._root

    def _parent(self, pid: int) -> tuple[int, int]:
        """(parent, start time in ticks) of a process; zeros where there is none."""
        try:
            columns = read_stat(self._procfs, pid)
        except OSError:
            return 0, 0
        return int(columns[PARENT]), int(columns[STARTED])
