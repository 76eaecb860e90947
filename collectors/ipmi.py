"""What a BMC says of the whole machine over IPMI DCMI: a check on the sum of its parts.

``GREENGEN_IPMI=local`` asks this machine's BMC through ``ipmitool dcmi power reading`` (root, or access to
/dev/ipmi0); ``GREENGEN_IPMI="-I lanplus -H bmc -U admin -E"`` gives ipmitool these options. It is not asked
otherwise: every question costs the machine CPU time in the kernel.

Facts: ipmi_dcmi_pwr_rd() in lib/ipmi_dcmi.c of ipmitool: the labels, whole watts, and "deactivated" where
bit 6 of the state is not set. Its minimum and maximum may be defaults (0, 1023), its average is since the
BMC began, its time stamp may be 1970: only the instantaneous reading is used.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

from greengen.collector import Discovery, Domain, Host, Unavailable
from greengen.collectors._domains import WHOLE_HOST
from greengen.collectors._poller import Poller, SlowMeters

_VARIABLE = "GREENGEN_IPMI"
_EXAMPLE = f'{_VARIABLE}=local, or {_VARIABLE}="-I lanplus -H bmc -U admin -E"'
#: A call takes 0.1 to 1 s, and the BMC has something new every 1 to 10 s.
_PERIOD_S, _TIMEOUT_S, _REFRESH_S = 5.0, 10.0, 10.0
#: No document states an error: ±10 % at 95 %.
_GAIN = 0.05
_FIELD = re.compile(r"^\s*(Instantaneous power reading|Maximum during sampling period|Power reading state is):\s*(\w+)")
_SENTINELS = (0, 0xFFFF)
_DEFAULT_MAX = 1023


def power_w(text: str) -> float:
    """The instantaneous reading in ipmitool's output. Raises ValueError where there is none to believe."""
    found = {match[1]: match[2] for match in map(_FIELD.match, text.splitlines()) if match}
    reading, state = found.get("Instantaneous power reading", ""), found.get("Power reading state is", "")
    if not reading.isdigit():
        msg = f"ipmitool gave no power reading: {text.strip()[:80]!r}"
        raise ValueError(msg)
    if state != "activated":
        msg = f"the BMC's power reading is {state or 'in no known state'}"
        raise ValueError(msg)
    watts = int(reading)
    if watts in _SENTINELS or (watts == _DEFAULT_MAX and found.get("Maximum during sampling period") == reading):
        msg = f"the BMC says {watts} W, which stands for no reading"
        raise ValueError(msg)
    return float(watts)


class IpmiCollector:
    """Runs ipmitool in a thread of its own, where ``GREENGEN_IPMI`` says so."""

    name = "ipmi"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host) -> None:
        self._host, self._meters = host, SlowMeters(host.monotonic_ns)
        self.read, self.close = self._meters.read, self._meters.close

    def discover(self) -> Discovery:
        """Ask once; 10 s at the most where the BMC does not answer."""
        self.close()
        said = self._host.environ.get(_VARIABLE, "").strip()
        if not said:
            has_bmc = any((self._host.sysfs / "class/ipmi").glob("ipmi*"))
            why = "this machine has a BMC, which is not asked by default: each question costs CPU time in the kernel"
            return Discovery(unavailable=(Unavailable("ipmi", why, _EXAMPLE),) if has_bmc else ())
        from greengen.collectors._command import Command  # noqa: PLC0415 -- loads subprocess

        try:
            options = [] if said == "local" else shlex.split(said)
        except ValueError as error:
            return Discovery(unavailable=(Unavailable("ipmi", f"{_VARIABLE}: {error}", _EXAMPLE),))
        command = Command(["ipmitool", *options, "dcmi", "power", "reading"], self._host, _TIMEOUT_S)
        domain = _domain(_bmc(options))
        poller = Poller(
            domain.uid,
            lambda: power_w(command.run()),
            period_s=_PERIOD_S,
            clock=self._host.monotonic_ns,
            abort=command.abort,
        )
        why = self._meters.start(domain, poller, _TIMEOUT_S)
        if not why:
            return Discovery((domain,))
        remedy = "run as root, or give this user /dev/ipmi0" if command.is_installed() else "apt install ipmitool"
        return Discovery(unavailable=(Unavailable(domain.uid, why, remedy),))


def _bmc(options: list[str]) -> str:
    """The host that ipmitool is to ask, of its option -H."""
    for index, option in enumerate(options):
        if option.startswith("-H"):
            return option[2:] or "".join(options[index + 1 : index + 2])
    return "local"


def _domain(bmc: str) -> Domain:
    return replace(
        WHOLE_HOST,
        uid=f"ipmi:{bmc}",
        collector=IpmiCollector.name,
        name=f"whole machine, by its BMC ({bmc}, IPMI DCMI)",
        refresh_s=_REFRESH_S,
        gain=_GAIN,
        detail="with power supplies and fans; where supplies are shared, it may be the chassis; in steps of 1 W",
    )
