"""A timeline's part of a ledger: its spans, what each policy chose for them, and the books of every domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from greengen.accounting import books, curves, table, timelines, usage, work
from greengen.accounting.choice import Plan, choose
from greengen.accounting.curves import NS
from greengen.accounting.entries import Entries, enter
from greengen.accounting.policies import Choice
from greengen.rows import Timeline


@dataclass(frozen=True, slots=True)
class Chapter:
    """The part of a ledger that stands on one timeline: one table of spans, one set of books per domain."""

    timeline: Timeline
    table: table.SpanTable
    entries: tuple[Entries, ...]
    recorded: tuple[tuple[int, int], ...]
    choices: tuple[Choice, ...] = ()

    @property
    def start_ns(self) -> int:
        """When the recording began, on the timeline's clock."""
        return self.recorded[0][0] if self.recorded else 0

    @property
    def recorded_s(self) -> float:
        """The time that was recorded."""
        return sum(end - start for start, end in self.recorded) / NS

    @property
    def totalled(self) -> tuple[Entries, ...]:
        """The domains that a total counts."""
        return tuple(entries for entries in self.entries if entries.in_total)


def open_chapter(timeline: Timeline, plan: Plan, window: books.Window) -> Chapter:
    """The chapter of a timeline; `window` cuts it to (start, end) ns. Raises PolicyError."""
    one = timelines.as_one(timeline)
    timeline, recorded, uses = one.timeline, one.recorded, one.uses
    end_ns = max((end for _, end in recorded), default=0)
    last_seen = max((process.last_seen_ns for process in timeline.processes), default=0)
    spans = table.tabulate(timelines.on_their_tiers(timeline), timeline.processes, max(end_ns, last_seen))
    laid_out = work.lay_out(spans, timeline)
    found, left_out = timelines.read_curves(one)
    chosen = choose(laid_out, plan, lambda groups: _metering(groups, found, left_out, uses), timeline.boot_id)
    entries = tuple(
        enter(
            books.book(curve, (spans, laid_out, chosen), (uses, timeline.usage), window),
            uses.get(curve.domain.split or ""),
            left_out[uid],
            boot=timeline.boot_id,
            host=timeline.hostname,
        )
        for uid, curve in found.items()
        if curve.t_ns.size
    )
    return Chapter(timeline, spans, entries, recorded, chosen.choices)


def _metering(
    groups: Sequence[work.Group],
    found: Mapping[str, curves.Curve],
    left_out: Mapping[str, str],
    uses: Mapping[str, usage.Use],
) -> list[curves.Curve]:
    """The curves from which an engine's cost is fitted: its own devices', else all accelerators', else all.

    Without foreign work, where that can be told.
    """
    known = [curve for uid, curve in found.items() if curve.known.any()]
    named = {uid for group in groups if group.lane is not None for uid in group.lane.devices}
    counted = [curve for curve in known if not left_out[curve.domain.uid]]
    own = [curve for curve in known if not named.isdisjoint(work.names_of(curve.domain))]
    chosen = own or [c for c in counted if c.domain.kind not in books.SHARED_KINDS] or counted
    return [_without_foreign(curve, uses.get(curve.domain.split or "")) for curve in chosen]


def _without_foreign(curve: curves.Curve, use: usage.Use | None) -> curves.Curve:
    if use is None:
        return curve
    step_j = curve.step_j * use.between(curve.t_ns).ours
    return replace(curve, step_j=step_j, energy_j=np.concatenate(([0.0], np.cumsum(step_j))))
