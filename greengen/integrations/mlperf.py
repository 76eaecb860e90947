"""An MLPerf run with power: PTDaemon's log of the wall-plug analyser, and loadgen's detail log.

Only what lies between power_begin and power_end counts. The published rule is the arithmetic mean of
the valid readings strictly inside; the energy is the integral, with the power interpolated at both
ends. `Watts` is the total; Ch1, Ch2 … are its parts and are left aside. -1 and -2 are failed reads.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from greengen.collector import Domain
from greengen.errors import LogError
from greengen.integrations import _rows
from greengen.integrations._files import decoded, digest, read_bytes
from greengen.integrations._loadgen import Loadgen, loadgen
from greengen.integrations._logs import (
    LISTED,
    Meter,
    Reading,
    series,
    stamps,
    usual_step_ns,
)
from greengen.integrations._ptdaemon import Ptd, ptdaemon, stamp
from greengen.integrations._times import Clock, told_range
from greengen.rows import Rows, Series

POWER, DETAIL = "spl.txt", "mlperf_log_detail.txt"

#: SPEC accepts analysers of 1 % uncertainty or better.
_GAIN = 0.005

#: A reading further than this many steps from an end of the window does not say what was drawn there.
_NEAR = 5

_DOMAIN = Domain(
    uid="ptdaemon:wall",
    collector="import mlperf",
    kind="wall",
    name="wall power (PTDaemon)",
    reading="power",
    scope="host",
    split_reason=_rows.SOLE,
    refresh_s=1.0,
    gain=_GAIN,
    detail="total of all channels of a wall-plug power analyser, as SPEC PTDaemon logged it (accepted at 1 %)",
)


def read(directory: Path, about: _rows.About, *, model: str | None = None, clock: Clock | None = None) -> Rows:
    """The run in `directory`, or in its one run_… folder. Raises LogError."""
    clock = clock or Clock()
    place = _place(directory)
    content, detail = read_bytes(place / POWER), read_bytes(place / DETAIL)
    ptd = ptdaemon(place / POWER, decoded(content), clock)
    log = loadgen(place / DETAIL, decoded(detail))
    window = tuple(stamp(log.text(key), clock, f"{place / DETAIL}, {key}").t_ns for key in ("power_begin", "power_end"))
    return _draft(about, (content, detail), ptd, log, (window[0], window[1]), model, place)


def _place(directory: Path) -> Path:
    """Where both logs lie: in the directory, or in the one run_… folder inside it."""
    if not directory.exists():
        msg = f"there is no directory {directory}: name the folder that holds {POWER} and {DETAIL}"
        raise LogError(msg)
    place = directory if directory.is_dir() else directory.parent
    if (place / POWER).exists() or (place / DETAIL).exists():
        found = [place]
    else:
        inside = sorted(path.parent for path in place.glob(f"*/{POWER}"))
        found = [path for path in inside if path.name.startswith("run")] or inside
    if len(found) > 1:
        names = ", ".join(str(path) for path in found)
        msg = f"{directory} holds several runs: name one of {names}"
        raise LogError(msg)
    for name in (POWER, DETAIL):
        if not found or not (found[0] / name).exists():
            msg = f"{directory} is not an MLPerf run with power: there is no {name} in it; name the folder of one run"
            raise LogError(msg)
    return found[0]


def _draft(
    about: _rows.About,
    contents: tuple[bytes, bytes],
    ptd: Ptd,
    log: Loadgen,
    window: tuple[int, int],
    model: str | None,
    place: Path,
) -> Rows:
    begin, end = window
    whole = told_range([reading.t_ns for reading in ptd.every], ptd.kind)
    if end <= begin:
        order = f"power_end {log.text('power_end')} is not after power_begin {log.text('power_begin')}"
        msg = f"{place / DETAIL}: {order}: is the log of one run?"
        raise LogError(msg)
    inside = [reading for reading in ptd.valid if begin < reading.t_ns < end]
    if not inside:
        msg = (
            f"no valid reading of {place / POWER} ({whole}) lies in the window of {place / DETAIL} "
            f"({told_range(window, ptd.kind)}): are both logs of one run and one clock?"
        )
        raise LogError(msg)
    readings, ends = within(ptd.valid, begin, end)
    duration_s = (end - begin) / 1e9
    energy_j = math.fsum(
        (a + b) / 2 * (t1 - t0) / 1e9 for (t0, a), (t1, b) in pairwise(zip(readings.t_ns, readings.values, strict=True))
    )
    mean_w = math.fsum(reading.power_w for reading in inside) / len(inside)
    known_s = (readings.t_ns[-1] - readings.t_ns[0]) / 1e9
    draft = _rows.Draft(about, _rows.boot_of(contents[0]), ptd.kind, begin, end)
    draft.requests_id = digest(contents[1])
    draft.meters.append((Meter(_DOMAIN, inside), readings))
    draft.requests.append(log.request(begin, end, model))
    rejected = [
        line.as_dict() | {"inside_window": any(begin < r.t_ns < end for r in ptd.every if r.line == line.line)}
        for line in ptd.rejected[:LISTED]
    ]
    draft.facts = {
        "window": {"begin": log.text("power_begin"), "end": log.text("power_end"), "duration_s": duration_s},
        "readings": {
            "in_file": len(ptd.every),
            "strictly_inside_window": len(inside),
            "before_window": sum(r.t_ns <= begin for r in ptd.valid),
            "after_window": sum(r.t_ns >= end for r in ptd.valid),
            "channel": "Watts, the total; Ch1 and the following are its parts and are not added",
        },
        "mean_power_w": mean_w,
        "mean_power_rule": "arithmetic mean of the valid readings strictly inside the window (MLPerf)",
        "energy_j": energy_j,
        "energy_rule": "integral (trapezoids) over the window, with the power interpolated at its two ends",
        "energy_mean_times_duration_j": mean_w * duration_s,
        "energy_known_s": known_s,
        "min_power_w": min(reading.power_w for reading in inside),
        "max_power_w": max(reading.power_w for reading in inside),
        "rejected": rejected,
        "rejected_count": len(ptd.rejected),
        "rejected_inside_window_count": _failed_inside(ptd, window),
        **stamps(ptd.every, ptd.kind),
        "largest_gap_between_valid_in_window_s": max((b - a for a, b in pairwise(readings.t_ns)), default=0) / 1e9,
        **log.facts(mean_w, energy_j, duration_s),
    }
    draft.notes += _notes(ptd, ends, draft.facts, known_s) + log.notes()
    draft.summary = _summary(draft.facts) + log.summary(draft.facts)
    return draft.rows()


def within(valid: Sequence[Reading], begin: int, end: int) -> tuple[Series, list[str]]:
    """The readings inside a window, with one interpolated at each end that has neighbours; which ends those are."""
    whole = series(valid)
    step = usual_step_ns(whole.t_ns)
    first, last = bisect_right(whole.t_ns, begin), bisect_left(whole.t_ns, end)
    cut = Series(whole.t_ns[first:last], whole.values[first:last], whole.spacing_ns[first:last])
    ends = []
    for name, at, i in (("begin", begin, first), ("end", end, last)):
        if not 0 < i < len(whole.t_ns):
            continue
        (t0, t1), (p0, p1) = whole.t_ns[i - 1 : i + 1], whole.values[i - 1 : i + 1]
        if t1 - t0 > _NEAR * step:
            continue
        power_w = p0 + (p1 - p0) * ((at - t0) / (t1 - t0))
        where = 0 if name == "begin" else len(cut.t_ns)
        cut.t_ns.insert(where, at)
        cut.values.insert(where, power_w)
        cut.spacing_ns.insert(where, t1 - t0)
        ends.append(f"power_{name}")
    return cut, ends


def _failed_inside(ptd: Ptd, window: tuple[int, int]) -> int:
    return sum(not reading.power_w > 0 and window[0] < reading.t_ns < window[1] for reading in ptd.every)


def _notes(ptd: Ptd, ends: Sequence[str], facts: dict[str, Any], known_s: float) -> list[str]:
    notes = []
    if ends:
        notes.append(f"The power at {' and '.join(ends)} is interpolated between the readings around it.")
    if known_s < facts["window"]["duration_s"]:
        whole = told_range([reading.t_ns for reading in ptd.every], ptd.kind)
        notes.append(
            f"The power log ({whole}) does not cover the window: its energy is known for {known_s:.3f} s "
            f"of {facts['window']['duration_s']:.3f} s."
        )
    if ptd.rejected:
        lines = ", ".join(str(line.line) for line in ptd.rejected[:10])
        count, inside = len(ptd.rejected), facts["rejected_inside_window_count"]
        notes.append(
            f"{count:,} lines of the power log hold no valid reading and were left out, {inside:,} of them inside the "
            f"window (line {lines}): the power is taken along a line from the reading before to the one after."
        )
    if facts["duplicate_stamps_count"]:
        notes.append(
            f"{facts['duplicate_stamps_count']:,} readings bear the time stamp of the one before: their mean counts."
        )
    return notes


def _summary(facts: dict[str, Any]) -> list[tuple[str, str]]:
    window, inside = facts["window"], facts["readings"]["strictly_inside_window"]
    rule = f"mean of the {inside:,} valid readings inside the window, as MLPerf publishes it"
    gaps = (facts["largest_gap_s"], facts["largest_gap_between_valid_in_window_s"])
    readings = [
        f"{facts['readings']['in_file']:,} in the file",
        f"{facts['rejected_count']:,} rejected ({facts['rejected_inside_window_count']:,} inside the window)",
        f"largest gap {gaps[0]:.3f} s ({gaps[1]:.3f} s between valid readings in the window)",
        f"{facts['duplicate_stamps_count']:,} duplicate time stamps",
    ]
    return [
        ("window", f"{window['begin']} to {window['end']}, {window['duration_s']:.3f} s"),
        ("mean power", f"{facts['mean_power_w']:.3f} W: {rule}"),
        ("energy", f"{facts['energy_j']:,.0f} J: integral over the window"),
        ("readings", ", ".join(readings)),
    ]
