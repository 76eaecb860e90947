"""Windows' energy meters: the structures of emi.h byte for byte, and the calls against a fake Windows."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from greengen.accounting.curves import build
from greengen.collector import Collector, Discovery, Event, Host, Sample
from greengen.collectors import _emi_format as emi
from greengen.collectors import _emi_meters
from greengen.collectors._windows_devices import Devices
from greengen.collectors.emi import EmiCollector
from greengen.rows import Series
from greengen.testing.fake_windows import NOT_SUPPORTED, EnergyMeter, FakeWindows

#: 1 Wh, 3600 J.
WH = 10**12


def constant(pwh: int, clock: int = 0) -> Callable[[], tuple[int, int]]:
    return lambda: (pwh, clock)


def collector(monkeypatch: pytest.MonkeyPatch, *meters: EnergyMeter | int) -> tuple[EmiCollector, FakeWindows]:
    windows = FakeWindows({f"\\\\?\\ACPI#EMI#{number}": meter for number, meter in enumerate(meters)})
    monkeypatch.setattr(_emi_meters, "load", lambda environ: windows.libraries())
    ticks = itertools.count(10**9, 10**9)
    return EmiCollector(replace(Host(), environ={}, monotonic_ns=lambda: next(ticks)), platform="win32"), windows


def found(monkeypatch: pytest.MonkeyPatch, *meters: EnergyMeter | int) -> Discovery:
    made, windows = collector(monkeypatch, *meters)
    discovery = made.discover()
    made.close()
    assert windows.held == {}
    return discovery


# --- the structures -------------------------------------------------------------------------------------


def text(words: str, size: int) -> bytes:
    return words.encode("utf-16-le").ljust(size, b"\0")


def test_version_1_has_one_channel() -> None:
    name = text("Battery rail", 26)
    blob = struct.pack("<i", 0) + text("Contoso", 32) + text("Slab", 32) + struct.pack("<HH", 3, 26) + name
    assert len(blob) == 72 + 26
    assert emi.metadata(1, blob) == emi.Meter("Contoso", "Slab", ("Battery rail",))


def test_version_2_has_channels_without_padding() -> None:
    names = ("RAPL_Package0_PKG", "RAPL_Package0_DRAM")
    blob = text("GenuineIntel", 32) + text("EMI", 32) + struct.pack("<HH", 1, 2)
    for name in names:
        raw = text(name, 2 * len(name) + 2)
        blob += struct.pack("<iH", 0, len(raw)) + raw
    meter = emi.metadata(2, blob)
    assert (meter.channels, meter.size) == (names, 32)
    assert emi.measurement(meter, struct.pack("<4Q", WH, 1, 2 * WH, 2)) == [(WH, 1), (2 * WH, 2)]
    with pytest.raises(ValueError, match="16 bytes for 2 channels"):
        emi.measurement(meter, bytes(16))
    for cut in range(len(blob)):
        with pytest.raises(ValueError, match="cut off"):
            emi.metadata(2, blob[:cut])


def test_a_watt_hour_is_3600_joules() -> None:
    watt_hour_j = WH * emi.PWH_J
    assert watt_hour_j == pytest.approx(3600)


@pytest.mark.parametrize(("answer", "words"), [(b"\3\0", "version 3"), (b"\2", "version 2"), (b"", "version 0")])
def test_versions_that_are_not_known(answer: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        emi.version(answer)


def test_sizes_that_are_none() -> None:
    for answer in (bytes(4), b"\xff\xff\xff\xff", b"\1"):
        with pytest.raises(ValueError, match="its metadata have"):
            emi.size(answer)


# --- domains --------------------------------------------------------------------------------------------


def test_an_intel_laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    channels = {"PKG": 4 * WH, "PP0": 3 * WH, "PP1": WH // 50, "DRAM": 0}
    meter = EnergyMeter({f"RAPL_Package0_{name}": constant(value) for name, value in channels.items()})
    told = found(monkeypatch, meter)
    package, core, uncore = told.domains
    assert (package.uid, package.kind, package.split) == ("emi:package-0", "package", "cpu")
    assert package.contains == ("emi:package-0/core", "emi:package-0/uncore")
    assert (core.kind, core.contains, uncore.kind, uncore.split) == ("core", (), "uncore", None)
    [nothing] = told.unavailable
    assert nothing.interface == "emi:RAPL_Package0_DRAM"
    assert "shows 0" in nothing.reason


def test_dies_that_mirror_one_counter_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = EnergyMeter({"RAPL_Package0_PKG": constant(100 * WH), "RAPL_Package0_Core0_CORE": constant(WH)})
    twin = EnergyMeter({"RAPL_Package1_PKG": constant(100 * WH + 10)})
    other = EnergyMeter({"RAPL_Package2_PKG": constant(101 * WH)})
    told = found(monkeypatch, first, twin, other)
    assert [domain.uid for domain in told.domains] == ["emi:package-0", "emi:package-2"]
    [mirror] = told.unavailable
    assert "same counter as emi:package-0" in mirror.reason


def test_a_snapdragon_and_what_its_system_rail_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("CPU_CLUSTER_0", "CPU_CLUSTER_1", "GPU", "SYS", "PSU_USB", "VDD_X")
    meter = EnergyMeter({name: constant((i + 1) * WH) for i, name in enumerate(names)})
    told = found(monkeypatch, meter)
    by_uid = {domain.uid: domain for domain in told.domains}
    assert set(by_uid) == {"emi:cpu-cluster-0", "emi:cpu-cluster-1", "emi:gpu", "emi:system"}
    assert set(by_uid["emi:system"].contains) == {*by_uid, "cpu_model:*"} - {"emi:system"}
    reasons = {item.interface: item.reason for item in told.unavailable}
    assert "charges the battery" in reasons["emi:PSU_USB"]
    assert "not looked up" in reasons["emi:VDD_X"]


def test_meters_that_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    class Old(EnergyMeter):
        def answer(self, code: int, given: bytes) -> bytes | int:
            return NOT_SUPPORTED

    told = found(monkeypatch, 5, Old({}), EnergyMeter({"x": constant(1)}, unit=1), EnergyMeter({}, version=4))
    assert told.domains == ()
    reasons = [item.reason for item in told.unavailable]
    assert len(reasons) == 4
    for reason, words in zip(reasons, ("Windows error 5", "Windows error 50", "unit 1", "version 4"), strict=True):
        assert words in reason


def test_a_meter_that_describes_itself_and_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mute(EnergyMeter):
        def answer(self, code: int, given: bytes) -> bytes | int:
            return b"" if code == emi.GET_MEASUREMENT else super().answer(code, given)

    [why] = found(monkeypatch, Mute({"RAPL_Package0_PKG": constant(WH)})).unavailable
    assert "0 bytes for 1 channels" in why.reason


def test_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no energy meter" in found(monkeypatch).unavailable[0].reason
    elsewhere = EmiCollector(replace(Host(), environ={}), platform="linux")
    assert isinstance(elsewhere, Collector)
    assert elsewhere.discover() == Discovery()
    assert list(elsewhere.read()) == []


def test_not_windows_after_all() -> None:
    told = EmiCollector(replace(Host(), environ={}), platform="win32").discover()
    assert told.unavailable[0].reason == "this is not Windows"


def test_a_list_that_grows_between_two_questions() -> None:
    windows = FakeWindows({"a": EnergyMeter({})})
    libraries = windows.libraries()
    sized = windows.CM_Get_Device_Interface_List_SizeW

    def grow(*arguments: object) -> int:
        code = sized(*arguments)  # type: ignore[arg-type]
        windows.devices["b"] = EnergyMeter({})
        return code

    libraries.cfgmgr32.CM_Get_Device_Interface_List_SizeW._called = grow
    assert Devices(libraries).paths(emi.GUID) == ["a", "b"]
    libraries.cfgmgr32.CM_Get_Device_Interface_ListW._called = lambda *arguments: 0xD
    with pytest.raises(OSError, match="answers 0xd"):
        Devices(libraries).paths(emi.GUID)


# --- reading --------------------------------------------------------------------------------------------


def read(monkeypatch: pytest.MonkeyPatch, values: Sequence[tuple[int, int]]) -> list[Sample | Event]:
    shown = iter([values[0], *values])
    meter = EnergyMeter({"RAPL_Package0_PKG": lambda: next(shown)})
    made, _ = collector(monkeypatch, meter)
    made.discover()
    rows = [row for _ in values for row in made.read()]
    made.close()
    return rows


def test_joules_of_picowatt_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = read(monkeypatch, [(WH, 1), (WH + WH // 3600, 2)])
    assert [row.value for row in rows if isinstance(row, Sample)] == pytest.approx([3600, 3601])


def test_the_same_reading_again_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    # A meter that is brought up to date once a second shows the time of that.
    rows = read(monkeypatch, [(WH, 1), (WH, 1), (2 * WH, 1), (2 * WH, 2)])
    assert [row.value for row in rows if isinstance(row, Sample)] == pytest.approx([3600, 7200, 7200])


def curve(rows: list[Sample | Event], monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[str]]:
    """Whole joules, and what happened."""
    samples = [row for row in rows if isinstance(row, Sample)]
    [domain] = found(monkeypatch, EnergyMeter({"RAPL_Package0_PKG": constant(WH)})).domains
    series = Series([s.t_ns for s in samples], [s.value for s in samples], [0, *[10**9] * (len(samples) - 1)])
    made = build(domain, series, [(samples[0].t_ns, samples[-1].t_ns)])
    return round(made.total_j), [event.kind for event in made.events]


def test_a_wrap_of_64_bits_and_a_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    joule = WH // 3600
    wrapped = read(monkeypatch, [(2**64 - 20 * joule, 1), (10 * joule, 2)])
    assert curve(wrapped, monkeypatch) == (30, ["wrap"])
    anew = read(monkeypatch, [(WH, 1), (joule, 2), (11 * joule, 3)])
    assert curve(anew, monkeypatch) == (10, ["reset"])


def test_a_meter_that_goes_is_a_gap_and_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = EnergyMeter({"RAPL_Package0_PKG": constant(WH)})
    made, windows = collector(monkeypatch, meter)
    made.discover()
    [path] = windows.devices
    assert len(list(made.read())) == 1
    windows.devices[path] = 1167
    [gap] = made.read()
    assert isinstance(gap, Event)
    assert (gap.kind, gap.subject) == ("gap", "emi:package-0")
    assert "1167" in gap.reason
    assert list(made.read()) == []
    windows.devices[path] = meter
    assert [type(row) for _ in range(3) for row in made.read()] == [Sample]
    windows.devices[path] = EnergyMeter({"RAPL_Package0_PKG": constant(WH), "more": constant(1)})
    reasons = [row.reason for _ in range(3) for row in made.read() if isinstance(row, Event)]
    assert len(reasons) == 1
    made.close()
    assert windows.held == {}
