"""Meters that are files of sysfs: held open, looked for again when they go, and told of when they lie.

A reading is a sample or it is not: what fails, is no number, is below 0 or is more than the domain
can draw begins a `gap`, told once. A gauge that repeats one fine-grained value for a minute is told
as a `freeze`, and still read: nothing in the file says whether its load was steady.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from greengen.collector import Discovery, Domain, Event, Host, Sample, Unavailable
from greengen.collectors import _held
from greengen.collectors._agreement import Agreement
from greengen.collectors._held import HeldFile

#: As collectors.md 16 has it for a counter: a reading beyond 1.5 × the domain's greatest power, itself
#: twice a limit, is a slip of unit or a sentinel that nobody documented.
_SLACK = 1.5
_LOOK_AGAIN_NS = 1_000_000_000
_FROZEN_NS = 60_000_000_000
#: The largest file read here is a gpu_metrics table, which has a 16-bit length and stays below this.
_READ = 4096


class Meter(NamedTuple):
    """How a domain is read.

    locate     its files, where they are now; raises OSError while they are gone
    value      from the contents of those files to J or W; raises ValueError for what is no reading
    window_s   what each reading of a gauge is the mean of, s
    suspended  the ``power/runtime_status`` of a device that reading would wake
    check      what the files of a counter say of the power, W, where they do: the two must agree
    every_s    a slow file is asked no more often than this, and its last answer stands until then
    """

    domain: Domain
    locate: Callable[[], Sequence[Path]]
    value: Callable[[Sequence[bytes]], float]
    window_s: float = 0.0
    suspended: HeldFile | None = None
    check: Callable[[Sequence[bytes]], float] | None = None
    every_s: float = 0.0


@dataclass(slots=True)
class _Open:
    meter: Meter
    limit_w: float
    files: list[int] = field(default_factory=list)
    paths: Sequence[Path] = ()
    down: bool = False
    looked_ns: int = -_LOOK_AGAIN_NS
    raw: Sequence[bytes] = ()
    same_since_ns: int = 0
    asked_ns: int = 0
    first: float | None = None
    value: float | None = None
    frozen: bool = False
    agreement: Agreement | None = None


class SysfsMeters:
    """The open meters of a collector. `open_file` opens a path with os.open's flags."""

    def __init__(self, host: Host, open_file: Callable[[str, int], int] = os.open) -> None:
        self._host = host
        self._open_file = open_file
        self._meters: list[_Open] = []

    def add(self, meter: Meter, unlike: Sequence[str] = (), within: float = 0.0) -> float | None:
        """Open a meter and read it once; None where its device sleeps. Raises OSError or ValueError.

        A counter that lies `within` J of what one of those that it is to be `unlike` (by uid) went through
        meanwhile is the same counter shown twice.
        """
        most_w = meter.domain.max_power_w if meter.domain.reading == "power" else None
        opened = _Open(meter, float("inf") if most_w is None else _SLACK * most_w)
        try:
            self._find(opened)
            value = opened.first = None if _sleeps(meter) else self._value(opened)
            self._refuse_twin(value, unlike, within)
        except (OSError, ValueError):
            _close(opened)
            if meter.suspended is not None:
                meter.suspended.close()
            raise
        self._meters.append(opened)
        return value

    def _refuse_twin(self, value: float | None, unlike: Sequence[str], within: float) -> None:
        for other in self._meters:
            if value is None or other.first is None or other.meter.domain.uid not in unlike:
                continue
            # Read before and after this one: a busy machine may take its time between two readings.
            try:
                last = self._value(other)
            except (OSError, ValueError):
                last = other.first
            if other.first - within < value < last + within:
                msg = f"reads {value:.6g} J, the same counter as another domain that is counted"
                raise ValueError(msg)

    def add_all(self, meters: Iterable[Meter], problems: Iterable[Unavailable] = (), remedy: str = "") -> Discovery:
        """Open each that reads now; the others are told, with `remedy` where permission is what they lack."""
        domains, told = [], list(problems)
        for meter in meters:
            try:
                self.add(meter)
            except PermissionError as error:
                told.append(Unavailable(meter.domain.uid, f"permission denied: {error.filename or error}", remedy))
            except (OSError, ValueError) as error:
                told.append(Unavailable(meter.domain.uid, f"{meter.domain.name}: {error}"))
            else:
                domains.append(meter.domain)
        return Discovery(tuple(domains), tuple(told))

    def read(self) -> list[Sample | Event]:
        """One sample per meter; a `gap` event when one begins to fail, a `freeze` when one stands still."""
        rows: list[Sample | Event] = []
        for opened in self._meters:
            meter = opened.meter
            if meter.suspended is not None and _sleeps(meter):
                rows += self._failed(opened, f"{meter.suspended.path}: suspended, and reading would wake it")
                continue
            try:
                value = self._value(opened)
            except (OSError, ValueError) as error:
                again = self._look_again(opened, error)
                if isinstance(again, str):
                    rows += self._failed(opened, again)
                    continue
                value = again
            t_ns = self._host.monotonic_ns()
            opened.down = False
            rows.append(Sample(meter.domain.uid, t_ns, value, meter.domain.reading, meter.window_s))
            if meter.domain.reading == "power":
                rows += _freeze(opened, t_ns, value)
            elif meter.check is not None:
                rows += _check(opened, meter.check, t_ns, value)
        return rows

    def close(self) -> None:
        """Close all files."""
        for opened in self._meters:
            _close(opened)
            if opened.meter.suspended is not None:
                opened.meter.suspended.close()
        self._meters = []

    def _find(self, opened: _Open) -> None:
        _close(opened)
        opened.paths = opened.meter.locate()
        for path in opened.paths:
            opened.files.append(self._open_file(str(path), os.O_RDONLY))

    def _value(self, opened: _Open) -> float:
        t_ns = self._host.monotonic_ns()
        if opened.value is not None and t_ns - opened.asked_ns < opened.meter.every_s * 1e9:
            return opened.value
        opened.value, opened.asked_ns = None, t_ns
        if not opened.files:
            msg = f"{opened.meter.domain.name} has no file open"
            raise FileNotFoundError(msg)
        raw = [os.pread(file, _READ, 0) for file in opened.files]
        try:
            value = opened.meter.value(raw)
        except OverflowError as error:  # more digits than a float holds
            msg = f"reads no number that can be believed: {error}"
            raise ValueError(msg) from error
        if not 0.0 <= value <= opened.limit_w:
            unit = "W" if opened.meter.domain.reading == "power" else "J"
            msg = f"reads {value:.6g} {unit}, " + (
                "below 0" if value < 0 else f"more than the {opened.limit_w:.4g} W that can be believed"
            )
            raise ValueError(msg)
        if raw != opened.raw:
            opened.raw, opened.same_since_ns, opened.frozen = raw, t_ns, False
        opened.value = value
        return value

    def _look_again(self, opened: _Open, error: OSError | ValueError) -> float | str:
        """The value where the files are now, or why there is none. At most once a second: it lists folders."""
        t_ns = self._host.monotonic_ns()
        reason = _reason(opened, error)
        if t_ns - opened.looked_ns < _LOOK_AGAIN_NS:
            return reason
        opened.looked_ns = t_ns
        try:
            self._find(opened)
            return self._value(opened)
        except (OSError, ValueError) as again:
            return _reason(opened, again)

    def _failed(self, opened: _Open, reason: str) -> list[Event]:
        told, opened.down = opened.down, True
        return [] if told else [Event(self._host.monotonic_ns(), "gap", opened.meter.domain.uid, reason)]


