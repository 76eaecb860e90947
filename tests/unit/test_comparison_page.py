"""The comparison page as a parser reads it: its words, its numbers, its figures, and what it never lets out."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import greengen
from greengen import pages
from greengen.cli import cli
from greengen.errors import UsageError
from greengen.reports import comparison_page, drawing, html, scaled
from greengen.reports import comparison_planes as planes
from greengen.reports import format as fmt
from tests.unit import comparisons, documents
from tests.unit.compared import repeats
from tests.unit.test_html import OURS, Element, Page

SHAPES = {"svg", "defs", "pattern", "g", "title", "text", "tspan", "rect", "line", "path", "circle", "article"}
FIGURES = {
    *("ratios", "carbon", "energy", "tradeoff-quality", "tradeoff-latency", "batch", "tornado-0", "distribution"),
    *("power-0", "power-1", "power-2", "power-3", "accounts", "devices"),
    *("what-if-0-lines", "what-if-1-grid", "what-if-2-lines"),
}


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return {name: comparison_page.render(make()) for name, make in comparisons.ALL.items()}


@pytest.fixture(scope="module")
def read(sources: dict[str, str]) -> dict[str, Page]:
    return {name: Page(source) for name, source in sources.items() if name != "many"}


def figures(page: Page) -> dict[str, Element]:
    return {str(element.attributes.get("id")): element for element in page.elements if element.tag == "figure"}


def drawings(figure: Element) -> list[Element]:
    return [element for element in figure.inside if element.tag == "svg"]


@pytest.mark.parametrize("name", ["full", "joules_only", "hostile"])
def test_no_text_becomes_an_element_or_an_attribute(name: str, read: dict[str, Page]) -> None:
    for element in read[name].elements:
        assert element.tag.lower() in OURS | SHAPES, element
        for attribute, value in element.attributes.items():
            assert not attribute.startswith("on"), element
            if attribute == "href" and element.tag != "link":
                assert str(value).startswith("#"), element
    scripts = [element for element in read[name].elements if element.tag == "script"]
    assert [element.attributes.get("type") for element in scripts] == ["application/json", None]


def test_hostile_names_are_shown_as_they_are(read: dict[str, Page]) -> None:
    heads = [e.text.strip() for e in read["hostile"].elements if e.tag == "th" and e.attributes.get("scope") == "row"]
    for text in documents.HOSTILE.values():
        assert fmt.printable(text) in heads


def test_every_figure_is_drawn_twice_with_its_words_and_its_numbers(read: dict[str, Page]) -> None:
    found = figures(read["full"])
    assert set(found) == FIGURES
    ids = {e.attributes["id"] for e in read["full"].elements if "id" in e.attributes}
    for name, figure in found.items():
        wide, narrow = drawings(figure)
        for drawn in (wide, narrow):
            assert drawn.attributes["role"] == "img"
            assert drawn.attributes["aria-label"]
            assert drawn.attributes["aria-describedby"] in ids
            assert sum(e.tag in {"rect", "path", "circle"} for e in drawn.inside) > 1, name
        caption = next(element for element in figure.inside if element.tag == "figcaption")
        assert caption.text.strip()
        assert sum(e.tag == "tr" for e in figure.inside) > 1, name


def test_bars_are_as_long_as_their_numbers(read: dict[str, Page]) -> None:
    document = comparisons.full()
    wide, _ = drawings(figures(read["full"])["energy"])
    bars = [float(str(e.attributes["width"])) for e in wide.inside if e.attributes.get("class") == "area a0"]
    joules = [row["energy_j"]["value"] for row in document["options"]]
    assert [bar / bars[0] for bar in bars] == pytest.approx([j / joules[0] for j in joules], rel=0.005)
    ticks = [e for e in wide.inside if e.attributes.get("class") == "tick"]
    places = {float(e.text): float(str(e.attributes["x"])) for e in ticks}
    zero, ten = places[0.0], places[10.0]
    assert bars == pytest.approx([(ten - zero) / 10 * j for j in joules], rel=0.005)


def test_what_is_absent_is_not_drawn_and_the_page_says_why(read: dict[str, Page]) -> None:
    page = read["joules_only"]
    assert set(figures(page)) == {"ratios", "energy", "accounts", "devices"}
    text = " ".join(element.text for element in page.elements if element.tag in {"li", "p"})
    for why in ("no grid zone was given", "quality is known for fewer than two", "batch sizes are not known"):
        assert why in text
    assert "two repeats of each: three are needed for a verdict" in text
    assert "No verdict: three repeats of each option are needed." in text


def test_no_modelled_energy_is_called_greener(sources: dict[str, str]) -> None:
    for source in sources.values():
        assert re.search(r"\bgreener\b", source) is None


def test_every_number_of_an_option_has_unit_interval_and_grade(read: dict[str, Page]) -> None:
    tables = [element for element in read["full"].elements if element.tag == "table"]
    costs = next(t for t in tables if any("CO₂e embodied" in e.text for e in t.inside if e.tag == "th"))
    cells = [e for e in costs.inside if e.tag == "td" and "data-sort" in e.attributes]
    assert len(cells) == 6 * 7 - 1
    for cell in cells:
        assert re.search(r"\d( [umk]?[JgL])? ?\(.+ to .+\).*(modelled|declared)", cell.text), cell.text


def test_a_warning_is_told_once_with_whom_it_is_of() -> None:
    document = comparisons.full()
    first, second = document["options"][:2]
    for row in document["options"]:
        row["warnings"] = ["of all"]
    for row in (first, second):
        row["warnings"] = ["of all", "of two"]
    document["warnings"] = ["of all", "of two", "of the comparison"]
    text = comparison_page.render(document)
    told = text.partition('id="warnings-title"')[2].partition("</section>")[0]
    lines = [re.sub(r"<[^>]+>", "", line) for line in re.findall(r"<li>.*?</li>", told)]
    assert lines[:3] == ["of all", f"{first['name']}, {second['name']}: of two", "of the comparison"]


def test_many_options_stay_small_and_none_is_left_out(sources: dict[str, str]) -> None:
    assert len(sources["many"].encode()) < 10_000_000
    for row in comparisons.many()["options"]:
        assert sources["many"].count(f">{row['name']}<") >= 3
    assert "190 more are in the tables" in sources["many"]


@pytest.mark.parametrize("name", ["full", "joules_only", "hostile"])
def test_a_page_is_read_back_whole(name: str, sources: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(sources[name], encoding="utf-8")
    assert pages.read(path) == comparisons.ALL[name]()
    assert comparison_page.render(pages.read(path)) == sources[name]


@pytest.mark.parametrize("name", ["hostile"])
def test_a_report_page_is_read_back_and_shown_again(name: str, tmp_path: Path) -> None:
    document, series = documents.ALL[name]()
    path = tmp_path / "report.html"
    path.write_text(html.render(document, series), encoding="utf-8")
    result = CliRunner().invoke(cli, ["report", str(path), "--format", "json"])
    assert result.exit_code == 0, result.output
    back = json.loads(result.output)
    assert back.pop("series")
    assert back == document
    assert html.render(pages.read(path)) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--zone", "DEU"], "--zone needs the run files"),
        (["--policy", "token", "--exact"], "--exact, --policy needs the run files"),
        (["other.greengen"], "is a page, which is shown by itself"),
    ],
)
def test_what_a_page_cannot_answer_is_refused(more: list[str], why: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    document, series = documents.cpu_only(per_model=2)
    path.write_text(html.render(document, series), encoding="utf-8")
    result = CliRunner().invoke(cli, ["report", str(path), *more])
    assert isinstance(result.exception, UsageError)
    assert why in str(result.exception)


@pytest.mark.parametrize(
    ("inside", "why"),
    [
        ("<html></html>", "holds no greengen document"),
        ('<script id="greengen-document">{"schema": </script>', "damaged"),
        ('<script id="greengen-document">[1]</script>', "schema None"),
        ('<script id="greengen-document">{"schema": "greengen.report/2"}</script>', "schema 'greengen.report/2'"),
        ('<script id="greengen-document">{"schema": "greengen.report/1"}</script>', "lacks run, boundary"),
    ],
)
def test_what_is_no_page_of_ours_is_refused(inside: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(inside, encoding="utf-8")
    with pytest.raises(UsageError, match=re.escape(why)):
        pages.read(path)


def test_a_page_whose_document_was_changed_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    document, series = documents.cpu_only(per_model=2)
    broken = copy.deepcopy(document) | {"totals": 3}
    path = tmp_path / "page.html"
    path.write_text(html.render(document, series).replace(json.dumps(document["totals"]), "3"), encoding="utf-8")
    assert pages.read(path)["totals"] == broken["totals"]
    result = CliRunner().invoke(cli, ["report", str(path)])
    assert isinstance(result.exception, UsageError)
    assert "damaged" in str(result.exception)


def test_a_comparison_of_recordings_is_shown_and_its_page_judged_again(tmp_path: Path) -> None:
    runs = {
        "fp32": repeats(tmp_path, "fp32-", (2.0, 2.04, 1.96)),
        "int8": repeats(tmp_path, "int8-", (1.0, 1.02, 0.98)),
    }
    path = greengen.compare(runs, intensity=360.0).to_html(tmp_path / "page.html")
    found = figures(Page(path.read_text(encoding="utf-8")))
    assert {"ratios", "carbon", "energy", "accounts", "devices"} <= set(found)
    assert "200 ug" in found["carbon"].text
    again = CliRunner().invoke(cli, ["compare", str(path), "--format", "html"])
    assert again.stdout == path.read_text(encoding="utf-8")
    for condition, code in (("energy<-10%", 1), ("energy>+5%", 0)):
        judged = CliRunner().invoke(cli, ["compare", str(path), "--fail-on", condition], standalone_mode=False)
        assert judged.return_value == code
    refused = CliRunner().invoke(cli, ["compare", str(path), "--zone", "DEU"])
    assert "--zone needs the run files" in str(refused.exception)
    assert json.loads(CliRunner().invoke(cli, ["report", str(path), "--format", "json"]).stdout) == pages.read(path)


def test_the_front_is_those_that_no_other_is_better_than() -> None:
    points = [(1.0, 0.5), (2.0, 0.9), (2.5, 0.8), (3.0, 0.95), (1.0, 0.5)]
    assert planes.front(points, higher=True) == [True, True, False, True, True]
    assert planes.front(points, higher=False) == [True, False, False, False, True]


@pytest.mark.parametrize(("low", "high"), [(0.3, 0.9), (1.0, 1.04), (1e-7, 3e3), (0.02, 29.3)])
def test_a_scale_of_factors_has_ticks_within_it(low: float, high: float) -> None:
    scale = drawing.Scale(low, high, 0.0, 100.0, log=True)
    ticks = scale.ticks(6)
    assert 2 <= len(ticks) <= 9
    assert all(low * 0.99 <= tick <= high * 1.01 for tick in ticks)
    assert scale.at(low) == 0.0
    assert scale.at(high) == pytest.approx(100.0)
    assert scale.at((low * high) ** 0.5) == pytest.approx(50.0)


def test_quantities_of_a_column_share_a_unit_and_missing_ones_stay_missing() -> None:
    none = comparisons.none("g/request", "no zone")
    column = [
        comparisons.q(0.004, "g/request"),
        none,
        comparisons.q(0.007, "g/request"),
        comparisons.q(2.0, "g/request"),
    ]
    first, missing, _, last = scaled.together(column)
    assert {first["unit"], last["unit"]} == {"mg/request"}
    assert first["value"] == pytest.approx(4.0)
    assert scaled.bare(first) == "4.00 mg"
    assert missing == none
    assert scaled.told(last) == "2,000 mg/request (1,540 to 2,600), modelled"
