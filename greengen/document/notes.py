"""What the document says around the numbers: boundary, events, warnings, factors, the recorder's own cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from greengen.accounting.carbon import REMEDY, Site
from greengen.accounting.chapter import Chapter
from greengen.accounting.curves import NS
from greengen.accounting.facility import TIERS
from greengen.accounting.ledger import Ledger
from greengen.accounting.stale import stale
from greengen.accounting.table import REQUEST
from greengen.collector import RECORDER
from greengen.document.imported import dated
from greengen.document.states import differences
from greengen.rows import Rows, Series, Timeline

#: A request that is read for this part of its time counts as read.
_NEARLY_ALL = 0.99

#: Processes that a warning names.
_NAMED = 5


def boundary(ledger: Ledger) -> dict[str, Any]:
    """What the numbers cover, and what they do not."""
    covered, missing = [], []
    for chapter in ledger.chapters:
        for entries in chapter.entries:
            domain, curve = entries.books.domain, entries.books.curve
            if not curve.known_s:
                # Found and never read: a total that lacks it says so.
                why = curve.unknown[0].reason if curve.unknown else entries.energy().reason
                missing.append({"what": domain.name, "why": why, "remedy": ""})
                continue
            covered.append(
                {
                    "domain": domain.uid,
                    "kind": domain.kind,
                    "name": domain.name,
                    "grade": domain.grade,
                    "scope": domain.scope,
                    "detail": domain.detail,
                }
            )
        missing += [
            {"what": gone.interface, "why": gone.reason, "remedy": gone.remedy} for gone in chapter.timeline.unavailable
        ]
    kinds = {entry["kind"] for entry in covered}
    # At the wall everything behind the plug is read, and on battery everything is fed by it.
    if not kinds & {"battery", "dram", "psys", "wall"}:
        missing.append({"what": "memory (DRAM)", "why": "no counter for it was read", "remedy": ""})
    if not kinds & {"battery", "wall"}:
        why = "nothing was read at the wall"
        missing.append({"what": "fans, power supply loss, disks, network cards", "why": why, "remedy": ""})
    return {"covered": covered, "not_covered": missing}


def events(ledger: Ledger) -> list[dict[str, Any]]:
    """What happened to the recording, in seconds from the start of its host's: each has a clock of its own."""
    found = [
        (event.t_ns - chapter.start_ns, event)
        for chapter in ledger.chapters
        for event in (*chapter.timeline.events, *(e for one in chapter.entries for e in one.books.curve.events))
    ]
    return [
        {"t_s": after_ns / NS, "kind": event.kind, "subject": event.subject, "reason": event.reason}
        for after_ns, event in sorted(found, key=lambda pair: pair[0])
    ]


def containers(rows: Rows) -> list[dict[str, str]]:
    """The containers and pods whose work was recorded, and the cgroups that were named for it."""
    told = []
    for timeline in rows.timelines:
        for segment in timeline.segments:
            known, cgroup = segment.info.get("container"), segment.info.get("cgroup")
            # A stranger's file may hold anything here.
            found = {str(key): str(value) for key, value in known.items()} if isinstance(known, dict) else {}
            found |= {"cgroup": cgroup} if isinstance(cgroup, str) else {}
            if found and (one := {"host": timeline.hostname, **found}) not in told:
                told.append(one)
    return told


def states(timelines: Iterable[Timeline]) -> Iterator[list[tuple[str, dict[str, str]]]]:
    """The states at the start of each recording, tier by tier: a device and a server are not to be set alike."""
    tiers: dict[str, list[tuple[str, dict[str, str]]]] = {}
    every = [timeline for timeline in timelines if timeline.segments]
    start_ns = {id(timeline): min(segment.t0_ns for segment in timeline.segments) for timeline in every}
    for timeline in every:
        for segment in timeline.segments:
            found = segment.info.get("state")
            if isinstance(found, dict):
                name = f"the recording on {timeline.hostname}"
                if len(timeline.segments) > 1:
                    name += f" after {(segment.t0_ns - start_ns[id(timeline)]) / NS:.0f} s"
                known = {str(subject): str(value) for subject, value in found.items()}
                tiers.setdefault(str(segment.info.get("tier")), []).append((name, known))
    yield from tiers.values()


