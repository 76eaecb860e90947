"""The page in a real browser: it draws, it asks for nothing, and no text of a user comes alive."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, sync_playwright

from greengen.reports import format as fmt
from greengen.reports.html import render
from tests.unit import documents

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH: apt-get install chromium"),
]

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--headless",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

#: For each trace that has something to draw: its paths, and whether their boxes lie in the plot area.
DRAWN = """
(plot) => {
  const area = plot.querySelector('.plotly .draglayer').getBoundingClientRect();
  const within = (box) => box.left >= area.left - 2 && box.right <= area.right + 2
    && box.top >= area.top - 2 && box.bottom <= area.bottom + 2;
  const filled = (path) => (path.getAttribute('d') || '').length > 5;
  const groups = [...plot.querySelectorAll('.plot .trace')];
  return plot._fullData.map((trace, index) => {
    const own = groups.filter((group) => group.__data__[0].trace.index === index);
    const paths = own.flatMap((group) => [...group.querySelectorAll('path')]).filter(filled);
    const boxes = paths.map((path) => path.getBoundingClientRect());
    return {
      name: trace.name,
      type: trace.type,
      values: [...(trace.x || [])].filter((x) => x !== null).length,
      gaps: [...(trace.x || [])].filter((x) => x === null).length,
      paths: paths.length,
      moves: paths.filter((path) => path.classList.contains('js-line'))
        .reduce((sum, path) => sum + (path.getAttribute('d').match(/M/g) || []).length, 0),
      seen: boxes.filter((box) => box.width + box.height > 0.5).length,
      inside: boxes.every(within),
    };
  });
}
"""


@dataclass
class Watched:
    """A page, and everything that it did and should not have done."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def refuse(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages")
    for name, make in documents.ALL.items():
        (path / f"{name}.html").write_text(render(*make()), encoding="utf-8")
    return path


@contextmanager
def opened(browser: Browser, path: Path, **options: Any) -> Iterator[Watched]:  # noqa: ANN401
    context = browser.new_context(offline=True, **options)
    page = context.new_page()
    watched = Watched(page, path.as_uri())
    page.on("console", lambda message: watched.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: watched.complaints.append(f"error: {error}"))
    page.on("request", lambda request: watched.requests.append(request.url))
    page.on("dialog", watched.refuse)
    try:
        page.goto(watched.url)
        for figure in ("power", "joules"):
            page.wait_for_selector(f"#{figure}[data-drawn]")
        yield watched
    finally:
        context.close()


