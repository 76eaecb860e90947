"""Apple's powermetrics: real captures, and a fake command on the PATH that streams, fails, hangs and changes."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greengen.collector import Collector, Discovery, Event, Host, Sample
from greengen.collectors import _stream, powermetrics
from greengen.collectors._powermetrics_plist import Window, parse
from greengen.collectors._stream import Told
from greengen.collectors.powermetrics import PowermetricsCollector
from greengen.testing import trees
from greengen.testing.fake_powermetrics import document, install
from tests.unit.readings import Row, gather, only, opened

CAPTURES = Path(__file__).parents[3] / "shared/data/traces/apple_powermetrics"
captured = pytest.mark.skipif(not CAPTURES.exists(), reason=f"the captures are not at {CAPTURES}")

Rows = list[Row]


def reading(
    tmp_path: Path, path: Path, **variables: str
) -> AbstractContextManager[tuple[PowermetricsCollector, Discovery]]:
    host = trees.machine(tmp_path / "machine", model="Apple M2", cpus=8)
    return opened(PowermetricsCollector(replace(host, environ={"PATH": str(path), **variables})))


@captured
@pytest.mark.parametrize("name", ["m1", "m1-2", "m2ultra"])
def test_captures_of_real_machines(name: str) -> None:
    file = f"powermetrics-output-{name}.xml"
    expected: dict[str, Any] = json.loads((CAPTURES / "expected.json").read_text())["values"][file]
    window = parse((CAPTURES / file).read_bytes())
    assert window.elapsed_s == expected["elapsed_ns"][0] / 1e9
    assert window.power_w["cpu"] == pytest.approx(expected["check_cpu_mW_from_energy"] / 1e3, rel=1e-12)
    for rail, watts in window.power_w.items():
        assert watts * 1e3 == pytest.approx(expected[f"{rail}_power"][0], rel=1e-5)
    # The first of the two GPU energies is the one that the combined power holds.
    assert sum(window.power_w.values()) * 1e3 == pytest.approx(expected["combined_power"][0], rel=1e-5)
    assert (set(window.power_w), window.thermal) == ({"cpu", "gpu", "ane"}, "Nominal")


def test_where_there_is_no_such_command(tmp_path: Path) -> None:
    collector = PowermetricsCollector(replace(Host(), environ={"PATH": str(tmp_path)}))
    assert isinstance(collector, Collector)
    assert collector.discover() == Discovery()
    assert list(collector.read()) == []


def test_powers_of_a_stream(tmp_path: Path) -> None:
    folder = install(tmp_path / "bin", cpu=2.0, gpu=5.0, ane=0.5, rate_ms=20)
    with reading(tmp_path, folder) as (collector, found):
        assert found.unavailable == ()
        cpu, gpu, ane = found.domains
        assert [(d.uid, d.kind, d.grade) for d in (cpu, gpu, ane)] == [
            ("powermetrics:cpu", "package", "modelled"),
            ("powermetrics:gpu", "gpu", "modelled"),
            ("powermetrics:ane", "npu", "modelled"),
        ]
        assert (cpu.split, gpu.split) == ("cpu", None)
        assert "Mac14,7" in cpu.detail
        rows = gather(collector, lambda rows: len(rows) > 20)
    samples = [row for row in rows if isinstance(row, Sample)]
    assert len(samples) == len(rows)
    for uid, watts in ((cpu.uid, 2.0), (gpu.uid, 5.0), (ane.uid, 0.5)):
        own = [sample for sample in samples if sample.domain == uid]
        # A window's energy is rounded to 1 mJ at either end.
        assert all(abs(s.value - watts) <= 0.0011 / s.window_s for s in own)
        assert [s.t_ns for s in own] == sorted({s.t_ns for s in own})
    # One process for all of it, and gone with the collector.
    [call] = (folder / "powermetrics.calls").read_text().splitlines()
    assert call == "--samplers cpu_power,gpu_power,thermal --format plist --sample-rate 500"
    assert collector._host.helpers.running == {}


def test_memory_where_a_version_tells_it(tmp_path: Path) -> None:
    folder = install(tmp_path / "bin", cpu=2.0, dram=1.0, rate_ms=20)
    with reading(tmp_path, folder) as (_, found):
        assert [domain.kind for domain in found.domains] == ["package", "gpu", "npu", "dram"]


def test_permission_refused(tmp_path: Path) -> None:
    with reading(tmp_path, install(tmp_path / "bin", root=False)) as (collector, found):
        [why] = found.unavailable
        assert "must be invoked as the superuser" in why.reason
        assert "sudoers" in why.remedy
        assert list(collector.read()) == []


def test_a_command_of_ones_own(tmp_path: Path) -> None:
    install(tmp_path / "hidden", cpu=2.0, rate_ms=20)
    own = str(tmp_path / "hidden/powermetrics")
    with reading(tmp_path, tmp_path, GREENGEN_POWERMETRICS=own) as (_, found):
        assert len(found.domains) == 3
    for said, words in (("nowhere", "not on the PATH"), ("'", "quotation")):
        with reading(tmp_path / words, tmp_path, GREENGEN_POWERMETRICS=said) as (_, found):
            assert words in found.unavailable[0].reason


@pytest.mark.parametrize(
    ("then", "words"),
    [
        ("exit", "ended (3)"),
        ("truncate", "ended (3)"),
        ("units", "not believed"),
        ("noise", "no property list"),
    ],
)
def test_faults_are_gaps_of_every_domain(tmp_path: Path, then: str, words: str) -> None:
    folder = install(tmp_path / "bin", cpu=2.0, gpu=5.0, rate_ms=20, after=8, then=then)
    with reading(tmp_path, folder) as (collector, found):
        rows = gather(collector, lambda rows: len(only(rows, Event)) >= 3)
    gaps = only(rows, Event)
    assert {gap.subject for gap in gaps} == {domain.uid for domain in found.domains}
    assert all(gap.kind == "gap" and words in gap.reason for gap in gaps)
    # What was told before it is believed, and nothing of it.
    assert max(row.value for row in rows if isinstance(row, Sample)) < 5.1


def test_one_that_ended_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stream, "_AGAIN_NS", 0)
    folder = install(tmp_path / "bin", cpu=2.0, rate_ms=20, after=2, then="exit")
    with reading(tmp_path, folder) as (collector, _):
        rows = gather(collector, lambda rows: bool(only(rows, Event)) and isinstance(rows[-1], Sample))
        assert rows[-1].t_ns > only(rows, Event)[0].t_ns
    assert len((folder / "powermetrics.calls").read_text().splitlines()) >= 2


def test_one_that_hangs_is_a_gap_and_delays_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(powermetrics, "_PATIENCE_S", 0.2)
    folder = install(tmp_path / "bin", cpu=2.0, rate_ms=20, after=5, then="hang")
    with reading(tmp_path, folder) as (collector, _):
        rows = gather(collector, lambda rows: bool(only(rows, Event)))
        assert "no answer for" in only(rows, Event)[0].reason


def test_one_that_is_too_slow_to_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(powermetrics, "_FIRST_S", 0.05)
    folder = install(tmp_path / "bin", cpu=2.0, rate_ms=20, after=0, then="hang")
    with reading(tmp_path, folder) as (_, found):
        assert "no answer within 0.05 s" in found.unavailable[0].reason


def told(*powers: dict[str, float], thermal: tuple[str, ...] = ()) -> Rows:
    rows = powermetrics._Rows({rail: powermetrics._domain(rail, "") for rail in ("cpu", "gpu")})
    found: Rows = []
    for number, watts in enumerate(powers):
        pressure = thermal[number] if thermal else "Nominal"
        found += rows(0, Told(number * 10**9, Window(0.5, watts, pressure)))
    return found


def test_a_rail_that_goes_is_a_gap_of_its_own() -> None:
    both, alone = {"cpu": 1.0, "gpu": 2.0}, {"cpu": 1.0}
    rows = told(both, alone, alone, both)
    [gap] = only(rows, Event)
    assert (gap.subject, gap.t_ns) == ("powermetrics:gpu", 10**9)
    assert [row.value for row in rows if isinstance(row, Sample)] == [1.0, 2.0, 1.0, 1.0, 1.0, 2.0]


def test_thermal_pressure_is_told_when_it_changes() -> None:
    rows = told(*[{"cpu": 1.0, "gpu": 2.0}] * 4, thermal=("Nominal", "Nominal", "Heavy", "Heavy"))
    assert [event.reason for event in only(rows, Event)] == ["thermal pressure: Nominal -> Heavy"]


GOOD = document({"cpu": 54, "gpu": 10}, 525_992_374)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (b"</plist>", b"", "no property list"),
        (b"<key>processor</key>", b"<key>processors</key>", "no processor"),
        (b"<integer>525992374</integer>", b"<integer>0</integer>", "no time"),
        (b"<key>cpu_energy</key>", b"<key>package_energy</key>", "package_energy"),
        (b"<integer>54</integer>", b"<integer>-54</integer>", "not believed"),
        (b"<integer>54</integer>", b"<integer>540000000</integer>", "not believed"),
        (b"<integer>54</integer>", b"<integer>80</integer>", "other units"),
        (b"<integer>54</integer>", b"<true/>", "no energy"),
        (b"<integer>54</integer>", b"<real>nan</real>", "no energy"),
        (b"<date>", b"<date>x", "no property list"),
        (b"<dict>", b"<array>", "no property list"),
    ],
)
def test_what_is_no_sample(before: bytes, after: bytes, words: str) -> None:
    assert parse(GOOD).power_w["cpu"] == pytest.approx(0.10266308537)
    assert before in GOOD
    with pytest.raises(ValueError, match=words):
        parse(GOOD.replace(before, after, 1))