def state(rows: Rows) -> list[dict[str, str]]:
    """The state of each host when its recording began; what changed then is an event of kind `state`."""
    told = []
    for timeline in rows.timelines:
        first = min(timeline.segments, key=lambda segment: segment.t0_ns, default=None)
        known = {} if first is None else first.info.get("state")
        # A stranger's file may hold anything here.
        for subject, value in known.items() if isinstance(known, dict) else ():
            told.append({"host": timeline.hostname, "subject": str(subject), "value": str(value)})
    return told


def warnings(ledger: Ledger) -> list[str]:
    """What a reader must know before trusting the numbers."""
    told: list[str] = []
    totalled = [entries for chapter in ledger.chapters for entries in chapter.totalled]
    segments = [segment for chapter in ledger.chapters for segment in chapter.timeline.segments]
    if not totalled and segments and all(dated(segment) is not None for segment in segments):
        told.append("Nothing was measured: the imported logs hold no two readings of any meter.")
    elif not totalled and any(chapter.entries for chapter in ledger.chapters):
        told.append(f"Nothing was measured: {ledger.unread().reason}. Run `greengen doctor`.")
    elif not totalled:
        told.append("Nothing was measured: no domain could be read on this machine. Run `greengen doctor`.")
    elif all(entries.books.domain.grade == "modelled" for entries in totalled):
        # Who models by busy time states the power of an idle machine.
        by_busy_time = all(entries.books.domain.idle_w is not None for entries in totalled)
        told.append(
            "No power counter was readable: all joules are modelled. A lower number means less modelled energy, "
            "because of less busy time; it says nothing of the power that was really drawn."
            if by_busy_time
            else "No power sensor was read: all joules are modelled, by what their domains say of themselves. A lower "
            "number means less modelled energy, and the model of one machine is not that of another."
        )
    for chapter in ledger.chapters:
        told += [
            f"{gone.interface}: {gone.reason}" + (f" Remedy: {gone.remedy}" if gone.remedy else "")
            for gone in chapter.timeline.unavailable
            if "CVE-" in gone.reason or "ermission" in gone.reason
        ]
        told += _lost(chapter)
        told += _cut_off(chapter)
        told += _miscounted(chapter)
        told += _partly_read(chapter)
        told += _of_steps(chapter)
        told += _of_devices(chapter)
        told += _of_tiers(chapter)
        told += stale(chapter)
    for together in states(chapter.timeline for chapter in ledger.chapters):
        told += differences(together)
    told += [event.reason for event in ledger.events() if event.kind == "warning"]
    if any(segment.t1_ns is None for segment in segments):
        told.append("The recording goes on, or was cut off: what came after its last reading is not in the books.")
    told += [
        f"{choice.group}: shared by the policy `{choice.policy}`, for {choice.fallback}."
        for choice in ledger.choices
        if choice.fallback
    ]
    for entries in totalled:
        if entries.books.other_j is None:
            name, why = entries.books.domain.name, entries.books.other_reason
            told.append(f"{name}: the work of other processes is not told apart: {why}.")
    return list(dict.fromkeys(told))


def factors(site: Site) -> dict[str, Any]:
    """What joules were multiplied by, and where that comes from."""
    return {
        "intensity": None if site.intensity is None else site.intensity.as_dict(),
        "intensity_source": site.source,
        "intensity_chain": list(site.chain),
        "zone": site.zone,
        "year": site.year or None,
        "pue": site.pue_value,
        "remedy": "" if site.intensity is not None else REMEDY,
    }


def recorder(rows: Rows) -> dict[str, Any]:
    """What the recording itself cost."""
    spent_s, seen = 0.0, False
    for timeline in rows.timelines:
        for used in (timeline.usage, *(recording.usage for recording in timeline.recordings)):
            series = used.get(("cpu", RECORDER), Series())
            seen = seen or bool(series.t_ns)
            spent_s += sum(max(0.0, b - a) for a, b in zip(series.values, series.values[1:], strict=False)) / NS
    note = "CPU time of greengen's own sampling and writing, and of the programs that its collectors run"
    return {"cpu_s": spent_s if seen else None, "note": note}


