"""A stand-in for macOS's powermetrics: samples at set powers, end to end, as NUL-separated property lists.

    folder = install(tmp_path / "bin", cpu=2.0, gpu=5.0)
    host = Host(environ={"PATH": str(folder)})

The keys of a document, and the gpu's second ``idle_ratio``, are those of captures (see
`greengen.collectors._powermetrics_plist`). `install` takes, beside powers in W by rail: ``root=False`` (refused as
Apple's is), ``rate_ms`` (instead of what it is called with), ``after`` (so many documents are well) and ``then``:
``exit``, ``truncate``, ``hang``, ``units`` (energies in uJ under their old names), ``noise``, or ``missing`` (no GPU).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

_REFUSED = "powermetrics must be invoked as the superuser\n"
_RAILS = ("cpu", "gpu", "ane")
_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
"""


def install(folder: Path, **rig: Any) -> Path:  # noqa: ANN401 -- see above
    """Writes the command; gives back the folder. What it was called with is added to ``powermetrics.calls``."""
    folder.mkdir(parents=True, exist_ok=True)
    command = " ".join(map(quote, (sys.executable, "-c", f"from {__name__} import main; main()", json.dumps(rig))))
    path = folder / "powermetrics"
    draft = path.with_name(".powermetrics")
    calls = quote(str(folder / "powermetrics.calls"))
    text = f'#!/bin/sh\nprintf \'%s\\n\' "$*" >> {calls}\nPYTHONPATH={quote(":".join(sys.path))} exec {command} "$@"\n'
    draft.write_text(text, encoding="utf-8")
    draft.chmod(0o755)
    draft.rename(path)
    return folder


def document(energy_mj: Mapping[str, float], elapsed_ns: int, **facts: Any) -> bytes:  # noqa: ANN401 -- see below
    """One sample. `facts`: ``units`` (factor on the energies alone), ``thermal`` and ``model``."""
    rows = []
    for rail, value in energy_mj.items():
        rows += [f"<key>{rail}_energy</key>\n<integer>{round(value * facts.get('units', 1))}</integer>"]
        rows += [f"<key>{rail}_power</key>\n<real>{value * 1e9 / elapsed_ns:.6g}</real>"]
    combined = sum(energy_mj.values()) * 1e9 / elapsed_ns
    text = (
        f"{_HEAD}<key>is_delta</key><true/>\n<key>elapsed_ns</key><integer>{elapsed_ns}</integer>\n"
        f"<key>hw_model</key><string>{facts.get('model', 'Mac14,7')}</string>\n"
        "<key>kern_osversion</key><string>25F84</string>\n"
        f"<key>timestamp</key><date>{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}</date>\n"
        "<key>processor</key>\n<dict>\n<key>clusters</key>\n<array>\n</array>\n"
        f"{chr(10).join(rows)}\n<key>combined_power</key>\n<real>{combined:.6g}</real>\n</dict>\n"
        f"<key>thermal_pressure</key><string>{facts.get('thermal', 'Nominal')}</string>\n"
        "<key>gpu</key>\n<dict>\n<key>freq_hz</key><real>714.836</real>\n<key>idle_ratio</key><real>0.98</real>\n"
        f"<key>idle_ratio</key><real>0.98</real>\n<key>gpu_energy</key><integer>{round(energy_mj.get('gpu', 0) * 1.01)}"
        "</integer>\n</dict>\n</dict>\n</plist>\n"
    )
    return text.encode()


def main() -> None:
    """The command: its rig is the first argument, Apple's options follow."""
    rig: dict[str, Any] = json.loads(sys.argv[1])
    if not rig.get("root", True):
        sys.stderr.write(_REFUSED)
        raise SystemExit(1)
    options = sys.argv[2:]
    rate_s = float(rig.get("rate_ms") or options[options.index("--sample-rate") + 1]) / 1000
    watts = {rail: float(rig.get(rail, 0.0)) for rail in (*_RAILS, "dram") if rail in (*_RAILS, *rig)}
    t0_ns = before_ns = time.monotonic_ns()
    number = 0
    while True:
        time.sleep(rate_s)
        now_ns = time.monotonic_ns()
        energy_mj = {rail: _mj(w, now_ns - t0_ns) - _mj(w, before_ns - t0_ns) for rail, w in watts.items()}
        number += 1
        then = rig.get("then", "") if number > rig.get("after", 0) else ""
        if then == "hang":
            time.sleep(3600)
        if then == "missing":
            energy_mj.pop("gpu")
        written = document(
            energy_mj, now_ns - before_ns, units=1000 if then == "units" else 1, thermal=rig.get("thermal", "Nominal")
        )
        if then == "noise":
            written = written.replace(b"<integer>", b"<integer>x")
        if then in ("exit", "truncate"):
            written = written[: len(written) // 2] if then == "truncate" else b""
        sys.stdout.buffer.write((b"\0" if number > 1 else b"") + written)
        sys.stdout.buffer.flush()
        if then in ("exit", "truncate"):
            raise SystemExit(3)
        before_ns = now_ns


def _mj(watts: float, ns: int) -> int:
    """What a counter in whole mJ shows after so long."""
    return int(watts * ns / 1e6)
