"""A comparison as one document, `greengen.comparison/1`: what every renderer shows.

Keys may be added, never renamed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from greengen import installed, what_if
from greengen.accounting import boundary, functional, single, trend, verdict
from greengen.accounting.carbon import Site
from greengen.accounting.curves import NS
from greengen.accounting.facility import TIERS
from greengen.accounting.option import Measured
from greengen.accounting.verdict import Contrast, Repeats
from greengen.document import comparison_options as options
from greengen.document import comparison_words as words
from greengen.document.comparison_words import METRICS, Metric
from greengen.document.shape import shape
from greengen.document.states import differences, ranges
from greengen.quantity import Quantity

if TYPE_CHECKING:
    from greengen.comparison import Comparison

SCHEMA = "greengen.comparison/1"

#: Points of power in a page at most, and in one option.
_POINTS, _POINTS_EACH = 30_000, 300

#: What the headline is about: the first of these that is known of every option.
_DECIDING = ("carbon_total", "carbon_operational", "energy")

#: A pause is told that is so many times as long as others, and at least so long, s.
_REST, _REST_S = 10.0, 60.0

#: A trend that chance alone would make as rarely is told as one.
_RARELY = 0.05


def build(comparison: Comparison) -> dict[str, Any]:
    """The document of a comparison."""
    every, unit = comparison.options, comparison.rules.unit
    base = next(one for one in every if one.name == comparison.baseline)
    points = max(20, min(_POINTS_EACH, _POINTS // len(every)))
    rows = []
    for one in every:
        row = options.row(one, baseline=base.name, deadline_s=comparison.deadline_s, points=points)
        row["quality"] = options.quality(one, comparison.quality_metric, higher=comparison.higher_is_better)
        row["ratio"] = {metric.id: of for metric in METRICS if (of := _ratio(metric, one, base, unit))}
        rows.append(row)
    deciding = _deciding(every)
    best = _best(deciding, every)
    edges, counts = single.binned([_joules(one) for one in every])
    for row, counted in zip(rows, counts, strict=True):
        row["distribution"] = {"counts": counted, "below": 0, "above": 0} if counted and sum(counted) else None
    ordered = list(_orders(every, base.name))
    drifts = list(_drifts(every))
    apart = _states(every)
    return {
        "schema": SCHEMA,
        "title": comparison.title,
        "unit": {"id": unit, "name": words.UNITS.get(unit, unit), "meaning": functional.UNITS[unit]},
        "baseline": base.name,
        "boundary": _boundary(comparison),
        "basis": next(
            (use.operational.basis for one in every for r in one.repeats for use in r.tiers if use.operational.known),
            None,
        ),
        "verdict": {
            "metric": deciding.id,
            "headline": words.headline(deciding, rows, best, base.name, unit),
            "sentences": [
                f"{row['name']}: {row['ratio'][deciding.id]['words']}." for row in rows if not row["baseline"]
            ],
            "best": best,
            "screening": words.SCREENING,
            "caveats": _caveats(rows, best, (drifts, ordered), apart),
        },
        "metrics": [_metric(metric, unit) for metric in METRICS],
        "options": rows,
        "distribution": {
            "unit": "J/request",
            "scale": "log",
            "edges": [float(f"{edge:.6g}") for edge in edges],
            "note": "joules of single requests, which are no independent samples",
        }
        if edges.size
        else None,
        "drift": drifts,
        "order": ordered,
        "state_differences": apart,
        "tiers": _tiers(every),
        "warnings": list(dict.fromkeys(text for row in rows for text in row["warnings"])) + _overlaps(every),
        "method": words.method(len(every), unit, comparison.rules.counts, comparison.rules.idle),
        "sources": [*_sources(every), *options.qualities(rows)],
        "environment": _environment(every),
        "what_if": list(comparison.what_if),
        "tornado": what_if.tornado(comparison),
    }


def contrasts(metric: Metric, one: Measured, other: Measured) -> Contrast:
    """One option over another by a metric. Raises KindMismatchError."""
    if metric.of:
        a, b = one.repeated(metric.of), other.repeated(metric.of)
    else:
        a, b = (replace(each.repeated("energy"), values=options.p95(each)) for each in (one, other))
    published = [each.origin == "declared" for each in (one, other)]
    if any(published):
        # A published figure is no repeat, whatever it is held against.
        a, b = (Repeats(r.values[:1]) if told else r for r, told in zip((a, b), published, strict=True))
    found = verdict.contrast(a, b, stated=all(published))
    return replace(found, reason="a published figure has no repeats") if any(published) and found.ratio.known else found


def _ratio(metric: Metric, one: Measured, base: Measured, unit: str) -> dict[str, Any]:
    if one is base:
        mean = verdict.mean(base.of(metric.of) if metric.of else options.p95(base))
        told = {"value": 1.0, "low": 1.0, "high": 1.0, "unit": "", "grade": mean.grade}
        return (told if mean.known else Quantity.missing("", mean.reason).as_dict()) | {
            "verdict": "baseline",
            "words": "the baseline",
            "p_better": None,
            "reason": "",
        }
    of = contrasts(metric, one, base)
    more = _more(metric, one, base)
    said = (unit, words.grade_of(_shares(each) for each in (one, base)))
    ends = {"low": of.low, "high": of.high} if of.ratio.known else {}
    return (
        of.ratio.as_dict()
        | ends
        | {
            "p_better": of.p_better,
            "verdict": of.answer,
            "words": words.verdict(metric, of, base.name, said, more),
            "method": of.method,
            "repeats": [one.n, base.n],
            "repeat_sigma": of.repeat_sigma,
            "meter_sigma": of.meter_sigma,
            "degrees_of_freedom": None if math.isinf(of.degrees) else of.degrees,
            "reason": of.reason,
        }
    )


def _more(metric: Metric, one: Measured, base: Measured) -> list[str]:
    """What is said with a verdict: the evidence of a modelled one, and what rests on declared figures."""
    if not metric.energy:
        return []
    told = []
    if words.grade_of(_shares(each) for each in (one, base)) == "modelled":
        told.append(words.evidence(contrasts(next(m for m in METRICS if m.id == "busy"), one, base)))
    grams = metric.id.startswith("carbon")
    for each in (one, base):
        share = options.declared_share(each, "operational" if grams else "energy")
        # Where all of it is, the noun says so.
        part = share if share is not None and share < words.NEARLY else None
        told.append(words.declared(part, "grams" if grams else "energy", each.name))
    return [text for text in told if text]


def _shares(one: Measured) -> dict[str, float]:
    """How an option's joules are known, and which part of them."""
    found: dict[str, float] = {}
    for energy in one.of("energy"):
        for grade, part in energy.shares.items():
            found[grade] = found.get(grade, 0.0) + part / len(one.repeats)
    return found


