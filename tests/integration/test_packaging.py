"""What ships: built from a copy of this source tree, as a release is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {"greengen": "greengen", "collectors": "greengen/collectors", "reports": "greengen/reports"}
NOT_SOURCE = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "demo.*", "*.greengen*")


@dataclass(frozen=True)
class Built:
    """A wheel built from the source tree, one built from its sdist, and what was said meanwhile."""

    wheel: Path
    wheel_from_sdist: Path
    said: str


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed; what it printed."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    tmp = tmp_path_factory.mktemp("packaging")
    source = shutil.copytree(ROOT, tmp / "source", symlinks=True, ignore=NOT_SOURCE)
    # The links are what a packaging tool may trip over: they must have come along.
    assert (source / "greengen" / "collectors").is_symlink()
    # Without isolation nothing is fetched. From elsewhere, for `-m` would take a folder `build` for the module.
    build = (sys.executable, "-m", "build", "--no-isolation")
    said = run(*build, "--wheel", "--outdir", tmp / "wheel", source, cwd=tmp)
    said += run(*build, "--sdist", "--outdir", tmp / "sdist", source, cwd=tmp)
    [sdist] = (tmp / "sdist").iterdir()
    shutil.unpack_archive(sdist, tmp / "unpacked", filter="data")
    [unpacked] = (tmp / "unpacked").iterdir()
    said += run(*build, "--wheel", "--outdir", tmp / "wheel-from-sdist", unpacked, cwd=tmp)
    [wheel], [from_sdist] = (tmp / "wheel").iterdir(), (tmp / "wheel-from-sdist").iterdir()
    return Built(wheel, from_sdist, said)


def files_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def files_of_the_source() -> set[str]:
    found = set()
    for folder, package in FOLDERS.items():
        for directory, below, names in os.walk(ROOT / folder):
            below[:] = [name for name in below if name != "__pycache__"]
            inside = Path(directory).relative_to(ROOT / folder)
            found |= {(Path(package) / inside / name).as_posix() for name in names}
    return found


def test_the_wheel_holds_all_of_the_source_and_nothing_else(built: Built) -> None:
    assert files_of(built.wheel) == files_of_the_source()


def test_the_sdist_builds_the_same_wheel(built: Built) -> None:
    assert files_of(built.wheel_from_sdist) == files_of(built.wheel)


def test_the_build_warns_of_nothing(built: Built) -> None:
    """Setuptools tells of a forgotten package or data folder in a warning, and builds on."""
    assert "Warning" not in built.said


def test_an_installed_wheel_adds_one_name(built: Built, tmp_path: Path) -> None:
    """`import greengen.collectors` works, though it lies elsewhere in the source; `import collectors` does not."""
    with zipfile.ZipFile(built.wheel) as archive:
        archive.extractall(tmp_path)
    assert {path.name for path in tmp_path.iterdir() if path.suffix != ".dist-info"} == {"greengen"}
    program = (
        f"import importlib.util, sys; sys.path.append({str(tmp_path)!r})\n"
        "import greengen.collectors, greengen.reports\n"
        "print(greengen.collectors.__file__)\n"
        "print(*map(importlib.util.find_spec, ('collectors', 'reports')))\n"
    )
    # -I -S: this process sees the wheel and the standard library, and no other installation.
    lines = run(sys.executable, "-I", "-S", "-c", program, cwd=tmp_path).splitlines()
    assert lines == [str(tmp_path / "greengen" / "collectors" / "__init__.py"), "None None"]
