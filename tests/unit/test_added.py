"""What a calibration says of accelerators whose power is known, beside CPUs behind the same meter."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from greengen.accounting.added import Added, fit
from greengen.accounting.stretches import source, stretches_beside
from greengen.errors import UsageError
from greengen.rows import Rows
from tests.unit import calibrations as planted
from tests.unit.calibrations import ACCELERATOR, Truth

CASES = 100


def plane(rows: Rows) -> Added:
    told = source(rows, (), ACCELERATOR)
    return fit(*stretches_beside(told), told.gain)


def test_the_interval_holds_the_truth_and_is_narrow() -> None:
    held, widths = [], []
    for seed in range(CASES):
        rng = np.random.default_rng(40_000 + seed)
        truth = planted.drawn(rng)
        added_w = truth.idle_w * rng.uniform(0.3, 3)
        low, high = plane(
            planted.run_with_accelerator(40_000 + seed, 200 + seed % 80, truth, added_w)
        ).active_interval_w
        held.append(low <= added_w <= high)
        widths.append((high - low) / added_w)
    assert np.mean(held) >= 0.94
    assert np.median(widths) < 0.12


def test_cpus_that_work_with_it_are_not_its_own() -> None:
    """Half of what the accelerator does, the CPUs do with it: a line through its busy time alone would be steeper."""
    rows = planted.run_with_accelerator(7, 500, Truth(5.0, 10.0, 0.01), 4.0, lambda busy, own: (busy + own) / 2)
    found = plane(rows)
    assert found.active_w == pytest.approx(4.0, rel=0.1)
    assert found.active_interval_w[0] <= 4.0 <= found.active_interval_w[1]
    assert found.cpu_w == pytest.approx(10.0, rel=0.05)
    assert found.idle_w == pytest.approx(5.0, rel=0.05)


def test_cpus_that_stand_still_are_no_trouble() -> None:
    rows = planted.run_with_accelerator(8, 300, Truth(5.0, 0.0, 0.01), 4.0)
    [line] = rows.timelines
    still = planted.cpu_time(np.full(300, 0.03))
    line.usage = {**still, (ACCELERATOR, "machine"): line.usage[ACCELERATOR, "machine"]}
    found = plane(rows)
    assert found.cpu_w == 0.0
    assert found.active_interval_w[0] <= 4.0 <= found.active_interval_w[1]


def test_the_meters_own_error_is_in_the_interval() -> None:
    rows = planted.run_with_accelerator(9, 300, Truth(5.0, 10.0, 0.01), 4.0)
    low, high = plane(rows).active_interval_w
    rows.timelines[0].domains = [replace(domain, gain=0.05) for domain in rows.timelines[0].domains]
    wide_low, wide_high = plane(rows).active_interval_w
    assert (wide_high - wide_low) / 4 > 0.19 > (high - low) / 4


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            planted.run_with_accelerator(1, 300, Truth(5, 10, 0.01), 4.0, lambda busy, own: busy),
            "cannot be told apart",
        ),
        (planted.run_with_accelerator(1, 300, Truth(5, 10, 0.01), 0.0), "does not follow the accelerator"),
        (
            planted.run_with_accelerator(1, 300, Truth(5, 10, 0.01), 4.0, lambda busy, own: 0.1 + 0 * own),
            "varies too little",
        ),
        (planted.run_with_accelerator(1, 30, Truth(5, 10, 0.01), 4.0), "too few to calibrate with"),
        (planted.run(1, 300, Truth(5, 10, 0.01)), "it has that of no accelerator"),
    ],
)
def test_what_says_too_little(rows: Rows, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plane(rows)


def test_where_its_busy_time_was_not_told_nobody_knows_what_it_did() -> None:
    """It worked on for 100 s, and its count stood still."""
    rows = planted.run_with_accelerator(10, 400, Truth(5.0, 10.0, 0.01), 4.0)
    usage = rows.timelines[0].usage
    used = usage[ACCELERATOR, "machine"]
    kept = [i for i, t_ns in enumerate(used.t_ns) if not 100e9 < t_ns < 200e9]
    lost = used.values[kept[101]] - used.values[kept[100]]
    usage[ACCELERATOR, "machine"] = replace(
        used,
        t_ns=[used.t_ns[i] for i in kept],
        values=[used.values[i] - lost * (used.t_ns[i] >= 200e9) for i in kept],
        spacing_ns=[0, *(used.t_ns[b] - used.t_ns[a] for a, b in itertools.pairwise(kept))],
    )
    found = plane(rows)
    assert found.active_interval_w[0] <= 4.0 <= found.active_interval_w[1]
    assert found.active_w == pytest.approx(4.0, rel=0.05)
    assert found.outliers <= 2


def test_readings_that_lay_on_a_line_and_were_left_out_are_no_gaps() -> None:
    rows = planted.run_with_accelerator(11, 300, Truth(5.0, 10.0, 0.01), 4.0)
    whole = plane(rows)
    usage = rows.timelines[0].usage
    used = usage[ACCELERATOR, "machine"]
    rise = np.round(np.diff(used.values), 3)
    kept = [0, *(np.flatnonzero(np.diff(rise)) + 1).tolist(), len(used.t_ns) - 1]
    assert len(kept) < 100
    usage[ACCELERATOR, "machine"] = replace(
        used,
        t_ns=[used.t_ns[i] for i in kept],
        values=[used.values[i] for i in kept],
        spacing_ns=[0, *[1_000_000_000] * (len(kept) - 1)],
    )
    thinned = plane(rows)
    assert thinned.stretches == whole.stretches
    assert thinned.active_w == pytest.approx(whole.active_w)


def test_one_reading_of_busy_time_is_none() -> None:
    rows = planted.run_with_accelerator(1, 300, Truth(5, 10, 0.01), 4.0)
    usage = rows.timelines[0].usage
    used = usage[ACCELERATOR, "machine"]
    usage[ACCELERATOR, "machine"] = replace(
        used, t_ns=used.t_ns[:1], values=used.values[:1], spacing_ns=used.spacing_ns[:1]
    )
    with pytest.raises(UsageError, match="less than twice"):
        plane(rows)
