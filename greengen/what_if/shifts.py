"""Another time, another place: what a move saves by the average intensity, and beside it by the marginal one."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

from greengen.accounting import facility
from greengen.accounting.hourly import Hour
from greengen.accounting.what_if import profiles, shifting
from greengen.accounting.what_if.profiles import Profile
from greengen.basis import declared
from greengen.errors import UsageError
from greengen.integrations import intensity_csv
from greengen.quantity import Quantity, total
from greengen.what_if import answer as told
from greengen.what_if.places import intensity_of
from greengen.what_if.table import Table

_HOUR_NS = 3_600_000_000_000


def time_shift(asked: Table) -> dict[str, Any]:
    """`option`, `units` of it (a batch job), `hours` that they take; `average`, `marginal`: CSVs by the hour.

    `now`: the first start, the series' first hour by default; `deadline_h` after it. `actual`: a CSV of what the
    average then was, where `average` is a forecast.
    """
    option, units = asked.option("option"), asked.number("units", 1.0, above=0.0)
    length = round(asked.number("hours", above=0.0) * _HOUR_NS)
    average = _series(asked, "average", "average")
    marginal = _series(asked, "marginal", "marginal_short") if asked.has("marginal") else ()
    now = _instant(asked.text("now")) if asked.has("now") else average[0].start_ns
    deadline = now + round(asked.number("deadline_h", (average[-1].end_ns - now) / _HOUR_NS, above=0.0) * _HOUR_NS)
    energy = _at_facility(option).scaled(units)
    window = shifting.best_start(average, length, now, deadline)
    saved = shifting.waiting(energy, average, length, now, window.start_ns)
    rows: list[list[Any]] = [["average, chosen by it", _time(window.start_ns), saved]]
    other = Quantity.missing("g", "no marginal series was stated")
    if marginal:
        other = shifting.waiting(energy, marginal, length, now, window.start_ns)
        rows.append(["marginal, same start", _time(window.start_ns), other])
        by_margin = shifting.best_start(marginal, length, now, deadline)
        best = shifting.waiting(energy, marginal, length, now, by_margin.start_ns)
        rows.append(["marginal, chosen by it", _time(by_margin.start_ns), best])
    actual = Quantity.missing("g", "no actual series was stated")
    if asked.has("actual"):
        actual = shifting.waiting(energy, _series(asked, "actual", "average"), length, now, window.start_ns)
        rows.append(["average, as it then was", _time(window.start_ns), actual])
    found = shifting.sides(saved, other)
    words = f"Starting at {_time(window.start_ns)} instead of {_time(now)} {_saves(saved)} by the average intensity"
    words += f", and {_saves(other)} by the marginal one." if other.known else "; by the marginal one it is not known."
    words += f" As it then was, it {_saved(actual)}." if actual.known else ""
    starts = [hour.start_ns for hour in average if now <= hour.start_ns < deadline]
    lines = [
        {"name": name, "unit": "gCO2e/kWh", "values": [_at(series, start) for start in starts]}
        for name, series in (("average", average), ("marginal", marginal))
        if series
    ]
    first = starts[0] if starts else now
    return told.answer(
        f"When to run {told.number(units)} {asked.unit}s of {option.name}",
        " ".join(filter(None, (words, _sentence(found.warning)))),
        assumes=[
            "the energy is spread evenly over the job, and is the same at any time",
            "hardware and idle time are not touched by waiting",
        ],
        x=told.axis(f"hours after {_time(first)}", "h", [(start - first) / _HOUR_NS for start in starts]),
        lines=lines,
        marks=[
            told.mark((now - first) / _HOUR_NS, "now"),
            told.mark((window.start_ns - first) / _HOUR_NS, "least by the average"),
        ],
        table=told.table(["by", "start", "saved"], rows),
        warnings=[found.warning] if found.warning else [],
    )


def region_shift(asked: Table) -> dict[str, Any]:
    """`option` to `zone`, with its `pue`; `tier` where only one moves; `marginal_here`, `marginal_there`, g/kWh.

    `network_gb` per unit that then go there, over `kwh_per_gb`.
    """
    option, there, tier = asked.option("option"), asked.text("zone"), asked.tier()
    legs = [leg for leg in option.legs if tier in (None, leg.tier)]
    title = f"{option.name} in {there}"
    if not legs:
        msg = f"{option.name} has no tier {tier!r}"
        raise UsageError(msg)
    if any(leg.intensity is None for leg in legs):
        return told.missing(title, f"no grid intensity of {option.name} was stated")
    pue = facility.checked(asked.number("pue")) if asked.has("pue") else None
    gigabytes = asked.number("network_gb", 0.0)
    stated = asked.comparison.rules.link.get("kwh_per_gb")
    price = profiles.kwh_per_gb(asked.number("kwh_per_gb", stated)) if gigabytes else None
    grid = intensity_of(there, asked)

    def saved(here: Quantity | None, elsewhere: Quantity) -> Quantity:
        sent = None
        if price is not None:
            sent = profiles.transfer(profiles.Link(gigabytes * 1e9, price, elsewhere), asked.unit)
        parts = []
        for leg in legs:
            local = here if here is not None else leg.intensity
            assert local is not None  # noqa: S101 -- checked above
            inside = leg.energy.scaled(leg.cooled)
            parts.append(shifting.moving(inside, (local, leg.pue), (elsewhere, leg.pue if pue is None else pue)))
            if leg.cooled < 1.0:
                parts.append(shifting.moving(leg.energy.scaled(1.0 - leg.cooled), (local, None), (elsewhere, None)))
        whole = total(parts, parts[0].unit)
        return whole if sent is None else whole - sent

    average = saved(None, grid)
    marginal = Quantity.missing(average.unit, "marginal_here and marginal_there were not stated")
    if asked.has("marginal_here") or asked.has("marginal_there"):
        basis = str(declared("marginal_short"))
        margins = [
            Quantity(asked.number(key), "g/kWh", "declared", basis=basis) for key in ("marginal_here", "marginal_there")
        ]
        marginal = saved(margins[0], margins[1])
    found = shifting.sides(average, marginal)
    words = f"Moving to {there} {_saves(average)} by the average intensity"
    words += (
        f", and {_saves(marginal)} by the marginal one." if marginal.known else "; by the marginal one it is not known."
    )
    return told.answer(
        title,
        " ".join(filter(None, (words, _sentence(found.warning)))),
        assumes=[
            "the same joules of IT there",
            "the PUE it has here" if pue is None else f"a PUE of {pue:g} there",
            "nothing to send"
            if price is None
            else f"{gigabytes:g} GB sent per {asked.unit}, at {price.value:g} kWh/GB",
        ],
        table=told.table(["by", "saved"], [["average", average], ["marginal", marginal]]),
        warnings=[found.warning] if found.warning else [],
    )


def _series(asked: Table, key: str, kind: str) -> tuple[Hour, ...]:
    return intensity_csv.read(asked.path(key), str(declared(kind)))


def _instant(text: str) -> int:
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        msg = f"now {text!r} is no time with its zone: write it as 2026-11-21T13:00Z"
        raise UsageError(msg)
    return round(at.timestamp()) * 1_000_000_000


def _time(ns: int) -> str:
    return f"{dt.datetime.fromtimestamp(ns / 1e9, dt.UTC):%Y-%m-%d %H:%M} UTC"


def _at(series: tuple[Hour, ...], at_ns: int) -> float | None:
    return next((hour.intensity.value for hour in series if hour.start_ns <= at_ns < hour.end_ns), None)


def _at_facility(option: Profile) -> Quantity:
    """J per unit, with PUE where it belongs."""
    parts = []
    for leg in option.legs:
        parts.append(facility.energy(leg.energy.scaled(leg.cooled), leg.pue))
        parts += [leg.energy.scaled(1.0 - leg.cooled)] if leg.cooled < 1.0 else []
    whole = total(parts, parts[0].unit) if parts else Quantity.missing("J", f"{option.name} has no energy")
    # So many units of it are J, and not J per unit.
    return replace(whole, unit="J")


def _saves(saved: Quantity) -> str:
    value = saved.value or 0.0
    if not value:
        return "changes nothing"
    return f"saves {told.figure(saved)}" if value > 0 else f"costs {told.figure(saved.scaled(-1.0))}"


def _saved(saved: Quantity) -> str:
    return _saves(saved).replace("saves", "saved").replace("costs", "cost").replace("changes", "changed")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


ANSWERS = {"time_shift": time_shift, "region_shift": region_shift}
