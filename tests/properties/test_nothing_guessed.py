"""Law 11: no default zone, no world average, no PUE of 1.0 in silence; only what was passed is used."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greengen import data
from greengen.accounting.carbon import Footprint, Site, declared_intensity
from greengen.accounting.ledger import build
from greengen.errors import PolicyError, UsageError
from greengen.run import site
from tests.properties.strategies import FEW, Case, cases


@FEW
@given(cases(), st.none() | st.integers(100, 300))
def test_without_an_intensity_there_are_no_grams_but_a_remedy(case: Case, percent: int | None) -> None:
    footprint = Footprint(build(case.rows), Site(pue=None if percent is None else percent / 100))
    grams = [footprint.total(), *(footprint[row.uid] for t in case.rows.timelines for row in t.spans)]
    for quantity in grams:
        assert quantity.value is None
        assert "--zone" in quantity.reason
        assert "--intensity" in quantity.reason


@FEW
@given(cases(), st.integers(0, 4000), st.none() | st.integers(100, 300))
def test_grams_are_the_joules_times_what_was_passed(case: Case, quarters: int, percent: int | None) -> None:
    ledger = build(case.rows)
    where = site(intensity=quarters / 4, pue=None if percent is None else percent / 100)
    carbon, energy = Footprint(ledger, where).total(), ledger.total()
    assert carbon.known == energy.known
    if energy.value is not None:
        exact = Fraction(energy.value) / 3_600_000 * Fraction(quarters, 4) * Fraction(percent or 100, 100)
        assert math.isclose(carbon.value or 0.0, exact, rel_tol=1e-12, abs_tol=1e-300)
        assert carbon.basis == "declared by the user"
        assert [factor.name for factor in carbon.factors] == ["PUE"] * (percent is not None) + ["grid intensity"]


@given(st.text(max_size=6))
def test_a_zone_is_in_the_table_or_an_error(zone: str) -> None:
    names = {row.id for row in data.grid_intensities()}
    if zone.strip().upper() in names:
        assert site(zone=zone).zone == zone.strip().upper()
        return
    with pytest.raises(UsageError, match="unknown zone"):
        site(zone=zone)


def test_the_world_is_no_zone() -> None:
    for name in ("WOR", "WORLD", "", "EU", "default"):
        with pytest.raises(UsageError, match="unknown zone"):
            site(zone=name)


def test_two_answers_to_one_question_are_an_error() -> None:
    with pytest.raises(UsageError, match="not both"):
        site(zone="DEU", intensity=100.0)


@pytest.mark.parametrize("g_per_kwh", [-1.0, math.nan, math.inf])
def test_an_impossible_intensity_is_refused(g_per_kwh: float) -> None:
    with pytest.raises(UsageError, match="not possible"):
        declared_intensity(g_per_kwh)


@pytest.mark.parametrize("wrong", [True, [100.0], {}])
def test_an_intensity_of_another_type_is_refused(wrong: object) -> None:
    with pytest.raises(UsageError, match="neither a number"):
        site(intensity=wrong)


@pytest.mark.parametrize("pue", [0.99, -1.0, math.nan, math.inf])
def test_an_impossible_pue_is_refused(pue: float) -> None:
    with pytest.raises(UsageError, match="not possible"):
        Site(pue=pue)


@FEW
@given(cases())
def test_an_unknown_policy_is_refused(case: Case) -> None:
    with pytest.raises(PolicyError, match="did you mean 'equal'"):
        build(case.rows, policy="equals")
