"""Batteries of Macs and of Windows: a fake ``ioreg`` on the PATH, and a fake driver that answers by poclass.h."""

from __future__ import annotations

import plistlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greengen.collector import Discovery, Event, Host, Sample
from greengen.collectors import _battery_windows, battery
from greengen.collectors._battery_macos import parse
from greengen.collectors.battery import BatteryCollector
from greengen.testing import trees
from greengen.testing.fake_commands import fake_command
from greengen.testing.fake_windows import Battery, EnergyMeter, FakeWindows
from tests.unit.readings import gather, opened

#: A MacBook on battery at 2.878 A: a current below 0 is shown without its sign.
MACBOOK: dict[str, Any] = {
    "BatteryInstalled": True,
    "CurrentCapacity": 73,
    "MaxCapacity": 100,
    "AppleRawCurrentCapacity": 2887,
    "Amperage": 2**64 - 2878,
    "Voltage": 12119,
    "IsCharging": False,
    "ExternalConnected": False,
    "BatteryData": {"Voltage": 1, "CellVoltage": [4042, 4043, 4041], "Serial": b"x"},
}


def plist(**facts: Any) -> str:  # noqa: ANN401 -- a property list's
    return plistlib.dumps([MACBOOK | facts]).decode()


def test_a_macbook_on_battery() -> None:
    [gauge] = parse(plist())
    assert gauge == replace(gauge, name="AppleSmartBattery", status="Discharging", left_wh=None, left_ah=2.887)
    assert gauge.voltage_v == 12.119
    assert gauge.power_w == pytest.approx(34.878482)
    assert gauge.step_j == pytest.approx(43.6284)


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({"IsCharging": True, "ExternalConnected": True}, "Charging"),
        # A supply that is too weak, and a full battery: it does not alone feed the machine.
        ({"ExternalConnected": True}, "Not charging"),
    ],
)
def test_states_of_a_mac(facts: dict[str, Any], status: str) -> None:
    assert parse(plist(**facts))[0].status == status


def test_what_a_mac_may_not_say() -> None:
    [old] = parse(plist(MaxCapacity=4371, CurrentCapacity=4337, AppleRawCurrentCapacity=None or "", InstantAmperage=0))
    assert (old.left_ah, old.power_w) == (4.337, 0.0)
    [percent] = parse(plist(AppleRawCurrentCapacity="", Voltage=""))
    assert (percent.left_ah, percent.power_w, percent.step_j) == (None, None, None)
    assert parse("") == parse(plist(BatteryInstalled=False)) == []
    with pytest.raises(ValueError, match="no property list"):
        parse(plist()[:200])


def reading(host: Host, platform: str) -> AbstractContextManager[tuple[BatteryCollector, Discovery]]:
    return opened(BatteryCollector(host, platform))


def mac(tmp_path: Path, **variables: str) -> Host:
    return replace(
        trees.machine(tmp_path / "m", model="Apple M2", cpus=8), environ={"PATH": str(tmp_path), **variables}
    )


def test_a_mac_by_ioreg(tmp_path: Path) -> None:
    fake_command(tmp_path, "ioreg", plist())
    with reading(mac(tmp_path, GREENGEN_BATTERY="power"), "darwin") as (collector, found):
        [domain] = found.domains
        assert (domain.uid, domain.reading, domain.contains) == ("battery:AppleSmartBattery", "power", ("*",))
        sample = gather(collector, bool)[0]
        assert isinstance(sample, Sample)
        assert sample.value == pytest.approx(34.878482)
    assert set((tmp_path / "ioreg.calls").read_text().splitlines()) == {"-a -r -n AppleSmartBattery"}


def test_the_step_of_a_macs_charge_is_its_resolution(tmp_path: Path) -> None:
    fake_command(tmp_path, "ioreg", plist())
    with reading(mac(tmp_path), "darwin") as (_, found):
        assert found.domains[0].reading == "energy"
        assert found.domains[0].resolution_j == pytest.approx(43.6284)


