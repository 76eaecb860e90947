"""Law 8: errors of one source move together; only a common factor cancels in a ratio."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greengen.accounting.ledger import build
from greengen.collector import Domain
from greengen.quantity import Z95, Error, Quantity, total
from greengen.rows import Rows, Segment, Series, SpanRow, Timeline
from tests.properties.strategies import FEW, SECOND, Case, cases

#: A source's name tells its kind: a gain is one wherever it appears.
SOURCES = ("gain:a", "gain:b", "offset:a", "offset:b", "share:a")


@dataclass(frozen=True)
class Reading:
    """A value and how far each source moves it."""

    value: float
    moves: dict[str, float]

    def quantity(self) -> Quantity:
        errors = [Error(name, sigma, gain=name.startswith("gain")) for name, sigma in self.moves.items()]
        return Quantity(self.value, "J", "attributed", tuple(errors), signed=True)


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    value = draw(st.integers(400, 4000)) / 4
    moves = draw(st.dictionaries(st.sampled_from(SOURCES), st.integers(-40, 40), max_size=4))
    return Reading(value, {name: value * thousandths / 1000 for name, thousandths in moves.items()})


def half_width(quantity: Quantity) -> float:
    assert quantity.low is not None
    assert quantity.high is not None
    return (quantity.high - quantity.low) / 2


@given(st.lists(readings(), min_size=1, max_size=5))
def test_in_a_sum_errors_of_one_source_add_linearly(parts: list[Reading]) -> None:
    """And independent ones in quadrature: the variance of Σ = Σ over sources of (Σ of its moves)²."""
    added = total([part.quantity() for part in parts], "J")
    variance = math.fsum(math.fsum(part.moves.get(name, 0.0) for part in parts) ** 2 for name in SOURCES)
    assert math.isclose(half_width(added), Z95 * math.sqrt(variance), rel_tol=1e-9, abs_tol=1e-9)


@given(readings(), readings())
def test_in_a_difference_errors_of_one_source_cancel(a: Reading, b: Reading) -> None:
    difference = a.quantity() - b.quantity()
    assert difference.value == a.value - b.value
    variance = math.fsum((a.moves.get(name, 0.0) - b.moves.get(name, 0.0)) ** 2 for name in SOURCES)
    assert math.isclose(half_width(difference), Z95 * math.sqrt(variance), rel_tol=1e-9, abs_tol=1e-9)


@given(readings(), readings())
def test_in_a_ratio_only_the_common_factor_cancels(a: Reading, b: Reading) -> None:
    ratio = a.quantity() / b.quantity()
    assert ratio.value == a.value / b.value
    assert ratio.unit == ""
    variance = 0.0
    for name in SOURCES:
        x, y = a.moves.get(name, 0.0) / a.value, b.moves.get(name, 0.0) / b.value
        variance += (x - y) ** 2 if name.startswith("gain") else x**2 + y**2
    assert math.isclose(half_width(ratio), Z95 * math.sqrt(variance) * ratio.value, rel_tol=1e-9, abs_tol=1e-9)


def _spread(draws: Sequence[float]) -> float:
    mean = math.fsum(draws) / len(draws)
    return math.sqrt(math.fsum((draw - mean) ** 2 for draw in draws) / len(draws))


@pytest.mark.parametrize("seed", range(4))
def test_first_order_is_what_drawing_the_sources_gives(seed: int) -> None:
    """Each source is drawn once and moves both; an offset or a load-dependent part is drawn for each."""
    rng = random.Random(seed)
    a = Reading(100.0, {name: rng.uniform(-3, 3) for name in SOURCES})
    b = Reading(80.0, {name: rng.uniform(-3, 3) for name in SOURCES})
    sums, ratios = [], []
    for _ in range(20_000):
        common = {name: rng.gauss() for name in SOURCES}
        sums.append(sum(reading.value + sum(reading.moves[n] * common[n] for n in SOURCES) for reading in (a, b)))
        own = [{n: common[n] if n.startswith("gain") else rng.gauss() for n in SOURCES} for _ in range(2)]
        ends = [r.value + sum(r.moves[n] * drawn[n] for n in SOURCES) for r, drawn in zip((a, b), own, strict=True)]
        ratios.append(ends[0] / ends[1])
    assert math.isclose(half_width(a.quantity() + b.quantity()) / Z95, _spread(sums), rel_tol=0.03)
    assert math.isclose(half_width(a.quantity() / b.quantity()) / Z95, _spread(ratios), rel_tol=0.05)


@FEW
@given(cases(most_boots=2))
def test_a_gain_is_one_error_of_all_that_a_sensor_read(case: Case) -> None:
    """Over accounts, and over boots of one host: σ of the sum is the gain times the sum."""
    ledger = build(case.rows)
    gains = {d.uid: replace(d, gain=0.02) for t in case.rows.timelines for d in t.domains}
    timelines = [replace(t, domains=[gains[d.uid] for d in t.domains]) for t in case.rows.timelines]
    gained = build(Rows(timelines=timelines)).total()
    energy: dict[str, float] = {}
    for chapter in ledger.chapters:
        for entries in chapter.totalled:
            uid = entries.books.domain.uid
            energy[f"gain:host:{uid}"] = energy.get(f"gain:host:{uid}", 0.0) + entries.books.total_j
    told = {error.name: error.sigma for error in gained.errors if error.gain}
    assert told.keys() == {name for name, joules in energy.items() if joules}
    assert all(math.isclose(sigma, 0.02 * energy[name]) for name, sigma in told.items())


def _two_spans(domain: Domain) -> Rows:
    """Two requests one after the other, each between two readings of the only domain."""
    seconds = [second * SECOND for second in range(5)]
    series = Series(seconds, [0.0, 10.0, 20.0, 50.0, 60.0], [0, *[SECOND] * 4])
    spans = [
        SpanRow(f"p/{i}", "p", None, "request", a * SECOND, b * SECOND) for i, (a, b) in enumerate(((0, 2), (2, 4)))
    ]
    segment = Segment("s", "p", 0, seconds[-1], 0, {"interval_s": 1.0})
    timeline = Timeline("boot", "host", domains=[domain], samples={domain.uid: series}, spans=spans, segments=[segment])
    return Rows(timelines=[timeline])


def test_the_gain_of_one_sensor_cancels_between_two_spans() -> None:
    sure = Domain("c:wall", "c", "wall", "wall")
    ratio, gained = (build(_two_spans(d)) for d in (sure, replace(sure, gain=0.3)))
    assert (gained["p/0"] / gained["p/1"]).as_dict() == (ratio["p/0"] / ratio["p/1"]).as_dict()
    assert half_width(gained["p/0"]) > half_width(ratio["p/0"])


def test_a_model_carries_a_workload_term_that_does_not_cancel() -> None:
    """×/÷ 1.3 on a ratio and ×/÷ 2 on a total, until sized from data."""
    from greengen.collectors.cpu_model import GAIN, WORKLOAD

    domain = Domain("cpu_model:package", "cpu_model", "package", "CPU", grade="modelled", gain=GAIN, workload=WORKLOAD)
    ledger = build(_two_spans(domain))
    whole, ratio = ledger.total(), ledger["p/0"] / ledger["p/1"]
    assert whole.value == 60.0
    assert whole.low is not None
    assert whole.low == pytest.approx(30.0)
    assert whole.high == pytest.approx(120.0)
    modelled = replace(ratio, errors=tuple(error for error in ratio.errors if error.log))
    assert modelled.value == pytest.approx(20 / 40)
    assert modelled.low == pytest.approx(0.5 / 1.3)
    assert modelled.high == pytest.approx(0.5 * 1.3)
