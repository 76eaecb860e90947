"""Akida boards through a stand-in for BrainChip's library."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from greengen.collector import Collector, Discovery, Event, Host, Sample
from greengen.collectors.akida import AkidaCollector, _Meter
from greengen.testing.fake_akida import FakeAkida, FakeBoard, FakeSoc, PowerEvent


@contextmanager
def started(*boards: FakeBoard, said: str = "1") -> Iterator[tuple[AkidaCollector, Discovery]]:
    collector = AkidaCollector(Host(environ={"GREENGEN_AKIDA": said}), akida=FakeAkida(boards))
    try:
        yield collector, collector.discover()
    finally:
        collector.close()


def first(collector: AkidaCollector, kind: type) -> Any:  # noqa: ANN401 -- a Sample or an Event
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for row in collector.read():
            if isinstance(row, kind):
                return row
        time.sleep(0.005)
    raise AssertionError


@pytest.mark.parametrize("said", ["", "0"])
def test_no_board_is_opened_unasked(said: str) -> None:
    board = FakeBoard()
    with started(board, said=said) as (collector, found):
        assert isinstance(collector, Collector)
        assert found == Discovery()
    assert board.soc is not None
    assert not board.soc.power_measurement_enabled


def test_power_of_a_board() -> None:
    board = FakeBoard()
    assert board.soc is not None
    with started(board, FakeBoard("Virtual", metered=False)) as (collector, found):
        [domain] = found.domains
        assert (domain.uid, domain.kind, domain.grade) == ("akida:PCIe/NSoC_v2/0", "npu", "measured")
        [why] = found.unavailable
        assert "no power meter" in why.reason
        assert board.soc.power_measurement_enabled
        gap = first(collector, Event)
        assert "no new event" in gap.reason
        board.draw(1000.0, 1100.0)
        sample = first(collector, Sample)
        assert (sample.domain, sample.kind) == (domain.uid, "power")
        assert sample.value == pytest.approx(1.05)
    assert not board.soc.power_measurement_enabled


def test_an_event_counts_once_though_it_is_handed_out_twice() -> None:
    soc = FakeSoc()
    soc.power_meter.events = lambda: [PowerEvent(7, 5_000_000, 200.0, 1000.0)]  # type: ignore[method-assign]
    meter = _Meter(soc)
    assert meter.ask() == 1.0
    with pytest.raises(ValueError, match="no new event"):
        meter.ask()


@pytest.mark.parametrize("power_mw", [0.0, -5.0, 1e6])
def test_what_it_cannot_draw(power_mw: float) -> None:
    soc = FakeSoc()
    soc.power_meter.pending = [PowerEvent(1, 5_000_000, 1.0, power_mw)]
    with pytest.raises(ValueError, match="which it cannot draw"):
        _Meter(soc).ask()


def test_a_library_that_fails() -> None:
    class Broken:
        @property
        def power_meter(self) -> None:
            msg = "device lost"
            raise RuntimeError(msg)

    with pytest.raises(ValueError, match="device lost"):
        _Meter(Broken()).ask()


def test_without_the_library_or_without_a_board() -> None:
    with started() as (_, found):
        assert "finds no board" in found.unavailable[0].reason
    [why] = AkidaCollector(Host(environ={"GREENGEN_AKIDA": "1"})).discover().unavailable
    assert "No module named 'akida'" in why.reason
    assert why.remedy == "pip install akida"
