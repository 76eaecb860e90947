"""The footprint of a run: one recording, told for any zone, PUE and hardware, in every format."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from greengen import data
from greengen.accounting.carbon import Footprint, Site
from greengen.accounting.comparing import compare
from greengen.accounting.drawing import draw
from greengen.accounting.embodied import Hardware
from greengen.accounting.hour import Hour
from greengen.accounting.hours import by_hour, recorded_s
from greengen.accounting.ledger import build
from greengen.accounting.tornado import tornado
from greengen.cli import main
from greengen.collector import Domain
from greengen.errors import KindMismatchError, UsageError
from greengen.quantity import Quantity
from greengen.recording import export
from greengen.rows import ProcessRow, Rows, Segment, Series, SpanRow, Timeline
from greengen.run import Run, site

SECOND = 1_000_000_000
KWH_J = 3.6e6
#: 2026-03-29 00:30 UTC: the night in which Central Europe's clocks go forward.
EPOCH_S = 1_774_744_200

PACKAGE = Domain("rapl:package-0", "rapl", "package", "CPU", gain=0.05)
GPU = Domain("nvml:GPU-1", "nvml", "gpu", "GPU")
WALL = Domain("plug:0", "plug", "wall", "plug")


def timeline(
    domains: Sequence[tuple[Domain, float]],
    *,
    seconds: int = 100,
    tier: str | None = None,
    boot: str = "b",
    spans: Sequence[SpanRow] = (),
    epoch_s: float = EPOCH_S,
) -> Timeline:
    """A host whose domains draw so many kWh evenly, read at every hundredth."""
    t_ns = [i * seconds * SECOND // 100 for i in range(101)]
    info = {"interval_s": seconds / 100} | ({"tier": tier} if tier else {})
    return Timeline(
        boot,
        f"host-{boot}",
        domains=[domain for domain, _ in domains],
        samples={
            domain.uid: Series(t_ns, [kwh * KWH_J * i / 100 for i in range(101)], [0, *[t_ns[1]] * 100])
            for domain, kwh in domains
        },
        spans=list(spans),
        processes=[ProcessRow(f"p-{boot}", 1, "main", t_ns[-1], closed=True, lost_rows=0, command="serve")],
        segments=[Segment(f"s-{boot}", f"p-{boot}", 0, t_ns[-1], int(epoch_s * SECOND), info)],
    )


def requests(seconds: int = 100, boot: str = "b", labels: dict[str, str] | None = None) -> list[SpanRow]:
    """Four requests in the first half of the time, one after the other, 25 tokens each."""
    step = seconds * SECOND // 8
    return [
        SpanRow(f"{boot}/{i}", f"p-{boot}", None, "request", i * step, (i + 1) * step, model="m", output_tokens=25,
                labels=labels or {})
        for i in range(4)
    ]  # fmt: skip


def footprint(*timelines: Timeline, **where: object) -> Footprint:
    return Footprint(build(Rows(timelines=list(timelines))), site(**where))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """0.5 kWh of a CPU and 1.5 kWh of a GPU in 100 s."""
    path = tmp_path / "chat.greengen"
    rows = Rows(timelines=[timeline([(PACKAGE, 0.5), (GPU, 1.5)], tier="cloud", spans=requests())])
    export.write(rows, path, force=False)
    return Run(path)


class TestPue:
    def test_it_is_on_each_domain_where_it_belongs(self) -> None:
        """0.5 + 1.5 kWh in a data centre at 1.2, 3 kWh on a phone and at a plug as they are."""
        cloud = timeline([(PACKAGE, 0.5), (GPU, 1.5)], tier="cloud", boot="c")
        device = timeline([(PACKAGE, 1.0)], tier="device", boot="d")
        plug = timeline([(WALL, 2.0)], boot="w")
        told = footprint(cloud, device, plug, intensity=100.0, pue=1.2)
        assert told.total().value == pytest.approx(100 * (2.0 * 1.2 + 1.0 + 2.0))
        assert told.facility.total().value == pytest.approx(KWH_J * (2.4 + 3.0))
        assert told.ledger.total().value == pytest.approx(KWH_J * 5.0)

    def test_every_account_and_span_takes_it_once(self) -> None:
        told = footprint(timeline([(PACKAGE, 2.0)], spans=requests()), intensity=100.0, pue=1.5)
        each = [told[f"b/{i}"] for i in range(4)]
        assert [q.value for q in each] == pytest.approx([0.25 * 150] * 4)
        rest = told.of(lambda ledger: ledger.account("overhead")).value or 0.0
        assert math.fsum(q.value or 0 for q in each) + rest == pytest.approx(told.total().value)
        assert [f.name for f in told.total().factors] == ["PUE", "grid intensity"]

    def test_absent_it_is_the_it_boundary(self) -> None:
        told = footprint(timeline([(PACKAGE, 2.0)]), intensity=100.0)
        assert told.facility is told.ledger
        assert told.boundary == "machine"
        assert footprint(timeline([(GPU, 2.0)]), pue=1.1).boundary == "accelerator"
        assert footprint(timeline([(PACKAGE, 2.0)]), pue=1.1).boundary == "facility"
        assert footprint(timeline([(WALL, 2.0)]), pue=1.1).boundary == "machine"

    def test_a_pue_with_a_spread_widens_the_grams(self) -> None:
        ledger = footprint(timeline([(PACKAGE, 2.0)])).ledger
        pue = data.row("pue", "aws").quantity()
        where = replace(site(intensity=100.0), pue=pue)
        assert any(error.name == "PUE:aws" for error in Footprint(ledger, where).total().errors)


def test_one_recording_is_told_for_any_place(run: Run) -> None:
    """Another zone, another PUE: the same joules, and nothing is recorded again."""
    before = run.path.read_bytes()
    told = {
        (zone, pue): run.footprint(zone=zone, pue=pue).total().value for zone in ("DEU", "FRA") for pue in (None, 1.2)
    }
    for (zone, pue), value in told.items():
        assert value == pytest.approx(2.0 * (pue or 1.0) * data.grid_intensity(zone).value)
    assert run.path.read_bytes() == before
    assert run.footprint(zone="DEU").ledger.total().value == run.footprint(intensity=1.0).ledger.total().value


def test_one_recording_is_told_for_another_hour() -> None:
    """From 00:30 to 01:30 UTC: on a grid of 100 g/kWh until 01:00 and 300 after, and on one of 300 and 500."""
    ledger = build(Rows(timelines=[timeline([(PACKAGE, 2.0)], seconds=3600)]))
    midnight = (EPOCH_S - 1800) * SECOND
    hour_ns = 3600 * SECOND

    def grid(*g_per_kwh: float) -> Site:
        told = [Quantity(g, "g/kWh", "declared") for g in g_per_kwh]
        return Site(
            hourly=tuple(Hour(midnight + i * hour_ns, midnight + (i + 1) * hour_ns, q) for i, q in enumerate(told))
        )

    assert Footprint(ledger, grid(100.0, 300.0)).total().value == pytest.approx(2 * 200.0)
    assert Footprint(ledger, grid(300.0, 500.0)).total().value == pytest.approx(2 * 400.0)
    assert Footprint(ledger, grid(100.0)).total().value is None


class TestHours:
    def test_the_hours_sum_to_the_total_over_a_change_of_clocks(self) -> None:
        """Three hours from 00:30 UTC on: the hour that wall clocks skip is an hour like any other."""
        told = footprint(timeline([(PACKAGE, 3.0), (GPU, 6.0)], seconds=3 * 3600, epoch_s=EPOCH_S))
        hours = by_hour(told.ledger)
        assert list(hours) == [EPOCH_S - 1800 + 3600 * i for i in range(4)]
        assert [q.value for q in hours.values()] == pytest.approx([1.5 * KWH_J, 3 * KWH_J, 3 * KWH_J, 1.5 * KWH_J])
        assert math.fsum(q.value or 0 for q in hours.values()) == pytest.approx(9 * KWH_J)
        assert by_hour(footprint().ledger) == {}

    def test_hosts_that_record_together_count_their_time_once(self) -> None:
        a = timeline([(PACKAGE, 1.0)], boot="a", seconds=100)
        b = timeline([(PACKAGE, 1.0)], boot="c", seconds=100, epoch_s=EPOCH_S + 50)
        later = timeline([(PACKAGE, 1.0)], boot="e", seconds=100, epoch_s=EPOCH_S + 5000)
        assert recorded_s(footprint(a).ledger) == 100
        assert recorded_s(footprint(a, b).ledger) == 150
        assert recorded_s(footprint(a, b, later).ledger) == 250


class TestMarket:
    def test_by_the_hour_and_by_the_year(self) -> None:
        """The example of the reference on a recording of three hours of 1 kWh each: 600 g and 200 g."""
        told = footprint(timeline([(PACKAGE, 3.0)], seconds=3 * 3600, epoch_s=EPOCH_S + 1800), intensity=350.0)
        assert told.market(400.0, [2.0, 0.0, 0.5]).value == pytest.approx(600.0)
        assert told.market(400.0, [2.0, 0.0, 0.5], matching="annual").value == pytest.approx(200.0)
        by_start = {EPOCH_S + 1800 + 7200: 0.5, EPOCH_S + 1800: 2.0}
        assert told.market(400.0, by_start).value == pytest.approx(600.0)
        assert told.total().value == pytest.approx(3 * 350.0)
        assert told.market().value is None
        of_site = replace(told.site, market=site(residual=400.0, bought="2,0,0.5").market)
        assert Footprint(told.ledger, of_site).market().value == pytest.approx(600.0)

    def test_it_is_in_no_sum_with_the_other(self) -> None:
        told = footprint(timeline([(PACKAGE, 3.0)]), zone="DEU")
        with pytest.raises(KindMismatchError):
            told.total() + told.market(400.0)
        with pytest.raises(KindMismatchError, match="location-based"):
            told.market(data.grid_intensity("DEU").quantity())
        with pytest.raises(UsageError, match="9 hours of purchases"):
            told.market(400.0, [0.0] * 9)

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"bought": [1.0]}, "bought says nothing without the residual mix"),
            ({"residual": -1.0}, "residual -1"),
            ({"residual": 400.0, "bought": "1,x"}, "no list of numbers"),
            ({"residual": 400.0, "bought": [-1.0]}, "bought -1"),
            ({"residual": 400.0, "matching": "weekly"}, "pass hourly or annual"),
        ],
    )
    def test_what_was_not_bought(self, wrong: dict[str, object], said: str) -> None:
        with pytest.raises(UsageError, match=said):
            site(**wrong)


class TestEmbodied:
    def test_by_the_time_that_was_recorded(self, run: Run) -> None:
        told = run.footprint(zone="DEU", hardware="h100*8:utilisation=0.5")
        grams = told.embodied()
        assert grams.value == pytest.approx(8 * 164_000 * 100 / (4 * 365 * 86400 * 0.5))
        assert {error.name for error in grams.errors} == {"embodied:h100", "lifetime:gpu-server"}
        assert told.both().value == pytest.approx((told.total().value or 0) + (grams.value or 0))
        assert told.both().basis == told.total().basis

    def test_a_users_own_figure_goes_first(self) -> None:
        (own,) = site(hardware="h100:kg=500,lifetime=5").hardware
        assert (own.made.value, own.made.errors, own.lifetime.value) == (500.0, (), 5.0)
        (two,) = site(hardware={"name": "board", "kg": 20, "lifetime": 6, "share": 0.5}).hardware
        assert (two.made.value, two.share, two.source) == (20.0, 0.5, "declared by the user")
        assert site(hardware=[own, "a100-40gb"]).hardware[0] is own
        # A data sheet's total of a whole life is no embodied figure: the use phase is taken off.
        (sheet,) = site(hardware="server:kg=6270,use_share=0.8,lifetime=4").hardware
        assert sheet.made.value == pytest.approx(1254.0)
        assert sheet.source == "declared by the user, without its use"

    def test_what_nobody_published_is_built_from_its_parts(self) -> None:
        parts = {"name": "host", "lifetime": 4, "dies_mm2": [400, 400], "ram_gb": 512, "boards": 1, "psu_kg": 6}
        (host,) = site(hardware=parts).hardware
        by_hand = 2 * (400 * 0.0197 + 9.14) + 512 / 0.625 * 2.2 + 5.22 + 66.1 + 6 * 24.3
        assert host.made.to("kg").value == pytest.approx(by_hand)
        assert (host.made.high or 0) > 3.8 * (host.made.value or 0)

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ("h10", "h100 (NVIDIA H100 SXM)?"),
            ("jetson", "state a figure of your own: jetson:kg=KG,lifetime=YEARS"),
            ("h100:lifetime=0", "lifetime 0 of h100"),
            ("h100:lifetime=-4", "pass a number of 0 or more"),
            ("h100:utilisation=1.5", "utilisation 1.5"),
            ("h100*0", "count 0"),
            ("h100*many", "count 'many' is no number"),
            ("h100:years=4", "known are count, lifetime"),
            ("h100:lifetime", "is not understood"),
            ("h100*2:count=3", "told twice"),
            ("h100:use_share=0.5", "says nothing without the kg"),
            ("x:kg=5,lifetime=4,use_share=1", "use share 1"),
            ("x:kg=5", "nothing published says how long it serves"),
            (":kg=5", "without a name"),
            ({"name": "x", "kg": True, "lifetime": 1}, "kg True"),
        ],
    )
    def test_what_no_hardware_is(self, wrong: object, told: str) -> None:
        with pytest.raises(UsageError) as error:
            site(hardware=wrong)
        assert told in str(error.value)
        assert "\n" not in str(error.value)


class TestSci:
    def test_all_energy_and_what_was_made_per_unit(self, run: Run) -> None:
        told = run.footprint(intensity=300.0, pue=1.1, hardware="h100*8")
        score = told.sci("request")
        assert score.value == pytest.approx((300 * 2.0 * 1.1 + (told.embodied().value or 0)) / 4)
        assert score.unit == "g/request"
        assert told.sci("output_token").value == pytest.approx((score.value or 0) / 25)
        assert told.per("request").value == pytest.approx(300 * 2.2 / 4)
        assert told.watt_hours().value == pytest.approx(2200 / 4 * 1000)

    def test_without_hardware_it_is_refused_and_the_operational_figure_remains(self, run: Run) -> None:
        told = run.footprint(zone="DEU")
        refused = told.sci("request")
        assert refused.value is None
        assert "pass --hardware" in refused.reason
        assert told.operational().value == pytest.approx(2 * data.grid_intensity("DEU").value)

    def test_what_drives_it_can_be_told_and_drawn(self, run: Run) -> None:
        """Every source keeps its name through the whole formula, so that shared ones move two results together."""
        told = run.footprint(zone="DEU", pue=1.1, hardware="h100*20000")
        score = told.sci("request")
        swings = {swing.source: swing.share for swing in tornado(score)}
        assert {"intensity:DEU", "embodied:h100", "lifetime:gpu-server", "gain:host-b:rapl:package-0"} <= swings.keys()
        assert math.fsum(swings.values()) == pytest.approx(1.0)
        drawn = draw(score, 20_000)
        assert float(np.median(drawn.values)) == pytest.approx(score.value or 0, rel=0.1)
        other = run.footprint(zone="DEU", pue=1.1, hardware="h100*20000:utilisation=0.9").sci("request")
        assert compare(score, other).p_better == pytest.approx(1.0)

    def test_units_that_requests_tell(self) -> None:
        spans = requests(labels={"images": "2", "audio_s": "1.5"})
        told = footprint(timeline([(PACKAGE, 2.0)], spans=spans), intensity=100.0, hardware="h100")
        assert told.sci("image").value == pytest.approx((told.both().value or 0) / 8)
        assert told.sci("audio_s").unit == "g/audio_s"
        assert told.sci("video_s").value is None
        with pytest.raises(UsageError, match="unit 'page'"):
            told.sci("page")

    def test_using_a_model_and_making_it_are_not_added(self) -> None:
        spans = [*requests(), SpanRow("b/9", "p-b", None, "train", 60 * SECOND, 90 * SECOND, model="m")]
        told = footprint(timeline([(PACKAGE, 2.0)], spans=spans), intensity=100.0, pue=1.5, hardware="h100")
        trained = told.training("m")
        made = 164_000 / (4 * 365 * 86400)
        assert trained.value == pytest.approx(100 * 1.5 * 2.0 * 0.3 + made * 30)
        assert "provider" in (trained.basis or "")
        # What using costs and what making costs are the whole, and each joule and second is in one of them.
        consumer = told.consumer("request")
        assert consumer.value == pytest.approx((100 * 1.5 * 2.0 * 0.7 + made * 70) / 4)
        assert (consumer.value or 0) * 4 + (trained.value or 0) == pytest.approx(told.both().value)
        alone = Footprint(told.ledger, replace(told.site, hardware=()))
        assert alone.training("m").note == "operational alone: no hardware was stated"
        assert alone.consumer().value is None
        with pytest.raises(KindMismatchError):
            trained + told.total()
        per_request = told.training("m", 1000)
        assert per_request.value == pytest.approx((trained.value or 0) / 1000)
        assert "over 1,000 requests, as stated" in per_request.note
        with pytest.raises(KindMismatchError):
            replace(consumer, unit="g") + trained
        assert told.training("other").value is None

    def test_training_by_night_is_at_the_nights_intensity(self) -> None:
        """An hour of requests at 300 g/kWh, then an hour of training at 100: 1 kWh each."""
        midnight = (EPOCH_S - 1800) * SECOND
        hour_ns = 3600 * SECOND
        spans = [SpanRow("b/9", "p-b", None, "train", hour_ns, 2 * hour_ns, model="m")]
        rows = Rows(timelines=[timeline([(PACKAGE, 2.0)], seconds=7200, spans=spans, epoch_s=EPOCH_S - 1800)])
        grid = tuple(
            Hour(midnight + i * hour_ns, midnight + (i + 1) * hour_ns, Quantity(g, "g/kWh", "declared"))
            for i, g in enumerate((300.0, 100.0))
        )
        told = Footprint(build(rows), Site(hourly=grid, pue=1.5))
        assert told.total().value == pytest.approx(1.5 * 400.0)
        assert told.training("m").value == pytest.approx(1.5 * 100.0)


class TestWater:
    def test_on_site_of_it_and_off_site_of_the_facility(self) -> None:
        cloud = timeline([(PACKAGE, 2.0)], tier="cloud", boot="c")
        device = timeline([(PACKAGE, 1.0)], tier="device", boot="d")
        told = footprint(cloud, device, zone="FRA", pue=1.2, wue=0.5)
        off = data.row("water_offsite", "FRA").value
        assert told.water_on_site().value == pytest.approx(2 * 0.5)
        assert told.water_off_site().value == pytest.approx((2 * 1.2 + 1) * off)
        assert told.water().value == pytest.approx(1.0 + 3.4 * off)

    def test_what_was_not_stated_is_missing(self) -> None:
        told = footprint(timeline([(PACKAGE, 2.0)]), intensity=100.0)
        assert "--wue" in told.water_on_site().reason
        assert told.water().value is None
        assert told.water_off_site().value is None
        assert footprint(timeline([(PACKAGE, 2.0)]), water_offsite=2.0).water_off_site().value == pytest.approx(4.0)
        nowhere = footprint(timeline([(WALL, 2.0)]), wue=0.5).water_on_site()
        assert nowhere.reason == "nothing was read that is IT of a data centre"


def test_a_device_that_waits_draws_what_was_declared_and_no_pue() -> None:
    told = footprint(timeline([(PACKAGE, 2.0)], spans=requests()), intensity=360.0, pue=2.0, device_power=2.0)
    assert told.device().value == pytest.approx(2.0 * 50 / 3.6e6 * 360)
    assert "as declared" in told.device().note
    assert "--device-power" in footprint(timeline([(PACKAGE, 2.0)])).device().reason


class TestNetwork:
    def test_by_the_power_of_the_line_and_without_pue(self) -> None:
        """1 GB in 12.5 s four times: half of 18 W, and 0.05 W per Mbps, on the run's grid."""
        spans = requests(labels={"network_bytes": "1000000000"})
        told = footprint(timeline([(PACKAGE, 2.0)], spans=spans), intensity=360.0, pue=2.0, network="fixed:users=2")
        joules = 4 * (18 / 2 + 0.05 * 640) * 12.5
        assert told.network().value == pytest.approx(joules / 3.6e6 * 360)
        marginal = replace(told.site, network=site(network="fixed:view=marginal").network)
        assert Footprint(told.ledger, marginal).network().value == pytest.approx(4 * 32 * 12.5 / 3.6e6 * 360)

    def test_without_a_line_by_volume_and_labelled(self) -> None:
        spans = requests(labels={"network_bytes": "1000000000"})
        told = footprint(timeline([(PACKAGE, 2.0)], spans=spans), intensity=360.0)
        by_volume = told.network(0.0065)
        assert by_volume.value == pytest.approx(4 * 0.0065 * 360)
        assert "does not follow load" in by_volume.note
        assert told.network().value is None

    def test_a_time_of_its_own(self) -> None:
        spans = requests(labels={"network_bytes": "1000000", "network_s": "0.1"})
        told = footprint(timeline([(PACKAGE, 2.0)], spans=spans), intensity=360.0, network="mobile")
        assert told.network().value == pytest.approx(4 * (1.2 + (1.5 + 0.03) * 80) * 0.1 / 3.6e6 * 360)
        wrong = requests(labels={"network_bytes": "1000000", "network_s": "soon"})
        with pytest.raises(UsageError, match="network_s 'soon'"):
            footprint(timeline([(PACKAGE, 2.0)], spans=wrong), intensity=1.0, network="mobile").network()

    @pytest.mark.parametrize(
        "wrong", ["satellite", "fixed", "fixed:users=0", "mobile:view=both", "mobile:users", "fixed:users=x"]
    )
    def test_what_no_line_is(self, wrong: str) -> None:
        with pytest.raises(UsageError):
            site(network=wrong)


