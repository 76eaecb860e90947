"""The options of a comparison as rows of its document: per functional unit, each number a quantity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from greengen.accounting import single, verdict
from greengen.accounting.carbon import Site
from greengen.accounting.deployment import Repeat, TierUse
from greengen.accounting.facility import TIERS
from greengen.accounting.option import Measured
from greengen.document.comparison_words import METRICS
from greengen.document.shape import shape
from greengen.quantity import Quantity

_QUANTILES = {"p50_s": 0.5, "p95_s": 0.95, "p99_s": 0.99}

#: The kind of account by its name, where it is not a span's.
_QUIET = ("overhead", "other", "idle")


def row(one: Measured, *, baseline: str, deadline_s: float | None, points: int) -> dict[str, Any]:
    """An option, but for its ratios and its part of the distribution.

    points  how many points of power it may have
    """
    repeats = one.repeats
    figures = {m.key: shape(verdict.summary(one.of(m.of))) for m in METRICS if m.of}
    first = one.facts[0] if one.facts else {}
    seconds = sum(repeat.seconds for repeat in repeats)
    units = _known(repeat.units for repeat in repeats)
    tokens = _known(repeat.tokens for repeat in repeats)
    return (
        {
            "name": one.name,
            "baseline": one.name == baseline,
            "origin": one.origin,
            "models": list(one.models),
            "n": one.n,
            "labels": {},
            "source": one.source,
        }
        | figures
        | {
            "facility_j": shape(verdict.summary([_added(repeat, lambda use: use.facility) for repeat in repeats])),
            "carbon_embodied_g": shape(verdict.summary(one.of("embodied"))),
            "units": units if one.origin != "declared" else None,
            "output_tokens": tokens if one.origin != "declared" else None,
            "duration_s": seconds,
            "throughput_per_s": units / seconds if units and seconds else None,
            "tokens_per_s": tokens / seconds if tokens and seconds else None,
            "latency": latency(one, deadline_s),
            "batch": _batch(one),
            "by_batch": _by_batch(one),
            "tiers": list(_tiers(one)),
            "declared_share": declared_share(one),
            "site": site(one.site),
            "accounts": list(_accounts(repeats)),
            "domains": list(_domains(one)),
            "repeats": [_repeat(one, i) for i in range(len(repeats))] if one.origin != "declared" else [],
            "power": [_thinned(line, points) for line in first.get("power", ())],
            "phases": list(first.get("phases", ())),
            "warnings": list(dict.fromkeys(text for fact in one.facts for text in fact["warnings"])),
        }
    )


def quality(one: Measured, metric: str, *, higher: bool) -> dict[str, Any]:
    """A figure of quality: declared, with its interval and what that is. `higher`: whether more is better."""
    of = one.quality
    if of is None:
        return {"value": None, "reason": f"quality unknown: no {metric} of it was stated"}
    low, high = of.low, of.high
    if of.part and higher and low is not None and high is not None:
        # The mean of parts is a part.
        low, high = max(low, 0.0), min(high, 1.0)
    return {
        "value": of.value,
        "low": low,
        "high": high,
        "unit": "",
        "grade": "declared",
        "metric": metric,
        "how": of.how,
        "source": of.source or "declared",
        "higher_is_better": higher,
    }


def qualities(rows: Sequence[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """Where the figures of quality are from, as sources; each once."""
    found: dict[tuple[str, str], list[str]] = {}
    for each in rows:
        told = each["quality"]
        if told["value"] is not None:
            found.setdefault((told["metric"], f"{told['source']}; {told['how']}"), []).append(each["name"])
    for (what, source), names in found.items():
        yield {"what": what, "value": None, "source": source, "year": "", "options": names}


def latency(one: Measured, deadline_s: float | None) -> dict[str, Any]:
    """Latencies of the requests: of each repeat, and how they scatter between repeats."""
    several = [repeat.each.seconds for repeat in one.repeats]
    known = [seconds for seconds in several if (~np.isnan(seconds)).any()]
    if not known:
        return {"requests": 0, "reason": "no request that ended well tells how long it took"}
    told: dict[str, Any] = {"requests": int(sum((~np.isnan(s)).sum() for s in known)), "deadline_s": deadline_s}
    grade = "declared" if one.origin == "declared" else "measured"
    for key, at in _QUANTILES.items():
        each = [Quantity(single.quantiles(seconds, [at])[0], "s", grade) for seconds in known]  # type: ignore[arg-type]
        told[key] = shape(verdict.summary(each))
    if deadline_s is None:
        return told | {"missed": None, "missed_share": None}
    # A request that failed did not meet its deadline either.
    missed = [int((~(seconds <= deadline_s)).sum()) for seconds in several]
    shares = [Quantity(n / s.size, "", grade) for n, s in zip(missed, several, strict=True) if s.size]  # type: ignore[arg-type]
    share = shape(verdict.summary(shares))
    if share.get("high") is not None:
        share["high"] = min(share["high"], 1.0)
    return told | {"missed": sum(missed), "missed_share": share}


def p95(one: Measured) -> tuple[Quantity, ...]:
    """The p95 latency of each repeat."""
    found = [single.quantiles(repeat.each.seconds, [0.95])[0] for repeat in one.repeats]
    gone = Quantity.missing("s", "no request that ended well tells how long it took")
    return tuple(gone if value is None else Quantity(value, "s", "measured") for value in found)


def declared_share(one: Measured, *of: Literal["operational", "energy"]) -> float | None:
    """Which part of the grams, or of the joules where there are none, rests on declared energy; or of either alone."""
    for what in of or ("operational", "energy"):
        known = [figure for figure in one.of(what) if figure.value]
        if known:
            return sum(figure.shares.get("declared", 0.0) for figure in known) / len(known)
    return None


def site(of: Site) -> dict[str, Any]:
    """Where something stands, as the document tells it."""
    return {
        "zone": of.zone,
        "intensity": None if of.intensity is None else shape(of.intensity),
        "intensity_source": of.source,
        "year": of.year,
        "pue": of.pue_value,
        "hardware": [
            {
                "name": one.name,
                "count": one.count,
                "share": one.share,
                "made_g": shape(one.made.to("g")),
                "lifetime_y": shape(one.lifetime.to("y")),
                "utilisation": one.utilisation,
                "source": one.source,
            }
            for one in of.hardware
        ],
        "wue": None if of.wue is None else shape(of.wue),
        "notes": list(of.notes),
    }


def _added(repeat: Repeat, of: Any) -> Quantity:  # noqa: ANN401 -- a function of a TierUse
    return sum((of(use) for use in repeat.tiers[1:]), of(repeat.tiers[0])) if repeat.tiers else repeat.energy


def _batch(one: Measured) -> dict[str, Any] | None:
    live = np.concatenate([repeat.each.live for repeat in one.repeats])
    if not live.size and one.batch is None:
        return None
    if not live.size:
        return {"mean": one.batch, "declared": one.batch, "source": "declared"}
    return {"mean": float(live.mean()), "declared": one.batch, "source": "requests live at once"}


def _by_batch(one: Measured) -> list[dict[str, Any]]:
    """J per output token by how many requests were live; each repeat's relative errors are those of its figure."""
    found: dict[int, list[tuple[int, Quantity]]] = {}
    for repeat in one.repeats:
        whole = repeat.per_token.value
        for batch, (requests, joules, tokens) in single.batches(repeat.each).items():
            if whole and tokens:
                share = repeat.per_token.scaled(joules / tokens / whole)
                found.setdefault(batch, []).append((requests, share))
    return [
        {
            "batch": batch,
            "requests": sum(requests for requests, _ in several),
            "energy_j_per_output_token": shape(verdict.summary([share for _, share in several])),
        }
        for batch, several in sorted(found.items())
    ]


