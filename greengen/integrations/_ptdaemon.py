"""SPEC PTDaemon's log of a power analyser: one line per reading, `Time,…,Watts,…` and then its channels.

`Watts` is the total; Ch1, Ch2 … are its parts and are left aside. -1 and -2 are failed reads. The
clock is a local one, of a zone that the log does not name.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from greengen.errors import LogError
from greengen.integrations._files import shown
from greengen.integrations._logs import Reading, Rejected, check_order
from greengen.integrations._times import Clock, Kind, Stamp, parse

_STAMP = re.compile(r"(\d\d)-(\d\d)-(\d{4}) (\d\d:\d\d:\d\d(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Ptd:
    """PTDaemon's log: valid readings, all stamps (failed reads too), and the lines that are not used."""

    valid: tuple[Reading, ...]
    every: tuple[Reading, ...]
    rejected: tuple[Rejected, ...]
    kind: Kind


def stamp(text: str, clock: Clock, where: str) -> Stamp:
    """A time as PTDaemon and loadgen write it: MM-DD-YYYY HH:MM:SS.mmm, in one unnamed zone. Raises LogError."""
    found = _STAMP.fullmatch(text.strip())
    if not found:
        msg = f"{where}: {shown(text)} is not a time as MM-DD-YYYY HH:MM:SS.mmm: is this an MLPerf power run?"
        raise LogError(msg)
    return parse(f"{found[3]}-{found[1]}-{found[2]} {found[4]}", clock, where)


def ptdaemon(path: Path, text: str, clock: Clock) -> Ptd:
    """PTDaemon's readings of the total channel. Raises LogError where the file is none of its logs."""
    valid, every, rejected = [], [], []
    kind: Kind = "local"
    for number, line in enumerate(text.splitlines(), 1):
        cells = line.split(",")
        if not line.strip():
            continue
        if cells[0] != "Time" or len(cells) < 4 or cells[2] != "Watts":  # noqa: PLR2004 -- Time, its value, Watts, its
            rejected.append(Rejected(number, line[:200], "no reading: it does not begin Time,...,Watts,..."))
            continue
        at = stamp(cells[1], clock, f"{path} line {number}")
        kind = at.kind
        power_w = _watts(cells[3])
        every.append(Reading(at.t_ns, power_w, number))
        if power_w > 0:
            valid.append(every[-1])
        else:
            why = "a failed read" if power_w < 0 else "no power" if power_w == 0 else "not a number"
            rejected.append(Rejected(number, line[:200], f"{why}: Watts is {shown(cells[3])}"))
    if not every:
        msg = f"{path} is not a PTDaemon log: no line begins 'Time,MM-DD-YYYY HH:MM:SS.mmm,Watts,'"
        raise LogError(msg)
    check_order(path, every, kind)
    return Ptd(tuple(valid), tuple(every), tuple(rejected), kind)


def _watts(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
