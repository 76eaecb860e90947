"""Read every collector once per tick, and record what that costs.

The one loop where any error of a collector, a third party's too, becomes a recorded gap: the other
collectors go on, and the workload never sees it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from greengen.collector import RECORDER, Collector, Event, Sample, Usage
from greengen.recording.writer import Writer


@dataclass(slots=True)
class Sampler:
    """Takes readings of `collectors` into `writer`.

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
            try:
                self.writer.readings(
                    item for item in collector.read() if not isinstance(item, Sample) or item.domain in self.domains
                )
            except Exception as error:  # noqa: BLE001 -- becomes a recorded gap
                if collector.name not in self._failing:
                    self._failing.add(collector.name)
                    reason = f"{type(error).__name__}: {error}"
                    self.writer.event(Event(time.monotonic_ns(), "gap", collector.name, reason))
            else:
                self._failing.discard(collector.name)
        own = time.process_time_ns() if self.own_process else time.thread_time_ns()
        self.writer.readings((Usage("cpu", RECORDER, time.monotonic_ns(), own),))

    def close(self) -> None:
        """Give back what the collectors opened."""
        for collector in self.collectors:
            try:
                collector.close()
            except Exception as error:  # noqa: BLE001 -- becomes a recorded warning
                reason = f"did not close: {type(error).__name__}: {error}"
                self.writer.event(Event(time.monotonic_ns(), "warning", collector.name, reason))
