"""Recordings that went on side by side on one host, accounted as one: ranks that each recorded themselves.

What any of them recorded is recorded; a meter is read whenever one of them read it; the profiled
processes are those of all of them. A process tree that holds another recorder's is counted once: what
the inner one did is the outer one's work, but for what its recorder cost.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from greengen.accounting import usage
from greengen.accounting.books import SHARED_KINDS
from greengen.accounting.curves import NS, Bools, Floats, Ints, distinct, longest_step_ns
from greengen.collector import CAPACITY, MACHINE, PROFILED, RECORDER, Domain, Event
from greengen.rows import SLACK_NS, Engine, Segment, Series, SpanRow, Timeline, slack_j

if TYPE_CHECKING:
    from greengen.accounting import pooling

R = TypeVar("R", SpanRow, Engine)

#: Readings that make a difference.
_TWO = 2

#: Readings less than so many intervals apart have none missing between them.
_TURN = 1.5

#: Busy time of the machine itself, which all recorders read of one counter.
_OF_THE_MACHINE = (("cpu", MACHINE), ("cpu", CAPACITY))


class Account(NamedTuple):
    """What a recorder tells of one segment: when it was recorded, and what was read in it; usage around it too."""

    segment: Segment
    start_ns: int
    end_ns: int
    samples: Mapping[str, Series]
    usage: Mapping[tuple[str, str], Series]

    @property
    def root(self) -> str:
        """The uid of the process whose tree is profiled."""
        return str(self.segment.info.get("root") or self.segment.process)

    @property
    def interval_s(self) -> float | None:
        """How often it was to be read."""
        seconds = self.segment.info.get("interval_s")
        return float(seconds) if isinstance(seconds, int | float) else None

    def holds(self, other: Account) -> bool:
        """Whether the other's process tree is a part of this one's."""
        above = other.segment.info.get("ancestors")
        if self.root == other.root:
            return self.segment.uid < other.segment.uid
        return isinstance(above, list) and self.root in above


class Together(NamedTuple):
    """One account of all: `timeline` without recordings side by side; the rest as `ledger` has it of a single one.

    uses  by resource, of those whose use by processes is told; side by side the CPU's only: each recorder sums
          up an accelerator's use from its own start on, and the sums of several are no clock that they share
    """

    timeline: Timeline
    recorded: tuple[tuple[int, int], ...]
    intervals_s: list[float | None]
    uses: Mapping[str, usage.Use]


def resolve(timeline: Timeline) -> Together:
    """All recordings of a timeline as one."""
    accounts = accounts_of(timeline)
    stretches = _stretches(accounts)
    domains = {domain.uid: domain for domain in timeline.domains}
    uids = {uid: None for account in accounts for uid in account.samples}
    keys = {key: None for account in accounts for key in account.usage}
    one = replace(
        timeline,
        samples={uid: _samples(domains[uid], accounts) for uid in sorted(uids) if uid in domains},
        usage={key: _usage(key, accounts) for key in sorted(keys)},
        **_on_their_devices(timeline, accounts, domains),
        events=[event for event in timeline.events if not _was_read(event, accounts, domains)],
        recordings=[],
    )
    parts = [part for stretch in stretches if (part := cpu_use(stretch)) is not None]
    intervals = [[account.interval_s for account in stretch] for stretch in stretches]
    return Together(
        one,
        tuple((min(a.start_ns for a in s), max(a.end_ns for a in s)) for s in stretches),
        [None if None in every else max(seconds for seconds in every if seconds is not None) for every in intervals],
        {usage.CPU: usage.joined(parts)} if parts else {},
    )


def accounts_of(timeline: Timeline) -> list[Account]:
    """One per segment, by its start."""
    own = {recording.uid for recording in timeline.recordings}
    shared = [segment for segment in timeline.segments if segment.recording not in own]
    found = _of_one(shared, timeline.samples, timeline.usage)
    for recording in timeline.recordings:
        pieces = [segment for segment in timeline.segments if segment.recording == recording.uid]
        found += _of_one(pieces, recording.samples, recording.usage)
    return sorted(found, key=lambda account: (account.start_ns, account.segment.uid))


def closed(segments: Sequence[Segment], series: Iterable[Series]) -> tuple[tuple[int, int], ...]:
    """(start, end) of segments that follow one another; one that was cut off ends at its last reading."""
    last_reading = max((s.t_ns[-1] for s in series if s.t_ns), default=0)
    found = []
    for segment, following in zip_longest(segments, segments[1:]):
        start, end = segment.t0_ns, segment.t1_ns
        # A log recorded elsewhere says itself how long it lasts: requests go on where the readings have stopped.
        until = end if end is not None and "imported" in segment.info else last_reading
        limit = max(until, start) if following is None else following.t0_ns - 1
        found.append((start, min(limit, end if end is not None else limit)))
    return tuple(found)


def cpu_use(accounts: Sequence[Account]) -> usage.Use | None:
    """The CPU's use over a stretch that all of them recorded between them; None where nobody read enough of it."""
    told = [a for a in accounts if len(a.usage.get(("cpu", PROFILED), Series()).t_ns) >= _TWO]
    machine, capacity = (_usage(key, told) for key in _OF_THE_MACHINE)
    if not told or len(machine.t_ns) < _TWO:
        return None
    series = [machine, *(a.usage[key] for a in told for key in _OF_PROCESSES if key in a.usage)]
    t_ns = distinct(np.concatenate([np.array(s.t_ns, dtype=np.int64) for s in series]))
    work, own = np.zeros(t_ns.size - 1), np.zeros(t_ns.size)
    active = [_active(account.usage["cpu", PROFILED], t_ns) for account in told]
    for account in told:
        profiled, recorder = account.usage["cpu", PROFILED], account.usage.get(("cpu", RECORDER), Series())
        threaded = not account.segment.info.get("own_process", False)
        theirs, cost = usage.work_of(profiled, recorder, t_ns, recorder_is_profiled=threaded)
        holders = [on for other, on in zip(told, active, strict=True) if other is not account and other.holds(account)]
        held = np.any(holders, axis=0) if holders else np.zeros(work.size, dtype=bool)
        # Within another's tree its work is that one's already, and so is what its recorder cost.
        work += np.where(held, -np.diff(cost), np.diff(theirs))
        own += cost
    cumulated: Floats = usage.rising(np.concatenate(([0.0], np.cumsum(work))))
    return usage.divided(t_ns, cumulated, own, machine, capacity)