def _metric(metric: Metric, unit: str) -> dict[str, Any]:
    units = {"energy_per_output_token": "J/output_token", "latency_p95": "s"}
    bases = {"energy": "J", "carbon_operational": "g", "carbon_total": "g", "water": "L", "busy": "s"}
    told = units.get(metric.id) or f"{bases[metric.id]}/{unit}"
    return {"id": metric.id, "name": metric.name, "unit": told, "key": metric.key}


def _deciding(every: Sequence[Measured]) -> Metric:
    by_id = {metric.id: metric for metric in METRICS}
    known = (by_id[name] for name in _DECIDING)
    return next((m for m in known if all(q.known for one in every for q in one.of(m.of))), by_id["energy"])


def _best(metric: Metric, every: Sequence[Measured]) -> str | None:
    """The option that is shown to be below every other one; None where none is."""
    means = [(mean.value, one) for one in every if (mean := verdict.mean(one.of(metric.of))).value is not None]
    if len(means) < len(every):
        return None
    _, least = min(means, key=lambda pair: pair[0])
    shown = all(contrasts(metric, least, other).answer == "less" for other in every if other is not least)
    return least.name if shown else None


def _boundary(comparison: Comparison) -> dict[str, Any]:
    every = comparison.options
    named = next((one.boundary for one in every if one.boundary is not None), "machine")
    facts = [fact["boundary"] for one in every for fact in one.facts]
    gone = {(row["what"], row["why"]) for fact in facts for row in fact["not_covered"]}
    rules = comparison.rules
    return {
        "name": named,
        "holds": boundary.MEANING[named],
        "energy": rules.counts,
        "idle": rules.idle,
        "rules": rules.plan.rules,
        "policy": rules.plan.policy,
        "covered": sorted({row["name"] for fact in facts for row in fact["covered"]}),
        "not_covered": [{"what": what, "why": why} for what, why in sorted(gone)],
    }


