"""Which processes are the profiled tree's, for those who are told of work by its process id."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from greengen.collectors._proc_pid import STARTED, listed_children, read_stat, scan_children

#: What a process did is told up to seconds after it: the ids of the dead are known for so long, ns.
_LATELY_NS = 5_000_000_000
#: PROC_PID_INIT_INO of Linux's include/linux/proc_ns.h: the first pid namespace has always this number.
_FIRST_NAMESPACE = "pid:[4026531836]"


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
    """The tree under `root_pid`, living and lately dead; a member stays one when its parent dies."""

    def __init__(self, procfs: Path, root_pid: int, *, include_root: bool) -> None:
        self._procfs, self._root, self._include_root = str(procfs), root_pid, include_root
        self._started: dict[int, int] = {}
        self._died_ns: dict[int, int] = {}
        self._listed = (procfs / f"{root_pid}/task/{root_pid}/children").exists()

    def at(self, t_ns: int) -> frozenset[int]:
        """The ids of all that are members now, or were within the last seconds."""
        dead = [pid for pid, started in self._started.items() if self._start_of(pid) != started]
        for pid in dead:
            del self._started[pid]
        self._died_ns = {pid: died for pid, died in self._died_ns.items() if t_ns - died < _LATELY_NS}
        self._died_ns |= dict.fromkeys(dead, t_ns)
        scanned = None if self._listed else scan_children(self._procfs)
        children: Callable[[int], list[int]] = (
            (lambda pid: list(listed_children(self._procfs, pid)))
            if scanned is None
            else lambda pid: scanned.get(pid, [])
        )
        pending = [self._root, *self._started]
        while pending:
            pid = pending.pop()
            if pid not in self._started:
                started = self._start_of(pid)
                if started is None:
                    continue
                self._started[pid] = started
            pending += [child for child in children(pid) if child not in self._started]
        found = frozenset(self._died_ns) | self._started.keys()
        return found if self._include_root else found - {self._root}

    def _start_of(self, pid: int) -> int | None:
        try:
            return int(read_stat(self._procfs, pid)[STARTED])
        except OSError:
            return None