def _tiers(one: Measured) -> Iterable[dict[str, Any]]:
    uses: dict[str | None, list[TierUse]] = {}
    for repeat in one.repeats:
        for use in repeat.tiers:
            uses.setdefault(use.tier, []).append(use)
    grams = {tier: verdict.summary([use.operational for use in several]) for tier, several in uses.items()}
    known = [each.value for each in grams.values()]
    whole = sum(value for value in known if value is not None) if None not in known else None
    for tier in sorted(uses, key=lambda tier: TIERS.index(tier) if tier in TIERS else len(TIERS)):
        several = uses[tier]
        yield {
            "tier": tier,
            "energy_j": shape(verdict.summary([use.energy for use in several])),
            "facility_j": shape(verdict.summary([use.facility for use in several])),
            "carbon_operational_g": shape(grams[tier]),
            "carbon_embodied_g": shape(verdict.summary([use.embodied for use in several])),
            "share_of_carbon": (grams[tier].value or 0.0) / whole if whole else None,
            "site": site(several[0].site),
        }


def _accounts(repeats: Sequence[Repeat]) -> Iterable[dict[str, Any]]:
    found: dict[str, list[Quantity]] = {}
    for repeat in repeats:
        for name, joules in repeat.accounts:
            found.setdefault(name, []).append(joules)
    for name, several in found.items():
        type_ = name if name in _QUIET else "span"
        yield {"account": name, "type": type_, "energy_j": shape(verdict.summary(several))}


