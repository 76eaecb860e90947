"""What is installed beside greengen, and greengen's own version: looked for once, for each look takes milliseconds."""

from __future__ import annotations

import os
import sys
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints, SelectableGroups


@cache
def version() -> str:
    """greengen's own."""
    from importlib.metadata import version as of  # noqa: PLC0415 -- 20 ms, and spans do without it

    return of("greengen")


def entry_points(group: str) -> EntryPoints:
    """Those of a group, as `importlib.metadata` has them; looked for anew where a folder of `sys.path` has changed."""
    return _all(tuple((folder, _changed_ns(folder)) for folder in sys.path)).select(group=group)


@lru_cache(maxsize=1)
def _all(_folders: tuple[tuple[str, int], ...]) -> EntryPoints | SelectableGroups:
    from importlib.metadata import entry_points as every  # noqa: PLC0415 -- 20 ms, and spans do without it

    return every()


def _changed_ns(folder: str) -> int:
    """When something was added to a folder or taken away, or a file was written; 0 where it is not there."""
    try:
        return os.stat(folder or ".").st_mtime_ns  # noqa: PTH116 -- a Path of each costs as much again
    except OSError:
        return 0
