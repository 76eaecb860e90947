"""Reading a run file: while it is written, after a kill, damaged, or made by a stranger. Nothing of it is changed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path

import pytest

import greengen
from greengen.collector import Domain, Event, Sample, Unavailable
from greengen.errors import RunFileError
from greengen.recording import reader, runfile, schema
from greengen.recording.writer import Writer
from greengen.rows import Rows
from tests.unit import unprivileged
from tests.unit.recordings import recording

#: Writes transaction n: event n and reading n, so that a reader can tell whether it saw all of it.
WRITE = """
import sys, time
from pathlib import Path
from greengen.collector import Event, Sample
from greengen.recording.writer import Writer
writer = Writer(Path(sys.argv[1]), "recorder")
for n in range(1, int(sys.argv[2])):
    writer.event(Event(n, "gap", "x" * 500, ""))
    writer.readings.add([Sample("a", n, float(n * n))])
    assert writer.flush(), writer.trouble
    time.sleep(0.001)
    if n == 1:
        # Started over often: the moments at which a copy may go wrong.
        writer.store._connection.execute("PRAGMA wal_autocheckpoint=40")
        print("ready", flush=True)
time.sleep(float(sys.argv[3]))
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run file that stands alone, with a row of everything."""
    path = tmp_path / "a.greengen"
    with recording(path) as rec:
        writer = rec.writer
        assert runfile.open_segment(path, writer, "s", {"own_process": False})
        domain = {"uid": "d", "collector": "c", "kind": "package", "name": "D", "contains": ["e"]}
        writer.put("INSERT INTO domain VALUES(?,?,?)", writer.boot, "d", json.dumps(domain))
        writer.put("INSERT INTO host VALUES(?,?,?)", writer.boot, "box", json.dumps({"platform": "p"}))
        writer.put("INSERT INTO unavailable VALUES(?,?,?,?)", writer.boot, "i", "why", "how")
        writer.event(Event(5, "gap", "d", "r"))
        writer.readings.add([Sample("d", 1, 1.0), Sample("d", 2, 9.0)])
        with greengen.request(model="m", tenant="t") as req:
            req.tokens(1, 2)
    return path


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def snapshot(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


# -- what is read ------------------------------------------------------------------------------------


def test_everything_is_read(run: Path) -> None:
    before = snapshot(run.parent)
    [line] = reader.read(run).timelines
    assert (line.hostname, line.info) == ("box", {"platform": "p"})
    assert line.domains == [Domain("d", "c", "package", "D", contains=("e",))]
    assert line.unavailable == [Unavailable("i", "why", "how")]
    assert line.events == [Event(5, "gap", "d", "r")]
    assert line.samples["d"].values == [1.0, 9.0]
    [segment] = line.segments
    assert (segment.uid, segment.t1_ns, segment.info) == ("s", None, {"own_process": False})
    [span] = line.spans
    assert (span.kind, span.model, span.input_tokens, span.output_tokens) == ("request", "m", 1, 2)
    assert span.labels == {"tenant": "t"}
    assert span.process == line.processes[0].uid
    assert snapshot(run.parent) == before


def test_keys_that_a_newer_version_added_to_a_domain_are_left_aside(run: Path) -> None:
    change(run, """UPDATE domain SET body = json_set(body, '$.colour', 'green', '$.nested', json('{"a":1}'))""")
    assert reader.read(run).timelines[0].domains == [Domain("d", "c", "package", "D", contains=("e",))]


def test_tables_and_columns_that_a_newer_version_added_are_left_aside(run: Path) -> None:
    before = reader.read(run)
    change(run, "CREATE TABLE colour(a)", "ALTER TABLE span ADD COLUMN colour TEXT DEFAULT 'green'")
    assert reader.read(run) == before


# -- while it is written -----------------------------------------------------------------------------


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A run file that another process writes to as fast as it can."""
    path = tmp_path / "live.greengen"
    runfile.claim(path, force=False, append=False)
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(path), "1000000", "0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield path, process
    process.kill()
    process.stdout.close()
    process.wait()


def check_prefix(rows: Rows) -> int:
    """Whole transactions from the first on: how many."""
    [line] = rows.timelines
    count = len(line.events)
    assert [event.t_ns for event in line.events] == list(range(1, count + 1))
    assert line.samples["a"].values == [float(n * n) for n in range(1, count + 1)]
    return count