def _caveats(
    rows: Sequence[dict[str, Any]],
    best: str | None,
    recorded: tuple[Sequence[dict[str, Any]], Sequence[dict[str, Any]]],
    apart: list[str],
) -> list[str]:
    """What is to be known with the verdict. `recorded`: drifts, and orders of recording."""
    drifts, ordered = recorded
    told = []
    unknown = [row["name"] for row in rows if row["quality"]["value"] is None]
    if unknown:
        which = "any option" if len(unknown) == len(rows) else ", ".join(unknown)
        told.append(f"quality unknown of {which}: less energy may be worse work")
    told += words.modelled(rows, best)
    told += words.rests_on_declared(rows)
    told += [each["told"] for each in drifts if each["p"] < _RARELY]
    told += [each["told"] for each in ordered if not each["interleaved"]]
    return [*told, *apart]


def _joules(one: Measured) -> Any:  # noqa: ANN401 -- an array
    return np.concatenate([repeat.each.energy_j for repeat in one.repeats])


def _by_host(every: Sequence[Measured]) -> dict[str, list[tuple[int, Measured, int]]]:
    """host -> (place in the order, option, number of the repeat) of what was recorded there."""
    found: dict[str, list[tuple[int, Measured, int]]] = {}
    for one in every:
        for i, (host, place) in enumerate(zip(one.hosts, one.places, strict=True)):
            if place >= 0:
                found.setdefault(host, []).append((place, one, i))
    return {host: sorted(several, key=lambda entry: entry[0]) for host, several in found.items()}


def _orders(every: Sequence[Measured], baseline: str) -> Iterable[dict[str, Any]]:
    for host, several in _by_host(every).items():
        names = list(dict.fromkeys(one.name for _, one, _ in several))
        places = {name: [place for place, one, _ in several if one.name == name] for name in names}
        held = baseline if baseline in names else names[0]
        alike = all(trend.interleaved(places[held], places[name]) for name in names if name != held)
        told = f"on {host} the options alternate in the order of recording"
        if not alike:
            told = (
                f"on {host} the options were recorded one after the other: a drift looks like a difference there, "
                f"so that intervals are wider; alternate the options{_rest(several)}"
            )
        if len(names) > 1:
            yield {"host": host, "sequence": [one.name for _, one, _ in several], "interleaved": alike, "told": told}


def _rest(several: Sequence[tuple[int, Measured, int]]) -> str:
    """A pause between two options far beyond those between repeats, of which no repeat tells what it did."""
    pauses: dict[bool, list[float]] = {True: [0.0], False: [0.0]}
    for (_, one, i), (_, other, j) in pairwise(several):
        pauses[one is other].append((other.facts[j]["start_ns"] - one.facts[i]["end_ns"]) / NS)
    rest_s, usual_s = max(pauses[False]), max(pauses[True])
    if rest_s < max(_REST * usual_s, _REST_S):
        return ""
    rest = f"{rest_s / 3600.0:,.1f} h" if rest_s > 3600.0 else f"{rest_s / 60.0:.0f} min"  # noqa: PLR2004 -- an hour
    return f". Between two of them it rested for {rest}: no interval tells what changed meanwhile"


