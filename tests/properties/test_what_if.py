"""Laws of the what-if formulas: degenerate cases are the pure ones, and each moves in one direction."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from greengen.accounting.hourly import Hour
from greengen.accounting.what_if import batching, flips, payback, profiles, routing, shifting, splitting
from greengen.accounting.what_if.profiles import Leg, Link, Profile
from greengen.basis import NO_GRID
from greengen.quantity import Error, Quantity, known_to

GRID = "average; lifecycle"
FEW = settings(max_examples=40)
AMOUNTS = st.integers(1, 4000).map(lambda quarters: quarters / 4)
PARTS = st.integers(0, 64).map(lambda n: n / 64)
GSDS = st.integers(100, 150).map(lambda percent: percent / 100)
HOUR_NS = 3_600_000_000_000


def grams(value: float, name: str = "", gsd: float = 1.0, unit: str = "g/request") -> Quantity:
    return known_to(value, unit, "modelled", gsd=gsd, source=name, basis=GRID)


def grid(g_per_kwh: float, gsd: float = 1.0, name: str = "grid") -> Quantity:
    return known_to(g_per_kwh, "g/kWh", "declared", gsd=gsd, source=name, basis=GRID)


def joules(value: float, name: str = "meter") -> Quantity:
    return Quantity(value, "J/request", "measured", (Error(name, value / 20, gain=True),))


def profile(joules_: float, g_per_kwh: float, pue: float, moved: float, made: float, name: str = "a") -> Profile:
    return Profile(
        name,
        (Leg("cloud", joules(joules_), grid(g_per_kwh), Quantity(pue, "", "declared")),),
        Link(moved, profiles.kwh_per_gb(0.05), grid(g_per_kwh)),
        Quantity(made, "g/request", "declared", basis=NO_GRID),
    )


PROFILES = st.builds(profile, AMOUNTS, AMOUNTS, st.integers(4, 8).map(lambda n: n / 4), AMOUNTS, AMOUNTS)


@given(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, st.integers(4, 8).map(lambda n: n / 4), AMOUNTS)
def test_a_cost_is_the_sum_that_the_formula_says(
    e: float, i: float, moved: float, made: float, pue: float, g: float
) -> None:
    found = profiles.cost(profile(e, i, pue, moved, made))
    assert found.value == pytest.approx(e / 3.6e6 * pue * i + moved / 1e9 * 0.05 * i + made, rel=1e-12)
    elsewhere = profiles.cost(profiles.at_intensity(profile(e, i, pue, moved, made), grid(g)))
    assert elsewhere.value == pytest.approx(e / 3.6e6 * pue * g + moved / 1e9 * 0.05 * g + made, rel=1e-12)
    assert found.unit == elsewhere.unit == "g/request"


@given(PROFILES, AMOUNTS, AMOUNTS)
def test_a_dirtier_grid_never_makes_it_less(found: Profile, one: float, other: float) -> None:
    low, high = sorted((one, other))
    costs = [profiles.cost(profiles.at_intensity(found, grid(each))).value or 0.0 for each in (low, high)]
    assert costs[0] <= costs[1]
    assert (profiles.cost(profiles.at_pue(found, 1.0)).value or 0.0) <= (profiles.cost(found).value or 0.0) * (
        1 + 1e-12
    )


@given(PROFILES)
def test_what_it_is_at_already_changes_nothing(found: Profile) -> None:
    leg = found.legs[0]
    assert leg.intensity is not None
    assert leg.pue is not None
    same = profiles.over(profiles.used_more(profiles.at_intensity(found, leg.intensity), 1.0), 0.05)
    same = profiles.scaled(profiles.at_pue(same, leg.pue.value or 1.0), 1.0)
    assert profiles.cost(same).value == pytest.approx(profiles.cost(found).value, rel=1e-12)


@given(PROFILES, GSDS)
def test_of_two_choices_on_one_grid_its_error_cancels(found: Profile, gsd: float) -> None:
    """Law 8: also after both were moved."""
    there = grid(300.0, gsd)
    one = replace(found, embodied=None, name="one")
    other = replace(profiles.scaled(one, 0.5), name="other")
    ratio = profiles.operational(profiles.at_intensity(one, there)) / profiles.operational(
        profiles.at_intensity(other, there)
    )
    assert ratio.value == pytest.approx(2.0)
    assert all(abs(error.sigma) < 1e-12 for error in ratio.errors if error.name in ("grid", "meter"))


@FEW
@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_break_even_is_where_the_cumulated_grams_meet(spent: float, one: float, other: float) -> None:
    assume(one != other)
    new, old = sorted((one, other))
    even = payback.requests(Quantity(spent, "kg", "declared", basis=NO_GRID), grams(old), grams(new))
    assert even.at.value == pytest.approx(spent * 1000 / (old - new))
    ours, theirs = (
        payback.after(Quantity(at, "kg", "declared", basis=NO_GRID), grams(each), [even.at.value or 0.0])[0].value
        for at, each in ((spent, new), (0.0, old))
    )
    assert ours == pytest.approx(theirs)
    assert not payback.requests(Quantity(spent, "kg", "declared"), grams(new), grams(old)).at.known


@FEW
@given(AMOUNTS, AMOUNTS, AMOUNTS, st.integers(1, 20).map(lambda n: n / 2))
def test_above_the_rate_of_break_even_the_edge_is_less(made: float, one: float, other: float, years: float) -> None:
    assume(one != other)
    edge, cloud = sorted((one, other))
    standing = payback.standing(Quantity(made, "kg", "declared"), Quantity(years, "y", "declared"))
    even = payback.rate(standing, grams(cloud), grams(edge))
    assert even.at.value == pytest.approx(made * 1000 / (years * 365 * 86400) / (cloud - edge))
    for factor, less in ((0.9, False), (1.1, True)):
        each = payback.at_rate(grams(edge), standing, (even.at.value or 0.0) * factor)
        assert ((each.value or 0.0) < cloud) is less


@FEW
@given(AMOUNTS, GSDS, GSDS)
def test_the_interval_of_a_break_even_is_that_of_its_factors(spent: float, made_gsd: float, grid_gsd: float) -> None:
    """What saves and what is spent are both of one grid, whose error cancels: the setup's own stays."""
    energy = known_to(spent, "kWh", "declared", gsd=made_gsd, source="setup")
    setup = energy.times(grid(400.0, grid_gsd), "grid intensity", unit="g")
    old, new = (profiles.grams(Quantity(j, "J/request", "measured"), grid(400.0, grid_gsd)) for j in (720.0, 360.0))
    even = payback.requests(setup, old, new)
    assert even.at.value == pytest.approx(spent * 3.6e6 / 360.0)
    assert even.probability == 1.0
    # 20 000 draws know the ends of a GSD of 1.5 to 2 % or so.
    assert even.low == pytest.approx((even.at.value or 0.0) * made_gsd**-1.96, rel=0.04)
    assert even.high == pytest.approx((even.at.value or 0.0) * made_gsd**1.96, rel=0.04)


