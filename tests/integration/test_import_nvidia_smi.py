"""What nvidia-smi wrote on real machines, and logs of it with a known answer."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.integration.imports import DATA, imported, refused, report, shown

CAPTURES = DATA / "nvidia_smi"

HEADER = "timestamp, index, uuid, name, power.draw [W], power.draw.instant [W], utilization.gpu [%]"


def log(seconds: range, *, gpus: int = 1, draw: str = "150.00 W", instant: str = "[N/A]", busy: str = "50 %") -> str:
    rows = [
        f"2024/07/17 10:00:{s:02}.{100 * i:03}, {i}, GPU-{i}a, NVIDIA H100, {draw}, {instant}, {busy}"
        for s in seconds
        for i in range(gpus)
    ]
    return "\n".join([HEADER, *rows]) + "\n"


@pytest.mark.parametrize(
    ("name", "power_w", "field"),
    [
        ("h100_idle.csv", 69.62, "power.draw.instant"),
        ("h100_load.csv", 625.68, "power.draw.instant"),
        ("h100-mig_idle.csv", 70.72, "power.draw.instant"),
        ("h100-mig_load.csv", 447.35, "power.draw.instant"),
        ("l40s_idle.csv", 127.67, "power.draw.instant"),
        ("l40s_load.csv", 112.38, "power.draw.instant"),
        ("a100-sxm4-v12.xml", 67.03, "power.draw"),
        ("rtx-3080-v13.xml", 142.33, "power.draw.instant"),
        ("tesla-t4.xml", 26.78, "power.draw"),
    ],
)
def test_one_capture(tmp_path: Path, name: str, power_w: float, field: str) -> None:
    """The power it shows, and which of several fields that is; one reading is no energy, and not 0 J."""
    said = imported(tmp_path, "nvidia-smi", CAPTURES / name)
    assert f"one reading, {power_w:g} W" in said
    found = report(tmp_path)
    assert found["totals"]["energy_j"]["value"] is None
    (used,) = found["imported"][0]["power_field"].values()
    assert used.startswith(field)
    assert any("the imported logs hold no two readings" in warning for warning in found["warnings"])


def test_the_fields_that_were_not_used_are_named(tmp_path: Path) -> None:
    said = imported(tmp_path, "nvidia-smi", CAPTURES / "rtx-3080-v13.xml")
    assert "not used: power.draw.average 139.62 W" in said
    said = imported(tmp_path, "nvidia-smi", CAPTURES / "l40s_idle.csv", "--field", "power.draw", "--force")
    assert "one reading, 144.97 W" in said
    line = refused(tmp_path, "nvidia-smi", CAPTURES / "tesla-t4.xml", "--field", "power.draw.instant", "--force")
    assert "has no power.draw.instant" in line


def test_not_available_is_not_nothing(tmp_path: Path) -> None:
    imported(tmp_path, "nvidia-smi", CAPTURES / "gtx-1070-ti.xml")
    found = report(tmp_path)
    assert found["totals"]["energy_j"]["value"] is None
    assert found["domains"] == []
    assert any("GTX 1070 Ti" in row["what"] and "N/A" in row["why"] for row in found["boundary"]["not_covered"])
    assert "GTX 1070 Ti" in shown(tmp_path, "terminal")


@pytest.mark.parametrize("name", ["h100-mig_load.csv", "a100-sxm4-v12.xml"])
def test_mig(tmp_path: Path, name: str) -> None:
    imported(tmp_path, "nvidia-smi", CAPTURES / name)
    found = report(tmp_path)
    assert any("MIG is on" in warning and "whole board" in warning for warning in found["warnings"])


def test_several_gpus(tmp_path: Path) -> None:
    (tmp_path / "smi.csv").write_text(log(range(11), gpus=3, instant="100.00 W"))
    imported(tmp_path, "nvidia-smi", "smi.csv", "--timezone", "UTC")
    found = report(tmp_path)
    assert {row["domain"]: row["energy_j"]["value"] for row in found["domains"]} == {
        f"nvidia-smi:GPU-{i}a": pytest.approx(1000.0) for i in range(3)
    }
    # It was busy half of the time in each stretch: nobody's requests are known, so it is work outside of any.
    assert found["run"]["started"] == "2024-07-17T10:00:00+00:00"
    accounts = {row["account"]: row["energy_j"]["value"] for row in found["accounts"]}
    assert math.isclose(accounts["overhead"], 3000.0)


def test_a_gpu_that_was_not_busy_is_idle(tmp_path: Path) -> None:
    (tmp_path / "smi.csv").write_text(log(range(11), instant="100.00 W", busy="0 %"))
    imported(tmp_path, "nvidia-smi", "smi.csv")
    accounts = {row["account"]: row["energy_j"]["value"] for row in report(tmp_path)["accounts"]}
    assert (accounts["idle"], accounts["overhead"]) == (pytest.approx(1000.0), 0.0)


def test_readings_that_are_missing(tmp_path: Path) -> None:
    """Lines with [N/A] or an error are no readings: the seconds around them are bridged if they are few, and listed."""
    text = log(range(30), instant="100.00 W").splitlines()
    text[5] = text[5].replace("100.00 W", "[N/A]")
    text[6] = text[6].replace("100.00 W", "[Unknown Error]")
    for i in range(15, 25):
        text[i] = text[i].replace("100.00 W", "[GPU is lost]")
    (tmp_path / "smi.csv").write_text("\n".join(text))
    imported(tmp_path, "nvidia-smi", "smi.csv")
    found = report(tmp_path)
    assert found["imported"][0]["rejected_count"] == 12
    assert math.isclose(found["totals"]["energy_j"]["value"], 100.0 * (29 - 11))
    (gap,) = found["domains"][0]["unknown"]
    assert math.isclose(gap["t1_s"] - gap["t0_s"], 11.0)


def test_an_average_is_shifted_by_half_its_window(tmp_path: Path) -> None:
    (tmp_path / "smi.csv").write_text(log(range(11)))
    imported(tmp_path, "nvidia-smi", "smi.csv")
    assert "averaged over 1 s" in report(tmp_path)["boundary"]["covered"][0]["detail"]
    imported(tmp_path, "nvidia-smi", "smi.csv", "--window", "0", "--force")
    assert "averaged" not in report(tmp_path)["boundary"]["covered"][0]["detail"]


def test_a_file_without_a_header_or_units(tmp_path: Path) -> None:
    rows = [f"2024/07/17 10:00:{s:02}.000, 150.5" for s in range(11)]
    (tmp_path / "smi.csv").write_text("\n".join(rows))
    assert "--columns" in refused(tmp_path, "nvidia-smi", "smi.csv")
    imported(tmp_path, "nvidia-smi", "smi.csv", "--columns", "timestamp,power.draw", "--window", "0")
    assert math.isclose(report(tmp_path)["totals"]["energy_j"]["value"], 1505.0)


def test_a_log_that_was_stopped_in_a_line_and_started_again(tmp_path: Path) -> None:
    text = log(range(6), instant="100.00 W") + log(range(6, 11), instant="100.00 W") + "2024/07/17 10:00:1"
    (tmp_path / "smi.csv").write_text(text)
    imported(tmp_path, "nvidia-smi", "smi.csv")
    assert math.isclose(report(tmp_path)["totals"]["energy_j"]["value"], 1000.0)


def test_xml_written_over_and_over(tmp_path: Path) -> None:
    one = (CAPTURES / "tesla-t4.xml").read_text()
    texts = [one.replace("16:22:39", f"16:22:{s}") for s in range(40, 51)]
    (tmp_path / "smi.xml").write_text("\n".join(texts))
    imported(tmp_path, "nvidia-smi", "smi.xml", "--utc-offset", "-05:00")
    found = report(tmp_path)
    assert math.isclose(found["totals"]["energy_j"]["value"], 267.8)
    assert found["run"]["started"] == "2023-04-24T21:22:40+00:00"


def test_as_the_power_of_requests(tmp_path: Path) -> None:
    (tmp_path / "smi.csv").write_text(log(range(11), instant="100.00 W"))
    (tmp_path / "r.csv").write_text("start,end\n2024-07-17T10:00:02Z,2024-07-17T10:00:06Z\n")
    line = ("csv", "--power", "smi.csv", "--requests", "r.csv")
    assert "name no zone" in refused(tmp_path, *line)
    imported(tmp_path, *line, "--timezone", "UTC")
    (row,) = report(tmp_path)["requests"]
    assert math.isclose(row["energy_j"]["value"], 400.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "is not a table of nvidia-smi"),
        (HEADER + "\n", "holds no reading"),
        (log(range(3)).replace("10:00:01", "09:00:01"), "clock set back"),
        (log(range(3)).replace("2024/07/17 10:00:01.000, 0,", "0,"), "line 3 has 6 cells"),
        ("timestamp, count, power.draw [W]\n2024/07/17 10:00:01.000, 2, 100.00 W\n", "tells of 2 GPUs"),
        ("<?xml version='1.0'?><nvidia_smi_log><gpu>", "cut off"),
        ("<nvidia_smi_log><gpu></nvidia_smi_log>", "not the XML of nvidia-smi"),
        ("<!ENTITY a 'b'><nvidia_smi_log></nvidia_smi_log>", "declares entities"),
        (log(range(3), draw="150.00 BTU"), "BTU"),
    ],
)
def test_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "smi").write_text(text)
    assert said in refused(tmp_path, "nvidia-smi", "smi")
