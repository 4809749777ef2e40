"""Digests and lengths of bytes, in one pass and in pieces of 1 MiB, never holding a file in memory.

SHA-256 decides. SHA-1 is only shown beside it, as the manual's download page does, and decides nothing.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

CHUNK_BYTES = 1024 * 1024

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SHA1 = re.compile(r"[0-9a-f]{40}", re.ASCII)


def is_sha256(text: object) -> bool:
    """Whether *text* is a SHA-256 as written everywhere here: 64 lower-case hexadecimal digits."""
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """Length and digests of the same bytes.

    Attributes:
        sha256: 64 lower-case hexadecimal digits; what counts.
        sha1: 40 lower-case hexadecimal digits; to be shown only.

    Raises:
        ValueError: a bug of the caller; nothing from outside becomes a ``Digests`` unread.
    """

    length_bytes: int
    sha256: str
    sha1: str

    def __post_init__(self) -> None:
        if self.length_bytes < 0 or not is_sha256(self.sha256) or not _SHA1.fullmatch(self.sha1):
            raise ValueError(f"expected a length, a SHA-256 and a SHA-1, found {self!r}")


class Sha256Digester:
    """Takes bytes as they pass by, and tells what decides: their length and SHA-256, at any time."""

    def __init__(self) -> None:
        self.length_bytes = 0
        self._sha256 = hashlib.sha256()

    def update(self, piece: bytes | bytearray | memoryview) -> None:
        """Add *piece*."""
        self.length_bytes += len(piece)
        self._sha256.update(piece)

    @property
    def sha256(self) -> str:
        """Of all that was added so far."""
        return self._sha256.hexdigest()


class Digester(Sha256Digester):
    """Takes the SHA-1 as well, which nearly doubles the cost: for what will be shown."""

    def __init__(self) -> None:
        super().__init__()
        self._sha1 = hashlib.sha1(usedforsecurity=False)

    def update(self, piece: bytes | bytearray | memoryview) -> None:
        """Add *piece*."""
        super().update(piece)
        self._sha1.update(piece)

    def result(self) -> Digests:
        """Length and digests of all that was added so far."""
        return Digests(length_bytes=self.length_bytes, sha256=self.sha256, sha1=self._sha1.hexdigest())


def digest_stream(stream: BinaryIO) -> Digests:
    """Digest *stream* from where it stands to its end.

    Raises:
        OSError: the stream cannot be read.
    """
    digester = Digester()
    while piece := stream.read(CHUNK_BYTES):
        digester.update(piece)
    return digester.result()


def digest_file(path: Path) -> Digests:
    """Digest the file at *path*.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return digest_stream(file)


def sha256_file(path: Path) -> str:
    """The SHA-256 of the file at *path*, when nothing else is needed.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return sha256_stream(file)


def sha256_stream(stream: BinaryIO) -> str:
    """The SHA-256 of *stream* from where it stands to its end.

    Raises:
        OSError: the stream cannot be read.
    """
    digest = hashlib.sha256()
    while piece := stream.read(CHUNK_BYTES):
        digest.update(piece)
    return digest.hexdigest()
