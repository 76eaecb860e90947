"""Who may write to a run file, and what is said to the others."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from greengen.errors import RunFileError
from greengen.recording import identity, reader, runfile, schema
from greengen.recording.writer import Writer
from tests.unit import unprivileged


def claim(path: Path, *, force: bool = False, append: bool = False, join: bool = False) -> bool:
    with runfile.locked(path.parent):
        return runfile.claim(path, force=force, append=append, join=join)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run file of a recording that is over."""
    path = tmp_path / "a.greengen"
    assert claim(path)
    writer = Writer(path, "recorder")
    assert runfile.open_segment(path, writer, "s1", {"n": 1})
    writer.close(final=[("UPDATE segment SET t1_ns=? WHERE uid=?", (time.monotonic_ns(), "s1"))])
    return path


@contextmanager
def recorded_by_another(path: Path) -> Iterator[int]:
    """The pid of a live process that records into `path`."""
    program = (
        "import sys; from pathlib import Path\n"
        "from greengen.recording import runfile\nfrom greengen.recording.writer import Writer\n"
        "p = Path(sys.argv[1]); runfile.claim(p, force=False, append=True); w = Writer(p, 'recorder')\n"
        "assert runfile.open_segment(p, w, 'other', {})\nprint('ready', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process.pid
    finally:
        process.stdin.close()
        process.stdout.close()
        assert process.wait(10) == 0


# -- claim -------------------------------------------------------------------------------------------


def test_a_new_file_is_created_in_wal_mode(tmp_path: Path) -> None:
    path = tmp_path / "with ? # % 'odd\" ✓.greengen"
    assert claim(path)
    assert runfile.is_run_file(path)
    with closing(schema.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
    assert reader.read(path).timelines == []


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.greengen")
    assert claim(path)
    assert reader.read(path).timelines == []


def test_an_existing_run_is_refused_appended_to_or_overwritten(run: Path) -> None:
    with pytest.raises(RunFileError, match=r"a\.greengen exists: pass --force"):
        claim(run)
    assert not claim(run, append=True)
    assert len(reader.read(run).timelines[0].segments) == 1
    assert claim(run, force=True)
    assert reader.read(run).timelines == []


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("what", ["text", "sqlite", "directory", "fifo", "device"])
def test_what_is_no_run_file_is_never_overwritten(tmp_path: Path, what: str, *, force: bool) -> None:
    path = tmp_path / "x"
    if what == "text":
        path.write_text("my thesis")
    elif what == "sqlite":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE t(a)")
    elif what == "directory":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/null")
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(RunFileError, match="is not a run file: it is not overwritten"):
        claim(path, force=force, append=force)
    assert path.exists()
    assert (path.read_bytes() if path.is_file() else b"") == before


@pytest.mark.parametrize("left", ["nothing", "mark"])
def test_a_file_cut_off_at_its_creation_is_made_anew(tmp_path: Path, left: str) -> None:
    path = tmp_path / "a.greengen"
    path.touch()
    if left == "mark":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA application_id={schema.APPLICATION_ID}")
    assert claim(path)
    assert reader.read(path).timelines == []


def test_a_newer_file_is_refused(run: Path) -> None:
    with closing(sqlite3.connect(run)) as connection:
        connection.execute(f"PRAGMA user_version={schema.VERSION + 1}")
    for options in ({}, {"force": True}, {"append": True}):
        with pytest.raises(RunFileError, match=r"newer greengen .*pip install -U greengen"):
            claim(run, **options)


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunFileError, match=r"there is no directory .*nowhere; create it"):
        claim(tmp_path / "nowhere" / "a.greengen")
    (tmp_path / "file").touch()
    with pytest.raises(RunFileError, match="there is no directory"):
        claim(tmp_path / "file" / "a.greengen")


def test_a_truncated_run_file_is_told(run: Path) -> None:
    run.write_bytes(run.read_bytes()[:80])
    with pytest.raises(RunFileError, match="cannot write"):
        claim(run, append=True)


def test_a_damaged_uid_is_nobody() -> None:
    for uid in ("", "x", "a:b:c", f"{identity.boot_id()}:x:1", f"{identity.boot_id()}:{os.getpid()}:x"):
        assert not identity.is_alive(uid)
    assert identity.is_alive(identity.process_uid())
    assert not identity.is_alive(identity.process_uid().replace(identity.boot_id(), "0" * 16))


# -- another process records -------------------------------------------------------------------------


def test_a_file_that_is_being_recorded_is_joined_or_refused(run: Path) -> None:
    with recorded_by_another(run) as pid:
        assert runfile.recorder_of(run) == pid
        for force in (False, True):
            assert not claim(run, force=force, join=True)
            with pytest.raises(RunFileError, match=f"being recorded by process {pid}: stop that"):
                claim(run, force=force)
        writer = Writer(run, "recorder")
        assert not runfile.open_segment(run, writer, "s2", {})
    # It left without a word: its segment stays open, and it is no recorder any more.
    assert runfile.recorder_of(run) is None
    assert not claim(run, append=True)
    assert runfile.open_segment(run, writer, "s2", {})
    assert {s.uid: s.t1_ns is None for s in reader.read(run).timelines[0].segments} == {
        "s1": False,
        "other": True,
        "s2": True,
    }


def test_a_process_does_not_wait_for_itself(run: Path) -> None:
    """Its last segment could not be closed, because the disk was full."""
    writer = Writer(run, "recorder")
    assert runfile.open_segment(run, writer, "s2", {})
    assert runfile.open_segment(run, writer, "s3", {})


@pytest.mark.parametrize("before", ["nothing", "old run"])
def test_of_four_that_create_it_at_once_one_samples(tmp_path: Path, before: str) -> None:
    path = tmp_path / "a.greengen"
    if before == "old run":
        claim(path)
    program = (
        "import sys, time; from pathlib import Path\n"
        "from greengen.recording.profiler import Options, Profiler\n"
        "while time.time() < float(sys.argv[2]): pass\n"
        "p = Profiler(Path(sys.argv[1]), Options(collectors=('procfs',))); p.start(force=True)\n"
        "print(int(p.joined), flush=True); sys.stdin.read(); p.stop()"
    )
    start = str(time.time() + 1.0)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path), start], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    joined = [process.stdout.readline().strip() for process in processes]  # type: ignore[union-attr]
    for process in processes:
        process.communicate()
    assert sorted(joined) == ["0", "1", "1", "1"]
    assert [process.returncode for process in processes] == [0] * 4
    [line] = reader.read(path).timelines
    assert len(line.segments) == 1
    assert line.segments[0].t1_ns is not None
    assert sorted(child.name for child in tmp_path.iterdir()) == [path.name]


