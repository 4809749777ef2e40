"""Reading what a client sends: a small JSON body into memory, a large raw one into a file.

Both are capped before the first byte is read, and neither waits for a peer that is too slow: see
``connections``. After a request whose body was left unread the connection ends: gunicorn would read on
until the body is over, however slowly it comes. A raw body goes to disk in 1 MiB pieces, hashed on the way
(64 KiB pieces cost 2.9 times the CPU), and whatever goes wrong, no file stays behind.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from flask import Request

from engineshed_packages.digests import CHUNK_BYTES, Sha256Digester
from engineshed_packages.files import TEMPORARY_SUFFIX
from engineshed_server.api.connections import Connection
from engineshed_server.errors import Refused, TooLarge, TryLater
from engineshed_server.storage.disk import NO_SPACE
from engineshed_server.storage.writing import Piece, write_all

MAX_LENGTH_DIGITS = 18
LEFTOVER_S = 24 * 3600  # an upload cut by a killed process; none that goes on is ever this long unwritten
BODY_READ = "engineshed.body_read"  # in the WSGI environment, once nothing of the body is left


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedFile:
    """A raw body on disk, unverified, with length and SHA-256 of what arrived."""

    path: Path
    length_bytes: int
    sha256: str


def read_json_body(request: Request, *, max_bytes: int) -> bytes:
    """The body of a JSON request, unread, at most *max_bytes*.

    Raises:
        Refused: codes ``media-type-not-supported``, ``encoding-not-supported``, ``length-required``,
            ``body-truncated``, ``body-slow``; TooLarge: code ``json-too-large``.
    """
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != "application/json" or charset != "utf-8":
        found = request.headers.get("Content-Type", "")
        raise Refused(
            "media-type-not-supported",
            f"found Content-Type {found[:60]!r}, expected application/json, which is UTF-8",
        )
    length = content_length(request)
    if length > max_bytes:
        raise TooLarge("json-too-large", f"the body has {length} bytes, at most {max_bytes} are read")
    return _read_whole(request, length)


def read_form_body(request: Request, *, max_bytes: int) -> bytes:
    """The body of a form as browsers send it, unread, at most *max_bytes*; empty when there is none.

    Raises:
        Refused: codes ``media-type-not-supported``, ``encoding-not-supported``, ``length-required``,
            ``body-truncated``, ``body-slow``; TooLarge: code ``form-too-large``.
    """
    if request.mimetype not in ("", "application/x-www-form-urlencoded"):
        message = f"found Content-Type {request.mimetype[:60]!r}, expected application/x-www-form-urlencoded"
        raise Refused("media-type-not-supported", message)
    if request.environ.get("CONTENT_LENGTH", "") == "" and "Transfer-Encoding" not in request.headers:
        return b""
    length = content_length(request)
    if length > max_bytes:
        raise TooLarge("form-too-large", f"the form has {length} bytes, at most {max_bytes} are read")
    return _read_whole(request, length)


def _read_whole(request: Request, length_bytes: int) -> bytes:
    with _patience(request):
        data = _input(request).read(length_bytes)
    if len(data) != length_bytes:
        raise _truncated(len(data), length_bytes)
    request.environ[BODY_READ] = True
    return data


@contextmanager
def received_file(request: Request, folder: Path, *, max_bytes: int) -> Iterator[ReceivedFile]:
    """Stream the raw body into a new file of *folder*; the file is gone when the block ends.

    Who wants to keep the bytes copies or moves them inside the block.

    Raises:
        Refused: codes ``length-required``, ``encoding-not-supported``, ``media-type-not-supported``,
            ``body-truncated``, ``body-slow``; TooLarge: ``upload-too-large``; TryLater: ``disk-full``.
    """
    if request.mimetype.startswith("multipart/"):
        raise Refused(
            "media-type-not-supported",
            "found a multipart body, expected the raw file: curl --upload-file FILE",
        )
    length = content_length(request)
    if length > max_bytes:
        raise TooLarge(
            "upload-too-large",
            f"the upload has {length} bytes, at most {max_bytes} are taken: raise limits.upload_bytes",
        )
    _sweep(folder)
    path = folder / f"{secrets.token_hex(16)}{TEMPORARY_SUFFIX}"
    try:
        with _disk_errors():
            arrived = _write_stream(read_pieces(request, length), path)
        yield ReceivedFile(path=path, length_bytes=arrived.length_bytes, sha256=arrived.sha256)
    finally:
        path.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Remove what killed processes left: files nobody has written to for a day."""
    oldest_s = time.time() - LEFTOVER_S
    for path in folder.glob(f"*{TEMPORARY_SUFFIX}"):
        try:
            if path.stat().st_mtime < oldest_s:
                path.unlink()
        except FileNotFoundError:
            continue  # another process swept it


