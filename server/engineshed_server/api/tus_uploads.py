"""Uploads by tus 1.0.0, whoever asks: an operator's program with its token, or a page with its login.

Each function answers one request of the protocol for one *asking*; who that is, the routes have found out:
``operators.uploads``, and ``web``.
"""

from __future__ import annotations

from http import HTTPStatus

from flask import Response, request
from werkzeug.http import http_date

from engineshed_server.api import tus
from engineshed_server.api.arguments import refuse_unknown
from engineshed_server.api.bodies import content_length, read_pieces
from engineshed_server.api.context import now, portal
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.uploads import Uploader
from engineshed_server.services.uploads import opening, owning, receiving
from engineshed_server.services.uploads.owning import Upload


def say_version(answer: Response) -> Response:
    """*answer* with the version of the protocol, for every answer to it."""
    answer.headers["Tus-Resumable"] = tus.VERSION
    answer.headers["Tus-Version"] = tus.VERSION  # asked for with 412, and true always
    return answer


def create(asking: Uploader, actor: Actor) -> Response:
    """Begin an upload, whose address is below that of the request."""
    _check_request()
    wanted = tus.read_new_upload(request)
    upload = opening.open_upload(portal(), wanted, owner=asking, actor=actor, now=now())
    answer = _told(upload, status=HTTPStatus.CREATED)
    answer.headers["Location"] = f"{request.path.rstrip('/')}/{upload.upload_id}"
    return answer


def show_progress(upload_id: str, asking: Uploader) -> Response:
    """How many bytes are safe."""
    _check_request()
    upload = owning.show_progress(portal(), upload_id, asking=asking, now=now())
    answer = _told(upload, status=HTTPStatus.OK)
    answer.headers["Upload-Length"] = str(upload.length_bytes)
    if upload.sent_metadata:
        answer.headers["Upload-Metadata"] = upload.sent_metadata
    return answer


def append(upload_id: str, asking: Uploader) -> Response:
    """Bytes from an offset on."""
    _check_request()
    tus.check_body_type(request)
    length_bytes = content_length(request)
    chunk = receiving.Chunk(
        offset_bytes=tus.read_offset(request),
        length_bytes=length_bytes,
        checksum=tus.read_checksum(request),
        pieces=read_pieces(request, length_bytes),
    )
    upload = receiving.receive(portal(), upload_id, chunk=chunk, asking=asking, now=now())
    return _told(upload, status=HTTPStatus.NO_CONTENT)


def terminate(upload_id: str, asking: Uploader, actor: Actor) -> Response:
    """End an upload; what was published of it stays."""
    _check_request()
    owning.terminate_upload(portal(), upload_id, asking=asking, actor=actor, now=now())
    return Response(status=HTTPStatus.NO_CONTENT)


def _check_request() -> None:
    refuse_unknown(request)
    tus.check_version(request)


def _told(upload: Upload, *, status: HTTPStatus) -> Response:
    answer = Response(status=status)
    answer.headers["Upload-Offset"] = str(upload.offset_bytes)
    answer.headers["Upload-Expires"] = http_date(upload.expires)
    answer.headers["Cache-Control"] = "no-store"
    return answer