_OF_PROCESSES = (("cpu", PROFILED), ("cpu", RECORDER))


def _of_one(
    segments: Sequence[Segment], samples: Mapping[str, Series], used: Mapping[tuple[str, str], Series]
) -> list[Account]:
    ordered = sorted(segments, key=lambda segment: segment.t0_ns)
    ends = closed(ordered, [*samples.values(), *used.values()])
    return [
        Account(
            segment,
            *ends[i],
            {uid: part for uid, series in samples.items() if (part := usage.within(series, ends[i])).t_ns},
            {key: part for key, series in used.items() if (part := usage.within(series, around)).t_ns},
        )
        for i, (segment, around) in enumerate(zip(ordered, usage.around(ends), strict=True))
    ]


def _stretches(accounts: Sequence[Account]) -> list[list[Account]]:
    """Those that overlap, together."""
    found: list[list[Account]] = []
    end_ns = 0
    for account in accounts:
        if found and account.start_ns <= end_ns:
            found[-1].append(account)
        else:
            found.append([account])
        end_ns = max(end_ns, account.end_ns) if len(found[-1]) > 1 else account.end_ns
    return found


def _on_their_devices(timeline: Timeline, accounts: Sequence[Account], domains: Mapping[str, Domain]) -> dict[str, Any]:
    """Spans and engines that name no device have those that their own recorder could see: one server per GPU."""
    accelerators = {uid for uid, domain in domains.items() if domain.kind not in SHARED_KINDS}
    seen: dict[str, set[str]] = {}
    for account in accounts:
        seen.setdefault(account.segment.process, set()).update(accelerators & account.samples.keys())
    part = {process: tuple(sorted(uids)) for process, uids in seen.items() if uids and uids != accelerators}
    if not part:
        return {}

    def placed(row: R) -> R:
        return row if row.devices else replace(row, devices=part.get(row.process, ()))

    return {"spans": list(map(placed, timeline.spans)), "engines": list(map(placed, timeline.engines))}


def _samples(domain: Domain, accounts: Sequence[Account]) -> Series:
    from greengen.accounting import pooling  # noqa: PLC0415 -- for recordings side by side

    told = [account for account in accounts if domain.uid in account.samples]
    if domain.reading == "energy":
        return pooling.counter([account.samples[domain.uid] for account in told], slack_j(domain), domain)
    return pooling.gauge([_lane(domain, account) for account in told])


def _lane(domain: Domain, account: Account) -> pooling.Lane:
    from greengen.accounting import pooling  # noqa: PLC0415 -- for recordings side by side

    series = account.samples[domain.uid]
    longest_ns = longest_step_ns(domain, series.spacing_ns, series.window_s, account.interval_s)
    return pooling.Lane(series, account.start_ns, account.end_ns, longest_ns)


def _usage(key: tuple[str, str], accounts: Sequence[Account]) -> Series:
    told = [account.usage[key] for account in accounts if key in account.usage]
    if not told:
        return Series()
    from greengen.accounting import pooling  # noqa: PLC0415 -- for recordings side by side

    return pooling.counter(told, SLACK_NS) if key in _OF_THE_MACHINE else pooling.total(told)


def _active(series: Series, t_ns: Ints) -> Bools:
    """Between which of some times a recorder looked."""
    return np.asarray((t_ns[:-1] >= series.t_ns[0]) & (t_ns[1:] <= series.t_ns[-1]))


def _was_read(event: Event, accounts: Sequence[Account], domains: Mapping[str, Domain]) -> bool:
    """Whether an event tells of a gap that is none, for another recorder read the meter then, and missed no turn."""
    if event.kind != "gap" or event.subject not in domains:
        return False
    for account in accounts:
        series = account.samples.get(event.subject, Series())
        at = bisect_left(series.t_ns, event.t_ns)
        turn_ns = _TURN * NS * (account.interval_s or 0.0)
        if 0 < at < len(series.t_ns) and 0 < series.spacing_ns[at] < turn_ns:
            return True
    return False
