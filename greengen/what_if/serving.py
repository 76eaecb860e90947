"""Who answers, and how: a router, a cache, a download, a split model, another batch size."""

from __future__ import annotations

from typing import Any

import numpy as np

from greengen.accounting import facility
from greengen.accounting.declared import factor
from greengen.accounting.what_if import batching, profiles, routing, splitting
from greengen.accounting.what_if.profiles import Link, Profile
from greengen.errors import UsageError
from greengen.propagation import Z95, Error
from greengen.quantity import Quantity
from greengen.what_if import answer as told
from greengen.what_if.table import MOST, Table

_POINTS = 21


def router(asked: Table) -> dict[str, Any]:
    """`small`, `big`; `escalated`: the part passed on; `judge_j`: J of deciding, on the small one's site."""
    small, big = asked.option("small"), asked.option("big")
    rate = routing.part(asked.number("escalated"), "escalated")
    (one, other), embodied = profiles.costs([small, big])
    judge = _joules(asked, "judge_j", small)
    title = f"A router from {small.name} to {big.name}"
    assumes = [
        told.hardware(embodied),
        "each request costs what the mean one did",
        "the cost of deciding is none" if judge is None else "deciding costs the same on each request",
        "what the small one answers is good enough",
    ]
    if told.without([[one, other]]):
        return told.missing(title, told.without([[one, other]]), assumes)
    found, bound = routing.routed(one, other, rate, judge), routing.most_escalated(one, other, judge)
    rates = [float(p) for p in np.linspace(0.0, 1.0, _POINTS)]
    assert bound.value is not None  # noqa: S101 -- both are known
    than = (
        f"it is better than {big.name} alone below an escalation rate of {told.figure(bound)}"
        if bound.value > 0.0
        else f"it is never better than {big.name} alone, for {small.name} costs as much already"
    )
    return told.answer(
        title,
        f"With {rate:.0%} passed on a request costs {told.figure(found)} instead of {told.figure(other)}; {than}.",
        assumes=assumes,
        x=told.axis("escalation rate", "", rates),
        lines=[
            told.line("router", [routing.routed(one, other, p, judge) for p in rates]),
            told.line(f"{big.name} alone", [other] * len(rates)),
        ],
        marks=[told.mark(rate, "asked"), *_bound(bound, "as much as the big one alone")],
        table=told.table(
            ["", "figure"],
            [[small.name, one], [big.name, other], [f"router at {rate:.0%}", found], ["better below", bound]],
        ),
    )


def cache(asked: Table) -> dict[str, Any]:
    """`option`; `hits`: the part answered from it; `lookup_j` on each request, `hit_j` on each hit."""
    option = asked.option("option")
    rate = routing.part(asked.number("hits"), "hits")
    [miss], embodied = profiles.costs([option])
    lookup, hit = _joules(asked, "lookup_j", option), _joules(asked, "hit_j", option)
    title = f"A cache before {option.name}"
    assumes = [
        told.hardware(embodied),
        "what is in the cache is as long to answer as what is not",
        "asking the cache costs nothing: lookup_j was not stated"
        if lookup is None
        else "asking it costs the same each time",
    ]
    if told.without([[miss]]):
        return told.missing(title, told.without([[miss]]), assumes)
    found, least = routing.cached(miss, rate, hit, lookup), routing.least_hits(miss, hit, lookup)
    rates = [float(h) for h in np.linspace(0.0, 1.0, _POINTS)]
    pays = f"It pays above a hit rate of {told.figure(least)}" if least.known else f"It never pays: {least.reason}"
    return told.answer(
        title,
        f"With {rate:.0%} of hits a request costs {told.figure(found)} instead of {told.figure(miss)}. {pays}.",
        assumes=assumes,
        x=told.axis("hit rate", "", rates),
        lines=[
            told.line("with the cache", [routing.cached(miss, h, hit, lookup) for h in rates]),
            told.line("without", [miss] * len(rates)),
        ],
        marks=[told.mark(rate, "asked"), *_bound(least, "pays from here")],
        table=told.table(["", "figure"], [["without", miss], [f"at {rate:.0%}", found], ["pays above", least]]),
    )


def download(asked: Table) -> dict[str, Any]:
    """`option`; `gb` that are downloaded once per `uses`, over `kwh_per_gb`."""
    option, gigabytes = asked.option("option"), asked.number("gb", above=0.0)
    uses = asked.number("uses", above=0.0)
    stated = asked.comparison.rules.link.get("kwh_per_gb")
    price = profiles.kwh_per_gb(asked.number("kwh_per_gb", stated))
    [each], embodied = profiles.costs([option])
    title = f"A download of {gigabytes:g} GB before {option.name}"
    grid = option.link.intensity if option.link is not None else option.legs[0].intensity if option.legs else None
    link = Link(gigabytes * 1e9, price, grid)
    assumes = [told.hardware(embodied), f"{price.value:g} kWh per GB, an average that does not follow the rate"]
    if told.without([[each]]) or grid is None:
        return told.missing(title, told.without([[each]]) or "no grid intensity was stated", assumes)
    counts = [float(n) for n in np.geomspace(1.0, max(uses * 100.0, 10.0), _POINTS)]
    found = routing.downloaded(each, link, uses)
    share = profiles.transfer(link, asked.unit).scaled(1.0 / uses)
    return told.answer(
        title,
        f"Over {told.number(uses)} uses it adds {told.figure(share)} to {told.figure(each)}.",
        assumes=assumes,
        x=told.axis("uses of a download", "", counts, "log"),
        lines=[
            told.line("with the download", [routing.downloaded(each, link, n) for n in counts]),
            told.line("without", [each] * len(counts)),
        ],
        marks=[told.mark(uses, "asked")],
        table=told.table(["", "figure"], [["without", each], ["share of the download", share], ["with it", found]]),
    )


