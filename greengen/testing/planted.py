"""The planted meter's proof: greengen against joules that a sealed power model really charged.

    python -m greengen.testing.planted --trials 50
    python -m greengen.testing.planted --trials 200 --simulated --counter averaged

It needs no counter. A meter in a process of its own (`planted_meter`) drives the files of a fake machine
from the CPU time of real processes; `greengen profile` records workers that do 1, 2, 4 and 8 units
of work, one after another and at once (`planted_work`), beside a neighbour that it is not told of
and once more alone. Only when the ledger has answered is the meter's seal opened (`planted_truth`).
What the files show is up to the kind of counter (`planted_counters`). Simulated, the processes are and time is
(`planted_simulated`); the meter's gain then goes through quantiles of what its collector states.

total      the joules between the first and the last reading, within greengen's interval; of an energy counter that
           has no error of its own, to within the meter's steps
in turn    ratios of the joules of workers that ran one after another, within greengen's interval
at once    ratios of the joules of workers that ran together, within greengen's interval
other      the joules of the neighbour and of all else that is not profiled, within greengen's interval
own        the joules of all workers together, within greengen's interval
unchanged  own joules beside the neighbour over own joules alone: the interval holds 1
control    where every process has a c_j of its own: what greengen claims narrowly still holds

Ratios of spans that greengen says are too short for the meter are counted apart, as unresolved.

Linux only. As root the meter is served before other work, as a device would be; otherwise a busy
machine makes its steps longer, which the table shows.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from greengen.testing.planted_counters import COUNTERS, Counter, names
from greengen.testing.planted_trial import Claim, Trial, run_trial, unchanged

#: This part of the claims of each kind must hold.
REQUIRED = 0.94

#: A claim is narrow if its interval's half-width is less than this part of it.
NARROW = 0.3

#: One negative control for so many trials.
_TRIALS_PER_CONTROL = 5

#: Coprime to most numbers of trials.
_LEAP = 7


@dataclass(frozen=True, slots=True)
class Proof:
    """What many trials say. `controls`: trials whose processes differ in c_j."""

    trials: tuple[Trial, ...]
    claims: tuple[Claim, ...]
    controls: tuple[Claim, ...]

    def coverage(self, kind: str) -> float:
        """Which part of the resolved claims of a kind hold."""
        return _part(claim for claim in self.claims if claim.kind == kind and claim.resolved)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of claims, in order of first appearance."""
        return tuple(dict.fromkeys(claim.kind for claim in self.claims))

    @property
    def narrow(self) -> tuple[Claim, ...]:
        """What was claimed narrowly where processes differ."""
        return tuple(claim for claim in self.controls if claim.resolved and claim.width < NARROW)

    @property
    def holds(self) -> bool:
        """Whether enough claims of every kind hold, and of the narrow ones where processes differ."""
        return all(self.coverage(kind) >= REQUIRED for kind in self.kinds) and _part(self.narrow) >= REQUIRED

    def table(self) -> Iterator[str]:
        """The proof for a person, line by line."""
        yield f"{'':34}{'claims':>8}{'hold':>8}{'':>8}  half-width (median)  off by (median)"
        yield from _lines(self.claims, "")
        yield from _lines(self.controls, "control: ")
        if self.controls:
            yield _line(f"control: under {NARROW:.0%}", self.narrow)
        typical = statistics.median(trial.steps_ms[0] for trial in self.trials)
        worst = max(trial.steps_ms[1] for trial in self.trials)
        wraps = sum(trial.wraps for trial in self.trials)
        yield f"{len(self.trials)} recordings, {wraps} wraps of the counter"
        yield f"steps of the meter: {typical:.3g} ms, at most {worst:.3g} ms"
        yield from dict.fromkeys(event for trial in self.trials for event in trial.events)

    def as_dict(self) -> dict[str, Any]:
        """The proof for a machine."""
        return {
            "schema": "greengen.planted/1",
            "holds": self.holds,
            "coverage": {kind: self.coverage(kind) for kind in self.kinds},
            "claims": [asdict(claim) for claim in self.claims],
            "controls": [asdict(claim) for claim in self.controls],
            "steps_ms": [trial.steps_ms for trial in self.trials],
            "wraps": [trial.wraps for trial in self.trials],
            "events": [event for trial in self.trials for event in trial.events],
        }


def _part(claims: Iterable[Claim]) -> float:
    verdicts = [claim.holds for claim in claims]
    return sum(verdicts) / len(verdicts) if verdicts else 1.0


