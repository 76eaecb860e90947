"""Messages between tiers: one JSON object per line over a TCP connection, with a W3C `traceparent` in each request."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HOST = "127.0.0.1"


class Connection:
    """One connection, and the bytes that went over it both ways."""

    def __init__(self, stream: socket.socket) -> None:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream, self._lines = stream, stream.makefile("rb")
        self.moved_bytes = 0

    def send(self, message: dict[str, Any]) -> None:
        """Send one message."""
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        self._stream.sendall(line)
        self.moved_bytes += len(line)

    def receive(self) -> dict[str, Any] | None:
        """The next message; None where the other side has closed."""
        line = self._lines.readline()
        self.moved_bytes += len(line)
        return json.loads(line) if line.endswith(b"\n") else None

    def close(self) -> None:
        """Close it."""
        self._lines.close()
        self._stream.close()


@contextmanager
def connected(port: int) -> Iterator[Connection]:
    """A connection to a tier of this machine, or to the link before it."""
    connection = Connection(socket.create_connection((HOST, port), timeout=30.0))
    try:
        yield connection
    finally:
        connection.close()


def listening() -> socket.socket:
    """A socket that takes connections from this machine, at any free port."""
    return socket.create_server((HOST, 0), backlog=64)
