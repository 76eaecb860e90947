"""`greengen import` and `greengen report` as users run them, on the logs of tests/data."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.integration.commands import GREENGEN

DATA = Path(__file__).parents[1] / "data"

Report = dict[str, Any]


def unpacked(name: str, directory: Path) -> Path:
    """A folder of tests/data in a directory of the test's own, its compressed files as they were."""
    place = directory / name
    place.mkdir()
    for path in sorted((DATA / name).iterdir()):
        if path.suffix == ".gz":
            (place / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        else:
            shutil.copyfile(path, place / path.name)
    return place


def run(directory: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """`greengen ARGUMENTS`, in a directory."""
    line = [GREENGEN, *map(str, arguments)]
    return subprocess.run(line, cwd=directory, capture_output=True, text=True, timeout=120, check=False)


def imported(directory: Path, *arguments: object, out: str = "m.greengen") -> str:
    """Import, which must work; what was said."""
    done = run(directory, "import", *arguments, "-o", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return done.stderr


def report(directory: Path, *runs: str) -> Report:
    """The JSON report of run files."""
    done = run(directory, "report", "--format", "json", *(runs or ("m.greengen",)))
    assert done.returncode == 0, done.stderr
    document: Report = json.loads(done.stdout)
    booked = sum(row["energy_j"]["value"] or 0.0 for row in document["accounts"])
    assert abs(booked - (document["totals"]["energy_j"]["value"] or 0.0)) <= 1e-9 * max(booked, 1.0)
    return document


def shown(directory: Path, format_: str, name: str = "m.greengen") -> str:
    """A report in another format."""
    done = run(directory, "report", "--format", format_, name)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(directory: Path, *arguments: object, out: str = "m.greengen") -> str:
    """Import, which must be refused in one line, and leave nothing behind; the line."""
    before = sorted(path.name for path in directory.iterdir())
    done = run(directory, "import", *arguments, "-o", out)
    assert done.returncode == 2, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("greengen: ")
    assert sorted(path.name for path in directory.iterdir()) == before
    return line
