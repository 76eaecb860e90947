"""`greengen compare`: the file, the command, what it refuses in a line, and when it fails a build."""

from __future__ import annotations

import contextlib
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from greengen.accounting.embodied import Hardware
from greengen.cli import main
from greengen.comparison import compare, from_file
from greengen.errors import GreengenError, UsageError
from greengen.quantity import Quantity
from tests.unit.compared import GPU, PACKAGE, repeats, timeline, write

LOW, HIGH = (1.0, 1.02, 0.98), (2.0, 2.04, 1.96)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs `cloud-0` … `cloud-2` and `edge-0` … `edge-2`, recorded alternately."""
    path = tmp_path_factory.mktemp("runs")
    repeats(path, "cloud-", HIGH, model="big", info={"tier": "cloud"})
    repeats(path, "edge-", LOW, first=1, model="small", info={"tier": "edge"})
    return path


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """`greengen compare` with these; its exit code."""
    monkeypatch.setattr(sys, "argv", ["greengen", "compare", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def comparison(folder: Path, text: str) -> Path:
    path = folder / "choice.toml"
    path.write_text(text, encoding="utf-8")
    return path


FILE = """
title = "Edge or cloud"
baseline = "cloud"
deadline_s = 1.5
quality_metric = "accuracy"
[site]
zone = "DEU"
[links]
kwh_per_gb = 0.05
[sites.home]
zone = "FRA"
[sites.dc]
intensity = 400
pue = 1.5
hardware = [{ name = "box", kg = 100 }]
lifetime = 4
[[deployment]]
name = "cloud"
runs = ["cloud-0.greengen", ["cloud-1.greengen"], "cloud-2.greengen"]
site = "dc"
quality = 0.92
[[deployment]]
name = "edge"
runs = "edge-*.greengen"
tiers = { edge = "dc" }
quality = 0.91
batch = 4
"""


class TestFile:
    def test_it_says_it_all(self, folder: Path) -> None:
        document = from_file(comparison(folder, FILE)).document()
        assert document["title"] == "Edge or cloud"
        cloud, edge = document["options"]
        assert (cloud["name"], cloud["n"], edge["name"], edge["n"]) == ("cloud", 3, "edge", 3)
        assert cloud["carbon_operational_g"]["value"] == pytest.approx(2.0 * 1.5 * 400 / 3.6e6)
        assert edge["carbon_operational_g"]["value"] == pytest.approx(1.0 * 1.5 * 400 / 3.6e6)
        assert edge["site"]["zone"] == "DEU"
        assert edge["tiers"][0]["site"]["pue"] == 1.5
        assert edge["quality"]["metric"] == "accuracy"
        assert edge["batch"] == {"mean": 1.0, "declared": 4, "source": "requests live at once"}
        assert document["verdict"]["metric"] == "carbon_total"
        assert document["boundary"]["name"] == "facility"

    def test_what_is_passed_goes_before_it(self, folder: Path) -> None:
        assert from_file(comparison(folder, FILE), baseline="edge").document()["baseline"] == "edge"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("zone = 'DEU'", "zone says nothing; known are"),
            ("baselin = 'a'", "choice.toml: baselin says nothing; did you mean 'baseline' or "),
            (
                "deadline_s = 'x'",
                "choice.toml: deadline_s 'x' is not possible: pass a number above 0, from",
            ),
            ("[links]\nkwh_per_bg = 1", "choice.toml: kwh_per_bg says nothing in [links]; did you mean 'kwh_per_gb'?"),
            ("[quality]\na = nan", "choice.toml: quality nan of 'a' is no number"),
            ("[[deployment]]\nname = 'a'\nquality = inf", "choice.toml: quality inf of 'a' is no number"),
            ("[[deployment]]\nname = 'a'\nbatch = nan", "choice.toml: batch nan of 'a' is not possible"),
            ("[[deployment]]\nname = 'a'\nunits = 0", "choice.toml: units 0 of 'a' is not possible"),
            ("= 3", "is no TOML"),
            ("[[deployment]]\nruns = 'a'", "the deployment at place 1 has no name"),
            ("[[deployment]]\nname = 'a'\nruns = 'x*.greengen'", "no run file is called 'x*.greengen', as 'a' has it"),
            ("[[deployment]]\nname = 'a'\nruns = [3]", "runs of 'a' has 3: name run files"),
            (
                "[[deployment]]\nname = 'a'\nsight = 'b'",
                "sight says nothing of 'a'; did you mean 'site'? known are name, runs",
            ),
            ("[[deployment]]\nname = 'a'\nsite = 'b'\nruns = []", "site of 'a' 'b' is no site of it (none)"),
            ("[sites.home]\nzone = 'FRA'\nsun = 3", "choice.toml: sun says nothing in [sites.home]"),
            ("[links]\nhardware = 3", "hardware of [links] is no list of names or tables"),
            ("deployment = 'a'", "deployment is no list of tables"),
            ("[[deployment]]\nname = 'a'\ndeclared = 3", "declared of 'a' is no table"),
        ],
    )
    def test_what_it_does_not_say_rightly(self, folder: Path, text: str, said: str) -> None:
        path = comparison(folder, text)
        with pytest.raises(UsageError) as refused:
            from_file(path)
        assert said in str(refused.value)

    @pytest.mark.parametrize("of", ["runs = 'edge-0.greengen'", "declared = API"])
    def test_a_tier_that_there_is_not(self, folder: Path, of: str) -> None:
        api = "{ energy_j = 2, per = 'request', boundary = 'machine' }"
        row = f"[[deployment]]\nname = 'a'\n{of.replace('API', api)}\ntiers = {{ devise = {{ zone = 'DEU' }} }}\n"
        with pytest.raises(UsageError, match=r"tiers of 'a': there is no tier 'devise'; did you mean 'device'\?"):
            from_file(comparison(folder, row + "[[deployment]]\nname = 'b'\nruns = 'cloud-0.greengen'"))


FULL = (
    FILE
    + """
