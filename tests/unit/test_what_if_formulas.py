"""The what-if formulas against published and hand-computed numbers, what cancels in them, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from greengen.accounting.hourly import Hour
from greengen.accounting.what_if import batching, flips, payback, profiles, routing, shifting, splitting
from greengen.accounting.what_if.profiles import Leg, Link, Profile
from greengen.basis import NO_GRID
from greengen.errors import KindMismatchError, UsageError
from greengen.quantity import Error, Quantity, known_to

AVERAGE, MARGINAL = "average; lifecycle", "short-run marginal; direct"
HOUR_NS = 3_600_000_000_000
YEAR_S = 365 * 86400


def grams(value: float, unit: str = "g/request", basis: str = AVERAGE) -> Quantity:
    return Quantity(value, unit, "modelled", basis=basis)


def grid(value: float, basis: str = AVERAGE, name: str = "grid", gsd: float = 1.0) -> Quantity:
    return known_to(value, "g/kWh", "declared", gsd=gsd, source=name, basis=basis)


def made(value: float, unit: str = "kg") -> Quantity:
    return Quantity(value, unit, "declared", basis=NO_GRID)


def choice(name: str, joules: float, *, tier: str | None = None, g: float = 0.0) -> Profile:
    leg = Leg(tier, Quantity(joules, "J/request", "measured"), grid(400.0))
    return Profile(name, (leg,), None, made(g, "g/request"))


class TestBreakEven:
    """carbon.md 4.5: a box of 200 kg, 0.51 against 0.20 g per request."""

    def test_is_the_published_number(self) -> None:
        even = payback.requests(made(200.0), grams(0.51), grams(0.20))
        assert even.at.value == pytest.approx(645_161.29, abs=0.01)
        assert (even.at.unit, even.probability) == ("request", 1.0)
        assert (even.low, even.high) == pytest.approx((645_161.29, 645_161.29), abs=0.01)

    def test_is_feasible_only_while_the_box_serves(self) -> None:
        even = payback.requests(made(200.0), grams(0.51), grams(0.20))
        busy = payback.feasible(even, 1000 / 86400, 4 * YEAR_S)
        assert busy.most == pytest.approx(1_460_000)
        assert (busy.reached, busy.probability) == (True, 1.0)
        assert busy.seconds / 86400 == pytest.approx(645.16, abs=0.01)
        idle = payback.feasible(even, 100 / 86400, 4 * YEAR_S)
        assert (idle.reached, idle.probability) == (False, 0.0)

    def test_there_is_none_where_the_edge_costs_as_much(self) -> None:
        for edge in (0.51, 0.6):
            even = payback.requests(made(200.0), grams(0.51), grams(edge))
            assert even.at.reason.startswith("nothing is saved, for ")
            assert (even.low, even.high, even.probability) == (math.inf, math.inf, 0.0)
            assert not payback.feasible(even, 1.0, YEAR_S).reached

    def test_may_have_no_upper_end(self) -> None:
        """0.51 ± 0.2 against 0.20: in 6 % of the draws nothing is saved."""
        cloud = Quantity(0.51, "g/request", "modelled", (Error("cloud", 0.2),), basis=AVERAGE)
        even = payback.requests(made(200.0), cloud, grams(0.20))
        assert even.probability == pytest.approx(0.5 * math.erfc(-0.31 / 0.2 / math.sqrt(2)), abs=0.01)
        assert even.high == math.inf
        assert even.low == pytest.approx(200_000 / (0.31 + 1.96 * 0.2), rel=0.02)

    def test_a_common_grid_cancels(self) -> None:
        """A distillation's joules and those it saves are of one grid."""
        uncertain = grid(400.0, gsd=1.3)
        setup = Quantity(100.0, "kWh", "measured").times(uncertain, "grid intensity", unit="g")
        old, new = (profiles.grams(Quantity(j, "J/request", "measured"), uncertain) for j in (900.0, 540.0))
        even = payback.requests(setup, old, new)
        assert even.at.value == pytest.approx(1_000_000)
        assert (even.low, even.high) == pytest.approx((1_000_000, 1_000_000))

    def test_by_rate_of_use(self) -> None:
        """A box of 200 kg over 4 years saves 0.31 g a request: it has to serve 442 a day."""
        even = payback.rate(payback.standing(made(200.0), Quantity(4.0, "y", "declared")), grams(0.51), grams(0.20))
        assert (even.at.value or 0.0) * 86400 == pytest.approx(200_000 / (4 * 365) / 0.31)
        assert even.at.unit == "request/s"

    def test_idle_power_counts(self) -> None:
        """5 W at 400 g/kWh are 48 g a day."""
        years = Quantity(4.0, "y", "declared")
        standing = payback.standing(made(0.0), years, Quantity(5.0, "W", "measured"), grid(400.0))
        assert (standing.value or 0.0) * 86400 == pytest.approx(48.0)
        assert payback.at_rate(grams(0.2), standing, 480 / 86400).value == pytest.approx(0.3)


