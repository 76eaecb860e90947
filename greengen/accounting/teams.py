"""Engines that are fitted together, since one counter covers them, and what the errors of their fits move."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from greengen.accounting.curves import Curve, Floats
from greengen.accounting.fit import Fit, fit
from greengen.accounting.moves import Priced, relative
from greengen.accounting.policies import Choice
from greengen.accounting.work import Group, Work


def fits(work: Work, curves_of: Callable[[Sequence[Group]], Sequence[Curve]]) -> dict[str, Fit | str]:
    """engine → the fit of all engines on the devices that it is on, or why there is none."""
    teams: list[tuple[list[Group], dict[str, Curve]]] = []
    for engine in dict.fromkeys(group.lane.engine for group in work.groups if group.lane is not None):
        lanes = [group for group in work.groups if group.lane is not None and group.lane.engine == engine]
        curves = {curve.domain.uid: curve for curve in curves_of(lanes)}
        apart: list[tuple[list[Group], dict[str, Curve]]] = []
        for team in teams:
            if team[1].keys().isdisjoint(curves):
                apart.append(team)
            else:
                lanes, curves = team[0] + lanes, team[1] | curves
        teams = [*apart, (lanes, curves)]
    found: dict[str, Fit | str] = {}
    for groups, curves in teams:
        result = fit(work, groups, list(curves.values()))
        found |= {group.lane.engine: result for group in groups if group.lane is not None}
    return found


def directions(work: Work, choices: Sequence[Choice]) -> dict[str, Floats]:
    """What the error of fitted coefficients moves, of this fit or of an earlier one whose choices are frozen."""
    units: dict[str, list[Priced]] = {}
    for group, choice in zip(work.groups, choices, strict=True):
        if group.lane is not None and choice.moves and choice.coefficients is not None:
            units.setdefault(choice.unit, []).append(Priced(group.lane, choice.coefficients, choice.moves))
    found: dict[str, Floats] = {}
    for unit, lanes in units.items():
        found |= {f"{unit}:{i}": moved for i, moved in enumerate(relative(work.spans, lanes))}
    return found
