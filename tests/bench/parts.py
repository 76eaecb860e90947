"""Do the parts sum to the whole? argv[1] is threads or processes: four of them at once, 3 s each.

greengen: the sum of all accounts over the domain's energy. codecarbon: the sum of four trackers over
one tracker around them.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, MutableSequence
from pathlib import Path
from typing import Any

SECONDS = 3.0


def burn() -> None:
    """Work for a while."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        sum(i * i for i in range(1000))


def request(model: str) -> None:
    """One greengen request."""
    import greengen

    with greengen.request(model=model):
        burn()


def tracked(results: MutableSequence[float]) -> None:
    """One codecarbon tracker around the same work; J, into `results`."""
    from codecarbon import OfflineEmissionsTracker

    tracker = OfflineEmissionsTracker(
        country_iso_code="FRA", save_to_file=False, log_level="critical", measure_power_secs=1, allow_multiple_runs=True
    )
    tracker.start()
    burn()
    tracker.stop()
    results.append(float(tracker.final_emissions_data.energy_consumed) * 3.6e6)


def at_once(mode: str, target: Callable[..., None], arguments: list[tuple[Any, ...]]) -> None:
    """Run `target` four times at once."""
    make: Callable[..., Any] = threading.Thread if mode == "threads" else multiprocessing.get_context("fork").Process
    workers = [make(target=target, args=a) for a in arguments]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def greengen_ratio(mode: str, directory: Path) -> float:
    """Σ accounts / domain, by a real `greengen profile` of this file."""
    report = directory / "report.json"
    program = str(Path(sys.executable).parent / "greengen")
    command = [program, "profile", "-o", str(directory / "run.greengen"), "--json", str(report), "--"]
    subprocess.run([*command, sys.executable, __file__, mode, "work"], check=True, capture_output=True)
    document = json.loads(report.read_text())
    assert sum(model["requests"] for model in document["models"]) == 4
    parts = [account["energy_j"]["value"] for account in document["accounts"]]
    return math.fsum(part for part in parts if part is not None) / float(document["totals"]["energy_j"]["value"])


def codecarbon_ratio(mode: str) -> float:
    """Σ of four trackers / one around them."""
    from codecarbon import OfflineEmissionsTracker

    outer = OfflineEmissionsTracker(
        country_iso_code="FRA", save_to_file=False, log_level="critical", measure_power_secs=1, allow_multiple_runs=True
    )
    parts: list[float] = []
    shared: Any = parts if mode == "threads" else multiprocessing.Manager().list()
    outer.start()
    at_once(mode, tracked, [(shared,)] * 4)
    outer.stop()
    return math.fsum(shared) / (float(outer.final_emissions_data.energy_consumed) * 3.6e6)


def main(mode: str) -> None:
    """Print both ratios."""
    if sys.argv[2:] == ["work"]:
        at_once(mode, request, [(f"m{i}",) for i in range(4)])
        return
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        ratios = {"greengen": greengen_ratio(mode, Path(directory)), "codecarbon": codecarbon_ratio(mode)}
        os.chdir("/")
    print(json.dumps(ratios))


if __name__ == "__main__":
    main(sys.argv[1])
