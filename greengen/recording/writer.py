"""The one thing in a process that writes to a run file: buffers in memory, flushed off the caller's thread.

A span costs its thread one store in a dict. Every half second a background thread writes what has
ended, and what is still open as open. A disk that fills or a file that cannot be locked never
reaches the caller: rows wait, then the oldest are dropped and counted.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from greengen.collector import Event, Sample, Usage
from greengen.recording import identity, schema
from greengen.recording.columns import plain, span_row
from greengen.recording.thinning import Thinner

#: kill -9 loses at most this much.
FLUSH_S = 0.5

#: Rows that wait in memory for a disk that does not take them.
MAX_WAITING = 200_000

#: How often, and how long apart, a recorder tries to be the last to leave the file.
_FAREWELLS, _FAREWELL_S = 5, 0.05

_SPAN_SQL = "INSERT OR REPLACE INTO span VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_POINT_SQL = "INSERT OR REPLACE INTO point VALUES(?,?,?,?)"

Row = tuple[str, tuple[Any, ...]]
Key = tuple[str, str, str]