def test_a_live_file_is_read_whole(live: tuple[Path, subprocess.Popen[str]]) -> None:
    path, _ = live
    seen = [check_prefix(reader.read(path)) for _ in range(25)]
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]


def test_a_log_that_is_started_over_while_it_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File and log of two generations do not belong together: the copy is made again."""
    path = tmp_path / "a.greengen"
    runfile.claim(path, force=False, append=False)
    idle = subprocess.Popen([sys.executable, "-c", WRITE, str(path), "5", "60"], stdout=subprocess.PIPE, text=True)
    assert idle.stdout is not None
    idle.stdout.readline()
    deadline = time.monotonic() + 20
    while check_prefix(reader.read(path)) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    boot = reader.read(path).timelines[0].boot_id
    program = (
        "import sys; from pathlib import Path; from greengen.recording import schema\n"
        "c = schema.connect(Path(sys.argv[1])); first = int(sys.argv[2])\n"
        "for n in (first, first + 1):\n"
        "    c.execute('BEGIN'); c.execute('INSERT INTO event VALUES(?,?,?,?,?)', (sys.argv[3], n, 'gap', 'x', ''))\n"
        "    c.execute('INSERT INTO point SELECT id, ?, ?, 1 FROM series', (n, n * n)); c.execute('COMMIT')\n"
        "    assert c.execute('PRAGMA wal_checkpoint(RESTART)').fetchone()[0] == 0"
    )
    real = shutil.copyfile
    interfered: list[int] = []

    def copyfile(source: Path, target: Path) -> None:
        real(source, target)
        if source == path and len(interfered) < 3:
            first = 5 + 2 * len(interfered)
            interfered.append(first)
            subprocess.run([sys.executable, "-c", program, str(path), str(first), boot], check=True)

    try:
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "copyfile", copyfile)
            assert check_prefix(reader.read(path)) == 10
            assert len(interfered) == 3
    finally:
        idle.kill()
        idle.stdout.close()
        idle.wait()


def test_a_writer_that_comes_and_goes_while_a_file_is_copied(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves no log behind, and what it wrote may be in one half of the copy."""
    change(run, "PRAGMA journal_mode=WAL")
    assert not Path(f"{run}-wal").exists()
    program = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('DELETE FROM event'); c.commit()"
    real, copies = shutil.copyfile, []

    def copyfile(source: Path, target: Path) -> None:
        real(source, target)
        copies.append(source)
        if copies == [run]:
            subprocess.run([sys.executable, "-c", program, str(run)], check=True)

    monkeypatch.setattr(shutil, "copyfile", copyfile)
    assert reader.read(run).timelines[0].events == []
    assert copies == [run, run]


def test_a_file_whose_writer_was_killed(live: tuple[Path, subprocess.Popen[str]]) -> None:
    path, process = live
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = snapshot(path.parent)
    assert f"{path.name}-wal" in before
    assert check_prefix(reader.read(path)) > 1
    assert snapshot(path.parent) == before


def test_the_log_counts(tmp_path: Path) -> None:
    """What was committed is in the log, and nothing of it in the file."""
    path, rows = tmp_path / "a.greengen", 40
    runfile.claim(path, force=False, append=False)
    program = WRITE.replace("PRAGMA wal_autocheckpoint=40", "PRAGMA wal_autocheckpoint=0")
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path), str(rows), "60"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    deadline = time.monotonic() + 20
    while check_prefix(reader.read(path)) < rows - 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.stdout.close()
    process.wait()
    assert check_prefix(reader.read(path)) == rows - 1
    # The main file copied away without its log: what it holds, or that it holds nothing; not a crash.
    alone = tmp_path / "alone" / "b.greengen"
    alone.parent.mkdir()
    shutil.copy(path, alone)
    assert reader.read(alone).timelines == []
    assert [child.name for child in alone.parent.iterdir()] == [alone.name]


def test_a_file_cut_off_at_its_creation(tmp_path: Path) -> None:
    path = tmp_path / "a.greengen"
    change(path, f"PRAGMA application_id={schema.APPLICATION_ID}")
    with pytest.raises(RunFileError, match="holds no recording: it was cut off before the first reading"):
        reader.read(path)


