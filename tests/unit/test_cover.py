"""One cover of what was measured: the outer domain, but for another way to know the same."""

from __future__ import annotations

import pytest

from greengen.accounting.cover import cover
from greengen.collector import Domain


def domain(uid: str, *contains: str, alternative: bool = False) -> Domain:
    return Domain(uid, "c", uid, uid.upper(), contains=contains, alternative=alternative)


#: A laptop: psys over package and DRAM, the package over its cores and its graphics, and the wall over all.
LAPTOP = (
    domain("wall", "psys", "gpu", alternative=True),
    domain("psys", "package", "dram", alternative=True),
    domain("package", "core", "uncore"),
    domain("core"),
    domain("uncore"),
    domain("dram"),
    domain("gpu"),
)


@pytest.mark.parametrize(
    ("readable", "counted"),
    [
        ("wall psys package core uncore dram gpu", "package dram gpu"),
        ("psys package core", "package"),
        ("package core uncore", "package"),
        ("core uncore dram", "core uncore dram"),
        ("psys", "psys"),
        ("psys gpu", "psys gpu"),
        ("wall", "wall"),
        # What lies between was not read, and the inner one is still a part of the outer.
        ("wall package", "package"),
        ("psys uncore", "uncore"),
        ("", ""),
    ],
)
def test_what_counts(readable: str, counted: str) -> None:
    for domains in (LAPTOP, LAPTOP[::-1]):
        verdict = cover(domains, frozenset(readable.split()))
        assert {uid for uid, why in verdict.items() if not why} == set(counted.split())


def test_a_plain_outer_domain_counts_though_what_lies_between_was_not_read() -> None:
    board = (domain("board", "soc"), domain("soc", "cpu"), domain("cpu"))
    assert {uid for uid, why in cover(board, frozenset({"board", "cpu"})).items() if not why} == {"board"}


def test_it_says_why() -> None:
    verdict = cover(LAPTOP, frozenset({"psys", "package", "core", "dram"}))
    assert verdict["core"] == "part of PACKAGE"
    assert verdict["psys"] == "another way to know what CORE, DRAM, PACKAGE already make up"
    assert verdict["gpu"] == "no reading of it"
    assert verdict["package"] == ""