[[deployment]]
name = 'an "API"'
site = "dc"
declared = { energy_j = 2.5, gsd = 1.5, per = "request", boundary = "facility", source = "C:\\\\papers" }
quality = { correct = 182, of = 200, source = "our exam" }
[[what_if]]
kind = "zone"
zones = ["SWE", "POL"]
[[what_if]]
kind = "hour"
series = { DEU = "deu.csv" }
options = ["cloud", "edge"]
[quality]
edge = { values = [0.5, 0.75], each = "seed", source = "two seeds" }
"""
)


#: Every key that holds a value, in a file that is cheap to compare.
EVERY = """
title = "t"
unit = "request"
baseline = "b"
deadline_s = 1.5
quality = { b = 0.9 }
quality_metric = "accuracy"
higher_is_better = true
idle = "none"
counts = "requests"
policy = "auto"
strict = false
[site]
zone = "DEU"
wue = 1.0
water_offsite = 1.0
device_power = 1.0
network = "fixed:users=2"
residual = 7
bought = [2, 0]
instrument = 1
matching = "hourly"
kind = "average"
scope = "lifecycle"
[links]
kwh_per_gb = 0.05
zone = "DEU"
[sites.other]
intensity = 4
[sites.dc]
zone = "FRA"
pue = 1.5
hardware = [{ name = "box", kg = 100, count = 2 }]
lifetime = 4
[[deployment]]
name = "a"
runs = ["edge-0.greengen"]
tiers = { edge = "dc" }
units = 10
batch = 4
[[deployment]]
name = "b"
quality = { correct = 182, of = 200, source = "our exam" }
[deployment.declared]
energy_j = 2.5
gsd = 1.5
per = "request"
boundary = "facility"
idle = "none"
output_tokens = 2
latency_s = 1
embodied_g = 1
tier = "device"
source = "us"
"""

WRONG = ("'x'", "-1", "[]", "['x']", "{ x = 3 }", "true", "nan", "inf", "1e-320", "1" + 400 * "0")


def _places(told: object, place: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where a value stands in what was read, and the tables and lists around it."""
    inside = told.items() if isinstance(told, dict) else enumerate(told) if isinstance(told, list) else ()
    return [found for key, value in inside for found in ((*place, key), *_places(value, (*place, key)))]


def test_every_key_with_its_value_is_taken(folder: Path) -> None:
    assert [row["name"] for row in from_file(comparison(folder, EVERY)).document()["options"]] == ["a", "b"]


@pytest.mark.parametrize("place", _places(tomllib.loads(EVERY)), ids=str)
def test_a_value_of_the_wrong_type_is_refused_or_means_something(folder: Path, place: tuple[str | int, ...]) -> None:
    for text in WRONG:
        told: Any = tomllib.loads(EVERY)
        around = told
        for key in place[:-1]:
            around = around[key]
        around[place[-1]] = tomllib.loads(f"v = {text}")["v"]
        path = comparison(folder, tomli_w.dumps(told))
        # Nothing but an error that the command tells in a line; and no figure that is none.
        with contextlib.suppress(GreengenError):
            json.dumps(from_file(path).document(), allow_nan=False)


