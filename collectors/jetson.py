"""NVIDIA Jetson boards: the supply rails that their INA3221 (and Thor's INA238) measure.

Rails are known by the labels of the board's device tree. VDD_IN (Orin NX and Nano, Xavier NX, TX2),
POM_5V_IN (Nano) and VIN (Thor) feed the whole module, the others included. AGX Xavier and AGX Orin have no
such rail: theirs lie beside one another, but for VDDQ_VDD2_1V8AO, which is taken to be fed from VIN_SYS_5V0
(it is small, and a part counted in its whole is at worst missing; the carrier board is outside all of them).

Facts: the kernel's Documentation/hwmon/ina3221.rst (mV and mA, in4 to in7 are shunt voltages); NVIDIA's Jetson
Linux Developer Guide, "Platform Power and Performance" (labels, NC for a channel that is not connected); the
older driver ina3221x with rail_name_N and in_powerN_input, mW, as jtop/core/power.py of rbonghi/jetson_stats
finds it. The power mode: lines of nvpmodel.conf as in rbonghi/jetson_stats#130, and the status file that
almond-bot/axol#220 writes for the next start (one line, ``pmode:0002``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from greengen.collector import Discovery, Domain, Host, Unavailable
from greengen.collectors._cpu_info import read_text
from greengen.collectors._domains import undivided
from greengen.collectors._hwmon import Chip, find_chips, locate
from greengen.collectors._sysfs_meter import Meter, SysfsMeters, micro, volts_times_amperes

_WHOLE = ("VDD_IN", "POM_5V_IN", "VIN")
#: By label, kind and what else measures the same; a label that is not here is a rail of the board.
_KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    **dict.fromkeys(("CPU", "VDD_CPU", "VDD_SYS_CPU", "POM_5V_CPU"), ("package", ("cpu_model:*",))),
    # CV: the deep-learning and vision accelerators share the CPU's rail.
    **dict.fromkeys(("VDD_CPU_CV", "VDD_CPU_SOC_MSS"), ("soc", ("cpu_model:*",))),
    **dict.fromkeys(("GPU", "VDD_GPU", "VDD_SYS_GPU", "POM_5V_GPU"), ("gpu", ("nvml:*", "dcgm:*"))),
    "VDD_GPU_SOC": ("soc", ("nvml:*", "dcgm:*")),
    "VDD_CPU_GPU_CV": ("soc", ("cpu_model:*", "nvml:*", "dcgm:*")),
    **dict.fromkeys(("VDD_SYS_DDR", "VDDRQ", "VDDQ_VDD2_1V8AO"), ("dram", ())),
}
_INSIDE = {"VIN_SYS_5V0": ("VDDQ_VDD2_1V8AO",)}
#: Thor's input is limited to 168 W; a slip of unit is a factor of 1000.
_MOST_W = 200.0
#: ±5 % at 95 %: the chip errs by less, but its shunt is the board maker's; a judgement.
_GAIN = 0.025
_OLD_REFRESH_S = 0.1
_MODE = re.compile(r"pmode:(\d+)")
_MODES = re.compile(r"^< *POWER_MODEL +ID=(\d+) +NAME=(\S+)", re.MULTILINE)


class _Rail(NamedTuple):
    """One channel of one chip. `address`: the chip's, on its bus."""

    label: str
    address: str
    locate: Callable[[], Sequence[Path]]
    value: Callable[[Sequence[bytes]], float]
    refresh_s: float
    source: str


class JetsonCollector:
    """Reads the rails of a Jetson, held open. `open_file` opens a path with os.open's flags."""

    name = "jetson"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host, open_file: Callable[[str, int], int] = os.open) -> None:
        self._host, self._meters = host, SysfsMeters(host, open_file)
        self.read, self.close = self._meters.read, self._meters.close

    def discover(self) -> Discovery:
        """Find the rails, if this is a Jetson."""
        self.close()
        tree = self._host.sysfs / "firmware/devicetree/base"
        if "nvidia,tegra" not in read_text(tree / "compatible"):
            return Discovery()
        problems: list[Unavailable] = []
        rails = [*_new_rails(self._host.sysfs, problems), *_old_rails(self._host.sysfs)]
        if not rails:
            why = "this is a Jetson, and no INA3221 of it is under /sys/class/hwmon or /sys/bus/i2c/drivers/ina3221x"
            remedy = "in a container, pass /sys on (docker run -v /sys:/sys:ro)"
            return Discovery(unavailable=(Unavailable("jetson", why, remedy), *problems))
        board = read_text(tree / "model").strip("\0 \n")
        return self._meters.add_all(_meters(rails, board), problems)

    def state(self) -> dict[str, str]:
        """The power mode that nvpmodel has set last."""
        root = self._host.procfs / "self/root"
        mode = _MODE.search(read_text(root / "var/lib/nvpmodel/status"))
        if mode is None:
            return {}
        number = int(mode[1])
        names = {int(line[1]): line[2] for line in _MODES.finditer(read_text(root / "etc/nvpmodel.conf"))}
        return {"power mode (nvpmodel)": f"{number} {names.get(number, '')}".strip()}


