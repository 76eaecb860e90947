"""Requests through engines on devices: what was run when, and what each step cost in truth.

One loop serves them all. A pipeline has several schedulers of one engine, one per micro-batch, whose
steps pass through the stages one after another; models that share a device take turns on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from greengen.rows import Phase
from greengen.testing.serving.costs import Cost, padding_of, work_of
from greengen.testing.serving.engine import Engine, Life, Scheduler
from greengen.testing.serving.steps import Log, Steps
from greengen.testing.serving.workload import Floats, Ints, Request

#: (start ns, end ns, J) of a device that works.
Draw = tuple[int, int, float]


@dataclass(frozen=True, slots=True)
class Instance:
    """A model that is served: on which devices, within which limits, at what cost.

    stages  over how many stages its devices are spread (pipeline parallel); the devices of a stage share
            each step's energy evenly (tensor parallel)
    """

    model: str
    cost: Cost
    engine: Engine = field(default_factory=Engine)
    devices: tuple[str, ...] = ("sim:gpu-0",)
    stages: int = 1


@dataclass(frozen=True, slots=True)
class Served:
    """What became of requests.

    requests, lives  one each, in the same order
    instances        what served them, and `steps` of each
    model_of         number of the instance that each request was sent to
    draws            by device: when it worked, and J (all that it drew meanwhile)
    idle_w           by device: what it draws otherwise
    """

    requests: tuple[Request, ...]
    lives: tuple[Life, ...]
    instances: tuple[Instance, ...]
    steps: tuple[Steps, ...]
    draws: dict[str, list[Draw]]
    idle_w: dict[str, float]
    model_of: tuple[int, ...]

    @property
    def end_ns(self) -> int:
        """When the last step was over."""
        return max(end for draws in self.draws.values() for _, end, _ in draws)


def serve(requests: Sequence[Request], instance: Instance, seed: int) -> Served:
    """One model serves all requests."""
    return share_device([(requests, instance)], seed)


def share_device(streams: Sequence[tuple[Sequence[Request], Instance]], seed: int) -> Served:
    """Several models, each with its own stream of requests, take turns on the same devices, or work on their own."""
    requests = tuple(request for stream, _ in streams for request in stream)
    lanes: list[_Lane] = []
    offset = 0
    for number, (stream, instance) in enumerate(streams):
        for batch in range(instance.stages):
            mine = range(offset + batch, offset + len(stream), instance.stages)
            lanes.append(
                _Lane(number, instance, Scheduler(requests, instance.engine, seed + batch, numbers=mine), mine)
            )
        offset += len(stream)
    logs = [Log() for _ in streams]
    draws: dict[str, list[Draw]] = {device: [] for _, instance in streams for device in instance.devices}
    _run(lanes, logs, draws)
    lives = [Life(request.arrival_ns) for request in requests]
    model_of = [0] * len(requests)
    for lane in lanes:
        for i in lane.numbers:
            lives[i], model_of[i] = lane.scheduler.lives[i], lane.stream
    idle_w = dict.fromkeys(draws, 0.0)
    for _, instance in streams:
        for device in instance.devices:
            idle_w[device] = max(idle_w[device], instance.cost.idle_w)
    return Served(
        requests,
        tuple(lives),
        tuple(instance for _, instance in streams),
        tuple(log.close() for log in logs),
        draws,
        idle_w,
        tuple(model_of),
    )


@dataclass(slots=True)
class _Lane:
    stream: int
    instance: Instance
    scheduler: Scheduler
    numbers: Sequence[int]
    ready_ns: int = 0


def _run(lanes: Sequence[_Lane], logs: Sequence[Log], draws: dict[str, list[Draw]]) -> None:
    free: dict[str, int] = dict.fromkeys(draws, 0)
    while True:
        starts = [
            (max(start, *(free[device] for device in _stage(lane.instance, 0))), lane.ready_ns, place)
            for place, lane in enumerate(lanes)
            if (start := lane.scheduler.next_ns(lane.ready_ns)) is not None
        ]
        if not starts:
            return
        # Of those that could start at once, the one that waited longest.
        start_ns, _, place = min(starts)
        lane = lanes[place]
        if len(lanes) == 1 and lane.instance.stages == 1 and _coast(lane, start_ns, logs[0], draws):
            free = dict.fromkeys(draws, lane.ready_ns)
            continue
        plan = lane.scheduler.plan(start_ns)
        work = np.array(plan.work)
        joules = float(lane.instance.cost.joules(work))
        each_ns = max(1, round(float(lane.instance.cost.seconds(work)) * 1e9 / lane.instance.stages))
        end_ns = start_ns
        for stage in range(lane.instance.stages):
            devices = _stage(lane.instance, stage)
            begin_ns = max(end_ns, *(free[device] for device in devices))
            end_ns = begin_ns + each_ns
            for device in devices:
                free[device] = end_ns
                draws[device].append((begin_ns, end_ns, joules / len(lane.instance.devices)))
        logs[lane.stream].add((start_ns, end_ns, plan.padding, joules), np.array(plan.parts, dtype=np.int64))
        lane.ready_ns = end_ns
        lane.scheduler.finish(end_ns)


def _coast(lane: _Lane, start_ns: int, log: Log, draws: dict[str, list[Draw]]) -> bool:
    """Run many alike steps at once, if there are any: it is ten times as fast."""
    ahead = lane.scheduler.coasting()
    if ahead is None:
        return False
    cost, devices = lane.instance.cost, lane.instance.devices
    work = work_of(np.zeros_like(ahead.numbers), np.ones_like(ahead.numbers), ahead.contexts).sum(axis=0)
    work = work + padding_of(np.array(ahead.padding))
    # Each request's context grows by a token per step, and with it the pairs.
    grows = np.array([0.0, 0.0, 1.0, 1.0]) * ahead.numbers.size
    works = work + grows * np.arange(ahead.steps)[:, None]
    ends = start_ns + np.cumsum(np.maximum(np.rint(cost.seconds(works) * 1e9), 1.0).astype(np.int64))
    begins = np.concatenate(([start_ns], ends[:-1]))
    steps = ahead.steps if ahead.until_ns is None else int(np.searchsorted(begins, ahead.until_ns))
    if not steps:
        return False
    joules = cost.joules(works[:steps])
    rows = list(zip(begins[:steps].tolist(), ends[:steps].tolist(), joules.tolist(), strict=True))
    for (begin, end, spent), parts in zip(rows, ahead.parts(steps), strict=True):
        log.add((begin, end, ahead.padding, spent), parts)
    for device in devices:
        draws[device] += [(begin, end, spent / len(devices)) for begin, end, spent in rows]
    lane.scheduler.coast(steps)
    lane.ready_ns = rows[-1][1]
    return True


def _stage(instance: Instance, stage: int) -> tuple[str, ...]:
    each = len(instance.devices) // instance.stages
    return instance.devices[stage * each : (stage + 1) * each]


def prefill_and_decode(
    requests: Sequence[Request], prefill: Instance, decode: Instance, seed: int, *, transfer_s: float = 0.02
) -> Served:
    """Two pools on devices of their own: the first computes prompts and first tokens, the second the rest.

    A request's cache takes `transfer_s` from one to the other.
    """
    first = serve(
        [replace(request, output_tokens=min(1, request.output_tokens)) for request in requests], prefill, seed
    )
    moved = [i for i, request in enumerate(requests) if request.output_tokens > 1]
    arrivals = {i: (first.lives[i].end_ns or 0) + round(transfer_s * 1e9) for i in moved}
    second = serve(
        [replace(requests[i], arrival_ns=arrivals[i], resident=True) for i in moved], decode, seed + len(requests)
    )
    lives = list(first.lives)
    for place, i in enumerate(moved):
        before, after = lives[i], second.lives[place]
        lives[i] = replace(
            before,
            end_ns=after.end_ns,
            output_tokens=after.output_tokens,
            preemptions=before.preemptions + after.preemptions,
            phases=[
                *(phase._replace(devices=prefill.devices) for phase in before.phases),
                Phase("transfer", before.end_ns or 0, (*prefill.devices, *decode.devices)),
                *([Phase("queue", after.arrival_ns)] if after.scheduled_ns != after.arrival_ns else []),
                *(phase._replace(devices=decode.devices) for phase in after.phases),
            ],
        )
    [of_prefill], [of_decode] = first.steps, second.steps
    return Served(
        tuple(requests),
        tuple(lives),
        (prefill, decode),
        (of_prefill, replace(of_decode, request=np.array(moved, dtype=np.int64)[of_decode.request])),
        first.draws | second.draws,
        first.idle_w | second.idle_w,
        first.model_of,
    )


def bubble_joules(served: Served, number: int) -> Floats:
    """J that an instance's devices draw idle while steps of it are in flight, by step, shape (s,).

    Only a pipeline has them. At each moment they are split evenly over the steps in flight.
    """
    steps, devices = served.steps[number], served.instances[number].devices
    draws = [draw for device in devices for draw in served.draws[device]]
    begun, over = (np.array([draw[column] for draw in draws], dtype=np.int64) for column in range(2))
    edges = np.unique(np.concatenate([steps.t0_ns, steps.t1_ns, begun, over]))
    flying, busy = _live(edges, steps.t0_ns, steps.t1_ns), _live(edges, begun, over)
    idle_w = np.maximum(len(devices) - busy, 0) * served.idle_w[devices[0]]
    each_j = np.where(flying > 0, idle_w / np.maximum(flying, 1), 0.0) * np.diff(edges) / 1e9
    cumulated = np.concatenate(([0.0], np.cumsum(each_j)))
    return np.asarray(cumulated[np.searchsorted(edges, steps.t1_ns)] - cumulated[np.searchsorted(edges, steps.t0_ns)])


def _live(edges: Ints, t0_ns: Ints, t1_ns: Ints) -> Ints:
    """How many of the intervals hold each stretch between two edges."""
    change = np.zeros(edges.size, dtype=np.int64)
    np.add.at(change, np.searchsorted(edges, t0_ns), 1)
    np.add.at(change, np.searchsorted(edges, t1_ns), -1)
    return np.cumsum(change)[:-1]
