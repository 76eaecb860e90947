"""The shipped zones agree with their other sources; the check that says so would see it if they did not."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from greengen import data
from tests.checks import zones

SECOND = Path(__file__).parents[3] / "shared/data/carbon/grid_intensity_country.csv"


def test_countries_agree_with_codecarbon() -> None:
    others = {"codecarbon": zones.by_codecarbon()}
    assert list(zones.disagreements(others)) == []
    assert list(zones.unchecked(others)) == []


@pytest.mark.skipif(not SECOND.is_file(), reason=f"the second source is not there: {SECOND.name}")
def test_countries_agree_with_a_second_source() -> None:
    assert list(zones.disagreements(zones.by_second(SECOND))) == []


def test_cloud_regions_lie_where_other_sources_say() -> None:
    assert list(zones.regions()) == []


def test_the_check_sees_what_is_wrong() -> None:
    """A figure in kg, a decimal point gone astray, a zone that nobody else has, a table that is too old."""
    right = data.grid_intensity("DEU").value
    for wrong in (right / 1000, right * 10, right / 1.6):
        [told] = zones.disagreements({"x": {"DEU": wrong}})
        assert told.startswith("DEU (Germany)")
    assert not list(zones.disagreements({"x": {"DEU": right * 1.2}}))
    assert len(list(zones.unchecked({"x": {"DEU": right}}))) == len(data.grid_intensities()) - 1
    assert list(zones.past_their_date(dt.date(2026, 11, 21))) == []
    assert len(list(zones.past_their_date(dt.date(2040, 1, 1)))) > 400


def test_it_runs_as_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert zones.main([]) in (0, 1)  # 1 once a table is past its date
    assert capsys.readouterr().out