class TestWritten:
    def test_a_file_is_written_as_it_was_told(self, folder: Path, tmp_path: Path) -> None:
        rows = [f"2024-01-01T{hour:02d}:00:00Z,{300 + hour}" for hour in range(24)]
        (folder / "deu.csv").write_text("\n".join(["time,g_per_kwh", *rows]), encoding="utf-8")
        first = from_file(comparison(folder, FULL), quality={"cloud": {"value": 0.92, "low": 0.9, "high": 0.95}})
        (tmp_path / "far").mkdir()
        written = first.to_toml(tmp_path / "far" / "again.toml")
        second = from_file(written)
        assert written.read_text(encoding="utf-8") == second.to_toml(tmp_path / "far" / "twice.toml").read_text("utf-8")
        told, again = first.document(), second.document()
        assert [row["quality"] for row in told["options"]] == [row["quality"] for row in again["options"]]
        assert told["options"][2]["quality"]["how"] == "Wilson's score interval of 200 answers"
        assert told["options"][1]["quality"]["how"] == "Student's t across 2 times one seed"
        for key in set(told) - {"options", "environment"}:
            assert told[key] == again[key], key
        for one, other in zip(told["options"], again["options"], strict=True):
            assert {k: v for k, v in one.items() if k != "repeats"} == {
                k: v for k, v in other.items() if k != "repeats"
            }

    def test_runs_on_the_command_line_become_a_file(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        runs = [f"{name}={folder}/{name}-{i}.greengen" for name in ("cloud", "edge") for i in range(3)]
        more = (
            "--quality",
            "edge=182/200",
            "--quality",
            "cloud=0.9",
            "--quality-metric",
            "accuracy",
            "--deadline",
            "2",
        )
        where = ("--zone", "DEU", "--pue", "1.2", "--hardware", "h100*8:lifetime=5", "--network-kwh-per-gb", "0.05")
        assert command(monkeypatch, *runs, *more, *where, "-o", tmp_path / "choice.toml") == 0
        document = from_file(tmp_path / "choice.toml").document()
        cloud, edge = document["options"]
        assert (cloud["quality"]["value"], edge["quality"]["value"], edge["n"]) == (0.9, 0.91, 3)
        assert edge["quality"]["low"] == pytest.approx(0.8622, abs=1e-4)
        assert (edge["latency"]["deadline_s"], edge["site"]["pue"], edge["site"]["zone"]) == (2.0, 1.2, "DEU")
        assert edge["site"]["hardware"][0]["count"] == 8

    def test_what_cannot_be_told_in_a_file_is_refused(self, folder: Path) -> None:
        box = Hardware("box", Quantity(1.0, "kg", "declared"), Quantity(1.0, "y", "declared"))
        runs = {name: [f"{folder}/{name}-0.greengen"] for name in ("cloud", "edge")}
        with pytest.raises(UsageError, match="hardware of the common site is an object"):
            compare(runs, hardware=[box], zone="DEU").to_toml(folder / "no.toml")


class TestCommand:
    def test_runs_without_names_are_put_together_by_models(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        paths = sorted(folder.glob("[ce]*-?.greengen"))
        assert command(monkeypatch, *paths, "--format", "json", "--zone", "DEU") == 0
        document = json.loads(capsys.readouterr().out)
        assert document["schema"] == "greengen.comparison/1"
        assert [(row["name"], row["n"]) for row in document["options"]] == [("big on cloud", 3), ("small on edge", 3)]

    def test_names_and_tiers(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        far = repeats(folder, "far", HIGH, host="rack", info={"tier": "device"})
        both = [f"both={folder}/cloud-{i}.greengen+{path}" for i, path in enumerate(far)]
        edge = [f"alone={folder}/edge-{i}.greengen" for i in range(3)]
        assert command(monkeypatch, *both, *edge, "--format", "json") == 0
        both_, _ = json.loads(capsys.readouterr().out)["options"]
        assert [tier["tier"] for tier in both_["tiers"]] == ["device", "cloud"]

    def test_formats_by_name(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, begins in (
            ("c.md", "# greengen comparison: Edge or cloud"),
            ("c.csv", "option,baseline"),
            ("c.json", "{"),
            ("c.txt", "Edge or cloud"),
        ):
            assert command(monkeypatch, comparison(folder, FILE), "-o", folder / name) == 0
            assert (folder / name).read_text(encoding="utf-8").startswith(begins)
        # A comparison is replaced without a question, and a stranger's file is not.
        assert command(monkeypatch, comparison(folder, FILE), "-o", folder / "c.md") == 0
        assert command(monkeypatch, comparison(folder, FILE), "-o", folder / "choice.toml") == 2

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["=edge-0.greengen", "b=cloud-0.greengen"], "'=edge-0.greengen' has no name before the =: pass NAME="),
            (["a=", "b=cloud-0.greengen"], "'a=' names no run file: pass RUN, NAME=RUN"),
            (["", "b=cloud-0.greengen"], "'' names no run file"),
            (["a=edge-0.greengen+", "b=cloud-0.greengen"], "'a=edge-0.greengen+' names no run file beside the +"),
            (["a=edge-0.greengen", "b=cloud-0.greengen", "--quality", "a=nan"], "quality nan of 'a' is no number"),
            (["a=edge-0.greengen", "b=cloud-0.greengen", "--quality", "a=inf"], "quality inf of 'a' is no number"),
            (["a=edge-0.greengen", "b=cloud-0.greengen", "--quality", "a=nan/3"], "quality nan of 'a' is no number"),
            (["a=edge-0.greengen", "b=cloud-0.greengen", "-o", "foo.pdf"], "no format has the ending .pdf: name .json"),
        ],
    )
    def test_arguments_that_say_nothing(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        said: str,
    ) -> None:
        monkeypatch.chdir(folder)
        assert command(monkeypatch, *arguments) == 2
        _, err = capsys.readouterr()
        assert said in err
        assert err.count("\n") == 1
        assert not (folder / "foo.pdf").exists()


class TestFailOn:
    """cloud costs twice what edge does: its ratio is 2.00, from 1.9 to 2.1 or so."""

    @pytest.mark.parametrize(
        ("asked", "code"),
        [
            ("energy>+5%", 1),
            ("energy > 80%", 1),
            # Of an estimate of 2.00, a part of the interval lies below 1.99: that is no evidence.
            ("energy>+99%", 0),
            ("energy>+150%", 0),
            ("energy<-5%", 0),
            ("latency-p95>+5%", 0),
        ],
    )
    def test_it_takes_the_whole_interval(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, asked: str, code: int
    ) -> None:
        assert command(monkeypatch, comparison(folder, FILE), "--baseline", "edge", "--fail-on", asked) == code

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ("energy>5", "is not understood"),
            ("joules>+5%", "'joules' is no metric; there is energy,"),
            ("water>+5%", "cannot be decided of 'edge'"),
        ],
    )
    def test_what_it_cannot_see_does_not_pass(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        asked: str,
        said: str,
    ) -> None:
        assert command(monkeypatch, comparison(folder, FILE), "--fail-on", asked) == 2
        assert said in capsys.readouterr().err

    def test_too_few_repeats_decide_nothing(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        pair = [f"{name}={folder}/{name}-0.greengen" for name in ("cloud", "edge")]
        assert command(monkeypatch, *pair, "--fail-on", "energy>+5%") == 2
        assert "1 against 1 repeats: a verdict takes 3 of each" in capsys.readouterr().err


API = "[[deployment]]\nname = 'cloud'\nruns = 'cloud-*.greengen'\n[[deployment]]\nname = 'api'\n"
TWO = (
    "[[deployment]]\nname = 'cloud'\nruns = 'cloud-*.greengen'\n{0}"
    "[[deployment]]\nname = 'edge'\nruns = 'edge-*.greengen'\n{1}"
)

REFUSED = {
    "unit": (
        API + "declared = { energy_j = 0.1, per = 'output_token', boundary = 'machine' }",
        "cannot compare 'api' per output_token with others per request: state its output_tokens",
    ),
    "no unit": ("unit = 'image'\n" + TWO.format("", ""), "'cloud' tells none. Record it with the requests"),
    "boundary": (
        API + "declared = { energy_j = 1, per = 'request', boundary = 'accelerator' }",
        "cannot compare 'cloud' (boundary machine) with 'api' (boundary accelerator): widen the narrower one",
    ),
    "no boundary": (API + "declared = { energy_j = 1, per = 'request' }", "does not say boundary: state it"),
    "pue": (TWO.format("site = { pue = 1.2 }\n", ""), "(boundary machine): state the PUE of 'edge' too, or leave out"),
    "idle rule": (
        API + "declared = { energy_j = 1, per = 'request', boundary = 'machine', idle = 'pro-rata' }",
        "(idle time: none) with 'api' (idle time: pro-rata): count both by one rule, with --idle and --counts",
    ),
    "kind": (
        TWO.format(
            "site = { intensity = 300, kind = 'average' }\n", "site = { intensity = 300, kind = 'marginal_short' }\n"
        ),
        "kind is average in one and short-run marginal in the other. Recompute both on one basis",
    ),
    "quality": ("strict = true\n" + TWO.format("quality = 1\n", ""), "quality unknown of 'edge': state it"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_in_one_line_with_the_remedy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    text, said = REFUSED[what]
    assert command(monkeypatch, comparison(folder, text)) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert (out, err.count("\n")) == ("", 1)


def test_one_accelerator_is_no_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, domain in (("a", GPU), ("b", PACKAGE)):
        write(tmp_path, name, timeline(1.0, uid=name, domain=domain))
    assert command(monkeypatch, f"a={tmp_path}/a.greengen", f"b={tmp_path}/b.greengen") == 2
