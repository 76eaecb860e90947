"""The intervals of a domain's accounts: what its counter may have held back is in one of them."""

from __future__ import annotations

import pytest

from greengen.accounting.ledger import Ledger, build
from greengen.collector import CAPACITY, MACHINE, PROFILED, RECORDER, Domain
from greengen.rows import Rows, Segment, Series, Timeline

MS = 1_000_000
ACCOUNTS = ("overhead", "other", "idle")
#: It counts in steps of 40 mJ, as a model of 4 W on a clock of 10 ms does.
STEPS = Domain("cpu:0", "c", "package", "CPU", split="cpu", activity="cpu", resolution_j=0.04)


def ledger(energy_j: float, busy_ms: dict[str, float]) -> Ledger:
    """Two readings, 20 ms apart, and what was busy in between."""
    t_ns = [0, 20 * MS]
    usage = {("cpu", who): Series(t_ns, [0.0, busy_ms[who] * MS], [0, 20 * MS]) for who in busy_ms}
    samples = {STEPS.uid: Series(t_ns, [0.0, energy_j], [0, 20 * MS])}
    segment = Segment("s", "p", 0, 20 * MS, 0, {"interval_s": 0.1, "own_process": True})
    return build(
        Rows(timelines=[Timeline("b", "h", domains=[STEPS], samples=samples, usage=usage, segments=[segment])])
    )


def test_of_a_counter_that_has_not_moved_no_account_is_surely_nothing() -> None:
    told = ledger(0.0, {PROFILED: 5.0, RECORDER: 0.0, MACHINE: 10.0, CAPACITY: 40.0})
    for name in ACCOUNTS:
        account = told.account(name)
        assert account.value == 0.0
        assert account.high == pytest.approx(told.total().high)
    assert told.total().high


def test_of_one_that_has_each_holds_its_part_of_the_step() -> None:
    told = ledger(0.04, {PROFILED: 10.0, RECORDER: 0.0, MACHINE: 10.0, CAPACITY: 40.0})
    total = told.total()
    sigma_j = {
        name: sum(error.sigma for error in told.account(name).errors if error.name.startswith("resolution:"))
        for name in ACCOUNTS
    }
    [step] = [error.sigma for error in total.errors if error.name.startswith("resolution:")]
    assert sum(sigma_j.values()) == pytest.approx(step)
    overhead_j, total_j = told.account("overhead").value, total.value
    assert overhead_j
    assert total_j
    assert sigma_j["overhead"] == pytest.approx(step * overhead_j / total_j)
