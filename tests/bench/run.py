"""`make bench`: the budgets of the design, each as a ratio to a peer or a floor measured in the same run.

Medians of several runs, because machines are noisy. Prints a table; exit code 0 whatever it says: a
benchmark informs, it does not fail a build.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent

#: Prints CPU seconds and peak resident MB of a fresh interpreter that runs {code}.
_COST = """
import resource, time
{code}
usage = resource.getrusage(resource.RUSAGE_SELF)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
"""


def cost(code: str, runs: int = 9) -> tuple[float, float]:
    """(CPU s, peak MB) of a fresh interpreter that runs `code`, medians."""
    results = []
    for _ in range(runs):
        out = subprocess.run(
            [sys.executable, "-c", _COST.format(code=code)], capture_output=True, text=True, check=True, cwd="/"
        ).stdout.split()
        results.append((float(out[-2]), float(out[-1])))
    return statistics.median(cpu for cpu, _ in results), statistics.median(mb for _, mb in results)


def child_cpu_s(command: Sequence[str], runs: int = 5, **environment: str) -> float:
    """CPU seconds of a whole command with its children, median."""
    return statistics.median(_one_child(command, environment) for _ in range(runs))


def _one_child(command: Sequence[str], environment: dict[str, str]) -> float:
    before = os.times()
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            command,
            check=False,
            capture_output=True,
            cwd=directory,
            env={**os.environ, **environment, "HOME": directory},
        )
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def script(name: str, *arguments: str, runs: int = 5, key: Callable[[dict[str, float]], float]) -> float:
    """One number out of the JSON line that a script beside this file prints, median."""
    values = []
    for _ in range(runs):
        done = subprocess.run(
            [sys.executable, str(HERE / name), *arguments], capture_output=True, text=True, check=True
        )
        values.append(key(json.loads(done.stdout.splitlines()[-1])))
    return statistics.median(values)


def row(what: str, ours: str, budget: str, beside: str) -> None:
    """One line of the table."""
    print(f"{what:<46} {ours:>22} {budget:>14}   {beside}", flush=True)


def imports() -> None:
    """`import greengen`, over a bare interpreter."""
    bare, ours, theirs = cost("pass"), cost("import greengen"), cost("from codecarbon import EmissionsTracker")
    used = cost("import greengen; greengen.request; greengen.profile")
    for what, got in (("import greengen", ours), ("import greengen, and use request and profile", used)):
        row(
            what,
            f"{1e3 * (got[0] - bare[0]):.0f} ms, {got[1] - bare[1]:.1f} MB",
            "30 ms, 8 MB",
            f"codecarbon {1e3 * (theirs[0] - bare[0]):.0f} ms, {theirs[1] - bare[1]:.1f} MB: "
            + beside_peer(got[0] - bare[0], theirs[0] - bare[0], 30, 103),
        )


def beside_peer(ours: float, theirs: float, budget: float, stated: float) -> str:
    """How ours stands to a peer in this run, and how the budget stood to the same peer where it was stated."""
    return f"{ours / theirs:.2g} of it (budget {budget / stated:.2g})"


def spans() -> None:
    """One request span, with a recording and without."""
    theirs = script("spans.py", "codecarbon", runs=1, key=lambda result: result["us"])
    for mode, budget_us in (("on", 3.0), ("off", 0.5)):
        ours = script("spans.py", mode, key=lambda result: result["us"])
        empty = script("spans.py", "empty", key=lambda result: result["us"])
        beside = f"codecarbon task {theirs:.0f} us: {beside_peer(ours, theirs, budget_us, 391)}"
        row(
            f"request span, recording {mode}",
            f"{ours:.2f} us",
            f"{budget_us:g} us",
            f"{beside}; empty `with` {empty:.2f} us",
        )


#: Fake machines, and what is sampled of each at 10 Hz.
MACHINES = {"rapl": "4 counters", "gpus": "4 counters and 8 GPUs (fake NVML)", "jetson": "the rails of a Jetson"}


def sampling() -> None:
    """Counters at 10 Hz with process shares, against a loop that reads the same files and makes the same calls."""
    seconds = "12"
    theirs = script("sampling.py", "codecarbon", "rapl", seconds, runs=1, key=lambda result: result["cpu_s_per_min"])
    modes = ("loop", "floor", "greengen")
    for machine, what in MACHINES.items():
        runs = [
            [
                script("sampling.py", mode, machine, seconds, runs=1, key=lambda result: result["cpu_s_per_min"])
                for mode in modes
            ]
            for _ in range(3)
        ]
        of_loop, of_floor = (statistics.median(run[-1] / run[i] for run in runs) for i in (0, 1))
        loop, floor, ours = (statistics.median(run[i] for run in runs) for i in range(3))
        row(
            f"sampling {what} at 10 Hz",
            f"{of_loop:.2f} x the loop",
            "2.5 x",
            f"{ours:.3f} against {loop:.3f} CPU s/min; with files held open {floor:.3f}, {of_floor:.2f} x; "
            f"codecarbon at 0.1 s {theirs:.3f}",
        )


def reads() -> None:
    """One reading of each sysfs collector on its fake host: what greengen adds to what the driver takes."""
    done = subprocess.run([sys.executable, str(HERE / "reads.py")], capture_output=True, text=True, check=True)
    told: dict[str, dict[str, float]] = json.loads(done.stdout)
    floor = told.pop("floor")["us_per_domain"]
    for name, got in told.items():
        ours = f"{got['us_per_domain']:.1f} us per domain"
        row(f"read: {name}", ours, "", f"{got['us']:.1f} us for {got['domains']:.0f}; pread and int {floor:.1f} us")


def whole_command() -> None:
    """`greengen profile -- true`, the whole process."""
    programs = Path(sys.executable).parent
    ours = child_cpu_s([str(programs / "greengen"), "profile", "--", "true"])
    bare = child_cpu_s([sys.executable, "-c", "pass"])
    theirs = child_cpu_s(
        [str(programs / "codecarbon"), "monitor", "--offline", "--country-iso-code", "FRA", "--", "true"], 1
    )
    row(
        "greengen profile -- true",
        f"{ours:.2f} s CPU",
        "0.4 s CPU",
        f"codecarbon monitor {theirs:.2f} s: {beside_peer(ours, theirs, 0.4, 1.6)}; bare python {bare:.2f} s",
    )


def concurrency() -> None:
    """Four threads and four processes: do the parts sum to the whole?"""
    for mode in ("threads", "processes"):
        done = subprocess.run(
            [sys.executable, str(HERE / "parts.py"), mode], capture_output=True, text=True, check=True
        )
        result = json.loads(done.stdout.splitlines()[-1])
        row(
            f"4 {mode}: sum of parts / whole",
            f"{result['greengen']:.12f}",
            "1 within 1e-9",
            f"codecarbon {result['codecarbon']:.2f}",
        )


def ledger() -> None:
    """Ten million spans over four devices of a million readings each, and how it grows."""
    for shape, what in (("one", "each on one of 4 devices"), ("all", "each on all 4 devices")):
        for weights in ("equal", "mixed"):
            threads = str(os.cpu_count() or 1)
            got, alone = _ledger("10000000", shape, weights, threads), _ledger("10000000", shape, weights)
            row(
                f"10 M spans, {what}, {weights}",
                f"{got['ratio']:.2f} x, {got['peak_mb']:.0f} MB",
                "3 x, 1500 MB",
                f"{threads} threads {got['ours_s']:.2f} s, one {alone['ratio']:.2f} x; "
                f"numpy.sort of the edges {got['sort_s']:.2f} s; balance {got['error']:.0e}",
            )
    # Two edges per span, and one per reading.
    per_edge = []
    for many in (1, 3, 10, 30):
        got = _ledger(str(many * 1_000_000), "one", "equal")
        per_edge.append(f"{many} M: {1e9 * got['ours_s'] / (many * 2e6 + 4e6):.0f}")
    row("ns per edge", ", ".join(per_edge), "constant", "")


def streamed() -> None:
    """A hundred million spans, one batch after another."""
    got = _ledger("stream", "100000000")
    row("100 M spans streamed", f"{got['peak_mb']:.0f} MB, {got['s']:.0f} s", "2000 MB", f"balance {got['error']:.0e}")


def _ledger(*arguments: str) -> dict[str, float]:
    command = [sys.executable, str(HERE / "ledger.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """All of them; with `--stream`, those that take minutes too."""
    print(f"{'what':<46} {'greengen':>22} {'budget':>14}   beside it, in the same run", flush=True)
    started = time.monotonic()
    parts = [imports, spans, sampling, reads, whole_command, concurrency, ledger]
    for part in [*parts, streamed] if "--stream" in sys.argv[1:] else parts:
        part()
    print(f"\n{time.monotonic() - started:.0f} s, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")


if __name__ == "__main__":
    main()
