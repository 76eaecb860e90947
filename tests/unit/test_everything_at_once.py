"""A machine on which everything is read at once: one cover, which is stated, and what outer meters hold beyond it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greengen import document
from greengen.accounting.carbon import Site
from greengen.collector import Domain, Sample
from greengen.collectors.nvml import NvmlCollector
from greengen.collectors.rapl import RaplCollector
from greengen.reports import markdown, terminal
from greengen.testing import trees
from greengen.testing.fake_pynvml import FakeNvml, Rig
from greengen.testing.fake_recording import FakeRecording
from greengen.testing.scripted import FakeClock, ScriptedCollector

SECONDS = 20.0
ZONES = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:0:1": "dram", "intel-rapl:1": "psys"}
WATTS = {"intel-rapl:0": 30.0, "intel-rapl:0:0": 22.0, "intel-rapl:0:1": 4.0, "intel-rapl:1": 41.0}
GPU_W = 55.0
GPU = f"nvml:{Rig().uuid(0)}"

#: As the collectors of plugs and batteries declare them.
WALL = Domain(
    *("plug:10.0.0.9/0", "plug", "wall", "wall plug"),
    reading="power",
    scope="host",
    contains=("*",),
    alternative=True,
    split_reason="no weight divides a whole machine between processes, so sole tenancy is assumed",
    refresh_s=1.0,
    gain=0.01,
)
BATTERY = replace(WALL, uid="battery:BAT0", collector="battery", kind="battery", name="battery BAT0", gain=0.05)


def told(tmp_path: Path, wall_w: float, battery_w: float) -> dict[str, Any]:
    """The document of 20 s at constant powers."""
    clock = FakeClock()
    specs = {zone: trees.ZoneSpec(name, 0, limits_uw={"long_term": 60_000_000}) for zone, name in ZONES.items()}
    host = replace(
        trees.with_zones(trees.machine(tmp_path, model=trees.INTEL_SERVER_CPU, cpus=4), specs), monotonic_ns=clock
    )
    gpu = NvmlCollector(host, nvml=FakeNvml(Rig(watts=(GPU_W,), clock_s=lambda: clock() / 1e9)))
    outer = {WALL: wall_w, BATTERY: battery_w}
    begun_ns, steps = clock(), round(SECONDS / 0.1)
    meters = [
        ScriptedCollector(
            [domain],
            [[Sample(domain.uid, begun_ns + step * 10**8, watts, "power")] for step in range(1, steps + 1)],
            name=domain.collector,
        )
        for domain, watts in outer.items()
    ]
    recording = FakeRecording(clock, [RaplCollector(host), gpu, *meters])
    for _ in range(steps):
        clock.advance(0.1)
        for zone, watts in WATTS.items():
            trees.set_energy_uj(host, zone, round(watts * (clock() - begun_ns) / 1e3))
        recording.read()
    return document.build(recording.rows(), Path("x"), Site())


def by(rows: list[dict[str, Any]]) -> Mapping[str, dict[str, Any]]:
    return {row["domain"]: row for row in rows}


Told = Callable[[float, float], dict[str, Any]]


@pytest.fixture
def machine(tmp_path: Path) -> Told:
    return lambda wall_w, battery_w: told(tmp_path, wall_w, battery_w)


def test_one_cover_is_the_total_and_is_stated(machine: Told) -> None:
    found = machine(120.0, 110.0)
    domains = by(found["domains"])
    cover = {"rapl:package-0", "rapl:package-0/dram", GPU}
    assert {uid for uid, row in domains.items() if row["in_total"]} == cover
    assert found["totals"]["energy_j"]["value"] == pytest.approx((30 + 4 + GPU_W) * (SECONDS - 0.1), rel=1e-6)
    assert {entry["account"] for entry in found["accounts"]} >= {"overhead", "other", "idle"}
    booked = sum(entry["energy_j"]["value"] or 0.0 for entry in found["accounts"])
    assert booked == pytest.approx(found["totals"]["energy_j"]["value"], rel=1e-9)
    assert "part of package-0" in domains["rapl:package-0/core"]["why_not_in_total"]
    for uid in ("rapl:psys", WALL.uid, BATTERY.uid):
        assert "another way to know" in domains[uid]["why_not_in_total"]
        assert domains[uid]["energy_j"]["value"] > 0
    for text in (terminal.render(found, width=200), markdown.render(found)):
        assert "Two ways to know a total" in text


@pytest.mark.parametrize(("wall_w", "battery_w"), [(120.0, 110.0), (60.0, 110.0), (120.0, 40.0)])
def test_what_outer_meters_hold_beyond_their_parts_is_shown_below_0_too(
    machine: Told, wall_w: float, battery_w: float
) -> None:
    found = by(machine(wall_w, battery_w)["remainders"])
    inside = {"rapl:package-0", "rapl:package-0/dram", GPU}
    for uid, watts in {WALL.uid: wall_w, BATTERY.uid: battery_w}.items():
        assert {part["domain"] for part in found[uid]["parts"]} == inside
        rest = found[uid]["remainder_j"]
        assert rest["value"] == pytest.approx((watts - 30 - 4 - GPU_W) * (SECONDS - 0.1), rel=1e-3)
        assert rest["low"] < rest["value"] < rest["high"]
        # The parts' own errors and the meter's: 31 W less than what is inside are surely a disagreement.
        assert (rest["high"] < 0) == (watts < 70)
    assert {part["domain"] for part in found["rapl:psys"]["parts"]} == {"rapl:package-0", "rapl:package-0/dram"}
    assert found["rapl:psys"]["remainder_j"]["value"] == pytest.approx((41 - 34) * (SECONDS - 0.1), rel=1e-6)


def test_total_is_the_outer_meter_where_nothing_inside_is_read(tmp_path: Path) -> None:
    clock = FakeClock()
    script = [[Sample(WALL.uid, clock() + step * 10**8, 80.0, "power")] for step in range(1, 101)]
    recording = FakeRecording(clock, [ScriptedCollector([WALL], script, name="plug")])
    for _ in range(100):
        clock.advance(0.1)
        recording.read()
    found = document.build(recording.rows(), tmp_path / "x", Site())
    assert found["totals"]["energy_j"]["value"] == pytest.approx(80 * 9.9)
    assert found["remainders"] == []
