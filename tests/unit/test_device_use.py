"""Whose work an accelerator did: when what was told is enough to divide its energy, and what then is idle."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from greengen.accounting.ledger import Ledger, build
from greengen.accounting.usage import device_uses
from greengen.collector import MACHINE, PROFILED, Domain
from greengen.rows import Recording, Rows, Segment, Series, Timeline

SECOND = 10**9
GPU = Domain("c:gpu", "c", "gpu", "GPU", split="c:gpu", activity="c:gpu", max_power_w=1000.0)


def series(seconds: Sequence[float], busy_s: Sequence[float]) -> Series:
    return Series([round(t * SECOND) for t in seconds], [b * SECOND for b in busy_s], [0] * len(seconds))


def told(seconds: Sequence[float]) -> dict[tuple[str, str], Series]:
    """Always busy, half of it for us."""
    halves = [t / 2 for t in seconds]
    return {("c:gpu", MACHINE): series(seconds, seconds), ("c:gpu", PROFILED): series(seconds, halves)}


@pytest.mark.parametrize(
    ("seconds", "enough"),
    [
        (range(101), True),
        (range(92), True),
        (range(89), False),
        (range(11, 101), False),
        ([*range(40), *range(48, 101)], True),
        ([*range(40), *range(54, 101)], False),
        ([0], False),
        ([], False),
    ],
    ids=["all", "92 %", "88 %", "the end only", "hole of 9 s", "hole of 15 s", "one reading", "none"],
)
def test_use_divides_where_it_is_told_for_nine_tenths_of_the_time(seconds: Sequence[float], enough: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    found = device_uses(told(seconds), [None, "cpu", "c:gpu"], [(0, 100 * SECOND)])
    assert set(found) == ({"c:gpu"} if enough else set())


def test_readings_that_thinning_left_out_were_told() -> None:
    """An idle GPU's use is a level line, of which two points are kept: what counts is how often it was read."""
    for spacing_s, enough in ((1, True), (30, False)):
        usage = {
            ("c:gpu", who): Series([0, 100 * SECOND], [0.0, 0.0], [0, spacing_s * SECOND])
            for who in (MACHINE, PROFILED)
        }
        assert bool(device_uses(usage, ["c:gpu"], [(0, 100 * SECOND)])) == enough


def test_the_time_between_two_segments_needs_no_telling() -> None:
    seconds = [*range(51), *range(1000, 1051)]
    segments = [(0, 50 * SECOND), (1000 * SECOND, 1050 * SECOND)]
    assert set(device_uses(told(seconds), ["c:gpu"], segments)) == {"c:gpu"}
    assert device_uses(told(seconds[:51]), ["c:gpu"], segments) == {}


def test_cpu_time_is_no_accelerators_use() -> None:
    usage = {("cpu", consumer): values for (_, consumer), values in told(range(101)).items()}
    assert device_uses(usage, ["cpu", "c:gpu"], [(0, 100 * SECOND)]) == {}


def ledger(machine_s: Sequence[float], profiled_s: Sequence[float]) -> Ledger:
    """100 W for four seconds without a span; use told every half second."""
    half_seconds = [i / 2 for i in range(9)]
    timeline = Timeline(
        "boot",
        "host",
        domains=[GPU],
        samples={"c:gpu": Series([round(t * SECOND) for t in half_seconds], [100 * t for t in half_seconds], [0] * 9)},
        usage={
            ("c:gpu", MACHINE): series(half_seconds, machine_s),
            ("c:gpu", PROFILED): series(half_seconds, profiled_s),
        },
        segments=[Segment("s", "1:1", 0, 4 * SECOND, 0)],
    )
    return build(Rows(timelines=[timeline]))


def test_without_a_span_our_work_is_overhead_others_is_other_and_the_rest_idle() -> None:
    # By second: ours alone; both, half and half, ours in its first half only; a stranger alone; nobody.
    machine = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.0, 3.0]
    profiled = [0.0, 0.5, 1.0, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5]
    found = ledger(machine, profiled)
    # Foreign work is told by the second: in the second one it is spread over both halves. In the first half
    # 0.5 s are ours and 0.25 s foreign, and what is ours of it is overhead; in the second half all is foreign.
    expected = {"overhead": 100 + 50 * 2 / 3, "other": 50 / 3 + 50 + 100, "idle": 100.0}
    for name, joules in expected.items():
        assert found.account(name).value == pytest.approx(joules), name


def test_recorders_side_by_side_do_not_divide_a_gpu_that_each_tells_from_its_own_start() -> None:
    """Added up, the machine's use would count as often as it was told, and nobody's share would be right."""
    half_seconds = [i / 2 for i in range(9)]
    meter = Series([round(t * SECOND) for t in half_seconds], [100 * t for t in half_seconds], [0] * 9)
    names = ("a", "b")
    timeline = Timeline(
        "boot",
        "host",
        domains=[GPU],
        recordings=[Recording(name, {"c:gpu": meter}, told(half_seconds)) for name in names],
        segments=[Segment(name, f"{name}:1", 0, 4 * SECOND, 0) for name in names],
    )
    other = build(Rows(timelines=[timeline])).account("other")
    assert other.value is None
    assert "several recorders" in other.reason
