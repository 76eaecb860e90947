"""What other tools write and read: codecarbon's emissions.csv, both ways, and an Impact Framework manifest.

`tests/data/codecarbon/emissions.csv` was written by codecarbon 3.3.2 (OfflineEmissionsTracker, DEU, WUE 1.8), once
with a PUE of 1 and once of 1.3; only the name of the kernel was replaced.
"""

from __future__ import annotations

import csv
import io
import sys
import tomllib
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from greengen.cli import main
from greengen.cli.report import FORMATS
from greengen.errors import LogError
from greengen.integrations import codecarbon
from greengen.integrations._rows import About
from greengen.integrations._times import clock
from greengen.recording import export
from greengen.reports import codecarbon as line
from greengen.reports import impact_framework
from greengen.rows import Rows
from greengen.run import Run
from tests.unit.test_footprint import GPU, PACKAGE, WALL, requests, timeline

EMISSIONS = Path(__file__).parents[1] / "data" / "codecarbon" / "emissions.csv"
IDS = [row["run_id"] for row in csv.DictReader(EMISSIONS.read_text(encoding="utf-8").splitlines())]
KWH_J = 3.6e6


def imported(tmp_path: Path, run_id: str, **given: Any) -> Run:  # noqa: ANN401 -- options of `read`
    path = tmp_path / f"{run_id}.greengen"
    export.write(codecarbon.read(EMISSIONS, About("codecarbon"), run_id=run_id, **given), path, force=True)
    return Run(path)


def stated(run_id: str) -> dict[str, str]:
    lines = csv.DictReader(EMISSIONS.read_text(encoding="utf-8").splitlines())
    return next(row for row in lines if row["run_id"] == run_id)


class TestReadCodecarbon:
    def test_its_energies_are_those_of_it(self, tmp_path: Path) -> None:
        """Its energies hold the PUE: divided by it, both runs are of IT."""
        for run_id, pue in zip(IDS, (1.0, 1.3), strict=True):
            document = imported(tmp_path, run_id).report()
            told = stated(run_id)
            assert document["totals"]["energy_j"]["value"] == pytest.approx(
                float(told["energy_consumed"]) / pue * KWH_J
            )
            assert {row["kind"]: row["energy_j"]["value"] for row in document["domains"]} == {
                "package": pytest.approx(float(told["cpu_energy"]) / pue * KWH_J),
                "dram": pytest.approx(float(told["ram_energy"]) / pue * KWH_J),
            }
            assert document["run"]["duration_s"] == pytest.approx(float(told["duration"]))
            assert document["totals"]["energy_j"]["grade"] == "modelled"
            assert [row["name"] for row in document["spans"]] == ["quick start"]
            assert document["imported"][0]["stated"] == told

    def test_what_it_states_stands_beside_and_no_place_is_taken_from_it(self, tmp_path: Path) -> None:
        run = imported(tmp_path, IDS[1])
        document = run.report()
        assert document["totals"]["carbon_g"]["value"] is None
        text = run.render("markdown")
        assert "9.631941319080358e-06 kg, for DEU" in text
        assert "divided by it" in text
        # With the PUE put on again and codecarbon's own factor of Germany, its grams come back.
        factor = float(stated(IDS[0])["emissions"]) / float(stated(IDS[0])["energy_consumed"]) * 1000
        grams = run.footprint(intensity=factor, pue=1.3).total().value
        assert grams == pytest.approx(9.631941319080358e-06 * 1000)

    def test_its_times_are_of_the_zone_that_is_told(self, tmp_path: Path) -> None:
        assert imported(tmp_path, IDS[0]).report()["run"]["started"] is None
        told = imported(tmp_path, IDS[0], clock=clock("Europe/Berlin")).report()["run"]["started"]
        assert told.startswith("2026-11-21T10:14:10")

    def test_what_is_of_no_known_hour_is_matched_with_none(self, tmp_path: Path) -> None:
        assert imported(tmp_path, IDS[0], clock=clock("UTC")).footprint().market(400.0).known
        assert "in which hours" in imported(tmp_path, IDS[0]).footprint().market(400.0).reason

    def test_the_same_line_is_the_same_run(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
        a, b = (imported(tmp_path / name, IDS[0]) for name in ("a", "b"))
        assert Run(a.path, b.path).ledger().total().value == a.ledger().total().value

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (("run_id", "run"), "has no column run_id"),
            (("5.563234440507462e-06", "-1"), "cpu_energy -1 is not possible"),
            (("2.5280745870040846", "0"), "duration is 0 s"),
            (("2.5280745870040846", "soon"), "duration"),
            ((",N,1.0,1.8", ",N,0.5,1.8"), "pue 0.5 is not possible"),
            ((",N,1.0,1.8", ""), "cut off"),
            (("2026-11-21T11:14:13", "today"), "timestamp"),
        ],
    )
    def test_what_is_damaged_is_named(self, tmp_path: Path, change: tuple[str, str], told: str) -> None:
        path = tmp_path / "emissions.csv"
        path.write_text(EMISSIONS.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
        with pytest.raises(LogError) as error:
            codecarbon.read(path, About("codecarbon"), run_id=IDS[0])
        assert told in str(error.value)

    def test_of_several_lines_one_is_chosen(self) -> None:
        with pytest.raises(LogError, match="holds 2 lines: choose one with --run-id"):
            codecarbon.read(EMISSIONS, About("codecarbon"))
        with pytest.raises(LogError, match="no line of run 'other'"):
            codecarbon.read(EMISSIONS, About("codecarbon"), run_id="other")

    def test_from_the_command_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "c.greengen"
        command = ["greengen", "import", "codecarbon", str(EMISSIONS), "-o", str(out), "--timezone", "UTC"]
        for more, code in ((["--run-id", IDS[0]], 0), ([], 2)):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, "argv", [*command, *more])
                with pytest.raises(SystemExit) as done:
                    main()
            assert (done.value.code or 0) == code
        told = capsys.readouterr().err
        assert "energy as stated: 1.94758e-05 kWh, with a PUE of 1 in it" in told
        assert Run(out).ledger().total().known


