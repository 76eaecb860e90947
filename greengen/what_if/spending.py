"""What is spent once: after how many requests it is saved, and how much hardware of one's own has to be used."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from greengen.accounting.declared import factor
from greengen.accounting.embodied import Hardware
from greengen.accounting.what_if import payback, profiles
from greengen.accounting.what_if.payback import Even
from greengen.accounting.what_if.profiles import Profile
from greengen.basis import NO_GRID
from greengen.errors import UsageError
from greengen.quantity import Quantity, total
from greengen.sites import machines
from greengen.what_if import answer as told
from greengen.what_if.table import Table

#: A published carbon footprint of a product is known to this geometric standard deviation (GHGP's pedigree, good data).
_MADE_GSD = 1.3

_DAY_S = 86400.0
_YEAR_S = 365 * _DAY_S
_POINTS = 41


def break_even(asked: Table) -> dict[str, Any]:
    """`old`, `new`; spent once: `made_kg` or `hardware`, `setup_kwh` or `setup_kg`; served: `per_day`, `lifetime_y`.

    `made_gsd`, `setup_gsd`: how well these are known. The new option then holds no share of its hardware; the old
    one does.
    """
    old, new = asked.option("old"), asked.option("new")
    spent, what, lifetime_s = _spent(asked, new)
    old_cost, with_hardware = _old(old)
    new_cost = profiles.operational(new)
    title = f"When {new.name} pays back against {old.name}"
    assumes = [
        f"spent once: {what}",
        f"{new.name} without a share of its hardware, for that is what is spent",
        f"{old.name} {'with' if with_hardware else 'without'} a share of its hardware",
    ]
    if told.without([[spent, old_cost, new_cost]]):
        return told.missing(title, told.without([[spent, old_cost, new_cost]]), assumes)
    even = payback.requests(spent, old_cost, new_cost)
    words = _words(even, asked.unit, new.name)
    rows: list[list[Any]] = [
        ["spent once", spent.to("kg")],
        [old.name, old_cost],
        [new.name, new_cost],
        ["break-even", told.drawn(even, f"{asked.unit}s")],
        ["probability that it pays back at all", even.probability],
    ]
    if asked.has("per_day"):
        rate = asked.number("per_day", above=0.0)
        years = asked.number("lifetime_y", None if lifetime_s is None else lifetime_s / _YEAR_S, above=0.0)
        served = payback.feasible(even, rate / _DAY_S, years * _YEAR_S)
        rows += [
            ["served in its life", f"{told.number(served.most)} {asked.unit}s"],
            ["probability that it pays back in time", served.probability],
        ]
        days = "" if math.isinf(served.seconds) else f", after {told.number(served.seconds / _DAY_S)} days"
        words += (
            f" At {told.number(rate)} a day over {years:g} years it serves {told.number(served.most)}: it "
            f"{'pays back' if served.reached else 'does not pay back'} in its life{days} "
            f"(probability {served.probability:.2f})."
        )
    return told.answer(
        title, words, assumes=assumes, **_curves(even, spent, (old, old_cost), (new, new_cost), asked.unit)
    ) | {"table": told.table(["", "figure"], rows)}


def utilisation(asked: Table) -> dict[str, Any]:
    """`edge`, `cloud`; its hardware: `made_kg` and `lifetime_y`, or `hardware`, or its site's; `idle_w`; `busy_s`.

    The rate of use above which the edge is the smaller, hardware and idle power included.
    """
    edge, cloud = asked.option("edge"), asked.option("cloud")
    title = f"How much {edge.name} has to be used to beat {cloud.name}"
    made, lifetime, what = _hardware(asked, edge)
    grid = edge.legs[0].intensity if edge.legs else None
    idle = factor(asked.number("idle_w"), "W", f"idle power of {edge.name}", gsd=1.0) if asked.has("idle_w") else None
    each, (cloud_cost, with_hardware) = profiles.operational(edge), _old(cloud)
    assumes = [
        f"hardware of {edge.name}: {what}",
        "no idle power: it was not stated" if idle is None else f"{idle.value:g} W drawn all the time",
        f"{cloud.name} {'with' if with_hardware else 'without'} a share of its hardware",
    ]
    if told.without([[made, each, cloud_cost]]) or (idle is not None and grid is None):
        return told.missing(title, told.without([[made, each, cloud_cost]]) or "no grid intensity was stated", assumes)
    standing = payback.standing(made, lifetime, idle, grid)
    even = payback.rate(standing, cloud_cost, each)
    rate = even.at.value
    busy_s = asked.number("busy_s", _busy(asked, edge), above=0.0)
    most = 1.0 / busy_s if busy_s else math.inf
    if rate is None:
        return told.answer(title, f"Never: {even.at.reason}.", assumes=assumes)
    per_day = told.span(rate * _DAY_S, even.low * _DAY_S, even.high * _DAY_S)
    share = rate / most
    words = f"Above {per_day} {asked.unit}s a day {edge.name} is the smaller."
    words += (
        f" That is {share:.2g} of what it can do, one every {told.number(busy_s)} s."
        if share <= 1.0
        else f" It can do {told.number(most * _DAY_S)} a day, one every {told.number(busy_s)} s: it never gets there."
    )
    rates = np.geomspace(rate / 100, rate * 100, _POINTS)
    return told.answer(
        title,
        words,
        assumes=assumes,
        x=told.axis(f"{asked.unit}s a day", "", [float(r * _DAY_S) for r in rates], "log"),
        lines=[
            told.line(edge.name, [payback.at_rate(each, standing, float(r)) for r in rates]),
            told.line(cloud.name, [cloud_cost] * len(rates)),
        ],
        marks=[told.mark(rate * _DAY_S, "as much as the cloud", even.low * _DAY_S, even.high * _DAY_S)],
        table=told.table(
            ["", "figure"],
            [
                ["rate of use", told.drawn(even, f"{asked.unit}s a day", _DAY_S)],
                ["part of the time in use", told.drawn(even, "", 1.0 / most)],
                ["probability that there is such a rate", even.probability],
            ],
        ),
    )


def _spent(asked: Table, new: Profile) -> tuple[Quantity, str, float | None]:
    """(g, what it is, lifetime in s): hardware and setup together."""
    parts, what, lifetime_s = [], [], None
    if asked.has("made_kg") or asked.has("hardware"):
        made, lifetime, name = _hardware(asked, new, lifetime_needed=False)
        parts.append(made)
        what.append(name)
        lifetime_s = lifetime.to("s").value
    gsd = asked.number("setup_gsd", 1.0, least=1.0)
    if asked.has("setup_kwh"):
        energy = factor(asked.number("setup_kwh"), "kWh", "setup", gsd=gsd)
        grid = new.legs[0].intensity if new.legs else None
        parts.append(profiles.grams(energy, grid))
        what.append(f"{energy.value:g} kWh to make it (training, a fine-tune), on the grid of {new.name}")
    if asked.has("setup_kg"):
        parts.append(factor(asked.number("setup_kg"), "kg", "setup", gsd=gsd, basis=NO_GRID).to("g"))
        what.append(f"{asked.number('setup_kg'):g} kgCO2e to set it up")
    if not parts:
        msg = "nothing is spent: state made_kg or hardware, setup_kwh or setup_kg"
        raise UsageError(msg)
    return total(parts, "g"), " and ".join(what), lifetime_s


def _hardware(asked: Table, of: Profile, *, lifetime_needed: bool = True) -> tuple[Quantity, Quantity, str]:
    """(g, lifetime, what it is) of hardware that is stated, or that stands at the option's site."""
    if asked.has("made_kg"):
        gsd = asked.number("made_gsd", _MADE_GSD, least=1.0)
        made = factor(asked.number("made_kg"), "kg", f"hardware of {of.name}", gsd=gsd, basis=NO_GRID).to("g")
        years = asked.number("lifetime_y", None if lifetime_needed else 0.0, above=0.0 if lifetime_needed else -1.0)
        lifetime = Quantity(years or math.inf, "y", "declared")
        return made, lifetime, f"{made.to('kg').value:g} kgCO2e to make" + (f", over {years:g} y" if years else "")
    stated: tuple[Hardware, ...] = asked.measured(of.name).site.hardware
    if asked.has("hardware"):
        stated = machines(asked.text("hardware"))
    if not stated:
        msg = f"no hardware of {of.name} is stated: pass made_kg and lifetime_y, or hardware (a name such as h100)"
        raise UsageError(msg)
    made = total([replace(one.made.to("g").scaled(one.count * one.share), basis=NO_GRID) for one in stated], "g")
    names = " and ".join(f"{one.count:g} × {one.name}" for one in stated)
    if asked.has("lifetime_y"):
        lifetime = Quantity(asked.number("lifetime_y", above=0.0), "y", "declared")
    else:
        lifetime = min((one.lifetime for one in stated), key=lambda one: one.to("s").value or math.inf)
    return made, lifetime, f"{names}, over {lifetime.to('y').value:g} y"


