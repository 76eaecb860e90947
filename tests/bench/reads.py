"""What one reading of each collector costs on its fake host: us per read() and per domain.

The files lie on a disk in the page cache, and NVML is a fake: what a driver or its firmware takes to answer
comes on top. The floor is `os.pread` and `int` of as many files. Slow meters (a BMC, a plug, a command) are
asked in threads of their own: what is told of them is what a reading costs the others, while they answer and
while they hang; and what the read of RAPL costs beside them.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
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
from greengen.collectors.battery import BatteryCollector
from greengen.collectors.cpu_model import CpuModelCollector
from greengen.collectors.dcgm import DcgmCollector
from greengen.collectors.intel_gpu import IntelGpuCollector
from greengen.collectors.intel_npu import IntelNpuCollector
from greengen.collectors.ipmi import IpmiCollector
from greengen.collectors.jetson import JetsonCollector
from greengen.collectors.nvml import NvmlCollector
from greengen.collectors.perf_power import PerfPowerCollector
from greengen.collectors.pi_pmic import PiPmicCollector
from greengen.collectors.plug import PlugCollector
from greengen.collectors.power_monitor import PowerMonitorCollector
from greengen.collectors.procfs import ProcfsCollector
from greengen.collectors.rapl import RaplCollector
from greengen.collectors.redfish import RedfishCollector
from greengen.collectors.xdna import XdnaCollector
from greengen.testing import trees
from greengen.testing.fake_commands import dcmi, fake_command, pmic_read_adc
from greengen.testing.fake_pynvml import FakeNvml, Rig
from greengen.testing.http_meters import HttpMeter, PlantedPower, dcgm, shelly2
from tests.hosts import loading
from tests.hosts.gpu_metrics import pack

Make = Callable[[Host], Collector]

#: Collectors that answer at once, by the fake host that each reads.
FAST: dict[str, tuple[str, Make]] = {
    "acpi_power_meter": ("grace_hopper", AcpiPowerMeterCollector),
    "amd_energy": ("epyc_amd_energy", AmdEnergyCollector),
    "amd_hsmp": ("epyc_hsmp", AmdHsmpCollector),
    "amdgpu, power and busy time": ("radeon", AmdgpuCollector),
    "amdgpu, gpu_metrics and busy time": ("mi300x", AmdgpuCollector),
    "intel_gpu": ("arc_b580", IntelGpuCollector),
    "intel_npu": ("intel_npu", IntelNpuCollector),
    "jetson": ("jetson_agx_orin", JetsonCollector),
    "perf_power": ("perf_power", PerfPowerCollector),
    "power_monitor": ("ina_board", PowerMonitorCollector),
    "xdna": ("xdna", XdnaCollector),
}
READS = 2000
REDFISH = {
    "/redfish/v1/Chassis/1": {"EnvironmentMetrics": {"@odata.id": "/redfish/v1/Chassis/1/EnvironmentMetrics"}},
    "/redfish/v1/Chassis/1/EnvironmentMetrics": {"PowerWatts": {"Reading": 374}},
}


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


def told(us: float, domains: int) -> dict[str, float]:
    """One line: us per reading, and of each domain."""
    return {"us": round(us, 1), "domains": domains, "us_per_domain": round(us / max(domains, 1), 1)}


def fast(root: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Every collector that is read as it is asked."""
    hosts = [(name, loading.build(tree, root / tree / name), make) for name, (tree, make) in FAST.items()]
    server = trees.intel_server(root / "rapl")
    hosts += [("rapl", server, RaplCollector), ("cpu_model", server, CpuModelCollector)]
    hosts.append(("procfs", Host(root_pid=os.getpid()), ProcfsCollector))
    eight = Rig(watts=(300.0,) * 8, utilisation=(97,))
    hosts.append(("nvml, 8 GPUs", server, lambda host: NvmlCollector(host, nvml=FakeNvml(eight))))
    for name, host, make in hosts:
        for card in (host.sysfs / "class/drm").glob("card*") if host.sysfs != Path("/sys") else ():
            table = pack(1, 5, 300, 1 << 40) if "metrics" in name else pack(1, 3, 300)
            loading.show(host, f"class/drm/{card.name}/device/gpu_metrics", table)
        if name == "intel_npu":
            loading.show(host, "class/intel_pmt/telem2/telem", bytes(6144))
        collector = make(replace(host, environ={"GREENGEN_POWER_MONITOR": "1-0040=wall,1-0041/1=package"}))
        domains = len(collector.discover().domains)
        if not domains and name != "procfs":
            continue  # perf_event_open may not be allowed
        assert sum(isinstance(row, Sample) for row in plugins.read_once(collector)[0]) == domains
        yield name, told(us_per_call(partial(drain, collector)), domains)
        collector.close()