def _new_rails(sysfs: Path, problems: list[Unavailable]) -> Iterator[_Rail]:
    """JetPack 5 and later."""
    for chip in find_chips(sysfs, ("ina3221", "ina238")):
        refresh_s = (chip.number("update_interval") or 0) / 1000
        if chip.name == "ina238":
            label = chip.text("label") or chip.text("in1_label")
            if label in _WHOLE:
                where = partial(locate, sysfs, chip, ("power1_input",))
                yield _Rail(label, chip.address, where, micro, refresh_s, f"power1_input of {_place(chip)}")
            else:
                why = f"{_place(chip)} has no label that says which rail it measures"
                problems.append(Unavailable(f"jetson:{chip.address}", why))
            continue
        for channel in (1, 2, 3):
            label = chip.text(f"in{channel}_label")
            files = (f"in{channel}_input", f"curr{channel}_input")
            if label in ("", "NC") or chip.text(f"in{channel}_enable") == "0" or not all(map(chip.has, files)):
                continue
            where = partial(locate, sysfs, chip, files)
            source = f"{' × '.join(files)} of {_place(chip)}"
            yield _Rail(label, chip.address, where, volts_times_amperes, refresh_s, source)


def _place(chip: Chip) -> str:
    return f"{chip.name} at {chip.address}"


def _old_rails(sysfs: Path) -> Iterator[_Rail]:
    """JetPack 4 and earlier."""
    top = sysfs / "bus/i2c/drivers/ina3221x"
    for file in sorted(top.glob("*/iio:device*/rail_name_*")):
        address, channel, label = file.parts[-3], file.name.rpartition("_")[2], read_text(file).strip()
        if label and label != "NC":
            where = partial(_locate_old, top / address, channel)
            source = f"in_power{channel}_input of ina3221x at {address}"
            yield _Rail(label, address, where, _milli, _OLD_REFRESH_S, source)


def _locate_old(device: Path, channel: str) -> list[Path]:
    """The number of an iio device changes with every boot. Raises FileNotFoundError while it is gone."""
    for file in device.glob(f"iio:device*/in_power{channel}_input"):
        return [file]
    msg = f"no in_power{channel}_input under {device}"
    raise FileNotFoundError(msg)


def _milli(raw: Sequence[bytes]) -> float:
    return int(raw[0]) / 1000


def _positive(value: Callable[[Sequence[bytes]], float], raw: Sequence[bytes]) -> float:
    """The power of a board that runs."""
    found = value(raw)
    if not found:
        msg = "reads 0 W for the whole board, which runs"
        raise ValueError(msg)
    return found


def _meters(rails: Sequence[_Rail], board: str) -> list[Meter]:
    labels = [rail.label for rail in rails]
    uids = [
        f"jetson:{rail.label}" if labels.count(rail.label) == 1 else f"jetson:{rail.label}@{rail.address}"
        for rail in rails
    ]
    meters = []
    for rail, uid in zip(rails, uids, strict=True):
        domain = _domain(rail, uid, board)
        value = rail.value
        if rail.label in _WHOLE:
            inside = tuple(other for other in uids if other != uid)
            domain = replace(domain, kind="board", contains=(*inside, "cpu_model:*", "nvml:*", "dcgm:*"))
            value = partial(_positive, rail.value)
        elif rail.label in _INSIDE:
            parts = (uid for uid, label in zip(uids, labels, strict=True) if label in _INSIDE[rail.label])
            domain = replace(domain, contains=tuple(parts))
        meters.append(Meter(domain, rail.locate, value, rail.refresh_s))
    return meters


def _domain(rail: _Rail, uid: str, board: str) -> Domain:
    kind, contains = _KINDS.get(rail.label, ("board", ()))
    by_cpu = kind == "package"
    return Domain(
        uid=uid,
        collector=JetsonCollector.name,
        kind=kind,
        name=f"{rail.label} ({board or 'Jetson'})",
        reading="power",
        scope="host",
        contains=contains,
        split="cpu" if by_cpu else None,
        split_reason="" if by_cpu else undivided("this rail"),
        activity="cpu" if by_cpu else None,
        max_power_w=_MOST_W,
        refresh_s=rail.refresh_s,
        gain=_GAIN,
        detail=rail.source,
    )
