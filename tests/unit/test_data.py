"""The tables that ship: every row says what it is worth, how well, where it comes from and under which licence."""

from __future__ import annotations

import csv
import datetime as dt
import re
from importlib.resources import files

import pytest

from greengen import data
from greengen.basis import Basis
from greengen.data import cloud, subnational
from greengen.errors import UsageError

INTENSITIES = ("grid_intensity_country", "gcp_region_intensity", "fuel_factors")
LINE = {
    "id": "DEU",
    "name": "Germany",
    "value": "330",
    "unit": "g/kWh",
    "low": "",
    "high": "",
    "gsd": "1.1",
    "kind": "average",
    "basis": "lifecycle",
    "scope": "country",
    "year": "2025",
    "valid_to": "2027-12-31",
    "source": "Ember",
    "source_url": "https://ember-energy.org",
    "licence": "CC BY 4.0",
    "retrieved": "2026-11",
    "note": "",
}


def cells(table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(files(data).joinpath(f"{table}.csv").read_text(encoding="utf-8").splitlines()))


def test_every_table_that_ships_is_listed() -> None:
    there = {path.name.removesuffix(".csv") for path in files(data).iterdir() if path.name.endswith(".csv")}
    assert there == {*data.TABLES, "cloud_regions"}


@pytest.mark.parametrize("table", data.TABLES)
def test_every_row_is_complete(table: str) -> None:
    """The loader refuses what is not; it is what the tables say that is read, and nothing is lost on the way."""
    told, found = cells(table), data.table(table)
    assert [row["id"] for row in told] == list(found)
    for line in told:
        row = found[line["id"]]
        assert (row.value, row.source, row.year) == (float(line["value"]), line["source"], line["year"])
        assert None not in line, f"{line} has more cells than columns"
        assert re.match(r"https?://", row.source_url)
        assert re.search(r"\d{4}", row.year)
        assert re.match(r"\d{4}-\d{2}", row.retrieved)
        assert 1.0 <= row.gsd < 3.0
        quantity = row.quantity()
        assert (quantity.value, quantity.grade) == (row.value, "declared")


@pytest.mark.parametrize("column", [*data.REQUIRED, "licence", "retrieved", "gsd"])
def test_a_row_without_it_is_refused(column: str) -> None:
    assert data.checked("t", LINE).value == 330.0
    with pytest.raises(ValueError, match="interval" if column == "gsd" else f"has no {column}"):
        data.checked("t", LINE | {column: ""})


@pytest.mark.parametrize(
    "wrong", [{"value": "-1"}, {"value": "nan"}, {"gsd": "0.5"}, {"low": "400", "high": "500"}, {"valid_to": "soon"}]
)
def test_a_row_that_cannot_be_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"not possible|isoformat"):
        data.checked("t", LINE | wrong)


def test_a_row_that_is_there_twice_is_refused() -> None:
    lines = [",".join(LINE), ",".join(LINE.values()), ",".join(LINE.values())]
    with pytest.raises(ValueError, match="DEU is there twice"):
        data.parse("t", lines)


def test_a_range_is_the_interval() -> None:
    row = data.checked("lifetimes", LINE | {"value": "4", "unit": "years", "low": "3", "high": "6", "gsd": ""})
    assert (row.low, row.high, row.spread) == (3.0, 6.0, "uniform")
    quantity = row.quantity()
    assert (quantity.high or 0) / (quantity.low or 1) == pytest.approx(2.0)


@pytest.mark.parametrize("table", data.TABLES)
def test_no_row_is_of_a_licence_that_does_not_allow_it(table: str) -> None:
    """Share-alike tables would have to ship apart, and AGPL ones not at all."""
    for row in data.table(table).values():
        told = f"{row.licence} {row.source} {row.source_url}"
        assert not re.search(r"ODbL|AGPL|boavizta|share-?alike|BY-SA|BY-NC", told, re.IGNORECASE), row.id


@pytest.mark.parametrize("table", INTENSITIES)
def test_an_intensity_states_what_it_is_of(table: str) -> None:
    """One kind and scope in one table, in words that `Basis` knows."""
    bases = {row.quantity().basis for row in data.table(table).values()}
    assert len(bases) == 1
    basis = Basis.parse(bases.pop())
    assert (basis.kind, basis.also) == ("average", ())
    assert basis.scope in ("lifecycle", "direct")


def test_a_row_past_its_date_says_so() -> None:
    row = data.row("pue", "aws")
    assert row.past_its_date(row.valid_to) == ""
    told = row.past_its_date(row.valid_to + dt.timedelta(days=1))
    assert row.year in told
    assert "replaced" in told


def test_what_is_not_in_a_table_suggests() -> None:
    with pytest.raises(UsageError, match=r"did you mean .*\bh100"):
        data.row("embodied_hardware", "h10")
    with pytest.raises(UsageError, match="greengen factors"):
        data.row("embodied_hardware", "zzzzzzzz")
    with pytest.raises(UsageError, match="unknown table"):
        data.table("zones")


