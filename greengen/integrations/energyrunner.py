"""EEMBC EnergyRunner, as MLPerf Tiny uses it: the energy of each sample in uJ, and the windows of inference.

`trace1-energy.bin`: byte 0 is 0xf1, then the sample rate in Hz and the uJ of each sample, float32, little-endian.
`trace1-timestamps.json`: seconds from the trace's begin; a marker, then start and end of each window.
`results.txt` and `log.txt` say how many inferences a window holds, and what was published.
"""

from __future__ import annotations

import json
import math
import re
import statistics
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from greengen.collector import Domain
from greengen.errors import LogError
from greengen.integrations import _rows
from greengen.integrations._files import decoded, digest, read_bytes, shown
from greengen.integrations._logs import Meter, Request
from greengen.quantity import convert
from greengen.rows import Rows, Series

_TAG = 0xF1
_ENDING = "-energy.bin"
_HEAD = 5
_FASTEST_HZ = 1e9

#: How far a window's energy may be from the published one: the runner rounds its windows to samples.
_AGREES = 2e-4

_WINDOW = re.compile(r"(Energy data|Performance results) for window (\d+)")
_PUBLISHED = {
    "energy_uj": re.compile(r"Energy\s*:\s*([\d.]+) uJ\s*$"),
    "energy_uj_per_inference": re.compile(r"Energy/Inf\.\s*:\s*([\d.]+) uJ/inf"),
    "inferences": re.compile(r"# Inferences\s*:\s*(\d+)"),
}
_STARTED = re.compile(r"m-infer-start-(\d+)")
_MODEL = re.compile(r"key\[model\]-val\[([^\]]+)\]")

_DOMAIN = Domain(
    uid="energyrunner:dut",
    collector="import energyrunner",
    kind="board",
    name="device under test",
    split_reason=_rows.SOLE,
    gain=0.005,
    detail="energy per sample of the device's supply, as EEMBC EnergyRunner traced it",
)


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace: samples per s, and J of each sample."""

    rate_hz: float
    sample_j: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.sample_j) / self.rate_hz


def read(directory: Path, about: _rows.About, *, model: str | None = None, inferences: int | None = None) -> Rows:
    """The run in `directory`. `inferences` per window, where the logs do not say. Raises LogError."""
    path = _trace_file(directory)
    content = read_bytes(path)
    given = trace(path, content)
    times = path.with_name(path.name.removesuffix(_ENDING) + "-timestamps.json")
    spoken = windows(times, given)
    texts = {name: _text(path.with_name(name)) for name in ("results.txt", "log.txt")}
    published = _results(texts["results.txt"])
    counts = _counts(path.parent, len(spoken), published, texts["log.txt"], inferences)
    named = _MODEL.search(texts["log.txt"])
    rows = _draft(about, content, given)
    total = list(accumulate(given.sample_j, initial=0.0))
    told = []
    for number, ((start_s, end_s), count) in enumerate(zip(spoken, counts, strict=True)):
        t0_ns, t1_ns = round(start_s * 1e9), round(end_s * 1e9)
        name = model or (named[1] if named else None)
        rows.requests.append(Request(t0_ns, t1_ns, 0, name, f"window {number + 1}", requests=count))
        energy_j = _until(total, end_s * given.rate_hz) - _until(total, start_s * given.rate_hz)
        told.append(_window((start_s, end_s), count, energy_j, published[number] if published else {}))
    rows.requests_id = digest(content, read_bytes(times))
    _tell(rows, told, given)
    return rows.rows()


def trace(path: Path, content: bytes) -> Trace:
    """The samples of a trace. Raises LogError where it is none, or is cut off."""
    if len(content) < _HEAD or content[0] != _TAG:
        first = f"it begins with 0x{content[0]:02x}" if content else "it is empty"
        msg = f"{path} is not an EnergyRunner trace ({first}, not 0xf1): name the folder of a run"
        raise LogError(msg)
    size = len(content) - _HEAD
    if size % 4:
        msg = f"{path} is cut off in the middle of sample {size // 4 + 1}: copy it again"
        raise LogError(msg)
    (rate_hz,) = struct.unpack_from("<f", content, 1)
    if not (math.isfinite(rate_hz) and 0 < rate_hz <= _FASTEST_HZ):
        msg = f"{path} is damaged: its sample rate is {rate_hz:g} Hz; copy it again"
        raise LogError(msg)
    samples = struct.unpack_from(f"<{size // 4}f", content, _HEAD)
    for number, energy_uj in enumerate(samples, 1):
        if not (math.isfinite(energy_uj) and energy_uj >= 0):
            msg = f"{path} is damaged: sample {number} is {energy_uj:g} uJ, and energy is 0 or more; copy it again"
            raise LogError(msg)
    return Trace(rate_hz, tuple(convert(energy_uj, "uJ", "J") for energy_uj in samples))


def windows(path: Path, given: Trace) -> list[tuple[float, float]]:
    """The windows, s from the trace's begin. Raises LogError where they are none, or lie outside the trace."""
    try:
        times = json.loads(decoded(read_bytes(path)))
    except (ValueError, RecursionError) as error:
        msg = f"{path} is not JSON: {error}; copy it again"
        raise LogError(msg) from error
    numbers = isinstance(times, list) and all(type(t) in (int, float) and math.isfinite(t) for t in times)
    if not numbers or len(times) < 3 or len(times) % 2 == 0:  # noqa: PLR2004 -- a marker and one window
        msg = f"{path} is not a list of a marker and the start and end of each window, in s: {shown(times)}"
        raise LogError(msg)
    pairs = list(zip(times[1::2], times[2::2], strict=True))
    for number, (start_s, end_s) in enumerate(pairs, 1):
        if not 0 <= start_s < end_s:
            msg = f"{path}: window {number} runs from {start_s} s to {end_s} s, which is no length of time"
            raise LogError(msg)
        if end_s > given.seconds:
            msg = (
                f"{path}: window {number} ends at {end_s} s, but the trace holds {given.seconds:g} s: "
                "is the trace cut off? Copy it again"
            )
            raise LogError(msg)
    return pairs


