"""Text laid out for a terminal: words wrapped, tables of columns, what is bold or coloured.

Of our own, because rich takes as long to load as all of the accounting, and each command that ends in a summary waits
for it.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple, TextIO

#: Styles, by the numbers that a terminal knows them by (ECMA-48, "select graphic rendition").
_STYLES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33}
_WIDTH = 80
_GAP = "  "
_RULE = "\N{BOX DRAWINGS LIGHT HORIZONTAL}"

#: A word with the space before it.
_WORD = re.compile(r"\s*\S+")


class Column(NamedTuple):
    """A heading. `number`: it folds rather than lose a digit where the terminal is narrow; a name is cropped."""

    title: str
    number: bool = False
    right: bool = False


class Screen(NamedTuple):
    """Where lines go, how many cells each has, and whether styles are shown."""

    file: TextIO
    width: int
    encoding: str
    styled: bool

    def print(self, text: str = "", style: str = "", indent: int = 0) -> None:
        """A text, wrapped at words."""
        for line in wrapped(text, max(self.width - indent, 1)):
            self._write(" " * indent + line, style)

    def grid(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Rows of (what, text, style), the texts wrapped beside what they are."""
        told = list(rows)
        first = min(max((cells(what) for what, _, _ in told), default=0), max(self.width - len(_GAP) - 1, 1))
        for what, text, style in told:
            left = wrapped(what, first)
            right = wrapped(text, max(self.width - first - len(_GAP), 1))
            for a, b in zip_longest(left, right, fillvalue=""):
                self._write(f"{_filled(a, first)}{_GAP}{b}", style)

    def table(self, title: str, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
        """A title, headings, a rule, and rows of as many texts as there are columns."""
        self.print(title, "bold")
        every = [tuple(column.title for column in columns), *rows]
        widths = _widths(columns, every, self.width)
        for number, row in enumerate(every):
            # A heading of few lines stands above its column, and not above those of more.
            lines = [cropped(line, self.width) for line in _laid_out(columns, row, widths, from_below=not number)]
            for line in lines:
                self._write(line, "" if number else "bold")
            if not number:
                self._write(self._rule(cells(lines[0])), "")

    def _rule(self, width: int) -> str:
        try:
            _RULE.encode(self.encoding)
        except UnicodeEncodeError:
            return "-" * width
        return _RULE * width

    def _write(self, line: str, style: str) -> None:
        line = line.rstrip()
        self.file.write(f"\x1b[{_STYLES[style]}m{line}\x1b[0m\n" if style and line and self.styled else f"{line}\n")


def screen(file: TextIO, width: int | None = None) -> Screen:
    """A stream as a screen; `width` is that of the terminal where none is told.

    Styled where the stream is a terminal, or FORCE_COLOR is set, and NO_COLOR is not.
    """
    forced, plain = os.environ.get("FORCE_COLOR"), os.environ.get("NO_COLOR")
    styled = not plain and (bool(forced) or (file.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}))
    return Screen(file, _width() if width is None else max(width, 1), file.encoding or "utf-8", styled)


def _width() -> int:
    """Columns of the terminal that one of the standard streams is; COLUMNS goes before."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    for number in range(3):
        try:
            found = os.get_terminal_size(number).columns
        except OSError:  # it is none, or closed
            continue
        if found:
            return found
    return _WIDTH


def cells(text: str) -> int:
    """How many places a line takes: two for a wide sign, none for one that is put on the sign before it."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(sign: str) -> int:
    if unicodedata.combining(sign) or unicodedata.category(sign) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(sign) in {"F", "W"} else 1


def cropped(text: str, width: int) -> str:
    """As much of a line as fits."""
    if text.isascii():
        return text[:width]
    used = 0
    for i, sign in enumerate(text):
        used += _cells(sign)
        if used > width:
            return text[:i]
    return text


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width`, broken at spaces, and within a word where that is longer."""
    lines = []
    for paragraph in text.split("\n"):
        line, used = "", 0
        for word in _WORD.findall(paragraph):
            rest, size = word, cells(word)
            if used and used + size > width:
                lines.append(line)
                rest, line, used = word.lstrip(), "", 0
                size = cells(rest)
            while size > width and len(rest) > 1:
                head = cropped(rest, width) or rest[0]
                lines.append(head)
                rest = rest[len(head) :]
                size = cells(rest)
            line, used = line + rest, used + size
        lines.append(line)
    return lines


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Of each column: what its longest text takes; where that is too much, the widest numbers give first."""
    found = [max(cells(line) for text in texts for line in text.split("\n")) for texts in zip(*rows, strict=True)]
    most = width - len(_GAP) * (len(columns) - 1)
    for giving in (True, False):
        ours = [i for i, column in enumerate(columns) if column.number is giving]
        while sum(found) > most and ours:
            widest = max(ours, key=found.__getitem__)
            if found[widest] <= 1:
                break
            found[widest] -= 1
    return found


def _laid_out(
    columns: Sequence[Column], row: Sequence[str], widths: Sequence[int], *, from_below: bool
) -> Iterator[str]:
    """The lines of a row."""
    texts = [
        wrapped(text, width) if column.number else [cropped(line, width) for line in text.split("\n")]
        for column, text, width in zip(columns, row, widths, strict=True)
    ]
    if from_below:
        most = max(map(len, texts))
        texts = [[""] * (most - len(lines)) + lines for lines in texts]
    for parts in zip_longest(*texts, fillvalue=""):
        placed = zip(columns, parts, widths, strict=True)
        yield _GAP.join(_filled(part, width, right=column.right) for column, part, width in placed)


def _filled(text: str, width: int, *, right: bool = False) -> str:
    space = " " * (width - cells(text))
    return space + text if right else text + space
