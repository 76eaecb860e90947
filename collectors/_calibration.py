"""A file that `greengen calibrate` wrote: what this machine's CPUs draw, idle and busy, by a meter that was read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from greengen.collectors._cpu_info import CpuInfo

#: The environment variable that names the file.
VARIABLE = "GREENGEN_CALIBRATION"

SCHEMA, SCHEMA_ACCELERATOR = "greengen.calibration/1", "greengen.accelerator/1"


class Calibration(NamedTuple):
    """Powers of the whole machine, W: idle, and what all CPUs busy add to that.

    sigma     relative standard uncertainty of the line between the two
    scatter   relative standard deviation of a stretch of the run around it
    gain      relative standard uncertainty of the meter
    meter     what was read, in words, and its kind
    created   when, as ISO 8601
    """

    idle_w: float
    active_w: float
    sigma: float
    scatter: float
    gain: float
    meter: str
    kind: str
    created: str


def load(path: Path, cpu: CpuInfo) -> Calibration | str:
    """The calibration, or why it is not one of this machine."""
    return _load(path, cpu, SCHEMA)


def load_accelerator(path: Path, cpu: CpuInfo, name: str) -> Calibration | str:
    """What an accelerator adds while it is busy, over an idle power of 0; or why it is not this one's, or not here."""
    return _load(path, cpu, SCHEMA_ACCELERATOR, name)


def _load(path: Path, cpu: CpuInfo, schema: str, accelerator: str = "") -> Calibration | str:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    except (ValueError, RecursionError):
        return f"{path} is no JSON"
    if not isinstance(told, dict) or told.get("schema") != schema:
        return f"{path} is no calibration of the schema {schema}"
    try:
        machine = _machine(told)
        found: Calibration | str = _told(told)
    except (KeyError, TypeError, ValueError) as error:
        return f"{path} is damaged: {error}"
    here = (cpu.model, cpu.logical)
    if machine != here:
        return f"{path} is of another machine: {_named(*machine)}, and this one is {_named(*here)}"
    if accelerator and told.get("accelerator") != accelerator:
        found = f"{path} is of {told.get('accelerator')!r}, and not of {accelerator}"
    return found


def _machine(told: dict[str, Any]) -> tuple[str, int]:
    return str(told["machine"]["cpu"]), int(told["machine"]["logical_cpus"])


def _told(told: dict[str, Any]) -> Calibration:
    meter = told["meter"]
    # What an accelerator draws idle is in no calibration of it: it is behind the meter with all else.
    idle_w = float(told["idle_w"]) if told["schema"] == SCHEMA else 0.0
    active_w, sigma, scatter = (float(told[key]) for key in ("active_w", "sigma", "scatter"))
    gain = float(meter["gain"])
    if not all(math.isfinite(n) and n >= 0 for n in (idle_w, active_w, sigma, scatter, gain)) or not active_w:
        msg = "a power or an uncertainty is no number, or below 0"
        raise ValueError(msg)
    named = f"{', '.join(map(str, meter['domains']))} ({meter['grade']})"
    return Calibration(idle_w, active_w, sigma, scatter, gain, named, str(meter["kind"]), str(told["created"]))


def _named(model: str, logical: int) -> str:
    return f"“{model or 'a CPU without a name'}” with {logical} logical CPUs"
