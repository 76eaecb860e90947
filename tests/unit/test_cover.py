"""One cover of what was measured: the outer domain, but for another way to know the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from greengen.accounting.cover import cover, parts_of
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


def test_a_measured_wall_counts_where_its_parts_are_only_modelled() -> None:
    wall, package = domain("wall", "*", alternative=True), replace(domain("package"), grade="modelled")
    readable = frozenset({"wall", "package", "dram"})
    assert cover((wall, package), readable) == {"wall": "", "package": "part of WALL"}
    assert cover((replace(wall, grade="modelled"), package), readable)["package"] == ""
    # One measured part is enough for the parts to make up the total.
    assert cover((wall, package, domain("dram")), readable)["wall"].startswith("another way")


def test_it_says_why() -> None:
    verdict = cover(LAPTOP, frozenset({"psys", "package", "core", "dram"}))
    assert verdict["core"] == "part of PACKAGE"
    assert verdict["psys"] == "another way to know what CORE, DRAM, PACKAGE already make up"
    assert verdict["gpu"] == "no reading of it"
    assert verdict["package"] == ""


def host(*wholes: Domain) -> tuple[Domain, ...]:
    return (domain("rapl:package"), domain("nvml:gpu"), *wholes)


def whole(uid: str, kind: str = "wall", gain: float = 0.01) -> Domain:
    collector = uid.partition(":")[0]
    return Domain(uid, collector, kind, uid.upper(), contains=("*",), alternative=True, gain=gain)


PLUG, OTHER_PLUG, BATTERY = whole("plug:a"), whole("plug:b"), whole("acpi:bat0", "battery", 0.05)


@pytest.mark.parametrize(
    ("readable", "counted"),
    [
        ("rapl:package nvml:gpu plug:a acpi:bat0", "rapl:package nvml:gpu"),
        ("plug:a acpi:bat0", "plug:a"),
        # A server with two supplies, each on a plug of its own.
        ("plug:a plug:b acpi:bat0", "plug:a plug:b"),
        ("acpi:bat0", "acpi:bat0"),
        ("nvml:gpu acpi:bat0", "nvml:gpu"),
    ],
)
def test_a_meter_of_the_whole_host(readable: str, counted: str) -> None:
    domains = host(BATTERY, PLUG, OTHER_PLUG)
    for order in (domains, domains[::-1]):
        verdict = cover(order, frozenset(readable.split()))
        assert {uid for uid, why in verdict.items() if not why} == set(counted.split())
    verdict = cover(domains, frozenset(readable.split()))
    if counted == "plug:a":
        assert verdict["acpi:bat0"] == "another way to know what PLUG:A already tells"


def test_a_pattern_names_all_of_one_collector() -> None:
    module = Domain("nvml:module-0", "nvml", "module", "GH200", contains=("grace:*", "nvml:gpu-0"))
    domains = (module, domain("grace:cpu"), domain("nvml:gpu-0"), domain("nvml:gpu-1"))
    verdict = cover(domains, frozenset(d.uid for d in domains))
    assert {uid for uid, why in verdict.items() if not why} == {"nvml:module-0", "nvml:gpu-1"}
    assert verdict["grace:cpu"] == "part of GH200"


def test_a_total_is_also_a_part_where_what_it_holds_is_only_modelled() -> None:
    psys = domain("psys", "package", alternative=True)
    package = replace(domain("package"), grade="modelled")
    wall = domain("wall", "psys", alternative=True)
    readable = frozenset({"wall", "psys", "package"})
    assert parts_of(wall, (wall, psys, package), readable) == ["psys"]
    assert parts_of(wall, (wall, psys, replace(package, grade="measured")), readable) == ["package"]
