"""Android's power rails: the texts of the power chip and of dumpsys, Perfetto's export, and what holds what."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from greengen.errors import LogError
from greengen.integrations import odpm, perfetto
from greengen.integrations._android_rails import contained
from greengen.integrations._logs import PowerLog

#: Lines of two real phones' chips, as the kernel prints them.
CHIPS = """t=473848
CH42(T=473848)[S10M_VDD_TPU], 3161249
CH1(T=473848)[VSYS_PWR_MODEM], 48480309
CH3(T=473848)[S2M_VDD_CPUCL2], 28071872
CH7(T=473848)[S1M_VDD_MIF], 25901660
t=473850
CH2(T=473850)[S2S_VDD_G3D], 3702041
t=474848
CH42(T=474848)[S10M_VDD_TPU], 3161249
CH1(T=474848)[VSYS_PWR_MODEM], 48980309
CH3(T=474848)[S2M_VDD_CPUCL2], 30071872
CH7(T=474848)[S1M_VDD_MIF], 26001660
t=474851
CH2(T=474851)[S2S_VDD_G3D], 4702041
"""


def single(value: float) -> float:
    """What is left of a number in 32 bits."""
    (found,) = struct.unpack("<f", struct.pack("<f", value))
    return float(found)


def dump(energies_uws: dict[str, int], since: dict[str, int] | None = None, elapsed_ms: int = 1000) -> str:
    """A dump as PowerStatsAidl.cpp prints it; with `since`, what `delta` prints."""
    rows = [
        "============= PowerStats HAL 2.0 state residencies ==============",
        "          Entity                State         Total time",
        "          AOC                 AWAKE          1234 ms                5             1200 ms",
        "========== End of PowerStats HAL 2.0 state residencies ==========",
        "",
        "============= PowerStats HAL 2.0 energy consumers ==============",
        "CPUCL2       :       9999.00 mWs",
        "========== End of PowerStats HAL 2.0 energy consumers ==========",
        "",
        "============= PowerStats HAL 2.0 energy meter ==============",
    ]
    if since is None:
        rows.append(f"  {'Channel':>32}   {'Cumulative Energy':>18}")
    else:
        rows += [f"Elapsed time: {elapsed_ms} ms", f"  {'Channel':>32}   {'Cumulative Energy':>18} ({'Delta   ':>14})"]
    for name, energy in energies_uws.items():
        row = f"  {name:>32}   {single(energy) / 1000:14.2f} mWs"
        rows.append(row if since is None else f"{row} ({single(energy - since.get(name, energy)) / 1000:14.2f})")
    return "\n".join([*rows, "========== End of PowerStats HAL 2.0 energy meter ==========", ""])


CPU, GPU = "[S2M_VDD_CPUCL2]:CPU(BIG)", "[S2S_VDD_G3D]:GPU"
FIRST = {CPU: 315_816_544, GPU: 12_346}
SECOND = {CPU: 318_816_544, GPU: 512_346}


@pytest.fixture
def read(tmp_path: Path) -> Callable[[Callable[[Path], PowerLog], str], PowerLog]:
    def of(format_: Callable[[Path], PowerLog], text: str) -> PowerLog:
        path = tmp_path / "log"
        path.write_text(text)
        return format_(path)

    return of


Read = Callable[[Callable[[Path], PowerLog], str], PowerLog]


def energies(log: PowerLog) -> dict[str, list[float]]:
    return {m.domain.uid.partition(":")[2]: m.counter.values for m in log.meters if m.counter is not None}


def times(log: PowerLog, rail: str) -> list[float]:
    [counter] = [m.counter for m in log.meters if m.counter is not None and m.domain.name == rail]
    return [t / 1e9 for t in counter.t_ns]


def test_files_of_two_chips(read: Read) -> None:
    log = read(odpm.read, CHIPS)
    assert energies(log)["S2M_VDD_CPUCL2"] == pytest.approx([28.071872, 30.071872])
    assert (times(log, "S2M_VDD_CPUCL2"), times(log, "S2S_VDD_G3D")) == ([473.848, 474.848], [473.85, 474.851])
    kinds = {meter.domain.name: meter.domain.kind for meter in log.meters}
    assert kinds == {
        "S10M_VDD_TPU": "npu",
        "VSYS_PWR_MODEM": "board",
        "S2M_VDD_CPUCL2": "package",
        "S1M_VDD_MIF": "dram",
        "S2S_VDD_G3D": "gpu",
    }
    assert (log.kind, log.ends) == ("relative", (473_848_000_000, 474_851_000_000))
    assert {meter.domain.resolution_j for meter in log.meters} == {1e-6}


def test_dumps_with_the_time_between_them(read: Read) -> None:
    log = read(odpm.read, dump(FIRST, FIRST, 77_000) + dump(SECOND, FIRST, 2_500))
    assert energies(log)["S2M_VDD_CPUCL2"] == pytest.approx([315.816544, 318.816544], abs=1e-4)
    assert energies(log)["S2S_VDD_G3D"] == pytest.approx([0.012346, 0.512346], abs=1e-5)
    # The first dump's time is since one that is not here; consumers are sums of rails.
    assert times(log, "S2M_VDD_CPUCL2") == [0.0, 2.5]
    assert set(energies(log)) == {"S2M_VDD_CPUCL2", "S2S_VDD_G3D"}
    # 2^28 uWs and more in 24 bits.
    assert all(meter.domain.resolution_j == pytest.approx(32e-6) for meter in log.meters)


def test_a_single_dump_is_one_reading(read: Read) -> None:
    log = read(odpm.read, dump(FIRST))
    assert [len(values) for values in energies(log).values()] == [1, 1]


def test_perfetto_by_its_counters_and_by_its_table(read: Read) -> None:
    rows = ["ts,name,value", "8920933000000,power.rails.cpu.big,315816544.000000", "8920933000000,batt.capacity_pct,75"]
    log = read(perfetto.read, "\n".join([*rows, "8925528000000,power.rails.cpu.big,315851107.000000", ""]))
    assert energies(log) == {"power.rails.cpu.big": pytest.approx([315.816544, 315.851107])}
    assert times(log, "power.rails.cpu.big") == [8920.933, 8925.528]
    assert any("batt.capacity_pct (1)" in note for note in log.notes)
    table = '"id","ts","dur","power_rail_name","raw_power_rail_name","energy_since_boot","value"\n'
    table += '1,5,1,"power.rails.gpu","S2S_VDD_G3D",2000000,7\n2,9,1,"power.rails.gpu","S2S_VDD_G3D","[NULL]",7\n'
    log = read(perfetto.read, table)
    assert energies(log) == {"power.rails.gpu": [2.0]}
    assert [rejected.line for rejected in log.rejected] == [3]


def test_a_reading_that_is_null_is_none(read: Read) -> None:
    log = read(perfetto.read, "ts,name,value\n5,power.rails.gpu,7\n9,power.rails.gpu,[NULL]\n11,power.rails.gpu,8\n")
    assert len(energies(log)["power.rails.gpu"]) == 2
    assert [rejected.line for rejected in log.rejected] == [3]


def test_what_holds_what() -> None:
    rails = [
        "S6S_LLDO4",
        "S7S_MLDO",
        "S8M_LLDO2",
        "L2S_VDD_AOC_RET",
        "L15M_VDD_SLC_M",
        "S2S_VDD_G3D",
        "power.rails.ldo.sub",
        "power.L7S_SENSORS_uws",
        "BB_HLDO",
        "power.WCN3998_VDD13 [from PP1304_L2C]_uws",
        "power.PP1304_L2C_uws",
    ]
    found = {rail: parts for rail, parts in contained(rails).items() if parts}
    sub = ["L2S_VDD_AOC_RET", "power.L7S_SENSORS_uws"]
    assert found == {
        "S6S_LLDO4": sub,
        "S7S_MLDO": sub,
        "S8M_LLDO2": ["L15M_VDD_SLC_M"],
        "power.rails.ldo.sub": sub,
        "BB_HLDO": ["L2S_VDD_AOC_RET", "L15M_VDD_SLC_M", "power.L7S_SENSORS_uws"],
        "power.PP1304_L2C_uws": ["power.WCN3998_VDD13 [from PP1304_L2C]_uws"],
    }


BACK = CHIPS.replace("t=474848", "t=373848")
THIRD = {CPU: 319_816_544, GPU: 712_346}


@pytest.mark.parametrize(
    ("format_", "text", "words"),
    [
        (odpm.read, "hello\n", "neither energy_value"),
        (odpm.read, "t=1\n", "no reading of a power rail"),
        (odpm.read, BACK, "lies before"),
        (odpm.read, CHIPS.replace("30071872", "-5"), "energy is 0 or more"),
        (odpm.read, CHIPS.replace("t=474848", "t=473848"), "two energies at one time"),
        (odpm.read, dump(FIRST) + dump(SECOND), "take them with"),
        (odpm.read, dump(FIRST, FIRST) + dump(THIRD, SECOND), "another one was taken in between"),
        (perfetto.read, "ts,name,value\n5,batt.capacity_pct,75\n", "collect_power_rails"),
        (perfetto.read, "ts,name\n5,power.rails.gpu\n", "no column value"),
        (perfetto.read, "ts,name,value\n5,power.rails.gpu,x\n", "is not a number"),
    ],
)
def test_what_is_refused(read: Read, format_: Callable[[Path], PowerLog], text: str, words: str) -> None:
    with pytest.raises(LogError, match=words):
        read(format_, text)
