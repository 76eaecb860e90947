"""kill -9 of the workload, the recorder or both, at random moments: the file opens, balances, and has lost little."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import greengen
from greengen.accounting.ledger import QUIET_ACCOUNTS

TRIALS = 51

#: Half a second between two flushes, one contended commit, and what a busy machine adds to both.
ALLOWED_S = 0.5 + 1.0

WORKLOAD = """
import os, sys, time
import greengen
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(log, b"pid %d\\n" % os.getpid())
end = time.monotonic() + 20
while time.monotonic() < end:
    with greengen.request(model="m") as req:
        sum(range(20000))
        req.tokens(output=1)
    os.write(log, b"%d %d\\n" % (req.seq, req.t1_ns))
    time.sleep(0.002)
"""


def _wait_for_line(path: Path, deadline_s: float = 20.0) -> str:
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if path.exists() and "\n" in (text := path.read_text()):
            return text.splitlines()[0]
        time.sleep(0.01)
    pytest.fail(f"the workload never started: {path}")


def _trial(directory: Path, victim: str, after_s: float) -> None:
    directory.mkdir()
    run, log, script = directory / "run.greengen", directory / "ended.log", directory / "work.py"
    script.write_text(WORKLOAD)
    greengen_program = Path(sys.executable).parent / "greengen"
    recorder = subprocess.Popen(
        [greengen_program, "profile", "-o", run, "--interval", "0.05", "--", sys.executable, script, log],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=directory,
    )
    try:
        workload = int(_wait_for_line(log).split()[1])
        time.sleep(after_s)
        killed_ns = time.monotonic_ns()
        for pid in {"workload": [workload], "recorder": [recorder.pid], "both": [recorder.pid, workload]}[victim]:
            os.kill(pid, signal.SIGKILL)
        if victim == "recorder":
            # The workload outlives it, and goes on writing spans.
            recorder.wait(timeout=30)
            time.sleep(0.3)
            assert _alive(workload)
            os.kill(workload, signal.SIGKILL)
        _, trouble = recorder.communicate(timeout=60)
        assert "Traceback" not in trouble
        assert recorder.returncode == (128 + signal.SIGKILL if victim == "workload" else -signal.SIGKILL), trouble
        _check(run, log, killed_ns)
    finally:
        recorder.kill()
    assert not _alive(workload)


def _check(run: Path, log: Path, killed_ns: int) -> None:
    rows = greengen.Run(run).rows()
    ended = [tuple(map(int, line.split())) for line in log.read_text().splitlines()[1:] if line.count(" ") == 1]
    recorded = {int(span.uid.rpartition("/")[2]): span for span in rows.timelines[0].spans}
    assert len(recorded) == len(rows.timelines[0].spans)
    for seq, t1_ns in ended:
        if t1_ns < killed_ns - ALLOWED_S * 1e9:
            assert seq in recorded, f"span {seq} ended {(killed_ns - t1_ns) / 1e9:.2f} s before the kill and is lost"
            assert recorded[seq].t1_ns == t1_ns
    ledger = greengen.Run(run).ledger()
    for chapter in ledger.chapters:
        for entries in chapter.entries:
            books = entries.books
            parts = [*books.span_j.tolist(), *(entries.account(name).value or 0.0 for name in QUIET_ACCOUNTS)]
            assert math.fsum(parts) == pytest.approx(books.curve.total_j, rel=1e-9)
    report = json.loads(greengen.Run(run).render("json"))
    assert report["schema"] == "greengen.report/1"


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's procfs")
def test_killed_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random(20261121)
    victims = ["workload", "recorder", "both"]
    trials = [(tmp_path / f"t{i}", victims[i % 3], chance.uniform(0.0, 1.2)) for i in range(TRIALS)]
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(_trial, *trial) for trial in trials]:
            done.result()
