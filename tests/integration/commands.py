"""The command line as users run it, and what every run file must show afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import greengen
from greengen.accounting.ledger import Ledger
from greengen.rows import SpanRow

GREENGEN = str(Path(sys.executable).with_name("greengen"))


def script(directory: Path, text: str, name: str = "work.py") -> list[str]:
    """A Python program in a file, as a command."""
    path = directory / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return [sys.executable, str(path)]


def profile(
    directory: Path,
    *arguments: str | Path,
    command: list[str],
    given: bytes | None = None,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """`greengen profile -o run.greengen ARGUMENTS -- COMMAND` in `directory`; `given` is what comes from stdin."""
    line = [GREENGEN, "profile", "-o", "run.greengen", *arguments, "--", *command]
    return subprocess.run(line, check=False, capture_output=True, timeout=60, cwd=directory, input=given, env=env)


def start(
    directory: Path, *arguments: str | Path, command: list[str], silent: bool = False, env: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """The same, started and not waited for; `silent` without pipes, for what is going to be killed."""
    line = [GREENGEN, "profile", "-o", "run.greengen", *arguments, "--", *command]
    where = subprocess.DEVNULL if silent else subprocess.PIPE
    return subprocess.Popen(line, stdout=where, stderr=where, cwd=directory, env=env)


def environment(**variables: str | Path) -> dict[str, str]:
    """This process's, with `variables`."""
    return os.environ | {name: str(value) for name, value in variables.items()}


def spans(path: Path) -> list[SpanRow]:
    """All spans of a run file."""
    return [span for line in greengen.Run(path).rows().timelines for span in line.spans]


def names(path: Path) -> list[str]:
    """The names of all spans, sorted."""
    return sorted(str(span.name) for span in spans(path))


def balanced(path: Path) -> Ledger:
    """The ledger of a run file, whose books balance to 1e-9 in every domain."""
    ledger = greengen.Run(path).ledger()
    assert ledger.chapters
    for chapter in ledger.chapters:
        for entries in chapter.entries:
            books = entries.books
            booked = float(books.span_j.sum()) + books.overhead_j + books.idle_j + (books.other_j or 0.0)
            assert abs(booked - books.curve.total_j) <= 1e-9 * max(1.0, books.curve.total_j)
            assert abs(books.total_j - books.curve.total_j) <= 1e-9 * max(1.0, books.curve.total_j)
            assert min(books.overhead_j, books.idle_j, books.other_j or 0.0, 0.0, *books.span_j) >= 0.0
    return ledger