def _lines(claims: Sequence[Claim], prefix: str) -> Iterator[str]:
    for kind, where, resolved in dict.fromkeys((claim.kind, claim.where, claim.resolved) for claim in claims):
        alike = [claim for claim in claims if (claim.kind, claim.where, claim.resolved) == (kind, where, resolved)]
        yield _line(f"{prefix}{kind} {where}{'' if resolved else ', unresolved'}", alike)


def _line(name: str, claims: Sequence[Claim]) -> str:
    if not claims:
        return f"{name:34}{0:8}"
    width = statistics.median(claim.width for claim in claims)
    off = statistics.median(abs(claim.value / claim.truth - 1) for claim in claims)
    held = sum(claim.holds for claim in claims)
    return f"{name:34}{len(claims):8}{held:8}{held / len(claims):8.1%}{width:20.2%}{off:16.2%}"


def prove(trials: int, seed: int | None, directory: Path, *, counter: Counter, tell: Callable[[str], None]) -> Proof:
    """Run the trials, each beside the neighbour and alone, and some controls. `tell` hears of progress."""
    found: list[Trial] = []
    claims: list[Claim] = []
    controls: list[Claim] = []
    for number in range(trials):
        tell(f"trial {number + 1} of {trials}")
        own_seed = None if seed is None else seed + number
        place = directory / f"trial-{number + 1}"
        beside = run_trial(own_seed, place, counter=counter)
        alone = run_trial(own_seed, place, counter=counter, neighbour=False)
        found += [beside, alone]
        claims += [*beside.claims, *alone.claims, unchanged(beside, alone)]
        if number % _TRIALS_PER_CONTROL == 0:
            control = run_trial(own_seed, directory / f"control-{number + 1}", counter=counter, differing=True)
            found.append(control)
            controls += control.claims
    return Proof(tuple(found), tuple(claims), tuple(controls))


def simulate(trials: int, seed: int, directory: Path, *, counter: Counter, gains: bool = True) -> Proof:
    """The same without waiting. `gains`: whether the meter is off by what its collector states, else by nothing."""
    from greengen.testing.planted_simulated import Simulator  # noqa: PLC0415 -- the workers do without numpy

    simulator = Simulator.on(directory, counter)
    found: list[Trial] = []
    claims: list[Claim] = []
    controls: list[Claim] = []
    for number in range(trials):
        # In leaps, so that no part of the seeds has all that is low.
        quantile = (number * _LEAP % trials + 0.5) / trials
        gain = statistics.NormalDist().inv_cdf(quantile) if gains else None
        beside = simulator.run(seed + number, gain=gain)
        alone = simulator.run(seed + number, gain=gain, neighbour=False)
        found += [beside, alone]
        claims += [*beside.claims, *alone.claims, unchanged(beside, alone)]
        if number % _TRIALS_PER_CONTROL == 0:
            control = simulator.run(seed + number, gain=gain, differing=True)
            found.append(control)
            controls += control.claims
    return Proof(tuple(found), tuple(claims), tuple(controls))


@click.command()
@click.option("--trials", type=click.IntRange(min=1), default=50, show_default=True, help="Each is two recordings.")
@click.option("--seed", type=int, help="Of P0 and c_j; without it the meter draws them from the system's randomness.")
@click.option(
    "--counter", type=click.Choice(names()), default="energy", show_default=True, help="What is shown of the joules."
)
@click.option("--simulated", is_flag=True, help="Simulate processes and time.")
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep recordings, logs and seals here.")
@click.option("--json", "json_", type=click.Path(path_type=Path, dir_okay=False), help="Write every claim here.")
def main(
    *, trials: int, seed: int | None, counter: str, simulated: bool, keep: Path | None, json_: Path | None
) -> None:
    """Prove greengen against a planted meter. Exits with 1 where the claims do not hold."""
    if keep and keep.exists() and any(keep.iterdir()):
        msg = f"{keep} holds something already, perhaps an opened seal: name a new folder"
        raise click.UsageError(msg)

    def tell(line: str) -> None:
        if sys.stderr.isatty():
            click.echo(line, err=True)

    with tempfile.TemporaryDirectory(prefix="greengen-planted-") as temporary:
        place, kind = keep or Path(temporary), COUNTERS[counter]
        if simulated:
            proof = simulate(trials, seed or 0, place, counter=kind)
        else:
            proof = prove(trials, seed, place, counter=kind, tell=tell)
    for line in proof.table():
        click.echo(line)
    if json_:
        json_.write_text(json.dumps(proof.as_dict(), indent=1), encoding="utf-8")
    click.echo("the claims hold" if proof.holds else f"the claims do not hold: fewer than {REQUIRED:.0%} of a kind")
    sys.exit(not proof.holds)


if __name__ == "__main__":
    main()