def wait_until(page: Page, expression: str) -> None:
    """Wait for an expression to hold; Playwright's own wait evaluates in the page, whose policy forbids it."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never came true: {expression}")


def drawn(watched: Watched, figure: str) -> list[dict[str, Any]]:
    return list(watched.page.eval_on_selector(f"#{figure}", DRAWN))


@pytest.mark.parametrize("name", documents.ALL)
def test_the_page_draws_and_asks_for_nothing(name: str, browser: Browser, folder: Path) -> None:
    with opened(browser, folder / f"{name}.html") as watched:
        for figure in ("power", "joules"):
            traces = drawn(watched, figure)
            for trace in traces:
                if trace["values"]:
                    assert trace["paths"] >= 1, trace
                    assert trace["seen"] >= 1, trace
                    assert trace["inside"], trace
                if trace["type"] == "bar":
                    assert trace["seen"] == trace["values"], trace
        assert watched.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        watched.page.wait_for_timeout(200)
        assert watched.complaints == []
        assert watched.dialogs == []
        assert [url for url in watched.requests if not url.startswith(("data:", "blob:"))] == [watched.url]


def test_each_domain_each_span_and_each_model_is_drawn(browser: Browser, folder: Path) -> None:
    document, series = documents.gpu_and_cpu()
    with opened(browser, folder / "gpu_and_cpu.html") as watched:
        power = drawn(watched, "power")
        lines = [trace for trace in power if trace["type"] == "scatter"]
        assert len(lines) == len(series)
        assert [line["moves"] for line in lines] == [2, 1]
        bands = sum(trace["seen"] for trace in power if trace["type"] == "bar")
        assert bands == len(document["requests"]) + len(document["spans"])
        joules = drawn(watched, "joules")
        bars = [trace["seen"] for trace in joules if trace["type"] == "bar"]
        booked = [
            sum(part["energy_j"]["value"] is not None for part in row["accounts"])
            for row in document["domains"]
            if row["in_total"]
        ]
        assert bars == [*booked, len(document["models"])]
        whiskers = [trace for trace in joules if trace["type"] == "scatter"]
        assert [trace["values"] for trace in whiskers] == [len(document["accounts"]), len(document["models"])]
        for trace in whiskers:
            assert trace["paths"] >= 2 * trace["values"]


def test_the_line_of_power_is_where_the_power_is(browser: Browser, folder: Path) -> None:
    with opened(browser, folder / "empty.html") as watched:
        where = watched.page.eval_on_selector(
            "#power",
            """(plot) => {
              const path = plot.querySelector('.scatterlayer .js-line');
              const at = (share) => path.getPointAtLength(share * path.getTotalLength());
              const { xaxis, yaxis } = plot._fullLayout;
              return [0, 0.5, 1].map((share) => [xaxis.p2d(at(share).x), yaxis.p2d(at(share).y)]);
            }""",
        )
    assert where == [pytest.approx([x, 14.0], abs=0.05) for x in (0.0, 0.65, 1.3)]


def test_texts_of_users_are_seen_as_texts(browser: Browser, folder: Path) -> None:
    with opened(browser, folder / "hostile.html") as watched:
        page = watched.page
        models = page.locator("#models tbody th").all_inner_texts()
        assert models == [fmt.printable(text) for text in documents.HOSTILE.values()]
        for text in models:
            assert page.get_by_text(text, exact=True).first.is_visible()
        ticks = page.locator("#joules .yaxislayer-above text, #joules .ytick text").all_text_contents()
        assert "caf\\udce9.py" in ticks
        assert "</script><img s...lert(1)>" in ticks
        assert page.locator("img, iframe, object, embed, #joules a, #power a").count() == 0
        page.locator("#power .barlayer .point path").first.hover(force=True)
        page.wait_for_selector("#power .hoverlayer text")
        hovered = " ".join(page.locator("#power .hoverlayer text").all_text_contents())
        assert any(fmt.shortened(text, 60)[:20] in hovered for text in documents.HOSTILE.values())
        assert watched.complaints == []
        assert watched.dialogs == []


def test_a_script_that_is_not_the_page_s_own_does_not_run(browser: Browser, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "with-a-stranger.html"
    source = (folder / "empty.html").read_text(encoding="utf-8")
    stranger = "<script>document.title = 'mine'</script><img src='http://127.0.0.1:9/x.png' onerror='alert(1)'>"
    path.write_text(source.replace("<footer>", f"<footer>{stranger}"), encoding="utf-8")
    with opened(browser, path) as watched:
        watched.page.wait_for_timeout(200)
        assert watched.page.title() != "mine"
        assert watched.dialogs == []
        assert any("Content Security Policy" in complaint for complaint in watched.complaints)


def test_a_click_on_a_heading_sorts_by_number_with_the_unmeasured_last(browser: Browser, tmp_path: Path) -> None:
    document, series = documents.cpu_only(per_model=6)
    missing = document["requests"][4]
    missing["energy_j"] = {"value": None, "unit": "J", "reason": "the counter was reset"}
    path = tmp_path / "page.html"
    path.write_text(render(document, series), encoding="utf-8")
    known = {row["id"]: row["energy_j"]["value"] for row in document["requests"] if row is not missing}
    with opened(browser, path) as watched:
        page = watched.page
        heading = page.locator("#requests th", has_text="energy").first
        ids = page.locator("#requests tbody th > bdi")
        for state, reverse in (("descending", True), ("ascending", False), ("descending", True)):
            heading.get_by_role("button").click()
            assert heading.get_attribute("aria-sort") == state
            order = ids.all_inner_texts()
            assert order[-1] == missing["id"]
            assert [known[i] for i in order[:-1]] == sorted(known.values(), reverse=reverse)
        page.locator("#requests th", has_text="model").first.get_by_role("button").click()
        assert heading.get_attribute("aria-sort") is None
        column = page.locator("#requests tbody td:nth-child(2)").all_inner_texts()
        assert column == sorted(column, reverse=True)


def test_a_long_table_shows_its_first_rows_and_all_on_request(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(render(*documents.cpu_only(per_model=120)), encoding="utf-8")
    with opened(browser, path) as watched:
        rows = watched.page.locator("#requests tbody tr:visible")
        assert rows.count() == 200
        watched.page.get_by_role("button", name="Show all 240").click()
        assert rows.count() == 240


@pytest.mark.parametrize("name", ["gpu_and_cpu", "hostile"])
def test_the_page_fits_a_telephone(name: str, browser: Browser, folder: Path) -> None:
    with opened(browser, folder / f"{name}.html", viewport={"width": 400, "height": 900}) as watched:
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= 400
        for figure in ("power", "joules"):
            traces = drawn(watched, figure)
            assert all(trace["inside"] for trace in traces)
            assert sum(trace["seen"] for trace in traces) >= len(traces)
        assert watched.complaints == []


def test_figures_take_the_colours_of_the_page(browser: Browser, folder: Path) -> None:
    fonts = "[...document.querySelectorAll('.plot')].map((plot) => plot.layout.font.color)"
    text = "getComputedStyle(document.documentElement).getPropertyValue('--text').trim()"
    with opened(browser, folder / "cpu_only.html", color_scheme="light") as watched:
        page = watched.page
        light = page.evaluate(text)
        assert page.evaluate(fonts) == [light, light]
        page.emulate_media(color_scheme="dark")
        wait_until(page, f"{fonts}.every((colour) => colour !== '{light}')")
        dark = page.evaluate(text)
        assert dark != light
        assert page.evaluate(fonts) == [dark, dark]
        page.emulate_media(media="print", color_scheme="dark")
        wait_until(page, f"{fonts}.every((colour) => colour === '{light}')")
        assert page.locator("details").first.get_attribute("open") is not None
        assert watched.complaints == []


def test_figures_keep_their_height_when_the_window_changes(browser: Browser, folder: Path) -> None:
    with opened(browser, folder / "gpu_and_cpu.html", viewport={"width": 1280, "height": 900}) as watched:
        heights = "[...document.querySelectorAll('.plot .main-svg')].map((svg) => svg.clientHeight)"
        before = watched.page.evaluate(heights)
        watched.page.set_viewport_size({"width": 900, "height": 900})
        wait_until(watched.page, "document.querySelector('.plot .main-svg').clientWidth < 900")
        assert watched.page.evaluate(heights) == before
        assert all(trace["inside"] for trace in drawn(watched, "power"))


def test_without_scripts_every_number_is_there(browser: Browser, folder: Path) -> None:
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto((folder / "cpu_only.html").as_uri())
    assert page.locator("#requests tbody tr:visible").count() == 80
    context.close()
