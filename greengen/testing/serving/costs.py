"""What a step of an engine costs in truth, J and s: known to the simulator, and to no policy.

A step's work is the sum of what its requests do, as a row of four columns: prefill tokens, decode
tokens, context tokens (in the cache before the step) and pairs (token × token that it attends to).
Padding is work of nobody: decode tokens without context.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from greengen.testing.serving.workload import Floats, Ints

PREFILL, DECODE, CONTEXT, PAIRS = range(4)


def work_of(prefill: Ints, decode: Ints, context: Ints) -> Floats:
    """The work of m requests in a step each, shape (m, 4)."""
    tokens = prefill + decode
    pairs = tokens * context + tokens * (tokens + 1) / 2
    return np.stack(np.broadcast_arrays(prefill, decode, context, pairs), axis=-1).astype(float)


def padding_of(tokens: Ints) -> Floats:
    """The work of padded tokens, shape (…, 4)."""
    return work_of(np.zeros_like(tokens), tokens, np.zeros_like(tokens))


class Game(NamedTuple):
    """A step's J by who takes part, S: fixed + Σ linear + rate · max(0, Σ excess − slack), and 0 if nobody does.

    The first two terms have an exact Shapley value, fixed/n + linear. `fixed` and `slack` by step, shape (s,);
    `linear` and `excess` by request and step, shape (m,).
    """

    fixed: Floats
    linear: Floats
    rate: float
    excess: Floats
    slack: Floats


class Cost(Protocol):
    """The truth about a step. `idle_w`: what a device draws while there is none."""

    @property
    def idle_w(self) -> float:
        """Power without a step, W, of the whole instance."""
        ...

    def seconds(self, work: Floats) -> Floats:
        """Seconds of steps of this summed work, padding included, shape (…, 4) → (…)."""
        ...

    def joules(self, work: Floats) -> Floats:
        """Joules of the same."""
        ...

    def game(self, work: Floats, padding: Floats) -> Game:
        """The same joules, split: `work` of each request, shape (m, 4); `padding` of each step, shape (s, 4)."""
        ...


@dataclass(frozen=True, slots=True)
class Affine:
    """Both J and s are a fixed part, and so much per prefill, decode and context token: four numbers each.

    The defaults give an 8B model on an H100-class device its usual 2.5 J per token at batch 1 and some
    0.15 J at batch 40, at 350 to 700 W: assumptions, of the order of published measurements.
    """

    joules_of: tuple[float, ...] = (2.3, 0.022, 0.055, 2.0e-5)
    seconds_of: tuple[float, ...] = (6.0e-3, 4.0e-5, 9.0e-5, 4.5e-8)
    idle_w: float = 70.0

    def seconds(self, work: Floats) -> Floats:
        """Seconds of steps, shape (…, 4) → (…)."""
        return np.asarray(self.seconds_of[0] + work[..., :PAIRS] @ np.array(self.seconds_of[1:]))

    def joules(self, work: Floats) -> Floats:
        """Joules of steps, shape (…, 4) → (…)."""
        return np.asarray(self.joules_of[0] + work[..., :PAIRS] @ np.array(self.joules_of[1:]))

    def game(self, work: Floats, padding: Floats) -> Game:
        """Affine throughout: no excess."""
        linear = work[:, :PAIRS] @ np.array(self.joules_of[1:])
        none = np.zeros(padding.shape[0])
        return Game(self.joules(padding), linear, 0.0, np.zeros(linear.shape), none)


@dataclass(frozen=True, slots=True)
class Roofline:
    """A step takes the longer of its memory and its compute time, and a launch.

    J = static power × time + so much per byte and per floating-point operation. The weights are
    streamed once per step; each context token's keys and values once; each token costs two operations
    per parameter, and each pair four per layer and hidden unit.

    The defaults: an 8B model of 32 layers, hidden size 4096, 8 key-value heads of 128 in bfloat16 (the
    published shape of Llama 3 8B), so 16 GB of weights, 131072 bytes of cache per token and 524288
    operations per pair; an H100-class device at 3 TB/s and 400 TFLOP/s effective (vendor's sheet: 3.35 TB/s,
    989 TFLOP/s dense), 70 W idle, 200 W static once its clocks are up, 60 pJ per byte of HBM with its way
    on the die, 0.75 pJ per operation. So 365 W while it streams weights and 500 to 690 W in long prefills;
    700 W is the board's limit. The two pJ are assumptions of the order that the limit allows.
    """

    weight_bytes: float = 16e9
    kv_bytes: float = 131_072.0
    flops_per_token: float = 16e9
    flops_per_pair: float = 524_288.0
    device: tuple[float, float, float] = (3e12, 400e12, 5e-4)
    static_w: float = 200.0
    joules_of: tuple[float, float] = (60e-12, 0.75e-12)
    idle_w: float = 70.0

    def _bytes(self, work: Floats) -> Floats:
        """Of the cache: read for the context, written for the new tokens."""
        return np.asarray(self.kv_bytes * (work[..., PREFILL] + work[..., DECODE] + work[..., CONTEXT]))

    def _flops(self, work: Floats) -> Floats:
        tokens = work[..., PREFILL] + work[..., DECODE]
        return np.asarray(self.flops_per_token * tokens + self.flops_per_pair * work[..., PAIRS])

    def seconds(self, work: Floats) -> Floats:
        """Seconds of steps, shape (…, 4) → (…)."""
        bandwidth, flop_rate, launch_s = self.device
        memory_s = (self.weight_bytes + self._bytes(work)) / bandwidth
        return np.asarray(np.maximum(memory_s, self._flops(work) / flop_rate) + launch_s)

    def joules(self, work: Floats) -> Floats:
        """Joules of steps, shape (…, 4) → (…)."""
        per_byte, per_flop = self.joules_of
        moved = self.weight_bytes + self._bytes(work)
        return np.asarray(self.static_w * self.seconds(work) + per_byte * moved + per_flop * self._flops(work))

    def game(self, work: Floats, padding: Floats) -> Game:
        """Affine while memory is the longer; what compute takes longer is the excess."""
        bandwidth, flop_rate, launch_s = self.device
        per_byte, per_flop = self.joules_of

        def memory_bound(of: Floats, more_bytes: float, more_s: float) -> Floats:
            moved = self._bytes(of) + more_bytes
            in_time = self.static_w * (moved / bandwidth + more_s)
            return np.asarray(in_time + per_byte * moved + per_flop * self._flops(of))

        def excess_s(of: Floats) -> Floats:
            return np.asarray(self._flops(of) / flop_rate - self._bytes(of) / bandwidth)

        return Game(
            fixed=memory_bound(padding, self.weight_bytes, launch_s),
            linear=memory_bound(work, 0.0, 0.0),
            rate=self.static_w,
            excess=excess_s(work),
            slack=self.weight_bytes / bandwidth - excess_s(padding),
        )
