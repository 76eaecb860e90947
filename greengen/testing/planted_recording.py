"""The recording of a planted trial: a fake machine, its meter, its neighbour, and `greengen profile` itself."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from greengen.testing import planted_meter, planted_work, trees
from greengen.testing.planted_counters import Counter

#: What lies in the folder of a recording.
RUN, TRUTH, REPORT = "run.greengen", "truth.csv", "report.txt"

_INTERVAL_S = "0.02"
_LONGEST_S = 120.0

#: A recording around this one is not that of the processes started here, nor is its machine theirs.
_NOT_PASSED_ON = ("GREENGEN_RECORDING", "GREENGEN_SYSFS", "GREENGEN_PROCFS")


def record(place: Path, sealed: Path, counter: Counter, *, neighbour: bool) -> None:
    """Fill the folder `place`. Raises RuntimeError, OSError or a SubprocessError where a process fails."""
    machine = counter.build(trees.machine(place / "machine", model=trees.INTEL_LAPTOP_CPU, cpus=2))
    address = f"greengen-planted-{secrets.token_hex(8)}"
    files = [str(machine.sysfs), str(sealed), str(place / TRUTH)]
    with ExitStack() as running:
        meter = [sys.executable, "-m", "greengen.testing.planted_meter", address, counter.name, *files]
        metering = running.enter_context(_process(meter))
        if neighbour:
            running.enter_context(_process(planted_work.command("neighbour", address)))
        _profile(place, machine.sysfs, counter, address)
        planted_meter.ask(address, "stop")
        metering.wait(_LONGEST_S)


@contextmanager
def _process(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that said it is ready, and that does not outlive this."""
    with _started(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 -- it was opened as a pipe
        if process.stdout.readline() != "ready\n":
            msg = f"{' '.join(command)} did not start"
            raise RuntimeError(msg)
        yield process


@contextmanager
def _started(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:  # noqa: ANN401 -- Popen's
    environment = {key: value for key, value in os.environ.items() if key not in _NOT_PASSED_ON}
    environment |= options.pop("env", {})
    with subprocess.Popen(command, text=True, env=environment, **options) as process:  # noqa: S603
        try:
            yield process
        finally:
            process.kill()


def _profile(place: Path, sysfs: Path, counter: Counter, address: str) -> None:
    greengen = [sys.executable, "-c", "from greengen.cli import main; main()", "profile"]
    collectors = ",".join((*counter.collectors, "procfs"))
    options = ["-o", str(place / RUN), "--collectors", collectors, "--interval", _INTERVAL_S, "--"]
    command = [*greengen, *options, *planted_work.command("launch", address, str(counter.unit_s))]
    report = place / REPORT
    with (
        report.open("w", encoding="utf-8") as file,
        _started(command, env={"GREENGEN_SYSFS": str(sysfs), **counter.variables}, stdout=file, stderr=file) as process,
    ):
        planted_meter.register(address, planted_work.RECORDER, process.pid)
        code = process.wait(_LONGEST_S)
    if code:
        msg = f"greengen profile failed:\n{report.read_text(encoding='utf-8')}"
        raise RuntimeError(msg)
