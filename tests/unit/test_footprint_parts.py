"""The parts of a footprint, each by itself: facility, embodied, market, network, water, boundaries, SCI."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greengen import data, site_file, sites
from greengen.accounting import (
    boundary,
    declared,
    embodied,
    facility,
    functional,
    market,
    network,
    sci,
    transfer,
    water,
)
from greengen.accounting.carbon import grams
from greengen.accounting.embodied import Hardware, Parts
from greengen.accounting.transfer import Stage
from greengen.basis import Basis
from greengen.data import networks
from greengen.errors import KindMismatchError, UsageError
from greengen.quantity import Error, Quantity, total
from greengen.rows import SpanRow

LOCATION = str(Basis("average", "lifecycle", "location"))


def stated(value: float, unit: str, basis: str | None = None) -> Quantity:
    return Quantity(value, unit, "declared", basis=basis)


def h100(**given: Any) -> Hardware:  # noqa: ANN401 -- any field of it
    made = declared.factor(164.0, "kg", "embodied:H100", gsd=1.7)
    lifetime = declared.factor(4.0, "y", "lifetime:GPU", gsd=1.2)
    return replace(Hardware("H100", made, lifetime), **given)


class TestFacility:
    @given(st.floats(0, 1e9), st.floats(1, 3))
    def test_it_and_overhead_are_the_facility(self, joules: float, pue: float) -> None:
        it = stated(joules, "J")
        whole, over = facility.energy(it, pue), facility.overhead(it, pue)
        assert whole.value == pytest.approx(joules * pue)
        assert over.value == pytest.approx(joules * (pue - 1), abs=1e-6)

    def test_absent_is_the_it_boundary_and_no_factor_of_1(self) -> None:
        it = stated(5.0, "J")
        assert facility.energy(it, None) is it
        assert [factor.name for factor in facility.energy(it, 1.0).factors] == ["PUE"]

    def test_it_is_applied_once(self) -> None:
        with pytest.raises(UsageError, match="PUE is applied once"):
            facility.energy(facility.energy(stated(1.0, "J"), 1.2), 1.2)

    @pytest.mark.parametrize(
        ("kind", "tier", "belongs"),
        [
            ("package", "cloud", True),
            ("gpu", None, True),
            ("board", "edge", True),
            ("wall", "cloud", False),
            ("battery", None, False),
            ("gpu", "device", False),
            ("link", "network", False),
        ],
    )
    def test_only_where_it_belongs(self, kind: str, tier: str | None, belongs: bool) -> None:  # noqa: FBT001 -- a table
        assert facility.applies(kind, tier) is belongs
        assert bool(facility.why_not(kind, tier)) is not belongs

    @pytest.mark.parametrize("pue", [0.99, -1.0, math.inf, math.nan])
    def test_what_no_facility_has(self, pue: float) -> None:
        with pytest.raises(UsageError, match=r"pass 1\.0 or more"):
            facility.energy(stated(1.0, "J"), pue)


class TestEmbodied:
    @given(st.floats(0, 1e8), st.floats(0, 1e8))
    def test_time_adds_up(self, a: float, b: float) -> None:
        parts = embodied.emitted(h100(), a) + embodied.emitted(h100(), b)
        assert parts.value == pytest.approx(embodied.emitted(h100(), a + b).value)

    def test_all_of_its_life_is_all_that_it_took(self) -> None:
        assert embodied.emitted(h100(), 4 * 365 * 86400.0).value == pytest.approx(164_000.0)
        assert embodied.emitted(h100(utilisation=0.5), 2 * 365 * 86400.0).value == pytest.approx(164_000.0)
        assert embodied.emitted(h100(count=8, share=0.25), 365 * 86400.0).value == pytest.approx(164_000.0 / 2)

    def test_one_product_moves_together_and_cancels_in_a_ratio(self) -> None:
        a, b = embodied.emitted(h100(), 3600.0), embodied.emitted(h100(utilisation=0.25), 7200.0)
        assert {error.name for error in a.errors} == {"embodied:H100", "lifetime:GPU"}
        ratio = a / b
        assert ratio.low == pytest.approx(ratio.value)
        assert ratio.high == pytest.approx(ratio.value)
        spread = math.hypot(math.log(1.7), math.log(1.2))
        assert (a + b).high == pytest.approx(((a + b).value or 0) * math.exp(1.96 * spread), rel=1e-3)

    def test_a_data_sheet_of_a_life_is_no_embodied_figure(self) -> None:
        assert embodied.of_life_cycle(stated(6270.0, "kg"), 0.8).value == pytest.approx(1254.0)
        with pytest.raises(UsageError, match="use share"):
            embodied.of_life_cycle(stated(6270.0, "kg"), 1.0)

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ({"utilisation": 0.0}, "utilisation 0"),
            ({"utilisation": 1.1}, "utilisation 1.1"),
            ({"share": -0.5}, "share -0.5"),
            ({"count": 0.0}, "count 0"),
            ({"lifetime": stated(0.0, "y")}, "lifetime 0"),
            ({"lifetime": stated(math.nan, "y")}, "lifetime nan"),
            ({"made": stated(-1.0, "kg")}, "embodied -1"),
        ],
    )
    def test_what_no_hardware_is(self, wrong: dict[str, Any], told: str) -> None:
        with pytest.raises(UsageError, match=told):
            h100(**wrong)

    def test_nothing_stated_is_nothing_known(self) -> None:
        assert embodied.together((), 1.0).value is None
        assert "--hardware" in embodied.together((), 1.0).reason

    def test_from_its_parts(self) -> None:
        """A server of two processors, as the formula of UBA has it."""
        table = {name: row.quantity() for name, row in data.table("embodied_coefficients").items()}
        parts = Parts((100.0, 100.0), 32.0, None, 400.0, 50.0, psu_kg=3.0, boards=1, cases=1, assembled=1)
        made = embodied.bottom_up(parts, table)
        by_hand = 2 * 11.11 + 117.86 + (8 * 2.2 + 6.34) + 3 * 24.3 + 66.1 + 150.0 + 6.68
        assert made.value == pytest.approx(by_hand * 1000)
        # Every part's spread, and that of what no part names: at least a factor of 2.
        assert len(made.errors) == 10 + 1
        assert (made.high or 0) > (made.value or 0) * 2.0**1.96
        with pytest.raises(UsageError, match="density"):
            embodied.bottom_up(Parts(ssd_gb=8.0), table)
        assert embodied.bottom_up(Parts(), table).value is None


class TestMarket:
    LOAD, BOUGHT, RESIDUAL = (1.0, 1.0, 1.0), (2.0, 0.0, 0.5), 400.0

    def told(self, matching: market.Matching, basis: str | None = None) -> Quantity:
        load = [stated(kwh, "kWh").to("J") for kwh in self.LOAD]
        residual, free = stated(self.RESIDUAL, "g/kWh", basis), stated(0.0, "g/kWh")
        return market.based(load, self.BOUGHT, residual, free, matching=matching)

    def test_a_surplus_at_noon_does_not_light_the_night(self) -> None:
        """The example of the reference: 200 g matched over the year, 600 g by the hour."""
        assert self.told("annual").value == pytest.approx(200.0)
        assert self.told("hourly").value == pytest.approx(600.0)

    @given(st.lists(st.tuples(st.floats(0, 1e3), st.floats(0, 1e3)), min_size=1, max_size=24))
    def test_hours_never_cover_more_than_the_year(self, hours: list[tuple[float, float]]) -> None:
        load, bought = zip(*hours, strict=True)
        hourly, annual = (math.fsum(market.unmatched(load, bought, how)) for how in ("hourly", "annual"))
        assert hourly >= annual - 1e-6
        assert annual == pytest.approx(max(math.fsum(load) - math.fsum(bought), 0.0), abs=1e-6)

    def test_it_never_meets_the_location_based_figure(self) -> None:
        place = grams(stated(3.0, "kWh"), stated(400.0, "g/kWh", LOCATION))
        with pytest.raises(KindMismatchError):
            place + self.told("hourly")
        with pytest.raises(KindMismatchError, match="location-based"):
            self.told("hourly", LOCATION)
        with pytest.raises(KindMismatchError, match="market-based"):
            sci.score(self.told("hourly"), stated(1.0, "g"), 1, "request")

    @pytest.mark.parametrize(("load", "bought"), [([1.0], []), ([-1.0], [0.0]), ([1.0], [math.nan])])
    def test_what_cannot_be_matched(self, load: list[float], bought: list[float]) -> None:
        with pytest.raises(UsageError):
            market.unmatched(load, bought)


class TestNetwork:
    FIXED = Stage("line", declared.factor(0.05, "W/Mbps", "line slope", gsd=1.4), stated(18.0, "W"), users=2)
    CORE = Stage("core", stated(0.03, "W/Mbps"), stated(1.5, "W"))

    def test_a_share_of_what_it_draws_and_what_follows_the_rate(self) -> None:
        """5 Mbps (3 GB in 80 min) on a line of two: 9 + 0.25 W, and 1.5 + 0.15 W in the core."""
        energy = transfer.joules((self.FIXED, self.CORE), 4800.0, 3e9)
        assert energy.value == pytest.approx((9 + 0.25 + 1.5 + 0.15) * 4800)
        marginal = transfer.joules((self.FIXED, self.CORE), 4800.0, 3e9, "marginal")
        assert marginal.value == pytest.approx((0.25 + 0.15) * 4800)
        assert "attributional" in energy.note
        assert "marginal" in marginal.note

    def test_faster_is_less_of_the_baseline_and_the_same_of_the_slope(self) -> None:
        slow, fast = (transfer.joules((self.FIXED,), seconds, 1e9) for seconds in (800.0, 8.0))
        assert (slow.value or 0) / (fast.value or 1) == pytest.approx((9 * 800 + 400) / (9 * 8 + 400))
        assert transfer.joules((self.FIXED,), 800.0, 1e9, "marginal").value == pytest.approx(
            transfer.joules((self.FIXED,), 8.0, 1e9, "marginal").value
        )

    def test_by_volume_is_another_figure_and_labelled(self) -> None:
        """1 GB over a mobile line: 0.1 kWh by volume, and 12 kJ by power at 80 Mbps."""
        by_volume = network.energy(10**9, 0.1)
        assert by_volume.value == pytest.approx(0.1 * 3.6e6)
        assert "does not follow load" in by_volume.note
        by_power = transfer.joules(networks.way("mobile").stages, 100.0, 1e9)
        assert by_power.value == pytest.approx((1.2 + 1.53 * 80) * 100)

    def test_what_no_transfer_is(self) -> None:
        with pytest.raises(UsageError, match="a time above 0"):
            transfer.joules((self.FIXED,), 0.0, 1e9)
        with pytest.raises(UsageError, match="users"):
            replace(self.FIXED, users=0)
        with pytest.raises(UsageError, match="view"):
            transfer.power(self.FIXED, 1.0, "both")  # type: ignore[arg-type]
        assert transfer.joules((), 1.0, 1.0).value is None


def test_water_is_of_it_and_of_the_facility() -> None:
    """`W = E_IT · (WUE_on + PUE · WUE_off)`; without a PUE it is the IT boundary's."""
    it, on, off = stated(2.0, "kWh").to("J"), stated(0.5, "L/kWh"), stated(3.0, "L/kWh")
    assert water.both(it, on, off, 1.2).value == pytest.approx(2 * (0.5 + 1.2 * 3))
    assert water.both(it, on, off).value == pytest.approx(2 * 3.5)


