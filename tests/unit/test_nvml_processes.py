"""A GPU that others use too: whose work NVML says it did, and what the ledger makes of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from greengen.accounting.ledger import Ledger, build
from greengen.collector import MACHINE, PROFILED, Discovery, Domain, Event, Host, Sample, Usage
from greengen.collectors._profiled_pids import ProfiledPids, why_no_host_pids
from greengen.collectors.nvml import NvmlCollector
from greengen.rows import Rows, Segment, Series, SpanRow, Timeline
from greengen.testing.fake_pynvml import FakeNvml, Rig

ROOT, CHILD, GRANDCHILD, STRANGER = 100, 200, 201, 4000
SECOND = 10**9
HOST_NAMESPACE, CONTAINER = "pid:[4026531836]", "pid:[4026532561]"


def process(procfs: Path, pid: int, parent: int, started: int = 7) -> None:
    """A process as procfs shows it, in the host's pid namespace."""
    (procfs / str(pid)).mkdir(exist_ok=True)
    columns = ["S", str(parent), *["0"] * 17, str(started), "0", "0"]
    (procfs / str(pid) / "stat").write_text(f"{pid} (a) b) {' '.join(columns)}\n")
    (procfs / str(pid) / "ns").mkdir(exist_ok=True)
    if not (procfs / str(pid) / "ns" / "pid").is_symlink():
        (procfs / str(pid) / "ns" / "pid").symlink_to(HOST_NAMESPACE)


def end(procfs: Path, pid: int) -> None:
    (procfs / str(pid) / "stat").unlink()


@pytest.fixture
def procfs(tmp_path: Path) -> Path:
    root = tmp_path / "proc"
    root.mkdir()
    (root / "stat").write_text("cpu  0 0 0 0\n")
    process(root, ROOT, 1)
    process(root, CHILD, ROOT)
    process(root, GRANDCHILD, CHILD)
    process(root, STRANGER, 1)
    return root


class Machine:
    """A fake GPU in a host whose clock a test sets."""

    def __init__(self, procfs: Path, rig: Rig) -> None:
        self.now_s = 1000.0
        self.nvml = FakeNvml(replace(rig, clock_s=lambda: self.now_s))
        self.host = Host(procfs=procfs, root_pid=ROOT, monotonic_ns=lambda: round(self.now_s * SECOND))
        self.collector = NvmlCollector(self.host, self.nvml)
        self.found: Discovery = self.collector.discover()
        self.rows: list[Sample | Usage | Event] = []

    @property
    def domain(self) -> Domain:
        return self.found.domains[0]

    def work(self, seconds: float, processes: Sequence[tuple[int, int]] | None, busy: int = 90) -> None:
        """Let processes use the first GPU for a while, read ten times a second."""
        self.nvml.rig.processes = [processes]
        self.nvml.rig.utilisation = (busy,)
        for _ in range(round(seconds * 10)):
            self.now_s += 0.1
            self.rows += self.collector.read()
        # As a recording's last reading is: out of rhythm, so that it is told whose work it was up to now.
        self.now_s += 0.01
        self.rows += self.collector.read()

    def used(self, consumer: str) -> float:
        """Percent-seconds / 100 of the first GPU."""
        read = [row.busy_ns for row in self.rows if isinstance(row, Usage) and row.consumer == consumer]
        return (read[-1] - read[0]) / SECOND

    def events(self) -> list[Event]:
        return [row for row in self.rows if isinstance(row, Event)]

    def ledger(self) -> Ledger:
        """One request over all that was read."""
        samples: dict[str, Series] = {}
        usage: dict[tuple[str, str], Series] = {}
        for row in self.rows:
            if isinstance(row, Sample):
                series, value = samples.setdefault(row.domain, Series()), row.value
            elif isinstance(row, Usage):
                series, value = usage.setdefault((row.resource, row.consumer), Series()), float(row.busy_ns)
            else:
                continue
            series.spacing_ns.append(row.t_ns - series.t_ns[-1] if series.t_ns else 0)
            series.t_ns.append(row.t_ns)
            series.values.append(value)
        first, last = samples[self.domain.uid].t_ns[0], samples[self.domain.uid].t_ns[-1]
        timeline = Timeline(
            "boot",
            "host",
            domains=list(self.found.domains),
            samples=samples,
            usage=usage,
            spans=[SpanRow("1:1/1", "1:1", None, "request", first, last)],
            segments=[Segment("s", "1:1", first, last, 0, {"interval_s": 0.1, "own_process": True})],
        )
        return build(Rows(timelines=[timeline]))


