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
from collections.abc import Mapping, Sequence

from greengen.collector import Host
from greengen.collectors._cards import Card, Cards, Tool, beside_path, number

_QID = re.compile(r"^QID\s+(\d+)\s*$")
_FOLDER = "/opt/qti-aic/tools"
_SERIAL, _PCI, _SKU, _STATUS = "Board serial", "PCI Address", "Sku Type", "Status"
_BOARD, _BOARD_CAP, _OLD_CAP = "Board power(Watts)", "Board TDP Cap(Watts)", "TDP Cap(Watts)"
_SOC = "SOC power(Watts)"
_TOOL = Tool(
    collector="qualcomm",
    program="qaic-util",
    options=("-q",),
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
        made = Cards(beside_path(host, _FOLDER), _TOOL, lambda run: cards(run()))
        self.discover, self.read, self.close = made.discover, made.read, made.close
