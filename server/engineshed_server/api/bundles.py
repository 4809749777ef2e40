"""The simple upload: ``PUT /api/v1/bundles/<name>`` with a bundle as the raw body.

The name is the file's own, for people and the log; what the bundle holds is decided by the vendor's
signatures in it. 201: something was published; 200: everything in it was here already; 409: the portal
holds other bytes under that version; 413: over the limit, said before a byte is read; 422: refused,
with the reason's code. Whatever happens, the uploaded file does not stay.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from flask import Blueprint, Response, request

from engineshed_packages.jsontext import Json
from engineshed_server.api import tokens
from engineshed_server.api.bodies import received_file
from engineshed_server.api.context import actor_of, json_answer, now, portal, refuse_unknown_parameters
from engineshed_server.api.values import ingested_values
from engineshed_server.errors import Refused
from engineshed_server.services.ingest import PUBLISHED, ingest_bundle

routes = Blueprint("bundles", __name__, url_prefix="/api/v1")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}", re.ASCII)


@routes.put("/bundles/<name>")
def upload(name: str) -> Response:
    """Take a bundle in."""
    publisher = tokens.operator(request, tokens.PUBLISHERS)
    refuse_unknown_parameters()
    if not _NAME.fullmatch(name):
        raise Refused("name-refused", f"found the name {name[:60]!r}, expected letters, digits and . _ + -")
    here = portal()
    limit_bytes = here.settings.upload_bytes
    with received_file(request, here.folders.incoming, max_bytes=limit_bytes) as received:
        actor = actor_of(publisher)
        done = ingest_bundle(here, received.path, actor=actor, now=now(), name=name)
        answer: dict[str, Json] = {
            "name": name,
            "sha256": received.digests.sha256,
            "length": received.digests.length_bytes,
        }
    status = HTTPStatus.CREATED if done.code == PUBLISHED else HTTPStatus.OK
    return json_answer({**answer, **ingested_values(done)}, status=status)
