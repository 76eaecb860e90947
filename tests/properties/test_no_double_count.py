"""Law 2: of domains that contain one another one cover counts; nesting, merging and reading twice add nothing."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greengen.accounting.cover import cover
from greengen.accounting.ledger import build
from greengen.collector import Domain
from greengen.errors import KindMismatchError
from greengen.merging import merge
from greengen.rows import Rows, Segment, Series, Timeline
from tests.properties import told
from tests.properties.strategies import DOMAINS, FEW, PACKAGE_WITH_UNCORE, PSYS, SECOND, Case, cases

FAMILY = (PSYS, PACKAGE_WITH_UNCORE, *DOMAINS[1:])


@st.composite
def perimeters(draw: st.DrawFn) -> tuple[list[Domain], frozenset[str]]:
    """Up to six domains, each containing some of the later ones, and which of them can be read."""
    names = [f"d{i}" for i in range(draw(st.integers(1, 6)))]
    domains = [
        Domain(
            name,
            "c",
            "package",
            name,
            contains=tuple(sorted(draw(st.sets(st.sampled_from(names[i + 1 :]))))) if names[i + 1 :] else (),
            alternative=draw(st.integers(0, 2)) == 0,
        )
        for i, name in enumerate(names)
    ]
    return draw(st.permutations(domains)), frozenset(draw(st.sets(st.sampled_from(names))))


def containment(domains: Sequence[Domain]) -> set[tuple[str, str]]:
    """(outer, inner) at any depth, by closing the relation until nothing is added."""
    pairs = {(domain.uid, inner) for domain in domains for inner in domain.contains}
    while True:
        more = {(a, d) for (a, b), (c, d) in product(pairs, pairs) if b == c} - pairs
        if not more:
            return pairs
        pairs |= more


@given(perimeters())
def test_a_total_never_counts_a_domain_with_its_parts(given_: tuple[list[Domain], frozenset[str]]) -> None:
    domains, readable = given_
    pairs = containment(domains)
    counted = {uid for uid, why in cover(domains, readable).items() if not why}
    assert counted <= readable
    assert not {(a, b) for a, b in pairs if a in counted and b in counted}


@given(perimeters())
def test_what_a_total_leaves_out_it_counts_otherwise(given_: tuple[list[Domain], frozenset[str]]) -> None:
    domains, readable = given_
    pairs = containment(domains)
    verdict = cover(domains, readable)
    counted = {uid for uid, why in verdict.items() if not why}
    for domain in domains:
        if domain.uid in readable - counted:
            inside = {b for a, b in pairs if a == domain.uid} & readable
            outside = {a for a, b in pairs if b == domain.uid} & counted
            assert outside or (domain.alternative and inside)
    # The outermost that is no alternative counts, whatever lies inside it.
    plain = {domain.uid for domain in domains if not domain.alternative} & readable
    assert {uid for uid in plain if not any(b == uid for a, b in pairs if a in readable)} <= counted


@FEW
@given(cases(domains=FAMILY))
def test_a_run_sums_to_the_curves_of_its_cover(case: Case) -> None:
    """However its spans nest, and however many processes wrote them."""
    ledger = build(case.rows)
    total = ledger.total().value
    [timeline] = case.rows.timelines
    known = {
        uid: math.fsum(float(s.joules) for s in stretches if s.joules is not None)
        for (_, uid), stretches in case.truth.items()
        if any(s.joules is not None for s in stretches)
    }
    counted = [uid for uid, why in cover(timeline.domains, frozenset(known)).items() if not why]
    if not counted:
        assert total is None
        return
    assert total is not None
    whole = math.fsum(known[uid] for uid in counted)
    assert abs(total - whole) <= told.TOLERANCE * max(whole, 1.0)
    spans = ledger.spans(lambda _: True, "all").value
    assert spans is None or spans <= whole + told.TOLERANCE * max(whole, 1.0)


@FEW
@given(cases(), st.data())
def test_two_readings_at_one_time_agree_or_are_an_error(case: Case, data: st.DataObject) -> None:
    [timeline] = case.rows.timelines
    uid = data.draw(st.sampled_from(sorted(timeline.samples)))
    series = timeline.samples[uid]
    i = data.draw(st.integers(0, len(series.t_ns) - 1))
    other = Series(series.t_ns[i : i + 1], [series.values[i] + 0.25], [0], series.window_s)
    stranger = Rows(timelines=[replace(timeline, samples={uid: other})])
    with pytest.raises(KindMismatchError, match="disagree"):
        merge([case.rows, stranger])


def _recorded(rng: random.Random, watts: Sequence[float], offset_ns: int) -> Rows:
    """One recorder's view of a machine whose power steps every 70 ms, read about every 100 ms."""
    step_ns = 70_000_000

    def joules(t_ns: int) -> float:
        number, rest = divmod(t_ns, step_ns)
        return (math.fsum(watts[:number]) * step_ns + watts[number] * rest) / SECOND

    t_ns, times = offset_ns, []
    while t_ns < (len(watts) - 3) * step_ns:
        times.append(t_ns)
        t_ns += 100_000_000 + rng.randrange(20_000_000)
    series = Series(times, [joules(t) for t in times], [0, *(b - a for a, b in pairwise(times))])
    domain = Domain("c:package", "c", "package", "package", max_power_w=100.0)
    segment = Segment(f"s{offset_ns}", "p", times[0], times[-1], 0, {"interval_s": 0.1})
    return Rows(
        timelines=[Timeline("boot", "host", domains=[domain], samples={"c:package": series}, segments=[segment])]
    )


def test_two_recordings_agree_over_their_common_time() -> None:
    """Each stands alone; over the time that both saw, their intervals overlap, but for the 5 % they allow."""
    rng = random.Random(2)
    apart = 0
    for _ in range(100):
        watts = [rng.choice((5.0, 20.0, 60.0)) for _ in range(40)]
        one, other = _recorded(rng, watts, 0), _recorded(rng, watts, 33_000_000)
        ends = [(r.timelines[0].segments[0].t0_ns, r.timelines[0].segments[0].t1_ns or 0) for r in (one, other)]
        common = (max(a for a, _ in ends), min(b for _, b in ends))
        first, second = (build(rows, window=common).total() for rows in (one, other))
        assert first.low is not None
        assert second.low is not None
        apart += not (first.low <= (second.high or 0.0) and second.low <= (first.high or 0.0))
    assert apart <= 5