GPU = Rig(watts=(300.0,), processes=[()])


def test_a_shared_gpu_is_divided_second_by_second(procfs: Path) -> None:
    machine = Machine(procfs, GPU)
    assert (machine.domain.split, machine.domain.activity) == (machine.domain.uid, machine.domain.uid)
    machine.rows += machine.collector.read()
    machine.work(10, [(CHILD, 40), (GRANDCHILD, 20), (STRANGER, 20)])
    machine.work(10, [(STRANGER, 50)])
    machine.work(10, [(ROOT, 30)])
    assert machine.used(MACHINE) == pytest.approx(8 + 5 + 3, rel=0.01)
    assert machine.used(PROFILED) == pytest.approx(6 + 3, rel=0.01)
    ledger = machine.ledger()
    # By hand: a quarter of the first ten seconds is a stranger's, and all of the second ten.
    assert ledger.account("other").value == pytest.approx(300 * (10 * 0.25 + 10), rel=0.03)
    assert ledger["1:1/1"].value == pytest.approx(300 * (10 * 0.75 + 10), rel=0.03)
    total = sum(ledger.account(name).value or 0.0 for name in ("other", "idle", "overhead"))
    assert total + (ledger["1:1/1"].value or 0.0) == pytest.approx(300 * 30.03, rel=1e-9)
    assert machine.events() == []


def test_alone_on_a_gpu_other_is_a_measured_0(procfs: Path) -> None:
    machine = Machine(procfs, GPU)
    machine.work(10, [(CHILD, 97)])
    assert machine.ledger().account("other").value == 0.0


def test_in_a_container_sole_tenancy_is_assumed_and_said(procfs: Path) -> None:
    namespace = procfs / str(ROOT) / "ns" / "pid"
    namespace.unlink()
    namespace.symlink_to(CONTAINER)
    machine = Machine(procfs, GPU)
    assert machine.domain.split is None
    assert "container" in machine.domain.split_reason
    machine.work(5, [(STRANGER, 50)])
    other = machine.ledger().account("other")
    assert other.value is None
    assert "container" in other.reason
    # Busy time of the board is still told: it says when the GPU was idle.
    assert machine.used(MACHINE) == pytest.approx(0.9 * 4.91)


@pytest.mark.parametrize(
    ("rig", "word"),
    [(replace(GPU, processes=None), "Not Supported"), (replace(GPU, mig={"MIG-a": 0}), "Not Supported")],
    ids=["vGPU, WSL", "MIG"],
)
def test_a_driver_that_does_not_tell(procfs: Path, rig: Rig, word: str) -> None:
    machine = Machine(procfs, rig)
    assert machine.domain.split is None
    assert word in machine.domain.split_reason
    assert "sole tenancy" in machine.domain.split_reason


def test_no_procfs_no_split(tmp_path: Path) -> None:
    assert "no procfs" in why_no_host_pids(tmp_path, ROOT)


def test_busy_without_a_process_is_not_the_absence_of_others(procfs: Path) -> None:
    """Under MPS the driver may name nobody: then it is not known whose work it was, and that is said."""
    machine = Machine(procfs, GPU)
    machine.work(3, [(CHILD, 50)])
    machine.work(30, [])
    [event] = machine.events()
    assert event.kind == "warning"
    assert "MPS" in event.reason
    other = machine.ledger().account("other")
    assert other.value is None
    assert "sole tenancy is assumed" in other.reason


