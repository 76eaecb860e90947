"""What is not known between two times that a meter tells apart: of a span's changes there, all together."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from greengen.accounting import bridge, sampling
from greengen.accounting.books import Books
from greengen.accounting.ledger import build
from greengen.collector import Domain, Reading
from greengen.quantity import Z95
from greengen.rows import Phase, Rows, Segment, Series, SpanRow, Timeline
from tests.properties import told

MS = 1_000_000
LENGTH, STEP = 4000, 100

#: Twice the spacing of the readings: a block of time, ms; and the scatter of the power that is assumed, W.
BLOCK, NOISE_W = 200, 20.0

Floats = NDArray[np.float64]


def span(number: int, start: int, end: int) -> SpanRow:
    return SpanRow(f"p/{number}", "p", None, "request", start * MS, end * MS)


def serving(number: int, start: int, first: int, end: int) -> SpanRow:
    """A request that reads 1000 tokens, up to its first token, and writes 20."""
    marks = (Phase("prefill", start * MS), Phase("decode", first * MS))
    times = (start * MS, end * MS)
    return SpanRow(
        *(f"p/{number}", "p", None, "request", *times, "m"), input_tokens=1000, output_tokens=20, phases=marks
    )


def read(spans: Sequence[SpanRow], values: Sequence[float], reading: Reading = "energy") -> Books:
    """The books of a domain that was read every 100 ms."""
    domain = Domain("gpu:0", "c", "gpu", "GPU", reading=reading)
    t_ns = [i * STEP * MS for i in range(len(values))]
    series = Series(t_ns, list(values), [0, *[STEP * MS] * (len(values) - 1)])
    timeline = Timeline(
        "b",
        "h",
        domains=[domain],
        samples={domain.uid: series},
        spans=list(spans),
        segments=[Segment("s", "p", 0, t_ns[-1], 0, {"interval_s": STEP / 1e3})],
    )
    [books] = told.of(build(Rows(timelines=[timeline]))).values()
    return books


def steady(spans: Sequence[SpanRow]) -> Books:
    """100 W all the time."""
    return read(spans, [10.0 * i for i in range(LENGTH // STEP + 1)])


def variance(books: Books) -> Floats:
    assert bridge.block_ns(books.curve) == BLOCK * MS
    return bridge.of_spans(books, BLOCK * MS, NOISE_W)


def by_the_millisecond(books: Books) -> Floats:
    """The same from each millisecond's shares: v · ∫ (s - s̄)² over the bridge's clock, block by block."""
    spans = len(books.table)
    cell = np.searchsorted(books.grid.edges, np.arange(LENGTH) * MS, side="right") - 1
    share = np.array([books.shares.of(np.arange(spans) == i)[cell] for i in range(spans)])
    power_w = np.diff(books.curve.at(np.arange(LENGTH + 1) * MS)) * 1e3
    assert power_w.size == LENGTH
    heads = books.shares.heads[cell]
    unequal = np.where(heads > 0, (share**2).sum(axis=0) - 1 / np.maximum(heads, 1), 0.0)
    mean = unequal[heads > 0].mean()
    clock = np.where(heads > 0, (1 + (unequal / mean if mean > 1e-12 else 1.0)) / 2, 0.0)
    found = np.zeros(spans)
    for late in (0, BLOCK // 2):
        for start in range(-late, LENGTH, BLOCK):
            inside = slice(max(start, 0), min(start + BLOCK, LENGTH))
            ticks, seconds = clock[inside] / 1e3, (inside.stop - inside.start) / 1e3
            if not ticks.any():
                continue
            off = share[:, inside] - (share[:, inside] @ ticks / ticks.sum())[:, None]
            density = min(_sigma_w(power_w, heads, start), power_w[inside].mean()) ** 2 * seconds
            found += density * (off**2 @ ticks) / 2
    return found


def _sigma_w(power_w: Floats, heads: NDArray[np.int64], start: int) -> float:
    """Near quiet time the power's step counts as well: as a bound, at 95 %."""
    end = min(start + BLOCK, LENGTH)
    start = max(start, 0)
    width = end - start
    around = [slice(max(a, 0), min(a + width, LENGTH)) for a in (start - width, start, end)]
    if (heads[around[0].start : around[2].stop] > 0).all():
        return NOISE_W
    means = [power_w[part].mean() if part.stop > part.start else 0.0 for part in around]
    step = max(abs(means[i] - means[j]) for i in range(3) for j in range(i))
    return float(np.hypot(NOISE_W, step / (2 * Z95)))


def some(seed: int) -> list[SpanRow]:
    rng = random.Random(seed)
    found = []
    for number in range(12):
        start = rng.randrange(0, 3500)
        first = start + rng.choice((3, 40, 250))
        found.append(serving(number, start, first, min(first + rng.choice((5, 90, 2000)), LENGTH)))
    return found


