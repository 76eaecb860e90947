"""One process's connection to a run file. It comes and goes: none is held over a fork, nor while we read the file.

SQLite's locks are the kernel's, which forgets all locks of a process on a file when the process
closes any descriptor of it; and a connection carried over a fork believes in locks it does not have
(sqlite.org/howtocorrupt.html, 2.2 and 2.6). Either way another process would take itself for the
last user of the file and remove the log that we write to.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from greengen.recording import descriptors, identity, schema
from greengen.recording.readings import Batch, Key, Point

_SPAN_SQL = "INSERT OR REPLACE INTO span VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_POINT_SQL = "INSERT OR REPLACE INTO point(t_ns, value, spacing_ns, series) VALUES(?,?,?,?)"
_MOVE_SQL = "UPDATE OR REPLACE point SET t_ns=?, value=?, spacing_ns=? WHERE series=? AND t_ns=?"

#: How often, and how long apart, a recorder tries to be the last to leave the file.
_FAREWELLS, _FAREWELL_S = 5, 0.05

_CLOSED = "the program has closed all its descriptors, the recording's too"

#: A statement and its values.
Row = tuple[str, tuple[Any, ...]]


class Store:
    """Where a writer's rows go. Not for use by two threads at once. Every method may raise sqlite3.Error."""

    def __init__(self, path: Path, role: str, busy_s: float) -> None:
        self.path = path
        self.role = role
        self.pid = os.getpid()
        self.uid = identity.process_uid()
        self.boot = self.uid.partition(":")[0]
        self._busy_s = busy_s
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        self._series: dict[Key, int] = {}
        self._files: dict[int, descriptors.Identity] = {}
        self._lost = False

    def write(
        self,
        rows: Iterable[Row],
        readings: Batch,
        spans: Iterable[tuple[object, ...]],
        *,
        seen_ns: int,
        lost: int,
        closing: bool,
    ) -> None:
        """Write all of it, or nothing. `seen_ns`: all that ended before it is written now."""
        connection = self._connect()
        connection.execute("BEGIN IMMEDIATE")
        try:
            for sql, values in rows:
                connection.execute(sql, values)
            points = list(map(self._point, readings.points))
            if readings.moved:
                moved = [(*self._point(point), old_ns) for point, old_ns in readings.moved]
                # What an earlier failure kept from the file cannot be moved in it.
                if connection.executemany(_MOVE_SQL, moved).rowcount < len(moved):
                    points += [row[:-1] for row in moved]
            if points:
                connection.executemany(_POINT_SQL, points)
            own = [(self._process, *span) for span in spans]
            if own:
                connection.executemany(_SPAN_SQL, own)
            connection.execute(
                "UPDATE process SET last_seen_ns=?, closed=?, lost_rows=? WHERE id=?",
                (seen_ns, int(closing), lost, self._process),
            )
            connection.execute("COMMIT")
        except BaseException:
            # A series that was new in this transaction does not exist.
            self._series.clear()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def be_patient(self, busy_s: float) -> None:
        """How long to wait for other processes from now on: at the end there is no other chance."""
        self._busy_s = busy_s
        if self._connection is not None and self._is_ours():
            self._connection.execute(f"PRAGMA busy_timeout={int(busy_s * 1000)}")

    def disconnect(self) -> None:
        """Close the connection; the next write opens another."""
        connection, self._connection = self._connection, None
        self._series.clear()
        if connection is None:
            return
        if descriptors.are(self._files):
            connection.close()
        else:
            # To close it would write to, and close, whatever has its descriptors' numbers now; and of
            # another one on the same file SQLite thinks that it shares them.
            self._lost = True
            descriptors.leak(connection)

    def leave(self) -> str:
        """Close the connection, and leave the file standing alone if no other process has it open.

        The recorder waits a little for those that are just leaving. Why it failed, or "".
        """
        trouble = ""
        if not self._is_ours():
            return _CLOSED
        for attempt in range(_FAREWELLS if self.role != "spans" else 1):
            if attempt:
                time.sleep(_FAREWELL_S)
            try:
                connection = self._connection = self._connection or schema.connect(self.path, busy_s=0.0)
                # In WAL mode this fails while another process has the file open; then that one does it.
                connection.execute("PRAGMA journal_mode=DELETE")
            except sqlite3.Error as error:
                trouble = str(error)
            else:
                trouble = ""
                break
            finally:
                self.disconnect()
        return "" if "locked" in trouble else trouble

    def _is_ours(self) -> bool:
        """Whether the program has left the connection its files; else it is given up."""
        if self._connection is not None and not descriptors.are(self._files):
            self.disconnect()
        return not self._lost

    def _connect(self) -> sqlite3.Connection:
        if not self._is_ours():
            raise sqlite3.OperationalError(_CLOSED)
        if self._connection is None:
            if not self.path.exists():
                msg = f"{self.path} is gone"
                raise sqlite3.OperationalError(msg)
            connection = schema.connect(self.path, busy_s=self._busy_s)
            try:
                # Another process may have closed the file for good while we held no connection.
                connection.execute("PRAGMA journal_mode=WAL")
                self._process = self._enter(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
            self._files = descriptors.of((self.path, *(Path(f"{self.path}{more}") for more in ("-wal", "-shm"))))
        return self._connection

    def _enter(self, connection: sqlite3.Connection) -> int:
        """This process's number in the file."""
        if not self._process:
            connection.execute(
                "INSERT OR IGNORE INTO process(uid, boot, pid, role, last_seen_ns, command) VALUES(?,?,?,?,?,?)",
                (self.uid, self.boot, self.pid, self.role, time.monotonic_ns(), identity.command_line()),
            )
        for (number,) in connection.execute("SELECT id FROM process WHERE uid=?", (self.uid,)):
            return int(number)
        msg = f"{self.path} is another file than at the start"
        raise sqlite3.OperationalError(msg)

    def _point(self, point: Point) -> tuple[int, float, int, int]:
        key, window_s, t_ns, value, spacing_ns = point
        return t_ns, value, spacing_ns, self._series_id(key, window_s)

    def _series_id(self, key: Key, window_s: float) -> int:
        series = self._series.get(key)
        if series is None and self._connection is not None:
            row = (self.boot, *key)
            insert = "INSERT OR IGNORE INTO series(boot, kind, subject, consumer, window_s) VALUES(?,?,?,?,?)"
            self._connection.execute(insert, (*row, window_s))
            query = "SELECT id FROM series WHERE boot=? AND kind=? AND subject=? AND consumer=?"
            series = self._series[key] = int(self._connection.execute(query, row).fetchone()[0])
        return series or 0
