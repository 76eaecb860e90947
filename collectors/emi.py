r"""Windows: the meters of the Energy Meter Interface (EMI), for any user.

Windows 11 shows the RAPL counters of Intel's and AMD's CPUs there; Windows 10 only meters that a board has. Names of
channels: ``RAPL_Package0_PKG``, ``_PP0``, ``_PP1``, ``_DRAM`` and, on AMD, ``RAPL_Package0_Core3_CORE``, which are
parts of the package (codecarbon/core/windows_emi.py of github.com/mlco2/codecarbon, zeus/device/cpu/emi.py of
github.com/ml-energy/zeus); on Snapdragon X ``CPU_CLUSTER_0`` …, ``GPU``, ``SYS``, and ``PSU_USB`` and ``USBC_TOTAL``,
which also charge the battery (wattop/sources/win_energy_meter.py of github.com/sravanpannala/wattop). What another
name covers is not guessed. CPUs of several dies show one counter once per die (codecarbon): of packages that agree
to 1e-6, or to what is used between two questions, one is read. The structures are in `_emi_format`, the meters in
`_emi_meters`.

Counting is on demand: "how frequently the counters are being sampled and accumulated depends on how often each of its
consumer requests" (Microsoft on IOCTL_EMI_GET_MEASUREMENT). While nobody asks, a 32-bit counter below may wrap.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from greengen.collector import Discovery, Event, Host, Sample

if TYPE_CHECKING:
    from greengen.collectors._emi_meters import EmiMeters

#: Names a module that stands in for Windows, for tests.
_STAND_IN = "GREENGEN_WINDOWS"


class EmiCollector:
    """Reads the energy meters of a machine with Windows. `platform` is as in ``sys.platform``."""

    name = "emi"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host, platform: str = sys.platform) -> None:
        self._host, self._platform = host, platform
        self._meters: EmiMeters | None = None

    def discover(self) -> Discovery:
        """Open the meters, on Windows."""
        self.close()
        if self._platform != "win32" and not self._host.environ.get(_STAND_IN):
            return Discovery()
        from greengen.collectors._emi_meters import EmiMeters  # noqa: PLC0415 -- loads ctypes

        self._meters = EmiMeters(self._host)
        return self._meters.discover()

    def read(self) -> Iterable[Sample | Event]:
        """One sample per channel that counted again; a `gap` event when a meter begins to fail."""
        return () if self._meters is None else self._meters.read()

    def close(self) -> None:
        """Close the meters."""
        if self._meters is not None:
            self._meters.close()
        self._meters = None
