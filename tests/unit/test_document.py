"""The document of a run, from rows with known answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greengen import document
from greengen.accounting.carbon import Site
from greengen.accounting.choice import Plan
from greengen.collector import Event
from greengen.reports import words
from greengen.rows import ProcessRow, Rows, Series
from tests.unit.test_rules import rows

SECOND = 1_000_000_000


def built(recorded: Rows, policy: str | Plan = "auto") -> dict[str, Any]:
    return document.build(recorded, Path("x.greengen"), Site(), policy=policy)


def test_joules_per_success_and_what_came_to_nothing() -> None:
    """Two requests of one model: 62.5 J of one that failed, 187.5 J of the other."""
    recorded = rows()
    [timeline] = recorded.timelines
    spans = [replace(span, model="m", outcome="ok" if i == 0 else "failed") for i, span in enumerate(timeline.spans)]
    recorded.timelines[0] = replace(timeline, spans=spans)
    [model] = built(recorded)["models"]
    assert (model["requests"], model["succeeded"]) == (2, 1)
    assert model["energy_j_per_request"]["value"] == pytest.approx(125)
    assert model["energy_j_per_success"]["value"] == pytest.approx(250)
    assert model["energy_j_wasted"]["value"] == pytest.approx(62.5)
    assert model["energy_j_wasted"]["grade"] == model["energy_j"]["grade"]


def test_a_request_that_was_left_open_is_no_success_and_nothing_wasted() -> None:
    recorded = rows()
    [timeline] = recorded.timelines
    spans = [replace(span, model="m", t1_ns=None if i == 0 else span.t1_ns) for i, span in enumerate(timeline.spans)]
    recorded.timelines[0] = replace(timeline, spans=spans)
    [model] = built(recorded)["models"]
    assert (model["requests"], model["succeeded"]) == (2, 1)
    assert model["energy_j_per_success"]["value"] == pytest.approx(2 * model["energy_j_per_request"]["value"])
    assert model["energy_j_wasted"]["value"] == 0


def test_a_device_that_nothing_reads_is_named() -> None:
    recorded = rows()
    [timeline] = recorded.timelines
    spans = [replace(span, devices=("cuda:0",)) for span in timeline.spans]
    recorded.timelines[0] = replace(timeline, spans=spans)
    [said] = [text for text in built(recorded)["warnings"] if "cuda:0" in text]
    assert "which nothing reads" in said
    assert timeline.domains[0].uid in said
    recorded.timelines[0] = replace(timeline, spans=[replace(s, devices=(timeline.domains[0].uid,)) for s in spans])
    assert not [text for text in built(recorded)["warnings"] if "nothing reads" in text]


def test_a_tier_that_is_none_is_named_and_its_spans_are_flagged() -> None:
    """As `greengen.request(tier="moon")` records it: user code must not break, and the report must not be silent."""
    recorded = rows()
    [timeline] = recorded.timelines
    spans = [replace(span, tier="moon" if i == 0 else "edge") for i, span in enumerate(timeline.spans)]
    recorded.timelines[0] = replace(timeline, spans=spans)
    told = built(recorded)
    [said] = [text for text in told["warnings"] if "moon" in text]
    assert "1 span(s)" in said
    assert "cloud, edge or device" in said
    assert [span["flags"].count("unknown-tier") for span in told["requests"]] == [1, 0]
    recorded.timelines[0] = replace(timeline, spans=[replace(span, tier="network") for span in spans])
    assert not [text for text in built(recorded)["warnings"] if "tier" in text]


def test_each_host_has_a_clock_of_its_own() -> None:
    """Two hosts of 50 s, one of which started its clock 1000 s before; each tells one event, 5 s and 7 s on."""
    one, other = rows().timelines[0], rows().timelines[0]
    later = 1000 * SECOND

    def moved(series: Series) -> Series:
        return replace(series, t_ns=[t + later for t in series.t_ns])

    [segment] = one.segments
    one = replace(one, events=[Event(segment.t0_ns + 5 * SECOND, "warning", "a", "first")])
    other = replace(
        other,
        boot_id="far",
        samples={uid: moved(series) for uid, series in other.samples.items()},
        usage={key: moved(series) for key, series in other.usage.items()},
        spans=[],
        segments=[replace(segment, t0_ns=segment.t0_ns + later, t1_ns=(segment.t1_ns or 0) + later)],
        events=[Event(segment.t0_ns + later + 7 * SECOND, "warning", "b", "second")],
    )
    told = built(Rows({}, [other, one]))
    assert [(event["t_s"], event["reason"]) for event in told["events"]] == [(5.0, "first"), (7.0, "second")]
    assert told["totals"]["known_s"] == told["run"]["duration_s"] == 100.0
    assert "all of the recording" in words.coverage(told)
    told["totals"] |= {"known_s": 75.0, "coverage": 0.5}
    assert words.coverage(told).startswith("Power is known for 75.0 s of 100 s (75.0 %);")


def test_token_counts_that_are_none_are_told() -> None:
    recorded = rows()
    [timeline] = recorded.timelines
    first, *others = timeline.spans
    recorded.timelines[0] = replace(timeline, spans=[replace(first, flags=("miscounted",)), *others])
    [said] = [text for text in built(recorded)["warnings"] if "token count" in text]
    assert said.startswith("1 span(s) told a token count below 0")


def test_processes_that_were_killed_are_told() -> None:
    recorded = rows()
    [timeline] = recorded.timelines
    assert not [text for text in built(recorded)["warnings"] if "did not end" in text]
    killed = [
        ProcessRow(f"b:{pid}:1", pid, "spans", 1, closed=pid == 8, lost_rows=0, command="x") for pid in range(9, 1, -1)
    ]
    recorded.timelines[0] = replace(timeline, processes=[*timeline.processes, *killed])
    [said] = [text for text in built(recorded)["warnings"] if "did not end" in text]
    assert said.startswith("7 process(es) did not end their part of the recording (process 2, 3, 4, 5, 6 ...):")
    going_on = [replace(segment, t1_ns=None) for segment in timeline.segments]
    recorded.timelines[0] = replace(recorded.timelines[0], segments=going_on)
    assert not [text for text in built(recorded)["warnings"] if "did not end" in text]


def test_without_a_failure_nothing_is_wasted() -> None:
    told = [model["energy_j_wasted"]["value"] for model in built(rows())["models"]]
    assert told == [0.0, 0.0]


def test_where_nothing_succeeded_there_is_no_joule_per_success() -> None:
    recorded = rows()
    [timeline] = recorded.timelines
    recorded.timelines[0] = replace(timeline, spans=[replace(span, outcome="failed") for span in timeline.spans])
    for model in built(recorded)["models"]:
        assert model["energy_j_per_success"] == {"value": None, "unit": "J", "reason": "no request succeeded"}
        assert model["energy_j_wasted"]["value"] == model["energy_j"]["value"]


def test_in_nanojoules_every_domain_adds_up() -> None:
    found = built(rows(), policy=Plan("equal", exact=True, idle="resident-time"))
    for domain in found["domains"]:
        assert sum(account["energy_nj"] for account in domain["accounts"]) == domain["energy_nj"] == 900 * 10**9
    assert [request["energy_nj"] for request in found["requests"]] == [454_166_666_667, 195_833_333_333]
    assert "energy_nj" not in json.dumps(built(rows()))


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("gpu", ["memory (DRAM)", "fans, power supply loss, disks, network cards"]),
        ("dram", ["fans, power supply loss, disks, network cards"]),
        ("wall", []),
    ],
)
def test_what_is_not_covered(kind: str, missing: list[str]) -> None:
    recorded = rows()
    [timeline] = recorded.timelines
    recorded.timelines[0] = replace(timeline, domains=[replace(domain, kind=kind) for domain in timeline.domains])
    told = [gone["what"] for gone in built(recorded)["boundary"]["not_covered"]]
    assert told == [*missing, "network between tiers"]


def test_each_group_says_how_it_was_shared() -> None:
    groups = built(rows(), policy="token")["run"]["policy"]["groups"]
    assert [(group["policy"], group["fallback"]) for group in groups] == [("equal", "token: no tokens were told")]


def test_a_run_of_nothing_says_that_nothing_was_measured_here() -> None:
    assert built(Rows({}, []))["warnings"] == [
        "Nothing was measured: no domain could be read on this machine. Run `greengen doctor`."
    ]


def test_a_request_of_a_host_that_was_not_read_says_so_whatever_another_host_tells() -> None:
    recorded = rows()
    [timeline] = recorded.timelines
    unread = replace(
        timeline,
        boot_id="another",
        domains=[],
        samples={},
        spans=[replace(span, uid=f"other:{span.uid}", parent=None) for span in timeline.spans],
    )
    recorded.timelines.append(unread)
    of_it = [span for span in built(recorded)["requests"] if str(span["id"]).startswith("other:")]
    assert of_it
    assert {span["energy_j"]["reason"] for span in of_it} == {"no domain was read"}
