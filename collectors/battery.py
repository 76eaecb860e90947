"""A machine on battery, by the battery's own gauge: what is left of its charge, read every second.

The counter moves in steps (10 mWh, which is 36 J, on most laptops), every few seconds: short requests stay
unresolved. ``GREENGEN_BATTERY=power`` integrates the gauge's power instead. On mains a battery tells nothing
of what the machine draws: it is not read while it charges, is full, or idles beside a power supply.

Facts: the kernel's Documentation/ABI/testing/sysfs-class-power: energy_now µWh, charge_now µAh, voltage_now
µV, power_now µW, current_now µA (its sign is the driver's), `scope` System or Device (a mouse). Each of these
files may ask an embedded controller over ACPI, for milliseconds: hence a thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from greengen.collector import Discovery, Domain, Event, Reading, Sample, Unavailable
from greengen.collectors._base import WHOLE_HOST, PolledCollector, undivided
from greengen.collectors._cpu_info import read_text
from greengen.collectors._poller import Polled, Poller

_VARIABLE = "GREENGEN_BATTERY"
_PERIOD_S, _PATIENCE_S = 1.0, 5.0
#: What gauges of batteries refresh by: 1 to 30 s.
_REFRESH_S = 10.0
#: 10 mWh, the step of ACPI's unit as batteries fill it in.
_STEP_J = 36.0
#: ±10 % at 95 %: a fuel gauge models its battery, and no document states an error; a judgement.
_GAIN = 0.05
_MOST_W = 500.0
_INTEGER = re.compile(r"-?\d+")
_MAINS = "a battery tells what the machine draws only while it alone feeds it"


@dataclass(frozen=True, slots=True)
class Gauge:
    """One battery as its files say. `left_wh` and `left_ah`: what is in it; `voltage_v` and `power_w` now."""

    name: str
    status: str
    left_wh: float | None
    left_ah: float | None
    voltage_v: float | None
    power_w: float | None


@dataclass(slots=True)
class _Counter:
    """Joules drawn from one battery since the recording began, from what is left in it."""

    used_j: float = 0.0
    before: Gauge | None = None

    def add(self, now: Gauge) -> float:
        """The counter. Raises ValueError where the gauge no longer says what is left."""
        before, self.before = self.before, now
        if now.left_wh is not None:
            rise_j = 0.0 if before is None or before.left_wh is None else (before.left_wh - now.left_wh) * 3600
        elif now.left_ah is not None and now.voltage_v is not None:
            ah = 0.0 if before is None or before.left_ah is None else before.left_ah - now.left_ah
            volts = now.voltage_v if before is None or before.voltage_v is None else before.voltage_v
            rise_j = ah * 3600 * (volts + now.voltage_v) / 2
        else:
            msg = "it no longer says how much is left in it"
            raise ValueError(msg)
        self.used_j += rise_j
        return self.used_j

    def interrupt(self) -> None:
        """What is drawn until the next reading is nobody's knowledge: the counter goes back, as after a reset."""
        self.used_j -= 1.0
        self.before = None


def read_gauges(sysfs: Path) -> list[Gauge]:
    """The batteries of the machine, by name."""
    found = []
    for folder in sorted((sysfs / "class/power_supply").glob("*")):
        is_battery = read_text(folder / "type").strip() == "Battery" and read_text(folder / "present").strip() != "0"
        if is_battery and read_text(folder / "scope").strip() != "Device":
            found.append(_gauge(folder))
    return found


def _gauge(folder: Path) -> Gauge:
    energy, charge, voltage, power, current = (
        _micro(folder / file) for file in ("energy_now", "charge_now", "voltage_now", "power_now", "current_now")
    )
    if power is None and current is not None and voltage is not None:
        power = current * voltage
    watts = None if power is None else abs(power)
    return Gauge(folder.name, read_text(folder / "status").strip(), energy, charge, voltage, watts)


def _micro(file: Path) -> float | None:
    text = read_text(file).strip()
    return int(text) / 1e6 if _INTEGER.fullmatch(text) else None