@pytest.mark.parametrize("seed", range(8))
def test_it_is_what_the_shares_of_each_millisecond_say(seed: int) -> None:
    rng = random.Random(seed)
    joules = np.cumsum([0.0, *(rng.choice((0.5, 9.0, 30.0)) for _ in range(LENGTH // STEP))])
    books = read(some(seed), joules.tolist())
    np.testing.assert_allclose(variance(books), by_the_millisecond(books), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_of_shares_that_sum_to_1_each_is_as_far_off_as_all_others_together(seed: int) -> None:
    """What one has too much of, others have too little of: σ of each is at most the sum of theirs."""
    sigma = np.sqrt(variance(steady(some(seed))))
    assert (sigma <= sigma.sum() - sigma + 1e-9).all()


def test_a_short_row_loses_at_one_edge_what_it_gains_at_the_other() -> None:
    """v · c² · δ · (1 - δ/T), for whoever comes and for whoever is there; less than one edge at the same place."""
    short = variance(steady([span(0, 0, LENGTH), span(1, 1130, 1160)]))
    block_s, row_s = BLOCK / 1e3, 0.03
    expected = NOISE_W**2 * block_s * 0.5**2 * row_s * (1 - row_s / block_s)
    np.testing.assert_allclose(short, expected, rtol=1e-9)
    begins = variance(steady([span(0, 0, LENGTH), span(1, 1130, LENGTH)]))
    ends = variance(steady([span(0, 0, LENGTH), span(1, 0, 1160)]))
    assert (short < begins).all()
    assert (short < ends).all()


def test_a_share_that_is_the_same_all_through_costs_nothing() -> None:
    """Alone or with another all the time, and where nobody is live before and after: that is its edges' matter."""
    for spans in ([span(0, 0, LENGTH)], [span(0, 0, LENGTH), span(1, 0, LENGTH)], [span(0, 1013, 2057)]):
        np.testing.assert_allclose(variance(steady(spans)), 0.0, atol=1e-12)


def test_a_row_that_fills_its_blocks_has_nothing_to_lose_within_them() -> None:
    """Blocks begin at 0 or half a block later: of those that begin at 0 nothing is left, of the others two edges."""
    books = steady([span(0, 0, LENGTH), span(1, 1000, 1400)])
    edge = NOISE_W**2 * (BLOCK / 1e3) ** 2 * 0.5**2 / 4
    np.testing.assert_allclose(variance(books), 2 * edge / 2, rtol=1e-9)


def test_the_scatter_of_busy_time_is_not_that_of_its_ends() -> None:
    """300 W in busy time and 20 W before and after: nothing says that busy time is uneven."""
    watts = [20.0] * 10 + [300.0] * 20 + [20.0] * 10
    books = read([span(0, 1000, 3000)], np.cumsum([0.0, *(w * STEP / 1e3 for w in watts)]).tolist())
    # Eight second differences of busy blocks, all 0, and one more as uneven as 19 pairs of blocks, two of them steps.
    every = 2 * 280.0**2 / (2 * 19)
    assert bridge.scatter_w(books, BLOCK * MS) == pytest.approx(np.sqrt(every / 9))
    few = read([span(0, 1000, 1500)], np.cumsum([0.0, *(w * STEP / 1e3 for w in watts)]).tolist())
    assert bridge.scatter_w(few, BLOCK * MS) == pytest.approx(np.sqrt(every))


def test_a_gauge_is_off_by_its_noise_over_all_of_a_span() -> None:
    """σ · √(h·τ), also where nothing changes; a counter of the same is not."""
    rng = random.Random(5)
    watts = [rng.gauss(200.0, 8.0) for _ in range(600)]
    spans = [span(0, 1000, 51_000)]
    gauge = read(spans, watts, "power")
    assert sampling.noise_w(gauge) == pytest.approx(8.0, rel=0.25)
    [found] = np.sqrt(sampling.of_spans(gauge, 0.0))
    assert found == pytest.approx(8.0 * np.sqrt(0.1 * 50.0), rel=0.25)
    counter = read(spans, np.cumsum([0.1 * w for w in watts]).tolist())
    assert sampling.of_spans(counter, 8.0).tolist() == [0.0]


def test_the_noise_of_a_gauge_is_not_what_the_work_does() -> None:
    """Steps where work begins and ends say nothing of it; too few readings neither."""
    spans = [span(i, 500 + 2000 * i, 1500 + 2000 * i) for i in range(30)]
    busy = [100.0 + 300.0 * (500 <= (i * STEP) % 2000 < 1500) for i in range(600)]
    assert sampling.noise_w(read(spans, busy, "power")) == pytest.approx(0.0, abs=1e-6)
    rng = random.Random(6)
    assert sampling.noise_w(read([], [rng.gauss(200.0, 8.0) for _ in range(60)], "power")) == 0.0
