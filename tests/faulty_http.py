"""A small real HTTP server on loopback that misbehaves as it is told, for tests of every client.

    with FaultyServer() as server:
        server.at("/a.zip", answers.file(data))          # honest: HEAD, Range, If-Range, ETag
        server.at("/b.zip", answers.truncated(data, 100))
        server.at("/poll", answers.status(429, {"Retry-After": "7"}), answers.json(b"{}"))
        server.mount("/repo/v1/vendor", folder)          # all other files from there, honestly
        server.forward(portal.url)                       # all other paths to that server, honestly
        client.download(server.url + "/a.zip", …)
        assert server.requests[0].headers["range"] == "bytes=10-"

A path may be given several answers: each request takes the next one, the last one stays. An answer is
any function of an ``Exchange``; it may write whatever bytes it likes, whenever it likes.
``FaultyServer(tls=authority.server_context())`` speaks TLS (`tests/authority.py`).
"""

from __future__ import annotations

import http.client
import re
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Exchange:
    """One request and the raw way back."""

    def __init__(self, handler: _Handler, request: Request, stopping: threading.Event) -> None:
        self._handler = handler
        self.request = request
        self._stopping = stopping
        self.sent_bytes = 0

    @property
    def peer_port(self) -> int:
        """The client's port: the same for requests on one connection."""
        port: int = self._handler.client_address[1]
        return port

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status line and exactly these headers."""
        lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
        self.send("".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1"))

    def send(self, data: bytes) -> None:
        """Send raw bytes; a client that has gone away is no error."""
        try:
            self._handler.wfile.write(data)
            self._handler.wfile.flush()
            self.sent_bytes += len(data)
        except OSError as err:
            raise ConnectionAbortedError from err

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the server's end."""
        if self._stopping.wait(seconds):
            raise ConnectionAbortedError

    def close(self) -> None:
        """End the connection after this answer."""
        self._handler.close_connection = True


Answer = Callable[[Exchange], None]


class FaultyServer:
    """The server; a context manager.

    Attributes:
        requests: what arrived, in order. most_sent_bytes: in one answer that has ended.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.most_sent_bytes = 0
        self._answers: dict[str, list[Answer]] = {}
        self._mounts: dict[str, Path] = {}
        self._upstream: str | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        handler = type("Handler", (_Handler,), {"faulty": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.port = self._server.server_address[1]
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"

    def __enter__(self) -> FaultyServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def at(self, path: str, *answers: Answer) -> None:
        """Answer *path* (without query) by *answers* in turn, then by the last one for ever."""
        with self._lock:
            self._answers[path] = list(answers)

    def mount(self, prefix: str, folder: Path) -> None:
        """Answer every other path below *prefix* by the file of that name in *folder*, 404 without one."""
        with self._lock:
            self._mounts[prefix.rstrip("/") + "/"] = folder

    def forward(self, url: str) -> None:
        """Hand every path that has no answer to the server at *url*: a man in the middle."""
        with self._lock:
            self._upstream = url

    def paths(self) -> list[str]:
        """The paths asked for, in order."""
        return [request.path for request in self.requests]

    def _answer_to(self, path: str) -> Answer:
        queue = self._answers.get(path)
        if queue:
            return queue.pop(0) if len(queue) > 1 else queue[0]
        for prefix, folder in self._mounts.items():
            found = folder / path.removeprefix(prefix)
            if path.startswith(prefix) and ".." not in path and found.is_file():
                kind = "application/json" if path.endswith(".json") else "application/zip"
                return file(found.read_bytes(), f'"{found.name}"', kind)
        return status(404) if self._upstream is None else forwarded(self._upstream)

    def serve(self, handler: _Handler, request: Request) -> None:
        """Record *request* and give its answer; 404 for an unknown path."""
        with self._lock:
            self.requests.append(request)
            answer = self._answer_to(request.path.partition("?")[0])
        exchange = Exchange(handler, request, self._stopping)
        try:
            answer(exchange)
        except (ConnectionAbortedError, ConnectionResetError, BrokenPipeError):
            handler.close_connection = True
        with self._lock:
            self.most_sent_bytes = max(self.most_sent_bytes, exchange.sent_bytes)


class _Handler(BaseHTTPRequestHandler):
    faulty: FaultyServer
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length) if length < 64 * 1024 * 1024 else b""
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.faulty.serve(self, Request(self.command, self.path, headers, body))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _any

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the tests' output is not the place."""

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True


