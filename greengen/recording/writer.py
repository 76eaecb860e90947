"""The one thing in a process that writes to a run file: buffers in memory, flushed off the caller's thread.

Spans are pushed by any thread at the cost of a deque's append. Every half second a background
thread writes what has ended, and what is still open as open. A disk that fills or a file that
cannot be locked never reaches the caller: rows wait, then the oldest are dropped and counted.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from greengen.collector import Event, Sample, Usage
from greengen.recording import identity, schema
from greengen.recording.thinning import Thinner

#: kill -9 loses at most this much.
FLUSH_S = 0.5

#: Rows that wait in memory for a disk that does not take them.
MAX_WAITING = 200_000

_SPAN_SQL = "INSERT OR REPLACE INTO span VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_POINT_SQL = "INSERT OR REPLACE INTO point VALUES(?,?,?,?)"

Row = tuple[str, tuple[Any, ...]]


class Writer:
    """Buffers and the connection of one process. Made anew in a forked child; see `active`."""

    def __init__(self, path: Path, role: str, *, busy_s: float = 5.0) -> None:
        self.path = path
        self.role = role
        self.pid = os.getpid()
        self.uid = identity.process_uid()
        self.boot = self.uid.partition(":")[0]
        self.ended: deque[Any] = deque()
        self.live: dict[int, Any] = {}
        self.running = False
        self.trouble = ""
        self.lost_rows = 0
        self.tick: Callable[[], None] | None = None
        self.tick_s = FLUSH_S
        self._busy_s = busy_s
        self._rows: deque[Row] = deque()
        self._series: dict[tuple[str, str, str], int] = {}
        self._thinners: dict[tuple[str, str, str], Thinner] = {}
        self._points: list[tuple[tuple[str, str, str], float, int, float, int]] = []
        self._tolerances: dict[str, float] = {}
        self._open_written: set[int] = set()
        self._connection: sqlite3.Connection | None = None
        self._process_id: int | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._flush_lock = threading.Lock()
        self._thread: threading.Thread | None = None

    # -- rows ----------------------------------------------------------------------------------

    def put(self, sql: str, *values: object) -> None:
        """One row for the next flush."""
        self._rows.append((sql, values))

    def event(self, event: Event) -> None:
        """Record that something happened."""
        row = (self.boot, event.t_ns, event.kind, event.subject, event.reason)
        self.put("INSERT OR IGNORE INTO event VALUES(?,?,?,?,?)", *row)

    def tolerate(self, subject: str, tolerance: float) -> None:
        """How far a reading of `subject` may lie from a line that replaces it."""
        self._tolerances[subject] = tolerance

    def readings(self, items: Iterable[Sample | Usage | Event]) -> None:
        """Take a collector's readings; called from the background thread only."""
        for item in items:
            if isinstance(item, Event):
                self.event(item)
            elif isinstance(item, Sample):
                self._point((item.kind, item.domain, ""), item.t_ns, item.value, item.window_s)
            else:
                self._point(("usage", item.resource, item.consumer), item.t_ns, item.busy_ns, 0.0)

    def break_series(self) -> None:
        """End every series here: what comes next is not on a line with what was."""
        self._collect_points()
        self._thinners.clear()

    def _point(self, key: tuple[str, str, str], t_ns: int, value: float, window_s: float) -> None:
        thinner = self._thinners.get(key)
        if thinner is None:
            thinner = self._thinners[key] = Thinner(self._tolerances.get(key[1], 0.0))
        for t, v, spacing in thinner.add(t_ns, value):
            self._points.append((key, window_s, t, v, spacing))

    def _collect_points(self) -> None:
        for key, thinner in self._thinners.items():
            point, drop = thinner.flush()
            if drop is not None and key in self._series:
                self.put("DELETE FROM point WHERE series=? AND t_ns=?", self._series[key], drop)
            if point is not None:
                self._points.append((key, 0.0, *point))

    # -- the background thread --------------------------------------------------------------------

    def ensure_running(self) -> None:
        """Start the background thread of this process, once."""
        with self._lock:
            if self.running or self._stop.is_set():
                return
            self._thread = threading.Thread(target=self._run, name="greengen-writer", daemon=True)
            self.running = True
            self._thread.start()

    def _run(self) -> None:
        now = time.monotonic()
        next_tick, next_flush = now + self.tick_s, now + FLUSH_S
        while not self._stop.wait(max(0.0, min(next_tick, next_flush) - time.monotonic())):
            now = time.monotonic()
            if self.tick is not None and now >= next_tick:
                self.tick()
                next_tick += self.tick_s * max(1, 1 + int((now - next_tick) / self.tick_s))
            elif self.tick is None:
                next_tick = now + FLUSH_S
            if now >= next_flush:
                self.flush()
                next_flush = now + FLUSH_S

    def halt(self) -> None:
        """Stop the background thread; what it would have written waits for `close`."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=10.0)

    def close(self, *, final: Iterable[Row] = ()) -> None:
        """Stop the thread, write what is left, and leave the file standing alone if we are the last."""
        self.halt()
        self._rows.extend(final)
        self.flush(closing=True)
        with self._flush_lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                try:
                    # Fails while another process has the file open; then that one does it.
                    connection.execute("PRAGMA busy_timeout=0")
                    connection.execute("PRAGMA journal_mode=DELETE")
                except sqlite3.Error as error:
                    if "locked" not in str(error):
                        self.trouble = str(error)
                connection.close()
        self.running = False

    # -- writing -----------------------------------------------------------------------------------

    def flush(self, *, closing: bool = False) -> bool:
        """Write all that waits in one transaction. False, and nothing lost, where it was refused."""
        with self._flush_lock:
            spans, open_now = self._take_spans()
            self._collect_points()
            rows, points = list(self._rows), self._points
            if not (closing or spans or rows or points or open_now):
                return True
            try:
                self._write(rows, points, spans, closing=closing)
            except sqlite3.Error as error:
                self._keep_for_later(spans, error)
                return False
            for _ in rows:
                self._rows.popleft()
            self._points = []
            self._open_written = open_now
            self.trouble = ""
            return True

    def _take_spans(self) -> tuple[list[Any], set[int]]:
        spans = []
        for _ in range(len(self.ended)):
            spans.append(self.ended.popleft())
        live = list(self.live.items())
        spans.extend(span for seq, span in live if seq not in self._open_written)
        return spans, {seq for seq, _ in live}

    def _write(self, rows: list[Row], points: list[Any], spans: list[Any], *, closing: bool) -> None:
        connection = self._connect()
        now = time.monotonic_ns()
        connection.execute("BEGIN IMMEDIATE")
        try:
            for sql, values in rows:
                connection.execute(sql, values)
            if points:
                connection.executemany(
                    _POINT_SQL,
                    [(self._series_id(connection, key, w), t, v, spacing) for key, w, t, v, spacing in points],
                )
            if spans:
                connection.executemany(_SPAN_SQL, [_span_row(self._process_id, span) for span in spans])
            connection.execute(
                "UPDATE process SET last_seen_ns=?, closed=?, lost_rows=? WHERE id=?",
                (now, int(closing), self.lost_rows, self._process_id),
            )
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _keep_for_later(self, spans: list[Any], error: sqlite3.Error) -> None:
        self.trouble = str(error)
        # Rolled back: a series that was new in this transaction does not exist.
        self._series.clear()
        self.ended.extendleft(span for span in reversed(spans) if span.t1_ns)
        for waiting in (self.ended, self._rows):
            for _ in range(len(waiting) - MAX_WAITING):
                waiting.popleft()
                self.lost_rows += 1
        if len(self._points) > MAX_WAITING:
            self.lost_rows += len(self._points) - MAX_WAITING
            del self._points[: len(self._points) - MAX_WAITING]

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            if not self.path.exists():
                msg = f"{self.path} is gone"
                raise sqlite3.OperationalError(msg)
            self._connection = schema.connect(self.path, busy_s=self._busy_s)
        if self._process_id is None:
            connection = self._connection
            connection.execute(
                "INSERT OR IGNORE INTO process(uid, boot, pid, role, last_seen_ns, command) VALUES(?,?,?,?,?,?)",
                (self.uid, self.boot, self.pid, self.role, time.monotonic_ns(), identity.command_line()),
            )
            row = connection.execute("SELECT id FROM process WHERE uid=?", (self.uid,)).fetchone()
            self._process_id = int(row[0])
        return self._connection

    def _series_id(self, connection: sqlite3.Connection, key: tuple[str, str, str], window_s: float) -> int:
        series = self._series.get(key)
        if series is None:
            connection.execute(
                "INSERT OR IGNORE INTO series(boot, kind, subject, consumer, window_s) VALUES(?,?,?,?,?)",
                (self.boot, *key, window_s),
            )
            row = connection.execute(
                "SELECT id FROM series WHERE boot=? AND kind=? AND subject=? AND consumer=?", (self.boot, *key)
            ).fetchone()
            series = self._series[key] = int(row[0])
        return series


def _span_row(process_id: int | None, span: Any) -> tuple[object, ...]:  # noqa: ANN401 -- spans imports this module
    attributes = span.attributes()
    return (
        process_id,
        span.seq,
        span.parent_uid,
        _text(attributes.pop("kind")),
        span.t0_ns,
        span.t1_ns or None,
        *(_text(attributes.pop(key, None)) for key in ("model", "tier", "name", "trace_id")),
        *(_count(attributes.pop(key, None)) for key in ("input_tokens", "output_tokens")),
        span.outcome,
        " ".join(span.flags),
        json.dumps({_text(key): _text(value) for key, value in attributes.items()}) if attributes else "{}",
    )


def _text(value: object) -> str | None:
    """What a user passed, as text that SQLite takes; a value that cannot say what it is keeps its type."""
    if value is None:
        return None
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 -- a stranger's __str__ must not stop the recording
        text = f"<{type(value).__name__}>"
    return text.encode("utf-8", "replace").decode()


def _count(value: object) -> int | None:
    """A token count that SQLite takes, or None."""
    return value if isinstance(value, int) and 0 <= value < 2**63 else None
