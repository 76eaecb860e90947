"""A production trace scaled through published energies per batch size, as a comparison of what would serve it.

    python examples/azure_trace.py --html azure.html
    python examples/azure_trace.py AzureLLMInferenceTrace_conv.csv --zone SWE

The trace (Azure Public Dataset, CC-BY-4.0; the first 1000 requests are beside this file) says when requests came and
how many tokens each had, and nothing of energy. The ML.ENERGY benchmark says what GPUs draw per output token, by batch
size. Their product is a declared figure: it assumes the model, the GPUs and above all the batch size that it was
published for, prompts as long as the benchmark's, and no idle time. No joule of it was measured in that service.

At which batch the trace would be served follows from its own rate: one replica works through as many tokens a second
as come in, and the batch is the one at which its published throughput is that much.
"""

from __future__ import annotations

import csv
import datetime as dt
import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import click

import greengen
from greengen import what_if
from greengen.accounting import embodied
from greengen.accounting.what_if.batching import at_batch
from greengen.accounting.what_if.flips import crossing
from greengen.comparison import Comparison
from greengen.data.hardware import hardware
from greengen.errors import UsageError
from greengen.quantity import known_to

EXCERPT = Path(__file__).with_name("azure_llm_2023_conv.csv")

SOURCE = (
    "ML.ENERGY Leaderboard v3, Llama 3.1 70B Instruct, bfloat16, vLLM, LM-Arena chats, GPUs only: "
    "https://github.com/ml-energy/leaderboard at 0cd52da (Chung et al., NeurIPS 2025 Datasets and Benchmarks)"
)

#: The benchmark's prompts and answers are not the trace's: what is moved from one to the other is known to this.
GSD = 1.5


@dataclass(frozen=True, slots=True)
class Published:
    """What a model on some GPUs was published with: (mean batch, J per output token, output tokens per s)."""

    name: str
    gpus: str
    points: tuple[tuple[float, float, float], ...]

    def joules(self, batch: float) -> float:
        """J per output token. Raises UsageError outside of what was published."""
        return _at([(b, energy) for b, energy, _ in self.points], batch)

    def seconds(self, batch: float) -> float:
        """s of the GPUs per output token."""
        return _at([(b, 1.0 / rate) for b, _, rate in self.points], batch)