def read_pieces(request: Request, length_bytes: int) -> Iterator[Piece]:
    """The raw body, of which *length_bytes* were announced, in pieces of at most 1 MiB.

    Each piece is good until the next is asked for.

    Raises:
        Refused: ``body-truncated``: fewer came; ``body-slow``.
    """
    connection = _connection(request)
    received = 0
    try:
        if connection is not None and length_bytes > CHUNK_BYTES:
            pieces: Iterator[Piece] = connection.receive_body(length_bytes, piece_bytes=CHUNK_BYTES)
        else:
            pieces = _small_pieces(request, length_bytes)
        for piece in pieces:
            received += len(piece)
            yield piece
    except TimeoutError as err:
        raise _slow() from err
    except ConnectionError:
        pass  # told as what it is, a body that ended early
    if received != length_bytes:
        raise _truncated(received, length_bytes)
    request.environ[BODY_READ] = True


def _small_pieces(request: Request, length_bytes: int) -> Iterator[bytes]:
    body, left = _input(request), length_bytes
    with _patience(request):
        while left and (piece := body.read(min(CHUNK_BYTES, left))):
            left -= len(piece)
            yield piece


def _write_stream(pieces: Iterable[Piece], path: Path) -> Sha256Digester:
    digester = Sha256Digester()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        for piece in pieces:
            write_all(file, piece)
            digester.update(piece)
    return digester


def _input(request: Request) -> BinaryIO:
    """The server's own stream, which ends early when the peer does; ours to bound (PEP 3333)."""
    stream: BinaryIO = request.environ["wsgi.input"]
    return stream


def content_length(request: Request) -> int:
    """How many bytes the request announces.

    Raises:
        Refused: codes ``length-required``, ``length-unreadable``, ``encoding-not-supported``.
    """
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused("encoding-not-supported", "found a Content-Encoding, expected the plain bytes")
    # Werkzeug reads a length it does not understand as 0: an empty body is not what was sent.
    text = request.environ.get("CONTENT_LENGTH", "")
    if text == "" or "Transfer-Encoding" in request.headers:
        raise Refused("length-required", "the request has no Content-Length: send the size, not chunks")
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_LENGTH_DIGITS):
        raise Refused("length-unreadable", f"found Content-Length {text[:40]!r}, expected a number of bytes")
    return int(text)


def _truncated(found: int, expected: int) -> Refused:
    return Refused(
        "body-truncated", f"{found} of {expected} bytes arrived, then the connection ended: send it again"
    )


def _slow() -> Refused:
    return Refused("body-slow", "the body arrives too slowly: send it again by a faster line")


@contextmanager
def _patience(request: Request) -> Iterator[None]:
    """Bound how long the body may take."""
    connection = _connection(request)
    if connection is None:
        yield
        return
    try:
        with connection.awaiting_body():
            yield
    except TimeoutError as err:
        raise _slow() from err


def _connection(request: Request) -> Connection | None:
    """The connection of the request, None under another server than ours."""
    found = request.environ.get("gunicorn.socket")
    return found if isinstance(found, Connection) else None


def end_connection_if_unread(request: Request) -> None:
    """Let the answer to *request* be the last of its connection when its body was not read to the end."""
    announced = request.environ.get("CONTENT_LENGTH", "") not in ("", "0")
    connection = _connection(request)
    if connection is None or not (announced or "Transfer-Encoding" in request.headers):
        return
    if not request.environ.get(BODY_READ, False):
        connection.close_after_answer()


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as err:
        if err.errno in NO_SPACE:
            raise TryLater(
                "disk-full", "the portal's disk is full: make room, then upload again", retry_after_s=60
            ) from err
        raise
