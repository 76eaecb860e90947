"""The self-test of `greengen doctor`: each domain read for a second, and what that shows of it.

Whether its counter moved, the power it draws, whether that is below the most it can draw, and how often it
had something new: a counter that stands still, a gauge in another unit and one that is minutes old look alike
in one reading.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from greengen import plugins
from greengen.collector import Domain, Event, Sample
from greengen.plugins import Found

#: How long a test takes where nobody says, and how long apart its readings are: as far as a recording's.
SECONDS, STEP_S = 1.0, 0.1
#: A mean time between changes below this is that between readings.
_EACH_S = 1.5 * STEP_S
#: What takes a mean, or an interval between two changes.
_TWO = 2


@dataclass(frozen=True, slots=True)
class Live:
    """What the readings of a domain showed.

    moved            whether it changed; None where there were no two readings
    power_w          of a counter over the time it was read, of a gauge its last reading, W
    note             why a number is missing, or looks wrong
    plausible        whether the power lies between 0 and the most that the domain can draw; None where one of
                     them is not known
    changed_every_s  the mean time between two changes, s: no less than that between two readings. None for fewer
    readings         how many there were
    """

    moved: bool | None
    power_w: float | None
    note: str = ""
    plausible: bool | None = None
    changed_every_s: float | None = None
    readings: int = 0


@dataclass(slots=True)
class _Told:
    """The readings of one domain, and the last thing said about it."""

    samples: list[Sample] = field(default_factory=list)
    reason: str = ""


def read_live(found: Found, sleep: Callable[[float], None], seconds: float = SECONDS) -> dict[str, Live]:
    """Read every domain again and again for so long. By domain uid; `sleep` is time.sleep."""
    told = {domain.uid: _Told() for domain in found.domains}
    _read(found, told)
    for _ in range(max(1, round(seconds / STEP_S))):
        sleep(STEP_S)
        _read(found, told)
    return {domain.uid: _live(domain, told[domain.uid], seconds) for domain in found.domains}


def _read(found: Found, told: dict[str, _Told]) -> None:
    for collector in found.collectors:
        rows, failure = plugins.read_once(collector)
        if failure:
            for domain in found.domains:
                if domain.collector == collector.name:
                    told[domain.uid].reason = failure
        for row in rows:
            if isinstance(row, Sample) and row.domain in told:
                told[row.domain].samples.append(row)
            elif isinstance(row, Event) and row.subject in told:
                told[row.subject].reason = row.reason


def _live(domain: Domain, told: _Told, seconds: float) -> Live:
    samples, count = told.samples, len(told.samples)
    changes = [after.t_ns for before, after in pairwise(samples) if after.value != before.value]
    every_s = (changes[-1] - changes[0]) / 1e9 / (len(changes) - 1) if len(changes) >= _TWO else None
    moved = bool(changes) if count >= _TWO else None
    if not samples or (count < _TWO and domain.reading == "energy") or (count < _TWO and told.reason):
        few = "no reading" if not samples else f"one reading only in {seconds:g} s"
        return Live(moved, None, told.reason or few, readings=count)
    power_w, note = _power(samples) if domain.reading == "energy" else (samples[-1].value, "")
    if power_w is None:
        return Live(moved, None, note, plausible=False, changed_every_s=every_s, readings=count)
    most_w = domain.max_power_w
    if power_w < 0:
        note = "a power below 0"
    elif most_w is not None and power_w > most_w:
        note = f"more than the {most_w:g} W it can draw"
    plausible = False if note else None if most_w is None else True
    return Live(moved, power_w, note or told.reason, plausible, every_s, count)


def _power(samples: Sequence[Sample]) -> tuple[float | None, str]:
    """The power of a counter, and what is wrong with it."""
    if any(after.value < before.value for before, after in pairwise(samples)):
        return None, "the counter stepped back: a wrap, or a reset"
    time_s = (samples[-1].t_ns - samples[0].t_ns) / 1e9
    energy_j = samples[-1].value - samples[0].value
    return energy_j / time_s, "" if energy_j else f"the counter stood still for {time_s:.2f} s"


def words(live: dict[str, object]) -> str:
    """What it showed, in a line; `live` as JSON has it."""
    if not live["readings"] or live["moved"] is None:
        return ""
    parts = [f"{live['readings']} readings", "it moved" if live["moved"] else "it held one value"]
    every_s = live["changed_every_s"]
    if isinstance(every_s, float):
        parts.append("something new " + ("at each of them" if every_s < _EACH_S else f"every {every_s:.2g} s"))
    if live["plausible"]:
        parts.append("its power is below the most it can draw")
    return "self-test: " + ", ".join(parts)
