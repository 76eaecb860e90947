"""Policies: how a cell's energy is shared among its live spans.

A policy is a function that looks at the rows of one group and gives each a weight: so much for its
tokens, and so much for being there, which those present share equally. What it cannot be used on
(no tokens, no steps) it refuses, and the next weaker one is used and named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from greengen.accounting.curves import Bools, Floats
from greengen.accounting.work import Level

#: What a prompt's token costs of one that is written, where nothing else is known (attribution.md A2, a judgement).
KAPPA = 0.2


@dataclass(frozen=True, slots=True)
class Rows:
    """What a policy sees of a group: tokens per step at level `steps`, else per second. Each of shape (g,).

    growth   more tokens of context at each next step
    waiting  it was live and did nothing
    """

    level: Level
    prefill: Floats
    decode: Floats
    context: Floats
    growth: Floats
    waiting: Bools


@dataclass(frozen=True, slots=True)
class Coefficients:
    """What a step costs, in any unit. Frozen and stored with a result.

    Within a group only their ratios matter. Steps of groups whose coefficients are in one unit (`Choice.unit`)
    are compared by what they cost: there a coefficient counts as it stands.

    fixed                     for the step itself: shared equally by the requests in it
    prefill, decode, context  for each token computed, written, and held in the cache
    """

    fixed: float = 0.0
    prefill: float = 0.0
    decode: float = 0.0
    context: float = 0.0

    def as_tuple(self) -> tuple[float, float, float, float]:
        """In the order of the fields."""
        return self.fixed, self.prefill, self.decode, self.context


@dataclass(frozen=True, slots=True)
class Weights:
    """Of each row: its weight, and how much that grows at each next step, shape (g,); none below 0.

    fixed    what all rows present share equally, per step or per second
    padding  what a token computed for nobody adds to that
    unit     the name of the unit that they are in, where groups may be compared by them; "": in none
    doubled  by 2 to the power of this they are in that unit
    """

    weight: Floats
    growth: Floats
    fixed: float = 0.0
    padding: float = 0.0
    unit: str = ""
    doubled: int = 0


#: Gives the weights of a group's rows, or why it cannot.
Policy = Callable[[Rows, Coefficients], "Weights | str"]


@dataclass(frozen=True, slots=True)
class Choice:
    """How one group was shared.

    fallback  why it is not the policy asked for; "" where it is
    sigma     relative standard uncertainty of a request's share, typical, from the coefficients; None: not fitted
    unit      names the unit of the coefficients: steps of all groups with this one are compared by what they cost;
              "": the coefficients of this group say nothing of another's
    moves     what each independent part of a fit's error adds to the four coefficients, one standard uncertainty;
              those of one place in all groups of a unit move together
    """

    group: str
    policy: str
    coefficients: Coefficients | None = None
    fallback: str = ""
    sigma: float | None = None
    details: Mapping[str, float] = field(default_factory=dict)
    unit: str = ""
    moves: tuple[tuple[float, ...], ...] = ()

    @property
    def covariance(self) -> tuple[tuple[float, ...], ...]:
        """Of fitted coefficients, which are in J, in their order: four rows of four; none: not fitted."""
        if not self.moves:
            return ()
        moves = np.array(self.moves)
        return tuple(map(tuple, (moves.T @ moves).tolist()))


def equal(rows: Rows, _: Coefficients) -> Weights | str:
    """Each live span the same share; a waiting one none."""
    nothing = np.zeros(rows.waiting.size)
    return Weights(nothing, nothing, fixed=1.0)


def token(rows: Rows, _: Coefficients) -> Weights | str:
    """By the tokens that were computed, read or written alike."""
    if rows.level == "time":
        return "no tokens were told"
    return Weights(rows.prefill + rows.decode, np.zeros(rows.waiting.size))


def phase(rows: Rows, coefficients: Coefficients) -> Weights | str:
    """Tokens read at κ of one written, each in its phase; context where its weight is known."""
    if rows.level in {"time", "tokens"}:
        return "no first token was told" if rows.level == "tokens" else "no tokens were told"
    prefill, decode, context = coefficients.prefill, coefficients.decode, coefficients.context
    weight = prefill * rows.prefill + decode * rows.decode + context * rows.context
    return Weights(weight, context * rows.growth)


def affine(rows: Rows, coefficients: Coefficients) -> Weights | str:
    """Shapley's value of a step that costs so much itself, and so much for each token in it."""
    if rows.level != "steps":
        return "no engine steps were recorded"
    weight = (
        coefficients.prefill * rows.prefill + coefficients.decode * rows.decode + coefficients.context * rows.context
    )
    growth = coefficients.context * rows.growth
    return Weights(weight, growth, fixed=coefficients.fixed, padding=coefficients.decode)


#: The policies that greengen has, each with what it falls back to.
POLICIES: Mapping[str, Policy] = MappingProxyType({"equal": equal, "token": token, "phase": phase, "affine": affine})

#: From the one that knows most to the one that can always be used.
ORDER = ("affine", "phase", "token", "equal")

#: What `phase` and a fitted `affine` begin with.
DEFAULTS: Mapping[str, Coefficients] = MappingProxyType({"phase": Coefficients(prefill=KAPPA, decode=1.0)})

#: The best that is known of each group.
AUTO = "auto"
