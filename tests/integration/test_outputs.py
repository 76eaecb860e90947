"""Nothing is written but the named outputs, by the recorder or by the workload that it records."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.commands import GREENGEN, balanced, environment, script

#: Notes every path that a Python process opens to write, makes, moves or gives to SQLite.
WATCH = """
import json, os, runpy, sys
from urllib.parse import unquote
_log = os.open(os.environ["GREENGEN_TESTS_WRITES"], os.O_WRONLY | os.O_APPEND)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MAKES = {"os.mkdir", "os.rename", "os.link", "os.symlink", "os.truncate", "os.remove", "os.rmdir", "os.chmod"}
def _note(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        if isinstance(path, int) or not (flags & _WRITES):
            return
    elif event == "sqlite3.connect":
        path = unquote(arguments[0].removeprefix("file://").partition("?")[0])
    elif event in _MAKES:
        path = arguments[1] if event in ("os.rename", "os.link", "os.symlink") else arguments[0]
        if event in ("os.remove", "os.rmdir") and arguments[1] >= 0:
            path = os.path.join(os.readlink(f"/proc/self/fd/{arguments[1]}"), path)
    else:
        return
    line = json.dumps([event, os.path.abspath(os.fsdecode(path)), sys.argv[0] if hasattr(sys, "argv") else ""])
    os.write(_log, line.encode() + b"\\n")
sys.addaudithook(_note)
runpy.run_path(os.environ["GREENGEN_TESTS_GUARD"])
"""

WORK = """
import os, sys, time, greengen
with greengen.request(model="m"):
    time.sleep(0.1)
pid = os.fork()
with greengen.request(model="child" if not pid else "parent"):
    time.sleep(0.6)
if pid:
    os.waitpid(pid, 0)
    print(len(greengen.Run(os.environ["GREENGEN_RECORDING"]).rows().timelines[0].spans))
"""

GUARD = Path(__file__).parents[1] / "guard/sitecustomize.py"


@pytest.fixture
def watched(tmp_path: Path) -> dict[str, str]:
    """The environment of processes that are watched, with a home and a temporary folder of their own."""
    for name in ("home", "temporary", "out", "watch"):
        (tmp_path / name).mkdir()
    (tmp_path / "watch/sitecustomize.py").write_text(WATCH)
    (tmp_path / "watch/log").touch()
    return environment(
        HOME=tmp_path / "home",
        XDG_CACHE_HOME=tmp_path / "home/cache",
        TMPDIR=tmp_path / "temporary",
        PYTHONDONTWRITEBYTECODE="1",
        PYTHONPATH=f"{tmp_path / 'watch'}:{environment().get('PYTHONPATH', '')}",
        GREENGEN_TESTS_WRITES=tmp_path / "watch/log",
        GREENGEN_TESTS_GUARD=GUARD,
    )


def writes(tmp_path: Path) -> list[tuple[str, str, str]]:
    """(event, path, program) of each write, but for those to /dev/null and to copies in the temporary folder."""
    temporary = f"{tmp_path}/temporary/"
    found = [json.loads(line) for line in (tmp_path / "watch/log").read_text().splitlines()]
    return [(*write,) for write in found if write[1] != "/dev/null" and not write[1].startswith(temporary)]


def files(tmp_path: Path) -> list[str]:
    kept = ("watch/", "work.py")
    names = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    return sorted(name for name in names if not name.startswith(kept))


def test_only_the_named_outputs_are_written(tmp_path: Path, watched: dict[str, str]) -> None:
    work = script(tmp_path, WORK)
    outputs = ["--json", "out/r.json", "--html", "out/r.html"]
    line = [GREENGEN, "profile", "-o", "out/run.greengen", *outputs, "--zone", "DEU", "--", *work]
    done = subprocess.run(line, cwd=tmp_path, env=watched, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b"3\n"), done.stderr
    run = f"{tmp_path}/out/run.greengen"
    named = {run, f"{run}-wal", f"{run}-shm", f"{run}-journal", f"{tmp_path}/out/r.json", f"{tmp_path}/out/r.html"}
    seen = writes(tmp_path)
    assert [write for write in seen if write[1] not in named] == []
    # The watch was awake in both.
    assert {Path(program).name for _, path, program in seen if path == run} == {"greengen", "work.py"}
    assert files(tmp_path) == ["out/r.html", "out/r.json", "out/run.greengen"]
    assert list((tmp_path / "temporary").iterdir()) == []
    balanced(Path(run))


def test_reading_and_doctor_write_nothing(tmp_path: Path, watched: dict[str, str]) -> None:
    line = [GREENGEN, "profile", "-o", "out/run.greengen", "--", "true"]
    subprocess.run(line, cwd=tmp_path, env=watched, capture_output=True, check=True)
    (tmp_path / "watch/log").write_text("")
    before = (tmp_path / "out/run.greengen").read_bytes()
    for command in (["report", "out/run.greengen", "--format", "html"], ["doctor", "--json"]):
        subprocess.run([GREENGEN, *command], cwd=tmp_path, env=watched, capture_output=True, check=True)
    reading = ("sqlite3.connect", f"{tmp_path}/out/run.greengen")
    assert [write for write in writes(tmp_path) if write[:2] != reading] == []
    assert (tmp_path / "out/run.greengen").read_bytes() == before
    assert files(tmp_path) == ["out/run.greengen"]
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_library_without_a_recording_writes_nothing(tmp_path: Path, watched: dict[str, str]) -> None:
    program = "import greengen\nwith greengen.request(model='m') as req: req.tokens(1, 2)"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=watched, check=True)
    assert writes(tmp_path) == []
    assert files(tmp_path) == []


def test_the_watch_sees(tmp_path: Path, watched: dict[str, str]) -> None:
    program = "import os; open('a', 'w').close(); os.mkdir('b'); os.rename('a', 'c'); os.open('c', os.O_RDONLY)"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=watched, check=True)
    seen = [(event, Path(path).name) for event, path, _ in writes(tmp_path)]
    assert seen == [("open", "a"), ("os.mkdir", "b"), ("os.rename", "c")]
    assert runpy.run_path(str(GUARD))["LOG"]
