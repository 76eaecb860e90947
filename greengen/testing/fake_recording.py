"""A recording that takes no time: collectors are read when a test says so, by a clock that it turns.

    clock = FakeClock()
    recording = FakeRecording(clock, [RaplCollector(replace(host, monotonic_ns=clock))])
    for _ in range(100):
        clock.advance(0.1)
        trees.set_energy_uj(host, "intel-rapl:0", ...)
        recording.read()
    ledger.build(recording.rows())

What is read goes the way it goes in `greengen profile`: the same choice among domains, the same
thinning, one `gap` where a collector raises. There is no file, no thread and no process tree: usage and
spans are told by the test.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from greengen.collector import RECORDER, Collector, Domain, Event, Sample, Unavailable, Usage
from greengen.plugins import discover_all, read_once
from greengen.recording.readings import Readings
from greengen.rows import ProcessRow, Rows, Segment, Series, SpanRow, Timeline
from greengen.testing.scripted import FakeClock

#: The boot and the one process of such a recording.
BOOT, PROCESS = "fake", "fake:1:0"


@dataclass(slots=True)
class FakeRecording:
    """Begins when it is made, with no reading yet.

    clock        the time of the recording, and of whatever the collectors stamp
    candidates   collectors; of what several of them read, one is taken
    interval_s   how often `read` is said to be called
    own_process  as by `greengen profile`, whose recorder is no part of what it records
    """

    clock: FakeClock
    candidates: Sequence[Collector]
    interval_s: float = 0.1
    own_process: bool = True
    spans: list[SpanRow] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    _readings: Readings = field(default_factory=Readings)
    _collectors: tuple[Collector, ...] = ()
    _timeline: Timeline = field(default_factory=lambda: Timeline(BOOT, "fake"))
    _failing: set[str] = field(default_factory=set)
    _begun_ns: int = 0

    def __post_init__(self) -> None:
        """Discover."""
        found = discover_all(self.candidates)
        self._collectors = found.collectors
        self._timeline.domains = list(found.domains)
        self._timeline.unavailable = list(found.unavailable)
        self._begun_ns = self.clock()
        for domain in found.domains:
            self._readings.tolerate(domain.uid, domain.resolution_j / 2)

    @property
    def domains(self) -> Sequence[Domain]:
        """What is recorded."""
        return tuple(self._timeline.domains)

    @property
    def unavailable(self) -> Sequence[Unavailable]:
        """What could not be read from the start."""
        return self._timeline.unavailable

    def read(self, usage: Iterable[Usage] = ()) -> None:
        """One reading of every collector, and what else was used; of the recorder nothing, where that is not told."""
        wanted = {domain.uid for domain in self._timeline.domains}
        told = list(usage)
        if not any(row.consumer == RECORDER for row in told):
            told.append(Usage("cpu", RECORDER, self.clock(), 0))
        self._readings.add(told)
        for collector in self._collectors:
            rows, failure = read_once(collector)
            self._readings.add(
                row for row in rows if isinstance(row, Usage) or (isinstance(row, Sample) and row.domain in wanted)
            )
            self.events += [row for row in rows if isinstance(row, Event)]
            if failure and collector.name not in self._failing:
                self.events.append(Event(self.clock(), "gap", collector.name, failure))
            (self._failing.add if failure else self._failing.discard)(collector.name)

    def span(self, name: str, t0_ns: int, t1_ns: int, *, kind: str = "request", model: str | None = None) -> str:
        """A span of the recorded process; its uid."""
        uid = f"{PROCESS}/{len(self.spans)}"
        self.spans.append(SpanRow(uid, PROCESS, None, kind, t0_ns, t1_ns, model=model, name=name))
        return uid

    def rows(self) -> Rows:
        """Close the collectors; all that was recorded until now."""
        for collector in self._collectors:
            collector.close()
        timeline, end_ns = self._timeline, self.clock()
        timeline.samples, timeline.usage = self._series()
        timeline.spans, timeline.events = list(self.spans), list(self.events)
        timeline.processes = [ProcessRow(PROCESS, 1, "recorder", end_ns, closed=True, lost_rows=0, command="fake")]
        info = {"own_process": self.own_process, "interval_s": self.interval_s}
        timeline.segments = [Segment(f"{PROCESS}/segment", PROCESS, self._begun_ns, end_ns, 0, info)]
        return Rows({"origin": "fake"}, [timeline])

    def _series(self) -> tuple[dict[str, Series], dict[tuple[str, str], Series]]:
        samples: dict[str, Series] = {}
        usage: dict[tuple[str, str], Series] = {}
        for (kind, subject, consumer), window_s, t_ns, value, spacing_ns in self._readings.take().points:
            series = (
                usage.setdefault((subject, consumer), Series())
                if kind == "usage"
                else samples.setdefault(subject, Series(window_s=window_s))
            )
            series.t_ns.append(t_ns)
            series.values.append(value)
            series.spacing_ns.append(spacing_ns)
        return samples, usage
