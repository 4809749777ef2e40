"""One deadline for a whole HTTP exchange: connecting, headers, body.

requests and urllib3 know only a timeout per read: a server that sends one byte a second holds them for
days, in the headers as well as in the body. Here every read from a socket gets what is left of the
exchange's deadline as its timeout, so that no dribble outlives it.

``adapter()`` makes the requests adapter that does this; ``running(deadline)`` names the deadline of the
exchange in hand. A response remembers the deadline it was asked under, wherever its body is read.

Where nobody names a file of CAs, those that come with requests are read as a text: out of a single-file
program they would have to be written somewhere first to be a file.
"""

from __future__ import annotations

import http.client
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

import certifi  # comes with requests
import requests.adapters
import urllib3
import urllib3.connection
import urllib3.util.ssl_

if TYPE_CHECKING:
    import socket
    import ssl

    from _typeshed import WriteableBuffer


class Deadline:
    """A point on the monotonic clock and the longest single silence before it.

    Args:
        total_s: seconds from now until the exchange must be over.
        silence_s: seconds one read may wait for a byte.
    """

    def __init__(self, total_s: float, silence_s: float) -> None:
        self._ends = time.monotonic() + total_s
        self._silence_s = silence_s
        self.total_s = total_s

    @property
    def left_s(self) -> float:
        """Seconds left; zero or less when it has passed."""
        return self._ends - time.monotonic()

    def next_wait_s(self) -> float:
        """Seconds the next read may wait.

        Raises:
            TimeoutError: the deadline has passed.
        """
        left_s = self.left_s
        if left_s <= 0:
            raise TimeoutError(f"not finished after {self.total_s:g} s")
        return min(left_s, self._silence_s)


_running: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def running(deadline: Deadline) -> Iterator[None]:
    """Make *deadline* the one of all requests sent inside the block."""
    token = _running.set(deadline)
    try:
        yield
    finally:
        _running.reset(token)


class _TimedReader(io.RawIOBase):
    """A socket's raw reader that sets the socket's timeout before each read."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: Deadline) -> None:
        self._raw = raw
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        self._sock.settimeout(self._deadline.next_wait_s())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    """The standard library's response, its reads bounded by the deadline it was asked under."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # the caller is http.client
        super().__init__(sock, *args, **kwargs)
        deadline = _running.get()
        if deadline is not None:
            buffered: Any = self.fp  # typeshed calls it BinaryIO; socket.makefile("rb") made a BufferedReader
            self.fp = io.BufferedReader(_TimedReader(buffered.detach(), sock, deadline))


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _TimedResponse


class _TlsConnection(urllib3.connection.HTTPSConnection):
    response_class = _TimedResponse


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS: dict[str, type[urllib3.HTTPConnectionPool]] = {"http": _Pool, "https": _TlsPool}


@cache
def _shipped_cas() -> ssl.SSLContext:
    """The CAs that come with requests; made when first needed, because it takes a tenth of a second."""
    context = urllib3.util.ssl_.create_urllib3_context()
    context.load_verify_locations(cadata=certifi.contents())
    return context


class _Adapter(requests.adapters.HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # the signature is the adapter's own
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> urllib3.ProxyManager:
        manager: urllib3.ProxyManager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    # Any: these two are as requests has them, whose stubs know the second without types.
    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        if verify is True and host["scheme"] == "https":
            return host, {**pool, "ssl_context": _shipped_cas()}
        return host, pool

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        if verify is True and url.lower().startswith("https"):
            conn.cert_reqs = "CERT_REQUIRED"  # by the context above: the adapter would name a file
        else:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]


def adapter() -> requests.adapters.HTTPAdapter:
    """An adapter without retries whose reads obey the deadline of ``running()``."""
    return _Adapter(max_retries=0)
