"""Bad input: one clear line that names the input and the remedy, exit code 2, and nothing was run or lost."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.commands import environment
from tests.unit import unprivileged

PROGRAM = Path(sys.executable).parent / "greengen"


def greengen(directory: Path, *arguments: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, str(PROGRAM), *arguments], cwd=directory, capture_output=True, text=True, timeout=60, check=False
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line."""
    assert done.returncode == 2, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("greengen: ")
    return line


def run_file(directory: Path) -> Path:
    """A small real run."""
    path = directory / "run.greengen"
    done = greengen(directory, "profile", "-o", path.name, "--", "true")
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--zone", "GER"], ["'GER'", "DEU (Germany)"]),
        (["--zone", "Frnace"], ["'Frnace'", "FRA (France)"]),
        (["--zone", ""], ["''", "ISO-3"]),
        (["--pue", "-1"], ["-1", "1.0 or more"]),
        (["--pue", "0.5"], ["0.5", "1.0 or more"]),
        (["--pue", "nan"], ["nan", "1.0 or more"]),
        (["--pue", "1e300"], ["1e+300", "1.0 or more", "at most 1,000"]),
        (["--intensity", "-3"], ["-3", "0 or more"]),
        (["--intensity", "x"], ["'x'", "--intensity"]),
        (["--intensity", ""], ["''", "--intensity"]),
        (["--zone", "DEU", "--intensity", "3"], ["not both"]),
        (["--interval", "0"], ["0.0 s", "0.1"]),
        (["--interval", "-1"], ["-1.0 s", "0.1"]),
        (["--interval", "nan"], ["nan", "0.1"]),
        (["--interval", "inf"], ["inf"]),
        (["--tier", "moon"], ["moon", "cloud"]),
        (["--collectors", "rapl,foo"], ["'foo'", "rapl"]),
        (["-o", "missing/run.greengen"], ["missing", "--out"]),
        (["-o", "."], ["--out"]),
        (["--html", "missing/page.html"], ["missing", "directory"]),
        (["--html", "."], ["directory"]),
        (["--json", "notes.txt"], ["notes.txt", "--force"]),
        (["-o", "notes.txt"], ["notes.txt", "not a run file"]),
        (["-o", "notes.txt", "--force"], ["notes.txt", "not a run file"]),
        (["--colour"], ["--colour"]),
    ],
)
def test_profile_refuses_before_anything_runs(tmp_path: Path, options: list[str], said: list[str]) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    line = refused(greengen(tmp_path, "profile", *options, "--", "touch", "ran"))
    for text in said:
        assert text in line
    assert notes.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("arguments", [["profile"], ["profile", "--"], ["profile", "--zone", "DEU", "--"]])
def test_no_command(tmp_path: Path, arguments: list[str]) -> None:
    assert "no command" in refused(greengen(tmp_path, *arguments))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_run_is_kept(tmp_path: Path) -> None:
    path = run_file(tmp_path)
    before = path.read_bytes()
    line = refused(greengen(tmp_path, "profile", "-o", path.name, "--", "touch", "ran"))
    assert "--force" in line
    assert path.read_bytes() == before
    assert not (tmp_path / "ran").exists()
    assert greengen(tmp_path, "profile", "-o", path.name, "--force", "--", "true").returncode == 0


@unprivileged.needed
def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    for option in ("-o", "--html", "--json"):
        target = str(locked / "file")
        done = greengen(tmp_path, "profile", option, target, "--", "touch", "ran", prefix=tuple(unprivileged.PREFIX))
        line = refused(done)
        assert target in line
        assert "ermission denied" in line
    assert not (tmp_path / "ran").exists()


def test_a_run_file_that_is_not_one(tmp_path: Path) -> None:
    (tmp_path / "text.greengen").write_text("hello")
    (tmp_path / "empty.greengen").write_bytes(b"")
    sqlite3.connect(tmp_path / "other.greengen").execute("CREATE TABLE t(x)").connection.close()
    for name in ("text.greengen", "empty.greengen", "other.greengen", "missing.greengen", "."):
        line = refused(greengen(tmp_path, "report", name))
        assert name in line


