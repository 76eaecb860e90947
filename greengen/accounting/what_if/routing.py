"""Who answers: a small model that escalates some requests to a big one, a cache, a model that is downloaded first.

Router: `C = C_small + p · C_big (+ C_judge)`, better than the big one alone iff `p < 1 - (C_small + C_judge) / C_big`.
Cache: `C = C_lookup + (1 - h) · C_miss + h · C_hit`, better than none iff `h > C_lookup / (C_miss - C_hit)`.
Download: `GB · e_net · I / N` on each of N uses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from greengen.accounting.what_if.profiles import Link, transfer
from greengen.errors import UsageError
from greengen.quantity import Quantity, total


def routed(small: Quantity, big: Quantity, escalated: float, judge: Quantity | None = None) -> Quantity:
    """What a request costs where all go to the small model, and the part `escalated` on to the big one.

    judge  of deciding, on each request. Raises UsageError for a part outside 0 to 1
    """
    part(escalated, "escalation rate")
    return total((*_first(small, judge), big.scaled(escalated)), small.unit)


def most_escalated(small: Quantity, big: Quantity, judge: Quantity | None = None) -> Quantity:
    """The escalation rate below which the router is better than the big model alone; below 0: never."""
    first = total(_first(small, judge), small.unit)
    return _one() - first / big.to(small.unit)


def cached(miss: Quantity, hits: float, hit: Quantity | None = None, lookup: Quantity | None = None) -> Quantity:
    """What a request costs where the part `hits` is answered from a cache. Raises UsageError outside 0 to 1.

    hit     of answering from it; None: nothing but the look-up
    lookup  of asking it, on each request
    """
    part(hits, "hit rate")
    parts = [miss.scaled(1.0 - hits)]
    parts += [hit.to(miss.unit).scaled(hits)] if hit is not None else []
    parts += [lookup.to(miss.unit)] if lookup is not None else []
    return total(parts, miss.unit)


def least_hits(miss: Quantity, hit: Quantity | None = None, lookup: Quantity | None = None) -> Quantity:
    """The hit rate above which the cache pays; above 1: never. Missing where a hit costs no less than a miss."""
    if lookup is None:
        return Quantity(0.0, "", miss.grade or "declared")
    saved = miss if hit is None else miss - hit.to(miss.unit)
    if saved.value is not None and saved.value <= 0.0:
        return Quantity.missing("", "a hit costs no less than a miss, so the cache never pays")
    return lookup.to(miss.unit) / saved


def downloaded(each: Quantity, link: Link, uses: float) -> Quantity:
    """What a use costs with its share of a download: `link` has the bytes of the model, once per `uses`."""
    if not 0.0 < uses < math.inf:
        msg = f"{uses:g} uses per download are not possible: pass a number above 0"
        raise UsageError(msg)
    share = transfer(link, each.unit.partition("/")[2] or "request").scaled(1.0 / uses)
    return total((each, replace(share, unit=each.unit)), each.unit)


def part(value: float, what: str) -> float:
    """Raises UsageError for what is no part of a whole."""
    if not 0.0 <= value <= 1.0:
        msg = f"{what} {value:g} is not possible: pass a part, from 0 to 1"
        raise UsageError(msg)
    return value


def _first(small: Quantity, judge: Quantity | None) -> Sequence[Quantity]:
    return (small,) if judge is None else (small, judge.to(small.unit))


def _one() -> Quantity:
    return Quantity(1.0, "", "measured")
