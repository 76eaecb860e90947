"""The state of the machine, which changes what work costs: governor, limits, turbo, temperature, mains or battery.

Told at the start of a segment, and then where it changes. Paths and units are those of the kernel's
documentation (admin-guide/pm/cpufreq.rst, admin-guide/pm/intel_pstate.rst, power/powercap/powercap.rst,
ABI/testing/sysfs-class-thermal, ABI/testing/sysfs-class-power, hwmon/sysfs-interface.rst). A file that
is not there or may not be read says nothing. What collectors know of their devices is told with it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from greengen import plugins
from greengen.collector import Collector, Event, Stateful

#: How often it is looked at, ns.
EVERY_NS = 5_000_000_000

#: A temperature is told again when it has moved by this much, °C, and a clock at work by this part of it.
_WARMER_C, _FASTER = 10.0, 0.2
_MEASURED = re.compile(r"(\d+) (C|MHz)")

#: Of machines with a policy per CPU, so many are read, first and last too: cores may differ.
_POLICIES = 4

_CPU_ZONE = re.compile(r"x86_pkg_temp|cpu|soc", re.IGNORECASE)
_CPU_HWMON = frozenset({"coretemp", "k10temp", "zenpower"})
_PACKAGE_ZONE = re.compile(r"intel-rapl:\d+$")
_MAINS = frozenset({"Mains", "USB", "Wireless"})

_GONE = "can no longer be read"


class _Fact(NamedTuple):
    """What is read of one subject, and how its files are told; `told` raises ValueError for what says nothing."""

    subject: str
    paths: tuple[str, ...]
    told: Callable[[Sequence[str]], str]


@dataclass(slots=True)
class StateWatch:
    """Reads what `sysfs` says of the machine, and asks collectors.

    known  subject → value, as last told
    """

    sysfs: Path
    monotonic_ns: Callable[[], int] = time.monotonic_ns
    known: dict[str, str] = field(default_factory=dict, init=False)
    _facts: list[_Fact] = field(default_factory=list, init=False)
    _collectors: Sequence[Collector] = field(default=(), init=False)
    _next_ns: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._facts = [fact for fact in _facts(self.sysfs) if fact.paths]
        self.known = {fact.subject: value for fact in self._facts if (value := _value(fact)) is not None}
        self._facts = [fact for fact in self._facts if fact.subject in self.known]
        self._next_ns = self.monotonic_ns() + EVERY_NS

    def ask(self, collectors: Sequence[Collector]) -> None:
        """From now on these, too; what they say now is known."""
        self._collectors = [collector for collector in collectors if isinstance(collector, Stateful)]
        for collector in self._collectors:
            self.known |= plugins.state_of(collector)

    def changes(self) -> list[Event]:
        """What has changed since it was last told; looked at every five seconds, and nothing in between."""
        now_ns = self.monotonic_ns()
        if now_ns < self._next_ns or not (self._facts or self._collectors):
            return []
        self._next_ns = now_ns + EVERY_NS
        now = {fact.subject: _value(fact) or _GONE for fact in self._facts}
        for collector in self._collectors:
            # What one does not say is not news: a GPU that rests has no clock at work.
            now |= plugins.state_of(collector)
        found = []
        for subject, value in now.items():
            before = self.known.get(subject, "not known")
            if value == before or near(before, value):
                continue
            self.known[subject] = value
            found.append(Event(now_ns, "state", subject, f"{subject}: {before} -> {value}"))
        return found


def near(before: str, value: str) -> bool:
    """Whether two temperatures, or two clocks at work, are told apart by nobody."""
    old, new = _MEASURED.fullmatch(before), _MEASURED.fullmatch(value)
    if old is None or new is None or old[2] != new[2]:
        return False
    apart = abs(int(new[1]) - int(old[1]))
    return apart < (_WARMER_C if new[2] == "C" else _FASTER * int(old[1]))


def _value(fact: _Fact) -> str | None:
    try:
        return fact.told([_read(path) for path in fact.paths])
    except (OSError, ValueError):
        return None


def _read(path: str) -> str:
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.pread(fd, 128, 0).decode("utf-8", "replace").strip()
    finally:
        os.close(fd)


def _facts(sysfs: Path) -> Iterator[_Fact]:
    cpu = sysfs / "devices/system/cpu"
    policies = _some(_in_order(cpu / "cpufreq", "policy*"))
    if policies:
        yield _Fact("CPU governor", _files(policies, "scaling_governor"), _distinct)
        bounds = [policy for policy in policies if (policy / "scaling_min_freq").exists()]
        limits = (*_files(bounds, "scaling_min_freq"), *(str(policy / "scaling_max_freq") for policy in bounds))
        yield _Fact("CPU frequency limits", limits, _limits)
    if (cpu / "intel_pstate/no_turbo").exists():
        yield _Fact("turbo", (str(cpu / "intel_pstate/no_turbo"),), lambda told: _switch(told[0], on="0"))
    elif (cpu / "cpufreq/boost").exists():
        yield _Fact("turbo", (str(cpu / "cpufreq/boost"),), lambda told: _switch(told[0], on="1"))
    for zone in _in_order(sysfs / "class/powercap", "intel-rapl:*"):
        limit = zone / "constraint_0_power_limit_uw"
        if _PACKAGE_ZONE.search(zone.name) and limit.exists():
            name = _name(zone / "name")
            yield _Fact(f"power limit of {name}", (str(limit),), lambda told: f"{int(told[0]) / 1e6:.4g} W")
    sensors = _sensors(sysfs)
    if sensors:
        yield _Fact("CPU temperature", sensors, _warmest)
    supplies = [s for s in _in_order(sysfs / "class/power_supply", "*") if _name(s / "type") in _MAINS]
    if supplies:
        yield _Fact("power supply", _files(supplies, "online"), _supply)


def _sensors(sysfs: Path) -> tuple[str, ...]:
    """The files of the CPU's temperature: the kernel's thermal zones, or else the sensor's driver."""
    zones = [z for z in _in_order(sysfs / "class/thermal", "thermal_zone*") if _CPU_ZONE.search(_name(z / "type"))]
    drivers = [h for h in _in_order(sysfs / "class/hwmon", "hwmon*") if _name(h / "name") in _CPU_HWMON]
    return _files(zones, "temp") or _files(drivers, "temp1_input")


