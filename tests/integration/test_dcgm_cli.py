"""dcgm-exporter on loopback under the real `greengen profile`: alone, and beside NVML's reading of the same board."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from greengen.testing import fake_pynvml, trees
from greengen.testing.http_meters import HttpMeter, PlantedPower, dcgm
from tests.integration import moving
from tests.integration.commands import balanced, environment, profile
from tests.integration.moving import Stage


def recorded(tmp_path: Path, meter: HttpMeter, *uids: str, **variables: str) -> dict[str, Any]:
    """The report of a process that ends when these were read twice."""
    host = trees.empty_vm(tmp_path / "vm")
    env = environment(GREENGEN_SYSFS=host.sysfs, GREENGEN_DCGM=f"http://127.0.0.1:{meter.port}", **variables)
    env.pop("CUDA_VISIBLE_DEVICES", None)
    line = ["--json", "r.json", "--collectors", "dcgm,nvml,procfs"]
    command = moving.command(tmp_path, Stage(until=[moving.read(uid) for uid in uids]))
    done = profile(tmp_path, *line, command=command, env=env)
    assert done.returncode == 0, done.stderr
    balanced(tmp_path / "run.greengen")
    found: dict[str, Any] = json.loads((tmp_path / "r.json").read_text())
    return found


def test_alone_it_is_the_total(tmp_path: Path) -> None:
    with HttpMeter(dcgm((("GPU-a", PlantedPower(300.0, 1e6)), ("GPU-b", PlantedPower(100.0, 1e6))))) as meter:
        found = recorded(tmp_path, meter, "dcgm:GPU-a", "dcgm:GPU-b")
    rows = {row["domain"]: row for row in found["domains"]}
    assert {uid for uid, row in rows.items() if row["in_total"]} == {"dcgm:GPU-a", "dcgm:GPU-b"}
    for uid, watts in (("dcgm:GPU-a", 300), ("dcgm:GPU-b", 100)):
        assert rows[uid]["known_s"] > 0
        # Joules by the clock of the exporter, over a time by that of whoever asked.
        assert rows[uid]["energy_j"]["value"] == pytest.approx(watts * rows[uid]["known_s"], rel=0.3)
        assert rows[uid]["energy_j"]["grade"] == "measured"


def test_a_board_that_nvml_reads_too_is_counted_once(tmp_path: Path) -> None:
    uuids = [fake_pynvml.Rig().uuid(index) for index in range(2)]
    with HttpMeter(dcgm([(uuid, PlantedPower(300.0, 1e6)) for uuid in uuids])) as meter:
        found = recorded(tmp_path, meter, *(f"dcgm:{uuid}" for uuid in uuids), GREENGEN_PYNVML=fake_pynvml.__name__)
    rows = {row["domain"]: row for row in found["domains"]}
    assert {uid for uid, row in rows.items() if row["in_total"]} == {f"nvml:{uuid}" for uuid in uuids}
    for uuid in uuids:
        assert rows[f"dcgm:{uuid}"]["energy_j"]["value"] > 0
        assert "another way" in rows[f"dcgm:{uuid}"]["why_not_in_total"]
    total = sum(rows[f"nvml:{uuid}"]["energy_j"]["value"] for uuid in uuids)
    assert found["totals"]["energy_j"]["value"] == pytest.approx(total)
