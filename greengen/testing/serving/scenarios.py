"""All scenarios by name: what engines do to requests, with the joules that the answer must have.

Each takes a seed. The cost is affine and the meter perfect (the host's: RAPL's), so that the Shapley
values are known exactly and nothing but the attribution can be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from greengen.testing.serving import scenarios_devices as devices
from greengen.testing.serving import scenarios_engine as engine
from greengen.testing.serving.expected import Make

#: The seeds for tests of every scenario.
SCENARIO_SEEDS = tuple(range(100, 120))

SCENARIOS: Mapping[str, Make] = MappingProxyType(
    {
        "decode batches": engine.decode_batches,
        "identical requests": engine.identical_requests,
        "chunked prefill": engine.chunked_prefill,
        "speculative tokens": engine.speculative_tokens,
        "prefix-cache hits": engine.prefix_cache,
        "preemption": engine.preemption,
        "padding": engine.padding,
        "tensor parallel": devices.tensor_parallel,
        "pipeline parallel": devices.pipeline_parallel,
        "several models on a device": devices.models_on_a_device,
        "several models on several devices": devices.models_on_devices,
        "MIG slices": devices.slices,
        "prefill and decode pools": devices.pools,
        "the host follows": devices.host_follows,
        "failed, aborted and retried": engine.outcomes,
        "load and warm-up": engine.load_and_warm_up,
        "isolated bursts": engine.isolated_bursts,
        "idle gaps": engine.idle_gaps,
    }
)
