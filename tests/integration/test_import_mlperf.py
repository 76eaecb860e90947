"""Published runs with published answers: MLPerf inference with an analyser at the wall, MLPerf Tiny with its trace."""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path

import pytest

from tests.integration.imports import imported, refused, report, run, shown, unpacked

#: mlcommons/cm4mlperf-results, Result_Power.
PUBLISHED_W = 6280.213999999994

#: µJ per inference of each window, as results.txt has it.
PUBLISHED_UJ = {
    "tiny_stm32l4r5": (1821.699, 1820.454, 1819.235, 1821.194, 1819.064),
    "tiny_ndp9120": (31.61, 31.475, 31.575, 31.453, 31.537),
}


def test_the_published_run(tmp_path: Path) -> None:
    """Mean power by the published rule, energy by integration, and each number per something with its denominator."""
    unpacked("mlperf_server", tmp_path)
    said = imported(tmp_path, "mlperf", "mlperf_server")
    assert "6280.214 W" in said
    found = report(tmp_path)
    (log,) = found["imported"]
    assert math.isclose(log["mean_power_w"], PUBLISHED_W, abs_tol=1e-6)
    assert math.isclose(found["totals"]["energy_j"]["value"], 15_700_326.984427229, rel_tol=1e-9)
    assert log["energy_j"] == found["totals"]["energy_j"]["value"]
    assert math.isclose(log["energy_mean_times_duration_j"], 15_700_861.571127985, rel_tol=1e-9)
    assert log["readings"] | {"channel": ""} == {
        "in_file": 3056,
        "strictly_inside_window": 2500,
        "before_window": 520,
        "after_window": 36,
        "channel": "",
    }
    assert (log["rejected"], log["duplicate_stamps"], log["irregular_gaps"]) == ([], [], [])
    assert (log["min_power_w"], log["max_power_w"]) == (2680.9, 6389.5)
    assert math.isclose(log["mean_concurrency"], 3121.7677713122766, rel_tol=1e-12)
    by_count, by_rate = log["energy_per_query"]
    assert by_count["denominator"] == "result_query_count = 196608"
    assert round(by_count["energy_j"], 2) == 79.86
    assert math.isclose(by_rate["energy_j"], 79.13855327556911, rel_tol=1e-9)
    (model,) = found["models"]
    assert (model["model"], model["requests"], model["succeeded"]) == ("llama2-70b", 196_608, 196_608)
    assert round(model["energy_j_per_request"]["value"], 2) == 79.86
    assert round(model["energy_j_per_output_token"]["value"], 4) == 0.2717
    assert math.isclose(log["energy_per_output_token"][0]["energy_j"], 0.2717166455386769, rel_tol=1e-9)
    assert model["input_tokens"] is None
    (request,) = found["requests"]
    assert (request["requests"], request["coverage"]) == (196_608, 1.0)
    # The log names no zone, and test_datetime and server.json contradict it: no date is made up.
    assert found["run"]["started"] is None
    assert any("interpolated" in warning for warning in found["warnings"])


@pytest.mark.parametrize("format_", ["terminal", "html", "markdown"])
def test_every_report_tells_what_the_log_states(tmp_path: Path, format_: str) -> None:
    unpacked("mlperf_server", tmp_path)
    imported(tmp_path, "mlperf", "mlperf_server")
    text = " ".join(shown(tmp_path, format_).split())
    for told in ("6280.214 W", "15,700,327 J", "196608", "79.86 J", "0.2717 J", "3,122"):
        assert told in text, told
    assert re.search("196,?608", text)


def test_a_log_with_failed_reads(tmp_path: Path) -> None:
    unpacked("mlperf_dirty", tmp_path)
    imported(tmp_path, "mlperf", "mlperf_dirty")
    found = report(tmp_path)
    (log,) = found["imported"]
    assert math.isclose(log["mean_power_w"], 6215.421440000001, rel_tol=1e-12)
    assert math.isclose(found["totals"]["energy_j"]["value"], 15_544_375.907929478, rel_tol=1e-9)
    assert [(line["line"], line["inside_window"]) for line in log["rejected"]] == [(538, True), (3038, False)]
    assert all("-1.000000" in line["reason"] for line in log["rejected"])
    assert (log["rejected_count"], log["rejected_inside_window_count"]) == (2, 1)
    assert math.isclose(log["largest_gap_s"], 1.017, abs_tol=1e-9)
    assert math.isclose(log["largest_gap_between_valid_in_window_s"], 1.999, abs_tol=1e-9)
    # No stamp of this log stands twice, and none is far from the next.
    assert (log["duplicate_stamps"], log["irregular_gaps"]) == ([], [])
    assert any("538, 3038" in warning for warning in found["warnings"])
    assert "1.017 s" in shown(tmp_path, "terminal")


