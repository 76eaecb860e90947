"""The document as strict JSON."""

from __future__ import annotations

import copy
import json
from typing import Any, NoReturn

import pytest

from greengen.reports.json import render
from tests.unit import documents


def refuse(constant: str) -> NoReturn:
    pytest.fail(f"not JSON: {constant}")


def parse(text: str) -> Any:  # noqa: ANN401
    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("name", documents.ALL)
def test_the_document_comes_back_as_it_went_in(name: str) -> None:
    document, _ = documents.ALL[name]()
    back = parse(render(document))
    assert back == document
    assert list(back) == list(document)
    assert list(back["totals"]["energy_j"]) == list(document["totals"]["energy_j"])


def test_the_same_document_gives_the_same_text() -> None:
    document, _ = documents.hostile()
    assert render(document) == render(copy.deepcopy(document))


def test_it_is_ascii_so_that_any_stream_takes_it() -> None:
    text = render(documents.hostile()[0])
    assert text.isascii()
    assert text.endswith("}\n")
    assert not set(text) & {"\x00", "\x07", "\x1b"}


def test_each_row_has_its_own_line() -> None:
    document, _ = documents.cpu_only()
    lines = render(document).splitlines()
    rows = [parse(line.strip().rstrip(",")) for line in lines if line.startswith('    {"id"')]
    assert rows == [*document["spans"], *document["requests"]]


def test_what_is_not_finite_is_missing_with_its_reason() -> None:
    document, _ = documents.cpu_only()
    document["totals"]["energy_j"]["value"] = float("nan")
    document["accounts"][0]["energy_j"]["high"] = float("inf")
    back = parse(render(document))
    missing = back["totals"]["energy_j"]
    assert missing == {"value": None, "unit": "J", "reason": "not a finite number: nan"}
    assert back["accounts"][0]["energy_j"]["high"] is None
    assert back["accounts"][0]["energy_j"]["value"] == document["accounts"][0]["energy_j"]["value"]