def split(asked: Table) -> dict[str, Any]:
    """`cuts`: layers on the device -> the deployment measured there; 0 is the cloud, the last one the device."""
    cuts = [splitting.Cut(_layer(key), asked.named(str(name), "cuts")) for key, name in asked.mapping("cuts").items()]
    found_costs = profiles.costs([cut.profile for cut in cuts])[0]
    title = "Where to split the model"
    if told.without([found_costs]):
        return told.missing(title, told.without([found_costs]))
    found = splitting.best(cuts)
    rows = [
        [cut.layer, cut.profile.name, cost, likely]
        for cut, cost, likely in zip(found.cuts, found.costs, found.likely, strict=True)
    ]
    layer, likely = found.cut.layer, found.likely[found.best]
    return told.answer(
        title,
        f"Least with {layer} layers on the device ({found.cut.profile.name}): {told.figure(found.costs[found.best])}. "
        f"The probability that it is the best of the cut points measured is {likely:.2f}.",
        assumes=[told.hardware(found.embodied), "only the cut points measured; nothing is told of those between them"],
        x=told.axis("layers on the device", "", [float(cut.layer) for cut in found.cuts]),
        lines=[told.line("request", list(found.costs))],
        marks=[told.mark(float(layer), "least")],
        table=told.table(["layers on the device", "deployment", "cost", "probability of being the least"], rows),
    )


def batch(asked: Table) -> dict[str, Any]:
    """`values`: batch sizes; the points are `options` with a batch each, one `option`'s own, or `points` as stated."""
    points, source = _points(asked)
    title = "At other batch sizes"
    if not points:
        return told.missing(title, "no batch size is known: state batch of the deployments, or points", [source])
    sizes = asked.numbers("values", [size for size, _ in sorted(points, key=lambda point: point[0])])
    found = [batching.at_batch(points, size) for size in sizes]
    known = [(each.value, size) for each, size in zip(found, sizes, strict=True) if each.value is not None]
    if not known:
        return told.missing(title, found[0].reason, [source])
    (low, best), (high, worst) = min(known), max(known)
    outside = [size for each, size in zip(found, sizes, strict=True) if not each.known]
    more = f" Not told for {', '.join(map(told.number, outside))}: outside of what was measured." if outside else ""
    unit = points[0][1].unit.replace("_", " ")
    words = f"From {told.number(high)} {unit} at a batch of {told.number(worst)} to {told.number(low)} at "
    words += f"{told.number(best)}.{more}"
    if len(known) == 1:
        words = (
            f"{told.number(low)} {unit} at a batch of {told.number(best)}, and nothing is known of another one.{more}"
        )
    return told.answer(
        title,
        words,
        assumes=[source, "between two batch sizes, linear in 1/batch", "latency is another question"],
        x=told.axis("batch size", "", sizes, "log"),
        lines=[told.line("energy", found)],
        table=told.table(["batch size", "energy"], [[size, each] for size, each in zip(sizes, found, strict=True)]),
    )


def _points(asked: Table) -> tuple[list[batching.Point], str]:
    if asked.has("points"):
        source = asked.text("source")
        gsd = asked.number("gsd", 1.0, least=1.0)
        told_points = asked.mapping("points")
        return [
            (_size(key), factor(_joule(key, value), "J/output_token", f"points: {source}", gsd=gsd))
            for key, value in told_points.items()
        ], source
    if asked.has("option"):
        option = asked.option("option")
        documents = asked.comparison.document()["options"]
        bins = next(each["by_batch"] for each in documents if each["name"] == option.name)
        return [
            (float(one["batch"]), _of_document(one["energy_j_per_output_token"]))
            for one in bins
            if one["energy_j_per_output_token"]["value"] is not None
        ], f"requests of {option.name} by how many were live at once"
    measured = [asked.measured(option.name) for option in asked.options()]
    points = [(float(one.batch), one.repeats[0].per_token) for one in measured if one.batch]
    return [(size, each) for size, each in points if each.known], "deployments with a declared batch"


def _of_document(told_q: dict[str, Any]) -> Quantity:
    """A figure of the document; what its error is made of is not in there, so its interval is one source."""
    half = 0.0 if told_q["low"] is None else (told_q["high"] - told_q["low"]) / 2.0
    errors = (Error("by batch", half / Z95),) if half else ()
    return Quantity(float(told_q["value"]), told_q["unit"], told_q["grade"], errors)


def _joules(asked: Table, key: str, option: Profile) -> Quantity | None:
    """g of J that are stated per request, on the first tier of an option; None where they are not stated."""
    if not asked.has(key):
        return None
    energy = factor(asked.number(key), f"J/{asked.unit}", f"{key}, as stated")
    leg = option.legs[0]
    return profiles.grams(facility.energy(energy, leg.pue), leg.intensity)


def _bound(bound: Quantity, text: str) -> list[dict[str, Any]]:
    value = bound.value
    return [told.mark(value, text, bound.low, bound.high)] if value is not None and 0.0 <= value <= 1.0 else []


def _layer(key: str) -> int:
    if not key.isdecimal():
        msg = f"cuts: {key!r} is no number of layers"
        raise UsageError(msg)
    return int(key)


def _size(key: str) -> float:
    try:
        size = float(key)
    except ValueError:
        size = 0.0
    if not 0.0 < size <= MOST:
        msg = f"points: {key!r} is no batch size"
        raise UsageError(msg)
    return size


def _joule(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= MOST:
        msg = f"points: {value!r} at a batch of {key} is no number of J per output token"
        raise UsageError(msg)
    return float(value)


ANSWERS = {"router": router, "cache": cache, "download": download, "split": split, "batch": batch}
