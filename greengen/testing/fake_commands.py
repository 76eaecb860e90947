"""Commands of vendors that are not at hand: shell scripts in a folder that goes first on the PATH.

folder = fake_command(tmp_path / "bin", "ipmitool", dcmi(173))
host = Host(environ={"PATH": str(folder)})
"""

from __future__ import annotations

from pathlib import Path
from shlex import quote


def fake_command(folder: Path, name: str, output: str, *, code: int = 0, error: str = "", seconds: float = 0) -> Path:
    """Writes a command that takes so long, says so much and ends so; gives back the folder.

    What it was called with is added to ``<folder>/<name>.calls``, one line for each call.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "#!/bin/sh",
        f"printf '%s\\n' \"$*\" >> {quote(str(folder / f'{name}.calls'))}",
        f"PATH=/usr/bin:/bin sleep {seconds}" if seconds else ":",
        f"printf '%s' {quote(output)}",
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