def test_a_duplicate_stamp_and_a_hole_are_listed(tmp_path: Path) -> None:
    """Planted into the real log: a line with the stamp of the one before, and 30 s that are missing."""
    place = unpacked("mlperf_server", tmp_path)
    lines = (place / "spl.txt").read_text().splitlines()
    stamp = lines[1000].split(",")[1]
    again = lines[1001].split(",")
    again[1] = stamp
    lines[1001] = ",".join(again)
    del lines[2000:2030]
    (place / "spl.txt").write_text("\n".join(lines))
    imported(tmp_path, "mlperf", place)
    found = report(tmp_path)
    (log,) = found["imported"]
    assert [twice["lines"] for twice in log["duplicate_stamps"]] == [[1001, 1002]]
    assert math.isclose(log["largest_gap_s"], 31.0, abs_tol=0.01)
    assert log["irregular_gaps_count"] == 2  # the hole, and the 2 s that the moved stamp leaves
    # The hole is in no account, and the report says how much of the window is known.
    (domain,) = found["domains"]
    (gap,) = domain["unknown"]
    assert math.isclose(gap["t1_s"] - gap["t0_s"], 31.0, abs_tol=0.01)
    (request,) = found["requests"]
    assert math.isclose(request["coverage"], 1 - 31.0 / 2500.052, abs_tol=1e-4)
    assert math.isclose(found["totals"]["coverage"], request["coverage"], rel_tol=1e-9)


def test_the_folder_of_a_submission(tmp_path: Path) -> None:
    """run_1 is the measured run; ranging, beside it, only sets the analyser's ranges."""
    for name, inside in (("mlperf_server", "run_1"), ("mlperf_dirty", "ranging")):
        unpacked(name, tmp_path).rename(tmp_path / inside)
    imported(tmp_path, "mlperf", ".", "--model", "my-llama", "--timezone", "UTC")
    found = report(tmp_path)
    assert found["models"][0]["model"] == "my-llama"
    assert round(found["totals"]["energy_j"]["value"]) == 15_700_327
    assert found["run"]["started"] == "2024-07-17T20:58:36+00:00"
    (tmp_path / "ranging").rename(tmp_path / "run_2")
    (tmp_path / "m.greengen").unlink()
    assert "holds several runs" in refused(tmp_path, "mlperf", ".")


def test_importing_again_is_the_same_run(tmp_path: Path) -> None:
    place = unpacked("mlperf_dirty", tmp_path)
    imported(tmp_path, "mlperf", place, out="a.greengen")
    imported(tmp_path, "mlperf", place, out="b.greengen")
    one, both = report(tmp_path, "a.greengen"), report(tmp_path, "a.greengen", "b.greengen")
    for key in ("totals", "accounts", "domains", "models", "requests", "imported"):
        assert one[key] == both[key], key


def test_lines_that_hold_no_reading(tmp_path: Path) -> None:
    """A read that failed in other ways, and a last line that was cut off: listed, and no part of the mean."""
    place = unpacked("mlperf_server", tmp_path)
    lines = (place / "spl.txt").read_text().splitlines()
    kept = [float(line.split(",")[3]) for line in lines[520:3020]]
    for i, value in ((1000, "nan"), (1500, "0.000000"), (2000, "-2.000000"), (2500, "x")):
        cells = lines[i].split(",")
        kept.remove(float(cells[3]))
        lines[i] = ",".join([*cells[:3], value, *cells[4:]])
    (place / "spl.txt").write_text("\n".join([*lines, lines[3000][:20]]))
    imported(tmp_path, "mlperf", place)
    (log,) = report(tmp_path)["imported"]
    assert [line["line"] for line in log["rejected"]] == [1001, 1501, 2001, 2501, 3058]
    assert math.isclose(log["mean_power_w"], math.fsum(kept) / len(kept), rel_tol=1e-12)


