"""Raspberry Pi 5: the supply rails that its power management chip measures, through ``vcgencmd pmic_read_adc``.

The board's power is the sum of volts times amperes over the rails that have both. It lacks what runs off the
5 V input itself (USB devices, HATs, NVMe) and the chip's own loss: a meter at the wall shows more. Twice a
second, in a thread: each question starts a process. Older models have no such chip.

Facts: outputs of real boards, github.com/jfikar/RPi5-power and gist.github.com/cleverca22/
95d2cb2f4e1f59be2bd94f0e1d446cc9: ``VDD_CORE_A current(7)=…A`` goes with ``VDD_CORE_V volt(15)=…V`` by name,
not by number; EXT5V and BATT have a voltage only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from greengen.collector import Discovery, Domain, Event, Host, Sample, Unavailable
from greengen.collectors._cpu_info import read_text
from greengen.collectors._domains import undivided
from greengen.collectors._poller import Polled, Poller, SlowMeters

_PERIOD_S, _TIMEOUT_S = 0.5, 2.0
#: What the official power supply delivers (27 W) is below this.
_MOST_W = 60.0
#: ±10 % at 95 %: no document states an error.
_GAIN = 0.05
_LINE = re.compile(r"^\s*(\w+)_([AV])\s+(?:current|volt)\(\d+\)=(-?\d+(?:\.\d+)?)([AV])\s*$")
_CORE = "VDD_CORE"
_BOARD_UID, _CORE_UID = "pi_pmic:board", f"pi_pmic:{_CORE}"


def rails_w(text: str) -> dict[str, float]:
    """Watts by rail. Raises ValueError where a current has no voltage, or there is none at all."""
    values: dict[str, dict[str, float]] = {"A": {}, "V": {}}
    for match in filter(None, map(_LINE.match, text.splitlines())):
        if match[2] == match[4]:
            values[match[2]][match[1]] = float(match[3])
    amperes, volts = values["A"], values["V"]
    alone = sorted(set(amperes) - set(volts))
    if alone or not amperes:
        why = f"no voltage of {', '.join(alone)}" if alone else f"no current in its answer: {text.strip()[:60]!r}"
        raise ValueError(why)
    found = {rail: amperes[rail] * volts[rail] for rail in amperes}
    total = sum(found.values())
    if min(found.values()) < 0 or not 0 < total <= _MOST_W:
        msg = f"its rails add up to {total:.4g} W, with {min(found.values()):.3g} W the least: not believed"
        raise ValueError(msg)
    return found


def _rows(t_ns: int, rails: dict[str, float]) -> Iterator[Sample | Event]:
    yield Sample(_BOARD_UID, t_ns, sum(rails.values()), "power")
    if _CORE in rails:
        yield Sample(_CORE_UID, t_ns, rails[_CORE], "power")


class PiPmicCollector:
    """Runs vcgencmd in a thread of its own, on boards that have the chip."""

    name = "pi_pmic"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host) -> None:
        self._host, self._meters = host, SlowMeters(host.monotonic_ns)
        self.read, self.close = self._meters.read, self._meters.close

    def discover(self) -> Discovery:
        """Ask once, if this is a board with BCM2712."""
        self.close()
        tree = self._host.sysfs / "firmware/devicetree/base"
        if "brcm,bcm2712" not in read_text(tree / "compatible"):
            return Discovery()
        from greengen.collectors._command import Command  # noqa: PLC0415 -- loads subprocess

        command = Command(["vcgencmd", "pmic_read_adc"], self._host, _TIMEOUT_S)
        clock = self._host.monotonic_ns
        poller = Poller(
            "vcgencmd", lambda: rails_w(command.run()), period_s=_PERIOD_S, clock=clock, abort=command.abort
        )
        first = self._meters.ask(poller, 2 * _TIMEOUT_S)
        if first.value is None:
            remedy = "add the user to the group video, which may open /dev/vcio"
            if not command.is_installed():
                remedy = "apt install raspi-utils; in a container, mount vcgencmd and pass /dev/vcio on"
            return Discovery(unavailable=(Unavailable("pi_pmic", first.trouble, remedy),))
        domains = _domains(read_text(tree / "model").strip("\0 \n"), first.value)
        self._meters.add(Polled([domain.uid for domain in domains], poller, _rows, 2 * _TIMEOUT_S))
        return Discovery(domains)


def _domains(model: str, rails: dict[str, float]) -> tuple[Domain, ...]:
    board = Domain(
        uid=_BOARD_UID,
        collector=PiPmicCollector.name,
        kind="board",
        name=f"{len(rails)} rails of the {model or 'Raspberry Pi'} (PMIC)",
        reading="power",
        scope="host",
        contains=(_CORE_UID, "cpu_model:*") if _CORE in rails else ("cpu_model:*",),
        split_reason=undivided("this rail"),
        activity="cpu",
        max_power_w=_MOST_W,
        refresh_s=_PERIOD_S,
        gain=_GAIN,
        detail="volts × amperes of every rail, without what runs off 5 V (USB, HATs, NVMe) and the regulators' loss",
    )
    core = Domain(
        uid=_CORE_UID,
        collector=PiPmicCollector.name,
        kind="soc",
        name=f"{_CORE}, CPU and GPU of the {model or 'Raspberry Pi'} (PMIC)",
        reading="power",
        scope="host",
        contains=("cpu_model:*",),
        split_reason=undivided("this rail"),
        activity="cpu",
        max_power_w=_MOST_W,
        refresh_s=_PERIOD_S,
        gain=_GAIN,
        detail=f"{_CORE}_V × {_CORE}_A of vcgencmd pmic_read_adc",
    )
    return (board, core) if _CORE in rails else (board,)
