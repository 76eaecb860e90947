"""Power rails of phones, imported as users import them: no rail counted twice, and requests beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.imports import imported, report

#: W by rail: a converter for regulators, of which two are logged, one beside it, and a GPU.
RAILS = {"S6S_LLDO4": 0.8, "L2S_VDD_AOC_RET": 0.2, "L7S_SENSORS": 0.1, "S2S_VDD_G3D": 3.0, "S2M_VDD_CPUCL2": 1.5}


def chip(seconds: range) -> str:
    lines = []
    for s in seconds:
        lines.append(f"t={1000 * (5000 + s)}")
        for number, (rail, watts) in enumerate(RAILS.items()):
            lines.append(f"CH{number}(T={1000 * s})[{rail}], {10**9 + round(watts * s * 1e6)}")
    return "\n".join(lines) + "\n"


def test_a_phones_rails_and_its_requests(tmp_path: Path) -> None:
    (tmp_path / "odpm.txt").write_text(chip(range(11)))
    requests = "start,end,model\n5002.5,5004.5,gemma\n5004.5,5008.5,gemma\n"
    (tmp_path / "r.csv").write_text(requests)
    said = imported(tmp_path, "odpm", "odpm.txt", "--requests", "r.csv", "--requests-epoch", "s", "--tier", "device")
    assert "11 readings, every 1 s" in said
    found = report(tmp_path)
    rows = {row["domain"]: row for row in found["domains"]}
    assert rows["odpm:S2S_VDD_G3D"]["energy_j"]["value"] == pytest.approx(30)
    assert {uid for uid, row in rows.items() if not row["in_total"]} == {"odpm:L2S_VDD_AOC_RET", "odpm:L7S_SENSORS"}
    assert found["totals"]["energy_j"]["value"] == pytest.approx(10 * (0.8 + 3.0 + 1.5))
    [gemma] = found["models"]
    assert gemma["energy_j"]["value"] == pytest.approx(6 * (0.8 + 3.0 + 1.5), rel=1e-6)


def test_a_line_of_a_trace_that_no_phone_can_have_drawn(tmp_path: Path) -> None:
    counts = [2_000_000 * s for s in range(11)]
    counts[4] = 2**63
    rows = ["ts,name,value", *(f"{s * 10**9},power.rails.gpu,{count}" for s, count in enumerate(counts))]
    (tmp_path / "rails.csv").write_text("\n".join(rows) + "\n")
    imported(tmp_path, "perfetto", "rails.csv")
    found = report(tmp_path)
    assert found["totals"]["energy_j"]["value"] == pytest.approx(16)
    assert any("not believed" in warning for warning in found["warnings"])


def test_a_trace_whose_counter_was_reset(tmp_path: Path) -> None:
    rows = ["ts,name,value", *(f"{s * 10**9},power.rails.gpu,{(s if s < 6 else s - 6) * 2_000_000}" for s in range(11))]
    (tmp_path / "rails.csv").write_text("\n".join(rows) + "\n")
    imported(tmp_path, "perfetto", "rails.csv")
    found = report(tmp_path)
    assert found["totals"]["energy_j"]["value"] == pytest.approx(18)
    assert [event["kind"] for event in found["events"] if event["kind"] == "reset"] == ["reset"]
