"""Damaged logs: whatever bytes are lost or changed, an import ends in rows or in an error that says what to do."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from greengen.errors import GreengenError
from greengen.integrations import _rows, energyrunner, mlperf, nvidia_smi, power_csv, requests_csv, serving
from greengen.integrations._times import Clock
from greengen.recording import export
from greengen.recording.reader import read
from greengen.rows import Rows

TRIALS = 100

SPL = "".join(
    f"Time,07-17-2024 20:00:{s:02}.500,Watts,{100 + s}.0,Volts,230.0,Amps,1.0,PF,0.9,Mark,x\n" for s in range(30)
)
DETAIL = "".join(
    f":::MLLOG {json.dumps({'key': key, 'value': value})}\n"
    for key, value in {
        "sut_name": "m-Server-SUT",
        "effective_scenario": "Server",
        "power_begin": "07-17-2024 20:00:05.000",
        "power_end": "07-17-2024 20:00:25.000",
        "result_validity": "VALID",
        "result_query_count": 100,
        "result_completed_samples_per_sec": 5.0,
        "result_completed_tokens_per_second": 50.0,
        "result_mean_latency_ns": 2_000_000_000,
    }.items()
)
POWER = "time,power [W],meter\n" + "".join(f"2024-07-17T10:00:{s:02}Z,{s}.5 W,a\n" for s in range(20))
REQUESTS = "id,start,end,prompt_tokens\n" + "".join(
    f"r{s},2024-07-17T10:00:{s:02}Z,2024-07-17T10:00:{s + 2:02}.5Z,{s}\n" for s in range(10)
)
SMI = "timestamp, index, name, power.draw [W], utilization.gpu [%]\n" + "".join(
    f"2024/07/17 10:00:{s:02}.100, 0, NVIDIA H100, {s}.25 W, {s} %\n" for s in range(20)
)
XML = "".join(
    f"<nvidia_smi_log><timestamp>Fri Aug  4 11:44:{s} 2023</timestamp><gpu id='0'><uuid>G</uuid><gpu_power_readings>"
    f"<power_draw>{s} W</power_draw></gpu_power_readings></gpu></nvidia_smi_log>"
    for s in range(10, 20)
)
JSONL = "".join(
    json.dumps({"id": i, "arrival_time": 1721210400 + i, "token_times": [1721210401 + i, 1721210402.5 + i]}) + "\n"
    for i in range(10)
)

ABOUT = _rows.About("test")
UTC = Clock()


def _mlperf(place: Path) -> Rows:
    return mlperf.read(place, ABOUT)


def _csv(place: Path) -> Rows:
    power = power_csv.read(place / "p.csv", power_csv.Columns(drop_bad=True), UTC)
    return _rows.together(ABOUT, power, requests_csv.read(place / "r.csv", requests_csv.Columns(), UTC))


def _smi(place: Path) -> Rows:
    return _rows.together(ABOUT, nvidia_smi.read(place / "smi", UTC, nvidia_smi.Choice()), None)


def _serving(place: Path) -> Rows:
    return _rows.together(ABOUT, None, serving.read(place / "s.jsonl", UTC, drop_bad=True))


def _energyrunner(place: Path) -> Rows:
    return energyrunner.read(place, ABOUT, inferences=3)


TRACE = b"\xf1" + struct.pack("<f50f", 1000.0, *range(50))
CASES: dict[str, tuple[dict[str, bytes], Callable[[Path], Rows]]] = {
    "mlperf": ({"spl.txt": SPL.encode(), "mlperf_log_detail.txt": DETAIL.encode()}, _mlperf),
    "csv": ({"p.csv": POWER.encode(), "r.csv": REQUESTS.encode()}, _csv),
    "nvidia-smi": ({"smi": SMI.encode()}, _smi),
    "nvidia-smi xml": ({"smi": XML.encode()}, _smi),
    "serving": ({"s.jsonl": JSONL.encode()}, _serving),
    "energyrunner": ({"t-energy.bin": TRACE, "t-timestamps.json": b"[0.0, 0.01, 0.03]"}, _energyrunner),
}


STRANGE = (b"-", b"9" * 20, b"e99", b"e999999999", b"nan", b"\x00", b"\xff", b'"', b",", b"\n")


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Some bytes changed, cut out, doubled, or the rest lost."""
    at, length = draw.randrange(len(content)), draw.randrange(1, 12)
    way = draw.randrange(5)
    if way == 0:
        return content[:at]
    if way == 1:
        return content[:at] + content[at + length :]
    if way == 2:
        return content[:at] + content[max(0, at - 5 * length) : at] + content[at:]
    if way == 3:
        return content[:at] + draw.choice(STRANGE) + content[at:]
    return content[:at] + draw.randbytes(length) + content[at + length :]


@pytest.mark.parametrize("name", CASES)
def test_a_damaged_log_is_imported_or_refused(tmp_path: Path, name: str) -> None:
    files, load = CASES[name]
    draw = random.Random(name)
    imported = refused = 0
    for _ in range(TRIALS):
        hit = draw.choice(sorted(files))
        for file, content in files.items():
            (tmp_path / file).write_bytes(damaged(content, draw) if file == hit else content)
        try:
            rows = load(tmp_path)
        except GreengenError:
            refused += 1
            continue
        imported += 1
        out = tmp_path / "out.greengen"
        export.write(rows, out, force=True)
        again = read(out)
        assert again.timelines[0].samples == rows.timelines[0].samples
    # Both happen, or the damage is none.
    assert imported > TRIALS // 50
    assert refused > TRIALS // 50


@pytest.mark.parametrize("name", CASES)
def test_what_is_whole_is_imported(tmp_path: Path, name: str) -> None:
    files, load = CASES[name]
    for file, content in files.items():
        (tmp_path / file).write_bytes(content)
    assert load(tmp_path).timelines[0].segments


def test_a_run_that_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text(JSONL)
    rows = _serving(tmp_path)
    (timeline,) = rows.timelines
    timeline.spans[-1] = replace(timeline.spans[-1], output_tokens=2**70)
    with pytest.raises(OverflowError):
        export.write(rows, tmp_path / "out.greengen")
    assert [path.name for path in tmp_path.iterdir()] == ["s.jsonl"]
