"""`greengen merge`, on real recordings: ranks, hosts and tiers become one run."""

from __future__ import annotations

import json
import math
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import greengen
from greengen.errors import UsageError
from greengen.recording import export
from tests.integration.commands import GREENGEN


def greengen_(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([GREENGEN, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=60)


def burn(items: int = 60_000) -> int:
    return sum(i * i for i in range(items))


def on_another_host(path: Path, name: str) -> Path:
    """The same recording as another machine would have written it."""
    rows = greengen.Run(path).rows()
    timeline = rows.timelines[0]

    def moved(text: str) -> str:
        return text.replace(timeline.boot_id, name)

    elsewhere = replace(
        timeline,
        boot_id=name,
        hostname=name,
        spans=[replace(s, uid=moved(s.uid), process=moved(s.process)) for s in timeline.spans],
        processes=[replace(p, uid=moved(p.uid)) for p in timeline.processes],
        segments=[replace(s, uid=moved(s.uid), process=moved(s.process)) for s in timeline.segments],
    )
    target = path.with_name(f"{name}.greengen")
    export.write(replace(rows, timelines=[elsewhere]), target)
    return target


@pytest.fixture
def tiers(tmp_path: Path) -> list[Path]:
    """A request that a phone sends on to an edge server, recorded on both."""
    device, edge = tmp_path / "device.greengen", tmp_path / "edge.greengen"
    with greengen.profile(device, tier="device"), greengen.request(model="chat") as request:
        burn()
        header = request.traceparent
    with greengen.profile(edge, tier="edge"):
        with greengen.request(model="chat", traceparent=header):
            burn()
        with greengen.request(model="chat"):
            burn()
    return [device, on_another_host(edge, "edge-host")]


def test_a_request_is_joined_over_its_tiers(tiers: list[Path], tmp_path: Path) -> None:
    done = greengen_("merge", *tiers, "-o", tmp_path / "both.greengen")
    assert (done.returncode, done.stdout) == (0, "")
    assert "2 runs of 2 host(s), 3 spans, merged into" in done.stderr
    report = json.loads(greengen_("report", "--format", "json", tmp_path / "both.greengen").stdout)
    [trace] = report["traces"]
    parts = {part["tier"]: part["energy_j"]["value"] for part in trace["parts"]}
    assert set(parts) == {"device", "edge"}
    by_id: dict[str, float] = {}
    for request in report["requests"]:
        by_id.setdefault(request["tier"], 0.0)
        by_id[request["tier"]] += request["energy_j"]["value"] if request["trace_id"] == trace["trace_id"] else 0.0
    assert parts == by_id
    assert math.isclose(trace["energy_j"]["value"], sum(parts.values()), rel_tol=1e-12)


def test_merging_counts_each_reading_once(tiers: list[Path], tmp_path: Path) -> None:
    """Twice, in another order, and with what is merged already."""
    first, second = tmp_path / "1.greengen", tmp_path / "2.greengen"
    assert greengen_("merge", *tiers, "-o", first).returncode == 0
    assert greengen_("merge", tiers[1], first, tiers[0], tiers[1], "-o", second).returncode == 0
    alone = sum(greengen.Run(path).ledger().total().value or 0.0 for path in tiers)
    totals = [greengen.Run(path).ledger().total().value for path in (first, second)]
    assert totals[0] == totals[1]
    assert totals[0] is not None
    assert math.isclose(totals[0], alone, rel_tol=1e-12)


def test_by_label_and_tier(tmp_path: Path) -> None:
    path = tmp_path / "run.greengen"
    with greengen.profile(path, tier="cloud"):
        for tenant in ("a", "b", "a"):
            with greengen.request(model="m", tenant=tenant, tier="edge" if tenant == "b" else None):
                burn()
    ledger = greengen.Run(path).ledger()
    assert ledger.by("tenant")["spans"].to_dict() == {"a": 2, "b": 1}
    assert ledger.by("tier")["spans"].to_dict() == {"cloud": 2, "edge": 1}
    with pytest.raises(
        UsageError, match=r"no span has a label 'tennant': group by account, model.*; the labels tenant$"
    ):
        ledger.by("tennant")


def test_what_cannot_be_merged(tiers: list[Path], tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no run")
    out = tmp_path / "out.greengen"
    cases = [
        ((tiers[0], text), "is not a greengen run file"),
        ((tiers[0], tmp_path / "gone.greengen"), "there is no run file"),
        ((tiers[0], "-o", tiers[0]), "is one of the runs to merge"),
    ]
    for arguments, said in cases:
        done = greengen_("merge", *arguments, *(() if "-o" in arguments else ("-o", out)))
        assert done.returncode == 2, done
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert not out.exists()
    out.write_text("mine")
    done = greengen_("merge", *tiers, "-o", out)
    assert (done.returncode, out.read_text()) == (2, "mine")
    assert "is not overwritten" in done.stderr
    assert greengen_("merge", *tiers, "-o", tmp_path / "both.greengen").returncode == 0
    again = greengen_("merge", *tiers, "-o", tmp_path / "both.greengen")
    assert (again.returncode, "--force" in again.stderr) == (2, True)
    assert greengen_("merge", *tiers, "-o", tmp_path / "both.greengen", "--force").returncode == 0


def test_contradictory_readings_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.greengen"
    with greengen.profile(path):
        burn()
    rows = greengen.Run(path).rows()
    [timeline] = rows.timelines
    uid, series = next(iter(timeline.samples.items()))
    changed = replace(series, values=[*series.values[:-1], series.values[-1] + 5.0])
    other = tmp_path / "b.greengen"
    export.write(replace(rows, timelines=[replace(timeline, samples={**timeline.samples, uid: changed})]), other)
    done = greengen_("merge", path, other, "-o", tmp_path / "out.greengen")
    assert done.returncode == 2
    assert "disagree" in done.stderr
    assert not (tmp_path / "out.greengen").exists()
