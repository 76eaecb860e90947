"""Options that several verbs share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from greengen.errors import UsageError

#: What the beginning of a report holds, as JSON, a page or Markdown. CSV has room for none.
_MARKS = (b'"greengen.report/', b'<meta name="generator" content="greengen">', b"# greengen report")

F = TypeVar("F", bound=Callable[..., object])


def site(command: F) -> F:
    """Where the energy was used: --zone, --intensity, --pue."""
    for option in (
        click.option("--pue", type=float, metavar="P", help="Facility energy per IT energy, 1.0 or more."),
        click.option("--intensity", type=float, metavar="G", help="Grid intensity, gCO2e per kWh, instead of a zone."),
        click.option("--zone", metavar="Z", help="Grid zone: an ISO-3 country such as DEU."),
    ):
        command = option(command)
    return command


def check_output(path: Path | None, *, force: bool) -> None:
    """Raise UsageError where a report could not be written to `path`, or would replace what is not one."""
    if path is None:
        return
    if path.is_dir():
        msg = f"cannot write {path}: it is a directory; name a file"
        raise UsageError(msg)
    if not path.parent.is_dir():
        msg = f"cannot write {path}: there is no directory {path.parent}; create it or name another file"
        raise UsageError(msg)
    if path.exists():
        if not os.access(path, os.W_OK | (os.R_OK if path.is_file() else 0)):
            msg = f"cannot write {path}: permission denied; name another file"
            raise UsageError(msg)
        if not force and path.is_file() and path.stat().st_size and not _is_report(path):
            msg = f"{path} exists and is not a greengen report: pass --force to overwrite it, or name another file"
            raise UsageError(msg)
    elif not os.access(path.parent, os.W_OK):
        msg = f"cannot write {path}: permission denied in {path.parent}; name another file"
        raise UsageError(msg)


def check_distinct(**outputs: Path | None) -> None:
    """Raise UsageError where two outputs are one file. `outputs`: by the option that names each."""
    seen: dict[Path, str] = {}
    for option, path in outputs.items():
        if path is not None:
            other = seen.setdefault(path.absolute().resolve(), option)
            if other != option:
                msg = f"--{other} and --{option} both name {path}: one would overwrite the other"
                raise UsageError(msg)


def _is_report(path: Path) -> bool:
    """Whether greengen wrote it: an earlier report is replaced without a question."""
    with path.open("rb") as file:
        head = file.read(2048)
    return any(mark in head for mark in _MARKS)
