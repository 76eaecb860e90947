"""Read a run file into rows. A file is data: nothing in it is run, and nothing of it is changed.

A file whose recording goes on, or was cut off, has a write-ahead log beside it: both are copied and
the copy is read, because opening the original would change it and `immutable` would lose rows.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from greengen.collector import Domain, Event, Unavailable
from greengen.errors import RunFileError
from greengen.recording import runfile, schema
from greengen.rows import ProcessRow, Rows, Segment, Series, SpanRow, Timeline

#: How often a copy is tried again when the log was started over while it was copied.
_COPIES = 20


def read(path: Path) -> Rows:
    """All rows of a run file. Raises RunFileError for anything that is not one, or is a newer one."""
    if not path.exists():
        msg = f"there is no run file {path}"
        raise RunFileError(msg)
    if not runfile.is_run_file(path):
        msg = f"{path} is not a greengen run file: pass a file that `greengen profile` wrote"
        raise RunFileError(msg)
    try:
        with _connection(path) as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version > schema.VERSION:
                raise RunFileError(schema.newer(path, version))
            if version < 1:
                msg = f"{path} holds no recording: it was cut off before the first reading"
                raise RunFileError(msg)
            return _rows(connection)
    except (sqlite3.Error, ValueError, TypeError, KeyError) as error:
        msg = f"{path} is damaged: {error}; `sqlite3 {path} .recover` may save some of it"
        raise RunFileError(msg) from error


@contextmanager
def _connection(path: Path) -> Iterator[sqlite3.Connection]:
    log = Path(f"{path}-wal")
    with tempfile.TemporaryDirectory(prefix="greengen-") as directory:
        if log.exists() or _in_wal_mode(path):
            copy = Path(directory) / "copy.greengen"
            _copy(path, log, copy)
            connection = sqlite3.connect(copy)
        else:
            connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA query_only=ON")
            strange = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('view', 'trigger')").fetchall()
            if strange:
                msg = f"{path} is not a greengen run file: it holds {strange[0][0]!r}, which greengen never writes"
                raise RunFileError(msg)
            yield connection
        finally:
            connection.close()


def _copy(path: Path, log: Path, target: Path) -> None:
    """Copy file and log such that they belong together: the log's header names its generation."""
    target_log = Path(f"{target}-wal")
    for _ in range(_COPIES):
        before = _head(log)
        shutil.copyfile(path, target)
        if not log.exists():
            # The last writer has just closed: the file stands alone now.
            shutil.copyfile(path, target)
            target_log.unlink(missing_ok=True)
            return
        shutil.copyfile(log, target_log)
        if _head(log) == before:
            return
    msg = f"{path} is being written faster than it can be copied: try again when the recording has ended"
    raise RunFileError(msg)


def _in_wal_mode(path: Path) -> bool:
    """Such a file, alone on a read-only disk, cannot be opened where it lies."""
    with path.open("rb") as file:
        return file.read(20)[18:20] == b"\2\2"


def _head(log: Path) -> bytes:
    try:
        with log.open("rb") as file:
            return file.read(32)
    except FileNotFoundError:
        return b""


def _rows(connection: sqlite3.Connection) -> Rows:
    rows = Rows(meta={key: json.loads(value) for key, value in connection.execute("SELECT key, value FROM meta")})
    timelines: dict[str, Timeline] = {}

    def of(boot: str) -> Timeline:
        return timelines.setdefault(boot, Timeline(boot, ""))

    for boot, hostname, info in connection.execute("SELECT boot, hostname, info FROM host ORDER BY boot"):
        timelines[boot] = Timeline(boot, hostname, json.loads(info))
    for boot, body in connection.execute("SELECT boot, body FROM domain ORDER BY boot, uid"):
        of(boot).domains.append(_domain(json.loads(body)))
    for boot, *gone in connection.execute("SELECT boot, interface, reason, remedy FROM unavailable ORDER BY 1, 2, 3"):
        of(boot).unavailable.append(Unavailable(*gone))
    for boot, *event in connection.execute("SELECT boot, t_ns, kind, subject, reason FROM event ORDER BY 1, 2"):
        of(boot).events.append(Event(*event))
    for uid, process, boot, t0_ns, t1_ns, epoch_ns, info in connection.execute(
        "SELECT uid, process, boot, t0_ns, t1_ns, epoch_ns, info FROM segment ORDER BY boot, t0_ns"
    ):
        of(boot).segments.append(Segment(uid, process, t0_ns, t1_ns, epoch_ns, json.loads(info)))
    processes = _processes(connection, of)
    _series(connection, of)
    _spans(connection, of, processes)
    rows.timelines = [timelines[boot] for boot in sorted(timelines)]
    return rows


def _processes(connection: sqlite3.Connection, of: Any) -> dict[int, tuple[str, str]]:  # noqa: ANN401 -- a local function
    known: dict[int, tuple[str, str]] = {}
    query = "SELECT id, uid, boot, pid, role, last_seen_ns, closed, lost_rows, command FROM process ORDER BY uid"
    for number, uid, boot, pid, role, last_seen_ns, closed, lost_rows, command in connection.execute(query):
        known[number] = (uid, boot)
        of(boot).processes.append(ProcessRow(uid, pid, role, last_seen_ns, bool(closed), lost_rows, command))
    return known


def _series(connection: sqlite3.Connection, of: Any) -> None:  # noqa: ANN401 -- a local function
    query = "SELECT id, boot, kind, subject, consumer, window_s FROM series ORDER BY boot, kind, subject, consumer"
    for number, boot, kind, subject, consumer, window_s in connection.execute(query).fetchall():
        points = connection.execute("SELECT t_ns, value, spacing_ns FROM point WHERE series=? ORDER BY t_ns", (number,))
        series = Series(window_s=window_s)
        for t_ns, value, spacing_ns in points:
            series.t_ns.append(int(t_ns))
            series.values.append(float(value))
            series.spacing_ns.append(int(spacing_ns))
        if kind == "usage":
            of(boot).usage[(subject, consumer)] = series
        else:
            of(boot).samples[subject] = series


def _spans(connection: sqlite3.Connection, of: Any, processes: dict[int, tuple[str, str]]) -> None:  # noqa: ANN401
    query = """SELECT process, seq, parent, kind, t0_ns, t1_ns, model, tier, name, trace_id,
        input_tokens, output_tokens, outcome, flags, labels FROM span ORDER BY t0_ns, process, seq"""
    for number, seq, parent, kind, t0_ns, t1_ns, *rest, outcome, flags, labels in connection.execute(query):
        process, boot = processes[number]
        model, tier, name, trace_id, read, written = rest
        span = SpanRow(
            uid=f"{process}/{seq}",
            process=process,
            parent=parent,
            kind=kind,
            t0_ns=int(t0_ns),
            t1_ns=None if t1_ns is None else int(t1_ns),
            model=model,
            tier=tier,
            name=name,
            trace_id=trace_id,
            input_tokens=None if read is None else int(read),
            output_tokens=None if written is None else int(written),
            outcome=outcome,
            flags=tuple(flags.split()),
            labels={str(key): str(value) for key, value in json.loads(labels).items()},
        )
        of(boot).spans.append(span)


def _domain(body: dict[str, Any]) -> Domain:
    """A domain as recorded; keys that a later version added are left aside."""
    known = {f.name for f in fields(Domain)}
    values = {key: value for key, value in body.items() if key in known}
    values["contains"] = tuple(values.get("contains", ()))
    return Domain(**values)
