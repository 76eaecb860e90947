"""A Mac's battery through ``ioreg -a -r -n AppleSmartBattery``, which writes a property list for any user.

Facts: iokit/IOKit/pwr_mgt/IOPMPowerSource.h of XNU: Voltage in mV, Amperage in mA, IsCharging, ExternalConnected and
BatteryInstalled. InstantAmperage is the same as Amperage at one moment (pmset.c of Apple's PowerManagement). A current
below 0, which discharges, is shown as what 64 bits without a sign make of it. AppleRawCurrentCapacity is in mAh where
CurrentCapacity has become a percentage; on a Mac without a battery there is none, or BatteryInstalled is false.
"""

from __future__ import annotations

import plistlib
from collections.abc import Mapping
from typing import Any
from xml.parsers.expat import ExpatError

from greengen.collector import Host
from greengen.collectors._battery_gauge import Gauge
from greengen.collectors._command import Command

_TIMEOUT_S = 5.0
_SIGN, _WHOLE = 1 << 63, 1 << 64
#: A percentage is no charge; the smallest battery of a Mac holds forty times this.
_PERCENT = 100


def command(host: Host) -> Command:
    """The question."""
    return Command(["ioreg", "-a", "-r", "-n", "AppleSmartBattery"], host, _TIMEOUT_S)


def parse(text: str) -> list[Gauge]:
    """The batteries in its answer; none on a Mac without. Raises ValueError for what is no property list."""
    if not text.strip():
        return []
    try:
        found = plistlib.loads(text.encode())
    except (ExpatError, ValueError, TypeError, AttributeError, IndexError, OverflowError) as error:
        msg = f"what ioreg wrote is no property list ({error})"
        raise ValueError(msg) from error
    entries = found if isinstance(found, list) else [found]
    return [_gauge(entry) for entry in entries if isinstance(entry, dict) and entry.get("BatteryInstalled", True)]


def _gauge(entry: Mapping[str, Any]) -> Gauge:
    volts = _milli(entry, "Voltage")
    amperes = _milli(entry, "InstantAmperage")
    if amperes is None:
        amperes = _milli(entry, "Amperage")
    charge = _milli(entry, "AppleRawCurrentCapacity")
    if charge is None and (entry.get("MaxCapacity") or 0) > _PERCENT:
        charge = _milli(entry, "CurrentCapacity")
    watts = None if volts is None or amperes is None else abs(volts * amperes)
    return Gauge(
        "AppleSmartBattery", _status(entry), None, charge, volts, watts, None if volts is None else 3.6 * volts
    )


def _status(entry: Mapping[str, Any]) -> str:
    if entry.get("IsCharging"):
        return "Charging"
    if "ExternalConnected" not in entry:
        return ""
    return "Not charging" if entry["ExternalConnected"] else "Discharging"


def _milli(entry: Mapping[str, Any], key: str) -> float | None:
    value = entry.get(key)
    if type(value) is not int:
        return None
    return (value - _WHOLE if value >= _SIGN else value) / 1000
