"""The ledger of a run: every joule of every domain, in one account each."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from greengen.accounting import books, cover, curves, marginal, table, together, usage, work
from greengen.accounting.choice import Plan, choose, frozen
from greengen.accounting.curves import NS
from greengen.accounting.entries import Entries, enter
from greengen.accounting.policies import AUTO, Choice
from greengen.collector import Event
from greengen.errors import UsageError
from greengen.quantity import Quantity, total
from greengen.rows import Rows, Segment, SpanRow, Timeline

if TYPE_CHECKING:
    import pandas as pd

#: The accounts beside those of spans, in the order in which they are told.
QUIET_ACCOUNTS = ("overhead", "other", "idle")


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


@dataclass(frozen=True, slots=True)
class Ledger:
    """All entries (domain × account → J) of a run, under one policy."""

    chapters: tuple[Chapter, ...]
    asked: Plan

    @property
    def policy(self) -> str:
        """The policy that was asked for."""
        return self.asked.policy

    @property
    def choices(self) -> tuple[Choice, ...]:
        """How each group of spans was shared: policy, coefficients, and why a weaker one was used."""
        found: list[Choice] = []
        for choice in (choice for chapter in self.chapters for choice in chapter.choices):
            found += [choice] if choice not in found else []
        return tuple(found)

    @property
    def plan(self) -> Plan:
        """This ledger's policy with all that was chosen and fitted under it, to share another part alike."""
        return frozen(self.asked, ((c.timeline.boot_id, choice) for c in self.chapters for choice in c.choices))

    def total(self) -> Quantity:
        """All joules of the run's cover, each once."""
        return _sum(entries.energy() for entries in self._totalled())

    def account(self, name: str) -> Quantity:
        """`overhead`, `other` or `idle`, over the cover; `other` is missing where no domain can tell it."""
        return _sum(entries.account(name) for entries in self._totalled())

    def spans(self, chosen: Callable[[SpanRow], bool], label: str) -> Quantity:
        """The own joules of the spans that `chosen` picks, over the cover."""
        parts = []
        for chapter in self.chapters:
            members = np.array([i for i, row in enumerate(chapter.table.rows) if chosen(row)], dtype=np.int64)
            if members.size:
                parts += [entries.spans(members, label) for entries in chapter.totalled]
        if not parts and self._any(chosen):
            return Quantity.missing("J", "no domain was read")
        return _sum(parts) if parts else Quantity.missing("J", f"no span of {label}")

    def serving(self, model: str, chosen: Callable[[SpanRow], bool] = lambda _: True) -> Quantity:
        """The joules of a model's `chosen` requests, with those of the spans inside them, over the cover."""
        parts = []
        for chapter in self.chapters:
            spans = chapter.table
            members = np.array(
                [
                    i
                    for i, row in enumerate(spans.rows)
                    if row.model == model and spans.request[i] >= 0 and chosen(spans.rows[spans.request[i]])
                ],
                dtype=np.int64,
            )
            if members.size:
                parts += [entries.spans(members, f"{table.REQUEST}/{model}") for entries in chapter.totalled]
        return _sum(parts)

    def __getitem__(self, span: Any) -> Quantity:  # noqa: ANN401 -- a span, its row or its uid
        """A span's own joules. Raises UsageError for a span that is not in this run."""
        uid = span if isinstance(span, str) else getattr(span, "uid", None)
        for chapter in self.chapters:
            for i, row in enumerate(chapter.table.rows):
                if row.uid == uid:
                    return self.span(chapter, i)
        if uid is not None and any(chapter.timeline.segments for chapter in self.chapters):
            return Quantity.missing("J", f"pending or not in this run: no flushed row of span {uid}")
        msg = f"{span!r} is not a span of this run"
        raise UsageError(msg)

    def span(self, chapter: Chapter, index: int, *, inclusive: bool = False) -> Quantity:
        """Span `index` of a chapter: its own joules, or with those of the spans inside it."""
        members = np.array(chapter.table.subtree(index) if inclusive else [index], dtype=np.int64)
        row, end_ns = chapter.table.rows[index], int(chapter.table.t1_ns[index])
        goes_on = any(segment.t1_ns is None for segment in chapter.timeline.segments)
        if goes_on and row.t1_ns is None:
            return Quantity.missing("J", "pending: the span is still open")
        covered = any(e.books.curve.t_ns.size and e.books.curve.t_ns[-1] >= end_ns for e in chapter.totalled)
        if goes_on and chapter.timeline.domains and not covered:
            return Quantity.missing("J", "pending: no reading covers the span's end yet, or the recording was cut off")
        if not chapter.totalled:
            return Quantity.missing("J", "no domain was read")
        return _sum(entries.spans(members, row.uid) for entries in chapter.totalled)

    def __iter__(self) -> Iterator[tuple[Chapter, int]]:
        """Every span, as (chapter, index)."""
        for chapter in self.chapters:
            for index in range(len(chapter.table)):
                yield chapter, index

    def groups(self, key: Callable[[SpanRow], str | None]) -> dict[str | None, list[SpanRow]]:
        """Spans by what `key` says of them, in order of first appearance."""
        grouped: dict[str | None, list[SpanRow]] = {}
        for chapter, index in self:
            row = chapter.table.rows[index]
            grouped.setdefault(key(row), []).append(row)
        return grouped

    def by(self, attribute: str) -> pd.DataFrame:
        """A table of joules, interval and grade by `model`, `kind`, `tier`, `outcome`, `account` or a label.

        One row per value; `account` adds overhead, other and idle, and then sums to the total.
        """
        import pandas as pd  # noqa: PLC0415 -- half a second, for those who ask for a frame

        key = _key(attribute)
        rows = []
        for value, members in self.groups(key).items():
            quantity = self.spans(_with(key, value), str(value))
            rows.append((value, len(members), quantity))
        if attribute == "account":
            rows += [(name, 0, self.account(name)) for name in QUIET_ACCOUNTS]
        return pd.DataFrame(
            {
                attribute: [value for value, _, _ in rows],
                "spans": [count for _, count, _ in rows],
                "energy_j": pd.array([q.value for _, _, q in rows], dtype="Float64"),
                "low_j": pd.array([q.low for _, _, q in rows], dtype="Float64"),
                "high_j": pd.array([q.high for _, _, q in rows], dtype="Float64"),
                "grade": [q.grade or f"not measured: {q.reason}" for _, _, q in rows],
            }
        ).set_index(attribute)

    def marginal(self) -> pd.DataFrame:
        """A table of what the engines' steps would not have cost without each request: leave one out.

        One row per request, with its part of the steps by policy beside. Margins do not sum to the
        meter, and are no policy; where what a step costs is not known, there are none, with the reason.
        """
        import pandas as pd  # noqa: PLC0415 -- half a second, for those who ask for a frame

        rows = marginal.marginals(self).rows
        return pd.DataFrame(
            {
                "request": [row.chapter.table.rows[row.index].uid for row in rows],
                "steps": [row.steps for row in rows],
                "alone": [row.alone for row in rows],
                "attributed_j": pd.array([row.attributed.value for row in rows], dtype="Float64"),
                "marginal_j": pd.array([row.marginal.value for row in rows], dtype="Float64"),
                "low_j": pd.array([row.marginal.low for row in rows], dtype="Float64"),
                "high_j": pd.array([row.marginal.high for row in rows], dtype="Float64"),
                "grade": [row.marginal.grade or f"not measured: {row.marginal.reason}" for row in rows],
            }
        ).set_index("request")

    def events(self) -> list[Event]:
        """What happened to the recording, in time order: what was recorded, and what the curves found."""
        found = [event for chapter in self.chapters for event in chapter.timeline.events]
        found += [event for chapter in self.chapters for e in chapter.entries for event in e.books.curve.events]
        return sorted(found, key=lambda event: event.t_ns)

    def coverage(self) -> float:
        """Which part of the recorded time the totalled domains were read in, the worst of them."""
        parts = [
            entries.books.curve.known_s / chapter.recorded_s
            for chapter in self.chapters
            for entries in chapter.totalled
            if chapter.recorded_s
        ]
        return min(1.0, *parts) if parts else 0.0

    def _totalled(self) -> Iterator[Entries]:
        for chapter in self.chapters:
            yield from chapter.totalled

    def _any(self, chosen: Callable[[SpanRow], bool]) -> bool:
        return any(chosen(row) for chapter in self.chapters for row in chapter.table.rows)


