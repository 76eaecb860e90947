"""Runs to be compared: hosts whose meter reads what a test says, written as run files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from greengen.collector import MACHINE, PROFILED, Domain
from greengen.recording import export
from greengen.rows import ProcessRow, Rows, Segment, Series, SpanRow, Timeline

SECOND = 1_000_000_000
PACKAGE = Domain("rapl:package-0", "rapl", "package", "CPU", gain=0.05)
GPU = Domain("nvml:GPU-1", "nvml", "gpu", "GPU", gain=0.05)
MODEL = Domain("cpu_model:package", "cpu_model", "package", "CPU (modelled)", grade="modelled", gain=0.3, split="cpu",
               workload=0.095)  # fmt: skip

#: 10 requests, of a second each, one after the other.
REQUESTS = 10


def timeline(
    joules: float,
    *,
    uid: str,
    start_s: float = 1000.0,
    host: str = "box",
    domain: Domain = PACKAGE,
    model: str = "m",
    traces: Sequence[str] = (),
    info: dict[str, object] | None = None,
) -> Timeline:
    """A recording in which each of `REQUESTS` requests costs `joules`, and nothing else does. `info`: tier, state."""
    step = SECOND
    t_ns = [i * step for i in range(REQUESTS + 1)]
    told = {"interval_s": 1.0} | (info or {})
    spans = [
        SpanRow(f"{uid}/{i}", f"p-{uid}", None, "request", t_ns[i], t_ns[i + 1], model=model, input_tokens=8,
                output_tokens=20, trace_id=traces[i] if traces else None)
        for i in range(REQUESTS)
    ]  # fmt: skip
    usage = {}
    if domain.split == "cpu":
        busy = [joules * i * SECOND / 10 for i in range(REQUESTS + 1)]
        usage = {("cpu", user): Series(t_ns, busy, [0, *[step] * REQUESTS]) for user in (PROFILED, MACHINE)}
    return Timeline(
        f"boot-{host}",
        host,
        domains=[domain],
        samples={domain.uid: Series(t_ns, [joules * i for i in range(REQUESTS + 1)], [0, *[step] * REQUESTS])},
        usage=usage,
        spans=spans,
        processes=[ProcessRow(f"p-{uid}", 1, "main", t_ns[-1], closed=True, lost_rows=0, command="serve")],
        segments=[Segment(f"s-{uid}", f"p-{uid}", 0, t_ns[-1], int(start_s * SECOND), told)],
    )


def write(folder: Path, name: str, *timelines: Timeline) -> str:
    """The path of a run of these."""
    path = folder / f"{name}.greengen"
    export.write(Rows(timelines=list(timelines)), path)
    return str(path)


def repeats(folder: Path, name: str, costs: Sequence[float], *, first: int = 0, **given: object) -> list[str]:
    """A run per cost, every second place of the order of recording on one host from `first` on."""
    return [
        write(folder, f"{name}{i}",
              timeline(cost, uid=f"{name}{i}", start_s=1000.0 + 100 * (2 * i + first), **given))  # type: ignore[arg-type]
        for i, cost in enumerate(costs)
    ]  # fmt: skip
