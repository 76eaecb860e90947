"""A stand-in for BrainChip's ``akida``: boards whose power meters say what they are told to.

    board = FakeBoard()
    collector = AkidaCollector(host, akida=FakeAkida([board]))
    board.draw(1100.0)

Names and units are those of BrainChip's examples: events have `ts`, `voltage` (µV), `current` (mA), `power` (mW).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PowerEvent:
    """One reading of the board's meter."""

    ts: int
    voltage: int
    current: float
    power: float


class FakeMeter:
    """``device.soc.power_meter``: events that have not been fetched, and the power of the idle chip, mW."""

    floor = 914.03

    def __init__(self) -> None:
        self.pending: list[PowerEvent] = []

    def events(self) -> list[PowerEvent]:
        """Those since it was last asked."""
        taken, self.pending = self.pending, []
        return taken


class FakeSoc:
    """``device.soc`` of an AKD1000: the meter collects while it is enabled."""

    def __init__(self) -> None:
        self.power_measurement_enabled = False
        self.power_meter = FakeMeter()


class FakeBoard:
    """One device. `metered`: whether it has a `soc`."""

    def __init__(self, desc: str = "PCIe/NSoC_v2/0", *, metered: bool = True) -> None:
        self.desc = desc
        self.soc = FakeSoc() if metered else None
        self._ts = 0

    def draw(self, *powers_mw: float) -> None:
        """These readings come in."""
        for power in powers_mw:
            self._ts += 1
            if self.soc is not None and self.soc.power_measurement_enabled:
                self.soc.power_meter.pending.append(PowerEvent(self._ts, 5_000_000, power / 5, power))


class FakeAkida:
    """The module."""

    def __init__(self, boards: Sequence[FakeBoard]) -> None:
        self._boards = boards

    def devices(self) -> list[FakeBoard]:
        """The boards that were found."""
        return list(self._boards)
