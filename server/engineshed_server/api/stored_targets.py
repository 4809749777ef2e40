"""Answering with a package or notes, whoever was let in: an engine, an operator's program, a person."""

from __future__ import annotations

from flask import Response, request

from engineshed_packages.target import Target
from engineshed_server.api import metering
from engineshed_server.api.context import path_in_front
from engineshed_server.api.files import FOREVER_PRIVATE, Representation, answer_with, open_stored
from engineshed_server.services.releases import StoredTarget


def answer_stored(found: StoredTarget) -> Response:
    """The bytes of *found*, or a part of them; packages are counted as downloads."""
    listed = found.listed
    shown = Representation(
        length_bytes=listed.length_bytes,
        sha256=listed.sha256,
        content_type="application/zip" if isinstance(listed, Target) else "application/json",
        cache_control=FOREVER_PRIVATE,
        download_name=listed.path.rpartition("/")[2],
    )
    body = open_stored(found.path, listed.length_bytes)
    in_front = path_in_front(found.path)
    if not isinstance(listed, Target):
        return answer_with(shown, body, request=request, in_front=in_front)
    return answer_with(shown, body, request=request, in_front=in_front, tell=metering.count_download)