def _drifts(every: Sequence[Measured]) -> Iterable[dict[str, Any]]:
    for host, several in _by_host(every).items():
        groups: dict[str, list[tuple[int, float]]] = {}
        for place, one, i in several:
            value = one.repeats[i].energy.value
            if value is not None and value > 0:
                groups.setdefault(one.name, []).append((place, math.log(value)))
        found = trend.drift(groups)
        if found is not None:
            way = "grew" if found.slope > 0 else "fell"
            by = f"{abs(math.expm1(found.slope)):.2%}".replace("%", " %")
            told = f"on {host} what a repeat costs {way} by {by} from each to the next (p {found.p:.2g})"
            yield {"host": host, "slope_per_repeat": found.slope, "told": told} | asdict(found)


def _states(every: Sequence[Measured]) -> list[str]:
    """Where one host was not set alike in all repeats recorded on it, or began them warmer, or at another clock."""
    hosts: dict[tuple[str, int], list[tuple[str, dict[str, str]]]] = {}
    for one in every:
        for number, fact in enumerate(one.facts, 1):
            for tier, several in enumerate(fact["state"]):
                named = [(f"{one.name} (repeat {number})", state) for _, state in several[:1]]
                hosts.setdefault((fact["host"], tier), []).extend(named)
    told = [text for several in hosts.values() for text in (*differences(several), *ranges(several))]
    return list(dict.fromkeys(told))


def _overlaps(every: Sequence[Measured]) -> list[str]:
    """Repeats recorded on one host at once: each is the other's foreign work."""
    told = []
    for several in _by_host(every).values():
        for (_, one, i), (_, other, j) in pairwise(several):
            if other.facts[j]["start_ns"] < one.facts[i]["end_ns"]:
                told.append(
                    f"{one.name} (repeat {i + 1}) and {other.name} (repeat {j + 1}) were recorded at once on one host: "
                    "each slows the other down and shares its caches"
                )
    return told


def _tiers(every: Sequence[Measured]) -> list[str]:
    found = {use.tier for one in every for repeat in one.repeats for use in repeat.tiers if use.tier is not None}
    return sorted(found, key=lambda tier: (TIERS.index(tier) if tier in TIERS else len(TIERS), tier))


def _sources(every: Sequence[Measured]) -> Iterable[dict[str, Any]]:
    """Every factor that a figure was made with, once, and for which options."""
    found: dict[tuple[str, str], dict[str, Any]] = {}

    def tell(what: str, value: dict[str, Any] | None, source: str, year: str, name: str) -> None:
        entry = found.setdefault(
            (what, source), {"what": what, "value": value, "source": source, "year": year, "options": []}
        )
        if name not in entry["options"]:
            entry["options"].append(name)

    for one in every:
        sites: list[Site] = [use.site for repeat in one.repeats for use in repeat.tiers]
        for where in sites:
            if where.intensity is not None:
                zone = f", {where.zone}" if where.zone else ""
                tell(f"grid intensity{zone}", shape(where.intensity), where.source, where.year, one.name)
            if where.overhead is not None:
                tell("PUE", shape(where.overhead), "declared", "", one.name)
            for machine in where.hardware:
                tell(f"making {machine.name}", shape(machine.made.to("kg")), machine.source, "", one.name)
            if where.wue is not None:
                tell("WUE", shape(where.wue), "declared", "", one.name)
        if one.origin == "declared":
            tell(f"energy of {one.name}", shape(one.repeats[0].energy), one.source or "declared", "", one.name)
    yield from found.values()


def _environment(every: Sequence[Measured]) -> dict[str, Any]:
    facts = [fact for one in every for fact in one.facts]
    hosts = [host for fact in facts for host in fact["hosts"]]
    state = [line for fact in facts for line in fact["told_state"]]
    return {
        "hosts": [host for i, host in enumerate(hosts) if host not in hosts[:i]],
        "greengen": installed.version(),
        "runs": [path for fact in facts for path in fact["paths"]],
        "state": [line for i, line in enumerate(state) if line not in state[:i]],
    }
