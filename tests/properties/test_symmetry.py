"""Law 5: order and names do not matter, and identical spans get identical joules."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from greengen.rows import Rows, Series, SpanRow, Timeline
from tests.properties import told
from tests.properties.strategies import FEW, Case, cases

T = TypeVar("T")


def _shuffled(timeline: Timeline, rng: random.Random) -> Timeline:
    def mixed(items: list[T]) -> list[T]:
        return rng.sample(items, len(items))

    return replace(
        timeline,
        domains=mixed(timeline.domains),
        samples=dict(mixed(list(timeline.samples.items()))),
        usage=dict(mixed(list(timeline.usage.items()))),
        spans=mixed(timeline.spans),
        processes=mixed(timeline.processes),
        segments=mixed(timeline.segments),
    )


@given(cases(most_boots=2), st.integers(0, 2**32))
def test_order_does_not_matter(case: Case, seed: int) -> None:
    rng = random.Random(seed)
    timelines = [_shuffled(timeline, rng) for timeline in case.rows.timelines]
    mixed = Rows(timelines=rng.sample(timelines, len(timelines)))
    before, after = told.every_account(case.rows), told.every_account(mixed)
    assert before.keys() == after.keys()
    for key, accounts in before.items():
        told.same(after[key], accounts, sum(v or 0.0 for v in accounts.values()))


def _renamed(timeline: Timeline, names: dict[str, str]) -> Timeline:
    def name(old: str) -> str:
        return names.setdefault(old, f"{len(names) * 7919 % 1000:03}-{len(names)}")

    def series(found: dict[str, Series]) -> dict[str, Series]:
        return {name(key): value for key, value in found.items()}

    def span(row: SpanRow) -> SpanRow:
        parent = name(row.parent) if row.parent else None
        return replace(row, uid=name(row.uid), process=name(row.process), parent=parent)

    resources = {"cpu": "cpu"}
    names |= resources
    return replace(
        timeline,
        boot_id=name(timeline.boot_id),
        hostname=name(timeline.hostname),
        domains=[
            replace(
                d,
                uid=name(d.uid),
                name=name(d.name),
                split=name(d.split) if d.split else None,
                activity=name(d.activity) if d.activity else None,
            )
            for d in timeline.domains
        ],
        samples=series(timeline.samples),
        usage={(name(resource), consumer): value for (resource, consumer), value in timeline.usage.items()},
        spans=[span(row) for row in timeline.spans],
        processes=[replace(process, uid=name(process.uid)) for process in timeline.processes],
        segments=[replace(s, uid=name(s.uid), process=name(s.process)) for s in timeline.segments],
    )


@FEW
@given(cases())
def test_names_do_not_matter(case: Case) -> None:
    names: dict[str, str] = {}
    [timeline] = case.rows.timelines
    before, after = told.every_account(case.rows), told.every_account(Rows(timelines=[_renamed(timeline, names)]))
    for (boot, domain), accounts in before.items():
        renamed = {names.get(name, name): joules for name, joules in accounts.items()}
        told.same(after[names[boot], names[domain]], renamed, sum(v or 0.0 for v in accounts.values()))


@given(cases())
def test_identical_spans_get_identical_joules(case: Case) -> None:
    """A twin of every span, inside the twin of what the span is inside."""
    [timeline] = case.rows.timelines
    twins = [
        replace(row, uid=f"{row.uid}0000", parent=f"{row.parent}0000" if row.parent else None) for row in timeline.spans
    ]
    doubled = told.every_account(Rows(timelines=[replace(timeline, spans=[*timeline.spans, *twins])]))
    for key, accounts in told.every_account(case.rows).items():
        for row in timeline.spans:
            assert doubled[key][row.uid] == doubled[key][f"{row.uid}0000"]
        # And each pair shares what the one would have had among all as before: the rest stays as it was.
        for name in ("overhead", "idle", "other"):
            told.same({name: doubled[key][name]}, {name: accounts[name]}, sum(v or 0.0 for v in accounts.values()))