def test_a_mac_that_charges_is_refused_and_one_without_a_battery_is_silent(tmp_path: Path) -> None:
    fake_command(tmp_path, "ioreg", plist(IsCharging=True, ExternalConnected=True))
    with reading(mac(tmp_path), "darwin") as (_, found):
        assert found.domains == ()
        assert "AppleSmartBattery is Charging" in found.unavailable[0].reason
    fake_command(tmp_path, "ioreg", "")
    with reading(replace(mac(tmp_path / "b"), environ={"PATH": str(tmp_path)}), "darwin") as (_, found):
        assert found == Discovery()
    fake_command(tmp_path, "ioreg", "<plist", code=0)
    with reading(replace(mac(tmp_path / "c"), environ={"PATH": str(tmp_path)}), "darwin") as (_, found):
        assert "no property list" in found.unavailable[0].reason


@contextmanager
def on_windows(
    monkeypatch: pytest.MonkeyPatch, windows: FakeWindows, **variables: str
) -> Iterator[tuple[BatteryCollector, Discovery]]:
    monkeypatch.setattr(_battery_windows, "load", lambda environ: windows.libraries())
    monkeypatch.setattr(battery, "_PERIOD_S", 0.02)
    with reading(replace(Host(), environ=variables), "win32") as both:
        yield both
    assert windows.held == {}


def test_a_windows_laptop_by_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    pack = Battery(scales=((110, 30_000), (10, 60_000)))
    with on_windows(monkeypatch, FakeWindows({"b": pack, "m": EnergyMeter({})})) as (collector, found):
        [domain] = found.domains
        assert (domain.uid, domain.reading) == ("battery:BAT0", "energy")
        assert domain.resolution_j == pytest.approx(36)
        gather(collector, bool)
        pack.capacity_mwh -= 20
        rows = gather(collector, lambda rows: any(isinstance(row, Sample) and row.value for row in rows))
        assert isinstance(rows[-1], Sample)
        assert rows[-1].value == pytest.approx(72)


def test_power_and_coarse_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    coarse = Battery(scales=((110, 60_000),))
    with on_windows(monkeypatch, FakeWindows({"b": coarse})) as (_, found):
        assert found.domains[0].resolution_j == pytest.approx(396)
    with on_windows(monkeypatch, FakeWindows({"b": Battery(scales=())})) as (_, found):
        assert found.domains[0].resolution_j == pytest.approx(36)
    with on_windows(monkeypatch, FakeWindows({"b": coarse}), GREENGEN_BATTERY="power") as (collector, _):
        sample = gather(collector, bool)[0]
        assert isinstance(sample, Sample)
        assert (sample.value, sample.kind) == (9.0, "power")


@pytest.mark.parametrize(
    ("pack", "words"),
    [
        (Battery(state=5), "charging (BAT0 is Charging)"),
        (Battery(state=1), "BAT0 is Not charging"),
        (Battery(capabilities=0xC0000000), "it says no power"),
        (Battery(capacity_mwh=-1, rate_mw=-0x80000000), "it says no power"),
        (5, "cannot be opened (Windows error 5)"),
    ],
)
def test_what_windows_may_say(monkeypatch: pytest.MonkeyPatch, pack: Battery | int, words: str) -> None:
    with on_windows(monkeypatch, FakeWindows({"b": pack})) as (_, found):
        assert found.domains == ()
        assert words in found.unavailable[0].reason


@pytest.mark.parametrize("pack", [Battery(capabilities=0xA0000000), Battery(capabilities=0)])
def test_a_ups_or_a_mouse_feeds_no_machine(monkeypatch: pytest.MonkeyPatch, pack: Battery) -> None:
    with on_windows(monkeypatch, FakeWindows({"b": pack})) as (_, found):
        assert found == Discovery()


def test_one_that_is_taken_out_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = FakeWindows({"b": Battery()})
    with on_windows(monkeypatch, windows) as (collector, _):
        gather(collector, bool)
        windows.devices.clear()
        rows = gather(collector, lambda rows: any(isinstance(row, Event) for row in rows))
        assert "taken out" in next(row.reason for row in rows if isinstance(row, Event))
