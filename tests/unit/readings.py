"""Reading a collector in a test: opened and closed again, and read until what is waited for has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from greengen.collector import Collector, Discovery, Event, Sample, Usage

Row = Sample | Usage | Event
C = TypeVar("C", bound=Collector)
R = TypeVar("R", Sample, Usage, Event)

#: Long enough for a thread that asks every 5 s, on a machine that is busy with other things.
_PATIENCE_S, _LOOK_S = 15, 0.01


@contextmanager
def opened(collector: C) -> Iterator[tuple[C, Discovery]]:
    """The collector and what it discovers; closed at the end."""
    try:
        yield collector, collector.discover()
    finally:
        collector.close()


def gather(collector: Collector, until: Callable[[list[Row]], bool]) -> list[Row]:
    """All that is read until it is enough."""
    rows: list[Row] = []
    # By looks and not by the clock: a machine that stood still meanwhile has not looked.
    for _ in range(round(_PATIENCE_S / _LOOK_S)):
        if until(rows):
            break
        rows += collector.read()
        time.sleep(_LOOK_S)
    assert until(rows), rows
    return rows


def first(collector: Collector, kind: type[R]) -> R:
    """The first row of a kind."""
    return several(collector, kind, 1)[0]


def several(collector: Collector, kind: type[R], count: int) -> list[R]:
    """At least so many rows of a kind."""
    return only(gather(collector, lambda rows: len(only(rows, kind)) >= count), kind)


def only(rows: Iterable[Row], kind: type[R]) -> list[R]:
    """The rows of a kind."""
    return [row for row in rows if isinstance(row, kind)]


def values(collector: Collector) -> dict[str, float]:
    """One reading: J or W by domain."""
    return {row.domain: row.value for row in only(collector.read(), Sample)}


def events(collector: Collector) -> list[Event]:
    """The events of one reading."""
    return only(collector.read(), Event)
