"""The page, as a parser reads it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import pytest

from greengen.reports import figures, words
from greengen.reports import format as fmt
from greengen.reports.html import render
from tests.unit import documents

OURS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "link",
        "style",
        "noscript",
        "body",
        "header",
        "nav",
        "main",
        "section",
        "footer",
    ),
    *(
        "h1",
        "h2",
        "h3",
        "p",
        "a",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "div",
        "span",
        "bdi",
        "code",
        "sup",
        "time",
        "i",
        "b",
    ),
    *("table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "figure", "figcaption", "details", "summary"),
    *("button", "script"),
}
VOID = {"meta", "link"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    text: str = ""
    inside: list[Element] = field(default_factory=list)


class Page(HTMLParser):
    """Every element of a page in order, each with its attributes and all the text in it."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.open: list[Element] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        assert len(element.attributes) == len(attrs), f"an attribute twice in {tag}"
        for parent in self.open:
            parent.inside.append(element)
            parent.text += "" if tag == "bdi" else " "
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"{tag} closes nothing"
        assert self.open.pop().tag == tag, f"{tag} closes another element"

    def handle_data(self, data: str) -> None:
        for parent in self.open:
            parent.text += data

    def handle_comment(self, data: str) -> None:
        pytest.fail(f"a comment: {data}")

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]

    def one(self, identity: str) -> Element:
        (found,) = [element for element in self.elements if element.attributes.get("id") == identity]
        return found

    @property
    def text(self) -> str:
        """What a person reads."""
        (body,) = self.all("body")
        text = body.text
        for script in self.all("script"):
            text = text.replace(script.text, "")
        return " ".join(text.split())


@pytest.fixture(scope="module")
def pages() -> dict[str, Page]:
    return {name: Page(render(*make())) for name, make in documents.ALL.items()}


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", documents.ALL)
def test_the_page_is_made_of_our_elements_alone_and_each_is_closed(name: str, pages: dict[str, Page]) -> None:
    page = pages[name]
    assert not page.open
    assert {element.tag for element in page.elements} <= OURS
    identities = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
    assert len(identities) == len(set(identities))
    assert len(page.all("script")) == 5


@pytest.mark.parametrize("name", documents.ALL)
def test_nothing_on_the_page_points_out_of_it(name: str, pages: dict[str, Page]) -> None:
    page = pages[name]
    for element in page.elements:
        for attribute, value in element.attributes.items():
            assert not attribute.startswith("on")
            assert attribute not in {"src", "srcset", "action", "formaction", "srcdoc"}
            if attribute == "href":
                assert (value or "").startswith("data:" if element.tag == "link" else "#")
    targets = {element.attributes.get("id") for element in page.elements}
    assert {(a.attributes["href"] or "")[1:] for a in page.all("a")} <= targets
    styles = " ".join(element.text for element in page.all("style"))
    assert "url(" not in styles
    assert "@import" not in styles


@pytest.mark.parametrize("name", documents.ALL)
def test_the_policy_names_both_scripts_and_allows_nothing_else(name: str, pages: dict[str, Page]) -> None:
    page = pages[name]
    (policy,) = [m.attributes["content"] for m in page.all("meta") if m.attributes.get("http-equiv")]
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    run = [element.text for element in page.all("script") if "type" not in element.attributes]
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in run]
    assert rules["script-src"].split() == [f"'sha256-{digest}'" for digest in hashes]


@pytest.mark.parametrize("name", documents.ALL)
def test_the_embedded_figures_come_back_as_they_went_in(name: str, pages: dict[str, Page]) -> None:
    document, series = documents.ALL[name]()
    page = pages[name]
    expected = {"power-data": figures.power_over_time(document, series), "joules-data": figures.joules(document)}
    for identity, figure in expected.items():
        element = page.one(identity)
        assert element.attributes["type"] == "application/json"
        assert not set(element.text) & set("<>&\u2028\u2029")
        assert json.loads(element.text) == json.loads(figure.to_json(engine="json"))


def test_texts_of_users_are_read_as_texts(pages: dict[str, Page]) -> None:
    page = pages["hostile"]
    for text in documents.HOSTILE.values():
        assert flat(fmt.printable(text)) in page.text