def test_a_file_with_a_hot_journal(run: Path, tmp_path: Path) -> None:
    """A process was killed in a transaction of the other kind, as when the log is folded into the file."""
    before = reader.read(run)
    hot = tmp_path / "hot.greengen"
    with closing(sqlite3.connect(run, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size=1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE event SET reason='half done'")
        connection.execute("CREATE TABLE filler AS SELECT randomblob(200000)")
        shutil.copy(f"{run}-journal", f"{hot}-journal")
        shutil.copy(run, hot)
        connection.execute("ROLLBACK")
    files = snapshot(tmp_path)
    assert files["hot.greengen"] != files["a.greengen"]
    assert reader.read(hot) == before
    assert snapshot(tmp_path) == files


@unprivileged.needed
def test_on_a_read_only_disk(run: Path, tmp_path: Path) -> None:
    """Closed properly, and in WAL mode with and without its log: no file can be made beside it."""
    program = (
        "import sys; from pathlib import Path; from greengen.recording import reader\n"
        "for name in sys.argv[1:]: print(len(reader.read(Path(name)).timelines[0].spans))"
    )
    places = [tmp_path / name for name in ("closed", "wal", "log")]
    for place in places:
        place.mkdir()
        shutil.copy(run, place / "a.greengen")
    change(places[1] / "a.greengen", "PRAGMA journal_mode=WAL")
    with closing(schema.connect(places[2] / "a.greengen")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(
            "INSERT INTO span SELECT process, seq + 1, parent, kind, t0_ns, t1_ns, model, tier, name, "
            "trace_id, input_tokens, output_tokens, outcome, flags, labels, cached_tokens, phases, devices, requests "
            "FROM span"
        )
        for file in (places[2] / "a.greengen", places[2] / "a.greengen-wal"):
            shutil.copy(file, tmp_path)
    shutil.rmtree(places[2])
    places[2].mkdir()
    for name in ("a.greengen", "a.greengen-wal"):
        shutil.move(tmp_path / name, places[2])
    for place in places:
        for file in place.iterdir():
            file.chmod(0o444)
        place.chmod(0o555)
    before = [snapshot(place) for place in places]
    try:
        files = [str(place / "a.greengen") for place in places]
        command = [*unprivileged.PREFIX, sys.executable, "-c", program, *files]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    finally:
        for place in places:
            place.chmod(0o755)
    assert said == ["1", "1", "2"]
    assert [snapshot(place) for place in places] == before


@unprivileged.needed
def test_a_file_that_may_not_be_read_is_told(run: Path) -> None:
    run.chmod(0)
    program = (
        "import sys; from pathlib import Path; from greengen.recording import reader\n"
        "from greengen.errors import RunFileError\n"
        "try: reader.read(Path(sys.argv[1]))\nexcept RunFileError as e: print(e)"
    )
    command = [*unprivileged.PREFIX, sys.executable, "-c", program, str(run)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert said == f"cannot read {run}: Permission denied"


def test_a_full_temporary_directory_is_told(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    change(run, "PRAGMA journal_mode=WAL")
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(RunFileError, match="No space left on device"):
        reader.read(run)


def test_no_copy_is_left_behind(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    change(run, "PRAGMA journal_mode=WAL")
    reader.read(run)
    change(run, "UPDATE domain SET body='{'")
    with pytest.raises(RunFileError):
        reader.read(run)
    assert list(place.iterdir()) == []


# -- what is no run file -------------------------------------------------------------------------------


def test_a_newer_file_is_refused_with_the_remedy(run: Path) -> None:
    change(run, f"PRAGMA user_version={schema.VERSION + 1}")
    with pytest.raises(RunFileError, match=r"newer greengen \(schema \d+, this one reads \d+\): upgrade with"):
        reader.read(run)


@pytest.mark.parametrize("what", ["absent", "empty", "text", "sqlite", "directory", "fifo", "device"])
def test_what_is_no_run_file(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x"
    if what in ("empty", "text"):
        path.write_text("" if what == "empty" else "SQLite format 3\0 or so")
    elif what == "sqlite":
        change(path, "CREATE TABLE span(a)")
    elif what == "directory":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "device":
        path = Path("/dev/zero")
    with pytest.raises(
        RunFileError, match="there is no run file" if what == "absent" else "is not a greengen run file"
    ):
        reader.read(path)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW v AS SELECT * FROM span",
        "CREATE TRIGGER t AFTER INSERT ON span BEGIN DELETE FROM span; END",
        "CREATE VIRTUAL TABLE v USING fts5(a)",
        # A view in a table's place.
        "ALTER TABLE event RENAME TO e; CREATE VIEW event AS SELECT * FROM e",
    ],
)
def test_what_would_run_is_refused(run: Path, statement: str) -> None:
    change(run, *statement.split("; ") if "RENAME" in statement else (statement,))
    with pytest.raises(RunFileError, match="which greengen never writes"):
        reader.read(run)


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE span",
        "UPDATE domain SET body='no json'",
        "UPDATE domain SET body='[1]'",
        "UPDATE domain SET body='{}'",
        "UPDATE domain SET body=json_set(body, '$.gain', 'much')",
        "UPDATE domain SET body=json_set(body, '$.uid', 5)",
        "UPDATE domain SET body=json_set(body, '$.contains', 5)",
        "UPDATE meta SET value='{' WHERE 1",
        "INSERT INTO meta VALUES('deep', replace(hex(zeroblob(50000)), '0', '['))",
        "UPDATE host SET hostname=x'ff'",
        "UPDATE host SET info='5'",
        "UPDATE segment SET t0_ns='soon'",
        "UPDATE process SET pid='me'",
        "UPDATE process SET uid=x'00'",
        "DELETE FROM process",
        "UPDATE point SET value=9e999",
        "UPDATE point SET value='much'",
        "UPDATE point SET t_ns='soon' WHERE t_ns=1",
        "UPDATE series SET window_s='wide'",
        "UPDATE span SET flags=x'00'",
        "UPDATE span SET model=x'00'",
        "UPDATE span SET labels='[5]'",
        "UPDATE span SET labels='5'",
        "UPDATE span SET t1_ns='late'",
        "UPDATE event SET reason=CAST(x'ff' AS TEXT)",
        "UPDATE unavailable SET remedy=x'00'",
    ],
)
def test_values_that_greengen_never_writes(run: Path, statement: str) -> None:
    change(run, "INSERT INTO meta VALUES('a', '1')", statement)
    with pytest.raises(RunFileError, match="is damaged: "):
        reader.read(run)


def test_truncated_anywhere(run: Path) -> None:
    whole = run.read_bytes()
    random.seed(1)
    for size in [0, 1, 71, 72, 99, 100, 4096, *random.sample(range(len(whole)), 40)]:
        run.write_bytes(whole[:size])
        with pytest.raises(RunFileError):
            reader.read(run)


def test_random_bytes(run: Path) -> None:
    """It is told or it is read, whatever a bit does: no other error, and no change to the file."""
    whole = run.read_bytes()
    random.seed(2)
    told = 0
    for _ in range(150):
        bad = bytearray(whole)
        start = random.randrange(100, len(bad) - 64)
        bad[start : start + random.choice([1, 8, 64])] = random.randbytes(random.choice([1, 8, 64]))
        run.write_bytes(bad)
        try:
            reader.read(run)
        except RunFileError:
            told += 1
        assert run.read_bytes() == bad
    assert told
    for _ in range(20):
        run.write_bytes(whole[:100] + random.randbytes(5000))
        with pytest.raises(RunFileError):
            reader.read(run)


def test_a_log_of_random_bytes_is_left_aside(run: Path) -> None:
    before = reader.read(run)
    random.seed(3)
    for size in (0, 10, 32, 5000):
        Path(f"{run}-wal").write_bytes(random.randbytes(size))
        assert reader.read(run) == before


def test_what_holds_is_held_while_the_file_is_open(run: Path) -> None:
    held = Writer(run, "spans")
    with nullcontext(), held.disconnected(), pytest.raises(RunFileError):
        reader.read(run.with_name("absent"))
    assert reader.read(run, held.disconnected()) == reader.read(run)
    assert not held._flush_lock.locked()
