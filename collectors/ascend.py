"""Huawei Ascend NPUs, by the table of ``npu-smi info``.

A card of several dies shows one power, at its first die, and `-` at the others: it is one domain. Cards of
Ascend 310P show `NA`, and are asked for one by one (``npu-smi info -t common -i N``), where the card's own
controller (Chip Name: mcu) tells it. The power is of the moment; npu-smi keeps no energy. Only cards that
``ASCEND_RT_VISIBLE_DEVICES`` leaves to the process are read: a number there is a die, in the order of the table.

Facts: tables of real machines in issues of vllm-project/vllm-ascend: 2534 and 2035 (two dies to a card, `-`),
12980 (npu-smi 26, wider columns, which is why cells are split at `|`), and of ModelEngine-Group/
unified-cache-management 748; of 310P3 (`NA`, no HBM column) as in any log of vllm-ascend's on that chip. The
output of ``-t common``, with and without an mcu, is quoted in gpustack/gpustack,
gpustack/detectors/npu_smi/npu_smi.py, which also says that a virtual NPU, or one that is profiled, shows 0 % of
its AI cores in use. The variable: hiascend.com, CANN's environment variables (logical ids; what follows a character
that is no digit or comma, or an id that does not exist, is not read).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from greengen.collector import Host
from greengen.collectors._cards import Card, Cards, Tool, number

_BUS = re.compile(r"^[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7]$")
_POWER = re.compile(r"^\s*(?:NPU Real-time Power|Power Dissipation)\(W\)\s*:\s*(\S+)\s*$")
_VISIBLE = "ASCEND_RT_VISIBLE_DEVICES"
_MCU = re.compile(r"^\s*Chip Name\s*:\s*mcu\s*$", re.IGNORECASE)
_LEADING = re.compile(r"\d+")
_CELLS = 3
_TOOL = Tool(
    collector="ascend",
    program="npu-smi",
    options=(),
    period_s=2.0,
    timeout_s=10.0,
    # Cards of two Ascend 910 dies draw several hundred W.
    most_w=2_000.0,
    #: ±10 % at 95 %: no document states an error; a judgement.
    gain=0.05,
    refresh_s=1.0,
    detail="the NPU card, as npu-smi info shows it",
    remedy="add the user to the group HwHiAiUser, or run as root; in a container, mount npu-smi and the driver",
)


@dataclass(slots=True)
class _Npu:
    """The dies of one NPU of the table, in their order."""

    number: str
    name: str
    buses: list[str]
    powers: list[str]
    busy: list[float]


def cards(text: str, visible: str | None = None) -> list[tuple[str, Card]]:
    """(number of the NPU, card) by the table's order. Raises ValueError for what is no such table.

    visible  as ASCEND_RT_VISIBLE_DEVICES has it; None: all
    """
    if "Power(W)" not in text or "Bus-Id" not in text:
        msg = f"npu-smi gave no table of NPUs: {text.strip()[:80]!r}"
        raise ValueError(msg)
    npus: dict[str, _Npu] = {}
    above: list[str] = []
    for line in text.splitlines():
        row = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.strip().startswith("|") else []
        if len(row) == _CELLS and _BUS.match(row[1]) and len(above) == _CELLS:
            _add(npus, above, row)
        above = row
    if visible is not None:
        npus = _left(npus, visible)
    return [(npu.number, card) for npu in npus.values() for card in _of(npu)]


def _left(npus: Mapping[str, _Npu], visible: str) -> dict[str, _Npu]:
    """The NPUs with a die that is visible."""
    dies = [which for which, npu in npus.items() for _ in npu.buses]
    wanted: list[str] = []
    for entry in visible.split(","):
        match = _LEADING.match(entry)
        if match is None or int(match[0]) >= len(dies):
            break
        wanted.append(dies[int(match[0])])
        if match[0] != entry:
            break
    if not wanted:
        msg = f"{_VISIBLE}={visible} names none of the {len(dies)} devices that npu-smi lists"
        raise ValueError(msg)
    return {which: npu for which, npu in npus.items() if which in wanted}


def _add(npus: dict[str, _Npu], above: list[str], row: list[str]) -> None:
    """One die: the line of its NPU, and its own."""
    which, _, name = above[0].partition(" ")
    npu = npus.setdefault(which, _Npu(which, name.strip(), [], [], []))
    npu.buses.append(row[1])
    npu.powers.append(above[2].split()[0] if above[2] else "")
    npu.busy.append((number(row[2].split()[0]) or 0.0) / 100 if row[2] else 0.0)


def _of(npu: _Npu) -> Iterator[Card]:
    """Its cards: one where one die shows the power of all, else one for each die that shows its own."""
    shown = [number(power) for power in npu.powers]
    if sum(power is not None for power in shown) <= 1:
        power_w = next((power for power in shown if power is not None), None)
        dies = f", {len(npu.buses)} dies" if len(npu.buses) > 1 else ""
        trouble = "" if power_w is not None else f"npu-smi shows {npu.powers[0]!r} for its power"
        busy = sum(npu.busy) / len(npu.busy)
        yield Card(
            npu.buses[0], f"Ascend {npu.name.removeprefix('Ascend')} (NPU {npu.number}{dies})", power_w, trouble, busy
        )
        return
    for die, (bus, power_w, busy) in enumerate(zip(npu.buses, shown, npu.busy, strict=True)):
        name = f"Ascend {npu.name.removeprefix('Ascend')} (NPU {npu.number}, die {die})"
        yield Card(f"{bus}/{die}", name, power_w, "npu-smi shows no power for it", busy)


def card_power_w(text: str) -> float | None:
    """What the card's controller says of its power in ``npu-smi info -t common``; None where there is none."""
    of_card, found = False, None
    for line in text.splitlines():
        of_card = of_card or _MCU.match(line) is not None
        match = _POWER.match(line)
        if match and of_card:
            found = number(match[1])
    return found


def ask(run: Callable[..., str], visible: str | None = None) -> list[Card]:
    """The cards. `run` takes npu-smi's arguments, and gives its output; `visible` as for `cards`."""
    found = []
    for npu, card in cards(run("info"), visible):
        if card.power_w is None:
            power_w = card_power_w(run("info", "-t", "common", "-i", npu))
            found.append(
                card if power_w is None else replace(card, power_w=power_w, trouble="", note="by its controller")
            )
        else:
            found.append(card)
    return found


class AscendCollector:
    """Runs npu-smi in a thread of its own, where it is installed."""

    name = "ascend"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host) -> None:
        made = Cards(host, _TOOL, lambda run: ask(run, host.environ.get(_VISIBLE)))
        self.discover, self.read, self.close = made.discover, made.read, made.close
