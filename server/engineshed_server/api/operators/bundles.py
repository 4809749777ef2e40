"""The simple upload: ``PUT /api/v1/bundles/<name>`` with a bundle as the raw body.

The name is the file's own, for people and the log; what the bundle holds is decided by the vendor's
signatures in it. 201: something was published; 200: everything in it was here already; 409: the portal
holds other bytes under that version; 413: over the limit, said before a byte is read; 422: refused,
with the reason's code. Whatever happens, the uploaded file does not stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Response, request

from engineshed_server.api.access import operators
from engineshed_server.api.arguments import refuse_unknown
from engineshed_server.api.bodies import received_file
from engineshed_server.api.context import actor, json_answer, now, portal
from engineshed_server.api.routes import Routes
from engineshed_server.api.schemas.releases import BundleSchema
from engineshed_server.domain.metrics import PUT, UPLOAD_BYTES
from engineshed_server.errors import Conflict, Refused, TooLarge, TryLater
from engineshed_server.services.api_tokens import PUBLISHERS
from engineshed_server.services.ingest import PUBLISHED, Ingested, ingest_bundle

routes = Routes("bundles", "Bundles of the vendor, taken in whole.")

_SHOWN = {"application/json": {"schema": BundleSchema}}
_DOCUMENT: dict[str, Any] = {
    "summary": "Take a bundle in: the raw bytes of its file.",
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    "responses": {
        "201": {"description": "Something was published", "content": _SHOWN},
        "200": {"description": "Everything in it was here already", "content": _SHOWN},
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """A bundle that was taken in."""

    name: str
    sha256: str
    length: int
    done: Ingested


@routes.raw(
    "PUT",
    "/bundles/<name:name>",
    access=operators(PUBLISHERS),
    document=_DOCUMENT,
    refuses=(Refused, TooLarge, Conflict, TryLater),
)
def upload(name: str) -> Response:
    """Take a bundle in."""
    refuse_unknown(request)
    here = portal()
    with received_file(request, here.folders.incoming, max_bytes=here.settings.upload_bytes) as received:
        here.meters.count(UPLOAD_BYTES, PUT, by=received.length_bytes)
        done = ingest_bundle(here, received.path, actor=actor(), now=now(), name=name)
        uploaded = Uploaded(name=name, sha256=received.sha256, length=received.length_bytes, done=done)
    status = HTTPStatus.CREATED if done.code == PUBLISHED else HTTPStatus.OK
    return json_answer(BundleSchema.write(uploaded), status=status)
