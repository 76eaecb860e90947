"""Read a run file into rows. A file is data: nothing in it is run, and nothing of it is changed.

A file whose recording goes on, or was cut off, has a log beside it: both are copied and the copy is
read, because opening the original would change it and `immutable` would lose rows.
"""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

from greengen.collector import Domain, Event, Unavailable
from greengen.errors import RunFileError
from greengen.recording import runfile, schema
from greengen.rows import (
    Engine,
    EngineStep,
    Phase,
    ProcessRow,
    Recording,
    Rows,
    Segment,
    Series,
    SpanRow,
    Stint,
    Timeline,
)

#: How often a copy is tried again when the log was started over while it was copied.
_COPIES = 20

#: The version that brought phases, devices and engine steps.
_STEPS = 2

#: The version that brought recordings side by side.
_BESIDE = 3

#: What reading a file raises that greengen has not written so.
_DAMAGE = (sqlite3.Error, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

#: What a file holds that greengen never writes, and that SQLite would run.
_STRANGE = "SELECT name FROM sqlite_master WHERE type IN ('view', 'trigger') OR sql LIKE 'create virtual%'"


def read(path: Path, hold: AbstractContextManager[None] | None = None, *, spans: bool = True) -> Rows:
    """All rows of a run file. Raises RunFileError for anything that is not one, or is a newer one.

    hold   what to be in while the file is open: this process may be writing to it (`Writer.disconnected`)
    spans  without them, and without what engines did with them, rows take little memory however long the run
    """
    with opened(path, hold) as (connection, version):
        return _rows(connection, version, spans=spans)


@contextmanager
def opened(path: Path, hold: AbstractContextManager[None] | None = None) -> Iterator[tuple[sqlite3.Connection, int]]:
    """A connection that reads a run file, and the file's version. Raises RunFileError, as `read` does."""
    if not path.exists():
        msg = f"there is no run file {path}"
        raise RunFileError(msg)
    try:
        with ExitStack() as stack:
            with hold or nullcontext():
                source = _source(path, stack)
            connection = stack.enter_context(_connection(path, source))
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version > schema.VERSION:
                raise RunFileError(schema.newer(path, version))
            if version < 1:
                msg = f"{path} holds no recording: it was cut off before the first reading"
                raise RunFileError(msg)
            yield connection, version
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror or error}"
        raise RunFileError(msg) from error
    except _DAMAGE as error:
        msg = f"{path} is damaged: {error}; `sqlite3 {path} .recover` may save some of it"
        raise RunFileError(msg) from error


def _source(path: Path, stack: ExitStack) -> Path:
    """What to open: the file where it lies, if it stands alone, else a copy of it with its log, while `stack` lasts."""
    if path.is_file():
        with path.open("rb"):
            pass  # raises where it may not be read
    if not path.is_file() or not runfile.is_run_file(path):
        msg = f"{path} is not a greengen run file: pass a file that `greengen profile` wrote"
        raise RunFileError(msg)
    logs = [Path(f"{path}{ending}") for ending in ("-wal", "-journal")]
    if not _in_wal_mode(path) and not any(log.exists() for log in logs):
        if _is_cut_off(path):
            msg = f"{path} is damaged: its end is missing; `sqlite3 {path} .recover` may save some of it"
            raise RunFileError(msg)
        return path
    import tempfile  # noqa: PLC0415 -- 10 ms, and most files are closed

    copy = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="greengen-"))) / "copy.greengen"
    for _ in range(_COPIES):
        before = _generation(path, logs)
        shutil.copyfile(path, copy)
        for log in logs:
            # The log after the file: it holds what the file was given meanwhile.
            _copy_log(log, copy)
        if _generation(path, logs) == before:
            return copy
    msg = f"{path} is being written faster than it can be copied: try again when the recording has ended"
    raise RunFileError(msg)


def _copy_log(log: Path, copy: Path) -> None:
    target = copy.with_name(copy.name + log.name[log.name.rindex("-") :])
    try:
        shutil.copyfile(log, target)
    except FileNotFoundError:
        # The last writer has just closed.
        target.unlink(missing_ok=True)


def _generation(path: Path, logs: Sequence[Path]) -> list[object]:
    """What changes when a log is started over: its head. Where there is no log, when the file was written."""
    heads: list[object] = []
    for log in logs:
        try:
            with log.open("rb") as file:
                heads.append(file.read(32))
        except FileNotFoundError:
            heads.append(None)
    return heads if any(heads) else [path.stat().st_mtime_ns, path.stat().st_size]


