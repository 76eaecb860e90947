"""A footprint over generated recordings: PUE once and where it belongs; accounts and hours sum to the total."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from greengen.accounting.carbon import Footprint
from greengen.accounting.hours import by_hour
from greengen.accounting.ledger import build
from greengen.rows import Rows
from greengen.run import site
from tests.properties.strategies import FEW, Case, cases

KINDS = ("package", "gpu", "wall", "battery")
TIERS = (None, "cloud", "edge", "device")


def placed(rows: Rows, kinds: list[str], tiers: list[str | None]) -> Rows:
    """The recording with its domains and hosts elsewhere: kinds and tiers in turn."""
    timelines = []
    for i, timeline in enumerate(rows.timelines):
        domains = [replace(domain, kind=kinds[j % len(kinds)]) for j, domain in enumerate(timeline.domains)]
        tier = tiers[i % len(tiers)]
        segments = [replace(s, info=s.info | ({"tier": tier} if tier else {})) for s in timeline.segments]
        timelines.append(replace(timeline, domains=domains, segments=segments))
    return replace(rows, timelines=timelines)


@FEW
@given(
    cases(most_boots=2),
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=4),
    st.lists(st.sampled_from(TIERS), min_size=1, max_size=2),
    st.integers(100, 300),
)
def test_pue_is_on_each_joule_once_where_it_belongs(
    case: Case, kinds: list[str], tiers: list[str | None], percent: int
) -> None:
    rows, pue = placed(case.rows, kinds, tiers), percent / 100
    ledger = build(rows)
    told = Footprint(ledger, site(intensity=360.0, pue=pue))
    expected, any_known = 0.0, False
    for i, chapter in enumerate(ledger.chapters):
        for entries in chapter.totalled:
            inside = entries.books.domain.kind in ("package", "gpu") and tiers[i % len(tiers)] != "device"
            joules = entries.energy().value
            expected += (joules or 0.0) * (pue if inside else 1.0)
            any_known = any_known or joules is not None
    total = told.facility.total()
    assert total.known == any_known
    if not any_known:
        return
    assert math.isclose(total.value or 0.0, expected, rel_tol=1e-9, abs_tol=1e-12)
    assert math.isclose(told.total().value or 0.0, expected * 360.0 / 3.6e6, rel_tol=1e-9, abs_tol=1e-15)
    # Each joule with its PUE is in one account.
    accounts = [told.facility.spans(lambda _: True, "all")]
    accounts += [told.facility.account(name) for name in ("overhead", "other", "idle")]
    assert math.isclose(math.fsum(q.value or 0.0 for q in accounts), expected, rel_tol=1e-9, abs_tol=1e-9)
    # And in one hour.
    hours = by_hour(told.facility).values()
    assert math.isclose(math.fsum(q.value or 0.0 for q in hours), expected, rel_tol=1e-9, abs_tol=1e-9)
    # Recorded once: without PUE the same ledger tells the joules that were read.
    assert math.isclose(
        Footprint(ledger, site(intensity=360.0)).total().value or 0.0,
        (ledger.total().value or 0.0) * 1e-4,
        rel_tol=1e-9,
        abs_tol=1e-15,
    )


@FEW
@given(cases(), st.integers(1, 64), st.integers(1, 100))
def test_embodied_is_by_time_and_share(case: Case, count: int, percent: int) -> None:
    ledger = build(case.rows)
    one = Footprint(ledger, site(hardware="h100")).embodied()
    many = Footprint(ledger, site(hardware=f"h100*{count}:utilisation={percent / 100}")).embodied()
    assert math.isclose(many.value or 0.0, (one.value or 0.0) * count * 100 / percent, rel_tol=1e-12)
    ratio = many / one
    assert not one.value or math.isclose(ratio.low or 0.0, ratio.high or 0.0, rel_tol=1e-9)
