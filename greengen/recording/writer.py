"""What a process records, in memory, and the thread that brings it to disk.

A span costs its thread one store in a dict. Every half second the background thread writes what
has ended, and what is still open as open. A disk that fills or a file that cannot be locked never
reaches the caller: rows wait, then the oldest are dropped and counted.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from greengen.collector import Event
from greengen.recording.alarm import Alarm
from greengen.recording.columns import plain, span_row
from greengen.recording.readings import Batch, Readings
from greengen.recording.store import Row, Store

T = TypeVar("T")

#: kill -9 loses at most this much.
FLUSH_S = 0.5

#: A process that only tells spans writes at once, so long afterwards, then after twice as long, and so on up to
#: FLUSH_S: a worker of a pool may be ended by a signal as soon as it has done its work.
_EARLY_S = 0.05

#: Rows that wait in memory for a disk that does not take them.
MAX_WAITING = 200_000

#: How long the end of a recording may wait for other processes to let it write.
PATIENCE_S = 5.0

#: How long apart it tries then; most locks are waited for by SQLite itself.
_RETRY_S = 0.05

#: How long a thread may take over its last flush before we go on without it.
_HALT_S = 10.0


class Writer:
    """Buffers of one process, and its connection. Made anew in a forked child; see `active`.

    pending   spans that have begun and whose end is not yet taken, by their object's id
    readings  the series that a recorder reads
    tick      called every `tick_s` by the background thread: first and last thing it does, too
    at_close  called before the last flush: what is gathered elsewhere is put then
    """

    def __init__(self, path: Path, role: str, *, busy_s: float = PATIENCE_S) -> None:
        self.path = path
        self.role = role
        self.store = Store(path, role, busy_s)
        self.uid, self.pid, self.boot = self.store.uid, self.store.pid, self.store.boot
        self.pending: dict[int, Any] = {}
        self.readings = Readings()
        self.running = False
        self.trouble = ""
        self.lost_rows = 0
        self.tick: Callable[[], None] | None = None
        self.drain: Callable[[], None] | None = None
        self.at_close: set[Callable[[], None]] = set()
        self.tick_s = FLUSH_S
        self._rows: list[Row] = []
        self._ended: list[tuple[object, ...]] = []
        self._open_written: set[int] = set()
        self._lock = threading.Lock()
        self._flush_lock = threading.Lock()
        self._labels: dict[str, str] | None = None
        self._halted = False
        self._alarm: Alarm | None = None  # rung to stop the thread
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None

    # -- rows ----------------------------------------------------------------------------------

    def put(self, sql: str, *values: object) -> None:
        """One row for the next flush."""
        row = (sql, tuple(map(plain, values)))
        with self._lock:
            self._rows.append(row)

    def event(self, event: Event) -> None:
        """Record that something happened."""
        row = (self.boot, event.t_ns, event.kind, event.subject, event.reason)
        self.put("INSERT OR IGNORE INTO event VALUES(?,?,?,?,?)", *row)

    def replace(self, span: object, past: object) -> None:
        """`span` is about to be used again: what it was is `past`, if that still waits to be taken."""
        with self._lock:
            if self.pending.pop(id(span), None) is not None:
                self.pending[id(past)] = past

    def rewrite(self, span: object) -> None:
        """More was said of a span after its end."""
        with self._lock:
            self.pending[id(span)] = span

    # -- the background thread --------------------------------------------------------------------

    def ensure_running(self) -> bool:
        """Start the background thread of this process, once; whether it has taken its first reading."""
        with self._lock:
            if not self.running and not self._halted:
                self.running = True
                self._alarm = Alarm()
                self._thread = threading.Thread(
                    target=self._run, args=(self._alarm,), name="greengen-writer", daemon=True
                )
                try:
                    self._thread.start()
                except RuntimeError as error:
                    # No more threads, or the interpreter is on its way out: `close` writes what there is.
                    self._thread, self.trouble = None, str(error)
                    self.close_alarm()
                    return False
        return self.tick is None or self._ready.wait(_HALT_S)

    def _run(self, alarm: Alarm) -> None:
        pause_s = FLUSH_S
        if self.tick is not None:
            self.tick()
            self._ready.set()
        else:
            self.flush()
            pause_s = _EARLY_S
        now = time.monotonic()
        next_tick, next_flush = now + self.tick_s, now + pause_s
        while True:
            due = min(next_tick, next_flush) if self.tick is not None else next_flush
            if alarm.wait(due - time.monotonic()):
                break
            now = time.monotonic()
            if self.tick is not None and now >= next_tick:
                self.tick()
                next_tick += self.tick_s * max(1, 1 + int((now - next_tick) / self.tick_s))
            # With the reading that is nearest: one wake for both.
            if now >= next_flush - min(self.tick_s, FLUSH_S) / 2:
                self.flush()
                pause_s = min(2 * pause_s, FLUSH_S)
                next_flush = now + pause_s
        if self.tick is not None:
            self.tick()

    def halt(self) -> None:
        """Stop the background thread; what it would have written waits for `close`."""
        with self._lock:
            if not self._halted:
                self._halted = True
                if self._alarm is not None:
                    self._alarm.ring()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=_HALT_S)
            if not thread.is_alive():
                self.close_alarm()

    def close_alarm(self) -> None:
        """Give its descriptors back: once its thread has ended, and in a forked child, which has no such thread."""
        alarm, self._alarm = self._alarm, None
        if alarm is not None:
            alarm.close()

    def close(self, *, final: Iterable[Row] = ()) -> None:
        """Stop the thread, write what is left, and leave the file standing alone if we are the last."""
        self.halt()
        for told in list(self.at_close):
            told()
        for sql, values in final:
            self.put(sql, *values)
        self.store.be_patient(PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        while not self.flush(closing=True):
            if "locked" not in self.trouble or time.monotonic() > deadline:
                # There is no other chance: all that waits is dropped.
                self.lost_rows += len(self._rows) + len(self._ended) + self.readings.give_back(Batch(), 0)
                break
            time.sleep(_RETRY_S)
        with self._flush_lock:
            self.trouble = self.trouble or self.store.leave()
        self.running = False

    # -- writing -----------------------------------------------------------------------------------

    def flush(self, *, closing: bool = False) -> bool:
        """Write all that waits in one transaction. False, and nothing lost, where it was refused."""
        with self._flush_lock:
            if self.drain is not None:
                self.drain()
            seen_ns = time.monotonic_ns()
            with self._lock:
                rows, self._rows = self._rows, []
                opened, open_now = self._take_spans()
                ended, self._ended = self._ended, []
            batch = self.readings.take()
            if not (closing or rows or ended or open_now or batch.points or batch.moved):
                return True
            try:
                spans = [*opened, *ended]
                self.store.write(rows, batch, spans, seen_ns=seen_ns, lost=self.lost_rows, closing=closing)
            except sqlite3.Error as error:
                self.trouble = str(error)
                self._give_back(rows, batch, ended)
                return False
            self._open_written = open_now
            self.trouble = ""
            return True

    def _take_spans(self) -> tuple[list[tuple[object, ...]], set[int]]:
        """Rows of spans found open for the first time, and which are open; those of ended ones wait in `_ended`."""
        opened: list[tuple[object, ...]] = []
        open_now: set[int] = set()
        if self.pending and self._labels is None:
            from greengen.recording import containers  # noqa: PLC0415 -- only where there are spans

            self._labels = containers.labels()
        for key, span in list(self.pending.items()):
            over = bool(span.t1_ns)
            if over:
                del self.pending[key]
            else:
                open_now.add(span.seq)
            if over or span.seq not in self._open_written:
                try:
                    (self._ended if over else opened).append(span_row(span, self._labels or {}))
                except Exception:  # noqa: BLE001 -- one span that cannot be told must not cost the others
                    self.lost_rows += 1
        return opened, open_now

    def _give_back(self, rows: list[Row], batch: Batch, ended: list[tuple[object, ...]]) -> None:
        dropped = self.readings.give_back(batch, MAX_WAITING)
        with self._lock:
            dropped += _put_back(self._rows, rows) + _put_back(self._ended, ended)
        self.lost_rows += dropped

    # -- without a connection ------------------------------------------------------------------------

    @contextmanager
    def disconnected(self) -> Iterator[None]:
        """Hold no connection meanwhile, so that this process may read the file; see `store`."""
        with self._flush_lock:
            self.store.disconnect()
            yield

    def before_fork(self) -> bool:
        """Let go of the file, and of every lock that the child would find taken for ever; whether that was done."""
        if not self._flush_lock.acquire(timeout=_HALT_S):
            return False
        self._lock.acquire()
        self.store.disconnect()
        return True

    def after_fork(self) -> None:
        """Go on after such a fork, in the parent; in the child only the locks matter: it has a writer of its own."""
        self._lock.release()
        self._flush_lock.release()


def _put_back(waiting: list[T], taken: list[T]) -> int:
    """What was taken waits again, before what came since; how many of the oldest are dropped."""
    waiting[:0] = taken
    excess = max(0, len(waiting) - MAX_WAITING)
    del waiting[:excess]
    return excess
