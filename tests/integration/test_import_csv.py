"""Tables of powers and requests: units, zones and columns as the user says, and what cannot be known is asked for."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.integration.imports import imported, refused, report, run, shown

POWER = "time,power [W]\n" + "".join(f"2024-07-17T10:00:{s:02}Z,{100 if s < 30 else 300}\n" for s in range(60))
REQUESTS = """\
id,start,end,model,prompt_tokens,completion_tokens,tenant
a,2024-07-17T10:00:00Z,2024-07-17T10:00:10Z,small,10,20,x
b,2024-07-17T10:00:40Z,2024-07-17T10:00:50Z,large,100,50,y
"""


def logs(directory: Path, power: str = POWER, requests: str = REQUESTS) -> tuple[str, ...]:
    (directory / "p.csv").write_text(power)
    (directory / "r.csv").write_text(requests)
    return ("csv", "--power", "p.csv", "--requests", "r.csv")


def by_name(found: dict[str, Any]) -> dict[str, Any]:
    return {row["name"]: row for row in found["requests"]}


def test_requests_get_their_energy(tmp_path: Path) -> None:
    said = imported(tmp_path, *logs(tmp_path))
    assert "--covers" in said
    assert "--gain" in said
    (tmp_path / "m.greengen").unlink()
    said = imported(
        tmp_path,
        *logs(tmp_path),
        "--covers",
        "wall",
        "--gain",
        "0.01",
        "--label",
        "tenant",
        "--tier",
        "cloud",
        "--host",
        "h1",
    )
    assert "--covers" not in said
    assert "--gain" not in said
    found = report(tmp_path)
    rows = by_name(found)
    total = found["totals"]["energy_j"]
    # The gain, and when within its second the one step of 200 W was.
    sigma_j = math.hypot(0.01 * total["value"], 200 / math.sqrt(12))
    assert math.isclose(total["high"] - total["low"], 2 * 1.96 * sigma_j, rel_tol=0.05)
    assert math.isclose(rows["a"]["energy_j"]["value"], 1000.0)
    assert math.isclose(rows["b"]["energy_j"]["value"], 3000.0)
    assert (rows["b"]["input_tokens"], rows["b"]["output_tokens"], rows["b"]["model"]) == (100, 50, "large")
    assert (rows["a"]["labels"], rows["a"]["coverage"]) == ({"tenant": "x"}, 1.0)
    assert (found["run"]["started"], found["run"]["hostname"]) == ("2024-07-17T10:00:00+00:00", "h1")
    assert found["run"]["tier"] == "cloud"
    assert found["domains"][0]["kind"] == "wall"
    assert {row["model"]: row["energy_j_per_output_token"]["value"] for row in found["models"]} == {
        "small": 50.0,
        "large": 60.0,
    }


@pytest.mark.parametrize(
    ("header", "cell", "option"),
    [
        ("power [mW]", "{}000", ()),
        ("power (kW)", "0.{}", ()),
        ("draw", "{}.0 W", ("--power-column", "draw")),
        ("draw", "{}000 mW", ("--power-column", "draw")),
        ("draw", "{}", ("--power-column", "draw", "--power-unit", "W")),
        ("power_w", "{}", ()),
    ],
)
def test_units(tmp_path: Path, header: str, cell: str, option: tuple[str, ...]) -> None:
    """300 W for a minute, however it is written."""
    rows = "".join(f"2024-07-17T10:00:{s:02}Z;{cell.format('300' if '0.' not in cell else '3')}\n" for s in range(60))
    logs(tmp_path, f"timestamp;{header}\n{rows}")
    imported(tmp_path, "csv", "--power", "p.csv", *option)
    assert math.isclose(report(tmp_path)["totals"]["energy_j"]["value"], 59 * 300.0)


@pytest.mark.parametrize(
    ("power_time", "request_time", "options"),
    [
        ("2024-07-17 12:00:{:02}", "2024-07-17T10:00:{:02}Z", ("--timezone", "Europe/Berlin")),
        ("2024-07-17 12:00:{:02}", "2024-07-17T10:00:{:02}Z", ("--utc-offset", "+02:00")),
        ("2024-07-17T10:00:{:02}Z", "2024/07/17 03:00:{:02}.000", ("--requests-utc-offset", "-07:00")),
        ("17212104{:02}", "17212104{:02}000", ()),
        ("17212104{:02}.0", "17212104{:02}000000", ()),
        ("{}", "{}000", ("--epoch", "s", "--requests-epoch", "ms")),
        (
            "17.07.2024 10:00:{:02}",
            "2024-07-17T10:00:{:02}Z",
            ("--time-format", "%d.%m.%Y %H:%M:%S", "--timezone", "UTC"),
        ),
        ("2024-07-17T10:00:{:02}Z", "2024-07-17T10:01:{:02}Z", ("--requests-shift", "-60")),
    ],
)
def test_clocks(tmp_path: Path, power_time: str, request_time: str, options: tuple[str, ...]) -> None:
    power = "time,power_w\n" + "".join(f"{power_time.format(s)},{s}\n" for s in range(10, 60))
    requests = f"start,end\n{request_time.format(20)},{request_time.format(30)}\n"
    line = logs(tmp_path, power, requests)
    if "--time-format" in options:
        options = (*options, "--requests-time-format", "%Y-%m-%dT%H:%M:%SZ")
    imported(tmp_path, *line, *options)
    (row,) = report(tmp_path)["requests"]
    assert math.isclose(row["energy_j"]["value"], 250.0)


def test_several_meters_and_cells_without_a_reading(tmp_path: Path) -> None:
    rows = [
        f"2024-07-17T10:00:{s:02}Z,{name},{w}" for s in range(10) for name, w in (("a", 10), ("b", "20"), ("c", "N/A"))
    ]
    logs(tmp_path, "\n".join(["time,meter,power_w", *rows]))
    imported(tmp_path, "csv", "--power", "p.csv", "--device-column", "meter")
    found = report(tmp_path)
    assert {row["domain"]: row["energy_j"]["value"] for row in found["domains"]} == {"csv:a": 90.0, "csv:b": 180.0}
    # What reads N/A is not there, which is not 0 W.
    assert any(row["what"] == "c" and "N/A" in row["why"] for row in found["boundary"]["not_covered"])


def test_requests_outside_the_readings(tmp_path: Path) -> None:
    """One before, one half inside, one after, one over a hole: nothing is lost, and nothing unread is 0."""
    power = "time,power_w\n" + "".join(f"17212104{s:02},100\n" for s in [*range(20, 50), *range(70, 90)])
    requests = "id,start,end,model\n" + "".join(
        f"{name},17212104{a:02},17212104{b:02},m\n"
        for name, a, b in (("before", 1, 9), ("half", 10, 30), ("hole", 45, 74), ("in", 30, 40), ("after", 91, 99))
    )
    imported(tmp_path, *logs(tmp_path, power, requests))
    found = report(tmp_path)
    rows = by_name(found)
    for name in ("before", "after"):
        assert rows[name]["energy_j"]["value"] is None
        assert rows[name]["coverage"] == 0.0
    assert math.isclose(rows["half"]["coverage"], 0.5)
    assert math.isclose(rows["half"]["energy_j"]["value"], 1000.0)
    assert math.isclose(rows["hole"]["coverage"], 8 / 29)
    assert rows["in"]["coverage"] == 1.0
    assert math.isclose(found["totals"]["coverage"], (29 + 19) / 98)
    (model,) = found["models"]
    assert (model["requests"], model["requests_not_measured"]) == (5, 2)
    # Those that were not measured do not make the others cheaper.
    assert math.isclose(model["energy_j_per_request"]["value"], (1000 + 1000 + 800) / 3)
    warnings = " ".join(found["warnings"])
    for text in (
        "2 requests begin before the first power reading",
        "1 requests end after the last power reading",
        "2 request(s) lie where no domain was read",
        "2 request(s) are covered by readings in part, the least of them for 27.6%",
    ):
        assert text in warnings, text
    text = " ".join(shown(tmp_path, "terminal").split())
    assert "not measured" in text
    assert "2 request(s) lie where no domain was read" in text
    assert "coverage" in text
    assert "50.0 %" in text
    assert "27.6" in shown(tmp_path, "html")


def test_requests_alone(tmp_path: Path) -> None:
    logs(tmp_path)
    imported(tmp_path, "csv", "--requests", "r.csv")
    found = report(tmp_path)
    assert found["totals"]["energy_j"]["value"] is None
    assert [row["energy_j"]["value"] for row in found["requests"]] == [None, None]
    assert any("--power" in row["remedy"] for row in found["boundary"]["not_covered"])


def test_two_request_logs_share_a_meter(tmp_path: Path) -> None:
    """Each joule of the power log is in the merged books once, whoever's requests it was imported with."""
    logs(tmp_path)
    head, a, b = REQUESTS.splitlines()
    for name, row in (("a", a), ("b", b)):
        (tmp_path / "r.csv").write_text(f"{head}\n{row}\n")
        imported(tmp_path, "csv", "--power", "p.csv", "--requests", "r.csv", out=f"{name}.greengen")
    both, one = report(tmp_path, "a.greengen", "b.greengen"), report(tmp_path, "a.greengen")
    assert both["totals"]["energy_j"]["value"] == one["totals"]["energy_j"]["value"]
    assert {name: row["energy_j"]["value"] for name, row in by_name(both).items()} == {"a": 1000.0, "b": 3000.0}


