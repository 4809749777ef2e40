"""Bodies in pieces: limited while they are read, bounded while they are sent, written where they belong.

Nothing here holds a package in memory, and nothing knows how the pieces come.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from engineshed_packages.errors import SourceRefused, Unavailable
from engineshed_packages.transport.answers import Stream, check_encoding, shown_url
from engineshed_packages.transport.deadline import Deadline

PIECE_BYTES = 256 * 1024  # measured: bigger gains nothing, smaller costs processor time
MAX_PROBLEM_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart:
    """A part of a file, to be sent as the body of a request.

    Attributes:
        progress: told how many bytes of the part have been taken to be sent, after each piece.
    """

    path: Path
    offset_bytes: int
    length_bytes: int
    progress: Callable[[int], None] | None = None

    @classmethod
    def whole(cls, path: Path, progress: Callable[[int], None] | None = None) -> FilePart:
        """The whole of the file at *path*, as long as it is now."""
        return cls(path=path, offset_bytes=0, length_bytes=path.stat().st_size, progress=progress)


class PartReader(io.RawIOBase):
    """A part of an open *file* as a request body: its length known, each read bounded by the deadline."""

    def __init__(self, file: BinaryIO, part: FilePart, deadline: Deadline) -> None:
        file.seek(part.offset_bytes)
        self._file = file
        self._part = part
        self._deadline = deadline
        self._left_bytes = part.length_bytes

    def __len__(self) -> int:
        return self._part.length_bytes

    def tell(self) -> int:
        # requests subtracts it from the length; without it, it would announce no length and send nothing
        return self._part.length_bytes - self._left_bytes

    def read(self, size: int = -1, /) -> bytes:
        self._deadline.next_wait_s()
        # never more than was announced, should the file grow meanwhile
        piece = self._file.read(min(max(size, PIECE_BYTES), self._left_bytes))
        if not piece and self._left_bytes:
            raise OSError(errno.EIO, "the file became shorter while it was sent", str(self._part.path))
        self._left_bytes -= len(piece)
        if self._part.progress is not None:
            self._part.progress(self.tell())
        return piece


def read_slice(stream: Stream, *, skip: int, length: int) -> bytes:
    """*length* bytes of the body behind the first *skip*, or what there is of them; no more is read."""
    found = bytearray()
    for chunk in stream.chunks:
        found += chunk[min(skip, len(chunk)) :]
        skip = max(0, skip - len(chunk))
        if len(found) >= length:
            break
    return bytes(found[:length])


def limited(chunks: Iterator[bytes], url: str, max_bytes: int) -> Iterator[bytes]:
    """*chunks*, until they are more than *max_bytes*: then SourceRefused, code ``too-large``."""
    received = 0
    for chunk in chunks:
        received += len(chunk)
        if received > max_bytes:
            message = f"{shown_url(url)}: more than the {max_bytes} bytes expected at most"
            raise SourceRefused("too-large", message)
        yield chunk


def read_all(stream: Stream, url: str, max_bytes: int) -> bytes:
    """The whole body of a small answer; raises as ``limited`` and as the stream does."""
    check_encoding(stream, url)
    return b"".join(limited(stream.chunks, url, max_bytes))


def read_problem_body(stream: Stream) -> bytes:
    """The body of an error answer, for its message only: any trouble with it yields nothing."""
    data = b""
    try:
        for chunk in stream.chunks:
            data += chunk
            if len(data) > MAX_PROBLEM_BYTES:
                return b""
    except Unavailable:
        return b""
    return data


def write_pieces(
    stream: Stream, part: BinaryIO, url: str, *, start: int, end: int, progress: Callable[[int], None] | None
) -> int:
    """Write the body at *start* of *part*; return the bytes received.

    Raises:
        SourceRefused: more than *end* bytes; *part* is cut back to *start*.
        Unavailable: fewer, the connection ended early.
    """
    part.seek(start)
    part.truncate()
    position = start
    try:
        for chunk in stream.chunks:
            if position + len(chunk) > end:
                part.seek(start)
                part.truncate()
                message = f"{shown_url(url)}: more than the {end} bytes that were signed"
                raise SourceRefused("too-large", message)
            part.write(chunk)
            position += len(chunk)
            if progress is not None:
                progress(position)
    finally:
        part.flush()
    if position < end:
        raise Unavailable("cut-short", f"{shown_url(url)}: ended after {position} of {end} bytes")
    os.fsync(part.fileno())
    return position - start
