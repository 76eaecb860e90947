"""What the logs give, whatever their format: readings of meters, and requests; what is wrong with them is counted."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from greengen.collector import Domain
from greengen.errors import LogError
from greengen.integrations._times import Kind, told
from greengen.rows import Series

#: A step between two readings that is this many times the usual one is irregular.
IRREGULAR = 1.5

#: Rejected lines, gaps and the like that are listed one by one; beyond that they are counted.
LISTED = 100


class Reading(NamedTuple):
    """One line of a power log: when, W, and where it stands."""

    t_ns: int
    power_w: float
    line: int


class Rejected(NamedTuple):
    """A line that is not used, and why."""

    line: int
    text: str
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """As the report lists it."""
        return {"line": self.line, "text": self.text, "reason": self.reason}


#: How much of such a line is repeated.
_SHOWN = 200


def refused(line: int, text: str, error: LogError, *, drop_bad: bool) -> Rejected:
    """A line that is wrong, to be listed where that was asked for. Raises LogError where it was not."""
    if not drop_bad:
        msg = f"{error} (or pass --drop-bad to leave such lines out and list them)"
        raise LogError(msg) from error
    return Rejected(line, text[:_SHOWN], str(error))


@dataclass(slots=True)
class Meter:
    """The readings of one domain in time order, and how busy the device was (time, cumulated ns), if told.

    Of a counter, `counter` holds the energies, J, and the readings only when and in which line.
    """

    domain: Domain
    readings: list[Reading]
    window_s: float = 0.0
    busy: list[tuple[int, int]] = field(default_factory=list)
    counter: Series | None = None


@dataclass(slots=True)
class PowerLog:
    """What a power log holds. `missing`: (device, why it gave no power)."""

    path: Path
    content: bytes
    kind: Kind
    meters: list[Meter]
    rejected: list[Rejected] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def ends(self) -> tuple[int, int] | None:
        """The times of its first and last reading, ns."""
        times = [reading.t_ns for meter in self.meters for reading in meter.readings]
        return (min(times), max(times)) if times else None


@dataclass(frozen=True, slots=True)
class Request:
    """One line of a request log, or a group of `requests` of which only the sum is known. Times in ns."""

    t0_ns: int
    t1_ns: int
    line: int
    model: str | None = None
    name: str | None = None
    scheduled_ns: int | None = None
    first_token_ns: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    outcome: str = "ok"
    labels: dict[str, str] = field(default_factory=dict)
    requests: int = 1


@dataclass(slots=True)
class RequestLog:
    """What a request log holds."""

    path: Path
    content: bytes
    kind: Kind
    requests: list[Request]
    rejected: list[Rejected] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ends(self) -> tuple[int, int]:
        """The first start and the last end, ns."""
        return min(r.t0_ns for r in self.requests), max(r.t1_ns for r in self.requests)


def check_order(path: Path, readings: Sequence[Reading], kind: Kind) -> None:
    """Raise LogError where the times of a meter go back."""
    for before, after in pairwise(readings):
        if after.t_ns < before.t_ns:
            msg = (
                f"{path} line {after.line}: its time {told(after.t_ns, kind)} lies before that of line {before.line}, "
                f"{told(before.t_ns, kind)}: was the clock set back? Log in UTC, or cut the log there"
            )
            raise LogError(msg)


def duplicates(readings: Sequence[Reading]) -> list[tuple[Reading, Reading]]:
    """Neighbours that bear one time stamp."""
    return [(a, b) for a, b in pairwise(readings) if a.t_ns == b.t_ns]


def series(readings: Sequence[Reading], window_s: float = 0.0) -> Series:
    """Readings in time order as a series; of several with one time stamp, their mean."""
    times: list[int] = []
    values: list[float] = []
    held: list[float] = []
    for reading in readings:
        if times and times[-1] == reading.t_ns:
            held.append(reading.power_w)
            values[-1] = statistics.fmean(held)
        else:
            held = [reading.power_w]
            times.append(reading.t_ns)
            values.append(reading.power_w)
    spacing = [0, *(b - a for a, b in pairwise(times))]
    return Series(times, values, spacing, window_s)


def usual_step_ns(times: Sequence[int]) -> int:
    """The median step between times; 0 of fewer than two."""
    steps = [b - a for a, b in pairwise(times) if b > a]
    return int(statistics.median(steps)) if steps else 0


def stamps(readings: Sequence[Reading], kind: Kind) -> dict[str, Any]:
    """What the report says of a meter's time stamps: usual step, largest gap, irregular ones, duplicates."""
    times = [reading.t_ns for reading in readings]
    steps = [(b - a, a) for a, b in pairwise(times)]
    usual = usual_step_ns(times)
    largest, at = max(steps, default=(0, 0))
    irregular = [(step, start) for step, start in steps if step > IRREGULAR * usual]
    twice = duplicates(readings)
    return {
        "usual_step_s": usual / 1e9,
        "largest_gap_s": largest / 1e9,
        "largest_gap_at": told(at, kind) if steps else None,
        "irregular_gaps": [{"after": told(a, kind), "gap_s": step / 1e9} for step, a in irregular[:LISTED]],
        "irregular_gaps_count": len(irregular),
        "duplicate_stamps": [{"lines": [a.line, b.line], "time": told(a.t_ns, kind)} for a, b in twice[:LISTED]],
        "duplicate_stamps_count": len(twice),
    }
