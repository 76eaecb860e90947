"""The recorded rows: what recording writes, a run file holds, and accounting reads.

Times are ns of the host's monotonic clock. A `Timeline` is one boot of one host: clocks, counters
and process ids mean nothing across two of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from greengen.collector import Domain, Event, Unavailable

#: `SpanRow.t1_ns` of a span that was still open when its process was last heard of.
OPEN = None


#: A counter that was read this many refresh times ago, and has not changed, may be about to.
_REFRESHES = 2.5

#: Readings of a counter by two recorders may differ by what is drawn in so long.
_SLACK_S = 0.1

#: The same of busy time, ns, of all CPUs together.
SLACK_NS = 1e9

#: Domains of these kinds always draw something: their counter stands still only when nobody moves it.
_NEVER_STILL = frozenset({"board", "gpu", "package", "psys", "soc", "wall"})


def never_still(domain: Domain) -> bool:
    """Whether an unchanged counter of this domain is no zero, but no news."""
    return domain.grade == "measured" and domain.refresh_s > 0 and domain.kind in _NEVER_STILL


def no_news(domain: Domain, elapsed_ns: int) -> bool:
    """Whether a counter unchanged after `elapsed_ns` tells nothing yet: its energy comes with the next change."""
    return elapsed_ns < _REFRESHES * domain.refresh_s * 1e9 or never_still(domain)


def slack_j(domain: Domain) -> float:
    """By how much two recorders' readings of one counter may differ, J: it refreshes in steps."""
    return 2 * domain.resolution_j + _SLACK_S * (domain.max_power_w or 0.0)


class Phase(NamedTuple):
    """From `t0_ns` on, until its next phase or its end, a span does this: queue, prefill, decode, transfer.

    devices  uids of the domains that it uses meanwhile; none: those of the span
    """

    kind: str
    t0_ns: int
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SpanRow:
    """A piece of work. `uid` is unique over all runs: ``<process uid>/<sequence>``.

    cached_tokens  those of the input that were not computed, but found in a prefix cache
    phases         in time order; what comes before a first phase `prefill` is `queue`, else `prefill`
    devices        uids of the domains that it uses; none: all. A domain of the whole host counts for everyone
    requests       how many requests it stands for: more than one where only their sum was recorded
    """

    uid: str
    process: str
    parent: str | None
    kind: str
    t0_ns: int
    t1_ns: int | None
    model: str | None = None
    tier: str | None = None
    name: str | None = None
    trace_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    outcome: str = "ok"
    flags: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    cached_tokens: int | None = None
    phases: tuple[Phase, ...] = ()
    devices: tuple[str, ...] = ()
    requests: int = 1


@dataclass(frozen=True, slots=True)
class Engine:
    """What serves requests in steps, many at once. `uid` is unique over all runs."""

    uid: str
    process: str
    model: str | None = None
    devices: tuple[str, ...] = ()


class EngineStep(NamedTuple):
    """One iteration of an engine; `padding`: tokens that were computed for nobody."""

    engine: str
    seq: int
    t0_ns: int
    t1_ns: int
    padding: int = 0


class Stint(NamedTuple):
    """Steps `first` to `last`, both included, in which request `span` did the same.

    prefill, decode  tokens of it in each of these steps, as scheduled (drafted ones too)
    context          tokens in its cache at the first of them, and `growth` more at each next one
    """

    engine: str
    span: str
    first: int
    last: int
    prefill: int = 0
    decode: int = 0
    context: int = 0
    growth: int = 0


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A process that wrote to the run. `uid` is ``<boot id>:<pid>:<start time>``."""

    uid: str
    pid: int
    role: str
    last_seen_ns: int
    closed: bool
    lost_rows: int
    command: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time that was recorded. `t1_ns` is None while it goes on, or where it was cut off."""

    uid: str
    process: str
    t0_ns: int
    t1_ns: int | None
    epoch_ns: int
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def recording(self) -> str:
        """The uid of the recording that it is, or is a piece of."""
        return self.uid.partition("[")[0]


@dataclass(slots=True)
class Series:
    """A recorded series in time order: `values` in J (counter), W (gauge) or ns (usage).

    `spacing_ns` is the greatest spacing of the readings behind each point: thinning drops points
    that lie on the line between their neighbours, and the line stays as well known as before.
    """

    t_ns: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    spacing_ns: list[int] = field(default_factory=list)
    window_s: float = 0.0


@dataclass(slots=True)
class Recording:
    """What one recording read that went on beside others on its host: ranks that each record themselves.

    uid  that of its segment, without the brackets of a piece; times beyond its segments are of a cut
    """

    uid: str
    samples: dict[str, Series] = field(default_factory=dict)
    usage: dict[tuple[str, str], Series] = field(default_factory=dict)


@dataclass(slots=True)
class Timeline:
    """All rows of one boot of one host.

    `samples` and `usage` hold what was recorded by one recording after the other; those that went on
    side by side stand in `recordings`, each with its own readings.
    """

    boot_id: str
    hostname: str
    info: dict[str, Any] = field(default_factory=dict)
    domains: list[Domain] = field(default_factory=list)
    samples: dict[str, Series] = field(default_factory=dict)
    usage: dict[tuple[str, str], Series] = field(default_factory=dict)
    spans: list[SpanRow] = field(default_factory=list)
    engines: list[Engine] = field(default_factory=list)
    steps: list[EngineStep] = field(default_factory=list)
    stints: list[Stint] = field(default_factory=list)
    processes: list[ProcessRow] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    unavailable: list[Unavailable] = field(default_factory=list)
    recordings: list[Recording] = field(default_factory=list)


@dataclass(slots=True)
class Rows:
    """A whole run: its metadata and its timelines."""

    meta: dict[str, Any] = field(default_factory=dict)
    timelines: list[Timeline] = field(default_factory=list)
