"""The tables that ship: every row says what it is worth, where it comes from and under which licence."""

from __future__ import annotations

import csv
import math
import re
from importlib.resources import files

import pytest

from greengen import data
from greengen.errors import UsageError

TABLES = sorted(path.name for path in files(data).iterdir() if path.name.endswith(".csv"))
GRID = "grid_intensity_country.csv"


def rows(table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(files(data).joinpath(table).read_text(encoding="utf-8").splitlines()))


def test_there_are_tables() -> None:
    assert GRID in TABLES


@pytest.mark.parametrize("table", TABLES)
def test_every_row_is_complete(table: str) -> None:
    found = rows(table)
    assert found
    for row in found:
        for column in ("value", "unit", "gsd", "basis", "year", "source", "source_url", "licence"):
            assert (row[column] or "").strip(), f"{row} has no {column}"
        assert math.isfinite(float(row["value"]))
        assert float(row["value"]) >= 0.0
        assert 1.0 <= float(row["gsd"]) < 5.0
        assert re.match(r"https?://", row["source_url"])
        assert re.search(r"\d{4}", row["year"])
        assert None not in row, f"{row} has more cells than columns"


@pytest.mark.parametrize("table", TABLES)
def test_no_table_mixes_units_or_bases(table: str) -> None:
    assert len({row["unit"] for row in rows(table)}) == 1
    assert len({row["basis"] for row in rows(table)}) == 1


@pytest.mark.parametrize("table", TABLES)
def test_no_row_is_of_a_licence_that_does_not_allow_it(table: str) -> None:
    """Share-alike tables would have to ship apart, and AGPL ones not at all."""
    for row in rows(table):
        assert not re.search(r"ODbL|AGPL|share-?alike|BY-SA|BY-NC", row["licence"], re.IGNORECASE)


class TestGrid:
    def test_zones_are_countries_and_each_is_there_once(self) -> None:
        zones = [row["zone"] for row in rows(GRID)]
        assert len(zones) == len(set(zones))
        assert all(re.fullmatch(r"[A-Z]{3}", zone) for zone in zones)
        assert "WOR" not in zones

    def test_values_are_those_of_a_grid(self) -> None:
        """From hydropower to lignite, in g/kWh and not in kg; 0 is what a source says of a grid it does not know."""
        assert all(5.0 < float(row["value"]) < 1500.0 for row in rows(GRID))
        assert data.grid_intensity("SWE").value < data.grid_intensity("DEU").value < data.grid_intensity("IND").value

    def test_what_is_read_is_what_the_table_says(self) -> None:
        table = {row["zone"]: row for row in rows(GRID)}
        found = list(data.grid_intensities())
        assert len(found) == len(table)
        for row in found:
            told = table[row.zone]
            assert (row.name, row.value, row.gsd, row.basis) == (
                told["name"],
                float(told["value"]),
                float(told["gsd"]),
                told["basis"],
            )
            quantity = row.quantity()
            assert (quantity.value, quantity.unit, quantity.grade) == (row.value, "g/kWh", "declared")
            assert quantity.basis == row.basis

    def test_a_zone_may_be_written_small(self) -> None:
        assert data.grid_intensity(" deu ") == data.grid_intensity("DEU")

    @pytest.mark.parametrize(
        ("wrong", "meant"),
        [("GER", "DEU"), ("Germany", "DEU"), ("germny", "DEU"), ("United Stat", "USA"), ("FRE", "FRA")],
    )
    def test_an_unknown_zone_suggests(self, wrong: str, meant: str) -> None:
        with pytest.raises(UsageError) as error:
            data.grid_intensity(wrong)
        assert f"unknown zone {wrong!r}" in str(error.value)
        assert meant in str(error.value)

    def test_or_says_what_to_pass(self) -> None:
        with pytest.raises(UsageError, match="ISO-3"):
            data.grid_intensity("?????????")