class TestWriteCodecarbon:
    def document(self, tmp_path: Path, **where: Any) -> dict[str, Any]:  # noqa: ANN401 -- options of `report`
        path = tmp_path / "run.greengen"
        rows = Rows(timelines=[timeline([(PACKAGE, 0.5), (GPU, 1.5)], tier="cloud", spans=requests())])
        export.write(rows, path, force=True)
        return Run(path).report(**where)

    def test_it_is_a_line_that_codecarbon_knows(self, tmp_path: Path) -> None:
        from codecarbon.output_methods.emissions_data import EmissionsData

        text = line.render(self.document(tmp_path, zone="USA-CA", pue=1.2, wue=0.5))
        (row,) = csv.DictReader(io.StringIO(text))
        assert tuple(row) == tuple(field.name for field in fields(EmissionsData))
        assert float(row["energy_consumed"]) == pytest.approx(2.4)
        assert float(row["cpu_energy"]) == pytest.approx(0.6)
        assert float(row["gpu_energy"]) == pytest.approx(1.8)
        assert row["ram_energy"] == ""
        assert float(row["gpu_power"]) == pytest.approx(1.8 * KWH_J / 100)
        # On-site water is per kWh of IT energy, and not of energy that holds the PUE.
        assert float(row["water_consumed"]) == pytest.approx(2.0 * 0.5)
        assert (row["country_iso_code"], row["region"], row["on_cloud"]) == ("USA", "ca", "Y")
        assert row["timestamp"] == "2026-03-29T00:31:40"

    def test_what_was_not_told_is_empty_and_not_0(self, tmp_path: Path) -> None:
        (row,) = csv.DictReader(io.StringIO(line.render(self.document(tmp_path))))
        assert {row[name] for name in ("emissions", "emissions_rate", "water_consumed", "pue", "wue")} == {""}

    def test_there_and_back(self, tmp_path: Path) -> None:
        for run_id in IDS:
            run = imported(tmp_path, run_id, clock=clock("UTC"))
            path = tmp_path / "again.csv"
            path.write_text(line.render(run.report(intensity=100.0, pue=1.7)), encoding="utf-8")
            again = tmp_path / "again.greengen"
            rows = codecarbon.read(path, About("codecarbon"), clock=clock("UTC"))
            export.write(rows, again, force=True)
            assert Run(again).ledger().total().value == pytest.approx(run.ledger().total().value)

    def test_a_plug_is_told_as_a_sum_and_without_pue(self, tmp_path: Path) -> None:
        path = tmp_path / "plug.greengen"
        export.write(Rows(timelines=[timeline([(WALL, 2.0)])]), path, force=False)
        (row,) = csv.DictReader(io.StringIO(line.render(Run(path).report(intensity=100.0, pue=1.5))))
        assert float(row["energy_consumed"]) == pytest.approx(2.0)
        assert (row["cpu_energy"], row["gpu_energy"]) == ("", "")