def test_outcomes(tmp_path: Path) -> None:
    requests = "start,end,model,status\n" + "".join(
        f"172121041{i},172121042{i},m,{s}\n" for i, s in enumerate(("stop", "200", "", "timeout", "Success"))
    )
    imported(tmp_path, *logs(tmp_path, "time,power_w\n1721210400,1\n1721210401,1\n1721210460,1\n", requests))
    found = report(tmp_path)
    assert found["imported"][0]["outcomes"] == {"ok": 4, "timeout": 1}
    assert found["models"][0]["succeeded"] == 4


@pytest.mark.parametrize(
    ("power", "requests", "options", "said"),
    [
        (
            POWER.replace("Z,", ","),
            REQUESTS,
            (),
            ["no zone", "2024-07-17 10:00:59.000", "10:00:50.000 UTC", "--timezone"],
        ),
        (POWER, REQUESTS.replace("Z,", ","), (), ["r.csv name no zone", "--requests-timezone"]),
        (POWER, REQUESTS.replace("T10", "T12"), (), ["no time in common", "10:00:59.000 UTC", "12:00:50.000 UTC"]),
        (POWER, REQUESTS, ("--requests-shift", "7200"), ["no time in common"]),
        (POWER, REQUESTS, ("--power-column", "powr [W]"), ["no column 'powr [W]'", "did you mean 'power [W]'"]),
        (POWER, REQUESTS, ("--start-column", "strat"), ["no column 'strat'", "'start'"]),
        (POWER.replace(" [W]", ""), REQUESTS, (), ["'100' has no unit", "--power-unit"]),
        (POWER.replace(" [W]", "_mw"), REQUESTS, (), ["which column holds the powers", "--power-column"]),
        (POWER.replace(" [W]", "_mw"), REQUESTS, ("--power-column", "power_mw"), ["has no unit", "--power-unit"]),
        (POWER, REQUESTS, ("--power-unit", "kW"), ["power [W]", "which is it"]),
        (POWER, REQUESTS, ("--power-unit", "horse"), ["'horse'", "W, kW, mW or uW"]),
        (POWER.replace(",300", ",300 BTU", 1), REQUESTS, (), ["line 32", "BTU"]),
        (POWER.replace(",300", ",nan", 1), REQUESTS, (), ["line 32", "not a finite number", "--drop-bad"]),
        (POWER.replace(",300", ",inf", 1), REQUESTS, (), ["line 32", "not a finite number"]),
        (POWER.replace(",300", ",-300", 1), REQUESTS, (), ["line 32", "negative", "--drop-bad"]),
        (POWER.replace(",300", ",x", 1), REQUESTS, (), ["line 32", "'x' is not a power"]),
        (POWER.replace("10:00:40Z", "10:00:10Z"), REQUESTS, (), ["line 42", "clock set back"]),
        (POWER + "2024-07-17T10", REQUESTS, (), ["line 62 is cut off"]),
        (
            POWER.replace("2024-07-17T10:00:00Z", "07/08/2024 10:00:00"),
            REQUESTS,
            (),
            ["day and month", "--time-format"],
        ),
        (POWER.replace("2024-07-17T10:00:00Z", "yesterday"), REQUESTS, (), ["'yesterday'"]),
        ("time,power_w\n12.5,1\n13,1\n", REQUESTS, (), ["12.5 could be in several units", "--epoch"]),
        ("time,power_w\n12.5,1\n13,1\n", REQUESTS, ("--epoch", "s"), ["no time in common", "12.500 s"]),
        ("", REQUESTS, (), ["p.csv is empty"]),
        ("time,power_w\n", REQUESTS, (), ["holds no reading"]),
        ("\x00\x01\x02", REQUESTS, (), ["p.csv"]),
        (POWER, "start,end\n", (), ["holds no request"]),
        (
            POWER,
            REQUESTS.replace("10:00:10Z", "09:00:10Z"),
            (),
            ["line 2", "the end", "before the start", "--drop-bad"],
        ),
        (POWER, REQUESTS.replace(",20,x", ",-20,x"), (), ["line 2", "'completion_tokens'", "not a count"]),
        (POWER, REQUESTS.replace(",20,x", ",1e30,x"), (), ["not a count"]),
        (POWER, REQUESTS, ("--timezone", "Mars/Base"), ["unknown time zone 'Mars/Base'"]),
        (POWER, REQUESTS, ("--timezone", "UTC", "--utc-offset", "+01:00"), ["not both"]),
        (POWER, REQUESTS, ("--utc-offset", "east"), ["'east'", "+02:00"]),
        (POWER, REQUESTS, ("--window", "-1"), ["--window", "0 or more"]),
        (POWER, REQUESTS, ("--gain", "nan"), ["--gain"]),
        (POWER, REQUESTS, ("--requests-shift", "nan"), ["--requests-shift"]),
        (POWER, REQUESTS, ("--requests", "missing.csv"), ["there is no file missing.csv"]),
        (POWER, REQUESTS, ("--power", "."), ["is a directory"]),
    ],
)
def test_refused(tmp_path: Path, power: str, requests: str, options: tuple[str, ...], said: list[str]) -> None:
    line = refused(tmp_path, *logs(tmp_path, power, requests), *options)
    for text in said:
        assert text in line, line


