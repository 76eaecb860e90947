"""CPU time of sampling for argv[2] seconds: argv[1] is floor, greengen or codecarbon.

The floor is a loop that sleeps 0.1 s and reads the same four files. greengen reads them through its
own collectors, with the CPU time of the machine and of the process tree, and writes a run file.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from greengen.testing import trees


def floor(root: Path, seconds: float) -> None:
    """Sleep, and read four files."""
    paths = sorted(root.glob("class/powercap/*/energy_uj"))
    files = [os.open(path, os.O_RDONLY) for path in paths[:4]]
    assert len(files) == 4, paths
    _begin()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.1)
        for file in files:
            int(os.pread(file, 64, 0))
    _end()


def ours(root: Path, directory: Path, seconds: float) -> None:
    """A recording of a sleeping process."""
    os.environ["GREENGEN_SYSFS"] = str(root)
    import greengen

    with greengen.profile(directory / "bench.greengen", collectors=("rapl", "procfs")):
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


def main(mode: str, seconds: float) -> None:
    """Print CPU seconds per minute."""
    with tempfile.TemporaryDirectory() as directory:
        # Two sockets, each with its memory: four zones.
        root = trees.intel_server(Path(directory) / "host").sysfs
        os.chdir(directory)
        if mode == "floor":
            floor(root, seconds)
        elif mode == "greengen":
            ours(root, Path(directory), seconds)
        else:
            theirs(seconds)
        spent = _cpu_s[1] - _cpu_s[0]
        os.chdir("/")
        print(json.dumps({"cpu_s_per_min": spent * 60 / seconds}), flush=True)
        if mode == "codecarbon":
            os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
