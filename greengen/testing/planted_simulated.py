"""A planted trial without waiting: the same claims, of simulated processes, through the real collectors.

Two CPUs serve the workers of `planted_work`, the launcher, a neighbour, the meter, strays and the recorder, in
slices of 3 ms, by who has had the least. Every millisecond the joules of the sealed model are shown by the
files of a counter, with the gain that this meter is off by; every 20 ms or so, and now and then later, the
real collector reads them by a clock that is turned. The log is the truth, as that of a live meter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from greengen import plugins
from greengen.accounting import ledger
from greengen.collector import CAPACITY, MACHINE, PROFILED, RECORDER, Collector, Host, Usage
from greengen.testing import planted_meter, planted_trial, trees
from greengen.testing.fake_recording import FakeRecording
from greengen.testing.planted_counters import Counter
from greengen.testing.planted_meter import METER, NS, STRAYS, Sealed
from greengen.testing.planted_trial import ALONE, BESIDE, Trial
from greengen.testing.planted_truth import FOREIGN, Floats, Ints, Truth
from greengen.testing.planted_work import AT_ONCE, IN_TURN, LAUNCHER, NEIGHBOUR, UNITS, worker_name
from greengen.testing.planted_work import RECORDER as RECORDER_NAME
from greengen.testing.scripted import FakeClock

_MS = 1_000_000
_CPUS = 2

#: A machine that was up for a while, so that no clock is near 0.
_START_NS = 1_000 * NS

#: Quiet time before the first worker, between the phases and after the last one, ms.
_BEFORE_MS, _PAUSE_MS = 2_200, 100

#: A slice of the scheduler, ms, and what it picks by is blurred by as much.
_SLICE_MS = 3

#: What runs beside all this, CPU ms per ms: it wakes and sleeps many times a second.
_BESIDE = {METER: 0.03, RECORDER_NAME: 0.01, LAUNCHER: 0.002}

#: A reading every so many ms; one in so many is late, by up to so many ms.
_POLL_MS, _LATE_ONE_IN, _LATE_MS = 20, 40, 150

#: How often the machine's busy time is read, ms; it comes in ticks.
_MACHINE_MS, _TICK_NS = 500, 10_000_000


@dataclass(frozen=True, slots=True)
class Work:
    """CPU ns of each process in each ms, shape (n,); when each worker's span was live, ms."""

    cpu_ns: Mapping[str, Ints]
    live: Mapping[str, tuple[int, int]]


@dataclass(slots=True)
class _Machine:
    """Two CPUs. `used` has, of each process, the CPU ms of each ms so far."""

    rng: np.random.Generator
    used: dict[str, list[int]]
    ms: int = 0
    ran: dict[str, float] = field(default_factory=dict)

    def run(self, work_ms: Mapping[str, int], neighbour: str = "") -> dict[str, tuple[int, int]]:
        """Until all this work is done; (first, last) ms of each."""
        left = dict(work_ms)
        begun = self.ms
        over: dict[str, tuple[int, int]] = {}
        while left:
            self._slice(left, neighbour)
            for name in [name for name, ms in left.items() if not ms]:
                del left[name]
                over[name] = (begun, self.ms)
        return over

    def wait(self, ms: int, neighbour: str = "") -> None:
        """Until so many ms have passed."""
        until = self.ms + ms
        while self.ms < until:
            self._slice({}, neighbour)

    def _slice(self, left: dict[str, int], neighbour: str) -> None:
        """The two that have had the least run for a slice, or until their work is done."""
        ready = [*left, *([neighbour] if neighbour else [])]
        ready.sort(key=lambda name: self.ran.setdefault(name, 0.0) + float(self.rng.random()) * _SLICE_MS)
        length = min([_SLICE_MS, *(left[name] for name in ready[:_CPUS] if name in left)])
        for name in ready[:_CPUS]:
            self.used[name] += [0] * (self.ms - len(self.used[name])) + [1] * length
            self.ran[name] += length
            if name in left:
                left[name] -= length
        self.ms += length


def simulate(seed: int, unit_s: float, *, neighbour: bool) -> Work:
    """What everybody does; another seed is another course of it."""
    rng = np.random.default_rng([seed, int(neighbour)])
    names = [worker_name(phase, units) for phase in (IN_TURN, AT_ONCE) for units in UNITS]
    machine = _Machine(rng, {name: [] for name in [*names, *([NEIGHBOUR] if neighbour else [])]})
    beside = NEIGHBOUR if neighbour else ""
    work = {units: round(units * unit_s * 1000) for units in UNITS}
    machine.wait(_BEFORE_MS, beside)
    live: dict[str, tuple[int, int]] = {}
    for units in UNITS:
        live |= machine.run({worker_name(IN_TURN, units): work[units]}, beside)
        machine.wait(1, beside)
    machine.wait(_PAUSE_MS, beside)
    live |= machine.run({worker_name(AT_ONCE, units): work[units] for units in UNITS}, beside)
    machine.wait(_PAUSE_MS, beside)
    size = machine.ms
    cpu_ns = {name: np.array(used + [0] * (size - len(used))) * _MS for name, used in machine.used.items()}
    for name, part in _BESIDE.items():
        cpu_ns[name] = (rng.exponential(part, size) * _MS).astype(np.int64)
    # Strays come in bursts of some ms, one or two a second.
    bursts = np.convolve(rng.random(size) < 0.002, np.ones(8))[:size]  # noqa: PLR2004 -- per ms
    cpu_ns[STRAYS] = (np.minimum(bursts, 1.0) * 0.8 * _MS).astype(np.int64)
    return Work(cpu_ns, live)


