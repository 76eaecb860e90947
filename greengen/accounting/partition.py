"""Time cut into partitions: what is live in a stretch of time, and what the curves say of it.

A partition stands alone: plain arrays that go through pickle, whose times count from its start. An
interval that is live in several partitions is part of each, clipped to it. So a loop, a process pool
or any engine that maps a Python function over partitions does the same work with the same result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from greengen.accounting.curves import Floats, Ints

#: About as many intervals begin in a partition: what it is worked out with stays in the cache.
SIZE = 1 << 15

_NEVER = 2**63 - 1


class Steps(Protocol):
    """What sharing needs of an energy curve: knots (k,), strictly ascending, and J between them (k-1,), at least 0."""

    @property
    def t_ns(self) -> Ints:
        """Knots, ns."""

    @property
    def step_j(self) -> Floats:
        """J of each stretch between two knots."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Intervals [from_ns, to_ns) in the order of their start, all of shape (m,).

    owner   a number that stays with each interval: its index, say
    weight  above 0; None: all the same, and then in every batch
    """

    owner: Ints
    from_ns: Ints
    to_ns: Ints
    weight: Floats | None = None

    def __getitem__(self, chosen: slice | Ints) -> Batch:
        """Some of them."""
        weight = None if self.weight is None else self.weight[chosen]
        return Batch(self.owner[chosen], self.from_ns[chosen], self.to_ns[chosen], weight)


@dataclass(frozen=True, slots=True)
class Partition:
    """n intervals over `length_ns`, s of them beginning in it: they stand last, after those live from its start.

    owner     shape (n,)
    from_ns   ns from the partition's start, of those that begin in it, shape (s,)
    to_ns     ns from the partition's start, at most its length, shape (n,)
    weight    above 0, shape (n,); None: all the same
    goes_on   which of them are live in the next partition too, ascending
    knots     of each curve, those within the partition, ns from its start, shape (k,)
    power     of each curve, J/ns between them, 0 outside the curve, shape (k+1,)
    stretch   of each curve, which of its stretches is the first one here; -1: it has not begun
    """

    length_ns: int
    owner: Ints
    from_ns: Ints
    to_ns: Ints
    weight: Floats | None
    goes_on: Ints
    knots: tuple[Ints, ...]
    power: tuple[Floats, ...]
    stretch: tuple[int, ...]


def cut(
    batches: Iterable[Batch], curves: Sequence[Steps], window: tuple[int, int] | None = None, size: int = SIZE
) -> Iterator[Partition]:
    """Partitions in time order, from the first knot of any curve to the last, or over `window`, (start, end) ns.

    Together they hold each interval over all its time within. No more of `batches` is taken than a
    partition needs: memory is bounded by a batch and by what is live at once. Raises ValueError for
    batches out of order.
    """
    start_ns, end_ns = window or bounds(curves)
    queue = _Queue(iter(batches))
    live: list[Batch] = []
    count = 0
    while start_ns < end_ns and curves:
        # So many at once that carrying the live ones along costs no more than taking in the new ones.
        many = max(size, count)
        stops = [_knot(curve, start_ns, many) for curve in curves]
        stop_ns = max(start_ns + 1, min(end_ns, queue.start_of(many), *stops))
        new = queue.before(stop_ns)
        present = _joined([*live, *new])
        goes_on = np.flatnonzero(present.to_ns > stop_ns)
        yield _partition(present, goes_on, sum(batch.owner.size for batch in new), curves, (start_ns, stop_ns))
        live, count = [present[goes_on]], goes_on.size
        start_ns = stop_ns


def bounds(curves: Sequence[Steps]) -> tuple[int, int]:
    """(first, last) knot of any curve; (0, 0) where there is none."""
    ends = [(int(curve.t_ns[0]), int(curve.t_ns[-1])) for curve in curves if curve.t_ns.size]
    return (min(a for a, _ in ends), max(b for _, b in ends)) if ends else (0, 0)


def batches(
    from_ns: Ints, to_ns: Ints, weight: Floats | None = None, chosen: Ints | None = None, size: int = SIZE
) -> Iterator[Batch]:
    """Intervals in any order as batches by start, each its own owner; those of `chosen`, if given."""
    order = chosen
    count = from_ns.size if chosen is None else chosen.size
    if _falls(from_ns) or (chosen is not None and _falls(chosen)):
        order = np.argsort(from_ns if chosen is None else from_ns[chosen], kind="stable")
        order = order if chosen is None else chosen[order]
    for at in range(0, count, size):
        owner = np.arange(at, min(at + size, count)) if order is None else order[at : at + size]
        some = slice(at, at + size) if order is None else owner
        batch = Batch(owner, from_ns[some], to_ns[some], None if weight is None else weight[some])
        yield batch if batch.weight is None or batch.weight.all() else batch[np.flatnonzero(batch.weight)]


def _falls(numbers: Ints) -> bool:
    return bool((numbers[1:] < numbers[:-1]).any())


class _Queue:
    """Batches taken in as they are needed, and given out by their start."""

    def __init__(self, source: Iterator[Batch]) -> None:
        self._source = source
        self._waiting: list[Batch] = []
        self._last_ns = -_NEVER

    def start_of(self, index: int) -> int:
        """When the interval after the next `index` ones begins; never, if there is none."""
        for batch in self:
            if index < batch.owner.size:
                return int(batch.from_ns[index])
            index -= batch.owner.size
        return _NEVER

    def before(self, stop_ns: int) -> list[Batch]:
        """Take out those that begin before `stop_ns`."""
        found = []
        for batch in self:
            if batch.from_ns[-1] >= stop_ns:
                last = int(np.searchsorted(batch.from_ns, stop_ns))
                found.append(batch[:last])
                self._waiting = [batch[last:], *self._waiting[len(found) :]]
                return found
            found.append(batch)
        self._waiting = []
        return found

    def __iter__(self) -> Iterator[Batch]:
        """What waits, and then what comes, which waits from then on."""
        yield from self._waiting
        for batch in self._source:
            if not batch.owner.size:
                continue
            if batch.from_ns[0] < self._last_ns or _falls(batch.from_ns):
                msg = "intervals must come in the order of their start"
                raise ValueError(msg)
            self._last_ns = int(batch.from_ns[-1])
            self._waiting.append(batch)
            yield batch


def _joined(parts: Sequence[Batch]) -> Batch:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        return Batch(none, none, none)
    weights = [part.weight for part in parts if part.weight is not None]
    return Batch(
        np.concatenate([part.owner for part in parts]),
        np.concatenate([part.from_ns for part in parts]),
        np.concatenate([part.to_ns for part in parts]),
        np.concatenate(weights) if weights else None,
    )


def _knot(curve: Steps, after_ns: int, index: int) -> int:
    """The `index`-th knot after a time; never, if there are fewer."""
    at = int(np.searchsorted(curve.t_ns, after_ns, side="right")) + index
    return int(curve.t_ns[at]) if at < curve.t_ns.size else _NEVER


def _partition(
    present: Batch, goes_on: Ints, begin: int, curves: Sequence[Steps], between: tuple[int, int]
) -> Partition:
    start_ns, stop_ns = between
    # Before a window, intervals may begin and even end.
    from_ns = np.maximum(present.from_ns[present.owner.size - begin :], start_ns)
    to_ns = np.minimum(present.to_ns, stop_ns)
    np.maximum(to_ns, start_ns, out=to_ns)
    from_ns -= start_ns
    to_ns -= start_ns
    knots, power, stretch = zip(*(_piece(curve, start_ns, stop_ns) for curve in curves), strict=True)
    return Partition(stop_ns - start_ns, present.owner, from_ns, to_ns, present.weight, goes_on, knots, power, stretch)


def _piece(curve: Steps, start_ns: int, stop_ns: int) -> tuple[Ints, Floats, int]:
    t_ns = curve.t_ns
    first = int(np.searchsorted(t_ns, start_ns, side="right"))
    last = max(first, int(np.searchsorted(t_ns, stop_ns)))
    power = np.zeros(last - first + 1)
    a, b = max(first - 1, 0), min(last, t_ns.size - 1)
    if b > a:
        power[a - first + 1 : b - first + 1] = curve.step_j[a:b] / np.diff(t_ns[a : b + 1])
    return t_ns[first:last] - start_ns, power, first - 1
