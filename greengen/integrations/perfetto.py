"""Power rails of a Perfetto trace of an Android phone, as its trace processor exports them.

    trace_processor_shell -q rails.sql TRACE > rails.csv

with ``SELECT ts, t.name, value FROM counter c JOIN counter_track t ON c.track_id = t.id WHERE t.name GLOB 'power.*'``
in rails.sql, or the table android_power_rails_counters. ``ts`` is in ns of the phone's boot clock, values are uWs since
boot (docs/data-sources/battery-counters.md and
src/trace_processor/perfetto_sql/stdlib/android/power_rails.sql of google/perfetto). The trace has rails only where
``collect_power_rails: true`` was asked for, on phones that have the meter.
"""

from __future__ import annotations

from pathlib import Path

from greengen.errors import LogError
from greengen.integrations._android_rails import Rails
from greengen.integrations._files import Table, number, read_bytes, table
from greengen.integrations._logs import PowerLog, Rejected
from greengen.integrations._times import Clock
from greengen.integrations._times import number as time

_COLUMNS = (("ts",), ("power_rail_name", "name"), ("energy_since_boot", "value"))
_RAIL = "power."
_NONE = ("", "[null]", "null")


def read(path: Path) -> PowerLog:
    """The rails of an export. Raises LogError."""
    content = read_bytes(path)
    given = table(path, content)
    t_at, name_at, value_at = _places(given)
    rails = Rails(path, content, "perfetto")
    others: dict[str, int] = {}
    for row in given.rows:
        name = row.cells[name_at]
        if not name.startswith(_RAIL):
            others[name] = others.get(name, 0) + 1
        elif row.cells[value_at].lower() in _NONE:
            rails.rejected.append(Rejected(row.line, ",".join(row.cells)[:200], "no reading"))
        else:
            t_ns = time(int(number(row.cells[t_at], given.where(row, t_at))), Clock(epoch="ns"), given.where(row, t_at))
            rails.add(name, t_ns.t_ns, number(row.cells[value_at], given.where(row, value_at)), row.line)
    rails.rejected += [Rejected(row.line, ",".join(row.cells)[:200], "cut off") for row in given.cut]
    if others and not rails.told:
        msg = f"{path} holds no power rail, but {', '.join(sorted(others)[:5])}: record with collect_power_rails: true"
        raise LogError(msg)
    if others:
        rails.notes.append(f"Not read: {', '.join(f'{name} ({count:,})' for name, count in sorted(others.items()))}.")
    return rails.log()


def _places(given: Table) -> tuple[int, int, int]:
    found = []
    for names in _COLUMNS:
        # The standard library's table has `value` beside the name that it gives it now.
        places = [i for name in names for i, column in enumerate(given.header) if column.lower() == name]
        if not places:
            msg = f"{given.path} has no column {names[-1]}: export ts, name and value"
            raise LogError(msg)
        found.append(places[0])
    return found[0], found[1], found[2]