def account_of(row: SpanRow) -> str:
    """The account that a span's joules are told under: its kind, and its model if it has one."""
    return f"{row.kind}/{row.model}" if row.model is not None else row.kind


def build(rows: Rows, *, policy: str | Plan = AUTO, window: books.Window = None) -> Ledger:
    """The ledger of recorded rows; `window` cuts it to (start, end) ns. Raises PolicyError."""
    plan = Plan(policy) if isinstance(policy, str) else policy
    return Ledger(tuple(_chapter(timeline, plan, window) for timeline in rows.timelines), plan)


def _chapter(timeline: Timeline, plan: Plan, window: books.Window) -> Chapter:
    timeline, recorded, intervals, use = as_one(timeline)
    end_ns = max((end for _, end in recorded), default=0)
    last_seen = max((process.last_seen_ns for process in timeline.processes), default=0)
    spans = table.tabulate(_on_their_tiers(timeline), timeline.processes, max(end_ns, last_seen))
    laid_out = work.lay_out(spans, timeline)
    found, left_out = read_curves(timeline, recorded, intervals)
    chosen = choose(laid_out, plan, lambda groups: _metering(groups, found, left_out, use), timeline.boot_id)
    entries = tuple(
        enter(
            books.book(curve, (spans, laid_out, chosen), (use, timeline.usage), window),
            use,
            left_out[uid],
            boot=timeline.boot_id,
            host=timeline.hostname,
        )
        for uid, curve in found.items()
        if curve.t_ns.size
    )
    return Chapter(timeline, spans, entries, recorded, chosen.choices)


