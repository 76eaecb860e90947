"""A link: a process between two tiers that hands on what it is given late, and no faster than a link would.

It needs no rights and no settings of the system: what is read is kept until it is due. Its own work is
no tier's, and no recording books it to one: what a network really uses is declared, per byte.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe

from tiers.wire import HOST, listening

_CHUNK = 16_384


@dataclass(frozen=True, slots=True)
class Shape:
    """A link: how long it takes there, s, and back again; bits per second of each direction."""

    one_way_s: float
    bit_per_s: float


@dataclass(slots=True)
class _Direction:
    """One direction of a link, which all its connections share: when it will be free."""

    shape: Shape
    free_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def due_s(self, size: int) -> float:
        """When so many bytes that are given to it now have arrived."""
        with self.lock:
            self.free_s = max(self.free_s, time.monotonic()) + 8.0 * size / self.shape.bit_per_s
            return self.free_s + self.shape.one_way_s


def carry(pipe: Pipe, shape: Shape, port: int) -> None:
    """Be a link to the tier at `port`: tell the own port, and carry until the pipe closes."""
    there, back = _Direction(shape), _Direction(shape)
    listener = listening()
    threading.Thread(target=_accept, args=(listener, port, there, back), daemon=True).start()
    pipe.send(listener.getsockname()[1])
    pipe.poll(None)  # its end is ours


def _accept(listener: socket.socket, port: int, there: _Direction, back: _Direction) -> None:
    while True:
        near, _ = listener.accept()
        far = socket.create_connection((HOST, port))
        for source, target, direction in ((near, far, there), (far, near, back)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
            threading.Thread(target=_read, args=(source, line, direction), daemon=True).start()
            threading.Thread(target=_write, args=(target, line), daemon=True).start()


def _read(source: socket.socket, line: queue.SimpleQueue[tuple[float, bytes]], direction: _Direction) -> None:
    while chunk := _received(source):
        line.put((direction.due_s(len(chunk)), chunk))
    line.put((0.0, b""))


def _received(source: socket.socket) -> bytes:
    try:
        return source.recv(_CHUNK)
    except ConnectionError:  # whoever goes away ends the connection
        return b""


def _write(target: socket.socket, line: queue.SimpleQueue[tuple[float, bytes]]) -> None:
    while (item := line.get())[1]:
        due_s, chunk = item
        time.sleep(max(0.0, due_s - time.monotonic()))
        target.sendall(chunk)
    target.shutdown(socket.SHUT_WR)