def _on_mains(gauges: Sequence[Gauge]) -> str:
    """Why no battery tells what the machine draws now; "" where they do."""
    said = ", ".join(f"{gauge.name} is {gauge.status or 'in no known state'}" for gauge in gauges)
    if any(gauge.status == "Charging" for gauge in gauges):
        return f"charging ({said}): {_MAINS}"
    return "" if any(gauge.status == "Discharging" for gauge in gauges) else f"not discharging ({said}): {_MAINS}"


@dataclass(slots=True)
class _Rows:
    """Snapshots of all batteries as rows."""

    domains: Mapping[str, Domain]
    counters: dict[str, _Counter] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)

    def __call__(self, t_ns: int, gauges: Sequence[Gauge]) -> Iterator[Sample | Event]:
        mains = _on_mains(gauges)
        here = {gauge.name: gauge for gauge in gauges}
        for name, domain in self.domains.items():
            counter = self.counters.setdefault(name, _Counter())
            try:
                value = _value(domain.reading, here.get(name), counter, mains)
            except ValueError as error:
                if name not in self.down:
                    self.down.add(name)
                    counter.interrupt()
                    yield Event(t_ns, "gap", domain.uid, str(error))
                continue
            self.down.discard(name)
            yield Sample(domain.uid, t_ns, value, domain.reading)


def _value(reading: Reading, gauge: Gauge | None, counter: _Counter, mains: str) -> float:
    """J or W. Raises ValueError with the reason that there is none."""
    if gauge is None or mains:
        raise ValueError("the battery has been taken out" if gauge is None else mains)
    if reading == "energy":
        return counter.add(gauge)
    if gauge.power_w is None or gauge.power_w > _MOST_W:
        msg = "it says no power" if gauge.power_w is None else f"it says {gauge.power_w:g} W, which it cannot deliver"
        raise ValueError(msg)
    if not gauge.power_w and gauge.status == "Discharging":
        msg = "it says 0 W while it discharges"
        raise ValueError(msg)
    return gauge.power_w


class BatteryCollector(PolledCollector):
    """Reads the batteries of the machine, in one thread."""

    name = "battery"

    def discover(self) -> Discovery:
        """Find the batteries, if they feed the machine now."""
        self.close()
        said = self._host.environ.get(_VARIABLE, "energy").strip() or "energy"
        if said not in ("energy", "power"):
            why = f"{_VARIABLE}={said!r}: energy or power"
            return Discovery(unavailable=(Unavailable("battery", why, f"{_VARIABLE}=energy"),))
        gauges = read_gauges(self._host.sysfs)
        if not gauges:
            return Discovery()
        mains = _on_mains(gauges)
        if mains:
            remedy = "unplug the power supply, or read a smart plug (GREENGEN_PLUG)"
            return Discovery(unavailable=(Unavailable("battery", mains, remedy),))
        domains, problems = {}, []
        for gauge in gauges:
            domain = _domain(gauge, said, self._host.sysfs)
            try:
                _value(domain.reading, gauge, _Counter(), "")
            except ValueError as error:
                problems.append(Unavailable(domain.uid, str(error)))
            else:
                domains[gauge.name] = domain
        if domains:
            sysfs, clock = self._host.sysfs, self._host.monotonic_ns
            poller = Poller("battery", lambda: read_gauges(sysfs), period_s=_PERIOD_S, clock=clock)
            poller.start()
            uids = [domain.uid for domain in domains.values()]
            self._meters.add(Polled(uids, poller, _Rows(domains), _PATIENCE_S))
        return Discovery(tuple(domains.values()), tuple(problems))


def _domain(gauge: Gauge, said: str, sysfs: Path) -> Domain:
    counting = said == "energy" and (gauge.left_wh is not None or gauge.left_ah is not None)
    if counting:
        what = "energy_now" if gauge.left_wh is not None else "charge_now × voltage_now"
    else:
        what = "power_now, or current_now × voltage_now, integrated"
    return replace(
        WHOLE_HOST,
        uid=f"battery:{gauge.name}",
        collector=BatteryCollector.name,
        kind="battery",
        name=f"battery {gauge.name}",
        reading="energy" if counting else "power",
        split_reason=undivided("what a battery delivers"),
        max_power_w=_MOST_W,
        resolution_j=_STEP_J if counting else 0.0,
        refresh_s=_REFRESH_S,
        gain=_GAIN,
        detail=f"the whole machine on battery, its screen included, by {what} of {sysfs / 'class/power_supply'}",
    )
