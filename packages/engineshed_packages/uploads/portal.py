"""A portal's uploads, one request each. Only paths below the portal's own address are asked for."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from engineshed_packages.digests import CHUNK_BYTES
from engineshed_packages.errors import ProtocolRefused, SourceRefused, Unavailable
from engineshed_packages.ids import check_id
from engineshed_packages.jsontext import Fields, Json, read_object
from engineshed_packages.transport import (
    TRANSFER_DEADLINE_S,
    FilePart,
    HttpClient,
    HttpRefused,
    JsonAnswer,
    is_loopback,
)

MAX_ANSWER_BYTES = 1024 * 1024
_TUS = {"Tus-Resumable": "1.0.0"}
_BODY = {**_TUS, "Content-Type": "application/offset+octet-stream"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRelease:
    """A release that became visible, or got another package."""

    product: str
    version: str
    platforms: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the portal made of a bundle.

    Attributes:
        code: ``published`` or ``unchanged``.
        notices: sentences for who uploaded it.
    """

    upload_id: str
    code: str
    releases: tuple[PublishedRelease, ...]
    added_metadata: bool
    notices: tuple[str, ...]

    def to_dict(self) -> dict[str, Json]:
        """The same as JSON."""
        releases: list[Json] = [
            {"product": one.product, "version": one.version, "platforms": list(one.platforms)}
            for one in self.releases
        ]
        return {
            "upload": self.upload_id,
            "code": self.code,
            "releases": releases,
            "added_metadata": self.added_metadata,
            "notices": list(self.notices),
        }

    def lines(self) -> tuple[str, ...]:
        """The same for people: a line for each release, or one that says why there is none."""
        if self.releases:
            return tuple(
                f"{self.code}: {one.product} {one.version} ({', '.join(one.platforms)})"
                for one in self.releases
            )
        if self.added_metadata:
            return (f"{self.code}: the vendor's newer metadata, no new package",)
        return (f"{self.code}: nothing in it is new here",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """The bundle is not taken in yet; ``waits_for`` says why, when it is more than its turn."""

    waits_for: Unavailable | None


class UploadPortal:
    """The uploads of the portal at *base_url*, as the owner of *token*.

    Every method raises ``Unavailable`` (try again) and ``HttpRefused`` by status: 404 and 410 there is no
    such upload, 409 another offset, 423 somebody is at it, 460 another checksum.
    """

    def __init__(self, client: HttpClient, base_url: str, token: str) -> None:
        self._client = client
        self._token = token
        self.base_url = base_url.rstrip("/")

    def begin(self, name: str, *, length_bytes: int) -> str:
        """Begin an upload of *length_bytes*; its id.

        Raises:
            SourceRefused: code ``upload-unreadable``: an answer that names no upload.
        """
        metadata = f"filename {base64.b64encode(name.encode('utf-8')).decode('ascii')}"
        headers = {**_TUS, "Upload-Length": str(length_bytes), "Upload-Metadata": metadata}
        answer = self._ask("POST", self._url(), headers)
        try:
            return check_id("upl", answer.headers.get("location", "").rpartition("/")[2])
        except ProtocolRefused as err:
            raise _unreadable(self._url(), "Location", answer) from err

    def ask_offset(self, upload_id: str) -> int:
        """How many bytes the portal has for certain."""
        url = self._url(upload_id)
        return _offset(self._ask("HEAD", url, _TUS), url)

    def send(
        self,
        upload_id: str,
        path: Path,
        *,
        offset_bytes: int,
        length_bytes: int,
        progress: Callable[[int], None],
    ) -> int:
        """Send a part of the file at *path*; how many bytes the portal has then.

        Args:
            progress: told how much of the part is on its way.

        Raises:
            OSError: the file cannot be read.
        """
        url = self._url(upload_id)
        headers = {**_BODY, "Upload-Offset": str(offset_bytes)}
        if needs_checksum(self.base_url):
            headers["Upload-Checksum"] = _checksum(path, offset_bytes, length_bytes=length_bytes)
        part = FilePart(path=path, offset_bytes=offset_bytes, length_bytes=length_bytes, progress=progress)
        answer = self._client.send(
            "PATCH", url, token=self._token, headers=headers, body=part, deadline_s=TRANSFER_DEADLINE_S
        )
        return _offset(answer, url)

    def ask_outcome(self, upload_id: str) -> Published | Pending | HttpRefused:
        """What became of an upload; an ``HttpRefused`` when the portal did not take the bundle.

        Raises:
            SourceRefused: code ``upload-unreadable``.
        """
        url = self._url(upload_id)
        answer = self._ask("GET", url, {"Accept": "application/json, application/problem+json"})
        values = read_object(answer.body, what="upload", max_bytes=MAX_ANSWER_BYTES)
        return _read_outcome(Fields(values, "upload", refusal=SourceRefused), url)

    def _url(self, upload_id: str | None = None) -> str:
        uploads = f"{self.base_url}/api/v1/uploads"
        return uploads if upload_id is None else f"{uploads}/{upload_id}"

    def _ask(self, method: str, url: str, headers: dict[str, str]) -> JsonAnswer:
        return self._client.send(
            method, url, token=self._token, headers=headers, body=None, max_bytes=MAX_ANSWER_BYTES
        )


def needs_checksum(url: str) -> bool:
    """Whether what is sent to *url* should be checked piece by piece.

    TLS does so by itself, and within a host nothing is lost. Without a checksum, what came before a cut
    counts; and whatever happens, a bundle that is not what the vendor signed is refused in the end.
    """
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def _offset(answer: JsonAnswer, url: str) -> int:
    text = answer.headers.get("upload-offset", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise _unreadable(url, "Upload-Offset", answer)
    return int(text)


def _unreadable(url: str, header: str, answer: JsonAnswer) -> SourceRefused:
    found = answer.headers.get(header.lower(), "")
    return SourceRefused(
        "upload-unreadable", f"{url} answered {header} {found[:60]!r}: is that address a portal's?"
    )


def _checksum(path: Path, offset_bytes: int, *, length_bytes: int) -> str:
    digest, left = hashlib.sha256(), length_bytes
    with path.open("rb") as file:
        file.seek(offset_bytes)
        while piece := file.read(min(left, CHUNK_BYTES)):
            digest.update(piece)
            left -= len(piece)
    return f"sha256 {base64.b64encode(digest.digest()).decode('ascii')}"


def _read_outcome(fields: Fields, url: str) -> Published | Pending | HttpRefused:
    upload_id, state = fields.text("upload"), fields.text("state")
    problem = fields.object_or_none("problem")
    why = None if problem is None else Fields(problem, "problem", refusal=SourceRefused)
    if state == "done":
        result = fields.object_or_none("result") or {}
        return _published(upload_id, Fields(result, "result", refusal=SourceRefused))
    if why is None:
        return Pending(waits_for=None)
    status, code = why.integer("status", low=100, high=599), why.text("code", max_chars=64)
    detail = why.text("detail", max_chars=1000)
    if state == "failed":
        return HttpRefused(f"http-{status}", f"{url}: {detail}", status=status, problem=code)
    message = f"{url}: the portal has the whole bundle and cannot take it in yet: {detail}"
    return Pending(waits_for=Unavailable(f"http-{status}", message, status=status, problem=code))


def _published(upload_id: str, result: Fields) -> Published:
    releases = [
        Fields(one, "release", refusal=SourceRefused) for one in result.objects("releases", max_items=1000)
    ]
    return Published(
        upload_id=upload_id,
        code=result.text("code"),
        releases=tuple(
            PublishedRelease(
                product=one.text("product"),
                version=one.text("version"),
                platforms=one.texts("platforms", max_items=100),
            )
            for one in releases
        ),
        added_metadata=result.flag("added_metadata"),
        notices=result.texts("notices", max_items=100, max_chars=1000),
    )
