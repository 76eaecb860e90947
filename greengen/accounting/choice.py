"""Which policy each group is shared by: the one asked for, or the next one that what is known allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from greengen import stated
from greengen.accounting.curves import Curve, Floats
from greengen.accounting.policies import (
    AUTO,
    DEFAULTS,
    ORDER,
    POLICIES,
    Choice,
    Coefficients,
    Policy,
    Rows,
    Weights,
)
from greengen.accounting.work import Group, Work
from greengen.errors import PolicyError

if TYPE_CHECKING:
    from greengen.accounting.fit import Fit

#: Two consumers under one policy may still differ by this factor in what they draw, at 95 %. By time alone:
#: kepler's authors, 2 to 3. By tokens and by steps: distance to Shapley's value of a simulated roofline
#: step (examples/policies.py), rounded up.
INTENSITY = MappingProxyType({"affine": 1.3, "phase": 1.6, "token": 2.0, "equal": 2.0})

#: Of a policy that greengen does not know, and between groups.
UNKNOWN_INTENSITY = 2.0


#: The unit of coefficients that were given.
_GIVEN = "given"

#: See `Plan`.
IdleRule = Literal["none", "pro-rata", "resident-time"]
StaticRule = Literal["busy-share", "capacity-share"]
IDLE_RULES: tuple[IdleRule, ...] = ("none", "pro-rata", "resident-time")
STATIC_RULES: tuple[StaticRule, ...] = ("busy-share", "capacity-share")


@dataclass(frozen=True, slots=True)
class Plan:
    """How to share: a policy's name, and what is already decided about groups.

    extra    policies of third parties, by name
    frozen   group, or (boot, group) → how it is shared, from an earlier ledger: then a part is shared as the
             whole was, with the errors of its fit
    given    what a step of an engine costs, where it is known and not to be fitted
    idle     a second pass over idle energy: `none` (it stays an account of its own), `pro-rata` to the
             joules of the spans, or by `resident-time`, the time that they were live
    static   power that does not follow work: by `busy-share` like all other, or by `capacity-share`:
             the part `held` of the machine is the profiled processes', the rest is idle
    exact    count in whole nanojoules: slower, and every sum is exact
    """

    policy: str = AUTO
    extra: Mapping[str, Policy] = field(default_factory=dict)
    frozen: Mapping[str | tuple[str, str], Choice] = field(default_factory=dict)
    given: Coefficients | None = None
    idle: IdleRule = "none"
    static: StaticRule = "busy-share"
    held: float | None = None
    exact: bool = False

    @property
    def rules(self) -> str | None:
        """The kind of number that comes out, where it is not the usual one: others are not compared with it."""
        named = [] if self.idle == "none" else [f"idle {self.idle}"]
        named += [] if self.static == "busy-share" else [f"static {self.static} {self.held:g}"]
        return ", ".join(named) or None

    def __post_init__(self) -> None:
        for name, value, known in (("idle", self.idle, IDLE_RULES), ("static", self.static, STATIC_RULES)):
            if value not in known:
                msg = f"unknown rule for {name} power {value!r}: there is {', '.join(known)}"
                raise PolicyError(msg)
        if self.static == "capacity-share" and not (self.held is not None and 0 <= self.held <= 1):
            msg = f"static capacity-share needs the part of the machine that is held, from 0 to 1, and not {self.held}"
            raise PolicyError(msg)
        if self.given is not None and not all(0 <= value < float("inf") for value in self.given.as_tuple()):
            msg = f"coefficients {self.given.as_tuple()} are not possible: pass numbers of 0 or more"
            raise PolicyError(msg)
        names = [AUTO, *POLICIES, *self.extra]
        if self.policy not in names:
            msg = (
                f"unknown policy {self.policy!r}: {stated.nearest(str(self.policy), names)}there is {', '.join(names)}"
            )
            raise PolicyError(msg)


class Chosen(NamedTuple):
    """The weights of every group, how each was chosen, and what a fit's error moves (direction → shape (n,))."""

    weights: tuple[Weights, ...]
    plan: Plan
    choices: tuple[Choice, ...]
    intensity: tuple[float, ...]
    directions: Mapping[str, Floats]


