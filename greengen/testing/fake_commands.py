"""Commands of vendors that are not at hand: shell scripts in a folder that goes first on the PATH.

folder = fake_command(tmp_path / "bin", "ipmitool", dcmi(173))
host = Host(environ={"PATH": str(folder)})
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from shlex import quote


def fake_command(
    folder: Path, name: str, output: str, *, code: int = 0, error: str = "", seconds: float = 0, then_seconds: float = 0
) -> Path:
    """Writes a command that takes so long, says so much, stays for so long and ends so; gives back the folder.

    What it was called with is added to ``<folder>/<name>.calls``, one line for each call.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "#!/bin/sh",
        f"printf '%s\\n' \"$*\" >> {quote(str(folder / f'{name}.calls'))}",
        f"PATH=/usr/bin:/bin sleep {seconds}" if seconds else ":",
        f"printf '%s' {quote(output)}",
        f"PATH=/usr/bin:/bin sleep {then_seconds}" if then_seconds else ":",
        f"printf '%s\\n' {quote(error)} >&2" if error else ":",
        f"exit {code}",
    ]
    # Renamed into place: a recorder may be about to run it.
    draft = folder / f".{name}"
    draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
    draft.chmod(0o755)
    draft.rename(folder / name)
    return folder


def dcmi(watts: int, state: str = "activated") -> str:
    """What ``ipmitool dcmi power reading`` says, in the form of ipmitool's source."""
    return (
        f"\n    Instantaneous power reading:              {watts:8d} Watts\n"
        "    Minimum during sampling period:                  0 Watts\n"
        "    Maximum during sampling period:               1023 Watts\n"
        "    Average power reading over sample period:      138 Watts\n"
        "    IPMI timestamp:                           Thu Jan  1 00:00:00 1970\n"
        "    Sampling period:                          00000001 Seconds.\n"
        f"    Power reading state is:                   {state}\n\n"
    )


def pmic_read_adc(core_a: float = 0.75, core_v: float = 0.8) -> str:
    """What ``vcgencmd pmic_read_adc`` says on a Raspberry Pi 5, rails and numbers of some: 1 W beside VDD_CORE."""
    rails = {"3V3_SYS": (1, 0.2, 9, 3.3), "1V8_SYS": (2, 0.1, 10, 1.8), "1V1_SYS": (5, 0.145454545, 13, 1.1)}
    rails |= {"VDD_CORE": (7, core_a, 15, core_v)}
    lines = [f"{rail + '_A':>12} current({n})={amperes:.8f}A" for rail, (n, amperes, _, _) in rails.items()]
    lines += [f"{rail + '_V':>12} volt({n})={volts:.8f}V" for rail, (_, _, n, volts) in rails.items()]
    return "\n".join([*lines, "     EXT5V_V volt(24)=5.17105900V", "      BATT_V volt(25)=0.00598290V"]) + "\n"


def npu_smi_info(*npus: tuple[str, Sequence[str]], wide: bool = False) -> str:
    """What ``npu-smi info`` says: (name, power of each die as it is printed) of each NPU. `wide`: as version 26 does.

    In the form of the tables in vllm-project/vllm-ascend issues 2035 and 12980.
    """
    first, second, third = (27, 15, 70) if wide else (27, 15, 52)
    rule = f"+{'-' * first}+{'-' * second}+{'-' * third}+"

    def row(*cells: str) -> str:
        return "|".join(["", *(f" {cell}".ljust(n) for cell, n in zip(cells, (first, second, third), strict=True)), ""])

    lines = [rule]
    lines += [row("NPU   Name", "Health", f"{'Power(W)':<12}{'Temp(C)':<18}Hugepages-Usage(page)")]
    lines += [row("Chip  Phy-ID", "Bus-Id", f"{'AICore(%)':<12}{'Memory-Usage(MB)':<18}HBM-Usage(MB)")]
    lines += [rule.replace("-", "=")]
    physical = 0
    for index, (name, powers) in enumerate(npus):
        for die, power in enumerate(powers):
            lines += [row(f"{index:<6}{name}", "OK", f"{power:<12}{36:<18}0    / 0")]
            bus = f"0000:{0x9D + 4 * index + 2 * die:02X}:00.0"
            lines += [row(f"{die:<6}{physical}", bus, f"{50:<12}{'0    / 0':<18}3416 / 65536"), rule]
            physical += 1
    lines += [row("NPU     Chip", "Process id", "Process name             | Process memory(MB)"), rule]
    return "\n".join([*lines, "| No running processes found in NPU 0 |", rule]) + "\n"


def npu_smi_common(power: str) -> str:
    """What ``npu-smi info -t common -i 1`` says of a card with a controller (gpustack, npu_smi.py, example 2)."""
    return (
        "\tNPU ID                         : 1\n\tChip Count                     : 1\n\n"
        "\tChip ID                        : 0\n\tAicore Usage Rate(%)           : 0\n"
        "\tTemperature(C)                 : 43\n\n\tChip Name                      : mcu\n"
        f"\tTemperature(C)                 : 41\n\tNPU Real-time Power(W)         : {power}\n"
    )


def hl_smi(*cards: tuple[int, str, str]) -> str:
    """What ``hl-smi -Q index,module_id,uuid,name,power.draw,power.max,utilization.aip -f csv,noheader`` says.

    (module, power, utilisation) of each card, as they are printed: 226 W, 0 %.
    """
    return "".join(
        f"{index}, {module}, 01P4-HL3090A0-18-U4V193-22-07-{index:02d}, HL-325L, {power}, 850 W, {use}\n"
        for index, (module, power, use) in enumerate(cards)
    )


def qaic_util(*devices: tuple[str, float, float], sku: str = "Pcie Ultra") -> str:
    """What ``qaic-util -q`` says: (board serial, board power, SoC power) of each device, W; "": it shows no serial."""
    blocks = []
    for qid, (serial, board_w, soc_w) in enumerate(devices):
        lines = [f"QID {qid}", "\tStatus:Ready", f"\tMHI ID:{qid}", f"\tPCI Address:0000:{0x2D + qid:02x}:00.0"]
        lines += [f"\tBoard serial:{serial}"] if serial else []
        lines += [f"\tSku Type:{sku}", "\tNsp Total:16", f"\tBoard power(Watts):{board_w:.2f}"]
        lines += ["\tBoard TDP Cap(Watts):150.00", f"\tSOC power(Watts):{soc_w:.2f}", "\tSOC TDP Cap(Watts):31.00"]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def measure_power(*devices: tuple[str, float | None]) -> str:
    """What ``hailortcli measure-power`` says on its stdout: (device, W) of each; None: it failed."""
    return "".join(
        f"Executing on device: {device}\n" + ("" if watts is None else f"Current power consumption (W): {watts:g}\n")
        for device, watts in devices
    )


def neuron_report(*cores: float, per_device: int = 2, devices: int = 1) -> str:
    """One report of neuron-monitor: the use of each NeuronCore by one program, percent; none: no program runs."""
    in_use = {str(core): {"neuroncore_utilization": use} for core, use in enumerate(cores)}
    counters = {"period": 5.000727893, "neuroncores_in_use": in_use, "error": ""}
    runtime = {"pid": 20843, "neuron_runtime_tag": "", "error": "", "report": {"neuroncore_counters": counters}}
    report = {
        "neuron_runtime_data": [runtime] if cores else [],
        "system_data": {},
        "instance_info": {"instance_type": "inf2.xlarge", "error": ""},
        "neuron_hardware_info": {
            "neuron_device_count": devices,
            "neuroncore_per_device_count": per_device,
            "error": "",
        },
    }
    return json.dumps(report) + "\n"
