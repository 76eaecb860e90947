"""Files held open over a recording: the profiled program may close them, and open its own under their numbers."""

from __future__ import annotations

import os


def close(descriptor: int, path: str) -> None:
    """Close a file opened at or below `path` in procfs or sysfs, if that file system is what it still lies on."""
    try:
        ours = os.fstat(descriptor).st_dev == os.stat(path).st_dev  # noqa: PTH116 -- pathlib is slower, and one per file
    except OSError:
        return
    if ours:
        os.close(descriptor)
