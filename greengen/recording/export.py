"""Write rows to a new run file: what a cut or a merge makes is a run like any other."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from pathlib import Path

from greengen.errors import RunFileError
from greengen.recording import runfile, schema
from greengen.rows import Recording, Rows, Series, SpanRow, Timeline


def write(rows: Rows, path: Path, *, force: bool = False) -> None:
    """Lay down `path` with all of `rows`. Raises RunFileError as `profile` would."""
    runfile.claim(path, force=force, append=False)
    try:
        connection = schema.connect(path)
        try:
            connection.execute("BEGIN IMMEDIATE")
            meta = [(key, json.dumps(value)) for key, value in rows.meta.items()]
            connection.executemany("INSERT INTO meta VALUES(?,?)", meta)
            for timeline in rows.timelines:
                _timeline(connection, timeline)
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode=DELETE")
        finally:
            connection.close()
    except sqlite3.Error as error:
        runfile.remove(path)
        msg = f"cannot write {path}: {error}; name another file with --out"
        raise RunFileError(msg) from error
    except BaseException:
        # Half a run is no run: a number too large for the file, or an interrupt.
        runfile.remove(path)
        raise


def _timeline(connection: sqlite3.Connection, timeline: Timeline) -> None:
    boot = timeline.boot_id
    connection.execute("INSERT INTO host VALUES(?,?,?)", (boot, timeline.hostname, json.dumps(timeline.info)))
    domains = [(boot, domain.uid, json.dumps(asdict(domain))) for domain in timeline.domains]
    connection.executemany("INSERT INTO domain VALUES(?,?,?)", domains)
    gone = [(boot, item.interface, item.reason, item.remedy) for item in timeline.unavailable]
    connection.executemany("INSERT OR IGNORE INTO unavailable VALUES(?,?,?,?)", gone)
    segments = [(s.uid, s.process, boot, s.t0_ns, s.t1_ns, s.epoch_ns, json.dumps(s.info)) for s in timeline.segments]
    connection.executemany("INSERT INTO segment VALUES(?,?,?,?,?,?,?)", segments)
    events = [(boot, event.t_ns, event.kind, event.subject, event.reason) for event in timeline.events]
    connection.executemany("INSERT OR IGNORE INTO event VALUES(?,?,?,?,?)", events)
    readings = {domain.uid: domain.reading for domain in timeline.domains}
    for recording in (Recording("", timeline.samples, timeline.usage), *timeline.recordings):
        for uid, series in recording.samples.items():
            _series(connection, (boot, readings.get(uid, "energy"), uid, "", recording.uid), series)
        for (resource, consumer), series in recording.usage.items():
            _series(connection, (boot, "usage", resource, consumer, recording.uid), series)
    numbers: dict[str, int] = {}
    for process in timeline.processes:
        who = (process.uid, boot, process.pid, process.role)
        cursor = connection.execute(
            "INSERT INTO process(uid, boot, pid, role, last_seen_ns, closed, lost_rows, command)"
            " VALUES(?,?,?,?,?,?,?,?)",
            (*who, process.last_seen_ns, int(process.closed), process.lost_rows, process.command),
        )
        numbers[process.uid] = int(cursor.lastrowid or 0)
    spans = [_span(numbers, span) for span in timeline.spans]
    connection.executemany(f"INSERT INTO span VALUES({','.join('?' * 19)})", spans)
    _steps(connection, timeline)


def _series(connection: sqlite3.Connection, key: tuple[str, str, str, str, str], series: Series) -> None:
    cursor = connection.execute(
        "INSERT INTO series(boot, kind, subject, consumer, recording, window_s) VALUES(?,?,?,?,?,?)",
        (*key, series.window_s),
    )
    points = zip(series.t_ns, series.values, series.spacing_ns, strict=True)
    connection.executemany("INSERT INTO point VALUES(?,?,?,?)", [(cursor.lastrowid, *point) for point in points])


def _span(numbers: dict[str, int], span: SpanRow) -> tuple[object, ...]:
    sequence = int(span.uid.rpartition("/")[2])
    ways = (span.model, span.tier, span.name, span.trace_id, span.input_tokens, span.output_tokens, span.outcome)
    times = (span.t0_ns, span.t1_ns)
    flags, labels = " ".join(span.flags), json.dumps(span.labels)
    more = (span.cached_tokens, json.dumps(span.phases), json.dumps(span.devices), span.requests)
    return (numbers[span.process], sequence, span.parent, span.kind, *times, *ways, flags, labels, *more)


def _steps(connection: sqlite3.Connection, timeline: Timeline) -> None:
    numbers: dict[str, int] = {}
    for engine in timeline.engines:
        row = (engine.uid, timeline.boot_id, engine.process, engine.model, json.dumps(engine.devices))
        cursor = connection.execute("INSERT INTO engine(uid, boot, process, model, devices) VALUES(?,?,?,?,?)", row)
        numbers[engine.uid] = int(cursor.lastrowid or 0)
    steps = [(numbers[step.engine], *step[1:]) for step in timeline.steps]
    connection.executemany("INSERT INTO step VALUES(?,?,?,?,?)", steps)
    stints = [(numbers[s.engine], s.first, s.span, *s[3:]) for s in timeline.stints]
    connection.executemany("INSERT INTO stint VALUES(?,?,?,?,?,?,?,?)", stints)
