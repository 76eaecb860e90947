"""The two ways in which nvidia-smi writes: a table (`--query-gpu … --format=csv`) and XML (`-q -x`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree as ET

from greengen.errors import LogError
from greengen.integrations._files import table
from greengen.integrations._times import Clock, Stamp, parse

#: Best first: name as --query-gpu has it, tag of the XML, the window that its name tells, s.
FIELDS = (
    ("power.draw.instant", "instant_power_draw", 0.0),
    ("power.draw", "power_draw", None),
    ("power.draw.average", "average_power_draw", 1.0),
)
_XML_BLOCKS = ("gpu_power_readings", "power_readings")
_XML_TIME = "%a %b %d %H:%M:%S %Y"


@dataclass(frozen=True, slots=True)
class Shot:
    """One device at one time, as texts; `at` is None where the file gives no time."""

    line: int
    uid: str
    name: str
    at: Stamp | None
    powers: Mapping[str, str]
    busy: str = ""
    mig: bool = False
    count: int = 0


def of_csv(path: Path, content: bytes, clock: Clock, columns: Sequence[str]) -> Iterator[Shot]:
    """The lines of a table. Raises LogError where it is none of nvidia-smi's."""
    given = table(path, content, columns or None)
    names = {re.sub(r"\s*\[.*\]$", "", name).strip(): i for i, name in enumerate(given.header)}
    if "timestamp" not in names or not any(name in names for name, _, _ in FIELDS):
        msg = (
            f"{path} is not a table of nvidia-smi: it needs the columns timestamp and power.draw; record it with "
            "nvidia-smi --query-gpu=timestamp,index,uuid,name,power.draw,power.draw.instant,utilization.gpu "
            "--format=csv -l 1, or name the columns of a file without a header with --columns"
        )
        raise LogError(msg)
    if given.cut:
        # nvidia-smi is stopped in the middle of a line; any other line of another width is no reading either.
        lines = [row for row in given.cut if row.line != max(r.line for r in (*given.rows, *given.cut))]
        if lines:
            msg = (
                f"{path} line {lines[0].line} has {len(lines[0].cells)} cells, the header {len(given.header)}: mend it"
            )
            raise LogError(msg)
    identity = next((name for name in ("uuid", "gpu_uuid", "pci.bus_id", "index") if name in names), None)
    for row in given.rows:
        cell = {name: row.cells[i] for name, i in names.items()}
        where = given.where(row, names["timestamp"])
        count = cell.get("count", "0")
        if identity is None and count.isdecimal() and int(count) > 1:
            msg = f"{path} tells of {count} GPUs, and no column which one: record index or uuid too"
            raise LogError(msg)
        yield Shot(
            row.line,
            _uid(cell, identity),
            cell.get("name") or cell.get("gpu_name") or "GPU",
            parse(cell["timestamp"], clock, where),
            {name: cell[name] for name, _, _ in FIELDS if name in cell},
            cell.get("utilization.gpu", ""),
            cell.get("mig.mode.current", "").lower() == "enabled",
        )


def _uid(cell: Mapping[str, str], identity: str | None) -> str:
    if identity is None:
        return "nvidia-smi:gpu"
    masked = identity.endswith("uuid") and not re.search(r"[1-9a-f]", cell[identity].removeprefix("GPU-"))
    if masked and "index" in cell:
        # Ids that were blanked out are all alike.
        return f"nvidia-smi:{cell['index']}"
    return f"nvidia-smi:{cell[identity]}"


def of_xml(path: Path, text: str, clock: Clock) -> Iterator[Shot]:
    """The devices of one XML log, or of several in a row. Raises LogError where they are none."""
    if "<!ENTITY" in text:
        msg = f"{path} declares entities, which nvidia-smi never writes: it is not read"
        raise LogError(msg)
    bodies = re.findall(r"<nvidia_smi_log>.*?</nvidia_smi_log>", text, re.DOTALL)
    if not bodies or text.count("<nvidia_smi_log>") > len(bodies) + 1:
        msg = f"{path} is cut off before its first </nvidia_smi_log>: record it again"
        raise LogError(msg)
    for number, body in enumerate(bodies, 1):
        try:
            root = ET.fromstring(body)  # noqa: S314 -- it declares no entity, see above
        except ET.ParseError as error:
            msg = f"{path}, log {number}: not the XML of nvidia-smi ({error}): record it again with nvidia-smi -q -x"
            raise LogError(msg) from error
        told = root.findtext("timestamp")
        if told is None and len(bodies) > 1:
            msg = f"{path}, log {number} has no timestamp: without times, there is no energy"
            raise LogError(msg)
        at = None if told is None else parse(told.strip(), replace(clock, pattern=_XML_TIME), f"{path}, log {number}")
        for gpu in root.findall("gpu"):
            block = next((found for name in _XML_BLOCKS if (found := gpu.find(name)) is not None), None)
            powers = {name: _of(block, tag) for name, tag, _ in FIELDS} if block is not None else {}
            yield Shot(
                number,
                f"nvidia-smi:{_of(gpu, 'uuid') or gpu.get('id', 'gpu')}",
                _of(gpu, "product_name") or "GPU",
                at,
                {name: value for name, value in powers.items() if value},
                _of(gpu, "utilization/gpu_util"),
                _of(gpu, "mig_mode/current_mig").lower() == "enabled",
            )


def _of(element: ET.Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()
