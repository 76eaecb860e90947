"""Read every collector once per tick, and record what that costs.

Whatever a collector does wrong, a third party's too, becomes a recorded gap: the other collectors
go on, and the workload never sees it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from greengen.collector import RECORDER, Collector, Event, Sample, Usage
from greengen.helpers import Helpers
from greengen.plugins import read_once
from greengen.recording.columns import INTEGER, is_number
from greengen.recording.sleep import SLEPT_NS, asleep_ns
from greengen.recording.state import StateWatch
from greengen.recording.writer import Writer

#: Stands in the place of a collector where the machine has slept; then the last reading's time stands for a failure.
_WOKE = ""


@dataclass(slots=True)
class Sampler:
    """Takes readings of `collectors` into `writer`, from the writer's thread.

    A tick only reads: it runs cold, after a long sleep. What was read is looked at in `drain`, some
    ticks at once, before a flush.

    domains      uids of those to record; a collector may read more
    own_process  the sampler has a process of its own (`greengen profile`); else only its thread
                 counts as its cost, and that is part of the profiled process
    state        what tells changes of the machine's state, in `drain`
    helpers      what the collectors run: it counts as the sampler's cost
    woke         called in `drain` where the machine has slept: (last reading before it, first one after it), ns
    asleep_ns    how long it has slept since boot
    """

    collectors: Sequence[Collector]
    domains: frozenset[str]
    writer: Writer
    own_process: bool
    state: StateWatch | None = None
    helpers: Helpers = field(default_factory=Helpers)
    woke: Callable[[int, int], None] | None = None
    asleep_ns: Callable[[], int] = asleep_ns
    _slept_ns: int | None = None
    _last_ns: int = 0
    _failing: set[str] = field(default_factory=set)
    _read: deque[tuple[str, list[Sample | Usage | Event], str]] = field(default_factory=deque)

    def tick(self) -> None:
        """One reading of everything; of its own cost once between two flushes, for that changes slowly."""
        slept_ns = self.asleep_ns()
        if self._slept_ns is not None and slept_ns - self._slept_ns > SLEPT_NS:
            self._read.append((_WOKE, [_told(slept_ns - self._slept_ns)], str(self._last_ns)))
        self._slept_ns = slept_ns
        if not self._read:
            own = time.process_time_ns() if self.own_process else time.thread_time_ns()
            own += self.helpers.busy_ns()
            self._read.append(("recorder", [Usage("cpu", RECORDER, time.monotonic_ns(), own)], ""))
        for collector in self.collectors:
            self._read.append((collector.name, *read_once(collector)))
        self._last_ns = time.monotonic_ns()

    def drain(self) -> None:
        """Hand what was read to the writer."""
        sound: list[Sample | Usage] = []
        while self._read:
            name, items, failure = self._read.popleft()
            if name == _WOKE:
                self._wake(sound, items, int(failure))
                sound = []
                continue
            wanted = None if self._failing else _sound(items, self.domains)
            sound += self._readings(name, items) if wanted is None else wanted
            if failure or self._failing:
                self._note(name, failure)
        self.writer.readings.add(sound)
        for event in () if self.state is None else self.state.changes():
            self.writer.event(event)

    def _wake(self, before: Sequence[Sample | Usage], told: Sequence[Sample | Usage | Event], last_ns: int) -> None:
        """What was read before the machine slept and what is read now have nothing between them."""
        self.writer.readings.add(before)
        self.writer.readings.interrupt()
        for event in told:
            if isinstance(event, Event):
                self.writer.event(event)
                if self.woke is not None:
                    self.woke(last_ns, event.t_ns)

    def _readings(self, name: str, items: Sequence[Sample | Usage | Event]) -> Iterator[Sample | Usage]:
        """Those to record; events are recorded at once, and what is no reading becomes one."""
        for item in items:
            if isinstance(item, Sample):
                subject, value, used = item.domain, item.value, item.domain in self.domains
                sound = is_number(value) and is_number(item.t_ns) and is_number(item.window_s)
            elif isinstance(item, Usage):
                subject, value, used = f"{item.resource} of {item.consumer}", item.busy_ns, True
                sound = is_number(value) and is_number(item.t_ns)
            else:
                if isinstance(item, Event):
                    self.writer.event(item)
                continue
            if used and (self._failing or not sound):
                self._note(subject, "" if sound else f"{name} read {value!r}, which is no number")
            if used and sound:
                yield item

    def _note(self, subject: str, failure: str) -> None:
        """One event per outage."""
        if not failure:
            self._failing.discard(subject)
        elif subject not in self._failing:
            self._failing.add(subject)
            self.writer.event(Event(time.monotonic_ns(), "gap", subject, failure))

    def close(self) -> None:
        """Give back what the collectors opened."""
        for collector in self.collectors:
            try:
                collector.close()
            except Exception as error:  # noqa: BLE001 -- becomes a recorded warning
                reason = f"{collector.name} did not close: {type(error).__name__}: {error}"
                self.writer.event(Event(time.monotonic_ns(), "warning", collector.name, reason))


def _told(slept_ns: int) -> Event:
    reason = f"the machine slept for {slept_ns / 1e9:.3g} s: what it drew meanwhile is not in the books"
    return Event(time.monotonic_ns(), "gap", "machine", reason)


def _sound(items: Sequence[Sample | Usage | Event], domains: frozenset[str]) -> list[Sample | Usage] | None:
    """Those to record, where all are readings with plain numbers that fit; told in one look, for each pays this."""
    found: list[Sample | Usage] = []
    for item in items:
        if type(item) is Sample:
            domain, whole, real, _, window_s = item
            if not (type(whole) is int and type(real) is float and abs(real) < INTEGER > whole and window_s >= 0.0):
                return None
            if domain in domains:
                found.append(item)
        elif type(item) is Usage:
            _, _, whole, busy_ns = item
            if not (type(whole) is type(busy_ns) is int and whole < INTEGER > busy_ns):
                return None
            found.append(item)
        else:
            return None
    return found
