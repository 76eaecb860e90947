"""What the time between two readings makes of an account: wide where it hides something, and narrow where not."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from greengen.accounting import edges
from greengen.accounting.ledger import Ledger, build
from greengen.collector import Domain
from greengen.quantity import Z95, Quantity
from greengen.rows import Rows, Segment, Series, SpanRow, Timeline
from tests.properties import told

SECOND = 1_000_000_000
MS = 1_000_000
METER = Domain("wall:0", "wall", "wall", "meter", max_power_w=400.0)

Work = tuple[int, int, str]


class Machine:
    """Power by the ms, read every 100 ms; spans by (start ms, end ms, model)."""

    def __init__(self, watts: Sequence[float], spans: Sequence[Work]) -> None:
        self.joules = [0.0, *itertools.accumulate(w / 1000 for w in watts)]
        self.spans = spans

    def ledger(self) -> Ledger:
        t_ns = [ms * MS for ms in range(0, len(self.joules), 100)]
        values = self.joules[::100]
        rows = [
            SpanRow(f"p/{i}", "p", None, "request", a * MS, b * MS, model=model)
            for i, (a, b, model) in enumerate(self.spans)
        ]
        timeline = Timeline(
            "b",
            "h",
            domains=[METER],
            samples={METER.uid: Series(t_ns, values, [0, *[100 * MS] * (len(t_ns) - 1)])},
            spans=rows,
            segments=[Segment("s", "p", 0, t_ns[-1], 0, {"interval_s": 0.1})],
        )
        return build(Rows(timelines=[timeline]))

    def true(self, model: str) -> float:
        return math.fsum(self.joules[b] - self.joules[a] for a, b, m in self.spans if m == model)


def off(quantity: Quantity) -> float:
    """The half width that timing gives it."""
    return Z95 * math.sqrt(math.fsum(e.sigma**2 for e in quantity.errors if e.name.startswith("timing")))


def told_of(ledger: Ledger, model: str) -> Quantity:
    return ledger.spans(lambda row: row.model == model, model)


def every(period: int, length: int, count: int, *models: str) -> list[Work]:
    return [(1013 + i * period, 1013 + i * period + length, models[i % len(models)]) for i in range(count)]


def power(spans: Sequence[Work], watts: Callable[[str], float], idle_w: float) -> list[float]:
    found = [idle_w] * 20_000
    for a, b, model in spans:
        found[a:b] = [watts(model)] * (b - a)
    return found


def test_spans_that_follow_one_another_cost_nothing_together() -> None:
    """Whatever happens at the 499 edges between them; one by one, each is as unsure as before."""
    rng = random.Random(1)
    spans = every(30, 30, 500, "m")
    machine = Machine([rng.gauss(100, 20) for _ in range(20_000)], spans)
    ledger = machine.ledger()
    together = told_of(ledger, "m")
    assert abs((together.value or 0.0) - machine.true("m")) <= off(together) < 1.0
    assert off(ledger["p/7"]) > 1.0


@pytest.mark.parametrize(
    ("period", "length"), [(503, 30), (1503, 1000), (50, 30), (100, 50)], ids=["rare", "long", "dense", "in step"]
)
def test_what_every_edge_loses_adds_up(period: int, length: int) -> None:
    """Work raises power: each request is told too little, each time, and √n would not cover that."""
    spans = every(period, length, 12_000 // period, "m")
    machine = Machine(power(spans, lambda _: 100.0, 10.0), spans)
    ledger = machine.ledger()
    requests, quiet = told_of(ledger, "m"), ledger.account("overhead")
    error = machine.true("m") - (requests.value or 0.0)
    assert error > 0.02 * machine.true("m")
    assert error <= off(requests) <= 3 * error
    assert error <= off(quiet) <= 3 * error


def test_two_models_that_take_turns_between_two_readings() -> None:
    spans = every(30, 30, 500, "a", "b")
    machine = Machine(power(spans, lambda model: 60.0 if model == "a" else 140.0, 10.0), spans)
    ledger = machine.ledger()
    for model in "ab":
        quantity = told_of(ledger, model)
        assert abs((quantity.value or 0.0) - machine.true(model)) <= off(quantity)


def test_edges_on_readings_cost_nothing() -> None:
    spans = every(200, 100, 50, "m")
    spans = [(a - 13, b - 13, model) for a, b, model in spans]
    machine = Machine(power(spans, lambda _: 100.0, 10.0), spans)
    quantity = told_of(machine.ledger(), "m")
    assert off(quantity) == 0.0
    assert quantity.value == pytest.approx(machine.true("m"))


def test_an_account_that_is_everything_or_nothing_is_sure() -> None:
    spans = every(30, 20, 100, "m")
    [book] = told.of(Machine(power(spans, lambda _: 100.0, 10.0), spans).ledger()).values()
    cells = book.grid.energy_j.size
    assert edges.of_account(book, np.ones(cells)) == 0.0
    assert edges.of_account(book, np.zeros(cells)) == 0.0