class TestBoundary:
    def test_by_what_was_read(self) -> None:
        assert boundary.of_domains([], 1.2) is None
        assert boundary.of_domains(["gpu", "npu"], 1.2) == "accelerator"
        assert boundary.of_domains(["gpu", "package"], None) == "machine"
        assert boundary.of_domains(["wall"], 1.2) == "facility"

    def test_no_multiplier_is_assumed(self) -> None:
        with pytest.raises(UsageError, match="a multiplier for machine is needed"):
            boundary.widened(stated(1.0, "Wh"), "accelerator", "facility", {"facility": 1.1})
        with pytest.raises(UsageError, match="pass 1 or more"):
            boundary.widened(stated(1.0, "Wh"), "machine", "facility", {"facility": 0.9})
        with pytest.raises(UsageError, match="not known"):
            boundary.widened(stated(1.0, "Wh"), "machine", "planet", {})  # type: ignore[arg-type]

    def test_a_wide_figure_is_not_told_as_a_narrow_one(self) -> None:
        with pytest.raises(KindMismatchError):
            boundary.widened(stated(1.0, "Wh"), "facility", "machine", {})
        with pytest.raises(KindMismatchError, match="cannot compare"):
            boundary.comparable("accelerator", "facility")
        boundary.comparable("machine", "machine")


