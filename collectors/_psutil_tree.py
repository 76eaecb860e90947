"""The CPU time of a process tree where there is no procfs."""

from __future__ import annotations

from collections.abc import Callable

import psutil

from greengen.helpers import Helpers

_REDISCOVER_NS = 1_000_000_000


class PsutilTree:
    """The tree under `root_pid`, rediscovered at most once per second of `monotonic_ns`.

    Without `include_root` the root's own time is left out, and so is what collectors run (`without`).

    A member that dies between two readings counts with what it had at the last one: outside Linux
    no waited-for time shows what it did after.
    """

    def __init__(
        self,
        root_pid: int,
        monotonic_ns: Callable[[], int],
        *,
        include_root: bool = True,
        without: Helpers | None = None,
    ) -> None:
        self._helpers = without or Helpers()
        self._uncounted = -1 if include_root else root_pid
        self._monotonic_ns = monotonic_ns
        self._next_ns = 0
        self._retired_ns = 0
        self._last_ns: dict[psutil.Process, int] = {}
        root = _find(root_pid)
        if root is not None:
            self._last_ns[root] = 0

    @property
    def pids(self) -> frozenset[int]:
        """The living members, as of the last reading."""
        return frozenset(member.pid for member in self._last_ns)

    def busy_ns(self) -> int:
        """CPU time of the tree so far. Never decreases."""
        now_ns = self._monotonic_ns()
        if now_ns >= self._next_ns:
            self._rediscover()
            # A recorder that waits for its command to start is not to find it a second late.
            waits = self.pids <= {self._uncounted}
            self._next_ns = now_ns if waits else now_ns + _REDISCOVER_NS
        for member, last_ns in list(self._last_ns.items()):
            if not member.is_running():
                self._retired_ns += self._last_ns.pop(member)
                continue
            if member.pid == self._uncounted:
                continue
            try:
                times = member.cpu_times()
            except psutil.Error:
                continue
            self._last_ns[member] = max(last_ns, int((times.user + times.system) * 1e9))
        return self._retired_ns + sum(self._last_ns.values())

    def close(self) -> None:
        """Forget the members."""
        self._last_ns.clear()

    def _rediscover(self) -> None:
        with self._helpers.lock:
            helpers = [process for process in map(_find, self._helpers.running) if process is not None]
            left_out = {*helpers, *(child for helper in helpers for child in _below(helper))}
            covered: set[psutil.Process] = set()
            for member in list(self._last_ns):
                if member not in covered:
                    below = _below(member)
                    covered.update(below)
                    for child in below:
                        if child not in left_out:
                            self._last_ns.setdefault(child, 0)


def _find(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []
