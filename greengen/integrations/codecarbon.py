"""codecarbon's `emissions.csv`: one line per run, kWh of CPU, GPU and RAM over its whole time.

Columns as of codecarbon 3.3.2, `output_methods/emissions_data.py`. Energies there hold the PUE already
(`emissions_tracker.py`: `energy *= self._pue`), so they are divided by it: what comes out is IT energy, as a
recording of greengen's is. The file does not say whether a counter was read or a power assumed, so all of it
counts as modelled. Its own grams and litres stand beside as what the file states.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from greengen.collector import Domain
from greengen.collectors.cpu_model import GAIN, WORKLOAD
from greengen.errors import LogError
from greengen.integrations import _rows
from greengen.integrations._files import Table, digest, number, read_bytes, shown, table
from greengen.integrations._logs import Meter
from greengen.integrations._times import Clock, parse
from greengen.quantity import convert
from greengen.rows import Rows, Series, SpanRow

#: column of kWh → (kind of domain, name).
ENERGIES: Mapping[str, tuple[str, str]] = {
    "cpu_energy": ("package", "CPU"),
    "gpu_energy": ("gpu", "GPU"),
    "ram_energy": ("dram", "RAM"),
}

#: What no line can do without.
NEEDED = ("timestamp", "run_id", "duration", "energy_consumed", *ENERGIES)

#: How far the parts of a line may sum from its total, by rounding.
_AGREES = 1e-3


def read(path: Path, about: _rows.About, *, run_id: str | None = None, clock: Clock | None = None) -> Rows:
    """The run of one line. `run_id` says which, where there are several. Raises LogError."""
    content = read_bytes(path)
    given = table(path, content)
    line, cells = _chosen(path, given, run_id)
    where = f"{path}, line {line}"
    end = parse(cells["timestamp"], clock or Clock(), f"{where}, timestamp")
    seconds = _at_least_0(cells, "duration", where)
    if not seconds:
        msg = f"{where}: duration is 0 s, in which no energy is used"
        raise LogError(msg)
    pue = _at_least_0(cells, "pue", where) if cells.get("pue") else 1.0
    if pue < 1.0:
        msg = f"{where}: pue {pue:g} is not possible: facility energy is at least the IT energy"
        raise LogError(msg)
    kwh = {column: _at_least_0(cells, column, where) for column in ENERGIES if cells.get(column)}
    whole = _at_least_0(cells, "energy_consumed", where)
    draft = _rows.Draft(about, _boot(cells), end.kind, end.t_ns - round(seconds * 1e9), end.t_ns)
    for column, energy in kwh.items():
        if energy:
            joules = convert(energy / pue, "kWh", "J")
            times = [draft.t0_ns, draft.t1_ns]
            meter = Meter(_domain(column), [])
            draft.meters.append((meter, Series(times, [0.0, joules], [0, times[1] - times[0]])))
    parts = math.fsum(kwh.values())
    if abs(parts - whole) > _AGREES * max(parts, whole):
        draft.notes.append(
            f"{path.name}, line {line}: CPU, GPU and RAM sum to {parts:.6g} kWh, energy_consumed says {whole:.6g} kWh: "
            "the parts count."
        )
    if pue > 1.0:
        draft.notes.append(f"Its energies held a PUE of {pue:g} and were divided by it: pass --pue to put one on.")
    draft.facts = {"file": path.name, "line": line, "stated": cells}
    draft.summary += _summary(cells, whole, pue)
    rows = draft.rows()
    (timeline,) = rows.timelines
    process = timeline.processes[0].uid
    name = cells.get("project_name") or None
    timeline.spans.append(SpanRow(f"{process}/1", process, None, "run", draft.t0_ns, draft.t1_ns, name=name))
    return rows


def _chosen(path: Path, given: Table, run_id: str | None) -> tuple[int, dict[str, str]]:
    missing = [column for column in NEEDED if column not in given.header]
    if missing:
        msg = f"{path} is no emissions.csv of codecarbon: it has no column {', '.join(missing)}"
        raise LogError(msg)
    if given.cut:
        raise given.cut[0].cut_off(path)
    lines = [(row.line, dict(zip(given.header, row.cells, strict=True))) for row in given.rows]
    found = [(line, cells) for line, cells in lines if run_id is None or cells["run_id"] == run_id]
    if len(found) == 1:
        return found[0]
    known = ", ".join(dict.fromkeys(cells["run_id"] for _, cells in lines[:5])) or "none"
    if not found:
        msg = f"{path} has no line" + (f" of run {shown(run_id)}" if run_id else "") + f": its runs are {known}"
    else:
        msg = f"{path} holds {len(found)} lines: choose one with --run-id, such as {known}"
    raise LogError(msg)


def _boot(cells: Mapping[str, str]) -> str:
    """Of the line, not of the file: codecarbon appends, and the run stays the same one."""
    return f"import{digest(chr(0).join(f'{key}={value}' for key, value in sorted(cells.items())).encode())}"


def _domain(column: str) -> Domain:
    kind, name = ENERGIES[column]
    return Domain(
        uid=f"codecarbon:{name.lower()}",
        collector="import codecarbon",
        kind=kind,
        name=f"{name} (codecarbon)",
        grade="modelled",
        split_reason=_rows.SOLE,
        gain=GAIN,
        workload=WORKLOAD,
        detail="energy of the whole run as codecarbon told it; its file does not say whether a counter was read",
    )


def _at_least_0(cells: Mapping[str, str], column: str, where: str) -> float:
    value = number(cells.get(column, ""), f"{where}, {column}")
    if value < 0:
        msg = f"{where}: {column} {value:g} is not possible: it is 0 or more"
        raise LogError(msg)
    return value


def _summary(cells: Mapping[str, str], whole_kwh: float, pue: float) -> list[tuple[str, str]]:
    place = ", ".join(filter(None, (cells.get("country_iso_code"), cells.get("region"), cells.get("cloud_region"))))
    told: list[tuple[str, str]] = [("energy as stated", f"{whole_kwh:.6g} kWh, with a PUE of {pue:g} in it")]
    if cells.get("emissions"):
        told.append(("emissions as stated", f"{cells['emissions']} kg, for {place or 'no stated place'}"))
    if cells.get("water_consumed") not in (None, "", "0", "0.0"):
        told.append(("water as stated", f"{cells['water_consumed']} L: WUE times energy that holds the PUE"))
    by = " ".join(filter(None, ("codecarbon", cells.get("codecarbon_version"))))
    told.append(("told by", f"{by}, tracking {cells.get('tracking_mode') or 'not stated'}"))
    return told