class TestSci:
    OPERATIONAL = Quantity(10.0, "g", "modelled", (Error("grid", 1.0, gain=True, log=True),), basis=LOCATION)

    def test_without_embodied_emissions_there_is_none(self) -> None:
        for embodied_g in (None, Quantity.missing("g", "no hardware was stated")):
            refused = sci.score(self.OPERATIONAL, embodied_g, 4, "request")
            assert refused.value is None
            assert "SCI needs the embodied emissions" in refused.reason
        assert self.OPERATIONAL.value == 10.0

    def test_all_of_it_per_unit(self) -> None:
        told = sci.score(self.OPERATIONAL, stated(2.0, "g"), 4, "request")
        assert (told.value, told.unit, told.basis) == (3.0, "g/request", LOCATION)
        # What is partly published is as weak as that part, and says which share it is.
        assert (told.grade, told.shares) == ("declared", {"modelled": 10 / 12, "declared": 2 / 12})
        assert sci.score(self.OPERATIONAL, stated(2.0, "g"), None, "request").value is None

    def test_the_two_scores_of_ai_are_never_added(self) -> None:
        using = sci.score(self.OPERATIONAL, stated(2.0, "g"), 4, "token", "consumer")
        making = sci.score(self.OPERATIONAL, stated(2.0, "g"), 4, "token", "provider")
        with pytest.raises(KindMismatchError):
            using + making
        with pytest.raises(KindMismatchError):
            sci.together((using, making), "g/token")
        with pytest.raises(KindMismatchError):
            using + sci.score(self.OPERATIONAL, stated(2.0, "g"), 4, "token")
        assert sci.together((using, using), "g/token").value == pytest.approx(6.0)
        with pytest.raises(KindMismatchError):
            sci.together((using, sci.score(self.OPERATIONAL, stated(2.0, "g"), 4, "image", "consumer")), "g/token")
        with pytest.raises(UsageError, match="score"):
            sci.named(using, "third")  # type: ignore[arg-type]


