"""Text laid out for a terminal."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greengen.reports.layout import Column, cells, cropped, screen, wrapped

SIGNS = st.text(st.sampled_from("ab 1.J漢字e\u0301\U0001f50b\u200b"), max_size=60)


def drawn(columns: list[Column], rows: list[tuple[str, ...]], width: int) -> list[str]:
    out = io.StringIO()
    screen(out, width).table("Title", columns, rows)
    return out.getvalue().splitlines()


def test_a_wide_sign_takes_two_places_and_an_accent_none() -> None:
    assert [cells(text) for text in ("abc", "漢字", "e\u0301", "")] == [3, 4, 1, 0]
    assert cropped("漢字", 3) == "漢"
    assert wrapped("漢字漢", 4) == ["漢字", "漢"]


@given(SIGNS, st.integers(2, 20))
def test_wrapping_loses_nothing_and_is_never_too_wide(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert all(cells(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_words_stay_whole_where_they_fit() -> None:
    assert wrapped("one two  three\n\nfour", 8) == ["one two", "three", "", "four"]
    assert wrapped("a longer-than-that b", 6) == ["a", "longer", "-than-", "that b"]
    assert wrapped("漢", 1) == ["漢"]  # no line takes it: it is shown, and not left out


def test_a_table_that_fits() -> None:
    columns = [Column("account"), Column("per\nrequest", number=True, right=True), Column("grade", number=True)]
    assert drawn(columns, [("train", "1.5 J", "measured"), ("idle", "12 J", "-")], 80) == [
        "Title",
        "             per",
        "account  request  grade",
        "\u2500" * 26,
        "train      1.5 J  measured",
        "idle        12 J  -",
    ]


@pytest.mark.parametrize("width", range(12, 40, 3))
def test_where_there_is_little_room_numbers_fold_and_names_are_cropped_last(width: int) -> None:
    lines = drawn([Column("name"), Column("energy", number=True, right=True)], [("abcdefgh", "123456789 kJ")], width)
    assert max(map(len, lines)) <= width
    last = lines[lines.index(next(line for line in lines if line.startswith("\u2500"))) + 1 :]
    assert re.sub(r"\s", "", "".join(line[10:] for line in last)) == "123456789kJ"
    assert last[0].startswith("abcdefgh")


def test_styles_are_for_those_who_can_show_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    assert not screen(io.StringIO()).styled
    above, below = pty.openpty()
    with os.fdopen(above), os.fdopen(below, "w") as terminal:
        assert screen(terminal).styled
        monkeypatch.setenv("TERM", "dumb")
        assert not screen(terminal).styled
        monkeypatch.setenv("FORCE_COLOR", "1")
        assert screen(terminal).styled
        assert screen(io.StringIO()).styled
        monkeypatch.setenv("NO_COLOR", "1")
        assert not screen(terminal).styled


def test_the_width_is_that_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "97")
    assert screen(io.StringIO()).width == 97
    monkeypatch.delenv("COLUMNS")
    program = "import io; from greengen.reports.layout import screen; print(screen(io.StringIO()).width)"
    none = subprocess.run(
        [sys.executable, "-c", program], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    assert none.stdout == "80\n"
