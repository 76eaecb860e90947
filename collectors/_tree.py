"""The CPU time of a process and all that descend from it, by what the system has to tell it."""

from __future__ import annotations

from typing import Protocol

from greengen.collector import Host
from greengen.helpers import Helpers


class Tree(Protocol):
    """A process tree, each nanosecond of it once."""

    @property
    def pids(self) -> frozenset[int]:
        """The living members, as of the last reading."""
        ...

    def busy_ns(self) -> int:
        """CPU time so far, ns. Never decreases."""
        ...

    def close(self) -> None:
        """Give back what is held open."""
        ...


def open_tree(host: Host, root_pid: int, *, include_root: bool = True, without: Helpers | None = None) -> Tree:
    """The tree under `root_pid`, from procfs or through psutil, `without` what collectors run."""
    if (host.procfs / "stat").exists():
        from greengen.collectors._process_tree import ProcessTree  # noqa: PLC0415 -- not on every system

        return ProcessTree(host.procfs, root_pid, host.monotonic_ns, include_root=include_root, without=without)
    from greengen.collectors._psutil_tree import PsutilTree  # noqa: PLC0415 -- psutil is slow to import

    return PsutilTree(root_pid, host.monotonic_ns, include_root=include_root, without=without)
