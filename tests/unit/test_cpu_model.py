"""The CPU power model: its arithmetic, its table look-up, and what it says of itself."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greengen.collector import Collector, Event, Host, Sample
from greengen.collectors import _tdp, cpu_model
from greengen.collectors._cpu_info import CpuInfo
from greengen.collectors.cpu_model import CpuModelCollector
from greengen.quantity import Error, Quantity
from greengen.testing import trees


@pytest.fixture(scope="module")
def table() -> Path:
    path = _tdp.table_path()
    assert path is not None
    return path


def energy_j(collector: CpuModelCollector) -> float:
    (sample,) = collector.read()
    assert isinstance(sample, Sample)
    return sample.value


# --- the table ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "row", "watts"),
    [
        ("Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz", "Intel Xeon Platinum 8259CL", 210),
        ("Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz", "Intel Xeon E5-2686 v4", 145),
        ("Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz", "Intel Core i7-8650U", 15),
        ("Intel(R) Core(TM)2 Duo CPU     E8400  @ 3.00GHz", "Intel Core 2 Duo E8400", 65),
        ("Intel(R) Core(TM) Ultra 7 155H", "Intel Core Ultra 7 155H", 28),
        ("AMD EPYC 9454P 48-Core Processor", "AMD EPYC 9454P", 290),
        ("AMD Ryzen 9 5950X 16-Core Processor", "AMD Ryzen 9 5950X", 105),
        ("AMD Ryzen 7 PRO 4750U with Radeon Graphics", "AMD Ryzen 7 PRO 4750U", 15),
        ("AMD Ryzen Threadripper PRO 3995WX 64-Cores", "AMD Ryzen Threadripper PRO 3995WX", 280),
        ("Apple M2", "Apple M2", 22),
    ],
)
def test_a_cpu_the_table_knows(table: Path, model: str, row: str, watts: float) -> None:
    assert _tdp.find(model, table) == _tdp.Tdp(row, watts)


@pytest.mark.parametrize(
    "model",
    [
        "",
        "AMD EPYC",
        "AMD EPYC 7R32",
        "AMD EPYC-Rome Processor",
        "AMD EPYC Processor (with IBPB)",
        "Intel(R) Xeon(R) CPU @ 2.20GHz",
        "Intel Xeon Processor (Skylake, IBRS)",
        "QEMU Virtual CPU version 2.5+",
        "ARMv7 Processor rev 4 (v7l)",
        "Neoverse-N1",
    ],
)
def test_a_name_that_says_no_model_matches_nothing(table: Path, model: str) -> None:
    assert _tdp.find(model, table) is None


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(("Name,TDP", *rows)) + "\n", encoding="utf-8")
    return path


def test_rows_that_match_equally_well_and_disagree_are_no_match(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "AMD Phenom II X4 955 (95W),95", "AMD Phenom II X4 955 (125W),125")
    assert _tdp.find("AMD Phenom(tm) II X4 955 Processor", table) is None
    table = write(tmp_path / "t.csv", "AMD Phenom II X4 955 (C3),95", "AMD Phenom II X4 955 (C2),95.0")
    assert _tdp.find("AMD Phenom(tm) II X4 955 Processor", table) == _tdp.Tdp("AMD Phenom II X4 955 (C2)", 95)


def test_a_power_that_is_no_number_is_no_row(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "Intel Celeron 1000A,27.29.5", "Intel Celeron 1001A,", "Intel Celeron 1002A,0")
    assert [_tdp.find(f"Intel(R) Celeron(R) CPU {number}A", table) for number in (1000, 1001, 1002)] == [None] * 3


def test_the_words_of_one_name_are_within_the_other(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "Intel Xeon Gold 6250,185", "4276 HE,65", "Intel Core i9-7900X X-series,140")
    assert _tdp.find("Intel(R) Xeon(R) Platinum 6250 CPU @ 3.90GHz", table) is None
    assert _tdp.find("AMD Opteron(tm) Processor 4276 HE", table) == _tdp.Tdp("4276 HE", 65)
    assert _tdp.find("Intel(R) Core(TM) i9-7900X CPU @ 3.30GHz", table) == _tdp.Tdp("Intel Core i9-7900X X-series", 140)


def test_the_row_with_most_words_wins(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "4276 HE,1", "Opteron 4276 HE,65")
    assert _tdp.find("AMD Opteron(tm) Processor 4276 HE", table) == _tdp.Tdp("Opteron 4276 HE", 65)


def test_every_row_finds_its_own_power(table: Path) -> None:
    rows = list(_tdp._rows(table))
    assert len(rows) > 4000
    for name, watts in rows[::150]:
        found = _tdp.find(name, table)
        assert found is None or found.watts == watts, name


def test_the_table_is_found_without_importing_codecarbon() -> None:
    program = (
        "import sys\nfrom greengen.collectors import _tdp\nassert _tdp.table_path()\nprint('codecarbon' in sys.modules)"
    )
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "False"


# --- the power of a CPU -----------------------------------------------------------------------------------


def cpu(model: str, *, logical: int = 96, packages: int = 2, virtual: bool = False) -> CpuInfo:
    return CpuInfo(model, "GenuineIntel", logical, packages, virtual)


def test_power_of_a_known_cpu() -> None:
    watts, why = cpu_model.active_w(cpu("Intel(R) Xeon(R) Gold 6230R CPU @ 2.10GHz"))
    assert watts == pytest.approx(2 * 150 / 96)
    assert "Intel Xeon Gold 6230R" in why


def test_power_in_a_virtual_machine() -> None:
    watts, why = cpu_model.active_w(cpu("Intel(R) Xeon(R) Gold 6230R CPU @ 2.10GHz", virtual=True))
    assert watts == 4
    assert "thread count" in why
    assert "Intel Xeon Gold 6230R" in why


def test_power_of_an_unknown_cpu() -> None:
    watts, why = cpu_model.active_w(cpu("AMD EPYC"))
    assert watts == 4
    assert "no row" in why
    assert "AMD EPYC" in why


def test_the_default_is_codecarbons() -> None:
    """It is quoted as theirs, so it has to be theirs still."""
    path = _tdp.table_path()
    assert path is not None
    source = (path.parents[2] / "core/cpu.py").read_text(encoding="utf-8")
    assert f"\nDEFAULT_POWER_PER_CORE = {cpu_model.DEFAULT_ACTIVE_W:g}\n" in source
    assert f"{cpu_model.IDLE_PART} + 0.9" in (path.parents[2] / "external/hardware.py").read_text(encoding="utf-8")


def test_power_without_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    watts, why = cpu_model.active_w(cpu("Intel(R) Xeon(R) Gold 6230R CPU @ 2.10GHz"))
    assert watts == 4
    assert "not installed" in why


# --- the counter --------------------------------------------------------------------------------------------


def test_domain(tmp_path: Path) -> None:
    collector = CpuModelCollector(trees.empty_vm(tmp_path), "linux")
    assert isinstance(collector, Collector)
    assert collector.fallback_for == ("package",)
    (domain,) = collector.discover().domains
    assert (domain.uid, domain.kind, domain.grade) == ("cpu_model:package", "package", "modelled")
    assert (domain.scope, domain.split, domain.activity) == ("vm", "cpu", "cpu")
    assert domain.max_power_w == 8
    assert domain.resolution_j == pytest.approx(0.04)
    assert "AMD EPYC" in domain.detail
    assert domain.detail.endswith(".")
    collector.close()


def test_domain_of_a_bare_machine(tmp_path: Path) -> None:
    collector = CpuModelCollector(trees.intel_server(tmp_path), "linux")
    (domain,) = collector.discover().domains
    assert domain.scope == "host"
    assert domain.max_power_w == pytest.approx(300)
    collector.close()


@given(
    busy=st.integers(0, 10**9), idle=st.integers(1, 10**9), more_busy=st.integers(0, 10**6), more=st.integers(0, 10**6)
)
def test_energy_is_busy_time_at_one_power_and_the_rest_at_another(
    tmp_path_factory: pytest.TempPathFactory, busy: int, idle: int, more_busy: int, more: int
) -> None:
    host = trees.empty_vm(tmp_path_factory.mktemp("vm"))
    collector = CpuModelCollector(host, "linux")
    collector.discover()
    trees.set_cpu_ticks(host, user=busy, idle=idle)
    first = energy_j(collector)
    trees.set_cpu_ticks(host, user=busy + more_busy, idle=idle + more)
    second = energy_j(collector)
    collector.close()
    assert first == pytest.approx(0.01 * (4 * busy + 0.4 * idle))
    assert second - first == pytest.approx(0.01 * (4 * more_busy + 0.4 * more), abs=first * 1e-12 + 1e-9)


def test_two_recorders_read_the_same_joules(tmp_path: Path) -> None:
    host = trees.empty_vm(tmp_path)
    trees.set_cpu_ticks(host, user=123, idle=456, steal=7)
    one, two = CpuModelCollector(host, "linux"), CpuModelCollector(host, "linux")
    one.discover()
    trees.set_cpu_ticks(host, user=223, idle=556, steal=9)
    two.discover()
    assert energy_j(one) == energy_j(two)
    one.close()
    two.close()


def test_a_total_is_known_to_a_factor_of_two_and_a_ratio_to_1_3(tmp_path: Path) -> None:
    collector = CpuModelCollector(trees.empty_vm(tmp_path), "linux")
    (domain,) = collector.discover().domains
    collector.close()
    errors = (Error("gain", 100 * domain.gain, gain=True, log=True), Error("load", 100 * domain.workload, log=True))
    total = Quantity(100.0, "J", "modelled", errors)
    assert total.high == pytest.approx(200)
    assert total.low == pytest.approx(50)
    ratio = total / total
    assert ratio.high == pytest.approx(1.3)


def test_an_outage_is_told_once(tmp_path: Path) -> None:
    host = trees.empty_vm(tmp_path)
    collector = CpuModelCollector(host, "linux")
    collector.discover()
    (host.procfs / "stat").write_text("")
    (event,) = collector.read()
    assert isinstance(event, Event)
    assert (event.kind, event.subject) == ("gap", "cpu_model:package")
    assert list(collector.read()) == []
    trees.set_cpu_ticks(host, user=100)
    assert energy_j(collector) == pytest.approx(4.0)
    collector.close()


def test_a_sandbox_that_shows_no_cpu_time_is_not_0_j(tmp_path: Path) -> None:
    """gVisor's ``/proc/stat``: zeros, whatever its CPUs do."""
    host = trees.empty_vm(tmp_path)
    trees.set_cpu_ticks(host)
    found = CpuModelCollector(host, "linux").discover()
    assert found.domains == ()
    assert "gVisor" in found.unavailable[0].reason


def test_without_procfs_on_linux(tmp_path: Path) -> None:
    found = CpuModelCollector(Host(procfs=tmp_path / "no"), "linux").discover()
    assert found.domains == ()
    assert found.unavailable[0].interface == "cpu_model"


def test_off_linux(tmp_path: Path) -> None:
    collector = CpuModelCollector(replace(Host(), procfs=tmp_path / "no"), "darwin")
    (domain,) = collector.discover().domains
    first = energy_j(collector)
    assert 0 < first < math.inf
    assert energy_j(collector) >= first - 1  # the idle column may step back by a tick
    assert domain.max_power_w
    collector.close()
    assert list(collector.read()) == []
