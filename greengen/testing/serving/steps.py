"""What an engine did, step by step and request by request, and its compression to stints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from greengen.rows import EngineStep, Stint
from greengen.testing.serving.costs import padding_of, work_of
from greengen.testing.serving.workload import Floats, Ints


@dataclass(frozen=True, slots=True)
class Steps:
    """s steps in order of their start, and the m parts that requests have in them, ordered by step.

    t0_ns, t1_ns  shape (s,); steps of a pipeline overlap
    padding       tokens that were computed for nobody, shape (s,)
    joules        what each step cost in truth, shape (s,)
    first         index of each step's first part, and the end, shape (s+1,)
    request       whose part it is, shape (m,)
    prefill, decode, context  its tokens, shape (m,)
    """

    t0_ns: Ints
    t1_ns: Ints
    padding: Ints
    joules: Floats
    first: Ints
    request: Ints
    prefill: Ints
    decode: Ints
    context: Ints

    def __len__(self) -> int:
        return int(self.t0_ns.size)

    @property
    def size(self) -> Ints:
        """How many requests each step serves, shape (s,)."""
        return np.diff(self.first)

    @property
    def step(self) -> Ints:
        """The step of each part, shape (m,)."""
        return np.repeat(np.arange(len(self)), self.size)

    @property
    def work(self) -> Floats:
        """The work of each part, shape (m, 4)."""
        return work_of(self.prefill, self.decode, self.context)

    @property
    def padding_work(self) -> Floats:
        """The work of each step's padding, shape (s, 4)."""
        return padding_of(self.padding)

    @property
    def mean_batch(self) -> float:
        """Requests in a step, averaged over the time of steps."""
        seconds = (self.t1_ns - self.t0_ns) / 1e9
        return float((self.size * seconds).sum() / seconds.sum())


@dataclass(slots=True)
class Log:
    """Steps while they are being written."""

    steps: list[tuple[int, int, int, float]] = field(default_factory=list)
    parts: list[Ints] = field(default_factory=list)

    def add(self, step: tuple[int, int, int, float], parts: Ints) -> None:
        """A step (t0, t1, padding, joules), and the (request, prefill, decode, context) in it, shape (n, 4)."""
        self.steps.append(step)
        self.parts.append(parts)

    def close(self) -> Steps:
        """All of them, in order of their start."""
        order = sorted(range(len(self.steps)), key=lambda i: self.steps[i][:2])
        t0_ns, t1_ns, padding = (np.array([self.steps[i][c] for i in order], dtype=np.int64) for c in range(3))
        sizes = [len(self.parts[i]) for i in order]
        flat = np.concatenate([self.parts[i] for i in order])
        return Steps(
            t0_ns,
            t1_ns,
            padding,
            np.array([self.steps[i][3] for i in order], dtype=float),
            np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
            *(flat[:, column].copy() for column in range(4)),
        )


def engine_steps(engine: str, steps: Steps) -> list[EngineStep]:
    """The rows of the steps; `seq` is their place in the order of their start."""
    columns = zip(steps.t0_ns.tolist(), steps.t1_ns.tolist(), steps.padding.tolist(), strict=True)
    return [EngineStep(engine, seq, t0, t1, padding) for seq, (t0, t1, padding) in enumerate(columns)]


def stints(engine: str, steps: Steps, spans: Sequence[str]) -> list[Stint]:
    """The parts of the steps, those of a request that go on alike as one row. `spans`: uid by request."""
    order = np.lexsort((steps.step, steps.request))
    step, request = steps.step[order], steps.request[order]
    prefill, decode, context = steps.prefill[order], steps.decode[order], steps.context[order]
    growth = np.diff(context, prepend=0)
    alike = np.zeros(order.size, dtype=bool)
    alike[1:] = (np.diff(request) == 0) & (np.diff(step) == 1) & (np.diff(prefill) == 0) & (np.diff(decode) == 0)
    goes_on = alike.copy()
    # The second row of a stint sets its growth; the rows after it keep to it.
    goes_on[2:] &= ~alike[1:-1] | (growth[2:] == growth[1:-1])
    first = np.flatnonzero(~goes_on)
    last = np.append(first[1:], order.size) - 1 if first.size else first
    grows = np.where(last > first, growth[np.minimum(first + 1, order.size - 1)], 0) if first.size else first
    columns = (request[first], step[first], step[last], prefill[first], decode[first], context[first], grows)
    return [Stint(engine, spans[who], *numbers) for who, *numbers in zip(*(c.tolist() for c in columns), strict=True)]


def expand(rows: Iterable[Stint]) -> list[tuple[int, str, int, int, int]]:
    """(step, span, prefill, decode, context) of every step of every stint, sorted."""
    return sorted(
        (step, row.span, row.prefill, row.decode, row.context + row.growth * (step - row.first))
        for row in rows
        for step in range(row.first, row.last + 1)
    )
