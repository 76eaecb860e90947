"""The writer: what it buffers, what a refusing disk does to it, and that forks and readers leave its file alone."""

from __future__ import annotations

import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import greengen
from greengen.collector import Event, Sample, Usage
from greengen.recording import active, reader, runfile, schema
from greengen.recording import writer as writer_module
from greengen.recording.readings import Readings
from greengen.recording.sampler import Sampler
from greengen.recording.writer import FLUSH_S, Writer
from greengen.rows import Rows, Timeline
from tests.unit.recordings import Recording, recording


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "r.greengen"
    runfile.claim(made, force=False, append=False)
    return made


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    made = Writer(path, "recorder", busy_s=0.05)
    yield made
    made.close()


def rows_of(writer: Writer) -> Rows:
    return reader.read(writer.path, writer.disconnected())


def timeline(writer: Writer) -> Timeline:
    """The only one. Through the writer, for a process that writes to a file must not open it besides."""
    [found] = rows_of(writer).timelines
    return found


def span(name: str) -> greengen.Span:
    return greengen.span("work", name=name)


@contextmanager
def recording_to(writer: Writer) -> Iterator[None]:
    """Spans go to `writer`, which is flushed by hand."""
    active.STATE.writer, writer.running = writer, True
    try:
        yield
    finally:
        active.STATE.writer, writer.running = None, False


class Refusing:
    """Another process that holds the file's write lock."""

    def __init__(self, path: Path) -> None:
        self.connection = schema.connect(path)

    def __enter__(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, *_: object) -> None:
        self.connection.execute("ROLLBACK")
        self.connection.close()


# -- what is written -------------------------------------------------------------------------------


def test_readings_of_all_kinds(path: Path, writer: Writer) -> None:
    writer.readings.add([Sample("a", 1, 5.0), Sample("b", 1, 7.5, "power", 0.02), Usage("cpu", "machine", 1, 3)])
    writer.readings.add([Sample("a", 9, 5.5), Usage("cpu", "machine", 9, 4)])
    writer.event(Event(4, "wrap", "a", "why"))
    assert writer.flush()
    line = timeline(writer)
    assert (line.samples["a"].t_ns, line.samples["a"].values) == ([1, 9], [5.0, 5.5])
    assert line.samples["a"].spacing_ns == [0, 8]
    assert (line.samples["b"].t_ns, line.samples["b"].window_s) == ([1], 0.02)
    assert line.usage[("cpu", "machine")].values == [3.0, 4.0]
    assert line.events == [Event(4, "wrap", "a", "why")]
    [process] = line.processes
    assert (process.uid, process.pid, process.role, process.closed) == (writer.uid, os.getpid(), "recorder", False)


def test_nothing_to_write_writes_nothing(path: Path, writer: Writer) -> None:
    writer.event(Event(1, "gap", "a", "b"))
    assert writer.flush()
    before = timeline(writer).processes
    assert writer.flush()
    assert timeline(writer).processes == before


def test_an_open_span_keeps_its_process_in_sight(path: Path, writer: Writer) -> None:
    active.STATE.writer = writer
    try:
        with span("open"):
            writer.flush()
            [first] = timeline(writer).processes
            writer.flush()
            [second] = timeline(writer).processes
    finally:
        active.STATE.writer = None
    assert second.last_seen_ns > first.last_seen_ns


def test_close_leaves_the_file_alone(path: Path) -> None:
    made = Writer(path, "recorder")
    made.put("INSERT INTO meta VALUES(?,?)", "a", '"b"')
    made.close(final=[("INSERT INTO meta VALUES(?,?)", ("c", "5"))])
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    rows = reader.read(path)
    assert rows.meta == {"a": "b", "c": 5}
    assert rows.timelines[0].processes[0].closed


def test_the_last_to_leave_closes_the_file(path: Path) -> None:
    first, second = Writer(path, "recorder"), _other_process(path)
    try:
        first.event(Event(1, "gap", "first", ""))
        first.close()
        assert path.with_name("r.greengen-wal").exists()
    finally:
        second.stdin.close()  # type: ignore[union-attr]
        assert second.wait(10) == 0
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert {event.subject for event in timeline(first).events} == {"first", "second"}