def test_an_hour_that_comes_twice(tmp_path: Path) -> None:
    """Clocks in Berlin were put back from 03:00 to 02:00 that night."""
    logs(tmp_path, "time,power_w\n2024-10-27 02:30:00,1\n2024-10-27 02:31:00,1\n")
    line = refused(tmp_path, "csv", "--power", "p.csv", "--timezone", "Europe/Berlin")
    assert "2024-10-27 00:30:00.000 UTC or 2024-10-27 01:30:00.000 UTC" in line
    assert "--utc-offset" in line
    imported(tmp_path, "csv", "--power", "p.csv", "--utc-offset", "+02:00")


def test_bad_lines_are_left_out_and_listed(tmp_path: Path) -> None:
    power = POWER.replace(",100\n", ",-1\n", 1).replace("10:00:05Z,100", "10:00:05Z,nan") + "2024"
    requests = REQUESTS + "c,2024-07-17T10:00:20Z,2024-07-17T10:00:10Z,small,1,1,x\n"
    imported(tmp_path, *logs(tmp_path, power, requests), "--drop-bad")
    found = report(tmp_path)
    (log,) = found["imported"]
    assert [line["line"] for line in log["rejected"]] == [2, 7, 62]
    assert [line["line"] for line in log["rejected_requests"]] == [4]
    assert len(found["requests"]) == 2
    assert any("3 lines of p.csv" in warning for warning in found["warnings"])
    assert any("1 lines of r.csv" in warning for warning in found["warnings"])


