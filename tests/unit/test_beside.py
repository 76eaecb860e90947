"""What stands beside the books, in every format: amortised training, margins, the network."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from greengen.accounting import network
from greengen.quantity import Quantity
from greengen.reports import csv as table
from greengen.reports import html, markdown, terminal
from greengen.reports.beside import sections
from tests.unit import documents
from tests.unit.test_html import OURS, Page

IDS = ("training", "marginal", "network")


def told(make: Callable[[], documents.Sample], name: str = "chat") -> documents.Document:
    """A sample with everything asked for; one request's margin is not known. `name`: whatever a user chose."""
    document, _ = make()
    requests = document["requests"]
    document["models"][0] |= {
        "training_j": documents.sensed(5e6, "attributed").as_dict(),
        "training_requests": 2_000_000,
        "training_j_per_request": documents.sensed(2.5, "attributed").as_dict(),
        "training_source": name,
    }
    margins = [documents.modelled(1.5 + i).as_dict() for i in range(len(requests) - 1)]
    margins.append(Quantity.missing("J", f"no step of {name} was read").as_dict())
    document["marginal"] = {
        "note": "Margins do not sum to the meter.",
        "requests": [
            {"id": row["id"], "model": row["model"], "name": None, "steps": 7, "steps_alone": 2,
             "attributed_j": row["energy_j"], "marginal_j": margin}
            for row, margin in zip(requests, margins, strict=True)
        ],
        "requests_left_out": 3,
        "sums": {"requests": len(requests) - 1, "attributed_j": documents.modelled(900.0).as_dict(),
                 "marginal_j": documents.modelled(333.0).as_dict()},
        "engines": [
            {"engine": f"engine {name}", "coefficients": {"fixed": 2.0, "prefill": 0.5, "decode": 1.0, "context": 0.0},
             "origin": "given", "scale_j": 0.25, "domains": [name], "steps_j": documents.modelled(901.0).as_dict(),
             "predicted_j": 901.0, "reason": ""},
            {"engine": "other", "coefficients": None, "origin": None, "scale_j": None, "domains": [],
             "steps_j": Quantity.missing("J", "no domain").as_dict(), "predicted_j": None, "reason": "no fit"},
        ],
    }  # fmt: skip
    energy = network.energy(4_000_000, 0.05)
    document["traces"] = [
        {"trace_id": name, "energy_j": documents.modelled(3.0).as_dict(), "parts": [],
         "network": {"bytes": 1_000_000, "energy_j": (energy / 4.0).as_dict()}},
        {"trace_id": "silent", "energy_j": documents.modelled(3.0).as_dict(), "parts": [],
         "network": {"bytes": None, "energy_j": network.energy(None, 0.05).as_dict()}},
    ]  # fmt: skip
    document["network"] = {
        "energy_j": energy.as_dict(), "bytes": 4_000_000, "spans": 2, "kwh_per_gb": 0.05,
        "transfers": [{"id": requests[0]["id"], "trace_id": name, "bytes": 4_000_000, "energy_j": energy.as_dict()}],
    }  # fmt: skip
    return document


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", documents.ALL)
def test_without_being_asked_for_nothing_is_shown(name: str) -> None:
    document, _ = documents.ALL[name]()
    assert sections(document) == []
    document |= {"marginal": None, "network": {"bytes": None, "kwh_per_gb": None, "energy_j": {}, "transfers": []}}
    assert sections(document) == []
    text = terminal.render(document, width=80) + markdown.render(document)
    assert "Marginal" not in text
    assert "amortised" not in text
    assert "Network" not in text


@pytest.mark.parametrize("width", [40, 80, 120])
def test_in_a_terminal(width: int) -> None:
    for text in documents.HOSTILE.values():
        lines = terminal.render(told(documents.cpu_only, text), width=width).splitlines()
        assert max(map(len, lines)) <= width
    shown = flat(terminal.render(told(documents.cpu_only), width=120))
    for part in (
        "Training, amortised",
        "5.00 MJ 2,000,000 2.50 J 2.38 to 2.62 attributed",
        "Marginal energy (leave one out)",
        "Margins do not sum to the meter.",
        "sum 79 requests",
        "79 margins sum to 333 J; to the same requests were attributed 900 J.",
        "engine chat: a step costs 0.500 J, and 0.125 J, 0.250 J and 0 J for each token",
        "given, and scaled to what was metered",
        "Not known: no step of chat was read",
        "73 more are not shown.",
        "4,000,000 720 J",
        "silent not told not measured",
        "declared",
    ):
        assert part in shown


