"""Programs that collectors run are the recorder's cost, and no work of the profiled processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from greengen.collector import PROFILED, RECORDER, Host, Usage
from greengen.collectors._command import Command, CommandError
from greengen.collectors._psutil_tree import PsutilTree
from greengen.collectors._stream import Stream
from greengen.collectors._tree import open_tree
from greengen.collectors.procfs import ProcfsCollector
from greengen.recording.profiler import Options, Profiler
from greengen.recording.sampler import Sampler
from greengen.recording.writer import Writer

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's procfs")

BURNT_NS = 100_000_000
BURN = f"import time\nwhile time.process_time_ns() < {BURNT_NS}: pass\n"
#: In a process of its own, as where sudo or a script stands before the program; told with a line, then it stays.
BURN_BELOW = (
    f"import subprocess, sys, time\nchild = subprocess.Popen([sys.executable, '-S', '-c', {BURN!r} + 'print(1, flush=1)"
    "; time.sleep(99)'])\nchild.wait()"
)


class Books:
    """What a recorder is told of the CPU time of its process tree, and what it takes for its own cost."""

    def __init__(self, *, own_process: bool, path: Path) -> None:
        environ = {"PATH": os.environ["PATH"]}
        self.host = Host(root_pid=os.getpid(), include_root=not own_process, environ=environ)
        self.own_process = own_process
        self.writer = Writer(path, "recorder")
        self.collector = ProcfsCollector(self.host)
        assert self.collector.discover().unavailable == ()
        self.sampler = Sampler((self.collector,), frozenset(), self.writer, own_process, helpers=self.host.helpers)
        self.begin = self.now()

    def now(self) -> tuple[int, int]:
        """CPU time of the profiled processes, and of the recorder, as the ledger takes them apart."""
        self.sampler.tick()
        rows = [row for _, read, _ in self.sampler._read for row in read if isinstance(row, Usage)]
        self.sampler._read.clear()
        told = {row.consumer: row.busy_ns for row in rows}
        return told[PROFILED] - (0 if self.own_process else told[RECORDER]), told[RECORDER]

    def since(self) -> tuple[int, int]:
        (work, cost), (work_then, cost_then) = self.now(), self.begin
        return work - work_then, cost - cost_then


@pytest.fixture(params=[True, False], ids=["own process", "in the profiled process"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Books]:
    made = Books(own_process=request.param, path=tmp_path / "run.greengen")
    yield made
    made.collector.close()
    made.writer.close()


@contextmanager
def streaming(host: Host) -> Iterator[Stream[bytes]]:
    stream = Stream([sys.executable, "-S", "-c", BURN_BELOW], host, end=b"\n", parse=bytes)
    yield stream
    stream.abort()
    stream.close()


def test_a_command_is_the_recorders_cost(books: Books) -> None:
    spent_ns = time.process_time_ns()
    Command([sys.executable, "-S", "-c", BURN], books.host, 20.0).run()
    spent_ns = time.process_time_ns() - spent_ns
    work_ns, cost_ns = books.since()
    assert cost_ns >= BURNT_NS
    # What stays is what this process did meanwhile, where it is profiled itself.
    assert work_ns < BURNT_NS // 2 + (0 if books.own_process else spent_ns)


def test_a_program_that_stays_is_the_recorders_cost_while_it_runs_and_after(books: Books) -> None:
    with streaming(books.host) as stream:
        stream.next()
        work_ns, cost_ns = books.since()
        assert cost_ns >= BURNT_NS  # of what it has started itself, too
        assert work_ns < BURNT_NS
    after_ns, all_ns = books.since()
    assert all_ns >= cost_ns
    assert after_ns < BURNT_NS
    assert books.host.helpers.running == {}


def test_a_workload_is_counted_beside_it(books: Books) -> None:
    with streaming(books.host) as stream:
        stream.next()
        subprocess.run([sys.executable, "-S", "-c", BURN], check=True)
        work_ns, _ = books.since()
    assert 0.9 * BURNT_NS <= work_ns < 2 * BURNT_NS


def test_where_there_is_no_procfs(tmp_path: Path) -> None:
    host = Host(root_pid=os.getpid(), environ={"PATH": os.environ["PATH"]}, procfs=tmp_path)
    with streaming(host) as stream:
        stream.next()
        tree = open_tree(host, os.getpid(), without=host.helpers)
        assert isinstance(tree, PsutilTree)
        tree.busy_ns()
        everyone = open_tree(host, os.getpid())
        everyone.busy_ns()
        left_out = everyone.pids - tree.pids
        assert len(left_out) == 2  # the program, and what it has started
        assert left_out > host.helpers.running.keys()
        assert host.helpers.busy_ns() >= BURNT_NS * 0.9  # psutil tells whole ticks


def test_a_workload_that_waits_for_any_child_takes_the_exit_code(books: Books, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "end")
    command = Command(["sh", "-c", f"exec 1>&- 2>&-; read line < '{tmp_path}/end'; exit 7"], books.host, 20.0)
    failed: list[Exception] = []

    def run() -> None:
        try:
            command.run()
        except CommandError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while not books.host.helpers.running:
        time.sleep(0.001)
    with books.host.helpers.lock:  # so that it is not the command that is waited for first
        (tmp_path / "end").write_text("\n", encoding="ascii")
        _, status = os.waitpid(next(iter(books.host.helpers.running)), 0)
    thread.join()
    assert (os.waitstatus_to_exitcode(status), failed) == (7, [])
    assert books.host.helpers.running == {}


def test_a_recording_takes_its_collectors_programs_for_its_own_cost(tmp_path: Path) -> None:
    host = Host(root_pid=os.getpid(), include_root=False)
    profiler = Profiler(tmp_path / "run.greengen", Options(own_process=True, collectors=("procfs",)), host=host)
    profiler.start()
    try:
        assert profiler._sampler is not None
        assert profiler._sampler.helpers is host.helpers
    finally:
        profiler.stop()


def test_a_command_that_does_not_end_to_speak_is_ended() -> None:
    command = Command(["sh", "-c", "while :; do printf '%65536d' 0; done"], Host.from_environment(), 60.0)
    with pytest.raises(ValueError, match="writes more than 4,000,000 bytes"):
        command.run()
