"""What a BMC, or a rack PDU, says of a whole machine over Redfish: a check on the sum of its parts.

``GREENGEN_REDFISH=https://user:password@bmc/redfish/v1/Chassis/1`` names a chassis, or any resource with
a power of its own (an outlet of a PDU); without it, nothing is asked of the network. ``GREENGEN_REDFISH_CA``
names a file of certificates, for a BMC that signs its own.

Facts: DMTF's Redfish Resource and Schema Guide (DSP2046): Power's `PowerControl[].PowerConsumedWatts`,
"the actual power that the chassis consumes", and, newer, EnvironmentMetrics' (and Outlet's)
`PowerWatts.Reading`. The first PowerControl is the chassis; some makers add subsystems after it. What
power supplies say of themselves is not used: Dell's PowerInputWatts is the rating, and a redundant one
says 0 (influxdata/telegraf, plugins/inputs/redfish/testdata). Nor are the kWh, in steps of 3.6 MJ.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from greengen.collector import Discovery, Domain, Host, Unavailable
from greengen.collectors._domains import WHOLE_HOST
from greengen.collectors._poller import Poller, SlowMeters

if TYPE_CHECKING:
    from greengen.collectors._http import Address, Client

_VARIABLE, _CA = "GREENGEN_REDFISH", "GREENGEN_REDFISH_CA"
_EXAMPLE = f"{_VARIABLE}=https://user:password@bmc/redfish/v1/Chassis/1 (signs in by HTTP Basic)"
#: BMCs answer in 0.2 to 3 s, and have something new every 1 to 60 s.
_PERIOD_S, _TIMEOUT_S, _REFRESH_S = 5.0, 10.0, 10.0
_ROOT = "/redfish/v1/Chassis"
#: No document states an error: ±10 % at 95 %.
_GAIN = 0.05
#: No chassis draws more.
_MOST_W = 100_000.0


class _Chassis:
    """Asks one resource for its power; where that is, is found by the first question."""

    def __init__(self, where: Address, cafile: str | None) -> None:
        from greengen.collectors._http import Client  # noqa: PLC0415 -- loads http.client

        self.client: Client = Client(where, _TIMEOUT_S, tls=where.scheme == "https", cafile=cafile)
        self._named = where.path
        self._path = ""

    def ask(self) -> float:
        """W. Raises OSError or ValueError."""
        if self._path:
            return power_w(self._get(self._path))
        trouble = ""
        for path in self._candidates():
            try:
                found = power_w(self._get(path))
            except ValueError as error:
                trouble = trouble or f"{path}: {error}"
                continue
            self._path = path
            return found
        raise ValueError(trouble)

    def _candidates(self) -> list[str]:
        path = self._named if self._named not in ("", "/redfish", "/redfish/v1", _ROOT) else self._only_chassis()
        if path.rpartition("/")[2] in ("Power", "EnvironmentMetrics"):
            return [path]
        return [f"{path}/EnvironmentMetrics", f"{path}/Power", path]

    def _only_chassis(self) -> str:
        members = self._get(_ROOT).get("Members")
        paths = [str(item.get("@odata.id", "")) for item in members or () if isinstance(item, dict)]
        if len(paths) != 1:
            msg = f"name one of its {len(paths)} chassis: {', '.join(paths[:8])}"
            raise ValueError(msg)
        return paths[0].rstrip("/")

    def _get(self, path: str) -> dict[str, Any]:
        from greengen.collectors._http import parse_object  # noqa: PLC0415 -- loads http.client

        return parse_object(self.client.get(path, "basic"))


def power_w(found: dict[str, Any]) -> float:
    """The power of a Power, EnvironmentMetrics or Outlet resource. Raises ValueError where it says none."""
    from greengen.collectors._http import number  # noqa: PLC0415 -- loads http.client

    controls, power = found.get("PowerControl"), found.get("PowerWatts")
    if isinstance(power, dict):
        value = power.get("Reading")
    elif isinstance(controls, list) and controls and isinstance(controls[0], dict):
        value = controls[0].get("PowerConsumedWatts")
    else:
        msg = "it has neither PowerWatts nor PowerControl"
        raise ValueError(msg)
    watts = number(value)
    if watts is None:
        msg = f"it says {value!r} for its power, which is no number"
        raise ValueError(msg)
    if not 0 < watts <= _MOST_W:
        msg = f"it says {watts:g} W, which a machine that runs cannot draw"
        raise ValueError(msg)
    return watts


class RedfishCollector:
    """Reads the resources that ``GREENGEN_REDFISH`` names, each in a thread of its own."""

    name = "redfish"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host) -> None:
        self._host, self._meters = host, SlowMeters(host.monotonic_ns)
        self.read, self.close = self._meters.read, self._meters.close

    def discover(self) -> Discovery:
        """Ask each once; 10 s at the most where one does not answer."""
        self.close()
        texts = [text.strip() for text in self._host.environ.get(_VARIABLE, "").split(",") if text.strip()]
        if not texts:
            return Discovery()
        from greengen.collectors._http import address  # noqa: PLC0415 -- loads http.client

        domains: dict[str, Domain] = {}
        problems = []
        for text in texts:
            try:
                where = address(text, ("https", "http"))
                chassis = _Chassis(where, self._host.environ.get(_CA))
            except (OSError, ValueError) as error:
                problems.append(Unavailable("redfish", f"{_VARIABLE}: {error}", _EXAMPLE))
                continue
            domain = _domain(where)
            if domain.uid in domains:
                continue
            clock, abort = self._host.monotonic_ns, chassis.client.abort
            poller = Poller(domain.uid, chassis.ask, period_s=_PERIOD_S, clock=clock, abort=abort)
            why = self._meters.start(domain, poller, _TIMEOUT_S)
            if why:
                problems.append(Unavailable(domain.uid, why, _EXAMPLE))
            else:
                domains[domain.uid] = domain
        return Discovery(tuple(domains.values()), tuple(problems))


def _domain(where: Address) -> Domain:
    path = where.path.removeprefix("/redfish/v1")
    return replace(
        WHOLE_HOST,
        uid=f"redfish:{where.shown}{path}",
        collector=RedfishCollector.name,
        name=f"{path.strip('/') or 'chassis'} at {where.shown} (Redfish)",
        max_power_w=_MOST_W,
        refresh_s=_REFRESH_S,
        gain=_GAIN,
        detail="the whole chassis with its power supplies, as its management controller reads it every few seconds",
    )
