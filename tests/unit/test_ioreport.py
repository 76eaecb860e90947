"""Apple's IOReport: the calls against fake libraries that count references, and the worker as a process."""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from greengen.collector import Collector, Discovery, Event, Host, Sample
from greengen.collectors import _stream, ioreport
from greengen.collectors._ioreport_api import Channel, EnergyModel
from greengen.collectors._ioreport_lines import parse
from greengen.collectors._stream import Told
from greengen.collectors.ioreport import IoReportCollector
from greengen.testing.fake_ioreport import FakeLibraries
from tests.unit.readings import gather, opened

#: Channels of an M2 Ultra as macmon tells them: dies, and parts of what is counted already.
ULTRA: dict[str, tuple[str, int]] = {
    "DIE_0_CPU Energy": ("mJ", 1_000),
    "DIE_1_CPU Energy": ("mJ", 2_000),
    "DIE_0_PCPU0": ("mJ", 700),
    "GPU Energy": ("nJ ", 5_000_000_000),
    "GPU SRAM0_0": ("mJ", 77),
    "ANE0_0": ("uJ", 400_000),
    "ANE0_1": ("uJ", 100_000),
    "DRAM0_0": ("mJ", 250),
    "DISP0": ("mJ", 9),
}


def line(**channels: tuple[str, int]) -> bytes:
    return json.dumps({"channels": [(name, *told) for name, told in channels.items()], "t_ns": 7}).encode()


def test_a_sample_is_read_and_given_back() -> None:
    libraries = FakeLibraries(lambda: ULTRA)
    model = EnergyModel(libraries.load())
    held = len(libraries.held)
    found = model.sample()
    assert found[0] == Channel("DIE_0_CPU Energy", "mJ", 1_000)
    assert Channel("GPU Energy", "nJ", 5_000_000_000) in found
    assert len(found) == len(ULTRA)
    # The subscription, its channels and one key are kept; a sample leaves nothing behind.
    assert len(libraries.held) == held == 3


@pytest.mark.parametrize(("group", "words"), [("CPU Stats", "no group"), ("Energy Model", "no sample")])
def test_libraries_that_refuse(group: str, words: str) -> None:
    libraries = FakeLibraries(lambda: ULTRA, group=group)
    with pytest.raises(OSError, match=words):  # noqa: PT012 -- either of the two
        model = EnergyModel(libraries.load())
        model._subscription = model._key
        model.sample()
    if group == "Energy Model":
        return
    assert len(libraries.held) == 1


def test_a_library_of_another_version() -> None:
    core, report = FakeLibraries(lambda: ULTRA).load()
    del report.IOReportSimpleGetIntegerValue
    with pytest.raises(AttributeError, match="IOReportSimpleGetIntegerValue"):
        EnergyModel((core, report))


def test_rails_of_an_ultra_are_sums_over_its_dies() -> None:
    found = parse(line(**ULTRA | {"GPU Energy": ("nJ", 5_000_000_000)}))
    assert found.energy_j == pytest.approx({"cpu": 3.0, "gpu": 5.0, "ane": 0.5, "dram": 0.25})
    assert found.step_j == {"cpu": 1e-3, "gpu": 1e-9, "ane": 1e-6, "dram": 1e-3}
    assert found.troubles == {}


def test_what_is_no_energy() -> None:
    found = parse(line(**ULTRA | {"GPU Energy": ("ticks", 5), "ANE0_1": ("uJ", -(2**63))}))
    assert set(found.energy_j) == {"cpu", "dram"}
    assert "in ticks" in found.troubles["gpu"]
    assert "stands for an error" in found.troubles["ane"]
    with pytest.raises(ValueError, match="none of the channels"):
        parse(line(DISP0=("mJ", 9)))
    with pytest.raises(ValueError, match="Expecting value"):
        parse(b"objc[1]: a warning\n")


def reading(**rig: object) -> AbstractContextManager[tuple[IoReportCollector, Discovery]]:
    variables = {"GREENGEN_IOREPORT": "greengen.testing.fake_ioreport", "GREENGEN_FAKE_IOREPORT": json.dumps(rig)}
    return opened(IoReportCollector(replace(Host(), environ=os.environ | variables)))


def test_elsewhere_nothing_is_started() -> None:
    collector = IoReportCollector(replace(Host(), environ={}), platform="linux")
    assert isinstance(collector, Collector)
    assert collector.discover() == Discovery()
    assert list(collector.read()) == []


def test_counters_of_a_mac() -> None:
    rig = {"CPU Energy": ["mJ", 6.0], "GPU Energy": ["nJ", 11.0], "ANE": ["mJ", 0.5], "DRAM": ["mJ", 1.5]}
    with reading(**rig) as (collector, found):
        assert [(d.uid, d.kind, d.reading, d.grade) for d in found.domains] == [
            ("ioreport:cpu", "package", "energy", "modelled"),
            ("ioreport:gpu", "gpu", "energy", "modelled"),
            ("ioreport:ane", "npu", "energy", "modelled"),
            ("ioreport:dram", "dram", "energy", "modelled"),
        ]
        rows = gather(collector, lambda rows: len(rows) >= 8)
    watts = {"ioreport:cpu": 6.0, "ioreport:gpu": 11.0, "ioreport:ane": 0.5, "ioreport:dram": 1.5}
    for uid, power_w in watts.items():
        first, *_, last = [row for row in rows if isinstance(row, Sample) and row.domain == uid]
        # The fake counts by the monotonic clock of this machine, in steps of 1 mJ, and is stamped afterwards.
        assert first.value <= power_w * first.t_ns / 1e9
        assert last.value > first.value


def test_a_wrong_call_ends_the_worker_and_not_the_recorder() -> None:
    with reading(**{"CPU Energy": ["mJ", 6.0], "exit_after": 2}) as (collector, found):
        assert len(found.domains) == 1
        rows = gather(collector, lambda rows: any(isinstance(row, Event) for row in rows))
    [gap] = [row for row in rows if isinstance(row, Event)]
    assert (gap.kind, gap.subject) == ("gap", "ioreport:cpu")
    assert "ended (139)" in gap.reason


def test_where_there_is_no_library() -> None:
    with reading(absent=True) as (collector, found):
        [why] = found.unavailable
        assert "no such file" in why.reason
        assert "powermetrics" in why.remedy
        assert list(collector.read()) == []


def test_a_channel_that_goes_is_a_gap_of_its_own() -> None:
    rows = ioreport._Rows({rail: ioreport._domain(rail, 1e-3) for rail in ("cpu", "gpu")})
    both = parse(line(**{"CPU Energy": ("mJ", 5), "GPU Energy": ("mJ", 7)}))
    alone = parse(line(**{"CPU Energy": ("mJ", 6)}))
    told = [row for value in (both, alone, alone, both) for row in rows(0, Told(1, value))]
    [gap] = [row for row in told if isinstance(row, Event)]
    assert (gap.subject, gap.reason) == ("ioreport:gpu", "its channel is gone")
    assert len(told) == 7


def test_a_stream_without_an_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stream, "_LONGEST", 1000)
    endless = _stream.Stream(["yes", "x" * 90], Host(environ=os.environ), end=b"</end>", parse=bytes)
    with pytest.raises(ValueError, match="without an end"):
        endless.next()
    with pytest.raises(ValueError, match="without an end"):
        endless.next()  # and not started again so soon
    endless.close()
