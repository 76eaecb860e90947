"""One planted trial: a recording, what greengen's ledger says of it, and then what was planted."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from greengen.collector import Host
from greengen.collectors._cpu_info import read_cpu_info
from greengen.collectors.cpu_model import active_w
from greengen.quantity import Quantity
from greengen.run import Run
from greengen.testing import planted_recording
from greengen.testing.planted_counters import COUNTERS, Counter
from greengen.testing.planted_meter import C_W, P0_W, Powers, seal, unseal
from greengen.testing.planted_work import AT_ONCE, IN_TURN, UNITS, worker_name

if TYPE_CHECKING:
    from greengen.accounting.ledger import Ledger
    from greengen.testing.planted_truth import Stretch, Truth


#: With the neighbour, and without.
BESIDE, ALONE = "beside", "alone"


@dataclass(frozen=True, slots=True)
class Claim:
    """What greengen said, [low, high] about `value`, and what was planted.

    where     `BESIDE` or `ALONE`, or nothing for what compares the two
    resolved  False where greengen itself says that a span is too short for the meter
    """

    kind: str
    what: str
    where: str
    value: float
    low: float
    high: float
    truth: float
    resolved: bool = True

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
class Answers:
    """What the ledger says before anyone has opened the seal. Spans by the name of their worker.

    unresolved  spans that are too short for the meter, as the ledger has it
    """

    total: Quantity
    resolution_j: float
    recorded: Stretch
    live: dict[str, Stretch]
    ratios: dict[str, dict[str, Quantity]]
    unresolved: frozenset[str]
    other: Quantity
    own: Quantity
    wraps: int
    events: tuple[str, ...]


def run_trial(
    seed: int | None,
    directory: Path,
    *,
    counter: Counter = COUNTERS["energy"],
    neighbour: bool = True,
    differing: bool = False,
) -> Trial:
    """Record real work under a planted meter, and hold what greengen says against what was planted.

    seed       of P0 and c_j; None: they come from the system's randomness
    directory  keeps everything; a second trial in it finds the seal of the first: the same P0 and c_j
    neighbour  beside a process that keeps a core busy, or alone
    differing  every process has its own c_j: the negative control
    """
    place = directory / (BESIDE if neighbour else ALONE)
    place.mkdir(parents=True)
    sealed = directory / "sealed.json"
    seal(sealed, seed, differing=differing, powers=powers(counter, Host.from_environment()))
    planted_recording.record(place, sealed, counter, neighbour=neighbour)
    answers = ask_ledger(Run(place / planted_recording.RUN).ledger())
    # Only now is the seal opened.
    from greengen.testing import planted_truth  # noqa: PLC0415 -- the workers do without numpy

    truth = planted_truth.read(place / planted_recording.TRUTH, unseal(sealed))
    return trial(answers, truth, place.name, exact=counter.wraps)


def powers(counter: Counter, host: Host) -> Powers:
    """Between what P0 and c are drawn. Where nothing measures them, about what the machine's CPU is stated to draw.

    Idle at 5 to 25 % of that, and 60 to 110 % of it with every CPU busy: the planted machine is one whose design
    power says something of it.
    """
    if counter.measures:
        return P0_W, C_W
    cpu = read_cpu_info(host)
    stated_w, _ = active_w(cpu)
    idle_w = cpu.logical * stated_w
    return (0.05 * idle_w, 0.25 * idle_w), (0.55 * stated_w, 0.95 * stated_w)


def trial(answers: Answers, truth: Truth, where: str, *, exact: bool) -> Trial:
    """What was claimed against what was planted. `exact`: the meter has no error but its steps."""
    steps = truth.steps_ms
    return Trial(
        claims=tuple(_claims(answers, truth, where, exact=exact)),
        own=answers.own,
        wraps=answers.wraps,
        steps_ms=(float(statistics.median(steps)), float(steps.max())),
        events=answers.events,
    )


def unchanged(beside: Trial, alone: Trial) -> Claim:
    """Own joules beside the neighbour over own joules alone. It was the same work."""
    return _claim("unchanged", "own joules beside / alone", "", beside.own / alone.own, 1.0)


def ask_ledger(ledger: Ledger) -> Answers:
    """All that is claimed."""
    [chapter] = ledger.chapters
    [entries] = chapter.totalled
    names = [worker_name(str(row.name), int(str(row.model)[1:])) for row in chapter.table.rows]
    spans = dict(zip(names, chapter.table.rows, strict=True))
    ratios: dict[str, dict[str, Quantity]] = {}
    for phase in (IN_TURN, AT_ONCE):
        least, *greater = (ledger[spans[worker_name(phase, units)]] for units in UNITS)
        longer = (worker_name(phase, units) for units in UNITS[1:])
        ratios[phase] = {name: joules / least for name, joules in zip(longer, greater, strict=True)}
    events = ledger.events()
    knots = entries.books.curve.t_ns
    return Answers(
        total=ledger.total(),
        resolution_j=entries.books.domain.resolution_j,
        recorded=(int(knots[0]), int(knots[-1])),
        live={name: (row.t0_ns, row.t1_ns or 0) for name, row in spans.items()},
        ratios=ratios,
        unresolved=frozenset(name for name, out in zip(names, entries.unresolved, strict=True) if out),
        other=ledger.account("other"),
        own=ledger.spans(lambda row: row.kind == "work", "work"),
        wraps=sum(event.kind == "wrap" for event in events),
        events=tuple(f"{event.kind}: {event.reason}" for event in events if event.kind != "wrap"),
    )


def _claims(answers: Answers, truth: Truth, where: str, *, exact: bool) -> Iterator[Claim]:
    shown_j, slack_j = truth.shown_j(answers.recorded)
    if exact:
        total_j, slack_j = answers.total.value or 0.0, slack_j + answers.resolution_j
        yield Claim("total", "all joules", where, total_j, total_j - slack_j, total_j + slack_j, shown_j)
    else:
        yield _claim("total", "all joules", where, answers.total, shown_j)
    planted = truth.divide(answers.live, answers.recorded)
    for phase, ratios in answers.ratios.items():
        least = worker_name(phase, UNITS[0])
        for name, ratio in ratios.items():
            claim = _claim(phase, f"{name} / 1", where, ratio, planted.spans[name] / planted.spans[least])
            yield replace(claim, resolved=answers.unresolved.isdisjoint((name, least)))
    yield _claim("other", "joules of others", where, answers.other, planted.other)
    yield _claim("own", "joules of all workers", where, answers.own, sum(planted.spans.values()))


def _claim(kind: str, what: str, where: str, said: Quantity, truth: float) -> Claim:
    if said.value is None or said.low is None or said.high is None:
        return Claim(kind, f"{what}: {said.reason}", where, 0.0, 0.0, 0.0, truth)
    return Claim(kind, what, where, said.value, said.low, said.high, truth)