def _old(profile: Profile) -> tuple[Quantity, bool]:
    whole = profiles.cost(profile)
    return (whole, True) if whole.known else (profiles.operational(profile), False)


def _busy(asked: Table, edge: Profile) -> float | None:
    """s that a unit takes, of what was recorded."""
    told_s = [use.seconds for one in asked.measured(edge.name).repeats for use in one.tiers if use.seconds]
    return sum(told_s) / len(asked.measured(edge.name).repeats) if told_s else None


def _requests(even: Even, unit: str) -> str:
    if even.at.value is None:
        return f"none: {even.at.reason}"
    return f"{told.span(even.at.value, even.low, even.high)} {unit}s"


def _words(even: Even, unit: str, new: str) -> str:
    if even.at.value is None:
        return f"No break-even: {even.at.reason}."
    sure = "" if even.probability >= 0.9995 else f" The probability that it pays back at all is {even.probability:.2f}."  # noqa: PLR2004 -- told as 1.00
    return f"{new} pays back after {_requests(even, unit)}.{sure}"


def _curves(
    even: Even, spent: Quantity, old: tuple[Profile, Quantity], new: tuple[Profile, Quantity], unit: str
) -> dict[str, Any]:
    """Cumulated kg over requests, from none to twice the break-even."""
    at = even.at.value
    reach = 2.0 * at if at else 2.0 * (spent.value or 0.0) / (old[1].value or 1.0)
    counts = [float(n) for n in np.linspace(0.0, reach or 1.0, _POINTS)]
    nothing = spent.scaled(0.0)
    lines = [
        told.line(profile.name, [each.to("kg") for each in payback.after(begun, cost, counts)])
        for profile, cost, begun in ((*old, nothing), (*new, spent))
    ]
    marks = [] if at is None else [told.mark(at, "break-even", even.low, even.high)]
    return {"x": told.axis(f"{unit}s", "", counts), "lines": lines, "marks": marks}


ANSWERS = {"break_even": break_even, "utilisation": utilisation}
