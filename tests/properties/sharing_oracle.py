"""Sharing by brute force: exact fractions, one elementary stretch of time after another.

Nothing here is shared with greengen.accounting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise


@dataclass(frozen=True)
class Work:
    """Something that is live from `a` to before `b`, ns, with a weight."""

    a: int
    b: int
    weight: Fraction


def power_at(knots: Sequence[int], joules: Sequence[Fraction], t_ns: int) -> Fraction:
    """J per ns just after a time; nothing before the first knot, or from the last on."""
    for (a, b), energy in zip(pairwise(knots), joules, strict=True):
        if a <= t_ns < b:
            return energy / (b - a)
    return Fraction(0)


def shared(
    works: Sequence[Work], knots: Sequence[int], joules: Sequence[Fraction], window: tuple[int, int] | None = None
) -> tuple[list[Fraction], Fraction]:
    """(J of each work, J of the time when nobody with a weight was live)."""
    start, end = window or (knots[0], knots[-1])
    times = {start, end, *knots, *(t for work in works for t in (work.a, work.b))}
    out, quiet = [Fraction(0)] * len(works), Fraction(0)
    for a, b in pairwise(sorted(t for t in times if start <= t <= end)):
        energy = power_at(knots, joules, a) * (b - a)
        live = [i for i, work in enumerate(works) if work.a <= a and b <= work.b and work.weight > 0]
        everyone = sum((works[i].weight for i in live), Fraction(0))
        for i in live:
            out[i] += energy * works[i].weight / everyone
        quiet += 0 if live else energy
    return out, quiet
