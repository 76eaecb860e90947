"""Whose work a GPU does, by process: how its energy divides between the profiled tree and the others.

nvmlDeviceGetProcessUtilization (nvml.h): one sample per process that used the GPU since a time stamp, with the
percent of it in which that process's kernels ran (`smUtil`); the video engines' use is told apart and
not taken. Its ids are the host's. Samples of dead processes may hold any number (Syllo/nvtop#110).
With MIG the header says it is not supported.

Not taken: accounting mode (nvmlDeviceGetAccountingStats). An administrator has to turn it on, and it
tells a percentage over a process's whole life, whose length it leaves at 0 until the process has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from greengen.collector import MACHINE, PROFILED, Event, Usage
from greengen.collectors._nvml_api import NOT_FOUND, SUCCESS, Nvml, answer, number_of
from greengen.collectors._outage import Outages

#: How often a GPU is asked, ns: the driver keeps what happened between. sustainable-computing-io/kepler's
#: documents give 50 to 100 ms for one answer, so that never more than a twentieth of the time goes into it.
_EVERY_NS, _MOST_NS, _PART = 1_000_000_000, 5_000_000_000, 20
_ALL = 100
#: Nothing ran lately; pynvml raises success itself where there are no samples.
_NOTHING = frozenset({SUCCESS, NOT_FOUND})


def why_not(nvml: Nvml, handle: Any) -> str:  # noqa: ANN401 -- a handle of NVML's
    """Why a board does not tell its processes apart; "" where it does."""
    try:
        nvml.nvmlDeviceGetProcessUtilization(handle, 0)
    except nvml.NVMLError as error:
        if number_of(error) not in _NOTHING:
            return f"NVML tells no use by process ({error})"
    return ""


@dataclass(slots=True)
class ProcessUse:
    """The use of one GPU, cumulated: of all processes, and of the profiled ones.

    turn  its part of the time, 0 to 1, in which it is asked: one GPU after the other
    """

    resource: str
    turn: float = 0.0
    machine_ns: int = 0
    profiled_ns: int = 0
    _next_ns: int = 0
    _told_ns: int | None = None
    _seen_us: int = 0
    _outages: Outages = field(default_factory=Outages)

    def due(self, t_ns: int) -> bool:
        """Whether it is time to ask again."""
        return t_ns >= self._next_ns

    def read(
        self,
        nvml: Nvml,
        handle: Any,  # noqa: ANN401 -- as above
        ours: Callable[[int], bool],
        now: Callable[[], int],
    ) -> Iterator[Usage | Event]:
        """The use up to now. Nothing while the driver does not tell: then the next answer is for the whole time."""
        subject = f"{self.resource} by process"
        asked_ns = now()
        try:
            samples = nvml.nvmlDeviceGetProcessUtilization(handle, self._seen_us)
        except nvml.NVMLError as error:
            if number_of(error) not in _NOTHING:
                yield from self._outages.begin(asked_ns, subject, f"NVML: {error}", "warning")
                self._plan(asked_ns, asked_ns)
                return
            samples = []
        t_ns = now()
        self._plan(asked_ns, t_ns)
        fresh = [s for s in samples if s.timeStamp > self._seen_us and 0 <= s.smUtil <= _ALL]
        self._seen_us = max([self._seen_us, *(s.timeStamp for s in fresh)])
        if self._told_ns is not None and not any(s.smUtil for s in fresh) and _is_busy(nvml, handle):
            # No sample yet, or processes that the driver does not show (MPS): that is not the same as no work.
            silent_ns = t_ns - self._told_ns
            if silent_ns > _MOST_NS:
                reason = (
                    f"it is busy, and for {silent_ns / 1e9:.0f} s the driver has named no process that works (MPS?)"
                )
                yield from self._outages.begin(t_ns, subject, reason, "warning")
            return
        self._outages.end(subject)
        if self._told_ns is not None:
            everyone, profiled = _percent(fresh, ours)
            step_ns = t_ns - self._told_ns
            self.machine_ns += round(step_ns * everyone / _ALL)
            self.profiled_ns += round(step_ns * profiled / _ALL)
        self._told_ns = t_ns
        yield Usage(self.resource, MACHINE, t_ns, self.machine_ns)
        yield Usage(self.resource, PROFILED, t_ns, self.profiled_ns)

    def _plan(self, asked_ns: int, t_ns: int) -> None:
        """When to ask next: by the clock, so that GPUs keep their turns whatever comes out of turn."""
        period_ns = min(max(_EVERY_NS, _PART * (t_ns - asked_ns)), _MOST_NS)
        offset_ns = round(self.turn * period_ns)
        self._next_ns = ((t_ns - offset_ns) // period_ns + 1) * period_ns + offset_ns


def _percent(samples: list[Any], ours: Callable[[int], bool]) -> tuple[float, float]:
    """(of all, of the profiled processes): percent of the time, summed over processes.

    Where a process has several samples they are of equal stretches, of which the busiest has them all.
    """
    if not samples:
        return 0.0, 0.0
    stretches = max(Counter(s.pid for s in samples).values())
    everyone = sum(s.smUtil for s in samples) / stretches
    return everyone, sum(s.smUtil for s in samples if ours(s.pid)) / stretches


def _is_busy(nvml: Nvml, handle: Any) -> bool:  # noqa: ANN401 -- a handle of NVML's
    rates = answer(nvml, nvml.nvmlDeviceGetUtilizationRates, handle, None)
    return rates is not None and rates.gpu > 0
