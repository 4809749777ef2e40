"""A TCP proxy that counts what goes each way, exchange by exchange: the bytes as they are on the wire."""

import socket
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass
class Exchange:
    """One HTTP request and its answer: the request's first line and the bytes each way, headers included."""

    line: str
    request_bytes: int
    answer_bytes: int = 0


class CountingProxy:
    """Listens on a free port of loopback and forwards to `target_port`."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.exchanges: list[Exchange] = []
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (self._listener, *self._open):
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target_port))
            self._open += [client, server]
            mine: list[Exchange] = []
            for pump in ((client, server, self._count_request), (server, client, self._count_answer)):
                threading.Thread(target=self._pump, args=(*pump, mine), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, count: object, mine: list[Exchange]) -> None:
        assert callable(count)
        try:
            while data := source.recv(65536):
                count(data, mine)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def _count_request(self, data: bytes, mine: list[Exchange]) -> None:
        # One connection carries one exchange after the other: what comes after an answer is a new one.
        if not mine or mine[-1].answer_bytes > 0:
            mine.append(Exchange(data.split(b"\r\n", 1)[0].decode("latin-1"), 0))
            self.exchanges.append(mine[-1])
        mine[-1].request_bytes += len(data)

    def _count_answer(self, data: bytes, mine: list[Exchange]) -> None:
        mine[-1].answer_bytes += len(data)