def _on_their_tiers(timeline: Timeline) -> Sequence[SpanRow]:
    """The spans; one that names no tier is on that of its process's own recording, or of the one it began in."""
    every = in_order(timeline)
    if not any(segment.info.get("tier") for segment in every):
        return timeline.spans
    own: dict[str, list[Segment]] = {}
    for segment in every:
        own.setdefault(segment.process, []).append(segment)

    def latest(segments: Sequence[Segment], t_ns: int) -> Segment:
        return segments[max(bisect_right(segments, t_ns, key=lambda segment: segment.t0_ns) - 1, 0)]

    def tier(span: SpanRow) -> str | None:
        theirs = latest(own.get(span.process, every), span.t0_ns)
        inside = theirs.t0_ns <= span.t0_ns and (theirs.t1_ns is None or span.t0_ns <= theirs.t1_ns)
        found = theirs if inside else latest(every, span.t0_ns)
        return found.info.get("tier")

    return [span if span.tier is not None else replace(span, tier=tier(span)) for span in timeline.spans]


def _metering(
    groups: Sequence[work.Group],
    found: Mapping[str, curves.Curve],
    left_out: Mapping[str, str],
    use: usage.Use | None,
) -> list[curves.Curve]:
    """The curves from which an engine's cost is fitted: its own devices', else all accelerators', else all.

    Without foreign work, where that can be told.
    """
    known = [curve for uid, curve in found.items() if curve.known.any()]
    named = {uid for group in groups if group.lane is not None for uid in group.lane.devices}
    counted = [curve for curve in known if not left_out[curve.domain.uid]]
    own = [curve for curve in known if not named.isdisjoint(work.names_of(curve.domain))]
    chosen = own or [c for c in counted if c.domain.kind not in books.SHARED_KINDS] or counted
    return [_without_foreign(curve, use) if use is not None else curve for curve in chosen]


def _without_foreign(curve: curves.Curve, use: usage.Use) -> curves.Curve:
    if curve.domain.split != "cpu":
        return curve
    step_j = curve.step_j * use.between(curve.t_ns).ours
    return replace(curve, step_j=step_j, energy_j=np.concatenate(([0.0], np.cumsum(step_j))))


def read_curves(
    timeline: Timeline, recorded: Sequence[tuple[int, int]], intervals: Sequence[float | None]
) -> tuple[dict[str, curves.Curve], Mapping[str, str]]:
    """(the curve of each domain that was read, why a total leaves a domain out; "" where it counts it), by uid."""
    found = {
        domain.uid: curves.build(domain, timeline.samples[domain.uid], recorded, intervals)
        for domain in timeline.domains
        if domain.uid in timeline.samples
    }
    readable = frozenset(uid for uid, curve in found.items() if curve.known.any())
    return found, cover.cover(timeline.domains, readable)


def as_one(
    timeline: Timeline,
) -> tuple[Timeline, tuple[tuple[int, int], ...], list[float | None], usage.Use | None]:
    """(timeline without recordings side by side, recorded stretches, how often each was to be read, the CPU's use)."""
    if timeline.recordings:
        found = together.resolve(timeline)
        return found.timeline, found.recorded, found.intervals_s, found.use
    recorded = segments(timeline)
    threaded = [not segment.info.get("own_process", False) for segment in in_order(timeline)]
    asked = [segment.info.get("interval_s") for segment in in_order(timeline)]
    intervals = [float(seconds) if isinstance(seconds, int | float) else None for seconds in asked]
    return timeline, recorded, intervals, usage.cpu_use(timeline.usage, recorded, threaded)


def segments(timeline: Timeline) -> tuple[tuple[int, int], ...]:
    """(start, end) of what was recorded; a segment that was cut off ends at its last reading."""
    return together.closed(in_order(timeline), [*timeline.samples.values(), *timeline.usage.values()])


def in_order(timeline: Timeline) -> list[Segment]:
    """The segments of a timeline, by their start."""
    return sorted(timeline.segments, key=lambda segment: segment.t0_ns)


def _key(attribute: str) -> Callable[[SpanRow], str | None]:
    if attribute == "account":
        return account_of
    if attribute in {"model", "kind", "tier", "name", "outcome", "process", "trace_id"}:
        return lambda row: getattr(row, attribute)
    return lambda row: row.labels.get(attribute)


def _with(key: Callable[[SpanRow], str | None], value: str | None) -> Callable[[SpanRow], bool]:
    return lambda row: key(row) == value


def _sum(parts: Iterable[Quantity]) -> Quantity:
    items = list(parts)
    if not items:
        return Quantity.missing("J", "no domain was read")
    return total(items, "J", skip_missing=True)
