"""The rails of Apple's energy model, whichever way they are read."""

from __future__ import annotations

from greengen.collector import Domain
from greengen.collectors.cpu_model import GAIN, WORKLOAD

#: More than the supply of any of these machines gives.
MOST_W = 500.0
KINDS = {"cpu": "package", "gpu": "gpu", "ane": "npu", "dram": "dram"}
_NAMES = {"cpu": "CPU", "gpu": "GPU", "ane": "neural engine", "dram": "memory"}
_SPLIT = "Apple's energy model tells no use per process, so sole tenancy is assumed"


def rail_domain(collector: str, rail: str, refresh_s: float, detail: str) -> Domain:
    """A counter of that rail: an estimate, known like any other model until it is sized from data."""
    by_cpu = rail == "cpu"
    return Domain(
        uid=f"{collector}:{rail}",
        collector=collector,
        kind=KINDS[rail],
        name=f"{_NAMES[rail]} (Apple's energy model)",
        grade="modelled",
        scope="host",
        split="cpu" if by_cpu else None,
        split_reason="" if by_cpu else _SPLIT,
        activity="cpu" if by_cpu else None,
        max_power_w=MOST_W,
        refresh_s=refresh_s,
        gain=GAIN,
        workload=WORKLOAD,
        detail=f"{detail}: an estimate, not for comparing devices",
    )
