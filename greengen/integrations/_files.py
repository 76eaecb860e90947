"""Files of a log as text and tables; what is wrong with one is said with its name and line."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from greengen.errors import LogError
from greengen.stated import nearest

#: What parts the cells of a table, in the order in which a header line is looked at.
_DELIMITERS = (",", ";", "\t")

#: How much of a stranger's text an error repeats.
_SHOWN = 60


def read_bytes(path: Path) -> bytes:
    """All of a file. Raises LogError where it cannot be read."""
    if path.is_dir():
        msg = f"{path} is a directory: name the log itself"
        raise LogError(msg)
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        msg = f"there is no file {path}: check its name"
        raise LogError(msg) from error
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}; check its permissions"
        raise LogError(msg) from error


def read_text(path: Path) -> str:
    """A file as text; bytes that are none become question marks in a box. Raises LogError."""
    return decoded(read_bytes(path))


def decoded(content: bytes) -> str:
    """Bytes of a log as text; UTF-16 is known by its mark, as PowerShell writes it."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    return content.decode("utf-8-sig", "replace")


def digest(*contents: bytes) -> str:
    """16 hexadecimal digits that stand for these bytes: the same log gets the same id again."""
    found = hashlib.sha256()
    for content in contents:
        found.update(hashlib.sha256(content).digest())
    return found.hexdigest()[:16]


def shown(text: object) -> str:
    """A stranger's text in quotes, cut to what an error can carry."""
    given = str(text)
    return repr(given if len(given) <= _SHOWN else given[:_SHOWN] + "...")


def number(text: str, where: str) -> float:
    """A finite number. Raises LogError; NaN and infinity are none."""
    try:
        value = float(text)
    except ValueError as error:
        hint = ": write decimals with a point" if "," in text else ""
        msg = f"{where}: {shown(text)} is not a number{hint}"
        raise LogError(msg) from error
    if not math.isfinite(value):
        msg = f"{where}: {shown(text)} is not a finite number"
        raise LogError(msg)
    return value


def count(text: str, where: str) -> int:
    """A whole number, 0 or more, that a run file can hold. Raises LogError."""
    value = number(text, where)
    if value < 0 or value != int(value) or value >= 2**62:
        msg = f"{where}: {shown(text)} is not a count"
        raise LogError(msg)
    return int(value)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: its line in the file, and its cells without blanks around them."""

    line: int
    cells: tuple[str, ...]

    def cut_off(self, path: Path) -> LogError:
        """What is wrong with a row of `Table.cut`."""
        return LogError(f"{path} line {self.line} is cut off, or is not as wide as the header: mend it")


@dataclass(frozen=True, slots=True)
class Table:
    """A log with a header and rows; every row has as many cells as the header, or is in `cut`."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    cut: tuple[Row, ...]

    def column(self, name: str, option: str) -> int:
        """The index of a column that the user named. Raises LogError with the nearest names."""
        places = [i for i, known in enumerate(self.header) if known == name]
        if len(places) == 1:
            return places[0]
        if places:
            msg = f"{self.path} has {len(places)} columns {name!r}: give each a name of its own"
            raise LogError(msg)
        columns = ", ".join(self.header)
        msg = f"{self.path} has no column {name!r} ({option}): {nearest(name, self.header)}its columns are {columns}"
        raise LogError(msg)

    def usual(self, names: Sequence[str]) -> int | None:
        """The one column that is named as `names` say, in any case; None where none or several are."""
        places = [i for i, known in enumerate(self.header) if known.lower() in names]
        return places[0] if len(places) == 1 else None

    def where(self, row: Row, column: int) -> str:
        """What an error calls a cell."""
        return f"{self.path} line {row.line}, column {self.header[column]!r}"


def table(path: Path, content: bytes, header: Sequence[str] | None = None) -> Table:
    """A table of comma-, semicolon- or tab-separated values. Raises LogError.

    header  its column names where the file has none
    """
    text = decoded(content)
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        msg = f"{path} is empty: name a log with a header and rows"
        raise LogError(msg)
    delimiter = max(_DELIMITERS, key=first.count)
    rows: list[Row] = []
    cut: list[Row] = []
    names = None if header is None else tuple(header)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        for cells in reader:
            row = Row(reader.line_num, tuple(cell.strip() for cell in cells))
            if not any(row.cells):
                continue
            if names is None:
                names = row.cells
            elif row.cells == names:
                continue  # a logger that was started again has written its header again
            else:
                (rows if len(row.cells) == len(names) else cut).append(row)
    except csv.Error as error:
        msg = f"{path} is not a table of text: {error}; name a CSV file"
        raise LogError(msg) from error
    return Table(path, names or (), tuple(rows), tuple(cut))