def test_the_page_can_be_written(pages: dict[str, Page]) -> None:
    source = render(*documents.hostile())
    assert source.startswith("<!DOCTYPE html>")
    assert source.encode("utf-8").decode("utf-8") == source
    assert not set(source) & {"\x00", "\x07", "\x1b", "\u202e"}
    assert pages["hostile"].all("meta")[0].attributes == {"charset": "utf-8"}


@pytest.mark.parametrize("name", documents.ALL)
def test_no_cell_is_blank_and_none_shows_a_python_value(name: str, pages: dict[str, Page]) -> None:
    page = pages[name]
    for element in page.elements:
        if element.tag in {"td", "th", "dd", "dt", "caption", "figcaption", "li"}:
            graphic = "scale" in (element.attributes.get("class") or "")
            assert graphic or element.text.strip(), (element, name)
    assert not re.search(r"\b(None|nan|inf|Undefined|True|False)\b", page.text)


@pytest.mark.parametrize("name", documents.ALL)
def test_tables_and_figures_can_be_read_aloud(name: str, pages: dict[str, Page]) -> None:
    page = pages[name]
    for table in page.all("table"):
        assert sum(e.tag == "caption" for e in table.inside) == 1
        assert all(e.attributes.get("scope") in {"row", "col"} for e in table.inside if e.tag == "th")
    for figure in page.all("figure"):
        summary = page.one(str(figure.attributes["aria-describedby"]))
        assert len(summary.text) > 20
    assert [h.tag for h in page.elements if h.tag == "h1"] == ["h1"]


def test_the_summary_is_first_and_says_how_it_is_known(pages: dict[str, Page]) -> None:
    page = pages["cpu_only"]
    assert page.all("section")[0] is page.one("summary")
    summary = flat(page.one("summary").text)
    for part in (
        "1.05 kJ",
        "95 % interval 0.52 to 2.10 kJ; modelled",
        "0.291 Wh (0.145 to 0.582)",
        "no grid zone was given",
        "--zone ZONE",
        "79 succeeded",
        "All of it is modelled",
        "62.2 s of 62.4 s (99.7 %)",
        "charlm-fp32 12.2 J (6.1 to 24.5)",
        "charlm-int8 6.54 J (3.27 to 13.09)",
    ):
        assert part in summary, part
    measured = flat(pages["gpu_and_cpu"].one("summary").text)
    for part in ("521 mg CO₂e", "grid intensity 344 g/kWh", "14.1 % measured", "llama-3.2-1b-int8 146 J"):
        assert part in measured, part


