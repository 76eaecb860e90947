"""The user's own intensity by the hour: what is wrong with a file is one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from greengen.errors import UsageError
from greengen.integrations.intensity_csv import read

HOUR_NS = 3_600_000_000_000
BASIS = "average; declared by the user"


def hours(path: Path, text: str) -> list[tuple[int, float | None]]:
    """(start in hours after the first, g/kWh)."""
    path.write_text(text, encoding="utf-8")
    found = read(path, BASIS)
    assert all(hour.intensity.basis == BASIS for hour in found)
    return [((hour.start_ns - found[0].start_ns) // HOUR_NS, hour.intensity.value) for hour in found]


def test_each_value_holds_until_the_next(tmp_path: Path) -> None:
    file = tmp_path / "grid.csv"
    assert hours(file, "time,g_per_kwh\n2026-11-21T13:00Z,300\n2026-11-21T14:00Z,200.5\n\n") == [(0, 300.0), (1, 200.5)]
    assert read(file, BASIS)[1].end_ns - read(file, BASIS)[1].start_ns == HOUR_NS


def test_quarters_days_columns_and_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "grid.csv"
    hours(file, "﻿place, g_per_kwh ,time\nhere,1,2026-11-21T13:00Z\nhere,2,2026-11-21T13:15Z\n")
    assert [hour.end_ns - hour.start_ns for hour in read(file, BASIS)] == [HOUR_NS // 4] * 2
    assert hours(file, "time,g_per_kwh\n2026-11-21T13:00Z,0\n") == [(0, 0.0)]


def test_an_hour_that_a_clock_shows_twice_is_two(tmp_path: Path) -> None:
    """Berlin, 25 October 2026: 02:00 in summer time, then 02:00 in winter time."""
    times = ("01:00+02:00", "02:00+02:00", "02:00+01:00", "03:00+01:00")
    rows = [f"2026-10-25T{time},{value}" for value, time in enumerate(times, 1)]
    assert hours(tmp_path / "grid.csv", "\n".join(["time,g_per_kwh", *rows])) == [
        (0, 1.0),
        (1, 2.0),
        (2, 3.0),
        (3, 4.0),
    ]


HEAD = "time,g_per_kwh\n2026-11-21T13:00Z,300\n2026-11-21T14:00Z,300\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no columns time and g_per_kwh, but nothing"),
        ("when,g\n", "but when, g"),
        ("time,g_per_kwh\n", "holds no row"),
        (HEAD + "2026-11-21T16:00Z,300\n", r"line 4: a gap, 120 minutes.*60 apart: add the rows"),
        (HEAD + "2026-11-21T14:30Z,300\n", "another step"),
        (HEAD + "2026-11-21T14:00Z,300\n", "line 4: its time is that of the row before"),
        (HEAD + "2026-11-21T12:00Z,300\n", "sort the rows"),
        (HEAD + "2026-11-21T15:00,300\n", "no time zone: add Z"),
        (HEAD + "soon,300\n", "is no time: write it as"),
        (HEAD + "2026-11-21T15:00Z,-1\n", r"line 4: '-1' is no intensity: pass g/kWh, from 0 to 2000"),
        (HEAD + "2026-11-21T15:00Z,2001\n", "from 0 to 2000"),
        (HEAD + "2026-11-21T15:00Z,nan\n", "is no intensity"),
        (HEAD + "2026-11-21T15:00Z,\n", "is no intensity"),
        (HEAD + "2026-11-21T15:00Z\n", "is no intensity"),
    ],
)
def test_what_is_wrong_is_one_line_with_a_remedy(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "grid.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=why) as error:
        read(file, BASIS)
    assert "grid.csv" in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            read(path, BASIS)
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path / "b.csv", BASIS)
