"""What procfs says of one process: its stat line, and its children."""

from __future__ import annotations

import os
from collections.abc import Iterator

from greengen.collectors import _held

#: Columns of a stat line, counted from the one after the command: proc(5) has them 3 further on.
STATE, PARENT, UTIME, STIME, CUTIME, CSTIME, STARTED = 0, 1, 11, 12, 13, 14, 19


def read_stat(procfs: str, pid: int, fd: int = -1) -> list[bytes]:
    """The columns of a process's stat line, from its state to its start time.

    Through `fd` where the file is open already. Raises OSError where there is no such process.
    """
    if fd >= 0:
        text = os.pread(fd, 1024, 0)
    else:
        fd = os.open(f"{procfs}/{pid}/stat", os.O_RDONLY)
        try:
            text = os.pread(fd, 1024, 0)
        finally:
            os.close(fd)
    # After the last bracket: the command is in brackets, and may hold brackets and spaces itself.
    columns = text[text.rfind(b")") + 2 :].split(None, STARTED + 1)
    if len(columns) <= STARTED:
        raise ProcessLookupError
    return columns


class NewestPid:
    """The last process id that the kernel gave out in this namespace, threads' included, held open."""

    def __init__(self, procfs: str) -> None:
        self._procfs = procfs
        try:
            self._fd = os.open(f"{procfs}/loadavg", os.O_RDONLY)
        except OSError:
            self._fd = -1

    def read(self) -> int:
        """The id, or -1 where it cannot be read."""
        try:
            return int(os.pread(self._fd, 128, 0).split()[-1])
        except (OSError, ValueError, IndexError):
            return -1

    def close(self) -> None:
        """Close the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            _held.close(fd, self._procfs)


def listed_children(procfs: str, pid: int) -> Iterator[int]:
    """The children of all threads of a process, from its ``children`` files; none where it is gone."""
    tasks = f"{procfs}/{pid}/task"
    try:
        threads = os.listdir(tasks)  # noqa: PTH208 -- names are all that is wanted, at a fifth of the cost
    except OSError:
        return
    for thread in threads:
        try:
            fd = os.open(f"{tasks}/{thread}/children", os.O_RDONLY)
        except OSError:
            continue
        try:
            listed = os.read(fd, 1 << 16)
        except OSError:
            listed = b""
        finally:
            os.close(fd)
        yield from map(int, listed.split())


def scan_children(procfs: str) -> dict[int, list[int]]:
    """The children of every process, by asking each for its parent: for kernels that list none."""
    children: dict[int, list[int]] = {}
    for name in os.listdir(procfs):  # noqa: PTH208 -- as above
        if name.isdigit():
            try:
                columns = read_stat(procfs, int(name))
            except OSError:
                continue
            children.setdefault(int(columns[PARENT]), []).append(int(name))
    return children
