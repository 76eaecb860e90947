"""The thermal design power of a CPU by its name, from the table that codecarbon ships.

The table is found without importing codecarbon, which takes half a second. The match is our own:
deterministic, and none at all where the name says no model ("AMD EPYC", as clouds often have it).
"""

from __future__ import annotations

import csv
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_MARKS = re.compile(r"\((?:r|tm|c)\)")
_NOISE = re.compile(
    r"""\([^)]*\)?                # remarks: (with IBPB)
      | @.*$                      # clock: @ 2.60GHz
      | \bw(?:ith\b|/).*$         # with Radeon Graphics
      | \bradeon\b.*$
      | \b\d+(?:st|nd|rd|th)\ gen\b
      | \b\w+-cores?\b            # 64-Core, Quad-Core
      | \bcpu\b | \bprocessor\b | \bapu\b
    """,
    re.VERBOSE,
)
_MODEL_NUMBER_DIGITS = 3


class Tdp(NamedTuple):
    """A row of the table: the CPU's name there, and its design power per package, W."""

    name: str
    watts: float


def table_path() -> Path | None:
    """Where codecarbon's table lies, or None where codecarbon is not installed."""
    spec = importlib.util.find_spec("codecarbon")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / "data/hardware/cpu_power.csv"
    return path if path.is_file() else None


def find(model: str, table: Path) -> Tdp | None:
    """The row that names this CPU, or None.

    Names that are equal but for marks, clock, core count and generation match best. Failing that, a
    row matches when it has the same words with digits, a model number of three digits or more among
    them, and one of the two names has all the other words of the other: the row that shares most
    words wins. Rows that match equally well and disagree on the power are no match.
    """
    wanted = words(model)
    numbers = _with_digits(wanted)
    model_number = max(numbers, key=_digits, default="")
    if not numbers:
        return None
    best: list[Tdp] = []
    best_score = 0
    for name, watts in _rows(table):
        if model_number not in name.lower():
            continue
        row = words(name)
        if row == wanted:
            score = len(wanted) + 1
        elif _digits(model_number) < _MODEL_NUMBER_DIGITS or _with_digits(row) != numbers:
            continue
        elif set(row) <= set(wanted) or set(wanted) <= set(row):
            score = len(set(row) & set(wanted))
        else:
            continue
        if score > best_score:
            best, best_score = [], score
        if score == best_score:
            best.append(Tdp(name, watts))
    if len({row.watts for row in best}) != 1:
        return None
    return min(best, key=lambda row: row.name)


def words(name: str) -> list[str]:
    """What of a CPU's name tells it from others, in small letters."""
    return _NOISE.sub(" ", _MARKS.sub(" ", name.lower())).split()


def _with_digits(some: list[str]) -> set[str]:
    return {word for word in some if any(char.isdigit() for char in word)}


def _digits(word: str) -> int:
    return sum(char.isdigit() for char in word)


def _rows(table: Path) -> Iterator[tuple[str, float]]:
    # A few rows hold two numbers run together ("27.29.5"): they say nothing.
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            try:
                watts = float(row["TDP"])
            except (TypeError, ValueError):
                continue
            if watts > 0 and row["Name"]:
                yield row["Name"], watts
