"""The energy of a run by the hour of UTC in which it was used."""

from __future__ import annotations

import numpy as np

from greengen.accounting.chapter import Chapter
from greengen.accounting.curves import Ints
from greengen.accounting.ledger import Ledger
from greengen.quantity import Quantity, total

HOUR_NS = 3_600_000_000_000


def by_hour(ledger: Ledger) -> dict[int, Quantity]:
    """The total's joules of each hour that the recording touched, by the hour's start, s since 1970 in UTC.

    The hours sum to the total. Empty where nothing was read.
    """
    parts: dict[int, list[Quantity]] = {}
    for chapter in ledger.chapters:
        offset = epoch_offset_ns(chapter)
        for entries in chapter.totalled:
            curve = entries.books.curve
            if not entries.books.grid.known_s:
                continue
            edges = _edges(curve.t_ns, offset)
            joules = np.diff(curve.at(edges))
            for start, end, energy in zip(edges[:-1], edges[1:], joules, strict=True):
                hour = int((start + offset) // HOUR_NS) * (HOUR_NS // 1_000_000_000)
                parts.setdefault(hour, []).append(entries.over(float(energy), np.array([start, end])))
    return {hour: total(found, "J") for hour, found in sorted(parts.items())}


def epoch_offset_ns(chapter: Chapter) -> int:
    """What to add to the chapter's clock to have ns since 1970: of its first segment, as all are of one boot."""
    first = min(chapter.timeline.segments, key=lambda segment: segment.t0_ns, default=None)
    return 0 if first is None else first.epoch_ns - first.t0_ns


def dated(ledger: Ledger) -> bool:
    """Whether it is known when all of it was recorded: of an imported log, only where the log says so."""
    imported = [s.info.get("imported") for chapter in ledger.chapters for s in chapter.timeline.segments]
    return all(bool(told.get("date_known")) for told in imported if isinstance(told, dict))


def recorded_s(ledger: Ledger) -> float:
    """For how long anything was recorded: what hosts recorded at the same time counts once."""
    if len(ledger.chapters) == 1:
        return ledger.chapters[0].recorded_s
    stretches = sorted(
        (start + offset, end + offset)
        for chapter in ledger.chapters
        for offset in [epoch_offset_ns(chapter)]
        for start, end in chapter.recorded
    )
    seconds, reached = 0.0, 0
    for start, end in stretches:
        seconds += max(0, end - max(start, reached)) / 1e9
        reached = max(reached, end)
    return seconds


def _edges(t_ns: Ints, offset: int) -> Ints:
    """The curve's ends and the full hours between them, on its own clock."""
    first, last = int(t_ns[0]), int(t_ns[-1])
    full = range(((first + offset) // HOUR_NS + 1) * HOUR_NS - offset, last, HOUR_NS)
    return np.array([first, *full, last], dtype=np.int64)
