"""Who is recording: the boot, the host and the process, in ids that are never used twice."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from greengen.collector import own_pid


def boot_id() -> str:
    """An id of this boot of this host: clocks, counters and pids mean nothing outside it."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        import psutil  # noqa: PLC0415 -- only where there is no procfs

        return f"{platform.node()}-{int(psutil.boot_time())}"
    return text.strip().replace("-", "")[:16]


def start_time(pid: int) -> int | None:
    """When process `pid` started, in the kernel's ticks (or ms); None if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        import psutil  # noqa: PLC0415 -- only where there is no procfs

        try:
            return int(psutil.Process(pid).create_time() * 1000)
        except psutil.Error:
            return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def process_uid(pid: int | None = None) -> str:
    """``<boot id>:<pid>:<start time>``: a pid is used again, this is not."""
    pid = own_pid(Path("/proc")) if pid is None else pid
    return f"{boot_id()}:{pid}:{start_time(pid) or 0}"


def ancestors(pid: int) -> list[str]:
    """The uids of the processes above `pid`, its parent first, as far as they can be seen; none without procfs."""
    boot = boot_id()
    found: list[str] = []
    while pid:
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            break
        fields = stat[stat.rindex(b")") + 2 :].split()
        found.append(f"{boot}:{pid}:{int(fields[19])}")
        pid = int(fields[1])
    return found[1:]


def is_alive(uid: str) -> bool:
    """Whether the process of that uid runs on this boot of this host; False for what is no uid."""
    boot, _, rest = uid.partition(":")
    pid, _, started = rest.partition(":")
    return boot == boot_id() and pid.isdecimal() and started == str(start_time(int(pid)))


def host_info(procfs: Path = Path("/proc")) -> dict[str, str | int]:
    """What a reader wants to know of the machine behind a recording; a calibration of it holds for the same CPU."""
    return {
        "platform": platform.platform(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        **_cpu(procfs),
    }


def _cpu(procfs: Path) -> dict[str, str | int]:
    """The CPU's name ("" where the kernel gives none) and how many logical ones there are."""
    try:
        text = (procfs / "cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {"cpu": platform.processor(), "logical_cpus": os.cpu_count() or 1}
    lines = [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in text.splitlines())]
    model = next((value for key, value in lines if key == "model name"), "")
    logical = sum(key == "processor" and value.isdigit() for key, value in lines)
    return {"cpu": model, "logical_cpus": logical or os.cpu_count() or 1}


def command_line() -> str:
    """How this process was started, as a person would recognise it."""
    words = " ".join(sys.argv) if sys.argv and sys.argv[0] else sys.executable
    # Arguments are bytes: those that are no text come as half characters, which no file takes.
    return words.encode("utf-8", "replace").decode()
