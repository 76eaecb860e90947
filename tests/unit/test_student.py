"""Student's t against its printed table and its closed forms."""

from __future__ import annotations

import math

import pytest

from greengen.accounting.student import cdf, quantile


@pytest.mark.parametrize(
    ("degrees", "t"),
    [(1, 12.706205), (2, 4.302653), (3, 3.182446), (4, 2.776445), (10, 2.228139), (30, 2.042272), (math.inf, 1.959964)],
)
def test_two_sided_95_percent(degrees: float, t: float) -> None:
    assert quantile(0.975, degrees) == pytest.approx(t, abs=1e-6)
    assert quantile(0.025, degrees) == pytest.approx(-t, abs=1e-6)


@pytest.mark.parametrize("t", [-30.0, -2.0, -0.1, 0.0, 0.7, 5.0])
def test_closed_forms(t: float) -> None:
    """Of 1 degree it is Cauchy's distribution, of 2 it is algebraic."""
    assert cdf(t, 1) == pytest.approx(0.5 + math.atan(t) / math.pi, abs=1e-12)
    assert cdf(t, 2) == pytest.approx(0.5 + t / (2 * math.sqrt(2 + t * t)), abs=1e-12)


def test_whole_numbers_are_not_needed() -> None:
    for degrees in (2.3, 4.71, 17.9):
        for p in (0.6, 0.975, 0.999):
            assert cdf(quantile(p, degrees), degrees) == pytest.approx(p, abs=1e-9)
