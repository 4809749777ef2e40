"""ETag and If-Match: the revision of what can be edited, as HTTP says it.

The tag names the revision of what an edit can change, not of what engines say of themselves at each poll:
an edit must not fail because a heartbeat came first. It is for If-Match; nothing here is ever cached.
"""

from __future__ import annotations

import re

from flask import Request

from engineshed_server.domain.revisions import ANY_REVISION, Expected
from engineshed_server.errors import Refused

_TAG = re.compile(r'"([0-9]{1,18})"', re.ASCII)
HEADER = "If-Match"


def etag_of(revision: int) -> str:
    """The strong entity tag of a revision."""
    return f'"{revision}"'


def expected_by(request: Request) -> Expected:
    """The revisions that If-Match names; weak and foreign tags match nothing (RFC 9110, section 8.8.3.2).

    Raises:
        Refused: code ``if-match-missing``.
    """
    header = request.headers.get(HEADER)
    if header is None:
        raise Refused(
            "if-match-missing",
            "an edit says what it was made from: read the resource, then send its ETag in If-Match",
        )
    if header.strip() == "*":
        return ANY_REVISION
    found = (_TAG.fullmatch(tag.strip()) for tag in header[:1000].split(","))
    return Expected(frozenset(int(tag.group(1)) for tag in found if tag is not None))