def _is_cut_off(path: Path) -> bool:
    """Whether a file is shorter than its head says; SQLite looks no further than it must."""
    with path.open("rb") as file:
        head = file.read(32)
    page, pages = int.from_bytes(head[16:18], "big"), int.from_bytes(head[28:32], "big")
    return path.stat().st_size < (page if page > 1 else 65536) * pages


def _in_wal_mode(path: Path) -> bool:
    """Such a file, alone on a read-only disk, cannot be opened where it lies."""
    with path.open("rb") as file:
        return file.read(20)[18:20] == b"\2\2"


@contextmanager
def _connection(path: Path, source: Path) -> Iterator[sqlite3.Connection]:
    # A copy may be changed, and must be where a log is to be worked in.
    mode = "ro" if source == path else "rw"
    connection = sqlite3.connect(f"{source.absolute().as_uri()}?mode={mode}", uri=True)
    try:
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA query_only=ON")
        strange = connection.execute(_STRANGE).fetchall()
        if strange:
            msg = f"{path} is not a greengen run file: it holds {strange[0][0]!r}, which greengen never writes"
            raise RunFileError(msg)
        yield connection
    finally:
        connection.close()


def _rows(connection: sqlite3.Connection, version: int, *, spans: bool) -> Rows:
    rows = Rows(meta={key: json.loads(value) for key, value in connection.execute("SELECT key, value FROM meta")})
    timelines: dict[str, Timeline] = {}

    def of(boot: str) -> Timeline:
        return timelines.setdefault(_text(boot), Timeline(boot, ""))

    for boot, hostname, info in connection.execute("SELECT boot, hostname, info FROM host ORDER BY boot"):
        timelines[_text(boot)] = Timeline(boot, _text(hostname), dict(json.loads(info)))
    for boot, body in connection.execute("SELECT boot, body FROM domain ORDER BY boot, uid"):
        of(boot).domains.append(_domain(json.loads(body)))
    for boot, *gone in connection.execute("SELECT boot, interface, reason, remedy FROM unavailable ORDER BY 1, 2, 3"):
        of(boot).unavailable.append(Unavailable(*map(_text, gone)))
    query = "SELECT boot, t_ns, kind, subject, reason FROM event ORDER BY boot, t_ns"
    for boot, t_ns, kind, *said in connection.execute(query):
        of(boot).events.append(Event(int(t_ns), kind, *map(_text, said)))
    for uid, process, boot, t0_ns, t1_ns, epoch_ns, info in connection.execute(
        "SELECT uid, process, boot, t0_ns, t1_ns, epoch_ns, info FROM segment ORDER BY boot, t0_ns"
    ):
        times = (int(t0_ns), _count(t1_ns), int(epoch_ns))
        of(boot).segments.append(Segment(_text(uid), _text(process), *times, dict(json.loads(info))))
    processes = _processes(connection, of)
    _series(connection, of, version)
    if spans:
        _spans(connection, of, processes, version)
    if spans and version >= _STEPS:
        _steps(connection, of)
    rows.timelines = [timelines[boot] for boot in sorted(timelines)]
    return rows


def _processes(connection: sqlite3.Connection, of: Callable[[str], Timeline]) -> dict[int, tuple[str, str]]:
    known: dict[int, tuple[str, str]] = {}
    query = "SELECT id, uid, boot, pid, role, last_seen_ns, closed, lost_rows, command FROM process ORDER BY uid"
    for number, uid, boot, pid, role, last_seen_ns, closed, lost_rows, command in connection.execute(query):
        known[number] = (_text(uid), boot)
        numbers = (int(last_seen_ns), bool(closed), int(lost_rows))
        of(boot).processes.append(ProcessRow(uid, int(pid), _text(role), *numbers, _text(command)))
    return known


