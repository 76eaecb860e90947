"""BrainChip Akida boards with a power meter (AKD1000), through BrainChip's own library.

``GREENGEN_AKIDA=1`` reads the boards of the process that records: the library opens a board for its own process,
so it is for `greengen.profile()` in the program that runs the model, and not for `greengen profile -- COMMAND`.
What the meter says between two questions is averaged; it says something while it has events, and is a gap
where it has none. Events that are taken here are missing in the power part of ``model.statistics``.

Facts: BrainChip's examples (doc.brainchipinc.com, Akida examples, "Performances measurement"):
``device.soc.power_measurement_enabled = True``, ``device.soc.power_meter.floor`` in mW; akida/model.py of the
package, which fetches ``soc.power_meter.events()`` after each inference where ``soc`` is not None; programs of users
that print an event's ``ts``, ``voltage`` (µV), ``current`` (mA) and ``power`` (mW). The unit of `ts` is in none of
them: it is used for order only. On AKD1500, and on virtual devices, ``soc`` is None.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

from greengen.collector import Discovery, Domain, Event, Host, Sample, Unavailable
from greengen.collectors._poller import Poller, SlowMeters

_VARIABLE = "GREENGEN_AKIDA"
_PERIOD_S, _FIRST_S = 0.2, 2.0
#: The development board's floor is about 1 W.
_MOST_W = 20.0
#: ±10 % at 95 %: no document states an error; a judgement.
_GAIN = 0.05
_SHARED = "the board tells no use per process, so sole tenancy is assumed"


class _Meter:
    """One board's meter: the mean of the events since the last question."""

    def __init__(self, soc: Any) -> None:  # noqa: ANN401 -- the library's own type
        self._soc = soc
        self._last: float | None = None

    def ask(self) -> float:
        """W. Raises ValueError where there is no event to believe."""
        try:
            events = [(float(event.ts), float(event.power)) for event in self._soc.power_meter.events()]
        except (AttributeError, RuntimeError, TypeError) as error:
            msg = f"its power meter fails: {error}"
            raise ValueError(msg) from error
        # The library may hand out an event again.
        new = [(ts, mw) for ts, mw in events if self._last is None or ts > self._last]
        if not new:
            msg = "its power meter has no new event: perhaps nothing runs on it"
            raise ValueError(msg)
        self._last = max(ts for ts, _ in new)
        power_w = sum(mw for _, mw in new) / len(new) / 1000
        if not 0 < power_w <= _MOST_W:
            msg = f"its power meter says {power_w:.6g} W, which it cannot draw"
            raise ValueError(msg)
        return power_w


class AkidaCollector:
    """Reads the boards in threads, where ``GREENGEN_AKIDA`` says so; `akida` stands in for the library."""

    name = "akida"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host, akida: Any = None) -> None:  # noqa: ANN401 -- a module
        self._host = host
        self._given = akida
        self._meters = SlowMeters(host.monotonic_ns)
        self._restore: list[Callable[[], None]] = []

    def discover(self) -> Discovery:
        """The boards that the library opens, with their meters switched on."""
        self.close()
        if self._host.environ.get(_VARIABLE, "") in ("", "0"):
            return Discovery()
        try:
            akida = self._given or importlib.import_module("akida")
            devices = list(akida.devices())
        except (ImportError, RuntimeError) as error:
            return Discovery(unavailable=(Unavailable(self.name, f"akida: {error}", "pip install akida"),))
        if not devices:
            return Discovery(unavailable=(Unavailable(self.name, "the library finds no board: is its driver loaded?"),))
        domains: list[Domain] = []
        problems: list[Unavailable] = []
        for index, device in enumerate(devices):
            domain = _domain(str(getattr(device, "desc", index)))
            why = self._start(domain, device.soc)
            if why:
                problems.append(Unavailable(domain.uid, why, "read its supply (power_monitor, plug)"))
            else:
                domains.append(domain)
        return Discovery(tuple(domains), tuple(problems))

    def _start(self, domain: Domain, soc: Any) -> str:  # noqa: ANN401 -- the library's own type
        if soc is None:
            return "this device has no power meter (AKD1500, or a virtual device)"
        before = bool(soc.power_measurement_enabled)
        try:
            soc.power_measurement_enabled = True
        except RuntimeError as error:
            return f"its power meter cannot be switched on: {error}"
        self._restore.append(lambda: setattr(soc, "power_measurement_enabled", before))
        meter = _Meter(soc)
        # Nothing runs on it yet: the first answer decides nothing.
        poller = Poller(domain.uid, meter.ask, period_s=_PERIOD_S, clock=self._host.monotonic_ns)
        self._meters.start_unheard(domain, poller, 2 * _FIRST_S)
        return ""

    def read(self) -> Iterator[Sample | Event]:
        """What the meters have said since the last reading; waits for none."""
        return self._meters.read()

    def close(self) -> None:
        """End the threads, and leave the meters as they were."""
        self._meters.close()
        while self._restore:
            self._restore.pop()()


def _domain(desc: str) -> Domain:
    return Domain(
        uid=f"{AkidaCollector.name}:{desc}",
        collector=AkidaCollector.name,
        kind="npu",
        name=f"Akida {desc}",
        reading="power",
        split_reason=_SHARED,
        max_power_w=_MOST_W,
        refresh_s=_PERIOD_S,
        gain=_GAIN,
        detail="the chip, by the power meter of its board, as the akida library tells it",
    )
