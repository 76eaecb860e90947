"""Small simulated services for tests: engines with little room, and requests that do not fit well."""

from __future__ import annotations

from hypothesis import strategies as st

from greengen.testing.serving.costs import Affine
from greengen.testing.serving.engine import Engine
from greengen.testing.serving.serve import Instance, Served, serve
from greengen.testing.serving.workload import START_S, Request

START_NS = round(START_S * 1e9)

_REQUESTS = st.builds(
    lambda after_ms, prompt, output, prefix: Request(
        START_NS + after_ms * 1_000_000, prompt + (48 if prefix >= 0 else 0), output, prefix, 48 if prefix >= 0 else 0
    ),
    st.integers(0, 200),
    st.integers(1, 120),
    st.integers(0, 30),
    st.integers(-1, 1),
)

_ENGINES = st.builds(
    Engine,
    max_seqs=st.sampled_from((1, 3, 256)),
    token_budget=st.sampled_from((8, 64, 2048)),
    kv_tokens=st.sampled_from((256, 400, 400_000)),
    draft_tokens=st.sampled_from((0, 3)),
    prefix_cache=st.booleans(),
    graph_sizes=st.sampled_from(((), (1, 2, 4, 8, 16))),
)


@st.composite
def served(draw: st.DrawFn, *, most: int = 12) -> Served:
    """Up to `most` requests through an engine, or through one in two stages."""
    requests = draw(st.lists(_REQUESTS, min_size=1, max_size=most))
    stages = draw(st.sampled_from((1, 1, 2)))
    devices = tuple(f"sim:gpu-{i}" for i in range(stages))
    instance = Instance("m", Affine(), draw(_ENGINES), devices, stages)
    return serve(requests, instance, draw(st.integers(0, 99)))


def several(*sizes: tuple[int, int], every_ms: int = 0) -> list[Request]:
    """Requests of (prompt, output) tokens, one every so often."""
    return [Request(START_NS + i * every_ms * 1_000_000, prompt, out) for i, (prompt, out) in enumerate(sizes)]
