"""Who uses the GPUs of Intel and AMD, and for how long: what the kernel's DRM drivers tell of each open file.

Facts: the kernel's Documentation/gpu/drm-usage-stats.rst (``/proc/<pid>/fdinfo/<fd>``: `drm-pdev`, `drm-client-id`,
the same for duplicated and passed-on files; `drm-engine-<name>` in ns, `drm-cycles-<name>` of
`drm-total-cycles-<name>`, of engines of which there are `drm-engine-capacity-<name>`; a value may for a while
be below the one before, which then stands); engines as i915/i915_drm_client.c, xe/xe_drm_client.c and
amd/amdgpu/amdgpu_fdinfo.c name them. Only those that compute are taken (render, compute): copying and video are
other parts of the chip, which draw less. Reading a file of xe's wakes its GPU.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

#: Engines that compute: of i915 (and amdgpu), xe, amdgpu.
_WORK = frozenset({"render", "compute", "rcs", "ccs", "gfx"})
_KEY = re.compile(rb"^drm-(engine-capacity|total-cycles|engine|cycles)-([\w-]+):\s*(\d+)", re.MULTILINE)
_OWN = re.compile(rb"^drm-(driver|pdev|client-id):\s*(\S+)", re.MULTILINE)
#: It leaves out engines that a client has not used; the others name all of theirs.
_TERSE = b"amdgpu"
_FOLDER = "/dev/dri/"
#: A process is looked at again for files of a GPU when it is older by this part of its age: programs open theirs
#: soon, and to look at thousands of files of others costs milliseconds.
_AGES, _SOONEST_NS, _LATEST_NS = 4, 500_000_000, 10_000_000_000


class Client(NamedTuple):
    """One open file of a GPU, however often it was passed on.

    used    busy time of its engines that compute, each in parts of all such engines: ns, or cycles
    total   the cycles that each engine could have had, by the GPU's own clock; None: `used` is in ns
    """

    device: str
    number: int
    used: float
    total: int | None


class Use(NamedTuple):
    """A client and the processes that hold it."""

    client: Client
    pids: frozenset[int]


@dataclass(frozen=True, slots=True)
class Scan:
    """All clients at a time, by device; a device that sleeps is left out: nobody uses it."""

    t_ns: int
    devices: dict[str, list[Use]]


def parse(text: bytes) -> Client | None:
    """A file's client; None where it is none of a GPU, or one whose driver tells no use (before Linux 5.19 or so)."""
    own = dict(_OWN.findall(text))
    told: dict[bytes, dict[str, int]] = {}
    for what, engine, value in _KEY.findall(text):
        told.setdefault(what, {})[engine.decode()] = int(value)
    if b"pdev" not in own or not own.get(b"client-id", b"").isdigit():
        return None
    if own.get(b"driver") != _TERSE and not told:
        return None
    cycles = told.get(b"cycles", {})
    by_cycles = bool(cycles) and b"total-cycles" in told
    used = 0.0
    for engine, value in (cycles if by_cycles else told.get(b"engine", {})).items():
        if engine in _WORK:
            used += value / max(1, told.get(b"engine-capacity", {}).get(engine, 1))
    total = max(told[b"total-cycles"].values()) if by_cycles else None
    return Client(own[b"pdev"].decode(), int(own[b"client-id"]), used, total)


@dataclass(slots=True)
class _Seen:
    """A process: when it was first seen, when its files are to be looked at again, and which are a GPU's."""

    since_ns: int
    next_ns: int
    files: dict[str, str] = field(default_factory=dict)


class Clients:
    """Looks for the clients of `devices` (PCI addresses) in all processes of `procfs`."""

    def __init__(self, procfs: Path, sysfs: Path, devices: frozenset[str], clock: Callable[[], int]) -> None:
        self._procfs, self._sysfs, self._devices, self._clock = str(procfs), sysfs, devices, clock
        self._seen: dict[str, _Seen] = {}
        self._nodes: dict[str, str] = {}

    def scan(self) -> Scan:
        """The clients now. Raises OSError where a process may not be looked at, ValueError where use is not told."""
        t_ns = self._clock()
        awake = {device for device in self._devices if self._is_awake(device)}
        found: dict[tuple[str, int], tuple[Client, set[int]]] = {}
        pids = [name for name in os.listdir(self._procfs) if name.isdigit()]  # noqa: PTH208 -- names are wanted
        for pid in pids:
            for client in self._of(pid, t_ns, awake):
                kept, holders = found.setdefault((client.device, client.number), (client, set()))
                holders.add(int(pid))
                if client.used > kept.used:
                    found[client.device, client.number] = (client, holders)
        for gone in self._seen.keys() - set(pids):
            del self._seen[gone]
        devices: dict[str, list[Use]] = {device: [] for device in awake}
        for client, holders in found.values():
            devices[client.device].append(Use(client, frozenset(holders)))
        return Scan(t_ns, devices)

    def _is_awake(self, device: str) -> bool:
        status = self._sysfs / "bus/pci/devices" / device / "power/runtime_status"
        try:
            return status.read_bytes().strip() != b"suspended"
        except OSError:
            return True

    def _of(self, pid: str, t_ns: int, awake: set[str]) -> Iterator[Client]:
        seen = self._seen.setdefault(pid, _Seen(t_ns, t_ns))
        try:
            if t_ns >= seen.next_ns:
                seen.files = dict(self._files(pid))
                age_ns = t_ns - seen.since_ns
                seen.next_ns = t_ns + min(max(age_ns // _AGES, _SOONEST_NS), _LATEST_NS)
            for fd, device in seen.files.items():
                if device in awake:
                    client = self._read(pid, fd)
                    if client is not None and client.device == device:
                        yield client
        except (FileNotFoundError, ProcessLookupError):
            return  # it has ended

    def _files(self, pid: str) -> Iterator[tuple[str, str]]:
        folder = f"{self._procfs}/{pid}/fd"
        for fd in os.listdir(folder):  # noqa: PTH208 -- as above
            try:
                target = os.readlink(f"{folder}/{fd}")  # noqa: PTH115 -- as above
            except FileNotFoundError:
                continue
            if target.startswith(_FOLDER):
                device = self._device(target.removeprefix(_FOLDER))
                if device in self._devices:
                    yield fd, device

    def _device(self, node: str) -> str:
        if node not in self._nodes:
            self._nodes[node] = (self._sysfs / "class/drm" / node / "device").resolve().name
        return self._nodes[node]

    def _read(self, pid: str, number: str) -> Client | None:
        path = f"{self._procfs}/{pid}"
        try:
            fd = os.open(f"{path}/fdinfo/{number}", os.O_RDONLY)
            try:
                client = parse(os.read(fd, 1 << 14))
            finally:
                os.close(fd)
            # The number may be another file's by now.
            if client is None and os.readlink(f"{path}/fd/{number}").startswith(_FOLDER):  # noqa: PTH115 -- as above
                msg = "the GPU's driver tells no engine time of its clients: a newer kernel may"
                raise ValueError(msg)
        except FileNotFoundError:
            return None  # it was closed
        return client
