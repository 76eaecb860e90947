"""Questions to a comparison: each kind against its closed form, what it assumes, and what it refuses."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import greengen
from greengen import what_if
from greengen.accounting.deployment import Repeat, priced
from greengen.comparison import Comparison, from_file
from greengen.errors import UsageError
from greengen.quantity import Error, Quantity
from greengen.what_if import sources
from greengen.what_if.answer import number, span
from greengen.what_if.table import mean

DEU, FRA, POL = 329.65, 41.44, 588.6


def figure(joules: float, embodied_g: float, batch: float | None = None, **more: Any) -> greengen.Deployment:  # noqa: ANN401 -- whatever a figure says
    told = {"energy_j": joules, "gsd": 1.2, "per": "request", "boundary": "machine", "output_tokens": 400.0}
    return greengen.Deployment(declared={**told, "embodied_g": embodied_g, **more.pop("told", {})}, batch=batch, **more)


def compared(**more: Any) -> Comparison:  # noqa: ANN401 -- options of a comparison
    return greengen.compare(
        {
            "cloud": figure(4000.0, 0.05, 8, site={"zone": "DEU", "pue": 1.2}),
            "edge": figure(3000.0, 0.2, 4, site={"zone": "FRA", "pue": 1.0}),
            "big": figure(9000.0, 0.02, 16, site={"zone": "DEU", "pue": 1.2}),
        },
        **more,
    )


def ask(kind: str, comparison: Comparison | None = None, folder: Path = Path(), **told: Any) -> dict[str, Any]:  # noqa: ANN401 -- keys of a table
    [answer] = what_if.evaluate(comparison or compared(), [{"kind": kind, **told}], folder)
    json.dumps(answer, allow_nan=False)
    return answer


def column(answer: dict[str, Any], name: str) -> list[Any]:
    at = answer["table"]["columns"].index(name)
    return [row[at]["value"] if isinstance(row[at], dict) else row[at] for row in answer["table"]["rows"]]


def cost(joules: float, grid: float, pue: float, embodied: float) -> float:
    return joules / 3.6e6 * grid * pue + embodied


def test_other_zones_rank_otherwise() -> None:
    answer = ask("zone", zones=["FRA", "POL"])
    assert answer["grid"]["winner"] == [["cloud"] * 3, ["edge"] * 3]
    expected = [[cost(4000, g, 1.2, 0.05), cost(3000, g, 1.0, 0.2), cost(9000, g, 1.2, 0.02)] for g in (FRA, POL)]
    assert answer["grid"]["values"] == [pytest.approx(row) for row in expected]
    assert answer["words"].startswith(
        "The ranking depends on the zone. Least, by the middle values: cloud in FRA; edge in POL."
    )
    assert answer["table"]["rows"][0][2]["unit"] == "g/request"
    assert answer["assumes"][0] == "grams of use and of hardware"


def test_by_hour_of_the_day(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time,g_per_kwh\n2026-01-01T00:00Z,10\n2026-01-01T01:00Z,900\n", encoding="utf-8")
    answer = ask("hour", folder=tmp_path, series={"A": "a.csv"})
    assert answer["grid"]["columns"][:2] == ["00", "01"]
    assert answer["grid"]["values"][0][:3] == [
        pytest.approx(cost(9000, 10, 1.2, 0.02)),
        pytest.approx(cost(3000, 900, 1.0, 0.2)),
        None,
    ]
    assert answer["grid"]["winner"][0][:3] == ["big", "edge", ""]


def test_another_pue() -> None:
    answer = ask("pue", values=[1.5], options=["cloud"])
    assert answer["lines"][0]["values"] == [pytest.approx(cost(4000, DEU, 1.5, 0.05))]
    assert answer["lines"][0]["low"][0] < answer["lines"][0]["values"][0] < answer["lines"][0]["high"][0]


class TestSpending:
    def test_break_even(self) -> None:
        answer = ask("break_even", old="cloud", new="edge", made_kg=200, per_day=1000, lifetime_y=4)
        saved = cost(4000, DEU, 1.2, 0.05) - cost(3000, FRA, 1.0, 0.0)
        [mark] = answer["marks"]
        assert mark["x"] == pytest.approx(200_000 / saved)
        assert mark["low"] < mark["x"] < mark["high"]
        middle = answer["x"]["values"].index(pytest.approx(mark["x"]))
        assert answer["lines"][0]["values"][middle] == pytest.approx(answer["lines"][1]["values"][middle])
        assert answer["lines"][1]["values"][0] == pytest.approx(200.0)
        assert answer["lines"][0]["unit"] == "kgCO2e"
        assert "it pays back in its life, after 440 days" in answer["words"]

    def test_of_a_published_example(self) -> None:
        """645 161 requests for 200 kg at 0.51 against 0.20 g, in a comparison of two published figures."""
        kwh = 3.6e6 / 1000.0
        two = {"cloud": figure(0.51 * kwh, 0.0, told={"gsd": 1.0}), "edge": figure(0.2 * kwh, 0.0, told={"gsd": 1.0})}
        answer = ask(
            "break_even", greengen.compare(two, intensity=1000.0), old="cloud", new="edge", made_kg=200, made_gsd=1
        )
        assert answer["marks"][0]["x"] == pytest.approx(645_161.29, abs=0.01)
        assert answer["words"] == "edge pays back after 645,000 requests."

    def test_there_is_none(self) -> None:
        answer = ask("break_even", old="edge", new="cloud", setup_kwh=100)
        assert answer["words"].startswith("No break-even: nothing is saved, for ")
        assert answer["marks"] == []
        assert column(answer, "figure")[0] == pytest.approx(100 * DEU / 1000)

    def test_by_rate_of_use(self) -> None:
        answer = ask("utilisation", edge="edge", cloud="cloud", made_kg=200, lifetime_y=4, idle_w=5, busy_s=3)
        standing = 200_000 / (4 * 365) + 5 * 86.4e3 / 3.6e6 * FRA
        rate = standing / (cost(4000, DEU, 1.2, 0.05) - cost(3000, FRA, 1.0, 0.0))
        assert column(answer, "figure")[:2] == pytest.approx([rate, rate * 3 / 86400])
        busy = ask("utilisation", edge="edge", cloud="cloud", made_kg=200, lifetime_y=4, busy_s=3600)
        assert busy["words"].endswith("It can do 24 a day, one every 3,600 s: it never gets there.")


class TestServing:
    def test_a_router(self) -> None:
        answer = ask("router", small="cloud", big="big", escalated=0.3, judge_j=100)
        small, big = cost(4000, DEU, 1.2, 0.05), cost(9000, DEU, 1.2, 0.02)
        judge = cost(100, DEU, 1.2, 0.0)
        assert column(answer, "figure") == pytest.approx(
            [small, big, small + 0.3 * big + judge, 1 - (small + judge) / big]
        )
        assert answer["lines"][0]["values"][-1] == pytest.approx(small + big + judge)

    def test_a_cache(self) -> None:
        answer = ask("cache", option="big", hits=0.3, lookup_j=10)
        miss, lookup = cost(9000, DEU, 1.2, 0.02), cost(10, DEU, 1.2, 0.0)
        assert column(answer, "figure") == pytest.approx([miss, 0.7 * miss + lookup, lookup / miss])

    def test_a_download(self) -> None:
        answer = ask("download", option="edge", gb=4, uses=1000, kwh_per_gb=0.05)
        assert column(answer, "figure")[1] == pytest.approx(4 * 0.05 * FRA / 1000)

    def test_a_split(self) -> None:
        answer = ask("split", cuts={"0": "cloud", "12": "big", "24": "edge"})
        assert column(answer, "layers on the device") == [0, 12, 24]
        assert answer["words"].startswith("Least with 24 layers on the device (edge)")
        assert sum(column(answer, "probability of being the least")) == pytest.approx(1.0)

    def test_another_batch(self) -> None:
        answer = ask("batch", options=["cloud", "big"], values=[8, 12, 32])
        expected = 22.5 + (10 - 22.5) * (1 / 12 - 1 / 16) / (1 / 8 - 1 / 16)
        assert column(answer, "energy") == [10.0, pytest.approx(expected), None]
        assert "Not told for 32: outside of what was measured." in answer["words"]
        stated = ask("batch", points={"8": 3.759, "16": 2.091}, source="a table")
        assert column(stated, "energy") == [3.759, 2.091]
        assert stated["assumes"][0] == "a table"


class TestMoving:
    def test_in_time(self, tmp_path: Path) -> None:
        head = "time,g_per_kwh\n"
        hours = [f"2026-11-21T{h:02d}:00Z" for h in range(4)]
        for name, values in (("a", (400, 300, 100, 200)), ("m", (500, 450, 700, 650))):
            rows = "".join(f"{at},{v}\n" for at, v in zip(hours, values, strict=True))
            (tmp_path / f"{name}.csv").write_text(head + rows, encoding="utf-8")
        told: dict[str, Any] = {"option": "cloud", "units": 1000, "hours": 1.5, "average": "a.csv"}
        answer = ask("time_shift", folder=tmp_path, **told, marginal="m.csv", actual="m.csv")
        kwh = 4000 * 1.2 * 1000 / 3.6e6
        saved = [kwh * (550 / 1.5 - 200 / 1.5), kwh * (725 / 1.5 - 1025 / 1.5)]
        assert column(answer, "saved")[:2] == pytest.approx(saved)
        assert column(answer, "start")[0] == "2026-11-21 02:00 UTC"
        assert column(answer, "saved")[3] == pytest.approx(saved[1])
        assert [len(line["values"]) for line in answer["lines"]] == [4, 4]
        [warning] = answer["warnings"]
        assert warning.startswith("average and marginal intensity disagree")
        alone = ask("time_shift", folder=tmp_path, **told, now="2026-11-21T02:00Z")
        assert "changes nothing by the average intensity; by the marginal one it is not known." in alone["words"]

    def test_in_space(self) -> None:
        told: dict[str, Any] = {"option": "cloud", "zone": "FRA", "pue": 1.1, "network_gb": 0.001, "kwh_per_gb": 0.05}
        answer = ask("region_shift", **told, marginal_here=500, marginal_there=700)
        kwh = 4000 / 3.6e6
        average = kwh * (1.2 * DEU - 1.1 * FRA) - 5e-5 * FRA
        marginal = kwh * (1.2 * 500 - 1.1 * 700) - 5e-5 * 700
        assert column(answer, "saved") == pytest.approx([average, marginal])
        assert "disagree" in answer["warnings"][0]


class TestRanking:
    def test_flips_have_their_closed_form(self) -> None:
        answer = ask("flips", a="edge")
        at = dict(zip(column(answer, "parameter"), column(answer, "equal at"), strict=True))
        cloud, edge = cost(4000, DEU, 1.2, 0.05), cost(3000, FRA, 1.0, 0.2)
        assert at["grid intensity of edge"] == pytest.approx((cloud - 0.2) * 3.6e6 / 3000)
        assert at["grid intensity of cloud"] == pytest.approx((edge - 0.05) * 3.6e6 / 4000 / 1.2)
        assert at["PUE of edge"] == "never"
        assert "outside its 95 % interval" in answer["words"]

    def test_on_one_grid_both_move(self) -> None:
        answer = ask("flips", a="big", b="cloud", ranges={"intensity": [0, 100]})
        at = dict(zip(column(answer, "parameter"), column(answer, "equal at"), strict=True))
        assert at["grid intensity of both"] == pytest.approx(0.03 * 3.6e6 / 5000 / 1.2)
        assert column(answer, "looked for in")[0] == "0 to 100"

    def test_hardware_is_equal_at_one_lifetime_and_one_utilisation(self) -> None:
        """0.6 g of hardware over 4 years, half of them in use, against 0.2 g that are saved in use."""
        site = {"hardware": "h100:lifetime=4,utilisation=0.5", "zone": "DEU"}
        joules = 0.2 * 3.6e6 / DEU
        two = {"old": figure(2 * joules, 0.0), "new": figure(joules, 0.6, site=site)}
        answer = ask("flips", greengen.compare(two, zone="DEU"), a="new", ranges={"lifetime": [1, 20]})
        at = dict(zip(column(answer, "parameter"), column(answer, "equal at"), strict=True))
        assert at["lifetime of the hardware of new"] == pytest.approx(4 * 0.6 / 0.2)
        assert at["utilisation of the hardware of new"] == "never"
        less = greengen.compare(two | {"new": figure(joules, 0.3, site=site)}, zone="DEU")
        found = ask("flips", less, a="new")
        at = dict(zip(column(found, "parameter"), column(found, "equal at"), strict=True))
        assert at["utilisation of the hardware of new"] == pytest.approx(0.5 * 0.3 / 0.2)

    def test_the_tornado_is_of_the_ratio(self) -> None:
        """On one grid its intensity moves what is used, and not what was made; in joules it is not in it."""
        document = compared().document()
        big = [row for row in document["tornado"] if row["option"] == "big"]
        assert {row["metric"] for row in big} == {"energy", "carbon_total"}
        energy = {row["source"]: row for row in big if row["metric"] == "energy"}
        assert set(energy) == {"published figure big", "published figure cloud"}
        assert energy["published figure big"]["high"] == pytest.approx(2.25 * 1.2**1.96, rel=1e-4)
        assert not energy["published figure big"]["flips"]
        assert sum(row["share"] for row in energy.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (
            "in one repeat: a b 3: timing:boot:rapl:package-10:request/m",
            "reading times, a b, repeat 3, CPU 10",
        ),
        ("gain:box:rapl:package-1", "gain of the meter, CPU 1"),
        ("gain:box:rapl", "gain of the meter (box:rapl)"),
        ("workload:box:rapl:package-1:request/llama:8b", "model's fit to the work, llama:8b, CPU 1"),
        ("grid intensity of DEU", "grid intensity of DEU"),
    ],
)
def test_a_source_of_error_is_named(source: str, told: str) -> None:
    assert sources.named(source, {"rapl:package-1": "CPU 1", "rapl:package-10": "CPU 10"}) == told


def repeats(of: Comparison) -> Comparison:
    """The first option as it would be recorded: three repeats over two tiers and a network."""
    first = of.options[0]
    found: list[Repeat] = []
    for scale in (0.9, 1.0, 1.1):
        tiers = tuple(
            priced(
                tier, Quantity(j * scale, "J", "measured", (Error("meter", j / 50, gain=True),)), first.site, "request"
            )
            for tier, j in (("device", 1000.0), ("cloud", 3000.0))
        )
        unknown = Quantity.missing("g/request", "no hardware was stated")
        found.append(replace(first.repeats[0], tiers=tiers, network_bytes=1e6, embodied=unknown))
    return replace(of, options=(replace(first, origin="recorded", repeats=tuple(found)), *of.options[1:]))


class TestRecorded:
    def test_a_network_and_a_device_without_pue(self) -> None:
        comparison = repeats(compared())
        answer = ask("network", comparison, values=[0.0, 0.1], options=["cloud"])
        used = cost(3000, DEU, 1.2, 0.0) + cost(1000, DEU, 1.0, 0.0)
        assert answer["lines"][0]["values"] == pytest.approx([used, used + 1e-3 * 0.1 * DEU])
        assert answer["assumes"][0] == "grams of use only: hardware was not stated of all options"
        moved = ask("zone", comparison, zones=["FRA"], options=["cloud", "big"], tier="device")
        stays = cost(9000, DEU, 1.2, 0.0)
        hybrid = cost(3000, DEU, 1.2, 0.0) + cost(1000, FRA, 1.0, 0.0)
        assert moved["grid"]["values"] == [[pytest.approx(hybrid), pytest.approx(stays)]]

    def test_repeats_scatter(self) -> None:
        """Three of 0.9, 1.0 and 1.1: ± t · s / √3, with t = 4.303."""
        found = mean("a", [Quantity(v, "J/request", "measured") for v in (0.9, 1.0, 1.1)])
        assert found.high == pytest.approx(1.0 + 4.3027 * 0.1 / math.sqrt(3), rel=1e-4)
        assert mean("a", [Quantity(1.0, "J", "measured")]).errors == ()


def test_answers_come_from_the_file_and_are_in_the_document(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        """
        [site]
        intensity = 400
        [[deployment]]
        name = "a"
        declared = { energy_j = 4, per = "request", boundary = "machine" }
        [[deployment]]
        name = "b"
        declared = { energy_j = 3, per = "request", boundary = "machine" }
        [[what_if]]
        kind = "break_even"
        old = "a"
        new = "b"
        setup_kg = 1
        [[what_if]]
        kind = "network"
        """,
        encoding="utf-8",
    )
    one, other = from_file(tmp_path / "c.toml").document()["what_if"]
    assert (one["id"], other["id"]) == ("break-even-1", "network-2")
    assert one["marks"][0]["x"] == pytest.approx(1000 * 3.6e6 / 400)
    assert other["missing"].startswith("no option tells bytes between tiers")
    assert other["words"] == f"Not answered: {other['missing']}."


def test_without_a_grid_there_is_no_answer_but_a_reason() -> None:
    figures = {name: figure(j, 0.0) for name, j in (("a", 4.0), ("b", 3.0))}
    answer = ask("break_even", greengen.compare(figures), old="a", new="b", made_kg=1)
    assert answer["missing"].startswith("no grid intensity was stated")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"kind": "magic"}, "what_if 1: kind 'magic' is not known: pass zone, hour"),
        ({"kind": "router", "small": "edge"}, "what_if 1 (router): big is not stated"),
        ({"kind": "zone", "zones": ["FRA"], "zome": 1}, "what_if 1 (zone): zome says nothing here; known are"),
        ({"kind": "zone", "zones": "FRA"}, "pass a list of names"),
        ({"kind": "zone", "zones": ["XXX"]}, "XXX"),
        ({"kind": "zone", "zones": ["FRA"], "options": ["nobody"]}, "options 'nobody' is none of the deployments"),
        ({"kind": "zone", "zones": ["FRA"], "tier": "moon"}, "no option has a tier 'moon': there is none stated"),
        ({"kind": "pue", "values": [0.5]}, "PUE 0.5 is not possible"),
        ({"kind": "pue", "values": [True]}, "pass a list of numbers"),
        ({"kind": "break_even", "old": "cloud", "new": "edge"}, "nothing is spent: state made_kg or hardware"),
        ({"kind": "break_even", "old": "cloud", "new": "edge", "made_kg": -1}, "made_kg -1 is not possible"),
        ({"kind": "utilisation", "edge": "edge", "cloud": "cloud"}, "no hardware of edge is stated"),
        ({"kind": "cache", "option": "big", "hits": 2}, "hits 2 is not possible"),
        ({"kind": "split", "cuts": {"x": "big", "1": "edge"}}, "cuts: 'x' is no number of layers"),
        ({"kind": "batch", "points": {"8": "x"}, "source": "s"}, "is no number of J per output token"),
        ({"kind": "batch", "points": {"nan": 1}, "source": "s"}, "points: 'nan' is no batch size"),
        ({"kind": "download", "option": "edge", "gb": 1e300, "uses": 1}, "gb 1e+300 is not possible"),
        ({"kind": "hour", "series": {"A": "absent.csv"}}, "absent.csv cannot be read"),
        ({"kind": "flips", "a": "edge", "ranges": {"pue": [1]}}, "ranges: pue = [1] is not possible"),
        ({"kind": "time_shift", "option": "edge", "hours": 0}, "hours 0 is not possible: pass a number above 0"),
    ],
)
def test_a_wrong_question_is_one_clear_line(told: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as error:
        what_if.evaluate(compared(), [told])
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("tell", "said"),
    [
        (lambda: number(645_161.3), "645,000"),
        (lambda: number(0.0123456), "0.0123"),
        (lambda: span(5.0, 5.0, 5.0), "5"),
        (lambda: span(2000.0, 1000.0, math.inf), "2,000 (1,000, no upper end)"),
    ],
)
def test_numbers_in_words(tell: Callable[[], str], said: str) -> None:
    assert tell() == said


def test_the_readme_asks_what_can_be_asked(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").partition("## What if")[2]
    text = text.partition("\n## ")[0]
    [toml] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    for name, values in (("average", (300, 200, 100)), ("marginal", (500, 600, 700))):
        rows = "".join(f"2026-11-21T{h:02d}:00Z,{value}\n" for h, value in enumerate(values))
        (tmp_path / f"{name}.csv").write_text(f"time,g_per_kwh\n{rows}", encoding="utf-8")
    two = {"cloud": figure(4000.0, 0.05), "edge box": figure(3000.0, 0.0)}
    found = what_if.evaluate(greengen.compare(two, zone="DEU"), tomllib.loads(toml)["what_if"], tmp_path)
    assert [answer["missing"] for answer in found] == [None, None]
    kinds = [kind for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for kind in re.findall(r"`(\w+)`", row)]
    assert sorted(kinds) == sorted(what_if.KINDS)
