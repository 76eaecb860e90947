"""How far a published factor may be off, by the quality of its source: the pedigree of ecoinvent's guideline.

Five indicators are scored 1 (best) to 5, and each score stands for a factor U. The trap: U is a *squared*
geometric standard deviation, a 95 % factor. SDg95 = exp √(Σ ln² U_i + ln² U_b) is the whole 95 % band,
×/÷ SDg95 once; the standard uncertainty of the logarithm is half its logarithm. Who takes √Σ for the
standard uncertainty, and 1.96 of it for the band, tells a band twice too wide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from greengen.errors import UsageError

#: In the order in which scores are written, as in (2,1,3,2,3).
INDICATORS = ("reliability", "completeness", "temporal", "geographical", "technological")

_WORST = 5


def pedigree_sdg95(scores: Sequence[int], base: float, table: Mapping[tuple[str, int], float]) -> float:
    """SDg95 of five scores: the value lies within ×/÷ this factor at 95 %.

    base   U_b, what a value of its kind is off by with the best of scores (1.05 for combustion CO2)
    table  (indicator, score) -> U

    Raises UsageError for other than five scores of 1 to 5, for a base below 1, and for a score not in the table.
    """
    if len(scores) != len(INDICATORS) or not all(1 <= score <= _WORST for score in scores):
        msg = f"pedigree {tuple(scores)} is not five scores of 1 to {_WORST}: {', '.join(INDICATORS)}"
        raise UsageError(msg)
    if not 1.0 <= base < math.inf:
        msg = f"basic uncertainty {base:g} is not possible: pass 1.0 or more"
        raise UsageError(msg)
    missing = [key for key in zip(INDICATORS, scores, strict=True) if key not in table]
    if missing:
        msg = f"the pedigree table has no row for {', '.join(f'{name} {score}' for name, score in missing)}"
        raise UsageError(msg)
    factors = [base, *(table[key] for key in zip(INDICATORS, scores, strict=True))]
    return math.exp(math.hypot(*(math.log(factor) for factor in factors)))


def pedigree_gsd(scores: Sequence[int], base: float, table: Mapping[tuple[str, int], float]) -> float:
    """The GSD of five scores, one standard uncertainty: √SDg95, for `known_to`. Raises as `pedigree_sdg95` does."""
    return math.sqrt(pedigree_sdg95(scores, base, table))
