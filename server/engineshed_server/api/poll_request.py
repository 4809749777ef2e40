"""A poll's request, read by whoever watches the connections: the plainest form of it, or nothing at all.

A parser of requests has to understand whatever a peer may say. This one does not: it takes a request whose
bytes can mean only one thing, and leaves any other to the parser of the server, which reads it as if it had
not been looked at here. So it knows a handful of header fields by name, each at most once, in printable
ASCII; a field it does not know might change what the others mean.

Invariant: of a request that is taken, the server's own parser reads the same (a test compares the two).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from engineshed_server.api import forwarded, request_ids

PATH = "/api/v1/poll"
BEARER = "Bearer "
MAX_HEAD_BYTES = 4096  # a token and a few short fields
MAX_BODY_BYTES = 4096  # an engine that tells nothing new of its host needs a tenth of it

_LINE = f"POST {PATH} HTTP/1.1"
_END = b"\r\n\r\n"
_HEAD = re.compile(rb"[\t\x20-\x7e]+(?:\r\n[\t\x20-\x7e]+)*")
# By the lower-case name, what the value must be; None: whatever it is.
_FIELDS: dict[str, str | None] = {
    "host": None,
    "authorization": None,
    "content-type": "application/json",
    "content-length": None,
    "connection": "keep-alive",
    "user-agent": None,
    "accept": None,
    "accept-encoding": None,
    "x-forwarded-proto": None,
    forwarded.HEADER.lower(): None,
    request_ids.HEADER.lower(): None,
}
_LENGTH = re.compile(r"[0-9]{1,4}", re.ASCII)


@dataclass(frozen=True, slots=True)
class PollRequest:
    """What the lane needs to know of a request.

    Attributes:
        token: what was sent as the engine's access token.
        sent_id: the request id that was sent, sane or not. forwarded: who passed the request on, likewise.
    """

    token: str
    body: bytes
    sent_id: str | None
    forwarded: str | None


def read_poll_request(data: bytes) -> PollRequest | None:
    """The poll that *data*, all that has come, is from its first to its last byte; None: something else."""
    end = data.find(_END, 0, MAX_HEAD_BYTES)
    if end < 0 or not _HEAD.fullmatch(data, 0, end):
        return None
    line, *lines = data[:end].decode("ascii").split("\r\n")
    if line != _LINE:
        return None
    found: dict[str, str] = {}
    for one in lines:
        name, colon, value = one.partition(":")
        name, value = name.lower(), value.strip(" \t")
        if not colon or name not in _FIELDS or name in found:
            return None
        if (_FIELDS[name] or value) != value:
            return None
        found[name] = value
    return _poll_of(found, data[end + len(_END) :])


def _poll_of(fields: dict[str, str], body: bytes) -> PollRequest | None:
    credentials, length = fields.get("authorization", ""), fields.get("content-length", "")
    if "content-type" not in fields or not credentials.startswith(BEARER):
        return None
    if not _LENGTH.fullmatch(length) or int(length) != len(body) or len(body) > MAX_BODY_BYTES:
        return None
    return PollRequest(
        token=credentials[len(BEARER) :],
        body=body,
        sent_id=fields.get(request_ids.HEADER.lower()),
        forwarded=fields.get(forwarded.HEADER.lower()),
    )