def test_a_power_log_that_ends_too_early(tmp_path: Path) -> None:
    place = unpacked("mlperf_server", tmp_path)
    lines = (place / "spl.txt").read_text().splitlines()
    (place / "spl.txt").write_text("\n".join(lines[:1770]))
    imported(tmp_path, "mlperf", place)
    found = report(tmp_path)
    assert 0.49 < found["totals"]["coverage"] < 0.51
    assert any("does not cover the window" in warning for warning in found["warnings"])
    assert any("covered by readings in part" in warning for warning in found["warnings"])


@pytest.mark.parametrize("name", PUBLISHED_UJ)
def test_published_energy_per_inference(tmp_path: Path, name: str) -> None:
    unpacked(name, tmp_path)
    imported(tmp_path, "energyrunner", name)
    found = report(tmp_path)
    published = PUBLISHED_UJ[name]
    measured = [row["energy_j"]["value"] / row["requests"] * 1e6 for row in found["requests"]]
    for value, expected in zip(measured, published, strict=True):
        assert math.isclose(value, expected, rel_tol=2e-4)
    (log,) = found["imported"]
    assert math.isclose(log["median_energy_uj_per_inference"], sorted(published)[2], rel_tol=2e-4)
    assert log["published_median_energy_uj_per_inference"] == sorted(published)[2]
    (model,) = found["models"]
    assert model["requests"] == sum(row["requests"] for row in found["requests"])
    assert math.isclose(model["energy_j_per_request"]["value"] * 1e6, sum(published) / 5, rel_tol=2e-4)


@pytest.mark.parametrize("format_", ["terminal", "html", "markdown"])
def test_microjoules_are_not_nothing(tmp_path: Path, format_: str) -> None:
    unpacked("tiny_ndp9120", tmp_path)
    imported(tmp_path, "energyrunner", "tiny_ndp9120")
    text = shown(tmp_path, format_)
    assert "31.5 uJ" in text
    assert "0.000 J" not in text


def test_microjoules_in_csv(tmp_path: Path) -> None:
    unpacked("tiny_ndp9120", tmp_path)
    imported(tmp_path, "energyrunner", "tiny_ndp9120", "--inferences", "3000")
    header, *rows = (line.split(",") for line in shown(tmp_path, "csv").splitlines())
    energy, requests = header.index("energy_j"), header.index("requests")
    assert math.isclose(float(rows[0][energy]) / int(rows[0][requests]), 31.61e-6, rel_tol=2e-4)


def test_one_inference_is_not_nothing(tmp_path: Path) -> None:
    """A whole trace of one inference, 31.5 uJ: also as the sum of the accounts and the total."""
    (tmp_path / "t-energy.bin").write_bytes(b"\xf1" + struct.pack("<f30f", 1000.0, *[1.05] * 30))
    (tmp_path / "t-timestamps.json").write_text("[0.0, 0.0, 0.03]")
    imported(tmp_path, "energyrunner", ".", "--inferences", "1", "--model", "kws")
    assert math.isclose(report(tmp_path)["totals"]["energy_j"]["value"], 31.5e-6, rel_tol=1e-6)
    for format_ in ("terminal", "html", "markdown"):
        text = shown(tmp_path, format_)
        assert "31.5 uJ" in text
        assert "0.000 J" not in text
    assert "3.14999986e-05 J" in shown(tmp_path, "html").partition("Sum of the accounts")[2][:80]


