"""What a profiled process does in these tests: it moves the files of a fake machine, and waits until it is on record.

So nothing depends on how fast the machine under the tests is: a counter ends at the value that was planted, and a
recording ends when it holds what is asserted of it.

    python moving.py plan.json
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: Longer than this a stage never takes; what is asserted then fails.
PATIENCE_S = 40.0

_POINTS = "SELECT count(*) >= {} FROM point JOIN series ON series=id WHERE kind != 'usage' AND subject = '{}'"
_EVENTS = "SELECT count(*) >= {} FROM event WHERE kind = '{}'"
_LAST = "SELECT value = {} FROM point JOIN series ON series=id WHERE subject = '{}' ORDER BY t_ns DESC LIMIT 1"


@dataclass(frozen=True)
class Stage:
    """Files, and what each shows one after the other, every `step_s`; then what the run file must hold (SQL)."""

    files: Mapping[Path, Sequence[str | bytes]] = field(default_factory=dict)
    step_s: float = 0.02
    until: Sequence[str] = ()


def read(uid: str, times: int = 2) -> str:
    """Until a domain was read so often; of readings on one line the first and the last are kept."""
    return _POINTS.format(times, uid)


def told(kind: str, times: int = 1) -> str:
    """Until so many events of a kind were recorded."""
    return _EVENTS.format(times, kind)


def reads(uid: str, value: float) -> str:
    """Until the last reading of a domain is this."""
    return _LAST.format(value, uid)


def command(directory: Path, *stages: Stage, run: str = "run.greengen") -> list[str]:
    """The stages one after the other, as a command; it runs in the folder of the run file."""
    plan = [
        {
            "files": {str(path): [_bytes(text).hex() for text in texts] for path, texts in stage.files.items()},
            "step_s": stage.step_s,
            "until": list(stage.until),
        }
        for stage in stages
    ]
    path = directory / "plan.json"
    path.write_text(json.dumps({"run": run, "stages": plan}), encoding="utf-8")
    return [sys.executable, __file__, str(path)]


def _bytes(content: str | bytes) -> bytes:
    # Text is filled up with newlines, which no reader minds.
    return content if isinstance(content, bytes) else content.encode().ljust(32, b"\n")


def main(plan: Path) -> None:
    """Go through the stages."""
    told = json.loads(plan.read_text(encoding="utf-8"))
    for stage in told["stages"]:
        for step in range(max(map(len, stage["files"].values()), default=0)):
            time.sleep(stage["step_s"])
            for path, texts in stage["files"].items():
                if step < len(texts):
                    _show(path, bytes.fromhex(texts[step]))
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and not all(_holds(told["run"], query) for query in stage["until"]):
            time.sleep(0.05)


def _show(path: str, data: bytes) -> None:
    # In place and in one write, as the kernel would.
    fd = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(fd, data, 0)
    finally:
        os.close(fd)


def _holds(run: str, query: str) -> bool:
    try:
        connection = sqlite3.connect(f"file:{run}?mode=ro", uri=True)
        try:
            row = connection.execute(query).fetchone()
        finally:
            connection.close()
    except sqlite3.Error:
        return False
    return bool(row and row[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
