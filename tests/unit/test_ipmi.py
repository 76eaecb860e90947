"""IPMI DCMI through a fake ipmitool on the PATH."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from greengen.collector import Collector, Discovery, Event, Host, Sample
from greengen.collectors.ipmi import IpmiCollector, power_w
from greengen.testing import trees
from greengen.testing.fake_commands import dcmi, fake_command
from tests.unit.readings import first, opened


def bmc(folder: Path, said: str = "local") -> IpmiCollector:
    return IpmiCollector(Host(environ={"PATH": str(folder), "GREENGEN_IPMI": said}))


def test_no_bmc_is_asked_by_default(tmp_path: Path) -> None:
    host = trees.machine(tmp_path, model="x", cpus=1)
    collector = IpmiCollector(host)
    assert isinstance(collector, Collector)
    assert collector.discover() == Discovery()
    (host.sysfs / "class/ipmi/ipmi0").mkdir(parents=True)
    [why] = collector.discover().unavailable
    assert "not asked by default" in why.reason
    assert "GREENGEN_IPMI=local" in why.remedy
    assert list(collector.read()) == []


@pytest.mark.parametrize(
    ("said", "uid", "call"),
    [
        ("local", "ipmi:local", "dcmi power reading"),
        ("-I lanplus -H 10.0.0.9 -U a -E", "ipmi:10.0.0.9", "-I lanplus -H 10.0.0.9 -U a -E dcmi power reading"),
        ("-I lanplus -Hbmc", "ipmi:bmc", "-I lanplus -Hbmc dcmi power reading"),
    ],
)
def test_power(tmp_path: Path, said: str, uid: str, call: str) -> None:
    folder = fake_command(tmp_path, "ipmitool", dcmi(173))
    with opened(bmc(folder, said)) as (collector, found):
        [domain] = found.domains
        assert (domain.uid, domain.kind, domain.contains, domain.alternative) == (uid, "wall", ("*",), True)
        sample = first(collector, Sample)
        assert (sample.domain, sample.value, sample.kind) == (uid, 173.0, "power")
    assert set((tmp_path / "ipmitool.calls").read_text().splitlines()) == {call}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (dcmi(235, "deactivated"), "deactivated"),
        (dcmi(0), "says 0 W"),
        (dcmi(1023), "says 1023 W"),
        (dcmi(65535), "says 65535 W"),
        (dcmi(173).replace("Power reading state", "State"), "in no known state"),
        ("DCMI request failed because: Invalid command (c1)", "no power reading"),
        ("", "no power reading"),
    ],
)
def test_what_is_no_reading(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        power_w(text)


def test_a_thousand_watts_are_believed_of_a_machine_that_has_drawn_more() -> None:
    head, line, tail = dcmi(1023).partition("Maximum during sampling period:               1023")
    assert line
    assert power_w(head + line.replace("1023", "1290") + tail) == 1023


def test_no_ipmitool(tmp_path: Path) -> None:
    with opened(bmc(tmp_path)) as (_, found):
        [why] = found.unavailable
        assert "not on the PATH" in why.reason
        assert "install ipmitool" in why.remedy


def test_no_permission(tmp_path: Path) -> None:
    said = "Could not open device at /dev/ipmi0 or /dev/ipmi/0 or /dev/ipmidev/0: No such file or directory"
    with opened(bmc(fake_command(tmp_path, "ipmitool", "", code=1, error=said))) as (_, found):
        [why] = found.unavailable
        assert "Could not open device at /dev/ipmi0" in why.reason
        assert "run as root" in why.remedy


def test_quotes_that_do_not_close(tmp_path: Path) -> None:
    with opened(bmc(tmp_path, "-P 'x")) as (_, found):
        assert "No closing quotation" in found.unavailable[0].reason


def test_a_bmc_that_stops_measuring_is_a_gap(tmp_path: Path) -> None:
    with opened(bmc(fake_command(tmp_path, "ipmitool", dcmi(173)))) as (collector, _):
        fake_command(tmp_path, "ipmitool", dcmi(173, "deactivated"))
        event = first(collector, Event)
        assert (event.kind, event.subject) == ("gap", "ipmi:local")
        assert "deactivated" in event.reason


def test_one_that_hangs_ends_with_the_collector(tmp_path: Path) -> None:
    with opened(bmc(fake_command(tmp_path, "ipmitool", dcmi(173)))) as (collector, _):
        fake_command(tmp_path, "ipmitool", dcmi(173), seconds=60)
        calls = tmp_path / "ipmitool.calls"
        begun = time.monotonic()
        list(collector.read())
        while len(calls.read_text().splitlines()) < 2 and time.monotonic() - begun < 5:
            time.sleep(0.01)
        assert time.monotonic() - begun < 5
        begun = time.monotonic()
        collector.close()
        assert time.monotonic() - begun < 0.45
