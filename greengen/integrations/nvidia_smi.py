"""What nvidia-smi wrote: `--query-gpu=timestamp,index,uuid,power.draw --format=csv -l 1`, or `-q -x` (XML).

`[N/A]` is no reading, never 0 W. The instant power is taken where there is one, for it lags least; then
power.draw; then the average. With MIG the power is the whole board's: slices are not told apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from greengen.collector import Domain
from greengen.errors import LogError
from greengen.integrations import _units
from greengen.integrations._files import decoded, read_bytes
from greengen.integrations._logs import Meter, PowerLog, Reading, Rejected, check_order
from greengen.integrations._smi_files import FIELDS, Shot, of_csv, of_xml
from greengen.integrations._times import Clock

#: Boards whose power.draw is instantaneous: GA100, and all before Ampere (the rest average over 1 s).
_INSTANT = re.compile(
    r"A100|A30\b|A800|V100|P100|P40\b|P4\b|T4\b|K80|M60|TITAN|Quadro|GTX|RTX 20|RTX (?:3|4|5|6|8)000$"
)

#: The class of the sensor: boards differ by 5 % (95 %).
_GAIN = 0.025
_SHARED = "nvidia-smi does not say whose work it was; sole tenancy is assumed"


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user says: which power to take, its averaging window, the columns of a file without a header."""

    field: str | None = None
    window_s: float | None = None
    columns: tuple[str, ...] = ()


def read(path: Path, clock: Clock, choice: Choice) -> PowerLog:
    """The readings of a file that nvidia-smi wrote. Raises LogError."""
    return readings(path, read_bytes(path), clock, choice)


def wrote(content: bytes) -> bool:
    """Whether this looks like its CSV or its XML."""
    head = decoded(content[:20_000])
    first = next((line for line in head.splitlines() if line.strip()), "")
    return "<nvidia_smi_log>" in head or ("power.draw" in first and "timestamp" in first)


def readings(path: Path, content: bytes, clock: Clock, choice: Choice) -> PowerLog:
    """The readings in `content`. Raises LogError."""
    text = decoded(content)
    shots = list(
        of_xml(path, text, clock) if "<nvidia_smi_log" in text else of_csv(path, content, clock, choice.columns)
    )
    if not shots:
        msg = f"{path} holds no reading: name a file that nvidia-smi wrote"
        raise LogError(msg)
    kinds = {shot.at.kind for shot in shots if shot.at is not None} or {"relative"}
    if len(kinds) > 1:
        msg = f"{path} mixes times with and without a zone: pass --timezone for those without"
        raise LogError(msg)
    log = PowerLog(path, content, kinds.pop(), [])
    for uid in dict.fromkeys(shot.uid for shot in shots):
        _add(log, [shot for shot in shots if shot.uid == uid], choice)
    return log


def _add(log: PowerLog, shots: Sequence[Shot], choice: Choice) -> None:
    """Add one device's readings to the log, or why it has none."""
    uid, name = shots[0].uid, shots[0].name
    field = _field(log.path, shots, choice)
    if any(shot.mig for shot in shots):
        log.notes.append(f"{name}: MIG is on. Its power is that of the whole board; the slices are not told apart.")
    read, rejected = [], []
    for shot in shots:
        text = shot.powers.get(field or "", "")
        power_w = _watts(text, f"{log.path} line {shot.line}")
        if power_w is None or power_w < 0:
            rejected.append(Rejected(shot.line, text, f"{name}: no reading"))
        else:
            read.append(Reading(0 if shot.at is None else shot.at.t_ns, power_w, shot.line))
    if not read:
        told = ", ".join(sorted({value for shot in shots for value in shot.powers.values()})) or "no power at all"
        log.missing.append((f"{name} ({uid})", f"nvidia-smi gave no power: {told}"))
        return
    log.rejected += rejected
    check_order(log.path, read, log.kind)
    if any(shot.at is None for shot in shots):
        log.notes.append(f"{log.path.name} has no timestamp.")
    others = [f"{other} {shots[0].powers[other]}" for other in shots[0].powers if other != field]
    window_s = _window(field or "", name, choice, log)
    busy = _busy(shots)
    average = f", averaged over {window_s:g} s" if window_s else ""
    beside = f"; not used: {', '.join(others)}" if others else ""
    domain = Domain(
        uid=uid,
        collector="import nvidia-smi",
        kind="gpu",
        name=name,
        reading="power",
        split_reason=_SHARED,
        activity=uid if busy else None,
        refresh_s=0.1,
        gain=_GAIN,
        detail=f"the whole board, memory included, by {field}{average}",
    )
    log.meters.append(Meter(domain, read, window_s, busy))
    log.facts.setdefault("power_field", {})[uid] = f"{field}{average}{beside}"


def _field(path: Path, shots: Sequence[Shot], choice: Choice) -> str | None:
    """The power to take: the one that is asked for, or the first that has a reading."""
    if choice.field is not None:
        if not any(choice.field in shot.powers for shot in shots):
            there = ", ".join(sorted({name for shot in shots for name in shot.powers})) or "none"
            msg = f"{path} has no {choice.field}: the powers in it are {there}"
            raise LogError(msg)
        return choice.field
    for name, _, _ in FIELDS:
        if any(_watts(shot.powers.get(name, ""), f"{path} line {shot.line}") is not None for shot in shots):
            return name
    return None


def _watts(text: str, where: str) -> float | None:
    """The power; None for [N/A], [Not Supported], [Unknown Error] and the like. Without a unit it is in W."""
    if not text or text.startswith("[") or not re.match(r"[+-]?\d", text):
        return None
    return _units.watts(text, None if re.search(r"[A-Za-z]", text) else "W", where)


def _window(field: str, name: str, choice: Choice, log: PowerLog) -> float:
    if choice.window_s is not None:
        return choice.window_s
    window_s = next(window for known, _, window in FIELDS if known == field)
    if window_s is not None:
        return window_s
    if name == "GPU":
        log.notes.append("The log does not name the GPU: whether power.draw is an average is not known (--window S).")
        return 0.0
    return 0.0 if _INSTANT.search(name) else 1.0


def _busy(shots: Sequence[Shot]) -> list[tuple[int, int]]:
    """(time, cumulated busy ns) from the utilisation; empty where any is missing."""
    busy: list[tuple[int, int]] = []
    for shot in shots:
        percent = shot.busy.removesuffix("%").strip()
        if not percent.isdecimal() or shot.at is None:
            return []
        since = shot.at.t_ns - busy[-1][0] if busy else 0
        busy.append((shot.at.t_ns, (busy[-1][1] if busy else 0) + since * min(int(percent), 100) // 100))
    return busy if len({t for t, _ in busy}) == len(busy) > 1 else []
