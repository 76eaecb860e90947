"""Deployments held against one another: what is told, and in which words."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import greengen
from greengen import what_if
from greengen.collector import PROFILED
from greengen.comparison import compare
from greengen.errors import KindMismatchError, UsageError
from greengen.reports.comparison import sections
from tests.unit.compared import MODEL, PACKAGE, repeats, timeline, write

FORMATS = ("terminal", "json", "csv", "markdown")
#: Of about 1 J and 2 J per request.
LOW, HIGH = (1.0, 1.02, 0.98), (2.0, 2.04, 1.96)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Three repeats each, recorded alternately on one host with one meter."""
    path = tmp_path_factory.mktemp("runs")
    return {"fp32": repeats(path, "fp32-", HIGH), "int8": repeats(path, "int8-", LOW, first=1)}


def option(document: dict[str, Any], name: str) -> dict[str, Any]:
    [row] = [row for row in document["options"] if row["name"] == name]
    found: dict[str, Any] = row
    return found


class TestMeasured:
    def test_no_figure_of_a_table_lacks_its_interval(self, runs: dict[str, list[str]]) -> None:
        """In the terminal and in Markdown: of the options, and of each repeat."""
        document = greengen.compare(runs, intensity=360.0).document()
        tables = {section.id: section.rows for section in sections(document)}
        figures = [row[2:5] for row in tables["options"]] + [row[3:4] for row in tables["repeats"]]
        cells = [str(cell) for row in figures for cell in row if not str(cell).startswith("not measured")]
        assert cells
        assert all(re.search(r"\S+ \S+ \(\S+ to \S+\)", cell) for cell in cells), cells

    def test_the_verdict(self, runs: dict[str, list[str]]) -> None:
        document = greengen.compare(runs, intensity=360.0).document()
        told = option(document, "int8")["ratio"]["energy"]
        assert told["value"] == pytest.approx(0.5)
        # The sensor's gain of 5 % is in both, and cancels: what is left is scatter.
        assert told["meter_sigma"] == pytest.approx(0.0, abs=1e-9)
        assert (told["verdict"], told["repeats"]) == ("less", [3, 3])
        assert 0.95 < told["high"] / told["low"] * 0.9 < 1.1
        assert told["words"].startswith("50 % less energy per request than fp32 (ratio 0.5, ")
        assert document["verdict"]["best"] == "int8"
        assert document["verdict"]["metric"] == "carbon_operational"
        headline = "int8 has 50 % less operational CO2e per request than fp32 (48 to 52 %)."
        assert document["verdict"]["headline"] == headline
        assert "not an ISO 14044" in document["verdict"]["screening"]

    def test_the_figures(self, runs: dict[str, list[str]]) -> None:
        document = compare(runs, intensity=360.0, deadline_s=0.9).document()
        row = option(document, "int8")
        assert row["energy_j"]["value"] == pytest.approx(1.0)
        assert row["energy_j"]["unit"] == "J/request"
        assert row["energy_j_per_output_token"]["value"] == pytest.approx(1 / 20)
        assert row["carbon_operational_g"]["value"] == pytest.approx(360 / 3.6e6)
        assert row["carbon_total_g"]["value"] is None
        assert row["latency"]["p95_s"]["value"] == pytest.approx(1.0)
        assert (row["latency"]["missed"], row["latency"]["missed_share"]["value"]) == (30, 1.0)
        assert (row["units"], row["output_tokens"], row["n"]) == (30, 600, 3)
        assert [repeat["order"] for repeat in row["repeats"]] == [2, 4, 6]
        assert sum(row["distribution"]["counts"]) == 30
        assert row["by_batch"][0]["batch"] == 1
        assert row["power"][0]["power_w"][0] == pytest.approx(1.0)
        assert json.loads(json.dumps(document, allow_nan=False)) == document

    def test_embodied_is_of_the_time_of_requests(self, runs: dict[str, list[str]]) -> None:
        """36.5 kg over 10 years, in use for a tenth of them: 36 500 g / 31 536 000 s, 1 s each."""
        document = compare(runs, intensity=360.0, hardware=["box:kg=36.5,lifetime=10,utilisation=0.1"]).document()
        row = option(document, "fp32")
        assert row["carbon_embodied_g"]["value"] == pytest.approx(36_500 / 31_536_000, rel=1e-3)
        assert row["carbon_total_g"]["value"] == pytest.approx(36_500 / 31_536_000 + 2 * 360 / 3.6e6, rel=1e-3)
        assert document["verdict"]["metric"] == "carbon_total"

    def test_per_token(self, runs: dict[str, list[str]]) -> None:
        row = option(compare(runs, unit="output_token").document(), "fp32")
        assert row["energy_j"]["value"] == pytest.approx(0.1)
        assert row["units"] == 600

    def test_whole_runs(self, runs: dict[str, list[str]]) -> None:
        document = compare(runs, counts="run").document()
        assert document["boundary"]["idle"] == "all of the recording"
        assert option(document, "fp32")["energy_j"]["value"] == pytest.approx(2.0)

    def test_alike_is_not_distinguishable(self, tmp_path: Path) -> None:
        alike = {"a": repeats(tmp_path, "a", LOW), "b": repeats(tmp_path, "b", (1.01, 0.99, 1.03), first=1)}
        document = compare(alike).document()
        assert option(document, "b")["ratio"]["energy"]["verdict"] == "not distinguishable"
        assert document["verdict"]["best"] is None
        assert "not distinguishable from a in energy per request" in document["verdict"]["headline"]

    def test_the_baseline_may_win(self, runs: dict[str, list[str]]) -> None:
        document = compare(runs, baseline="int8").document()
        assert document["verdict"]["best"] == "int8"
        assert option(document, "fp32")["ratio"]["energy"]["words"].startswith(
            "100.0 % more energy per request than int8"
        )

    def test_the_headline_is_one_short_sentence(self, runs: dict[str, list[str]], tmp_path: Path) -> None:
        three = runs | {"int4": repeats(tmp_path, "int4-", (0.5, 0.51, 0.49), first=1)}
        told = compare(three).document()["verdict"]
        assert (
            told["headline"] == "Of 3 options, int4 has the least energy per request: 75 % less than fp32 (74 to 76 %)."
        )
        told = compare(three, baseline="int4").document()["verdict"]
        assert told["headline"] == "Of 3 options, int4, the baseline, has the least energy per request."

    def test_two_repeats_decide_nothing(self, runs: dict[str, list[str]]) -> None:
        document = compare({name: paths[:2] for name, paths in runs.items()}).document()
        told = option(document, "int8")["ratio"]["energy"]
        assert (told["verdict"], told["p_better"]) == ("no verdict", None)
        assert "2 against 2 repeats: a verdict takes 3 of each" in document["verdict"]["headline"]


