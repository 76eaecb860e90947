"""Live source, cache, tables, error: each step is told, and what stands in for another is known less well."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from greengen.basis import Basis
from greengen.errors import UsageError
from greengen.integrations import _grid_cache
from greengen.integrations._grid import HOUR_NS, TIMEOUT, GridError, Point
from greengen.integrations.intensity import Asked, Found, find
from greengen.quantity import Quantity
from tests.unit import grid_replies as replies
from tests.unit.grid_replies import GridServer, Reply, always

AT = int(dt.datetime(2026, 11, 20, 10, tzinfo=dt.UTC).timestamp()) * 10**9
TOMORROW = AT + 24 * HOUR_NS
HOURS = {f"2026-11-20T{hour}:00:00.000Z": 300 + hour for hour in (10, 11, 12)}
DOWN = always(Reply(status=500))
ASKED = Asked("DEU", live="electricitymaps", period=(AT, AT + 3 * HOUR_NS))


@pytest.fixture(scope="module")
def running() -> Iterator[GridServer]:
    with GridServer(DOWN) as found:
        yield found


@pytest.fixture
def server(running: GridServer) -> GridServer:
    running.asked.clear()
    running.answer = always(Reply(replies.electricity_maps(HOURS)))
    return running


@pytest.fixture
def environ(server: GridServer, tmp_path: Path) -> dict[str, str]:
    return server.environ(tmp_path) | {TIMEOUT: "5"}


def values(found: Found) -> list[float | None]:
    return [hour.intensity.value for hour in sorted(found.hours, key=lambda hour: hour.start_ns)]


def width(quantity: Quantity | None) -> float:
    assert quantity is not None
    return (quantity.high or 0.0) / (quantity.low or 1.0)


def test_hours_from_the_source(environ: dict[str, str], server: GridServer) -> None:
    found = find(ASKED, environ, TOMORROW)
    assert values(found) == [310.0, 311.0, 312.0]
    assert found.chain == ("live electricitymaps: zone DE",)
    assert (found.year, found.notes) == ("2026", ())
    first = found.hours[0]
    assert (first.start_ns, first.end_ns) == (AT, AT + HOUR_NS)
    assert (first.intensity.grade, first.intensity.errors[0].name) == ("declared", "intensity:electricitymaps:DE")
    assert Basis.parse(first.intensity.basis) == Basis("average", "lifecycle", "location", "consumption", "out")


def test_past_hours_are_asked_for_once_and_never_change(environ: dict[str, str], server: GridServer) -> None:
    find(ASKED, environ, TOMORROW)
    server.answer = always(Reply(replies.electricity_maps(dict.fromkeys(HOURS, 999))))
    again = find(ASKED, environ, TOMORROW + 1000 * HOUR_NS)
    assert values(again) == [310.0, 311.0, 312.0]
    assert again.chain == ("cache of electricitymaps: 3 of 3 hours",)
    assert len(server.asked) == 1


def test_only_what_is_not_kept_is_asked_for(environ: dict[str, str], server: GridServer) -> None:
    find(replace(ASKED, period=(AT, AT + HOUR_NS)), environ, TOMORROW)
    find(ASKED, environ, TOMORROW)
    assert server.asked[1][1]["start"] == "2026-11-20T11:00:00Z"


def test_zones_kinds_and_scopes_are_kept_apart(environ: dict[str, str], server: GridServer) -> None:
    find(ASKED, environ, TOMORROW)
    server.answer = always(Reply(replies.electricity_maps(dict.fromkeys(HOURS, 5), zone="FR")))
    assert values(find(replace(ASKED, zone="FRA"), environ, TOMORROW)) == [5.0] * 3
    direct = replies.electricity_maps(dict.fromkeys(HOURS, 200), emissionFactorType="direct")
    server.answer = always(Reply(direct))
    found = find(replace(ASKED, scope="direct"), environ, TOMORROW)
    assert values(found) == [200.0] * 3
    assert Basis.parse(found.hours[0].intensity.basis).scope == "direct"


def test_a_forecast_is_good_for_half_an_hour(environ: dict[str, str], server: GridServer) -> None:
    now = AT + HOUR_NS // 4
    asked = Asked("GBR", live="uk", period=(AT, AT + HOUR_NS))
    half_hours = [
        ("2026-11-20T10:00Z", "2026-11-20T10:30Z", 100, None),
        ("2026-11-20T10:30Z", "2026-11-20T11:00Z", 110, None),
    ]
    server.answer = always(Reply(replies.uk(half_hours)))
    forecast = find(asked, environ, now)
    find(asked, environ, now + _grid_cache.TTL_NS - 1)
    assert len(server.asked) == 1
    told = [(a, b, forecast, 90) for a, b, forecast, _ in half_hours]
    server.answer = always(Reply(replies.uk(told)))
    later = find(asked, environ, now + _grid_cache.TTL_NS)
    assert (values(forecast), values(later)) == ([100.0, 110.0], [90.0, 90.0])
    assert width(forecast.hours[0].intensity) > width(later.hours[0].intensity)


def test_an_estimate_is_known_less_well(environ: dict[str, str], server: GridServer) -> None:
    measured = find(ASKED, environ, TOMORROW)
    server.answer = always(Reply(replies.electricity_maps(HOURS, zone="FR", isEstimated=True)))
    estimated = find(replace(ASKED, zone="FRA"), environ, TOMORROW)
    assert width(estimated.hours[0].intensity) > width(measured.hours[0].intensity)


def test_what_was_kept_stands_in_where_the_source_is_down(environ: dict[str, str], server: GridServer) -> None:
    """Past its date, told so, and known less well."""
    now = AT + HOUR_NS // 2
    fresh = find(ASKED, environ, now)
    server.answer = DOWN
    stale = find(ASKED, environ, now + HOUR_NS // 2)
    assert values(stale) == [310.0, 311.0, 312.0]
    assert [step.partition(":")[0] for step in stale.chain] == [
        "live electricitymaps",
        "cache of electricitymaps, past its date",
    ]
    assert "500" in stale.notes[0]
    assert "wider intervals" in stale.notes[0]
    assert width(stale.hours[0].intensity) > width(fresh.hours[0].intensity)
    with pytest.raises(GridError, match="500"):
        find(replace(ASKED, strict=True), environ, now + HOUR_NS // 2)


@pytest.mark.parametrize(
    "reply", [Reply(status=401), Reply(status=429), Reply("<html>"), Reply(replies.electricity_maps({}))]
)
def test_the_tables_stand_in_for_the_source(environ: dict[str, str], server: GridServer, reply: Reply) -> None:
    server.answer = always(reply)
    found = find(ASKED, environ, TOMORROW)
    table = find(Asked("DEU"), environ, TOMORROW)
    assert found.intensity is not None
    assert table.intensity is not None
    assert (found.hours, found.intensity.value) == ((), table.intensity.value)
    assert found.chain[-1] == table.chain[0]
    assert len(found.chain) == 2 + (reply.body == replies.electricity_maps({}))
    assert "yearly figure of DEU" in found.notes[0]
    assert width(found.intensity) > width(table.intensity)
    assert table.notes == ()
    with pytest.raises(GridError, match="--strict takes nothing else"):
        find(replace(ASKED, strict=True), environ, TOMORROW)


def test_no_figure_of_another_kind_or_scope_stands_in(environ: dict[str, str], server: GridServer) -> None:
    server.answer = DOWN
    with pytest.raises(GridError, match=r"500.*no direct one"):
        find(replace(ASKED, scope="direct"), environ, TOMORROW)
    with pytest.raises(GridError, match="no zone"):
        find(Asked(None, live="watttime:CAISO_NORTH", period=ASKED.period), environ, TOMORROW)
    with pytest.raises(GridError, match="no table has a marginal_short"):
        find(Asked("USA-CA", live="watttime:CAISO_NORTH", period=ASKED.period), environ, TOMORROW)
    with pytest.raises(GridError, match="unknown zone"):
        find(Asked("ZZZ", live="electricitymaps", period=ASKED.period), environ, TOMORROW)


def test_hours_without_a_value_stay_missing(environ: dict[str, str], server: GridServer) -> None:
    """What the source knows is used; nothing is put into the gap."""
    server.answer = always(Reply(replies.electricity_maps(HOURS | {"2026-11-20T11:00:00.000Z": None})))
    found = find(ASKED, environ, TOMORROW)
    assert values(found) == [310.0, None, 312.0]
    assert "2026-11-20T11:00Z" in found.hours[1].intensity.reason
    assert len(find(ASKED, environ, TOMORROW).hours) == 3


def test_a_source_may_be_asked_for_a_zone_of_its_own(environ: dict[str, str], server: GridServer) -> None:
    server.answer = always(Reply(replies.electricity_maps(HOURS, zone="US-CAL-CISO")))
    assert values(find(replace(ASKED, zone=None, live="electricitymaps:US-CAL-CISO"), environ, TOMORROW))
    with pytest.raises(UsageError, match="for no zone"):
        find(replace(ASKED, zone=None), environ, TOMORROW)


def test_a_cache_that_takes_no_files_is_said_and_no_error(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "greengen").write_text("a file where a directory would be")
    found = find(ASKED, environ, TOMORROW)
    assert values(found) == [310.0, 311.0, 312.0]
    assert "could not be kept" in found.notes[0]


@pytest.mark.parametrize("damage", ["", "{}", "[1]", '{"points": [[1]], "fetched_ns": 0, "final": true}', "\x00"])
def test_a_damaged_file_is_none(environ: dict[str, str], server: GridServer, tmp_path: Path, damage: str) -> None:
    find(ASKED, environ, TOMORROW)
    kept = sorted(tmp_path.rglob("*.json"))
    assert len(kept) == 3
    kept[0].write_text(damage)
    assert values(find(ASKED, environ, TOMORROW)) == [310.0, 311.0, 312.0]
    assert len(server.asked) == 2


def test_no_key_is_kept(environ: dict[str, str], tmp_path: Path) -> None:
    found = find(ASKED, environ, TOMORROW)
    assert "secret" not in repr(found)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and "secret" in path.read_text() + str(path)]


def test_a_zone_is_no_way_out_of_the_cache(tmp_path: Path) -> None:
    cache = _grid_cache.Cache(tmp_path / "a" / "b", "uk", "../../..", "average")
    assert cache.put(AT, [Point(AT, AT + HOUR_NS, 1.0)], TOMORROW)
    [kept] = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept.is_relative_to(tmp_path / "a" / "b" / "uk")
    assert json.loads(kept.read_text())["final"] is True


@pytest.mark.parametrize(
    ("points", "final"),
    [
        ([Point(AT, AT + HOUR_NS, 1.0)], True),
        ([Point(AT, AT + HOUR_NS, 1.0, estimated=True)], True),
        ([Point(AT, AT + HOUR_NS, 1.0, forecast=True)], False),
        ([Point(AT, AT + HOUR_NS, None)], False),
        ([Point(AT, AT + HOUR_NS // 2, 1.0)], False),
        ([], False),
    ],
)
def test_final_is_what_is_over_and_whole(points: list[Point], *, final: bool) -> None:
    assert _grid_cache.is_final(AT, points, TOMORROW) is final
    assert not _grid_cache.is_final(AT, points, AT + HOUR_NS - 1)


def test_the_cache_is_where_caches_are(tmp_path: Path) -> None:
    assert _grid_cache.folder({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "greengen" / "intensity"
    assert _grid_cache.folder({"HOME": str(tmp_path)}) == tmp_path / ".cache" / "greengen" / "intensity"
    assert _grid_cache.folder({"XDG_CACHE_HOME": "a", "HOME": str(tmp_path)}).is_relative_to(tmp_path)


def test_without_a_live_source_nothing_is_asked_nor_kept(
    environ: dict[str, str], server: GridServer, tmp_path: Path
) -> None:
    assert find(Asked("DEU"), environ, TOMORROW).chain[0].startswith("shipped grid_intensity_country")
    assert (server.asked, list(tmp_path.iterdir())) == ([], [])


def test_a_table_past_its_date_warns(environ: dict[str, str]) -> None:
    later = int(dt.datetime(2031, 1, 1, tzinfo=dt.UTC).timestamp()) * 10**9
    assert "was to be replaced by" in find(Asked("DEU"), environ, later).notes[0]


def test_too_many_hours_are_refused(environ: dict[str, str], server: GridServer) -> None:
    with pytest.raises(UsageError, match="too many to ask"):
        find(replace(ASKED, period=(AT, AT + 10_000 * HOUR_NS)), environ, TOMORROW)
    assert server.asked == []