def truth_of(work: Work, sealed: Sealed) -> tuple[Truth, Floats]:
    """The log of a meter that steps every ms; and its joules, shape (n+1,)."""
    size = next(iter(work.cpu_ns.values())).size
    watts_ms = sum((sealed.c_w(name) * used for name, used in work.cpu_ns.items()), np.zeros(size)) / NS
    energy_j = np.concatenate(([0.0], np.cumsum(sealed.p0_w * _MS / NS + watts_ms)))
    t_ns = _START_NS + _MS * np.arange(size + 1, dtype=np.int64)
    cpu_ns = {name: np.concatenate(([0], np.cumsum(used))).astype(np.int64) for name, used in work.cpu_ns.items()}
    ordered = {STRAYS: cpu_ns.pop(STRAYS), **cpu_ns}
    return Truth(sealed, t_ns, (energy_j * 1e6).astype(np.int64), ordered), energy_j


@dataclass(frozen=True, slots=True)
class Simulator:
    """Trials with one kind of counter. `place` holds its fake machine, which is made once."""

    counter: Counter
    host: Host
    makers: tuple[Callable[[Host], Collector], ...]

    @classmethod
    def on(cls, place: Path, counter: Counter) -> Simulator:
        """A machine of two CPUs that has this counter."""
        host = counter.build(trees.machine(place / counter.name, model=trees.INTEL_LAPTOP_CPU, cpus=_CPUS))
        makers = plugins.load(plugins.COLLECTORS, counter.collectors).plugins.values()
        return cls(counter, replace(host, environ=counter.variables), tuple(makers))

    def run(self, seed: int, *, gain: float | None, neighbour: bool = True, differing: bool = False) -> Trial:
        """One trial.

        gain  what the meter is off by, in parts of the σ that its collector states; None: by nothing, and its
              domain says so, which leaves the errors of reading it
        """
        powers = planted_trial.powers(self.counter, self.host)
        sealed = planted_meter.draw(seed, differing=differing, powers=powers)
        work = simulate(seed, self.counter.unit_s, neighbour=neighbour)
        truth, energy_j = truth_of(work, sealed)
        rows = self._record(work, truth, energy_j, gain or 0.0, seed).rows()
        if gain is None and self.counter.measures:
            [timeline] = rows.timelines
            timeline.domains = [replace(domain, gain=0.0) for domain in timeline.domains]
        answers = planted_trial.ask_ledger(ledger.build(rows))
        where = BESIDE if neighbour else ALONE
        return planted_trial.trial(answers, truth, where, exact=self.counter.wraps and gain is None)

    def _record(self, work: Work, truth: Truth, energy_j: Floats, gain: float, seed: int) -> FakeRecording:
        clock = FakeClock(int(truth.t_ns[0]))
        host = replace(self.host, monotonic_ns=clock)
        busy_ns = sum(truth.cpu_ns.values(), np.zeros(truth.t_ns.size, dtype=np.int64))
        profiled_ns = sum(
            (cpu for name, cpu in truth.cpu_ns.items() if name not in (*FOREIGN, RECORDER_NAME)), np.zeros_like(busy_ns)
        )
        self._tick(int(busy_ns[0]), 0)
        shown = self.counter.open(host.sysfs)
        recording = FakeRecording(clock, [make(host) for make in self.makers], interval_s=_POLL_MS / 1000)
        [domain] = recording.domains
        factor = 1.0 + gain * domain.gain
        try:
            due, machine_due = 1, 0
            for at in _polls(truth.t_ns.size, seed):
                # A counter is as it was left at the last of these; only a gauge looks back on them.
                for ms in range(due, at + 1):
                    shown.show(int(truth.t_ns[ms]), factor * float(energy_j[ms]))
                due = at + 1
                clock.now_ns = int(truth.t_ns[at])
                usage = [Usage("cpu", PROFILED, clock(), int(profiled_ns[at]))]
                self._tick(int(busy_ns[at]), at)
                if at >= machine_due:
                    machine_due = at + _MACHINE_MS
                    ticks_ns = int(busy_ns[at]) // _TICK_NS * _TICK_NS
                    usage.append(Usage("cpu", MACHINE, clock(), ticks_ns))
                    usage.append(Usage("cpu", CAPACITY, clock(), at * _CPUS * _MS))
                    usage.append(Usage("cpu", RECORDER, clock(), int(truth.cpu_ns[RECORDER_NAME][at])))
                recording.read(usage)
        finally:
            shown.close()
        for name, (first, last) in work.live.items():
            phase, _, units = name.rpartition(" ")
            recording.span(phase, int(truth.t_ns[first]), int(truth.t_ns[last]), kind="work", model=f"w{units}")
        return recording

    def _tick(self, busy_ns: int, ms: int) -> None:
        """What `/proc/stat` shows; only a model of the CPU reads it here."""
        if not self.counter.measures:
            busy = busy_ns // _TICK_NS
            # A machine that begins to record is not at its first tick.
            trees.set_cpu_ticks(self.host, user=busy, idle=1 + ms * _CPUS // 10 - busy)


def _polls(size: int, seed: int) -> list[int]:
    """At which ms the recorder reads: nearly every 20, and sometimes late."""
    rng = np.random.default_rng([seed, 7])
    steps = _POLL_MS + rng.integers(-1, 2, size // _POLL_MS + 1)
    late = rng.random(steps.size) < 1 / _LATE_ONE_IN
    steps[late] += rng.integers(0, _LATE_MS, int(late.sum()))
    at = np.cumsum(steps)
    return [*at[at < size - 1].tolist(), size - 1]
