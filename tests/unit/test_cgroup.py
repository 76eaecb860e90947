"""Recordings of a cgroup: found or refused, its CPU time as the profiled processes', and what is outside a tree."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from greengen import profile, request
from greengen.collector import PROFILED, Host, Usage
from greengen.collectors._cgroup import CgroupMembers, OutsideTheTree, of_container
from greengen.collectors._profiled_pids import profiled_pids
from greengen.collectors.procfs import ProcfsCollector
from greengen.errors import UsageError
from greengen.helpers import Helpers
from greengen.recording import cgroups
from greengen.recording.profiler import Options, Profiler
from greengen.run import Run
from greengen.testing import trees
from greengen.testing.scripted import FakeClock
from tests.unit.readings import events, only, opened

SCOPE = "/system.slice/docker-" + "7" * 64 + ".scope"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = trees.machine(tmp_path, model="x", cpus=2)
    trees.set_cgroup(made, SCOPE, usage_us=5_000_000, pids=(7, "self"))
    trees.set_cgroup(made, "/user.slice", pids=(8,))
    return replace(made, root_pid=7, monotonic_ns=FakeClock())


def find(host: Host, said: str) -> Path:
    return cgroups.find(said, host.procfs, host.sysfs)


def test_ways_to_name_one(host: Host) -> None:
    folder = host.sysfs / "fs/cgroup" / SCOPE.lstrip("/")
    assert find(host, "self") == find(host, "7") == find(host, SCOPE) == find(host, str(folder)) == folder
    assert find(host, SCOPE.lstrip("/")) == folder


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("/system.slice/none.service", "no cgroup at"),
        ("/system.slice/../user.slice", "no cgroup at"),
        ("99", "no process 99"),
        ("/", "all of the machine"),
    ],
)
def test_what_is_none(host: Host, said: str, words: str) -> None:
    trees.set_cgroup(host, "/")
    with pytest.raises(UsageError, match=words):
        find(host, said)


def test_version_1_is_refused_with_the_remedy(tmp_path: Path) -> None:
    host = trees.machine(tmp_path, model="x", cpus=2)
    with pytest.raises(UsageError, match=r"no cgroup file system.*docker run -v /sys/fs/cgroup"):
        find(host, "self")
    (host.sysfs / "fs/cgroup/cpu,cpuacct").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"version 1.*systemd.unified_cgroup_hierarchy=1"):
        find(host, "self")


def test_version_2_beside_version_1(tmp_path: Path) -> None:
    host = trees.machine(tmp_path, model="x", cpus=2)
    (host.sysfs / "fs/cgroup/cpu,cpuacct").mkdir(parents=True)
    folder = trees.set_cgroup(host, "/a", root="unified", pids=("self",))
    assert find(host, "self") == folder
    (host.procfs / "self/cgroup").write_text("4:memory:/a\n1:name=systemd:/a\n")
    with pytest.raises(UsageError, match="version 1"):
        find(host, "self")


def test_cpu_time_of_the_cgroup_is_the_profiled_processes(host: Host) -> None:
    """No tree is looked for: process 7 has no stat file here, and the dead are in the cgroup's sum."""
    folder = find(host, "self")
    with opened(ProcfsCollector(replace(host, cgroup=folder))) as (collector, found):
        assert found.unavailable == ()
        seen = []
        for usage_us in (5_000_000, 5_250_000, 5_100_000):
            trees.set_cgroup(host, SCOPE, usage_us=usage_us)
            seen += [row.busy_ns for row in only(collector.read(), Usage) if row.consumer == PROFILED]
    # It never runs back.
    assert seen == [5_000_000_000, 5_250_000_000, 5_250_000_000]


def test_a_cgroup_that_goes_is_told_once_and_the_machine_is_read_on(host: Host) -> None:
    folder = find(host, "self")
    with opened(ProcfsCollector(replace(host, cgroup=folder))) as (collector, _):
        os.truncate(folder / "cpu.stat", 0)
        [event] = events(collector)
        assert (event.kind, event.subject) == ("warning", "profiled processes")
        assert events(collector) == []
        assert {row.consumer for row in only(collector.read(), Usage)} <= {"machine", "capacity"}
    (folder / "cpu.stat").unlink()
    with opened(ProcfsCollector(replace(host, cgroup=folder))) as (_, found):
        assert "cpu.stat" in found.unavailable[0].reason


def test_members_for_accelerators(host: Host) -> None:
    pids = profiled_pids(replace(host, cgroup=find(host, "self")))
    assert isinstance(pids, CgroupMembers)
    trees.set_cgroup(host, f"{SCOPE}/init", pids=(9,))
    trees.set_cgroup(host, f"{SCOPE}2", pids=(10,))
    assert [pids.has(pid) for pid in (7, 8, 9, 10, 11)] == [True, False, True, False, False]
    (host.procfs / "9/cgroup").unlink()
    assert pids.has(9)


# --- a container, and a tree in it ------------------------------------------------------------------------


@pytest.fixture
def container(tmp_path: Path) -> Host:
    """As it is seen from inside: its own cgroup is the top, and no root."""
    host = replace(trees.machine(tmp_path / "inside", model="x", cpus=2), root_pid=7)
    top = trees.set_cgroup(host, "/", usage_us=0, pids=(7, "self"))
    (top / "cgroup.events").write_text("populated 1\n")
    return host


