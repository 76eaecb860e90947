"""The comparison page in a real browser: on a desk, on a telephone, in the dark and on paper.

What an accessibility checker finds without a person is looked for here: contrast of every text, names of
every image and region, the order of headings, what the keyboard reaches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser  # noqa: TC002 -- as in the other tests of pages

from greengen.reports import comparison_page
from tests.browser.test_page import Watched, browser, pytestmark
from tests.unit import comparisons

__all__ = ["browser", "pytestmark"]

#: A4 less margins of 14 mm, in CSS px.
PAPER = {"width": 688, "height": 1016}

#: For each figure that shows: how many marks it has, and what is wrong with its words.
FIGURES = """
() => [...document.querySelectorAll('figure svg')].filter((svg) => svg.getBoundingClientRect().width).map((svg) => {
  const all = svg.getBoundingClientRect();
  const seen = (box) => box.width + box.height > 0.5;
  const within = (box) => box.left >= all.left - 1 && box.right <= all.right + 1
    && box.top >= all.top - 1 && box.bottom <= all.bottom + 1;
  const texts = [...svg.querySelectorAll('text')].map((text) => [text.textContent, text.getBoundingClientRect()]);
  const apart = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1
    || a.bottom <= b.top + 4 || b.bottom <= a.top + 4;
  const marks = [...svg.querySelectorAll('.area, .mark, .line, .cell, .whisker')]
    .map((mark) => mark.getBoundingClientRect());
  return {
    figure: svg.closest('figure').id,
    marks: marks.filter(seen).length,
    outside: marks.filter((box) => !within(box)).length,
    cut: texts.filter(([, box]) => !within(box)).map(([text]) => text),
    over: texts.flatMap(([text, box], i) => texts.slice(i + 1).filter(([, other]) => !apart(box, other))
      .map(([other]) => `${text} | ${other}`)),
  };
})
"""

#: Texts whose contrast with what is behind them is below 4.5, or below 3 where they are large (WCAG 2.2, 1.4.3).
FAINT = """
() => {
  const parse = (colour) => (colour.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const own = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return [...document.querySelectorAll('body *')].filter((e) => own(e) && e.getClientRects().length).map((element) => {
    const style = getComputedStyle(element);
    const ink = light(parse(element.closest('svg') ? style.fill : style.color));
    const paper = light(behind(element));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    const size = parseFloat(style.fontSize);
    const needed = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    return ratio < needed ? `${element.tagName} ${element.textContent.slice(0, 30)} ${ratio.toFixed(2)}` : null;
  }).filter(Boolean);
}
"""

#: What a screen reader or a keyboard would miss.
UNREADABLE = """
() => {
  const found = [];
  const named = (element) => element.getAttribute('aria-label')
    || (element.getAttribute('aria-labelledby') || '').split(' ')
      .map((id) => document.getElementById(id)?.textContent).join('');
  for (const element of document.querySelectorAll('[role=img], [role=region], nav, section, article')) {
    if (!named(element)) found.push(`no name: ${element.tagName} ${element.id}`);
  }
  for (const element of document.querySelectorAll('[aria-describedby], [aria-labelledby]')) {
    for (const id of (element.getAttribute('aria-describedby') || element.getAttribute('aria-labelledby')).split(' ')) {
      if (!document.getElementById(id)) found.push(`refers to nothing: ${id}`);
    }
  }
  const levels = [...document.querySelectorAll('h1, h2, h3, h4')].map((heading) => Number(heading.tagName[1]));
  levels.forEach((level, i) => { if (i && level > levels[i - 1] + 1) found.push(`heading ${i} skips a level`); });
  if (levels.filter((level) => level === 1).length !== 1) found.push('not one h1');
  for (const button of document.querySelectorAll('button, summary, a')) {
    if (!button.textContent.trim() && !named(button)) found.push(`no name: ${button.tagName}`);
  }
  for (const head of document.querySelectorAll('th')) if (!head.scope) found.push('th without scope');
  for (const table of document.querySelectorAll('table')) if (!table.caption) found.push('table without caption');
  for (const link of document.querySelectorAll('a[href^="#"]')) {
    if (!document.getElementById(link.hash.slice(1))) found.push(`goes nowhere: ${link.hash}`);
  }
  for (const box of document.querySelectorAll('.scroll')) {
    if (box.scrollWidth > box.clientWidth && box.tabIndex !== 0) found.push('a box that scrolls by no key');
  }
  if (!document.documentElement.lang || !document.title) found.push('no language or title');
  if (!document.querySelector('main')) found.push('no main');
  return found;
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("comparisons")
    for name, make in comparisons.ALL.items():
        (path / f"{name}.html").write_text(comparison_page.render(make()), encoding="utf-8")
    return path


@contextmanager
def opened(browser: Browser, path: Path, **options: Any) -> Iterator[Watched]:  # noqa: ANN401 -- pytest's fixture
    context = browser.new_context(offline=True, **options)
    page = context.new_page()
    watched = Watched(page, path.as_uri())
    page.on("console", lambda message: watched.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: watched.complaints.append(f"error: {error}"))
    page.on("request", lambda request: watched.requests.append(request.url))
    page.on("dialog", watched.refuse)
    try:
        page.goto(watched.url)
        yield watched
    finally:
        context.close()
    assert watched.complaints == []
    assert watched.dialogs == []
    assert [url for url in watched.requests if not url.startswith("data:")] == [watched.url]


@pytest.mark.parametrize("name", ["full", "joules_only", "hostile"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_figure_is_drawn_and_no_word_is_cut_or_covered(
    name: str,
    width: int,
    browser: Browser,
    folder: Path,
) -> None:
    with opened(browser, folder / f"{name}.html", viewport={"width": width, "height": 900}) as watched:
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
        drawn = watched.page.evaluate(FIGURES)
        assert len(drawn) == watched.page.locator(".picture").count()
        for figure in drawn:
            assert figure["marks"] > 1, figure
            assert figure["outside"] == 0, figure
            assert figure["cut"] == [], figure
            if name != "hostile":
                assert figure["over"] == [], figure
        assert watched.page.evaluate(UNREADABLE) == []
        assert watched.page.locator("img, iframe, object, embed, form").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(
    scheme: Any,  # noqa: ANN401 -- a literal of playwright's
    browser: Browser,
    folder: Path,
) -> None:
    with opened(browser, folder / "full.html", color_scheme=scheme) as watched:
        watched.page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        assert watched.page.evaluate(FAINT) == []


def test_on_paper_nothing_is_cut(browser: Browser, folder: Path) -> None:
    with opened(browser, folder / "full.html", viewport=PAPER, color_scheme="dark") as watched:
        page = watched.page
        page.emulate_media(media="print", color_scheme="dark")
        page.wait_for_selector("details[open]")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.evaluate("document.documentElement.scrollWidth") <= PAPER["width"]
        cut = "[...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth + 1).length"
        assert page.evaluate(cut) == 0
        assert page.locator("details:not([open])").count() == 0
        # Chromium repeats the head of a table on each page, unless a button stands in it.
        assert page.locator("thead button:visible").count() == 0
        heads = "[...document.querySelectorAll('thead th')].map((th) => getComputedStyle(th, '::before').content)"
        assert all(len(head) > len('""') for head in page.evaluate(heads))
        assert page.evaluate("getComputedStyle(document.querySelector('thead')).display") == "table-header-group"
        pictures = page.evaluate(
            "[...document.querySelectorAll('.picture')].map((p) => p.getBoundingClientRect().height)"
        )
        assert max(pictures) < PAPER["height"]
        for figure in page.evaluate(FIGURES):
            assert figure["cut"] == [], figure
        assert page.evaluate("getComputedStyle(document.querySelector('#p1').closest('svg')).display") != "none"
    with opened(browser, folder / "joules_only.html") as watched:
        paper = watched.page.pdf(format="A4", prefer_css_page_size=True)
        assert int(re.findall(rb"/Count (\d+)", paper)[0]) > 1


def test_two_hundred_options_open_with_all_of_them_in_the_tables(
    browser: Browser,
    folder: Path,
) -> None:
    with opened(browser, folder / "many.html") as watched:
        assert watched.page.locator("#options table").first.locator("tbody tr:visible").count() == 200
        heading = watched.page.locator("#options th", has_text="energy per request").first
        heading.get_by_role("button").click()
        names = watched.page.locator("#options table").first.locator("tbody th").all_inner_texts()
        joules = {row["name"]: row["energy_j"]["value"] for row in comparisons.many()["options"]}
        assert [joules[name] for name in names] == sorted(joules.values(), reverse=True)


def test_without_scripts_all_is_there(browser: Browser, folder: Path) -> None:
    with opened(browser, folder / "full.html", java_script_enabled=False) as watched:
        assert watched.page.locator("#options table").first.locator("tbody tr:visible").count() == 6
        assert watched.page.locator("#carbon svg.wide .area").first.is_visible()
