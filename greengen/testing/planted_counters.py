"""What a planted meter shows of its joules, by kind of counter: files of a fake machine that collectors read.

energy     a powercap package: cumulated µJ, which wrap (collector rapl)
averaged   an ACPI power meter of a Grace: µW averaged over 100 ms, a new value every 100 ms (acpi_power_meter)
instant    an INA226 in the CPU's supply: µW of the last step of the meter (power_monitor)
busy       nothing: the CPU's joules are modelled from busy time (cpu_model)

A meter writes in place, for readers hold the files open.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from greengen.collector import Host
from greengen.testing import trees

#: One busy core and P0 draw 13 to 40 W, two 60 W at most, and 100 W where processes differ: so the
#: counter wraps every second or three, and only a reading that is 0.6 s late could hide a wrap. (A
#: collector takes a domain to draw at most twice what its firmware states.)
RANGE_UJ, _LIMIT_UW = 60_000_000, 50_000_000

#: A Grace's meters average over 50 ms to 1 s (see collectors/acpi_power_meter.py).
AVERAGED_MS = 100

_NS = 1_000_000_000
_ZONE = "class/powercap/intel-rapl:0/energy_uj"
_CHIP = "class/hwmon/hwmon2"


class Shown(Protocol):
    """The files of a meter."""

    def show(self, t_ns: int, energy_j: float) -> None:
        """All joules until now, in the way of this kind of counter."""
        ...

    def close(self) -> None:
        """Close the files."""
        ...


@dataclass(slots=True)
class _Energy:
    """Whole µJ from `first_uj` on, which begin anew at `RANGE_UJ`."""

    fd: int
    first_uj: int

    def show(self, t_ns: int, energy_j: float) -> None:  # noqa: ARG002 -- a counter does without the time
        os.pwrite(self.fd, b"%-15d\n" % ((self.first_uj + int(energy_j * 1e6)) % RANGE_UJ), 0)

    def close(self) -> None:
        os.close(self.fd)


@dataclass(slots=True)
class _Average:
    """The mean power of the last `window_ns`, anew every `window_ns`."""

    fd: int
    window_ns: int
    _seen: deque[tuple[int, float]] = field(default_factory=deque)
    _due_ns: int = 0

    def show(self, t_ns: int, energy_j: float) -> None:
        self._seen.append((t_ns, energy_j))
        begun_ns = t_ns - self.window_ns
        while len(self._seen) > 2 and self._seen[1][0] <= begun_ns:  # noqa: PLR2004 -- two about the window's start
            self._seen.popleft()
        if t_ns < self._due_ns or self._seen[0][0] == t_ns:
            return
        self._due_ns = max(self._due_ns + self.window_ns, t_ns)
        (t0_ns, before), (t1_ns, after) = self._seen[0], self._seen[1]
        inside = min(max((begun_ns - t0_ns) / (t1_ns - t0_ns), 0.0), 1.0)
        gained_j = energy_j - before - inside * (after - before)
        _show_watts(self.fd, gained_j / (t_ns - max(begun_ns, t0_ns)) * _NS)

    def close(self) -> None:
        os.close(self.fd)


@dataclass(slots=True)
class _Instant:
    """The mean power since the last step."""

    fd: int
    _last: tuple[int, float] | None = None

    def show(self, t_ns: int, energy_j: float) -> None:
        if self._last is not None and t_ns > self._last[0]:
            _show_watts(self.fd, (energy_j - self._last[1]) / (t_ns - self._last[0]) * _NS)
        self._last = t_ns, energy_j

    def close(self) -> None:
        os.close(self.fd)


class _Nothing:
    def show(self, t_ns: int, energy_j: float) -> None:
        pass

    def close(self) -> None:
        pass


def _show_watts(fd: int, watts: float) -> None:
    os.pwrite(fd, b"%-15d\n" % round(watts * 1e6), 0)


@dataclass(frozen=True, slots=True)
class Counter:
    """A kind of counter.

    collectors   those that read it, and whose work it was
    variables    of the environment, that they need
    build        the sysfs of such a machine, added to a host that has none of it
    open         the files of that machine, to be driven
    unit_s       CPU time of a unit of work that this counter can tell from the next
    wraps        whether it does
    measures     whether anything is shown of power or energy at all
    """

    name: str
    collectors: tuple[str, ...]
    build: Callable[[Host], Host]
    open: Callable[[Path], Shown]
    variables: Mapping[str, str] = field(default_factory=dict)
    unit_s: float = 0.1
    wraps: bool = False
    measures: bool = True


def _powercap(host: Host) -> Host:
    zone = trees.ZoneSpec("package-0", RANGE_UJ // 3, RANGE_UJ, {"long_term": _LIMIT_UW})
    return trees.with_zones(host, {"intel-rapl:0": zone})


def _open_powercap(sysfs: Path) -> Shown:
    return _Energy(os.open(sysfs / _ZONE, os.O_RDWR), RANGE_UJ // 3)


def _acpi(host: Host) -> Host:
    texts = {
        "name": "power_meter",
        "power1_average": "10000000",
        "power1_average_interval": f"{AVERAGED_MS}",
        "power1_accuracy": "100.0%",
        "power1_is_battery": "0",
        "power1_oem_info": "Grace Power Socket 0",
    }
    return _hwmon(host, "devices/LNXSYSTM:00/LNXSYBUS:00/ACPI000D:00", texts, own_files=False)


def _open_acpi(sysfs: Path) -> Shown:
    return _Average(os.open(sysfs / _CHIP / "device/power1_average", os.O_RDWR), AVERAGED_MS * 1_000_000)


def _ina226(host: Host) -> Host:
    texts = {"name": "ina226", "power1_input": "10000000", "shunt_resistor": "2000"}
    return _hwmon(host, "devices/platform/soc/i2c-1/1-0040", texts, own_files=True)


def _open_ina226(sysfs: Path) -> Shown:
    return _Instant(os.open(sysfs / _CHIP / "power1_input", os.O_RDWR))


def _hwmon(host: Host, device: str, texts: Mapping[str, str], *, own_files: bool) -> Host:
    """A chip; `own_files`: in its hwmon folder, and not at its device."""
    chip = host.sysfs / device / "hwmon/hwmon2"
    chip.mkdir(parents=True)
    (chip / "device").symlink_to("../..")
    for name, text in texts.items():
        ((chip if own_files else host.sysfs / device) / name).write_text(f"{text}\n".ljust(16, "\n"), encoding="utf-8")
    link = host.sysfs / _CHIP
    link.parent.mkdir(parents=True)
    link.symlink_to(os.path.relpath(chip, link.parent))
    return host


def _same(host: Host) -> Host:
    return host


def _open_nothing(_: Path) -> Shown:
    return _Nothing()


#: By name.
COUNTERS: Mapping[str, Counter] = {
    counter.name: counter
    for counter in (
        Counter("energy", ("rapl",), _powercap, _open_powercap, wraps=True),
        Counter("averaged", ("acpi_power_meter",), _acpi, _open_acpi, unit_s=0.4),
        Counter("instant", ("power_monitor",), _ina226, _open_ina226, {"GREENGEN_POWER_MONITOR": "1-0040=package"}),
        Counter("busy", ("cpu_model",), _same, _open_nothing, measures=False),
    )
}


def names() -> Sequence[str]:
    """Of all kinds of counters."""
    return tuple(COUNTERS)
