"""A TCP proxy on loopback that counts the bytes of each HTTP exchange, as they are on the wire."""

from __future__ import annotations

import re
import socket
import threading
from dataclasses import dataclass
from typing import Self

_REQUEST = re.compile(rb"(?:GET|POST|PUT|HEAD) (\S+) HTTP/1\.1\r\n")


@dataclass(slots=True)
class Exchange:
    """One request and its answer; bytes include the headers."""

    path: str
    request_bytes: int = 0
    answer_bytes: int = 0


class CountingProxy:
    """Forwards every connection to *port*; a context manager."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._exchanges: list[Exchange] = []
        self._sockets: list[socket.socket] = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # closed by its other end already
            one.close()
        for thread in self._threads:
            thread.join()

    def exchanges(self) -> list[Exchange]:
        """The finished exchanges so far: those whose answer has begun."""
        return [one for one in list(self._exchanges) if one.answer_bytes > 0]

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._port))
            self._sockets += [near, far]
            mine: list[Exchange] = []
            for target, ends in ((self._forward_requests, (near, far)), (self._forward_answers, (far, near))):
                self._threads.append(threading.Thread(target=target, args=(*ends, mine)))
                self._threads[-1].start()

    def _forward_requests(self, near: socket.socket, far: socket.socket, mine: list[Exchange]) -> None:
        while data := _receive(near):
            found = _REQUEST.match(data)
            if found is not None:
                mine.append(Exchange(found[1].decode()))
                self._exchanges.append(mine[-1])
            mine[-1].request_bytes += len(data)
            if not _send(far, data):
                return

    def _forward_answers(self, far: socket.socket, near: socket.socket, mine: list[Exchange]) -> None:
        while data := _receive(far):
            mine[-1].answer_bytes += len(data)
            if not _send(near, data):
                return


def _receive(end: socket.socket) -> bytes:
    try:
        return end.recv(65536)
    except OSError:
        return b""


def _send(end: socket.socket, data: bytes) -> bool:
    try:
        end.sendall(data)
    except OSError:
        return False
    return True
