"""Who may write to a run file: the first process creates it and samples, others join, nobody overwrites by chance."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from greengen.errors import RunFileError
from greengen.recording import identity, schema
from greengen.recording.writer import Writer


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Let no other process claim a file in there meanwhile: two would each believe to be the first."""
    try:
        import fcntl  # noqa: PLC0415 -- there is none on Windows, and no such lock

        descriptor = os.open(directory, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        # In so many words: a child forked meanwhile holds the descriptor too, and the lock with it.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def unused(directory: Path) -> Path:
    """A name for a run that nobody named: the time, and a number where that is taken."""
    stem = time.strftime("greengen-%Y%m%d-%H%M%S")
    names = (f"{stem}{f'-{n}' if n > 1 else ''}.greengen" for n in count(1))
    return next(path for path in (directory / name for name in names) if not path.exists())


def claim(path: Path, *, force: bool, append: bool, join: bool = False) -> bool:
    """Make `path` a run file that this process may write to; True where it was created. Call it `locked`.

    An existing run file is refused without `force` (overwrite) or `append` (another segment). One
    that is being recorded at this moment is joined with `join`, else refused. A file that is no run
    file is never overwritten; an empty one is no file yet. Raises RunFileError.
    """
    if not path.parent.is_dir():
        msg = f"cannot write {path}: there is no directory {path.parent}; create it or name another file with --out"
        raise RunFileError(msg)
    schema.refuse_network_file_system(path)
    if path.exists():
        if not path.is_file() or (path.stat().st_size and not is_run_file(path)):
            msg = f"{path} exists and is not a run file: it is not overwritten; name another file with --out"
            raise RunFileError(msg)
        version = _version(path)
        if version > schema.VERSION:
            raise RunFileError(schema.newer(path, version))
        sampling = recorder_of(path) if version else None
        if sampling is not None and not join:
            msg = f"{path} is being recorded by process {sampling}: stop that, or name another file with --out"
            raise RunFileError(msg)
        if version and (append or sampling is not None):
            return False
        if version and not force:
            msg = f"{path} exists: pass --force (force=True) to overwrite it, or name another file with --out"
            raise RunFileError(msg)
        remove(path)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror}; name another file with --out"
        raise RunFileError(msg) from error
    try:
        schema.create(path)
    except RunFileError:
        remove(path)
        raise
    return True


def remove(path: Path) -> None:
    """Delete a run file with what SQLite keeps beside it."""
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm"), Path(f"{path}-journal")):
        try:
            name.unlink(missing_ok=True)
        except OSError as error:
            msg = f"cannot overwrite {name}: {error.strerror}; name another file with --out"
            raise RunFileError(msg) from error


def open_segment(path: Path, writer: Writer, uid: str, info: Mapping[str, object]) -> bool:
    """Enter a segment for this process, unless a live process already samples: then False.

    Raises RunFileError where the file cannot be written.
    """
    try:
        connection = schema.connect(path)
        try:
            connection.execute("BEGIN IMMEDIATE")
            running = connection.execute("SELECT process FROM segment WHERE t1_ns IS NULL").fetchall()
            if any(identity.is_alive(process) for (process,) in running if process != writer.uid):
                connection.execute("ROLLBACK")
                return False
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("ROLLBACK")
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("BEGIN IMMEDIATE")
            row = (uid, writer.uid, writer.boot, time.monotonic_ns(), None, time.time_ns(), json.dumps(info))
            connection.execute("INSERT INTO segment VALUES(?,?,?,?,?,?,?)", row)
            connection.execute("COMMIT")
        finally:
            connection.close()
    except sqlite3.Error as error:
        msg = f"cannot write the run file {path}: {error}; name another file with --out"
        raise RunFileError(msg) from error
    return True


def is_run_file(path: Path) -> bool:
    """Whether `path` bears the mark of a run file: bytes 68 to 71 of an SQLite header."""
    try:
        with path.open("rb") as file:
            header = file.read(72)
    except OSError:
        return False
    return header[:16] == b"SQLite format 3\0" and header[68:72] == schema.APPLICATION_ID.to_bytes(4, "big")


def recorder_of(path: Path) -> int | None:
    """The pid of the live process that samples into `path`, or None."""
    try:
        connection = schema.connect(path)
        try:
            running = connection.execute("SELECT process FROM segment WHERE t1_ns IS NULL").fetchall()
        finally:
            connection.close()
    except sqlite3.Error:
        return None
    return next((int(uid.split(":")[1]) for (uid,) in running if identity.is_alive(uid)), None)


def _version(path: Path) -> int:
    """The schema's version: 0 for a file that was cut off before it had any tables."""
    if not path.stat().st_size:
        return 0
    try:
        connection = schema.connect(path)
        try:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])
        finally:
            connection.close()
    except sqlite3.Error as error:
        msg = f"cannot write {path}: {error}; name another file with --out"
        raise RunFileError(msg) from error
