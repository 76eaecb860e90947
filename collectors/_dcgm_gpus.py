"""Which GPUs a dcgm-exporter tells of, what it says of each, and which of them are this process's.

Facts: NVIDIA/dcgm-exporter, etc/default-counters.csv (DCGM_FI_DEV_POWER_USAGE in W,
DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION in mJ) and README.md (labels, and 9223372036854775794 for "not
supported"); dcgm_structs.h for the blank values. With MIG the line of the whole board is repeated for
each instance, with the same value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from greengen.collectors._prometheus import parse

ENERGY, POWER = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_POWER_USAGE"

#: DCGM_INT64_BLANK and DCGM_FP64_BLANK, from which on a value means that there is none.
_BLANK_MJ, _BLANK_W = float(0x7FFFFFFFFFFFFFF0), 140737488355328.0


@dataclass(frozen=True, slots=True)
class Gpu:
    """One board. `pods`: those that Kubernetes gave it to, where the exporter says so."""

    uuid: str
    index: int
    model: str
    energy_j: float | None
    power_w: float | None
    pods: frozenset[str]


def parse_gpus(text: str) -> dict[str, Gpu]:
    """By UUID, in the order of their indices. Raises ValueError for what is no answer of dcgm-exporter's."""
    found: dict[str, Gpu] = {}
    for name, labels, value in parse(text, (ENERGY, POWER)):
        uuid, index = labels.get("UUID", ""), labels.get("gpu", "")
        if not uuid.startswith("GPU-") or not index.isdigit():
            continue  # a NIC, a switch or a CPU
        before = found.get(uuid, Gpu(uuid, int(index), labels.get("modelName", ""), None, None, frozenset()))
        pod = labels.get("exported_pod") or labels.get("pod")
        energy_j, power_w = before.energy_j, before.power_w
        if name == ENERGY and 0 < value < _BLANK_MJ:
            energy_j = value / 1000
        elif name == POWER and 0 < value < _BLANK_W:
            power_w = value
        found[uuid] = Gpu(uuid, before.index, before.model, energy_j, power_w, before.pods | ({pod} if pod else set()))
    if not found:
        msg = f"its answer has neither {ENERGY} nor {POWER} of any GPU"
        raise ValueError(msg)
    return dict(sorted(found.items(), key=lambda item: item[1].index))


def ours(gpus: Mapping[str, Gpu], environ: Mapping[str, str]) -> tuple[list[Gpu], str]:
    """The GPUs of this process, and why others are left out.

    A pod's are those that the exporter says it was given; a container's, those that
    NVIDIA_VISIBLE_DEVICES names; of these, those that CUDA_VISIBLE_DEVICES leaves.
    """
    left = list(gpus.values())
    pod = environ.get("HOSTNAME", "") if environ.get("KUBERNETES_SERVICE_HOST") else ""
    if pod and any(gpu.pods for gpu in left):
        left = [gpu for gpu in left if pod in gpu.pods]
        if not left:
            return [], f"the exporter says that none of its GPUs was given to the pod {pod}"
    passed = environ.get("NVIDIA_VISIBLE_DEVICES", "all")
    if passed not in ("", "all", "none", "void"):
        left = _chosen(left, passed, by_index={str(gpu.index): gpu for gpu in left})
    wanted = environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is not None:
        if any(entry.strip().startswith("MIG-") and not _mig_board(entry) for entry in wanted.split(",")):
            return left, ""  # an instance by its own UUID, whose board the exporter does not name
        left = _chosen(left, wanted, by_index={str(position): gpu for position, gpu in enumerate(left)})
    return left, "" if left else "NVIDIA_VISIBLE_DEVICES or CUDA_VISIBLE_DEVICES leaves none of its GPUs visible"


def _chosen(gpus: Sequence[Gpu], wanted: str, by_index: Mapping[str, Gpu]) -> list[Gpu]:
    """CUDA's rule: what follows an entry that names no GPU is not visible either."""
    found: list[Gpu] = []
    for entry in map(str.strip, wanted.split(",")):
        uuid = _mig_board(entry) or entry
        named = [gpu for gpu in gpus if uuid.startswith("GPU-") and gpu.uuid.startswith(uuid)]
        gpu = by_index.get(entry) or (named[0] if len(named) == 1 else None)
        if gpu is None:
            break
        if gpu not in found:
            found.append(gpu)
    return found


def _mig_board(entry: str) -> str:
    """The board of ``MIG-GPU-<UUID>/<GPU instance>/<compute instance>``."""
    entry = entry.strip()
    return entry.removeprefix("MIG-").partition("/")[0] if entry.startswith("MIG-GPU-") else ""
