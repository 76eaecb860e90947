"""A scenario: recorded rows, and what any correct answer to them says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from greengen.rows import Rows
from greengen.testing.serving.meters import METERS, Meter
from greengen.testing.serving.power import Trace, traces
from greengen.testing.serving.recording import to_rows, uid_of
from greengen.testing.serving.serve import Served
from greengen.testing.serving.shapley import reference
from greengen.testing.serving.workload import Floats

#: Accounts of joules that are no span's.
QUIET = ("idle", "overhead")

#: Relative. A perfect meter resolves a millisecond, and a step takes six of them or more.
CLOSE = 0.01


@dataclass(frozen=True, slots=True)
class Expected:
    """Joules that an answer must have.

    what       in words
    accounts   uids of spans, or `idle` and `overhead`: these together
    tolerance  relative
    policies   under which policies; none: under every one
    device     uid of the domain in which; empty: over the cover
    """

    what: str
    accounts: tuple[str, ...]
    energy_j: float
    tolerance: float = CLOSE
    policies: tuple[str, ...] = ()
    device: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One situation. `served` and `power` are the truth behind `rows`."""

    name: str
    rows: Rows
    expected: tuple[Expected, ...]
    served: Served
    power: Mapping[str, Trace]


Make = Callable[[int], Scenario]


def scenario(
    name: str,
    served: Served,
    seed: int,
    expected: Iterable[Expected],
    *,
    meters: Meter | Mapping[str, Meter] = METERS["perfect"],
    power: Mapping[str, Trace] | None = None,
) -> Scenario:
    """The scenario of a service; what holds for every one of them is expected too."""
    found = traces(served) if power is None else power
    rows = to_rows(served, found, meters, seed)
    requests = tuple(uid_of(i) for i in range(len(served.requests)))
    if found.keys() == served.draws.keys():
        whole = sum(float(found[device].cumulated_j[-1]) for device in served.draws)
        everything = Expected("every joule is booked once", (*requests, *_others(rows), *QUIET), whole)
        expected = (*expected, everything)
    return Scenario(name, rows, tuple(expected), served, found)


def _others(rows: Rows) -> tuple[str, ...]:
    return tuple(span.uid for span in rows.timelines[0].spans if span.kind != "request")


def each(values: Floats, what: str, *, tolerance: float = CLOSE, policies: tuple[str, ...] = ()) -> list[Expected]:
    """One expectation per request: its J."""
    return [Expected(what, (uid_of(i),), joules, tolerance, policies) for i, joules in enumerate(values.tolist())]


def of_steps(served: Served, seed: int, *, tolerance: float = CLOSE) -> list[Expected]:
    """Each request's Shapley value, which whoever knows the steps must find."""
    return each(reference(served, seed), "its Shapley value of each step", tolerance=tolerance, policies=("affine",))


def together(
    served: Served,
    what: str,
    chosen: Iterable[int],
    *,
    tolerance: float = CLOSE,
    policies: tuple[str, ...] = (),
) -> Expected:
    """Some requests' joules together: their Shapley values' sum."""
    members = list(chosen)
    energy_j = float(reference(served, 0)[members].sum())
    return Expected(what, tuple(uid_of(i) for i in members), energy_j, tolerance, policies)


def idle_joules(served: Served, power: Mapping[str, Trace]) -> float:
    """J that the devices drew while none of their steps ran."""
    total = 0.0
    for device, draws in served.draws.items():
        begun, over = (np.array([draw[column] for draw in draws], dtype=np.int64) for column in range(2))
        total += float(power[device].cumulated_j[-1] - power[device].energy_j(begun, over).sum())
    return total