def _partly_read(chapter: Chapter) -> Sequence[str]:
    """Requests that the readings cover in part, or not at all."""
    rows = chapter.table.rows
    requests = [i for i, row in enumerate(rows) if row.kind == REQUEST]
    if not requests or not chapter.totalled:
        return []
    coverage = [min(float(entries.coverage[i]) for entries in chapter.totalled) for i in requests]
    # Work that the last reading misses by a moment is every recording's.
    part = [i for i, covered in zip(requests, coverage, strict=True) if 0 < covered < _NEARLY_ALL]
    none = [i for i, covered in zip(requests, coverage, strict=True) if covered <= 0]
    told = []
    if none:
        count = sum(rows[i].requests for i in none)
        told.append(f"{count:,} request(s) lie where no domain was read: they are not measured, which is not 0.")
    if part:
        count, least = sum(rows[i].requests for i in part), min(c for c in coverage if c > 0)
        told.append(
            f"{count:,} request(s) are covered by readings in part, the least of them for {least:.1%} of its time: "
            "their joules are those of the covered time."
        )
    return told


def _miscounted(chapter: Chapter) -> Sequence[str]:
    """Token counts that are none, which were left out."""
    spans = sum("miscounted" in row.flags for row in chapter.table.rows)
    return [f"{spans:,} span(s) told a token count below 0, or beyond 2^63: it is not counted."] if spans else []


def _cut_off(chapter: Chapter) -> Sequence[str]:
    """Processes that told spans and never said that they were done, in a recording that did."""
    timeline = chapter.timeline
    if any(segment.t1_ns is None for segment in timeline.segments):
        return []
    left = sorted(process.pid for process in timeline.processes if process.role == "spans" and not process.closed)
    if not left:
        return []
    named = ", ".join(map(str, left[:_NAMED])) + (" ..." if len(left) > _NAMED else "")
    told = (
        f"{len(left):,} process(es) did not end their part of the recording (process {named}): killed, or still at "
        "work. Spans of their last half second may be missing, and their joules are in other accounts then."
    )
    return [told]


def _lost(chapter: Chapter) -> Sequence[str]:
    return [
        f"Process {process.pid} could not write {process.lost_rows} rows (disk full?): they are not in the books."
        for process in chapter.timeline.processes
        if process.lost_rows
    ]


def _of_steps(chapter: Chapter) -> Sequence[str]:
    """What engines told that cannot be so."""
    timeline = chapter.timeline
    if not timeline.steps:
        return []
    known = {span.uid for span in timeline.spans}
    strangers = sorted({stint.span for stint in timeline.stints if stint.span not in known})
    below = sum(min(s.prefill, s.decode, s.context, s.growth) < 0 for s in timeline.stints)
    below += sum(step.padding < 0 for step in timeline.steps)
    backwards = sum(step.t1_ns < step.t0_ns for step in timeline.steps)
    told = []
    if strangers:
        told.append(
            f"Engine steps name {len(strangers):,} request(s) that were not recorded, such as {strangers[0]!r}: "
            "their part is shared among those that were."
        )
    if below:
        told.append(f"Engine steps tell token counts below 0 ({below:,} times): each counts as 0.")
    if backwards:
        told.append(f"{backwards:,} engine step(s) end before they begin: they count as of no length.")
    return told


def _of_devices(chapter: Chapter) -> Sequence[str]:
    """Devices that work is said to use, and that nothing reads: a name of another tool's moves joules unseen."""
    timeline = chapter.timeline
    known = {uid for domain in timeline.domains for uid in (domain.uid, *domain.contains)}
    named = {uid for engine in timeline.engines for uid in engine.devices}
    for span in timeline.spans:
        named.update(span.devices)
        named.update(uid for phase in span.phases for uid in phase.devices)
    strange = sorted(named - known)
    if not strange:
        return []
    uids = sorted(domain.uid for domain in timeline.domains)
    there = f"the domains of this run are {', '.join(uids)}" if uids else "no domain was read"
    return [f"Spans or engines use {', '.join(map(repr, strange))}, which nothing reads: {there}."]


def _of_tiers(chapter: Chapter) -> Sequence[str]:
    """Tiers that there are not: a name misspelt moves a span to a place of its own, and under the PUE."""
    strange = [row.tier for row in chapter.table.rows if row.tier is not None and row.tier not in TIERS]
    if not strange:
        return []
    names = ", ".join(map(repr, sorted(set(strange))))
    told = f"{len(strange):,} span(s) name a tier that there is not ({names}): pass cloud, edge or device."
    return [f"{told} They count as a tier of that name, to which a stated PUE applies."]
