"""What the live sources of grid intensity have in common: their points, their errors, and how they are asked.

A source is asked only where the user names it. Its key comes from the environment and goes into the
request, nowhere else: not into a message, a cache, a run or a report.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal, Protocol
from urllib.parse import urlencode

from greengen.accounting.site import MOST_G_PER_KWH
from greengen.basis import Basis
from greengen.collectors._http import Client, StatusError, address, parse_object
from greengen.errors import GreengenError, UsageError

NS = 1_000_000_000
HOUR_NS = 3600 * NS

#: How long an answer is waited for, s, where the environment says nothing.
_TIMEOUT_S = 10.0
#: Says otherwise.
TIMEOUT = "GREENGEN_GRID_TIMEOUT_S"


class GridError(GreengenError):
    """A live source gave no value: it did not answer, refused the key, or said what cannot be."""


@dataclass(frozen=True, slots=True)
class Point:
    """What a source says of the time from `start_ns` to `end_ns` (ns since 1970, UTC).

    g_per_kwh  None: it has no value
    estimated  made up by its model where measurements were missing
    forecast   said before the time was over
    """

    start_ns: int
    end_ns: int
    g_per_kwh: float | None
    estimated: bool = False
    forecast: bool = False


class Provider(Protocol):
    """A live source. Made with the environment; raises UsageError where that holds no key."""

    name: str
    source: str
    licence: str
    #: One factor for all of its values: what it does not know of its own method.
    gsd: float
    #: What its values may be of; the first is what it gives where nothing is asked for.
    offers: tuple[Basis, ...]

    def zone(self, wanted: str) -> str:
        """Its own name of a zone. Raises UsageError for one that it does not have."""

    def points(self, zone: str, start_ns: int, end_ns: int, basis: Basis) -> list[Point]:
        """Its values over a time, by its own name of the zone. Raises GridError."""


class Web:
    """A source's server. Errors name the source, the status and the remedy; never the query or a header."""

    def __init__(self, name: str, url: str, environ: Mapping[str, str]) -> None:
        """`GREENGEN_<NAME>_URL` of the environment is asked instead of `url`: a mirror, or a test's server."""
        self._name = name
        url = environ.get(f"GREENGEN_{name.upper()}_URL", url)
        try:
            self._where = address(url, ("https", "http"))
        except ValueError as error:
            msg = f"GREENGEN_{name.upper()}_URL: {error}"
            raise UsageError(msg) from error
        self._timeout_s = _seconds(environ.get(TIMEOUT, ""))
        self._client: Client | None = None

    def get(
        self,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        method: Literal["GET", "PUT"] = "GET",
    ) -> bytes:
        """The body of an answer. Raises GridError."""
        asked = f"{self._where.path}{path}" + (f"?{urlencode(query)}" if query else "")
        if self._client is None:  # the system's certificates take a while to load
            self._client = Client(self._where, self._timeout_s, tls=self._where.scheme == "https")
        try:
            return self._client.get(asked, headers=headers, method=method)
        except StatusError as error:
            msg = f"{self._name}: {_said(error)}"
            raise GridError(msg) from error
        except (OSError, ValueError) as error:
            msg = f"{self._name}: {getattr(error, 'strerror', None) or error}"
            raise GridError(msg) from error

    def json(self, path: str, query: Mapping[str, str], headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """An answer that is a JSON object. Raises GridError."""
        try:
            return parse_object(self.get(path, query, headers))
        except ValueError as error:
            msg = f"{self._name}: {error}"
            raise GridError(msg) from error


def _seconds(told: str) -> float:
    """How long to wait for an answer. Raises UsageError."""
    try:
        found = float(told) if told else _TIMEOUT_S
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        msg = f"{TIMEOUT}={told} is no time: set seconds, such as 10"
        raise UsageError(msg)
    return found


def _said(error: StatusError) -> str:
    if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return f"it refused the key ({error.status}), or the key is not for this zone and time"
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        wait = "later" if error.retry_after_s is None else f"in {error.retry_after_s:g} s"
        return f"too many requests ({error.status}): ask again {wait}"
    return str(error)


def key(environ: Mapping[str, str], variable: str, of: str) -> str:
    """A key from the environment. Raises UsageError that names the variable."""
    found = environ.get(variable, "").strip()
    if not found:
        msg = f"{of} needs a key: set {variable} in the environment"
        raise UsageError(msg)
    if not found.isascii() or not found.isprintable():
        msg = f"{variable} is no key: it holds what no header may"
        raise UsageError(msg)
    return found


def parse_time(text: object, of: str) -> int:
    """A time with its zone, as ns since 1970. Raises GridError."""
    try:
        at = dt.datetime.fromisoformat(str(text))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        msg = f"{of}: {str(text)[:40]!r} is no time with a zone"
        raise GridError(msg)
    return ns_of(at)


def ns_of(at: dt.datetime) -> int:
    """A time with its zone, as ns since 1970; exact to a microsecond."""
    past = at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (past // dt.timedelta(microseconds=1)) * 1000


def written(at_ns: int, form: str = "%Y-%m-%dT%H:%MZ") -> str:
    """A time in UTC, as a source wants it."""
    return dt.datetime.fromtimestamp(at_ns // NS, dt.UTC).strftime(form)


def value(told: object, of: str) -> float | None:
    """A source's figure in g/kWh; None where it has none. Raises GridError for what no grid has."""
    if told is None:
        return None
    if isinstance(told, bool) or not isinstance(told, int | float) or not 0 <= told <= MOST_G_PER_KWH:
        msg = f"{of}: {str(told)[:40]!r} is no intensity in g/kWh"
        raise GridError(msg)
    return float(told)


def listed(told: Mapping[str, Any], keys: tuple[str, ...], of: str) -> list[dict[str, Any]]:
    """The rows of an answer, under the first of some keys that it has. Raises GridError."""
    found = next((told[key] for key in keys if key in told), None)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        msg = f"{of}: its answer has no list {' or '.join(map(repr, keys))}"
        raise GridError(msg)
    return found


def is_of(told: object, wanted: str, of: str) -> None:
    """Raise GridError where an answer is of another zone than was asked for."""
    if told != wanted:
        msg = f"{of}: asked for zone {wanted}, and it answered for {str(told)[:40]}"
        raise GridError(msg)


def country_code(zone: str) -> str:
    """The two letters (ISO 3166-1) of an ISO-3 country; what is none stays as it is."""
    from greengen import data  # noqa: PLC0415 -- most zones are given as the source names them

    row = data.table("grid_intensity_country").get(zone)
    return row.more["iso2"] if row is not None else zone


def chosen(provider: Provider, kind: str | None, scope: str | None) -> Basis:
    """Its first offer of a kind and scope; None: any. Raises UsageError that lists what it has."""
    for offer in provider.offers:
        if kind in (None, offer.kind) and scope in (None, offer.scope):
            return offer
    has = " or ".join(f"--kind {offer.kind} --scope {offer.scope}" for offer in provider.offers)
    asked = " ".join(filter(None, (kind, scope)))
    msg = f"{provider.name} has no {asked} intensity: pass {has}"
    raise UsageError(msg)
