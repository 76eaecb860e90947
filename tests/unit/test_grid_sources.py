"""The live sources, asked over real HTTP: their shapes as their pages tell them, and what may be wrong with them."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greengen.basis import Basis
from greengen.errors import UsageError
from greengen.integrations import _grid
from greengen.integrations._grid import HOUR_NS, GridError, Point
from greengen.integrations.intensity import PROVIDERS, opened
from tests.unit import grid_replies as replies
from tests.unit.grid_replies import GridServer, Reply, always

AT = int(dt.datetime(2026, 11, 20, 10, tzinfo=dt.UTC).timestamp()) * 10**9
ZONES = {"electricitymaps": "DE", "watttime": "CAISO_NORTH", "uk": "GB", "entsoe": "10YFR-RTE------C"}

Ask = Callable[..., list[Point]]


@pytest.fixture(scope="module")
def running() -> Iterator[GridServer]:
    with GridServer(always(Reply())) as found:
        yield found


@pytest.fixture
def server(running: GridServer) -> GridServer:
    running.asked.clear()
    return running


@pytest.fixture
def ask(server: GridServer, tmp_path: Path) -> Ask:
    def points(name: str, answer: object, hours: int = 1, scope: str | None = None) -> list[Point]:
        server.answer = (
            answer if callable(answer) else always(answer if isinstance(answer, Reply) else Reply(str(answer)))
        )
        provider = opened(name, server.environ(tmp_path) | {_grid.TIMEOUT: "5"})
        return provider.points(ZONES[name], AT, AT + hours * HOUR_NS, _grid.chosen(provider, None, scope))

    return points


def said(found: list[Point]) -> list[tuple[float, float | None, bool, bool]]:
    """(minutes after AT, g/kWh, estimated, forecast)."""
    return [((p.start_ns - AT) / 60e9, p.g_per_kwh, p.estimated, p.forecast) for p in found]


class TestElectricityMaps:
    def test_hours(self, ask: Ask, server: GridServer) -> None:
        figures = {"2026-11-20T10:00:00.000Z": 302, "2026-11-20T11:00:00.000Z": None}
        assert said(ask("electricitymaps", replies.electricity_maps(figures), 2)) == [
            (0, 302.0, False, False),
            (60, None, False, False),
        ]
        [(path, query, headers)] = server.asked
        assert path == "/v3/carbon-intensity/past-range"
        assert (query["start"], query["end"]) == ("2026-11-20T10:00:00Z", "2026-11-20T12:00:00Z")
        assert (query["zone"], query["emissionFactorType"]) == ("DE", "lifecycle")
        assert headers["auth-token"] == "em-secret"

    def test_a_wrong_zone_is_never_looked_up_by_address(self, ask: Ask, server: GridServer) -> None:
        with pytest.raises(GridError, match="asked for zone DE, and it answered for DK-DK2"):
            ask("electricitymaps", replies.electricity_maps({replies.HOUR: 75}, zone="DK-DK2"))
        assert server.asked[0][1]["disableCallerLookup"] == "true"
        assert server.asked[0][1]["shouldUseFallbackCallerLookup"] == "false"

    def test_an_estimate_is_flagged(self, ask: Ask) -> None:
        body = replies.electricity_maps({replies.HOUR: 310}, isEstimated=True, estimationMethod="TIME_SLICER_AVERAGE")
        assert said(ask("electricitymaps", body)) == [(0, 310.0, True, False)]

    def test_ten_days_are_asked_for_at_once(self, ask: Ask, server: GridServer) -> None:
        ask("electricitymaps", replies.electricity_maps({}), 24 * 25)
        assert len(server.asked) == 3

    def test_factors_of_another_kind_are_refused(self, ask: Ask) -> None:
        body = replies.electricity_maps({replies.HOUR: 20})
        with pytest.raises(GridError, match="asked for direct factors"):
            ask("electricitymaps", body, scope="direct")


class TestWattTime:
    def test_pounds_are_grams(self, ask: Ask, server: GridServer) -> None:
        answer = replies.watttime({"2026-11-20T10:00:00+00:00": 1000.0, "2026-11-20T10:05:00+00:00": None})
        assert said(ask("watttime", answer)) == [(0, pytest.approx(453.59237), False, False), (5, None, False, False)]
        login, asked = server.asked
        assert base64.b64decode(login[2]["Authorization"].removeprefix("Basic ")) == b"someone:wt-secret"
        assert asked[0] == "/v3/historical"
        assert asked[1] == {
            "region": "CAISO_NORTH",
            "signal_type": "co2_moer",
            "start": "2026-11-20T10:00Z",
            "end": "2026-11-20T11:00Z",
        }
        assert asked[2]["Authorization"] == "Bearer bearer-secret"

    @pytest.mark.parametrize(
        ("meta", "why"),
        [
            ({"region": "DE"}, "answered for DE"),
            ({"units": "kg_co2_per_mwh"}, "kg_co2_per_mwh"),
            ({"signal_type": "health_damage"}, "co2_moer"),
        ],
    )
    def test_another_region_unit_or_signal_is_refused(self, ask: Ask, meta: dict[str, str], why: str) -> None:
        with pytest.raises(GridError, match=why):
            ask("watttime", replies.watttime({"2026-11-20T10:00:00+00:00": 1000.0}, **meta))

    def test_a_month_is_asked_for_at_once(self, ask: Ask, server: GridServer) -> None:
        ask("watttime", replies.watttime({}), 24 * 70)
        assert [path for path, _, _ in server.asked] == ["/login"] + ["/v3/historical"] * 3

    @pytest.mark.parametrize("body", ['{"token": 5}', "{}", '{"token": "a\\r\\nHost: b"}'])
    def test_a_login_without_a_token(self, ask: Ask, body: str) -> None:
        with pytest.raises(GridError, match="no token"):
            ask("watttime", body)


class TestUk:
    def test_half_hours_actual_before_forecast(self, ask: Ask, server: GridServer) -> None:
        rows = [
            ("2026-11-20T09:30Z", "2026-11-20T10:00Z", 100, 101),
            ("2026-11-20T10:00Z", "2026-11-20T10:30Z", 110, 112),
            ("2026-11-20T10:30Z", "2026-11-20T11:00Z", 120, None),
        ]
        found = ask("uk", replies.uk(rows))
        assert said(found) == [(0, 112.0, False, False), (30, 120.0, False, True)]
        assert server.asked[0][0] == "/intensity/2026-11-20T10:00Z/2026-11-20T11:00Z"

    def test_both_may_be_null(self, ask: Ask) -> None:
        rows = [("2026-11-20T10:00Z", "2026-11-20T10:30Z", None, None)]
        assert said(ask("uk", replies.uk(rows))) == [(0, None, False, True)]

    def test_its_400_says_so(self, ask: Ask) -> None:
        with pytest.raises(GridError, match="400 Bad Request"):
            ask("uk", Reply(replies.UK_400, 400))


class TestEntsoe:
    def test_the_mix_times_the_factors(self, ask: Ask, server: GridServer) -> None:
        """3 GW nuclear at 12, 1 GW gas at 490: 131.5 g/kWh; a pump that takes is no generation."""
        body = replies.entsoe(
            replies.entsoe_series("B14", {1: 3000, 2: 3000}),
            replies.entsoe_series("B04", {1: 1000, 2: 0}),
            replies.entsoe_series("B10", {1: 900, 2: 900}),
            replies.entsoe_series("B10", {1: 500, 2: 500}, into="outBiddingZone"),
        )
        found = ask("entsoe", body, 2)
        assert [round(p.g_per_kwh or 0, 6) for p in found] == [131.5] * 4 + [12.0] * 4
        assert {p.end_ns - p.start_ns for p in found} == {HOUR_NS // 4}
        assert server.asked[0][1] == {
            "securityToken": "entsoe-secret",
            "documentType": "A75",
            "processType": "A16",
            "in_Domain": "10YFR-RTE------C",
            "periodStart": "202611201000",
            "periodEnd": "202611201200",
        }

    def test_hours_and_quarters_are_one_mix(self, ask: Ask) -> None:
        body = replies.entsoe(
            replies.entsoe_series("B14", {1: 1000, 2: 1000}),
            replies.entsoe_series("B04", dict.fromkeys(range(1, 9), 1000.0), resolution="PT15M"),
        )
        assert [p.g_per_kwh for p in ask("entsoe", body, 2)] == [pytest.approx(251.0)] * 8

    def test_a_point_that_repeats_may_be_left_out_in_one_kind_of_curve_only(self, ask: Ask) -> None:
        held = replies.entsoe(replies.entsoe_series("B14", {1: 1000}, curve="A03"))
        assert len(ask("entsoe", held, 2)) == 8
        missing = replies.entsoe(replies.entsoe_series("B14", {1: 1000}))
        assert len(ask("entsoe", missing, 2)) == 4

    def test_what_has_no_factor_makes_an_estimate_or_nothing(self, ask: Ask) -> None:
        def mix(other: float) -> str:
            return replies.entsoe(
                replies.entsoe_series("B14", {1: 900, 2: 900}), replies.entsoe_series("B20", {1: other, 2: other})
            )

        assert {(p.g_per_kwh, p.estimated) for p in ask("entsoe", mix(10), 2)} == {(12.0, False)}
        assert {(p.g_per_kwh, p.estimated) for p in ask("entsoe", mix(100), 2)} == {(12.0, True)}
        assert {p.g_per_kwh for p in ask("entsoe", mix(1000), 2)} == {None}

    def test_plants_that_have_not_reported_yet_are_not_0(self, ask: Ask) -> None:
        """Gas is late: the hour is not told as if there were none."""
        body = replies.entsoe(replies.entsoe_series("B14", {1: 1000, 2: 1000}), replies.entsoe_series("B04", {1: 3000}))
        assert [p.g_per_kwh for p in ask("entsoe", body, 2)] == [pytest.approx(370.5)] * 4 + [None] * 4

    def test_nothing_there_is_said(self, ask: Ask) -> None:
        with pytest.raises(GridError, match="No matching data found"):
            ask("entsoe", replies.ENTSOE_NOTHING)

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            ("<html>busy</html", "no GL_MarketDocument"),
            ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "entities"),
            (replies.entsoe(replies.entsoe_series("B14", {1: 1}, resolution="P1Y")), "no GL_MarketDocument"),
            (replies.entsoe(replies.entsoe_series("B14", {1: 1}, area="10YBE----------2")), "asked for zone"),
            (replies.entsoe(replies.entsoe_series("B14", {1: 1}, span=("yesterday", "today"))), "no time with a zone"),
        ],
    )
    def test_what_it_cannot_mean_is_refused(self, ask: Ask, body: str, why: str) -> None:
        with pytest.raises(GridError, match=why):
            ask("entsoe", body)


@pytest.mark.parametrize("name", PROVIDERS)
class TestAll:
    @pytest.mark.parametrize(
        ("reply", "why"),
        [
            (Reply(status=401), r"refused the key \(401\)"),
            (Reply(status=403), r"refused the key \(403\)"),
            (Reply(status=429, headers={"Retry-After": "120"}), "ask again in 120 s"),
            (Reply(status=429, headers={"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}), "ask again later"),
            (Reply(status=500), "500 Internal Server Error"),
            (Reply(status=302, headers={"Location": "http://127.0.0.1:9/"}), "302 Found"),
            (Reply("<html>welcome</html>"), r"no JSON|GL_MarketDocument|no GL"),
            (Reply("[]"), r"no JSON object|GL_MarketDocument"),
        ],
        ids=lambda value: str(value.status) if isinstance(value, Reply) else "",
    )
    def test_what_is_no_answer_says_why_and_gives_no_key_away(
        self, ask: Ask, name: str, reply: Reply, why: str
    ) -> None:
        if name == "entsoe" and reply.body == "<html>welcome</html>":
            # Well formed, and without a series: it has nothing.
            assert ask(name, reply) == []
            return
        with pytest.raises(GridError, match=why) as error:
            ask(name, reply)
        told = f"{error.value} {error.value.__cause__}"
        assert name in told
        assert "secret" not in told

    def test_one_that_does_not_answer_ends_by_itself(self, name: str, server: GridServer, tmp_path: Path) -> None:
        server.answer = always(Reply(hang=True))
        provider = opened(name, server.environ(tmp_path) | {_grid.TIMEOUT: "0.2"})
        with pytest.raises(GridError, match=r"no answer within 0\.2 s"):
            provider.points(ZONES[name], AT, AT + HOUR_NS, provider.offers[0])

    def test_without_its_key_it_says_which(self, name: str) -> None:
        if name == "uk":
            assert opened(name, {}).name == "uk"
            return
        with pytest.raises(UsageError, match=r"set [A-Z_]+ in the environment"):
            opened(name, {})

    def test_a_key_that_no_header_takes_is_refused(self, name: str) -> None:
        wrong = dict.fromkeys(replies.DEFAULT, "a\r\nb")
        if name != "uk":
            with pytest.raises(UsageError, match="is no key"):
                opened(name, wrong)

    def test_its_offers_are_whole_bases(self, name: str) -> None:
        for offer in opened(name, replies.DEFAULT).offers:
            assert Basis.parse(str(offer)) == offer
            assert (offer.kind, offer.scope, offer.accounting) != (None, None, None)
        with pytest.raises(UsageError, match="pass --kind"):
            _grid.chosen(opened(name, replies.DEFAULT), "marginal_long", None)


@pytest.mark.parametrize("wrong", [-1, 2001, "302", True, [1]])
def test_no_grid_is_like_that(ask: Ask, wrong: float) -> None:
    with pytest.raises(GridError, match="is no intensity"):
        ask("electricitymaps", replies.electricity_maps({replies.HOUR: wrong}))


@pytest.mark.parametrize("wrong", ["2026-11-20T10:00:00", "yesterday", None])
def test_a_time_without_a_zone_is_none(ask: Ask, wrong: str) -> None:
    with pytest.raises(GridError, match="no time with a zone"):
        ask("electricitymaps", replies.electricity_maps({wrong: 100}))


@pytest.mark.parametrize(
    ("name", "zone", "theirs"),
    [
        ("electricitymaps", "DEU", "DE"),
        ("electricitymaps", "US-CAL-CISO", "US-CAL-CISO"),
        ("uk", "GBR", "GB"),
        ("entsoe", "SE3", "10Y1001A1001A46L"),
        ("entsoe", "10YFR-RTE------C", "10YFR-RTE------C"),
        ("watttime", "CAISO_NORTH", "CAISO_NORTH"),
    ],
)
def test_our_zones_in_their_words(name: str, zone: str, theirs: str) -> None:
    assert opened(name, replies.DEFAULT).zone(zone) == theirs


@pytest.mark.parametrize(("name", "zone"), [("uk", "FRA"), ("entsoe", "USA"), ("watttime", "USA")])
def test_zones_that_they_do_not_have(name: str, zone: str) -> None:
    with pytest.raises(UsageError, match=zone):
        opened(name, replies.DEFAULT).zone(zone)


@pytest.mark.parametrize(
    "wrong",
    [{"GREENGEN_UK_URL": "ftp://a"}, {"GREENGEN_UK_URL": "here"}, {_grid.TIMEOUT: "soon"}, {_grid.TIMEOUT: "0"}],
)
def test_an_environment_that_says_nothing_is_told(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        opened("uk", wrong)


def test_an_unknown_source_lists_those_known() -> None:
    with pytest.raises(UsageError, match="electricitymaps, entsoe, uk, watttime"):
        opened("iea", {})
