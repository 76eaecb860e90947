"""Batteries on fake trees, and on the trees that other projects captured from real machines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from greengen.accounting.curves import build
from greengen.collector import Collector, Discovery, Domain, Event, Host, Sample
from greengen.collectors._battery_gauge import Gauge, read_gauges
from greengen.collectors.battery import BatteryCollector, _Rows
from greengen.rows import Series
from greengen.testing import trees
from tests.hosts import loading
from tests.unit.readings import gather, opened

FIXTURES = Path(__file__).parents[3] / "shared/data/traces/sysfs_fixtures"
captured = pytest.mark.skipif(not FIXTURES.exists(), reason=f"the captured trees are not at {FIXTURES}")

BAT = "class/power_supply/BAT0"


@pytest.fixture
def laptop(tmp_path: Path) -> Host:
    return loading.build("laptop_battery", tmp_path)


def test_a_machine_without_a_battery(tmp_path: Path) -> None:
    collector = BatteryCollector(trees.machine(tmp_path, model="x", cpus=1))
    assert isinstance(collector, Collector)
    assert collector.discover() == Discovery()
    assert list(collector.read()) == []


def test_counter_of_a_laptop(laptop: Host) -> None:
    with opened(BatteryCollector(laptop)) as (collector, found):
        [domain] = found.domains
        assert (domain.uid, domain.kind, domain.reading, domain.scope) == ("battery:BAT0", "battery", "energy", "host")
        assert (domain.contains, domain.alternative, domain.resolution_j) == (("*",), True, 36.0)
        gather(collector, bool)
        loading.show(laptop, f"{BAT}/energy_now", "36570000")
        rows = gather(collector, lambda rows: any(isinstance(row, Sample) and row.value for row in rows))
        assert isinstance(rows[-1], Sample)
        assert rows[-1].value == pytest.approx(36.0)


def test_power_on_request(laptop: Host) -> None:
    with opened(BatteryCollector(replace(laptop, environ={"GREENGEN_BATTERY": "power"}))) as (collector, found):
        assert (found.domains[0].reading, found.domains[0].resolution_j) == ("power", 0.0)
        sample = gather(collector, bool)[0]
        assert isinstance(sample, Sample)
        assert (sample.value, sample.kind) == (9.0, "power")


@pytest.mark.parametrize("sign", ["", "-"])
def test_current_of_either_sign(laptop: Host, sign: str) -> None:
    (laptop.sysfs / f"{BAT}/power_now").unlink()
    loading.show(laptop, f"{BAT}/current_now", f"{sign}771869")
    with opened(BatteryCollector(replace(laptop, environ={"GREENGEN_BATTERY": "power"}))) as (collector, _):
        sample = gather(collector, bool)[0]
        assert isinstance(sample, Sample)
        assert sample.value == pytest.approx(9.0, rel=1e-4)


def test_a_wrong_choice(laptop: Host) -> None:
    with opened(BatteryCollector(replace(laptop, environ={"GREENGEN_BATTERY": "both"}))) as (_, found):
        assert "energy or power" in found.unavailable[0].reason


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("Charging", "charging (BAT0 is Charging)"),
        ("Full", "not discharging (BAT0 is Full)"),
        ("Not charging", "not discharging (BAT0 is Not charging)"),
        ("", "in no known state"),
    ],
)
def test_on_mains_it_is_refused(laptop: Host, status: str, words: str) -> None:
    loading.show(laptop, f"{BAT}/status", status)
    with opened(BatteryCollector(laptop)) as (collector, found):
        assert found.domains == ()
        [why] = found.unavailable
        assert words in why.reason
        assert "unplug" in why.remedy
        assert list(collector.read()) == []


ACPI = "procfs/devices/LNXSYSTM:00/LNXSYBUS:00/PNP0A08:00/device:00/PNP0C09:00/PNP0C0A:00"


@captured
@pytest.mark.parametrize(
    ("tree", "left_wh", "power_w"),
    [("node_exporter/class/power_supply/BAT0", 36.58, 5.002), (f"{ACPI}/power_supply/BAT0", 49.45, 4.83)],
)
def test_trees_of_real_machines(tmp_path: Path, tree: str, left_wh: float, power_w: float) -> None:
    (tmp_path / "class/power_supply").mkdir(parents=True)
    (tmp_path / "class/power_supply/BAT0").symlink_to(FIXTURES / tree)
    [gauge] = read_gauges(tmp_path)
    assert (gauge.status, gauge.left_wh, gauge.power_w) == ("Discharging", left_wh, power_w)


# --- what happens while it is read ----------------------------------------------------------------------


def told(*gauges: Gauge | None, reading: str = "energy") -> list[Sample | Event]:
    """The rows of one battery, a snapshot every 10 s."""
    domain = Domain("battery:B", "battery", "battery", "B", reading="energy" if reading == "energy" else "power")
    rows = _Rows({"B": domain})
    return [row for i, gauge in enumerate(gauges) for row in rows(i * 10**10, [] if gauge is None else [gauge])]


def gauge(left_wh: float | None, status: str = "Discharging", power_w: float | None = 9.0) -> Gauge:
    return Gauge("B", status, left_wh, None, 11.0, power_w)


def test_charge_times_voltage() -> None:
    rows = told(Gauge("B", "Discharging", None, 3.0, 12.0, None), Gauge("B", "Discharging", None, 2.99, 11.8, None))
    assert [row.value for row in rows if isinstance(row, Sample)] == pytest.approx([0.0, 0.01 * 3600 * 11.9])


def test_joules_while_it_charged_are_not_known() -> None:
    rows = told(gauge(30.0), gauge(29.9), gauge(29.9, "Charging"), gauge(29.95, "Charging"), gauge(29.94), gauge(29.84))
    [event] = [row for row in rows if isinstance(row, Event)]
    assert (event.kind, event.t_ns) == ("gap", 20 * 10**9)
    assert "charging" in event.reason
    samples = [row for row in rows if isinstance(row, Sample)]
    series = Series([s.t_ns for s in samples], [s.value for s in samples], [0, *[10**10] * (len(samples) - 1)])
    curve = build(Domain("battery:B", "battery", "battery", "B", resolution_j=36.0), series, [(0, 60 * 10**9)])
    # 0.1 Wh before and 0.1 Wh after; between them the battery tells nothing.
    assert curve.total_j == pytest.approx(720)
    [unknown] = curve.unknown
    assert (unknown.t0_ns, unknown.t1_ns) == (10 * 10**9, 40 * 10**9)


def test_one_that_is_taken_out_and_one_that_says_nothing() -> None:
    [event] = [row for row in told(gauge(30.0), None) if isinstance(row, Event)]
    assert event.reason == "the battery has been taken out"
    [event] = [row for row in told(gauge(30.0), gauge(None)) if isinstance(row, Event)]
    assert "how much is left" in event.reason


@pytest.mark.parametrize(
    ("power_w", "words"), [(0.0, "0 W while it discharges"), (None, "no power"), (9000.0, "cannot deliver")]
)
def test_a_power_that_cannot_be_is_a_gap(power_w: float | None, words: str) -> None:
    rows = told(gauge(30.0), gauge(30.0, power_w=power_w), gauge(30.0), reading="power")
    assert [row.value for row in rows if isinstance(row, Sample)] == [9.0, 9.0]
    [event] = [row for row in rows if isinstance(row, Event)]
    assert words in event.reason
