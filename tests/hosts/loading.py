"""Fake machines as text: ``tests/hosts/<machine>/sys.txt`` lists what its sysfs shows, written for this project.

Lines, paths below ``/sys``:

    @model AMD EPYC 9654            what /proc/cpuinfo says; @vendor and @cpus likewise
    class/hwmon/hwmon2/name = x     a file and its text
    class/hwmon/hwmon2 -> ../..     a link and its target
    # words                         a comment: where the shape of this machine was seen
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from greengen.collector import Host
from greengen.testing import trees

HOSTS = Path(__file__).parent


def build(machine: str, root: Path) -> Host:
    """The machine's trees below `root`."""
    facts = {"model": "a CPU of no known name", "vendor": "", "cpus": "4"}
    files: dict[str, str] = {}
    links: dict[str, str] = {}
    for line in (HOSTS / machine / "sys.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("@"):
            key, _, facts[key] = line[1:].partition(" ")
        elif " -> " in line:
            path, _, links[path] = line.partition(" -> ")
        elif " = " in line and not line.startswith("#"):
            path, _, files[path] = line.partition(" = ")
    host = trees.machine(root, model=facts["model"], vendor=facts["vendor"], cpus=int(facts["cpus"]))
    for path, text in files.items():
        show(host, path, text)
    for path, target in links.items():
        link = host.sysfs / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    return host


def show(host: Host, path: str, content: str | bytes) -> None:
    """What a file shows from now on, also through a descriptor that is open already: in place, in one write."""
    file = host.sysfs / path
    file.parent.mkdir(parents=True, exist_ok=True)
    data = content if isinstance(content, bytes) else content.encode() + b"\n"
    fd = os.open(file, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        size = os.fstat(fd).st_size
        # Text is filled up with newlines, which no reader minds.
        os.pwrite(fd, data if isinstance(content, bytes) else data.ljust(size, b"\n"), 0)
    finally:
        os.close(fd)


def unplug(host: Host, chip: str) -> dict[str, str]:
    """The files of a hwmon folder go; those held open read empty, where the kernel would answer ENODEV."""
    folder = host.sysfs / "class/hwmon" / chip
    gone: dict[str, str] = {}
    for file in folder.iterdir():
        if file.is_file():
            gone[file.name] = file.read_text()
            os.truncate(file, 0)
            file.unlink()
    real = folder.resolve()
    folder.unlink()
    (real / "device").unlink(missing_ok=True)
    real.rmdir()
    return gone


def plug(host: Host, chip: str, device: str, files: Mapping[str, str]) -> None:
    """A hwmon folder appears below a device (``pci0000:00/0000:03:00.0``), under a number of its own."""
    place = f"devices/{device}/hwmon/{chip}"
    for name, text in files.items():
        show(host, f"{place}/{name}", text.strip())
    (host.sysfs / place / "device").symlink_to("../..")
    (host.sysfs / "class/hwmon" / chip).symlink_to(f"../../{place}")


@contextmanager
def counting(host: Host, powers_uw: Mapping[str, int]) -> Iterator[None]:
    """Meanwhile counters in µJ rise as at these powers."""
    starts = {path: int((host.sysfs / path).read_text()) for path in powers_uw}

    def at(path: str, seconds: float) -> str:
        return str(starts[path] + int(powers_uw[path] * seconds))

    with moving(host, {path: partial(at, path) for path in powers_uw}):
        yield


@contextmanager
def moving(host: Host, contents: Mapping[str, Callable[[float], str | bytes]]) -> Iterator[None]:
    """Meanwhile files show what these say after so many seconds, anew every 10 ms."""
    t0, done = time.monotonic(), threading.Event()

    def move() -> None:
        while not done.wait(0.01):
            for path, content in contents.items():
                show(host, path, content(time.monotonic() - t0))

    writer = threading.Thread(target=move)
    writer.start()
    try:
        yield
    finally:
        done.set()
        writer.join()
