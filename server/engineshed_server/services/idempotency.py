"""A request with an Idempotency-Key is carried out once, however often it is sent.

A client that got no answer cannot know whether its request was carried out. With a key it sends the same
request again: it gets the answer of the first run, for a day. Why nothing is ever done twice:

1. A first transaction claims the key: owner (the API token), key and a digest of the request, and an
   *attempt* that this run draws. The same key with another digest is refused; with an answer, it is answered
   from there; claimed by a run that still goes on, the client is told to wait.
2. The second transaction does the work **and** writes the answer into the key's row, guarded by the attempt:
   both are there, or neither. The services join it instead of opening their own (``Database.within``).

Killed before the second commit, nothing was done: the key stays claimed for ``LEASE``, then the next run
takes it over by a guarded UPDATE. Should the first run still live, its own guard fails and all it did is
rolled back. Killed after the commit, the answer is there. A request that is refused frees its key: it changed
nothing.

An answer may hold a secret that is shown once, as a new token: it is kept sealed by a key derived from the
caller's own token, which is stored nowhere. Who reads the database can do nothing with it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engineshed_packages.ids import new_id
from engineshed_server.db import idempotency
from engineshed_server.db.idempotency import KeyRecord
from engineshed_server.errors import Refused, ServerError, TryLater
from engineshed_server.services.portal import Portal
from engineshed_server.services.racing import run_again_when_raced

KEPT = timedelta(hours=24)
LEASE = timedelta(seconds=60)  # no operator's request takes that long; bundles carry no keys
_NONCE_BYTES = 12  # NIST SP 800-38D, section 8.2

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedRequest:
    """A request that is to be carried out once.

    Attributes:
        owner: id of the API token that asks. secret: the token itself; seals the answer.
        key: what the client chose. content: all that makes it this request and no other.
    """

    owner: str
    secret: str
    key: str
    content: bytes

    def __repr__(self) -> str:
        return f"KeyedRequest(owner={self.owner!r})"

    @property
    def key_hash(self) -> str:
        """What is stored of the key."""
        return hashlib.sha256(self.key.encode("utf-8")).hexdigest()

    @property
    def request_hash(self) -> str:
        """What is stored of the request."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """What was answered; ``body`` is UTF-8."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The answer, and whether an earlier run gave it."""

    answer: KeptAnswer
    replayed: bool


def run_once(
    portal: Portal, request: KeyedRequest, *, work: Callable[[Portal], KeptAnswer], now: datetime
) -> Done:
    """The answer of *work*, or of the run before that did it.

    *work* is given the portal to do everything with: what it writes is committed with the answer.

    Raises:
        Refused: code ``idempotency-key-reused``.
        TryLater: code ``idempotency-key-busy``.
        Whatever *work* raises; then nothing was changed and the key is free.
    """
    claimed = run_again_when_raced(partial(_claim, portal, request, now=now))
    if claimed.sealed is not None:
        return Done(answer=_unseal(claimed.sealed, request), replayed=True)
    try:
        with portal.database.write() as session:
            answer = work(replace(portal, database=portal.database.within(session)))
            if not idempotency.write_answer(session, claimed, sealed=_seal(answer, request)):
                raise _busy(LEASE)
    except BaseException:
        _free(portal, claimed)
        raise
    portal.snapshot.refresh()  # what the work told the processes was not committed when it did so itself
    return Done(answer=answer, replayed=False)


def _claim(portal: Portal, request: KeyedRequest, *, now: datetime) -> KeyRecord:
    wanted = KeyRecord(
        owner=request.owner,
        key_hash=request.key_hash,
        request_hash=request.request_hash,
        attempt=new_id("req"),
        claimed=now,
        sealed=None,
    )
    with portal.database.write() as session:
        idempotency.forget_keys(session, before=now - KEPT)
        found = idempotency.lock_key(session, request.owner, request.key_hash)
        if found is None:
            idempotency.add_key(session, wanted)
            return wanted
        if found.request_hash != wanted.request_hash:
            raise Refused(
                "idempotency-key-reused",
                "the Idempotency-Key was sent with another request before: draw a new key for each request",
            )
        if found.sealed is not None:
            return found
        left = found.claimed + LEASE - now
        if left > timedelta(0):
            raise _busy(left)
        if not idempotency.take_over_key(session, found, attempt=wanted.attempt, now=now):
            raise _busy(LEASE)
    return wanted


def _busy(left: timedelta) -> TryLater:
    return TryLater(
        "idempotency-key-busy",
        "the request with this Idempotency-Key is being carried out: send it again, with the same key",
        retry_after_s=max(1, int(left.total_seconds()) + 1),
    )


def _free(portal: Portal, claimed: KeyRecord) -> None:
    try:
        with portal.database.write() as session:
            idempotency.free_key(session, claimed)
    except ServerError as err:
        # The lease ends by itself; the error of the work is the one to be told.
        logger.warning("key not freed", extra={"code": err.code})


def _sealing_key(request: KeyedRequest) -> bytes:
    told = b"engineshed idempotency\0" + request.key.encode("utf-8")
    return hmac.digest(request.secret.encode("utf-8"), told, "sha256")


def _seal(answer: KeptAnswer, request: KeyedRequest) -> str:
    values = {
        "status": answer.status,
        "headers": dict(answer.headers),
        "body": answer.body.decode("utf-8"),
    }
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = AESGCM(_sealing_key(request)).encrypt(nonce, json.dumps(values).encode("utf-8"), None)
    return base64.b64encode(nonce + sealed).decode("ascii")


def _unseal(text: str, request: KeyedRequest) -> KeptAnswer:
    data = base64.b64decode(text)
    try:
        opened = AESGCM(_sealing_key(request)).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], None)
    except InvalidTag as err:
        raise ServerError(
            "idempotency-damaged", "a kept answer cannot be opened: its row was altered"
        ) from err
    values = json.loads(opened)
    return KeptAnswer(status=values["status"], headers=values["headers"], body=values["body"].encode("utf-8"))
