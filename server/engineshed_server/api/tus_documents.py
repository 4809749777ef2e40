"""The tus routes as OpenAPI operations: their headers, and the statuses the protocol knows beside ours."""

from __future__ import annotations

from typing import Any

from engineshed_server import problems
from engineshed_server.api.documents import problem_responses
from engineshed_server.api.schemas.problems import ProblemSchema

Document = dict[str, Any]  # a part of an OpenAPI document: JSON of any shape

BODY_TYPE = "application/offset+octet-stream"
_NUMBER = {"type": "integer", "format": "int64", "minimum": 0, "maximum": 10**18 - 1}
_LENGTH = {"type": "integer", "format": "int64", "minimum": 1, "maximum": 10**18 - 1}
_TEXT = {"type": "string"}


def _asked(name: str, schema: Document, *, required: bool = True, about: str = "") -> Document:
    return {"in": "header", "name": name, "required": required, "schema": schema, "description": about}


def _told(about: str, **headers: Document) -> Document:
    names = {name.replace("_", "-"): {"schema": schema} for name, schema in headers.items()}
    return {"description": about, "headers": {"Tus-Resumable": {"schema": _TEXT}, **names}}


VERSION = _asked("Tus-Resumable", {"type": "string", "enum": ["1.0.0"]})
OFFSET = _asked("Upload-Offset", _NUMBER, about="Where the bytes belong: what HEAD told.")
CHECKSUM = _asked(
    "Upload-Checksum", _TEXT, required=False, about="sha1 or sha256, a space, and base64: all bytes or none."
)
METHOD = _asked("X-HTTP-Method-Override", {"type": "string", "enum": ["PATCH", "DELETE"]})
_BODY: Document = {
    "required": True,
    "content": {BODY_TYPE: {"schema": {"type": "string", "format": "binary"}}},
}
_COUNTED = _told("So many bytes are safe", Upload_Offset=_NUMBER, Upload_Expires=_TEXT)
_REFUSED = problem_responses(set(problems.OF_AN_UPLOAD))
_MISMATCH: Document = {
    "460": {
        "description": "Checksum Mismatch: no byte counts",
        "content": {problems.CONTENT_TYPE: {"schema": ProblemSchema}},
    }
}

OPTIONS: Document = {
    "summary": "Tell what of tus is spoken here.",
    "responses": {
        "204": _told(
            "The protocol",
            Tus_Version=_TEXT,
            Tus_Extension=_TEXT,
            Tus_Max_Size=_NUMBER,
            Tus_Checksum_Algorithm=_TEXT,
        )
    },
}
CREATE: Document = {
    "summary": "Begin an upload.",
    "parameters": [
        VERSION,
        _asked("Upload-Length", _LENGTH, about="Bytes of the whole file."),
        _asked("Upload-Metadata", _TEXT, required=False, about="Pairs of key and base64; filename is shown."),
    ],
    "responses": {
        **_REFUSED,
        "201": _told("An upload", Location=_TEXT, Upload_Offset=_NUMBER, Upload_Expires=_TEXT),
    },
}
PROGRESS: Document = {
    "summary": "Tell how many bytes are safe.",
    "parameters": [VERSION],
    "responses": {
        **_REFUSED,
        "200": _told(
            "The upload",
            Upload_Offset=_NUMBER,
            Upload_Length=_NUMBER,
            Upload_Metadata=_TEXT,
            Upload_Expires=_TEXT,
        ),
    },
}
APPEND: Document = {
    "summary": "Go on: bytes from an offset on.",
    "parameters": [VERSION, OFFSET, CHECKSUM],
    "requestBody": _BODY,
    "responses": {**_REFUSED, **_MISMATCH, "204": _COUNTED},
}
TERMINATE: Document = {
    "summary": "End an upload; what was published of it stays.",
    "parameters": [VERSION],
    "responses": {**_REFUSED, "204": _told("It is gone")},
}
OVERRIDDEN: Document = {
    "summary": "PATCH or DELETE, where only GET and POST come through.",
    "parameters": [VERSION, METHOD, {**OFFSET, "required": False}, CHECKSUM],
    "requestBody": {**_BODY, "required": False},
    "responses": {**_REFUSED, **_MISMATCH, "204": _COUNTED},
}