def _trace_file(directory: Path) -> Path:
    found = sorted(directory.glob(f"*{_ENDING}")) if directory.is_dir() else [directory]
    if len(found) == 1 and found[0].exists():
        return found[0]
    if found and directory.is_dir():
        msg = f"{directory} holds several traces: name one of {', '.join(str(path) for path in found)}"
    else:
        msg = f"{directory} is not a run of EnergyRunner: there is no …{_ENDING}; name the folder that holds one"
    raise LogError(msg.replace("…", "*"))


def _text(path: Path) -> str:
    return decoded(read_bytes(path)) if path.exists() else ""


def _results(text: str) -> list[dict[str, float]]:
    """What results.txt publishes of each window, in order."""
    found: dict[int, dict[str, float]] = {}
    number = 0
    for line in text.splitlines():
        window = _WINDOW.search(line)
        if window:
            number = int(window[2])
        for key, pattern in _PUBLISHED.items():
            value = pattern.search(line)
            if value and number:
                found.setdefault(number, {})[key] = float(value[1])
    return [found[number] for number in sorted(found)]


def _counts(place: Path, wanted: int, published: Sequence[dict[str, float]], log: str, given: int | None) -> list[int]:
    """Inferences of each window: as the user says, or results.txt, or log.txt."""
    if given is not None:
        return [given] * wanted
    told = [int(window["inferences"]) for window in published if window.get("inferences")]
    started = [int(number) for number in _STARTED.findall(log)]
    for counts in (told, started):
        if len(counts) == wanted and min(counts) > 0:
            return counts
    msg = (
        f"{place}: neither results.txt nor log.txt says how many inferences each of the {wanted} windows holds: "
        "pass --inferences N"
    )
    raise LogError(msg)


def _draft(about: _rows.About, content: bytes, given: Trace) -> _rows.Draft:
    # A counter at the end of each sample: exact at every sample's edge.
    step_ns = 1e9 / given.rate_hz
    times = [round(i * step_ns) for i in range(len(given.sample_j) + 1)]
    values = list(accumulate(given.sample_j, initial=0.0))
    series = Series(times, values, [0, *(b - a for a, b in pairwise(times))])
    draft = _rows.Draft(about, _rows.boot_of(content), "relative", 0, times[-1])
    draft.meters.append((Meter(_DOMAIN, []), series))
    return draft


def _until(total: Sequence[float], samples: float) -> float:
    """J of the first so many samples, of the last one its part."""
    whole = min(int(samples), len(total) - 1)
    part = samples - whole
    return total[whole] + (part * (total[whole + 1] - total[whole]) if whole + 1 < len(total) else 0.0)


def _window(ends: tuple[float, float], count: int, energy_j: float, published: dict[str, float]) -> dict[str, Any]:
    each_uj = convert(energy_j, "J", "uJ") / count
    stated = published.get("energy_uj_per_inference")
    return {
        "t0_s": ends[0],
        "t1_s": ends[1],
        "inferences": count,
        "energy_j": energy_j,
        "energy_uj_per_inference": each_uj,
        "published_energy_uj": published.get("energy_uj"),
        "published_energy_uj_per_inference": stated,
        "difference": each_uj / stated - 1 if stated else None,
    }


def _tell(draft: _rows.Draft, told: Sequence[dict[str, Any]], given: Trace) -> None:
    median = statistics.median(window["energy_uj_per_inference"] for window in told)
    stated = [window["published_energy_uj_per_inference"] for window in told]
    published = statistics.median(stated) if None not in stated else None
    draft.facts = {
        "sample_rate_hz": given.rate_hz,
        "samples": len(given.sample_j),
        "energy_j": math.fsum(given.sample_j),
        "windows": list(told),
        "median_energy_uj_per_inference": median,
        "published_median_energy_uj_per_inference": published,
    }
    text = f"{median:.6g} uJ, median of {len(told)} windows" + (
        f" (published: {published:.6g} uJ)" if published else ""
    )
    draft.summary = [
        ("trace", f"{len(given.sample_j):,} samples at {given.rate_hz:g} Hz, {given.seconds:g} s"),
        ("energy per inference", text),
    ]
    off = [abs(window["difference"]) for window in told if window["difference"] is not None]
    if off and max(off) > _AGREES:
        draft.notes.append(
            f"A window's energy differs by {max(off):.2%} from what results.txt says: are both of one run?"
        )