@contextmanager
def slow(root: Path) -> Iterator[dict[str, tuple[Collector, Callable[[], None]]]]:
    """Collectors that ask in threads of their own, and what makes each hang."""
    with ExitStack() as running:
        redfish = running.enter_context(HttpMeter(lambda path: json.dumps(REDFISH[path]) if path in REDFISH else None))
        plug = running.enter_context(HttpMeter(shelly2(PlantedPower(58.0))))
        exporter = running.enter_context(HttpMeter(dcgm([("GPU-1", PlantedPower(300.0, 1e6))])))
        folder = fake_command(root / "bin", "ipmitool", dcmi(173))
        fake_command(folder, "vcgencmd", pmic_read_adc())
        path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        laptop, pi = loading.build("laptop_battery", root / "laptop"), loading.build("raspberry_pi_5", root / "pi")
        made: dict[str, tuple[Host, Mapping[str, str], Make, Callable[[], None]]] = {
            "redfish": (
                Host(),
                {"GREENGEN_REDFISH": f"http://127.0.0.1:{redfish.port}/redfish/v1/Chassis/1"},
                RedfishCollector,
                partial(setattr, redfish, "fault", "hang"),
            ),
            "plug": (
                Host(),
                {"GREENGEN_PLUG": f"shelly2://127.0.0.1:{plug.port}"},
                PlugCollector,
                partial(setattr, plug, "fault", "hang"),
            ),
            "dcgm": (
                Host(),
                {"GREENGEN_DCGM": f"http://127.0.0.1:{exporter.port}"},
                DcgmCollector,
                partial(setattr, exporter, "fault", "hang"),
            ),
            "ipmi": (
                Host(),
                {"GREENGEN_IPMI": "local", "PATH": path},
                IpmiCollector,
                lambda: _hang(folder, "ipmitool"),
            ),
            "pi_pmic": (pi, {"PATH": path}, PiPmicCollector, lambda: _hang(folder, "vcgencmd")),
            "battery": (laptop, {"GREENGEN_BATTERY": "power"}, BatteryCollector, lambda: None),
        }
        collectors = {}
        for name, (host, variables, make, hang) in made.items():
            collector = make(replace(host, environ=variables))
            found = collector.discover()
            assert found.domains, (name, found.unavailable)
            running.callback(collector.close)
            collectors[name] = (collector, hang)
        yield collectors


def _hang(folder: Path, command: str) -> None:
    fake_command(folder, command, "", seconds=60)


def main() -> None:
    """One JSON object: collector → us per read, and domains."""
    lines: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        lines |= dict(fast(root))
        rapl = RaplCollector(trees.intel_server(root / "beside"))
        rapl.discover()
        with slow(root) as meters:
            for name, (collector, _) in meters.items():
                lines[name] = told(us_per_call(partial(drain, collector)), 1)
            for _, hang in meters.values():
                hang()
            # Longer than a question takes, so that each is in the middle of one.
            time.sleep(6)
            for name, (collector, _) in meters.items():
                if name != "battery":  # a file does not hang
                    lines[f"{name}, which hangs"] = told(us_per_call(partial(drain, collector)), 1)
            lines["rapl, beside five that hang"] = told(us_per_call(partial(drain, rapl)), 4)
        rapl.close()
        files = [os.open(path, os.O_RDONLY) for path in sorted((root / "rapl/sys").glob("class/powercap/*/energy_uj"))]
        lines["floor"] = told(us_per_call(lambda: [int(os.pread(file, 64, 0)) for file in files]), len(files))
    print(json.dumps(lines))


if __name__ == "__main__":
    main()
