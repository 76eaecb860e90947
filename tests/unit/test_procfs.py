"""CPU time of the machine and of a process tree, on this machine's real procfs and on fake ones."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greengen.collector import CAPACITY, MACHINE, PROFILED, Event, Host, Usage
from greengen.collectors._cpu_time import TICK_NS, parse_stat
from greengen.collectors._process_tree import ProcessTree
from greengen.collectors._psutil_tree import PsutilTree
from greengen.collectors.procfs import ProcfsCollector
from greengen.testing import trees
from greengen.testing.scripted import FakeClock

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's procfs")

TICKS = 2 * TICK_NS
BURN = "import time\nwhile time.process_time() < {s}: pass\n"
#: Prints a line, burns, prints its CPU time, and waits to be told to end.
BURN_AND_WAIT = BURN + "print(time.process_time_ns(), flush=True)\nimport sys\nsys.stdin.readline()\n"


class Clock:
    """A clock that a test turns; by 2 s a turn, so that every reading looks for new members."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        self.now_ns += 2_000_000_000
        return self.now_ns


@contextmanager
def tree_of(pid: int) -> Iterator[ProcessTree]:
    tree = ProcessTree(Path("/proc"), pid, Clock())
    yield tree
    tree.close()


@contextmanager
def running(code: str) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-S", "-c", code], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        yield process
        process.kill()


def line(process: subprocess.Popen[str]) -> int:
    assert process.stdout
    return int(process.stdout.readline())


def children_ns() -> int:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round((usage.ru_utime + usage.ru_stime) * 1e6) * 1000


# --- the machine ------------------------------------------------------------------------------


def test_parse_stat_counts_guest_time_once_and_stolen_time_as_capacity() -> None:
    busy, capacity = parse_stat(b"cpu  100 20 30 1000 50 4 6 70 90 15\ncpu0 1 1\n", tick_ns=10)
    assert busy == (100 + 20 + 30 + 4 + 6) * 10
    assert capacity == (100 + 20 + 30 + 1000 + 50 + 4 + 6 + 70) * 10


def test_parse_stat_of_an_old_kernel() -> None:
    assert parse_stat(b"cpu  1 2 3 4\n", tick_ns=1) == (6, 10)


