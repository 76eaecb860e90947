"""What an engine does to its requests, one situation each, on one device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from greengen.testing.serving.costs import Affine
from greengen.testing.serving.engine import Engine
from greengen.testing.serving.expected import (
    QUIET,
    Expected,
    Scenario,
    each,
    idle_joules,
    of_steps,
    scenario,
    together,
)
from greengen.testing.serving.meters import METERS
from greengen.testing.serving.power import traces
from greengen.testing.serving.recording import another_span
from greengen.testing.serving.serve import Instance, Served, serve
from greengen.testing.serving.shapley import reference
from greengen.testing.serving.workload import START_S, Request

GPU = "sim:gpu-0"
_START_NS = round(START_S * 1e9)
_MS = 1_000_000


def stream(seed: int, count: int, prompts: tuple[int, int], outputs: tuple[int, int], every_ms: float) -> list[Request]:
    """Requests of these least and most tokens, one every so often on average."""
    rng = np.random.default_rng([seed, 6])
    arrival = _START_NS + np.cumsum(rng.exponential(every_ms * _MS, count)).astype(np.int64)
    prompt, output = rng.integers(*prompts, count), rng.integers(*outputs, count)
    return [Request(*numbers) for numbers in zip(arrival.tolist(), prompt.tolist(), output.tolist(), strict=True)]


def served_by(requests: Sequence[Request], seed: int, engine: Engine | None = None) -> Served:
    """One model on one device serves them, at an affine cost."""
    return serve(requests, Instance("m", Affine(), engine or Engine()), seed)


def decode_batches(seed: int) -> Scenario:
    """Short prompts, many tokens: batches of decodes that requests join and leave."""
    served = served_by(stream(seed, 40, (10, 60), (30, 300), 60), seed)
    return scenario("decode batches", served, seed, of_steps(served, seed))


def identical_requests(seed: int) -> Scenario:
    """Alike in all, they get alike under every policy."""
    [first] = stream(seed, 1, (50, 200), (50, 200), 10)
    served = served_by([first] * 6, seed)
    return scenario("identical requests", served, seed, each(reference(served, seed), "a sixth of all"))


def chunked_prefill(seed: int) -> Scenario:
    """Prompts longer than the budget of tokens, computed beside the decodes of others."""
    served = served_by(stream(seed, 40, (50, 2000), (20, 120), 120), seed, Engine(token_budget=256))
    return scenario("chunked prefill", served, seed, of_steps(served, seed))


def speculative_tokens(seed: int) -> Scenario:
    """Three drafted tokens with each decode: the work is what is scheduled, the output what is accepted."""
    served = served_by(stream(seed, 80, (20, 300), (60, 300), 60), seed, Engine(draft_tokens=3))
    return scenario("speculative tokens", served, seed, of_steps(served, seed))


def prefix_cache(seed: int) -> Scenario:
    """Prompts that share a prefix: whoever finds it in the cache pays for the context, and for no prefill."""
    requests = [
        replace(request, prompt_tokens=request.prompt_tokens + 1024, prefix=i % 2, prefix_tokens=1024)
        for i, request in enumerate(stream(seed, 40, (20, 300), (20, 150), 120))
    ]
    served = served_by(requests, seed)
    return scenario("prefix-cache hits", served, seed, of_steps(served, seed))


def preemption(seed: int) -> Scenario:
    """A cache too small for all: the latest is thrown out and computed again."""
    served = served_by(stream(seed, 30, (100, 300), (100, 250), 60), seed, Engine(kv_tokens=1600))
    return scenario("preemption", served, seed, of_steps(served, seed))


def padding(seed: int) -> Scenario:
    """Batches padded to the sizes of compiled graphs: padded tokens are nobody's, and all present pay for them."""
    sizes = (1, 2, 4, 8, 16, 32)
    served = served_by(stream(seed, 40, (10, 60), (30, 300), 60), seed, Engine(graph_sizes=sizes))
    return scenario("padding", served, seed, of_steps(served, seed, tolerance=0.02))


def outcomes(seed: int) -> Scenario:
    """Broken off, failed and sent again: each attempt keeps its joules."""
    requests = []
    for i, request in enumerate(stream(seed, 40, (50, 800), (20, 150), 100)):
        if i % 4 == 0:
            requests.append(replace(request, outcome="failed", output_tokens=0))
            requests.append(replace(request, attempt=2, arrival_ns=request.arrival_ns + 400 * _MS))
        elif i % 4 == 1:
            requests.append(replace(request, outcome="aborted", output_tokens=max(1, request.output_tokens // 3)))
        else:
            requests.append(request)
    served = served_by(requests, seed)
    wasted = [i for i, request in enumerate(requests) if request.outcome != "ok"]
    waste = together(served, "what came to nothing", wasted, policies=("affine",))
    return scenario("failed, aborted and retried", served, seed, [*of_steps(served, seed), waste])


def load_and_warm_up(seed: int) -> Scenario:
    """The model is loaded and warmed up before its first request: spans of the model, not idle time."""
    rng = np.random.default_rng([seed, 7])
    served = served_by(stream(seed, 40, (50, 300), (20, 150), 80), seed)
    load = (300 * _MS, 1500 * _MS, 1.2 * float(rng.uniform(120, 200)))
    warm_up = (1500 * _MS, 1900 * _MS, 0.4 * float(rng.uniform(300, 500)))
    served = replace(served, draws={GPU: [load, warm_up, *served.draws[GPU]]})
    made = scenario("load and warm-up", served, seed, of_steps(served, seed))
    timeline = made.rows.timelines[0]
    expected = list(made.expected[:-1])
    for number, (kind, (begin, end, joules)) in enumerate((("load", load), ("warmup", warm_up))):
        span = another_span(number, kind, (begin, end), "m", (GPU,))
        timeline.spans.append(span)
        expected.append(Expected(f"the {kind} of the model", (span.uid,), joules))
    last = made.expected[-1]
    spans = tuple(span.uid for span in timeline.spans)
    return replace(made, expected=(*expected, replace(last, accounts=(*spans, *QUIET))))


def isolated_bursts(seed: int, meter: str = "perfect", tolerance: float = 0.02) -> Scenario:
    """One request at a time, with idle seconds between: each has all joules of its steps, under every policy."""
    requests = [
        replace(request, arrival_ns=_START_NS + i * 4_000 * _MS)
        for i, request in enumerate(stream(seed, 8, (20, 3000), (40, 400), 1))
    ]
    served = served_by(requests, seed)
    expected = each(reference(served, seed), "all joules of its steps", tolerance=tolerance)
    return scenario(f"isolated bursts, {meter}", served, seed, expected, meters=METERS[meter])


def idle_gaps(seed: int) -> Scenario:
    """Groups of requests with idle time between: nobody pays for it."""
    requests = [
        replace(request, arrival_ns=request.arrival_ns + group * 5_000 * _MS)
        for group in range(3)
        for request in stream(seed + 1000 * group, 14, (50, 300), (50, 200), 80)
    ]
    served = served_by(requests, seed)
    quiet = Expected("the time without a request", QUIET, idle_joules(served, traces(served)), 0.02)
    work = together(served, "all requests", range(len(requests)))
    return scenario("idle gaps", served, seed, [*of_steps(served, seed), quiet, work])