class TestGrid:
    def test_zones_are_countries_and_the_world_is_none(self) -> None:
        zones = [row.id for row in data.grid_intensities()]
        assert len(zones) > 200
        assert all(re.fullmatch(r"[A-Z]{3}", zone) for zone in zones)
        assert "WOR" not in zones

    def test_values_are_those_of_a_grid(self) -> None:
        """From hydropower to lignite, in g/kWh and not in kg; 0 is what a source says of a grid it does not know."""
        assert all(5.0 < row.value < 1500.0 for row in data.grid_intensities())
        assert data.grid_intensity("SWE").value < data.grid_intensity("DEU").value < data.grid_intensity("IND").value

    def test_a_zone_may_be_written_small(self) -> None:
        assert data.grid_intensity(" deu ") == data.grid_intensity("DEU")

    @pytest.mark.parametrize(
        ("wrong", "meant"),
        [("GER", "DEU"), ("Germany", "DEU"), ("germny", "DEU"), ("United Stat", "USA"), ("FRE", "FRA"), ("SE5", "SE3")],
    )
    def test_an_unknown_zone_suggests(self, wrong: str, meant: str) -> None:
        with pytest.raises(UsageError) as error:
            data.grid_intensity(wrong)
        assert f"unknown zone {wrong!r}" in str(error.value)
        assert meant in str(error.value)

    def test_or_says_what_to_pass(self) -> None:
        with pytest.raises(UsageError, match="ISO-3"):
            data.grid_intensity("?????????")


class TestWithinCountries:
    def test_a_state_of_the_usa(self) -> None:
        """carbon.md W14: California, 394.769 lb/MWh."""
        row = data.grid_intensity("usa-ca")
        assert row.value == pytest.approx(179.0642, rel=1e-5)
        assert Basis.parse(row.quantity().basis).scope == "direct"
        assert data.grid_intensity("US-CA") == row

    def test_a_province_of_canada_counts_all_that_it_generates(self) -> None:
        """Hydropower is not 0: codecarbon's own figure for Quebec is 3.9 g/kWh."""
        assert 20 < data.grid_intensity("CAN-QC").value < 35
        assert data.grid_intensity("CAN-QC").basis == data.grid_intensity("CAN").basis
        assert data.grid_intensity("CAN-AB").value > 10 * data.grid_intensity("CAN-QC").value

    def test_bidding_zones_and_provinces_of_china(self) -> None:
        assert data.grid_intensity("SE3").value == pytest.approx(27.0)
        assert data.grid_intensity("CHN-BJ").value == pytest.approx(555.4)
        assert "lower bound" in data.grid_intensity("SE4").note

    def test_each_has_what_the_shipped_rows_have(self) -> None:
        zones = subnational.zones()
        assert len(zones) > 95
        for row in zones.values():
            assert row.low < row.value < row.high
            assert all((row.name, row.source, row.source_url, row.licence, row.year, row.retrieved))
            assert Basis.parse(row.quantity().basis).also == ()


class TestCloud:
    def test_a_region_has_its_country_and_two_sources(self) -> None:
        found = cloud.regions()
        assert len(found) > 90
        countries = {row.id for row in data.grid_intensities()}
        for region in found.values():
            assert region.zone in countries, region
            assert region.source_url != region.source2_url
        assert (found["aws:eu-west-3"].zone, found["azure:northeurope"].zone) == ("FRA", "IRL")
        assert (found["gcp:me-central1"].zone, found["azure:westus"].zone) == ("QAT", "USA")

    def test_its_pue_is_its_own_or_of_the_fleet(self) -> None:
        own, fleet = cloud.region("aws:eu-north-1").pue(), cloud.region("aws:eu-west-3").pue()
        assert own is not None
        assert fleet is not None
        assert (own.id, fleet.id, fleet.value) == ("aws:eu-north-1", "aws", 1.14)
        assert all(region.pue() and region.wue() for region in cloud.regions().values())

    def test_regions_of_pue_and_wue_are_in_the_list(self) -> None:
        known = {*cloud.regions(), "azure:APAC"}
        assert {id_ for table in ("pue", "wue") for id_ in data.table(table) if ":" in id_} <= known

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ("eu-west-3", "aws:eu-west-3"),
            ("aws:eu-west-33", "aws:eu-west-3"),
            ("oracle:eu-paris-1", "aws:REGION"),
            ("aws:zzz", "pass --zone"),
        ],
    )
    def test_an_unknown_one_suggests(self, wrong: str, said: str) -> None:
        with pytest.raises(UsageError, match="unknown cloud region") as error:
            cloud.region(wrong)
        assert said in str(error.value)