def test_a_newer_schema(tmp_path: Path) -> None:
    path = run_file(tmp_path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    line = refused(greengen(tmp_path, "report", path.name))
    assert "newer" in line
    assert "upgrade" in line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--policy", "equl"], ["'equl'", "equal"]),
        (["--requests", "top:x"], ["'top:x'", "top:20"]),
        (["--requests", "some"], ["'some'", "none"]),
        (["--format", "pdf"], ["pdf", "html"]),
        (["--held", "0.5"], ["--held 0.5", "capacity-share"]),
        (["--coefficients", "0", "0", "0", "0"], ["--coefficients 0 0 0 0", "above 0"]),
        (["--zone", "ZZZ"], ["'ZZZ'"]),
        (["-o", "missing/x.html"], ["missing"]),
    ],
)
def test_report_refuses(tmp_path: Path, options: list[str], said: list[str]) -> None:
    path = run_file(tmp_path)
    line = refused(greengen(tmp_path, "report", path.name, *options))
    for text in said:
        assert text in line


def test_a_report_does_not_replace_its_run(tmp_path: Path) -> None:
    path = run_file(tmp_path)
    (tmp_path / "link.json").symlink_to(path.name)
    before = path.read_bytes()
    for name in (path.name, "link.json"):
        line = refused(greengen(tmp_path, "report", path.name, "--format", "json", "-o", name, "--force"))
        assert "one of the runs" in line
    assert path.read_bytes() == before


@unprivileged.needed
def test_paths_that_the_system_does_not_look_at(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    path = run_file(tmp_path)
    closed.chmod(0o000)
    try:
        for name in ("closed/x.html", "n" * 300):
            for arguments in (
                ["report", name],
                ["report", path.name, "-o", name],
                ["profile", "-o", name, "--", "touch", "ran"],
                ["profile", "--html", name, "--", "touch", "ran"],
            ):
                line = refused(greengen(tmp_path, *arguments, prefix=tuple(unprivileged.PREFIX)))
                assert name.partition("/")[0] in line
                assert "ermission denied" in line or "too long" in line
    finally:
        closed.chmod(0o755)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["closed", path.name]


def test_an_output_that_takes_nothing(tmp_path: Path) -> None:
    path = run_file(tmp_path)
    for line in (f"report {path.name}", "doctor --seconds 0.1"):
        command = ["sh", "-c", f"{PROGRAM} {line} >/dev/full"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert "No space left on device" in refused(done)


def test_an_encoding_that_lacks_characters(tmp_path: Path) -> None:
    path = run_file(tmp_path)
    for encoding, line in (("latin-1", ["report", path.name]), ("ascii", ["doctor", "--seconds", "0.1"])):
        env = environment(PYTHONIOENCODING=encoding)
        done = subprocess.run([PROGRAM, *line], cwd=tmp_path, capture_output=True, env=env, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


def test_a_working_directory_that_is_gone(tmp_path: Path) -> None:
    for line in ("profile -- touch ran", f"profile -o {tmp_path}/x.greengen --html x.html -- touch {tmp_path}/ran"):
        there = f'mkdir gone; cd gone; rmdir "$PWD"; exec {PROGRAM} {line}'
        done = subprocess.run(["sh", "-c", there], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert "the working directory is no longer there" in refused(done)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["loop", "no/where"])
def test_links_that_lead_nowhere(tmp_path: Path, target: str) -> None:
    path = run_file(tmp_path)
    (tmp_path / "loop").symlink_to(target)
    for line in (
        ["report", path.name, "-o", "loop"],
        ["profile", "-o", "loop", "--", "touch", "ran"],
        ["profile", "--html", "loop", "--", "touch", "ran"],
    ):
        assert "loop" in refused(greengen(tmp_path, *line))
    assert not (tmp_path / "ran").exists()


def test_seconds_that_cannot_be_waited(tmp_path: Path) -> None:
    assert "nan" in refused(greengen(tmp_path, "doctor", "--seconds", "nan"))


def test_an_unknown_verb(tmp_path: Path) -> None:
    assert "bogus" in refused(greengen(tmp_path, "bogus"))