def test_nothing_named(tmp_path: Path) -> None:
    assert "--power F, --requests F" in refused(tmp_path, "csv")
    assert "carrier" in refused(tmp_path, "carrier-pigeon")
    assert run(tmp_path, "import", "--help").returncode == 0


def test_two_meters_in_one_log_are_not_averaged(tmp_path: Path) -> None:
    rows = "".join(f"{t},{'100,0' if gpu == 0 else '50,1'}\n" for t in range(4) for gpu in (0, 1))
    (tmp_path / "p.csv").write_text(f"time,power [W],gpu\n{rows}")
    line = refused(tmp_path, "csv", "--power", "p.csv", "--epoch", "s")
    assert "100 W and 50 W" in line
    assert "--device-column gpu" in line
    imported(tmp_path, "csv", "--power", "p.csv", "--epoch", "s", "--device-column", "gpu")
    assert report(tmp_path)["totals"]["energy_j"]["value"] == 450


def test_readings_faster_than_their_stamps_are_averaged_and_it_is_said(tmp_path: Path) -> None:
    rows = "".join(f"{n // 2},{100 + n},{40 + n}\n" for n in range(8))
    (tmp_path / "p.csv").write_text(f"time,power [W],temperature\n{rows}")
    said = imported(tmp_path, "csv", "--power", "p.csv", "--epoch", "s")
    assert "4 readings of p.csv bear the time stamp of the one before: their mean counts" in said
    assert report(tmp_path)["totals"]["energy_j"]["value"] == pytest.approx(3 * 103.5)
