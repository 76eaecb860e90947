"""Several devices, several models, and the host beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from greengen.testing.serving.costs import Affine
from greengen.testing.serving.engine import Engine
from greengen.testing.serving.expected import QUIET, Expected, Scenario, each, of_steps, scenario, together
from greengen.testing.serving.meters import METERS
from greengen.testing.serving.power import Trace, following, traces
from greengen.testing.serving.recording import uid_of
from greengen.testing.serving.scenarios_engine import GPU, served_by, stream
from greengen.testing.serving.serve import Instance, Served, prefill_and_decode, serve, share_device
from greengen.testing.serving.shapley import by_instance, reference, shapley
from greengen.testing.serving.workload import Floats

OTHER_GPU, HOST = "sim:gpu-1", "sim:host"

#: Two slices of the first device, in nvidia-smi's words: no counter tells them apart.
SLICES = ("sim:MIG-a", "sim:MIG-b")

#: A smaller model than the default of `Affine`: a third of the joules, half of the time.
_SMALL = Affine((0.8, 0.007, 0.02, 0.7e-5), (3.0e-3, 1.5e-5, 4.5e-5, 2.0e-8))

#: Two devices that work at once: what one did in a time, they do in two thirds of it.
_ON_TWO = Affine(joules_of=(3.0, 0.028, 0.070, 2.6e-5), seconds_of=(4.0e-3, 2.7e-5, 6.0e-5, 3.0e-8), idle_w=70.0)

#: Models on half a device each: longer steps, and half of the idle power.
_SLICED = (
    Affine((2.3, 0.022, 0.055, 2.0e-5), (1.2e-2, 8.0e-5, 1.8e-4, 9.0e-8), idle_w=35.0),
    Affine((0.8, 0.007, 0.02, 0.7e-5), (6.0e-3, 3.0e-5, 9.0e-5, 4.0e-8), idle_w=35.0),
)

#: How much longer the steps are where two models take turns: else a meter of a millisecond blurs them.
_SLOWER = 5.0

_HOST_IDLE_W, _HOST_PART = 40.0, 0.2


def _on(device: str, values: Floats, what: str, policies: tuple[str, ...] = ()) -> list[Expected]:
    """One expectation per request: its J on one device."""
    return [Expected(what, (uid_of(i),), joules, 0.01, policies, device) for i, joules in enumerate(values.tolist())]


def tensor_parallel(seed: int) -> Scenario:
    """Two devices run every step together: a request has the same part of both."""
    instance = Instance("m", _ON_TWO, devices=(GPU, OTHER_GPU))
    served = serve(stream(seed, 40, (50, 800), (30, 200), 80), instance, seed)
    half = reference(served, seed) / 2
    per_device = [e for device in instance.devices for e in _on(device, half, "half of its joules", ("affine",))]
    return scenario("tensor parallel", served, seed, [*of_steps(served, seed), *per_device])


def pipeline_parallel(seed: int) -> Scenario:
    """Two micro-batches in two stages: their steps overlap, and a stage that waits for them is not idle.

    Each moment is split between the steps in it as their power is, which leaves an answer some room: 5 %.
    """
    instance = Instance("m", Affine(), devices=(GPU, OTHER_GPU), stages=2)
    served = serve(stream(seed, 40, (50, 400), (50, 200), 60), instance, seed)
    rough = of_steps(served, seed, tolerance=0.05)
    return scenario(
        "pipeline parallel", served, seed, [*rough, together(served, "all requests", range(len(served.requests)))]
    )


def models_on_a_device(seed: int) -> Scenario:
    """Two models take turns on one device: each step's joules are its model's, though both have requests."""
    first, second = (stream(seed + 1000 * n, 25, (50, 400), (20, 80), 500) for n in range(2))
    large, small = Instance("large", _slower(Affine())), Instance("small", _slower(_SMALL))
    served = share_device([(first, large), (second, small)], seed)
    models = [
        together(served, f"all requests of model {name}", members, tolerance=0.02, policies=("affine",))
        for name, members in (("large", range(25)), ("small", range(25, 50)))
    ]
    return scenario("several models on a device", served, seed, [*of_steps(served, seed, tolerance=0.02), *models])


def _slower(cost: Affine) -> Affine:
    joules, seconds = (tuple(_SLOWER * each for each in of) for of in (cost.joules_of, cost.seconds_of))
    return replace(cost, joules_of=joules, seconds_of=seconds)


def models_on_devices(seed: int) -> Scenario:
    """Two models on a device each: nothing of one device is the other model's."""
    first, second = (stream(seed + 1000 * n, 30, (50, 400), (50, 200), 80) for n in range(2))
    streams = [(first, Instance("large", Affine())), (second, Instance("small", _SMALL, devices=(OTHER_GPU,)))]
    served = share_device(streams, seed)
    expected = of_steps(served, seed)
    for device, joules in zip((GPU, OTHER_GPU), by_instance(served, seed), strict=True):
        mine = tuple(uid_of(i) for i in np.flatnonzero(joules).tolist())
        others = tuple(uid_of(i) for i in np.flatnonzero(joules == 0).tolist())
        expected.append(Expected("the device's own model", mine, float(joules.sum()), device=device))
        expected.append(Expected("the model of another device", others, 0.0, device=device))
    return scenario("several models on several devices", served, seed, expected)