@given(AMOUNTS, AMOUNTS, AMOUNTS, PARTS, PARTS)
def test_a_router_is_between_its_ends(small: float, big: float, judge: float, p: float, q: float) -> None:
    one, other, decide = grams(small), grams(big), grams(judge)
    assert routing.routed(one, other, 0.0).value == small
    assert routing.routed(one, other, 1.0, decide).value == pytest.approx(small + big + judge)
    low, high = (routing.routed(one, other, each, decide).value or 0.0 for each in sorted((p, q)))
    assert low <= high
    most = routing.most_escalated(one, other, decide).value
    assert most is not None
    routed = routing.routed(one, other, p, decide).value or 0.0
    if not math.isclose(routed, big, rel_tol=1e-9):
        assert (p < most) is (routed < big)


@given(AMOUNTS, PARTS, AMOUNTS, AMOUNTS)
def test_a_cache_pays_above_its_least_hit_rate(miss: float, hits: float, hit: float, lookup: float) -> None:
    assume(hit != miss)
    all_told = (grams(miss), grams(hit), grams(lookup))
    assert routing.cached(all_told[0], 0.0).value == miss
    assert routing.cached(all_told[0], 1.0, all_told[1]).value == pytest.approx(hit)
    found = routing.cached(all_told[0], hits, *all_told[1:]).value or 0.0
    least = routing.least_hits(*all_told)
    if not least.known:
        assert hit > miss
        assert found > miss
    elif not math.isclose(found, miss, rel_tol=1e-9):
        assert (hits > (least.value or 0.0)) is (found < miss)


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_a_download_is_a_smaller_share_the_more_it_is_used(each: float, gigabytes: float, uses: float) -> None:
    link = Link(gigabytes * 1e9, profiles.kwh_per_gb(0.0315), grid(300.0))
    found = routing.downloaded(grams(each), link, uses)
    assert found.value == pytest.approx(each + gigabytes * 0.0315 * 300.0 / uses)
    assert (routing.downloaded(grams(each), link, 2 * uses).value or 0.0) < (found.value or 0.0)


@FEW
@given(st.lists(st.tuples(AMOUNTS, AMOUNTS, AMOUNTS), min_size=0, max_size=4), AMOUNTS, AMOUNTS)
def test_the_best_split_is_the_least_and_its_ends_are_the_pure_tiers(
    between: list[tuple[float, float, float]], alone: float, served: float
) -> None:
    home, site, pue = grid(40.0, 1.2, "home"), grid(400.0, 1.1, "dc"), Quantity(1.2, "", "declared")

    def device(joules_: float) -> Leg:
        return Leg("device", joules(joules_, "battery"), home)

    def cloud(joules_: float) -> Leg:
        return Leg("cloud", joules(joules_), site, pue)

    def link(moved: float) -> Link:
        return Link(moved * 1e4, profiles.kwh_per_gb(0.05), site)

    last = len(between) + 1
    cuts = [splitting.at(0, None, cloud(served), None), splitting.at(last, device(alone), None, None)]
    cuts += [splitting.at(k, device(d), cloud(c), link(b)) for k, (d, c, b) in enumerate(between, start=1)]
    found = splitting.best(cuts)
    values = [each.value or 0.0 for each in found.costs]
    assert values[0] == pytest.approx(served / 3.6e6 * 1.2 * 400.0)
    assert values[-1] == pytest.approx(alone / 3.6e6 * 40.0)
    assert values[found.best] == min(values)
    assert sum(found.likely) == pytest.approx(1.0)
    # With 0 J and no bytes on the other side, a split is the pure tier too.
    for k, (d, c) in ((0, (0.0, served)), (last, (alone, 0.0))):
        degenerate = profiles.operational(splitting.at(k, device(d), cloud(c), link(0.0)).profile)
        assert degenerate.value == pytest.approx(values[0] if k == 0 else values[-1])


