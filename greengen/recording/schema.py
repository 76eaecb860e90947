"""The run file's tables, and how a connection to it is opened.

SQLite in WAL mode with synchronous NORMAL: several processes write at once, kill -9 loses nothing
that was committed, a power cut may lose the last commits.
"""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path

from greengen.errors import RunFileError

#: Raised when a reader of the older version would misread the file; keys may be added without it.
VERSION = 3

#: "grgn": tells a run file from any other SQLite database.
APPLICATION_ID = 0x6772676E

TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE host(boot TEXT PRIMARY KEY, hostname TEXT NOT NULL, info TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE process(id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, boot TEXT NOT NULL, pid INTEGER NOT NULL,
    role TEXT NOT NULL, last_seen_ns INTEGER NOT NULL, closed INTEGER NOT NULL DEFAULT 0,
    lost_rows INTEGER NOT NULL DEFAULT 0, command TEXT NOT NULL);
CREATE TABLE segment(uid TEXT PRIMARY KEY, process TEXT NOT NULL, boot TEXT NOT NULL, t0_ns INTEGER NOT NULL,
    t1_ns INTEGER, epoch_ns INTEGER NOT NULL, info TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE domain(boot TEXT NOT NULL, uid TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY(boot, uid)) WITHOUT ROWID;
CREATE TABLE unavailable(boot TEXT NOT NULL, interface TEXT NOT NULL, reason TEXT NOT NULL, remedy TEXT NOT NULL,
    PRIMARY KEY(boot, interface, reason)) WITHOUT ROWID;
CREATE TABLE series(id INTEGER PRIMARY KEY, boot TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
    consumer TEXT NOT NULL, window_s REAL NOT NULL, recording TEXT NOT NULL DEFAULT '',
    UNIQUE(boot, kind, subject, consumer, recording));
CREATE TABLE point(series INTEGER NOT NULL, t_ns INTEGER NOT NULL, value NOT NULL, spacing_ns INTEGER NOT NULL,
    PRIMARY KEY(t_ns, series)) WITHOUT ROWID;
CREATE TABLE event(boot TEXT NOT NULL, t_ns INTEGER NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
    reason TEXT NOT NULL, PRIMARY KEY(boot, t_ns, kind, subject, reason)) WITHOUT ROWID;
CREATE TABLE span(process INTEGER NOT NULL, seq INTEGER NOT NULL, parent TEXT, kind TEXT NOT NULL,
    t0_ns INTEGER NOT NULL, t1_ns INTEGER, model TEXT, tier TEXT, name TEXT, trace_id TEXT,
    input_tokens INTEGER, output_tokens INTEGER, outcome TEXT NOT NULL, flags TEXT NOT NULL, labels TEXT NOT NULL,
    cached_tokens INTEGER, phases TEXT NOT NULL, devices TEXT NOT NULL, requests INTEGER NOT NULL,
    PRIMARY KEY(process, seq)) WITHOUT ROWID;
CREATE TABLE engine(id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, boot TEXT NOT NULL, process TEXT NOT NULL,
    model TEXT, devices TEXT NOT NULL);
CREATE TABLE step(engine INTEGER NOT NULL, seq INTEGER NOT NULL, t0_ns INTEGER NOT NULL, t1_ns INTEGER NOT NULL,
    padding INTEGER NOT NULL, PRIMARY KEY(engine, seq)) WITHOUT ROWID;
CREATE TABLE stint(engine INTEGER NOT NULL, first INTEGER NOT NULL, span TEXT NOT NULL, last INTEGER NOT NULL,
    prefill INTEGER NOT NULL, decode INTEGER NOT NULL, context INTEGER NOT NULL, growth INTEGER NOT NULL,
    PRIMARY KEY(engine, first, span)) WITHOUT ROWID;
"""

#: File systems where WAL's shared memory or locks do not work (SQLite: "WAL does not work over a network").
NETWORK_FILE_SYSTEMS = frozenset(
    (
        *("9p", "afs", "beegfs", "ceph", "cifs", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "gfs2", "glusterfs"),
        *("lustre", "ncpfs", "nfs", "nfs4", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs"),
    )
)

#: What a line of a mount table begins with: device, mount point, type. Blanks in them are octal.
_FIELDS = 3
_ESCAPE = re.compile(r"\\([0-7]{3})")


def connect(path: Path, *, busy_s: float = 5.0) -> sqlite3.Connection:
    """A writing connection in autocommit: transactions are begun and ended in so many words.

    It creates no file. Raises sqlite3.Error.
    """
    uri = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, timeout=busy_s, isolation_level=None, check_same_thread=False, uri=True)
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def create(path: Path) -> None:
    """Lay down an empty run file in WAL mode. Raises RunFileError where that cannot work."""
    try:
        connection = connect(path)
        try:
            # The mark first, and the version with the tables: a file cut off in between is known as ours.
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            if mode != "wal":
                raise RunFileError(_no_wal(path, "SQLite cannot keep a write-ahead log there"))
            connection.execute("BEGIN IMMEDIATE")
            for statement in TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={VERSION}")
            connection.execute("COMMIT")
        finally:
            connection.close()
    except sqlite3.Error as error:
        msg = f"cannot write the run file {path}: {error}; name another one with --out"
        raise RunFileError(msg) from error


def refuse_network_file_system(path: Path, mounts: Path = Path("/proc/self/mounts")) -> None:
    """Raise RunFileError where `path` lies on a file system that cannot hold a write-ahead log."""
    kind = file_system(path, mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise RunFileError(_no_wal(path, f"it lies on a {kind} file system"))


def file_system(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The type of the file system that holds `path`; empty where this cannot be told."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    directory = Path(os.path.realpath(path)).parent  # not `resolve`, which raises where links go round
    best, kind = -1, ""
    for line in lines:
        fields = line.split()
        if len(fields) < _FIELDS:
            continue
        point = Path(_ESCAPE.sub(lambda octal: chr(int(octal[1], 8)), fields[1]))
        if len(point.parts) >= best and directory.is_relative_to(point):
            best, kind = len(point.parts), fields[2]
    return kind


def newer(path: Path, version: int) -> str:
    """What to say of a file that a later greengen wrote."""
    return (
        f"{path} was written by a newer greengen (schema {version}, this one reads {VERSION}): "
        "upgrade with `pip install -U greengen`"
    )


def _no_wal(path: Path, why: str) -> str:
    return (
        f"cannot record to {path}: {why}, where a recording can be lost in silence; "
        "name a file on a local disk with --out and copy it over afterwards"
    )