def slices(seed: int) -> Scenario:
    """A model on each of two MIG slices, and one counter for the whole device: `Domain.contains` names the slices.

    Each moment is split between the steps in it as their power is, idle power of a slice without one included:
    who works pays for the device.
    """
    streams = [
        (stream(seed + 1000 * n, 40, (50, 400), (20, 80), 400), Instance(name, cost, devices=(uid,)))
        for n, (name, cost, uid) in enumerate(zip(("large", "small"), _SLICED, SLICES, strict=True))
    ]
    served = share_device(streams, seed)
    of_slices = traces(served)
    board = Trace(np.sum([of_slices[uid].watts for uid in SLICES], axis=0))
    joules = _by_power(served, seed, board)
    expected = [
        *each(joules, "its part of the steps, by their power", policies=("affine",)),
        Expected(
            "every joule is booked once", (*map(uid_of, range(joules.size)), *QUIET), float(board.cumulated_j[-1])
        ),
    ]
    made = scenario("MIG slices", served, seed, expected, power={GPU: board})
    timeline = made.rows.timelines[0]
    timeline.domains = [replace(domain, contains=SLICES, activity=None) for domain in timeline.domains]
    return made


def _by_power(served: Served, seed: int, board: Trace) -> Floats:
    """J of each request where what a device draws is split, moment by moment, as the power of the steps in it is."""
    edges = np.unique(np.concatenate([times for steps in served.steps for times in (steps.t0_ns, steps.t1_ns)]))
    places = [(np.searchsorted(edges, steps.t0_ns), np.searchsorted(edges, steps.t1_ns)) for steps in served.steps]
    power = [steps.joules / (steps.t1_ns - steps.t0_ns) for steps in served.steps]
    live, flying = np.zeros(edges.size), np.zeros(edges.size)
    for (begin, end), watts in zip(places, power, strict=True):
        live += np.bincount(begin, watts, edges.size) - np.bincount(end, watts, edges.size)
        flying += np.bincount(begin, None, edges.size) - np.bincount(end, None, edges.size)
    in_steps = np.cumsum(flying)[:-1] > 0
    per_power = np.where(
        in_steps, board.energy_j(edges[:-1], edges[1:]) / np.where(in_steps, np.cumsum(live)[:-1], 1), 0
    )
    total = np.concatenate(([0.0], np.cumsum(per_power)))
    found = np.zeros(len(served.requests))
    for instance, steps, (begin, end), watts in zip(served.instances, served.steps, places, power, strict=True):
        drawn = watts * (total[end] - total[begin])
        parts = shapley(steps, instance.cost, seed) * (drawn / steps.joules)[steps.step]
        found += np.bincount(steps.request, parts, minlength=found.size)
    return found


def pools(seed: int) -> Scenario:
    """Prompts on one device, decodes on another: a request has joules of both, each in its phase."""
    instances = (Instance("m", Affine(), Engine(token_budget=512)), Instance("m", Affine(), devices=(OTHER_GPU,)))
    served = prefill_and_decode(stream(seed, 120, (200, 2500), (10, 60), 80), *instances, seed)
    per_pool = by_instance(served, seed)
    expected = of_steps(served, seed)
    expected += _on(GPU, per_pool[0], "its prefill", ("affine",))
    expected += _on(OTHER_GPU, per_pool[1], "its decodes", ("affine",))
    return scenario("prefill and decode pools", served, seed, expected)


def host_follows(seed: int) -> Scenario:
    """The host draws more while the accelerator works: its joules follow the accelerator's shares, step by step."""
    served = served_by(stream(seed, 50, (50, 800), (30, 200), 80), seed)
    power = _with_host(served)
    of_host = reference(served, seed, traces={GPU: power[HOST]})
    expected = [*of_steps_on(served, seed), *_on(HOST, of_host, "its part of the host, as of the device", ("affine",))]
    meters = {GPU: METERS["perfect"], HOST: replace(METERS["rapl"], gain=0.0)}
    return scenario("the host follows", served, seed, expected, meters=meters, power=power)


def of_steps_on(served: Served, seed: int) -> list[Expected]:
    """Each request's Shapley value, on the first device alone."""
    return _on(GPU, reference(served, seed), "its Shapley value of each step", ("affine",))


def _with_host(served: Served) -> Mapping[str, Trace]:
    power = traces(served)
    return power | {HOST: following([power[GPU]], _HOST_IDLE_W, _HOST_PART, served.idle_w[GPU])}