def test_no_model_is_called_greener(pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        assert "greener" not in page.text.lower()
        assert (words.ALL_MODELLED in flat(page.text)) == (name in {"cpu_only", "hostile"}), name


def test_the_books_show_their_sum_and_the_check(pages: dict[str, Page]) -> None:
    document, _ = documents.gpu_and_cpu()
    books = flat(pages["gpu_and_cpu"].one("books").text)
    assert "Sum of the accounts 4,546.000 J" in books
    assert "Total of the domains 4,546.000 J" in books
    assert "The books balance." in books
    assert "request/llama-3.2-1b-bf16 8 1.52 kJ (1.33 to 1.74) 33.5 %" in books
    assert "platform not in the total" in books
    document["accounts"][0]["energy_j"]["value"] += 1.0
    broken = flat(Page(render(document, [])).one("books").text)
    assert "Check failed: the accounts and the total differ by 1 J." in broken
    assert "balance." not in broken


def test_what_is_missing_says_so_with_its_reason(pages: dict[str, Page]) -> None:
    page = pages["nothing_known"]
    why = "no power counter and no power model for this machine"
    missing = [element for element in page.all("span") if element.attributes.get("class") == "missing"]
    assert len(missing) > 10
    assert {element.text for element in missing} == {"not measured"}
    assert why in {element.attributes["title"] for element in missing}
    notes = [element for element in page.all("li") if (element.attributes.get("id") or "").startswith("note-")]
    assert why in {flat(note.text) for note in notes}
    assert "Sum of the accounts not measured" in flat(page.one("books").text)
    assert not re.search(r"\b0(\.0+)? (m|k)?J\b", page.text)


def test_a_note_of_a_number_can_be_found(pages: dict[str, Page]) -> None:
    page = pages["gpu_and_cpu"]
    other = next(row for row in page.one("books").inside if row.tag == "tr" and row.text.strip().startswith("other"))
    (mark, *_) = [element.attributes["href"] for element in other.inside if element.tag == "a"]
    assert "sole tenancy is assumed" in page.one(str(mark)[1:]).text


def test_how_it_was_measured(pages: dict[str, Page]) -> None:
    text = flat(pages["gpu_and_cpu"].one("measured").text)
    for part in (
        "NVIDIA A10 0",
        "total energy counter",
        "no: it contains the GPU and the CPU package",
        "30.02 s to 30.52 s: counter reset: the driver was reloaded (at most 350 J)",
        "DRAM no counter nothing is known to help",
        "344 g/kWh (336 to 352), declared, average; lifecycle",
        "grid intensity 344 g/kWh, declared (Ember 2025, DEU)",
        "PUE 1.20",
        "Shared among serving by affine; weights fixed 3.00, prefill 1.00, decode 2.40; fitted over 240",
        "310 ms of CPU time; booked to overhead",
        "plotly 7.1.0",
    ):
        assert part in text, part


def test_a_domain_that_gave_nothing_is_still_listed() -> None:
    document, series = documents.cpu_only()
    document["boundary"]["covered"].append(
        {"domain": "rapl:dram", "kind": "dram", "name": "DRAM 0", "grade": "measured", "scope": "host", "detail": "x"}
    )
    text = flat(Page(render(document, series)).one("measured").text)
    assert "DRAM 0 rapl:dram x dram not known measured host no: no reading was recorded not measured" in text


def test_a_document_can_bring_its_own_series() -> None:
    document, series = documents.empty()
    (line,) = series
    own = {"domain": line.domain, "name": line.name, "grade": line.grade, "t_s": line.t_s, "power_w": line.power_w[:-1]}
    assert render(document | {"series": [own]}) == render(document, series)


def test_what_a_run_did_not_tell_is_said_to_be_unknown() -> None:
    document, series = documents.cpu_only(per_model=2)
    document["run"] |= {"started": None, "interval_s": None}
    text = flat(Page(render(document, series)).text)
    assert "start not recorded" in text
    assert "interval not recorded, 1 segment" in text


def test_two_hosts_with_the_same_domain_both_show_its_detail() -> None:
    document, series = documents.cpu_only(per_model=2)
    document["domains"] *= 2
    text = flat(Page(render(document, series)).one("measured").text)
    assert text.count("AMD EPYC 7B13") == 2


def test_an_unfinished_recording_is_said_to_be_one(pages: dict[str, Page]) -> None:
    assert "was not closed in order" in pages["nothing_known"].text
    assert "was not closed in order" not in pages["cpu_only"].text


def test_requests_that_were_left_out_are_counted(pages: dict[str, Page]) -> None:
    assert "976 more requests are in the run file" in pages["gpu_and_cpu"].text
    assert "more requests" not in pages["cpu_only"].text


@pytest.mark.parametrize(("per_model", "scrolls", "paged"), [(5, False, False), (40, True, False), (120, True, True)])
def test_a_long_table_is_boxed_and_a_longer_one_paged(per_model: int, scrolls: bool, paged: bool) -> None:  # noqa: FBT001
    document, series = documents.cpu_only(per_model)
    requests = Page(render(document, series)).one("requests")
    box = next(element for element in requests.inside if element.attributes.get("role") == "region")
    table = next(element for element in requests.inside if element.tag == "table")
    assert ("tall" in str(box.attributes["class"])) == scrolls
    assert (table.attributes.get("class") == "paged") == paged
    assert ("Show all 240" in requests.text) == paged
    assert sum(element.tag == "tr" for element in requests.inside) == 2 * per_model + 1


def test_a_reader_without_scripts_is_told_and_sees_every_row(pages: dict[str, Page]) -> None:
    told = " ".join(element.text for element in pages["cpu_only"].all("noscript"))
    assert "The tables hold the same numbers" in told
    assert ".paged tbody tr:nth-child(n) { display: table-row; }" in flat(told)


def test_values_sort_by_number_and_not_by_text(pages: dict[str, Page]) -> None:
    document, _ = documents.cpu_only()
    cells = [e for e in pages["cpu_only"].one("requests").inside if e.tag == "td" and "data-sort" in e.attributes]
    numbers: list[Any] = [float(str(cell.attributes["data-sort"])) for cell in cells if cell.attributes["data-sort"]]
    assert {row["energy_j"]["value"] for row in document["requests"]} <= set(numbers)
    assert any(cell.attributes["data-sort"] == "" for cell in cells)
