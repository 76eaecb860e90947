"""Files held open over a recording: the profiled program may close them, and open its own under their numbers."""

from __future__ import annotations

import os
from pathlib import Path

_READ = 64


def close(descriptor: int, path: str | Path) -> None:
    """Close a file opened at or below `path` in procfs or sysfs, if that file system is what it still lies on."""
    try:
        ours = os.fstat(descriptor).st_dev == _device(str(path))
    except OSError:
        return
    if ours:
        os.close(descriptor)


def _device(path: str) -> int:
    """The file system that a path lies on, or lay on before it was taken away."""
    while True:
        try:
            return os.stat(path).st_dev  # noqa: PTH116 -- pathlib is slower, and there is one per file
        except OSError:
            if path in ("/", ""):
                raise
            path = path.rpartition("/")[0] or "/"


class HeldFile:
    """A small file, read from its beginning at a tenth of what opening it each time costs.

    Opened when first read, and again after a failure: its device may have gone and returned.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def read(self) -> bytes:
        """What it says, without blanks; empty where it cannot be read."""
        for _ in range(2):
            try:
                if self._fd < 0:
                    self._fd = os.open(self.path, os.O_RDONLY)
                return os.pread(self._fd, _READ, 0).strip()
            except OSError:
                self.close()
        return b""

    def close(self) -> None:
        """Close it, if it is open."""
        if self._fd >= 0:
            close(self._fd, self.path)
            self._fd = -1
