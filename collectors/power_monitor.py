"""Power monitor chips (TI INA2xx and INA3221, LTC29xx and LTC4282, ADM12xx) whose owner says what they measure.

A chip measures whatever rail its shunt lies in, and no file says which: a rail is recorded only as
``GREENGEN_POWER_MONITOR`` says, ``ADDRESS[/CHANNEL]=MEANING`` with commas between:

    GREENGEN_POWER_MONITOR="1-0040=wall"              an INA226 in the supply of the whole board
    GREENGEN_POWER_MONITOR="1-0041/2=package,1-0041/3=other"

`wall` is all of the machine, `package` feeds the CPU with its memory, `gpu` all GPUs, and `other` what no
other meter reads.
A driver that is not told the shunt's resistance believes in one of its own (10 or 1 mΩ): check it.
Facts: the kernel's Documentation/hwmon/ina2xx, ina209, ina238, ina3221, ltc2945, ltc2947, ltc4282 and
adm1275.rst (of whose chips those are left out that scale nothing, or show no power).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from greengen.collector import Discovery, Domain, Host, Unavailable
from greengen.collectors._cpu_info import read_text
from greengen.collectors._domains import undivided
from greengen.collectors._hwmon import Chip, find_chips, locate
from greengen.collectors._on_die import with_npus
from greengen.collectors._sysfs_meter import Meter, SysfsMeters, micro, volts_times_amperes

_INA = ("ina209", "ina219", "ina220", "ina226", "ina230", "ina231", "ina228", "ina237", "ina238", "ina780", "sq52206")
_ADM = ("adm1272", "adm1273", "adm1276", "adm1293", "adm1294")
_CHIPS = frozenset((*_INA, "ina3221", "ltc2945", "ltc2947", "ltc4282", *_ADM))
#: Channels of ina3221: in1 to in3 go with curr1 to curr3; in4 to in6 are shunt voltages, in7 and curr4 sums.
_INA3221 = (1, 2, 3)
#: By meaning: what else measures the same, and is inside it.
_MEANINGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "wall": ("wall", ("*",)),
    "package": ("package", ("rapl:*", "perf_power:*", "amd_energy:*", "amd_hsmp:*", "amdgpu:apu-*", "cpu_model:*")),
    "gpu": ("gpu", ("nvml:*", "dcgm:*", "amdgpu:0*", "intel_gpu:*")),
    "other": ("board", ()),
}
_VARIABLE = "GREENGEN_POWER_MONITOR"
#: ±5 % at 95 %: the chips err by less, but their shunt (1 % to 5 %) is the board maker's; a judgement.
_GAIN = 0.025
#: No chip states what its rail can carry. A slip of unit is a factor of 1000.
_MOST_W = 5_000.0


class PowerMonitorCollector:
    """Reads the declared rails, held open. `open_file` opens a path with os.open's flags."""

    name = "power_monitor"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host, open_file: Callable[[str, int], int] = os.open) -> None:
        self._host, self._meters = host, SysfsMeters(host, open_file)
        self.read, self.close = self._meters.read, self._meters.close

    def discover(self) -> Discovery:
        """The declared rails; the others are told with what they read, and how to declare them."""
        self.close()
        if "nvidia,tegra" in read_text(self._host.sysfs / "firmware/devicetree/base/compatible"):
            return Discovery()  # a Jetson's rails are known by board
        declared, problems = _declared(self._host.environ.get(_VARIABLE, ""))
        meters = []
        for chip in find_chips(self._host.sysfs, _CHIPS):
            for channel in _channels(chip):
                key = f"{chip.address}/{channel}"
                meaning = declared.pop(key, None) or declared.pop(chip.address, None)
                if meaning:
                    meters.append(self._meter(chip, channel, meaning))
                else:
                    problems.append(_undeclared(chip, channel))
        problems += [
            Unavailable(f"power_monitor:{key}", f"{_VARIABLE} names it, and it is not here") for key in declared
        ]
        found = self._meters.add_all(meters, problems)
        return replace(found, domains=with_npus(found.domains, self._host.sysfs))

    def _meter(self, chip: Chip, channel: int, meaning: str) -> Meter:
        reading, attributes = _attributes(chip, channel)
        kind, contains = _MEANINGS[meaning]
        interval_ms = chip.number("update_interval") or 0
        label = chip.text(f"in{channel}_label")
        shunt_uohm = chip.number("shunt_resistor") or chip.number(f"shunt{channel}_resistor")
        shunt = f", by a shunt of {shunt_uohm / 1000:g} mΩ as its driver believes" if shunt_uohm else ""
        domain = Domain(
            uid=f"power_monitor:{chip.address}/{channel}",
            collector=self.name,
            kind=kind,
            name=f"{label or meaning} ({chip.name} {chip.address}/{channel})",
            reading="energy" if reading == "energy" else "power",
            scope="host",
            contains=contains,
            alternative=meaning == "wall",
            split="cpu" if meaning == "package" else None,
            split_reason="" if meaning == "package" else undivided("a supply rail"),
            activity="cpu" if meaning == "package" else None,
            max_power_w=_MOST_W,
            refresh_s=interval_ms / 1000,
            gain=_GAIN,
            detail=f"{' × '.join(attributes)} of {chip.name} at {chip.address}, {meaning} as {_VARIABLE} says" + shunt,
        )
        value = volts_times_amperes if reading == "product" else micro
        where = partial(locate, self._host.sysfs, chip, attributes)
        return Meter(domain, where, value, interval_ms / 1000 if reading != "energy" else 0.0)


def _channels(chip: Chip) -> list[int]:
    """INA3221 names the channels in use by label; NC is one that is not connected."""
    if chip.name != "ina3221":
        return [1]
    used = [n for n in _INA3221 if chip.has(f"in{n}_input") and chip.has(f"curr{n}_input")]
    return [n for n in used if chip.text(f"in{n}_label") != "NC" and chip.text(f"in{n}_enable") != "0"]


def _attributes(chip: Chip, channel: int) -> tuple[str, tuple[str, ...]]:
    if chip.name == "ina3221":
        return "product", (f"in{channel}_input", f"curr{channel}_input")
    if chip.number("energy1_input") is not None:  # it may be there and switched off
        return "energy", ("energy1_input",)
    return "power", ("power1_input",)


def _declared(text: str) -> tuple[dict[str, str], list[Unavailable]]:
    declared: dict[str, str] = {}
    problems = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, _, meaning = part.partition("=")
        if meaning in _MEANINGS:
            declared[key] = meaning
        else:
            reason = f"{_VARIABLE} has {part!r}: a meaning is one of {', '.join(_MEANINGS)}"
            problems.append(Unavailable("power_monitor", reason, f"{_VARIABLE}=ADDRESS[/CHANNEL]=MEANING"))
    return declared, problems


def _undeclared(chip: Chip, channel: int) -> Unavailable:
    reading, attributes = _attributes(chip, channel)
    numbers = [chip.number(attribute) for attribute in attributes]
    label = chip.text(f"in{channel}_label")
    name = f"{chip.name}" + (f" “{label}”" if label else "")
    raw = [str(number).encode() for number in numbers if number is not None]
    shows = ""
    if len(raw) == len(attributes) and reading != "energy":
        watts = (volts_times_amperes if reading == "product" else micro)(raw)
        shows = f" shows {watts:.3g} W, but"
    return Unavailable(
        f"power_monitor:{chip.address}/{channel}",
        f"{name}{shows} no file says which rail it measures, and it may be inside another domain",
        f"say what it is: {_VARIABLE}={chip.address}/{channel}=MEANING, one of {', '.join(_MEANINGS)}",
    )
