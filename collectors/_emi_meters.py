"""The energy meters of Windows, held open: domains of their channels, and readings. The facts are in `emi`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from greengen.collector import Discovery, Domain, Event, Host, Sample, Unavailable
from greengen.collectors import _emi_format as emi
from greengen.collectors._outage import Outages
from greengen.collectors._windows_devices import READ, Devices, load

_EMI = "emi"
_RAPL = re.compile(r"RAPL_Package(\d+)_(PKG|PP0|PP1|DRAM)", re.IGNORECASE)
_PACKAGE = re.compile(r"emi:package-\d+")
_CORE = re.compile(r"RAPL_Package\d+_Core\d+_CORE", re.IGNORECASE)
_CLUSTER = re.compile(r"CPU_CLUSTER_(\d+)", re.IGNORECASE)
_RAPL_KINDS = {"PKG": "package", "PP0": "core", "PP1": "uncore", "DRAM": "dram"}
_OTHERS = {"GPU": ("gpu", "gpu"), "NPU": ("npu", "npu"), "SYS": ("system", "board")}
_SUPPLIES = ("PSU_USB", "USBC_TOTAL")
#: As for RAPL, whose counters most of these are.
_MOST_W, _GAIN = 1000.0, 0.05
_STEP_J = 61e-6
_REFRESH_S = 0.001
_WRAP_J = 2.0**64 * emi.PWH_J
_TWIN, _BETWEEN_J = 1e-6, 1.0
_AGAIN_NS = 1_000_000_000
_SPLIT = "no weight divides this rail between processes, so sole tenancy is assumed"


@dataclass(slots=True)
class _Device:
    """One meter: its domains by channel, its handle, and what its clock said."""

    path: str
    meter: emi.Meter
    handle: int | None
    domains: dict[int, Domain] = field(default_factory=dict)
    clocks: dict[int, tuple[int, int]] = field(default_factory=dict)
    looked_ns: int = 0


class EmiMeters:
    """All energy meters of a machine."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._devices: Devices | None = None
        self._open: list[_Device] = []
        self._outages = Outages()

    def discover(self) -> Discovery:
        """Open the meters."""
        try:
            self._devices = devices = Devices(load(self._host.environ))
            paths = devices.paths(emi.GUID)
        except OSError as error:
            return Discovery(unavailable=(Unavailable("emi", str(error)),))
        if not paths:
            why = "Windows shows no energy meter: it does from Windows 11 on, and not in virtual machines"
            return Discovery(unavailable=(Unavailable("emi", why),))
        problems: list[Unavailable] = []
        found: dict[str, tuple[Domain, int]] = {}
        for number, path in enumerate(paths):
            try:
                device, values = _opened(devices, path)
            except (OSError, ValueError) as error:
                problems.append(Unavailable(f"emi:meter {number}", str(error), "update the driver of the energy meter"))
                continue
            self._open.append(device)
            problems += self._take(device, [energy for energy, _ in values], found)
        domains = _contained([domain for domain, _ in found.values()])
        for device in self._open:
            device.domains = {index: domains[domain.uid] for index, domain in device.domains.items()}
        return Discovery(tuple(domains.values()), tuple(problems))

    def _take(
        self, device: _Device, values: Sequence[int], found: dict[str, tuple[Domain, int]]
    ) -> Iterator[Unavailable]:
        """Add the domains of a device; why its other channels are none."""
        for index, (channel, value) in enumerate(zip(device.meter.channels, values, strict=True)):
            domain = _domain(channel, device.meter)
            if isinstance(domain, str):
                if domain:
                    yield Unavailable(f"emi:{channel}", domain)
                continue
            twins = [known.uid for known, other in found.values() if _are_twins(domain, value, known, other)]
            if not value:
                yield Unavailable(f"emi:{channel}", "its counter shows 0: there is no sensor behind it")
            elif twins:
                yield Unavailable(f"emi:{channel}", f"it shows the same counter as {twins[0]}")
            elif domain.uid in found:
                yield Unavailable(f"emi:{channel}", "two meters have a channel of that name: the first is read")
            else:
                found[domain.uid] = (domain, value)
                device.domains[index] = domain

    def read(self) -> list[Sample | Event]:
        """One sample per channel that counted again; a `gap` event when a meter begins to fail."""
        rows: list[Sample | Event] = []
        for device in self._open:
            if self._devices is None or not device.domains:
                continue
            try:
                self._look_again(self._devices, device)
                values = _measure(self._devices, device)
            except (OSError, ValueError) as error:
                self._lose(device)
                now_ns = self._host.monotonic_ns()
                for domain in device.domains.values():
                    rows += self._outages.begin(now_ns, domain.uid, str(error))
                continue
            now_ns = self._host.monotonic_ns()
            for index, domain in device.domains.items():
                self._outages.end(domain.uid)
                energy, clock = values[index]
                # Its own clock, in units of 100 ns, tells whether this is a reading or the last one again.
                if device.clocks.get(index) != (energy, clock):
                    device.clocks[index] = (energy, clock)
                    rows.append(Sample(domain.uid, now_ns, energy * emi.PWH_J))
        return rows

    def _look_again(self, devices: Devices, device: _Device) -> None:
        """Open a meter that went, once a second. Raises OSError or ValueError while it is gone."""
        if device.handle is not None:
            return
        now_ns = self._host.monotonic_ns()
        if now_ns - device.looked_ns < _AGAIN_NS:
            msg = "it is gone"
            raise OSError(msg)
        device.looked_ns = now_ns
        again, _ = _opened(devices, device.path)
        if again.meter != device.meter:
            devices.close(again.handle or 0)
            msg = "its channels are others than at the start"
            raise ValueError(msg)
        device.handle = again.handle

    def _lose(self, device: _Device) -> None:
        if device.handle is not None and self._devices is not None:
            self._devices.close(device.handle)
            device.handle, device.looked_ns = None, self._host.monotonic_ns()
        device.clocks.clear()

    def close(self) -> None:
        """Close the meters."""
        for device in self._open:
            self._lose(device)
        self._open, self._devices = [], None