class TestEnergyLimit:
    """carbon.md 4.5: 1 Wh in a cloud (PUE 1.2, 384 g/kWh) is 11.1 Wh on a home grid of 41.4 g/kWh."""

    def test_is_where_the_ranking_flips(self) -> None:
        pue = Quantity(1.2, "", "declared")
        cloud = Profile("cloud", (Leg("cloud", Quantity(1.0, "Wh/request", "measured"), grid(384.0), pue),))
        home = Profile("device", (Leg("device", Quantity(1.0, "Wh/request", "measured"), grid(41.4)),))
        limit = flips.flip(home, cloud, flips.Parameter("energy", "Wh", 1.0, 0.1, 100.0, self.with_energy))
        assert limit.at == pytest.approx(1.2 * 384 / 41.4)
        assert limit.at == pytest.approx(11.13, abs=0.01)

    @staticmethod
    def with_energy(profile: Profile, factor: float) -> Profile:
        return profiles.scaled(profile, factor) if profile.name == "device" else profile


def test_a_pue_is_of_data_centres_only() -> None:
    assert profiles.cost(profiles.at_pue(choice("c", 3.6e6), 1.5)).value == pytest.approx(600.0)
    assert profiles.cost(profiles.at_pue(choice("d", 3.6e6, tier="device"), 1.5)).value == pytest.approx(400.0)
    part = Leg(None, Quantity(3.6e6, "J/request", "measured"), grid(400.0), Quantity(2.0, "", "declared"), 0.25)
    assert profiles.operational(Profile("p", (part,))).value == pytest.approx(400.0 * 1.25)


def test_one_tier_moves_alone_and_the_network_with_all() -> None:
    legs = tuple(Leg(tier, Quantity(3.6e6, "J/request", "measured"), grid(400.0)) for tier in ("device", "cloud"))
    link = Link(1e9, profiles.kwh_per_gb(0.1), grid(400.0))
    both = Profile("hybrid", legs, link)
    assert profiles.operational(both).value == pytest.approx(840.0)
    assert profiles.operational(profiles.at_intensity(both, grid(100.0), "cloud")).value == pytest.approx(540.0)
    assert profiles.operational(profiles.at_intensity(both, grid(100.0), "network")).value == pytest.approx(810.0)
    assert profiles.operational(profiles.at_intensity(both, grid(100.0))).value == pytest.approx(210.0)
    assert profiles.operational(profiles.over(both, 0.2)).value == pytest.approx(880.0)


def test_hardware_counts_for_all_or_for_none() -> None:
    """A choice without its hardware is not compared with another's total."""
    stated = choice("a", 3.6e6, g=10.0)
    silent = Profile("b", stated.legs)
    assert [each.value for each in profiles.costs([stated, stated])[0]] == pytest.approx([410.0, 410.0])
    told, embodied = profiles.costs([stated, silent])
    assert [each.value for each in told] == pytest.approx([400.0, 400.0])
    assert not embodied


def test_a_router_in_numbers() -> None:
    """0.2 g small, 1.0 g big, 0.1 g judge: better than big alone below 70 % escalation."""
    small, big, judge = grams(0.2), grams(1.0), grams(0.1)
    assert routing.routed(small, big, 0.3, judge).value == pytest.approx(0.6)
    assert routing.most_escalated(small, big, judge).value == pytest.approx(0.7)
    assert (routing.most_escalated(grams(1.2), big).value or 0.0) < 0


def test_a_cache_and_a_download_in_numbers() -> None:
    """carbon.md 2.4: 4 GB at 0.0315 kWh/GB are 0.126 kWh, 525 prompts of 0.24 Wh."""
    assert routing.cached(grams(1.0), 0.25, grams(0.1), grams(0.05)).value == pytest.approx(0.825)
    assert routing.least_hits(grams(1.0), grams(0.1), grams(0.05)).value == pytest.approx(1 / 18)
    prompt = profiles.grams(Quantity(0.24, "Wh/request", "declared"), grid(1000.0))
    link = Link(4e9, profiles.kwh_per_gb(0.0315), grid(1000.0))
    found = routing.downloaded(prompt, link, 525)
    assert found.value == pytest.approx(0.48)
    assert found.grade == "declared"


