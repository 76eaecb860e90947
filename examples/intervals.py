"""How often the 95 % interval of a request holds the truth: a table over simulated services and meters.

    python examples/intervals.py

Each service is read by a fake meter and, for the truth, every millisecond without error. Both are
shared alike (the plan of the first is frozen), so that what is told here is the error of metering:
sampling, refresh, averaging, noise, clock and gain. How far shares are from Shapley's is another table
(policies.py). A request too short for its meter is `unresolved`, and counted apart.

A sensor's gain is one number for all requests that it reads: it is not drawn, but taken in turn from
as many quantiles of its distribution as there are readings of a service.

`ratio` is the median half-width over the error that 95 % of the requests stay below: 1 would be
perfect, below it an interval claims too much, far above it too little. At most 3 is asked for; of the
perfect meter, whose errors are those of rounding, it says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import click
import numpy as np
from numpy.typing import NDArray

from greengen.accounting import ledger
from greengen.quantity import Z95
from greengen.rows import Rows
from greengen.testing.serving.costs import Roofline
from greengen.testing.serving.meters import METERS, Meter
from greengen.testing.serving.power import traces
from greengen.testing.serving.recording import to_rows
from greengen.testing.serving.serve import Instance, Served, serve
from greengen.testing.serving.workload import CHAT, LONG_PROMPTS, SEEDS

Floats = NDArray[np.float64]

#: Errors that say how sure the shares are, and not the meter.
SHARES = ("share:", "coefficients:", "workload:")

COST = Roofline()

#: How often each service is read by each meter, with other noise and another gain.
READINGS = 4


@dataclass(frozen=True, slots=True)
class Found:
    """Requests of one service under one meter: error and half-width in J, whether unresolved, J; each shape (n,)."""

    error_j: Floats
    half_j: Floats
    unresolved: NDArray[np.bool_]
    energy_j: Floats


def isolated(seed: int) -> Served:
    """One request at a time, with seconds of nothing between: bursts of 0.2 to 5 s."""
    stream = CHAT.stream(2.6, COST, 60, seed)
    rng = np.random.default_rng([seed, 9])
    arrivals = np.cumsum(rng.uniform(4.0, 9.0, len(stream)))
    requests = [
        replace(request, arrival_ns=round(at * 1e9)) for request, at in zip(stream, arrivals.tolist(), strict=True)
    ]
    return serve(requests, Instance("bursts", COST), seed)


def batched(seed: int) -> Served:
    """Ten at once, all the time."""
    return serve(LONG_PROMPTS.stream(10.0, COST, 250, seed), Instance("batched", COST), seed)


LOADS = {"isolated bursts": isolated, "batched": batched}


def read(served: Served, meter: Meter, seed: int, gain: float) -> Rows:
    """What is recorded of a service by a meter whose gain is off by `gain`."""
    rows = to_rows(served, traces(served), replace(meter, gain=0.0), seed)
    for timeline in rows.timelines:
        for series in timeline.samples.values():
            series.values[:] = [value * (1 + gain) for value in series.values]
        timeline.domains = [
            replace(d, gain=meter.gain, wrap_j=None if d.wrap_j is None else d.wrap_j * (1 + gain))
            for d in timeline.domains
        ]
    return rows


def measured(served: Served, meter: Meter, seed: int, gain: float) -> Found:
    """What the ledger says of each request, against what it says with a perfect meter."""
    power = traces(served)
    book = ledger.build(read(served, meter, seed, gain))
    truth = ledger.build(to_rows(served, power, METERS["perfect"], seed), policy=book.plan)
    [chapter], [exact] = book.chapters, truth.chapters
    [entries], [reference] = chapter.totalled, exact.totalled
    half = np.zeros(len(chapter.table))
    value = np.zeros(len(chapter.table))
    for i in range(len(chapter.table)):
        quantity = entries.spans(np.array([i]), str(i))
        kept = [error.sigma for error in quantity.errors if not error.name.startswith(SHARES)]
        half[i], value[i] = Z95 * math.sqrt(math.fsum(s * s for s in kept)), quantity.value or 0.0
    true_j = reference.books.span_j
    return Found(value - true_j, half, entries.unresolved, true_j)


def lines(meters: Sequence[str], seeds: Sequence[int]) -> Iterator[str]:
    """The table, line by line."""
    yield (
        f"{'load':18}{'meter':14}{'requests':>9}{'unresolved':>11}{'covered':>9}"
        f"{'half-width':>11}{'error, 95 %':>12}{'ratio':>7}"
    )
    for load, service in LOADS.items():
        every = {seed: service(seed) for seed in seeds}
        for meter in meters:
            readings = len(every) * READINGS
            found = []
            for number, (seed, served) in enumerate(list(every.items()) * READINGS):
                # In leaps, so that no service has all that is low.
                quantile = ((number * 7) % readings + 0.5) / readings
                gain = METERS[meter].gain * NormalDist().inv_cdf(quantile)
                found.append(measured(served, METERS[meter], seed + number, gain))
            error, half, out, energy = (
                np.concatenate([getattr(one, name) for one in found])
                for name in ("error_j", "half_j", "unresolved", "energy_j")
            )
            kept = ~out
            if not kept.any():
                yield f"{load:18}{meter:14}{error.size:9}{'100.0 %':>11}"
                continue
            covered = float(np.mean(np.abs(error[kept]) <= half[kept] + 1e-9))
            width = float(np.median(half[kept] / energy[kept]))
            high = float(np.percentile(np.abs(error[kept]) / energy[kept], 95))
            yield (
                f"{load:18}{meter:14}{error.size:9}{100 * out.mean():9.1f} %{100 * covered:7.1f} %"
                f"{100 * width:9.2f} %{100 * high:10.2f} %{width / max(high, 1e-12):7.2f}"
            )


@click.command()
@click.option("--meter", "meters", multiple=True, type=click.Choice(list(METERS)), help="Default: all.")
@click.option("--seeds", type=click.IntRange(1, len(SEEDS)), default=len(SEEDS), show_default=True, help="How many.")
def main(meters: Sequence[str], seeds: int) -> None:
    """Count how often intervals hold."""
    for line in lines(meters or list(METERS), SEEDS[:seeds]):
        print(line)


if __name__ == "__main__":
    main()
