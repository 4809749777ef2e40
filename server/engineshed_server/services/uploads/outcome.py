"""What became of an upload, or what it waits for: an ``Ingested``, or the error that says why not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from engineshed_server.errors import Conflict, Refused, ServerError, TooLarge, TryLater
from engineshed_server.services.ingest import Ingested, IngestedRelease, VerifiedPackage

# By the name in the row, which is never changed. The first that fits is written: a subclass before its base.
_BRANCHES: Mapping[str, type[ServerError]] = {
    "too-large": TooLarge,
    "refused": Refused,
    "conflict": Conflict,
    "try-later": TryLater,
}
INTERNAL = "internal-error"

Outcome = Ingested | ServerError


def write_outcome(outcome: Outcome) -> str:
    """*outcome* as JSON."""
    if isinstance(outcome, Ingested):
        releases = [
            {"product": one.product, "version": one.version, "platforms": one.platforms}
            for one in outcome.releases
        ]
        return json.dumps(
            {
                "code": outcome.code,
                "releases": releases,
                "added_metadata": outcome.added_metadata,
                "notices": outcome.notices,
                "verified": [asdict(one) for one in outcome.verified],
            }
        )
    branch = next((name for name, kind in _BRANCHES.items() if isinstance(outcome, kind)), "refused")
    return json.dumps({"error": branch, "code": outcome.code, "message": outcome.message})


def read_outcome(text: str | None) -> Outcome | None:
    """What ``write_outcome`` wrote; None for no text."""
    if text is None:
        return None
    values: dict[str, Any] = json.loads(text)  # our own: what does not fit is a bug, or another's hand
    if "error" in values:
        return _BRANCHES[values["error"]](values["code"], values["message"])
    releases = tuple(
        IngestedRelease(product=one["product"], version=one["version"], platforms=tuple(one["platforms"]))
        for one in values["releases"]
    )
    return Ingested(
        code=values["code"],
        releases=releases,
        added_metadata=values["added_metadata"],
        notices=tuple(values["notices"]),
        verified=tuple(
            VerifiedPackage(**{**one, "keyids": tuple(one["keyids"])}) for one in values.get("verified", ())
        ),
    )
