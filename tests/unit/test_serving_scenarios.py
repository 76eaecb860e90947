"""The scenarios: their expectations follow from their rows, and from nothing that a policy cannot see."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from greengen.accounting import curves, ledger, policies
from greengen.testing.serving.expected import Expected, Scenario
from greengen.testing.serving.recording import uid_of
from greengen.testing.serving.scenarios import SCENARIO_SEEDS, SCENARIOS
from greengen.testing.serving.scenarios_engine import isolated_bursts
from greengen.testing.serving.shapley import shapley
from greengen.testing.serving.steps import Steps
from greengen.testing.serving.workload import Floats

#: What an answer may be off by beside its tolerance, J: a millisecond at some edges.
SLACK_J = 0.5


def found_by(book: ledger.Ledger, expected: Expected) -> float:
    """J of the expected accounts."""
    entries = [e for chapter in book.chapters for e in chapter.totalled if expected.device in ("", e.books.domain.uid)]
    total = 0.0
    for account in expected.accounts:
        for of in entries:
            rows = of.books.table.rows
            if account in ("idle", "overhead"):
                total += of.account(account).value or 0.0
            else:
                total += sum(of.books.span_j[i] for i, row in enumerate(rows) if row.uid == account)
    return total


def metered(made: Scenario, device: str) -> curves.Curve:
    """Greengen's curve of a device."""
    [timeline] = made.rows.timelines
    [domain] = [domain for domain in timeline.domains if domain.uid == device]
    return curves.build(domain, timeline.samples[device], [(0, 2**62)])


def of_steps(several: Sequence[Steps], curve: curves.Curve) -> list[Floats]:
    """J of each step; where steps overlap, each moment is split as their true power is."""
    edges = np.unique(np.concatenate([times for steps in several for times in (steps.t0_ns, steps.t1_ns)]))
    power = [steps.joules / (steps.t1_ns - steps.t0_ns) for steps in several]
    places = [(np.searchsorted(edges, steps.t0_ns), np.searchsorted(edges, steps.t1_ns)) for steps in several]
    change, flying = np.zeros(edges.size), np.zeros(edges.size)
    for watts, (begins, ends) in zip(power, places, strict=True):
        change += np.bincount(begins, watts, edges.size) - np.bincount(ends, watts, edges.size)
        flying += np.bincount(begins, None, edges.size) - np.bincount(ends, None, edges.size)
    live, busy = np.cumsum(change)[:-1], np.cumsum(flying)[:-1] > 0
    each = np.where(busy, np.diff(curve.at(edges)) / np.where(busy, live, 1.0), 0.0)
    total = np.concatenate(([0.0], np.cumsum(each)))
    return [watts * (total[ends] - total[begins]) for watts, (begins, ends) in zip(power, places, strict=True)]


def seen_by_an_oracle(made: Scenario, device: str) -> Floats:
    """J of each request on a device: the metered J of each step, shared as the truth does."""
    served, joules = made.served, np.zeros(len(made.served.requests))
    everywhere = device not in served.draws
    pairs = zip(served.instances, served.steps, strict=True)
    here = [(instance, steps) for instance, steps in pairs if everywhere or device in instance.devices]
    metered_j = of_steps([steps for _, steps in here], metered(made, device))
    for (instance, steps), drawn in zip(here, metered_j, strict=True):
        parts = shapley(steps, instance.cost, 1) * (drawn / steps.joules)[steps.step]
        joules += np.bincount(steps.request, parts, minlength=joules.size)
    return joules


def of_single_requests(made: Scenario) -> Iterator[tuple[int, Expected]]:
    numbers = {uid_of(i): i for i in range(len(made.served.requests))}
    for expected in made.expected:
        if len(expected.accounts) == 1 and expected.accounts[0] in numbers:
            yield numbers[expected.accounts[0]], expected


