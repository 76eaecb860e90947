"""The ledger of a run: every joule of every domain, in one account each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from greengen.accounting import books, table
from greengen.accounting.chapter import Chapter, open_chapter
from greengen.accounting.choice import Plan, frozen
from greengen.accounting.entries import Entries
from greengen.accounting.policies import AUTO, Choice
from greengen.collector import Event
from greengen.errors import UsageError
from greengen.quantity import Quantity, total
from greengen.rows import Rows, SpanRow

if TYPE_CHECKING:
    import pandas as pd

#: The accounts beside those of spans, in the order in which they are told.
QUIET_ACCOUNTS = ("overhead", "other", "idle")

#: What spans can be grouped by, beside their account and their labels.
_ATTRIBUTES = ("model", "kind", "tier", "name", "outcome", "process", "trace_id")

#: So many labels a message names.
_NAMED = 20


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
        return self._sum(entries.energy() for entries in self._totalled())

    def account(self, name: str) -> Quantity:
        """`overhead`, `other` or `idle`, over the cover; `other` is missing where no domain can tell it."""
        return self._sum(entries.account(name) for entries in self._totalled())

    def spans(self, chosen: Callable[[SpanRow], bool], label: str) -> Quantity:
        """The own joules of the spans that `chosen` picks, over the cover."""
        parts = []
        for chapter in self.chapters:
            members = np.array([i for i, row in enumerate(chapter.table.rows) if chosen(row)], dtype=np.int64)
            if members.size:
                parts += [entries.spans(members, label) for entries in chapter.totalled]
        if not parts and self._any(chosen):
            return self.unread()
        return self._sum(parts) if parts else Quantity.missing("J", f"no span of {label}")

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
        return self._sum(parts)

    def __getitem__(self, span: Any) -> Quantity:  # noqa: ANN401 -- a span, its row or its uid
        """A span's own joules. Raises UsageError for a span that is not in this run."""
        uid = span if isinstance(span, str) else getattr(span, "uid", None)
        for chapter in self.chapters:
            place = None if uid is None else chapter.table.places.get(uid)
            if place is not None:
                return self.span(chapter, place)
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
            return self.unread([chapter])
        return self._sum(entries.spans(members, row.uid) for entries in chapter.totalled)

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

        One row per value; `account` adds overhead, other and idle, and then sums to the total. Raises
        UsageError for a label that no span has.
        """
        import pandas as pd  # noqa: PLC0415 -- half a second, for those who ask for a frame

        self._known(attribute)
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

    def _known(self, attribute: str) -> None:
        """Raises UsageError for what nothing can be grouped by. Of a run without spans there is nothing to tell."""
        if attribute in ("account", *_ATTRIBUTES):
            return
        rows = [chapter.table.rows[i] for chapter, i in self]
        labels = sorted({label for row in rows for label in row.labels})
        if rows and attribute not in labels:
            named = f"; the labels {', '.join(labels[:_NAMED])}" if labels else "; no span has a label"
            more = f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else ""
            msg = f"no span has a label {attribute!r}: group by account, {', '.join(_ATTRIBUTES)}{named}{more}"
            raise UsageError(msg)

    def marginal(self) -> pd.DataFrame:
        """A table of what the engines' steps would not have cost without each request: leave one out.

        One row per request, with its part of the steps by policy beside. Margins do not sum to the
        meter, and are no policy; where what a step costs is not known, there are none, with the reason.
        """
        import pandas as pd  # noqa: PLC0415 -- half a second, for those who ask for a frame

        from greengen.accounting import marginal  # noqa: PLC0415 -- for those who ask

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

    def unread(self, chapters: Sequence[Chapter] = ()) -> Quantity:
        """What no domain of the run, or of some of its chapters, tells, and why the first that was found does not."""
        silent = [
            entries for c in chapters or self.chapters for entries in c.entries if not entries.books.curve.known_s
        ]
        why = silent[0].energy().reason if silent else "no domain was read"
        return Quantity.missing("J", f"{why} (and {len(silent) - 1} more)" if len(silent) > 1 else why)

    def _sum(self, parts: Iterable[Quantity]) -> Quantity:
        items = list(parts)
        return total(items, "J", skip_missing=True) if items else self.unread()

    def _any(self, chosen: Callable[[SpanRow], bool]) -> bool:
        return any(chosen(row) for chapter in self.chapters for row in chapter.table.rows)


def account_of(row: SpanRow) -> str:
    """The account that a span's joules are told under: its kind, and its model if it has one."""
    return f"{row.kind}/{row.model}" if row.model is not None else row.kind


def build(rows: Rows, *, policy: str | Plan = AUTO, window: books.Window = None) -> Ledger:
    """The ledger of recorded rows; `window` cuts it to (start, end) ns. Raises PolicyError."""
    plan = Plan(policy) if isinstance(policy, str) else policy
    return Ledger(tuple(open_chapter(timeline, plan, window) for timeline in rows.timelines), plan)


def _key(attribute: str) -> Callable[[SpanRow], str | None]:
    if attribute == "account":
        return account_of
    if attribute in _ATTRIBUTES:
        return lambda row: getattr(row, attribute)
    return lambda row: row.labels.get(attribute)


def _with(key: Callable[[SpanRow], str | None], value: str | None) -> Callable[[SpanRow], bool]:
    return lambda row: key(row) == value
