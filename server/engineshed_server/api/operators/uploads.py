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

from engineshed_server.api import tus, tus_uploads
from engineshed_server.api import tus_documents as documents
from engineshed_server.api.access import EVERYBODY, operators
from engineshed_server.api.answers import Page
from engineshed_server.api.arguments import refuse_unknown
from engineshed_server.api.context import actor, now, portal
from engineshed_server.api.routes import Routes
from engineshed_server.api.schemas.paging import PageQuery
from engineshed_server.api.schemas.uploads import ShownUpload, UploadQuerySchema, UploadSchema
from engineshed_server.domain.uploads import Uploader
from engineshed_server.errors import Conflict, NotFound, Refused, TooLarge
from engineshed_server.services.api_tokens import PUBLISHERS, ApiToken, Scope
from engineshed_server.services.uploads import owning, receiving

routes = Routes("uploads", "Uploads that go on after whatever cut them: tus 1.0.0.")
_ONE = "/uploads/<name:upload_id>"


routes.blueprint.after_request(tus_uploads.say_version)


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
    return tus_uploads.create(_asking(), actor())


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
    return tus_uploads.show_progress(upload_id, _asking())


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
    return tus_uploads.append(upload_id, _asking())


@routes.raw("DELETE", _ONE, access=operators(PUBLISHERS), document=documents.TERMINATE, refuses=(NotFound,))
def terminate(upload_id: str) -> Response:
    """End an upload; what was published of it stays."""
    return tus_uploads.terminate(upload_id, _asking(), actor())


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


def _asking() -> Uploader:
    """Whose token it is; it was checked before the view was called."""
    token: ApiToken = g.api_token
    return Uploader(token_id=token.token_id, sees_all=token.scope is Scope.ADMIN)
