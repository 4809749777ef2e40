"""What engines send and get, as OpenAPI operations: documents only, the format reads and writes it.

The words and bounds are those of ``docs/protocol.md``; a test holds them against the golden files.
"""

from __future__ import annotations

from typing import Any

from engineshed_packages.protocol import MAX_SKIPPED
from engineshed_packages.target import PLATFORMS
from engineshed_server.api.schemas.base import TIME_PATTERN

Document = dict[str, Any]  # a part of an OpenAPI document: JSON of any shape


def _text(most: int = 200, *, least: int = 1, about: str | None = None) -> Document:
    known: Document = {"type": "string", "minLength": least, "maxLength": most}
    return known if about is None else {**known, "description": about}


def _id(kind: str) -> Document:
    return {"type": "string", "pattern": f"^{kind}_[a-z2-7]{{20}}$"}


def _whole(least: int = 0) -> Document:
    about = "written without a fraction, not even .0"
    return {"type": "integer", "minimum": least, "maximum": 2**53 - 1, "description": about}


def _object(required: list[str], **properties: Document) -> Document:
    known = {name.removesuffix("_"): value for name, value in properties.items()}
    return {"type": "object", "required": required, "properties": known}


def _or_null(document: Document) -> Document:
    return {**document, "type": [document["type"], "null"]}


TIME: Document = {
    "type": "string",
    "format": "engineshed-time",
    "pattern": TIME_PATTERN,
    "description": "RFC 3339 in UTC",
}
VERSION: Document = {"type": "string", "format": "engineshed-version", "minLength": 1, "maxLength": 64}
SHA256: Document = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
PRODUCT: Document = {"type": "string", "format": "engineshed-product", "minLength": 1, "maxLength": 64}
PLATFORM: Document = {"type": "string", "enum": list(PLATFORMS)}
FLAG: Document = {"type": "boolean"}
SKIPPED = _object(["version", "sha256"], version=VERSION, sha256=SHA256)
ATTRIBUTES = _object(
    [],
    host_name=_text(least=0),
    os=_text(least=0),
    arch=_text(least=0),
    java=_text(least=0),
    free_disk_bytes=_whole(),
    tags={
        "type": "object",
        "maxProperties": 32,
        "propertyNames": {"pattern": "^[!-~][ -~]{0,62}$"},
        "additionalProperties": _text(least=0),
    },
)
STEP = _object(["state", "at"], state=_text(32), at=TIME)
LOG: Document = {"type": "array", "maxItems": 200, "items": _text(1000, least=0)}


def _operation(request: Document, answer: Document, *, what: str) -> Document:
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
        "responses": {
            "200": {"description": what, "content": {"application/json": {"schema": answer}}},
        },
    }


ENROL = _operation(
    _object(
        ["protocol", "token", "product", "platform", "updater_version"],
        protocol=_whole(1),
        token=_text(),
        product=PRODUCT,
        platform=PLATFORM,
        version=_or_null(VERSION),
        host_name=_or_null(_text(least=0)),
        updater_version=_text(64),
    ),
    _object(
        ["protocol", "portal", "engine", "secret", "order_keys", "portals", "repository", "poll_s"],
        protocol=_whole(1),
        portal=_id("ptl"),
        engine=_id("eng"),
        secret=_text(),
        order_keys={"type": "array", "items": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
        portals={"type": "array", "items": _text(500)},
        repository=_text(64),
        poll_s=_whole(1),
        waiting=FLAG,
    ),
    what="The identity of the new engine",
)
TOKEN = _operation(
    _object(["engine", "secret"], engine=_id("eng"), secret=_text()),
    _object(["access_token", "expires_s"], access_token=_text(2048), expires_s=_whole(1)),
    what="An access token, opaque to the engine",
)
POLL = _operation(
    _object(
        ["protocol", "engine", "product", "platform", "updater_version", "state", "boot", "clock"],
        protocol=_whole(1),
        engine=_id("eng"),
        product=PRODUCT,
        platform=PLATFORM,
        version=_or_null(VERSION),
        measured_version=_or_null(_text(64, least=0)),
        updater_version=_text(64),
        state=_text(32),
        health=_or_null(_text(least=0, about="good, bad, stopped or unknown; another word reads as unknown")),
        attempt=_or_null(_id("att")),
        seq=_or_null(_whole()),
        boot=_text(64),
        clock=TIME,
        trusted_clock=_or_null(TIME),
        root_version=_or_null(_whole()),
        timestamp_version=_or_null(_whole()),
        skipped=_or_null({"type": "array", "maxItems": MAX_SKIPPED, "items": SKIPPED}),
        renews=_or_null(FLAG),
        capabilities=_or_null({"type": "array", "maxItems": 32, "items": _text(64, least=0)}),
        attributes=_or_null(ATTRIBUTES),
    ),
    _object(
        ["protocol", "server_time", "code", "text", "poll_s", "timestamp_version"],
        protocol=_whole(1),
        server_time=TIME,
        code=_text(64),
        text=_text(500, least=0),
        poll_s=_whole(1),
        timestamp_version=_whole(),
        order={"type": "object", "description": "DSSE envelope of an order"},
    ),
    what="What there is to do, if anything",
)
REPORT = _operation(
    _object(
        [
            "protocol",
            "attempt",
            "engine",
            "product",
            "outcome",
            "code",
            "updater_version",
            "started",
            "ended",
        ],
        protocol=_whole(1),
        attempt=_id("att"),
        engine=_id("eng"),
        product=PRODUCT,
        kind=_or_null(_text(32, least=0)),
        outcome={"type": "string", "enum": ["OK", "ABORTED", "ROLLED_BACK", "BROKEN"]},
        code=_text(64),
        message=_or_null(_text(2000, least=0)),
        from_=_or_null(VERSION),
        to=_or_null(VERSION),
        version=_or_null(VERSION),
        measured_version=_or_null(_text(64, least=0)),
        updater_version=_text(64),
        started=TIME,
        ended=TIME,
        probed=_or_null(FLAG),
        order=_or_null(_id("ord")),
        seq=_or_null(_whole()),
        sha256=_or_null(SHA256),
        steps=_or_null({"type": "array", "maxItems": 64, "items": STEP}),
        update_log=_or_null(LOG),
        engine_log=_or_null(LOG),
    ),
    _object(["code"], code={"type": "string", "enum": ["recorded", "known"]}),
    what="Recorded, or known already",
)
