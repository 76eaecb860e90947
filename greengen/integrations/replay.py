"""A recorded run as a collector: its readings come again, at the pace at which they were taken.

``GREENGEN_REPLAY`` names the run file; a log of another tool is imported first (`greengen import`).
What depends on readings is then driven by real ones, on any machine. They are no measurement of what
happens meanwhile, and say so: grade `modelled`, and no weight divides them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from greengen.collector import Discovery, Domain, Event, Host, Sample, Unavailable
from greengen.errors import GreengenError
from greengen.recording.reader import read
from greengen.rows import Series, Timeline

VARIABLE = "GREENGEN_REPLAY"

_SPLIT = "a replayed reading says nothing of the processes that run now"


@dataclass(slots=True)
class _Track:
    """A domain's readings, and how many of them have been told."""

    domain: Domain
    series: Series
    told: int = 0
    over: bool = False


class ReplayCollector:
    """Tells each reading after as much time as had passed when it was taken. Without the variable, nothing."""

    name = "replay"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host) -> None:
        self._now = host.monotonic_ns
        self._path = host.environ.get(VARIABLE, "")
        self._tracks: list[_Track] = []
        self._shift_ns: int | None = None

    def discover(self) -> Discovery:
        """The domains of the recorded run's first host."""
        self._tracks, self._shift_ns = [], None
        if not self._path:
            return Discovery()
        try:
            timelines = [found for found in read(Path(self._path)).timelines if any(found.samples.values())]
        except GreengenError as error:
            return Discovery(unavailable=(Unavailable("replay", str(error), f"name a run file in {VARIABLE}"),))
        if not timelines:
            reason = f"{self._path} holds no readings"
            return Discovery(unavailable=(Unavailable("replay", reason, f"name another run file in {VARIABLE}"),))
        self._tracks = _tracks(timelines[0], self._path)
        return Discovery(tuple(track.domain for track in self._tracks))

    def read(self) -> list[Sample | Event]:
        """All readings whose time has come since the last call; a gap where there are no more."""
        now_ns = self._now()
        if self._shift_ns is None and self._tracks:
            # A recording begins with its first reading: one that was told before would not be of it.
            self._shift_ns = now_ns - min(track.series.t_ns[0] for track in self._tracks)
        shift_ns = self._shift_ns or 0
        found: list[Sample | Event] = []
        for track in self._tracks:
            series, domain = track.series, track.domain
            until = bisect_right(series.t_ns, now_ns - shift_ns)
            for i in range(track.told, until):
                t_ns = series.t_ns[i] + shift_ns
                found.append(Sample(domain.uid, t_ns, series.values[i], domain.reading, series.window_s))
            track.told = max(track.told, until)
            if track.told == len(series.t_ns) and not track.over:
                track.over = True
                found.append(Event(now_ns, "gap", domain.uid, f"{self._path} holds no later reading"))
        return found

    def close(self) -> None:
        """Forget the readings."""
        self._tracks = []


def _tracks(timeline: Timeline, path: str) -> list[_Track]:
    read_ones = [domain for domain in timeline.domains if timeline.samples.get(domain.uid, Series()).t_ns]
    return [_Track(_renamed(domain, read_ones, path), timeline.samples[domain.uid]) for domain in read_ones]


def _renamed(domain: Domain, domains: Sequence[Domain], path: str) -> Domain:
    """The domain under this collector's name: one that is really there is another one."""
    names = {other.uid: f"replay:{other.uid}" for other in domains}
    contains = [f"replay:{uid}" if uid.endswith("*") else names.get(uid, uid) for uid in domain.contains]
    return replace(
        domain,
        uid=names[domain.uid],
        collector="replay",
        name=f"{domain.name} (replayed)",
        grade="modelled",
        contains=tuple(contains),
        split=None,
        split_reason=_SPLIT,
        activity=None,
        detail=f"readings of {path}, told again",
    )
