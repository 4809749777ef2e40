"""The headers of the tus protocol 1.0.0, read: every one capped, none believed.

https://tus.io/protocols/resumable-upload gives the words; ``operators.uploads`` has the routes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from flask import Request

from engineshed_server.api.bodies import MAX_LENGTH_DIGITS
from engineshed_server.api.tus_documents import BODY_TYPE
from engineshed_server.errors import Refused
from engineshed_server.services.uploads.opening import NewUpload
from engineshed_server.services.uploads.receiving import ALGORITHMS, Checksum

VERSION = "1.0.0"
EXTENSIONS = "creation,checksum,termination,expiration"
MAX_METADATA_CHARS = 1024
MAX_NAME_CHARS = 200
UNNAMED = "bundle.zip"
_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,64}", re.ASCII)  # no space and no comma


def check_version(request: Request) -> None:
    """Refuse who speaks another version, or none.

    Raises:
        Refused: code ``tus-version``.
    """
    found = request.headers.get("Tus-Resumable", "")
    if found != VERSION:
        raise Refused("tus-version", f"found Tus-Resumable {found[:20]!r}, expected {VERSION}")


def check_body_type(request: Request) -> None:
    """Refuse a body that does not say that it goes on with an upload.

    Raises:
        Refused: code ``media-type-not-supported``.
    """
    if request.mimetype != BODY_TYPE:
        raise Refused(
            "media-type-not-supported", f"found Content-Type {request.mimetype[:60]!r}, expected {BODY_TYPE}"
        )


def read_offset(request: Request) -> int:
    """Where the bytes of the request belong.

    Raises:
        Refused: code ``upload-offset-unreadable``.
    """
    found = _number(text := request.headers.get("Upload-Offset", ""))
    if found is None:
        raise Refused("upload-offset-unreadable", f"found Upload-Offset {text[:40]!r}, expected a number")
    return found


def read_new_upload(request: Request) -> NewUpload:
    """What the request announces.

    Raises:
        Refused: codes ``upload-length-unreadable``, ``upload-metadata-unreadable``, ``upload-name``.
    """
    length_bytes = _number(text := request.headers.get("Upload-Length", ""))
    if length_bytes is None:
        raise Refused("upload-length-unreadable", f"found Upload-Length {text[:40]!r}, expected a number")
    sent = request.headers.get("Upload-Metadata", "")
    values = _metadata(sent)
    name = values.get("filename") or values.get("name") or UNNAMED
    if len(name) > MAX_NAME_CHARS or not name.isprintable() or re.search(r"[/\\]", name):
        raise Refused(
            "upload-name",
            f"found the file name {name[:60]!r}, expected up to {MAX_NAME_CHARS} printable signs and no path",
        )
    return NewUpload(length_bytes=length_bytes, name=name, sent_metadata=sent)


def read_checksum(request: Request) -> Checksum | None:
    """What the body must come to, None when nothing is said.

    Raises:
        Refused: code ``upload-checksum-unreadable``, also for an algorithm that is not supported.
    """
    text = request.headers.get("Upload-Checksum")
    if text is None:
        return None
    algorithm, _, encoded = text.strip().partition(" ")
    digest = _decoded(encoded.strip()) if algorithm in ALGORITHMS else None
    if digest is None or len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise Refused(
            "upload-checksum-unreadable",
            f"found Upload-Checksum {text[:80]!r}, expected one of {', '.join(ALGORITHMS)} and base64",
        )
    return Checksum(algorithm=algorithm, digest=digest)


def _number(text: str) -> int | None:
    readable = text.isascii() and text.isdigit() and len(text) <= MAX_LENGTH_DIGITS
    return int(text) if readable else None


def _metadata(sent: str) -> dict[str, str]:
    """The values in an ``Upload-Metadata`` header: ``key base64,key base64,key``."""
    values: dict[str, str] = {}
    if len(sent) > MAX_METADATA_CHARS or not sent.isascii():
        raise _unreadable(f"it has {len(sent)} characters, at most {MAX_METADATA_CHARS} of ASCII are read")
    for pair in sent.split(",") if sent.strip() else []:
        key, _, encoded = pair.strip().partition(" ")
        value = _decoded(encoded.strip())
        if not _KEY.fullmatch(key) or value is None or key in values:
            raise _unreadable(f"found {pair[:60]!r}, expected a key of its own, a space, and base64")
        values[key] = value.decode("utf-8", "replace")
    return values


def _unreadable(why: str) -> Refused:
    return Refused("upload-metadata-unreadable", f"Upload-Metadata cannot be read: {why}")


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
