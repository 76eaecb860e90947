"""A disk that fills while something is recorded: the workload never sees it, and it is said at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.commands import GREENGEN, balanced, names, script

#: A mount namespace of one's own: as root, or as root of a user namespace of one's own.
UNSHARE = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-rm"]


def _can_mount() -> bool:
    if not shutil.which("unshare"):
        return False
    probe = [*UNSHARE, "sh", "-c", "mount -t tmpfs -o size=100k tmpfs /mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not _can_mount(), reason="no file system can be mounted here, so no small disk")


def on_a_small_disk(
    directory: Path, command: list[str], *arguments: str, size: str = "500k"
) -> subprocess.CompletedProcess[str]:
    """`greengen profile` with the run file on a disk of `size`; what is left of it lies in ``left`` afterwards."""
    disk, left = directory / "disk", directory / "left"
    disk.mkdir()
    left.mkdir()
    inside = 'mount -t tmpfs -o "size=$1" tmpfs disk && shift && "$@"; code=$?; cp -r disk/. left; exit $code'
    profile = [GREENGEN, "profile", "-o", "disk/run.greengen", *arguments, "--", *command]
    line = [*UNSHARE, "sh", "-c", inside, "sh", size, *profile]
    return subprocess.run(line, cwd=directory, capture_output=True, text=True, timeout=60, check=False)


def test_a_disk_that_fills_and_stays_full(tmp_path: Path) -> None:
    work = script(
        tmp_path,
        """
        import sys, time, greengen
        print("line 1", flush=True)
        for i in range(900):
            with greengen.request(name=str(i), label="x" * 2000):
                time.sleep(0.002)
        print("line 2")
        sys.exit(7)
        """,
    )
    done = on_a_small_disk(tmp_path, work, size="1500k")
    assert (done.returncode, done.stdout) == (7, "line 1\nline 2\n")
    assert "Traceback" not in done.stderr
    told = [line for line in done.stderr.splitlines() if "is incomplete" in line]
    assert told
    assert all("disk is full" in line for line in told)
    path = tmp_path / "left/run.greengen"
    balanced(path)
    dropped = sum(int(line.rpartition("; ")[2].split()[0]) for line in told)
    # What came before it was full is there, without a hole.
    kept = sorted(map(int, names(path)))
    assert kept == list(range(len(kept)))
    assert 0 < len(kept) < 900
    assert dropped >= 900 - len(kept)


def test_a_disk_that_is_full_for_a_while_costs_nothing(tmp_path: Path) -> None:
    work = script(
        tmp_path,
        """
        import os, time, greengen
        def spans(who):
            for i in range(10):
                with greengen.request(name=f"{who}{i}", label="x" * 2000): time.sleep(0.01)
        spans("before")
        time.sleep(0.6)
        with open("disk/filler", "wb", buffering=0) as filler:
            try:
                while True: filler.write(bytes(4096))
            except OSError: pass
        spans("full")
        time.sleep(1.2)
        os.unlink("disk/filler")
        spans("after")
        """,
    )
    done = on_a_small_disk(tmp_path, work)
    assert (done.returncode, done.stdout) == (0, "")
    assert "incomplete" not in done.stderr
    path = tmp_path / "left/run.greengen"
    assert names(path) == sorted(f"{who}{i}" for who in ("before", "full", "after") for i in range(10))
    ledger = balanced(path)
    assert ledger.coverage() > 0.9


def test_a_disk_without_room_for_a_report(tmp_path: Path) -> None:
    work = ["sh", "-c", "dd if=/dev/zero of=disk/filler bs=4096 2>/dev/null; sleep 0.7; exit 3"]
    done = on_a_small_disk(tmp_path, work, "--json", "disk/r.json", "--html", "disk/r.html")
    assert done.returncode == 3
    assert "greengen: no report: " in done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_disk_that_is_too_small_from_the_start(tmp_path: Path) -> None:
    done = on_a_small_disk(tmp_path, ["touch", "started"], size="20k")
    assert (done.returncode, done.stdout) == (2, "")
    [said] = done.stderr.splitlines()
    assert said.startswith("greengen: cannot write the run file ")
    assert "name another" in said
    assert not (tmp_path / "started").exists()
    assert list((tmp_path / "left").iterdir()) == []
