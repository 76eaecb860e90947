"""Streams of requests: what users send to a model, drawn from a seed.

Lengths are log-normal, as in published serving traces; medians and spreads are round numbers of that
order and no fit to one of them. Arrivals are Poisson.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: The seeds under which tables are published.
SEEDS = (11, 23, 37, 53, 71)

#: Nothing happens before: a meter's averaging window lies in recorded time.
START_S = 2.0

_LONGEST = 16_384
_MEAN_OF_LOG_NORMAL = 0.5


@dataclass(frozen=True, slots=True)
class Request:
    """One request, with what will become of it.

    arrival_ns     when it is sent
    output_tokens  those that it gets before it ends; 0: it fails before its first token
    prefix         number of the prompt prefix that it shares with others, -1 for none
    outcome        ok, aborted or failed
    resident       its prompt is in the cache and its first token is there (from a prefill pool)
    attempt        1 for a first try, 2 for a retry …
    """

    arrival_ns: int
    prompt_tokens: int
    output_tokens: int
    prefix: int = -1
    prefix_tokens: int = 0
    outcome: str = "ok"
    resident: bool = False
    attempt: int = 1


class Timed(Protocol):
    """How long a step takes: all that a workload has to know of a cost."""

    def seconds(self, work: Floats) -> Floats:
        """Seconds of steps of this summed work, shape (…, 4) → (…)."""
        ...


@dataclass(frozen=True, slots=True)
class Workload:
    """A population of requests.

    prompt, output  (median tokens, standard deviation of the logarithm)
    prefix          (part of the requests that share a prefix, its tokens, how many prefixes there are)
    aborted         part of the requests that are broken off after some of their output
    failed          part of the requests that fail before their first token
    """

    name: str
    prompt: tuple[float, float]
    output: tuple[float, float]
    prefix: tuple[float, int, int] = (0.0, 0, 1)
    aborted: float = 0.0
    failed: float = 0.0

    @property
    def mean_prompt(self) -> float:
        """Expected prompt tokens."""
        return self._mean(*self.prompt)

    @property
    def mean_output(self) -> float:
        """Expected output tokens."""
        return self._mean(*self.output)

    @staticmethod
    def _mean(median: float, spread: float) -> float:
        return float(median * np.exp(_MEAN_OF_LOG_NORMAL * spread**2))

    def rate_per_s(self, batch: float, cost: Timed) -> float:
        """Arrivals per second at which `batch` requests are served at once.

        An engine under load is always busy: per request it spends the time that the prompt adds to a step,
        and its part of the steps in which its output is decoded.
        """
        context = batch * (self.mean_prompt + self.mean_output / 2)
        decode_s = float(cost.seconds(np.array([0.0, batch, context, context])))
        pairs = context + self.mean_prompt**2 / 2
        both_s = float(cost.seconds(np.array([self.mean_prompt, batch, context, pairs])))
        return 1.0 / (both_s - decode_s + self.mean_output / batch * decode_s)

    def stream(self, batch: float, cost: Timed, count: int, seed: int) -> tuple[Request, ...]:
        """`count` requests that keep `batch` of them in service on average, from the first to the last."""
        # The first and the last find the engine emptier: b N / (N + b) on average where b are served in between.
        return self.requests(count, self.rate_per_s(batch * count / (count - batch), cost), seed)

    def requests(self, count: int, rate_per_s: float, seed: int) -> tuple[Request, ...]:
        """`count` requests that arrive at random, `rate_per_s` on average, from `START_S` on."""
        rng = np.random.default_rng([seed, 1])
        arrival_s = START_S + np.cumsum(rng.exponential(1.0 / rate_per_s, count))
        prompts, outputs = self._lengths(rng, self.prompt, count), self._lengths(rng, self.output, count)
        part, prefix_tokens, prefixes = self.prefix
        prefix = np.where(rng.random(count) < part, rng.integers(0, prefixes, count), -1)
        fate = rng.random(count)
        cut = rng.random(count)
        found = []
        for i in range(count):
            output, outcome = int(outputs[i]), "ok"
            if fate[i] < self.failed:
                output, outcome = 0, "failed"
            elif fate[i] < self.failed + self.aborted:
                output, outcome = max(1, int(output * cut[i])), "aborted"
            shared = int(prefix[i])
            prompt = int(prompts[i]) + (prefix_tokens if shared >= 0 else 0)
            tokens = prefix_tokens if shared >= 0 else 0
            found.append(Request(int(arrival_s[i] * 1e9), prompt, output, shared, tokens, outcome))
        return tuple(found)

    @staticmethod
    def _lengths(rng: np.random.Generator, of: tuple[float, float], count: int) -> Floats:
        median, spread = of
        return np.clip(np.rint(median * np.exp(spread * rng.standard_normal(count))), 1, _LONGEST)


CHAT = Workload("chat", (250, 0.8), (200, 0.6), prefix=(0.5, 128, 2))
LONG_PROMPTS = Workload("long prompts", (2500, 0.5), (120, 0.5), prefix=(0.3, 512, 4))
LONG_OUTPUTS = Workload("long outputs", (300, 0.6), (600, 0.5))

#: The workloads of the published tables, by name.
WORKLOADS = MappingProxyType({workload.name: workload for workload in (CHAT, LONG_PROMPTS, LONG_OUTPUTS)})