def _domains(one: Measured) -> Iterable[dict[str, Any]]:
    found: dict[str, list[tuple[Mapping[str, Any], Quantity]]] = {}
    for repeat, fact in zip(one.repeats, one.facts, strict=False):
        for domain in fact["domains"]:
            energy = domain["energy"]
            each = energy.scaled(1.0 / repeat.units) if repeat.units else energy
            told = replace(each, unit=f"J/{one.unit}", origin=None)
            found.setdefault(domain["domain"], []).append((domain, told))
    for uid, several in found.items():
        known = several[0][0]
        yield {
            "domain": uid,
            "name": known["name"],
            "grade": known["grade"],
            "energy_j": shape(verdict.summary([each for _, each in several])),
            "coverage": min(float(domain["coverage"]) for domain, _ in several),
        }


def _repeat(one: Measured, i: int) -> dict[str, Any]:
    repeat, fact = one.repeats[i], one.facts[i]
    return {
        "run": ", ".join(fact["paths"]),
        "started": fact["started"],
        "order": one.places[i] + 1 if one.places[i] >= 0 else None,
        "host": fact["host"],
        "units": repeat.units,
        "seconds": repeat.seconds,
        "energy_j": shape(repeat.energy),
        "carbon_total_g": shape(repeat.total),
        "latency_p50_s": single.quantiles(repeat.each.seconds, [0.5])[0],
        "state": fact["told_state"],
    }


def _thinned(line: Mapping[str, Any], points: int) -> dict[str, Any]:
    """A line of power in at most so many steps, each the mean over its time; unknown where a part of it is."""
    t_s, power = line["t_s"], line["power_w"]
    if len(power) <= points:
        return dict(line)
    edges = np.unique(np.linspace(0, len(power), max(points, 2) + 1).round().astype(int)).tolist()
    told = []
    for a, b in pairwise(edges):
        lengths = [t_s[i + 1] - t_s[i] for i in range(a, b)]
        unknown = any(power[i] is None for i in range(a, b)) or not sum(lengths)
        joules = 0.0 if unknown else sum(power[i] * length for i, length in zip(range(a, b), lengths, strict=True))
        told.append(None if unknown else float(f"{joules / sum(lengths):.5g}"))
    return dict(line) | {"t_s": [t_s[i] for i in edges], "power_w": told}


def _known(numbers: Iterable[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None
