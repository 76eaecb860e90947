"""GPUs of Intel and AMD divided between processes, by fdinfo: fake trees in the format of the drivers' own sources."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from greengen.accounting.usage import device_uses
from greengen.collector import MACHINE, PROFILED, Event, Host, Usage
from greengen.collectors import _drm_use
from greengen.collectors._drm_clients import Client, Clients, Scan, Use, parse
from greengen.collectors._drm_use import DrmUse, _Sum, divide, why_not
from greengen.collectors.amdgpu import AmdgpuCollector
from greengen.collectors.intel_gpu import IntelGpuCollector
from greengen.rows import Series
from greengen.testing import trees
from greengen.testing.scripted import FakeClock
from tests.hosts import loading
from tests.unit.readings import Row, gather, only, opened

GPU, NODE = "0000:03:00.0", "renderD128"
ROOT, OURS, THEIRS = 4000, 4001, 5000

#: The example in the kernel's xe_drm_client.c, its engines that compute at work.
XE = """pos:    0
drm-driver:     xe
drm-client-id:  3
drm-pdev:       0000:03:00.0
drm-total-gtt:  192 KiB
drm-cycles-rcs: 28257900
drm-total-cycles-rcs:   7655183225
drm-cycles-bcs: 11
drm-total-cycles-bcs:   7655183225
drm-cycles-vcs: 13
drm-total-cycles-vcs:   7655183225
drm-engine-capacity-vcs:        2
drm-cycles-ccs: 400
drm-total-cycles-ccs:   7655183225
drm-engine-capacity-ccs:        4
"""
#: As a user of an AMD GPU showed it: github.com/Umio-Yasuno/amdgpu_top/issues/87.
AMD = """pos:    0
flags:  02104002
mnt_id: 24
ino:    614
pasid:  32784
drm-driver:     amdgpu
drm-pdev:       0000:08:00.0
drm-client-id:  217
drm-memory-vram:        2068 KiB
drm-memory-cpu:         0 KiB
drm-engine-gfx: 107322799 ns
"""


@pytest.mark.parametrize(
    ("text", "client"),
    [
        (XE, Client(GPU, 3, 28257900 + 100, 7655183225)),
        (AMD, Client("0000:08:00.0", 217, 107322799, None)),
        (AMD + "drm-engine-compute: 5 ns\ndrm-engine-dec: 7 ns\n", Client("0000:08:00.0", 217, 107322804, None)),
        (AMD.replace("107322799", "-1"), Client("0000:08:00.0", 217, 0, None)),
        ("pos:\t0\nflags:\t02\n", None),
        ("\n".join(line for line in XE.splitlines() if "cycles" not in line and "engine" not in line), None),
        ("\n".join(line for line in AMD.splitlines() if "engine" not in line), Client("0000:08:00.0", 217, 0, None)),
        (AMD.replace("drm-pdev", "pdev"), None),
        (AMD.replace("217", "x"), None),
        ("", None),
    ],
)
def test_formats(text: str, client: Client | None) -> None:
    assert parse(text.encode()) == client


def i915(number: int, render_ns: int = 0, compute_ns: int = 0) -> str:
    """As i915_drm_client.c prints it."""
    return (
        f"drm-driver:\ti915\ndrm-client-id:\t{number}\ndrm-pdev:\t{GPU}\n"
        f"drm-engine-render:\t{render_ns} ns\ndrm-engine-copy:\t999 ns\n"
        f"drm-engine-compute:\t{compute_ns} ns\ndrm-engine-capacity-compute:\t4\n"
    )


def gpu_file(host: Host, pid: int, fd: int, text: str, target: str = f"/dev/dri/{NODE}") -> None:
    for folder in ("fd", "fdinfo"):
        (host.procfs / str(pid) / folder).mkdir(parents=True, exist_ok=True)
    link = host.procfs / str(pid) / "fd" / str(fd)
    if not link.is_symlink():
        link.symlink_to(target)
    # In one go, as the kernel answers: a thread reads it meanwhile.
    written = host.procfs / f"{pid}-{fd}"
    written.write_text(text)
    written.replace(host.procfs / str(pid) / "fdinfo" / str(fd))


@pytest.fixture
def arc(tmp_path: Path) -> Host:
    return machine(loading.build("arc_b580", tmp_path))


def machine(host: Host) -> Host:
    """With processes, as root outside of containers sees them."""
    node = host.sysfs / "class/drm" / NODE
    node.mkdir(parents=True, exist_ok=True)
    (node / "device").symlink_to(host.sysfs / "devices/pci0000:00" / GPU)
    (host.procfs / "1/fdinfo").mkdir(parents=True)
    (host.procfs / "1/fd").mkdir()
    for pid, parent in ((ROOT, 1), (OURS, ROOT), (THEIRS, 1)):
        trees.set_process(host, pid, parent=parent)
        (host.procfs / str(pid) / "fd").mkdir()
    (host.procfs / str(ROOT) / "ns").mkdir()
    (host.procfs / str(ROOT) / "ns/pid").symlink_to("pid:[4026531836]")
    return replace(host, root_pid=ROOT)


def clients(host: Host, clock: FakeClock) -> Clients:
    return Clients(host.procfs, host.sysfs, frozenset({GPU}), clock)


def test_a_file_counts_once_however_often_it_was_passed_on(arc: Host) -> None:
    gpu_file(arc, OURS, 7, i915(12, 100))
    gpu_file(arc, OURS, 8, i915(12, 120))
    gpu_file(arc, THEIRS, 3, i915(12, 90))
    gpu_file(arc, THEIRS, 4, i915(13, 50, 8))
    gpu_file(arc, THEIRS, 5, i915(14, 50), target="/dev/null")
    found = clients(arc, FakeClock()).scan().devices[GPU]
    assert sorted(found) == [
        Use(Client(GPU, 12, 120, None), frozenset({OURS, THEIRS})),
        Use(Client(GPU, 13, 52, None), frozenset({THEIRS})),
    ]


def test_files_opened_later_are_found_and_closed_ones_missed(arc: Host) -> None:
    clock = FakeClock()
    looking = clients(arc, clock)
    assert looking.scan().devices == {GPU: []}
    gpu_file(arc, OURS, 7, i915(12))
    clock.advance(0.5)
    assert [use.client.number for use in looking.scan().devices[GPU]] == [12]
    (arc.procfs / f"{OURS}/fdinfo/7").unlink()
    assert looking.scan().devices[GPU] == []
    for _ in range(20):
        clock.advance(10)
        looking.scan()
    # An old process is looked at again after ten seconds.
    gpu_file(arc, THEIRS, 9, i915(20))
    clock.advance(9)
    assert looking.scan().devices[GPU] == []
    clock.advance(1)
    assert [use.client.number for use in looking.scan().devices[GPU]] == [20]


def test_a_gpu_that_sleeps_is_not_woken(arc: Host) -> None:
    gpu_file(arc, OURS, 7, i915(12))
    status = arc.sysfs / "bus/pci/devices" / GPU / "power/runtime_status"
    status.parent.mkdir(parents=True)
    status.write_text("suspended\n")
    looking = clients(arc, FakeClock())
    assert looking.scan().devices == {}
    status.write_text("active\n")
    assert list(looking.scan().devices) == [GPU]


# --- sums ---------------------------------------------------------------------------------------------------


def sums(*scans: dict[int, tuple[float, int]], total: int | None = None) -> list[tuple[float, float]]:
    """(of all, of ours) after each scan of {client: (used, pid)}, a second apart."""
    told, found = _Sum(), []
    for second, scan in enumerate(scans):
        ticks = None if total is None else total * second
        uses = [Use(Client(GPU, number, used, ticks), frozenset({pid})) for number, (used, pid) in scan.items()]
        told.add(second * 10**9, uses, lambda pid: pid == OURS)
        found.append((told.machine, told.profiled))
    return found


def test_work_from_before_is_nobodys_and_that_of_new_and_dead_clients_stays() -> None:
    assert sums(
        {1: (1000, OURS), 2: (500, THEIRS)},
        {1: (1300, OURS), 2: (600, THEIRS)},
        {1: (1400, OURS), 3: (50, OURS)},  # 2 has ended
        {3: (50, OURS), 4: (7, THEIRS)},
    ) == [(0, 0), (400, 300), (550, 450), (557, 450)]


def test_a_value_that_falls_back_stands() -> None:
    assert sums({1: (100, OURS)}, {1: (200, OURS)}, {1: (150, OURS)}, {1: (260, OURS)})[1:] == [
        (100, 100),
        (100, 100),
        (160, 160),
    ]


def test_cycles_become_time_by_the_gpus_own_clock() -> None:
    told = _Sum()
    for second, used in enumerate((0, 9_600_000, 19_200_000)):
        client = Client(GPU, 1, used, 19_200_000 * second)
        told.add(second * 10**9, [Use(client, frozenset({OURS}))], lambda pid: True)
        assert (told.ns_per_unit is None) == (second == 0)
    assert told.ns_per_unit is not None
    assert told.machine * told.ns_per_unit == pytest.approx(1e9)


# --- where it is sound ----------------------------------------------------------------------------------------


def test_where_all_can_be_seen(arc: Host) -> None:
    assert why_not(arc, GPU, amd=False) == why_not(arc, GPU, amd=True) == ""


def test_in_a_container(arc: Host) -> None:
    link = arc.procfs / str(ROOT) / "ns/pid"
    link.unlink()
    link.symlink_to("pid:[4026532999]")
    assert "container" in why_not(arc, GPU, amd=False)


def test_other_users_processes(arc: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listed, and not to be read: so it is even for root, in a container or a service without the capability."""

    def refuse(path: str) -> str:
        raise PermissionError(13, "Permission denied", path)

    gpu_file(arc, THEIRS, 3, i915(13))
    monkeypatch.setattr(os, "readlink", refuse)  # a test that runs with all capabilities may read all
    monkeypatch.setattr(_drm_use, "why_no_host_pids", lambda procfs, pid: "")  # which reads a link, too
    assert "CAP_SYS_PTRACE" in why_not(arc, GPU, amd=False)


