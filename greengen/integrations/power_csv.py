"""A power log as a table: a time, a power and, where several meters wrote it, which one it was."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from greengen.collector import Domain
from greengen.errors import LogError
from greengen.integrations import _units, nvidia_smi
from greengen.integrations._files import Row, Table, read_bytes, shown, table
from greengen.integrations._logs import Meter, PowerLog, Reading, Rejected, check_order, duplicates, refused
from greengen.integrations._rows import SOLE
from greengen.integrations._times import Clock, Kind, parse

#: Names of columns that mean one thing only.
_TIME = ("time", "timestamp", "datetime", "date_time")
_POWER = ("power", "watts")

#: What a logger writes where it has no reading.
_NONE = ("", "n/a", "[n/a]", "na", "none", "null", "-")


@dataclass(frozen=True, slots=True)
class Columns:
    """What the user says of a power log.

    time, power, device  names of columns
    unit                 of powers that name none
    covers               the kind of domain that the meter covers: wall, gpu, package …
    window_s             over how long each reading averages
    gain                 relative standard uncertainty of the meter
    drop_bad             leave lines without a valid reading out and list them, instead of refusing the log
    """

    time: str | None = None
    power: str | None = None
    device: str | None = None
    unit: str | None = None
    covers: str | None = None
    window_s: float = 0.0
    gain: float = 0.0
    drop_bad: bool = False


def read(path: Path, columns: Columns, clock: Clock) -> PowerLog:
    """The readings of a table, or of nvidia-smi if it wrote the file. Raises LogError."""
    content = read_bytes(path)
    if nvidia_smi.wrote(content) and columns.power is None and columns.time is None:
        return nvidia_smi.readings(path, content, clock, nvidia_smi.Choice())
    given = table(path, content)
    places = _places(given, columns)
    unit = _units.of_column(given.header[places[1]])
    asked = _units.unit(columns.unit) if columns.unit else None
    if unit and asked and unit != asked:
        msg = f"{path}: column {given.header[places[1]]!r} is in {unit}, but --power-unit says {asked}: which is it?"
        raise LogError(msg)
    rejected = [
        refused(row.line, ",".join(row.cells), row.cut_off(path), drop_bad=columns.drop_bad) for row in given.cut
    ]
    found: dict[str, list[Reading]] = {}
    missing: dict[str, int] = {}
    kinds: set[Kind] = set()
    for row in given.rows:
        device = row.cells[places[2]] if places[2] is not None else ""
        if row.cells[places[1]].lower() in _NONE:
            missing[device] = missing.get(device, 0) + 1
            rejected.append(Rejected(row.line, ",".join(row.cells)[:200], "no reading"))
            continue
        try:
            reading, kind = _reading(given, row, places, unit or asked, clock)
        except LogError as error:
            rejected.append(refused(row.line, ",".join(row.cells), error, drop_bad=columns.drop_bad))
            continue
        found.setdefault(device, []).append(reading)
        kinds.add(kind)
    if columns.device is None:
        _one_meter(given, found.get("", []), places[:2])
    return _log(path, content, found, missing, sorted(rejected), _one(path, kinds), columns)


def _one_meter(given: Table, readings: list[Reading], read: tuple[int, int]) -> None:
    """Raise LogError where readings of one time differ, and a column tells them apart as names of meters would."""
    differing = [(a, b) for a, b in duplicates(readings) if a.power_w != b.power_w]
    if not differing:
        return
    times = {reading.line: reading.t_ns for reading in readings}
    rows = [row for row in given.rows if row.line in times]
    at_once = max(Counter(times.values()).values())
    for place, name in enumerate(given.header):
        if place in read:
            continue
        named = {row.cells[place] for row in rows}
        if len(named) == at_once and len({(times[row.line], row.cells[place]) for row in rows}) == len(rows):
            a, b = differing[0]
            msg = (
                f"{given.path} lines {a.line} and {b.line}: two powers at one time, {a.power_w:g} W "
                f"and {b.power_w:g} W; if {name!r} tells several meters apart, pass --device-column {name}, "
                f"else leave that column out"
            )
            raise LogError(msg)


def _log(
    path: Path,
    content: bytes,
    found: dict[str, list[Reading]],
    missing: dict[str, int],
    rejected: list[Rejected],
    kind: Kind,
    columns: Columns,
) -> PowerLog:
    for readings in found.values():
        check_order(path, readings, kind)
    log = PowerLog(path, content, kind, [], rejected)
    log.meters = [Meter(_domain(path, device, columns), found[device], columns.window_s) for device in sorted(found)]
    log.missing = [
        (device or path.name, "no reading: every cell is empty or N/A") for device in missing if device not in found
    ]
    twice = sum(a.power_w != b.power_w for readings in found.values() for a, b in duplicates(readings))
    if twice:
        log.notes.append(f"{twice:,} readings of {path.name} bear the time stamp of the one before: their mean counts.")
    if not found and not missing:
        msg = f"{path} holds no reading: name a log with rows"
        raise LogError(msg)
    if not columns.gain:
        log.notes.append(f"How exact the meter of {path.name} is was not told (--gain): intervals leave that out.")
    if columns.covers is None:
        log.notes.append(
            f"What the meter of {path.name} covers was not told (--covers): what it leaves out is not known."
        )
    return log


def _places(given: Table, columns: Columns) -> tuple[int, int, int | None]:
    device = None if columns.device is None else given.column(columns.device, "--device-column")
    places = []
    for asked, usual, option, what in (
        (columns.time, _TIME, "--time-column", "times"),
        (columns.power, _POWER, "--power-column", "powers"),
    ):
        place = _usual(given, usual) if asked is None else given.column(asked, option)
        if place is None:
            names = ", ".join(given.header)
            msg = f"{given.path}: which column holds the {what}? Pass {option}, one of {names}"
            raise LogError(msg)
        places.append(place)
    return places[0], places[1], device


def _usual(given: Table, names: tuple[str, ...]) -> int | None:
    places = [i for i, name in enumerate(given.header) if _units.plain(name) in names]
    return places[0] if len(places) == 1 else None


def _reading(
    given: Table, row: Row, places: tuple[int, int, int | None], unit: str | None, clock: Clock
) -> tuple[Reading, Kind]:
    at = parse(row.cells[places[0]], clock, given.where(row, places[0]))
    where = given.where(row, places[1])
    power_w = _units.watts(row.cells[places[1]], unit, where)
    if power_w < 0:
        msg = f"{where}: the power {shown(row.cells[places[1]])} is negative"
        raise LogError(msg)
    return Reading(at.t_ns, power_w, row.line), at.kind


def _one(path: Path, kinds: set[Kind]) -> Kind:
    if len(kinds) > 1:
        msg = f"{path} mixes times of several kinds ({', '.join(sorted(kinds))}): pass --timezone or --epoch for all"
        raise LogError(msg)
    return next(iter(kinds), "relative")


def _domain(path: Path, device: str, columns: Columns) -> Domain:
    name = device or "power"
    return Domain(
        uid=f"csv:{name}",
        collector="import csv",
        kind=columns.covers or "meter",
        name=f"{name} ({path.name})",
        reading="power",
        split_reason=SOLE,
        gain=columns.gain,
        detail=f"power read by a meter whose log is {path.name}",
    )
