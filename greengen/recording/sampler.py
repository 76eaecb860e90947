"""Read every collector once per tick, and record what that costs.

Whatever a collector does wrong, a third party's too, becomes a recorded gap: the other collectors
go on, and the workload never sees it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from greengen import plugins
from greengen.collector import RECORDER, Collector, Event, Sample, Usage
from greengen.recording.columns import is_number
from greengen.recording.writer import Writer


@dataclass(slots=True)
class Sampler:
    """Takes readings of `collectors` into `writer`, from the writer's thread.

    domains      uids of those to record; a collector may read more
    own_process  the sampler has a process of its own (`greengen profile`); else only its thread
                 counts as its cost, and that is part of the profiled process
    """

    collectors: Sequence[Collector]
    domains: frozenset[str]
    writer: Writer
    own_process: bool
    _failing: set[str] = field(default_factory=set)

    def tick(self) -> None:
        """One reading of everything."""
        for collector in self.collectors:
            items, failure = plugins.read_once(collector)
            self.writer.readings.add(list(self._readings(collector.name, items)))
            self._note(collector.name, failure)
        own = time.process_time_ns() if self.own_process else time.thread_time_ns()
        self.writer.readings.add((Usage("cpu", RECORDER, time.monotonic_ns(), own),))

    def _readings(self, name: str, items: Sequence[Sample | Usage | Event]) -> Iterator[Sample | Usage]:
        """Those to record; events are recorded at once, and what is no reading becomes one."""
        for item in items:
            if isinstance(item, Event):
                self.writer.event(item)
            elif isinstance(item, Sample):
                if item.domain in self.domains:
                    sound = is_number(item.value) and is_number(item.t_ns) and is_number(item.window_s)
                    self._note(item.domain, "" if sound else f"{name} read {item.value!r}, which is no number")
                    if sound:
                        yield item
            elif isinstance(item, Usage):
                subject = f"{item.resource} of {item.consumer}"
                sound = is_number(item.busy_ns) and is_number(item.t_ns)
                self._note(subject, "" if sound else f"{name} read {item.busy_ns!r}, which is no number")
                if sound:
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
