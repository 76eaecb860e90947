"""Who may write to a run file: the first process creates it and samples, others join, nobody overwrites by chance."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path

from greengen.errors import RunFileError
from greengen.recording import identity, schema
from greengen.recording.writer import Writer

#: How long a process waits for another one that is just laying the file down.
_CREATION_S = 5.0


def claim(path: Path, *, force: bool, append: bool) -> bool:
    """Make `path` a run file that this process may write to; True where it was created.

    An existing run file is refused without `force` (overwrite) or `append` (another segment), but
    for one that is being recorded at this moment: that one is joined. A file that is no run file is
    never overwritten. Raises RunFileError.
    """
    if not path.parent.is_dir():
        msg = f"cannot write {path}: there is no directory {path.parent}; create it or name another file with --out"
        raise RunFileError(msg)
    schema.refuse_network_file_system(path)
    if path.exists() and not _is_being_created(path):
        if not is_run_file(path):
            msg = f"{path} exists and is not a run file: it is not overwritten; name another file with --out"
            raise RunFileError(msg)
        _wait_for_tables(path)
        sampling = recorder_of(path)
        if append or (sampling and not force):
            return False
        if sampling:
            msg = f"{path} is being recorded by process {sampling}: stop that, or name another file with --out"
            raise RunFileError(msg)
        if not force:
            msg = f"{path} exists: pass --force (force=True) to overwrite it, or name another file with --out"
            raise RunFileError(msg)
        remove(path)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        _wait_for_tables(path)
        return False
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
            if any(identity.is_alive(process) for (process,) in running):
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


def _is_being_created(path: Path) -> bool:
    """An empty file: another process is about to lay down the tables, or was killed at it."""
    return path.is_file() and path.stat().st_size == 0


def _wait_for_tables(path: Path) -> None:
    """Another process may be laying the file down at this moment."""
    deadline = time.monotonic() + _CREATION_S
    while True:
        try:
            connection = schema.connect(path)
            try:
                version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            finally:
                connection.close()
        except sqlite3.Error as error:
            msg = f"cannot write {path}: {error}; name another file with --out"
            raise RunFileError(msg) from error
        if version > schema.VERSION:
            raise RunFileError(schema.newer(path, version))
        if version:
            return
        if time.monotonic() > deadline:
            msg = f"{path} is empty, and no process is writing it: delete it, or name another file with --out"
            raise RunFileError(msg)
        time.sleep(0.01)
