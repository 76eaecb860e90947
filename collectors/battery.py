"""A machine on battery, by the battery's own gauge: what is left of its charge, read every second.

The counter moves in steps (10 mWh, which is 36 J, on most laptops), every few seconds: short requests stay
unresolved. ``GREENGEN_BATTERY=power`` integrates the gauge's power instead. On mains a battery tells nothing
of what the machine draws: it is not read while it charges, is full, or idles beside a power supply.

Linux shows it in files (`_battery_gauge`), macOS through ``ioreg`` (`_battery_macos`), Windows through its driver
(`_battery_windows`). Each question may go to an embedded controller, for milliseconds: hence a thread.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from greengen.collector import Discovery, Domain, Event, Host, Reading, Sample, Unavailable
from greengen.collectors._battery_gauge import Gauge, read_gauges
from greengen.collectors._domains import WHOLE_HOST, undivided
from greengen.collectors._poller import Polled, Poller, SlowMeters

_VARIABLE = "GREENGEN_BATTERY"
#: Names a module that stands in for Windows, for tests.
_STAND_IN = "GREENGEN_WINDOWS"
_PERIOD_S, _PATIENCE_S = 1.0, 5.0
#: A process for each question.
_MACOS_PERIOD_S = 5.0
#: What gauges of batteries refresh by: 1 to 30 s.
_REFRESH_S = 10.0
#: 10 mWh, the step of ACPI's unit as batteries fill it in.
_STEP_J = 36.0
#: ±10 % at 95 %: a fuel gauge models its battery, and no document states an error; a judgement.
_GAIN = 0.05
_MOST_W = 500.0
_MAINS = "a battery tells what the machine draws only while it alone feeds it"


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


class _Source(NamedTuple):
    """How a system is asked. `ask` raises OSError or ValueError."""

    ask: Callable[[], Sequence[Gauge]]
    period_s: float
    place: str
    abort: Callable[[], None] | None = None


class BatteryCollector:
    """Reads the batteries of the machine, in one thread. `platform` is as in ``sys.platform``."""

    name = "battery"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host, platform: str = sys.platform) -> None:
        self._host, self._platform = host, platform
        self._meters = SlowMeters(host.monotonic_ns)
        self.read, self.close = self._meters.read, self._meters.close

    def discover(self) -> Discovery:
        """Find the batteries, if they feed the machine now."""
        self.close()
        said = self._host.environ.get(_VARIABLE, "energy").strip() or "energy"
        if said not in ("energy", "power"):
            why = f"{_VARIABLE}={said!r}: energy or power"
            return Discovery(unavailable=(Unavailable("battery", why, f"{_VARIABLE}=energy"),))
        source = self._source()
        try:
            gauges = source.ask()
        except (OSError, ValueError) as error:
            return Discovery(unavailable=(Unavailable("battery", str(error)),))
        if not gauges:
            return Discovery()
        mains = _on_mains(gauges)
        if mains:
            remedy = "unplug the power supply, or read a smart plug (GREENGEN_PLUG)"
            return Discovery(unavailable=(Unavailable("battery", mains, remedy),))
        domains, problems = {}, []
        for gauge in gauges:
            domain = _domain(gauge, said, source.place)
            try:
                _value(domain.reading, gauge, _Counter(), "")
            except ValueError as error:
                problems.append(Unavailable(domain.uid, str(error)))
            else:
                domains[gauge.name] = domain
        if domains:
            clock = self._host.monotonic_ns
            poller = Poller("battery", source.ask, period_s=source.period_s, clock=clock, abort=source.abort)
            poller.start()
            uids = [domain.uid for domain in domains.values()]
            self._meters.add(Polled(uids, poller, _Rows(domains), _PATIENCE_S))
        return Discovery(tuple(domains.values()), tuple(problems))

    def _source(self) -> _Source:
        host = self._host
        if self._platform == "win32" or host.environ.get(_STAND_IN):
            from greengen.collectors import _battery_windows  # noqa: PLC0415 -- loads ctypes

            return _Source(_battery_windows.reader(host.environ), _PERIOD_S, "its driver")
        if self._platform == "darwin":
            from greengen.collectors import _battery_macos  # noqa: PLC0415 -- loads subprocess and plistlib

            command = _battery_macos.command(host)
            return _Source(lambda: _battery_macos.parse(command.run()), _MACOS_PERIOD_S, "ioreg", command.abort)
        return _Source(lambda: read_gauges(host.sysfs), _PERIOD_S, str(host.sysfs / "class/power_supply"))


def _domain(gauge: Gauge, said: str, place: str) -> Domain:
    counting = said == "energy" and (gauge.left_wh is not None or gauge.left_ah is not None)
    if counting:
        what = "energy that is left in it" if gauge.left_wh is not None else "charge that is left in it × its voltage"
    else:
        what = "power, or current × voltage, integrated"
    return replace(
        WHOLE_HOST,
        uid=f"battery:{gauge.name}",
        collector=BatteryCollector.name,
        kind="battery",
        name=f"battery {gauge.name}",
        reading="energy" if counting else "power",
        split_reason=undivided("what a battery delivers"),
        max_power_w=_MOST_W,
        resolution_j=(gauge.step_j or _STEP_J) if counting else 0.0,
        refresh_s=_REFRESH_S,
        gain=_GAIN,
        detail=f"the whole machine on battery, its screen included, by the {what}, of {place}",
    )