def _in_order(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern), key=lambda path: (len(path.name), path.name))


def _some(every: Sequence[Path]) -> list[Path]:
    if len(every) <= _POLICIES:
        return list(every)
    return [every[i * (len(every) - 1) // (_POLICIES - 1)] for i in range(_POLICIES)]


def _files(folders: Sequence[Path], name: str) -> tuple[str, ...]:
    return tuple(str(folder / name) for folder in folders if (folder / name).exists())


def _name(path: Path) -> str:
    try:
        return _read(str(path))
    except OSError:
        return ""


def _distinct(told: Sequence[str]) -> str:
    if not all(told):
        msg = "a file is empty"
        raise ValueError(msg)
    return " and ".join(dict.fromkeys(told))


def _limits(told: Sequence[str]) -> str:
    """Lowest and highest frequencies, in kHz as the kernel tells them: all the lowest first."""
    half = len(told) // 2
    pairs = [(int(low), int(high)) for low, high in zip(told[:half], told[half:], strict=True)]
    return " and ".join(dict.fromkeys(f"{low / 1e6:.3g} to {high / 1e6:.3g} GHz" for low, high in pairs))


def _switch(told: str, *, on: str) -> str:
    if told not in ("0", "1"):
        msg = f"{told!r} is neither 0 nor 1"
        raise ValueError(msg)
    return "on" if told == on else "off"


def _warmest(told: Sequence[str]) -> str:
    return f"{max(int(each) for each in told) / 1000:.0f} C"


def _supply(told: Sequence[str]) -> str:
    return "mains" if any(int(each) for each in told) else "battery"