def status(code: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
    """Answer *code* with a whole *body*."""

    def answer(exchange: Exchange) -> None:
        exchange.head(code, {"Content-Length": str(len(body)), **(headers or {})})
        exchange.send(body)

    return answer


def json(body: bytes, code: int = 200) -> Answer:
    """Answer a JSON body; problem+json from 400 on."""
    kind = "application/problem+json" if code >= 400 else "application/json"
    return status(code, {"Content-Type": kind}, body)


def html() -> Answer:
    """A captive portal: a login page with 200 for whatever was asked."""
    return status(200, {"Content-Type": "text/html; charset=utf-8"}, b"<html><h1>Please log in</h1></html>")


def file(data: bytes, etag: str = '"v1"', kind: str = "application/zip") -> Answer:
    """An honest file: HEAD, Range, If-Range, strong ETag."""

    def answer(exchange: Exchange) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", exchange.request.headers.get("range", ""))
        same = exchange.request.headers.get("if-range", etag) == etag
        common = {"Content-Type": kind, "ETag": etag, "Accept-Ranges": "bytes"}
        if wanted and same and int(wanted[1]) >= len(data):
            exchange.head(416, {**common, "Content-Range": f"bytes */{len(data)}", "Content-Length": "0"})
            return
        start = int(wanted[1]) if wanted and same else 0
        last = min(int(wanted[2]), len(data) - 1) if wanted and same and wanted[2] else len(data) - 1
        span = {"Content-Range": f"bytes {start}-{last}/{len(data)}"} if wanted and same else {}
        exchange.head(206 if span else 200, {**common, **span, "Content-Length": str(last + 1 - start)})
        if exchange.request.method != "HEAD":
            exchange.send(data[start : last + 1])

    return answer


def forwarded(url: str) -> Answer:
    """What the server at *url* answers to the same request."""

    def answer(exchange: Exchange) -> None:
        asked = exchange.request
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        try:
            headers = {
                name: value for name, value in asked.headers.items() if name not in ("host", "connection")
            }
            connection.request(asked.method, asked.path, asked.body or None, headers)
            got = connection.getresponse()
            body = got.read()
        finally:
            connection.close()
        left_out = ("transfer-encoding", "connection", "content-length")
        kept = {name: value for name, value in got.getheaders() if name.lower() not in left_out}
        length = got.headers.get("Content-Length") if asked.method == "HEAD" else str(len(body))
        exchange.head(got.status, {**kept, "Content-Length": length or "0"})
        exchange.send(body)

    return answer


def held(until: threading.Event, answer: Answer) -> Answer:
    """Give *answer* only when *until* is set."""

    def answer_later(exchange: Exchange) -> None:
        while not until.is_set():
            exchange.pause(0.02)
        answer(exchange)

    return answer_later


def truncated(data: bytes, at: int, headers: Mapping[str, str] | None = None) -> Answer:
    """Announce the whole of *data*, send *at* bytes, hang up."""

    def answer(exchange: Exchange) -> None:
        common = {"Content-Type": "application/zip", "ETag": '"v1"', "Content-Length": str(len(data))}
        exchange.head(200, {**common, **(headers or {})})
        exchange.send(data[:at])
        exchange.close()

    return answer


def partial(body: bytes, content_range: str) -> Answer:
    """A 206 whose Content-Range says whatever it says."""
    return status(206, {"Content-Type": "application/zip", "Content-Range": content_range}, body)


def endless(headers: Mapping[str, str] | None = None) -> Answer:
    """A chunked body that never ends."""

    def answer(exchange: Exchange) -> None:
        common = {"Content-Type": "application/octet-stream", "Transfer-Encoding": "chunked"}
        exchange.head(200, {**common, **(headers or {})})
        while True:
            exchange.send(b"10000\r\n" + bytes(65536) + b"\r\n")

    return answer


def broken_chunks(data: bytes) -> Answer:
    """A chunked body that breaks off inside a chunk: urllib3's ProtocolError in mid-stream."""

    def answer(exchange: Exchange) -> None:
        exchange.head(200, {"Content-Type": "application/zip", "Transfer-Encoding": "chunked"})
        exchange.send(f"{len(data) + 1000:x}\r\n".encode("ascii") + data)
        exchange.close()

    return answer


def dripping(data: bytes, interval_s: float, headers: Mapping[str, str] | None = None) -> Answer:
    """The body one byte every *interval_s*."""

    def answer(exchange: Exchange) -> None:
        exchange.head(200, {"Content-Length": str(len(data)), **(headers or {})})
        for value in data:
            exchange.send(bytes([value]))
            exchange.pause(interval_s)

    return answer


def dripping_headers(interval_s: float) -> Answer:
    """Headers one byte every *interval_s*, without end."""

    def answer(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            exchange.send(b"a")
            exchange.pause(interval_s)

    return answer


def silent(seconds: float = 3600) -> Answer:
    """Take the request and never answer."""
    return lambda exchange: exchange.pause(seconds)


def redirect(location: str, code: int = 302) -> Answer:
    """Send the client elsewhere."""
    return status(code, {"Location": location})


answers = SimpleNamespace(
    status=status,
    json=json,
    html=html,
    file=file,
    truncated=truncated,
    partial=partial,
    endless=endless,
    broken_chunks=broken_chunks,
    dripping=dripping,
    dripping_headers=dripping_headers,
    silent=silent,
    redirect=redirect,
    forwarded=forwarded,
    held=held,
)
