"""Ask meters and grid data over HTTP: one request per connection, no proxy, no redirect, and an end to waiting."""

from __future__ import annotations

import base64
import http.client
import json
import math
import secrets
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from greengen.collectors._digest import authorization

Auth = Literal["", "basic", "digest"]

#: No meter says more than this.
_MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Address:
    """Where a meter answers. `user` and `password` are never part of what is shown."""

    scheme: str
    host: str
    port: int | None
    path: str = ""
    query: str = ""
    user: str = ""
    password: str = ""

    @property
    def shown(self) -> str:
        """Host and port as a person writes them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


class StatusError(ValueError):
    """An answer that is not 200. `retry_after_s`: what the server asks to wait; None: it does not say."""

    def __init__(self, message: str, status: int, retry_after_s: float | None) -> None:
        super().__init__(message)
        self.status, self.retry_after_s = status, retry_after_s


def address(text: str, schemes: Sequence[str]) -> Address:
    """The parts of ``scheme://user:password@host:port/path?query``. Raises ValueError for any other scheme or form."""
    parts: SplitResult = urlsplit(text)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not parts.scheme:
        # The text is not repeated, nor what urllib says of it: it may hold a password.
        msg = "it is not of the form scheme://address[:port] (/, @ and : of a password are written %2F, %40 and %3A)"
        raise ValueError(msg)
    if parts.scheme not in schemes:
        msg = f"{parts.scheme}:// is not known: {', '.join(schemes)} are"
        raise ValueError(msg)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Address(parts.scheme, host, port, parts.path.rstrip("/"), parts.query, user, password)


class Client:
    """One meter. `get` from one thread; `abort` from any.

    timeout_s  for the whole answer; only a server that sends its headers byte by byte gets more
    cafile     certificates to trust for https, in place of the system's
    """

    def __init__(self, where: Address, timeout_s: float, *, tls: bool = False, cafile: str | None = None) -> None:
        self._where, self._timeout_s = where, timeout_s
        self._tls = ssl.create_default_context(cafile=cafile) if tls else None
        self._sock: socket.socket | None = None

    def get(
        self,
        path: str,
        auth: Auth = "",
        headers: Mapping[str, str] | None = None,
        method: Literal["GET", "PUT"] = "GET",
    ) -> bytes:
        """The body of a 200 answer. Raises OSError, StatusError or ValueError; all say why, and none repeats the query.

        auth     how user and password are sent: RFC 7617, or RFC 7616 with SHA-256, which takes two requests
        headers  to send beside our own
        method   PUT, without a body, is how some give out a token
        """
        where, deadline = self._where, time.monotonic() + self._timeout_s
        header = ""
        if auth == "basic" and where.user:
            header = f"Basic {base64.b64encode(f'{where.user}:{where.password}'.encode()).decode()}"
        response, body = self._ask((method, path), header, deadline, headers)
        challenge = response.getheader("WWW-Authenticate", "")
        if response.status == http.client.UNAUTHORIZED and auth == "digest" and where.user:
            header = authorization(challenge, (where.user, where.password), path, secrets.token_hex(16))
            response, body = self._ask((method, path), header, deadline, headers)
        if response.status != http.client.OK:
            msg = f"{method} {path.partition('?')[0]}: {response.status} {response.reason}"
            raise StatusError(msg, response.status, _seconds(response.getheader("Retry-After")))
        return body

    def _ask(
        self, asked: tuple[str, str], header: str, deadline: float, more: Mapping[str, str] | None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        headers = {"Connection": "close", "Accept": "*/*", "User-Agent": "greengen", **(more or {})}
        if header:
            headers["Authorization"] = header
        connection = self._connection()
        try:
            connection.connect()
            self._sock = connection.sock
            connection.request(*asked, headers=headers)
            # The response holds the socket until it is read to its end, which an empty one never is.
            with connection.getresponse() as response:
                return response, _body(response, deadline)
        except TimeoutError as error:
            msg = f"no answer within {self._timeout_s:g} s"
            raise TimeoutError(msg) from error
        except http.client.HTTPException as error:
            # What it says instead may be anything, and is shown in a terminal.
            said = repr(str(error)[:60]) if str(error) else ""
            msg = f"no HTTP answer: {type(error).__name__} {said}".rstrip()
            raise ValueError(msg) from error
        finally:
            self._sock = None
            connection.close()

    def abort(self) -> None:
        """Make a request that is under way fail at once."""
        sock = self._sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it has ended by itself

    def _connection(self) -> http.client.HTTPConnection:
        where = self._where
        if self._tls is not None:
            return http.client.HTTPSConnection(where.host, where.port, timeout=self._timeout_s, context=self._tls)
        return http.client.HTTPConnection(where.host, where.port, timeout=self._timeout_s)


def _seconds(told: str | None) -> float | None:
    """RFC 9110, 10.2.3: whole seconds. A date is not read: it says when, by a clock that may not be ours."""
    return float(told) if told is not None and told.isascii() and told.isdigit() else None


def _body(response: http.client.HTTPResponse, deadline: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := response.read1(65536):
        parts.append(part)
        size += len(part)
        if time.monotonic() > deadline:
            raise TimeoutError
        if size > _MOST_BYTES:
            msg = f"its answer is longer than {_MOST_BYTES >> 20} MiB"
            raise ValueError(msg)
    return b"".join(parts)


def parse_object(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises ValueError for anything else."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        msg = f"its answer is no JSON: {body[:60]!r}"
        raise ValueError(msg) from error
    if not isinstance(found, dict):
        msg = f"its answer is no JSON object: {body[:60]!r}"
        raise ValueError(msg)  # noqa: TRY004 -- one kind of error for one kind of fault
    return found


def number(value: object) -> float | None:
    """A JSON value as a finite number; None for what is not one: null, text, true, NaN."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        # A whole number of hundreds of digits.
        return None
    return found if math.isfinite(found) else None