def test_virtual_machines_with_parts_of_it(arc: Host) -> None:
    file = arc.sysfs / "bus/pci/devices" / GPU / "sriov_numvfs"
    file.parent.mkdir(parents=True)
    file.write_text("4\n")
    assert "SR-IOV" in why_not(arc, GPU, amd=False)
    file.write_text("0\n")
    assert why_not(arc, GPU, amd=False) == ""


def test_an_older_kernel_that_tells_no_engine_time(arc: Host) -> None:
    """Taken for no use, it would make all work on the GPU idle."""
    gpu_file(arc, THEIRS, 3, "pos:\t0\nflags:\t0100002\nmnt_id:\t26\n")
    assert "no engine time" in why_not(arc, GPU, amd=False)
    # Closed, and its number given to another file: that is nothing to say.
    (arc.procfs / f"{THEIRS}/fd/3").unlink()
    looking = clients(arc, FakeClock())
    gpu_file(arc, OURS, 7, i915(12))
    assert len(looking.scan().devices[GPU]) == 1
    gpu_file(arc, OURS, 7, "pos:\t0\n")
    (arc.procfs / f"{OURS}/fd/7").unlink()
    (arc.procfs / f"{OURS}/fd/7").symlink_to("/dev/null")
    assert looking.scan().devices[GPU] == []


