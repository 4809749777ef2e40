"""Uploads of a page: the same tus as below ``/api``, for who is logged in, with a form's token in a header.

    new tus.Upload(file, {endpoint: "/web/uploads", headers: {"X-CSRFToken": …}, …})

What became of an upload is shown by pages, from ``services.uploads.owning``.
"""

from __future__ import annotations

from flask import Response

from engineshed_server.api import tus_uploads
from engineshed_server.domain.roles import Role
from engineshed_server.domain.uploads import Uploader
from engineshed_server.web.pages import Pages
from engineshed_server.web.people import actor, person

pages = Pages("uploads")
pages.blueprint.after_request(tus_uploads.say_version)
PIECE_BYTES = 8 * 1024**2  # what a page sends at once: a web server in front takes twice as much
_ALL = "/web/uploads"
_ONE = f"{_ALL}/<name:upload_id>"


def uploader() -> Uploader:
    """Who is logged in, as the one who uploads; he may go on with what another admin has begun."""
    return Uploader(user_name=person().user, sees_all=True)


@pages.raw("POST", _ALL, needs=Role.ADMIN)
def create_upload() -> Response:
    """Begin an upload."""
    return tus_uploads.create(uploader(), actor())


@pages.raw("HEAD", _ONE, needs=Role.ADMIN)
def show_progress(upload_id: str) -> Response:
    """How many bytes are safe."""
    return tus_uploads.show_progress(upload_id, uploader())


@pages.raw("PATCH", _ONE, needs=Role.ADMIN)
def append(upload_id: str) -> Response:
    """Bytes from an offset on."""
    return tus_uploads.append(upload_id, uploader())


@pages.raw("DELETE", _ONE, needs=Role.ADMIN)
def terminate(upload_id: str) -> Response:
    """End an upload; what was published of it stays."""
    return tus_uploads.terminate(upload_id, uploader(), actor())
