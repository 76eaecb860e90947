"""The fake meters: each error that they have on purpose, and no other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from greengen.accounting import curves
from greengen.testing.serving.meters import METERS, Meter
from greengen.testing.serving.power import Trace
from greengen.testing.serving.workload import Floats

NS = 10**9


def square(period_s: float, seconds: float = 60.0, low_w: float = 100.0, high_w: float = 500.0) -> Trace:
    """Power that is high in the first half of each period."""
    t_s = np.arange(round(seconds * 1000)) / 1000
    return Trace(np.where(t_s % period_s < period_s / 2, high_w, low_w))


def steady(watts: float, seconds: float = 60.0) -> Trace:
    return Trace(np.full(round(seconds * 1000), watts))


def read(meter: Meter, trace: Trace, seed: int = 1) -> tuple[Floats, Floats]:
    """(s, values) of what is recorded."""
    series = meter.read(trace, seed)
    assert len(series.t_ns) == len(series.values) == len(series.spacing_ns)
    return np.array(series.t_ns) / 1e9, np.array(series.values)


def energy_j(meter: Meter, trace: Trace, seed: int = 1) -> tuple[curves.Curve, float]:
    """Greengen's curve of what is recorded, and the truth between its ends; before 0 the power is that at 0."""
    curve = curves.build(meter.domain("sim:x"), meter.read(trace, seed), [(0, trace.end_ns + NS)])
    [truth] = trace.energy_j(curve.t_ns[:1], curve.t_ns[-1:])
    return curve, float(truth - min(curve.t_ns[0], 0) / 1e9 * trace.watts[0])


@pytest.mark.parametrize("name", METERS)
def test_every_profile_gives_a_steady_power(name: str) -> None:
    meter = replace(METERS[name], gain=0.0)
    curve, truth = energy_j(meter, steady(400.0))
    assert not curve.unknown
    # A counter's last refresh may be late, by 100 ms of 60 s; noise of 15 W averages out over 600 readings.
    assert curve.total_j == pytest.approx(truth, rel=0.005)
    assert curve.known_s > 55


def test_the_perfect_meter_is_right_at_every_millisecond() -> None:
    trace = square(0.037, 5.0)
    curve, _ = energy_j(METERS["perfect"], trace)
    t_ns = np.arange(10**6, 4 * NS, 10**6)
    assert curve.at(t_ns) == pytest.approx(trace.energy_j(np.full_like(t_ns, curve.t_ns[0]), t_ns))


def test_readings_that_lie_on_a_line_are_left_out() -> None:
    series = METERS["perfect"].read(square(0.5, 5.0), 1)
    assert len(series.t_ns) < 30
    assert set(series.spacing_ns[1:]) == {10**6}


def test_a_wrap_is_resolved_to_the_truth() -> None:
    meter = replace(METERS["rapl"], gain=0.0)
    trace = square(0.7, 60.0)
    wraps = [sum(event.kind == "wrap" for event in energy_j(meter, trace, seed)[0].events) for seed in range(4)]
    assert set(wraps) >= {4} <= {3, 4, 5}
    for seed in range(4):
        curve, truth = energy_j(meter, trace, seed)
        assert curve.total_j == pytest.approx(truth, abs=500.0 * 1e-3 + meter.quantum)


def test_a_counter_shows_less_than_its_wrap_and_never_falls_otherwise() -> None:
    _, values = read(METERS["rapl"], square(0.7))
    assert 0 <= values.min() < values.max() < 2**32 * 1e-6
    falls = np.diff(values)
    assert (falls[falls < 0] < -4000).all()


def test_a_boxcar_is_late_by_half_its_window() -> None:
    edge = Trace(np.concatenate([np.full(10_000, 100.0), np.full(10_000, 500.0)]))
    t_s, watts = read(Meter("power", poll_s=0.01, window_s=1.0), edge)
    assert np.interp(300.0, watts, t_s) == pytest.approx(10.5, abs=0.01)
    assert np.interp(101.0, watts, t_s) == pytest.approx(10.0, abs=0.02)


def test_a_curve_takes_the_boxcar_back() -> None:
    edge = Trace(np.concatenate([np.full(10_000, 100.0), np.full(10_000, 500.0)]))
    curve, truth = energy_j(Meter("power", poll_s=0.01, window_s=1.0), edge)
    assert curve.total_j == pytest.approx(truth, rel=1e-3)
    # Half of the edge has leaked |ΔP|·w/8 out of the second half.
    [after] = np.diff(curve.at(np.array([10 * NS, curve.t_ns[-1]])))
    assert 500.0 * (curve.t_ns[-1] / 1e9 - 10) - after == pytest.approx(400.0 / 8, rel=0.05)


def test_a_part_time_sensor_is_blind_most_of_the_time() -> None:
    meter = replace(METERS["part-time"], gain=0.0)
    # Its own period: what it sees is a matter of luck. Another period: the errors average out.
    seen = {round(float(np.mean(read(meter, square(0.1), seed)[1]))) for seed in range(30)}
    assert min(seen) == 100
    assert max(seen) == 500
    assert np.mean(read(meter, square(0.137), 1)[1]) == pytest.approx(300, rel=0.02)


def test_a_part_time_counter_believes_what_it_sees() -> None:
    meter = Meter("energy", poll_s=0.1, refresh_s=0.1, on_s=0.025)
    curve, truth = energy_j(meter, square(0.137))
    assert curve.total_j == pytest.approx(truth, rel=0.03)
    assert curve.total_j != pytest.approx(truth, rel=1e-6)


def test_a_counter_stands_still_between_refreshes() -> None:
    _, values = read(Meter("energy", poll_s=0.01, refresh_s=0.1), steady(300.0, 10.0))
    steps = np.diff(values)
    assert set(np.round(steps[np.abs(steps) > 1e-6], 6)) == {30.0}


def test_a_quantum_rounds_down() -> None:
    _, values = read(Meter("power", poll_s=0.1, quantum=5.0), steady(399.0, 5.0))
    assert set(values) == {395.0}


def test_dropouts_and_offset() -> None:
    meter = Meter("power", poll_s=0.1, dropout=0.3, offset_s=0.25)
    series = meter.read(steady(300.0), 1)
    assert len(series.t_ns) == pytest.approx(0.7 * 599, rel=0.1)
    assert {t % 10**8 for t in series.t_ns} == {5 * 10**7}
    assert max(series.spacing_ns) >= 2 * 10**8
    assert series.spacing_ns[1:] == np.diff(series.t_ns).tolist()


def test_gain_is_drawn_once_and_noise_each_time() -> None:
    trace = steady(400.0)
    means = [np.mean(read(Meter("power", poll_s=0.1, gain=0.02), trace, seed)[1]) for seed in range(200)]
    assert np.std(means) == pytest.approx(8.0, rel=0.2)
    _, values = read(Meter("power", poll_s=0.01, gain=0.02, noise_w=15.0), trace)
    assert values.std() == pytest.approx(15.0, rel=0.05)


def test_noise_of_a_counter_adds_up_as_a_walk() -> None:
    meter = Meter("energy", poll_s=0.1, refresh_s=0.1, noise_w=20.0)
    t_s, values = read(meter, steady(400.0, 200.0))
    watts = np.diff(values) / np.diff(t_s)
    assert watts.std() == pytest.approx(20.0, rel=0.1)


def test_a_wall_plug_is_another_way_to_know_its_parts() -> None:
    domain = METERS["wall"].domain("sim:wall", contains=("sim:gpu-0",))
    assert domain.alternative
    assert domain.kind == "wall"
