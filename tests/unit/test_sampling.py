"""What the readings of a gauge leave open of all its joules: noise, what goes on between them, and their age."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from greengen.accounting import curves, sampling
from greengen.accounting.curves import Curve, Floats
from greengen.collector import Domain
from greengen.rows import Series

MS = 1_000_000
GAUGE = Domain("c:gauge", "c", "package", "a gauge", reading="power")


def curve(watts: Floats, step_ms: int, *, window_s: float = 0.0, refresh_s: float = 0.0) -> Curve:
    t_ns = [step_ms * MS * (i + 1) for i in range(watts.size)]
    series = Series(t_ns, watts.tolist(), [step_ms * MS] * watts.size, window_s)
    return curves.build(replace(GAUGE, refresh_s=refresh_s), series, [(0, t_ns[-1])])


def sigma(found: Curve) -> float:
    return sampling.of_energy(found, found.known_s)


def test_steady_power_and_a_slope_are_known() -> None:
    assert sigma(curve(np.full(100, 40.0), 100)) == 0
    assert sigma(curve(np.linspace(10.0, 20.0, 100), 100)) == pytest.approx(0, abs=1e-6)


def test_a_counter_misses_nothing() -> None:
    found = curve(np.array([10.0, 40.0] * 50), 100)
    assert sampling.of_energy(replace(found, domain=replace(GAUGE, reading="energy")), 5.0) == 0


def test_noise_of_instants_adds_up_as_noise_does() -> None:
    rng = np.random.default_rng(1)
    errors, claims = [], []
    for _ in range(200):
        found = curve(50.0 + 8.0 * rng.standard_normal(200), 100)
        errors.append(found.total_j - 50.0 * found.known_s)
        claims.append(sigma(found))
    # V·h·T, over 20 s.
    assert np.median(claims) == pytest.approx(math.sqrt(8.0**2 * 0.1 * 20), rel=0.1)
    assert np.mean(np.abs(errors) <= 1.96 * np.array(claims)) >= 0.94


@pytest.mark.parametrize("step_ms", [50, 200, 700])
def test_bursts_between_instants_are_covered(step_ms: int) -> None:
    """Bursts of 300 W that nobody is told of, in steps of 1 ms: what instants of it miss."""
    rng = np.random.default_rng(step_ms)
    held = []
    for _ in range(60):
        edges = np.cumsum(rng.exponential(400, 200)).astype(int)
        watts = np.full(20_000, 10.0)
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            watts[start:end] = 300.0
        found = curve(watts[step_ms - 1 :: step_ms], step_ms)
        truth_j = watts[step_ms : step_ms * found.t_ns.size].sum() / 1000
        held.append(abs(found.total_j - truth_j) <= 1.96 * sigma(found))
    assert np.mean(held) >= 0.94


def test_what_an_average_holds_is_not_missed() -> None:
    rng = np.random.default_rng(2)
    watts = 50.0 + 8.0 * rng.standard_normal(200)
    watts[-1] = watts[0]
    seen = sigma(curve(watts, 100, window_s=0.1))
    # Its ends alone, of a window's length each.
    assert 0 < seen < 0.1 * 8.0 * 3
    assert seen < sigma(curve(watts, 100)) / 4


def test_a_pause_longer_than_a_window_misses_what_went_on_in_it() -> None:
    rng = np.random.default_rng(3)
    found = curve(50.0 + 8.0 * rng.standard_normal(200), 100, window_s=0.1)
    late = found.spacing_s.copy()
    late[50] = 0.4
    assert sigma(replace(found, spacing_s=late)) > sigma(found) * 1.02


def test_a_gauge_that_is_old_may_begin_and_end_earlier() -> None:
    rising = np.concatenate((np.full(20, 10.0), np.full(20, 60.0)))
    found = curve(rising, 100, refresh_s=0.5)
    # Up to half a second earlier: 50 W at the end instead of 10 W at the start.
    assert sigma(found) >= 0.5 * 50 / math.sqrt(3)
    assert sigma(found) < 0.5 * 50 * 2


def test_part_of_the_curve_has_part_of_the_variance() -> None:
    found = curve(50.0 + 8.0 * np.random.default_rng(4).standard_normal(400), 100)
    assert sampling.of_energy(found, found.known_s / 4) == pytest.approx(sigma(found) / 2, rel=1e-6)
