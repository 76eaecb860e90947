"""What one reading of each sysfs collector costs, on its fake host: us per read() and per file.

The files lie on a disk in the page cache: what a driver or its firmware takes to answer comes on top.
The floor is `os.pread` and `int` of as many files.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from greengen import plugins
from greengen.collector import Collector, Host, Sample
from greengen.collectors.acpi_power_meter import AcpiPowerMeterCollector
from greengen.collectors.amd_energy import AmdEnergyCollector
from greengen.collectors.amd_hsmp import AmdHsmpCollector
from greengen.collectors.amdgpu import AmdgpuCollector
from greengen.collectors.intel_gpu import IntelGpuCollector
from greengen.collectors.intel_npu import IntelNpuCollector
from greengen.collectors.perf_power import PerfPowerCollector
from greengen.collectors.power_monitor import PowerMonitorCollector
from greengen.collectors.rapl import RaplCollector
from greengen.collectors.xdna import XdnaCollector
from greengen.testing import trees
from tests.hosts import loading
from tests.hosts.gpu_metrics import pack

COLLECTORS: dict[str, tuple[str, Callable[[Host], Collector]]] = {
    "acpi_power_meter": ("grace_hopper", AcpiPowerMeterCollector),
    "amd_energy": ("epyc_amd_energy", AmdEnergyCollector),
    "amd_hsmp": ("epyc_hsmp", AmdHsmpCollector),
    "amdgpu, power and busy time": ("radeon", AmdgpuCollector),
    "amdgpu, gpu_metrics and busy time": ("mi300x", AmdgpuCollector),
    "intel_gpu": ("arc_b580", IntelGpuCollector),
    "intel_npu": ("intel_npu", IntelNpuCollector),
    "perf_power": ("perf_power", PerfPowerCollector),
    "power_monitor": ("ina_board", PowerMonitorCollector),
    "xdna": ("xdna", XdnaCollector),
}
READS = 2000


def drain(collector: Collector) -> int:
    """One reading; how many rows it gave."""
    return sum(1 for _ in collector.read())


def us_per_call(call: Callable[[], object]) -> float:
    """Median of ten rounds."""
    rounds = []
    for _ in range(10):
        t0 = time.perf_counter_ns()
        for _ in range(READS // 10):
            call()
        rounds.append((time.perf_counter_ns() - t0) / (READS // 10) / 1e3)
    return statistics.median(rounds)


def main() -> None:
    """One JSON object: collector → us per read, and domains."""
    told: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        hosts = [(name, loading.build(tree, root / tree / name), make) for name, (tree, make) in COLLECTORS.items()]
        hosts.append(("rapl", trees.intel_server(root / "rapl"), RaplCollector))
        for name, host, make in hosts:
            for card in (host.sysfs / "class/drm").glob("card*"):
                table = pack(1, 5, 300, 1 << 40) if "metrics" in name else pack(1, 3, 300)
                loading.show(host, f"class/drm/{card.name}/device/gpu_metrics", table)
            if name == "intel_npu":
                loading.show(host, "class/intel_pmt/telem2/telem", bytes(6144))
            collector = make(replace(host, environ={"GREENGEN_POWER_MONITOR": "1-0040=wall,1-0041/1=package"}))
            domains = len(collector.discover().domains)
            if not domains:
                continue  # perf_event_open may not be allowed
            assert sum(isinstance(row, Sample) for row in plugins.read_once(collector)[0]) == domains
            us = us_per_call(partial(drain, collector))
            told[name] = {"us": round(us, 1), "domains": domains, "us_per_domain": round(us / domains, 1)}
            collector.close()
        files = [os.open(path, os.O_RDONLY) for path in sorted((root / "rapl/sys").glob("class/powercap/*/energy_uj"))]
        floor = us_per_call(lambda: [int(os.pread(file, 64, 0)) for file in files])
        told["floor"] = {"us": round(floor, 1), "domains": len(files), "us_per_domain": round(floor / len(files), 1)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
