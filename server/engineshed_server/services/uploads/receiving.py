"""Bytes of an upload come in: counted when they are durable, and not a byte that is anything but right."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from engineshed_server.db import uploads
from engineshed_server.db.uploads import UploadRecord
from engineshed_server.domain.metrics import TUS, UPLOAD_BYTES
from engineshed_server.domain.uploads import COMPLETE, CREATED, LIFE, Uploader
from engineshed_server.errors import Conflict, Refused, TooLarge
from engineshed_server.services.portal import Portal
from engineshed_server.services.uploads.owning import LOCK_WAIT_S, Upload, find_own, held, upload_of
from engineshed_server.storage.writing import Piece

ALGORITHMS = ("sha1", "sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checksum:
    """What the bytes of one request must come to; ``algorithm`` is one of ``ALGORITHMS``."""

    algorithm: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """The bytes of one request: where they belong, how many they are, and how to get at them.

    Attributes:
        pieces: may end early with a ServerError, never with fewer bytes and none.
    """

    offset_bytes: int
    length_bytes: int
    pieces: Iterable[Piece]
    checksum: Checksum | None = None


def receive(portal: Portal, upload_id: str, *, chunk: Chunk, asking: Uploader, now: datetime) -> Upload:
    """Take *chunk* in; the upload as it is then.

    Without a checksum, what came before a failure is counted; with one, all or nothing is. The last byte
    makes the upload complete, and wakes who takes it in.

    Raises:
        NotFound: ``upload-unknown``, ``upload-expired``. Conflict: ``upload-offset``.
        TooLarge: ``upload-overflow``. Refused: ``upload-checksum``, and what ``chunk.pieces`` raises.
        TryLater: ``upload-locked``, ``disk-full``, ``storage-failed``.
    """
    known = find_own(portal, upload_id, asking=asking, now=now)
    _check_place(known, chunk)
    if chunk.length_bytes == 0:
        return upload_of(known)
    with held(portal, upload_id, wait_s=LOCK_WAIT_S, now=now) as (record, file):
        _check_place(record, chunk)
        if chunk.checksum is not None:
            pieces = _checked(chunk.pieces, chunk.checksum)
            positions = iter([file.append_whole(pieces, offset_bytes=record.offset_bytes)])
        else:
            positions = file.append(chunk.pieces, offset_bytes=record.offset_bytes)
        for position in positions:
            record = _count(portal, record, position, now=now)
    if record.state == COMPLETE:
        portal.arrivals.set()
    return upload_of(record)


def _check_place(record: UploadRecord, chunk: Chunk) -> None:
    if chunk.offset_bytes != record.offset_bytes:
        raise Conflict(
            "upload-offset",
            f"the bytes are for offset {chunk.offset_bytes}, but {record.offset_bytes} are here: go on there",
        )
    if chunk.offset_bytes + chunk.length_bytes > record.length_bytes:
        raise TooLarge(
            "upload-overflow",
            f"{chunk.length_bytes} bytes from offset {chunk.offset_bytes} on are more than the "
            f"{record.length_bytes} that were announced",
        )
    if record.state != CREATED and chunk.length_bytes:
        raise Conflict("upload-offset", "the upload is complete: ask what became of it")


def _count(portal: Portal, record: UploadRecord, position: int, *, now: datetime) -> UploadRecord:
    expires = now + LIFE
    with portal.database.write() as session:
        if not uploads.move_offset(session, record, to_bytes=position, now=now, expires=expires):
            raise Conflict("upload-offset", "another request was faster: ask for the offset, then go on")
    portal.meters.count(UPLOAD_BYTES, TUS, by=position - record.offset_bytes)
    complete = position == record.length_bytes
    return replace(
        record, offset_bytes=position, expires=expires, state=COMPLETE if complete else record.state
    )


def _checked(pieces: Iterable[Piece], expected: Checksum) -> Iterator[Piece]:
    found = hashlib.new(expected.algorithm, usedforsecurity=False)
    for piece in pieces:
        found.update(piece)
        yield piece
    if found.digest() != expected.digest:
        raise Refused(
            "upload-checksum",
            f"the bytes have the {expected.algorithm} {found.hexdigest()}, announced was "
            f"{expected.digest.hex()}: none was counted, send them again",
        )
