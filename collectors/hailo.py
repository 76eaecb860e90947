"""Hailo accelerators on boards with a power sensor, by ``hailortcli measure-power``.

Each question is one measurement by the chip's firmware, once a second. Modules without the sensor (the AI HATs of
the Raspberry Pi among them) answer with an error, and are listed with it. On an evaluation board the power is the
sum of three rails of the chip (an approximation, says HailoRT), on M.2 and mPCIe modules that of the sensor that
guards against overcurrent.

Facts: hailo-ai/hailort, hailort/hailortcli/power_measurement_command.cpp (``Current power consumption (W): ``,
what AUTO measures) and command.cpp (``Executing on device: `` before each, and an error that leaves the other
devices to be measured, with an exit code that is not 0).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from greengen.collector import Host
from greengen.collectors._cards import Card, Cards, Tool, number

_DEVICE = re.compile(r"^Executing on device: (\S+)\s*$")
_POWER = re.compile(r"^Current power consumption \(W\): (\S+)\s*$")
_TOOL = Tool(
    collector="hailo",
    program="hailortcli",
    options=("measure-power",),
    period_s=1.0,
    timeout_s=5.0,
    # A judgement: a chip draws some watts, and a board has a few of them.
    most_w=100.0,
    # ±10 % at 95 %: HailoRT calls its own sum an approximation.
    gain=0.05,
    refresh_s=1.0,
    detail="the chip's rails on an evaluation board, the module on M.2 and mPCIe, as hailortcli measures it",
    remedy="a board without the sensor cannot tell: read its supply (power_monitor, plug)",
)


def cards(text: str) -> list[Card]:
    """The devices in an answer of ``hailortcli measure-power``. Raises ValueError where there is none."""
    powers: dict[str, float | None] = {}
    device = ""
    for line in text.splitlines():
        executing, power = _DEVICE.match(line), _POWER.match(line)
        if executing:
            device = executing[1]
            powers[device] = None
        elif power:
            powers[device] = number(power[1])
    if not powers:
        msg = f"hailortcli measured no power: {text.strip()[:80]!r}"
        raise ValueError(msg)
    why = "hailortcli could not measure its power"
    return [
        Card(device or "0", f"Hailo {device or 'accelerator'}", power_w, "" if power_w is not None else why)
        for device, power_w in powers.items()
    ]


def ask(run: Callable[[], str]) -> list[Card]:
    """All devices. hailortcli fails as a whole when one of them does, and has measured the others."""
    from greengen.collectors._command import CommandError  # noqa: PLC0415 -- loads subprocess

    try:
        return cards(run())
    except CommandError as error:
        if any(map(_POWER.match, error.output.splitlines())):
            return cards(error.output)
        raise


class HailoCollector:
    """Runs hailortcli in a thread of its own, where it is installed and the driver has a device."""

    name = "hailo"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host) -> None:
        made = Cards(host, _TOOL, ask)
        self.discover, self.read, self.close = made.discover, made.read, made.close
