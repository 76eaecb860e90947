"""How far each policy is from what requests really cost: a table over simulated services.

    python examples/policies.py --html policies.html

Three workloads at three batch sizes, two true costs of a step and several meters, over published
seeds. The truth is the Shapley value of each step's true cost, which no policy is told. Printed are
the median and the 95th percentile of the error per request, in percent. A sensor's gain is an error
of all requests alike, and left out. `per output token` is no policy, but what benchmarks report: all
joules of requests over all output tokens, times the request's own.

The joules are simulated: they rank policies, and say nothing of a device.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from greengen.accounting import ledger
from greengen.accounting.policies import POLICIES
from greengen.rows import Rows
from greengen.testing.serving.costs import Affine, Cost, Roofline
from greengen.testing.serving.meters import METERS
from greengen.testing.serving.power import traces
from greengen.testing.serving.recording import to_rows, uid_of
from greengen.testing.serving.serve import Instance, Served, serve
from greengen.testing.serving.shapley import reference
from greengen.testing.serving.workload import SEEDS, WORKLOADS, Workload

Floats = NDArray[np.float64]

COSTS: dict[str, Cost] = {"affine": Affine(), "roofline": Roofline()}

#: Mean requests at once.
BATCHES = (2.6, 10.0, 40.0)

#: How long each service runs, about, and how many requests it has at least.
SECONDS, REQUESTS = 75.0, 40

PER_TOKEN = "per output token"  # noqa: S105 -- a token of text

#: The least error that the drawing tells from none, percent.
LEAST = 0.01


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: errors by policy, percent, over the requests of all seeds."""

    workload: str
    batch: float
    cost: str
    meter: str
    errors: dict[str, Floats]

    def figures(self, policy: str) -> tuple[float, float]:
        """(median, 95th percentile)."""
        median, high = np.percentile(self.errors[policy], (50, 95))
        return float(median), float(high)


def attributed(rows: Rows, policy: str, requests: int) -> Floats:
    """J of each request that the ledger finds, shape (n,)."""
    book = ledger.build(rows, policy=policy)
    found = dict.fromkeys((uid_of(i) for i in range(requests)), 0.0)
    for chapter in book.chapters:
        for entries in chapter.totalled:
            for row, joules in zip(chapter.table.rows, entries.books.span_j.tolist(), strict=True):
                found[row.uid] += joules
    return np.array(list(found.values()))


def answers(served: Served, rows: Rows) -> Iterator[tuple[str, Floats]]:
    """Each policy's joules of each request, and those by output tokens."""
    found = {policy: attributed(rows, policy, len(served.requests)) for policy in POLICIES}
    yield from found.items()
    output = np.array([life.output_tokens for life in served.lives], dtype=float)
    # All policies share out the same joules.
    yield PER_TOKEN, next(iter(found.values())).sum() * output / output.sum()


def lines_of(workload: Workload, batch: float, cost: str, meters: Sequence[str], seeds: Sequence[int]) -> list[Line]:
    """One line per meter."""
    errors: dict[str, dict[str, list[Floats]]] = {meter: {} for meter in meters}
    for seed in seeds:
        count = max(REQUESTS, round(SECONDS * workload.rate_per_s(batch, COSTS[cost])))
        requests = workload.stream(batch, COSTS[cost], count, seed)
        served = serve(requests, Instance(workload.name, COSTS[cost]), seed)
        truth, power = reference(served, seed), traces(served)
        for meter in meters:
            rows = to_rows(served, power, replace(METERS[meter], gain=0.0), seed)
            for policy, joules in answers(served, rows):
                errors[meter].setdefault(policy, []).append(100 * np.abs(joules / truth - 1))
    return [
        Line(workload.name, batch, cost, meter, {name: np.concatenate(parts) for name, parts in errors[meter].items()})
        for meter in meters
    ]


