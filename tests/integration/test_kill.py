"""kill -9 at any moment, of the workload, the recorder or both: what is on disk opens, balances and is nearly all."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from greengen import Run
from tests.integration.commands import balanced, environment, script, start

pytestmark = pytest.mark.alone

#: How many are killed; fewer for a quick look.
KILLS = int(os.environ.get("GREENGEN_TESTS_KILLS", "24"))

#: What a kill may cost: a flush interval and one contended commit. The commit, and whatever else
#: goes on on this machine, is given a second; that nothing is lost before it is shown to the span.
FLUSH_S, COMMIT_S = 0.5, 1.0

#: A span's end is taken a moment before it is told: a thread can be held up in between.
TELLING_NS = 100_000_000

#: Runs spans until it is killed or told to stop, and writes down each that ended. One write, no
#: fsync: it is in the kernel's hands once the call returns, as SQLite's commits are.
WORK = """
import os, sys, time, greengen
log = os.open("ended", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(log, b"")
open("ready", "w").close()
n = 0
deadline = time.monotonic() + 30
while not os.path.exists("stop") and time.monotonic() < deadline:
    with greengen.request(model="m", name=str(n)) as req:
        time.sleep(0.002)
        req.tokens(output=n)
    os.write(log, b"%d %d\\n" % (n, req.t1_ns))
    n += 1
"""


@dataclass(frozen=True)
class Case:
    """Who is killed, and how long after the workload began to work."""

    number: int
    victims: str
    after_s: float


def cases() -> list[Case]:
    chance = random.Random(7)
    kinds = ["workload", "recorder", "both"]
    return [Case(n, kinds[n % 3], chance.uniform(0.0, 1.8)) for n in range(KILLS)]


def processes_of(token: str) -> list[int]:
    """Live processes with `token` in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if token.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_until(done: Path | list[int], message: str) -> None:
    deadline = time.monotonic() + 60
    while not done.exists() if isinstance(done, Path) else any(Path(f"/proc/{pid}/stat").exists() for pid in done):
        assert time.monotonic() < deadline, message
        time.sleep(0.01)


def child_of(process: subprocess.Popen[bytes]) -> int:
    [pid] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(pid)


def kill(case: Case, directory: Path) -> str:
    """Run one case; what is wrong with it, or ""."""
    token = uuid.uuid4().hex
    process = start(
        directory, command=script(directory, WORK), silent=True, env=environment(GREENGEN_TESTS_TOKEN=token)
    )
    wait_until(directory / "ready", "the workload never began")
    workload = child_of(process)
    time.sleep(case.after_s)
    killed_ns = time.monotonic_ns()
    if case.victims != "workload":
        process.kill()
    if case.victims != "recorder":
        os.kill(workload, signal.SIGKILL)
    code = process.wait(60)
    if case.victims == "recorder":
        time.sleep(0.1)
        (directory / "stop").touch()
    wait_until([workload], "the workload did not end")
    complaints = []
    if code != (137 if case.victims == "workload" else -signal.SIGKILL):
        complaints.append(f"exit code {code}")
    if orphans := processes_of(token):
        complaints.append(f"processes left behind: {orphans}")
    return "; ".join([*complaints, *examine(directory, case, killed_ns)])


def examine(directory: Path, case: Case, killed_ns: int) -> list[str]:
    complaints = []
    path = directory / "run.greengen"
    ledger = balanced(path)
    [timeline] = Run(path).rows().timelines
    told = (line.split() for line in (directory / "ended").read_text().splitlines())
    ended = {int(n): int(t1_ns) for n, t1_ns in told}
    on_disk = {int(span.name or ""): span for span in timeline.spans}
    missing = {n: t1_ns for n, t1_ns in ended.items() if n not in on_disk or on_disk[n].t1_ns is None}
    writer = next((process for process in timeline.processes if process.role == "spans"), None)
    seen_ns = writer.last_seen_ns if writer else 0
    if lost := [n for n, t1_ns in missing.items() if t1_ns < seen_ns - TELLING_NS]:
        complaints.append(f"{len(lost)} spans lost before the last flush")
    if any(
        on_disk[n].t1_ns != t1_ns or on_disk[n].output_tokens != n for n, t1_ns in ended.items() if n not in missing
    ):
        complaints.append("a span on disk is not what it was")
    if case.victims == "recorder":
        if missing or not (writer and writer.closed):
            complaints.append(f"the workload lived, and {len(missing)} spans are missing")
    elif missing and (killed_ns - min(missing.values())) / 1e9 > FLUSH_S + COMMIT_S:
        complaints.append(f"spans lost from {(killed_ns - min(missing.values())) / 1e9:.2f} s before the kill")
    last_reading_ns = max(series.t_ns[-1] for series in timeline.samples.values())
    if (killed_ns - last_reading_ns) / 1e9 > FLUSH_S + COMMIT_S:
        complaints.append(f"readings lost from {(killed_ns - last_reading_ns) / 1e9:.2f} s before the kill")
    if (timeline.segments[0].t1_ns is None) != (case.victims != "workload"):
        complaints.append("the segment's end is wrong")
    # Killed before its second flush, a recorder leaves one reading, and no joules.
    if not ledger.total().value and (case.victims == "workload" or case.after_s > FLUSH_S + COMMIT_S):
        complaints.append("no joules")
    return complaints


def test_kills(tmp_path: Path) -> None:
    def run(case: Case) -> str:
        directory = tmp_path / str(case.number)
        directory.mkdir()
        return kill(case, directory)

    with ThreadPoolExecutor(4) as pool:
        complaints = list(pool.map(run, cases()))
    wrong = [f"{case}: {said}" for case, said in zip(cases(), complaints, strict=True) if said]
    assert not wrong, "\n".join(wrong)
    assert len(complaints) == KILLS


@pytest.mark.parametrize("victims", ["workload", "recorder", "both"])
def test_the_examination_sees_what_is_missing(tmp_path: Path, victims: str) -> None:
    """The same eyes on a recording from which spans were taken."""
    case = Case(0, victims, 0.8)
    assert not kill(case, tmp_path)
    log = tmp_path / "ended"
    lines = log.read_text().splitlines()
    first = int(lines[0].split()[1])
    log.write_text("\n".join([f"999999 {first}", *lines]) + "\n")
    complaints = examine(tmp_path, case, time.monotonic_ns() + 10**10)
    assert any("lost before the last flush" in said for said in complaints)
    assert any("missing" in said or "spans lost from" in said for said in complaints)
    assert any("readings lost from" in said for said in complaints)
