"""The pedigree of a published factor: its 95 % factor is not its GSD."""

from __future__ import annotations

import math

import pytest

from greengen.accounting.pedigree import INDICATORS, pedigree_gsd, pedigree_sdg95
from greengen.errors import UsageError
from greengen.quantity import Z95, known_to

#: ecoinvent's data quality guideline (2013): the U of scores 1 to 5.
U = {
    "reliability": (1.0, 1.05, 1.1, 1.2, 1.5),
    "completeness": (1.0, 1.02, 1.05, 1.1, 1.2),
    "temporal": (1.0, 1.03, 1.1, 1.2, 1.5),
    "geographical": (1.0, 1.01, 1.02, 1.05, 1.1),
    "technological": (1.0, 1.05, 1.2, 1.5, 2.0),
}
TABLE = {(name, score): u for name, us in U.items() for score, u in enumerate(us, 1)}


def test_the_worked_example() -> None:
    """carbon.md 3: scores (2,1,3,2,3), U_b 1.05: SDg95 1.2426 and GSD 1.1147."""
    assert pedigree_sdg95((2, 1, 3, 2, 3), 1.05, TABLE) == pytest.approx(1.2426, abs=5e-5)
    assert pedigree_gsd((2, 1, 3, 2, 3), 1.05, TABLE) == pytest.approx(1.1147, abs=5e-5)


def test_the_band_is_sdg95_once_and_not_twice_as_wide() -> None:
    """The trap: √Σ taken for the standard uncertainty, and 1.96 of it for the band."""
    sdg95 = pedigree_sdg95((2, 1, 3, 2, 3), 1.05, TABLE)
    gsd = pedigree_gsd((2, 1, 3, 2, 3), 1.05, TABLE)
    factor = known_to(1.0, "g", "declared", gsd=gsd, source="x")
    assert factor.high == pytest.approx(sdg95, rel=0.005)  # 1.96 is not quite 2
    assert math.log(factor.high or 0.0) == pytest.approx(Z95 * math.log(sdg95) / 2)


def test_the_best_of_scores_leaves_the_base() -> None:
    assert pedigree_sdg95((1, 1, 1, 1, 1), 1.05, TABLE) == pytest.approx(1.05)
    assert pedigree_gsd((1, 1, 1, 1, 1), 1.0, TABLE) == 1.0


def test_what_cannot_be_scored() -> None:
    for scores in ((1, 1, 1, 1), (1, 1, 1, 1, 6), (0, 1, 1, 1, 1)):
        with pytest.raises(UsageError, match="five scores of 1 to 5"):
            pedigree_gsd(scores, 1.05, TABLE)
    with pytest.raises(UsageError, match="basic uncertainty 0"):
        pedigree_gsd((1, 1, 1, 1, 1), 0.9, TABLE)
    short = {key: u for key, u in TABLE.items() if key != ("temporal", 3)}
    assert {name for name, _ in TABLE} == set(INDICATORS)
    with pytest.raises(UsageError, match="no row for temporal 3"):
        pedigree_gsd((2, 1, 3, 2, 3), 1.05, short)
