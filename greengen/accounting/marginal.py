"""Marginal energy: what the steps of an engine would not have cost without a request.

One request is left out at a time, under the cost of a step that the ledger's frozen plan holds. The
steps lack its own tokens, and a step in which it was alone is not there at all. What several share is in no
one's margin: margins do not sum to the meter, and they are a report of their own beside a policy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from greengen.accounting.choice import INTENSITY
from greengen.accounting.curves import Floats, Ints
from greengen.accounting.stepcost import StepCost, step_costs
from greengen.accounting.table import REQUEST
from greengen.quantity import Z95, Error, Quantity, total

if TYPE_CHECKING:
    from greengen.accounting.chapter import Chapter
    from greengen.accounting.ledger import Ledger

#: What is to be read beside every margin.
NOTE = (
    "What the engine's steps would not have cost without this one request, by the cost of a step. "
    "What requests share is in no one's margin: margins do not sum to the meter."
)


@dataclass(frozen=True, slots=True)
class Margin:
    """Span `index` of a chapter in the steps of engines.

    steps, alone  how many it had a part in, and in how many of them nobody else had
    attributed    its part, by policy, of what these steps cost on the engines' domains
    marginal      what they would not have cost without it
    """

    chapter: Chapter
    index: int
    steps: int
    alone: int
    attributed: Quantity
    marginal: Quantity


@dataclass(frozen=True, slots=True)
class EngineSteps:
    """What an engine's steps cost: metered, on its domains, and as the cost says; None where that is not known."""

    cost: StepCost
    metered: Quantity


@dataclass(frozen=True, slots=True)
class Marginals:
    """All requests and what else engines served; and the sums over those whose margin is known."""

    rows: tuple[Margin, ...]
    engines: tuple[EngineSteps, ...]
    attributed: Quantity
    marginal: Quantity


def marginals(ledger: Ledger) -> Marginals:
    """The margin of every request, under what the ledger's plan says of the cost of a step."""
    rows: list[Margin] = []
    engines: list[EngineSteps] = []
    for chapter in ledger.chapters:
        costs = step_costs(chapter.entries, chapter.choices, ledger.asked.given)
        engines += [EngineSteps(cost, _metered(cost)) for cost in costs]
        for i, row in enumerate(chapter.table.rows):
            mine = [cost for cost in costs if cost.steps[i]]
            if mine or row.kind == REQUEST:
                rows.append(_margin(ledger, chapter, i, mine))
    known = [row for row in rows if row.marginal.known]
    return Marginals(
        tuple(rows), tuple(engines), _sum(row.attributed for row in known), _sum(row.marginal for row in known)
    )


def _margin(ledger: Ledger, chapter: Chapter, i: int, mine: Sequence[StepCost]) -> Margin:
    steps, alone = (round(sum(float(counts[i]) for counts in every)) for every in _counted(mine))
    booked = ledger.span(chapter, i)
    if not mine or not booked.known:
        nothing = Quantity.missing("J", booked.reason if mine else "no engine step of it was recorded")
        return Margin(chapter, i, steps, alone, nothing, nothing)
    label = chapter.table.rows[i].uid
    attributed = _sum(_booked(cost, np.array([i], dtype=np.int64), label) for cost in mine)
    return Margin(chapter, i, steps, alone, attributed, total((_lacking(cost, i, label) for cost in mine), "J"))


def _counted(costs: Sequence[StepCost]) -> tuple[list[Floats], list[Floats]]:
    return [cost.steps for cost in costs], [cost.alone for cost in costs]


def _metered(cost: StepCost) -> Quantity:
    """What the engine's steps cost on its domains."""
    return _booked(cost, np.flatnonzero(cost.steps), f"steps:{cost.engine}")


def _booked(cost: StepCost, members: Ints, label: str) -> Quantity:
    """What some spans have of the steps' joules, as sure as all that they have of each domain."""
    parts = []
    for entries in cost.domains:
        whole, value = entries.spans(members, label), float(cost.step_j[entries.key][members].sum())
        if whole.value:
            whole = whole.scaled(value / whole.value)
        parts.append(whole)
    return _sum(parts, f"no domain that the steps of {cost.name} ran on was read")


def _lacking(cost: StepCost, i: int, label: str) -> Quantity:
    """What an engine's steps would not have cost without span `i`."""
    if cost.coefficients is None or cost.scale is None:
        return Quantity.missing("J", f"{cost.name}: {cost.reason}")
    if not cost.read[i]:
        return Quantity.missing("J", f"{cost.name}: none of its steps was read")
    adds = cost.adds[i] * cost.scale
    value = float(adds @ np.array(cost.coefficients.as_tuple()))
    errors = [Error(f"step cost:{cost.engine}:{k}", float(sigma)) for k, sigma in enumerate(adds @ cost.directions)]
    # A real step's cost is not affine; over a simulated roofline step margins are true to within the same factor.
    errors.append(Error(f"step cost:{cost.engine}", value * math.log(INTENSITY["affine"]) / Z95, log=True))
    for entries in cost.domains:
        domain, part = entries.books.domain, value * cost.portion[entries.key]
        log = domain.grade == "modelled"
        errors.append(Error(f"gain:{entries.sensor}", part * domain.gain, gain=True, log=log))
        errors.append(Error(f"workload:{entries.key}:{label}", part * domain.workload, log=log))
    rules = cost.domains[0].books.plan.plan.rules
    return Quantity(value, "J", "modelled", tuple(error for error in errors if error.sigma), basis=rules)


def _sum(parts: Iterable[Quantity], nothing: str = "no margin is known") -> Quantity:
    items = list(parts)
    return total(items, "J", skip_missing=True) if items else Quantity.missing("J", nothing)