def _are_twins(domain: Domain, value: int, other: Domain, other_value: int) -> bool:
    """Whether two packages show one counter, which may have risen between the two questions."""
    packages = all(_PACKAGE.fullmatch(one.uid) for one in (domain, other))
    return packages and abs(other_value - value) <= max(_TWIN * value, _BETWEEN_J / emi.PWH_J)


def _opened(devices: Devices, path: str) -> tuple[_Device, list[tuple[int, int]]]:
    """A meter and what it says of itself, and its first measurement. Raises OSError or ValueError."""
    handle = devices.open(path, READ)
    try:
        spoken = emi.version(devices.ask(handle, emi.GET_VERSION, emi.VERSION_SIZE))
        length = emi.size(devices.ask(handle, emi.GET_METADATA_SIZE, emi.SIZE_SIZE))
        meter = emi.metadata(spoken, devices.ask(handle, emi.GET_METADATA, length))
        device = _Device(path, meter, handle)
        return device, _measure(devices, device)
    except (OSError, ValueError):
        devices.close(handle)
        raise


def _measure(devices: Devices, device: _Device) -> list[tuple[int, int]]:
    return emi.measurement(device.meter, devices.ask(device.handle or 0, emi.GET_MEASUREMENT, device.meter.size))


def _domain(channel: str, meter: emi.Meter) -> Domain | str:
    """The domain of a channel; why it is none; "" for a core, which its package holds."""
    rapl, cluster = _RAPL.fullmatch(channel), _CLUSTER.fullmatch(channel)
    if _CORE.fullmatch(channel):
        return ""
    if channel.upper() in _SUPPLIES:
        return "what comes in there charges the battery, too"
    if rapl:
        kind = _RAPL_KINDS[rapl[2].upper()]
        uid = f"package-{rapl[1]}" if kind == "package" else f"package-{rapl[1]}/{kind}"
    elif cluster:
        kind, uid = "package", f"cpu-cluster-{cluster[1]}"
    elif channel.upper() in _OTHERS:
        uid, kind = _OTHERS[channel.upper()]
    else:
        return "what a channel of that name covers was not looked up"
    by_cpu = kind in ("package", "core")
    return Domain(
        uid=f"emi:{uid}",
        collector=_EMI,
        kind=kind,
        name=f"{uid} (EMI)",
        scope="host",
        split="cpu" if by_cpu else None,
        split_reason="" if by_cpu else _SPLIT,
        activity="cpu" if by_cpu else None,
        wrap_j=_WRAP_J,
        max_power_w=_MOST_W,
        resolution_j=_STEP_J,
        refresh_s=_REFRESH_S if rapl else 1.0,
        gain=_GAIN,
        detail=f"channel {channel} of the energy meter {' '.join(filter(None, (meter.maker, meter.model)))}".rstrip(),
    )


def _contained(domains: Sequence[Domain]) -> dict[str, Domain]:
    """By uid, each with what is inside it: a package holds its cores and its GPU, a system's rail all others."""
    uids = [domain.uid for domain in domains]
    found = {}
    for domain in domains:
        inside: tuple[str, ...] = ()
        if domain.kind == "board":
            inside = (*(uid for uid in uids if uid != domain.uid), "cpu_model:*")
        elif domain.kind == "package":
            inside = tuple(uid for uid in uids if uid in (f"{domain.uid}/core", f"{domain.uid}/uncore"))
        found[domain.uid] = replace(domain, contains=inside)
    return found
