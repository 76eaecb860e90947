"""The real processes of a planted trial: workers, the launcher that greengen profiles, and a neighbour.

A unit of work is a fixed amount of CPU time, because that is what the planted power pays for: what
else runs on the machine changes how long it takes and not what it costs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

from greengen.recording.spans import span
from greengen.testing.planted_meter import register, say

#: The units of work of the workers; how much CPU time a unit is, the trial says.
UNITS = (1, 2, 4, 8)

#: The phases, by the name of their spans; each has its own worker for each amount of work.
IN_TURN, AT_ONCE = "in turn", "at once"

#: The names under which processes register, beside those of the workers.
RECORDER, LAUNCHER, NEIGHBOUR = "recorder", "launcher", "neighbour"

#: A recorder looks for new processes once a second, and until then takes their work for a stranger's; the
#: machine's busy time it takes by the second. So what a process does in its first two seconds is not told apart.
_FOUND_S = 2.2
_PAUSE_S = 0.1
_CHUNK = 2_000


def worker_name(phase: str, units: int) -> str:
    """The name under which a worker registers."""
    return f"{phase} {units}"


def command(role: str, *arguments: str) -> list[str]:
    """The command line of one of these processes."""
    return [sys.executable, "-m", "greengen.testing.planted_work", role, *arguments]


def burn(cpu_s: float) -> None:
    """Use so much CPU time."""
    end_ns = time.process_time_ns() + int(cpu_s * 1e9)
    while time.process_time_ns() < end_ns:
        sum(range(_CHUNK))


def worker(phase: str, units: str, unit_s: str) -> None:
    """Work once, when told to by a line on stdin, and stay until stdin ends."""
    say("ready")
    if sys.stdin.readline():
        with span(kind="work", model=f"w{units}", name=phase):
            burn(int(units) * float(unit_s))
        say("done")
        sys.stdin.read()


def launch(address: str, unit_s: str) -> None:
    """Run the workers one after another, then as many at once. `unit_s`: CPU seconds of a unit of work."""
    register(address, LAUNCHER)
    team = [(phase, _start(address, phase, units, unit_s)) for phase in (IN_TURN, AT_ONCE) for units in UNITS]
    try:
        for _, process in team:
            _expect(process, "ready")
        time.sleep(_FOUND_S)
        for process in (process for phase, process in team if phase == IN_TURN):
            _go(process)
            _expect(process, "done")
        time.sleep(_PAUSE_S)
        together = [process for phase, process in team if phase == AT_ONCE]
        for process in together:
            _go(process)
        for process in together:
            _expect(process, "done")
        time.sleep(_PAUSE_S)
    finally:
        for _, process in team:
            process.communicate()


def _start(address: str, phase: str, units: int, unit_s: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    process = subprocess.Popen(command("worker", phase, str(units), unit_s), stdin=pipe, stdout=pipe, text=True)  # noqa: S603
    # At once, and not by the worker itself: what starting it costs is its own work too.
    register(address, worker_name(phase, units), process.pid)
    return process


def _go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None  # noqa: S101 -- it was opened as a pipe
    process.stdin.write("go\n")
    process.stdin.flush()


def _expect(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None  # noqa: S101 -- it was opened as a pipe
    answer = process.stdout.readline().strip()
    if answer != line:
        msg = f"a worker answered {answer!r} where {line!r} was due"
        raise RuntimeError(msg)


def neighbour(address: str) -> None:
    """Keep a core busy until the process that started this one ends it, or is gone."""
    register(address, NEIGHBOUR)
    parent = os.getppid()
    say("ready")
    while os.getppid() == parent:
        burn(0.01)


_ROLES: dict[str, Callable[..., None]] = {"worker": worker, "launch": launch, "neighbour": neighbour}

if __name__ == "__main__":
    _ROLES[sys.argv[1]](*sys.argv[2:])