def test_an_idle_gpu_names_nobody_and_that_is_known(procfs: Path) -> None:
    machine = Machine(procfs, GPU)
    machine.work(10, [], busy=0)
    assert machine.events() == []
    assert machine.ledger().account("other").value == 0.0


def test_a_late_answer_is_for_the_whole_time_since_the_last(procfs: Path) -> None:
    """A sample that is not there yet leaves no hole: the next one covers both."""
    machine = Machine(procfs, GPU)
    machine.work(5, [(CHILD, 30), (STRANGER, 30)])
    machine.work(2, [])
    machine.work(5, [(CHILD, 30), (STRANGER, 30)])
    assert machine.used(MACHINE) == pytest.approx(0.6 * 12, rel=0.02)
    assert machine.used(PROFILED) == pytest.approx(machine.used(MACHINE) / 2)
    assert machine.ledger().account("other").value == pytest.approx(300 * 12 / 2, rel=0.05)


def test_what_dead_processes_seem_to_do_is_not_counted(procfs: Path) -> None:
    """nvtop#110: their samples hold any number."""
    machine = Machine(procfs, GPU)
    machine.work(10, [(CHILD, 50), (STRANGER, 3_435_973_836)])
    assert machine.used(MACHINE) == machine.used(PROFILED) > 4


def test_a_query_that_fails_is_told_once_and_the_gpu_is_read_on(procfs: Path) -> None:
    machine = Machine(procfs, GPU)
    machine.work(3, [(CHILD, 50)])
    machine.work(5, None)
    machine.work(3, [(CHILD, 50)])
    assert [(event.kind, event.subject) for event in machine.events()] == [
        ("warning", f"{machine.domain.uid} by process")
    ]
    assert len([row for row in machine.rows if isinstance(row, Sample)]) == 113


def test_gpus_take_turns_to_be_asked(procfs: Path) -> None:
    """One answer may take 100 ms: never is more than one GPU asked in a reading while the rhythm is regular."""
    machine = Machine(procfs, Rig(watts=(300.0,) * 8, processes=[()] * 8, utilisation=(0,)))
    for _ in range(60):
        machine.now_s += 0.1
        rows = list(machine.collector.read())
        machine.rows += rows
        if machine.now_s > 1002.5:
            assert len({row.resource for row in rows if isinstance(row, Usage)}) <= 2
    for domain in machine.found.domains:
        mine = [row for row in machine.rows if isinstance(row, Usage) and row.resource == domain.uid]
        assert 2 * 5 <= len(mine) <= 2 * 8


# --- the tree -------------------------------------------------------------------------------------------


def test_the_tree_is_told_by_parents(procfs: Path) -> None:
    tree = ProfiledPids(procfs, ROOT, include_root=False)
    asked = (1, ROOT, CHILD, GRANDCHILD, STRANGER, 999_999)
    assert [tree.has(pid) for pid in asked] == [False, False, True, True, False, False]
    assert ProfiledPids(procfs, ROOT, include_root=True).has(ROOT)


def test_members_stay_members_when_they_or_their_parents_die(procfs: Path) -> None:
    tree = ProfiledPids(procfs, ROOT, include_root=True)
    assert tree.has(CHILD)
    assert tree.has(GRANDCHILD)
    end(procfs, CHILD)
    process(procfs, GRANDCHILD, 1)
    assert tree.has(CHILD)
    assert tree.has(GRANDCHILD)


def test_an_id_that_another_process_has_now_is_not_ours(procfs: Path) -> None:
    tree = ProfiledPids(procfs, ROOT, include_root=True)
    assert tree.has(CHILD)
    process(procfs, CHILD, 1, started=99)
    assert not tree.has(CHILD)


def test_parents_in_a_circle_are_nobodys_tree(procfs: Path) -> None:
    """Read one after the other while ids are given out anew, it may look so."""
    process(procfs, 300, 301)
    process(procfs, 301, 300)
    assert not ProfiledPids(procfs, ROOT, include_root=True).has(300)