@pytest.mark.parametrize("text", [b"", b"cpu0 1 2 3 4\n", b"cpu  1 2\n", b"cpu  a b c d\n"])
def test_parse_stat_refuses_other_text(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_stat(text)


@linux
def test_machine_holds_the_profiled_processes() -> None:
    collector = ProcfsCollector(Host(root_pid=os.getpid()))
    assert collector.discover().unavailable == ()
    first = {row.consumer: row.busy_ns for row in collector.read() if isinstance(row, Usage)}
    subprocess.run([sys.executable, "-S", "-c", BURN.format(s=0.3)], check=True)
    second = {row.consumer: row.busy_ns for row in collector.read() if isinstance(row, Usage)}
    collector.close()
    grown = {consumer: second[consumer] - first[consumer] for consumer in second}
    assert grown[PROFILED] >= 0.28e9
    assert grown[PROFILED] <= grown[MACHINE] + 5 * TICK_NS * (os.cpu_count() or 1)
    assert grown[MACHINE] <= grown[CAPACITY]


def test_capacity_does_not_step_back_with_the_kernels_idle_column(tmp_path: Path) -> None:
    host = trees.empty_vm(tmp_path)
    collector = ProcfsCollector(host, "linux")
    collector.discover()
    trees.set_cpu_ticks(host, user=10, idle=1000)
    first = list(collector.read())
    trees.set_cpu_ticks(host, user=10, idle=999)
    assert [row.busy_ns for row in collector.read() if isinstance(row, Usage)] == [
        row.busy_ns for row in first if isinstance(row, Usage)
    ]
    collector.close()


def test_an_outage_is_told_once(tmp_path: Path) -> None:
    clock = FakeClock()
    host = replace(trees.empty_vm(tmp_path), monotonic_ns=clock)
    collector = ProcfsCollector(host, "linux")
    collector.discover()

    def read() -> list[Usage | Event]:
        clock.advance(1.0)
        return collector.read()

    (host.procfs / "stat").write_text("")
    assert [type(row) for row in read()] == [Event]
    assert read() == []
    trees.set_cpu_ticks(host, user=10)
    assert {row.consumer for row in read() if isinstance(row, Usage)} == {MACHINE, CAPACITY}
    (host.procfs / "stat").write_text("")
    assert [type(row) for row in read()] == [Event]
    collector.close()


def test_the_machine_is_read_twice_a_second_and_out_of_rhythm(tmp_path: Path) -> None:
    clock = FakeClock()
    collector = ProcfsCollector(replace(trees.empty_vm(tmp_path), monotonic_ns=clock), "linux")
    collector.discover()

    def machine_is_read(after_s: float) -> bool:
        clock.advance(after_s)
        return any(isinstance(row, Usage) and row.consumer == MACHINE for row in collector.read())

    assert [machine_is_read(0.1) for _ in range(12)] == [True, True, *([False] * 4), True, *([False] * 4), True]
    # The last reading comes when it comes.
    assert machine_is_read(0.03)
    collector.close()


def test_says_why_without_procfs_on_linux(tmp_path: Path) -> None:
    collector = ProcfsCollector(Host(procfs=tmp_path / "no"), "linux")
    (why,) = collector.discover().unavailable
    assert "cannot be opened" in why.reason
    assert why.remedy
    assert list(collector.read()) == []


def test_says_why_without_a_process(tmp_path: Path) -> None:
    collector = ProcfsCollector(replace(trees.empty_vm(tmp_path), root_pid=77), "linux")
    (why,) = collector.discover().unavailable
    assert "no process 77" in why.reason
    assert {row.consumer for row in collector.read() if isinstance(row, Usage)} == {MACHINE, CAPACITY}
    collector.close()


def test_off_linux_psutil_reads_all_three(tmp_path: Path) -> None:
    collector = ProcfsCollector(Host(procfs=tmp_path / "no", root_pid=os.getpid()), "darwin")
    assert collector.discover().unavailable == ()
    first = {row.consumer: row.busy_ns for row in collector.read() if isinstance(row, Usage)}
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    second = {row.consumer: row.busy_ns for row in collector.read() if isinstance(row, Usage)}
    collector.close()
    assert set(first) == {PROFILED, MACHINE, CAPACITY}
    assert second[PROFILED] - first[PROFILED] >= 0.2e9 - 3 * TICK_NS
    # The idle column may step back by a tick per CPU.
    slack_ns = (os.cpu_count() or 1) * TICK_NS
    assert 0 <= second[MACHINE] - first[MACHINE] <= second[CAPACITY] - first[CAPACITY] + slack_ns


def test_psutil_tree_keeps_the_time_of_the_dead() -> None:
    tree = PsutilTree(os.getpid(), Clock())
    with running(BURN_AND_WAIT.format(s=0.1)) as child:
        child_ns = line(child)
        tree.busy_ns()
        assert child.pid in tree.pids
    own_ns = time.process_time_ns()
    after = tree.busy_ns()
    assert child.pid not in tree.pids
    assert after >= own_ns - TICKS + child_ns - TICKS
    tree.close()


def test_psutil_tree_of_nobody() -> None:
    assert PsutilTree(2**22 + 1, Clock()).pids == frozenset()


# --- the tree, on the real kernel ---------------------------------------------------------------


@linux
def test_own_time_is_the_process_clock() -> None:
    with tree_of(os.getpid()) as tree:
        waited_ns = children_ns()
        before = time.process_time_ns()
        busy = tree.busy_ns() - waited_ns
        after = time.process_time_ns()
    assert before <= busy <= after


@linux
def test_a_child_counts_once_alive_dead_and_waited_for() -> None:
    with tree_of(os.getpid()) as tree:
        start, own, waited = tree.busy_ns(), time.process_time_ns(), children_ns()
        with running(BURN_AND_WAIT.format(s=0.2)) as child:
            child_ns = line(child)
            alive = tree.busy_ns()
            assert child.pid in tree.pids
            assert alive - start >= child_ns
            child.kill()
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and not waited for
            zombie = tree.busy_ns()
            assert child.pid in tree.pids
        reaped = tree.busy_ns()
        own, waited = time.process_time_ns() - own, children_ns() - waited
    assert child.pid not in tree.pids
    assert start <= alive <= zombie <= reaped
    assert own + waited - TICKS <= reaped - start <= own + waited + TICKS


@linux
@pytest.mark.parametrize("tree_type", ["procfs", "psutil"])
def test_a_recorder_that_is_no_part_of_its_tree(tree_type: str) -> None:
    clock = Clock()
    clock.now_ns = 1  # it stands still: the child is found all the same
    stopped = lambda: clock.now_ns  # noqa: E731 -- a clock is a function
    tree: ProcessTree | PsutilTree
    if tree_type == "procfs":
        tree = ProcessTree(Path("/proc"), os.getpid(), stopped, include_root=False)
    else:
        tree = PsutilTree(os.getpid(), stopped, include_root=False)
    start = tree.busy_ns()
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert tree.busy_ns() == start
    with running(BURN_AND_WAIT.format(s=0.1)) as child:
        child_ns = line(child)
        busy = tree.busy_ns() - start
        assert child_ns - TICKS <= busy <= child_ns + 0.1e9
    assert busy - TICKS <= tree.busy_ns() - start <= busy + 0.1e9
    tree.close()


@linux
def test_a_child_that_was_never_seen_counts_when_waited_for() -> None:
    with tree_of(os.getpid()) as tree:
        start, own, waited = tree.busy_ns(), time.process_time_ns(), children_ns()
        subprocess.run([sys.executable, "-S", "-c", BURN.format(s=0.1)], check=True)
        end = tree.busy_ns()
        own, waited = time.process_time_ns() - own, children_ns() - waited
    assert own + waited - TICKS <= end - start <= own + waited + TICKS


FAMILY = """
import subprocess, sys
code = sys.argv[1]
child = subprocess.Popen([sys.executable, "-S", "-c", code], stdin=subprocess.PIPE)
sys.stdin.readline()
child.communicate(b"\\n")
print(0, flush=True)
sys.stdin.readline()
"""


@linux
@pytest.mark.parametrize("listed", [True, False], ids=["children files", "scan of all processes"])
def test_grandchildren_count_once(listed: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    with tree_of(os.getpid()) as tree:
        tree._lists_children = listed and tree._lists_children
        start, own, waited = tree.busy_ns(), time.process_time_ns(), children_ns()
        code = f"import sys\nsys.argv = ['', {BURN_AND_WAIT.format(s=0.2)!r}]\n{FAMILY}"
        with running(code) as child:
            grandchild_ns = line(child)
            seen = tree.busy_ns()
            assert len(tree.pids) == 3
            assert seen - start >= grandchild_ns
            assert child.stdin
            child.stdin.write("\n")
            child.stdin.flush()
            line(child)  # the child has waited for the grandchild
            settled = tree.busy_ns()
            assert len(tree.pids) == 2
        end = tree.busy_ns()
        own, waited = time.process_time_ns() - own, children_ns() - waited
    assert start <= seen <= settled <= end
    assert own + waited - TICKS <= end - start <= own + waited + 2 * TICKS


ORPHAN = """
import os, sys
sys.stdin.readline()
if os.fork() == 0:
    BURN
    print(os.getpid(), flush=True)
    print(time.process_time_ns(), flush=True)
    sys.stdin.readline()
    os._exit(0)
sys.stdin.readline()
"""


@linux
def test_an_orphan_stays_tracked_and_its_time_is_kept() -> None:
    code = ORPHAN.replace("BURN", BURN.format(s=0.2).replace("\n", "\n    ").strip())
    with running(code) as child, tree_of(child.pid) as tree:
        assert child.stdin
        child.stdin.write("\n")
        child.stdin.flush()
        orphan, orphan_ns = line(child), line(child)
        start = tree.busy_ns()
        assert tree.pids == {child.pid, orphan}
        child.kill()
        child.wait()
        alone = tree.busy_ns()
        assert tree.pids == {orphan}
        child.stdin.write("\n")
        child.stdin.close()
        while Path(f"/proc/{orphan}").exists():
            time.sleep(0.01)
            assert tree.busy_ns() >= alone
        assert tree.pids == frozenset()
        assert tree.busy_ns() >= alone >= start >= orphan_ns
        assert tree.busy_ns() - start <= TICKS


IGNORING = """
import signal, subprocess, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-S", "-c", sys.argv[1]], stdin=subprocess.PIPE)
sys.stdin.readline()
child.communicate(b"\\n")
print(0, flush=True)
sys.stdin.readline()
"""


@linux
def test_the_time_of_a_child_nobody_waits_for_is_kept() -> None:
    code = f"import sys\nsys.argv = ['', {BURN_AND_WAIT.format(s=0.2)!r}]\n{IGNORING}"
    with running(code) as child, tree_of(child.pid) as tree:
        grandchild_ns = line(child)
        alive = tree.busy_ns()
        assert alive >= grandchild_ns
        assert child.stdin
        child.stdin.write("\n")
        child.stdin.flush()
        line(child)
        gone = tree.busy_ns()
        while tree.pids != {child.pid}:  # its parent may hear of the end a little before it is gone
            gone = tree.busy_ns()
        assert alive <= gone <= alive + 0.1e9


CHURN = """
import os
for number in range(6):
    if os.fork() == 0:
        sum(n * n for n in range(100_000))
        os._exit(0)
    if number % 2:
        os.wait()
for number in range(3):
    os.wait()
"""


@linux
def test_nothing_is_lost_or_counted_twice_while_processes_come_and_go() -> None:
    """Read as fast as possible, so that readings fall into the midst of forks, exits and waits."""
    with tree_of(os.getpid()) as tree:
        start, own, waited = tree.busy_ns(), time.process_time_ns(), children_ns()
        last = start
        for _ in range(12):
            with subprocess.Popen([sys.executable, "-S", "-c", CHURN]) as child:
                while child.poll() is None:
                    busy = tree.busy_ns()
                    assert busy >= last
                    last = busy
        end = tree.busy_ns()
        own, waited = time.process_time_ns() - own, children_ns() - waited
    assert own + waited - TICKS <= end - start <= own + waited + TICKS


@linux
def test_a_closed_tree_holds_no_file() -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with running(BURN_AND_WAIT.format(s=0.0)) as child:
        line(child)
        open_files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        with tree_of(os.getpid()) as tree:
            tree.busy_ns()
            # Two stat files, and one for the newest process.
            assert len(os.listdir("/proc/self/fd")) == open_files + 3  # noqa: PTH208
        assert len(os.listdir("/proc/self/fd")) == open_files  # noqa: PTH208
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


class Newest:
    """What the kernel says of its newest process."""

    pid = 100

    def read(self) -> int:
        return self.pid

    def close(self) -> None: ...


@linux
@pytest.mark.parametrize(
    ("newest", "after_s"), [(100, 5), (101, 1), (-1, 1), (0, 1)], ids=["the same", "new", "?", "0"]
)
def test_looks_for_children_where_any_process_was_started(newest: int, after_s: int) -> None:
    now_ns = 0
    tree = ProcessTree(Path("/proc"), os.getpid(), lambda: now_ns)
    told = tree._newest = Newest()  # type: ignore[assignment]  # as much of it as is used
    tree.busy_ns()
    with running(BURN_AND_WAIT.format(s=0.0)) as child:
        line(child)
        told.pid = newest
        for second in range(1, 6):
            now_ns = second * 1_000_000_000
            tree.busy_ns()
            assert (child.pid in tree.pids) == (second >= after_s)
    tree.close()


@linux
def test_a_child_is_found_within_a_fifth_of_a_second_where_a_look_costs_next_to_nothing() -> None:
    now_ns = 0
    tree = ProcessTree(Path("/proc"), os.getpid(), lambda: now_ns)
    told = tree._newest = Newest()  # type: ignore[assignment]  # as much of it as is used
    tree.busy_ns()
    with running(BURN_AND_WAIT.format(s=0.0)) as child:
        line(child)
        now_ns += 100_000_000
        tree.busy_ns()
        assert child.pid not in tree.pids
        told.pid += 1
        now_ns += 100_000_000
        tree.busy_ns()
        assert child.pid in tree.pids
    tree.close()


# --- the tree, on fake kernels ------------------------------------------------------------------


def test_looks_for_members_once_per_second(tmp_path: Path) -> None:
    host = trees.empty_vm(tmp_path)
    trees.set_process(host, 10)
    now_ns = 0
    tree = ProcessTree(host.procfs, 10, lambda: now_ns)
    tree.busy_ns()
    trees.set_process(host, 11, parent=10, utime=5)
    now_ns = 999_999_999
    assert tree.busy_ns() == 0
    now_ns += 1
    assert tree.busy_ns() == 5 * TICK_NS


def test_a_reused_pid_is_another_process(tmp_path: Path) -> None:
    host = trees.empty_vm(tmp_path)
    trees.set_process(host, 10)
    trees.set_process(host, 11, parent=10, utime=300, started=2000)
    tree = ProcessTree(host.procfs, 10, Clock())
    assert tree.busy_ns() == 300 * TICK_NS
    trees.set_process(host, 11, parent=1, utime=900, started=5000)
    assert tree.busy_ns() == 300 * TICK_NS
    assert tree.pids == {10}


def test_a_reused_pid_of_a_new_child_is_a_new_member(tmp_path: Path) -> None:
    host = trees.empty_vm(tmp_path)
    trees.set_process(host, 10)
    trees.set_process(host, 11, parent=10, utime=300, started=2000)
    tree = ProcessTree(host.procfs, 10, Clock())
    tree.busy_ns()
    trees.set_process(host, 10, cutime=310)
    trees.set_process(host, 11, parent=10, utime=40, started=5000)
    tree.busy_ns()
    assert tree.busy_ns() == 350 * TICK_NS


def test_two_dead_children_of_which_one_was_waited_for(tmp_path: Path) -> None:
    host = trees.empty_vm(tmp_path)
    trees.set_process(host, 10)
    trees.set_process(host, 11, parent=10, utime=300)
    trees.set_process(host, 12, parent=10, utime=50)
    tree = ProcessTree(host.procfs, 10, Clock())
    assert tree.busy_ns() == 350 * TICK_NS
    trees.remove_process(host, 11)
    trees.remove_process(host, 12)
    trees.set_process(host, 10, cutime=50)
    assert tree.busy_ns() == 350 * TICK_NS
    trees.set_process(host, 10, cutime=60)
    assert tree.busy_ns() == 360 * TICK_NS


def test_two_dead_children_that_cannot_both_have_been_waited_for(tmp_path: Path) -> None:
    host = trees.empty_vm(tmp_path)
    trees.set_process(host, 10)
    trees.set_process(host, 11, parent=10, utime=300)
    trees.set_process(host, 12, parent=10, utime=250)
    tree = ProcessTree(host.procfs, 10, Clock())
    tree.busy_ns()
    trees.remove_process(host, 11)
    trees.remove_process(host, 12)
    trees.set_process(host, 10, cutime=310)  # one of them, with 10 or 60 ticks that were not seen
    assert tree.busy_ns() == 550 * TICK_NS
    trees.set_process(host, 10, cutime=310, utime=100)
    assert tree.busy_ns() == 650 * TICK_NS


def test_a_family_that_dies_between_two_readings(tmp_path: Path) -> None:
    host = trees.empty_vm(tmp_path)
    trees.set_process(host, 10)
    trees.set_process(host, 12, parent=10, utime=50)
    trees.set_process(host, 11, parent=12, utime=300)
    tree = ProcessTree(host.procfs, 10, Clock())
    assert tree.busy_ns() == 350 * TICK_NS
    trees.remove_process(host, 11)
    trees.remove_process(host, 12)
    trees.set_process(host, 10, cutime=350)
    assert tree.busy_ns() == 350 * TICK_NS
    trees.set_process(host, 10, cutime=350, utime=1)
    assert tree.busy_ns() == 351 * TICK_NS


def test_waited_for_time_that_shows_late_excuses_nobody_else(tmp_path: Path) -> None:
    host = trees.empty_vm(tmp_path)
    trees.set_process(host, 10)
    trees.set_process(host, 11, parent=10, utime=5)
    trees.set_process(host, 12, parent=10, utime=2)
    tree = ProcessTree(host.procfs, 10, Clock())
    assert tree.busy_ns() == 7 * TICK_NS
    trees.remove_process(host, 11)
    trees.set_process(host, 10, cutime=4)  # the fifth tick is not full yet
    assert tree.busy_ns() == 7 * TICK_NS
    trees.remove_process(host, 12)  # nobody waited
    assert tree.busy_ns() == 7 * TICK_NS
    trees.set_process(host, 10, cutime=5, utime=1)
    assert tree.busy_ns() == 8 * TICK_NS


def test_a_process_in_the_midst_of_being_waited_for_counts_once(tmp_path: Path) -> None:
    host = trees.empty_vm(tmp_path)
    trees.set_process(host, 10)
    trees.set_process(host, 11, parent=10, utime=300)
    tree = ProcessTree(host.procfs, 10, Clock())
    assert tree.busy_ns() == 300 * TICK_NS
    trees.set_process(host, 11, parent=10, utime=300, state="X")
    trees.set_process(host, 10, cutime=300)
    assert tree.busy_ns() == 300 * TICK_NS
    trees.remove_process(host, 11)
    trees.set_process(host, 10, cutime=300, utime=20)
    assert tree.busy_ns() == 320 * TICK_NS


@dataclass
class FakeProcess:
    parent: int
    started: int
    reaps: bool
    own: int = 0
    waited: int = 0


@dataclass
class Kernel:
    """A process table that shares no code with the tree: what Linux does with times on fork, exit and wait."""

    host: Host
    table: dict[int, FakeProcess] = field(default_factory=dict)
    spent: int = 0
    forks: int = 0

    def fork(self, parent: int, *, reaps: bool) -> None:
        self.forks += 1
        self.table[100 + self.forks] = FakeProcess(parent, 1000 + self.forks, reaps)
        self.show(100 + self.forks)

    def run(self, pid: int, ticks: int) -> None:
        self.table[pid].own += ticks
        self.spent += ticks
        self.show(pid)

    def exit(self, pid: int) -> None:
        dead = self.table.pop(pid)
        trees.remove_process(self.host, pid)
        parent = self.table.get(dead.parent)
        if parent is not None and parent.reaps:
            parent.waited += dead.own + dead.waited
            self.show(dead.parent)
        for child_pid, child in self.table.items():
            if child.parent == pid:
                child.parent = 1
                self.show(child_pid)

    def show(self, pid: int) -> None:
        it = self.table[pid]
        trees.set_process(
            self.host, pid, parent=it.parent, started=it.started, utime=it.own, cutime=it.waited, command="x) S 1 (y"
        )


Step = tuple[str, int, int, bool]
steps = st.lists(
    st.tuples(st.sampled_from(["fork", "run", "run", "exit"]), st.integers(0, 50), st.integers(3, 400), st.booleans()),
    max_size=25,
)


@given(steps=steps, every=st.booleans(), lists_children=st.booleans())
@settings(max_examples=60)
def test_the_tree_never_decreases_and_counts_nothing_twice(
    steps: list[Step],
    every: bool,  # noqa: FBT001 -- drawn
    lists_children: bool,  # noqa: FBT001 -- drawn
) -> None:
    """Whatever happens in a tree, and whenever it is read; exact where it is read after every step."""
    with tempfile.TemporaryDirectory() as root:
        kernel = Kernel(trees.empty_vm(Path(root)))
        kernel.fork(1, reaps=True)
        tree = ProcessTree(kernel.host.procfs, 101, Clock())
        tree._lists_children = lists_children
        last = tree.busy_ns()
        for what, which, ticks, flag in steps:
            if not kernel.table:
                break
            pid = sorted(kernel.table)[which % len(kernel.table)]
            if what == "fork":
                kernel.fork(pid, reaps=flag)
            elif what == "run":
                kernel.run(pid, ticks)
            else:
                kernel.exit(pid)
            if every or flag:
                busy = tree.busy_ns()
                assert last <= busy <= kernel.spent * TICK_NS
                assert not every or busy == kernel.spent * TICK_NS
                last = busy
