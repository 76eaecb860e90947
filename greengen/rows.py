"""The recorded rows: what recording writes, a run file holds, and accounting reads.

Times are ns of the host's monotonic clock. A `Timeline` is one boot of one host: clocks, counters
and process ids mean nothing across two of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from greengen.collector import Domain, Event, Unavailable

#: `SpanRow.t1_ns` of a span that was still open when its process was last heard of.
OPEN = None


#: A counter that was read this many refresh times ago, and has not changed, may be about to.
_REFRESHES = 2.5

#: Domains of these kinds always draw something: their counter stands still only when nobody moves it.
_NEVER_STILL = frozenset({"board", "gpu", "package", "psys", "soc", "wall"})


def never_still(domain: Domain) -> bool:
    """Whether an unchanged counter of this domain is no zero, but no news."""
    return domain.grade == "measured" and domain.refresh_s > 0 and domain.kind in _NEVER_STILL


def no_news(domain: Domain, elapsed_ns: int) -> bool:
    """Whether a counter unchanged after `elapsed_ns` tells nothing yet: its energy comes with the next change."""
    return elapsed_ns < _REFRESHES * domain.refresh_s * 1e9 or never_still(domain)


@dataclass(frozen=True, slots=True)
class SpanRow:
    """A piece of work. `uid` is unique over all runs: ``<process uid>/<sequence>``."""

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
class Timeline:
    """All rows of one boot of one host."""

    boot_id: str
    hostname: str
    info: dict[str, Any] = field(default_factory=dict)
    domains: list[Domain] = field(default_factory=list)
    samples: dict[str, Series] = field(default_factory=dict)
    usage: dict[tuple[str, str], Series] = field(default_factory=dict)
    spans: list[SpanRow] = field(default_factory=list)
    processes: list[ProcessRow] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    unavailable: list[Unavailable] = field(default_factory=list)


@dataclass(slots=True)
class Rows:
    """A whole run: its metadata and its timelines."""

    meta: dict[str, Any] = field(default_factory=dict)
    timelines: list[Timeline] = field(default_factory=list)