def test_bad_mlperf(tmp_path: Path) -> None:
    place = unpacked("mlperf_server", tmp_path)
    detail, power = (place / "mlperf_log_detail.txt"), (place / "spl.txt")
    kept, readings = detail.read_text(), power.read_text()

    assert "there is no directory nowhere" in refused(tmp_path, "mlperf", "nowhere")
    (tmp_path / "empty").mkdir()
    assert "spl.txt" in refused(tmp_path, "mlperf", "empty")

    detail.write_text(kept.replace('"power_begin"', '"powr_begin"'))
    assert "has no power_begin" in refused(tmp_path, "mlperf", place)
    detail.write_text(kept.replace("07-17-2024 21:40:16.287", "07-17-2024 20:00:00.000"))
    assert "is not after power_begin" in refused(tmp_path, "mlperf", place)
    detail.write_text(kept.replace("07-17-2024", "07-18-2024"))
    line = refused(tmp_path, "mlperf", place)
    assert "2024-07-17 20:49:56.945" in line  # both ranges are shown
    assert "2024-07-18 21:40:16.287" in line
    detail.write_text(kept.replace('"power_begin", "value": "07-17-2024 20:58:36.235"', '"power_begin", "value": "x"'))
    assert "MM-DD-YYYY" in refused(tmp_path, "mlperf", place)
    detail.write_text(kept[:5000])
    assert "cut off" in refused(tmp_path, "mlperf", place)
    detail.write_text("hello\n")
    assert "not a loadgen log" in refused(tmp_path, "mlperf", place)
    detail.write_text("\n".join(line for line in kept.splitlines() if "result_query_count" not in line))
    assert "result_query_count" in refused(tmp_path, "mlperf", place)
    detail.write_text(kept)

    power.write_text("t,W\n1,2\n")
    assert "not a PTDaemon log" in refused(tmp_path, "mlperf", place)
    lines = readings.splitlines()
    power.write_text("\n".join([*lines[:1000], *lines[900:]]))
    assert "clock set back" in refused(tmp_path, "mlperf", place)
    power.write_text(readings.replace("07-17-2024", "17/07/2024", 1))
    assert "MM-DD-YYYY" in refused(tmp_path, "mlperf", place)
    power.unlink()
    assert "spl.txt" in refused(tmp_path, "mlperf", place)

    power.write_text(readings)
    assert "unknown time zone" in refused(tmp_path, "mlperf", place, "--timezone", "Europe/Berln")
    assert "Missing option" in run(tmp_path, "import", "mlperf", place).stderr


def test_an_existing_run_is_kept(tmp_path: Path) -> None:
    place = unpacked("tiny_ndp9120", tmp_path)
    imported(tmp_path, "energyrunner", place)
    before = (tmp_path / "m.greengen").read_bytes()
    assert "--force" in refused(tmp_path, "energyrunner", place)
    assert (tmp_path / "m.greengen").read_bytes() == before
    imported(tmp_path, "energyrunner", place, "--force")
    assert "not a run file" in refused(tmp_path, "energyrunner", place, "--force", out="tiny_ndp9120/log.txt")


def test_bad_traces(tmp_path: Path) -> None:
    place = unpacked("tiny_ndp9120", tmp_path)
    trace, times = place / "trace1-energy.bin", place / "trace1-timestamps.json"
    whole, spoken = trace.read_bytes(), times.read_text()

    trace.write_bytes(whole[:200_001])
    assert "window 4 ends at 65.022 s" in refused(tmp_path, "energyrunner", place)
    trace.write_bytes(whole[:-2])
    assert "cut off in the middle of sample" in refused(tmp_path, "energyrunner", place)
    trace.write_bytes(b"\x00" + whole[1:])
    assert "not an EnergyRunner trace" in refused(tmp_path, "energyrunner", place)
    trace.write_bytes(b"")
    assert "it is empty" in refused(tmp_path, "energyrunner", place)
    trace.write_bytes(whole[:405] + b"\x00\x00\xc0\x7f" + whole[409:])
    assert "sample 101 is nan" in refused(tmp_path, "energyrunner", place)
    trace.write_bytes(whole[:405] + b"\x00\x00\x80\xbf" + whole[409:])
    assert "sample 101 is -1" in refused(tmp_path, "energyrunner", place)
    trace.write_bytes(whole)
    for text in ("[1, 2]", '{"a": 1}', "[0, 5, 4]", "[0, 1", '["a", "b", "c"]'):
        times.write_text(text)
        assert "trace1-timestamps.json" in refused(tmp_path, "energyrunner", place)
    times.write_text(spoken)
    (place / "results.txt").unlink()
    (place / "log.txt").unlink()
    assert "--inferences" in refused(tmp_path, "energyrunner", place)
    assert "EnergyRunner" in refused(tmp_path, "energyrunner", tmp_path)