def test_under_a_wider_boundary_only_by_stated_multipliers() -> None:
    told = footprint(timeline([(GPU, 1.0)]), intensity=100.0)
    assert told.widened("facility", {"machine": 1.5, "facility": 1.1}).value == pytest.approx(165.0)
    with_pue = footprint(timeline([(GPU, 1.0)]), intensity=100.0, pue=1.2)
    assert with_pue.widened("facility", {"machine": 1.5, "facility": 1.1}).value == pytest.approx(165.0)
    with pytest.raises(UsageError, match="a multiplier for machine"):
        told.widened("facility", {"facility": 1.1})
    assert footprint(intensity=100.0).widened("facility", {}).value is None


class TestReport:
    def test_the_document_holds_it_beside_what_was_there(self, run: Run, tmp_path: Path) -> None:
        where = {"zone": "DEU", "pue": 1.2, "hardware": "h100*8", "wue": 0.4}
        document = json.loads(run.to_json(tmp_path / "r.json", **where).read_text(encoding="utf-8"))
        told = document["footprint"]
        # totals.carbon_g is what it always was: operational, location-based.
        assert document["totals"]["carbon_g"] == told["operational_g"]
        assert told["boundary"] == "facility"
        assert [each["unit"] for each in told["sci"]] == ["request", "output_token"]
        assert told["sci"][0]["score_g"]["value"] == pytest.approx(told["total_g"]["value"] / 4)
        assert [one["name"] for one in told["hardware"]] == ["h100"]
        # Of the whole run at the facility, idle time included; and of a model's own requests as they were read.
        assert told["per_1000_queries_wh"]["value"] == pytest.approx(2400 / 4 * 1000)
        assert document["models"][0]["energy_wh_per_1000_queries"]["value"] == pytest.approx(1000 / 4 * 1000)
        assert told["pue_not_on"] == []
        assert {place["domain"] for place in told["pue_on"]} == {"rapl:package-0", "nvml:GPU-1"}

    @pytest.mark.parametrize("renderer", ["terminal", "markdown", "html"])
    def test_every_format_shows_it(self, run: Run, renderer: str) -> None:
        text = " ".join(run.render(renderer, zone="DEU", pue=1.2, hardware="h100*8", wue=0.4).split())
        for word in (
            "Footprint",
            "embodied",
            "SCI per request",
            "SCI per output token",
            "8 x h100",
            "water, on site",
        ):
            assert word in text, word

    def test_training_is_told_per_request_over_a_stated_number_only(self, tmp_path: Path) -> None:
        path = tmp_path / "train.greengen"
        spans = [*requests(), SpanRow("b/9", "p-b", None, "train", 60 * SECOND, 90 * SECOND, model="m")]
        export.write(Rows(timelines=[timeline([(PACKAGE, 2.0)], spans=spans)]), path, force=False)
        where: dict[str, Any] = {"intensity": 100.0, "pue": 1.5}
        told = Run(path).report(**where)
        assert told["footprint"]["ai"]["provider"][0]["score_g"]["value"] == pytest.approx(90.0)
        assert "training_g_per_request" not in told["models"][0]
        over = Run(path).report(**where, amortise={"m": 1000})["models"][0]
        assert over["training_g_per_request"]["value"] == pytest.approx(0.09)
        elsewhere = Run(path).report(**where, amortise={"m": 1000}, training=Run(path))["models"][0]
        assert elsewhere["training_g"]["value"] == pytest.approx(90.0)
        text = " ".join(Run(path).render("terminal", **where, amortise={"m": 1000}).split())
        assert "training of m, apart" in text
        assert "90.0 mg" in text

    def test_a_wider_boundary_is_told_by_its_multipliers(self, run: Run) -> None:
        where: dict[str, Any] = {"intensity": 100.0, "widen": "comprehensive:facility=1.1,comprehensive=1.2"}
        told = run.report(**where)["footprint"]
        assert told["boundary"] == "machine"
        assert told["widened"]["operational_g"]["value"] == pytest.approx(2 * 100 * 1.1 * 1.2)
        text = " ".join(run.render("terminal", **where).split())
        assert "To the boundary comprehensive by stated multipliers: facility 1.10, comprehensive 1.20" in text
        with pytest.raises(UsageError, match="a multiplier for facility is needed"):
            run.report(intensity=100.0, widen="comprehensive:comprehensive=1.2")
        for wrong in ("planet:machine=2", "facility:machine", "facility:chip=2"):
            with pytest.raises(UsageError, match="widen"):
                site(widen=wrong)

    def test_models_beside_one_another_are_a_screening(self, tmp_path: Path) -> None:
        path = tmp_path / "two.greengen"
        spans = [replace(span, model=f"m{i}") for i, span in enumerate(requests())]
        export.write(Rows(timelines=[timeline([(PACKAGE, 1.0)], spans=spans)]), path, force=False)
        text = " ".join(Run(path).render("markdown", intensity=100.0).split())
        assert "screening comparison, not an ISO 14044 comparative assertion" in text

    def test_a_label_that_is_wrong_costs_its_own_figure_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "labels.greengen"
        labels = {"images": "many", "audio_s": "2", "network_bytes": "1000", "network_s": "soon"}
        export.write(Rows(timelines=[timeline([(PACKAGE, 1.0)], spans=requests(labels=labels))]), path, force=False)
        told = Run(path).report(intensity=100.0, hardware="h100", network="mobile")["footprint"]
        assert [each["unit"] for each in told["sci"]] == ["request", "output_token", "audio_s"]
        assert told["network_g"]["value"] is None
        text = " ".join(Run(path).render("terminal", intensity=100.0, network="mobile").split())
        assert "tells images 'many'" in text
        assert "tells network_s 'soon'" in text

    def test_where_nothing_of_a_site_is_said_nothing_is_shown(self, run: Run) -> None:
        assert "Footprint" not in run.render("terminal")
        assert run.report()["footprint"]["operational_g"]["value"] is None

    def test_without_hardware_the_reason_is_read(self, run: Run) -> None:
        assert "pass --hardware NAME" in " ".join(run.render("markdown", zone="DEU").replace("\\", "").split())

    def test_what_pue_is_not_on_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "plug.greengen"
        export.write(Rows(timelines=[timeline([(PACKAGE, 1.0)], boot="a"), timeline([(WALL, 1.0)])]), path, force=False)
        text = " ".join(Run(path).render("terminal", intensity=100.0, pue=1.2).split())
        assert "PUE is not on plug: a wall meter does not read the IT energy of a data centre" in text

    def test_a_pue_that_is_on_nothing_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "plug.greengen"
        export.write(Rows(timelines=[timeline([(WALL, 1.0)])]), path, force=False)
        run = Run(path)
        assert run.footprint(intensity=100.0, pue=1.2).total().value == pytest.approx(100.0)
        text = " ".join(run.render("terminal", intensity=100.0, pue=1.2).split())
        assert "PUE 1.20 (on nothing that was read)" in text
        assert "PUE is not on plug: a wall meter" in text

    def test_on_which_tiers_pue_is_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "tiers.greengen"
        tiers = [timeline([(PACKAGE, 1.0)], tier=tier, boot=tier) for tier in ("cloud", "edge", "device")]
        export.write(Rows(timelines=tiers), path, force=False)
        text = " ".join(Run(path).render("markdown", intensity=100.0, pue=1.2).split())
        assert "PUE is on CPU (cloud), CPU (edge)." in text
        assert "PUE is not on CPU: the device tier is in no data centre." in text


