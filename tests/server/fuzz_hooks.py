"""What schemathesis has to know of this API: how our formats look, and what no schema can say.

Loaded by schemathesis itself, in its own process: see ``test_openapi``.
"""

from __future__ import annotations

import base64
import json
import os
import re
import uuid
from datetime import UTC, datetime
from itertools import product
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import AllowHeaderMismatch, RejectedPositiveData
from schemathesis.transport.serialization import Binary

from engineshed_packages.jsontext import escape_controls
from engineshed_packages.times import format_time

# The engine whose access token schemathesis carries, and the API token it carries.
ENGINE = os.environ["ENGINESHED_FUZZ_ENGINE"]
OWN = frozenset({ENGINE, os.environ["ENGINESHED_FUZZ_TOKEN_ID"]})
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,199}", re.ASCII)
UNKNOWN_HEADER = "x-schemathesis-unknown-property"

# Rules that stand in words beside a schema because JSON Schema has none for them: a request that fits the
# schema and breaks the rule is refused with this code, and with no other.
IN_WORDS = {
    "idempotency-key-reused": "a key is drawn anew for each request",
    "archive-not-zip": "a bundle is one that the vendor signed",
    "upload-too-large": "the limit is the portal's configuration",
    "upload-metadata-unreadable": "tus: base64 of UTF-8, and no key twice",
    "upload-checksum-unreadable": "tus: an algorithm, a space, base64",
    "upload-offset-unreadable": "tus: needed for PATCH by X-HTTP-Method-Override, not for DELETE",
    "upload-body-missing": "tus: the same",
    "enrol-token-terms": "a token that replaces an engine is good for one, in its place",
    "network-unreadable": "an address range is CIDR, IPv4 or IPv6",
    "order-senseless": "what an order may say depends on what is to be done",
    "portal-url": "an address is https, with a host",
    "product-name": "names that Windows or TUF keep for themselves",
    "version-unreadable": "what packaging can order, which no pattern tells",
    "media-type-not-supported": "tus: the same; asked for by every other route in its schema",
}
# An engine's address could end so as well: Allow names what both answer.
ALSO_A_NAME = frozenset({"/api/v1/engines/approve", "/api/v1/engines/reject"})
ONLY_FOR_TUS = frozenset({"media-type-not-supported"})

# Samples, not strategies that look for a fit: those would take most of the time.
VERSIONS = ("1.0.0", "1.0", "0", "1.1.0rc1", "2.10", "10!1.0", "1.0.0.post1", "2026.11.22")
MOMENTS = tuple(datetime(year, 2, 28, 23, 59, 59, tzinfo=UTC) for year in (1970, 2000, 2026, 2027, 9999))
PLACES = {
    "text": ("", "a", ENGINE, "sample-engine", "zzz"),
    "number": ("0", "1", "17", "999999999999999999"),
    "moment": tuple(moment.isoformat() for moment in MOMENTS),
    "version": VERSIONS,
}


def cursor_of(place: tuple[str, ...]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


for parts in ("text", "number", "moment-text", "text-version", "moment-number-text"):
    places = product(*(PLACES[part] for part in parts.split("-")))
    schemathesis.openapi.format(f"cursor-{parts}", st.sampled_from([cursor_of(place) for place in places]))
schemathesis.openapi.format("etag", st.sampled_from(["*", '"0"', '"1"', '"0", "7"']))
schemathesis.openapi.format("engineshed-time", st.sampled_from([format_time(one) for one in MOMENTS]))
schemathesis.openapi.format("engineshed-version", st.sampled_from(VERSIONS))
schemathesis.openapi.format("engineshed-product", st.sampled_from(("sample-engine", "other", "a", "x-1")))
schemathesis.openapi.format("idempotency-key", st.uuids().map(str))


@schemathesis.serializer("application/offset+octet-stream")
def bytes_of(ctx: object, value: Any) -> bytes:
    return value.data if isinstance(value, Binary) else str(value).encode("utf-8", "surrogatepass")


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Its own credentials revoked, all that follows would be 401 and prove nothing."""
    return not (case.path.endswith("/revoke") and OWN & set(map(str, (case.path_parameters or {}).values())))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Every other engine exists; a key is a new one; bodies are as the words beside the schema say."""
    name = (case.path_parameters or {}).get("engine_id")
    exists = isinstance(name, str) and NAME.fullmatch(name) and len(name) % 2 == 0
    if exists and not case.path.endswith("/revoke"):
        case.path_parameters["engine_id"] = ENGINE
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch(r"[0-9a-f-]{36}", key):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    case.body = as_meant(case.body)


def as_meant(value: Any) -> Any:
    """A whole number is written without a fraction, while JSON Schema takes 1.0 for one.

    The lengths of texts from engines are those of the text with its control characters written out.
    """
    if isinstance(value, dict):
        return {name: as_meant(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [as_meant(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and escape_controls(value) != value:
        return value[: max(1, len(value) // 6)]
    return value


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether it is one: what is refused by a rule in words is none, nor is an unknown header ignored."""
    if isinstance(failure, AcceptedNegativeData):
        # RFC 9110, section 5.1: a header nobody knows is ignored. What schemathesis calls positive is none.
        unknown = UNKNOWN_HEADER in {name.lower() for name in case.headers or {}}
        return not unknown and case.meta.phase.data.description != "Positive test case"
    if isinstance(failure, RejectedPositiveData):
        code = json.loads(response.content).get("code")
        return code not in IN_WORDS or (code in ONLY_FOR_TUS and "/uploads" not in case.path)
    return not (isinstance(failure, AllowHeaderMismatch) and case.path in ALSO_A_NAME)