def test_in_markdown() -> None:
    text = markdown.render(told(documents.cpu_only))
    for part in (
        "| 5.00 MJ (4.75 to 5.25) | 2,000,000 | 2.50 J (2.38 to 2.62) |",
        "## Marginal energy (leave one out)",
        "| sum | 79 requests | not summed | not summed | 900 J",
        "| all 2 spans that tell bytes | 4,000,000 | 720 J",
        "| silent | not told | not measured | not known |",
    ):
        assert part in text
    assert "<script" not in markdown.render(told(documents.cpu_only, documents.HOSTILE["script"]))


def test_markdown_shows_a_terminal_no_escape_of_a_user() -> None:
    text = markdown.render(documents.hostile()[0])
    assert "escape\\\\x1b\\[31mred" in text
    assert not [char for char in text if not char.isprintable() and char != "\n"]


@pytest.mark.parametrize("make", [documents.cpu_only, documents.gpu_and_cpu, documents.hostile])
def test_on_the_page(make: Callable[[], documents.Sample]) -> None:
    # What is hostile is so on the page of any document: once is enough for each.
    for text in ("chat", *(documents.HOSTILE.values() if make is documents.cpu_only else ())):
        document = told(make, text)
        page = Page(html.render(document, []))
        assert not page.open
        assert {element.tag for element in page.elements} <= OURS
        identities = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
        assert len(identities) == len(set(identities))
        links = {e.attributes["href"] for e in page.all("a")}
        for identity in IDS:
            section = page.one(identity)
            assert f"#{identity}" in links
            [grid] = [e for e in section.inside if e.tag == "table"]
            assert all(e.attributes.get("scope") in {"row", "col"} for e in grid.inside if e.tag == "th")
            assert all(e.text.strip() for e in grid.inside if e.tag in {"td", "th"})
        assert "Margins do not sum to the meter." in page.text
        assert "2,000,000" in page.text


def test_each_row_of_the_csv_says_it_or_why_not() -> None:
    document = told(documents.cpu_only)
    rows = list(csv.DictReader(io.StringIO(table.render(document))))
    by_id = {row["id"]: row for row in rows}
    first, last = document["requests"][0], document["requests"][-1]
    assert float(by_id[first["id"]]["marginal_j"]) == 1.5
    assert by_id[last["id"]]["marginal_j_reason"] == "no step of chat was read"
    assert float(by_id[first["id"]]["network_j"]) == pytest.approx(720.0)
    assert by_id[first["id"]]["network_j_grade"] == "declared"
    assert by_id[last["id"]]["network_j_reason"] == "it tells no bytes"
    trained = document["models"][0]["model"]
    for row in rows:
        known = row["kind"] == "request" and row["model"] == trained
        assert (row["training_j_per_request"] == "2.5") == known
        assert bool(row["training_j_per_request_reason"]) != known
    plain, _ = documents.cpu_only()
    header = next(csv.reader(io.StringIO(table.render(plain))))
    assert header == list(rows[0])[: len(header)]


def test_a_transfer_is_declared_and_wide() -> None:
    energy = network.energy(1_000_000_000, 0.05)
    assert energy.value == pytest.approx(180_000.0)
    assert (energy.grade, energy.unit) == ("declared", "J")
    assert energy.low is not None
    assert energy.high is not None
    # A geometric standard deviation of 2 is a factor of 3.9 at 95 %.
    assert energy.high / 180_000 == pytest.approx(180_000 / energy.low) == pytest.approx(2**1.96, rel=1e-4)
    [factor] = energy.factors
    assert (factor.value, factor.unit) == (0.05, "kWh/GB")
    assert network.energy(0, 0.05).value == 0.0


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ((None, 0.05), "no span tells its network_bytes"),
        ((7, None), "no energy per byte was stated"),
        ((None, None), "no span tells its network_bytes, and no energy per byte was stated"),
    ],
)
def test_what_is_not_told_is_not_zero(given: tuple[Any, Any], why: str) -> None:
    energy = network.energy(*given)
    assert (energy.value, energy.reason) == (None, why)