class TestSiteFile:
    def test_it_says_once_what_options_would(self, tmp_path: Path) -> None:
        path = tmp_path / "greengen.toml"
        path.write_text(
            '[site]\nzone = "DEU"\npue = 1.2\nwue = 1\nlifetime = 5\nutilisation = 0.5\n'
            '[[hardware]]\nname = "h100"\ncount = 8\n[[hardware]]\nname = "host"\nkg = 1300\nlifetime = 4\n',
            encoding="utf-8",
        )
        told = site(site=path)
        assert (told.zone, told.pue, told.wue and told.wue.value) == ("DEU", 1.2, 1.0)
        assert [(one.name, one.count, one.lifetime.value, one.utilisation) for one in told.hardware] == [
            ("h100", 8, 5.0, 0.5),
            ("host", 1, 4.0, 0.5),
        ]
        over = site(site=path, intensity=100.0, pue=1.5, hardware="a100-40gb")
        assert (over.zone, over.pue, [one.name for one in over.hardware]) == (None, 1.5, ["a100-40gb"])

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("zone = 'DEU'", "zone says nothing; it has"),
            ("[site]\npue = 'high'", "pue 'high' is no number"),
            ("[site]\npue = 0.5", "PUE 0.5 is not possible"),
            ("[site]\nzones = 'DEU'", "zones says nothing in"),
            ("[site]\nzone = 'DEU'\nintensity = 300", "not both"),
            ("[hardware]\nname = 'h100'", "hardware is no list of tables"),
            ("[[hardware]]\ncount = 3", "without a name"),
            ("site = 3", "site is no table"),
            ("[site", "is no TOML"),
        ],
    )
    def test_what_is_wrong_with_it_is_one_line(self, tmp_path: Path, text: str, told: str) -> None:
        path = tmp_path / "greengen.toml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError) as error:
            site(site=path)
        assert told in str(error.value)

    def test_none_is_read_unless_it_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "greengen.toml").write_text('[site]\nzone = "DEU"\n', encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        assert site() == Site()
        with pytest.raises(UsageError, match="cannot be read"):
            site(site="nowhere.toml")


class TestCommandLine:
    def told(self, run: Run, *options: str) -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["greengen", "report", str(run.path), *options])
            with pytest.raises(SystemExit) as done:
                main()
        return int(done.value.code or 0)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--pue", "0.99"], "pass 1.0 or more"),
            (["--hardware", "h1000"], "h100 (NVIDIA H100 SXM)"),
            (["--hardware", "h100:lifetime=0"], "lifetime 0 of h100"),
            (["--hardware", "h100", "--hardware", "h100*-1"], "count -1.0"),
            (["--hardware", "h100:utilisation=2"], "utilisation 2"),
            (["--wue", "-1"], "wue -1"),
            (["--device-power", "nan"], "device_power nan"),
            (["--intensity", "2001"], "at most 2,000"),
            (["--site", "nowhere.toml"], "nowhere.toml cannot be read"),
        ],
    )
    def test_what_cannot_be_is_one_line(
        self, run: Run, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.told(run, *options) == 2
        out, err = capsys.readouterr()
        assert out == ""
        (line,) = err.splitlines()
        assert said in line

    def test_a_site_file_and_options_before_it(
        self, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "mine.toml"
        path.write_text('[site]\nintensity = 100\n[[hardware]]\nname = "h100"\n', encoding="utf-8")
        options = ["--site", str(path), "--pue", "1.5", "--hardware", "h100*2:lifetime=5", "--format", "json"]
        assert self.told(run, *options) == 0
        told = json.loads(capsys.readouterr().out)["footprint"]
        assert told["operational_g"]["value"] == pytest.approx(2 * 1.5 * 100)
        assert told["embodied_g"]["value"] == pytest.approx(2 * 164_000 * 100 / (5 * 365 * 86400))


def test_a_site_is_checked_without_numpy() -> None:
    """`greengen profile` tells a mistake before the command runs, and holds no numpy while it does."""
    told = "site(zone='DEU', pue=1.2, hardware='h100*8', wue=0.4, network='mobile', residual=700, widen='facility')"
    check = f"import sys; from greengen.run import site; {told}; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False, timeout=60).returncode == 0


def test_what_is_no_option_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(TypeError, match="known are zone"):
        site(zones="DEU")
    for wrong, said in (
        ({"wue": -1.0}, "wue -1"),
        ({"pue": "1.2"}, "pue '1.2'"),
        ({"hardware": 5}, "hardware 5 is none"),
    ):
        with pytest.raises(UsageError, match=said):
            site(**wrong)


def test_hardware_of_several_kinds_is_a_sum() -> None:
    one = Hardware("a", Quantity(1.0, "kg", "declared"), Quantity(1.0, "y", "declared"))
    told = footprint(timeline([(PACKAGE, 1.0)]), hardware=[one, replace(one, name="b", count=3)])
    assert told.embodied().value == pytest.approx(4 * 1000 * 100 / (365 * 86400))


class TestNoStatedNumberLeavesTheFloats:
    """What a slip makes huge is refused by name: multiplied on, it would be infinite, or not a number."""

    @pytest.mark.parametrize(
        "stated",
        [
            {"pue": 1e300},
            {"pue": 1001.0},
            {"network_kwh_per_gb": 1e300},
            {"wue": 1e300},
            {"device_power": 1e200},
            {"residual": 1e308},
            {"widen": "facility:facility=1e300"},
            {"hardware": "mine:kg=1e308,lifetime=1"},
            {"hardware": "h100:lifetime=1e-320"},
            {"hardware": "h100:utilisation=1e-320"},
            {"hardware": "h100*1e308"},
        ],
        ids=str,
    )
    def test_it_is_refused(self, run: Run, stated: dict[str, Any]) -> None:
        with pytest.raises(UsageError, match=r"is not possible: .*at most"):
            _ = run.report(zone="DEU", **stated)

    @pytest.mark.parametrize(
        "stated",
        [
            {"pue": 1000.0, "wue": 1e15, "device_power": 1e15, "residual": 1e15},
            {"widen": "facility:facility=1000"},
            {"hardware": "mine*1e15:kg=1e15,lifetime=1"},
        ],
        ids=str,
    )
    def test_and_the_most_that_is_taken_has_its_interval(self, run: Run, stated: dict[str, Any]) -> None:
        told = json.dumps(run.report(zone="DEU", **stated))
        assert "Infinity" not in told
        assert "NaN" not in told
