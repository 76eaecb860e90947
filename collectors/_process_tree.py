"""The CPU time of a process tree: what its members used, living and dead, each nanosecond once.

A living member counts with its own CPU clock and with the time of the children it has waited for.
When a member dies, its time either shows up as waited-for time of its parent, or nowhere: then the
tree keeps it in a sum of retired time.

As long as nobody dies and nobody has waited for a child, a reading is one look at each member.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path

from greengen.collector import own_pid
from greengen.collectors import _held
from greengen.collectors._cpu_time import TICK_NS
from greengen.collectors._proc_pid import (
    CSTIME,
    CUTIME,
    PARENT,
    STARTED,
    STATE,
    STIME,
    UTIME,
    NewestPid,
    listed_children,
    read_stat,
    scan_children,
)
from greengen.helpers import Helpers

# At import, because looking names up costs most where the caches are cold, ten times a second.
_clock_ns, _process_ns = time.clock_gettime_ns, time.process_time_ns
_usage, _CHILDREN = resource.getrusage, resource.RUSAGE_CHILDREN

_REDISCOVER_NS = 1_000_000_000
#: Sooner where that costs less than one part in so many: what a child does before it is found looks like others' work,
#: and a foreign share is told second by second.
_SOON_NS, _RARELY = 200_000_000, 1000
#: Where the system has started nothing since, so rarely.
_SURE_NS = 5_000_000_000
#: Waited-for time is shown in whole ticks, user and system apart: its growth may lag by two of them.
_LAG_NS = 2 * TICK_NS
#: How many stat files are held open: far from the 1024 that a process may have open by default.
_HELD = 128


@dataclass(slots=True, eq=False)
class _Member:
    """One process. `own_ns` is its CPU time, `waited_ns` that of the children it waited for.

    fd          its stat file, held open; -1 where it is opened for each reading
    clock       the kernel's number for its CPU clock
    counted     whether its own time counts, and not only that of its children
    settled_ns  the part of `waited_ns` that is accounted for
    lag_ns      what it has yet to show of dead children whose time is left to it (never over 0)
    """

    pid: int
    started: int
    parent: int
    fd: int
    clock: int
    counted: bool
    own_ns: int = 0
    waited_ns: int = 0
    settled_ns: int = 0
    lag_ns: int = 0


class ProcessTree:
    """The tree under `root_pid`, rediscovered once per second of `monotonic_ns` where the system started something.

    Where a look for children is cheap and the kernel tells whether there can be any, up to five times.

    Without `include_root` the root's own time is left out: it only waits for those that are counted.
    Until it has a child, it is asked for one at every reading.

    What collectors run (`without`) is left out with all that it starts, alive and when it was waited for.

    A descendant that is first seen when its parent is dead already cannot be found; one that was
    seen before stays a member.
    """

    def __init__(
        self,
        procfs: Path,
        root_pid: int,
        monotonic_ns: Callable[[], int],
        *,
        include_root: bool = True,
        without: Helpers | None = None,
    ) -> None:
        self._procfs = str(procfs)
        self._helpers = without or Helpers()
        self._include_root = include_root
        # Only the kernel's own procfs ties an open file to one process, and only that of our own PID
        # namespace knows processes by the ids that the CPU clocks go by.
        self._real = self._procfs == "/proc" and own_pid(procfs) == os.getpid()
        self._root = root_pid
        self._monotonic_ns = monotonic_ns
        self._members: dict[int, _Member] = {}
        self._dead: list[_Member] = []
        self._unclear = False
        self._retired_ns = self._floor_ns = 0
        self._next_ns = self._sure_ns = self._pause_ns = 0
        self._newest = NewestPid(self._procfs) if self._real else None
        self._newest_pid = -1
        # Of a tree of ourselves alone: what of its time is no running process's, and when that is so still.
        self._lone_ns = 0
        self._lone_waited: tuple[float, ...] = ()
        # Its own waited-for time a process can ask for directly, exactly, and at a fifth of the cost.
        self._self = os.getpid() if self._real else -1
        # Since Linux 3.5, and only where the kernel was built with CONFIG_PROC_CHILDREN.
        self._lists_children = (procfs / f"{root_pid}/task/{root_pid}/children").exists()
        self._add(root_pid)

    @property
    def pids(self) -> frozenset[int]:
        """The living members, as of the last reading."""
        return frozenset(self._members)

    def busy_ns(self) -> int:
        """CPU time of the tree so far. Never decreases, and counts nothing twice."""
        now_ns = self._monotonic_ns()
        known = now_ns < self._next_ns or self._nothing_started(now_ns)
        if self._lone_waited and known:
            # Most often there is one member, ourselves: then not a line more than it takes.
            waited = _usage(_CHILDREN)
            if waited[:2] == self._lone_waited:
                total_ns = self._lone_ns + _process_ns()
                self._floor_ns = max(self._floor_ns, total_ns)
                return self._floor_ns
        if known and not self._unclear and self._is_quiet():
            total_ns = self._total_ns()
        else:
            total_ns = self._read_thoroughly(now_ns)
        self._floor_ns = max(self._floor_ns, total_ns)
        return self._floor_ns

    def close(self) -> None:
        """Close the held files; the time counted so far stays."""
        for member in self._members.values():
            self._close(member.fd)
        self._members.clear()
        self._lone_waited = ()
        if self._newest is not None:
            self._newest.close()

    def _nothing_started(self, now_ns: int) -> bool:
        """Whether no process was started since the last look for children: then there is none to find."""
        if self._newest is None or now_ns >= self._sure_ns:
            return False
        pid = self._newest.read()
        if pid <= 0 or pid != self._newest_pid:
            return False
        self._next_ns = now_ns + self._pause_ns
        return True

    def _is_quiet(self) -> bool:
        """Read the members; whether none has died or waited for a child since the last reading."""
        if not self._real:
            return False
        try:
            for member in self._members.values():
                if self._waited_ns(member) != member.waited_ns:
                    return False
            for member in self._members.values():
                if member.counted:
                    member.own_ns = _clock_ns(member.clock)
        except OSError:
            return False
        return True

    def _read_thoroughly(self, now_ns: int) -> int:
        self._lone_waited = ()
        if now_ns >= self._next_ns:
            if self._newest is not None:
                self._newest_pid = self._newest.read()
            self._rediscover()
            self._sure_ns = now_ns + _SURE_NS
            self._pause_ns = self._pause(self._monotonic_ns() - now_ns)
            self._next_ns = now_ns + self._pause_ns
        while self._update():
            pass
        if self._unclear:
            return self._floor_ns
        if self._dead:
            self._settle_dead(self._dead)
            self._dead = []
        for member in self._members.values():
            member.lag_ns = min(0, member.lag_ns + member.waited_ns - member.settled_ns)
            member.settled_ns = member.waited_ns
        own = self._members.get(self._self)
        if len(self._members) == 1 and own is not None and own.counted:
            waited, waited_ns = self._own_waited()
            if waited_ns == own.waited_ns:
                self._lone_waited, self._lone_ns = waited, self._retired_ns + waited_ns
        return self._total_ns()

    def _pause(self, cost_ns: int) -> int:
        """How long to look for no children, after a look that took so long."""
        if not self._include_root and self._members.keys() <= {self._root}:
            # A recorder that waits for its command to start is not to find it a second late.
            return 0
        # Without the kernel's word that something was started, every look would be one in vain.
        return _REDISCOVER_NS if self._newest_pid <= 0 else min(_REDISCOVER_NS, max(_SOON_NS, _RARELY * cost_ns))

    def _total_ns(self) -> int:
        total_ns = self._retired_ns
        for member in self._members.values():
            total_ns += member.own_ns + member.waited_ns
        return total_ns

    def _update(self) -> bool:
        """Read every member; whether one was found dead, so that its parent is to be read again."""
        # All waited-for times before all clocks: a child that is reaped in between is then missing
        # from both, and the next pass finds it with its parent. The other way round it would count twice.
        self._unclear = False
        dead = [member for member in self._members.values() if not self._update_waited(member)]
        self._drop(dead)
        if self._real:
            late = [member for member in self._members.values() if not _update_clock(member)]
            self._drop(late)
            dead += late
        return bool(dead)

    def _drop(self, dead: list[_Member]) -> None:
        for member in dead:
            del self._members[member.pid]
            self._close(member.fd)
        self._dead += dead

    def _update_waited(self, member: _Member) -> bool:
        try:
            member.waited_ns = self._waited_ns(member)
        except OSError:
            return False
        return True

    def _waited_ns(self, member: _Member) -> int:
        if member.pid == self._self:
            return self._own_waited()[1]
        fields = read_stat(self._procfs, member.pid, member.fd)
        if int(fields[STARTED]) != member.started:
            raise ProcessLookupError
        parent = int(fields[PARENT])
        if fields[STATE] == b"X" or (member.parent and not parent):
            # In the midst of being waited for: its parent may or may not have its time already, and
            # what else stands here is wiped.
            self._unclear = True
            return member.waited_ns
        member.parent = parent
        if member.counted and not self._real:
            member.own_ns = (int(fields[UTIME]) + int(fields[STIME])) * TICK_NS
        return (int(fields[CUTIME]) + int(fields[CSTIME])) * TICK_NS

    def _add(self, pid: int) -> bool:
        """Take in a process, if it is the root or a member's child."""
        fd = -1
        try:
            if self._real and len(self._members) < _HELD:
                fd = os.open(f"{self._procfs}/{pid}/stat", os.O_RDONLY)
            fields = read_stat(self._procfs, pid, fd)
        except OSError:
            self._close(fd)
            return False
        parent = int(fields[PARENT])
        if pid != self._root and parent not in self._members:
            self._close(fd)
            return False
        # What it has waited for before now is its own: no dead member's time is in it.
        waited_ns = (int(fields[CUTIME]) + int(fields[CSTIME])) * TICK_NS
        if pid == self._self:
            waited_ns = self._own_waited()[1]
        self._members[pid] = _Member(
            pid=pid,
            started=int(fields[STARTED]),
            parent=parent,
            fd=fd,
            clock=(~pid << 3) | 2,  # clock_getcpuclockid(3)
            counted=pid != self._root or self._include_root,
            waited_ns=waited_ns,
            settled_ns=waited_ns,
        )
        return True

    def _close(self, fd: int) -> None:
        if fd >= 0:
            _held.close(fd, self._procfs)

    def _own_waited(self) -> tuple[tuple[float, ...], int]:
        """What the kernel tells of the children we waited for, and ns of those that are not the recorder's."""
        with self._helpers.lock:
            waited = tuple(_usage(_CHILDREN)[:2])
            return waited, _in_ns(*waited) - self._helpers.ended_ns

    def _rediscover(self) -> None:
        with self._helpers.lock:
            self._look(self._helpers.running)

    def _look(self, helpers: Container[int]) -> None:
        scanned = None if self._lists_children else scan_children(self._procfs)
        pending = list(self._members)
        while pending:
            pid = pending.pop()
            children = listed_children(self._procfs, pid) if scanned is None else scanned.get(pid, [])
            new = [child for child in children if child not in self._members and child not in helpers]
            pending += [child for child in new if self._add(child)]

    def _settle_dead(self, dead: list[_Member]) -> None:
        """Leave the time of the dead to the ancestor whose waited-for time grew by it, or retire it."""
        gone = {member.pid: member for member in dead}
        claims: dict[int, list[int]] = {}
        for member in sorted(dead, key=lambda m: _depth(m, gone), reverse=True):
            # What a dead parent had not waited for when last seen, it may have waited for since.
            unmet = _unmet(member, claims.pop(member.pid, []))
            claims.setdefault(member.parent, []).extend([member.own_ns + member.waited_ns, *unmet])
        for pid, amounts in claims.items():
            parent = self._members.get(pid)
            self._retired_ns += sum(amounts if parent is None else _unmet(parent, amounts))


def _unmet(parent: _Member, amounts: list[int]) -> list[int]:
    """What of the amounts cannot be in the growth of the parent's waited-for time."""
    room_ns = parent.lag_ns + parent.waited_ns - parent.settled_ns
    unmet = [amount for amount in amounts if amount > room_ns + _LAG_NS]
    # Each of the others may be in it. Where not all can, only the excess surely is not.
    room_ns -= sum(amounts) - sum(unmet)
    if room_ns < -_LAG_NS:
        unmet.append(-room_ns)
        room_ns = 0
    parent.lag_ns, parent.settled_ns = room_ns, parent.waited_ns
    return unmet


def _depth(member: _Member, gone: dict[int, _Member]) -> int:
    depth = 0
    while (parent := gone.get(member.parent)) is not None and depth < len(gone):
        member, depth = parent, depth + 1
    return depth


def _in_ns(user_s: float, system_s: float) -> int:
    return round((user_s + system_s) * 1e6) * 1000


def _update_clock(member: _Member) -> bool:
    try:
        if member.counted:
            member.own_ns = _clock_ns(member.clock)
    except OSError:
        return False
    return True
