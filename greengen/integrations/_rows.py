"""Logs put together as the rows of a run: what a recording would have written, had greengen been there.

The ids come from what the logs hold: the same log imported twice is one run, and a merge counts it once.
A timeline's clock is the log's own, in ns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import pairwise
from typing import Any

from greengen.collector import MACHINE, Event, Unavailable
from greengen.errors import LogError
from greengen.integrations._files import digest
from greengen.integrations._logs import LISTED, Meter, PowerLog, Request, RequestLog, series, stamps, usual_step_ns
from greengen.integrations._times import Kind, told, told_range
from greengen.rows import Phase, ProcessRow, Rows, Segment, Series, SpanRow, Timeline

#: Why no share of an imported meter is told to be other people's.
SOLE = "a log does not say whose work it was; sole tenancy is assumed"

#: Why the energy of requests alone is not known.
_NO_POWER = Unavailable("power", "no power log was given, so no joule is known", "import it too, with --power")

_NO_DATE = {
    "local": "The log names no time zone: when it was recorded is not known.",
    "relative": "The log's times count from a start that it does not name: when it was recorded is not known.",
}


@dataclass(frozen=True, slots=True)
class About:
    """What the user says of the whole import."""

    format: str
    host: str | None = None
    tier: str | None = None


@dataclass(slots=True)
class Draft:
    """A timeline in the making; times in ns of the log's clock, `kind` says which one that is."""

    about: About
    boot: str
    kind: Kind
    t0_ns: int
    t1_ns: int
    meters: list[tuple[Meter, Series]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    requests_id: str = "0"
    notes: list[str] = field(default_factory=list)
    missing: list[Unavailable] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    summary: list[tuple[str, str]] = field(default_factory=list)

    def rows(self) -> Rows:
        """The run."""
        process = f"{self.boot}:0:{int(self.requests_id, 16)}"
        spans = [_span(process, number, request) for number, request in enumerate(self.requests, 1)]
        notes = [*self.notes, *([_NO_DATE[self.kind]] if self.kind in _NO_DATE else [])]
        imported = {
            "format": self.about.format,
            "date_known": self.kind == "absolute",
            **self.facts,
            "notes": notes,
            "summary": [{"what": what, "told": text} for what, text in self.summary],
        }
        info: dict[str, Any] = {"tier": self.about.tier, "imported": imported}
        if len(self.meters) == 1:
            info["interval_s"] = usual_step_ns(self.meters[0][1].t_ns) / 1e9 or None
        busy = {(m.domain.activity, MACHINE): _busy(m) for m, _ in self.meters if m.domain.activity}
        timeline = Timeline(
            boot_id=self.boot,
            hostname=self.about.host or f"{self.about.format} log {self.boot[-8:]}",
            info={"platform": f"imported from {self.about.format}", "python": "unknown"},
            domains=[meter.domain for meter, _ in self.meters],
            samples={meter.domain.uid: readings for meter, readings in self.meters},
            usage={(resource, who): line for (resource, who), line in busy.items() if resource is not None},
            spans=spans,
            processes=[ProcessRow(process, 0, "import", self.t1_ns, closed=True, lost_rows=0, command="")],
            segments=[Segment(f"{self.boot}@{self.t0_ns}", process, self.t0_ns, self.t1_ns, self.t0_ns, info)],
            events=[Event(self.t0_ns, "warning", "import", note) for note in dict.fromkeys(self.notes)],
            unavailable=self.missing,
        )
        return Rows({"greengen": version("greengen")}, [timeline])


def boot_of(content: bytes) -> str:
    """The id of an imported timeline: that of its power log, so that two request logs may share one."""
    return f"import{digest(content)}"


def together(about: About, power: PowerLog | None, requests: RequestLog | None) -> Rows:
    """The run that a power log, a request log, or both make. Raises LogError where they do not fit."""
    if power is not None and requests is not None:
        _check_clocks(power, requests)
    ends = [log.ends for log in (power, requests) if log is not None]
    known = [end for end in ends if end is not None]
    main = power or requests
    if main is None:
        msg = "there is nothing to import: name a power log, a request log, or both"
        raise LogError(msg)
    # A log in which every device says N/A has no time either: it says what is not available, and no more.
    start, end = min((a for a, _ in known), default=0), max((b for _, b in known), default=0)
    kind = main.kind if requests is None or known[:1] != [requests.ends] else requests.kind
    draft = Draft(about, boot_of(main.content), kind, start, end)
    if power is not None:
        _add_power(draft, power)
    else:
        draft.missing.append(_NO_POWER)
    if requests is not None:
        _add_requests(draft, requests)
    return draft.rows()


def listed(facts: Sequence[Any]) -> list[dict[str, Any]]:
    """The first rejected lines as the report lists them."""
    return [fact.as_dict() for fact in facts[:LISTED]]


def _check_clocks(power: PowerLog, requests: RequestLog) -> None:
    ends, given = power.ends, requests.ends
    if ends is None:
        return
    ranges = (
        f"the power log {power.path} runs from {told_range(ends, power.kind)}, "
        f"the requests of {requests.path} from {told_range(given, requests.kind)}"
    )
    unzoned = [str(log.path) for log in (power, requests) if log.kind == "local"]
    if unzoned:
        msg = (
            f"the times in {' and '.join(unzoned)} name no zone and could be of any: {ranges}; "
            "pass --timezone NAME (such as UTC or Europe/Berlin) or --utc-offset +HH:MM "
            "(--requests-timezone, --requests-utc-offset for the requests alone)"
        )
        raise LogError(msg)
    if given[0] > ends[1] or given[1] < ends[0] or power.kind != requests.kind:
        msg = (
            f"the two logs have no time in common: {ranges}; is a zone (--timezone, --utc-offset, "
            "--requests-timezone, --requests-utc-offset), a unit (--epoch, --requests-epoch) or a clock "
            "(--requests-shift S) wrong?"
        )
        raise LogError(msg)


def _add_power(draft: Draft, power: PowerLog) -> None:
    draft.notes += power.notes
    draft.missing += [Unavailable(device, reason, "") for device, reason in power.missing]
    draft.summary += power.missing
    meters = []
    for meter in power.meters:
        readings = series(meter.readings, meter.window_s) if meter.counter is None else meter.counter
        draft.meters.append((meter, readings))
        facts = stamps(meter.readings, power.kind)
        meters.append({"domain": meter.domain.uid, "readings": len(meter.readings), **facts})
        text = f"{len(meter.readings):,} readings, every {facts['usual_step_s']:.4g} s"
        gap = facts["largest_gap_s"]
        text += f", largest gap {gap:.4g} s" if gap else ""
        twice = facts["duplicate_stamps_count"]
        text += f", {twice:,} duplicate time stamp(s)" if twice else ""
        if len(meter.readings) == 1 and meter.counter is not None:
            text = "one reading of a counter, which is no energy"
        elif len(meter.readings) == 1:
            text = f"one reading, {meter.readings[0].power_w:.6g} W: power at one moment is no energy"
        field = power.facts.get("power_field", {}).get(meter.domain.uid)
        draft.summary.append((meter.domain.name, f"{text}; {field}" if field else text))
    draft.facts |= power.facts | {
        "power_file": power.path.name,
        "meters": meters,
        "rejected": listed(power.rejected),
        "rejected_count": len(power.rejected),
    }
    if power.ends is not None:
        draft.summary.append(("power log", told_range(power.ends, power.kind)))
    if power.rejected:
        lines = ", ".join(str(line.line) for line in power.rejected[:10])
        more = " ..." if len(power.rejected) > 10 else ""  # noqa: PLR2004 -- as many as were named
        draft.summary.append(("rejected readings", f"{len(power.rejected):,} (line {lines}{more})"))
        draft.notes.append(
            f"{len(power.rejected):,} lines of {power.path.name} hold no valid reading and were left out."
        )


def _add_requests(draft: Draft, log: RequestLog) -> None:
    draft.notes += log.notes
    draft.requests += log.requests
    draft.requests_id = digest(log.content)
    outcomes: dict[str, int] = {}
    for request in log.requests:
        outcomes[request.outcome] = outcomes.get(request.outcome, 0) + request.requests
    draft.facts |= {
        "requests_file": log.path.name,
        "requests": sum(outcomes.values()),
        "outcomes": outcomes,
        "rejected_requests": listed(log.rejected),
        "rejected_requests_count": len(log.rejected),
    }
    span = told_range(log.ends, log.kind)
    draft.summary.append(("requests", f"{sum(outcomes.values()):,}, {span}"))
    if log.rejected:
        draft.summary.append(("rejected requests", f"{len(log.rejected):,}"))
        lines = ", ".join(str(line.line) for line in log.rejected[:10])
        draft.notes.append(f"{len(log.rejected):,} lines of {log.path.name} were left out (line {lines}).")
    if any(meter.readings for meter, _ in draft.meters):
        first = min(meter.readings[0].t_ns for meter, _ in draft.meters if meter.readings)
        last = max(meter.readings[-1].t_ns for meter, _ in draft.meters if meter.readings)
        before = sum(r.requests for r in log.requests if r.t0_ns < first)
        after = sum(r.requests for r in log.requests if r.t1_ns > last)
        at = (told(first, draft.kind), told(last, draft.kind))
        if before:
            draft.notes.append(
                f"{before:,} requests begin before the first power reading ({at[0]}): see their coverage."
            )
        if after:
            draft.notes.append(f"{after:,} requests end after the last power reading ({at[1]}): see their coverage.")


def _span(process: str, number: int, request: Request) -> SpanRow:
    phases = []
    if request.scheduled_ns is not None:
        phases.append(Phase("prefill", request.scheduled_ns))
    if request.first_token_ns is not None:
        phases.append(Phase("decode", request.first_token_ns))
    return SpanRow(
        uid=f"{process}/{number}",
        process=process,
        parent=None,
        kind="request",
        t0_ns=request.t0_ns,
        t1_ns=request.t1_ns,
        model=request.model,
        name=request.name,
        input_tokens=request.input_tokens,
        output_tokens=request.output_tokens,
        outcome=request.outcome,
        labels=request.labels,
        cached_tokens=request.cached_tokens,
        phases=tuple(phases),
        requests=request.requests,
    )


def _busy(meter: Meter) -> Series:
    times = [t_ns for t_ns, _ in meter.busy]
    values = [float(busy_ns) for _, busy_ns in meter.busy]
    return Series(times, values, [0, *(b - a for a, b in pairwise(times))])