def test_a_split_in_numbers() -> None:
    """What is sent in between decides: in 6 % of what its kWh per GB may be, the middle is the best."""
    site, home = grid(360.0, name="dc"), grid(36.0, name="home")

    def cut(layer: int, device: float, cloud: float, megabytes: float) -> splitting.Cut:
        legs = [
            Leg(t, Quantity(j, "kJ/request", "measured"), g) for t, j, g in (("d", device, home), ("c", cloud, site))
        ]
        return splitting.at(layer, legs[0], legs[1], Link(megabytes * 1e6, profiles.kwh_per_gb(0.1), site))

    found = splitting.best([cut(12, 90, 0, 0), cut(0, 0, 10, 1), cut(6, 30, 5, 8)])
    assert [each.value for each in found.costs] == pytest.approx([1.036, 0.3 + 0.5 + 0.288, 0.9])
    assert (found.cut.layer, found.embodied) == (12, False)
    middle = 0.5 * math.erfc(-math.log(0.1 / 0.288) / math.log(profiles.NETWORK_GSD) / math.sqrt(2))
    assert found.likely == pytest.approx((0.0, middle, 1 - middle), abs=0.005)


class TestShifting:
    HOURS = tuple(Hour(i * HOUR_NS, (i + 1) * HOUR_NS, grid(g)) for i, g in enumerate((400.0, 300.0, 100.0, 200.0)))

    def test_waits_for_the_wind(self) -> None:
        found = shifting.best_start(self.HOURS, 3 * HOUR_NS // 2, 0, 4 * HOUR_NS)
        assert found.start_ns == 2 * HOUR_NS
        assert found.mean.value == pytest.approx((100 + 200 / 2) / 1.5)
        energy = Quantity(1.5, "kWh", "measured").to("J")
        saved = shifting.waiting(energy, self.HOURS, 3 * HOUR_NS // 2, 0, found.start_ns)
        assert saved.value == pytest.approx(1.5 * (400 + 300 / 2) / 1.5 - 200)

    def test_what_a_forecast_chose_may_have_cost(self) -> None:
        actual = tuple(Hour(h.start_ns, h.end_ns, grid(g)) for h, g in zip(self.HOURS, (200, 300, 500, 1), strict=True))
        start = shifting.best_start(self.HOURS, HOUR_NS, 0, 4 * HOUR_NS).start_ns
        energy = Quantity(1.0, "kWh", "measured").to("J")
        assert shifting.waiting(energy, self.HOURS, HOUR_NS, 0, start).value == pytest.approx(300.0)
        assert shifting.waiting(energy, actual, HOUR_NS, 0, start).value == pytest.approx(-300.0)

    def test_time_without_an_intensity_is_missing(self) -> None:
        assert shifting.mean(self.HOURS, 3 * HOUR_NS, 2 * HOUR_NS).reason == "50.0% of the time has no intensity"
        with pytest.raises(UsageError, match="no start has an intensity for all of the job"):
            shifting.best_start(self.HOURS, 5 * HOUR_NS, 0, 6 * HOUR_NS)

    def test_average_and_marginal_may_disagree(self) -> None:
        """GSF's table of 2023: Sweden 25 on average and 791 on the margin, France 53 and 395."""
        energy = Quantity(1.0, "kWh", "measured").to("J")
        average = shifting.moving(energy, (grid(53.0), None), (grid(25.0, name="SWE"), None))
        marginal = shifting.moving(energy, (grid(395.0, MARGINAL), None), (grid(791.0, MARGINAL, "SWE"), None))
        found = shifting.sides(average, marginal)
        assert [found.average.value, found.marginal.value] == pytest.approx([28.0, -396.0])
        assert "by the average the move saves 28 g, by the marginal it costs 396 g" in found.warning
        assert not shifting.sides(average, average).warning
        with pytest.raises(KindMismatchError, match="kind is average in one and short-run marginal in the other"):
            shifting.moving(energy, (grid(53.0), None), (grid(791.0, MARGINAL), None))

    def test_a_region_has_its_own_pue_and_its_network(self) -> None:
        energy = Quantity(2.0, "kWh", "measured").to("J")
        found = shifting.moving(energy, (grid(400.0), 1.5), (grid(100.0, name="b"), 1.1), grams(30.0, "g"))
        assert found.value == pytest.approx(2 * (600 - 110) - 30)


class TestFlips:
    def test_lifetime_and_utilisation_have_their_closed_form(self) -> None:
        """9 g saved of 409: hardware of 10 g is equal at 10/9 of the use."""
        edge, cloud = choice("edge", 3.6e6 * 391 / 400, g=10.0), choice("cloud", 3.6e6)
        parameter = flips.Parameter(
            "lifetime of the edge", "y", 4.0, 1.0, 8.0,
            lambda p, years: profiles.used_more(p, years / 4.0) if p.name == "edge" else p,
        )  # fmt: skip
        found = flips.flip(edge, cloud, parameter)
        assert found.at == pytest.approx(40 / 9)
        assert found.low > 1 > found.high
        assert found.words == "lifetime of the edge: at 4.444 y, of 1 to 8 y"

    def test_may_never_come(self) -> None:
        parameter = flips.Parameter("PUE", "", 1.2, 1.0, 2.0, profiles.at_pue)
        found = flips.flip(choice("a", 100.0), choice("b", 200.0), parameter)
        assert (found.at, found.words) == (None, "PUE: never within 1 to 2")
        assert flips.flip(choice("a", 100.0), choice("b", 100.0), parameter).words == (
            "PUE: no say, the two cost the same from 1 to 2"
        )


def test_batches_are_joined_by_their_steps() -> None:
    """ML.ENERGY, Llama 3.1 70B on 4 H100: 3.759 J per token in batches of 8, 2.091 in those of 16."""
    points = [
        (8.0, Quantity(3.759, "J/output_token", "declared")),
        (16.0, Quantity(2.091, "J/output_token", "declared")),
    ]
    found = batching.at_batch(points, 12)
    assert found.value == pytest.approx(2.091 + (3.759 - 2.091) * (1 / 12 - 1 / 16) / (1 / 8 - 1 / 16))
    assert found.note == "between batches of 8 and 16, linear in 1/batch"
    assert batching.at_batch(points, 8).value == 3.759
    assert not batching.at_batch([], 8).known


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: payback.requests(made(-1.0), grams(2.0), grams(1.0)), "-1000 g spent once is not possible"),
        (lambda: payback.requests(Quantity.missing("g", "nobody knows"), grams(2.0), grams(1.0)), "nobody knows"),
        (lambda: payback.standing(made(1.0), Quantity(0.0, "y", "declared")), "a lifetime of 0.0 y is not possible"),
        (lambda: payback.at_rate(grams(1.0), grams(1.0, "g/s"), 0.0), "0 per s is not possible"),
        (lambda: payback.standing(made(1.0), made(1.0, "y"), made(1.0, "W")), "no grams without a grid intensity"),
        (lambda: routing.routed(grams(1.0), grams(2.0), 1.1), "escalation rate 1.1 is not possible"),
        (lambda: routing.cached(grams(1.0), -0.1), "hit rate -0.1 is not possible"),
        (lambda: routing.downloaded(grams(1.0), Link(1.0, grid(1.0), grid(1.0)), 0), "0 uses per download"),
        (lambda: splitting.best([splitting.at(0, None, None, None)]), "two cut points or more"),
        (lambda: splitting.best([splitting.Cut(1, choice("a", 1.0))] * 2), "pass each layer once"),
        (lambda: batching.at_batch([], 0), "a batch of 0 is not possible"),
        (lambda: shifting.best_start((), HOUR_NS, 0, 1), "a job of 1 h does not fit in 2.77778e-13 h"),
        (lambda: shifting.mean((), 0, 0), "a job of 0 s is not possible"),
        (lambda: flips.Parameter("PUE", "", 1.0, 2.0, 1.0, profiles.at_pue), "PUE from 2 to 1: pass an interval"),
        (lambda: profiles.at_pue(choice("a", 1.0), 0.9), "PUE 0.9 is not possible"),
        (lambda: profiles.at_pue(choice("a", 1.0, tier="edge"), 1.2, "cloud"), "a has no tier 'cloud'"),
        (lambda: profiles.over(choice("a", 1.0), 0.1), "a tells no bytes between tiers"),
        (lambda: profiles.used_more(choice("a", 1.0), 0.0), "0 times as much use is not possible"),
        (lambda: profiles.scaled(choice("a", 1.0), -1.0), "-1 times the energy is not possible"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(ask: Callable[[], object], said: str) -> None:
    with pytest.raises(UsageError) as error:
        ask()
    assert said in str(error.value)
    assert "\n" not in str(error.value)
