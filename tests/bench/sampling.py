"""CPU time of sampling for argv[3] seconds: argv[1] is loop, floor, greengen or codecarbon; argv[2] the machine.

rapl    two sockets and their memory: four files
gpus    the same, and eight GPUs of a fake NVML
jetson  the rails of an AGX Orin: two files each

The loop sleeps 0.1 s, reads the same files and makes the same calls. The floor is the least that does so: it has
opened the files before, and asks each for its first bytes again. greengen does so through its own collectors, with
the CPU time of the machine and of the process tree, and writes a run file.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from greengen.collector import Host
from greengen.testing import trees
from greengen.testing.fake_pynvml import FakeNvml, Rig
from greengen.testing.scripted import FakeClock
from tests.hosts import loading

GPUS_W = (300.0,) * 8
RIG = {"watts": GPUS_W, "utilisation": [97]}
COLLECTORS = {
    "rapl": ("rapl", "procfs"),
    "gpus": ("rapl", "nvml", "procfs"),
    "jetson": ("jetson", "procfs"),
}


def build(machine: str, root: Path) -> Host:
    """The fake machine."""
    return loading.build("jetson_agx_orin", root) if machine == "jetson" else trees.intel_server(root)


def files_of(machine: str, host: Host) -> list[str]:
    """What its collector holds open."""
    if machine != "jetson":
        return list(map(str, sorted(host.sysfs.glob("class/powercap/*/energy_uj"))[:4]))
    from greengen.collectors.jetson import JetsonCollector

    opened: list[str] = []

    def open_file(path: str, flags: int) -> int:
        opened.append(path)
        return os.open(path, flags)

    collector = JetsonCollector(host, open_file=open_file)
    collector.discover()
    collector.close()
    return list(dict.fromkeys(opened))


def calls_of(machine: str) -> Iterator[list[Callable[[], Any]]]:
    """What a reading calls of NVML, over and over: as its collector does in two seconds."""
    if machine != "gpus":
        return itertools.repeat([])
    from greengen.collectors.nvml import NvmlCollector

    fake, asked = FakeNvml(Rig(watts=GPUS_W, utilisation=(97,))), list[Callable[[], Any]]()

    class Asked:
        """The calls of pynvml, each noted."""

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever pynvml has
            found = getattr(fake, name)
            if not name.startswith("nvml"):
                return found

            def call(*arguments: Any) -> Any:  # noqa: ANN401 -- the same
                asked.append(partial(found, *arguments))
                return found(*arguments)

            return call

    clock = FakeClock()
    collector = NvmlCollector(replace(Host(), monotonic_ns=clock, root_pid=os.getpid()), nvml=Asked())
    collector.discover()
    readings = []
    for _ in range(20):
        clock.advance(0.1)
        asked.clear()
        list(collector.read())
        readings.append(list(asked))
    fake.nvmlInit()
    return itertools.cycle(readings)


def loop(machine: str, root: Path, seconds: float) -> None:
    """Sleep, and read files, and call."""
    host = build(machine, root)
    files, calls = files_of(machine, host), calls_of(machine)
    assert files
    _begin()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.1)
        for path in files:
            with open(path, encoding="ascii") as file:  # noqa: PTH123 -- as most loops do, and lighter
                int(file.read())
        for call in next(calls):
            call()
    _end()


def floor(machine: str, root: Path, seconds: float) -> None:
    """The same with the files held open."""
    host = build(machine, root)
    files, calls = [os.open(path, os.O_RDONLY) for path in files_of(machine, host)], calls_of(machine)
    assert files
    _begin()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.1)
        for file in files:
            int(os.pread(file, 64, 0))
        for call in next(calls):
            call()
    _end()


def ours(machine: str, root: Path, directory: Path, seconds: float) -> None:
    """A recording of a sleeping process."""
    os.environ |= trees.environment(build(machine, root)) | {"GREENGEN_PROCFS": "/proc"}
    os.environ |= {"GREENGEN_PYNVML": "greengen.testing.fake_pynvml", "GREENGEN_FAKE_NVML": json.dumps(RIG)}
    import greengen

    with greengen.profile(directory / "bench.greengen", collectors=COLLECTORS[machine]):
        _begin()
        time.sleep(seconds)
        _end()


def theirs(seconds: float) -> None:
    """codecarbon at the same rate; it has no counter to read here."""
    from codecarbon import OfflineEmissionsTracker

    tracker = OfflineEmissionsTracker(
        country_iso_code="FRA",
        save_to_file=False,
        log_level="critical",
        measure_power_secs=0.1,
        tracking_mode="process",
    )
    tracker.start()
    _begin()
    time.sleep(seconds)
    _end()


_cpu_s = [0.0, 0.0]


def _begin() -> None:
    # What starting and ending cost is another line of the table.
    time.sleep(1.0)
    _cpu_s[0] = time.process_time()


def _end() -> None:
    _cpu_s[1] = time.process_time()


def main(mode: str, machine: str, seconds: float) -> None:
    """Print CPU seconds per minute."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "host"
        os.chdir(directory)
        if mode == "loop":
            loop(machine, root, seconds)
        elif mode == "floor":
            floor(machine, root, seconds)
        elif mode == "greengen":
            ours(machine, root, Path(directory), seconds)
        else:
            theirs(seconds)
        spent = _cpu_s[1] - _cpu_s[0]
        os.chdir("/")
        print(json.dumps({"cpu_s_per_min": spent * 60 / seconds}), flush=True)
        if mode == "codecarbon":
            os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