def test_a_child_forked_while_a_directory_is_locked_does_not_keep_it(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with runfile.locked(tmp_path):
        pid = os.fork()
        if not pid:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
    program = "import sys; from pathlib import Path; from greengen.recording import runfile\n"
    program += "with runfile.locked(Path(sys.argv[1])): print('mine')"
    try:
        line = [sys.executable, "-c", program, str(tmp_path)]
        assert subprocess.run(line, capture_output=True, timeout=20, check=True).stdout == b"mine\n"
    finally:
        os.close(writing)
        os.close(reading)
        os.waitpid(pid, 0)


def test_an_unnamed_run_takes_a_name_that_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda _: "greengen-now")
    names = []
    for _ in range(3):
        path = runfile.unused(tmp_path)
        path.touch()
        names.append(path.name)
    assert names == ["greengen-now.greengen", "greengen-now-2.greengen", "greengen-now-3.greengen"]


# -- where a log cannot be kept ------------------------------------------------------------------------


def mounts(tmp_path: Path, *lines: str) -> Path:
    table = tmp_path / "mounts"
    table.write_text("".join(f"{line}\n" for line in lines))
    return table


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "lustre", "virtiofs"])
def test_a_network_file_system_is_refused(tmp_path: Path, kind: str) -> None:
    table = mounts(tmp_path, "/dev/sda1 / ext4 rw 0 0", f"server:/x {tmp_path} {kind} rw 0 0")
    with pytest.raises(RunFileError, match=rf"lies on a {kind} file system.*name a file on a local disk"):
        schema.refuse_network_file_system(tmp_path / "a.greengen", table)


def test_the_innermost_and_latest_mount_counts(tmp_path: Path) -> None:
    inner = tmp_path / "a b"
    inner.mkdir()
    table = mounts(
        tmp_path,
        "server:/ / nfs4 rw 0 0",
        f"none {tmp_path} autofs rw 0 0",
        f"/dev/sda1 {tmp_path} ext4 rw 0 0",
        f"tmpfs {tmp_path}/a\\040b tmpfs rw 0 0",
        "",
        "half",
    )
    assert schema.file_system(tmp_path / "x", table) == "ext4"
    assert schema.file_system(inner / "x", table) == "tmpfs"
    assert schema.file_system(Path("/x"), table) == "nfs4"
    assert schema.file_system(tmp_path / "x", tmp_path / "no table") == ""
    link = tmp_path / "link"
    link.symlink_to("/usr/x.greengen")
    assert schema.file_system(link, table) == "nfs4"


def test_here_it_can_be_told() -> None:
    assert schema.file_system(Path.cwd() / "x")


# -- permissions ---------------------------------------------------------------------------------------


def unprivileged_claim(path: Path, how: str) -> str:
    """What recording to `path` says to a process to which permissions apply."""
    program = (
        "import sys; from pathlib import Path\n"
        "from greengen.errors import GreengenError\nfrom greengen.recording.profiler import Options, Profiler\n"
        "p = Profiler(Path(sys.argv[1]), Options(collectors=('procfs',)))\n"
        "try: p.start(force=sys.argv[2] == 'force', append=sys.argv[2] == 'append')\n"
        "except GreengenError as e: print(e)\n"
        "else: p.stop(); print('recorded')"
    )
    command = [*unprivileged.PREFIX, sys.executable, "-c", program, str(path), how]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@unprivileged.needed
def test_a_directory_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        said = unprivileged_claim(tmp_path / "a.greengen", "")
    finally:
        tmp_path.chmod(0o755)
    assert said == f"cannot write {tmp_path}/a.greengen: Permission denied; name another file with --out"
    assert list(tmp_path.iterdir()) == []


@unprivileged.needed
@pytest.mark.parametrize(
    ("how", "directory", "said"),
    [
        ("append", 0o755, "cannot write the run file"),
        ("force", 0o555, "cannot overwrite"),
        ("force", 0o755, "recorded"),  # whoever may delete a file may make another
    ],
)
def test_a_file_that_may_not_be_written(run: Path, how: str, directory: int, said: str) -> None:
    before = run.read_bytes()
    run.chmod(0o444)
    run.parent.chmod(directory)
    try:
        assert unprivileged_claim(run, how).startswith(said)
    finally:
        run.parent.chmod(0o755)
    assert (run.read_bytes() == before) == (said != "recorded")
