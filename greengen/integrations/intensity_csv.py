"""A grid intensity of the user's own, by the hour: a CSV with the columns `time` and `g_per_kwh`.

Each value holds from its time until the next row's; the last for as long as the one before it. Times
carry their zone (2026-11-21T13:00+01:00, or …Z), so that an hour that a clock shows twice is two.
"""

from __future__ import annotations

import csv
import datetime as dt
import math
from itertools import pairwise
from pathlib import Path

from greengen.accounting.hour import Hour
from greengen.accounting.site import MOST_G_PER_KWH
from greengen.errors import UsageError
from greengen.integrations._grid import HOUR_NS, ns_of
from greengen.quantity import Quantity

#: Their names, as a file's first line has them.
COLUMNS = ("time", "g_per_kwh")


def read(path: Path, basis: str) -> tuple[Hour, ...]:
    """The hours of a file. Raises UsageError that names the line and the remedy."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file)
            head = [cell.strip() for cell in next(lines, [])]
            if not set(COLUMNS) <= set(head):
                msg = (
                    f"{path}: its first line has no columns {' and '.join(COLUMNS)}, but {', '.join(head) or 'nothing'}"
                )
                raise UsageError(msg)
            at = [head.index(column) for column in COLUMNS]
            rows = [
                _row(path, lines.line_num, [row[i] if i < len(row) else "" for i in at]) for row in lines if any(row)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"{path} cannot be read as CSV: {getattr(error, 'strerror', None) or error}"
        raise UsageError(msg) from error
    if not rows:
        msg = f"{path} holds no row: write one for each hour, such as 2026-11-21T13:00Z,320"
        raise UsageError(msg)
    step_ns = rows[1][1] - rows[0][1] if len(rows) > 1 else HOUR_NS
    for (_, before_ns, _), (line, at_ns, _) in pairwise(rows):
        _check_step(path, line, at_ns - before_ns, step_ns)
    values = [(at_ns, Quantity(value, "g/kWh", "declared", basis=basis)) for _, at_ns, value in rows]
    return tuple(Hour(at_ns, at_ns + step_ns, value) for at_ns, value in values)


def _row(path: Path, line: int, cells: list[str]) -> tuple[int, int, float]:
    """(line, ns since 1970, g/kWh)."""
    where = f"{path}, line {line}"
    try:
        at = dt.datetime.fromisoformat(cells[0].strip())
    except ValueError:
        msg = f"{where}: {cells[0]!r} is no time: write it as 2026-11-21T13:00Z"
        raise UsageError(msg) from None
    if at.tzinfo is None:
        msg = f"{where}: {cells[0]!r} has no time zone: add Z for UTC, or an offset such as +01:00"
        raise UsageError(msg)
    try:
        value = float(cells[1])
    except ValueError:
        value = math.nan
    if not 0 <= value <= MOST_G_PER_KWH:
        msg = f"{where}: {cells[1]!r} is no intensity: pass g/kWh, from 0 to {MOST_G_PER_KWH:g}"
        raise UsageError(msg)
    return line, ns_of(at), value


def _check_step(path: Path, line: int, found_ns: int, step_ns: int) -> None:
    where = f"{path}, line {line}"
    if found_ns == 0:
        msg = f"{where}: its time is that of the row before: leave one out, or write the offset that tells them apart"
        raise UsageError(msg)
    if found_ns < 0:
        msg = f"{where}: its time is before that of the row before: sort the rows by time"
        raise UsageError(msg)
    if found_ns != step_ns:
        told = "a gap" if found_ns > step_ns else "another step"
        msg = (
            f"{where}: {told}, {found_ns / 6e10:g} minutes after the row before, where the first rows are "
            f"{step_ns / 6e10:g} apart: add the rows that are missing"
        )
        raise UsageError(msg)