@pytest.mark.parametrize("name", SCENARIOS)
def test_expectations_follow_from_the_rows(name: str) -> None:
    for seed in SCENARIO_SEEDS:
        made = SCENARIOS[name](seed)
        by_device = {device: seen_by_an_oracle(made, device) for device in made.power}
        for number, expected in of_single_requests(made):
            devices = [expected.device] if expected.device else list(by_device)
            seen = sum(float(by_device[device][number]) for device in devices)
            margin = expected.tolerance * expected.energy_j + SLACK_J
            assert math.isclose(seen, expected.energy_j, rel_tol=0, abs_tol=margin), (seed, expected, seen)


@pytest.mark.parametrize("policy", policies.POLICIES)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_ledger_answers_as_expected(name: str, policy: str) -> None:
    for seed in SCENARIO_SEEDS[:3]:
        made = SCENARIOS[name](seed)
        book = ledger.build(made.rows, policy=policy)
        asked = [e for e in made.expected if not e.policies or policy in e.policies]
        for expected in asked:
            seen = found_by(book, expected)
            assert seen == pytest.approx(expected.energy_j, rel=expected.tolerance, abs=SLACK_J), (seed, expected)


def kinds(made: Scenario) -> set[str]:
    """Of its spans, and of their phases."""
    spans = made.rows.timelines[0].spans
    return {span.kind for span in spans} | {phase.kind for span in spans for phase in span.phases}


def mixed(steps: Steps) -> bool:
    """Whether a prompt came in parts, beside decodes."""
    chunks = np.bincount(steps.request, steps.prefill > 0)
    decoding = np.bincount(steps.step, steps.decode)[steps.step]
    return bool(chunks.max() > 2 and ((steps.prefill > 0) & (decoding > 0)).any())


def overlap(one: Steps, other: Steps) -> float:
    """Which part of the steps of one engine begins while the other has one."""
    place = np.searchsorted(other.t0_ns, one.t0_ns, side="right") - 1
    return float(((place >= 0) & (one.t0_ns < other.t1_ns[place])).mean())


#: What each scenario must really have.
SHOWN: dict[str, Callable[[Scenario], bool]] = {
    "decode batches": lambda made: int(made.served.steps[0].size.max()) >= 5,
    "chunked prefill": lambda made: mixed(made.served.steps[0]),
    "speculative tokens": lambda made: set(made.served.steps[0].decode.tolist()) == {0, 4},
    "prefix-cache hits": lambda made: sum(life.cached_tokens == 1024 for life in made.served.lives) >= 5,
    "preemption": lambda made: sum(life.preemptions for life in made.served.lives) >= 2,
    "padding": lambda made: int(made.served.steps[0].padding.sum()) > 0,
    "failed, aborted and retried": lambda made: (
        {s.outcome for s in made.rows.timelines[0].spans} == {"ok", "failed", "aborted"}
        and any(s.labels.get("attempt") == "2" for s in made.rows.timelines[0].spans)
    ),
    "load and warm-up": lambda made: kinds(made) >= {"load", "warmup"},
    "prefill and decode pools": lambda made: kinds(made) >= {"prefill", "transfer", "decode"},
    "several models on a device": lambda made: {e.model for e in made.rows.timelines[0].engines} == {"large", "small"},
    "MIG slices": lambda made: overlap(*made.served.steps) > 0.1 and list(made.power) == ["sim:gpu-0"],
    "pipeline parallel": lambda made: bool(
        (made.served.steps[0].t0_ns[1:] < made.served.steps[0].t1_ns[:-1]).mean() > 0.5
    ),
    "the host follows": lambda made: [d.kind for d in made.rows.timelines[0].domains] == ["gpu", "package"],
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_scenario_shows_what_it_is_about(name: str) -> None:
    for seed in SCENARIO_SEEDS[:5]:
        assert SHOWN[name](SCENARIOS[name](seed))


@pytest.mark.parametrize(("meter", "tolerance"), [("perfect", 0.02), ("nvml counter", 0.35), ("rapl", 0.06)])
def test_bursts_are_seen_through_other_meters(meter: str, tolerance: float) -> None:
    made = isolated_bursts(7, meter, tolerance)
    book = ledger.build(made.rows)
    for expected in made.expected[:-1]:
        assert found_by(book, expected) == pytest.approx(expected.energy_j, rel=tolerance)
