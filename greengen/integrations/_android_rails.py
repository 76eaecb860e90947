"""Power rails of Android phones (ODPM): which of them hold others, and their counters as a power log.

Names are those of Pixel phones, where ``available_rails`` of the power chip lists ``BUCK6S(S6S_LLDO4):LDO``,
``BUCKBOOST(BB_HLDO):LDO`` and ``LDO1M(L1M_ALIVE):Alive`` (available_rails_show() in drivers/iio/power/odpm.c of
google-modules/raviole-device): a converter named for LDOs is taken to supply the low-drop regulators ``L<n>…`` of its
chip, main or sub; Perfetto calls some of them ``power.rails.ldo.main.a``. Which one feeds which is not said, so a
regulator counts as inside all that may. ``WCN3998_VDD13 [from PP1304_L2C]`` names its supply itself
(src/trace_processor/metrics/sql/android/power_drain_in_watts.sql of google/perfetto). All other rails lie side by side.
Counters are in uWs since boot, and "wrap around at different values on different devices" (the same SQL): a step back
is taken for a reset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from greengen.collector import Domain
from greengen.errors import LogError
from greengen.integrations._logs import Meter, PowerLog, Reading, Rejected, check_order
from greengen.integrations._rows import SOLE
from greengen.quantity import convert
from greengen.rows import Series

#: ±10 % at 95 %: no document states an error; a judgement.
_GAIN = 0.05
#: More than a phone's battery gives, W, by a judgement: a counter that rises faster is not believed.
_MOST_W = 100.0
_KINDS = (
    (re.compile(r"cpu", re.IGNORECASE), "package"),
    (re.compile(r"gpu|G3D", re.IGNORECASE), "gpu"),
    (re.compile(r"tpu", re.IGNORECASE), "npu"),
    (re.compile(r"ddr|memory\.interface|_MEM\b|VDD_MIF|VDD2", re.IGNORECASE), "dram"),
    (re.compile(r"system\.fabric|VDD_INT"), "soc"),
)
_REGULATOR = re.compile(r"(?:power\.)?L\d+([MS])_")
_SUPPLY = re.compile(r"(?:power\.)?(?:S\d+([MS])_[LM]LDO|rails\.ldo\.(main|sub)|(BB_HLDO))")
_FROM = re.compile(r"\[from ([^\]]+)\]")
_PART = "What a phone draws beside its rails (their converters' own loss among it) is in none of them."


@dataclass(slots=True)
class Rails:
    """Counters in the making: rail → [(t_ns, uWs, line)], in the order of the file."""

    path: Path
    content: bytes
    format: str
    told: dict[str, list[tuple[int, float, int]]] = field(default_factory=dict)
    step_uws: float = 1.0
    rejected: list[Rejected] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, rail: str, t_ns: int, energy_uws: float, line: int) -> None:
        """One reading. Raises LogError where a counter is below 0, or shows two values at one time."""
        known = self.told.setdefault(rail, [])
        if energy_uws < 0:
            msg = f"{self.path} line {line}: the energy of {rail} is {energy_uws:g} uWs, and energy is 0 or more"
            raise LogError(msg)
        if known and known[-1][0] == t_ns:
            if known[-1][1] != energy_uws:
                msg = f"{self.path} lines {known[-1][2]} and {line}: {rail} has two energies at one time"
                raise LogError(msg)
            return  # read twice before the meter had anything new
        known.append((t_ns, energy_uws, line))

    def log(self) -> PowerLog:
        """All rails, each with what it holds. Raises LogError where there is none, or time goes back."""
        if not self.told:
            msg = f"{self.path} holds no reading of a power rail: name a log of one"
            raise LogError(msg)
        inside = contained(list(self.told))
        log = PowerLog(self.path, self.content, "relative", [], sorted(self.rejected), notes=[*self.notes, _PART])
        for rail, known in self.told.items():
            readings = [Reading(t_ns, 0.0, line) for t_ns, _, line in known]
            check_order(self.path, readings, "relative")
            times = [t_ns for t_ns, _, _ in known]
            values = [convert(energy, "uJ", "J") for _, energy, _ in known]
            series = Series(times, values, [0, *(b - a for a, b in pairwise(times))])
            log.meters.append(Meter(self._domain(rail, inside[rail]), readings, counter=series))
        return log

    def _domain(self, rail: str, inside: Sequence[str]) -> Domain:
        kind = next((kind for pattern, kind in _KINDS if pattern.search(rail)), "board")
        return Domain(
            uid=f"{self.format}:{rail}",
            collector=f"import {self.format}",
            kind=kind,
            name=rail,
            contains=tuple(f"{self.format}:{part}" for part in inside),
            split_reason=SOLE,
            resolution_j=convert(self.step_uws, "uJ", "J"),
            gain=_GAIN,
            max_power_w=_MOST_W,
            detail="energy of a supply rail, as the phone's power chip (ODPM) counts it",
        )


def contained(rails: Sequence[str]) -> Mapping[str, list[str]]:
    """Of each rail those that it may feed."""
    found: dict[str, list[str]] = {rail: [] for rail in rails}
    for part in rails:
        regulator, source = _REGULATOR.match(part), _FROM.search(part)
        for whole in rails:
            supply = _SUPPLY.match(whole)
            fed = regulator and supply and (supply[3] or regulator[1] == (supply[1] or supply[2][0].upper()))
            named = source and whole != part and source[1] in whole and not _FROM.search(whole)
            if fed or named:
                found[whole].append(part)
    return found
