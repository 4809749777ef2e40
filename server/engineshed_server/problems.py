"""From an error to the answer that tells of it: RFC 9457 problem details, one shape for everything.

This is the only module that gives errors their HTTP status. Every error of this house carries a stable
``code``; the code, or else the branch of its error tree, picks the status. The members of the answer:

- ``type`` is ``about:blank`` and ``title`` the status' own phrase: what is special is in ``code``;
- ``code`` is the stable kebab-case name that programs compare;
- ``detail`` says what was found, what was expected and what to do;
- ``instance`` is the request's id, the one in the log and in ``X-Request-ID``.

What nobody foresaw becomes 500 ``internal-error`` without a word about the inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType

from engineshed_packages.errors import PackagesError
from engineshed_packages.jsontext import Json, escape_controls, write_compact
from engineshed_server.errors import (
    Conflict,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    Outdated,
    Refused,
    ServerError,
    Throttled,
    TooLarge,
    TryLater,
)

CONTENT_TYPE = "application/problem+json"
MAX_DETAIL_CHARS = 1000
INTERNAL_ERROR = "internal-error"

# First match wins: a subclass stands before its base.
STATUS_BY_BRANCH: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (Refused, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotAuthenticated, HTTPStatus.UNAUTHORIZED),
    (NotAllowed, HTTPStatus.FORBIDDEN),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Outdated, HTTPStatus.PRECONDITION_FAILED),
    (Conflict, HTTPStatus.CONFLICT),
    (Throttled, HTTPStatus.TOO_MANY_REQUESTS),
    (TryLater, HTTPStatus.SERVICE_UNAVAILABLE),
    # The routes read bodies with the format's own classes: what they cannot read is a bad request.
    (PackagesError, HTTPStatus.BAD_REQUEST),
)

CHECKSUM_MISMATCH = 460  # of the tus protocol, unknown to HTTP and so to Python

# Codes of the HTTP layer itself and of the few services whose branch says too little.
STATUS_BY_CODE: Mapping[str, int] = MappingProxyType(
    {
        "body-truncated": HTTPStatus.BAD_REQUEST,
        "body-slow": HTTPStatus.REQUEST_TIMEOUT,
        "disk-full": HTTPStatus.INSUFFICIENT_STORAGE,
        "encoding-not-supported": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "idempotency-key-busy": HTTPStatus.CONFLICT,
        "idempotency-key-unreadable": HTTPStatus.BAD_REQUEST,
        "form-stale": HTTPStatus.BAD_REQUEST,
        "if-match-missing": HTTPStatus.PRECONDITION_REQUIRED,
        "json-too-large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "length-required": HTTPStatus.LENGTH_REQUIRED,
        "length-unreadable": HTTPStatus.BAD_REQUEST,
        "media-type-not-supported": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "page-place": HTTPStatus.BAD_REQUEST,
        "parameter-unknown": HTTPStatus.BAD_REQUEST,
        "parameter-unreadable": HTTPStatus.BAD_REQUEST,
        "seq-implausible": HTTPStatus.BAD_REQUEST,
        "tus-version": HTTPStatus.PRECONDITION_FAILED,
        "upload-checksum": CHECKSUM_MISMATCH,
        "upload-checksum-unreadable": HTTPStatus.BAD_REQUEST,
        "upload-expired": HTTPStatus.GONE,
        "upload-length-unreadable": HTTPStatus.BAD_REQUEST,
        "upload-locked": HTTPStatus.LOCKED,
        "upload-metadata-unreadable": HTTPStatus.BAD_REQUEST,
        "upload-name": HTTPStatus.BAD_REQUEST,
        "upload-offset-unreadable": HTTPStatus.BAD_REQUEST,
    }
)

# With which statuses requests are refused by what they are, for the document of the API.
OF_ANY_REQUEST = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_URI_TOO_LONG,
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
)
OF_A_TOKEN = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
OF_A_NAME = frozenset({HTTPStatus.NOT_FOUND})
OF_A_BODY = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.LENGTH_REQUIRED,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    }
)
OF_FIELDS = frozenset({HTTPStatus.UNPROCESSABLE_ENTITY})
OF_AN_UPLOAD = frozenset(
    {
        HTTPStatus.GONE,
        HTTPStatus.PRECONDITION_FAILED,
        HTTPStatus.LOCKED,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INSUFFICIENT_STORAGE,
    }
)
OF_A_KEY = frozenset({HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})
OF_AN_EDIT = frozenset({HTTPStatus.PRECONDITION_FAILED, HTTPStatus.PRECONDITION_REQUIRED})

# What the web framework refuses before a route runs: code, and what to do.
_BY_STATUS: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        400: ("bad-request", "The request {method} {path} cannot be read: check it against the protocol."),
        404: ("not-found", "Nothing is at {path}: check the address."),
        405: ("method-not-allowed", "{path} does not answer {method}: use a method named in Allow."),
        408: ("body-slow", "The body of {method} {path} did not arrive in time: send it again."),
        412: ("precondition-failed", "{path} is not the version named in If-Match: fetch it anew."),
        413: ("body-too-large", "The body of {method} {path} is over the limit: send less."),
        414: ("address-too-long", "The address of the request is longer than any here: check it."),
        415: ("media-type-not-supported", "{path} takes another Content-Type: see the protocol."),
        416: ("range-not-satisfiable", "{path} is shorter than the range: ask within Content-Range."),
        431: ("headers-too-large", "The headers of the request are over the limit: send less."),
        500: (INTERNAL_ERROR, "The server failed. Look for this instance in its log, then try again."),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One answer about one error; ``headers`` are sent beside it."""

    status: int
    code: str
    detail: str
    instance: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The phrase of the status."""
        return "Checksum Mismatch" if self.status == CHECKSUM_MISMATCH else HTTPStatus(self.status).phrase

    def to_dict(self) -> dict[str, Json]:
        """The members of RFC 9457, section 3.1, and ``code``."""
        return {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": escape_controls(self.detail)[:MAX_DETAIL_CHARS],
            "instance": self.instance,
            "code": self.code,
        }

    def to_bytes(self) -> bytes:
        """The body of the answer."""
        return write_compact(self.to_dict())


def of_error(err: Exception, *, instance: str) -> Problem | None:
    """The problem that tells of *err*, or None when it is an error nobody foresaw."""
    if not isinstance(err, ServerError | PackagesError):
        return None
    status = STATUS_BY_CODE.get(err.code) or status_of_branch(type(err))
    if status is None:
        return None
    headers = {}
    if isinstance(err, NotAuthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="engineshed"'  # RFC 9110, section 11.6.1
    if isinstance(err, TryLater):
        headers["Retry-After"] = str(err.retry_after_s)
    return Problem(status=status, code=err.code, detail=err.message, instance=instance, headers=headers)


def status_of_branch(kind: type[Exception]) -> HTTPStatus | None:
    """The status of a branch of the error trees, None for one that is not told over HTTP."""
    return next((status for branch, status in STATUS_BY_BRANCH if issubclass(kind, branch)), None)


def headers_of(status: HTTPStatus) -> tuple[str, ...]:
    """The headers that every problem with *status* is sent with."""
    waits = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INSUFFICIENT_STORAGE)
    names = ["X-Request-ID"]
    names += ["WWW-Authenticate"] if status == HTTPStatus.UNAUTHORIZED else []
    names += ["Retry-After"] if status in waits else []
    return tuple(names)


def of_status(
    status: int, *, method: str, path: str, instance: str, headers: Mapping[str, str] | None = None
) -> Problem:
    """The problem for a bare HTTP *status*; one that is not in the table becomes 400 or 500."""
    known = status if status in _BY_STATUS else 400 if status < HTTPStatus.INTERNAL_SERVER_ERROR else 500
    code, text = _BY_STATUS[known]
    return Problem(
        status=known,
        code=code,
        detail=text.format(method=method[:20], path=path[:200]),
        instance=instance,
        headers={} if headers is None else headers,
    )


def internal(instance: str) -> Problem:
    """The problem for an error nobody foresaw."""
    return of_status(HTTPStatus.INTERNAL_SERVER_ERROR, method="", path="", instance=instance)
