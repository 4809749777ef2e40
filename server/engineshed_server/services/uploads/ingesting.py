"""What is complete is taken in: by any process, by one at a time, and once.

Nobody has to ask for it, and nobody has to wait for it: the answer to the last byte says that the bytes are
durable, the outcome can be asked for. A process that dies in between leaves the row as ``ingesting`` and the
lock free; whichever process looks next does it again, which is safe (``services.ingest``). One that kills
every process that touches it is given up after ``MAX_TRIES``.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from engineshed_server.db import uploads
from engineshed_server.db.audit import Details, add_audit
from engineshed_server.db.uploads import UploadRecord
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.uploads import DONE, FAILED, LIFE, MAX_TRIES, RETRY, WAITING
from engineshed_server.errors import NotFound, Refused, ServerError, TryLater
from engineshed_server.services import users
from engineshed_server.services.ingest import UNCHANGED, Ingested, ingest_bundle
from engineshed_server.services.portal import Portal
from engineshed_server.services.uploads.outcome import Outcome, write_outcome
from engineshed_server.services.uploads.owning import held
from engineshed_server.storage.incoming import UploadFile

logger = logging.getLogger(__name__)


def ingest_next(portal: Portal, *, now: datetime) -> bool:
    """Take in one upload that waits; false when there is none that nobody else is at.

    Raises:
        TryLater: the database is away.
    """
    with portal.database.read() as session:
        waiting = uploads.list_waiting(session, now=now)
    return any(_ingest_if_free(portal, record.upload_id, now=now) for record in waiting)


def _ingest_if_free(portal: Portal, upload_id: str, *, now: datetime) -> bool:
    try:
        with held(portal, upload_id, wait_s=0, now=now) as (record, file):
            if record.state not in WAITING or record.not_before > now:
                return False
            with portal.database.write() as session:
                if not uploads.claim_upload(session, record, not_before=now + RETRY):
                    return False
            _ingest(portal, record, file, now=now)
    except NotFound:
        return False
    except TryLater as err:
        if err.code != "upload-locked":
            raise
        return False
    return True


def _ingest(portal: Portal, record: UploadRecord, file: UploadFile, *, now: datetime) -> None:
    """The outcome of a claimed upload, written down; *record* is as before the claim."""
    actor = _actor_of(record)
    try:
        outcome: Outcome = _outcome(portal, record, file, actor=actor, now=now)
    except TryLater as err:
        logger.warning("upload waits", extra={"upload": record.upload_id, "code": err.code})
        later = now + timedelta(seconds=err.retry_after_s)
        with portal.database.write() as session:
            uploads.put_back_upload(session, record, outcome=write_outcome(err), not_before=later)
        return
    except ServerError as err:
        outcome = err
    _finish(portal, record, outcome, actor=actor, now=now)
    file.discard()


def _actor_of(record: UploadRecord) -> Actor:
    if record.user_name is not None:
        return users.actor_of(record.user_name, address=record.address)
    return Actor(f"token:{record.token_id}", address=record.address)


def _outcome(
    portal: Portal, record: UploadRecord, file: UploadFile, *, actor: Actor, now: datetime
) -> Ingested:
    if record.tries >= MAX_TRIES:
        raise Refused(
            "upload-given-up",
            f"the portal was ended {record.tries} times while it took this bundle in: see its log",
        )
    if file.size_bytes() < record.length_bytes:
        raise Refused("upload-lost", "the portal's disk has lost bytes of this upload: upload it again")
    done = ingest_bundle(portal, file.path, actor=actor, now=now, name=record.name)
    if done.code == UNCHANGED and record.tries:
        interrupted = "it may have been taken in before the portal was ended in the middle of it"
        return replace(done, notices=(*done.notices, interrupted))
    return done


def _finish(portal: Portal, record: UploadRecord, outcome: Outcome, *, actor: Actor, now: datetime) -> None:
    done = isinstance(outcome, Ingested)
    details: Details = {"name": record.name, "length": record.length_bytes, "code": outcome.code}
    with portal.database.write() as session:
        uploads.finish_upload(
            session,
            record,
            state=DONE if done else FAILED,
            outcome=write_outcome(outcome),
            expires=now + LIFE,
        )
        action = "upload-ingested" if done else "upload-refused"
        add_audit(session, action, subject=record.upload_id, actor=actor, now=now, details=details)
    if not done:
        logger.info("upload refused", extra={"upload": record.upload_id, "code": outcome.code})