def _series(connection: sqlite3.Connection, of: Callable[[str], Timeline], version: int) -> None:
    beside = "recording" if version >= _BESIDE else "''"
    query = f"""SELECT id, boot, kind, subject, consumer, window_s, {beside} FROM series
        ORDER BY boot, kind, subject, consumer, id"""  # noqa: S608 -- ours
    every: dict[int, Series] = {}
    recordings: dict[tuple[str, str], Recording] = {}
    for number, boot, kind, subject, consumer, window_s, recording in connection.execute(query):
        series = every[number] = Series(window_s=float(window_s))
        known: Timeline | Recording = of(boot)
        if _text(recording):
            known = recordings.setdefault((boot, recording), Recording(recording))
        if kind == "usage":
            known.usage[(_text(subject), _text(consumer))] = series
        else:
            known.samples[_text(subject)] = series
    for boot, uid in sorted(recordings):
        of(boot).recordings.append(recordings[boot, uid])
    # In the order in which they lie on disk.
    for number, t_ns, value, spacing_ns in connection.execute(
        "SELECT series, t_ns, value, spacing_ns FROM point ORDER BY t_ns, series"
    ):
        series = every[number]
        series.t_ns.append(int(t_ns))
        series.values.append(float(value))
        series.spacing_ns.append(int(spacing_ns))
        if not math.isfinite(series.values[-1]):
            msg = f"the reading of series {number} at {t_ns} ns is no finite number"
            raise ValueError(msg)


def _spans(
    connection: sqlite3.Connection,
    of: Callable[[str], Timeline],
    processes: dict[int, tuple[str, str]],
    version: int,
) -> None:
    later = "cached_tokens, phases, devices, requests" if version >= _STEPS else "NULL, '[]', '[]', 1"
    query = f"""SELECT process, seq, parent, kind, t0_ns, t1_ns, model, tier, name, trace_id, input_tokens,
        output_tokens, outcome, flags, labels, {later} FROM span ORDER BY t0_ns, process, seq"""  # noqa: S608 -- ours
    for number, seq, parent, kind, t0_ns, t1_ns, *rest in connection.execute(query):
        process, boot = processes[number]
        model, tier, name, trace_id, read, written, outcome, flags, labels, cached, phases, devices, requests = rest
        span = SpanRow(
            uid=f"{process}/{seq}",
            process=process,
            parent=_optional(parent),
            kind=_text(kind),
            t0_ns=int(t0_ns),
            t1_ns=_count(t1_ns),
            model=_optional(model),
            tier=_optional(tier),
            name=_optional(name),
            trace_id=_optional(trace_id),
            input_tokens=_count(read),
            output_tokens=_count(written),
            outcome=_text(outcome),
            flags=tuple(_text(flags).split()),
            labels={str(key): str(value) for key, value in json.loads(labels).items()},
            cached_tokens=_count(cached),
            phases=tuple(Phase(_text(what), int(at), _texts(used)) for what, at, used in json.loads(phases)),
            devices=_texts(json.loads(devices)),
            requests=int(requests),
        )
        of(boot).spans.append(span)


def _steps(connection: sqlite3.Connection, of: Callable[[str], Timeline]) -> None:
    known: dict[int, tuple[str, str]] = {}
    for number, uid, boot, process, model, devices in connection.execute(
        "SELECT id, uid, boot, process, model, devices FROM engine ORDER BY uid"
    ):
        known[number] = (_text(uid), boot)
        of(boot).engines.append(Engine(uid, _text(process), _optional(model), _texts(json.loads(devices))))
    query = "SELECT engine, seq, t0_ns, t1_ns, padding FROM step ORDER BY engine, seq"
    for number, *numbers in connection.execute(query):
        uid, boot = known[number]
        of(boot).steps.append(EngineStep(uid, *map(int, numbers)))
    query = "SELECT engine, span, first, last, prefill, decode, context, growth FROM stint ORDER BY engine, first, span"
    for number, span, *numbers in connection.execute(query):
        uid, boot = known[number]
        of(boot).stints.append(Stint(uid, _text(span), *map(int, numbers)))


def _domain(body: dict[str, Any]) -> Domain:
    """A domain as recorded; keys that a later version added are left aside."""
    known = {f.name for f in fields(Domain)}
    values = {key: value for key, value in body.items() if key in known}
    values["contains"] = tuple(map(_text, values.get("contains", ())))
    domain = Domain(**values)
    for uid in (domain.uid, domain.collector, domain.kind, domain.name):
        _text(uid)
    for number in (domain.resolution_j, domain.refresh_s, domain.gain, domain.workload, domain.wrap_j or 0.0):
        float(number)
    return domain


def _text(value: object) -> str:
    if not isinstance(value, str):
        msg = f"{value!r:.50} stands where a text should"
        raise TypeError(msg)
    return value


def _texts(values: Sequence[object]) -> tuple[str, ...]:
    return tuple(map(_text, values))


def _optional(value: object) -> str | None:
    return None if value is None else _text(value)


def _count(value: Any) -> int | None:  # noqa: ANN401 -- whatever is in the column
    return None if value is None else int(value)
