"""A meter around others against what those sum to: over the time that both were read, and never clamped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greengen import document
from greengen.accounting.carbon import Site
from greengen.collector import Domain
from greengen.reports import markdown, terminal
from greengen.rows import Rows, Series
from tests.unit.test_rules import S, rows

WALL = Domain(
    *("plug:wall", "plug", "wall", "wall plug"),
    contains=("*",),
    alternative=True,
    reading="power",
    gain=0.01,
    split_reason="all of it",
)
CORE = Domain("c:core", "c", "core", "cores", split_reason="in this test")
PSYS = Domain("c:psys", "c", "psys", "psys", contains=("c:package",), alternative=True, split_reason="in this test")


def counter(per_second: float, first: int = 1, last: int = 51) -> Series:
    t_ns = [S * i for i in range(first, last + 1)]
    return Series(t_ns, [per_second * i for i in range(len(t_ns))], [S] * len(t_ns))


def gauge(watts: float, first: int = 1, last: int = 51) -> Series:
    t_ns = [S * i for i in range(first, last + 1)]
    return Series(t_ns, [watts] * len(t_ns), [S] * len(t_ns), window_s=0.0)


def recorded(*more: tuple[Domain, Series]) -> Rows:
    """A package of 900 J in 50 s, and what else is read."""
    made = rows()
    [timeline] = made.timelines
    timeline.domains[0] = replace(timeline.domains[0], contains=("c:core",))
    for domain, series in more:
        timeline.domains.append(domain)
        timeline.samples[domain.uid] = series
    return made


def told(made: Rows) -> list[dict[str, Any]]:
    return list(document.build(made, Path("x"), Site())["remainders"])


def test_the_wall_holds_more_than_its_parts() -> None:
    [found] = told(recorded((WALL, gauge(30.0)), (CORE, counter(3.0))))
    assert (found["domain"], [part["domain"] for part in found["parts"]]) == ("plug:wall", ["c:package"])
    assert found["energy_j"]["value"] == pytest.approx(1500)
    assert found["parts_j"]["value"] == pytest.approx(900)
    assert found["remainder_j"]["value"] == pytest.approx(600)
    assert found["seconds"] == 50
    # One per cent of the wall's gain, σ, is 15 J.
    assert found["remainder_j"]["high"] - 600 == pytest.approx(1.96 * 15, rel=0.01)


def test_a_rest_below_0_is_shown() -> None:
    [found] = told(recorded((WALL, gauge(10.0))))
    assert found["remainder_j"]["value"] == pytest.approx(-400)
    assert found["remainder_j"]["high"] < 0


def test_only_the_time_in_which_all_were_read_counts() -> None:
    [found] = told(recorded((WALL, gauge(30.0, 11, 21))))
    assert found["seconds"] == 10
    assert found["energy_j"]["value"] == pytest.approx(300)
    assert found["parts_j"]["value"] == pytest.approx(100)


def test_a_meter_that_stopped_before_the_others_began() -> None:
    gpu = Domain("n:gpu", "n", "gpu", "GPU", split_reason="in this test")
    [found] = told(recorded((WALL, gauge(30.0, 1, 11)), (gpu, counter(5.0, 20, 30))))
    assert found["seconds"] == 0
    assert found["remainder_j"]["value"] is None
    assert "never read at the same time" in found["remainder_j"]["reason"]


def test_each_outer_meter_is_told_and_parts_count_once() -> None:
    found = told(recorded((WALL, gauge(30.0)), (PSYS, counter(20.0)), (CORE, counter(3.0))))
    assert {row["domain"]: [part["domain"] for part in row["parts"]] for row in found} == {
        "c:psys": ["c:package"],
        "plug:wall": ["c:package"],
    }


def test_a_wall_alone_has_nothing_to_be_held_against() -> None:
    made = recorded((WALL, gauge(30.0)))
    [timeline] = made.timelines
    made.timelines[0] = replace(timeline, samples={"plug:wall": timeline.samples["plug:wall"]})
    assert told(made) == []


def test_every_text_shows_it() -> None:
    built = document.build(recorded((WALL, gauge(30.0))), Path("x"), Site())
    for text in (terminal.render(built, width=120), markdown.render(built)):
        assert "Two ways to know a total" in text
        assert "600 J" in text
