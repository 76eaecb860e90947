"""One planted trial: a recording, what greengen's ledger says of it, and then what was planted."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from greengen.quantity import Quantity
from greengen.run import Run
from greengen.testing import planted_recording
from greengen.testing.planted_meter import unseal
from greengen.testing.planted_work import AT_ONCE, IN_TURN, UNITS, worker_name

if TYPE_CHECKING:
    from greengen.accounting.ledger import Ledger
    from greengen.testing.planted_truth import Stretch, Truth


#: With the neighbour, and without.
BESIDE, ALONE = "beside", "alone"


@dataclass(frozen=True, slots=True)
class Claim:
    """What greengen said, [low, high] about `value`, and what was planted.

    where  `BESIDE` or `ALONE`, or nothing for what compares the two
    """

    kind: str
    what: str
    where: str
    value: float
    low: float
    high: float
    truth: float

    @property
    def holds(self) -> bool:
        """Whether the truth lies in the interval."""
        return self.low <= self.truth <= self.high

    @property
    def width(self) -> float:
        """Half the interval, relative to the value."""
        return (self.high - self.low) / 2 / abs(self.value) if self.value else float("inf")


@dataclass(frozen=True, slots=True)
class Trial:
    """One recording: what was claimed, and how it went.

    own      the joules of all workers as greengen books them
    wraps    how often the counter wrapped, as greengen saw it
    steps_ms median and greatest step of the meter
    events   gaps and warnings of the recording: where a busy machine kept the recorder waiting
    """

    claims: tuple[Claim, ...]
    own: Quantity
    wraps: int
    steps_ms: tuple[float, float]
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Answers:
    """What the ledger says before anyone has opened the seal. Spans by the name of their worker."""

    total: Quantity
    resolution_j: float
    recorded: Stretch
    live: dict[str, Stretch]
    ratios: dict[str, dict[str, Quantity]]
    other: Quantity
    own: Quantity
    wraps: int
    events: tuple[str, ...]


def run_trial(seed: int | None, directory: Path, *, neighbour: bool = True, differing: bool = False) -> Trial:
    """Record real work under a planted meter, and hold what greengen says against what was planted.

    seed       of P0 and c_j; None: the meter draws them from the system's randomness
    directory  keeps everything; a second trial in it finds the seal of the first: the same P0 and c_j
    neighbour  beside a process that keeps a core busy, or alone
    differing  every process has its own c_j: the negative control
    """
    place = directory / (BESIDE if neighbour else ALONE)
    place.mkdir(parents=True)
    sealed = directory / "sealed.json"
    planted_recording.record(place, sealed, seed, neighbour=neighbour, differing=differing)
    answers = _ask(Run(place / planted_recording.RUN).ledger())
    # Only now is the seal opened.
    from greengen.testing import planted_truth  # noqa: PLC0415 -- the workers do without numpy

    truth = planted_truth.read(place / planted_recording.TRUTH, unseal(sealed))
    steps = truth.steps_ms
    return Trial(
        claims=tuple(_claims(answers, truth, place.name)),
        own=answers.own,
        wraps=answers.wraps,
        steps_ms=(float(statistics.median(steps)), float(steps.max())),
        events=answers.events,
    )


def unchanged(beside: Trial, alone: Trial) -> Claim:
    """Own joules beside the neighbour over own joules alone. It was the same work."""
    return _claim("unchanged", "own joules beside / alone", "", beside.own / alone.own, 1.0)


def _ask(ledger: Ledger) -> _Answers:
    [chapter] = ledger.chapters
    [entries] = chapter.totalled
    spans = {worker_name(str(row.name), int(str(row.model)[1:])): row for row in chapter.table.rows}
    ratios: dict[str, dict[str, Quantity]] = {}
    for phase in (IN_TURN, AT_ONCE):
        least, *greater = (ledger[spans[worker_name(phase, units)]] for units in UNITS)
        names = (worker_name(phase, units) for units in UNITS[1:])
        ratios[phase] = {name: joules / least for name, joules in zip(names, greater, strict=True)}
    events = ledger.events()
    knots = entries.books.curve.t_ns
    return _Answers(
        total=ledger.total(),
        resolution_j=entries.books.domain.resolution_j,
        recorded=(int(knots[0]), int(knots[-1])),
        live={name: (row.t0_ns, row.t1_ns or 0) for name, row in spans.items()},
        ratios=ratios,
        other=ledger.account("other"),
        own=ledger.spans(lambda row: row.kind == "work", "work"),
        wraps=sum(event.kind == "wrap" for event in events),
        events=tuple(f"{event.kind}: {event.reason}" for event in events if event.kind != "wrap"),
    )


def _claims(answers: _Answers, truth: Truth, where: str) -> Iterator[Claim]:
    shown_j, slack_j = truth.shown_j(answers.recorded)
    total_j, slack_j = answers.total.value or 0.0, slack_j + answers.resolution_j
    yield Claim("total", "all joules", where, total_j, total_j - slack_j, total_j + slack_j, shown_j)
    planted = truth.divide(answers.live, answers.recorded)
    for phase, ratios in answers.ratios.items():
        least = planted.spans[worker_name(phase, UNITS[0])]
        for name, ratio in ratios.items():
            yield _claim(phase, f"{name} / 1", where, ratio, planted.spans[name] / least)
    yield _claim("other", "joules of others", where, answers.other, planted.other)
    yield _claim("own", "joules of all workers", where, answers.own, sum(planted.spans.values()))


def _claim(kind: str, what: str, where: str, said: Quantity, truth: float) -> Claim:
    if said.value is None or said.low is None or said.high is None:
        return Claim(kind, f"{what}: {said.reason}", where, 0.0, 0.0, 0.0, truth)
    return Claim(kind, what, where, said.value, said.low, said.high, truth)
