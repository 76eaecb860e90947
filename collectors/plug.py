"""Smart plugs over HTTP: what the whole machine draws at the wall.

``GREENGEN_PLUG=shelly2://192.168.1.20,tasmota://10.0.0.7`` names those to read; without it, nothing is
asked of the network. A plug's power is integrated: its counter moves in steps of a thousandth of a kWh
(3.6 kJ), of a watt-minute, or once a minute, and is held against the power instead. For recordings of
hours, ``?reading=energy`` takes the counter. Formats and their documents: `_plug_formats`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from greengen.collector import Discovery, Domain, Event, Host, Sample, Unavailable
from greengen.collectors._domains import WHOLE_HOST, undivided
from greengen.collectors._poller import Polled, Poller, SlowMeters

if TYPE_CHECKING:
    from greengen.collectors._plug_formats import Plug, PlugReading

_VARIABLE = "GREENGEN_PLUG"
_EXAMPLE = f"{_VARIABLE}=shelly2://192.168.1.20 (or shelly1://, tasmota://; several with commas)"
#: Plugs refresh about once a second; half of that loses less at the ends of a recording.
_PERIOD_S = 0.5
_REFRESH_S = 1.0
_COUNTER_REFRESH_S = 60.0
_TIMEOUT_S = 2.0
#: 20 A at 230 V: no such plug carries more.
_MOST_W = 4600.0
#: Energy against power, over this many steps of the counter and so long (collectors.md 16).
_STEPS, _SPAN_S, _RATIO = 10, 5.0, (0.8, 1.25)

_ZERO = "it says {:g} W, while this machine runs: is the machine plugged into another channel or socket?"


@dataclass(slots=True)
class _Check:
    """The counter against the integral of the power, between two changes of the counter."""

    last: tuple[int, float] | None = None
    integral_j: float = 0.0
    before_j: float | None = None
    base: tuple[int, float, float] | None = None
    told: bool = False

    def power(self, t_ns: int, power_w: float) -> None:
        if self.last is not None:
            t0_ns, before_w = self.last
            self.integral_j += (before_w + power_w) / 2 * (t_ns - t0_ns) / 1e9
        self.last = (t_ns, power_w)

    def counter(self, t_ns: int, energy_j: float, step_j: float) -> tuple[str, float, float] | None:
        """What is wrong, and the two joules: ("reset", before, now) or ("disagree", counted, integrated)."""
        before_j, self.before_j = self.before_j, energy_j
        if before_j is None or energy_j == before_j:
            return None
        if energy_j < before_j:
            self.base = None
            return "reset", before_j, energy_j
        if self.base is None:
            self.base = (t_ns, energy_j, self.integral_j)
            return None
        t0_ns, from_j, from_integral_j = self.base
        counted_j, integrated_j = energy_j - from_j, self.integral_j - from_integral_j
        if counted_j < _STEPS * step_j or t_ns - t0_ns < _SPAN_S * 1e9 or self.told:
            return None
        self.told = not _RATIO[0] * integrated_j <= counted_j <= _RATIO[1] * integrated_j
        self.base = (t_ns, energy_j, self.integral_j)
        return ("disagree", counted_j, integrated_j) if self.told else None

    def interrupt(self) -> None:
        """No power for a while: what was integrated no longer stands beside the counter."""
        self.last, self.base = None, None


class _Meter:
    """One plug: its domain, and its answers as rows."""

    def __init__(self, plug: Plug) -> None:
        self._plug = plug
        self._check = _Check()
        self._implausible = False

    def rows(self, t_ns: int, found: PlugReading) -> Iterator[Sample | Event]:
        uid, counting = self._plug.uid, self._plug.reading == "energy"
        why = _implausible(found.power_w)
        if why:
            self._check.interrupt()
            if not self._implausible:
                yield Event(t_ns, "warning" if counting else "gap", uid, why)
        self._implausible = bool(why)
        if not why:
            self._check.power(t_ns, found.power_w)
        if found.energy_j is not None:
            yield from self._compare(t_ns, found.energy_j)
        if counting and found.energy_j is not None:
            yield Sample(uid, t_ns, found.energy_j)
        elif not counting and not why:
            yield Sample(uid, t_ns, found.power_w, "power")

    def _compare(self, t_ns: int, energy_j: float) -> Iterator[Event]:
        wrong = self._check.counter(t_ns, energy_j, self._plug.format.step_j)
        if wrong is None:
            return
        what, first_j, second_j = wrong
        uid, taken = self._plug.uid, "counter" if self._plug.reading == "energy" else "power"
        if what == "disagree":
            reason = (
                f"{uid}: its counter rose by {first_j:.6g} J while its power adds up to {second_j:.6g} J: one of the "
                f"two is in another unit or not calibrated; the {taken} is used"
            )
            yield Event(t_ns, "warning", uid, reason)
        elif taken == "power":
            # Where the counter is what is read, its curve tells the reset, and what was lost by it.
            reason = f"its counter went back from {first_j:.6g} J to {second_j:.6g} J; its power is what is read"
            yield Event(t_ns, "reset", uid, reason)


class PlugCollector:
    """Reads the plugs that ``GREENGEN_PLUG`` names, each in a thread of its own."""

    name = "plug"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host) -> None:
        self._host, self._meters = host, SlowMeters(host.monotonic_ns)
        self.read, self.close = self._meters.read, self._meters.close

    def discover(self) -> Discovery:
        """Ask every plug once, all at a time; 2 s at the most where one does not answer."""
        self.close()
        texts = [text.strip() for text in self._host.environ.get(_VARIABLE, "").split(",") if text.strip()]
        if not texts:
            return Discovery()
        from greengen.collectors._plug_formats import parse_plug  # noqa: PLC0415 -- loads http.client

        problems: list[Unavailable] = []
        plugs: dict[str, Plug] = {}
        for text in texts:
            try:
                plug = parse_plug(text)
            except ValueError as error:
                problems.append(Unavailable("plug", f"{_VARIABLE}: {error}", _EXAMPLE))
            else:
                plugs.setdefault(plug.uid, plug)
        pollers = [self._poller(plug) for plug in plugs.values()]
        for poller in pollers:
            poller.start()
        domains = []
        for plug, poller in zip(plugs.values(), pollers, strict=True):
            why = _why_not(plug, poller)
            if why:
                poller.close()
                problems.append(Unavailable(plug.uid, why, _remedy(why)))
                continue
            self._meters.add(Polled((plug.uid,), poller, _Meter(plug).rows, 2 * _TIMEOUT_S))
            domains.append(_domain(plug))
        return Discovery(tuple(domains), tuple(problems))

    def _poller(self, plug: Plug) -> Poller[PlugReading]:
        from greengen.collectors._http import Client, parse_object  # noqa: PLC0415 -- the same

        client = Client(plug.where, _TIMEOUT_S)

        def ask() -> PlugReading:
            return plug.format.parse(parse_object(client.get(plug.path, plug.format.auth)), plug.channel)

        clock = self._host.monotonic_ns
        return Poller(plug.uid, ask, period_s=_PERIOD_S, clock=clock, abort=client.abort)


def _why_not(plug: Plug, poller: Poller[PlugReading]) -> str:
    first = poller.first(2 * _TIMEOUT_S)
    if first.value is None:
        return first.trouble
    if plug.reading == "energy" and first.value.energy_j is None:
        return "its answer has no energy counter: leave out reading=energy"
    return _implausible(first.value.power_w)


def _remedy(why: str) -> str:
    if "401" in why or "user=" in why:
        return f"{_VARIABLE}=kind://user:password@address (the user of shelly2 is admin)"
    return "see that it answers: curl its address"


def _implausible(power_w: float) -> str:
    if power_w <= 0:
        return _ZERO.format(power_w)
    return f"it says {power_w:g} W, more than a plug can carry" if power_w > _MOST_W else ""


def _domain(plug: Plug) -> Domain:
    counting = plug.reading == "energy"
    return replace(
        WHOLE_HOST,
        uid=plug.uid,
        collector=PlugCollector.name,
        name=f"{plug.format.name} plug {plug.where.shown}",
        reading=plug.reading,
        split_reason=undivided("what a wall socket delivers"),
        max_power_w=_MOST_W,
        resolution_j=plug.format.step_j if counting else 0.0,
        refresh_s=_COUNTER_REFRESH_S if counting else _REFRESH_S,
        gain=plug.format.gain,
        detail="all that is plugged into it, by its " + ("energy counter" if counting else "power, integrated"),
    )