def test_rocm_hides_what_it_computes(arc: Host) -> None:
    (arc.sysfs / "class/kfd/kfd/proc" / str(THEIRS)).mkdir(parents=True)
    assert f"process {THEIRS} may compute through ROCm" in why_not(arc, GPU, amd=True)
    assert why_not(arc, GPU, amd=False) == ""


# --- collectors -----------------------------------------------------------------------------------------------


def at(t_ns: int, rows: list[Row]) -> list[Usage]:
    return [row for row in only(rows, Usage) if row.t_ns == t_ns]


def test_an_intel_card_is_divided(arc: Host) -> None:
    """Ours at work for 0.3 s of each of theirs' 0.1 s, as the ledger divides it."""
    clock = FakeClock()
    gpu_file(arc, OURS, 7, i915(12, 10**9))
    gpu_file(arc, THEIRS, 3, i915(13, 5 * 10**9))
    with opened(IntelGpuCollector(replace(arc, monotonic_ns=clock))) as (collector, found):
        card = found.domains[0]
        assert (card.split, card.activity, card.split_reason) == (f"drm:{GPU}", f"drm:{GPU}", "")
        seen: list[Usage] = []
        for second in range(1, 4):
            gpu_file(arc, OURS, 7, i915(12, 10**9 + second * 300_000_000))
            gpu_file(arc, THEIRS, 3, i915(13, 5 * 10**9 + second * 100_000_000))
            clock.advance(1)
            now = partial(at, clock.now_ns)
            seen += now(gather(collector, lambda rows, now=now: bool(now(rows))))  # type: ignore[misc]
    series = {}
    for consumer in (MACHINE, PROFILED):
        told = {row.t_ns: float(row.busy_ns) for row in seen if row.consumer == consumer}
        series[f"drm:{GPU}", consumer] = Series(list(told), list(told.values()), [0, *[10**9] * (len(told) - 1)])
    first, *_, last = series[f"drm:{GPU}", MACHINE].t_ns
    assert last - first == 2 * 10**9
    use = device_uses(series, [card.split], [(first, last)])[f"drm:{GPU}"]
    assert use.profiled[-1] == pytest.approx(600_000_000)
    assert use.foreign[-1] == pytest.approx(200_000_000)