class TestImpactFramework:
    def manifest(self, tmp_path: Path, **where: Any) -> Any:  # noqa: ANN401 -- options of `report`, and whatever the YAML holds
        yaml = pytest.importorskip("yaml")
        path = tmp_path / "run.greengen"
        spans = requests()
        export.write(Rows(timelines=[timeline([(PACKAGE, 0.5), (GPU, 1.5)], spans=spans)]), path, force=True)
        return yaml.safe_load(impact_framework.render(Run(path).report(**where)))

    def test_its_plugins_compute_what_it_says(self, tmp_path: Path) -> None:
        manifest = self.manifest(tmp_path, zone="DEU", pue=1.2, hardware="h100*8")
        plugins = manifest["initialize"]["plugins"]
        (component,) = manifest["tree"]["children"].values()
        assert component["pipeline"]["compute"] == list(plugins)
        (told,), (computed,) = component["outputs"], [dict(each) for each in component["inputs"]]
        for name in component["pipeline"]["compute"]:
            config, method = plugins[name]["config"], plugins[name]["method"]
            assert plugins[name]["path"] == "builtin"
            if method == "Multiply":
                a, b = (computed[key] for key in config["input-parameters"])
                computed[config["output-parameter"]] = a * b
            elif method == "Sum":
                computed[config["output-parameter"]] = sum(computed[key] for key in config["input-parameters"])
            else:
                assert method == "Sci"
                computed["sci"] = computed["carbon"] / computed[config["functional-unit"]]
        assert computed.keys() == told.keys()
        numbers = told.keys() - {"timestamp"}
        assert {key: computed[key] for key in numbers} == pytest.approx({key: told[key] for key in numbers})
        assert set(told) >= {
            "timestamp",
            "duration",
            "energy",
            "carbon-operational",
            "carbon-embodied",
            "carbon",
            "sci",
        }
        assert told["energy"] == pytest.approx(2.4)
        assert told["requests"] == 4

    def test_without_hardware_there_is_no_sci_and_the_reason(self, tmp_path: Path) -> None:
        manifest = self.manifest(tmp_path, zone="DEU")
        assert list(manifest["initialize"]["plugins"]) == ["operational"]
        assert "sci" not in manifest["tree"]["children"]["run"]["outputs"][0]
        text = impact_framework.render(Run(tmp_path / "run.greengen").report())
        assert "\n# left out: no grid intensity was given" in text
        assert "pass --hardware" in text

    def test_no_text_of_a_user_gets_out_of_its_place(self, tmp_path: Path) -> None:
        yaml = pytest.importorskip("yaml")
        path = tmp_path / "a: b #c - 'd'\nkey: 1.greengen"
        export.write(Rows(timelines=[timeline([(PACKAGE, 0.5)])]), path, force=True)
        told = yaml.safe_load(impact_framework.render(Run(path).report(intensity=100.0)))
        assert told["name"] == f"greengen {path.name}"
        assert set(told) == {"name", "description", "tags", "initialize", "tree"}


def test_every_format_of_the_command_line_is_an_entry_point() -> None:
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    entries = pyproject["project"]["entry-points"]["greengen.reports"]
    assert set(FORMATS) == set(entries)
    for value in entries.values():
        module, _, name = value.partition(":")
        assert callable(getattr(import_module(module), name))
