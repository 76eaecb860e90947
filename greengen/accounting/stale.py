"""A gauge around other domains that repeats itself while they change: a BMC that is stuck (collectors.md 16)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from greengen.accounting.chapter import Chapter
from greengen.accounting.curves import NS, Bools, Curve, Floats, Ints
from greengen.accounting.remainder import remainders

#: So long one value, s: firmware refreshes its own within 10 s.
_STILL_S = 60.0

#: What is inside is looked at over blocks of this length, s, and has to vary by this part of the gauge's power.
_BLOCK_S, _VARIES = 10.0, 0.1

_TWO = 2


def stale(chapter: Chapter) -> list[str]:
    """A sentence for each gauge that shows one power for a minute in which its parts do not."""
    told = []
    for found in remainders(chapter):
        curve = found.outer.books.curve
        if curve.domain.reading != "power":
            continue
        for start_ns, end_ns, watts in _still(curve):
            parts_w = _blocks_w([part.books.curve for part in found.parts], start_ns, end_ns)
            if parts_w.size >= _TWO and float(np.ptp(parts_w)) > _VARIES * watts:
                told.append(
                    f"{curve.domain.name} has shown {watts:.4g} W for {(end_ns - start_ns) / NS:.0f} s, while what is "
                    f"inside it drew between {parts_w.min():.3g} and {parts_w.max():.3g} W: it may be stale."
                )
                break
    return told


def _still(curve: Curve) -> list[tuple[int, int, float]]:
    """(start, end, W) of known stretches of time in which a gauge shows one value for long enough."""
    power = curve.power_w
    # Of one value the means of neighbours differ by rounding only; of an unknown stretch they are NaN.
    begins = np.flatnonzero(np.concatenate(([True], ~(np.abs(np.diff(power)) <= 1e-9 * np.abs(power[1:])))))
    ends = np.append(begins[1:], power.size)
    spans = zip(curve.t_ns[begins].tolist(), curve.t_ns[ends].tolist(), power[begins].tolist(), strict=True)
    return [(a, b, w) for a, b, w in spans if w > 0 and (b - a) / NS >= _STILL_S]


def _blocks_w(curves: Sequence[Curve], start_ns: int, end_ns: int) -> Floats:
    """Mean power of all curves together over blocks of the time in which all were read, W."""
    start_ns = max(start_ns, *(int(curve.t_ns[0]) for curve in curves))
    end_ns = min(end_ns, *(int(curve.t_ns[-1]) for curve in curves))
    edges = np.arange(start_ns, end_ns + 1, int(_BLOCK_S * NS), dtype=np.int64)
    if edges.size <= _TWO:
        return np.zeros(0)
    energy_j = sum((np.diff(curve.at(edges)) for curve in curves), np.zeros(edges.size - 1))
    known = np.logical_and.reduce([_known(curve, edges) for curve in curves])
    return np.asarray(energy_j[known] / _BLOCK_S)


def _known(curve: Curve, edges: Ints) -> Bools:
    """Whether all of each block is known."""
    lost_ns = np.concatenate(([0], np.cumsum(np.diff(curve.t_ns) * ~curve.known)))
    base = curve.t_ns[0]
    lost = np.interp((edges - base).astype(float), (curve.t_ns - base).astype(float), lost_ns.astype(float))
    return np.asarray(np.diff(lost) == 0)
