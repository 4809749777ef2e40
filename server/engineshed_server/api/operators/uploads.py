"""Uploads that survive: tus 1.0.0 below ``/api/v1/uploads``, and what became of each.

``POST /uploads`` begins one, ``HEAD`` says how far it is, ``PATCH`` goes on, ``DELETE`` ends it: by the
protocol's own rules, so that its stock clients work. ``GET`` is ours: it tells the state, and the outcome
once the bundle was taken in, which happens by itself after the last byte. Only the owner's token and admins
see an upload.
"""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus

from flask import Response, g, request
from werkzeug.http import http_date

from engineshed_server.api import tus
from engineshed_server.api import tus_documents as documents
from engineshed_server.api.access import EVERYBODY, operators
from engineshed_server.api.answers import Page
from engineshed_server.api.arguments import refuse_unknown
from engineshed_server.api.bodies import content_length, read_pieces
from engineshed_server.api.context import actor, now, portal
from engineshed_server.api.routes import Routes
from engineshed_server.api.schemas.paging import PageQuery
from engineshed_server.api.schemas.uploads import ShownUpload, UploadQuerySchema, UploadSchema
from engineshed_server.errors import Conflict, NotFound, Refused, TooLarge
from engineshed_server.services.api_tokens import PUBLISHERS, ApiToken
from engineshed_server.services.uploads import opening, owning, receiving
from engineshed_server.services.uploads.owning import Upload

routes = Routes("uploads", "Uploads that go on after whatever cut them: tus 1.0.0.")
_ONE = "/uploads/<name:upload_id>"


def _say_version(answer: Response) -> Response:
    answer.headers["Tus-Resumable"] = tus.VERSION
    answer.headers["Tus-Version"] = tus.VERSION  # asked for with 412, and true always
    return answer


routes.blueprint.after_request(_say_version)


@routes.raw("OPTIONS", "/uploads", access=EVERYBODY, document=documents.OPTIONS)
def tell_protocol() -> Response:
    """What of the protocol is spoken here; no token is needed to ask."""
    refuse_unknown(request)
    answer = Response(status=HTTPStatus.NO_CONTENT)
    answer.headers["Tus-Extension"] = tus.EXTENSIONS
    answer.headers["Tus-Max-Size"] = str(portal().settings.upload_bytes)
    answer.headers["Tus-Checksum-Algorithm"] = ",".join(receiving.ALGORITHMS)
    return answer


@routes.raw("OPTIONS", _ONE, access=EVERYBODY, document=documents.OPTIONS)
def tell_protocol_of_one(upload_id: str) -> Response:
    """The same, asked at an upload; whether there is such a one is not said."""
    return tell_protocol()


@routes.raw(
    "POST",
    "/uploads",
    access=operators(PUBLISHERS),
    document=documents.CREATE,
    refuses=(Refused, TooLarge),
)
def create_upload() -> Response:
    """Begin an upload."""
    _check_request()
    wanted = tus.read_new_upload(request)
    upload = opening.open_upload(portal(), wanted, owner=_asking(), actor=actor(), now=now())
    answer = _told(upload, status=HTTPStatus.CREATED)
    answer.headers["Location"] = f"{request.path.rstrip('/')}/{upload.upload_id}"
    return answer


@routes.page("/uploads", needs=PUBLISHERS, name="uploads", item=UploadSchema, query=UploadQuerySchema)
def list_uploads(query: PageQuery) -> Page:
    """List the uploads of the token that asks, an admin's those of all: the newest first."""
    after = None if query.cursor is None else (datetime.fromisoformat(query.cursor[0]), query.cursor[1])
    found = owning.page_uploads(portal(), asking=_asking(), limit=query.limit, after=after)
    last = found.uploads[-1] if found.more else None
    return Page(
        [ShownUpload(one) for one in found.uploads],
        None if last is None else (last.created.isoformat(), last.upload_id),
    )


# Before GET, which would answer HEAD too.
@routes.raw("HEAD", _ONE, access=operators(PUBLISHERS), document=documents.PROGRESS, refuses=(NotFound,))
def show_progress(upload_id: str) -> Response:
    """How many bytes are safe."""
    _check_request()
    upload = owning.show_progress(portal(), upload_id, asking=_asking(), now=now())
    answer = _told(upload, status=HTTPStatus.OK)
    answer.headers["Upload-Length"] = str(upload.length_bytes)
    if upload.sent_metadata:
        answer.headers["Upload-Metadata"] = upload.sent_metadata
    return answer


@routes.get(_ONE, needs=PUBLISHERS, answer=UploadSchema, refuses=(NotFound,))
def show_upload(upload_id: str) -> ShownUpload:
    """Show the state of an upload, and the outcome once there is one."""
    return ShownUpload(owning.show_upload(portal(), upload_id, asking=_asking(), now=now()))


@routes.raw(
    "PATCH",
    _ONE,
    access=operators(PUBLISHERS),
    document=documents.APPEND,
    refuses=(Refused, TooLarge, NotFound, Conflict),
)
def append(upload_id: str) -> Response:
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
    upload = receiving.receive(portal(), upload_id, chunk=chunk, asking=_asking(), now=now())
    return _told(upload, status=HTTPStatus.NO_CONTENT)


@routes.raw("DELETE", _ONE, access=operators(PUBLISHERS), document=documents.TERMINATE, refuses=(NotFound,))
def terminate(upload_id: str) -> Response:
    """End an upload; what was published of it stays."""
    _check_request()
    owning.terminate_upload(portal(), upload_id, asking=_asking(), actor=actor(), now=now())
    return Response(status=HTTPStatus.NO_CONTENT)


@routes.raw(
    "POST",
    _ONE,
    access=operators(PUBLISHERS),
    document=documents.OVERRIDDEN,
    refuses=(Refused, TooLarge, NotFound, Conflict),
)
def append_or_terminate(upload_id: str) -> Response:
    """PATCH or DELETE for clients whose surroundings let only GET and POST through."""
    method = request.headers.get("X-HTTP-Method-Override", "").upper()
    if method == "PATCH":
        return append(upload_id)
    if method == "DELETE":
        return terminate(upload_id)
    raise NotFound("upload-method", f"found X-HTTP-Method-Override {method[:20]!r}, expected PATCH or DELETE")


def _asking() -> ApiToken:
    """Whose token it is; it was checked before the view was called."""
    token: ApiToken = g.api_token
    return token


def _check_request() -> None:
    refuse_unknown(request)
    tus.check_version(request)


def _told(upload: Upload, *, status: HTTPStatus) -> Response:
    answer = Response(status=status)
    answer.headers["Upload-Offset"] = str(upload.offset_bytes)
    answer.headers["Upload-Expires"] = http_date(upload.expires)
    answer.headers["Cache-Control"] = "no-store"
    return answer
