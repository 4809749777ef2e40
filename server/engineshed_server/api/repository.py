"""The vendor's TUF tree: metadata for everybody, packages and notes for engines and operators.

Packages and notes need a token. Every file but ``timestamp.json`` has its version or its digest in its
name and never changes: caches may keep it for ever. A metadata file is small and answered from memory with
a digest of what was read, so that a file replaced in this moment is never half of each.
"""

from __future__ import annotations

import hashlib
import io
import re

from flask import Blueprint, Response, request

from engineshed_packages.files import read_limited
from engineshed_server.api import tokens
from engineshed_server.api.access import EVERYBODY, PACKAGE_READERS, declare
from engineshed_server.api.context import portal
from engineshed_server.api.files import ALWAYS_ASK, FOREVER, Representation, answer_with
from engineshed_server.api.stored_targets import answer_stored
from engineshed_server.errors import NotFound
from engineshed_server.services import releases
from engineshed_server.services.portal import REPOSITORY

routes = Blueprint("repository", __name__, url_prefix=f"/repo/v1/{REPOSITORY}")

MAX_METADATA_BYTES = 16 * 1024 * 1024
TIMESTAMP = "timestamp.json"
_METADATA_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.json", re.ASCII)


@routes.get("/metadata/<name>")
@declare(EVERYBODY)
def metadata(name: str) -> Response:
    """A file of the published metadata."""
    path = releases.find_metadata(portal(), name) if _METADATA_NAME.fullmatch(name) else None
    if path is None:
        raise NotFound(
            "metadata-unknown",
            f"there is no metadata file {name[:80]!r} here: timestamp.json leads to the newest",
        )
    data = read_limited(path, MAX_METADATA_BYTES)
    shown = Representation(
        length_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        content_type="application/json",
        cache_control=ALWAYS_ASK if name == TIMESTAMP else FOREVER,
    )
    return answer_with(shown, io.BytesIO(data), request=request)


@routes.get("/targets/<path:name>")
@declare(PACKAGE_READERS)
def targets(name: str) -> Response:
    """A package or notes, by the name that carries the digest."""
    tokens.reader_of_packages(request)
    found = releases.find_target(portal(), name)
    if found is None:
        raise NotFound(
            "package-unknown", f"there are no package or notes {name[:120]!r}: see GET /api/v1/releases"
        )
    return answer_stored(found)
