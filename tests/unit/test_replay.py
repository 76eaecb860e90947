"""A recorded run that is told again: every reading at its own distance in time, and honestly as a replay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from greengen.collector import Discovery, Event, Host, Sample
from greengen.integrations.replay import VARIABLE, ReplayCollector
from greengen.recording import export
from greengen.rows import Rows, Series
from greengen.testing.scripted import FakeClock
from tests.unit.test_rules import S, rows


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A package read every second: 10 W for 40 s, then 50 W for 10 s; and the wall around it, in W."""
    made = rows()
    [timeline] = made.timelines
    [package] = timeline.domains
    wall = replace(package, uid="plug:wall", kind="wall", name="wall", reading="power", contains=("*",))
    inner = replace(package, uid="c:core", kind="core", name="core", contains=())
    timeline.domains += [wall, inner]
    timeline.domains[0] = replace(package, contains=("c:core",))
    timeline.samples["plug:wall"] = Series([S, 11 * S], [100.0, 120.0], [S, S], window_s=0.5)
    export.write(made, tmp_path / "r.greengen")
    return tmp_path / "r.greengen"


def collector(path: Path | str, clock: FakeClock) -> ReplayCollector:
    return ReplayCollector(Host(monotonic_ns=clock, environ=MappingProxyType({VARIABLE: str(path)})))


def test_its_domains_say_what_they_are(recorded: Path) -> None:
    found = collector(recorded, FakeClock()).discover()
    assert found.unavailable == ()
    package, wall = found.domains
    assert (package.uid, package.kind, package.reading, package.grade) == (
        "replay:c:package",
        "package",
        "energy",
        "modelled",
    )
    assert package.name == "package (replayed)"
    assert package.contains == ("c:core",)  # which was not read
    assert wall.contains == ("replay:*",)
    assert package.split is None
    assert "processes that run now" in package.split_reason


def test_each_reading_comes_when_its_time_has(recorded: Path) -> None:
    clock = FakeClock()
    replayed = collector(recorded, clock)
    replayed.discover()
    start = clock()
    first = replayed.read()
    assert first == [
        Sample("replay:c:package", start, 0.0),
        Sample("replay:plug:wall", start, 100.0, "power", 0.5),
    ]
    assert replayed.read() == []
    clock.advance(2.5)
    assert replayed.read() == [
        Sample("replay:c:package", start + S, 10.0),
        Sample("replay:c:package", start + 2 * S, 20.0),
    ]
    clock.advance(100)
    rest = replayed.read()
    assert [row.value for row in rest if isinstance(row, Sample)][-2:] == [900.0, 120.0]
    assert {row.subject for row in rest if isinstance(row, Event)} == {"replay:c:package", "replay:plug:wall"}
    assert replayed.read() == []


def test_its_first_reading_is_of_the_recording_however_long_others_took_to_be_found(recorded: Path) -> None:
    clock = FakeClock()
    replayed = collector(recorded, clock)
    replayed.discover()
    clock.advance(10)
    start = clock()
    assert [(row.t_ns, row.value) for row in replayed.read() if isinstance(row, Sample)] == [(start, 0), (start, 100)]


def test_a_clock_that_counts_from_elsewhere(recorded: Path) -> None:
    clock = FakeClock(now_ns=7)
    replayed = collector(recorded, clock)
    replayed.discover()
    assert [row.t_ns for row in replayed.read()] == [7, 7]


def test_without_the_variable_it_is_not_there() -> None:
    replayed = collector("", FakeClock())
    assert replayed.discover() == Discovery()
    assert replayed.read() == []
    replayed.close()


def test_what_cannot_be_replayed_is_said(tmp_path: Path) -> None:
    [gone] = collector(tmp_path / "no.greengen", FakeClock()).discover().unavailable
    assert "no.greengen" in gone.reason
    assert VARIABLE in gone.remedy
    empty = tmp_path / "empty.greengen"
    export.write(Rows({}, []), empty)
    [gone] = collector(empty, FakeClock()).discover().unavailable
    assert "holds no readings" in gone.reason
