"""The fetcher we give to ``tuf.ngclient``: any ``Source``, one deadline over all files, nothing on disk.

The fetcher of the library writes into the system's temp folder, has no overall deadline (a timestamp of
16 kB can be dragged over days), lets urllib3's errors escape in mid-stream, and its callers read a 403
on the next root as "there is no newer root". Here only ``Missing`` becomes the library's 404; every
other error is ours and passes through the library untouched.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface

from engineshed_packages.errors import Missing, Unavailable
from engineshed_packages.sources import Source

REFRESH_DEADLINE_S = 300


class SourceFetcher(FetcherInterface):
    """Fetches metadata by name; ``last`` is the name asked for last, ``data`` all bytes by name."""

    def __init__(self, source: Source, *, deadline_s: float = REFRESH_DEADLINE_S) -> None:
        self._source = source
        self._deadline_s = deadline_s
        self._ends = time.monotonic() + deadline_s
        self.last = ""
        self.data: dict[str, bytes] = {}

    def _fetch(self, url: str) -> Iterator[bytes]:
        raise NotImplementedError("metadata only: targets have a downloader of their own")

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """The whole file *url*, which is a source's name, of at most *max_length* bytes."""
        self.last = url
        data = bytearray()
        try:
            with self._source.open(url, max_bytes=max_length) as pieces:
                for piece in pieces:
                    data += piece
                    self._check_time(url)
        except Missing as err:
            raise DownloadHTTPError(str(err), 404) from err
        self.data[url] = bytes(data)
        return bytes(data)

    def _check_time(self, url: str) -> None:
        if time.monotonic() > self._ends:
            raise Unavailable("deadline", f"the metadata was not there after {self._deadline_s:g} s ({url})")