class TestFunctionalUnits:
    ROWS = (
        SpanRow("p/0", "p", None, "request", 0, 1, output_tokens=30, labels={"images": "4"}),
        SpanRow("p/1", "p", None, "request", 0, 1, output_tokens=10, labels={"images": "1.5"}, requests=3),
        SpanRow("p/2", "p", None, "train", 0, 1, output_tokens=99, labels={"images": "77"}),
    )

    def test_what_requests_made(self) -> None:
        assert functional.count(self.ROWS, "request") == 4
        assert functional.count(self.ROWS, "output_token") == 40
        assert functional.count(self.ROWS, "image") == 5.5
        assert functional.count(self.ROWS, "video_s") is None
        assert functional.count((), "request") is None

    def test_what_is_no_number_is_told(self) -> None:
        with pytest.raises(UsageError, match="tells images 'many'"):
            functional.count([replace(self.ROWS[0], labels={"images": "many"})], "image")
        with pytest.raises(UsageError, match="pass request, output_token"):
            functional.count(self.ROWS, "page")

    def test_per(self) -> None:
        assert str(functional.per(stated(8.0, "g"), 4, "image")).startswith("2 g/image")
        assert "label it" in functional.per(stated(8.0, "g"), None, "image").reason
        assert functional.per(stated(8.0, "g"), 0.0, "image").value is None

    def test_watt_hours_per_thousand_queries(self) -> None:
        """1.8 MJ over 2000 queries are 0.25 Wh each."""
        told = functional.watt_hours(stated(1.8e6, "J"), 2000)
        assert told.value == pytest.approx(250.0)
        assert told.unit == "Wh/1000 queries"
        assert functional.watt_hours(stated(1.0, "J"), 0).value is None


def test_what_cannot_be_declared() -> None:
    with pytest.raises(UsageError):
        declared.factor(-1.0, "kg", "x")
    with pytest.raises(UsageError):
        declared.drawn(1.0, -1.0, name="x")


def test_embodied_grams_add_to_grams_of_any_grid() -> None:
    made = embodied.emitted(h100(), 3600.0)
    for basis in (LOCATION, str(Basis("marginal_short")), None):
        assert sci.with_embodied(stated(1.0, "g", basis), made).basis == basis
    assert total((made, made), "g").basis == made.basis


@pytest.mark.parametrize(
    ("text", "years", "used", "count"),
    [
        ("h100", 5.0, 0.6, 1.0),
        ("h100*8", 5.0, 0.6, 8.0),
        ("h100*8:lifetime=3", 3.0, 0.6, 8.0),
        ("h100:lifetime=3,utilisation=0.5", 3.0, 0.5, 1.0),
    ],
)
def test_hardware_as_a_text_takes_what_is_usual_at_its_site(text: str, years: float, used: float, count: float) -> None:
    told = site_file.options("x.toml", {"lifetime": 5, "utilisation": 0.6}, [text])
    [found] = sites.machines(told["hardware"])
    assert found.lifetime.to("y").value == pytest.approx(years)
    assert (found.utilisation, found.count) == (used, count)
    assert site_file.options("x.toml", {}, [text]) == {"hardware": [text]}