def choose(work: Work, plan: Plan, curves_of: Callable[[Sequence[Group]], Sequence[Curve]], boot: str = "") -> Chosen:
    """Weights for every group of `work`. `curves_of`: the energy from which an engine's cost may be fitted.

    boot  in which the spans were recorded: groups of several may be called alike
    """
    weights: list[Weights] = []
    choices: list[Choice] = []
    found: dict[str, Fit | str] | None = None
    for group in work.groups:
        rows = _rows(work, group)
        frozen = plan.frozen.get((boot, group.name)) or plan.frozen.get(group.name)
        if frozen is not None:
            choice, given = _applied(plan, rows, group, frozen)
        elif group.around is not None:
            choice, given = _applied(plan, rows, group, Choice(group.name, "equal"))
        else:
            engine = group.lane.engine if group.lane is not None else ""
            if engine and found is None and plan.given is None and plan.policy in {AUTO, "affine"}:
                from greengen.accounting.teams import fits  # noqa: PLC0415 -- for runs with steps

                found = fits(work, curves_of)
            choice, given = _best(plan, rows, group, (found or {}).get(engine))
        weights.append(given)
        choices.append(choice)
    return Chosen(
        tuple(_in_units(work.groups, choices, weights)),
        plan,
        tuple(choices),
        tuple(INTENSITY.get(choice.policy, UNKNOWN_INTENSITY) for choice in choices),
        _directions(work, choices),
    )


def _directions(work: Work, choices: Sequence[Choice]) -> Mapping[str, Floats]:
    if all(group.lane is None for group in work.groups):
        return {}
    from greengen.accounting.teams import directions  # noqa: PLC0415 -- for runs with steps

    return directions(work, choices)


def _in_units(groups: Sequence[Group], choices: Sequence[Choice], weights: Sequence[Weights]) -> Iterator[Weights]:
    """The weights with their units: between the steps of an engine, its own."""
    units = {group.lane.engine: choice.unit for group, choice in zip(groups, choices, strict=True) if group.lane}
    for group, given in zip(groups, weights, strict=True):
        engine = group.lane.engine if group.lane is not None else group.around
        yield replace(given, unit=units.get(engine or "", ""))


def _best(plan: Plan, rows: Rows, group: Group, found: Fit | str | None) -> tuple[Choice, Weights]:
    """The policy asked for, or the best below it that can be used."""
    wanted = _first(rows) if plan.policy == AUTO else plan.policy
    below = ORDER[ORDER.index(wanted) + 1 :] if wanted in ORDER else ORDER[1:]
    why = ""
    for name in (wanted, *below):
        known: Choice | str = Choice(group.name, name, DEFAULTS.get(name))
        # What only says what a step costs, or its cache, does not tell a token read from one written.
        if plan.given is not None and (name == "affine" or (name == "phase" and _of_tokens(plan.given))):
            # What was given is in one unit, whichever engine's step it is.
            known = Choice(group.name, name, plan.given, unit=_GIVEN if name == "affine" else "")
        elif name == "affine" and rows.level == "steps":
            known = _fitted(group, found)
        if isinstance(known, str):
            why = why or f"{name}: {known}"
            continue
        given = _policy(plan, name)(rows, known.coefficients or Coefficients())
        if isinstance(given, str):
            why = why or f"{name}: {given}"
            continue
        return replace(known, fallback=why if name != wanted else ""), _checked(name, given, rows)
    raise AssertionError  # `equal` can always be used


