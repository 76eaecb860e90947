"""Refuse the network to a Python process; loopback and Unix sockets pass.

Python runs a `sitecustomize` on its path at every start: tests/conftest.py puts this folder on
PYTHONPATH, so that what a test starts is guarded too. An audit hook sees the calls of C code as
well, and cannot be undone. What was refused is also written down, for a caller may swallow the
error: the test session fails on a line in that file.
"""

from __future__ import annotations

import os
import sys

#: Names the file that refused calls are written to.
LOG = "GREENGEN_TESTS_NETWORK_LOG"

#: Where the address or host stands among the arguments of an audited call.
_PLACE = {
    "socket.connect": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyaddr": 0,
    "socket.gethostbyname": 0,
    "socket.getnameinfo": 0,
}


class NetworkRefusedError(RuntimeError):
    """Not an OSError: code that expects the network to fail must not hide that it tried."""


def is_local(host: str) -> bool:
    """Whether a host is this machine, without asking a name server."""
    if host in ("", "localhost"):
        return True
    import ipaddress  # most processes never get here

    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return ip.is_loopback or ip.is_unspecified


def refuse(event: str, arguments: tuple[object, ...]) -> None:
    """Raise NetworkRefusedError for a call that would leave this machine, and write it down."""
    if event not in _PLACE:
        return
    address = arguments[_PLACE[event]]
    if event.startswith("socket.get") and not isinstance(address, tuple):
        host = address
    else:
        # An internet address is a tuple that begins with a host; a Unix socket's is a path.
        host = address[0] if isinstance(address, tuple) else None
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if not isinstance(host, str) or is_local(host):
        return
    during = os.environ.get("PYTEST_CURRENT_TEST", "no test")
    line = f"{event} {address!r} by {' '.join(sys.argv[:3])}, during {during}"
    if LOG in os.environ:
        with open(os.environ[LOG], "a", encoding="utf-8") as log:  # noqa: PTH123 -- pathlib is slow to load
            log.write(f"{line}\n")
    message = f"tests use no network: {line}"
    raise NetworkRefusedError(message)


sys.addaudithook(refuse)