def _other_process(path: Path) -> subprocess.Popen[str]:
    """Another process that has written, and has the file open until its stdin is closed."""
    program = (
        "import sys; from pathlib import Path; from greengen.collector import Event\n"
        "from greengen.recording.writer import Writer\n"
        "w = Writer(Path(sys.argv[1]), 'spans'); w.event(Event(1, 'gap', 'second', '')); w.flush()\n"
        "print('ready', flush=True); sys.stdin.read(); w.close()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdout.close()
    return process


# -- the thread ------------------------------------------------------------------------------------


def test_the_thread_ticks_first_at_intervals_and_last(path: Path) -> None:
    made, ticks = Writer(path, "recorder"), []
    made.tick, made.tick_s = lambda: ticks.append(threading.current_thread().name), 0.01
    assert made.ensure_running()
    assert ticks[0] == "greengen-writer"
    deadline = time.monotonic() + 10
    while len(ticks) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    before = len(ticks)
    assert before >= 5
    made.tick_s = 1e6
    made.close()
    assert set(ticks) == {"greengen-writer"}
    assert len(ticks) > before


def test_the_thread_flushes_by_itself(path: Path) -> None:
    with_thread = Writer(path, "spans")
    with_thread.event(Event(1, "gap", "a", ""))
    assert with_thread.ensure_running()
    deadline = time.monotonic() + 10
    try:
        while not rows_of(with_thread).timelines and time.monotonic() < deadline:
            time.sleep(0.05)
        assert timeline(with_thread).events
    finally:
        with_thread.close()


def test_a_halted_writer_starts_no_thread(path: Path) -> None:
    made = Writer(path, "spans")
    made.close()
    made.ensure_running()
    assert "greengen-writer" not in {thread.name for thread in threading.enumerate()}


def test_no_thread_can_be_started(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")  # noqa: EM101, TRY003

    made = Writer(path, "spans")
    active.STATE.writer = made
    try:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with span("a"), span("b"):
                pass
    finally:
        active.STATE.writer = None
    made.close()
    assert [row.name for row in timeline(made).spans] == ["a", "b"]


def test_readings_while_another_thread_flushes(path: Path, writer: Writer) -> None:
    count, stop = 0, threading.Event()

    def flush() -> None:
        while not stop.is_set():
            writer.flush()

    flusher = threading.Thread(target=flush)
    flusher.start()
    for count in range(1, 3001):
        # No two of them on a line with a third: none may be thinned away.
        writer.readings.add([Sample("a", count * 10, float(count**2)), Sample("b", count * 10, float(-(count**2)))])
    stop.set()
    flusher.join()
    assert writer.flush()
    assert timeline(writer).samples["a"].values == [float(n**2) for n in range(1, count + 1)]
    assert timeline(writer).samples["b"].values == [-float(n**2) for n in range(1, count + 1)]


# -- a disk that refuses -----------------------------------------------------------------------------


def test_what_is_refused_waits(path: Path, writer: Writer) -> None:
    writer.readings.add([Sample("a", 1, 1.0)])
    with recording_to(writer), Refusing(path):
        with span("a"):
            writer.readings.add([Sample("a", 2, 5.0)])
            assert not writer.flush()
        writer.event(Event(1, "gap", "e", ""))
        assert not writer.flush()
        assert "locked" in writer.trouble
    writer.readings.add([Sample("a", 3, 0.0)])
    assert writer.flush()
    assert (writer.trouble, writer.lost_rows) == ("", 0)
    line = timeline(writer)
    assert line.samples["a"].values == [1.0, 5.0, 0.0]
    assert [(row.name, row.t1_ns is not None) for row in line.spans] == [("a", True)]
    assert [event.subject for event in line.events] == ["e"]


def test_a_series_that_was_new_in_a_refused_transaction(path: Path, writer: Writer) -> None:
    """Another process may take the number that a rolled-back series had."""
    writer.readings.add([Sample("a", 1, 1.0)])
    writer.put("INSERT INTO nowhere VALUES(1)")
    assert not writer.flush()
    with closing(schema.connect(path)) as connection:
        connection.execute("INSERT INTO series(boot, kind, subject, consumer, window_s) VALUES('x','energy','y','',0)")
    writer._rows.clear()
    writer.readings.add([Sample("a", 2, 2.0)])
    assert writer.flush()
    by_boot = {line.boot_id: line for line in rows_of(writer).timelines}
    assert by_boot[writer.boot].samples["a"].values == [1.0, 2.0]
    assert by_boot["x"].samples["y"].values == []


def test_a_reading_replaces_one_that_the_file_never_got(path: Path, writer: Writer) -> None:
    for t_ns in (10, 20):
        writer.readings.add([Sample("c:core", t_ns, t_ns / 10)])
    writer.readings.take()  # a transaction that never was
    writer.readings.add([Sample("c:core", 30, 3.0)])
    assert writer.flush()
    assert timeline(writer).samples["c:core"].t_ns == [30]
    writer.readings.add([Sample("c:core", 40, 4.0)])
    assert writer.flush()
    assert timeline(writer).samples["c:core"].t_ns == [40]


def test_too_much_waiting_is_dropped_oldest_first_and_counted(
    path: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MAX_WAITING", 10)
    with recording_to(writer), Refusing(path):
        for i in range(25):
            with span(str(i)):
                pass
            writer.event(Event(i, "gap", str(i), ""))
            writer.readings.add([Sample("a", i, float(i**2))])
            assert not writer.flush()
    assert writer.flush()
    line = timeline(writer)
    assert [row.name for row in line.spans] == [str(i) for i in range(15, 25)]
    assert [event.subject for event in line.events] == [str(i) for i in range(15, 25)]
    assert line.samples["a"].values == [float(i**2) for i in range(15, 25)]
    assert writer.lost_rows == 45
    assert writer.flush(closing=True)
    assert timeline(writer).processes[0].lost_rows == 45


def test_a_file_that_is_gone_is_told(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Writer(path, "spans")
    made.event(Event(1, "gap", "a", ""))
    runfile.remove(path)
    made.close()
    assert "is gone" in made.trouble
    assert not path.exists()
    active.say_if_incomplete(made)
    assert "is incomplete: " in capsys.readouterr().err


def test_another_file_of_that_name_is_left_alone(path: Path, writer: Writer) -> None:
    writer.event(Event(1, "gap", "a", ""))
    assert writer.flush()
    with writer.disconnected():
        runfile.claim(path, force=True, append=False)
    writer.event(Event(2, "gap", "b", ""))
    assert not writer.flush()
    assert "another file" in writer.trouble
    assert reader.read(path).timelines == []


# -- what collectors read ----------------------------------------------------------------------------


class Meter:
    """A collector that reads what it is given."""

    fallback_for = ()

    def __init__(self, *readings: object, name: str = "meter") -> None:
        self.readings = list(readings)
        self.name = name
        self.closed = 0

    def discover(self) -> None:
        pass

    def read(self) -> Iterator[object]:
        for item in self.readings:
            if isinstance(item, Exception):
                raise item
            yield item

    def close(self) -> None:
        self.closed += 1
        raise RuntimeError("stuck")  # noqa: EM101


def sample(writer: Writer, *meters: Meter) -> Callable[[], None]:
    made = Sampler(meters, frozenset({"a", "b"}), writer, own_process=False)  # type: ignore[arg-type]
    writer.drain = made.drain
    return made.tick


def test_a_collector_that_raises_is_a_gap_and_the_others_go_on(path: Path, writer: Writer) -> None:
    broken = Meter(Sample("a", 1, 1.0), OSError("gone"))
    tick = sample(writer, broken, Meter(Sample("b", 1, 1.0), name="other"))
    tick()
    tick()
    broken.readings = [Sample("a", 2, 3.0)]
    tick()
    broken.readings = [ZeroDivisionError()]
    tick()
    writer.flush()
    line = timeline(writer)
    assert (line.samples["a"].values, line.samples["b"].values) == ([1.0, 3.0], [1.0])
    assert [(e.kind, e.subject) for e in line.events] == [("gap", "meter"), ("gap", "meter")]
    assert "OSError: gone" in line.events[0].reason


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "5", 2**63], ids=repr)
def test_what_is_no_number_is_a_gap_and_costs_no_other_reading(path: Path, writer: Writer, value: float) -> None:
    tick = sample(writer, Meter(Sample("a", 1, value), Sample("b", 1, 1.0), Usage("cpu", "x", 1, value)))  # type: ignore[arg-type]
    tick()
    tick()
    assert writer.flush()
    line = timeline(writer)
    assert set(line.samples) == {"b"}
    assert ("cpu", "x") not in line.usage
    assert [(e.kind, e.subject) for e in line.events] == [("gap", "a"), ("gap", "cpu of x")]


def test_hostile_events_and_unknown_domains(path: Path, writer: Writer) -> None:
    event = Event(5, "gap", "\udcff", ValueError("odd"))  # type: ignore[arg-type]
    sample(writer, Meter(event, Sample("not mine", 1, 1.0), "no reading at all"))()
    assert writer.flush()
    line = timeline(writer)
    assert [(e.subject, e.reason) for e in line.events] == [("?", "odd")]
    assert line.samples == {}


def test_a_collector_that_does_not_close_is_a_warning(path: Path, writer: Writer) -> None:
    meters = [Meter(), Meter()]
    Sampler(meters, frozenset(), writer, own_process=False).close()  # type: ignore[arg-type]
    assert [meter.closed for meter in meters] == [1, 1]
    writer.flush()
    assert {event.kind for event in timeline(writer).events} == {"warning"}


def test_the_recorder_counts_its_own_thread_only(path: Path) -> None:
    """Taken from two threads, its clock would jump by all that the workload's thread has done."""
    made = Writer(path, "recorder+workload")
    sampler = Sampler((), frozenset(), made, own_process=False)
    made.tick, made.drain, made.tick_s = sampler.tick, sampler.drain, 0.05
    assert made.ensure_running()
    spin_until = time.process_time() + 0.3
    while time.process_time() < spin_until:
        pass
    made.close()
    busy_ns = timeline(made).usage[("cpu", "recorder")].values
    assert sorted(busy_ns) == busy_ns
    assert busy_ns[-1] - busy_ns[0] < 0.15e9


def test_tolerance_is_the_subjects(path: Path) -> None:
    readings = Readings()
    readings.tolerate("a", 1.0)
    for t in range(10):
        readings.add([Sample("a", t, t % 2 * 0.5), Sample("b", t, t % 2 * 0.5)])
    points = [point[0][1] for point in readings.take().points]
    assert (points.count("a"), points.count("b")) == (2, 10)


def test_a_process_that_tells_spans_is_on_record_before_it_first_waits(path: Path) -> None:
    """A worker of a pool is ended by a signal when its work is done; by then the file knows of it, and of most."""
    made, waited, known = Writer(path, "spans"), list[float](), list[int]()

    class Noted:
        def wait(self, seconds: float) -> bool:
            waited.append(seconds)
            known.append(len(timeline(made).processes))
            time.sleep(max(seconds, 0.0))
            return len(waited) > 3

    with recording_to(made):
        with span("a"):
            pass
        made._run(Noted())  # type: ignore[arg-type]
        assert timeline(made).spans
    made.close()
    assert known == [1] * 4
    # Sooner at first; never later than is promised.
    assert waited == sorted(waited)
    assert waited[0] < FLUSH_S / 4
    assert waited[-1] <= FLUSH_S


# -- forks and readers -------------------------------------------------------------------------------


@pytest.fixture
def rec(tmp_path: Path) -> Iterator[Recording]:
    with recording(tmp_path / "spans.greengen") as made:
        yield made


def open_files(path: Path) -> list[str]:
    """Descriptors of this process on the run file and what lies beside it."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except OSError:
            continue
    return [name for name in found if name.startswith(str(path))]


def in_a_fork(work: Callable[[], bool]) -> int:
    """The exit code of a forked child: 0 where `work` gives True."""
    pid = os.fork()
    if not pid:
        code = 9
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_forked_child_has_nothing_of_its_parents(rec: Recording) -> None:
    with span("before"):
        pass
    rec.writer.flush()
    assert open_files(rec.path)
    for i in range(50):
        with span(f"pending {i}"):
            pass

    def child() -> bool:
        nothing_open = not open_files(rec.path)
        own = active.STATE.writer
        assert own is not None
        with span("child"):
            pass
        own.close()
        return nothing_open and own is not rec.writer and own.uid != rec.writer.uid

    assert in_a_fork(child) == 0
    rows = rec.by_name()
    assert len(rows) == 52
    assert rows["child"].process != rows["before"].process


def test_a_child_forked_inside_a_span_is_its_child(rec: Recording) -> None:
    with span("parent"):

        def child() -> bool:
            with span("child"):
                pass
            active._close_at_exit()
            return True

        assert in_a_fork(child) == 0
    assert rec.parents() == {"parent": None, "child": "parent"}


def test_a_child_may_use_its_parents_spans(rec: Recording) -> None:
    done = span("done")
    with done, span("open") as opened:

        def child() -> bool:
            done.tokens(output=1)
            opened.tokens(output=2)
            opened.__exit__(None, None, None)
            with done:
                pass
            active._close_at_exit()
            return True

        assert in_a_fork(child) == 0
    rows = [row for row in rec.spans() if row.process == rec.writer.uid]
    assert {row.name: row.output_tokens for row in rows} == {"done": None, "open": None}
    assert all(row.t1_ns for row in rows)


FORKERS = """
import os, threading, time, greengen
with greengen.profile("r.greengen") as run:
    end = time.monotonic() + 1.5
    def fork():
        while time.monotonic() < end:
            os.waitpid(os.fork() or os._exit(0), 0)
    threads = [threading.Thread(target=fork) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with greengen.request(model="m"):
        pass
assert len(run.rows().timelines[0].spans) == 1
"""


def test_threads_that_fork_at_once_leave_no_lock_taken(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKERS], check=False, cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")


#: A thread is in the midst of importing a module when another one forks.
IMPORTER = """
import os, signal, sys, threading, greengen
from importlib.machinery import PathFinder
begun, forked = threading.Event(), threading.Event()
class Slow(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        spec = super().find_spec(name, path, target)
        if name == "multiprocessing.util":
            quick = spec.loader.exec_module
            def exec_module(module):
                quick(module)
                begun.set()
                forked.wait()
            spec.loader.exec_module = exec_module
        return spec
sys.meta_path.insert(0, Slow)
with greengen.profile("r.greengen") as run:
    threading.Thread(target=__import__, args=["multiprocessing.util"]).start()
    begun.wait()
    pid = os.fork()
    if not pid:
        signal.alarm(15)
        with greengen.request(model="m"):
            pass
        os._exit(0)
    code = os.waitpid(pid, 0)[1]
    forked.set()
assert code == 0, code
"""


def test_a_child_forked_during_an_import_goes_on(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTER], check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


CLOSER = """
import os, sys, time, greengen
with greengen.profile("r.greengen") as run:
    with greengen.request(model="m"):
        time.sleep(0.7)
    os.closerange(3, 256)
    theirs = [os.open(f"theirs-{number}", os.O_RDWR | os.O_CREAT) for number in range(40)]
    for file in theirs:
        os.write(file, b"mine")
    with greengen.request(model="m"):
        time.sleep(0.7)
    if sys.argv[1] == "fork":
        os.waitpid(os.fork() or os._exit(0), 0)
for file in theirs:
    assert os.pread(file, 99, 0) == b"mine", os.pread(file, 99, 0)
"""


@pytest.mark.parametrize("then", ["end", "fork"])
def test_files_of_a_program_that_closed_ours_are_not_written_to(tmp_path: Path, then: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLOSER, then], check=False, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "the program has closed all its descriptors" in done.stderr
    assert {path.read_bytes() for path in tmp_path.glob("theirs-*")} == {b"mine"}
    # What was written before stands.
    [timeline] = reader.read(tmp_path / "r.greengen").timelines
    assert timeline.spans[0].model == "m"


def test_forks_in_the_midst_of_flushes(rec: Recording) -> None:
    stop = threading.Event()

    def busy() -> None:
        n = 0
        while not stop.is_set():
            with span(f"parent {n}"):
                n += 1
            rec.writer.flush()

    def child() -> bool:
        signal.alarm(20)
        for i in range(5):
            with span(f"child {os.getpid()} {i}"):
                pass
        active._close_at_exit()
        return True

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        codes = [in_a_fork(child) for _ in range(15)]
    finally:
        stop.set()
        thread.join()
    assert codes == [0] * 15
    names = list(rec.by_name())
    assert sum(str(name).startswith("child") for name in names) == 75
    parents = sorted(int(str(name).split()[1]) for name in names if str(name).startswith("parent"))
    assert parents == list(range(len(parents)))
    with rec.writer.disconnected(), closing(sqlite3.connect(rec.path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_reading_a_file_that_this_process_writes_keeps_its_locks(rec: Recording) -> None:
    """Closing any descriptor of a file drops a process's locks on it: another then removes the log under us."""
    with span("first"):
        pass
    rec.writer.flush()
    rows: Rows = greengen.Run(rec.path).rows()
    assert [row.name for row in rows.timelines[0].spans] == ["first"]
    with span("second"):
        pass
    rec.writer.flush()
    other = _other_process(rec.path)
    other.stdin.close()  # type: ignore[union-attr]
    assert other.wait(10) == 0
    assert Path(f"{rec.path}-wal").exists()
    with span("third"):
        pass
    rec.writer.flush()
    rec.writer.close()
    assert [row.name for row in reader.read(rec.path).timelines[0].spans] == ["first", "second", "third"]
