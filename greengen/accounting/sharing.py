"""Energy curves shared among weighted intervals: partitions, the kernel over each, and their sum.

What maps the kernel over the partitions is the caller's to choose: `map`, `threaded`, a pool's `imap`,
or any engine's. The results may come in any order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from greengen.accounting import partition
from greengen.accounting.curves import Floats, Ints
from greengen.accounting.kernel import Energies, energies
from greengen.accounting.partition import Partition, Steps

Kernel = Callable[[Partition], Energies]
Mapper = Callable[[Kernel, Iterable[Partition]], Iterable[Energies]]


def threaded(workers: int) -> Mapper:
    """A `mapper` of so many threads, with a few partitions under way: numpy computes beside the interpreter."""

    def mapper(kernel: Kernel, parts: Iterable[Partition]) -> Iterator[Energies]:
        with ThreadPoolExecutor(workers) as pool:
            under_way: deque[Future[Energies]] = deque()
            for part in parts:
                under_way.append(pool.submit(kernel, part))
                if len(under_way) > 2 * workers:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()

    return mapper


@dataclass(frozen=True, slots=True)
class Intervals:
    """m intervals [from_ns, to_ns) in any order, ns of the curves' clock; weight at least 0, None: all the same."""

    from_ns: Ints
    to_ns: Ints
    weight: Floats | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for an interval that ends before it begins, or a weight that is none."""
        if (self.to_ns < self.from_ns).any():
            msg = "an interval ends before it begins"
            raise ValueError(msg)
        # NaN is neither.
        weight = np.zeros(0) if self.weight is None else self.weight
        if not (weight.min(initial=0.0) >= 0 and weight.max(initial=0.0) < np.inf):
            msg = "weights must be finite, and at least 0"
            raise ValueError(msg)

    @property
    def columns(self) -> tuple[Ints, Ints, Floats | None]:
        """(from_ns, to_ns, weight)."""
        return self.from_ns, self.to_ns, self.weight

    @property
    def instant(self) -> Ints:
        """Which of them have no length: they get no energy, whatever their weight."""
        return np.flatnonzero(self.from_ns == self.to_ns)


@dataclass(frozen=True, slots=True)
class Shared:
    """Where the energy of some curves went: energy_j and quiet_j sum to that of the curves.

    energy_j  J of each owner by curve, shape (c, n), or over all curves, shape (1, n)
    quiet_j   of each curve, J of the time in which nothing with a weight was live, by stretch, shape (k-1,)
    """

    energy_j: Floats
    quiet_j: tuple[Floats, ...]


def share(
    intervals: Intervals,
    curves: Sequence[Steps],
    *,
    window: tuple[int, int] | None = None,
    chosen: Ints | None = None,
    summed: bool = False,
    size: int = partition.SIZE,
    mapper: Mapper = map,
) -> Shared:
    """The energy of each interval; every curve is shared among all of them.

    window  (start, end) ns; without one, all of the curves
    chosen  the intervals that use these curves; None: all
    summed  over all curves at once, which is less work
    size    about as many intervals begin in a partition, and a curve has as many knots in it
    """
    parts = partition.cut(partition.batches(*intervals.columns, chosen), curves, window, size)
    energy_j = np.zeros((1 if summed else len(curves), intervals.from_ns.size))
    quiet_j = collect(mapper(partial(energies, summed=summed), parts), curves, energy_j)
    return Shared(energy_j, quiet_j)


def collect(parts: Iterable[Energies], curves: Sequence[Steps], energy_j: Floats) -> tuple[Floats, ...]:
    """Add what the kernel found to `energy_j`, by owner: each at most once in a partition. Returns `Shared.quiet_j`."""
    quiet_j = tuple(np.zeros(curve.t_ns.size + 1) for curve in curves)
    for part in parts:
        for total, energy in zip(energy_j, part.energy_j, strict=True):
            total[part.owner] = total.take(part.owner) + energy
        for found, first, quiet in zip(quiet_j, part.stretch, part.quiet_j, strict=True):
            found[first + 1 : first + 1 + quiet.size] += quiet
    # Before and behind a curve there is nothing to share.
    return tuple(quiet[1:-1] for quiet in quiet_j)
