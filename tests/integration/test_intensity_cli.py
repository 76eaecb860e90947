"""Intensities on the command line: what is in use and why, of a zone and of a recorded run."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greengen import cli
from greengen.collector import Domain
from greengen.recording import export
from greengen.rows import ProcessRow, Rows, Segment, Series, SpanRow, Timeline
from greengen.run import Run
from tests.unit import grid_replies as replies
from tests.unit.grid_replies import GridServer, Reply, always

SECOND = 1_000_000_000
#: 10:45 UTC: the run's first quarter of an hour is in one hour, its three others in the next.
BEGIN = int(dt.datetime(2026, 11, 20, 10, 45, tzinfo=dt.UTC).timestamp()) * SECOND
KWH_J = 3.6e6

Greengen = Callable[..., tuple[int, str, str]]


@pytest.fixture
def greengen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Greengen:
    """Run the command line in this process: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    for variable in replies.DEFAULT:
        monkeypatch.delenv(variable, raising=False)

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["greengen", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[GridServer]:
    with GridServer(always(Reply())) as running:
        yield running


def listen(server: GridServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After `greengen`, which takes keys out of the environment."""
    for name, value in server.environ(tmp_path / "cache").items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """1 kWh in each quarter of an hour, on a machine that was up for 1000 s before; a request in the first."""
    t0 = 1000 * SECOND
    t_ns = [t0 + i * 900 * SECOND for i in range(5)]
    package = Domain("package:0", "package", "package", "rapl")
    series = Series(t_ns, [i * KWH_J for i in range(5)], [0, *[900 * SECOND] * 4])
    timeline = Timeline(
        "boot",
        "host",
        domains=[package],
        samples={package.uid: series},
        spans=[SpanRow("p/1", "p", None, "request", t_ns[0], t_ns[1])],
        processes=[ProcessRow("p", 1, "main", t_ns[-1], closed=True, lost_rows=0, command="")],
        segments=[Segment("s", "p", t0, t_ns[-1], BEGIN, {"interval_s": 900.0})],
    )
    path = tmp_path / "run.greengen"
    export.write(Rows(timelines=[timeline]), path)
    return path


def report(greengen: Greengen, *arguments: str | Path) -> dict[str, Any]:
    code, out, err = greengen("report", *arguments, "--format", "json")
    assert code == 0, err
    told: dict[str, Any] = json.loads(out)
    return told


class TestIntensity:
    def test_a_zone(self, greengen: Greengen) -> None:
        code, out, _ = greengen("intensity", "deu")
        assert code == 0
        for part in ("DEU", "g/kWh", "average; lifecycle; location-based", "2025", "Ember", "grid_intensity_country"):
            assert part in out

    def test_as_json(self, greengen: Greengen) -> None:
        told = json.loads(greengen("intensity", "--cloud", "aws:eu-west-3", "--json")[1])
        assert (told["zone"], told["intensity"]["unit"], told["year"][:4]) == ("FRA", "g/kWh", "2025")
        assert told["chain"][0] == "cloud region aws:eu-west-3: zone FRA"
        assert (told["pue"]["value"], told["wue"]["value"]) == (1.14, 0.12)
        assert any("fleet" in note for note in told["notes"])

    def test_a_live_hour(
        self, greengen: Greengen, server: GridServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        listen(server, monkeypatch, tmp_path)
        server.answer = always(Reply(replies.electricity_maps({replies.HOUR: 302})))
        code, out, err = greengen("intensity", "DEU", "--live", "electricitymaps", "--at", "2026-11-20T11:30+01:00")
        assert (code, err) == (0, "")
        assert "2026-11-20T10:00Z to 2026-11-20T11:00Z  302 g/kWh" in out
        assert "consumption-based" in out
        assert "secret" not in out

    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            ([], "no zone: name one"),
            (["ZZZ"], "unknown zone 'ZZZ'"),
            (["DEU", "--zone", "FRA"], "two zones"),
            (["DEU", "--kind", "marginal_short"], "no table has a marginal_short intensity of DEU"),
            (["DEU", "--scope", "direct"], "pass --scope lifecycle"),
            (["DEU", "--live", "iea"], "known are electricitymaps"),
            (["DEU", "--live", "electricitymaps"], "set ELECTRICITYMAPS_TOKEN"),
            (["DEU", "--live", "uk"], "Great Britain"),
            (["DEU", "--strict"], "strict says nothing without a live source"),
            (["DEU", "--at", "2026-11-20T10:00Z"], "says nothing without --live"),
            (["GBR", "--live", "uk", "--at", "2026-11-20T10:00"], "no time zone"),
            (["GBR", "--live", "uk", "--at", "noon"], "no time"),
            (["DEU", "--intensity", "100"], "not both"),
            (["--intensity", "-1"], "not possible"),
            (["--intensity", "2001"], "not possible"),
            (["--intensity", "none.csv"], "neither a number, in g/kWh, nor a CSV that is there"),
            (["--cloud", "aws:nowhere-1"], "unknown cloud region"),
        ],
    )
    def test_a_mistake_is_one_line(self, greengen: Greengen, arguments: list[str], why: str) -> None:
        code, out, err = greengen("intensity", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert why in err


class TestFactors:
    def test_the_tables_and_their_sources(self, greengen: Greengen) -> None:
        code, out, _ = greengen("factors")
        assert code == 0
        for part in ("grid_intensity_country", "212 rows", "CC BY 4.0", "subnational", "cloud_regions", "https://"):
            assert part in out

    def test_the_rows_of_one(self, greengen: Greengen) -> None:
        assert "NVIDIA H100 SXM  164 kg" in greengen("factors", "embodied_hardware")[1]
        assert "aws:eu-west-3  FR  FRA" in greengen("factors", "cloud_regions")[1]
        told = json.loads(greengen("factors", "subnational", "--json")[1])
        assert {"USA-CA", "SE3"} <= {row["id"] for row in told}

    def test_an_unknown_one(self, greengen: Greengen) -> None:
        code, _, err = greengen("factors", "planets")
        assert (code, err.count("\n")) == (2, 1)
        assert "cloud_regions" in err


class TestRun:
    def test_each_joule_at_its_hour(self, greengen: Greengen, run: Path, tmp_path: Path) -> None:
        """1 kWh at 100, 3 kWh at 300: 1000 g. Recorded once, told for any grid."""
        (tmp_path / "grid.csv").write_text("time,g_per_kwh\n2026-11-20T11:00+01:00,100\n2026-11-20T12:00+01:00,300\n")
        told = report(greengen, run, "--intensity", "grid.csv", "--kind", "average")
        assert told["totals"]["carbon_g"]["value"] == pytest.approx(1000.0)
        assert told["totals"]["carbon_g"]["basis"] == "average; declared by the user"
        assert told["factors"]["intensity"]["value"] == pytest.approx(250.0)
        assert "mean of 2 values" in told["factors"]["intensity"]["note"]
        # The request's kWh is all in the first hour, and what is idle in the second.
        [request] = told["requests"]
        assert request["carbon_g"]["value"] == pytest.approx(100.0)
        accounts = {account["account"]: account["carbon_g"]["value"] for account in told["accounts"]}
        assert accounts["request"] == pytest.approx(100.0)
        assert sum(value or 0.0 for value in accounts.values()) == pytest.approx(1000.0)
        assert told["factors"]["intensity_chain"] == ["the user's CSV: grid.csv"]
        again = report(greengen, run, "--intensity", "500")
        assert again["totals"]["carbon_g"]["value"] == pytest.approx(2000.0)
        assert Run(run).footprint(intensity="grid.csv", pue=1.5).total().value == pytest.approx(1500.0)

    def test_hours_that_the_csv_does_not_have_are_missing(self, greengen: Greengen, run: Path, tmp_path: Path) -> None:
        (tmp_path / "grid.csv").write_text("time,g_per_kwh\n2026-11-20T10:00Z,100\n")
        told = report(greengen, run, "--intensity", "grid.csv")
        assert told["totals"]["carbon_g"]["value"] is None
        assert "75.0%" in told["totals"]["carbon_g"]["reason"]

    def test_a_live_source_is_asked_for_the_hours_of_the_run(
        self, greengen: Greengen, run: Path, server: GridServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        listen(server, monkeypatch, tmp_path)
        figures = {"2026-11-20T10:00:00.000Z": 100, "2026-11-20T11:00:00.000Z": 300}
        server.answer = always(Reply(replies.electricity_maps(figures)))
        told = report(greengen, run, "--zone", "DEU", "--live", "electricitymaps")
        assert told["totals"]["carbon_g"]["value"] == pytest.approx(1000.0)
        assert told["factors"]["zone"] == "DEU"
        [(_, query, _)] = server.asked
        assert (query["start"], query["end"]) == ("2026-11-20T10:00:00Z", "2026-11-20T12:00:00Z")
        # Another process, the source gone: the hours are kept.
        server.answer = always(Reply(status=500))
        assert Run(run).footprint(zone="DEU", live="electricitymaps", strict=True).total().value == pytest.approx(
            1000.0
        )
        assert "secret" not in json.dumps(told)
        assert b"secret" not in run.read_bytes()

    def test_a_source_that_is_down_is_a_warning_or_with_strict_an_error(
        self, greengen: Greengen, run: Path, server: GridServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        listen(server, monkeypatch, tmp_path)
        server.answer = always(Reply(status=429, headers={"Retry-After": "60"}))
        live = (run, "--zone", "DEU", "--live", "electricitymaps")
        told = report(greengen, *live)
        assert told["factors"]["intensity_chain"] == [
            "live electricitymaps: failed, electricitymaps: too many requests (429): ask again in 60 s",
            "shipped grid_intensity_country: DEU, 2025 or latest available",
        ]
        assert any("In its place stands the yearly figure of DEU" in warning for warning in told["warnings"])
        plain = report(greengen, run, "--zone", "DEU")["totals"]["carbon_g"]
        wider = told["totals"]["carbon_g"]
        assert wider["value"] == plain["value"]
        assert wider["high"] / wider["low"] > plain["high"] / plain["low"]
        code, out, err = greengen("report", *live, "--strict")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "60 s" in err

    def test_a_cloud_region_brings_zone_pue_and_wue(self, greengen: Greengen, run: Path) -> None:
        told = report(greengen, run, "--cloud", "aws:eu-north-1")
        zone = report(greengen, run, "--zone", "SWE", "--pue", "1.1")
        assert told["totals"]["carbon_g"]["value"] == pytest.approx(zone["totals"]["carbon_g"]["value"])
        assert (told["factors"]["zone"], told["factors"]["pue"]) == ("SWE", 1.1)
        stated = report(greengen, run, "--cloud", "aws:eu-north-1", "--pue", "1.3")
        assert stated["factors"]["pue"] == 1.3

    def test_a_mistake_is_told_before_the_command_runs(self, greengen: Greengen, tmp_path: Path) -> None:
        for arguments in (["--live", "iea"], ["--live", "electricitymaps"], ["--cloud", "aws"], ["--zone", "USA-QQ"]):
            zone = [] if "--zone" in arguments or "--cloud" in arguments else ["--zone", "DEU"]
            code, _, err = greengen("profile", *zone, *arguments, "--", "touch", str(tmp_path / "ran"))
            assert (code, err.count("\n")) == (2, 1)
        assert not (tmp_path / "ran").exists()


def test_all_that_ships_works_without_a_socket(tmp_path: Path) -> None:
    """Whatever asks for one in this process ends it."""
    program = """
        import socket, sys
        class Refused(socket.socket):
            def __init__(self, *_, **__): raise SystemExit("a socket was asked for")
        socket.socket = Refused
        from greengen.cli import main
        for line in ("intensity DEU", "intensity USA-CA", "intensity --cloud gcp:us-central1", "factors --json"):
            sys.argv = ["greengen", *line.split()]
            try: main()
            except SystemExit as end: assert not end.code, (line, end.code)
        print([name for name in sys.modules if name.partition(".")[0] in ("codecarbon", "pandas", "requests")])
    """
    lines = "\n".join(line[8:] for line in program.splitlines())
    told = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.endswith("[]\n")