def table(lines: Iterable[Line]) -> Iterator[str]:
    """The table, line by line: median and 95th percentile per policy."""
    for number, line in enumerate(lines):
        if not number:
            yield f"{'workload':14}{'batch':>6}  {'cost':10}{'meter':14}" + "".join(f"{p:>18}" for p in line.errors)
        figures = (line.figures(policy) for policy in line.errors)
        cells = "".join(f"{median:>10.2f},{high:>7.1f}" for median, high in figures)
        yield f"{line.workload:14}{line.batch:>6g}  {line.cost:10}{line.meter:14}{cells}"


def draw(lines: Sequence[Line], path: Path) -> None:
    """One panel per cost, meter and workload: medians as bars, up to the 95th percentile as whiskers."""
    import plotly.graph_objects as go  # noqa: PLC0415 -- for those who ask for a drawing
    from plotly.subplots import make_subplots  # noqa: PLC0415

    down = list(dict.fromkeys((line.cost, line.meter) for line in lines))
    across = list(dict.fromkeys(line.workload for line in lines))
    titles = [f"{workload}: {cost} cost, {meter}" for (cost, meter), workload in itertools.product(down, across)]
    figure = make_subplots(len(down), len(across), subplot_titles=titles, vertical_spacing=0.3 / len(down))
    colours = ("#1b7837", "#2166ac", "#762a83", "#b35806", "#666666", "#b2182b")
    policies = list(dict.fromkeys(policy for line in lines for policy in line.errors))
    for number, (panel, policy) in enumerate(itertools.product(itertools.product(down, across), policies)):
        (cost, meter), workload = panel
        of = [line for line in lines if (line.cost, line.meter, line.workload) == (cost, meter, workload)]
        medians, highs = zip(*(line.figures(policy) for line in of), strict=True)
        bars = go.Bar(
            name=policy,
            legendgroup=policy,
            showlegend=number < len(policies),
            marker_color=colours[policies.index(policy) % len(colours)],
            x=[f"batch {line.batch:g}" for line in of],
            y=[max(median, LEAST) for median in medians],
            error_y={
                "array": [high - max(low, LEAST) for low, high in zip(medians, highs, strict=True)],
                "arrayminus": [0] * len(of),
            },
        )
        figure.add_trace(bars, down.index((cost, meter)) + 1, across.index(workload) + 1)
    figure.update_yaxes(type="log", range=[np.log10(LEAST), 3], ticksuffix=" %")
    figure.update_layout(
        title="Error per request against its Shapley value: median, up to the 95th percentile (simulated)",
        barmode="group",
        template="plotly_white",
        height=260 * len(down) + 150,
    )
    figure.write_html(path, include_plotlyjs=True)


@click.command()
@click.option("--workload", "workloads", multiple=True, type=click.Choice(list(WORKLOADS)), help="Default: all three.")
@click.option("--batch", "batches", multiple=True, type=click.Choice([f"{b:g}" for b in BATCHES]), help="Default: all.")
@click.option("--meter", "meters", multiple=True, type=click.Choice(list(METERS)), help="Default: the first two.")
@click.option("--seeds", type=click.IntRange(1, len(SEEDS)), default=len(SEEDS), show_default=True, help="How many.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Draw the table into this page.")
def main(
    workloads: Sequence[str], batches: Sequence[str], meters: Sequence[str], seeds: int, html: Path | None
) -> None:
    """Compare policies with the Shapley values of simulated services."""
    chosen = list(itertools.product(workloads or WORKLOADS, [float(b) for b in batches] or BATCHES, COSTS))
    lines: list[Line] = []
    for number, (workload, batch, cost) in enumerate(chosen):
        if sys.stderr.isatty():
            print(f"{number + 1} of {len(chosen)}", end="\r", file=sys.stderr)
        lines += lines_of(WORKLOADS[workload], batch, cost, meters or list(METERS)[:2], SEEDS[:seeds])
    print(f"error per request, %: median, 95th percentile; seeds {', '.join(map(str, SEEDS[:seeds]))}")
    for text in table(lines):
        print(text)
    if html:
        draw(lines, html)


if __name__ == "__main__":
    main()