def _fitted(group: Group, found: Fit | str | None) -> Choice | str:
    """How an engine's lane is shared by a fit, or why it is not."""
    if found is None or group.lane is None:
        return "nothing to fit it from"
    if isinstance(found, str):
        return found
    from greengen.accounting.fit import TOO_UNSURE  # noqa: PLC0415 -- it is loaded, for it was fitted

    costs = found.engines[group.lane.engine]
    if isinstance(costs, str):
        return costs
    if costs.sigma > TOO_UNSURE:
        return f"the fitted coefficients leave a request's share unsure by {100 * costs.sigma:.0f} %"
    details = {"windows": float(found.windows), "explained": found.explained}
    if len(found.engines) > 1:
        details["engines"] = float(len(found.engines))
    return Choice(group.name, "affine", costs.coefficients, "", costs.sigma, details, found.unit, costs.moves)


def _of_tokens(coefficients: Coefficients) -> bool:
    return coefficients.prefill > 0 or coefficients.decode > 0


def _first(rows: Rows) -> str:
    return {"steps": "affine", "phases": "phase"}.get(rows.level, "equal")


def _applied(plan: Plan, rows: Rows, group: Group, frozen: Choice) -> tuple[Choice, Weights]:
    given = _policy(plan, frozen.policy)(rows, frozen.coefficients or Coefficients())
    if isinstance(given, str):
        msg = f"the frozen policy {frozen.policy!r} cannot be used on {group.name}: {given}"
        raise PolicyError(msg)
    return frozen, _checked(frozen.policy, given, rows)


def frozen(plan: Plan, choices: Iterable[tuple[str, Choice]]) -> Plan:
    """The same plan with what was chosen under it in each boot: a part of the run is then shared so.

    Another run too, by the names of its groups; but of what several boots chose differently nothing is known of it.
    """
    kept: dict[str | tuple[str, str], Choice] = {}
    several: set[str] = set()
    for boot, choice in choices:
        kept[boot, choice.group] = choice
        if kept.setdefault(choice.group, choice) != choice:
            several.add(choice.group)
    return replace(plan, frozen={key: choice for key, choice in kept.items() if key not in several})


def _policy(plan: Plan, name: str) -> Policy:
    """Raises PolicyError for one that is not there: a frozen plan may come from where it was."""
    policy = POLICIES.get(name) or plan.extra.get(name)
    if policy is None:
        msg = f"the policy {name!r} is not here: there is {', '.join([*POLICIES, *plan.extra])}"
        raise PolicyError(msg)
    return policy


def _checked(name: str, given: Weights, rows: Rows) -> Weights:
    """What a policy gave, about 1 at most: only ratios matter. Raises PolicyError for what are no weights."""
    count = rows.waiting.size
    try:
        weight, growth = (np.asarray(values, dtype=float) for values in (given.weight, given.growth))
        amounts = [weight, growth, *(np.asarray(value, dtype=float) for value in (given.fixed, given.padding))]
    except (AttributeError, TypeError, ValueError) as error:
        msg = f"policy {name!r} gave no weights: {error}"
        raise PolicyError(msg) from error
    sound = weight.shape == growth.shape == (count,) and amounts[2].shape == amounts[3].shape == ()
    if not sound or not all(np.isfinite(v).all() and v.min(initial=0.0) >= 0 for v in amounts):
        msg = f"policy {name!r} gave weights that are negative, no numbers, or not one for each of {count} rows"
        raise PolicyError(msg)
    # By a power of two, which rounds nothing.
    most = math.frexp(max(float(v.max(initial=0.0)) for v in amounts))[1]
    weight, growth, fixed, padding = (np.ldexp(v, -most) for v in amounts)
    return Weights(weight, growth, float(fixed), float(padding), doubled=most)


def _rows(work: Work, group: Group) -> Rows:
    picked = group.rows
    return Rows(
        group.level,
        work.prefill[picked],
        work.decode[picked],
        work.context[picked],
        work.growth[picked],
        work.waiting[picked],
    )