@given(AMOUNTS, AMOUNTS, st.lists(st.integers(1, 512), min_size=2, max_size=5, unique=True), st.integers(1, 512))
def test_of_a_fixed_cost_per_step_every_batch_is_told_exactly(
    fixed: float, each: float, sizes: list[int], batch: int
) -> None:
    points = [(float(b), Quantity(fixed / b + each, "J/output_token", "measured")) for b in sizes]
    found = batching.at_batch(points, batch)
    if min(sizes) <= batch <= max(sizes):
        assert found.value == pytest.approx(fixed / batch + each, rel=1e-9)
    else:
        assert "outside of what was measured" in found.reason


@FEW
@given(st.lists(st.integers(1, 900), min_size=3, max_size=9), st.integers(1, 12), st.integers(0, 40), st.data())
def test_the_best_start_is_the_least_of_all_minutes(
    values: list[int], quarters: int, now: int, data: st.DataObject
) -> None:
    """Against every quarter of an hour, on numbers of which it knows nothing."""
    quarter = HOUR_NS // 4
    hours = [Hour(i * HOUR_NS, (i + 1) * HOUR_NS, grid(float(v), name=f"h{i}")) for i, v in enumerate(values)]
    last = len(values) * 4 - quarters
    assume(now <= last)
    deadline = data.draw(st.integers(now, last)) + quarters
    found = shifting.best_start(hours, quarters * quarter, now * quarter, deadline * quarter)
    each = np.repeat(np.array(values, dtype=float), 4)
    means = [each[start : start + quarters].mean() for start in range(now, deadline - quarters + 1)]
    assert found.mean.value == pytest.approx(min(means))
    at = found.start_ns // quarter
    assert means[at - now] == pytest.approx(min(means))
    energy = Quantity(3.6e6, "J", "measured")
    saved = shifting.waiting(energy, hours, quarters * quarter, now * quarter, found.start_ns)
    assert saved.value == pytest.approx(means[0] - min(means), abs=1e-9)
    assert (saved.value or 0.0) >= -1e-9


@given(AMOUNTS, AMOUNTS, AMOUNTS, st.integers(4, 8).map(lambda n: n / 4), AMOUNTS)
def test_moving_there_and_back_saves_nothing(e: float, here: float, there: float, pue: float, sent: float) -> None:
    energy = Quantity(e, "kWh", "measured").to("J")
    one, other = (grid(here, name="here"), 1.5), (grid(there, name="there"), pue)
    found = shifting.moving(energy, one, other)
    assert found.value == pytest.approx(e * (1.5 * here - pue * there), abs=1e-6)
    assert (found + shifting.moving(energy, other, one)).value == pytest.approx(0.0, abs=1e-6)
    assert shifting.moving(energy, one, one).value == pytest.approx(0.0, abs=1e-6)
    with_network = shifting.moving(energy, one, other, grams(sent, unit="g")).value
    assert with_network == pytest.approx((found.value or 0.0) - sent, abs=1e-6)


@given(st.tuples(AMOUNTS, AMOUNTS), st.tuples(AMOUNTS, AMOUNTS), AMOUNTS)
def test_a_flip_is_where_the_two_lines_cross(one: tuple[float, float], other: tuple[float, float], most: float) -> None:
    """m₁ + k₁ x = m₂ + k₂ x has its closed form."""

    def choice(made: float, kwh: float, name: str) -> Profile:
        leg = Leg("edge", Quantity(kwh, "kWh/request", "measured"), grid(1.0))
        return Profile(name, (leg,), None, Quantity(made, "g/request", "declared", basis=NO_GRID))

    a, b = choice(*one, "a"), choice(*other, "b")
    parameter = flips.Parameter("grid", "g/kWh", 1.0, 0.0, most, lambda p, x: profiles.at_intensity(p, grid(x)))
    found = flips.flip(a, b, parameter)
    if one == other:
        assert found.always
        return
    at = (other[0] - one[0]) / (one[1] - other[1]) if one[1] != other[1] else math.inf
    assume(not math.isclose(at, most, rel_tol=1e-9))
    if 0.0 <= at < most:
        assert found.at == pytest.approx(at, rel=1e-9, abs=1e-9)
        assert "never" not in found.words
    else:
        assert found.at is None
        assert "never within" in found.words
