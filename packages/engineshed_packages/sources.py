"""Where the files of a TUF repository come from: a portal, a bundle, a folder. One protocol for all three.

Names are relative to the repository: ``metadata/1.root.json``, ``targets/<product>/…``. A source hands
out bytes and promises nothing about them: `metadata.py` verifies metadata, and whoever takes a target
checks its length and digest. Every read is bounded by its caller; a bundle is never extracted, only the
names that are asked for are opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from engineshed_packages.archive import Archive
from engineshed_packages.errors import Missing, SourceRefused, Unavailable
from engineshed_packages.transport import HttpClient
from engineshed_packages.transport.bodies import PIECE_BYTES

METADATA_FOLDER = "metadata"
TARGETS_FOLDER = "targets"
# What a repository of ours can name; never "..", a drive, a backslash, an empty part or a hidden file.
_NAME = re.compile(r"(metadata|targets)(/[A-Za-z0-9_%+][A-Za-z0-9._%+-]*)+", re.ASCII)


class Source(Protocol):
    """Hands out the files of one repository."""

    def open(self, name: str, *, max_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        """The pieces of the file *name*, at most *max_bytes* together.

        Raises:
            Missing: there is no such file.
            SourceRefused: code ``too-large`` or another; the iteration raises it too.
            Unavailable, ArchiveRefused: by kind of source; the iteration raises them too.
        """
        ...


def read_source(source: Source, name: str, *, max_bytes: int) -> bytes:
    """The whole of a small file; raises what ``Source.open`` raises."""
    with source.open(name, max_bytes=max_bytes) as pieces:
        return b"".join(pieces)


def check_name(name: str) -> str:
    """Return *name* when a repository can have a file of that name.

    Raises:
        Missing: code ``missing``; such a file cannot exist.
    """
    if not _NAME.fullmatch(name):
        raise Missing("missing", f"{name[:200]!r} is no name of a repository's file")
    return name


def _too_large(where: str, name: str, max_bytes: int) -> SourceRefused:
    return SourceRefused("too-large", f"{where}: {name} has more than the {max_bytes} bytes expected at most")


class ZipSource:
    """The repository inside an open bundle."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    @contextmanager
    def open(self, name: str, *, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """As ``Source.open``."""
        entry = self._archive.find(check_name(name))
        if entry is None:
            raise Missing("missing", f"the bundle holds no {name}")
        if entry.size_bytes > max_bytes:
            raise _too_large("the bundle", name, max_bytes)
        yield self._archive.pieces(entry, piece_bytes=PIECE_BYTES)


class FolderSource:
    """The repository in a folder: the vendor's own, a portal's, or a mounted disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def open(self, name: str, *, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """As ``Source.open``; a file that cannot be read is ``Unavailable``."""
        path = self._folder / check_name(name)
        try:
            with path.open("rb") as file:
                yield self._pieces(iter(lambda: file.read(PIECE_BYTES), b""), name, max_bytes)
        except FileNotFoundError as err:
            raise Missing("missing", f"{path} does not exist") from err
        except OSError as err:
            raise Unavailable("file-unreadable", f"{path} cannot be read: {err.strerror or err}") from err

    def _pieces(self, pieces: Iterator[bytes], name: str, max_bytes: int) -> Iterator[bytes]:
        received = 0
        for piece in pieces:
            received += len(piece)
            if received > max_bytes:
                raise _too_large(str(self._folder), name, max_bytes)
            yield piece


class HttpSource:
    """The repository at *base_url*, as ``https://portal/repo/v1/vendor``.

    Args:
        token: sent with each request, None for a public repository.
        deadline_s: for one file; whoever fetches several has a deadline of its own over all.
    """

    def __init__(
        self, client: HttpClient, base_url: str, token: str | None = None, *, deadline_s: float = 60
    ) -> None:
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._token = token
        self._deadline_s = deadline_s

    def url(self, name: str) -> str:
        """The address of the file *name*."""
        return f"{self._base_url}/{quote(check_name(name))}"

    @contextmanager
    def open(self, name: str, *, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """As ``Source.open``; 401 and 403 are refusals, never "not there"."""
        with self._client.stream(
            "GET", self.url(name), token=self._token, deadline_s=self._deadline_s, max_bytes=max_bytes
        ) as stream:
            if stream.status != 200:
                raise SourceRefused(
                    f"http-{stream.status}", f"{self.url(name)} answered {stream.status}, not 200"
                )
            yield stream.chunks
