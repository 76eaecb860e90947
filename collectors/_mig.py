"""MIG: a GPU cut into slices that no counter tells apart. They are parts of the board's domain, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greengen.collectors._nvml_api import Nvml


def slices(nvml: Nvml, handle: Any) -> tuple[str, ...]:  # noqa: ANN401 -- a handle of NVML's
    """uids of the MIG devices of a board, ``nvml:MIG-<UUID>``; none where MIG is off or not there."""
    try:
        most = nvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except nvml.NVMLError:
        return ()
    found = []
    for index in range(most):
        try:
            found.append(f"nvml:{nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index))}")
        except nvml.NVMLError:  # a place that is free, between others
            continue
    return tuple(found)
