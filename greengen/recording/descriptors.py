"""Which open files are ours: a program may close all descriptors, and its next file gets the number of one of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

#: Device and inode; those of no file where a descriptor is closed.
Identity = tuple[int, int]

_OPEN = Path("/proc/self/fd")


def identity(descriptor: int) -> Identity:
    """What an open file is; both ends of a pipe are one."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return (-1, -1)
    return (found.st_dev, found.st_ino)


def of(paths: Iterable[Path]) -> dict[int, Identity]:
    """The open descriptors on some files; none on systems that do not list them."""
    wanted = set()
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            continue
        wanted.add((found.st_dev, found.st_ino))
    try:
        listed = [int(entry.name) for entry in _OPEN.iterdir()]
    except OSError:
        return {}
    every = {descriptor: identity(descriptor) for descriptor in listed}
    return {descriptor: known for descriptor, known in every.items() if known in wanted}


def are(files: Mapping[int, Identity]) -> bool:
    """Whether all of them are still what they were."""
    try:
        for descriptor, known in files.items():
            found = os.fstat(descriptor)
            if found.st_ino != known[1] or found.st_dev != known[0]:
                return False
    except OSError:
        return False
    return True


def leak(owner: object) -> None:
    """Let an object live to the end of the process, and past its interpreter's end: it would close what it holds."""
    import ctypes  # noqa: PLC0415 -- where a program has closed our files, which few do

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(owner))