def micro(raw: Sequence[bytes]) -> float:
    """One file of µJ or µW."""
    return int(raw[0]) / 1e6


def positive_micro(raw: Sequence[bytes]) -> float:
    """One file of µW, of something that draws power whenever it can be asked: 0 is what failed firmware says."""
    value = int(raw[0]) / 1e6
    if not value:
        msg = "reads 0 W, and it draws something: its firmware did not answer"
        raise ValueError(msg)
    return value


def volts_times_amperes(raw: Sequence[bytes]) -> float:
    """A file of mV and one of mA, in W."""
    return int(raw[0]) * int(raw[1]) / 1e6


def _reason(opened: _Open, error: OSError | ValueError) -> str:
    where = ", ".join(str(path) for path in opened.paths)
    return f"{where}: {error}" if where and str(where) not in str(error) else str(error)


def _check(opened: _Open, power: Callable[[Sequence[bytes]], float], t_ns: int, energy_j: float) -> list[Event]:
    if opened.agreement is None:
        opened.agreement = Agreement()
    try:
        power_w = power(opened.raw)
    except ValueError:
        opened.agreement = None  # begin anew with the next power
        return []
    said = opened.agreement.add(t_ns, energy_j, power_w)
    return [Event(t_ns, "warning", opened.meter.domain.uid, said)] if said else []


def _freeze(opened: _Open, t_ns: int, value: float) -> list[Event]:
    still_ns = t_ns - opened.same_since_ns
    # A gauge of whole watts may well stand still; one that shows milliwatts never does for long.
    if opened.frozen or still_ns < _FROZEN_NS or value == round(value):
        return []
    opened.frozen = True
    reason = f"has shown {value:.6g} W, to the last digit, for {still_ns / 1e9:.0f} s: its sensor may have stopped"
    return [Event(t_ns, "freeze", opened.meter.domain.uid, reason)]


def _sleeps(meter: Meter) -> bool:
    return meter.suspended is not None and meter.suspended.read() == b"suspended"


def _close(opened: _Open) -> None:
    while opened.files:
        _held.close(opened.files.pop(), opened.paths[0])
