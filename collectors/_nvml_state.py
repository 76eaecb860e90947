"""In which state an NVIDIA GPU is: its power limit, its clock at work, what slows it down, how warm it is.

Facts: nvml.h at nvmlDeviceGetEnforcedPowerLimit (mW, the least of all limits), nvmlDeviceGetClockInfo (MHz),
nvmlDeviceGetTemperature (degrees C) and nvmlDeviceGetCurrentClocksThrottleReasons, with the bits named
nvmlClocksThrottleReason… there (nvmlClocksEventReason… since driver 535, with the same values).
"""

from __future__ import annotations

from typing import Any

from greengen.collectors._nvml_api import NOT_AVAILABLE, Nvml, answer

_SM_CLOCK, _GPU_TEMPERATURE = 1, 0
_IDLE = 0x1
#: The bits that slow it down. The others tell a setting (application clocks), not that work is held up.
_SLOWED = {
    0x4: "its power limit",
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}


def state_of(nvml: Nvml, handle: Any, name: str) -> dict[str, str]:  # noqa: ANN401 -- a handle of NVML's
    """Subject → value; what NVML does not tell is left out, and an idle GPU has no clock at work.

    name  what a person calls it: ``NVIDIA GPU 0``
    """
    found: dict[str, str] = {}
    limit_mw = answer(nvml, nvml.nvmlDeviceGetEnforcedPowerLimit, handle, 0)
    if limit_mw and limit_mw not in NOT_AVAILABLE:
        found[f"power limit of {name}"] = f"{limit_mw / 1000:.4g} W"
    warmth_c = answer(nvml, lambda of: nvml.nvmlDeviceGetTemperature(of, _GPU_TEMPERATURE), handle, None)
    if warmth_c is not None and warmth_c not in NOT_AVAILABLE:
        found[f"temperature of {name}"] = f"{warmth_c} C"
    reasons = answer(nvml, nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle, None)
    if reasons is None or reasons & _IDLE:
        return found
    slowed = [why for bit, why in _SLOWED.items() if reasons & bit]
    found[f"slowed down: {name}"] = "by " + " and ".join(slowed) if slowed else "no"
    clock_mhz = answer(nvml, lambda of: nvml.nvmlDeviceGetClockInfo(of, _SM_CLOCK), handle, 0)
    if clock_mhz and clock_mhz not in NOT_AVAILABLE:
        found[f"clock at work of {name}"] = f"{clock_mhz} MHz"
    return found
