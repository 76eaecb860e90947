"""A continuous-batching scheduler: which requests the next step serves, and with how many tokens.

In the manner of engines in use: running requests first, then waiting ones, within a budget of tokens;
long prompts in chunks; the latest comer is preempted where the cache is full and starts again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from greengen.rows import Phase
from greengen.testing.serving.workload import Ints, Request


@dataclass(frozen=True, slots=True)
class Engine:
    """The limits of an engine.

    max_seqs      requests in a step at most
    token_budget  tokens in a step at most
    kv_tokens     tokens that the cache holds, in blocks of `block`
    draft_tokens  tokens drafted for each decode; each is accepted with probability `acceptance`, up to a refusal
    graph_sizes   a step of decodes only is padded to the next of these token counts
    """

    max_seqs: int = 256
    token_budget: int = 2048
    kv_tokens: int = 400_000
    block: int = 16
    draft_tokens: int = 0
    acceptance: float = 0.7
    prefix_cache: bool = True
    graph_sizes: tuple[int, ...] = ()


@dataclass(slots=True)
class Life:
    """What became of a request; times in ns, None for what did not happen.

    output_tokens  those that it got
    cached_tokens  those of its prompt that were in the cache when it was first scheduled
    phases         in order, from its first schedule on; `queue` after a preemption
    """

    arrival_ns: int
    scheduled_ns: int | None = None
    first_token_ns: int | None = None
    end_ns: int | None = None
    output_tokens: int = 0
    cached_tokens: int = 0
    preemptions: int = 0
    phases: list[Phase] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Live:
    """A request in the engine: `need` tokens are to be in the cache before it decodes, `done` are there."""

    number: int
    need: int
    done: int = 0
    prefilling: bool = True
    blocks: int = 0


@dataclass(frozen=True, slots=True)
class Planned:
    """A step to be run: (request, prefill, decode, context) of each part, and padded tokens."""

    parts: tuple[tuple[int, int, int, int], ...]
    padding: int

    @property
    def work(self) -> tuple[float, float, float, float]:
        """Its summed work: prefill, decode and context tokens, and pairs (see `costs`)."""
        pairs = sum((p + d) * c + (p + d) * (p + d + 1) / 2 for _, p, d, c in self.parts)
        prefill, decode, context = (sum(part[column] for part in self.parts) for column in (1, 2, 3))
        return prefill, decode + self.padding, context, pairs + self.padding * (self.padding + 1) / 2


class Coasting(NamedTuple):
    """Steps in which the same requests decode a token each: at most `steps`, each begun before `until_ns`.

    contexts  tokens in the cache of each of `numbers` at the first of them, one more at each next one
    """

    numbers: Ints
    contexts: Ints
    steps: int
    padding: int
    until_ns: int | None

    def parts(self, steps: int) -> Ints:
        """(request, prefill, decode, context) of each request in each step, shape (steps, n, 4)."""
        found = np.zeros((steps, self.numbers.size, 4), dtype=np.int64)
        found[..., 0], found[..., 2] = self.numbers, 1
        found[..., 3] = self.contexts + np.arange(steps)[:, None]
        return found


class Scheduler:
    """Serves `requests`, or those of them that `numbers` lists; `lives` tells what became of each.

    Call `plan` for a step, and `finish` when it is over. Raises ValueError for a request that the cache cannot hold.
    """

    def __init__(
        self, requests: Sequence[Request], engine: Engine, seed: int, *, numbers: Sequence[int] | None = None
    ) -> None:
        self.engine = engine
        self.requests = requests
        self.lives = [Life(request.arrival_ns) for request in requests]
        self._rng = np.random.default_rng([seed, 2])
        mine = range(len(requests)) if numbers is None else numbers
        for number in mine:
            request = requests[number]
            if self._blocks(request.prompt_tokens + request.output_tokens + engine.draft_tokens) > self._capacity:
                msg = f"request {number} needs more than the {engine.kv_tokens} tokens that the cache holds"
                raise ValueError(msg)
        self._coming = deque(sorted(mine, key=lambda i: (requests[i].arrival_ns, i)))
        self._waiting: deque[_Live] = deque()
        self._running: list[_Live] = []
        self._planned: list[tuple[_Live, int]] = []
        self._used = 0
        self._cached: dict[int, int] = {}

    def next_ns(self, ready_ns: int) -> int | None:
        """When a step can begin, at `ready_ns` at the earliest; None when all is served."""
        if self._running or self._waiting:
            return ready_ns
        return max(ready_ns, self.requests[self._coming[0]].arrival_ns) if self._coming else None

    def plan(self, now_ns: int) -> Planned:
        """The next step."""
        while self._coming and self.requests[self._coming[0]].arrival_ns <= now_ns:
            self._waiting.append(self._arrived(self._coming.popleft()))
        self._planned = []
        parts: list[tuple[int, int, int, int]] = []
        budget = self.engine.token_budget
        crowded = crowded_out = False
        i = 0
        while i < len(self._running) and budget > 0 and not crowded_out:
            live = self._running[i]
            tokens = min(budget, live.need - live.done if live.prefilling else 1 + self.engine.draft_tokens)
            while not self._fits(live, tokens) and not crowded_out:
                crowded = True
                crowded_out = self._running[-1] is live
                self._preempt(self._running.pop(), now_ns)
            if not crowded_out:
                budget -= self._take(live, tokens, parts)
                i += 1
        while self._waiting and not crowded and budget > 0 and len(self._running) < self.engine.max_seqs:
            live = self._waiting[0]
            hit = self._hit(live)
            tokens = min(budget, live.need - hit if live.prefilling else 1 + self.engine.draft_tokens)
            if not self._fits(live, tokens, hit):
                break
            self._waiting.popleft()
            self._schedule(live, hit, now_ns)
            budget -= self._take(live, tokens, parts)
        return Planned(tuple(parts), self._padding(parts))

    def finish(self, now_ns: int) -> None:
        """The planned step is over: what each request has got by it."""
        for live, tokens in self._planned:
            life, request = self.lives[live.number], self.requests[live.number]
            if live.prefilling:
                self._grow(live, live.done + tokens)
                if request.prefix >= 0 and live.done >= request.prefix_tokens:
                    self._cached[request.prefix] = request.prefix_tokens
                if live.done < live.need:
                    continue
                live.prefilling = False
                got = min(1, request.output_tokens - life.output_tokens)
            else:
                got = min(1 + self._accepted(tokens - 1), request.output_tokens - life.output_tokens)
                self._grow(live, live.done + got)
            life.output_tokens += got
            if got and life.first_token_ns is None:
                life.first_token_ns = now_ns
            if life.output_tokens >= request.output_tokens:
                life.end_ns = now_ns
                self._grow(live, 0)
                self._running.remove(live)
            elif life.phases[-1].kind != "decode":
                life.phases.append(Phase("decode", now_ns))
        self._planned = []

    def coasting(self) -> Coasting | None:
        """The steps ahead if nothing but decodes of the same requests can come before the next arrival, else None."""
        if self._waiting or not self._running or self.engine.draft_tokens:
            return None
        if len(self._running) > self.engine.token_budget or any(live.prefilling for live in self._running):
            return None
        left = [self.requests[x.number].output_tokens - self.lives[x.number].output_tokens for x in self._running]
        room = (self._capacity - self._used) // len(self._running)
        steps = min(min(left) - 1, (room - 1) * self.engine.block)
        if steps <= 1:
            return None
        numbers, contexts = (
            np.array(of, dtype=np.int64) for of in zip(*((x.number, x.done) for x in self._running), strict=True)
        )
        until = self.requests[self._coming[0]].arrival_ns if self._coming else None
        size = len(self._running)
        return Coasting(numbers, contexts, steps, self._padded(size), until)

    def coast(self, steps: int) -> None:
        """So many steps of `coasting` were run."""
        for live in self._running:
            self._grow(live, live.done + steps)
            self.lives[live.number].output_tokens += steps

    def _arrived(self, number: int) -> _Live:
        request = self.requests[number]
        if request.resident:
            self.lives[number].output_tokens = 1
            return _Live(number, request.prompt_tokens, prefilling=False)
        return _Live(number, request.prompt_tokens)

    def _hit(self, live: _Live) -> int:
        """Tokens of a waiting request that are in the cache."""
        request = self.requests[live.number]
        if not live.prefilling:
            return live.need
        if not self.engine.prefix_cache or request.prefix < 0:
            return 0
        # The last token is always computed: without it there is nothing to sample from.
        hit = min(self._cached.get(request.prefix, 0), live.need - 1)
        return hit - hit % self.engine.block

    def _schedule(self, live: _Live, hit: int, now_ns: int) -> None:
        life = self.lives[live.number]
        self._grow(live, hit)
        self._running.append(live)
        if life.scheduled_ns is None:
            life.scheduled_ns, life.cached_tokens = now_ns, hit
        life.phases.append(Phase("prefill" if live.prefilling else "decode", now_ns))

    def _take(self, live: _Live, tokens: int, parts: list[tuple[int, int, int, int]]) -> int:
        prefill, decode = (tokens, 0) if live.prefilling else (0, tokens)
        parts.append((live.number, prefill, decode, live.done))
        self._planned.append((live, tokens))
        # What the step will write takes its blocks now; `finish` gives back what refused drafts held.
        self._hold(live, live.done + tokens)
        return tokens

    def _preempt(self, live: _Live, now_ns: int) -> None:
        """Its cache is given up; all tokens that it has are to be prefilled again."""
        life = self.lives[live.number]
        self._grow(live, 0)
        live.prefilling = True
        live.need = self.requests[live.number].prompt_tokens + life.output_tokens
        life.preemptions += 1
        life.phases.append(Phase("queue", now_ns))
        self._waiting.appendleft(live)

    def _grow(self, live: _Live, done: int) -> None:
        self._hold(live, done)
        live.done = done

    def _hold(self, live: _Live, tokens: int) -> None:
        blocks = self._blocks(tokens)
        self._used += blocks - live.blocks
        live.blocks = blocks

    def _fits(self, live: _Live, tokens: int, done: int | None = None) -> bool:
        at = live.done if done is None else done
        return self._used - live.blocks + self._blocks(at + tokens) <= self._capacity

    def _accepted(self, drafted: int) -> int:
        if not drafted:
            return 0
        refused = np.flatnonzero(self._rng.random(drafted) >= self.engine.acceptance)
        return int(refused[0]) if refused.size else drafted

    def _padding(self, parts: Sequence[tuple[int, int, int, int]]) -> int:
        prefill = any(prefill for _, prefill, _, _ in parts)
        return 0 if prefill else self._padded(sum(decode for _, _, decode, _ in parts))

    def _padded(self, tokens: int) -> int:
        return next((size - tokens for size in self.engine.graph_sizes if size >= tokens), 0)

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self.engine.block)

    @property
    def _capacity(self) -> int:
        return self.engine.kv_tokens // self.engine.block
