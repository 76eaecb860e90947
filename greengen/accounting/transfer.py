"""The network by its power: a share of what the line draws anyway, and what follows the rate.

`P = baseline / users + slope · rate` (Malmodin 2020). Where the rate is known this goes before kWh per GB
(`greengen.accounting.network`), which is an average of all traffic and can be off by a hundred for one fast
transfer. `attributional` counts the share of the baseline and the slope, `marginal` the slope alone, because the
line draws its baseline with or without the transfer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from greengen.accounting import network
from greengen.errors import UsageError
from greengen.quantity import Quantity, total
from greengen.rows import SpanRow

View = Literal["attributional", "marginal"]

#: The label by which a span tells for how long its bytes went, s.
SECONDS = "network_s"

_BITS = 8.0
_MEGA = 1e6


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the way: home equipment and line, radio, core, a cable.

    baseline_w  what it draws whatever goes through it, W, shared by `users`; None: it has no such part
    slope       W per Mbps
    """

    name: str
    slope: Quantity
    baseline: Quantity | None = None
    users: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.users < math.inf:
            msg = f"{self.users:g} users of {self.name} are not possible: pass a number above 0"
            raise UsageError(msg)


@dataclass(frozen=True, slots=True)
class Way:
    """All stages that a transfer goes through, in words and under one view."""

    name: str
    stages: tuple[Stage, ...]
    view: View = "attributional"


def power(stage: Stage, mbps: float, view: View = "attributional") -> Quantity:
    """What a transfer at a rate draws in one stage, W. Raises UsageError."""
    if not 0.0 <= mbps < math.inf:
        msg = f"a rate of {mbps:g} Mbps is not possible: pass 0 or more"
        raise UsageError(msg)
    if view not in ("attributional", "marginal"):
        msg = f"view {view!r} is not known: pass attributional or marginal"
        raise UsageError(msg)
    following = replace(stage.slope, unit="W").scaled(mbps)
    if view == "marginal" or stage.baseline is None:
        return following
    return total((stage.baseline / stage.users, following), "W")


def joules(way: Sequence[Stage], seconds: float, moved_bytes: float, view: View = "attributional") -> Quantity:
    """The energy of a transfer over all stages of its way, J. Raises UsageError for one that takes no time."""
    if not (0.0 < seconds < math.inf and 0.0 <= moved_bytes < math.inf):
        msg = f"{moved_bytes:g} bytes in {seconds:g} s: pass a time above 0, and 0 bytes or more"
        raise UsageError(msg)
    if not way:
        return Quantity.missing("J", "no stage of the network was stated")
    mbps = moved_bytes * _BITS / _MEGA / seconds
    watts = total([power(stage, mbps, view) for stage in way], "W")
    energy = replace(watts.scaled(seconds), unit="J")
    return replace(energy, note=f"network by power, {view}, at {mbps:.3g} Mbps over {', '.join(s.name for s in way)}")


def of_spans(rows: Iterable[SpanRow], way: Way) -> Quantity:
    """The energy of the bytes that spans tell (`network_bytes`), J; missing where none does.

    A transfer takes the seconds of the label `network_s`, else as long as its span: the line is held meanwhile.
    Raises UsageError for a label that is no time.
    """
    parts = []
    for row in rows:
        moved_bytes = network.moved(row)
        if moved_bytes is not None:
            parts.append(joules(way.stages, _seconds(row), float(moved_bytes), way.view))
    return total(parts, "J") if parts else Quantity.missing("J", f"no span tells its {network.LABEL}")


def _seconds(row: SpanRow) -> float:
    text = row.labels.get(SECONDS)
    if text is None:
        if row.t1_ns is None or row.t1_ns <= row.t0_ns:
            msg = f"span {row.uid} tells {network.LABEL} and has no length: label it with {SECONDS}, s"
            raise UsageError(msg)
        return (row.t1_ns - row.t0_ns) / 1e9
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.0 < seconds < math.inf:
        msg = f"span {row.uid} tells {SECONDS} {text!r}: pass seconds above 0"
        raise UsageError(msg)
    return seconds
