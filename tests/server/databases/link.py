"""The network between the portal and a database server, which a test can cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import sqlalchemy as sa

_PIECE_BYTES = 65536


class Link:
    """Hands bytes on between whoever connects to ``url`` and the real server, a thread for each direction.

    Attributes:
        url: of the database, through this link.
    """

    def __init__(self, url: str) -> None:
        real = sa.make_url(url)
        self._server = (real.host or "127.0.0.1", real.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = real.set(host="127.0.0.1", port=self._listener.getsockname()[1]).render_as_string(
            hide_password=False
        )
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._last_words: bytes | None = None
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def cut(self) -> None:
        """End all connections; new ones are refused from now on."""
        self._listener.close()
        with self._lock:
            for end in self._open:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def cut_after(self, words: bytes) -> None:
        """Hand on what holds *words* to the server, and cut before it can answer."""
        self._last_words = words

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
            except OSError:
                return
            with self._lock:
                self._open += [client, server]
            for source, target, asks in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._carry, args=(source, target, asks), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, asks: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(_PIECE_BYTES):
                last = asks and self._last_words is not None and self._last_words in piece
                if last:
                    with suppress(OSError):
                        source.shutdown(
                            socket.SHUT_RDWR
                        )  # before the server hears it: no answer gets through
                target.sendall(piece)
                if last:
                    return
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


@contextmanager
def linked(url: str) -> Iterator[Link]:
    """A link to the server of *url*; cut at the end."""
    link = Link(url)
    try:
        yield link
    finally:
        link.cut()
