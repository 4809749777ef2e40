"""A TCP proxy on loopback that cuts connections where a test says, and counts what it let through."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Self

PIECE_BYTES = 64 * 1024


class CuttingProxy:
    """Forwards every connection to *port*; a context manager.

    Args:
        cut_at: after so many bytes towards the server, over all connections, the one that carried the last
            of them is cut.

    Attributes:
        sent_bytes: what went through towards the server, headers included.
        cuts: how many connections were cut.
        on_bytes: called with ``sent_bytes`` after each piece; may be replaced.
    """

    def __init__(self, port: int, *, cut_at: tuple[int, ...] = ()) -> None:
        self._port = port
        self._cut_at = list(cut_at)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._lock = threading.Lock()
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent_bytes = 0
        self.cuts = 0
        self.on_bytes: Callable[[int], None] = lambda sent_bytes: None

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._sockets):
            _end(one)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                _end(near)  # the server is away: so are we
                continue
            self._sockets += [near, far]
            for target, ends in ((self._forward, (near, far)), (self._back, (far, near))):
                self._threads.append(threading.Thread(target=target, args=ends))
                self._threads[-1].start()

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        while (data := _receive(near, PIECE_BYTES)) and _send(far, data) and not self._count(len(data)):
            pass
        _end(near)
        _end(far)

    def _count(self, sent_bytes: int) -> bool:
        """Whether the connection that carried these bytes is to be cut."""
        with self._lock:
            self.sent_bytes += sent_bytes
            cut = bool(self._cut_at) and self.sent_bytes >= self._cut_at[0]
            if cut:
                self._cut_at.pop(0)
                self.cuts += 1
        self.on_bytes(self.sent_bytes)
        return cut

    def _back(self, far: socket.socket, near: socket.socket) -> None:
        while (data := _receive(far, PIECE_BYTES)) and _send(near, data):
            pass
        _end(near)
        _end(far)


def _receive(end: socket.socket, most: int) -> bytes:
    try:
        return end.recv(most)
    except OSError:
        return b""


def _send(end: socket.socket, data: bytes) -> bool:
    try:
        end.sendall(data)
    except OSError:
        return False
    return True


def _end(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # closed by its other end already
    one.close()