def test_work_outside_the_tree_is_told_once(container: Host) -> None:
    cgroup = of_container(container)
    assert cgroup is not None
    outside = OutsideTheTree(cgroup, Helpers(), own_process=False)
    told = []
    for second in range(6):
        trees.set_cgroup(container, "/", usage_us=second * 900_000)
        told += list(outside.add(second, second * 500_000_000))
    outside.close()
    [event] = told
    assert (event.t_ns, event.kind) == (3, "warning")
    assert "1.2 s of its 2.7 s" in event.reason
    assert "--cgroup self" in event.reason


def test_a_tree_that_is_all_of_the_container_is_silent(container: Host) -> None:
    cgroup = of_container(container)
    assert cgroup is not None
    outside = OutsideTheTree(cgroup, Helpers(), own_process=False)
    for second in range(60):
        trees.set_cgroup(container, "/", usage_us=second * 1_000_000)
        assert not list(outside.add(second, second * 950_000_000))
    os.truncate(container.sysfs / "fs/cgroup/cpu.stat", 0)
    assert not list(outside.add(60, 0))
    outside.close()


def test_outside_of_containers_nothing_is_compared(host: Host, container: Host) -> None:
    assert of_container(replace(host, root_pid=8)) is None
    (container.sysfs / "fs/cgroup/cgroup.events").unlink()  # the root of all
    assert of_container(container) is None


def test_a_container_with_a_stat_of_its_own_is_told(host: Host) -> None:
    mounts = host.procfs / "self/mountinfo"
    mounts.write_text("613 415 0:140 /proc/stat /proc/stat rw,relatime - fuse.lxcfs lxcfs rw,user_id=0,allow_other\n")
    with opened(ProcfsCollector(replace(host, cgroup=find(host, "self")))) as (collector, _):
        [event] = events(collector)
        assert (event.kind, event.subject) == ("warning", "cpu")
        assert "lxcfs" in event.reason
        assert events(collector) == []


# --- recorded -------------------------------------------------------------------------------------------------


def test_the_run_says_of_which_cgroup_and_container_it_is(host: Host, tmp_path: Path) -> None:
    options = Options(collectors=("procfs",), own_process=True, cgroup=SCOPE)
    recorder = Profiler(tmp_path / "run.greengen", options, host=host)
    recorder.start()
    recorder.stop()
    run = Run(tmp_path / "run.greengen")
    [segment] = run.rows().timelines[0].segments
    folder = host.sysfs / "fs/cgroup" / SCOPE.lstrip("/")
    # The recorder is in this cgroup, too: what it cost is a part of what the cgroup used.
    assert segment.info["own_process"] is False
    assert segment.info["root"].endswith(f":cgroup:{folder.stat().st_ino}")
    assert len(segment.info["ancestors"]) == 2
    [told] = run.report()["run"]["containers"]
    assert (told["runtime"], told["container"], told["cgroup"]) == ("docker", "7" * 12, str(folder))
    assert "container 777777777777 (docker)" in " ".join(run.render("terminal").split())
    assert "container 777777777777 (docker)" in run.render("html")


def test_a_recorder_outside_is_apart(host: Host, tmp_path: Path) -> None:
    options = Options(collectors=("procfs",), own_process=True, cgroup="/user.slice")
    recorder = Profiler(tmp_path / "run.greengen", options, host=host)
    recorder.start()
    recorder.stop()
    [segment] = Run(tmp_path / "run.greengen").rows().timelines[0].segments
    assert segment.info["own_process"] is True


def test_a_tree_is_known_to_be_a_part_of_its_cgroup(host: Host, tmp_path: Path) -> None:
    """Merged with a recording of that cgroup, it counts once."""
    recorder = Profiler(tmp_path / "run.greengen", Options(collectors=("procfs",)), host=host)
    recorder.start()
    recorder.stop()
    [segment] = Run(tmp_path / "run.greengen").rows().timelines[0].segments
    folder = find(host, "self")
    assert segment.info["ancestors"][-3:] == cgroups.above(folder, segment.uid.partition(":")[0])


def test_a_program_records_no_cgroup_that_it_is_not_in(host: Host, tmp_path: Path) -> None:
    recording = profile(tmp_path / "run.greengen", host=host, cgroup="/user.slice", collectors=("procfs",))
    with pytest.raises(UsageError, match="does not hold this process"):
        recording.__enter__()
    assert not (tmp_path / "run.greengen").exists()


def test_spans_of_a_pod_group_by_it(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENGEN_PROCFS", str(host.procfs))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("HOSTNAME", "llm-0")
    with profile(tmp_path / "run.greengen", collectors=("cpu_model", "procfs"), interval_s=0.02) as run:
        for pod in (None, "llm-1"):
            with request(model="m", **({"pod": pod} if pod else {})):
                pass
    frame = run.ledger().by("pod")
    assert {"llm-0", "llm-1"} <= set(frame.index)
    assert {row["labels"]["pod"] for row in run.report()["requests"]} == {"llm-0", "llm-1"}
