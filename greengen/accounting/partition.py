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


_EMPTY = np.zeros(0, dtype=np.int64)


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
    live = Batch(_EMPTY, _EMPTY, _EMPTY)
    while start_ns < end_ns and curves:
        # So many at once that carrying the live ones along costs no more than taking in the new ones.
        many = max(size, live.owner.size)
        after = [int(curve.t_ns.searchsorted(start_ns, side="right")) for curve in curves]
        stops = (_knot(curve, at + many) for curve, at in zip(curves, after, strict=True))
        stop_ns = max(start_ns + 1, min(end_ns, queue.start_of(many), *stops))
        intervals, live = _clipped(live, queue.before(stop_ns), start_ns, stop_ns)
        pieces = (_piece(curve, at, start_ns, stop_ns) for curve, at in zip(curves, after, strict=True))
        knots, power, stretch = zip(*pieces, strict=True)
        yield Partition(stop_ns - start_ns, *intervals, knots, power, stretch)
        start_ns = stop_ns


def bounds(curves: Sequence[Steps]) -> tuple[int, int]:
    """(first, last) knot of any curve; (0, 0) where there is none."""
    ends = [(int(curve.t_ns[0]), int(curve.t_ns[-1])) for curve in curves if curve.t_ns.size]
    return (min(a for a, _ in ends), max(b for _, b in ends)) if ends else (0, 0)


def batches(
    from_ns: Ints, to_ns: Ints, weight: Floats | None = None, chosen: Ints | None = None, size: int = SIZE
) -> Iterator[Batch]:
    """Intervals in any order as batches by start, each its own owner; those of `chosen`, if given."""
    owner, start_ns = chosen, from_ns if chosen is None else from_ns.take(chosen)
    if _falls(start_ns):
        order = np.argsort(start_ns, kind="stable")
        owner, start_ns = order if chosen is None else chosen[order], start_ns[order]
    for at in range(0, start_ns.size, size):
        some = slice(at, min(at + size, start_ns.size))
        if owner is None:
            own = np.arange(some.start, some.stop)
            batch = Batch(own, start_ns[some], to_ns[some], None if weight is None else weight[some])
        else:
            own = owner[some]
            batch = Batch(own, start_ns[some], to_ns.take(own), None if weight is None else weight.take(own))
        yield batch if batch.weight is None or batch.weight.min() > 0 else batch[batch.weight.nonzero()[0]]


def _falls(numbers: Ints) -> bool:
    # A little at a time, which stays in the cache.
    pieces = (numbers[at : at + SIZE + 1] for at in range(0, numbers.size, SIZE))
    return any(bool((piece[1:] < piece[:-1]).any()) for piece in pieces)


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
                last = int(batch.from_ns.searchsorted(stop_ns))
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


def _knot(curve: Steps, index: int) -> int:
    return int(curve.t_ns[index]) if index < curve.t_ns.size else _NEVER


def _clipped(
    live: Batch, new: Sequence[Batch], start_ns: int, stop_ns: int
) -> tuple[tuple[Ints, Ints, Ints, Floats | None, Ints], Batch]:
    """(`Partition`'s owner, from_ns, to_ns, weight and goes_on; what is live from its end), each copied but once."""
    present = (live, *new)
    owner = np.concatenate([batch.owner for batch in present])
    weights = [batch.weight for batch in present if batch.weight is not None]
    weight = np.concatenate(weights) if weights else None
    from_ns = np.concatenate([_EMPTY, *(batch.from_ns for batch in new)])
    to_ns = np.concatenate([batch.to_ns for batch in present])
    goes_on = (to_ns > stop_ns).nonzero()[0]
    later = Batch(
        owner[goes_on],
        np.full(goes_on.size, stop_ns),
        to_ns[goes_on],
        None if weight is None else weight[goes_on],
    )
    np.minimum(to_ns, stop_ns, out=to_ns)
    if from_ns.size and from_ns[0] < start_ns:
        # Before a window, intervals may begin and even end.
        np.maximum(from_ns, start_ns, out=from_ns)
        np.maximum(to_ns, start_ns, out=to_ns)
    to_ns -= start_ns
    from_ns -= start_ns
    return (owner, from_ns, to_ns, weight, goes_on), later


def _piece(curve: Steps, first: int, start_ns: int, stop_ns: int) -> tuple[Ints, Floats, int]:
    """(knots, power, stretch) of a curve whose knot `first` is the first one after the start."""
    t_ns = curve.t_ns
    last = max(first, int(t_ns.searchsorted(stop_ns)))
    power = np.zeros(last - first + 1)
    a, b = max(first - 1, 0), min(last, t_ns.size - 1)
    if b > a:
        np.divide(curve.step_j[a:b], t_ns[a + 1 : b + 1] - t_ns[a:b], out=power[a - first + 1 : b - first + 1])
    return t_ns[first:last] - start_ns, power, first - 1
