"""Cards that a maker's command tells of: rows, gaps, freezes, and commands that fail or hang."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from greengen.collector import Collector, Discovery, Domain, Event, Host, Sample, Usage
from greengen.collectors import _cards
from greengen.collectors._cards import Card, Tool
from greengen.collectors.ascend import AscendCollector
from greengen.collectors.gaudi import GaudiCollector
from greengen.collectors.hailo import HailoCollector
from greengen.collectors.qualcomm import QualcommCollector
from greengen.testing.fake_commands import fake_command, hl_smi, measure_power, npu_smi_info, qaic_util
from tests.unit.readings import opened, several

S = 1_000_000_000
TOOL = Tool("maker", "smi", (), 1.0, 5.0, 500.0, 0.05, 1.0, "the card", "call the maker")
CARD = Card("A1", "Card", 120.0, busy=0.5, limit_w=200.0)


class Maker(NamedTuple):
    """A collector, its program, what that says of two cards, and their powers, W, by uid."""

    collector: Callable[[Host], Collector]
    program: str
    text: str
    powers: dict[str, float]


MAKERS = [
    Maker(
        AscendCollector,
        "npu-smi",
        npu_smi_info(("910B3", ("287.4",)), ("Ascend910", ("178.5", "-"))),
        {"ascend:0000:9D:00.0": 287.4, "ascend:0000:A1:00.0": 178.5},
    ),
    Maker(
        GaudiCollector,
        "hl-smi",
        hl_smi((2, "226 W", "0 %"), (1, "96 W", "3 %")),
        {"gaudi:01P4-HL3090A0-18-U4V193-22-07-00": 226.0, "gaudi:01P4-HL3090A0-18-U4V193-22-07-01": 96.0},
    ),
    Maker(
        QualcommCollector,
        "qaic-util",
        qaic_util(("S1", 48, 11), ("S1", 48, 12), ("S2", 0, 20)),
        {"qualcomm:S1": 48.0, "qualcomm:S2": 20.0},
    ),
    Maker(
        HailoCollector,
        "hailortcli",
        measure_power(("0000:01:00.0", 2.84), ("0000:02:00.0", 1.5)),
        {"hailo:0000:01:00.0": 2.84, "hailo:0000:02:00.0": 1.5},
    ),
]
EACH = pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.program)


@EACH
def test_each_card_is_a_domain(maker: Maker, tmp_path: Path) -> None:
    fake_command(tmp_path, maker.program, maker.text)
    with opened(maker.collector(Host(environ={"PATH": str(tmp_path)}))) as (collector, found):
        assert isinstance(collector, Collector)
        assert [domain.uid for domain in found.domains] == list(maker.powers)
        assert {(domain.kind, domain.reading, domain.grade) for domain in found.domains} == {
            ("npu", "power", "measured")
        }
        assert all(domain.max_power_w and domain.gain and domain.split_reason for domain in found.domains)
        samples = several(collector, Sample, 2)[:2]
    assert {row.domain: row.value for row in samples} == maker.powers
    assert {row.kind for row in samples} == {"power"}


@EACH
def test_without_the_command_nothing_is_said(maker: Maker, tmp_path: Path) -> None:
    with opened(maker.collector(Host(environ={"PATH": str(tmp_path)}))) as (collector, found):
        assert found == Discovery()
        assert list(collector.read()) == []


@EACH
@pytest.mark.parametrize("output", ["", "%PDF-1.4 \x01\x02| | |\n+--+\n| 0 | x | |"])
def test_garbage_is_said(maker: Maker, output: str, tmp_path: Path) -> None:
    fake_command(tmp_path, maker.program, output)
    with opened(maker.collector(Host(environ={"PATH": str(tmp_path)}))) as (_, found):
        [why] = found.unavailable
    assert maker.program in why.reason
    assert why.remedy


@EACH
def test_a_command_that_may_not(maker: Maker, tmp_path: Path) -> None:
    fake_command(tmp_path, maker.program, "", code=255, error="dcmi module initialize failed. ret is -8005")
    with opened(maker.collector(Host(environ={"PATH": str(tmp_path)}))) as (_, found):
        [why] = found.unavailable
    assert "failed (255): dcmi module initialize failed" in why.reason
    assert why.remedy


def test_a_command_that_begins_to_fail_is_a_gap_and_one_that_hangs_ends_with_the_collector(tmp_path: Path) -> None:
    fake_command(tmp_path, "hl-smi", hl_smi((0, "226 W", "0 %"), (1, "96 W", "3 %")))
    collector = GaudiCollector(Host(environ={"PATH": str(tmp_path)}))
    try:
        collector.discover()
        fake_command(tmp_path, "hl-smi", "", code=1, error="driver not loaded")
        gaps = several(collector, Event, 2)
        assert {gap.kind for gap in gaps} == {"gap"}
        assert {gap.subject[-2:] for gap in gaps} == {"00", "01"}
        assert all("driver not loaded" in gap.reason for gap in gaps)
        fake_command(tmp_path, "hl-smi", "", seconds=600)
        calls = tmp_path / "hl-smi.calls"
        before = len(calls.read_text().splitlines())
        deadline = time.monotonic() + 30
        while len(calls.read_text().splitlines()) == before:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        assert list(collector.read()) == []  # while the command hangs, reading does not
    finally:
        collector.close()
    assert list(collector.read()) == []


def rows(domain: Domain, use: list[Usage]) -> _cards._Rows:
    return _cards._Rows("smi", {"A1": domain}, use)


def test_busy_time_adds_up_over_what_was_read() -> None:
    use: list[Usage] = []
    told = rows(_cards._domain(TOOL, CARD), use)
    for second in range(3):
        list(told(second * S, {"A1": CARD}))
    assert [usage.busy_ns for usage in use] == [0, S // 2, S]
    list(told(60 * S, {"A1": CARD}))
    list(told(61 * S, {"A1": CARD}))
    assert [usage.busy_ns for usage in use[3:]] == [S, 3 * S // 2]  # of the time in between nobody knows
    assert {(usage.resource, usage.consumer) for usage in use} == {("maker:A1", "machine")}


def test_of_a_card_without_use_nothing_is_counted() -> None:
    use: list[Usage] = []
    domain = _cards._domain(TOOL, replace(CARD, busy=None))
    assert domain.activity is None
    assert len(list(rows(domain, use)(0, {"A1": replace(CARD, busy=None)}))) == 1
    assert use == []


@pytest.mark.parametrize(
    ("card", "words"),
    [
        (None, "smi lists it no longer"),
        (replace(CARD, power_w=None, trouble="shows 'N/A'"), "shows 'N/A'"),
        (replace(CARD, power_w=0.0), "0 W, which no card draws"),
        (replace(CARD, power_w=-3.0), "-3 W, which it cannot draw"),
        (replace(CARD, power_w=65_535.0), "65535 W, which it cannot draw"),
        (replace(CARD, power_w=401.0), "401 W, which it cannot draw"),
    ],
)
def test_what_is_no_reading_is_a_gap_told_once(card: Card | None, words: str) -> None:
    use: list[Usage] = []
    told = rows(_cards._domain(TOOL, CARD), use)
    lost = {} if card is None else {"A1": card}
    seen = [*told(0, {"A1": CARD}), *told(S, lost), *told(2 * S, lost), *told(3 * S, {"A1": CARD})]
    kinds = [row.kind for row in seen]
    assert kinds == ["power", "gap", "power"]
    assert isinstance(seen[1], Event)
    assert words in seen[1].reason
    assert use[-1].busy_ns == 0  # nobody knows how busy it was in between


def test_a_power_that_stands_still_to_the_last_digit_is_told_once() -> None:
    told = rows(_cards._domain(TOOL, CARD), [])
    card = replace(CARD, power_w=120.125)
    seen = [row for second in range(0, 200, 10) for row in told(second * S, {"A1": card})]
    [freeze] = [row for row in seen if isinstance(row, Event)]
    assert (freeze.kind, freeze.t_ns) == ("freeze", 60 * S)
    assert "120.125 W for 60 s" in freeze.reason
    whole = rows(_cards._domain(TOOL, CARD), [])
    assert not [row for second in range(200) for row in whole(second * S, {"A1": CARD}) if isinstance(row, Event)]


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [("226 W", "W", 226.0), ("91.3", "", 91.3), ("N/A", "W", None), ("-", "", None), ("inf", "", None), ("", "", None)],
)
def test_numbers(text: str, unit: str, value: float | None) -> None:
    assert _cards.number(text, unit) == value
