"""Qualcomm Cloud AI cards, by ``qaic-util -q``: the power of each board, of the moment.

A card holds one SoC or several (four on an AI 100 Ultra), each a device of its own (QID) that shows the power
of the whole board: devices with one board serial are one domain, at the greatest of what they show, never
their sum. A board that shows 0 W everywhere is read as the sum of its SoCs.

Facts: quic/cloud-ai-sdk-pages, docs/Getting-Started/System-Management/system-management.md (``QID 0``, then
indented ``Key:Value`` lines; Status; "Board serial" tells cards apart); quic/software-kit-for-qualcomm-cloud-ai-100,
utils/qaic-util/QaicUtil.cpp (``Board serial:``, ``Board power(Watts):`` with two decimals, ``TDP Cap(Watts):``) and
lib/runtime-platform/src/QUtil.cpp (a device that is not ready shows its status and little else). Newer versions print
``Board TDP Cap(Watts):``, ``SOC power(Watts):`` and ``Sku Type:`` too: lines of an AI 100 Ultra (48.00, 150.00, 11.00,
Pcie Ultra) and of a board that shows 0.00 W beside 20.00 W of its SoC, as posted by users.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from greengen.collector import Discovery, Event, Host, Sample, Usage
from greengen.collectors._cards import Card, Cards, Tool, beside_path, installed, number

_QID = re.compile(r"^QID\s+(\d+)\s*$")
_FOLDER = "/opt/qti-aic/tools"
_SERIAL, _PCI, _SKU, _STATUS = "Board serial", "PCI Address", "Sku Type", "Status"
_BOARD, _BOARD_CAP, _OLD_CAP = "Board power(Watts)", "Board TDP Cap(Watts)", "TDP Cap(Watts)"
_SOC = "SOC power(Watts)"
_TOOL = Tool(
    collector="qualcomm",
    program="qaic-util",
    period_s=1.0,
    timeout_s=5.0,
    most_w=2_000.0,
    # ±10 % at 95 %: no document states an error; a judgement.
    gain=0.05,
    refresh_s=1.0,
    detail="the board, as qaic-util shows it",
    remedy="add the user to the group qaic, or run as root (`qaic-util -q` must show `Status:Ready`)",
)


def devices(text: str) -> list[dict[str, str]]:
    """The keys and values of each device, with its number as `QID`. Raises ValueError where there is none."""
    found: list[dict[str, str]] = []
    for line in text.splitlines():
        match = _QID.match(line.strip())
        if match:
            found.append({"QID": match[1]})
        elif found and ":" in line:
            key, _, value = line.strip().partition(":")
            found[-1].setdefault(key.strip(), value.strip())
    if not found:
        msg = f"qaic-util lists no device: {text.strip()[:80]!r}"
        raise ValueError(msg)
    return found


def cards(text: str) -> list[Card]:
    """The boards in an answer of ``qaic-util -q``. Raises ValueError where there is no device."""
    boards: dict[str, list[dict[str, str]]] = {}
    for device in devices(text):
        boards.setdefault(device.get(_SERIAL) or device.get(_PCI) or f"QID-{device['QID']}", []).append(device)
    return [_card(key, some) for key, some in boards.items()]


def _card(key: str, some: Sequence[Mapping[str, str]]) -> Card:
    first = some[0]
    sku, qids = first.get(_SKU, ""), ", ".join(device["QID"] for device in some)
    name = f"Qualcomm Cloud AI {sku}".strip() + f" (QID {qids})"
    if "ultra" in sku.lower() and not first.get(_SERIAL):
        # Without its serial, nothing tells which devices are one board.
        return Card(key, name, None, "shows no board serial, and each of its devices the power of all")
    boards, socs = (_numbers(some, of) for of in (_BOARD, _SOC))
    limit_w = max([*_numbers(some, _BOARD_CAP), *_numbers(some, _OLD_CAP)], default=None)
    if any(boards):
        return Card(key, name, max(boards), limit_w=limit_w)
    if len(socs) == len(some) and any(socs):
        return Card(key, name, sum(socs), limit_w=limit_w, note="its SoCs only: the board shows 0 W")
    status = first.get(_STATUS, "unknown")
    return Card(key, name, None, f"shows no power (status {status})")


def _numbers(some: Sequence[Mapping[str, str]], key: str) -> list[float]:
    return [value for device in some if (value := number(device.get(key, ""))) is not None]


class QualcommCollector:
    """Runs qaic-util in a thread of its own, where it is installed."""

    name = "qualcomm"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host) -> None:
        self._host = host
        self._cards = Cards(host)

    def discover(self) -> Discovery:
        """Ask once; 5 s at the most where qaic-util hangs."""
        self.close()
        host = beside_path(self._host, _FOLDER)
        if not installed(_TOOL.program, host.environ):
            return Discovery()
        from greengen.collectors._command import Command  # noqa: PLC0415 -- loads subprocess

        command = Command([_TOOL.program, "-q"], host, _TOOL.timeout_s)
        return self._cards.start(_TOOL, lambda: cards(command.run()), command.abort)

    def read(self) -> Iterator[Sample | Usage | Event]:
        """What qaic-util has said since the last reading; waits for nothing."""
        return self._cards.read()

    def close(self) -> None:
        """End the thread, and a qaic-util that still runs."""
        self._cards.close()
