"""The report in a terminal."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from greengen.reports.terminal import render
from tests.unit import documents

ROOT = Path(__file__).parents[2]


def shown(document: documents.Document, width: int = 80) -> str:
    out = io.StringIO()
    render(document, file=out, width=width)
    return out.getvalue()


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("name", documents.ALL)
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    lines = shown(documents.ALL[name]()[0], width).splitlines()
    assert lines
    assert max(map(len, lines)) <= width


def test_the_summary_comes_first() -> None:
    lines = shown(documents.cpu_only()[0]).splitlines()
    top = flat(" ".join(lines[:14]))
    for part in (
        "python examples/charlm.py",
        "1.05 kJ (0.52 to 2.10)",
        "0.291 Wh (0.145 to 0.582)",
        "modelled",
        "CO2e not measured: no grid zone was given",
        "pass --zone ZONE",
        "No power counter was readable",
        "62.2 s of 62.4 s (99.7 %)",
    ):
        assert part in top


def test_without_a_file_the_text_is_returned() -> None:
    document, _ = documents.gpu_and_cpu()
    assert render(document, width=80) == shown(document)


def test_carbon_and_its_factors_where_there_is_a_zone() -> None:
    text = flat(shown(documents.gpu_and_cpu()[0]))
    assert "CO2e 521 mg (456 to 594) grid intensity 344 g/kWh" in text
    assert "14.1 % measured, 68.0 % attributed, 17.9 % modelled" in text
    assert "No power counter" not in text


@pytest.mark.parametrize("width", [80, 120])
def test_every_account_and_model_has_its_row(width: int) -> None:
    document, _ = documents.gpu_and_cpu()
    text = shown(document, width)
    for row in (*document["accounts"], *document["models"]):
        name = row.get("account") or row["model"]
        assert re.search(rf"^{re.escape(name)} .*\d", text, re.MULTILINE), name
    assert "The books balance" in text
    assert ("CO2e" in text.split("Accounts")[1].split("Models")[0]) == (width >= 100)


def test_how_a_group_was_shared_is_told_whole() -> None:
    document, _ = documents.cpu_only()
    name = "requests of llama-3.2-1b-instruct-int8, first token not known"
    group: dict[str, Any] = {
        "group": name,
        "policy": "equal",
        "coefficients": {},
        "fallback": "",
        "share_sigma": None,
        "details": {},
    }
    document["run"]["policy"]["groups"] = [group]
    assert f"{name}: by equal" in flat(shown(document))


def test_a_part_that_is_not_measured_is_told() -> None:
    assert "other: without: no per-process use of the GPU can be read" in flat(shown(documents.gpu_and_cpu()[0]))


def test_broken_books_are_not_hidden() -> None:
    document, _ = documents.cpu_only()
    document["accounts"].pop()
    text = flat(shown(document))
    assert "The books do not balance" in text
    assert "The books balance" not in text


def test_ten_requests_and_how_many_more() -> None:
    text = shown(documents.gpu_and_cpu()[0])
    rows = re.findall(r"^r/\d+ ", text, re.MULTILINE)
    assert [row.strip() for row in rows] == [f"r/{i}" for i in (21, 18, 15, 12, 9, 6, 3, 0, 22, 19)]
    assert "and 990 more" in text
    assert "more" not in shown(documents.nothing_known()[0]).split("Requests")[1].split("Not covered")[0]


def test_what_is_missing_is_said_and_never_zero() -> None:
    text = flat(shown(documents.nothing_known()[0]))
    assert "energy not measured: no power counter and no power model for this machine" in text
    assert "request/tiny not measured not known not known not known" in text
    assert "There is no total" in text
    assert not re.search(r"\b0(\.0+)? J\b", text)


def test_what_is_not_covered_comes_with_its_remedy() -> None:
    text = flat(shown(documents.cpu_only()[0]))
    assert "power supply, fans, network: no sensor reaches them; remedy: use a wall meter" in text
    assert "DRAM: no counter" in text


def test_texts_of_users_stay_texts() -> None:
    out = io.StringIO()
    render(documents.hostile()[0], file=out, width=400)
    text = out.getvalue()
    assert "[red]x[/red] [link=http://evil.example]y[/link]" in text
    assert "line\\u2028separator\\u2029end" in text
    assert "bell\\x07 escape\\x1b[31mred\\x1b[0m new\\nline null\\x00" in text
    assert "\\u202egpj.exe" in text
    assert "caf\\udce9.py" in text
    assert not set(text) & {"\x1b", "\x07", "\x00", "\u2028", "\u2029", "\u202e"}


def test_a_terminal_gets_colour_and_still_no_escape_of_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = shown(documents.hostile()[0], 400)
    assert "\x1b[1m" in text
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert "\x1b" not in plain
    assert plain == shown_without_colour(monkeypatch)


def shown_without_colour(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("FORCE_COLOR")
    return shown(documents.hostile()[0], 400)


@pytest.mark.parametrize("name", documents.ALL)
def test_a_stream_that_takes_only_ascii_is_enough(name: str) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    render(documents.ALL[name]()[0], file=out, width=80)
    out.flush()
    assert raw.getvalue().isascii()
    out.close()


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, io, greengen.reports.terminal as t\n"
        "assert 'rich' not in sys.modules\n"
        "from tests.unit import documents\n"
        "t.render(documents.cpu_only()[0], file=io.StringIO())\n"
        "print(sorted({'numpy', 'pandas', 'plotly', 'jinja2', 'rich', 'codecarbon'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['rich']"