@pytest.fixture(scope="module")
def modelled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The same on a machine without a meter, with int8 at a quarter."""
    path = tmp_path_factory.mktemp("modelled")
    quarter = [cost / 4 for cost in HIGH]
    return {
        "fp32": repeats(path, "fp32-", HIGH, domain=MODEL, model="fp32"),
        "int8": repeats(path, "int8-", quarter, first=1, domain=MODEL, model="int8"),
    }


class TestModelled:
    """No meter: energy is busy time times a model. 2 J are 0.2 s of it here."""

    def test_the_words_name_the_evidence(self, modelled: dict[str, list[str]]) -> None:
        document = compare(modelled, intensity=360.0).document()
        row = option(document, "int8")
        assert row["ratio"]["energy"]["verdict"] == "less"
        assert "less modelled energy per request than fp32" in row["ratio"]["energy"]["words"]
        assert "less operational CO2e of modelled energy" in document["verdict"]["headline"]
        assert "The evidence is busy time: 0.25 of the baseline's" in row["ratio"]["energy"]["words"]
        assert (
            "No power was measured. The evidence is busy time: that of int8 is 0.25 of the baseline's (0.2"
            in " ".join(document["verdict"]["caveats"])
        )
        assert row["busy_s"]["value"] == pytest.approx(0.05)

    def test_what_moves_the_result_is_told_in_words(self, modelled: dict[str, list[str]]) -> None:
        rows = compare(modelled).document()["tornado"]
        names = {row["name"] for row in rows}
        assert "scatter of the repeats of fp32" in names
        assert "model's fit to the work, int8" in names
        assert not any(word in name for name in names for word in ("None", "boot-", "cpu_model:"))
        assert {"scatter of the repeats of fp32", "workload:box:cpu_model:package:request/int8"} <= {
            row["source"] for row in rows
        }

    @pytest.mark.parametrize("format_", FORMATS)
    def test_a_model_is_no_measurement(self, modelled: dict[str, list[str]], format_: str) -> None:
        told = compare(modelled, intensity=360.0).render(format_)
        assert "greener" not in told
        assert "modelled" in told

    def test_the_workload_does_not_cancel(self, tmp_path: Path) -> None:
        """A fifth less is less than the model may be off between two workloads (×/÷ 1.3)."""
        alike = {
            "fp32": repeats(tmp_path, "fp32-", HIGH, domain=MODEL, model="fp32"),
            "int8": repeats(tmp_path, "int8-", [0.85 * cost for cost in HIGH], first=1, domain=MODEL, model="int8"),
        }
        told = option(compare(alike).document(), "int8")["ratio"]
        assert told["energy"]["verdict"] == "not distinguishable"
        assert told["energy"]["meter_sigma"] == pytest.approx(0.095 * 2**0.5, rel=0.05)
        assert told["busy"]["verdict"] == "less"


class TestTiers:
    """A device asks a server: a span in both, one trace. The device waits 1 s, so does the server."""

    @pytest.fixture
    def crossing(self, tmp_path: Path) -> list[tuple[str, str]]:
        pairs = []
        for i in range(3):
            traces = [f"{i}{n:031x}" for n in range(10)]
            start = 1000.0 + 100 * i
            tier: dict[str, object] = {"tier": "device"}
            device = timeline(0.5, uid=f"d{i}", start_s=start, host="phone", traces=traces, info=tier)
            device.spans = [
                replace(span, output_tokens=None, labels={"network_bytes": "1000"}) for span in device.spans
            ]
            server = timeline(
                2.0 + 0.01 * i, uid=f"s{i}", start_s=start, host="rack", traces=traces, info={"tier": "cloud"}
            )
            server.spans = [replace(span, t1_ns=(span.t1_ns or 0) - 200_000_000) for span in server.spans]
            pairs.append((write(tmp_path, f"d{i}", device), write(tmp_path, f"s{i}", server)))
        return pairs

    def compared(self, crossing: list[tuple[str, str]], tmp_path: Path, **more: object) -> dict[str, Any]:
        hybrid = greengen.Deployment(
            runs=crossing,
            tiers={"device": {"intensity": 100.0}, "cloud": {"intensity": 400.0, "pue": 1.5}},
        )
        alone = greengen.Deployment(
            runs=[write(tmp_path, f"a{i}", timeline(3.0, uid=f"a{i}", host="phone", info={"tier": "device"},
                                                    start_s=1050.0 + 100 * i)) for i in range(3)],
            site={"intensity": 100.0},
        )  # fmt: skip
        return compare({"hybrid": hybrid, "device": alone}, **more).document()

    def test_a_request_that_crosses_is_one(self, crossing: list[tuple[str, str]], tmp_path: Path) -> None:
        document = self.compared(crossing, tmp_path)
        row = option(document, "hybrid")
        assert row["units"] == 30
        assert row["latency"]["requests"] == 30
        assert row["latency"]["p50_s"]["value"] == pytest.approx(1.0)
        # The server, not the device, tells the tokens: 20 each.
        assert row["output_tokens"] == 600
        device, cloud = row["tiers"]
        assert (device["tier"], cloud["tier"]) == ("device", "cloud")
        assert device["energy_j"]["value"] == pytest.approx(0.5)
        assert cloud["energy_j"]["value"] == pytest.approx(0.8 * 2.01)
        assert row["energy_j"]["value"] == pytest.approx(0.5 + 0.8 * 2.01)
        grams = 0.5 * 100 / 3.6e6 + 1.5 * 0.8 * 2.01 * 400 / 3.6e6
        assert row["carbon_operational_g"]["value"] == pytest.approx(grams)
        assert document["tiers"] == ["device", "cloud"]

    def test_the_network_is_a_tier_that_is_declared(self, crossing: list[tuple[str, str]], tmp_path: Path) -> None:
        document = self.compared(crossing, tmp_path, network_kwh_per_gb=0.1, link={"intensity": 300.0})
        row = option(document, "hybrid")
        assert [tier["tier"] for tier in row["tiers"]] == ["device", "network", "cloud"]
        network_j = 1000 / 1e9 * 0.1 * 3.6e6
        assert row["tiers"][1]["energy_j"]["value"] == pytest.approx(network_j)
        assert row["declared_share"] == pytest.approx(row["tiers"][1]["share_of_carbon"], rel=0.01)
        words = document["verdict"]["headline"]
        assert "less operational CO2e per request than hybrid" in words
        assert any("of the grams of hybrid are declared, not" in text for text in document["verdict"]["caveats"])


@pytest.mark.parametrize(("told", "device_j", "cloud_j"), [("who is whose", 1.0, 3.0), ("nothing", 2.0, 2.0)])
def test_tiers_on_one_host_have_what_their_own_processes_used(
    tmp_path: Path, told: str, device_j: float, cloud_j: float
) -> None:
    """4 J per request, 0.1 s of the device's process and 0.3 s of the server's.

    Where it is not told that neither is among the other's, they are one account: live together, they share alike.
    """
    traces = [f"{n:032x}" for n in range(1, 11)]
    both = []
    for tier, part in (("device", 0.25), ("cloud", 0.75)):
        info: dict[str, object] = {"tier": tier} | (
            {"ancestors": [], "root": f"p-{tier}"} if told == "who is whose" else {}
        )
        found = timeline(4.0, uid=tier, domain=MODEL, traces=traces, info=info)
        busy = found.usage["cpu", PROFILED]
        found.usage["cpu", PROFILED] = replace(busy, values=[value * part for value in busy.values])
        both.append(write(tmp_path, tier, found))
    alone = write(tmp_path, "alone", timeline(4.0, uid="alone", host="rack", domain=MODEL))
    row = option(compare({"both": [both], "alone": [alone]}).document(), "both")
    assert [tier["energy_j"]["value"] for tier in row["tiers"]] == pytest.approx([device_j, cloud_j])
    assert row["units"] == 10
    assert sum(account["energy_j"]["value"] or 0.0 for account in row["accounts"]) == pytest.approx(4.0)


class TestShown:
    def test_order_and_drift(self, tmp_path: Path) -> None:
        blocks: dict[str, list[str]] = {"a": [], "b": []}
        for i in range(6):
            uid = f"{'aaabbb'[i]}{i}"
            path = write(tmp_path, uid, timeline(1.0 + 0.05 * i, uid=uid, start_s=1000 + 100 * i))
            blocks[uid[0]].append(path)
        document = compare(blocks).document()
        assert not document["order"][0]["interleaved"]
        assert document["drift"][0]["slope_per_repeat"] == pytest.approx(0.045, abs=0.005)
        told = option(document, "b")["ratio"]["energy"]
        assert (told["verdict"], "trend" in told["method"]) == ("not distinguishable", True)
        assert told["words"].endswith("looks like a difference: alternate them")
        caveats = " ".join(document["verdict"]["caveats"])
        assert "were recorded one after the other" in caveats
        assert "what a repeat costs grew by 4." in caveats
        assert "rested" not in caveats

    def test_a_rest_between_blocks(self, tmp_path: Path) -> None:
        """A day: what was done to the machine meanwhile, no repeat tells."""
        blocks = {
            name: [write(tmp_path, f"{name}{i}", timeline(1.0 + i / 100, uid=f"{name}{i}", start_s=late + 20 * i))
                   for i in range(3)]
            for name, late in (("a", 1000.0), ("b", 87_400.0))
        }  # fmt: skip
        [order] = compare(blocks).document()["order"]
        assert "it rested for 24.0 h: no interval tells what changed meanwhile" in order["told"]

    def test_another_state_of_the_machine(self, tmp_path: Path) -> None:
        states: list[dict[str, object]] = [{"state": {"power limit": "65 W"}}, {"state": {"power limit": "125 W"}}]
        pair = {
            name: repeats(tmp_path, name, LOW, first=first, info=states[first]) for first, name in enumerate(("a", "b"))
        }
        document = compare(pair).document()
        assert "power limit was not the same throughout: 65 W in a (repeat 1)" in document["state_differences"][0]

    def test_a_warmer_machine(self, tmp_path: Path) -> None:
        states: list[dict[str, object]] = [
            {"state": {"CPU temperature": "40 C"}},
            {"state": {"CPU temperature": "70 C"}},
        ]
        pair = {
            name: repeats(tmp_path, name, LOW, first=first, info=states[first]) for first, name in enumerate(("a", "b"))
        }
        document = compare(pair).document()
        assert document["state_differences"] == [
            "CPU temperature was 40 C when a (repeat 1) began, and 70 C when b (repeat 3) did."
        ]
        assert document["options"][1]["repeats"][0]["state"][0]["value"] == "70 C"

    def test_repeats_at_once(self, tmp_path: Path) -> None:
        pair = {
            name: [write(tmp_path, f"{name}{i}", timeline(1.0, uid=f"{name}{i}", start_s=1000 + 100 * i + late))
                   for i in range(3)]
            for late, name in enumerate(("a", "b"))
        }  # fmt: skip
        assert "were recorded at once on one host" in " ".join(compare(pair).document()["warnings"])

    def test_hostile_names_are_text(self, runs: dict[str, list[str]]) -> None:
        name = '=cmd|"</script><img src=x onerror=alert(1)>` [red]x[/red]\x1b[31m\u202e'
        compared = compare({name: runs["fp32"], "int8": runs["int8"]}, title=name)
        assert "\x1b" not in compared.render("terminal")
        assert "<img" not in compared.render("markdown")
        assert "\n=cmd" not in compared.render("csv")
        assert option(json.loads(compared.render("json")), name)["baseline"]


class TestPublished:
    def test_it_is_declared_and_has_no_verdict(self, runs: dict[str, list[str]]) -> None:
        figure = {"energy_j": 4.0, "gsd": 1.5, "per": "request", "boundary": "machine", "source": "a paper"}
        document = compare(runs | {"api": figure}, intensity=360.0).document()
        row = option(document, "api")
        assert (row["origin"], row["n"], row["energy_j"]["grade"]) == ("declared", 0, "declared")
        assert row["ratio"]["energy"]["value"] == pytest.approx(2.0)
        assert row["ratio"]["energy"]["reason"] == "a published figure has no repeats"
        assert row["declared_share"] == 1.0
        assert {"what": "energy of api", "source": "a paper"}.items() <= document["sources"][-1].items()

    def test_an_interval_that_nobody_stated_is_not_shown_as_none(self, tmp_path: Path) -> None:
        figures = {
            name: greengen.Deployment(
                declared={"energy_j": joules, "per": "request", "boundary": "machine", "output_tokens": 20}, batch=batch
            )
            for name, joules, batch in (("a", 2.0, 22.5657), ("b", 1.0, 64))
        }
        compared = compare(figures, title="two figures")
        compared.what_if = what_if.evaluate(compared, [{"kind": "batch", "values": [30, 40]}])
        document = compared.document()
        row = option(document, "b")
        assert (row["energy_j"]["value"], row["energy_j"]["low"], row["energy_j"]["high"]) == (1.0, None, None)
        ratio = row["ratio"]["energy"]
        assert (ratio["value"], ratio["low"], ratio["high"], ratio["p_better"]) == (0.5, None, None, None)
        assert ratio["words"].endswith("(ratio 0.5, interval not known)")
        [line] = document["what_if"][0]["lines"]
        assert all(line["values"])
        assert {*line["low"], *line["high"]} == {None}
        [_, published] = document["verdict"]["caveats"]
        assert published.startswith(
            "Published, not measured, is the energy of all options: a (assumes a batch of 22.6; "
        )
        assert published.endswith("), b (assumes a batch of 64; its interval is not known)")
        page = compared.render("html")
        assert "Their intervals are not known: nobody stated how far they may be off." in page
        assert page.count("interval not known") > 8
        assert "Not known is the interval of a, b." in compared.render("markdown")
        assert "energy_j,J/request,1.0,,,declared,,0.5,,,," in compared.render("csv")

    def test_two_of_them_have_a_probability(self) -> None:
        """carbon.md 3: 0.8 against 1.0 Wh, GSD 1.05 each, on one grid of GSD 1.3: 0.9994."""
        pair = {
            name: {"energy_wh": wh, "gsd": 1.05, "per": "request", "boundary": "machine"}
            for name, wh in (("b", 1.0), ("a", 0.8))
        }
        told = option(compare(pair, zone="DEU").document(), "a")["ratio"]["carbon_operational"]
        assert told["p_better"] == pytest.approx(0.9994, abs=5e-5)
        assert told["verdict"] == "no verdict"

    def test_per_token_with_stated_tokens(self, runs: dict[str, list[str]]) -> None:
        figure = {"energy_j": 0.02, "per": "output_token", "boundary": "machine", "output_tokens": 20}
        document = compare(runs | {"batch 64": greengen.Deployment(declared=figure, batch=64)}).document()
        assert option(document, "batch 64")["energy_j"]["value"] == pytest.approx(0.4)
        caveats = document["verdict"]["caveats"]
        [published] = [text for text in caveats if "batch 64" in text and text.startswith("Published")]
        assert published.endswith("of these options: batch 64 (assumes a batch of 64; its interval is not known)")


class TestRefusals:
    def test_a_copy_is_no_repeat(self, runs: dict[str, list[str]]) -> None:
        with pytest.raises(KindMismatchError, match="a copy is no repeat"):
            compare({"a": [runs["fp32"][0]] * 3, "b": runs["int8"]})

    def test_quality(self, runs: dict[str, list[str]]) -> None:
        document = compare(runs, quality={"fp32": 0.92}, quality_metric="accuracy").document()
        assert option(document, "fp32")["quality"]["value"] == 0.92
        assert option(document, "int8")["quality"]["reason"].startswith("quality unknown")
        assert "quality unknown of int8" in document["verdict"]["caveats"][0]
        with pytest.raises(UsageError, match="quality unknown of 'int8': state it"):
            compare(runs, quality={"fp32": 0.92}, strict=True)
        with pytest.raises(UsageError, match="there is no such deployment"):
            compare(runs, quality={"fp16": 0.92})

    def test_options_and_names(self, runs: dict[str, list[str]]) -> None:
        with pytest.raises(UsageError, match="two deployments or more"):
            compare({"a": runs["fp32"]})
        with pytest.raises(UsageError, match="baseline 'x' is none of the deployments: fp32, int8"):
            compare(runs, baseline="x")
        with pytest.raises(TypeError, match="zoen says nothing of a comparison"):
            compare(runs, zoen="DEU")
        with pytest.raises(UsageError, match=r"deadline_s -1\.0 is not possible"):
            compare(runs, deadline_s=-1.0)
        with pytest.raises(UsageError, match="neither runs nor a published figure"):
            compare({**runs, "x": []})


def test_meters_of_two_hosts_do_not_cancel(tmp_path: Path) -> None:
    """5 % of gain in each of two sensors: √2 · 5 % on the ratio."""
    pair = {
        "box": repeats(tmp_path, "a", LOW, domain=PACKAGE),
        "rack": repeats(tmp_path, "b", HIGH, domain=PACKAGE, host="rack"),
    }
    told = option(compare(pair).document(), "rack")["ratio"]["energy"]
    assert told["meter_sigma"] == pytest.approx(0.05 * 2**0.5, rel=0.05)
