"""What a run file would hold of a simulated service: meters' readings, spans, steps and stints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from greengen.collector import MACHINE
from greengen.rows import Engine, ProcessRow, Rows, Segment, Series, SpanRow, Timeline
from greengen.testing.serving.meters import Meter
from greengen.testing.serving.power import Trace
from greengen.testing.serving.serve import Served
from greengen.testing.serving.steps import engine_steps, stints

#: The one process that is recorded.
PROCESS = "sim:1:0"


def uid_of(request: int) -> str:
    """The span of a request, by its number."""
    return f"{PROCESS}/{request}"


def to_rows(
    served: Served,
    traces: Mapping[str, Trace],
    meters: Meter | Mapping[str, Meter],
    seed: int,
    *,
    phases: bool = True,
    steps: bool = True,
) -> Rows:
    """The run: one timeline with a domain per trace, read by its meter.

    traces  by domain uid; beside the devices there may be others (a host, a wall plug)
    meters  one for all, or by domain uid; a `wall` contains all other domains
    phases  whether the spans tell when they were scheduled and got their first token
    steps   whether the engines tell which requests each of their steps served
    """
    timeline = Timeline("sim", "simulator")
    for place, (uid, trace) in enumerate(traces.items()):
        meter = meters if isinstance(meters, Meter) else meters[uid]
        series = meter.read(trace, seed + place)
        contains = tuple(other for other in traces if other != uid) if meter.kind == "wall" else ()
        activity = uid if uid in served.draws else next(iter(served.draws))
        timeline.domains.append(meter.domain(uid, contains=contains, activity=activity))
        timeline.samples[uid] = series
        if uid in served.draws:
            timeline.usage[uid, MACHINE] = busy(served, uid, series)
    end_ns = max(trace.end_ns for trace in traces.values())
    asked = {} if isinstance(meters, Mapping) else {"interval_s": meters.poll_s}
    timeline.segments.append(Segment("sim:segment", PROCESS, 0, end_ns, 0, {"own_process": True} | asked))
    timeline.processes.append(ProcessRow(PROCESS, 1, "recorder", end_ns, closed=True, lost_rows=0, command="serve"))
    timeline.spans = spans(served, phases=phases)
    if steps:
        uids = [uid_of(i) for i in range(len(served.requests))]
        for number, (instance, made) in enumerate(zip(served.instances, served.steps, strict=True)):
            uid = f"{PROCESS}/engine-{number}"
            timeline.engines.append(Engine(uid, PROCESS, instance.model, instance.devices))
            timeline.steps += engine_steps(uid, made)
            timeline.stints += stints(uid, made, uids)
    return Rows({"origin": "simulated"}, [timeline])


def busy(served: Served, device: str, series: Series) -> Series:
    """Cumulated ns in which a device worked, at the times of a series."""
    draws = sorted(served.draws[device])
    edges = np.array([edge for begin, end, _ in draws for edge in (begin, end)], dtype=float)
    total = np.concatenate(([0.0], np.cumsum(np.diff(edges) * (np.arange(edges.size - 1) % 2 == 0))))
    values = np.rint(np.interp(np.array(series.t_ns, dtype=float), edges, total))
    return Series(list(series.t_ns), values.tolist(), list(series.spacing_ns))


def spans(served: Served, *, phases: bool) -> list[SpanRow]:
    """A span per request, of kind `request`, from its arrival to its end; a retry names what it repeats."""
    found = []
    for number, (request, life) in enumerate(zip(served.requests, served.lives, strict=True)):
        instance = served.instances[served.model_of[number]]
        devices = {device: None for phase in life.phases for device in phase.devices} or dict.fromkeys(instance.devices)
        row = SpanRow(
            uid=uid_of(number),
            process=PROCESS,
            parent=None,
            kind="request",
            t0_ns=request.arrival_ns,
            t1_ns=life.end_ns,
            model=instance.model,
            name=f"request {number}",
            input_tokens=request.prompt_tokens,
            output_tokens=life.output_tokens,
            outcome=request.outcome,
            cached_tokens=life.cached_tokens,
            devices=tuple(devices),
            labels={"attempt": str(request.attempt)} if request.attempt > 1 else {},
        )
        found.append(replace(row, phases=tuple(life.phases)) if phases else row)
    return found


def another_span(number: int, kind: str, times: tuple[int, int], model: str, devices: tuple[str, ...]) -> SpanRow:
    """A span that is no request: the load of a model, its warm-up."""
    return SpanRow(f"{PROCESS}/{kind}-{number}", PROCESS, None, kind, *times, model=model, name=kind, devices=devices)
