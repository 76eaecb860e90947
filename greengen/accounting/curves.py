"""Energy curves: the joules of a domain, cumulated over the time in which they are known.

A counter's difference is energy; a decrease is a wrap if one wrap explains it within what the
domain can draw, else a reset, whose joules nobody knows. A gauge is integrated by trapezoids. Where
nothing is known the curve is flat and the stretch is listed, with the most that it may hide.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from greengen.collector import Domain, Event
from greengen.rows import Series, never_still, no_news

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NS = 1e9

#: nJ per J, where they are counted in whole numbers.
NJ = 10**9

#: A reading may exceed the domain's greatest power by this much (refresh jitter), collectors.md 0.2.
_SLACK = 1.5

#: Below this, power from two readings says little: a counter refreshes in steps.
_SHORTEST_S = 0.1

#: A gauge that was not read for this many of its intervals, and for this long, has a gap.
_GAUGE_GAP, _GAUGE_GAP_NS = 5, 1_000_000_000

#: A counter that stands still for this many refresh times, and for this long, is frozen (collectors.md 16).
_FROZEN, _FROZEN_S = 10, 1.0


class Unknown(NamedTuple):
    """A stretch whose energy is not known: why, and the most it can be (None: no bound)."""

    t0_ns: int
    t1_ns: int
    reason: str
    bound_j: float | None


@dataclass(frozen=True, slots=True)
class Curve:
    """Cumulated energy of one domain.

    t_ns       knots, shape (n,), strictly increasing
    step_j     J between knots, 0 where they are not known, shape (n-1,)
    energy_j   cumulated J at the knots, shape (n,), never decreasing, 0 at the first
    known      whether the stretch after each knot is known, shape (n-1,)
    spacing_s  the coarsest spacing of the readings behind each stretch, shape (n-1,)
    hidden_j   what wraps may hide in flagged gaps: known energy may be this much too low
    window_s   what each reading of a gauge is the mean of, s
    """

    domain: Domain
    t_ns: Ints
    step_j: Floats
    energy_j: Floats
    known: Bools
    spacing_s: Floats
    unknown: tuple[Unknown, ...] = ()
    events: tuple[Event, ...] = ()
    hidden_j: float = 0.0
    window_s: float = 0.0

    @property
    def total_j(self) -> float:
        """All energy over the time it is known."""
        return float(self.energy_j[-1]) if self.energy_j.size else 0.0

    @property
    def known_s(self) -> float:
        """The time over which energy is known."""
        return float((np.diff(self.t_ns) * self.known).sum() / NS) if self.t_ns.size > 1 else 0.0

    @property
    def froze(self) -> bool:
        """Whether nothing of it is known, for its counter stood still."""
        return not self.known.any() and any(event.kind == "freeze" for event in self.events)

    @property
    def measured(self) -> bool:
        """Whether a meter tells some of it."""
        return self.domain.grade == "measured" and bool(self.known.any())

    @property
    def rests(self) -> bool:
        """Whether it is of a counter that did not move."""
        return self.domain.reading == "energy" and not self.step_j.any()

    def at(self, t_ns: Ints) -> Floats:
        """Cumulated J at any times; flat outside the curve."""
        if not self.t_ns.size:
            return np.zeros(t_ns.shape)
        base = self.t_ns[0]
        # Relative to the first knot: a monotonic clock in ns does not fit a double for long.
        return np.asarray(np.interp((t_ns - base).astype(float), (self.t_ns - base).astype(float), self.energy_j))

    def cells(self, edges: Ints) -> tuple[Floats, Bools]:
        """(J, whether known) between ascending `edges` within the curve, every knot between them being one.

        Never below 0. From each stretch's own energy: a year of cumulated joules has no digits left
        for a millisecond.
        """
        if not self.step_j.size:
            return np.zeros(edges.size - 1), np.zeros(edges.size - 1, dtype=bool)
        stretch = np.clip(np.searchsorted(self.t_ns, edges[:-1], side="right") - 1, 0, self.step_j.size - 1)
        return self.step_j[stretch] * (np.diff(edges) / np.diff(self.t_ns)[stretch]), self.known[stretch]

    @property
    def power_w(self) -> Floats:
        """Mean power of each stretch, NaN where it is unknown, shape (n-1,)."""
        power = self.step_j / (np.diff(self.t_ns) / NS)
        return np.asarray(np.where(self.known, power, np.nan))


@dataclass(slots=True)
class _Builder:
    domain: Domain
    t_ns: list[int] = field(default_factory=list)
    step_j: list[float] = field(default_factory=list)
    known: list[bool] = field(default_factory=list)
    spacing_s: list[float] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    hidden_j: float = 0.0
    window_s: float = 0.0
    jumped_ns: int = -1

    def begin(self, t_ns: int) -> None:
        if self.t_ns and t_ns > self.t_ns[-1]:
            # Between two segments nothing was recorded, and nothing is claimed.
            self.step(t_ns, 0.0, 0.0, known=False)
        elif not self.t_ns:
            self.t_ns.append(t_ns)

    def step(self, t_ns: int, energy_j: float, spacing_s: float, *, known: bool = True) -> None:
        self.t_ns.append(t_ns)
        self.step_j.append(energy_j)
        self.known.append(known)
        self.spacing_s.append(spacing_s)

    def lose(self, t_ns: int, reason: str, kind: Any) -> None:  # noqa: ANN401 -- an EventKind
        self.unknown.append(_unknown(self.domain, self.t_ns[-1], t_ns, reason))
        self.events.append(Event(t_ns, kind, self.domain.uid, reason))
        self.step(t_ns, 0.0, 0.0, known=False)

    def disbelieve(self, t_ns: int, gained_j: float) -> None:
        """A jump; those that follow one another are told once, as a counter in another unit makes them."""
        if self.jumped_ns == self.t_ns[-1]:
            first = self.unknown[-1]
            self.unknown[-1] = _unknown(self.domain, first.t0_ns, t_ns, first.reason)
            self.step(t_ns, 0.0, 0.0, known=False)
        else:
            what = f"{self.domain.name}: its counter rose by {gained_j:.6g} J, more than this domain can draw"
            self.lose(t_ns, f"{what}: not believed", "warning")
        self.jumped_ns = t_ns

    def curve(self) -> Curve:
        step_j = np.array(self.step_j, dtype=float)
        return Curve(
            self.domain,
            np.array(self.t_ns, dtype=np.int64),
            step_j,
            np.concatenate(([0.0], np.cumsum(step_j))) if self.t_ns else np.zeros(0),
            np.array(self.known, dtype=bool),
            np.array(self.spacing_s, dtype=float),
            tuple(self.unknown),
            tuple(self.events),
            self.hidden_j,
            self.window_s,
        )


def distinct(numbers: Ints) -> Ints:
    """In order, each once: `np.unique`, which begins by importing numpy.ma for 30 ms."""
    ordered = np.sort(numbers)
    return ordered[np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))]


def median(numbers: Floats | Ints) -> float:
    """The middle one, in order: `np.median` begins by importing numpy.ma as well."""
    return float(np.sort(numbers)[numbers.size // 2])


def build(
    domain: Domain,
    series: Series,
    segments: Sequence[tuple[int, int]],
    intervals_s: Sequence[float | None] = (),
) -> Curve:
    """The curve of `domain` from its readings, over `segments` (start, end) of recorded time.

    intervals_s  how often each segment was to be read, where that is known
    """
    builder = _Builder(domain, window_s=series.window_s if domain.reading == "power" else 0.0)
    t_ns = np.array(series.t_ns, dtype=np.int64)
    for (start, end), interval_s in itertools.zip_longest(segments, intervals_s[: len(segments)]):
        first, last = np.searchsorted(t_ns, (start, end + 1))
        part = Series(
            series.t_ns[first:last], series.values[first:last], series.spacing_ns[first:last], series.window_s
        )
        if domain.reading == "energy":
            _counter(builder, part)
        else:
            _gauge(builder, part, interval_s)
    return builder.curve()


def still_within(curve: Curve, outer: Domain) -> Curve:
    """That of a counter that stood still as long as the one of `outer`, which holds it: no zero, but not known."""
    reason = f"its counter stood still, and so did that of {outer.name}, which holds it: neither measures"
    t0_ns, t1_ns = int(curve.t_ns[0]), int(curve.t_ns[-1])
    lost = _unknown(curve.domain, t0_ns, t1_ns, reason)
    frozen = Event(t1_ns, "freeze", curve.domain.uid, reason)
    return replace(
        curve, known=np.zeros_like(curve.known), unknown=(*curve.unknown, lost), events=(*curve.events, frozen)
    )


def _unknown(domain: Domain, t0_ns: int, t1_ns: int, reason: str) -> Unknown:
    power_w = domain.max_power_w
    return Unknown(t0_ns, t1_ns, reason, None if power_w is None else power_w * (t1_ns - t0_ns) / NS)


def _counter(builder: _Builder, series: Series) -> None:
    domain = builder.domain
    previous: tuple[int, float] | None = None
    same_ns = 0
    for t_ns, value, spacing_ns in zip(series.t_ns, series.values, series.spacing_ns, strict=True):
        if previous is None:
            builder.begin(t_ns)
            previous, same_ns = (t_ns, value), t_ns
            continue
        t0_ns, before = previous
        if value == before:
            same_ns = t_ns
            if no_news(domain, t_ns - t0_ns) and t_ns != series.t_ns[-1]:
                continue
        # Readings that told nothing leave the way between their neighbours as unknown as no readings.
        held = same_ns not in (t0_ns, t_ns)
        _step(builder, (before, value), same_ns, (t_ns, t_ns - t0_ns if held else spacing_ns))
        previous, same_ns = (t_ns, value), t_ns


def _step(builder: _Builder, values: tuple[float, float], same_ns: int, at: tuple[int, int]) -> None:
    """From one value of the counter to the next, read at `at` (time, spacing); it stood still until `same_ns`."""
    domain, (before, value), (t_ns, spacing_ns) = builder.domain, values, at
    t0_ns = builder.t_ns[-1]
    still_s = (same_ns - t0_ns) / NS
    if never_still(domain) and still_s >= max(_FROZEN * domain.refresh_s, _FROZEN_S):
        if same_ns == t_ns or _delta(domain, before, value, (t_ns - same_ns) / NS)[0] is not None:
            builder.lose(
                same_ns, f"the counter stood still for {still_s:.3g} s, while this domain draws power", "freeze"
            )
            t0_ns = same_ns
        else:
            reason = (
                f"the counter stood still for {still_s:.3g} s and then caught up: when the energy went is not known"
            )
            builder.events.append(Event(t_ns, "freeze", domain.uid, reason))
    if t0_ns == t_ns:
        return
    delta, kind = _delta(domain, before, value, (t_ns - t0_ns) / NS)
    if delta is None and kind == "jump":
        builder.disbelieve(t_ns, value - before)
    elif delta is None:
        reason = "the counter went back to 0 (driver reload, suspend or reboot): the joules since the last reading"
        reason += " and before the reset were never read"
        builder.lose(t_ns, reason, "reset")
    else:
        builder.step(t_ns, delta, min(spacing_ns, t_ns - t0_ns) / NS)
        _flag(builder, kind, t_ns - t0_ns, min(spacing_ns, t_ns - t0_ns) or t_ns - t0_ns)


def most_j(domain: Domain, elapsed_s: Floats) -> Floats:
    """What a counter of this domain can gain at most in some times, J, shape of `elapsed_s`."""
    most_w = np.inf if domain.max_power_w is None else domain.max_power_w
    return np.asarray(most_w * np.maximum(elapsed_s, _SHORTEST_S) * _SLACK)


def _delta(domain: Domain, before: float, value: float, elapsed_s: float) -> tuple[float | None, str]:
    """(J, what happened); None where the energy is not known. collectors.md 0.2."""
    most = None if domain.max_power_w is None else domain.max_power_w * max(elapsed_s, _SHORTEST_S) * _SLACK
    delta = value - before
    if delta >= 0:
        # A counter that wraps never shows as much as one wrap.
        most = domain.wrap_j if most is None else most
        return (delta, "") if most is None or delta <= most else (None, "jump")
    if domain.wrap_j is not None:
        wrapped = delta + domain.wrap_j
        if wrapped >= 0 and (most is None or wrapped <= most):
            return wrapped, "wrap"
    return None, "reset"


def _flag(builder: _Builder, kind: str, elapsed_ns: int, spacing_ns: int) -> None:
    """Of a stretch that was read every `spacing_ns`: of readings on one line, thinning has kept the ends."""
    domain, t_ns = builder.domain, builder.t_ns[-1]
    if kind == "wrap":
        builder.events.append(Event(t_ns, "wrap", domain.uid, f"the counter wrapped at {domain.wrap_j:.6g} J"))
    if domain.wrap_j is None or domain.max_power_w is None:
        return
    wraps = int(domain.max_power_w * spacing_ns / NS / domain.wrap_j) * max(1, round(elapsed_ns / spacing_ns))
    if wraps:
        builder.hidden_j += wraps * domain.wrap_j
        reason = f"not read for {spacing_ns / NS:.3g} s: long enough to hide {wraps} wrap(s) of the counter"
        builder.events.append(Event(t_ns, "gap", domain.uid, reason))


def _gauge(builder: _Builder, series: Series, interval_s: float | None) -> None:
    readings: list[tuple[int, float, int]] = []
    skipped = False
    for t_ns, watts, spacing_ns in zip(series.t_ns, series.values, series.spacing_ns, strict=True):
        if not watts >= 0:
            # A sensor that answers below 0, or NaN, has not answered.
            skipped = True
            continue
        readings.append((t_ns, watts, t_ns - readings[-1][0] if skipped and readings else spacing_ns))
        skipped = False
    if not readings:
        return
    shift = int(series.window_s * NS / 2)
    # As it was asked for: the middle of a few readings around a gap would be the gap.
    spacings = [spacing_ns for _, _, spacing_ns in readings]
    longest_ns = longest_step_ns(builder.domain, spacings, series.window_s, interval_s)
    builder.begin(readings[0][0] - shift)
    for (t0_ns, before, _), (t_ns, watts, spacing_ns) in itertools.pairwise(readings):
        if spacing_ns > longest_ns:
            builder.lose(t_ns - shift, f"the power was not read for {(t_ns - t0_ns) / NS:.3g} s", "gap")
        else:
            _ramp(builder, (t0_ns - shift, before), (t_ns - shift, watts), spacing_ns)


def longest_step_ns(
    domain: Domain, spacing_ns: Sequence[int], window_s: float, interval_s: float | None = None
) -> float:
    """Readings of a gauge that are further apart have a gap between them."""
    steps = [spacing for spacing in spacing_ns if spacing] or [0]
    usual_s = float(np.median(steps)) / NS if interval_s is None else interval_s
    return max(_GAUGE_GAP * NS * max(usual_s, 2 * window_s, domain.refresh_s), _GAUGE_GAP_NS)


def _ramp(builder: _Builder, start: tuple[int, float], end: tuple[int, float], spacing_ns: int) -> None:
    """Power along a line. Where thinning has left readings out of it, the energy still bends at each of them."""
    (t0_ns, before), (t1_ns, after) = start, end
    pieces = max(1, round((t1_ns - t0_ns) / spacing_ns)) if spacing_ns and before != after else 1
    t_ns, watts = t0_ns, before
    for i in range(1, pieces + 1):
        next_ns, next_w = t0_ns + (t1_ns - t0_ns) * i // pieces, before + (after - before) * i / pieces
        builder.step(next_ns, (watts + next_w) / 2 * (next_ns - t_ns) / NS, spacing_ns / NS)
        t_ns, watts = next_ns, next_w
