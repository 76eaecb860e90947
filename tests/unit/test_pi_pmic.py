"""The Raspberry Pi 5's power chip through a fake vcgencmd on the PATH."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from greengen.collector import Collector, Discovery, Event, Sample
from greengen.collectors.pi_pmic import PiPmicCollector, rails_w
from greengen.testing import trees
from greengen.testing.fake_commands import fake_command, pmic_read_adc
from tests.hosts import loading
from tests.unit.readings import first, opened

#: Of a real board: github.com/jfikar/RPi5-power, README.md.
REAL = """ 3V7_WL_SW_A current(0)=0.00000000A
   3V3_SYS_A current(1)=0.06245952A
   1V8_SYS_A current(2)=0.16102850A
  VDD_CORE_A current(7)=10.87674000A
      HDMI_A current(22)=0.01367520A
 3V7_WL_SW_V volt(8)=3.79999600V
   3V3_SYS_V volt(9)=3.30632200V
   1V8_SYS_V volt(10)=1.79828900V
  VDD_CORE_V volt(15)=0.89745940V
      HDMI_V volt(23)=5.07056000V
     EXT5V_V volt(24)=5.06788000V
      BATT_V volt(25)=3.01110800V
"""


def board(tmp_path: Path) -> PiPmicCollector:
    host = loading.build("raspberry_pi_5", tmp_path / "machine")
    return PiPmicCollector(replace(host, environ={"PATH": str(tmp_path)}))


def test_other_boards_are_not_asked(tmp_path: Path) -> None:
    fake_command(tmp_path, "vcgencmd", pmic_read_adc())
    host = replace(trees.machine(tmp_path / "m", model="x", cpus=1), environ={"PATH": str(tmp_path)})
    collector = PiPmicCollector(host)
    assert isinstance(collector, Collector)
    assert collector.discover() == Discovery()
    assert list(collector.read()) == []
    assert not (tmp_path / "vcgencmd.calls").exists()


def test_a_real_output_pairs_rails_by_name() -> None:
    found = rails_w(REAL)
    assert list(found) == ["3V7_WL_SW", "3V3_SYS", "1V8_SYS", "VDD_CORE", "HDMI"]
    assert found["VDD_CORE"] == pytest.approx(10.87674 * 0.8974594)
    assert sum(found.values()) == pytest.approx(10.3268, abs=1e-3)


def test_board_and_core(tmp_path: Path) -> None:
    fake_command(tmp_path, "vcgencmd", pmic_read_adc(core_a=2.5))
    with opened(board(tmp_path)) as (collector, found):
        whole, core = found.domains
        assert (whole.uid, whole.kind, whole.contains) == ("pi_pmic:board", "board", (core.uid, "cpu_model:*"))
        assert "Raspberry Pi 5 Model B Rev 1.0" in whole.name
        sample = first(collector, Sample)
        assert (sample.domain, sample.kind) == (whole.uid, "power")
        assert sample.value == pytest.approx(3.0)
    assert set((tmp_path / "vcgencmd.calls").read_text().splitlines()) == {"pmic_read_adc"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (REAL.replace("  VDD_CORE_V volt(15)=0.89745940V\n", ""), "no voltage of VDD_CORE"),
        (REAL.replace("10.87674000A", "1087.67400000A"), "not believed"),
        (REAL.replace("0.06245952A", "-0.06245952A"), "not believed"),
        ("VCHI initialization failed", "no current"),
        ('error=1 error_msg="Command not registered"', "no current"),
        ("", "no current"),
    ],
)
def test_what_is_no_reading(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rails_w(text)


def test_no_permission_and_no_command(tmp_path: Path) -> None:
    with opened(board(tmp_path)) as (_, found):
        assert "not on the PATH" in found.unavailable[0].reason
        assert "raspi-utils" in found.unavailable[0].remedy


def test_no_permission(tmp_path: Path) -> None:
    said = "Can't open device file: /dev/vcio"
    fake_command(tmp_path, "vcgencmd", "", code=255, error=said)
    with opened(board(tmp_path)) as (_, found):
        assert said in found.unavailable[0].reason
        assert "group video" in found.unavailable[0].remedy


def test_a_failure_is_one_gap_of_both_and_then_readings_again(tmp_path: Path) -> None:
    fake_command(tmp_path, "vcgencmd", pmic_read_adc())
    with opened(board(tmp_path)) as (collector, _):
        fake_command(tmp_path, "vcgencmd", "", code=1, error="VCHI initialization failed")
        assert first(collector, Event).reason.endswith("VCHI initialization failed")
        fake_command(tmp_path, "vcgencmd", pmic_read_adc())
        assert first(collector, Sample).value == pytest.approx(1.6)
