"""What else lies on a processor's die, and is inside its package: NPUs, which other collectors read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from greengen.collector import Domain

#: The driver of each maker's NPU, and what is read of it: by measure, or by the model of busy time.
_INTEL, _AMD = "intel_vpu", "amdxdna"
_INTEL_UIDS = ("intel_npu:npu", "accelerator:intel_npu")


def with_npus(domains: Iterable[Domain], sysfs: Path) -> tuple[Domain, ...]:
    """The same domains, of which packages contain the machine's NPUs; machines of several packages have none."""
    inside = _npus(sysfs / "bus/pci/drivers")
    return tuple(
        replace(domain, contains=(*domain.contains, *inside)) if inside and domain.kind == "package" else domain
        for domain in domains
    )


def _npus(drivers: Path) -> tuple[str, ...]:
    intel = _INTEL_UIDS if (drivers / _INTEL).is_dir() else ()
    return *intel, *(f"xdna:{device.name}" for device in sorted((drivers / _AMD).glob("*:*:*.*")))