#: `avg_batch_size`, `energy_per_token_joules` and `output_throughput_tokens_per_sec` of SOURCE, four digits.
H100 = Published(
    "4 H100",
    "h100*4",
    (
        (7.987, 3.759, 469.7), (15.95, 2.091, 862.6), (31.88, 1.207, 1487.0), (63.79, 0.7972, 2511.0),
        (127.6, 0.5634, 3876.0), (255.3, 0.479, 4915.0), (510.5, 0.421, 5921.0), (898.5, 0.3731, 6827.0),
    ),
)  # fmt: skip
B200 = Published(
    "2 B200",
    "b200*2",
    (
        (7.981, 3.569, 475.7), (15.94, 1.903, 910.8), (31.93, 1.092, 1590.0), (63.77, 0.6971, 2598.0),
        (127.7, 0.481, 3978.0), (255.3, 0.3614, 5372.0), (510.5, 0.2708, 7134.0), (1021.0, 0.2267, 8551.0),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trace:
    """What of a trace is needed: how many requests over how long, and the mean tokens of each."""

    requests: int
    seconds: float
    context: float
    generated: float

    @property
    def tokens_per_s(self) -> float:
        """Output tokens that come in per s, over the whole trace."""
        return self.requests * self.generated / self.seconds


def read(path: Path) -> Trace:
    """A trace file: TIMESTAMP, ContextTokens, GeneratedTokens; lines that begin with # are its licence."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    try:
        # Seven digits of a second: one more than a datetime holds.
        times = [dt.datetime.fromisoformat(row["TIMESTAMP"][:26]) for row in rows]
        context, generated = (sum(int(row[name]) for row in rows) for name in ("ContextTokens", "GeneratedTokens"))
    except (KeyError, ValueError) as error:
        msg = f"{path} is no trace with TIMESTAMP, ContextTokens and GeneratedTokens: {error}"
        raise UsageError(msg) from error
    in_order = all(one <= other for one, other in pairwise(times))
    if len(rows) < 2 or times[-1] <= times[0] or not in_order or not generated:  # noqa: PLR2004 -- a rate needs two
        msg = f"{path} holds no rate: two requests or more, in order of time, with generated tokens"
        raise UsageError(msg)
    return Trace(len(rows), (times[-1] - times[0]).total_seconds(), context / len(rows), generated / len(rows))


def own_batch(published: Published, trace: Trace) -> tuple[float, int]:
    """(the batch at which one replica keeps up with the trace, how many replicas there have to be)."""
    sizes = [batch for batch, _, _ in published.points]
    replicas = math.ceil(trace.tokens_per_s * published.seconds(sizes[-1]))
    each = trace.tokens_per_s / replicas
    batch = crossing(lambda size: 1.0 / published.seconds(size) - each, sizes[0], sizes[-1])
    # Below the smallest published batch its figure is the last that is known.
    return (sizes[0] if batch is None else batch), replicas


def compare(trace: Trace, batches: tuple[float, ...], zone: str, pue: float) -> Comparison:
    """The trace served at several batch sizes and, on each kind of GPU, at its own."""
    deployments = {}
    for published in (H100, B200):
        own, replicas = own_batch(published, trace)
        named = {f"{published.name}, own rate": own}
        named |= {f"{published.name}, batch {batch:g}": batch for batch in batches}
        for name, batch in named.items():
            seconds = published.seconds(batch) * trace.generated
            made = embodied.emitted(hardware(published.gpus), seconds).value
            more = f"; {replicas} replica(s) at the trace's rate" if batch == own else ""
            deployments[name] = greengen.Deployment(
                declared={
                    "energy_j": published.joules(batch),
                    "gsd": GSD,
                    "per": "output_token",
                    "output_tokens": trace.generated,
                    "boundary": "accelerator",
                    "embodied_g": made,
                    "source": f"{SOURCE}; assumes a batch of {batch:.3g}{more}",
                },
                batch=batch,
            )
    found = greengen.compare(
        deployments, title="The Azure LLM trace, as published figures would serve it", zone=zone, pue=pue
    )
    points = {f"{batch:g}": energy for batch, energy, _ in H100.points}
    sizes = [8.0, 12.0, 16.0, 24.0, 32.0, 64.0, 128.0, 256.0, 512.0]
    found.what_if = what_if.evaluate(
        found,
        [
            {"kind": "batch", "points": points, "source": f"{H100.name}: {SOURCE}", "values": sizes},
            {"kind": "zone", "zones": ["SWE", "FRA", "DEU", "USA", "POL"]},
            {"kind": "flips", "a": next(reversed(deployments))},
        ],
    )
    return found


def _at(points: list[tuple[float, float]], batch: float) -> float:
    found = at_batch(
        [(size, known_to(value, "J", "declared", gsd=GSD, source="published")) for size, value in points], batch
    )
    if found.value is None:
        raise UsageError(found.reason)
    return found.value


def caveat(trace: Trace, zone: str) -> str:
    """What a reader must know before any number."""
    return (
        f"{trace.requests} requests in {trace.seconds:.0f} s, {trace.context:.0f} tokens read and "
        f"{trace.generated:.0f} written each; grid of {zone}. All joules are declared, none is measured: published GPU "
        "energy per output token times tokens written. Each option assumes its batch size. Reading the prompts is in "
        f"the figures as far as the benchmark's chats had any; here it is {trace.context / trace.generated:.1f} tokens "
        "read per token written, and where that is many the joules are too low."
    )


@click.command()
@click.argument("trace", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=EXCERPT)
@click.option("--batch", "batches", type=float, multiple=True, default=(16.0, 64.0, 256.0), show_default=True)
@click.option("--zone", default="USA", show_default=True, help="Grid zone of the data centre.")
@click.option("--pue", default=1.16, show_default=True, help="Of the data centre; 1.16 is Microsoft's fleet, FY24.")
@click.option("--html", type=click.Path(path_type=Path), help="Write the comparison as a page.")
def main(trace: Path, batches: tuple[float, ...], zone: str, pue: float, html: Path | None) -> None:
    """Compare what would serve a trace."""
    try:
        found = read(trace)
        compared = compare(found, batches, zone, pue)
    except UsageError as error:
        raise click.ClickException(str(error)) from error
    click.echo(caveat(found, zone))
    click.echo(compared.render("terminal"))
    if html is not None:
        compared.to_html(html)
        click.echo(f"The page: {html}")


if __name__ == "__main__":
    main()
