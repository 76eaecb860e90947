"""`greengen report` with what stands beside the books: margins, amortised training, the network."""

from __future__ import annotations

import csv
import io
import json
import math
import subprocess
from pathlib import Path
from typing import Any

import pytest

import greengen
from greengen.errors import UsageError
from greengen.recording import export
from greengen.testing.serving.costs import Affine
from greengen.testing.serving.meters import METERS
from greengen.testing.serving.power import traces
from greengen.testing.serving.recording import to_rows
from greengen.testing.serving.serve import Instance, serve
from greengen.testing.serving.workload import CHAT
from tests.integration.commands import GREENGEN
from tests.integration.test_bad_input import refused
from tests.integration.test_merge_cli import burn, on_another_host

MEGABYTE = 1_000_000


def report(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [GREENGEN, "report", *map(str, arguments)]
    return subprocess.run(line, check=False, capture_output=True, text=True, timeout=60)


def document(*arguments: object) -> dict[str, Any]:
    done = report("--format", "json", *arguments)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 requests of a simulated engine, in steps."""
    cost = Affine()
    served = serve(CHAT.stream(9.8, cost, 60, 5), Instance("m", cost), 5)
    path = tmp_path_factory.mktemp("serving") / "serving.greengen"
    export.write(to_rows(served, traces(served), METERS["perfect"], 5), path)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is trained, and then asked twice."""
    path = tmp_path_factory.mktemp("trained") / "run.greengen"
    with greengen.profile(path, interval_s=0.02):
        with greengen.span("train", model="chat"):
            burn(400_000)
            with greengen.span("step"):
                burn(400_000)
        for _ in range(2):
            with greengen.request(model="chat"):
                burn(400_000)
    return path


@pytest.fixture(scope="module")
def tiers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A request that a phone sends on to an edge server; the phone tells what went between them."""
    place = tmp_path_factory.mktemp("tiers")
    device, edge = place / "device.greengen", place / "edge.greengen"
    with greengen.profile(device, tier="device"):
        with greengen.request(model="chat") as request:
            burn()
            header = request.traceparent
            request.label(network_bytes=3 * MEGABYTE)
        with greengen.request(model="chat", network_bytes=MEGABYTE):
            burn()
    with greengen.profile(edge, tier="edge"), greengen.request(model="chat", traceparent=header):
        burn()
    return [device, on_another_host(edge, "edge-host")]


def test_margins(serving: Path) -> None:
    found = document(serving, "--marginal")
    table = found["marginal"]
    assert len(table["requests"]) == len(found["requests"]) == 60
    known = [row["marginal_j"] for row in table["requests"]]
    assert all(0 < q["low"] <= q["value"] <= q["high"] and q["grade"] == "modelled" for q in known)
    sums = table["sums"]
    assert math.isclose(math.fsum(q["value"] for q in known), sums["marginal_j"]["value"], rel_tol=1e-9)
    [engine] = table["engines"]
    assert (engine["origin"], engine["scale_j"]) == ("fitted", 1.0)
    assert math.isclose(sums["attributed_j"]["value"], engine["steps_j"]["value"], rel_tol=1e-9)
    assert sums["marginal_j"]["value"] < 0.6 * engine["predicted_j"]
    assert "do not sum to the meter" in table["note"]
    # Asked for or not, the books are the same.
    plain = document(serving)
    assert plain["marginal"] is None
    assert plain["accounts"] == found["accounts"]
    assert plain["requests"] == found["requests"]


def test_margins_of_the_requests_that_are_listed(serving: Path) -> None:
    table = document(serving, "--marginal", "--requests", "top:5")["marginal"]
    assert (len(table["requests"]), table["requests_left_out"]) == (5, 55)
    assert table["sums"] == document(serving, "--marginal")["marginal"]["sums"]


def test_margins_where_no_cost_is_known_or_one_is_given(serving: Path) -> None:
    table = document(serving, "--marginal", "--policy", "equal")["marginal"]
    assert {row["marginal_j"]["value"] for row in table["requests"]} == {None}
    assert "what a step costs is not known" in table["requests"][0]["marginal_j"]["reason"]
    assert table["engines"][0]["reason"]
    prices = [str(10 * price) for price in Affine().joules_of]
    given = document(serving, "--marginal", "--policy", "equal", "--coefficients", *prices)["marginal"]
    fitted = document(serving, "--marginal")["marginal"]
    assert given["engines"][0]["origin"] == "given"
    assert math.isclose(given["engines"][0]["scale_j"], 0.1, rel_tol=1e-3)
    for one, other in zip(given["requests"], fitted["requests"], strict=True):
        assert math.isclose(one["marginal_j"]["value"], other["marginal_j"]["value"], rel_tol=1e-2)


@pytest.mark.parametrize("format_", ["terminal", "markdown", "html", "csv"])
def test_every_format_shows_margins(serving: Path, format_: str) -> None:
    text = report(serving, "--marginal", "--format", format_).stdout
    assert ("marginal_j" if format_ == "csv" else "Marginal energy (leave one out)") in text
    assert format_ == "csv" or "do not sum to the meter" in " ".join(text.split())
    assert "Marginal energy" not in report(serving, "--format", format_).stdout


def test_training_over_a_lifetime(trained: Path) -> None:
    [model] = document(trained, "--amortise", "chat", "1e6")["models"]
    [plain] = document(trained)["models"]
    rows = document(trained)["spans"]
    energy = math.fsum(row["energy_j"]["value"] for row in rows if row["kind"] in {"train", "step"})
    assert math.isclose(model["training_j"]["value"], energy, rel_tol=1e-9)
    assert model["training_requests"] == 1_000_000
    each = model["training_j_per_request"]
    assert math.isclose(each["value"], energy / 1e6, rel_tol=1e-9)
    assert (each["grade"], each["low"] <= each["value"] <= each["high"]) == (model["training_j"]["grade"], True)
    # It stands beside: every other number is what it was, and without the requests it is not there.
    assert {key: value for key, value in model.items() if not key.startswith("training")} == plain
    [elsewhere] = document(trained, "--amortise", "chat", "1_000_000", "--training", trained)["models"]
    assert elsewhere == model | {"training_source": str(trained)}
    for format_, said in (("terminal", "Training, amortised"), ("html", "1,000,000"), ("markdown", "| 1,000,000 |")):
        assert said in report(trained, "--amortise", "chat", "1e6", "--format", format_).stdout
    lines = list(csv.DictReader(io.StringIO(report(trained, "--amortise", "chat", "5", "--format", "csv").stdout)))
    shares = [float(line["training_j_per_request"]) for line in lines if line["kind"] == "request"]
    assert shares == pytest.approx([energy / 5] * 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--amortise", "chat", "0"], ["'0'", "1e6"]),
        (["--amortise", "chat", "many"], ["'many'", "1e6"]),
        (["--amortise", "chat", "2.5"], ["'2.5'"]),
        (["--amortise", "chat", "nan"], ["'nan'"]),
        (["--amortise", "chta", "9"], ["'chta'", "did you mean 'chat'? it has requests of 'chat'"]),
        (["--amortise", "chat", "1"], ["no lifetime", "has 2"]),
        (["--amortise", "chat", "9", "--amortise", "chat", "8"], ["twice"]),
        (["--training", "run.greengen"], ["--amortise MODEL REQUESTS"]),
        (["--amortise", "chat", "9", "--training", "gone.greengen"], ["gone.greengen"]),
        (["--network-kwh-per-gb", "-1"], ["-1", "0 or more"]),
        (["--network-kwh-per-gb", "inf"], ["inf", "0 or more"]),
        (["--network-kwh-per-gb", "x"], ["'x'", "--network-kwh-per-gb"]),
    ],
)
def test_what_is_refused(trained: Path, options: list[str], said: list[str]) -> None:
    line = refused(report(trained, *options))
    assert all(part in line for part in said), line


def test_a_model_that_was_trained_nowhere(trained: Path, serving: Path) -> None:
    line = refused(report(trained, "--amortise", "chat", "9", "--training", serving))
    assert "serving.greengen has no training of 'chat': there is no training of any model" in line


def test_the_network_is_a_line_of_its_own(tiers: list[Path]) -> None:
    plain, found = document(*tiers), document(*tiers, "--network-kwh-per-gb", "0.05")
    line = found["network"]
    assert (line["bytes"], line["spans"], line["kwh_per_gb"]) == (4 * MEGABYTE, 2, 0.05)
    assert line["energy_j"]["value"] == pytest.approx(4e6 / 1e9 * 0.05 * 3.6e6)
    assert line["energy_j"]["grade"] == "declared"
    [trace] = found["traces"]
    assert trace["network"]["bytes"] == 3 * MEGABYTE
    assert trace["network"]["energy_j"]["value"] == pytest.approx(540.0)
    # Neither a total nor an account knows of it.
    assert (found["totals"], found["accounts"]) == (plain["totals"], plain["accounts"])
    assert trace["energy_j"] == plain["traces"][0]["energy_j"]
    assert not [row for row in found["boundary"]["not_covered"] if "network between" in row["what"]]
    for format_ in ("terminal", "markdown", "html"):
        text = report(*tiers, "--network-kwh-per-gb", "0.05", "--format", format_).stdout
        assert "Network, in no total" in text
        assert "4,000,000" in text
        assert "declared" in text
    lines = list(csv.DictReader(io.StringIO(report(*tiers, "--network-kwh-per-gb", "0.05", "--format", "csv").stdout)))
    assert sorted(float(line["network_j"]) for line in lines if line["network_j"]) == pytest.approx([180.0, 540.0])


def test_a_network_that_is_not_told_is_not_covered(tiers: list[Path], trained: Path) -> None:
    for found, why in (
        (document(*tiers), "no energy per byte was stated"),
        (document(trained, "--network-kwh-per-gb", "0.05"), "no span tells its network_bytes"),
        (document(trained), "no span tells its network_bytes, and no energy per byte was stated"),
    ):
        [row] = [row for row in found["boundary"]["not_covered"] if row["what"] == "network between tiers"]
        assert row["why"] == why
        assert row["remedy"]
        assert (found["network"]["energy_j"]["value"], found["network"]["energy_j"]["reason"]) == (None, why)


def test_bytes_that_are_none_and_bytes_that_both_ends_tell(tmp_path: Path) -> None:
    device, edge = tmp_path / "device.greengen", tmp_path / "edge.greengen"
    with greengen.profile(device, tier="device"):
        with greengen.request(model="chat", network_bytes=500) as request:
            header = request.traceparent
        with greengen.request(model="chat", network_bytes="12 kB"):
            burn()
    with greengen.profile(edge, tier="edge"), greengen.request(model="chat", traceparent=header, network_bytes=500):
        burn()
    found = document(device, on_another_host(edge, "edge-host"), "--network-kwh-per-gb", "1")
    assert any("two tiers" in text and "told once" in text for text in found["warnings"])
    assert any("'12 kB' is no whole number of bytes" in text for text in found["warnings"])
    assert found["network"]["spans"] == 2


def test_the_library_takes_the_same(trained: Path, serving: Path) -> None:
    run = greengen.Run(trained)
    [model] = run.report(amortise={"chat": 10}, training=run)["models"]
    assert model["training_source"] == str(trained)
    assert run.report(network_kwh_per_gb=0.1)["network"]["kwh_per_gb"] == 0.1
    assert len(greengen.Run(serving).ledger().marginal()) == 60
    for wrong in ({"chat": 2.5}, {"chat": float("nan")}, {"chat": True}):
        with pytest.raises(UsageError, match="whole number"):
            run.report(amortise=wrong)
    with pytest.raises(UsageError, match="no stated number of requests"):
        run.report(training=trained)