def test_an_amd_gpu_until_something_computes_through_rocm(tmp_path: Path) -> None:
    host = machine(loading.build("radeon", tmp_path))
    text = i915(1).replace("i915", "amdgpu").replace("render", "gfx")
    gpu_file(host, OURS, 7, text)
    with opened(AmdgpuCollector(host)) as (collector, found):
        [domain] = found.domains
        assert (domain.split, domain.activity) == (f"drm:{GPU}", f"drm:{GPU}")
        gather(collector, lambda rows: bool(only(rows, Usage)))
        (host.sysfs / "class/kfd/kfd/proc" / str(THEIRS)).mkdir(parents=True)
        rows = gather(collector, lambda rows: bool(only(rows, Event)))
        [event] = only(rows, Event)
        assert (event.kind, event.subject) == ("warning", f"drm:{GPU}")
        assert "ROCm" in event.reason
    with opened(AmdgpuCollector(host)) as (collector, found):
        [domain] = found.domains
        # As before: by how busy it is, and with the reason that it is not divided.
        assert (domain.split, domain.activity) == (None, domain.uid)
        assert "ROCm" in domain.split_reason
        assert {row.resource for row in only(collector.read(), Usage)} == {domain.uid}


def test_a_gpu_that_is_busy_with_what_its_driver_does_not_show(arc: Host) -> None:
    """Queues in user space, say. With 3 s between scans, and clients that rest: nothing is told, and that is said."""
    percent = arc.sysfs / "bus/pci/devices" / GPU / "gpu_busy_percent"
    percent.parent.mkdir(parents=True)
    percent.write_text("0\n")
    use = DrmUse(arc, frozenset({GPU}), amd=True)
    use.close()
    scans = [Scan(3 * second * 10**9, {GPU: []}) for second in range(5)]
    told = [list(use._rows(scan, frozenset({GPU} if place else ()))) for place, scan in enumerate(scans)]
    assert [len(rows) for rows in told] == [2, 0, 1, 0, 0]
    [event] = only(told[2], Event)
    assert (event.kind, event.subject) == ("warning", f"drm:{GPU}")
    assert "for 6 s no client" in event.reason
    at_work = Scan(15 * 10**9, {GPU: [Use(Client(GPU, 1, 400, None), frozenset({OURS}))]})
    assert [row.busy_ns for row in only(use._rows(at_work, frozenset({GPU})), Usage)] == [400, 400]
    percent.write_text("97\n")
    assert use._scan()[1] == {GPU}
    percent.write_text("3\n")
    assert use._scan()[1] == frozenset()


def test_what_is_no_gpu_stays_as_it_is(arc: Host) -> None:
    with opened(IntelGpuCollector(replace(arc, procfs=arc.procfs / "none"))) as (_, found):
        package = replace(found.domains[0], kind="package", split_reason="x")
        assert all("sole tenancy" in domain.split_reason for domain in found.domains)
    assert divide(arc, (package,)) == ((package,), None)


def test_this_machine_is_looked_through_or_it_is_said_that_it_may_not_be() -> None:
    host = replace(Host.from_environment(), procfs=Path("/proc"), sysfs=Path("/sys"))
    why = why_not(host, "ffff:00:00.0", amd=False)
    assert not why or "CAP_SYS_PTRACE" in why or "pid" in why
